// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Sorting} from "./Sorting.sol";

/// @title The consensus of scores
/// @notice The same arithmetic as in `contracts/reference`.
library Consensus {
    uint256 internal constant ONE_Q16 = 65_536;
    uint256 internal constant FULL_AGREEMENT = 1_000_000;
    uint256 private constant BPS = 10_000;

    /// @notice The greatest score that voters with at least `kappaBps` / 10,000 of all weight reach or pass; 0 without voters.
    /// @param column One word per voter: its score, times 2^128, plus its weight (below 2^128). Sorted afterwards.
    /// @param spare As long as `column`; its content is lost.
    function upper(uint256[] memory column, uint256[] memory spare, uint256 kappaBps)
        internal
        pure
        returns (uint256)
    {
        Sorting.ascending(column, spare);
        unchecked {
            uint256 wanted; // at most 64 weights below 2^128, times 10,000
            for (uint256 i; i < column.length; ++i) {
                wanted += uint128(column[i]);
            }
            wanted *= kappaBps;
            uint256 reached;
            for (uint256 i = column.length; i > 0; --i) {
                reached += uint128(column[i - 1]);
                if (reached * BPS >= wanted) return column[i - 1] >> 128;
            }
        }
        return 0;
    }

    /// @notice A mixing weight in 1/65536, rounded down; zero where no consensus is above zero.
    function weightQ16(uint256 consensus, uint256 total) internal pure returns (uint32) {
        return total == 0 ? 0 : uint32((consensus * ONE_Q16) / total);
    }

    /// @notice How much of a validator's scores the consensus shares, in millionths: sum of minima over sum of maxima.
    function agreement(uint256 low, uint256 high) internal pure returns (uint256) {
        return high == 0 ? FULL_AGREEMENT : (low * FULL_AGREEMENT) / high;
    }
}
