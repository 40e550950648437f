// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Staking} from "../../src/Staking.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Wired} from "../../src/libraries/Wired.sol";
import {vm} from "../support/Vm.sol";
import {StakingWorld} from "./StakingWorld.sol";

/// @notice What an operator does with its own stake, and what `Rounds` may do to it.
contract StakingTest is StakingWorld {
    function test_constructor_anAddressIsZero_refused() external {
        bytes memory zero = abi.encodeWithSelector(Wired.ZeroAddress.selector);
        expectError(zero);
        this.deployStaking(address(0), address(models), treasury, 1);
        expectError(zero);
        this.deployStaking(address(token), address(0), treasury, 1);
        expectError(zero);
        this.deployStaking(address(token), address(models), address(0), 1);
        assertEq(staking.treasury(), treasury);
        assertEq(staking.unbondingBlocks(), UNBONDING);
    }

    function test_initialize_strangerOrTwiceOrZero_refused() external {
        expectError(abi.encodeWithSelector(Wired.AlreadyInitialized.selector));
        staking.initialize(alice, bob);
        Staking fresh = deployStaking(address(token), address(models), treasury, 1);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(Wired.NotDeployer.selector, alice));
        fresh.initialize(alice, bob);
        expectError(abi.encodeWithSelector(Wired.ZeroAddress.selector));
        fresh.initialize(address(0), bob);
        expectError(abi.encodeWithSelector(Wired.ZeroAddress.selector));
        fresh.initialize(alice, address(0));
    }

    function test_stake_belowMinimum_keptWithoutEffect() external {
        stakeAs(alice, MINER, MIN_MINER - 1);
        assertEq(staking.stakeOf(alice, MODEL, MINER), MIN_MINER - 1);
        assertEq(effective(alice, MINER), 0);
        assertEq(staking.memberSince(MODEL, MINER, alice), 0);
        fund(alice, 1);
        vm.expectEmit(address(staking));
        emit IStaking.Staked(alice, MODEL, MINER, 1, MIN_MINER);
        vm.prank(alice);
        staking.stake(MODEL, MINER, 1);
        assertEq(effective(alice, MINER), MIN_MINER);
        assertEq(staking.memberSince(MODEL, MINER, alice), block.number);
        assertEq(token.balanceOf(address(staking)), MIN_MINER);
    }

    function test_stake_zeroOrUnknownRole_refused() external {
        expectError(abi.encodeWithSelector(IStaking.ZeroAmount.selector));
        staking.stake(MODEL, MINER, 0);
        expectError(abi.encodeWithSelector(IStaking.BadRole.selector, 0));
        staking.stake(MODEL, 0, 1);
        expectError(abi.encodeWithSelector(IStaking.BadRole.selector, 3));
        staking.unstake(MODEL, 3, 1);
        expectError(abi.encodeWithSelector(IStaking.BadRole.selector, 3));
        staking.minStake(MODEL, 3);
        expectError(abi.encodeWithSelector(IStaking.BadRole.selector, 3));
        staking.slash(MODEL, 3, alice, 1);
    }

    function test_stake_moreThanAWordHolds_refused() external {
        fund(alice, type(uint96).max);
        vm.prank(alice);
        staking.stake(MODEL, MINER, type(uint96).max);
        vm.prank(alice);
        vm.expectRevert();
        staking.stake(MODEL, MINER, 1);
    }

    function test_unstake_all_atOnceWithoutWeightAndPaidLater() external {
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        skipBlocks(1);
        uint64 release = uint64(block.number + UNBONDING + WIDTH - 1);
        release -= release % uint64(WIDTH);
        vm.expectEmit(address(staking));
        emit IStaking.Unstaking(alice, MODEL, VALIDATOR, MIN_VALIDATOR, release);
        unstakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        assertEq(effective(alice, VALIDATOR), 0);
        assertEq(staking.stakeAt(alice, MODEL, VALIDATOR, block.number - 1), MIN_VALIDATOR);
        assertEq(staking.globalValidatorStake(), 0);
        assertEq(staking.globalValidatorStakeAt(block.number - 1), MIN_VALIDATOR);
        assertEq(staking.pendingOf(alice), MIN_VALIDATOR);

        vm.roll(release - 1);
        assertEq(staking.withdrawableOf(alice), 0);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.NothingToWithdraw.selector));
        staking.withdraw();
        vm.roll(release);
        assertEq(staking.withdrawableOf(alice), MIN_VALIDATOR);
        vm.expectEmit(address(staking));
        emit IStaking.Withdrawn(alice, MIN_VALIDATOR);
        assertEq(withdrawAs(alice), MIN_VALIDATOR);
        assertEq(staking.pendingOf(alice), 0);
    }

    function test_unstake_partAboveMinimum_keepsSeatAndSince() external {
        stakeAs(alice, MINER, 3 * MIN_MINER);
        uint256 since = vm.getBlockNumber();
        skipBlocks(5);
        unstakeAs(alice, MINER, MIN_MINER);
        assertEq(effective(alice, MINER), 2 * MIN_MINER);
        assertEq(staking.memberSince(MODEL, MINER, alice), since);
        unstakeAs(alice, MINER, MIN_MINER + 1);
        assertEq(effective(alice, MINER), 0);
        assertEq(staking.countAt(MODEL, MINER, block.number), 0);
    }

    function test_unstake_zeroOrMoreThanThereIs_refused() external {
        stakeAs(alice, MINER, MIN_MINER);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.ZeroAmount.selector));
        staking.unstake(MODEL, MINER, 0);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.InsufficientStake.selector, MIN_MINER, MIN_MINER + 1));
        staking.unstake(MODEL, MINER, MIN_MINER + 1);
    }

    function test_minimum_raised_bindsAtTheNextChange() external {
        stakeAs(alice, MINER, 2 * MIN_MINER);
        models.setMinimum(MODEL, MINER, 3 * MIN_MINER);
        assertEq(staking.minStake(MODEL, MINER), 3 * MIN_MINER);
        assertEq(effective(alice, MINER), 2 * MIN_MINER);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.NotEligible.selector, alice));
        staking.reseat(MODEL, MINER);
        unstakeAs(alice, MINER, 1);
        assertEq(effective(alice, MINER), 0);
    }

    function test_drop_thenRejoin_countsAgain() external {
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        vm.expectEmit(address(staking));
        emit IStaking.Dropped(alice, MODEL);
        staking.drop(MODEL, alice);
        assertTrue(staking.isDropped(MODEL, alice));
        assertEq(effective(alice, VALIDATOR), 0);
        stakeAs(alice, VALIDATOR, 1 ether);
        assertEq(effective(alice, VALIDATOR), 0, "a top-up doesn't bring it back");
        uint256 from = vm.getBlockNumber() + WIDTH;
        skipBlocks(WIDTH - 1);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.RejoinTooSoon.selector, from));
        staking.rejoin(MODEL);
        skipBlocks(1);

        vm.expectEmit(address(staking));
        emit IStaking.Rejoined(alice, MODEL);
        vm.prank(alice);
        staking.rejoin(MODEL);
        assertFalse(staking.isDropped(MODEL, alice));
        assertEq(effective(alice, VALIDATOR), MIN_VALIDATOR + 1 ether);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.NotDropped.selector, alice));
        staking.rejoin(MODEL);
    }

    function test_dropAndSlash_byAnyoneElse_refused() external {
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.NotRounds.selector, alice));
        staking.drop(MODEL, bob);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.NotRounds.selector, alice));
        staking.slash(MODEL, MINER, bob, 1);
        expectError(abi.encodeWithSelector(IStaking.BadSlash.selector, 5_001));
        staking.slash(MODEL, MINER, bob, 5_001);
    }

    function test_slash_stakeAndWhatLeaves_goesToTheTreasury() external {
        stakeAs(alice, VALIDATOR, 4 * MIN_VALIDATOR);
        delegateAs(bob, alice, MIN_VALIDATOR);
        unstakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        vm.expectEmit(address(staking));
        emit IStaking.Slashed(alice, MODEL, VALIDATOR, MIN_VALIDATOR / 4);
        staking.slash(MODEL, VALIDATOR, alice, 500);
        assertEq(token.balanceOf(treasury), MIN_VALIDATOR / 4);
        assertEq(staking.ownStakeOf(alice, MODEL, VALIDATOR), (3 * MIN_VALIDATOR * 95) / 100);
        assertEq(staking.pendingOf(alice), (MIN_VALIDATOR * 95) / 100);
        (, uint256 assets) = staking.delegationOf(MODEL, alice, bob);
        assertEq(assets, (MIN_VALIDATOR * 95) / 100);
        assertEq(effective(alice, VALIDATOR), (4 * MIN_VALIDATOR * 95) / 100);
    }

    function test_slash_belowTheMinimum_losesTheSeat() external {
        stakeAs(alice, MINER, MIN_MINER);
        staking.slash(MODEL, MINER, alice, 10);
        assertEq(effective(alice, MINER), 0);
        assertEq(staking.totalStake(MODEL, MINER), 0);
        assertEq(staking.totalAt(MODEL, MINER, block.number - 1), 0);
    }

    function test_slash_nothingThere_doesNothing() external {
        vm.recordLogs();
        staking.slash(MODEL, MINER, alice, 5_000);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function testFuzz_slash_anyAmount_neverMoreThanTheRate(uint96 amount, uint96 leaving, uint16 bps) external {
        amount = uint96(bound(amount, 1, 1e26));
        leaving = uint96(bound(leaving, 0, amount));
        bps = uint16(bound(bps, 0, 5_000));
        stakeAs(alice, MINER, amount);
        if (leaving > 0) unstakeAs(alice, MINER, leaving);
        staking.slash(MODEL, MINER, alice, bps);
        uint256 taken = token.balanceOf(treasury);
        assertLe(taken * 10_000, uint256(amount) * bps);
        assertLt(uint256(amount) * bps, (taken + 2) * 10_000, "a wei less for each part, at most");
        assertEq(staking.stakeOf(alice, MODEL, MINER) + staking.pendingOf(alice) + taken, amount);
    }

    function testFuzz_checkpoints_stakeAndUnstake_historyStays(uint96 first, uint96 second, uint96 back) external {
        first = uint96(bound(first, MIN_MINER, 1e26));
        second = uint96(bound(second, 1, 1e26));
        back = uint96(bound(back, 1, uint256(first) + second));
        stakeAs(alice, MINER, first);
        skipBlocks(3);
        stakeAs(alice, MINER, second);
        skipBlocks(3);
        unstakeAs(alice, MINER, back);
        uint256 rest = uint256(first) + second - back;
        if (rest < MIN_MINER) rest = 0;
        uint256 now_ = vm.getBlockNumber();
        assertEq(staking.stakeAt(alice, MODEL, MINER, now_ - 7), 0);
        assertEq(staking.stakeAt(alice, MODEL, MINER, now_ - 4), first);
        assertEq(staking.totalAt(MODEL, MINER, now_ - 1), uint256(first) + second);
        assertEq(staking.stakeAt(alice, MODEL, MINER, now_), rest);
        assertEq(staking.countAt(MODEL, MINER, now_), rest == 0 ? 0 : 1);
    }
}
