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
        ascending(words, new uint256[](list.length));
    }

    /// @notice Sorts words in place, ascending: a bottom-up merge sort, so that no order of input makes it slow.
    /// @param spare As long as the list; its content is lost.
    function ascending(uint256[] memory list, uint256[] memory spare) internal pure {
        unchecked {
            uint256 length = list.length;
            (uint256[] memory from, uint256[] memory to) = (list, spare);
            for (uint256 width = 1; width < length; width *= 2) {
                for (uint256 start; start < length; start += 2 * width) {
                    _merge(from, to, start, _min(start + width, length), _min(start + 2 * width, length));
                }
                (from, to) = (to, from);
            }
            for (uint256 i; i < length; ++i) {
                list[i] = from[i];
            }
        }
    }

    /// @dev Merges `from[start:middle]` and `from[middle:end]` into `to[start:end]`.
    function _merge(uint256[] memory from, uint256[] memory to, uint256 start, uint256 middle, uint256 end)
        private
        pure
    {
        assembly ("memory-safe") {
            let base := add(from, 0x20)
            let left := add(base, shl(5, start))
            let leftEnd := add(base, shl(5, middle))
            let right := leftEnd
            let rightEnd := add(base, shl(5, end))
            let target := add(add(to, 0x20), shl(5, start))
            for {} and(lt(left, leftEnd), lt(right, rightEnd)) {} {
                let a := mload(left)
                let b := mload(right)
                switch gt(a, b)
                case 0 {
                    mstore(target, a)
                    left := add(left, 0x20)
                }
                default {
                    mstore(target, b)
                    right := add(right, 0x20)
                }
                target := add(target, 0x20)
            }
            for {} lt(left, leftEnd) { left := add(left, 0x20) } {
                mstore(target, mload(left))
                target := add(target, 0x20)
            }
            for {} lt(right, rightEnd) { right := add(right, 0x20) } {
                mstore(target, mload(right))
                target := add(target, 0x20)
            }
        }
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
