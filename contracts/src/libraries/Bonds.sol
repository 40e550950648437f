// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Bond} from "./RoundTypes.sol";

/// @title Bonds: moving averages of who saw a miner's worth
/// @notice A tenth of a bond is the newest round's. So a validator that sees value early owns more of the miner's later rounds
/// than one that copies. The same arithmetic as in `contracts/reference`.
library Bonds {
    uint256 internal constant BOND_ONE = 65_535;
    uint256 private constant ALPHA_BPS = 1000;
    uint256 private constant BPS = 10_000;
    uint256 private constant WORDS = 4;
    uint256 private constant LANES = 16;

    /// @notice A bond after one more round in which the validator's part of the miner's score was `part`, both in 1/65535.
    function averaged(uint256 bond, uint256 part) internal pure returns (uint256) {
        return (bond * (BPS - ALPHA_BPS) + part * ALPHA_BPS + BPS / 2) / BPS;
    }

    /// @notice Moves all of a miner's bonds on, and adds each, times the consensus, to `sums`.
    /// @param parts Each slot's part of the miner's score, in 1/65535.
    /// @param since The round since which each slot has its occupant: what was there before counts as zero.
    /// @param valid Whether what was recorded still counts.
    function update(
        Bond storage bond,
        uint256[] memory parts,
        uint256[] memory since,
        bool valid,
        uint256 consensus,
        uint256[] memory sums
    ) internal {
        uint256 last = bond.lastRound;
        for (uint256 w; w < WORDS; ++w) {
            uint256 old = bond.lanes[w];
            uint256 word;
            uint256 end = parts.length < (w + 1) * LANES ? parts.length : (w + 1) * LANES;
            for (uint256 slot = w * LANES; slot < end; ++slot) {
                uint256 shift = (slot % LANES) * 16;
                uint256 lane = valid && since[slot] <= last ? uint16(old >> shift) : 0;
                lane = averaged(lane, parts[slot]);
                word |= lane << shift;
                sums[slot] += lane * consensus;
            }
            if (word != old) bond.lanes[w] = word;
        }
    }
}
