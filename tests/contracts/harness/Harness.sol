// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Bonds} from "../../../contracts/src/libraries/Bonds.sol";
import {Committee} from "../../../contracts/src/libraries/Committee.sol";
import {Consensus} from "../../../contracts/src/libraries/Consensus.sol";
import {Lanes} from "../../../contracts/src/libraries/Lanes.sol";
import {RoundClock} from "../../../contracts/src/libraries/RoundClock.sol";
import {Ballot, Bond, Round, Seat} from "../../../contracts/src/libraries/RoundTypes.sol";
import {Settling} from "../../../contracts/src/libraries/Settling.sol";
import {Splitting} from "../../../contracts/src/libraries/Splitting.sol";
import {WeightedMedian} from "../../../contracts/src/libraries/WeightedMedian.sol";
import {RoundState} from "../../../contracts/src/rounds/RoundState.sol";
import {Verdicts} from "../../../contracts/src/rounds/Verdicts.sol";
import {Shares} from "../../../contracts/src/staking/Shares.sol";

/// @title The protocol's pure arithmetic, callable from tests
/// @notice Calls that write do so only to hand a library the storage that it works on: tests ask for their result, and send nothing.
contract Harness {
    using RoundState for Round;

    /// @notice A round's revealed scores: by validator, 8 submissions in a word. `tops` are greatest scores plus one, 0: dealt nothing.
    struct Case {
        uint256[] stakes;
        uint256[][] words;
        uint32[] tops;
        uint32 reveals;
        uint8 committee;
        uint16 kappaBps;
        bytes32 seed;
    }

    /// @notice A miner's bonds before a round, and what the round says of them.
    struct Bonding {
        uint16[] lanes;
        uint256[] parts;
        uint256[] since;
        uint64 lastRound;
        bool valid;
        uint256 consensus;
    }

    Round private _round;
    Bond private _bond;

    function phaseAt(RoundClock.Facts memory f, uint256 blockNumber)
        external
        pure
        returns (uint8 phase, uint64 phaseEnd, uint8 reason)
    {
        return RoundClock.phaseAt(f, blockNumber);
    }

    /// @notice The windows of a held round that is released in this block. `age` says how long ago it opened, instead of `f.openBlock`.
    function release(RoundClock.Facts memory f, uint64 age, uint32 miners)
        external
        returns (uint32[7] memory windows, uint64 openBlock, uint256 number)
    {
        (number, openBlock) = (block.number, uint64(block.number) - age);
        (_round.openBlock, _round.windows, _round.held) = (openBlock, f.windows, true);
        (_round.commits, _round.minerCount) = (f.commits, miners);
        _round.seed = f.seedKnown ? bytes32("seed") : bytes32(0);
        _round.release(f.historyBlocks, bytes32("head"));
        assert(!_round.held && _round.parentHead == "head");
        return (_round.windows, openBlock, number);
    }

    function committee(uint256[] memory stakes, uint256 draws, bytes32 seed, uint256 group)
        external
        pure
        returns (uint256[] memory)
    {
        return Committee.weights(_panel(stakes, draws, seed), group);
    }

    function dealt(uint256[] memory stakes, uint256 draws, bytes32 seed, uint256 slot, uint256 groups)
        external
        pure
        returns (uint256 bits)
    {
        return Committee.dealt(_panel(stakes, draws, seed), slot, groups);
    }

    function upper(uint256[] memory scores, uint256[] memory weights, uint256 kappaBps)
        external
        pure
        returns (uint256)
    {
        uint256[] memory column = new uint256[](scores.length);
        for (uint256 i; i < column.length; ++i) {
            column[i] = (scores[i] << 128) | weights[i];
        }
        return Consensus.upper(column, new uint256[](column.length), kappaBps);
    }

    /// @notice The consensus of a whole round, 8 submissions in a word, and the ceiling that it was cut to.
    function judge(Case memory c) external returns (uint256[] memory lanes, uint256 limit) {
        (_round.slots, _round.reveals) = (uint8(c.stakes.length), c.reveals);
        (_round.committee, _round.kappaBps, _round.evaluationSeed) = (c.committee, c.kappaBps, c.seed);
        for (uint256 i; i < c.stakes.length; ++i) {
            if (c.stakes[i] == 0) continue;
            address account = address(uint160(i + 1));
            _round.seats[i] = Seat(account, uint96(c.stakes[i]));
            Ballot storage ballot = _round.ballots[account];
            ballot.top = c.tops[i];
            for (uint256 g; g < c.words[i].length; ++g) {
                ballot.words[g] = c.words[i][g];
            }
        }
        Committee.Panel memory panel = Verdicts.panel(_round);
        limit = Verdicts.ceiling(_round, panel);
        lanes = new uint256[](Lanes.groups(c.reveals));
        for (uint256 g; g < lanes.length; ++g) {
            lanes[g] = Verdicts.reached(_round, panel, g, limit).lanes;
        }
    }

    function bonds(Bonding memory b) external returns (uint256[] memory lanes, uint256[] memory sums) {
        uint256 slots = b.lanes.length;
        (lanes, sums) = (new uint256[](slots), new uint256[](slots));
        _bond.lastRound = b.lastRound;
        for (uint256 i; i < slots; ++i) {
            _bond.lanes[i / 16] |= uint256(b.lanes[i]) << ((i % 16) * 16);
        }
        Bonds.update(_bond, b.parts, b.since, b.valid, b.consensus, sums);
        for (uint256 i; i < slots; ++i) {
            lanes[i] = uint16(_bond.lanes[i / 16] >> ((i % 16) * 16));
        }
    }

    function lane(uint256 score, uint256 reason)
        external
        pure
        returns (uint256 packed, uint256 score_, uint8 reason_)
    {
        packed = Lanes.pack(score, reason);
        return (packed, Lanes.score(packed), Lanes.reason(packed));
    }

    function mixing(uint256 consensus, uint256 total) external pure returns (uint32) {
        return Consensus.weightQ16(consensus, total);
    }

    function agreement(uint256 low, uint256 high) external pure returns (uint256) {
        return Consensus.agreement(low, high);
    }

    /// @notice A validator's weight in a round that ended; `low` and `high` are the sums of its agreement.
    function weight(
        bool accepted,
        uint96 stake,
        uint40 low,
        uint40 high,
        uint64 bondSum,
        bool revealed,
        bool attested
    ) external returns (uint256) {
        Ballot storage ballot = _round.ballots[address(1)];
        (ballot.low, ballot.high, ballot.bondSum, ballot.revealed) = (low, high, bondSum, revealed);
        (_round.accepted, _round.leadingHead) = (accepted, keccak256("head"));
        if (attested) ballot.head = _round.leadingHead;
        return Settling.weightOf(_round, Seat(address(1), stake));
    }

    function emission(uint256 elapsed, uint256 blocks, uint256 modelStake, uint256 globalStake, uint16 bps)
        external
        pure
        returns (uint256 perBlock, uint256 amount)
    {
        perBlock = Splitting.emissionPerBlock(elapsed);
        amount = Splitting.emissionOf(perBlock, blocks, modelStake, globalStake, bps);
    }

    function pot(uint256 amount, uint256 carried, uint256 mintable) external pure returns (uint256) {
        return Splitting.potOf(amount, carried, mintable);
    }

    function sharesAt(uint64 round) external pure returns (uint256) {
        return Splitting.sharesAt(round);
    }

    function delegatorsPart(uint256 amount, uint256 own, uint256 delegated, uint16 commissionBps)
        external
        pure
        returns (uint256)
    {
        return Splitting.delegatorsPart(amount, own, delegated, commissionBps);
    }

    function shares(uint256 amount, uint256 assets, uint256 total)
        external
        pure
        returns (uint256 bought, uint256 worth)
    {
        return (Shares.forDeposit(amount, assets, total), Shares.worth(amount, assets, total));
    }

    function median(uint16[] memory values, uint256[] memory stakes) external pure returns (uint16) {
        uint256[] memory votes = new uint256[](values.length);
        uint256 total;
        for (uint256 i; i < values.length; ++i) {
            votes[i] = WeightedMedian.vote(values[i], stakes[i]);
            total += stakes[i];
        }
        return WeightedMedian.lower(votes, total);
    }

    function currentBlock() external view returns (uint256 number, bytes32 hashOfLast) {
        return (block.number, blockhash(block.number - 1));
    }

    function _panel(uint256[] memory stakes, uint256 draws, bytes32 seed)
        private
        pure
        returns (Committee.Panel memory p)
    {
        (p.accounts, p.stakes, p.draws, p.seed) = (new address[](stakes.length), stakes, draws, seed);
        return Committee.summed(p);
    }
}
