// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Assertions} from "./Assertions.sol";
import {Vm, vm} from "./Vm.sol";

/// @notice Base of every test: named accounts, fuzz inputs within bounds, blocks that pass.
/// @dev Forge runs functions `test*` and `invariant_*` after `setUp()`; `vm` and the assertions are in scope.
abstract contract Test is Assertions {
    /// @notice Tells forge that this is a test contract.
    bool public constant IS_TEST = true;

    /// @notice An account that only this name gives; traces show the name.
    function account(string memory name) internal returns (address made) {
        (made,) = accountAndKey(name);
    }

    /// @notice As `account`, with the private key to sign for it.
    function accountAndKey(string memory name) internal returns (address made, uint256 privateKey) {
        privateKey = uint256(keccak256(bytes(name)));
        made = vm.addr(privateKey);
        vm.label(made, name);
    }

    /// @notice The `index`-th account of a family, without a label.
    function account(string memory family, uint256 index) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode(family, index)))));
    }

    /// @notice A fuzzed `value` brought into low..high, both included; every value of the range can come out. Values
    ///         already inside stay; so do the edges of uint256, which become the edges of the range.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        require(low <= high, "bound: low > high");
        if (value >= low && value <= high) return value;
        uint256 size = high - low + 1;
        if (size == 0) return value;
        if (value >= type(uint256).max - 3 && size > type(uint256).max - value) return high - (type(uint256).max - value);
        return low + value % size;
    }

    /// @notice Lets `blocks` blocks pass, twelve seconds each.
    function skipBlocks(uint256 blocks) internal {
        rollTo(vm.getBlockNumber() + blocks);
    }

    /// @notice Goes to block `number`, which must not lie behind; time passes by twelve seconds a block.
    function rollTo(uint256 number) internal {
        uint256 at = vm.getBlockNumber();
        require(number >= at, "rollTo: behind");
        if (number == at) return;
        vm.warp(block.timestamp + 12 * (number - at));
        vm.roll(number);
        // `blockhash` must answer for the last 256 blocks, as on a real chain; forge knows only blocks that it made
        uint256 first = number > at + 256 ? number - 256 : at;
        for (uint256 n = first; n < number; ++n) {
            vm.setBlockhash(n, keccak256(abi.encode("block", n)));
        }
    }

    /// @notice Deploys `Name.sol:Name` with encoded arguments. Unlike `new`, the test's own code does not hold the contract's
    ///         code then, which would be optimised once more for every test that does.
    function deploy(string memory artifact, bytes memory arguments) internal returns (address made) {
        bytes memory code = bytes.concat(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    /// @notice Expects the next call to revert with this error and these arguments, e.g.
    ///         `expectError(abi.encodeCall(...))` or `abi.encodeWithSelector(Error.selector, ...)`.
    function expectError(bytes memory encoded) internal {
        vm.expectRevert(encoded);
    }

    /// @notice How many of `logs` are events with this topic.
    function countLogs(Vm.Log[] memory logs, bytes32 topic) internal pure returns (uint256 count) {
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics.length > 0 && logs[i].topics[0] == topic) ++count;
        }
    }
}
