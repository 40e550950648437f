// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Sorting short lists in memory
library Sorting {
    /// @notice Sorts addresses in place, ascending.
    function ascending(address[] memory list) internal pure {
        uint256[] memory words;
        assembly ("memory-safe") {
            words := list
        }
        ascending(words);
    }

    /// @notice Sorts words in place, ascending: a bottom-up merge sort, so that no order of input makes it slow.
    function ascending(uint256[] memory list) internal pure {
        uint256 length = list.length;
        uint256[] memory from = list;
        uint256[] memory to = new uint256[](length);
        for (uint256 width = 1; width < length; width *= 2) {
            for (uint256 start; start < length; start += 2 * width) {
                _merge(from, to, start, width, length);
            }
            (from, to) = (to, from);
        }
        for (uint256 i; i < length; ++i) {
            list[i] = from[i];
        }
    }

    function _merge(uint256[] memory from, uint256[] memory to, uint256 start, uint256 width, uint256 length)
        private
        pure
    {
        uint256 left = start;
        uint256 middle = start + width < length ? start + width : length;
        uint256 end = start + 2 * width < length ? start + 2 * width : length;
        uint256 right = middle;
        for (uint256 i = start; i < end; ++i) {
            if (left < middle && (right >= end || from[left] <= from[right])) to[i] = from[left++];
            else to[i] = from[right++];
        }
    }
}
