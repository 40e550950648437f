// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The rounds of every model
/// @notice Phases are windows of block numbers. The phase is a pure function of (state, block): nobody has to call anything for it
/// to change. `tick` opens a round, takes the consensus, and settles a round that has ended; the last two in pages, so that no
/// transaction is large. A window closes early, with the end of the block, when everybody who may act in it has acted.
/// Rounds of a model overlap: the next one can open as soon as COMMIT of the newest is over, so that miners train while
/// validators judge. It is *held* then: it can't pass COMMIT before the one before it is settled, so at most two are not settled, and they
/// are settled in order. Its deltas start from the head at its opening, and are judged on the head that the round before it left.
/// Submissions are judged in groups of 8, in submission order, each by a *committee*: all validators of the round while they are
/// few, else some that are drawn by stake. Validators sit in slots; their weight in a committee is their stake, or how many times
/// they were drawn.
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
    /// Seeds are zero until they can be read. `settled` is false while a round that has ended still waits for a `tick`.
    /// `committee` is the most members that a committee has, `kappaBps` the part of its revealed weight that carries a score,
    /// `quorumBps` the part of `frozenStake` that must take part. `accepted` (some consensus is above zero) is false until
    /// `consensusKnown`. `baseHead` is the model's head when the round opened, which its deltas name; `parentHead` the one that they are
    /// judged on and that its own head follows: that of the block in which it ceased to be `held`, zero while it is. A phase of a
    /// held round whose window is over ends with the next block, as far as is known.
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
        uint32 validatorCount;
        uint8 committee;
        uint16 kappaBps;
        uint16 quorumBps;
        uint32 groupsJudged;
        bool consensusKnown;
        bool accepted;
        bool held;
        bytes32 parentHead;
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
    /// @notice A validator revealed its scores of the submissions that it was dealt, in submission order.
    event ScoresRevealed(
        uint256 indexed modelId,
        uint64 indexed round,
        address indexed validator,
        uint64[] scores,
        uint8[] reasons,
        bytes32 report
    );
    /// @notice The consensus in micro-nats of the submissions from `from` on, in submission order.
    event ConsensusPage(uint256 indexed modelId, uint64 indexed round, uint32 from, uint64[] consensus);
    /// @notice The consensus of all `submissions` is known; `total` is its sum in micro-nats. A submission's mixing weight, in
    /// 1/65536, is its consensus times 65536 / `total`, rounded down (zero where `total` is).
    event ConsensusReached(uint256 indexed modelId, uint64 indexed round, uint256 total, uint32 submissions);
    /// @notice Two thirds of a submission's committee called it malformed; its miner was slashed.
    event DeltaInvalid(uint256 indexed modelId, uint64 indexed round, address indexed miner, uint32 index);
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
    /// @notice Everybody whom the round concerns was paid or slashed.
    event RoundSettled(uint256 indexed modelId, uint64 indexed round);
    /// @notice The round before it is settled: it can pass COMMIT now, and goes on from this head.
    event RoundReleased(uint256 indexed modelId, uint64 indexed round, bytes32 parentHead);
    /// @notice A validator that sat in the round objects to it with its frozen stake, in wei.
    event RoundChallenged(
        uint256 indexed modelId, uint64 indexed round, address indexed validator, uint256 stake
    );
    /// @notice A validator signed two different heads of one round, and was slashed.
    event ConflictProven(
        uint256 indexed modelId, uint64 indexed round, address indexed validator, bytes32 headA, bytes32 headB
    );
    /// @notice No round opens before block `until`.
    event OpeningsPaused(address indexed by, uint64 until);
    /// @notice Rounds may open again.
    event OpeningsResumed(address indexed by);
    /// @notice A validator took no full part; `missed` is how many times in a row.
    event ValidatorMissed(
        uint256 indexed modelId, uint64 indexed round, address indexed validator, uint32 missed
    );

    /// @notice The round is in phase `actual`; the call needs `wanted` (for a delta's commitment: up to `wanted`).
    error WrongPhase(uint8 actual, uint8 wanted);
    /// @notice Not the model's newest round, nor the one before it while that is not settled; or not its next one, or too soon for it.
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
    /// @notice No round opens before block `until`.
    error Paused(uint64 until);
    /// @notice A pause of no blocks, or of more than `limit`.
    error BadPause(uint64 blocks, uint64 limit);
    /// @notice The last pause was too short a while ago; the next may start at block `from`.
    error PauseTooSoon(uint64 from);
    /// @notice The round did not end FINAL, or is not settled yet.
    error NotFinal(uint64 round);
    /// @notice The round's rewards have vested, at block `unlockBlock`, or were voided before; for a conflict, whoever had stake in the
    /// round may have left since that block.
    error TooLate(uint64 unlockBlock);
    /// @notice The caller objected before.
    error AlreadyChallenged();
    /// @notice The same head twice is no conflict.
    error NoConflict();
    /// @notice The validator did not sign this head.
    error BadSignature(bytes32 head);
    /// @notice A conflict of this validator was proven before, less than the unbonding time ago.
    error AlreadyProven();

    /// @notice Moves a round on. Opens it where it is the model's next and the newest is settled, or past COMMIT and not held; records
    /// what is due (seeds, seats, a page of the consensus); settles a page of it where it has ended and is not held. With nothing due, or
    /// where somebody was quicker, it does nothing. A tick meant for one round touches no other, but that the last page of a round
    /// releases the one that was held for it.
    function tick(uint256 modelId, uint64 round) external;

    /// @notice Binds the caller to a delta, in TRAIN or COMMIT:
    /// `keccak256(abi.encode(chainid, this, modelId, round, sender, digest, salt))`.
    function commitDelta(uint256 modelId, uint64 round, bytes32 commitment) external;

    /// @notice Reveals the caller's delta, in REVEAL.
    function revealDelta(uint256 modelId, uint64 round, Reveal calldata r) external;

    /// @notice Binds the caller to its scores, in SCORE:
    /// `keccak256(abi.encode(chainid, this, modelId, round, sender, scores, reasons, report, salt))`.
    function commitScores(uint256 modelId, uint64 round, bytes32 commitment) external;

    /// @notice Reveals the caller's scores in micro-nats, in SCORE_REVEAL: one for each submission that it was dealt (see
    /// `dealt`), in submission order. `report` is a manifest's digest.
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

    /// @notice Objects to a round's outcome while its rewards vest, with the stake that the caller had in it. At two thirds of the
    /// round's frozen stake its rewards are voided.
    function challenge(uint256 modelId, uint64 round) external;

    /// @notice Slashes a validator that signed two different heads of a round that it sat in and that opened less than the unbonding
    /// time ago; in a model once in the unbonding time, whatever the round. The signatures are EIP-712 (domain "StrataRounds",
    /// "1") over `HeadStatement(uint256 model,uint64 round,bytes32 head)`. The caller gets nothing.
    function proveConflict(
        uint256 modelId,
        uint64 round,
        address validator,
        bytes32 headA,
        bytes calldata sigA,
        bytes32 headB,
        bytes calldata sigB
    ) external;

    /// @notice Refuses openings for so many blocks, at most 50,400. Only the guardian, and not before as many blocks have passed
    /// since the end of the last pause as that lasted. Live rounds, exits and claims go on.
    function pause(uint64 blocks) external;

    /// @notice Ends a pause. Only the administrator.
    function unpause() external;

    /// @notice The first block at which rounds may open.
    function pausedUntil() external view returns (uint64);

    /// @notice How many blocks back the chain tells hashes: 8,191 where it has EIP-2935, else 256. A seed that was not recorded by then
    /// is lost.
    function historyBlocks() external view returns (uint256);

    /// @notice The model's newest round, live or ended; 0 where there was none.
    function current(uint256 modelId) external view returns (uint64 round);

    /// @notice The round as it stands at the block of this call.
    function roundView(uint256 modelId, uint64 round) external view returns (RoundView memory);

    /// @notice The phase that the round will be in at `blockNumber` if nobody acts until then (ask for the next block before sending).
    function phaseAt(uint256 modelId, uint64 round, uint256 blockNumber)
        external
        view
        returns (uint8 phase, uint64 phaseEnd, uint8 voidReason);

    /// @notice The revealed deltas in submission order. Consensus and weights are filled from the end of SCORE_REVEAL on, whether or
    /// not the pages of the consensus were taken.
    function submissions(uint256 modelId, uint64 round) external view returns (Submission[] memory);

    /// @notice Present miners that had stake that counted when the round opened, ascending.
    function miners(uint256 modelId, uint64 round) external view returns (address[] memory);

    /// @notice The miners that committed to a delta, in the order of their commitments.
    function committers(uint256 modelId, uint64 round) external view returns (address[] memory);

    /// @notice The validators that sit in the round, in the order of their slots, with their stake in wei at its opening.
    function validators(uint256 modelId, uint64 round)
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes);

    /// @notice The submissions that a validator is to score, ascending; none before the evaluation's seed is recorded where
    /// committees are drawn.
    function dealt(uint256 modelId, uint64 round, address validator) external view returns (uint32[] memory);

    /// @notice The committee of a group of 8 submissions in the order of slots, with weights: stakes in wei, or how many times each
    /// was drawn. Empty before the evaluation's seed is recorded where committees are drawn.
    function committeeOf(uint256 modelId, uint64 round, uint256 group)
        external
        view
        returns (address[] memory who, uint256[] memory weights);

    /// @notice How a validator's scores met the consensus: agreement in millionths, and the sum of its bonds times the consensus.
    /// Changes until the consensus is known.
    function judgementOf(uint256 modelId, uint64 round, address validator)
        external
        view
        returns (uint256 agreement, uint256 bondSum);

    /// @notice Bonds of the model's validators with a miner, by slot, in 1/65535, as written after `lastRound`.
    function bondsOf(uint256 modelId, address miner)
        external
        view
        returns (uint16[64] memory lanes, uint64 lastRound);

    /// @notice Who sat in a slot at the last round that had seats, and since which round.
    function seatOf(uint256 modelId, uint256 slot) external view returns (address account, uint64 sinceRound);

    /// @notice Stake in wei that has objected to a round.
    function challengedStake(uint256 modelId, uint64 round) external view returns (uint256);

    /// @notice What a validator signs to state a head off chain.
    function headStatementHash(uint256 modelId, uint64 round, bytes32 head) external view returns (bytes32);

    /// @notice A validator's revealed scores, of the submissions that it was dealt; empty where it revealed none.
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
