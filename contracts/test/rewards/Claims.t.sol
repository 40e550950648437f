// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {RewardsWorld} from "./RewardsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice What accounts can take, when, and once.
contract ClaimsTest is RewardsWorld {
    function test_claim_whenNothing_thenZero() external {
        vm.recordLogs();
        assertEq(_claim(alice), 0);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_claim_whenMatured_thenOnceAndNotABlockEarlier() external {
        _begin(ROOT, 1);
        uint64 unlock = rewards.unlockOf(ROOT, 1);
        _payMiner(ROOT, 1, alice, 100);
        skipBlocks(10);
        _payMiner(ROOT, 1, bob, 0);
        _finish(ROOT, 1);
        rollTo(unlock - 1);
        assertEq(_claimable(alice), 0);
        assertEq(_claim(alice), 0);
        assertEq(rewards.vesting(alice), 50e18);
        rollTo(unlock);
        assertEq(_claimable(alice), 50e18);
        assertEq(rewards.vesting(alice), 0);
        vm.expectEmit(address(rewards));
        emit IRewards.Claimed(alice, 50e18);
        assertEq(_claim(alice), 50e18);
        assertEq(token.balanceOf(alice), 50e18);
        assertEq(_claim(alice), 0);
        assertEq(rewards.owed(), 0);
        _assertSolvent();
    }

    function test_claim_whenOneOfTwoRoundsMatured_thenThatOne() external {
        _settleFor(ROOT, 1, alice);
        skipBlocks(50);
        _settleFor(CHILD, 1, alice);
        rollTo(rewards.unlockOf(ROOT, 1));
        assertEq(_claimable(alice), 50e18);
        assertEq(rewards.vesting(alice), 50e18);
        assertEq(_claim(alice), 50e18);
        rollTo(rewards.unlockOf(CHILD, 1));
        assertEq(_claim(alice), 50e18);
    }

    function test_claim_whenPagesOfTwoModelsInterleave_thenWaitsForTheFirstCredited() external {
        _begin(ROOT, 1);
        skipBlocks(7);
        _begin(CHILD, 1);
        _payMiner(CHILD, 1, alice, 100);
        _payMiner(ROOT, 1, alice, 100);
        rollTo(rewards.unlockOf(ROOT, 1));
        assertEq(_claimable(alice), 0);
        assertEq(rewards.vesting(alice), 50e18, "the matured one is not locked, only waits");
        rollTo(rewards.unlockOf(CHILD, 1));
        assertEq(_claim(alice), 100e18);
    }

    function test_claim_whenItsPagesComeAfterMaturity_thenCreditedAnew() external {
        _begin(ROOT, 1);
        _payMiner(ROOT, 1, alice, 50);
        skipBlocks(VESTING);
        assertEq(_claim(alice), 25e18);
        _payMiner(ROOT, 1, alice, 50);
        assertEq(_claim(alice), 25e18);
        _finish(ROOT, 1);
        assertEq(rewards.sharesOf(ROOT, alice), 2 * (rewards.sharesAt(1) * 8000 / 10_000 / 2));
        _assertSolvent();
    }

    function test_claim_whenManyRounds_thenAHundredAndTwentyEightACall() external {
        _settleManyForAlice();
        uint256 shares = rewards.sharesOf(ROOT, alice);
        assertEq(_claimable(alice), _claim(alice));
        // what data and validators leave is carried, so the pot has grown to 100 / (1 - 0.35); half of it is the miner's
        assertApproxEqAbs(rewards.owed(), 2 * uint256(50e18) * 100 / 65, 10);
        assertEq(_claimable(alice), rewards.owed());
        _claim(alice, _ids(ROOT));
        assertEq(rewards.owed(), 0);
        assertEq(_claim(alice, _ids(ROOT)), 0);
        assertEq(rewards.sharesOf(ROOT, alice), shares, "claiming gives and takes no shares");
        assertEq(rewards.totalShares(ROOT), shares);
    }

    function test_claim_whenManyLots_thenDividendsOfAllInTwoCalls() external {
        _settleManyForAlice();
        while (_claim(alice) > 0) {}
        _addFee(ROOT, 1000e18);
        uint256 first = _claim(alice, _ids(ROOT));
        uint256 second = _claim(alice, _ids(ROOT));
        assertGt(second, 0);
        assertApproxEqAbs(first + second, 250e18, 130);
        assertEq(_claim(alice, _ids(ROOT)), 0);
        _addFee(ROOT, 1000e18);
        assertApproxEqAbs(_claim(alice, _ids(ROOT)), 250e18, 1);
    }

    function test_claim_whenOneRoundPaysManyTimes_thenAllInOneCall() external {
        vm.pauseGasMetering();
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.totalConsensus = 130;
        _begin(o);
        for (uint256 i; i < 130; ++i) {
            _payMiner(ROOT, 1, alice, 1);
        }
        _finish(ROOT, 1);
        skipBlocks(VESTING);
        _addFee(ROOT, 1000e18);
        assertApproxEqAbs(_claim(alice, _ids(ROOT)), 50e18 + 250e18, 131);
        assertEq(_claim(alice, _ids(ROOT)), 0);
    }

    function test_claimable_whenModelsRepeat_thenCountedOnce() external {
        _settleFor(ROOT, 1, alice);
        skipBlocks(VESTING);
        _addFee(ROOT, 100e18);
        uint256[] memory twice = new uint256[](3);
        (twice[0], twice[1], twice[2]) = (ROOT, CHILD, ROOT);
        assertApproxEqAbs(rewards.claimable(alice, twice), 50e18 + 25e18, 1);
        assertEq(_claim(alice, twice), rewards.claimable(alice, twice) + token.balanceOf(alice));
    }

    function test_addFee_whenNotChannels_thenReverts() external {
        expectError(abi.encodeWithSelector(IRewards.NotChannels.selector, alice));
        vm.prank(alice);
        rewards.addFee(ROOT, server, 1);
    }

    function test_addFee_whenNobodyHoldsShares_thenServerAtOnceAndTheRestToTheTreasury() external {
        uint256 before = token.balanceOf(treasury);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardCredited(CHILD, 0, server, KIND_SERVER, 60e18, uint64(vm.getBlockNumber()));
        vm.expectEmit(address(rewards));
        emit IRewards.FeeDistributed(CHILD, server, 100e18, 60e18, 0, 0, 40e18);
        vm.expectEmit(address(rewards));
        emit IRewards.TreasuryPaid(CHILD, 0, 40e18);
        this.addFee(CHILD, 100e18);
        assertEq(token.balanceOf(treasury), before - 60e18);
        assertEq(_claimable(server), 60e18);
        _assertSolvent();
        assertEq(_claim(server), 60e18);
        assertEq(_claim(server), 0);
    }

    /// @dev The fee comes from the treasury's genesis tokens, without a log of the transfer between.
    function addFee(uint256 modelId, uint256 amount) external {
        vm.prank(treasury);
        token.transfer(address(rewards), amount);
        vm.prank(channels);
        rewards.addFee(modelId, server, amount);
    }

    function test_addFee_whenOneWei_thenNothingIsLost() external {
        vm.recordLogs();
        _addFee(ROOT, 1);
        // the transfer in, the division, the treasury's line and its transfer
        assertEq(vm.getRecordedLogs().length, 4);
        assertEq(rewards.owed(), 0);
        _assertSolvent();
    }

    function test_addFee_whenNothing_thenNothing() external {
        _settleFor(ROOT, 1, alice);
        vm.recordLogs();
        vm.prank(channels);
        rewards.addFee(ROOT, server, 0);
        assertEq(vm.getRecordedLogs().length, 1);
        _assertSolvent();
    }

    function test_addFee_whenGovernedAnew_thenByTheNewTable() external {
        IRewards.Splits memory table = rewards.splits();
        (table.feeServer, table.feeModel) = (7000, 1500);
        vm.prank(admin);
        rewards.setSplits(table);
        _addFee(ROOT, 100e18);
        assertEq(_claimable(server), 70e18);
    }

    function test_claimPool_whenNotStaking_thenReverts() external {
        expectError(abi.encodeWithSelector(IRewards.NotStaking.selector, alice));
        vm.prank(alice);
        rewards.claimPool(ROOT, alice);
    }

    function test_claimPool_whenMatured_thenPaysStakingOnce() external {
        staking.setPool(ROOT, alice, 100e18, 100e18, 0);
        _begin(ROOT, 1);
        _payValidator(ROOT, 1, alice, 100);
        _finish(ROOT, 1);
        vm.startPrank(address(staking));
        vm.recordLogs();
        assertEq(rewards.claimPool(ROOT, alice), 0);
        assertEq(vm.getRecordedLogs().length, 0);
        skipBlocks(VESTING);
        assertEq(rewards.claimPool(CHILD, alice), 0);
        assertEq(rewards.claimPool(ROOT, bob), 0);
        vm.expectEmit(address(rewards));
        emit IRewards.PoolClaimed(ROOT, alice, 10e18);
        assertEq(rewards.claimPool(ROOT, alice), 10e18);
        assertEq(rewards.claimPool(ROOT, alice), 0);
        vm.stopPrank();
        assertEq(token.balanceOf(address(staking)), 10e18);
        assertEq(rewards.owed(), 10e18);
        _assertSolvent();
    }

    /// @dev A hundred and thirty rounds, all matured.
    function _settleManyForAlice() private {
        vm.pauseGasMetering();
        for (uint64 round = 1; round <= 130; ++round) {
            vm.roll(vm.getBlockNumber() + 100);
            _begin(ROOT, round);
            _payMiner(ROOT, round, alice, 100);
            _finish(ROOT, round);
        }
        skipBlocks(VESTING);
        vm.resumeGasMetering();
    }
}
