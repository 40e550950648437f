// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IDataRegistry} from "./interfaces/IDataRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewards} from "./interfaces/IRewards.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {RoundClock} from "./libraries/RoundClock.sol";
import {Ballot, Delta, Round, Seat} from "./libraries/RoundTypes.sol";
import {Settling} from "./libraries/Settling.sol";
import {RoundsViews} from "./rounds/RoundsViews.sol";

/// @title The rounds of every model
/// @dev Described in `IRounds`.
contract Rounds is RoundsViews, ReentrancyGuard {
    uint8 private constant MINER = 1;
    uint8 private constant VALIDATOR = 2;
    uint8 private constant LAST_KIND = 2;
    uint8 private constant LAST_REASON = 6;
    uint256 private constant MAX_DATASETS = 16;
    uint64 private constant MAX_SCORE = 1e9;
    uint32 private constant MAX_MISSED = 3;
    uint16 private constant UNREVEALED_BPS = 10;

    IStaking private immutable _staking;
    IModelRegistry private immutable _models;
    IDataRegistry private immutable _data;
    IRewards private immutable _rewards;

    constructor(IStaking staking, IModelRegistry models, IDataRegistry data, IRewards rewards) {
        _staking = staking;
        _models = models;
        _data = data;
        _rewards = rewards;
    }

    /// @inheritdoc IRounds
    function tick(uint256 modelId, uint64 round) external nonReentrant {
        uint64 last = current[modelId];
        bool over = last == 0 || _store[modelId][last].status != 0;
        if (over && round == last + 1) {
            _open(modelId, round);
            return;
        }
        if (round == 0 || round > last) revert WrongRound(last);
        if (over || round < last) return;
        (uint8 phase, uint8 reason) = _advance(modelId, round);
        if (phase >= RoundClock.FINAL) _settle(modelId, round, phase, reason);
    }

    /// @inheritdoc IRounds
    function commitDelta(uint256 modelId, uint64 round, bytes32 commitment) external {
        Round storage r = _live(modelId, round);
        (uint8 phase,) = _advance(modelId, round);
        if (phase != RoundClock.TRAIN && phase != RoundClock.COMMIT) revert WrongPhase(phase, RoundClock.COMMIT);
        _seat(r.miners, msg.sender);
        if (commitment == bytes32(0)) revert ZeroDigest();
        if (r.commitments[msg.sender] != bytes32(0)) revert AlreadyCommitted();

        r.commitments[msg.sender] = commitment;
        if (++r.commits == r.miners.length) {
            _close(r, phase);
            if (phase == RoundClock.TRAIN) r.windows[RoundClock.COMMIT - 1] = 0;
        }
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
        _checkDatasets(modelId, state.openBlock, r.datasetIds);
        if (++state.reveals == state.commits) _close(state, RoundClock.REVEAL);
        _emitRevealed(modelId, round, state.reveals - 1, r);
    }

    /// @inheritdoc IRounds
    function commitScores(uint256 modelId, uint64 round, bytes32 commitment) external {
        Round storage r = _inPhase(modelId, round, RoundClock.SCORE);
        _seat(r.validators, msg.sender);
        Ballot storage ballot = r.ballots[msg.sender];
        if (commitment == bytes32(0)) revert ZeroDigest();
        if (ballot.scoreCommitment != bytes32(0)) revert AlreadyCommitted();

        ballot.scoreCommitment = commitment;
        if (++r.scoreCommits == r.validators.length) _close(r, RoundClock.SCORE);
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
        _storeScores(r, ballot, scores, reasons);
        ballot.report = report;
        emit ScoresRevealed(modelId, round, msg.sender, scores, reasons, report);
    }

    /// @inheritdoc IRounds
    function commitHead(uint256 modelId, uint64 round, bytes32 commitment) external {
        Round storage r = _inPhase(modelId, round, RoundClock.ATTEST);
        _seat(r.validators, msg.sender);
        Ballot storage ballot = r.ballots[msg.sender];
        if (commitment == bytes32(0)) revert ZeroDigest();
        if (ballot.headCommitment != bytes32(0)) revert AlreadyCommitted();

        ballot.headCommitment = commitment;
        if (++r.headCommits == r.validators.length) _close(r, RoundClock.ATTEST);
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
        uint96 stake = _seat(r.validators, msg.sender);
        r.headsRevealedStake += stake;
        r.headStake[head] += stake;
        if (r.headStake[head] > r.headStake[r.leadingHead]) r.leadingHead = head;
        if (++r.headReveals == r.headCommits) _close(r, RoundClock.ATTEST_REVEAL);
        emit HeadRevealed(modelId, round, msg.sender, head);
    }

    // --- opening ---

    function _open(uint256 modelId, uint64 round) private {
        Round storage r = _store[modelId][round];
        uint256 before = block.number - 1;
        (address[] memory who, uint256[] memory stakes) = _staking.frozen(modelId, MINER, before);
        uint256 minerCount = who.length;
        _fill(r.miners, who, stakes);
        (who, stakes) = _staking.frozen(modelId, VALIDATOR, before);
        if (minerCount == 0 || who.length == 0) revert NotEnoughMembers(minerCount, who.length);
        r.frozenStake = uint96(_fill(r.validators, who, stakes));
        r.openBlock = uint64(block.number);
        r.baseHead = _models.headOf(modelId);
        _setWindows(r, _models.policyOf(modelId));
        current[modelId] = round;
        emit RoundOpened(modelId, round, r.openBlock, r.baseHead, r.frozenStake, uint32(minerCount));
    }

    function _fill(Seat[] storage seats, address[] memory who, uint256[] memory stakes)
        private
        returns (uint256 total)
    {
        for (uint256 i; i < who.length; ++i) {
            seats.push(Seat(who[i], uint96(stakes[i]))); // the token's cap is far below 2^96
            total += stakes[i];
        }
    }

    function _setWindows(Round storage r, IModelRegistry.Policy memory p) private {
        r.windows = [
            p.trainBlocks,
            p.commitBlocks,
            p.revealBlocks,
            p.scoreBlocks,
            p.scoreRevealBlocks,
            p.attestBlocks,
            p.attestRevealBlocks
        ];
    }

    // --- deltas and scores ---

    function _storeDelta(Round storage r, Reveal calldata reveal) private {
        Delta storage d = r.deltas.push();
        d.miner = msg.sender;
        d.trainedTokens = reveal.trainedTokens;
        d.digest = reveal.digest;
        d.kind = reveal.kind;
        for (uint256 i; i < reveal.datasetIds.length; ++i) {
            d.datasetIds.push(uint32(reveal.datasetIds[i]));
        }
    }

    function _checkDatasets(uint256 modelId, uint64 openBlock, uint256[] calldata ids) private view {
        if (ids.length > MAX_DATASETS) revert BadLength(ids.length, MAX_DATASETS);
        uint256 last;
        for (uint256 i; i < ids.length; ++i) {
            uint256 id = ids[i];
            if (id <= last || _data.modelOf(id) != modelId || !_data.isUsableAt(id, openBlock)) {
                revert BadDatasetId(id);
            }
            last = id;
        }
    }

    function _emitRevealed(uint256 modelId, uint64 round, uint32 index, Reveal calldata r) private {
        emit DeltaRevealed(
            modelId, round, msg.sender, index, r.digest, r.kind, r.baseHead, r.datasetIds, r.trainedTokens, r.salt
        );
    }

    function _storeScores(Round storage r, Ballot storage ballot, uint64[] calldata scores, uint8[] calldata reasons)
        private
    {
        uint256 wanted = r.deltas.length;
        if (scores.length != wanted) revert BadLength(scores.length, wanted);
        if (reasons.length != wanted) revert BadLength(reasons.length, wanted);
        for (uint256 i; i < wanted; ++i) {
            if (scores[i] > MAX_SCORE || reasons[i] > LAST_REASON || (reasons[i] != 0 && scores[i] != 0)) {
                revert BadScore(i);
            }
            ballot.scores.push(uint32(scores[i]));
        }
        ballot.reasons = reasons;
        ballot.revealed = true;
        r.scoresRevealedStake += _seat(r.validators, msg.sender);
        if (++r.scoreReveals == r.scoreCommits) _close(r, RoundClock.SCORE_REVEAL);
    }

    // --- settlement ---

    function _settle(uint256 modelId, uint64 round, uint8 phase, uint8 reason) private {
        Round storage r = _store[modelId][round];
        (r.status, r.voidReason) = (phase, reason);
        if (phase == RoundClock.VOID) {
            emit RoundVoided(modelId, round, reason);
        } else if (r.accepted) {
            emit RoundFinalized(modelId, round, r.leadingHead, r.headStake[r.leadingHead]);
            _models.setHead(modelId, round, r.leadingHead);
        } else {
            emit RoundFinalized(modelId, round, r.baseHead, 0);
        }
        if (reason != RoundClock.EMPTY && reason != RoundClock.NO_SEED) {
            _judgeValidators(r, modelId, round);
            _judgeMiners(r, modelId);
        }
        uint256 globalStake = _staking.globalValidatorStakeAt(r.openBlock - 1);
        _rewards.settle(Settling.settlement(r, _data, modelId, round, globalStake));
    }

    function _judgeValidators(Round storage r, uint256 modelId, uint64 round) private {
        for (uint256 i; i < r.validators.length; ++i) {
            address account = r.validators[i].account;
            Ballot storage ballot = r.ballots[account];
            bool attested = !r.accepted || ballot.head != bytes32(0);
            if (!ballot.revealed && ballot.scoreCommitment != bytes32(0)) _slash(modelId, VALIDATOR, account);
            if (!attested && ballot.headCommitment != bytes32(0)) _slash(modelId, VALIDATOR, account);
            if (ballot.revealed && attested) {
                if (missedOf[modelId][account] != 0) missedOf[modelId][account] = 0;
                continue;
            }
            uint32 missed = missedOf[modelId][account] + 1;
            missedOf[modelId][account] = missed < MAX_MISSED ? missed : 0;
            emit ValidatorMissed(modelId, round, account, missed);
            if (missed >= MAX_MISSED) _staking.drop(modelId, account);
        }
    }

    function _judgeMiners(Round storage r, uint256 modelId) private {
        if (r.commits == r.reveals) return;
        for (uint256 i; i < r.miners.length; ++i) {
            address account = r.miners[i].account;
            if (r.commitments[account] != bytes32(0) && !r.revealed[account]) _slash(modelId, MINER, account);
        }
    }

    function _slash(uint256 modelId, uint8 role, address account) private {
        _staking.slash(modelId, role, account, UNREVEALED_BPS);
    }
}
