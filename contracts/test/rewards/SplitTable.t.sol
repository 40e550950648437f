// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {RewardsWorld} from "./RewardsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice The splits that governance may set.
contract SplitTableTest is RewardsWorld {
    uint256 private constant FIELDS = 13;

    function test_splits_whenFresh_thenTheDefaults() external view {
        uint16[13] memory expected = [5000, 2000, 1500, 500, 800, 200, 6000, 2500, 1000, 500, 2000, 8000, 2000];
        assertEq(abi.encode(rewards.splits()), abi.encode(expected));
    }

    function test_setSplits_whenNotGovernance_thenReverts() external {
        IRewards.Splits memory table = rewards.splits();
        expectError(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        vm.prank(alice);
        rewards.setSplits(table);
        expectError(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        vm.prank(alice);
        rewards.setArchive(ROOT, alice);
    }

    function test_setSplits_whenWithinBounds_thenKeptAndTold() external {
        IRewards.Splits memory table =
            IRewards.Splits(4000, 2500, 2000, 700, 500, 300, 5500, 2000, 1500, 1000, 3000, 9000, 1000);
        vm.expectEmit(address(rewards));
        emit IRewards.SplitsSet(table);
        vm.prank(admin);
        rewards.setSplits(table);
        assertEq(abi.encode(rewards.splits()), abi.encode(table));
    }

    function test_setSplits_whenAtABound_thenSetAndOneBeyondReverts() external {
        for (uint256 field; field < FIELDS; ++field) {
            (uint16 low, uint16 high) = _bounds(field);
            _set(_tableWith(field, low));
            _set(_tableWith(field, high));
            if (low > 0) _refused(_tableWith(field, low - 1), field, low - 1);
            _refused(_tableWith(field, high + 1), field, high + 1);
        }
    }

    function test_setSplits_whenASumIsWrong_thenReverts() external {
        uint16[13] memory table = _tableWith(0, 5000);
        table[0] += 1;
        _refused(table, 13, 10_001);
        table = _tableWith(7, 2500);
        table[7] -= 1;
        _refused(table, 14, 9999);
        table = _tableWith(11, 8000);
        table[12] += 1;
        _refused(table, 15, 10_001);
    }

    function testFuzz_setSplits_whenAccepted_thenEachTableMakesTheWhole(uint16[13] calldata seeds) external {
        uint16[13] memory table;
        for (uint256 field; field < FIELDS; ++field) {
            (uint16 low, uint16 high) = _bounds(field);
            table[field] = uint16(bound(seeds[field], low, high));
        }
        if (seeds[12] % 2 == 0) table[12] = 10_000 - table[11];
        uint256 emission = uint256(table[0]) + table[1] + table[2] + table[3] + table[4] + table[5];
        uint256 fees = uint256(table[6]) + table[7] + table[8] + table[9];
        bool isGood = emission == 10_000 && fees == 10_000 && uint256(table[11]) + table[12] == 10_000;
        vm.prank(admin);
        (bool done,) = address(rewards).call(abi.encodePacked(IRewards.setSplits.selector, abi.encode(table)));
        assertEq(done, isGood);
    }

    /// @dev The last one has no bounds of its own: the other one's and the sum give them.
    function _bounds(uint256 field) private pure returns (uint16, uint16) {
        uint16[13] memory low = [3000, 1000, 500, 0, 0, 0, 4000, 1000, 0, 0, 0, 5000, 500];
        uint16[13] memory high = [7000, 3000, 3000, 1500, 2000, 1000, 8000, 4000, 2000, 1500, 5000, 9500, 5000];
        return (low[field], high[field]);
    }

    /// @dev A table that is good but for `field`; the others of its group make up for it as far as their bounds let them.
    function _tableWith(uint256 field, uint16 value) private pure returns (uint16[13] memory table) {
        table = [4500, 2000, 1500, 700, 1000, 300, 6000, 2500, 1000, 500, 2000, 8000, 2000];
        table[field] = value;
        if (field < 6) _balance(table, field, 0, 6);
        else if (field < 10) _balance(table, field, 6, 10);
        else if (field == 11) table[12] = 10_000 - value;
        else if (field == 12) table[11] = 10_000 - value;
    }

    function _balance(uint16[13] memory table, uint256 fixed_, uint256 from, uint256 to) private pure {
        for (uint256 i = from; i < to; ++i) {
            if (i == fixed_) continue;
            uint256 sum;
            for (uint256 k = from; k < to; ++k) {
                sum += table[k];
            }
            (uint16 low, uint16 high) = _bounds(i);
            if (sum > 10_000) table[i] -= uint16(sum - 10_000 < table[i] - low ? sum - 10_000 : table[i] - low);
            if (sum < 10_000) table[i] += uint16(10_000 - sum < high - table[i] ? 10_000 - sum : high - table[i]);
        }
    }

    function _set(uint16[13] memory table) private {
        IRewards.Splits memory splits = abi.decode(abi.encode(table), (IRewards.Splits));
        vm.prank(admin);
        rewards.setSplits(splits);
    }

    /// @dev For `sharesData` (12) the bound that speaks is that of `sharesMiners`.
    function _refused(uint16[13] memory table, uint256 field, uint256 value) private {
        if (field == 12) (field, value) = (11, table[11]);
        expectError(abi.encodeWithSelector(IRewards.BadSplit.selector, field, value));
        _set(table);
    }
}
