// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The rounds of every model
/// @notice Phases are windows of block numbers. The phase is a pure function of (state, block): nobody has to call anything for it
/// to change. `tick` opens a round, takes the consensus, and settles a round that has ended. A window closes early, with the end of
/// the block, when everybody who may act in it has acted.
/// Phases: 0 none, 1 TRAIN, 2 COMMIT, 3 REVEAL, 4 SCORE, 5 SCORE_REVEAL, 6 ATTEST, 7 ATTEST_REVEAL, 8 FINAL, 9 VOID.
/// Void reasons: 0 none, 1 EMPTY, 2 NO_SEED, 3 NO_SCORE_QUORUM, 4 NO_HEAD_QUORUM.
interface IRounds {
    /// @notice What a miner reveals. `datasetIds` are strictly increasing, at most 16; `trainedTokens` is its own claim.
    struct Reveal {
        bytes32 digest;
        bytes32 salt;
        uint8 kind;
        bytes32 baseHead;
        uint256[] datasetIds;
        uint64 trainedTokens;
    }

    /// @notice A revealed delta, with its consensus score in micro-nats and its weight in 1/65536 once scores are closed.
    struct Submission {
        address miner;
        bytes32 digest;
        uint8 kind;
        bytes32 baseHead;
        uint256[] datasetIds;
        uint64 trainedTokens;
        uint64 consensus;
        uint32 weightQ16;
    }

    /// @notice A round as it stands at the block of the call. `phaseEnd` is the first block after the phase (0 once it has ended).
    /// Seeds are zero until they can be read. `settled` is false while a round that has ended still waits for its `tick`.
    struct RoundView {
        uint64 round;
        uint8 phase;
        uint64 phaseEnd;
        uint64 openBlock;
        uint64 scoreStart;
        bytes32 seed;
        bytes32 evaluationSeed;
        bytes32 baseHead;
        uint256 frozenStake;
        uint32 minerCount;
        uint32 commits;
        uint32 reveals;
        uint256 scoresRevealedStake;
        uint256 headsRevealedStake;
        uint8 voidReason;
        bytes32 head;
        bool settled;
    }

    /// @notice A round opened on the stake frozen at the block before.
    event RoundOpened(
        uint256 indexed modelId,
        uint64 indexed round,
        uint64 openBlock,
        bytes32 baseHead,
        uint256 frozenStake,
        uint32 minerCount
    );
    /// @notice A miner bound itself to a delta.
    event DeltaCommitted(
        uint256 indexed modelId, uint64 indexed round, address indexed miner, bytes32 commitment
    );
    /// @notice A miner revealed the delta that it had committed to; `index` is its place in submission order.
    event DeltaRevealed(
        uint256 indexed modelId,
        uint64 indexed round,
        address indexed miner,
        uint32 index,
        bytes32 digest,
        uint8 kind,
        bytes32 baseHead,
        uint256[] datasetIds,
        uint64 trainedTokens,
        bytes32 salt
    );
    /// @notice A validator bound itself to scores.
    event ScoresCommitted(
        uint256 indexed modelId, uint64 indexed round, address indexed validator, bytes32 commitment
    );
    /// @notice A validator revealed its scores, in submission order.
    event ScoresRevealed(
        uint256 indexed modelId,
        uint64 indexed round,
        address indexed validator,
        uint64[] scores,
        uint8[] reasons,
        bytes32 report
    );
    /// @notice The consensus of the revealed scores, and the model weights' mixing weights in 1/65536, in submission order.
    event ConsensusReached(
        uint256 indexed modelId, uint64 indexed round, uint64[] consensus, uint32[] weightsQ16
    );
    /// @notice A validator bound itself to a head.
    event HeadCommitted(
        uint256 indexed modelId, uint64 indexed round, address indexed validator, bytes32 commitment
    );
    /// @notice A validator attested a head.
    event HeadRevealed(uint256 indexed modelId, uint64 indexed round, address indexed validator, bytes32 head);
    /// @notice The round's seed was read from its opening block.
    event SeedCaptured(uint256 indexed modelId, uint64 indexed round, bytes32 seed);
    /// @notice The seed of the evaluation was read from the first block of SCORE.
    event EvaluationSeedCaptured(uint256 indexed modelId, uint64 indexed round, bytes32 seed);
    /// @notice The round ended with this head (unchanged where no delta was accepted: `attestedStake` is 0 then).
    event RoundFinalized(uint256 indexed modelId, uint64 indexed round, bytes32 head, uint256 attestedStake);
    /// @notice The round ended without effect.
    event RoundVoided(uint256 indexed modelId, uint64 indexed round, uint8 reason);
    /// @notice A validator took no full part; `missed` is how many times in a row.
    event ValidatorMissed(
        uint256 indexed modelId, uint64 indexed round, address indexed validator, uint32 missed
    );

    /// @notice The round is in phase `actual`; the call needs `wanted` (for a delta's commitment: up to `wanted`).
    error WrongPhase(uint8 actual, uint8 wanted);
    /// @notice Not the model's present round.
    error WrongRound(uint64 current);
    /// @notice The caller has committed to something else already.
    error AlreadyCommitted();
    /// @notice The caller has revealed already.
    error AlreadyRevealed();
    /// @notice The caller committed to nothing.
    error NotCommitted();
    /// @notice What was revealed is not what was committed to.
    error CommitmentMismatch();
    /// @notice A commitment, digest or head of zero.
    error ZeroDigest();
    /// @notice The account had no stake for this role when the round opened.
    error NotEnrolled(address account);
    /// @notice An array has the wrong length.
    error BadLength(uint256 actual, uint256 wanted);
    /// @notice Another miner revealed this digest in this round.
    error DuplicateDigest(bytes32 digest);
    /// @notice Dataset ids are not strictly increasing, not this model's, or not usable in this round.
    error BadDatasetId(uint256 id);
    /// @notice The kind of a delta is unknown.
    error BadKind(uint8 kind);
    /// @notice The delta's base is not the round's.
    error WrongBase(bytes32 base, bytes32 wanted);
    /// @notice A score above 1e9 micro-nats, an unknown reason, or a score above zero with a reason.
    error BadScore(uint256 index);
    /// @notice A round needs at least one miner and one validator, staked in an earlier block.
    error NotEnoughMembers(uint256 miners, uint256 validators);
    /// @notice A value can't be read yet.
    error TooEarly();

    /// @notice Moves a round on. Opens it where it is the model's next and none is live; records what is due (seeds,
    /// consensus); settles it where it has ended. With nothing due, or where somebody was quicker, it does nothing: a tick
    /// meant for one round never touches another.
    function tick(uint256 modelId, uint64 round) external;

    /// @notice Binds the caller to a delta, in TRAIN or COMMIT:
    /// `keccak256(abi.encode(chainid, this, modelId, round, sender, digest, salt))`.
    function commitDelta(uint256 modelId, uint64 round, bytes32 commitment) external;

    /// @notice Reveals the caller's delta, in REVEAL.
    function revealDelta(uint256 modelId, uint64 round, Reveal calldata r) external;

    /// @notice Binds the caller to its scores, in SCORE:
    /// `keccak256(abi.encode(chainid, this, modelId, round, sender, scores, reasons, report, salt))`.
    function commitScores(uint256 modelId, uint64 round, bytes32 commitment) external;

    /// @notice Reveals the caller's scores in micro-nats, in submission order, in SCORE_REVEAL. `report` is a manifest's digest.
    function revealScores(
        uint256 modelId,
        uint64 round,
        uint64[] calldata scores,
        uint8[] calldata reasons,
        bytes32 report,
        bytes32 salt
    ) external;

    /// @notice Binds the caller to the next head, in ATTEST:
    /// `keccak256(abi.encode(chainid, this, modelId, round, sender, "HEAD", head, salt))`.
    function commitHead(uint256 modelId, uint64 round, bytes32 commitment) external;

    /// @notice Attests the next head, in ATTEST_REVEAL.
    function revealHead(uint256 modelId, uint64 round, bytes32 head, bytes32 salt) external;

    /// @notice The model's last round, live or ended; 0 where there was none.
    function current(uint256 modelId) external view returns (uint64 round);

    /// @notice The round as it stands at the block of this call.
    function roundView(uint256 modelId, uint64 round) external view returns (RoundView memory);

    /// @notice The phase that the round will be in at `blockNumber` if nobody acts until then (ask for the next block before sending).
    function phaseAt(uint256 modelId, uint64 round, uint256 blockNumber)
        external
        view
        returns (uint8 phase, uint64 phaseEnd, uint8 voidReason);

    /// @notice The revealed deltas in submission order. Consensus and weights are filled from the end of SCORE_REVEAL on.
    function submissions(uint256 modelId, uint64 round) external view returns (Submission[] memory);

    /// @notice The miners frozen at the round's opening, ascending.
    function miners(uint256 modelId, uint64 round) external view returns (address[] memory);

    /// @notice The validators frozen at the round's opening, ascending, with their stake in wei.
    function validators(uint256 modelId, uint64 round)
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes);

    /// @notice A validator's revealed scores; empty where it revealed none.
    function scoresOf(uint256 modelId, uint64 round, address validator)
        external
        view
        returns (uint64[] memory scores, uint8[] memory reasons, bytes32 report);

    /// @notice The account's commitments, zero where there is none.
    function committed(uint256 modelId, uint64 round, address account)
        external
        view
        returns (bytes32 delta, bytes32 score, bytes32 head);

    /// @notice The head that a validator attested, zero where it did not.
    function headOf(uint256 modelId, uint64 round, address validator) external view returns (bytes32);

    /// @notice How many rounds in a row the validator has missed.
    function missedOf(uint256 modelId, address validator) external view returns (uint32);

    /// @notice The lengths of the round's seven windows in blocks, as they turned out so far.
    function windows(uint256 modelId, uint64 round) external view returns (uint32[7] memory);
}
