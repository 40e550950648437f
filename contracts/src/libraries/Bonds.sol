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
    uint256 private constant KEPT = BPS - ALPHA_BPS;
    uint256 private constant HALF = BPS / 2;
    uint256 private constant WORDS = 4;
    uint256 private constant LANES = 16;

    /// @notice Moves all of a miner's bonds on, and adds each, times the consensus, to `sums`. A bond after one more round is nine
    /// tenths of what it was and a tenth of the validator's part of the miner's score, rounded to the nearest.
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
            uint256 word = _word(valid ? old : 0, last, w * LANES, parts, since);
            if (word != old) bond.lanes[w] = word;
            _addTo(sums, word, w * LANES, consensus);
        }
    }

    /// @dev Sixteen lanes of bonds, moved on. Slots that nobody has any more have no part and no bond.
    function _word(uint256 old, uint256 last, uint256 from, uint256[] memory parts, uint256[] memory since)
        private
        pure
        returns (uint256 word)
    {
        unchecked {
            uint256 end = parts.length < from + LANES ? parts.length : from + LANES;
            uint256 shift;
            for (uint256 slot = from; slot < end; ++slot) {
                uint256 part = parts[slot];
                uint256 lane = (old >> shift) & BOND_ONE;
                if (lane != 0 && since[slot] > last) lane = 0;
                if (lane | part != 0) word |= ((lane * KEPT + part * ALPHA_BPS + HALF) / BPS) << shift;
                shift += 16;
            }
        }
    }

    function _addTo(uint256[] memory sums, uint256 word, uint256 from, uint256 consensus) private pure {
        unchecked {
            for (uint256 slot = from; word != 0; ++slot) {
                sums[slot] += (word & BOND_ONE) * consensus;
                word >>= 16;
            }
        }
    }
}
