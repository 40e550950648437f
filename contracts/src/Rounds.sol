// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IDataRegistry} from "./interfaces/IDataRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewards} from "./interfaces/IRewards.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {MINER, VALIDATOR} from "./libraries/Roles.sol";
import {RoundClock} from "./libraries/RoundClock.sol";
import {Ballot, Delta, Round} from "./libraries/RoundTypes.sol";
import {Settling} from "./libraries/Settling.sol";
import {Disputes} from "./rounds/Disputes.sol";
import {Judging} from "./rounds/Judging.sol";
import {RoundState} from "./rounds/RoundState.sol";
import {RoundsBase} from "./rounds/RoundsBase.sol";
import {RoundsViews} from "./rounds/RoundsViews.sol";
import {Scoring} from "./rounds/Scoring.sol";

/// @title The rounds of every model
/// @dev Described in `IRounds`. `Judging`, `Settling`, `Disputes` and `Reading` are linked: they are code of this contract that does
/// not fit into one.
contract Rounds is RoundsViews, ReentrancyGuard, AccessManaged, EIP712 {
    using RoundState for Round;

    uint8 private constant LAST_KIND = 2;
    uint256 private constant MAX_DATASETS = 16;
    uint64 private constant MAX_PAUSE = 50_400;
    bytes32 private constant HEAD_STATEMENT =
        keccak256("HeadStatement(uint256 model,uint64 round,bytes32 head)");

    /// @inheritdoc IRounds
    uint64 public pausedUntil;
    uint64 private _lastPause;

    constructor(IStaking staking, IModelRegistry models, IDataRegistry data, IRewards rewards, address authority)
        RoundsBase(staking, models, data, rewards)
        AccessManaged(authority)
        EIP712("StrataRounds", "1")
    {}

    /// @inheritdoc IRounds
    function tick(uint256 modelId, uint64 round) external nonReentrant {
        uint64 last = _book.current[modelId];
        if (round == last + 1 && Judging.mayOpen(_round(modelId, last), _peers().historyBlocks)) {
            _open(modelId, round);
            return;
        }
        if (round == 0 || round > last) revert WrongRound(last);
        Round storage r = _round(modelId, round);
        if (r.stage == Settling.SETTLED) return;
        (uint8 phase, uint8 reason, uint256 units) = Judging.advance(_book, _peers(), modelId, round);
        if (phase < RoundClock.FINAL || r.held) return;
        if (RoundState.isScored(phase, reason) && !r.consensusKnown) return;
        Settling.step(_book, _peers(), modelId, round, units);
    }

    /// @inheritdoc IRounds
    function commitDelta(uint256 modelId, uint64 round, bytes32 commitment) external {
        Round storage r = _live(modelId, round);
        (uint8 phase,,) = Judging.advance(_book, _peers(), modelId, round);
        if (phase != RoundClock.TRAIN && phase != RoundClock.COMMIT) revert WrongPhase(phase, RoundClock.COMMIT);
        if (_staking.stakeAt(msg.sender, modelId, MINER, r.openBlock - 1) == 0) revert NotEnrolled(msg.sender);
        if (commitment == bytes32(0)) revert ZeroDigest();
        if (r.commitments[msg.sender] != bytes32(0)) revert AlreadyCommitted();

        r.commitments[msg.sender] = commitment;
        r.committers.push(msg.sender);
        if (++r.commits == r.minerCount && !r.held) r.closeTraining(phase);
        emit DeltaCommitted(modelId, round, msg.sender, commitment);
    }

    /// @inheritdoc IRounds
    function revealDelta(uint256 modelId, uint64 round, Reveal calldata r) external {
        Round storage state = _inPhase(modelId, round, RoundClock.REVEAL);
        bytes32 commitment = state.commitments[msg.sender];
        if (commitment == bytes32(0)) revert NotCommitted();
        if (state.revealed[msg.sender]) revert AlreadyRevealed();
        if (commitment != Commitments.delta(modelId, round, r.digest, r.salt)) revert CommitmentMismatch();
        if (r.digest == bytes32(0)) revert ZeroDigest();
        if (state.seen[r.digest]) revert DuplicateDigest(r.digest);
        if (r.kind > LAST_KIND) revert BadKind(r.kind);
        if (r.baseHead != state.baseHead) revert WrongBase(r.baseHead, state.baseHead);

        state.revealed[msg.sender] = true;
        state.seen[r.digest] = true;
        state.saltMix = keccak256(abi.encode(state.saltMix, r.salt));
        _storeDelta(state, r);
        _storeDatasets(modelId, state, r.datasetIds);
        if (++state.reveals == state.commits) state.close(RoundClock.REVEAL);
        _emitRevealed(modelId, round, state.reveals - 1, r);
    }

    /// @inheritdoc IRounds
    function commitScores(uint256 modelId, uint64 round, bytes32 commitment) external {
        Round storage r = _inPhase(modelId, round, RoundClock.SCORE);
        Ballot storage ballot = _ballot(r);
        if (commitment == bytes32(0)) revert ZeroDigest();
        if (ballot.scoreCommitment != bytes32(0)) revert AlreadyCommitted();

        ballot.scoreCommitment = commitment;
        if (++r.scoreCommits == r.validatorCount) r.close(RoundClock.SCORE);
        emit ScoresCommitted(modelId, round, msg.sender, commitment);
    }

    /// @inheritdoc IRounds
    function revealScores(
        uint256 modelId,
        uint64 round,
        uint64[] calldata scores,
        uint8[] calldata reasons,
        bytes32 report,
        bytes32 salt
    ) external {
        Round storage r = _inPhase(modelId, round, RoundClock.SCORE_REVEAL);
        Ballot storage ballot = r.ballots[msg.sender];
        if (ballot.scoreCommitment == bytes32(0)) revert NotCommitted();
        if (ballot.revealed) revert AlreadyRevealed();
        if (ballot.scoreCommitment != Commitments.scores(modelId, round, scores, reasons, report, salt)) {
            revert CommitmentMismatch();
        }
        Scoring.store(r, ballot, scores, reasons);
        ballot.report = report;
        r.scoresRevealedStake += _stakeOf(r, ballot);
        if (++r.scoreReveals == r.scoreCommits) r.close(RoundClock.SCORE_REVEAL);
        emit ScoresRevealed(modelId, round, msg.sender, scores, reasons, report);
    }

    /// @inheritdoc IRounds
    function commitHead(uint256 modelId, uint64 round, bytes32 commitment) external {
        Round storage r = _inPhase(modelId, round, RoundClock.ATTEST);
        Ballot storage ballot = _ballot(r);
        if (commitment == bytes32(0)) revert ZeroDigest();
        if (ballot.headCommitment != bytes32(0)) revert AlreadyCommitted();

        ballot.headCommitment = commitment;
        if (++r.headCommits == r.validatorCount) r.close(RoundClock.ATTEST);
        emit HeadCommitted(modelId, round, msg.sender, commitment);
    }

    /// @inheritdoc IRounds
    function revealHead(uint256 modelId, uint64 round, bytes32 head, bytes32 salt) external {
        Round storage r = _inPhase(modelId, round, RoundClock.ATTEST_REVEAL);
        Ballot storage ballot = r.ballots[msg.sender];
        if (ballot.headCommitment == bytes32(0)) revert NotCommitted();
        if (ballot.head != bytes32(0)) revert AlreadyRevealed();
        if (ballot.headCommitment != Commitments.head(modelId, round, head, salt)) revert CommitmentMismatch();
        if (head == bytes32(0)) revert ZeroDigest();

        ballot.head = head;
        uint96 stake = _stakeOf(r, ballot);
        r.headsRevealedStake += stake;
        r.headStake[head] += stake;
        if (r.headStake[head] > r.headStake[r.leadingHead]) r.leadingHead = head;
        if (++r.headReveals == r.headCommits) r.close(RoundClock.ATTEST_REVEAL);
        emit HeadRevealed(modelId, round, msg.sender, head);
    }

    // --- objections and statements ---

    /// @inheritdoc IRounds
    function challenge(uint256 modelId, uint64 round) external nonReentrant {
        Disputes.challenge(_book, _peers(), modelId, round);
    }

    /// @inheritdoc IRounds
    function proveConflict(
        uint256 modelId,
        uint64 round,
        address validator,
        bytes32 headA,
        bytes calldata sigA,
        bytes32 headB,
        bytes calldata sigB
    ) external nonReentrant {
        Disputes.Proof memory proof;
        (proof.validator, proof.headA, proof.headB) = (validator, headA, headB);
        (proof.hashA, proof.hashB) =
            (headStatementHash(modelId, round, headA), headStatementHash(modelId, round, headB));
        (proof.sigA, proof.sigB) = (sigA, sigB);
        Disputes.proveConflict(_book, _peers(), modelId, round, proof);
    }

    /// @inheritdoc IRounds
    function headStatementHash(uint256 modelId, uint64 round, bytes32 head) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(HEAD_STATEMENT, modelId, round, head)));
    }

    // --- the guardian ---

    /// @inheritdoc IRounds
    function pause(uint64 blocks) external restricted {
        if (blocks == 0 || blocks > MAX_PAUSE) revert BadPause(blocks, MAX_PAUSE);
        if (block.number < pausedUntil + _lastPause) revert PauseTooSoon(pausedUntil + _lastPause);
        (pausedUntil, _lastPause) = (uint64(block.number) + blocks, blocks);
        emit OpeningsPaused(msg.sender, pausedUntil);
    }

    /// @inheritdoc IRounds
    function unpause() external restricted {
        if (pausedUntil > block.number) pausedUntil = uint64(block.number);
        emit OpeningsResumed(msg.sender);
    }

    // --- opening ---

    function _open(uint256 modelId, uint64 round) private {
        if (block.number < pausedUntil) revert Paused(pausedUntil);
        Round storage r = _round(modelId, round);
        uint256 before = block.number - 1;
        uint256 minerCount = _staking.countAt(modelId, MINER, before);
        uint256 validatorCount = _staking.countAt(modelId, VALIDATOR, before);
        uint256 stake = _staking.totalAt(modelId, VALIDATOR, before);
        if (minerCount == 0 || stake == 0) revert NotEnoughMembers(minerCount, validatorCount);
        (r.minerCount, r.validatorCount) = (uint32(minerCount), uint8(validatorCount));
        r.frozenStake = uint96(stake); // the token's cap is far below 2^96
        r.openBlock = uint64(block.number);
        r.baseHead = _models.headOf(modelId);
        r.held = round > 1 && _round(modelId, round - 1).stage != Settling.SETTLED;
        if (!r.held) r.parentHead = r.baseHead;
        _setPolicy(r, _models.policyOf(modelId));
        _book.current[modelId] = round;
        emit RoundOpened(modelId, round, r.openBlock, r.baseHead, stake, uint32(minerCount));
    }

    function _setPolicy(Round storage r, IModelRegistry.Policy memory p) private {
        r.windows = [
            p.trainBlocks,
            p.commitBlocks,
            p.revealBlocks,
            p.scoreBlocks,
            p.scoreRevealBlocks,
            p.attestBlocks,
            p.attestRevealBlocks
        ];
        (r.committee, r.kappaBps, r.quorumBps) = (p.committee, p.kappaBps, p.quorumBps);
    }

    // --- state ---

    /// @dev The model's newest round, whatever its phase, or the one before it while that is not settled.
    function _live(uint256 modelId, uint64 round) private view returns (Round storage r) {
        uint64 last = _book.current[modelId];
        r = _round(modelId, round);
        if (round == 0 || round > last || (round < last && r.stage == Settling.SETTLED)) revert WrongRound(last);
    }

    /// @dev A live round, with all recorded that is due, if it is in the wanted phase.
    function _inPhase(uint256 modelId, uint64 round, uint8 wanted) private returns (Round storage r) {
        r = _live(modelId, round);
        (uint8 phase,,) = Judging.advance(_book, _peers(), modelId, round);
        if (phase != wanted) revert WrongPhase(phase, wanted);
    }

    /// @dev The caller's ballot, if it has a seat.
    function _ballot(Round storage r) private view returns (Ballot storage ballot) {
        ballot = r.ballots[msg.sender];
        if (ballot.slot == 0) revert NotEnrolled(msg.sender);
    }

    function _stakeOf(Round storage r, Ballot storage ballot) private view returns (uint96) {
        return r.seats[ballot.slot - 1].stake;
    }

    // --- deltas ---

    function _storeDelta(Round storage r, Reveal calldata reveal) private {
        Delta storage d = r.deltas.push();
        (d.miner, d.trainedTokens, d.kind) = (msg.sender, reveal.trainedTokens, reveal.kind);
        d.digest = reveal.digest;
    }

    /// @dev Datasets keep the value that they have now, so that a vote on it can't move what a round pays while it settles.
    function _storeDatasets(uint256 modelId, Round storage r, uint256[] calldata ids) private {
        if (ids.length > MAX_DATASETS) revert BadLength(ids.length, MAX_DATASETS);
        uint48[] storage datasets = r.deltas[r.deltas.length - 1].datasets;
        uint256 last;
        for (uint256 i; i < ids.length; ++i) {
            uint256 id = ids[i];
            if (id <= last || _data.modelOf(id) != modelId || !_data.isUsableAt(id, r.openBlock)) {
                revert BadDatasetId(id);
            }
            datasets.push(uint48((uint256(_data.valueOf(id)) << 32) | id)); // ids are counted from 1
            last = id;
        }
    }

    function _emitRevealed(uint256 modelId, uint64 round, uint32 index, Reveal calldata r) private {
        emit DeltaRevealed(
            modelId, round, msg.sender, index, r.digest, r.kind, r.baseHead, r.datasetIds, r.trainedTokens, r.salt
        );
    }
}
