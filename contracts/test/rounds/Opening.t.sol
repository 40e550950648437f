// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

contract OpeningTest is RoundsWorld {
    function test_open_whenBothRolesAreThere_thenFrozen() public {
        populate(2, 3);
        skipBlocks(1);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundOpened(MODEL, 1, uint64(vm.getBlockNumber()), GENESIS, 300, 2);
        rounds.tick(MODEL, 1);
        round = 1;
        IRounds.RoundView memory v = view_();
        assertEq(uint256(v.round), 1);
        assertEq(uint256(v.phase), TRAIN);
        assertEq(uint256(v.openBlock), vm.getBlockNumber());
        assertEq(uint256(v.phaseEnd), v.openBlock + 10);
        assertEq(uint256(v.scoreStart), v.openBlock + 30);
        assertEq(v.seed, bytes32(0));
        assertEq(v.baseHead, GENESIS);
        assertEq(v.frozenStake, 300);
        assertEq(uint256(v.minerCount), 2);
        assertEq(uint256(v.validatorCount), 3);
        assertEq(uint256(v.committee), 64);
        assertEq(uint256(v.kappaBps), 5000);
        assertEq(uint256(v.quorumBps), 6666);
        assertFalse(v.settled);
        assertEq(uint256(rounds.current(MODEL)), 1);
        assertEq(uint256(rounds.windows(MODEL, 1)[6]), 10);
    }

    function test_open_whenNoMinerOrNoValidator_thenRefused() public {
        skipBlocks(1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnoughMembers.selector, 0, 0));
        rounds.tick(MODEL, 1);
        populate(1, 0);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnoughMembers.selector, 1, 0));
        rounds.tick(MODEL, 1);
        staking.setMiner(miner(0), 0, 1);
        populate(0, 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnoughMembers.selector, 0, 1));
        rounds.tick(MODEL, 1);
    }

    function test_tick_whenRoundIsNotNext_thenRefused() public {
        populate(1, 1);
        skipBlocks(1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongRound.selector, 0));
        rounds.tick(MODEL, 0);
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongRound.selector, 0));
        rounds.tick(MODEL, 2);
        open();
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongRound.selector, 1));
        rounds.tick(MODEL, 2);
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongRound.selector, 1));
        rounds.tick(MODEL, 0);
    }

    function test_tick_whenSomebodyWasQuicker_thenNothing() public {
        populate(1, 1);
        open();
        tick();
        reach(FINAL);
        tick();
        assertTrue(view_().settled);
        tick(); // settled already
        assertEq(rewards.finished(), 1);
        open();
        rounds.tick(MODEL, 1); // an older round
        assertEq(uint256(phase()), TRAIN);
    }

    function test_models_whenTwo_thenTheirRoundsGoSideBySide() public {
        populate(1, 1);
        open();
        skipBlocks(5);
        rounds.tick(8, 1);
        reach(FINAL);
        tick();
        assertEq(uint256(rounds.current(8)), 1);
        (uint8 other,,) = rounds.phaseAt(8, 1, vm.getBlockNumber());
        assertTrue(other < FINAL);
    }

    // --- pauses ---

    function test_pause_whenGuardianAsks_thenOpeningsWaitAndLiveRoundsGoOn() public {
        populate(1, 1);
        open();
        commitDelta(0);
        vm.expectEmit(address(rounds));
        emit IRounds.OpeningsPaused(address(this), uint64(vm.getBlockNumber() + 1000));
        rounds.pause(1000);
        uint64 until = rounds.pausedUntil();
        reach(REVEAL);
        revealDelta(0);
        reach(FINAL);
        settle();
        vm.expectRevert(abi.encodeWithSelector(IRounds.Paused.selector, until));
        rounds.tick(MODEL, 2);
        rollTo(until - 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.Paused.selector, until));
        rounds.tick(MODEL, 2);
        rollTo(until);
        rounds.tick(MODEL, 2);
    }

    function test_pause_whenTooLongOrNothing_thenRefused() public {
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadPause.selector, 0, 50_400));
        rounds.pause(0);
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadPause.selector, 50_401, 50_400));
        rounds.pause(50_401);
        rounds.pause(50_400);
    }

    function test_pause_whenRepeated_thenOnlyAfterAsLong() public {
        rounds.pause(100);
        uint64 from = rounds.pausedUntil() + 100;
        vm.expectRevert(abi.encodeWithSelector(IRounds.PauseTooSoon.selector, from));
        rounds.pause(1);
        rollTo(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.PauseTooSoon.selector, from));
        rounds.pause(1);
        rollTo(from);
        rounds.pause(1);
        assertEq(uint256(rounds.pausedUntil()), from + 1);
    }

    function test_unpause_whenAdministratorAsks_thenRoundsOpen() public {
        populate(1, 1);
        rounds.pause(100);
        skipBlocks(10);
        vm.expectEmit(address(rounds));
        emit IRounds.OpeningsResumed(address(this));
        rounds.unpause();
        assertEq(uint256(rounds.pausedUntil()), vm.getBlockNumber());
        open();
        rounds.unpause(); // nothing to end
        assertTrue(rounds.pausedUntil() < vm.getBlockNumber());
        vm.expectPartialRevert(IRounds.PauseTooSoon.selector);
        rounds.pause(1);
    }

    function test_pause_whenAnybodyElseAsks_thenRefused() public {
        bytes memory refused = abi.encodeWithSignature("AccessManagedUnauthorized(address)", miner(0));
        vm.startPrank(miner(0));
        vm.expectRevert(refused);
        rounds.pause(1);
        vm.expectRevert(refused);
        rounds.unpause();
        vm.stopPrank();
    }
}
