// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Committee} from "../libraries/Committee.sol";
import {Consensus} from "../libraries/Consensus.sol";
import {Lanes} from "../libraries/Lanes.sol";
import {Round, Seat} from "../libraries/RoundTypes.sol";

/// @title What committees' revealed scores come to
library Verdicts {
    /// @dev The lane of a validator that calls a submission malformed.
    uint256 private constant BAD_LANE = Lanes.FLAG | 2;

    /// @notice A group's verdict. `words` are its members' scores and `weights` their weights, by slot (0: silent, or no member);
    /// `lanes` is the consensus, of `size` submissions.
    struct Verdict {
        uint256[] words;
        uint256[] weights;
        uint256 lanes;
        uint256 size;
    }

    /// @notice The validators that sit in the round.
    function panel(Round storage r) internal view returns (Committee.Panel memory p) {
        uint256 slots = r.slots;
        (p.accounts, p.stakes) = (new address[](slots), new uint256[](slots));
        for (uint256 i; i < slots; ++i) {
            Seat memory seat = r.seats[i];
            (p.accounts[i], p.stakes[i]) = (seat.account, seat.stake);
        }
        (p.draws, p.seed) = (r.committee, r.evaluationSeed);
        return Committee.summed(p);
    }

    /// @notice The most that the consensus of a submission may be, in micro-nats. Where committees are drawn a minority of stake
    /// can be most of one; it can lift nothing above what those with `kappaBps` of the stake gave their best. The stake is that of
    /// validators that revealed a score.
    function ceiling(Round storage r, Committee.Panel memory p) internal view returns (uint256) {
        if (!Committee.isDrawn(p)) return type(uint64).max;
        uint256[] memory column = new uint256[](p.accounts.length);
        for (uint256 i; i < column.length; ++i) {
            uint256 top = r.ballots[p.accounts[i]].top;
            if (top > 0) column[i] = ((top - 1) << 128) | p.stakes[i];
        }
        return Consensus.upper(column, new uint256[](column.length), r.kappaBps);
    }

    /// @notice A group's verdict, no score above `limit`.
    function reached(Round storage r, Committee.Panel memory p, uint256 group, uint256 limit)
        internal
        view
        returns (Verdict memory v)
    {
        v.weights = Committee.weights(p, group);
        v.words = new uint256[](p.accounts.length);
        uint256 voters;
        uint256 whole;
        for (uint256 i; i < v.words.length; ++i) {
            if (v.weights[i] == 0) continue;
            whole += v.weights[i];
            v.words[i] = r.ballots[p.accounts[i]].words[group];
            if (v.words[i] != 0) ++voters;
        }
        v.size = Lanes.sizeOf(group, r.reveals);
        uint256[] memory column = new uint256[](voters);
        uint256[] memory spare = new uint256[](voters);
        for (uint256 i; i < v.size; ++i) {
            uint256 bad = _column(v, i, column);
            uint256 value = Consensus.upper(column, spare, r.kappaBps);
            if (value > limit) value = limit;
            if (bad * 3 >= whole * 2) value |= Lanes.FLAG;
            v.lanes |= Lanes.placed(value, i);
        }
    }

    /// @notice The sum of the consensus in a word.
    function sum(uint256 lanes) internal pure returns (uint256 total) {
        for (uint256 i; i < Lanes.GROUP; ++i) {
            total += Lanes.consensus(Lanes.at(lanes, i));
        }
    }

    /// @dev Fills the column of a submission's scores, and weighs those who call it malformed.
    function _column(Verdict memory v, uint256 index, uint256[] memory column) private pure returns (uint256 bad) {
        (uint256[] memory words, uint256[] memory weights) = (v.words, v.weights);
        uint256 shift = index * 32;
        uint256 found;
        unchecked {
            for (uint256 i; i < words.length; ++i) {
                uint256 lane = uint32(words[i] >> shift);
                if (lane == 0) continue;
                uint256 weight = weights[i];
                if (lane < Lanes.FLAG) weight |= (lane - 1) << 128;
                else if (lane == BAD_LANE) bad += weight;
                column[found] = weight;
                ++found;
            }
        }
    }
}
