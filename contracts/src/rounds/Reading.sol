// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../interfaces/IRounds.sol";
import {BlockHashes} from "../libraries/BlockHashes.sol";
import {Commitments} from "../libraries/Commitments.sol";
import {Committee} from "../libraries/Committee.sol";
import {Consensus} from "../libraries/Consensus.sol";
import {Lanes} from "../libraries/Lanes.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {Ballot, Delta, Peers, Round} from "../libraries/RoundTypes.sol";
import {Settling} from "../libraries/Settling.sol";
import {RoundState} from "./RoundState.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title What the views of rounds tell: the record, and what a transaction would record first
/// @notice Linked into `Rounds`, and reads its record.
library Reading {
    // --- the round ---

    /// @notice As `IRounds.roundView`.
    function roundView(Round storage r, Peers memory peers, uint256 modelId, uint64 round)
        external
        view
        returns (IRounds.RoundView memory v)
    {
        if (r.openBlock == 0) return v;
        RoundClock.Facts memory f = _factsAt(r, peers, block.number);
        v.round = round;
        (v.phase, v.phaseEnd, v.voidReason) = _phase(r, f, block.number);
        v.openBlock = r.openBlock;
        v.scoreStart = uint64(RoundClock.startOf(f, RoundClock.SCORE));
        v.seed = r.seed != 0 ? r.seed : Commitments.roundSeed(BlockHashes.at(r.openBlock), modelId, round);
        v.evaluationSeed = r.evaluationSeed;
        if (v.evaluationSeed == 0 && v.phase >= RoundClock.SCORE && v.phase <= RoundClock.ATTEST_REVEAL) {
            v.evaluationSeed = _evaluationSeed(r, v.scoreStart, modelId, round);
        }
        (v.consensusKnown, v.accepted) = (f.consensusKnown, f.accepted);
        (v.held, v.parentHead) = (r.held, r.parentHead);
        if (v.phase == RoundClock.VOID) v.head = r.parentHead;
        if (v.phase == RoundClock.FINAL) v.head = f.accepted ? r.leadingHead : r.parentHead;
        _copy(r, v);
    }

    /// @notice As `IRounds.phaseAt`.
    function phaseAt(Round storage r, Peers memory peers, uint256 blockNumber)
        external
        view
        returns (uint8, uint64, uint8)
    {
        if (r.openBlock == 0) return (0, 0, 0);
        return _phase(r, _factsAt(r, peers, blockNumber), blockNumber);
    }

    /// @notice As `IRounds.submissions`.
    function submissions(Round storage r, Peers memory peers)
        external
        view
        returns (IRounds.Submission[] memory list)
    {
        list = new IRounds.Submission[](r.reveals);
        // nothing can be added to scores that close with the present block
        (uint256[] memory lanes, uint256 total) = _verdicts(r, peers, block.number + 1);
        for (uint256 i; i < list.length; ++i) {
            uint256 value = Lanes.consensus(Lanes.at(lanes[i / Lanes.GROUP], i % Lanes.GROUP));
            list[i] = _submission(r, r.deltas[i], value, total);
        }
    }

    // --- validators ---

    /// @notice As `IRounds.validators`.
    function validators(Round storage r, Peers memory peers, uint256 modelId)
        external
        view
        returns (address[] memory, uint256[] memory)
    {
        Committee.Panel memory panel = _panel(r, peers, modelId);
        return _withoutHoles(panel.accounts, panel.stakes);
    }

    /// @notice As `IRounds.committeeOf`.
    function committeeOf(Round storage r, Peers memory peers, uint256 modelId, uint64 round, uint256 group)
        external
        view
        returns (address[] memory, uint256[] memory)
    {
        Committee.Panel memory panel = _seeded(r, peers, modelId, round);
        return _withoutHoles(panel.accounts, Committee.weights(panel, group));
    }

    /// @notice As `IRounds.dealt`.
    function dealt(Round storage r, Peers memory peers, uint256 modelId, uint64 round, address validator)
        external
        view
        returns (uint32[] memory)
    {
        return _dealt(r, _seeded(r, peers, modelId, round), validator);
    }

    /// @notice As `IRounds.scoresOf`.
    function scoresOf(Round storage r, address validator)
        external
        view
        returns (uint64[] memory scores, uint8[] memory reasons, bytes32 report)
    {
        Ballot storage ballot = r.ballots[validator];
        if (!ballot.revealed) return (scores, reasons, report);
        uint32[] memory mine = _dealt(r, Verdicts.panel(r), validator);
        (scores, reasons) = (new uint64[](mine.length), new uint8[](mine.length));
        for (uint256 i; i < mine.length; ++i) {
            uint256 lane = Lanes.at(ballot.words[mine[i] / Lanes.GROUP], mine[i] % Lanes.GROUP);
            (scores[i], reasons[i]) = (uint64(Lanes.score(lane)), Lanes.reason(lane));
        }
        report = ballot.report;
    }

    // --- helpers ---

    /// @dev The rest of a view, as recorded.
    function _copy(Round storage r, IRounds.RoundView memory v) private view {
        (v.baseHead, v.frozenStake, v.minerCount) = (r.baseHead, r.frozenStake, r.minerCount);
        (v.commits, v.reveals) = (r.commits, r.reveals);
        (v.scoresRevealedStake, v.headsRevealedStake) = (r.scoresRevealedStake, r.headsRevealedStake);
        v.settled = r.stage == Settling.SETTLED;
        (v.validatorCount, v.committee) = (r.validatorCount, r.committee);
        (v.kappaBps, v.quorumBps) = (r.kappaBps, r.quorumBps);
        v.groupsJudged = r.groupsJudged;
    }

    function _phase(Round storage r, RoundClock.Facts memory f, uint256 blockNumber)
        private
        view
        returns (uint8, uint64, uint8)
    {
        if (r.status != 0) return (r.status, 0, r.voidReason);
        return RoundClock.phaseAt(f, blockNumber);
    }

    /// @dev What is recorded, and the consensus that follows from it.
    function _factsAt(Round storage r, Peers memory peers, uint256 blockNumber)
        private
        view
        returns (RoundClock.Facts memory f)
    {
        f = RoundState.facts(r, peers.historyBlocks);
        if (f.consensusKnown || r.status != 0) return f;
        (uint8 phase,, uint8 reason) = RoundClock.phaseAt(f, blockNumber);
        if (!RoundState.isScored(phase, reason)) return f;
        (, uint256 total) = _verdicts(r, peers, blockNumber);
        (f.consensusKnown, f.accepted) = (true, total > 0);
    }

    /// @dev The words of the consensus and its sum: recorded, or what follows where scores are closed at that block.
    function _verdicts(Round storage r, Peers memory peers, uint256 blockNumber)
        private
        view
        returns (uint256[] memory lanes, uint256 total)
    {
        lanes = new uint256[](RoundState.groups(r));
        uint256 judged = r.groupsJudged;
        for (uint256 g; g < judged; ++g) {
            lanes[g] = r.verdicts[g];
            total += Verdicts.sum(lanes[g]);
        }
        if (judged == lanes.length || r.status != 0) return (lanes, total);
        (uint8 phase,, uint8 reason) = RoundClock.phaseAt(RoundState.facts(r, peers.historyBlocks), blockNumber);
        if (!RoundState.isScored(phase, reason)) return (lanes, total);
        Committee.Panel memory panel = Verdicts.panel(r);
        uint256 limit = judged == 0 ? Verdicts.ceiling(r, panel) : r.ceiling;
        for (uint256 g = judged; g < lanes.length; ++g) {
            lanes[g] = Verdicts.reached(r, panel, g, limit).lanes;
            total += Verdicts.sum(lanes[g]);
        }
    }

    function _submission(Round storage r, Delta storage d, uint256 value, uint256 total)
        private
        view
        returns (IRounds.Submission memory)
    {
        uint256[] memory ids = new uint256[](d.datasets.length);
        for (uint256 i; i < ids.length; ++i) {
            ids[i] = uint32(d.datasets[i]);
        }
        return IRounds.Submission({
            miner: d.miner,
            digest: d.digest,
            kind: d.kind,
            baseHead: r.baseHead,
            datasetIds: ids,
            trainedTokens: d.trainedTokens,
            consensus: uint64(value),
            weightQ16: Consensus.weightQ16(value, total)
        });
    }

    /// @dev The submissions of the groups that a validator judges.
    function _dealt(Round storage r, Committee.Panel memory panel, address validator)
        private
        view
        returns (uint32[] memory list)
    {
        uint256 slot;
        while (slot < panel.accounts.length && panel.accounts[slot] != validator) ++slot;
        if (slot == panel.accounts.length || validator == address(0)) return list;
        uint256 count = r.reveals;
        uint256 bits = Committee.dealt(panel, slot, Lanes.groups(count));
        list = new uint32[](Lanes.dealt(bits, count));
        uint256 found;
        for (uint256 i; found < list.length; ++i) {
            if (bits & (1 << (i / Lanes.GROUP)) != 0) list[found++] = uint32(i);
        }
    }

    /// @dev The panel, with the seed of the evaluation as soon as it can be read.
    function _seeded(Round storage r, Peers memory peers, uint256 modelId, uint64 round)
        private
        view
        returns (Committee.Panel memory panel)
    {
        panel = _panel(r, peers, modelId);
        if (panel.seed != 0 || r.openBlock == 0) return panel;
        RoundClock.Facts memory f = RoundState.facts(r, peers.historyBlocks);
        (uint8 phase,,) = RoundClock.phaseAt(f, block.number);
        if (phase < RoundClock.SCORE || phase > RoundClock.ATTEST_REVEAL) return panel;
        panel.seed = _evaluationSeed(r, uint64(RoundClock.startOf(f, RoundClock.SCORE)), modelId, round);
    }

    /// @dev The validators of the round, also before they are seated.
    function _panel(Round storage r, Peers memory peers, uint256 modelId)
        private
        view
        returns (Committee.Panel memory p)
    {
        if (r.seated || r.openBlock == 0) return Verdicts.panel(r);
        uint96[] memory stakes;
        (p.accounts, stakes) = peers.staking.seatsAt(modelId, r.openBlock - 1);
        p.stakes = new uint256[](stakes.length);
        for (uint256 i; i < stakes.length; ++i) {
            p.stakes[i] = stakes[i];
        }
        p.draws = r.committee;
        return Committee.summed(p);
    }

    /// @dev The accounts with a value above zero, and those values.
    function _withoutHoles(address[] memory accounts, uint256[] memory values)
        private
        pure
        returns (address[] memory who, uint256[] memory list)
    {
        uint256 count;
        for (uint256 i; i < values.length; ++i) {
            if (values[i] > 0) ++count;
        }
        (who, list) = (new address[](count), new uint256[](count));
        count = 0;
        for (uint256 i; i < values.length; ++i) {
            if (values[i] == 0) continue;
            (who[count], list[count]) = (accounts[i], values[i]);
            ++count;
        }
    }

    function _evaluationSeed(Round storage r, uint64 scoreStart, uint256 modelId, uint64 round)
        private
        view
        returns (bytes32)
    {
        return Commitments.evaluationSeed(BlockHashes.at(scoreStart), r.saltMix, modelId, round);
    }
}
