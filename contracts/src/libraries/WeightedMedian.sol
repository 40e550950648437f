// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Arrays} from "@openzeppelin/contracts/utils/Arrays.sol";

/// @title The value that half of the stake stands behind
/// @notice A vote is one word: its value in the upper 16 bits, its stake in wei in the 240 below.
library WeightedMedian {
    uint256 private constant STAKE_BITS = 240;
    uint256 private constant STAKE_MASK = (1 << STAKE_BITS) - 1;

    /// @notice The word for a value and a stake below 2^240 wei.
    function vote(uint16 value, uint256 stake) internal pure returns (uint256) {
        return (uint256(value) << STAKE_BITS) | (stake & STAKE_MASK);
    }

    /// @notice The smallest value such that at least half of the stake voted for it or less. Sorts the votes in place.
    /// @param total The stake of all votes in wei; there is at least one vote.
    function lower(uint256[] memory votes, uint256 total) internal pure returns (uint16) {
        Arrays.sort(votes);
        uint256 place;
        uint256 sum = votes[0] & STAKE_MASK;
        while (sum * 2 < total) sum += votes[++place] & STAKE_MASK;
        return uint16(votes[place] >> STAKE_BITS);
    }
}
