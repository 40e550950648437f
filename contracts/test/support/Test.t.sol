// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// @notice The base that all tests stand on, tested itself.
contract TestBaseTest is Test {
    function testFuzz_bound_staysInsideAndKeepsEdges(uint256 value, uint256 a, uint256 b) external pure {
        (uint256 low, uint256 high) = a < b ? (a, b) : (b, a);
        uint256 got = bound(value, low, high);
        assertGe(got, low);
        assertLe(got, high);
        if (value >= low && value <= high) assertEq(got, value);
    }

    function test_rollTo_hashesOfTheLastBlocksAreKnown() external {
        uint256 start = vm.getBlockNumber();
        rollTo(start + 300);
        assertEq(vm.getBlockNumber(), start + 300);
        assertNotEq(blockhash(start + 299), bytes32(0));
        assertNotEq(blockhash(start + 44), bytes32(0));
        assertEq(blockhash(start + 43), bytes32(0));
    }

    function test_accountAndKey_signsForItself() external {
        (address who, uint256 key) = accountAndKey("alice");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256("words"));
        assertEq(ecrecover(keccak256("words"), v, r, s), who);
        assertEq(account("alice"), who);
    }
}
