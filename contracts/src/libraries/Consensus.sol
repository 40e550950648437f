// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Sorting} from "./Sorting.sol";

/// @title The consensus of scores
/// @notice The same arithmetic as in `contracts/reference.py`.
library Consensus {
    uint256 internal constant ONE_Q16 = 65_536;
    uint256 internal constant FULL_AGREEMENT = 1_000_000;

    /// @notice Per submission the greatest score that validators with at least half of the revealed stake reach or pass.
    /// @param scores One list per validator, one score per submission.
    /// @param stakes The validators' stakes, each below 2^128.
    function reach(uint32[][] memory scores, uint256[] memory stakes, uint256 submissions)
        internal
        pure
        returns (uint64[] memory consensus)
    {
        consensus = new uint64[](submissions);
        uint256 voters = stakes.length;
        uint256[] memory column = new uint256[](voters);
        uint256[] memory spare = new uint256[](voters);
        unchecked {
            uint256 total; // of at most 2^32 stakes below 2^128
            for (uint256 v; v < voters; ++v) {
                total += stakes[v];
            }
            for (uint256 m; m < submissions; ++m) {
                for (uint256 v; v < voters; ++v) {
                    column[v] = (uint256(scores[v][m]) << 128) | stakes[v];
                }
                Sorting.ascending(column, spare);
                consensus[m] = _upper(column, total);
            }
        }
    }

    /// @notice Mixing weights in 1/65536, rounded down; all zero where no consensus is above zero.
    function weightsQ16(uint64[] memory consensus) internal pure returns (uint32[] memory weights) {
        weights = new uint32[](consensus.length);
        uint256 total = sum(consensus);
        if (total == 0) return weights;
        for (uint256 m; m < consensus.length; ++m) {
            weights[m] = uint32((consensus[m] * ONE_Q16) / total);
        }
    }

    /// @notice How much of a validator's scores the consensus shares, in millionths: sum of minima over sum of maxima.
    function agreement(uint32[] memory scores, uint64[] memory consensus) internal pure returns (uint32) {
        uint256 low;
        uint256 high;
        uint256 count = consensus.length;
        unchecked {
            for (uint256 m; m < count; ++m) {
                (uint256 a, uint256 b) = (scores[m], consensus[m]);
                (low, high) = a < b ? (low + a, high + b) : (low + b, high + a);
            }
        }
        return uint32(high == 0 ? FULL_AGREEMENT : (low * FULL_AGREEMENT) / high);
    }

    /// @notice The sum of a consensus.
    function sum(uint64[] memory consensus) internal pure returns (uint256 total) {
        for (uint256 m; m < consensus.length; ++m) {
            total += consensus[m];
        }
    }

    /// @dev Walks down from the highest score until half of the stake is passed.
    function _upper(uint256[] memory sorted, uint256 total) private pure returns (uint64) {
        uint256 reached;
        unchecked {
            for (uint256 i = sorted.length; i > 0; --i) {
                reached += uint128(sorted[i - 1]);
                if (reached * 2 >= total) return uint64(sorted[i - 1] >> 128);
            }
        }
        return 0;
    }
}
