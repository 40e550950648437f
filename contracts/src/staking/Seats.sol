// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

/// @title Numbered seats, with a memory of who sat where in which block
/// @notice At most 256 seats; the lowest free one is given first, so what was ever taken has no gap.
library Seats {
    using Checkpoints for Checkpoints.Trace208;

    /// @dev `taken` has a bit per slot that is taken now; `length` is the highest slot that ever was, plus one.
    struct Table {
        uint256 taken;
        uint256 length;
        mapping(uint256 slot => Checkpoints.Trace208) occupants;
    }

    /// @notice The lowest slot that nobody sits in, 256 where there is none.
    function lowestFree(Table storage table) internal view returns (uint256) {
        uint256 free = ~table.taken;
        if (free == 0) return 256;
        return Math.log2(free & (~free + 1));
    }

    /// @notice Seats `account` in a slot, instead of whoever sat there.
    function put(Table storage table, uint256 slot, address account) internal {
        table.taken |= 1 << slot;
        if (slot >= table.length) table.length = slot + 1;
        _write(table, slot, account);
    }

    /// @notice Leaves a slot empty.
    function clear(Table storage table, uint256 slot) internal {
        table.taken &= ~(1 << slot);
        _write(table, slot, address(0));
    }

    /// @notice Who sits in a slot now, zero where nobody does.
    function occupant(Table storage table, uint256 slot) internal view returns (address) {
        return address(uint160(table.occupants[slot].latest()));
    }

    /// @notice Who sat in a slot at the end of a block, zero where nobody did.
    function occupantAt(Table storage table, uint256 slot, uint48 blockNumber) internal view returns (address) {
        return address(uint160(table.occupants[slot].upperLookupRecent(blockNumber)));
    }

    function _write(Table storage table, uint256 slot, address account) private {
        table.occupants[slot].push(SafeCast.toUint48(block.number), uint160(account));
    }
}
