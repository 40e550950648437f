// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {vm} from "../support/Vm.sol";
import {DataWorld} from "./DataWorld.sol";

/// @notice What the calls about datasets cost.
contract DataGasTest is DataWorld {
    function test_gas_whenADatasetLivesItsLife_thenRecorded() external {
        bytes32 commitment = data.commitmentOf(MODEL, alice, ROOT, SALT);
        vm.prank(alice);
        data.announce(commitment);
        vm.snapshotGasLastCall("data", "announce");
        skipBlocks(1);
        uint256 id = _register(alice, MODEL, ROOT);
        vm.snapshotGasLastCall("data", "register");
        _vote(v40, id, true, 8000);
        vm.snapshotGasLastCall("data", "vote: first of a ballot");
        _vote(v10, id, true, 8000);
        vm.snapshotGasLastCall("data", "vote");
        _vote(v30, id, true, 9000);
        vm.snapshotGasLastCall("data", "vote: accepts");
        vm.prank(alice);
        data.reclaim(id);
        vm.snapshotGasLastCall("data", "reclaim");
        vm.prank(alice);
        data.withdraw(id);
        vm.snapshotGasLastCall("data", "withdraw");
    }

    function test_gas_whenTheLastOfSixtyFourDecides_thenBounded() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        stakes.set(MODEL, v40, 0);
        stakes.set(MODEL, v30, 0);
        stakes.set(MODEL, v20, 0);
        stakes.set(MODEL, v10, 120e18);
        for (uint256 i; i < 63; ++i) {
            stakes.set(MODEL, account("crowd", i), 1e18);
        }
        skipBlocks(1);
        for (uint256 i; i < 63; ++i) {
            _vote(account("crowd", i), id, true, uint16(10_000 - i));
        }
        _vote(v10, id, true, 1);
        assertLt(vm.snapshotGasLastCall("data", "vote: decides, 64 voters"), 1_000_000);
        assertEq(data.valueOf(id), 1);
    }
}
