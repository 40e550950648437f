// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../interfaces/IRounds.sol";
import {Commitments} from "../libraries/Commitments.sol";
import {Consensus} from "../libraries/Consensus.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {Ballot, Round, Seat} from "../libraries/RoundTypes.sol";

/// @title What is recorded of rounds, and what follows from it at a block
abstract contract RoundsBase is IRounds {
    /// @inheritdoc IRounds
    mapping(uint256 modelId => uint64) public current;
    /// @inheritdoc IRounds
    mapping(uint256 modelId => mapping(address validator => uint32)) public missedOf;
    mapping(uint256 modelId => mapping(uint64 round => Round)) internal _store;

    // --- phases ---

    function _live(uint256 modelId, uint64 round) internal view returns (Round storage) {
        if (round == 0 || current[modelId] != round) revert WrongRound(current[modelId]);
        return _store[modelId][round];
    }

    /// @dev The present round, with all recorded that is due, if it is in the wanted phase.
    function _inPhase(uint256 modelId, uint64 round, uint8 wanted) internal returns (Round storage r) {
        r = _live(modelId, round);
        (uint8 phase,) = _advance(modelId, round);
        if (phase != wanted) revert WrongPhase(phase, wanted);
    }

    /// @dev Records what is due at this block (seeds, consensus), and gives the phase.
    function _advance(uint256 modelId, uint64 round) internal returns (uint8 phase, uint8 reason) {
        Round storage r = _store[modelId][round];
        if (r.status != 0) return (r.status, r.voidReason);
        RoundClock.Facts memory f = _facts(r);
        _captureSeeds(r, f, modelId, round);
        if (!r.consensusKnown && _isScored(r, f, block.number)) {
            _takeConsensus(r, modelId, round);
            (f.consensusKnown, f.accepted) = (true, r.accepted);
        }
        (phase,, reason) = RoundClock.phaseAt(f, block.number);
    }

    function _captureSeeds(Round storage r, RoundClock.Facts memory f, uint256 modelId, uint64 round) internal {
        if (!f.seedKnown) {
            r.seed = Commitments.roundSeed(blockhash(r.openBlock), modelId, round);
            f.seedKnown = r.seed != 0;
            if (f.seedKnown) emit SeedCaptured(modelId, round, r.seed);
        }
        (uint8 phase,,) = RoundClock.phaseAt(f, block.number);
        if (!f.evaluationSeedKnown && phase >= RoundClock.SCORE && phase <= RoundClock.ATTEST_REVEAL) {
            bytes32 hash = blockhash(RoundClock.startOf(f, RoundClock.SCORE));
            r.evaluationSeed = Commitments.evaluationSeed(hash, r.saltMix, modelId, round);
            f.evaluationSeedKnown = r.evaluationSeed != 0;
            if (f.evaluationSeedKnown) emit EvaluationSeedCaptured(modelId, round, r.evaluationSeed);
        }
    }

    /// @dev Ends a phase with this block.
    function _close(Round storage r, uint8 phase) internal {
        uint256 start = r.openBlock;
        for (uint256 i = 1; i < phase; ++i) {
            start += r.windows[i - 1];
        }
        r.windows[phase - 1] = uint32(block.number + 1 - start);
    }

    function _phase(Round storage r, RoundClock.Facts memory f, uint256 blockNumber)
        internal
        view
        returns (uint8, uint64, uint8)
    {
        if (r.status != 0) return (r.status, 0, r.voidReason);
        return RoundClock.phaseAt(f, blockNumber);
    }

    /// @dev What is recorded.
    function _facts(Round storage r) internal view returns (RoundClock.Facts memory) {
        return RoundClock.Facts({
            openBlock: r.openBlock,
            windows: r.windows,
            commits: r.commits,
            reveals: r.reveals,
            seedKnown: r.seed != 0,
            evaluationSeedKnown: r.evaluationSeed != 0,
            consensusKnown: r.consensusKnown,
            accepted: r.accepted,
            frozenStake: r.frozenStake,
            scoresStake: r.scoresRevealedStake,
            headStake: r.headStake[r.leadingHead]
        });
    }

    /// @dev What is recorded, and the consensus that a transaction at that block would record first.
    function _factsAt(Round storage r, uint256 blockNumber) internal view returns (RoundClock.Facts memory f) {
        f = _facts(r);
        if (!f.consensusKnown && _isScored(r, f, blockNumber)) {
            (uint64[] memory consensus,) = _consensus(r);
            (f.consensusKnown, f.accepted) = (true, Consensus.sum(consensus) > 0);
        }
    }

    function _seat(Seat[] storage seats, address account) internal view returns (uint96) {
        uint256 low;
        uint256 high = seats.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            Seat storage seat = seats[middle];
            if (seat.account == account) return seat.stake;
            if (seat.account < account) low = middle + 1;
            else high = middle;
        }
        revert NotEnrolled(account);
    }

    // --- consensus ---

    /// @dev Whether scores are closed with quorum, so that their consensus can be taken.
    function _isScored(Round storage r, RoundClock.Facts memory f, uint256 blockNumber) internal view returns (bool) {
        if (r.status != 0) return false;
        (uint8 phase,, uint8 reason) = RoundClock.phaseAt(f, blockNumber);
        return phase >= RoundClock.ATTEST && (phase != RoundClock.VOID || reason == RoundClock.NO_HEAD_QUORUM);
    }

    function _consensus(Round storage r) internal view returns (uint64[] memory consensus, uint32[][] memory scores) {
        uint256 seats = r.validators.length;
        scores = new uint32[][](r.scoreReveals);
        uint256[] memory stakes = new uint256[](r.scoreReveals);
        uint256 found;
        for (uint256 i; i < seats; ++i) {
            Seat memory seat = r.validators[i];
            Ballot storage ballot = r.ballots[seat.account];
            if (!ballot.revealed) continue;
            stakes[found] = seat.stake;
            scores[found++] = ballot.scores;
        }
        consensus = Consensus.reach(scores, stakes, r.deltas.length);
    }

    function _takeConsensus(Round storage r, uint256 modelId, uint64 round) internal {
        (uint64[] memory consensus, uint32[][] memory scores) = _consensus(r);
        uint32[] memory weights = Consensus.weightsQ16(consensus);
        for (uint256 i; i < consensus.length; ++i) {
            (r.deltas[i].consensus, r.deltas[i].weightQ16) = (consensus[i], weights[i]);
        }
        uint256 found;
        for (uint256 i; i < r.validators.length; ++i) {
            Ballot storage ballot = r.ballots[r.validators[i].account];
            if (ballot.revealed) ballot.agreement = Consensus.agreement(scores[found++], consensus);
        }
        (r.consensusKnown, r.accepted) = (true, Consensus.sum(consensus) > 0);
        emit ConsensusReached(modelId, round, consensus, weights);
    }
}
