// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {vm} from "../support/Vm.sol";
import {StakingWorld} from "./StakingWorld.sol";

/// @notice What the calls of staking cost, each as if alone in its transaction: nothing is warm.
contract StakingGasTest is StakingWorld {
    address private holder = address(0x401DE2);

    /// @dev Model 1 has all its seats taken, model 2 has room. Bob validates there, with a delegator, and is leaving in part.
    function setUp() public override {
        super.setUp();
        for (uint256 i; i < 256; ++i) {
            stakeAs(account("member", i), MINER, MIN_MINER);
            if (i < 64) stakeAs(account("member", i), VALIDATOR, MIN_VALIDATOR);
        }
        fund(alice, 1_000 ether);
        fund(bob, 1_000 ether);
        fund(carol, 1_000 ether);
        fund(holder, 1_000 ether);
        vm.prank(bob);
        staking.stake(OTHER_MODEL, VALIDATOR, 3 * MIN_VALIDATOR);
        vm.prank(holder);
        staking.delegate(OTHER_MODEL, bob, 10 ether);
        for (uint256 i; i < 7; ++i) {
            vm.roll(1_000 + WIDTH * i);
            vm.prank(bob);
            staking.unstake(OTHER_MODEL, VALIDATOR, 1 ether);
        }
        rewards.put(OTHER_MODEL, bob, 1 ether);
        vm.roll(1_101);
    }

    function test_gas_whenASeatIsFree_thenRecorded() external {
        _as(alice);
        staking.stake(OTHER_MODEL, VALIDATOR, MIN_VALIDATOR);
        _keep("stake: first, free seat");
    }

    function test_gas_whenToppedUp_thenRecorded() external {
        _as(bob);
        staking.stake(OTHER_MODEL, VALIDATOR, 1 ether);
        _keep("stake: top-up");
    }

    function test_gas_whenAValidatorsSeatIsTaken_thenRecorded() external {
        _as(alice);
        staking.stake(MODEL, VALIDATOR, 2 * MIN_VALIDATOR);
        _keep("stake: takes one of 64 seats");
    }

    function test_gas_whenAMinersSeatIsTaken_thenRecorded() external {
        _as(alice);
        staking.stake(MODEL, MINER, 2 * MIN_MINER);
        _keep("stake: takes one of 256 seats");
    }

    function test_gas_whenUnstaked_thenRecorded() external {
        _as(account("member", 5));
        staking.unstake(MODEL, VALIDATOR, MIN_VALIDATOR);
        _keep("unstake: all");
    }

    function test_gas_whenWithdrawn_thenRecorded() external {
        _as(bob);
        staking.withdraw();
        _keep("withdraw: six entries");
    }

    function test_gas_whenDelegated_thenRecorded() external {
        _as(carol);
        staking.delegate(OTHER_MODEL, bob, 1 ether);
        _keep("delegate: with a harvest");
    }

    function test_gas_whenUndelegated_thenRecorded() external {
        _as(holder);
        staking.undelegate(OTHER_MODEL, bob, 5 ether);
        _keep("undelegate");
    }

    function test_gas_whenHarvestedAndClaimed_thenRecorded() external {
        _as(carol);
        staking.harvest(OTHER_MODEL, bob);
        _keep("harvest");
        _as(holder);
        staking.claimDelegation(OTHER_MODEL, bob);
        _keep("claimDelegation");
    }

    function test_gas_whenSlashed_thenRecorded() external {
        vm.roll(1_061);
        _cool();
        staking.slash(OTHER_MODEL, VALIDATOR, bob, 500);
        _keep("slash: with delegated and leaving stake");
        vm.roll(1_062);
    }

    function test_gas_whenDropped_thenRecorded() external {
        _cool();
        staking.drop(OTHER_MODEL, bob);
        _keep("drop");
    }

    function test_gas_whenSeatsAreRead_thenRecorded() external {
        _cool();
        staking.seatsAt(MODEL, vm.getBlockNumber() - 1);
        _keep("seatsAt: 64 validators");
    }

    function _as(address who) private {
        _cool();
        vm.prank(who);
    }

    function _cool() private {
        vm.cool(address(staking));
        vm.cool(address(token));
        vm.cool(address(models));
        vm.cool(address(rewards));
    }

    function _keep(string memory name) private {
        vm.snapshotGasLastCall("staking", name);
    }
}
