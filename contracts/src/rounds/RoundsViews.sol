// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../interfaces/IRounds.sol";
import {Commitments} from "../libraries/Commitments.sol";
import {Consensus} from "../libraries/Consensus.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {Ballot, Delta, Round, Seat} from "../libraries/RoundTypes.sol";
import {Settling} from "../libraries/Settling.sol";
import {RoundsBase} from "./RoundsBase.sol";

/// @title The views of rounds
abstract contract RoundsViews is RoundsBase {
    /// @inheritdoc IRounds
    function roundView(uint256 modelId, uint64 round) external view returns (RoundView memory v) {
        Round storage r = _store[modelId][round];
        if (r.openBlock == 0) return v;
        RoundClock.Facts memory f = _factsAt(r, block.number);
        v.round = round;
        (v.phase, v.phaseEnd, v.voidReason) = _phase(r, f, block.number);
        v.openBlock = r.openBlock;
        v.scoreStart = uint64(RoundClock.startOf(f, RoundClock.SCORE));
        v.seed = r.seed != 0 ? r.seed : Commitments.roundSeed(blockhash(r.openBlock), modelId, round);
        v.evaluationSeed = r.evaluationSeed;
        if (v.evaluationSeed == 0 && v.phase >= RoundClock.SCORE && v.phase <= RoundClock.ATTEST_REVEAL) {
            v.evaluationSeed = Commitments.evaluationSeed(blockhash(v.scoreStart), r.saltMix, modelId, round);
        }
        v.baseHead = r.baseHead;
        v.frozenStake = r.frozenStake;
        v.minerCount = uint32(r.miners.length);
        v.commits = r.commits;
        v.reveals = r.reveals;
        v.scoresRevealedStake = r.scoresRevealedStake;
        v.headsRevealedStake = r.headsRevealedStake;
        v.settled = r.status != 0;
        if (v.phase == RoundClock.VOID) v.head = r.baseHead;
        if (v.phase == RoundClock.FINAL) v.head = f.accepted ? r.leadingHead : r.baseHead;
    }

    /// @inheritdoc IRounds
    function phaseAt(uint256 modelId, uint64 round, uint256 blockNumber)
        external
        view
        returns (uint8 phase, uint64 phaseEnd, uint8 voidReason)
    {
        Round storage r = _store[modelId][round];
        if (r.openBlock == 0) return (0, 0, 0);
        return _phase(r, _factsAt(r, blockNumber), blockNumber);
    }

    /// @inheritdoc IRounds
    function submissions(uint256 modelId, uint64 round) external view returns (Submission[] memory list) {
        Round storage r = _store[modelId][round];
        list = new Submission[](r.deltas.length);
        uint64[] memory consensus = new uint64[](list.length);
        bool fresh = !r.consensusKnown && _isScored(r, _facts(r), block.number + 1); // nothing can be added before that
        if (fresh) (consensus,) = _consensus(r);
        uint32[] memory weights = Consensus.weightsQ16(consensus);
        for (uint256 i; i < list.length; ++i) {
            Delta storage d = r.deltas[i];
            list[i] = Submission({
                miner: d.miner,
                digest: d.digest,
                kind: d.kind,
                baseHead: r.baseHead,
                datasetIds: Settling.widen(d.datasetIds),
                trainedTokens: d.trainedTokens,
                consensus: fresh ? consensus[i] : d.consensus,
                weightQ16: fresh ? weights[i] : d.weightQ16
            });
        }
    }

    /// @inheritdoc IRounds
    function miners(uint256 modelId, uint64 round) external view returns (address[] memory accounts) {
        (accounts,) = _unpack(_store[modelId][round].miners);
    }

    /// @inheritdoc IRounds
    function validators(uint256 modelId, uint64 round)
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes)
    {
        return _unpack(_store[modelId][round].validators);
    }

    /// @inheritdoc IRounds
    function scoresOf(uint256 modelId, uint64 round, address validator)
        external
        view
        returns (uint64[] memory scores, uint8[] memory reasons, bytes32 report)
    {
        Ballot storage ballot = _store[modelId][round].ballots[validator];
        scores = new uint64[](ballot.scores.length);
        for (uint256 i; i < scores.length; ++i) {
            scores[i] = ballot.scores[i];
        }
        return (scores, ballot.reasons, ballot.report);
    }

    /// @inheritdoc IRounds
    function committed(uint256 modelId, uint64 round, address account)
        external
        view
        returns (bytes32 delta, bytes32 score, bytes32 head)
    {
        Round storage r = _store[modelId][round];
        return (r.commitments[account], r.ballots[account].scoreCommitment, r.ballots[account].headCommitment);
    }

    /// @inheritdoc IRounds
    function headOf(uint256 modelId, uint64 round, address validator) external view returns (bytes32) {
        return _store[modelId][round].ballots[validator].head;
    }

    /// @inheritdoc IRounds
    function windows(uint256 modelId, uint64 round) external view returns (uint32[7] memory) {
        return _store[modelId][round].windows;
    }

    function _unpack(Seat[] storage seats)
        private
        view
        returns (address[] memory accounts, uint256[] memory stakes)
    {
        accounts = new address[](seats.length);
        stakes = new uint256[](seats.length);
        for (uint256 i; i < seats.length; ++i) {
            (accounts[i], stakes[i]) = (seats[i].account, seats[i].stake);
        }
    }
}
