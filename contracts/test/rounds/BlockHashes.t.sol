// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlockHashes} from "../../src/libraries/BlockHashes.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";

/// @notice Tells what it was given, as the history of EIP-2935 does.
contract HistoryMock {
    fallback(bytes calldata input) external returns (bytes memory) {
        uint256 number = abi.decode(input, (uint256));
        require(number < block.number && number + 8191 >= block.number);
        return abi.encode(keccak256(abi.encode("block", number)));
    }
}

/// @notice A history that knows other hashes than the chain, or answers too shortly.
contract BrokenHistoryMock {
    fallback(bytes calldata) external returns (bytes memory) {
        return block.number % 2 == 0 ? abi.encode(uint256(1)) : bytes("short");
    }
}

contract BlockHashesTest is Test {
    function setUp() public {
        rollTo(20_000);
    }

    function test_at_whenRecent_thenBlockhash() public view {
        assertEq(BlockHashes.at(19_999), blockhash(19_999));
        assertTrue(BlockHashes.at(19_744) != 0);
    }

    function test_at_whenOldWithoutHistory_thenZero() public view {
        assertEq(BlockHashes.at(19_743), bytes32(0));
        assertEq(BlockHashes.depth(), 256);
    }

    function test_at_whenOldWithHistory_thenItsHash() public {
        vm.etch(BlockHashes.HISTORY, address(new HistoryMock()).code);
        assertEq(BlockHashes.at(19_743), keccak256(abi.encode("block", uint256(19_743))));
        assertTrue(BlockHashes.at(20_000 - 8191) != 0);
        assertEq(BlockHashes.at(20_000 - 8192), bytes32(0));
        assertEq(BlockHashes.depth(), 8191);
    }

    function test_at_whenNotPast_thenZero() public {
        vm.etch(BlockHashes.HISTORY, address(new HistoryMock()).code);
        assertEq(BlockHashes.at(20_000), bytes32(0));
        assertEq(BlockHashes.at(20_001), bytes32(0));
    }

    function test_depth_whenHistoryIsWrong_thenOnlyBlockhashCounts() public {
        vm.etch(BlockHashes.HISTORY, address(new BrokenHistoryMock()).code);
        assertEq(BlockHashes.depth(), 256);
        rollTo(20_001);
        assertEq(BlockHashes.at(19_000), bytes32(0));
        assertEq(BlockHashes.depth(), 256);
    }
}
