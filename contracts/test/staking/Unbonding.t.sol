// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {vm} from "../support/Vm.sol";
import {StakingWorld} from "./StakingWorld.sol";

/// @notice How stake leaves: buckets, slashes on the way, and lists that can't get stuck.
contract UnbondingTest is StakingWorld {
    function test_unstake_inOneBucket_oneEntryAndOneRelease() external {
        stakeAs(alice, MINER, 3 * MIN_MINER);
        vm.roll(1_001);
        unstakeAs(alice, MINER, MIN_MINER);
        vm.roll(1_010);
        unstakeAs(alice, MINER, MIN_MINER);
        vm.roll(1_011);
        unstakeAs(alice, MINER, MIN_MINER);
        vm.roll(1_050);
        assertEq(withdrawAs(alice), 2 * MIN_MINER);
        vm.roll(1_060);
        assertEq(withdrawAs(alice), MIN_MINER);
    }

    function test_slash_releasedAndUnreleased_onlyTheLatter() external {
        stakeAs(alice, MINER, 4 * MIN_MINER);
        unstakeAs(alice, MINER, MIN_MINER);
        vm.roll(1_020);
        unstakeAs(alice, MINER, MIN_MINER);
        vm.roll(1_039);
        unstakeAs(alice, MINER, MIN_MINER);
        vm.roll(1_040);
        staking.slash(MODEL, MINER, alice, 1_000);
        assertEq(token.balanceOf(treasury), (3 * MIN_MINER) / 10);
        assertEq(staking.withdrawableOf(alice), MIN_MINER);
        assertEq(staking.pendingOf(alice), (28 * MIN_MINER) / 10);
        passUnbonding();
        assertEq(withdrawAs(alice), (28 * MIN_MINER) / 10);
    }

    function test_slash_othersModelsAndRoles_untouched() external {
        stakeAs(alice, MINER, MIN_MINER);
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        stakeAs(bob, MINER, MIN_MINER);
        unstakeAs(alice, MINER, MIN_MINER);
        unstakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        unstakeAs(bob, MINER, MIN_MINER);
        staking.slash(MODEL, MINER, alice, 5_000);
        assertEq(staking.pendingOf(alice), MIN_MINER / 2 + MIN_VALIDATOR);
        assertEq(staking.pendingOf(bob), MIN_MINER);
    }

    function test_slash_sameBucketOfAnotherModel_untouched() external {
        stakeAs(alice, MINER, MIN_MINER);
        fund(alice, MIN_MINER);
        vm.prank(alice);
        staking.stake(OTHER_MODEL, MINER, MIN_MINER);
        unstakeAs(alice, MINER, MIN_MINER);
        vm.prank(alice);
        staking.unstake(OTHER_MODEL, MINER, MIN_MINER);
        staking.slash(MODEL, MINER, alice, 5_000);
        assertEq(staking.pendingOf(alice), MIN_MINER / 2 + MIN_MINER);
        passUnbonding();
        assertEq(withdrawAs(alice), MIN_MINER / 2 + MIN_MINER);
    }

    function test_unstake_afterASlashOfTheSameBucket_paysInFull() external {
        stakeAs(alice, MINER, 3 * MIN_MINER);
        unstakeAs(alice, MINER, MIN_MINER);
        staking.slash(MODEL, MINER, alice, 5_000);
        unstakeAs(alice, MINER, MIN_MINER);
        assertEq(staking.pendingOf(alice), MIN_MINER / 2 + MIN_MINER);
        passUnbonding();
        assertEq(withdrawAs(alice), MIN_MINER / 2 + MIN_MINER);
    }

    function test_withdraw_entryWithoutWorth_goesAway() external {
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        delegateAs(bob, alice, 1);
        delegateAs(carol, alice, 1);
        vm.prank(bob);
        staking.undelegate(MODEL, alice, 1);
        vm.prank(carol);
        staking.undelegate(MODEL, alice, 1);
        staking.slash(MODEL, VALIDATOR, alice, 5_000);
        passUnbonding();
        assertEq(staking.pendingOf(bob), 0, "half a wei is none");
        assertEq(withdrawAs(bob), 0);
        vm.prank(bob);
        expectError(abi.encodeWithSelector(IStaking.NothingToWithdraw.selector));
        staking.withdraw();
        assertEq(withdrawAs(carol), 1, "who comes last gets what is left");
    }

    function test_unstake_listIsFull_releasedOnesMakeRoom() external {
        _fillList(64);
        stakeAs(alice, MINER, MIN_MINER);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.TooManyUnbondings.selector));
        staking.unstake(MODEL, MINER, MIN_MINER);
        passUnbonding();
        unstakeAs(alice, MINER, MIN_MINER);
        assertEq(staking.withdrawableOf(alice), 64 ether);
        assertEq(staking.pendingOf(alice), 64 ether + MIN_MINER);
        assertEq(withdrawAs(alice), 64 ether);
        passUnbonding();
        assertEq(withdrawAs(alice), MIN_MINER);
    }

    function test_unstake_listIsFullButTheBucketIsThere_merges() external {
        _fillList(63);
        stakeAs(alice, MINER, MIN_MINER);
        unstakeAs(alice, MINER, 1);
        unstakeAs(alice, MINER, 1);
        assertEq(staking.pendingOf(alice), 63 ether + 2);
    }

    function test_withdraw_someReleased_keepsTheRest() external {
        stakeAs(alice, MINER, 10 * MIN_MINER);
        for (uint256 i; i < 5; ++i) {
            unstakeAs(alice, MINER, MIN_MINER);
            skipBlocks(WIDTH);
        }
        assertEq(withdrawAs(alice), 2 * MIN_MINER);
        skipBlocks(WIDTH);
        assertEq(withdrawAs(alice), MIN_MINER);
        passUnbonding();
        assertEq(withdrawAs(alice), 2 * MIN_MINER);
    }

    function test_unbondingOfZero_releasedAtOnce() external {
        staking = makeStaking(0);
        stakeAs(alice, MINER, MIN_MINER);
        unstakeAs(alice, MINER, MIN_MINER);
        staking.slash(MODEL, MINER, alice, 5_000);
        assertEq(withdrawAs(alice), MIN_MINER);
    }

    function testFuzz_release_anyUnbondingTime_inTimeAndSlashableUntilThen(uint64 unbonding, uint64 start) external {
        unbonding = uint64(bound(unbonding, 1, 500_000));
        vm.roll(bound(start, 1, 1e9));
        staking = makeStaking(unbonding);
        stakeAs(alice, MINER, 1_000 ether);
        uint256 from = vm.getBlockNumber();
        unstakeAs(alice, MINER, 1_000 ether);
        vm.roll(from + unbonding - 1);
        assertEq(staking.withdrawableOf(alice), 0);
        staking.slash(MODEL, MINER, alice, 1_000);
        assertEq(staking.pendingOf(alice), 900 ether, "slashable for the whole time");
        vm.roll(from + unbonding + unbonding / 4);
        staking.slash(MODEL, MINER, alice, 1_000);
        assertEq(staking.withdrawableOf(alice), 900 ether, "a quarter more at most, then safe");
        assertEq(withdrawAs(alice), 900 ether);
    }

    function testFuzz_slash_manyLeavers_sameRateForAll(uint96[8] memory amounts, uint16 bps) external {
        bps = uint16(bound(bps, 0, 5_000));
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        for (uint256 i; i < 8; ++i) {
            amounts[i] = uint96(bound(amounts[i], 1, 1e25));
            address who = account("leaver", i);
            uint256 shares = delegateAs(who, alice, amounts[i]);
            vm.prank(who);
            staking.undelegate(MODEL, alice, shares);
            skipBlocks(UNBONDING / 10);
        }
        staking.slash(MODEL, VALIDATOR, alice, bps);
        passUnbonding();
        for (uint256 i; i < 8; ++i) {
            uint256 full = uint256(amounts[i]) * (10_000 - bps);
            uint256 got = withdrawAs(account("leaver", i)) * 10_000;
            assertGe(got + 10_000, full);
            assertLe(got, full + 50_000, "roundings of those who came before");
        }
        assertEq(token.balanceOf(address(staking)), staking.stakeOf(alice, MODEL, VALIDATOR), "nothing is left behind");
    }

    /// @dev Gives alice a list of `count` entries of one ether each, all in buckets of other validators.
    function _fillList(uint256 count) private {
        fund(alice, count * 1 ether);
        for (uint256 i; i < count; ++i) {
            address validator = account("validator", i);
            stakeAs(validator, VALIDATOR, MIN_VALIDATOR);
            vm.prank(alice);
            staking.delegate(MODEL, validator, 1 ether);
            vm.prank(alice);
            staking.undelegate(MODEL, validator, 1 ether);
        }
    }
}
