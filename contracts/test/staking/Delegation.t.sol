// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {vm} from "../support/Vm.sol";
import {StakingWorld} from "./StakingWorld.sol";

/// @notice What others put on a validator: shares, slashes, rewards and commission.
contract DelegationTest is StakingWorld {
    uint256 private constant SEATS = 64;

    function setUp() public override {
        super.setUp();
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
    }

    function test_delegate_toAValidator_countsAndGivesShares() external {
        fund(bob, 50 ether);
        vm.expectEmit(address(staking));
        emit IStaking.Delegated(bob, MODEL, alice, 50 ether, 50 ether);
        vm.prank(bob);
        staking.delegate(MODEL, alice, 50 ether);
        assertEq(effective(alice, VALIDATOR), MIN_VALIDATOR + 50 ether);
        assertEq(staking.stakeOf(alice, MODEL, VALIDATOR), MIN_VALIDATOR + 50 ether);
        assertEq(staking.ownStakeOf(alice, MODEL, VALIDATOR), MIN_VALIDATOR);
        (uint256 own, uint256 delegated, uint256 shares, uint16 commission) = staking.poolOf(MODEL, alice);
        assertEq(own, MIN_VALIDATOR);
        assertEq(delegated, 50 ether);
        assertEq(shares, 50 ether);
        assertEq(commission, 1_000);
    }

    function test_delegate_zeroOrToNoValidator_refused() external {
        fund(bob, 2 ether);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.ZeroAmount.selector));
        staking.delegate(MODEL, alice, 0);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.NotEligible.selector, carol));
        staking.delegate(MODEL, carol, 1 ether);
        stakeAs(carol, VALIDATOR, MIN_VALIDATOR - 1);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.NotEligible.selector, carol));
        staking.delegate(MODEL, carol, 1 ether);
        staking.drop(MODEL, alice);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.NotEligible.selector, alice));
        staking.delegate(MODEL, alice, 1 ether);
    }

    function test_minimumOfZero_withoutOwnStakeNothingCounts() external {
        models.setMinimum(MODEL, VALIDATOR, 0);
        delegateAs(bob, alice, 1 ether);
        unstakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        assertEq(effective(alice, VALIDATOR), 0);
        fund(bob, 1 ether);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.NotEligible.selector, alice));
        staking.delegate(MODEL, alice, 1 ether);
    }

    function test_undelegate_zeroOrMoreThanHeld_refused() external {
        delegateAs(bob, alice, 1 ether);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.ZeroAmount.selector));
        staking.undelegate(MODEL, alice, 0);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.InsufficientStake.selector, 1 ether, 1 ether + 1));
        staking.undelegate(MODEL, alice, 1 ether + 1);
    }

    function test_undelegate_part_leavesByTheBucket() external {
        delegateAs(bob, alice, 4 ether);
        uint64 release = uint64(((block.number + UNBONDING + WIDTH - 1) / WIDTH) * WIDTH);
        vm.expectEmit(address(staking));
        emit IStaking.Undelegated(bob, MODEL, alice, 3 ether, 3 ether, release);
        vm.prank(bob);
        staking.undelegate(MODEL, alice, 3 ether);
        assertEq(effective(alice, VALIDATOR), MIN_VALIDATOR + 1 ether);
        (uint256 shares,) = staking.delegationOf(MODEL, alice, bob);
        assertEq(shares, 1 ether);
        vm.roll(release);
        assertEq(withdrawAs(bob), 3 ether);
    }

    function test_undelegate_worthLessThanAWei_nothingQueued() external {
        delegateAs(bob, alice, 2);
        staking.slash(MODEL, VALIDATOR, alice, 5_000);
        vm.prank(bob);
        staking.undelegate(MODEL, alice, 1);
        passUnbonding();
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.NothingToWithdraw.selector));
        staking.withdraw();
        vm.prank(bob);
        staking.undelegate(MODEL, alice, 1);
        passUnbonding();
        assertEq(withdrawAs(bob), 1);
    }

    function test_delegate_afterASlash_newcomersDontPayForIt() external {
        delegateAs(bob, alice, 10 ether);
        staking.slash(MODEL, VALIDATOR, alice, 5_000);
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        assertEq(delegateAs(carol, alice, 10 ether), 20 ether);
        (, uint256 assets) = staking.delegationOf(MODEL, alice, bob);
        assertEq(assets, 5 ether);
        (, assets) = staking.delegationOf(MODEL, alice, carol);
        assertEq(assets, 10 ether);
    }

    function test_operatorBelowMinimum_delegatedStakeCountsNoMore() external {
        delegateAs(bob, alice, 1_000 ether);
        unstakeAs(alice, VALIDATOR, 1);
        assertEq(effective(alice, VALIDATOR), 0);
        assertEq(staking.totalStake(MODEL, VALIDATOR), 0);
        skipBlocks(WIDTH);
        stakeAs(alice, VALIDATOR, 1);
        assertEq(effective(alice, VALIDATOR), MIN_VALIDATOR + 1_000 ether);
    }

    function test_delegate_toAnUnseated_seatsItOnlyIfItAsks() external {
        for (uint256 i; i < SEATS; ++i) {
            stakeAs(account("member", i), VALIDATOR, MIN_VALIDATOR + 1 ether);
        }
        assertEq(effective(alice, VALIDATOR), 0, "the lowest gave way");
        delegateAs(bob, alice, 1 ether);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.TooManyMembers.selector, MODEL, VALIDATOR));
        staking.reseat(MODEL, VALIDATOR);
        delegateAs(bob, alice, 1);
        assertEq(effective(alice, VALIDATOR), 0, "nobody is seated by others");
        vm.prank(alice);
        staking.reseat(MODEL, VALIDATOR);
        assertEq(effective(alice, VALIDATOR), MIN_VALIDATOR + 1 ether + 1);
    }

    function test_harvest_twoHolders_byTheirShares() external {
        delegateAs(bob, alice, 1 ether);
        delegateAs(carol, alice, 3 ether);
        rewards.put(MODEL, alice, 40 ether);
        vm.expectEmit(address(staking));
        emit IStaking.Harvested(MODEL, alice, 40 ether);
        assertEq(staking.harvest(MODEL, alice), 40 ether);
        assertEq(staking.delegationRewardOf(MODEL, alice, carol), 30 ether);
        vm.expectEmit(address(staking));
        emit IStaking.DelegationClaimed(bob, MODEL, alice, 10 ether);
        vm.prank(bob);
        assertEq(staking.claimDelegation(MODEL, alice), 10 ether);
        assertEq(token.balanceOf(bob), 10 ether);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.NothingToWithdraw.selector));
        staking.claimDelegation(MODEL, alice);
    }

    function test_harvest_nothingMatured_nothingHappens() external {
        vm.recordLogs();
        assertEq(staking.harvest(MODEL, alice), 0);
        assertEq(countLogs(vm.getRecordedLogs(), IStaking.Harvested.selector), 0);
    }

    function test_harvest_nobodyDelegates_theValidatorGetsIt() external {
        rewards.put(MODEL, alice, 5 ether);
        vm.prank(carol);
        staking.harvest(MODEL, alice);
        assertEq(staking.withdrawableOf(alice), 5 ether);
        assertEq(withdrawAs(alice), 5 ether);
    }

    function test_delegate_maturedRewards_staysWithThoseWhoWereThere() external {
        delegateAs(bob, alice, 1 ether);
        rewards.put(MODEL, alice, 7 ether);
        delegateAs(carol, alice, 99 ether);
        staking.harvest(MODEL, alice);
        assertEq(staking.delegationRewardOf(MODEL, alice, bob), 7 ether);
        assertEq(staking.delegationRewardOf(MODEL, alice, carol), 0);
    }

    function test_changeOfDelegation_creditsWhatWasEarned() external {
        delegateAs(bob, alice, 1 ether);
        rewards.put(MODEL, alice, 7 ether);
        staking.harvest(MODEL, alice);
        vm.expectEmit(address(staking));
        emit IStaking.DelegationClaimed(bob, MODEL, alice, 7 ether);
        vm.prank(bob);
        staking.undelegate(MODEL, alice, 1 ether);
        assertEq(staking.delegationRewardOf(MODEL, alice, bob), 0);
        assertEq(withdrawAs(bob), 7 ether);
    }

    function test_rewardsBroken_delegatingAndLeavingGoOn() external {
        delegateAs(bob, alice, 1 ether);
        rewards.setBroken(true);
        delegateAs(carol, alice, 1 ether);
        vm.prank(bob);
        staking.undelegate(MODEL, alice, 1 ether);
        passUnbonding();
        assertEq(withdrawAs(bob), 1 ether);
        vm.expectRevert(bytes("broken"));
        staking.harvest(MODEL, alice);
    }

    function test_commission_riseWaitsAndCutDoesNot() external {
        assertEq(staking.commissionOf(MODEL, alice), 1_000);
        vm.expectEmit(address(staking));
        emit IStaking.CommissionSet(alice, MODEL, 500, uint64(block.number));
        vm.prank(alice);
        staking.setCommission(MODEL, 500);
        assertEq(staking.commissionOf(MODEL, alice), 500);
        vm.expectEmit(address(staking));
        emit IStaking.CommissionSet(alice, MODEL, 500, uint64(block.number));
        vm.prank(alice);
        staking.setCommission(MODEL, 500);

        vm.expectEmit(address(staking));
        emit IStaking.CommissionSet(alice, MODEL, 5_000, uint64(block.number) + UNBONDING);
        vm.prank(alice);
        staking.setCommission(MODEL, 5_000);
        skipBlocks(UNBONDING - 1);
        assertEq(staking.commissionOf(MODEL, alice), 500);
        skipBlocks(1);
        assertEq(staking.commissionOf(MODEL, alice), 5_000);
        vm.prank(alice);
        staking.setCommission(MODEL, 0);
        assertEq(staking.commissionOf(MODEL, alice), 0);
    }

    function test_commission_riseReplaced_waitsAnewOrNotAtAll() external {
        vm.prank(alice);
        staking.setCommission(MODEL, 3_000);
        skipBlocks(UNBONDING / 2);
        vm.prank(alice);
        staking.setCommission(MODEL, 4_000);
        skipBlocks(UNBONDING / 2);
        assertEq(staking.commissionOf(MODEL, alice), 1_000);
        vm.prank(alice);
        staking.setCommission(MODEL, 900);
        skipBlocks(UNBONDING);
        assertEq(staking.commissionOf(MODEL, alice), 900);
    }

    function test_commission_aboveTheBound_refused() external {
        expectError(abi.encodeWithSelector(IStaking.BadCommission.selector, 5_001));
        staking.setCommission(MODEL, 5_001);
    }

    function testFuzz_pool_slashesAndDeposits_nobodyGainsOrPaysForOthers(
        uint96 first,
        uint96 second,
        uint16[4] memory slashes
    ) external {
        first = uint96(bound(first, 1, 1e26));
        second = uint96(bound(second, 1, 1e26));
        stakeAs(alice, VALIDATOR, 1e26);
        delegateAs(bob, alice, first);
        for (uint256 i; i < 4; ++i) {
            staking.slash(MODEL, VALIDATOR, alice, uint16(bound(slashes[i], 0, 5_000)));
        }
        (, uint256 before) = staking.delegationOf(MODEL, alice, bob);
        uint256 shares = delegateAs(carol, alice, second);
        assertGe(shares, second, "a wei buys a share at least");
        (, uint256 afterwards) = staking.delegationOf(MODEL, alice, bob);
        (, uint256 hers) = staking.delegationOf(MODEL, alice, carol);
        assertGe(afterwards, before);
        assertLe(afterwards, before + 1);
        assertLe(hers, second);
        assertGe(hers + 1, second);
    }

    function testFuzz_harvest_anyShares_paysNoMoreThanCameIn(uint96 first, uint96 second, uint96 reward) external {
        first = uint96(bound(first, 1, 1e26));
        second = uint96(bound(second, 1, 1e26));
        reward = uint96(bound(reward, 1, 1e26));
        delegateAs(bob, alice, first);
        delegateAs(carol, alice, second);
        rewards.put(MODEL, alice, reward);
        staking.harvest(MODEL, alice);
        uint256 paid =
            staking.delegationRewardOf(MODEL, alice, bob) + staking.delegationRewardOf(MODEL, alice, carol);
        assertLe(paid, reward);
        assertGe(paid + 2, reward);
    }
}
