// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {vm} from "../support/Vm.sol";
import {DataWorld} from "./DataWorld.sol";

/// @notice Taking a dataset back, and its deposit.
contract LeavingTest is DataWorld {
    function test_withdraw_whenAccepted_thenAtOnceAndTheRootStaysTaken() external {
        uint256 id = _accepted(ROOT, 9000);
        uint64 now_ = uint64(vm.getBlockNumber());
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetWithdrawn(id, now_);
        vm.prank(alice);
        data.withdraw(id);
        assertEq(_statusOf(id), 3);
        assertEq(data.get(id).withdrawnBlock, now_);
        assertEq(data.idOf(ROOT), id);
        assertFalse(data.isUsableAt(id, now_));
        _announce(bob, MODEL, ROOT, SALT);
        skipBlocks(1);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.DuplicateRoot.selector, ROOT));
        _register(bob, MODEL, ROOT);
        assertFalse(data.isUsableAt(id, vm.getBlockNumber()));
    }

    function test_withdraw_whenPendingTooShort_thenRefused() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        uint256 until = vm.getBlockNumber() + BALLOT;
        skipBlocks(BALLOT - 1);
        _expectJudged(until);
        _withdraw(alice, id);
        skipBlocks(1);
        _withdraw(alice, id);
        assertEq(_statusOf(id), 3);
        assertEq(data.idOf(ROOT), 0);
        assertFalse(data.isUsableAt(id, vm.getBlockNumber() - 1));
        assertEq(_submit(bob, MODEL, ROOT), 2);
    }

    function test_withdraw_whenItsFirstBallotRuns_thenAfterIt() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        skipBlocks(BALLOT - 1);
        uint256 until = vm.getBlockNumber() + BALLOT;
        _vote(v40, id, false, 0);
        skipBlocks(BALLOT - 1);
        _expectJudged(until);
        _withdraw(alice, id);
        skipBlocks(1);
        // a validator that opens ballot after ballot can't hold the deposit any longer
        _vote(v10, id, false, 0);
        assertTrue(data.ballotOf(id).open);
        _withdraw(alice, id);
        _reclaim(alice, id);
        assertEq(coin.balanceOf(alice), 1000e18);
    }

    function test_withdraw_whenNotTheOwnerOrOver_thenRefused() external {
        uint256 id = _accepted(ROOT, 9000);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.NotOwner.selector, bob));
        _withdraw(bob, id);
        _withdraw(alice, id);
        _expectStatus(3);
        _withdraw(alice, id);
        _expectStatus(3);
        _vote(v40, id, true, 1);
    }

    function test_reclaim_whenAccepted_thenTheOwnerHasItOnce() external {
        uint256 id = _accepted(ROOT, 9000);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.NotOwner.selector, bob));
        _reclaim(bob, id);
        vm.expectEmit(address(data));
        emit IDataRegistry.DepositReturned(id, alice, DEPOSIT);
        _reclaim(alice, id);
        assertEq(coin.balanceOf(alice), 1000e18);
        assertEq(data.get(id).deposit, 0);
        _expectNothing(id);
        _reclaim(alice, id);
    }

    function test_reclaim_whenPendingOrRejected_thenRefused() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        _expectNothing(id);
        _reclaim(alice, id);
        _vote(v40, id, false, 0);
        _vote(v20, id, false, 0);
        _expectNothing(id);
        _reclaim(alice, id);
    }

    function test_reclaim_whenRemovedLater_thenTheDepositIsStillTheOwners() external {
        uint256 id = _accepted(ROOT, 9000);
        _vote(v40, id, false, 0);
        _vote(v30, id, false, 0);
        assertEq(_statusOf(id), 4);
        _reclaim(alice, id);
        assertEq(coin.balanceOf(alice), 1000e18);
    }

    function _withdraw(address who, uint256 id) private {
        vm.prank(who);
        data.withdraw(id);
    }

    function _reclaim(address who, uint256 id) private {
        vm.prank(who);
        data.reclaim(id);
    }

    function _expectJudged(uint256 until) private {
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.StillJudged.selector, until));
    }

    function _expectNothing(uint256 id) private {
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.NothingToReclaim.selector, id));
    }
}
