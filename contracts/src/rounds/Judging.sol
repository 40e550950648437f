// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../interfaces/IRounds.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {BlockHashes} from "../libraries/BlockHashes.sol";
import {Bonds} from "../libraries/Bonds.sol";
import {Commitments} from "../libraries/Commitments.sol";
import {Committee} from "../libraries/Committee.sol";
import {Consensus} from "../libraries/Consensus.sol";
import {Lanes} from "../libraries/Lanes.sol";
import {MINER} from "../libraries/Roles.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {Ballot, Bond, Book, Delta, Occupant, Peers, Round, Seat} from "../libraries/RoundTypes.sol";
import {Settling} from "../libraries/Settling.sol";
import {RoundState} from "./RoundState.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title Records what is due in a round: seeds, seats, the consensus page by page
/// @notice Linked into `Rounds`, and works on its record. `units` of work are counted, so that a `tick` stays small.
library Judging {
    uint256 private constant PAGE_GROUPS = 4;
    uint256 private constant GROUP_UNITS = 16;
    uint256 private constant SEAT_UNITS = 16;
    uint256 private constant MAX_SLOTS = 64;

    /// @dev One page of the consensus. By slot: the round since which it has its occupant, and what the page adds to the ballots.
    struct Page {
        uint256 modelId;
        uint64 round;
        IStaking staking;
        uint256[] since;
        uint256[] parts;
        uint256[] low;
        uint256[] high;
        uint256[] bondSum;
    }

    /// @notice Records what is due at this block, at most one page of the consensus, and gives the phase.
    function advance(Book storage b, Peers memory peers, uint256 modelId, uint64 round)
        external
        returns (uint8 phase, uint8 reason, uint256 units)
    {
        Round storage r = b.rounds[modelId][round];
        if (r.status != 0) return (r.status, r.voidReason, 0);
        RoundClock.Facts memory f = RoundState.facts(r, peers.historyBlocks);
        _captureSeeds(r, f, modelId, round);
        (phase,, reason) = RoundClock.phaseAt(f, block.number);
        if (!r.seated && RoundState.needsSeats(phase, reason)) units = _seat(b, peers.staking, modelId, round);
        if (!r.consensusKnown && RoundState.isScored(phase, reason)) {
            units += _takePage(b, peers.staking, modelId, round);
            (f.consensusKnown, f.accepted) = (r.consensusKnown, r.accepted);
            (phase,, reason) = RoundClock.phaseAt(f, block.number);
        }
    }

    /// @notice Whether the round after the newest may open: the newest is settled, or it waits for none and its COMMIT is over. So at
    /// most two rounds of a model are not settled.
    function mayOpen(Round storage newest, uint256 historyBlocks) external view returns (bool) {
        if (newest.openBlock == 0 || newest.stage == Settling.SETTLED) return true;
        if (newest.held) return false;
        if (newest.status != 0) return true;
        (uint8 phase,,) = RoundClock.phaseAt(RoundState.facts(newest, historyBlocks), block.number);
        return phase >= RoundClock.REVEAL;
    }

    // --- seeds ---

    function _captureSeeds(Round storage r, RoundClock.Facts memory f, uint256 modelId, uint64 round) private {
        if (!f.seedKnown) {
            r.seed = Commitments.roundSeed(BlockHashes.at(r.openBlock), modelId, round);
            f.seedKnown = r.seed != 0;
            if (f.seedKnown) emit IRounds.SeedCaptured(modelId, round, r.seed);
        }
        (uint8 phase,,) = RoundClock.phaseAt(f, block.number);
        if (!f.evaluationSeedKnown && phase >= RoundClock.SCORE && phase <= RoundClock.ATTEST_REVEAL) {
            bytes32 hash = BlockHashes.at(RoundClock.startOf(f, RoundClock.SCORE));
            r.evaluationSeed = Commitments.evaluationSeed(hash, r.saltMix, modelId, round);
            f.evaluationSeedKnown = r.evaluationSeed != 0;
            if (f.evaluationSeedKnown) emit IRounds.EvaluationSeedCaptured(modelId, round, r.evaluationSeed);
        }
    }

    // --- seats ---

    /// @dev Copies the validators of the block before the opening, and notes in which slots somebody else sits than before.
    function _seat(Book storage b, IStaking staking, uint256 modelId, uint64 round) private returns (uint256) {
        Round storage r = b.rounds[modelId][round];
        (address[] memory who, uint96[] memory stakes) = staking.seatsAt(modelId, r.openBlock - 1);
        uint256 slots = who.length < MAX_SLOTS ? who.length : MAX_SLOTS;
        uint256 before = b.slotsUsed[modelId];
        uint8 members;
        for (uint256 i; i < slots || i < before; ++i) {
            address account = i < slots && stakes[i] > 0 ? who[i] : address(0);
            Occupant storage occupant = b.occupants[modelId][i];
            if (occupant.account != account) b.occupants[modelId][i] = Occupant(account, round, 0);
            if (account == address(0)) continue;
            r.seats[i] = Seat(account, stakes[i]);
            r.ballots[account].slot = uint8(i + 1);
            ++members;
        }
        if (before != slots) b.slotsUsed[modelId] = slots;
        (r.slots, r.validatorCount, r.seated) = (uint8(slots), members, true);
        return SEAT_UNITS;
    }

    // --- consensus ---

    function _takePage(Book storage b, IStaking staking, uint256 modelId, uint64 round) private returns (uint256) {
        Round storage r = b.rounds[modelId][round];
        Committee.Panel memory panel = Verdicts.panel(r);
        uint256 from = r.groupsJudged;
        if (from == 0) r.ceiling = uint64(Verdicts.ceiling(r, panel));
        uint256 groups = RoundState.groups(r);
        uint256 to = from + PAGE_GROUPS < groups ? from + PAGE_GROUPS : groups;
        Page memory page = _page(b, staking, modelId, round, r.slots);
        uint256 last = to * Lanes.GROUP < r.reveals ? to * Lanes.GROUP : r.reveals;
        uint64[] memory consensus = new uint64[](last - from * Lanes.GROUP);
        for (uint256 g = from; g < to; ++g) {
            _judge(b, page, Verdicts.reached(r, panel, g, r.ceiling), g, consensus, (g - from) * Lanes.GROUP);
        }
        _writeTallies(r, panel.accounts, page);
        r.groupsJudged = uint8(to);
        emit IRounds.ConsensusPage(modelId, round, uint32(from * Lanes.GROUP), consensus);
        if (to == groups) {
            (r.consensusKnown, r.accepted) = (true, r.consensusTotal > 0);
            _keepAgreements(b, r, modelId, panel.accounts);
            emit IRounds.ConsensusReached(modelId, round, r.consensusTotal, r.reveals);
        }
        return (to - from) * GROUP_UNITS;
    }

    function _page(Book storage b, IStaking staking, uint256 modelId, uint64 round, uint256 slots)
        private
        view
        returns (Page memory page)
    {
        (page.modelId, page.round, page.staking) = (modelId, round, staking);
        page.since = new uint256[](slots);
        (page.low, page.high, page.bondSum) = (new uint256[](slots), new uint256[](slots), new uint256[](slots));
        for (uint256 i; i < slots; ++i) {
            page.since[i] = b.occupants[modelId][i].sinceRound;
        }
    }

    /// @dev Records a group's verdict, and what it means for ballots, bonds and totals.
    function _judge(
        Book storage b,
        Page memory page,
        Verdicts.Verdict memory v,
        uint256 group,
        uint64[] memory consensus,
        uint256 offset
    ) private {
        Round storage r = b.rounds[page.modelId][page.round];
        r.verdicts[group] = v.lanes;
        page.parts = new uint256[](v.words.length);
        uint256 dataTotal;
        for (uint256 i; i < v.size; ++i) {
            uint256 value = Lanes.consensus(Lanes.at(v.lanes, i));
            uint256 sum = _tally(page, v, i, value);
            if (value == 0) continue;
            consensus[offset + i] = uint64(value);
            Delta storage d = r.deltas[group * Lanes.GROUP + i];
            _share(page.parts, sum);
            _moveBonds(b, page, d.miner, value);
            dataTotal += _dataWeight(d.datasets, value);
        }
        uint256 total = Verdicts.sum(v.lanes);
        (r.consensusTotal, r.dataTotal) = (r.consensusTotal + uint64(total), r.dataTotal + uint64(dataTotal));
    }

    /// @dev Adds a submission's scores to the agreement, and leaves in `parts` each member's weight times its clipped score.
    function _tally(Page memory page, Verdicts.Verdict memory v, uint256 index, uint256 value)
        private
        pure
        returns (uint256 sum)
    {
        (uint256[] memory words, uint256[] memory weights) = (v.words, v.weights);
        (uint256[] memory parts, uint256[] memory low, uint256[] memory high) = (page.parts, page.low, page.high);
        uint256 shift = index * 32;
        unchecked {
            for (uint256 i; i < words.length; ++i) {
                uint256 lane = uint32(words[i] >> shift);
                if (lane == 0) continue;
                uint256 score = lane < Lanes.FLAG ? lane - 1 : 0;
                if (score < value) {
                    low[i] += score;
                    high[i] += value;
                } else {
                    low[i] += value;
                    high[i] += score;
                    score = value;
                }
                score *= weights[i];
                parts[i] = score;
                sum += score;
            }
        }
    }

    /// @dev Turns `parts` into parts of their sum, in 1/65535. The sum is above zero where the consensus is. Whose lane is empty
    /// has an empty word, and a part of zero throughout the group.
    function _share(uint256[] memory parts, uint256 sum) private pure {
        unchecked {
            for (uint256 i; i < parts.length; ++i) {
                uint256 part = parts[i];
                if (part != 0) parts[i] = (part * Bonds.BOND_ONE) / sum;
            }
        }
    }

    /// @dev What was recorded counts unless the miner's stake ended to count since.
    function _moveBonds(Book storage b, Page memory page, address miner, uint256 value) private {
        Bond storage bond = b.bonds[page.modelId][miner];
        uint64 last = bond.lastRound;
        bool valid;
        if (last != 0) {
            uint256 member = page.staking.memberSince(page.modelId, MINER, miner);
            valid = member < b.rounds[page.modelId][last].openBlock;
        }
        Bonds.update(bond, page.parts, page.since, valid, value, page.bondSum);
        bond.lastRound = page.round;
    }

    function _dataWeight(uint48[] storage datasets, uint256 value) private view returns (uint256 total) {
        uint256 count = datasets.length;
        for (uint256 i; i < count; ++i) {
            total += (value * (datasets[i] >> 32)) / count;
        }
    }

    /// @dev Remembers each validator's agreement. Who was dealt nothing has that of the last round in which it was: if it had full
    /// agreement, many small identities, most of them idle, would be paid more than one that has to judge.
    function _keepAgreements(Book storage b, Round storage r, uint256 modelId, address[] memory accounts) private {
        for (uint256 i; i < accounts.length; ++i) {
            Ballot storage ballot = r.ballots[accounts[i]];
            if (!ballot.revealed) continue;
            Occupant storage occupant = b.occupants[modelId][i];
            if (ballot.top == 0) (ballot.low, ballot.high) = (occupant.agreement, uint40(Consensus.FULL_AGREEMENT));
            else occupant.agreement = uint32(Consensus.agreement(ballot.low, ballot.high));
        }
    }

    function _writeTallies(Round storage r, address[] memory accounts, Page memory page) private {
        for (uint256 i; i < accounts.length; ++i) {
            if (page.high[i] == 0 && page.bondSum[i] == 0) continue;
            Ballot storage ballot = r.ballots[accounts[i]];
            ballot.low += uint40(page.low[i]);
            ballot.high += uint40(page.high[i]);
            ballot.bondSum += uint64(page.bondSum[i]);
        }
    }
}
