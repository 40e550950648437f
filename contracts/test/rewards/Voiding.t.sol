// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {RewardsWorld} from "./RewardsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice Rounds whose rewards are taken back before they mature.
contract VoidingTest is RewardsWorld {
    function test_voidRound_whenSettled_thenBurnsCarriesAndRemovesShares() external {
        _settleFor(ROOT, 1, alice);
        uint256 shares = rewards.sharesOf(ROOT, alice);
        uint256 supply = token.totalSupply();
        assertFalse(rewards.isVoided(ROOT, 1));
        vm.expectEmit(address(rewards));
        emit IRewards.RewardsVoided(ROOT, 1, 50e18, shares);
        _void(ROOT, 1);
        assertTrue(rewards.isVoided(ROOT, 1));
        assertEq(token.totalSupply(), supply - 50e18);
        assertEq(rewards.carry(ROOT), 35e18 + 50e18);
        assertEq(rewards.owed(), 0);
        assertEq(rewards.vesting(alice), 0);
        assertEq(rewards.totalShares(ROOT), 0);
        assertEq(rewards.sharesOf(ROOT, alice), 0);
        _assertSolvent();
        skipBlocks(VESTING);
        assertEq(rewards.claimable(alice, _ids(ROOT)), 0);
        assertEq(_claim(alice, _ids(ROOT)), 0);
    }

    function test_voidRound_whenOneOfThree_thenTheOthersPay() external {
        _settleFor(ROOT, 1, alice);
        _settleFor(ROOT, 2, alice);
        _settleFor(CHILD, 2, alice);
        uint256 voided = rewards.sharesAt(2) * 8000 / 10_000;
        uint256 shares = rewards.sharesOf(ROOT, alice);
        _void(ROOT, 2);
        assertEq(rewards.sharesOf(ROOT, alice), shares - voided);
        assertEq(rewards.totalShares(ROOT), shares - voided);
        skipBlocks(VESTING);
        // of the child's hundred, five are the parent's, whose shares are alice's; half of them were voided before they matured
        uint256 paid = _claim(alice, _ids(ROOT));
        assertGt(paid, 100e18);
        assertLt(paid, 105e18);
        assertLe(rewards.owed(), 2, "dust");
        _assertSolvent();
    }

    function test_voidRound_whenItsSharesHadDividends_thenTheTreasuryGetsThem() external {
        _settleFor(ROOT, 1, alice);
        skipBlocks(VESTING);
        _settleFor(ROOT, 2, bob);
        _claim(alice, _ids(ROOT));
        _addFee(ROOT, 1000e18);
        (uint256 a, uint256 b) = (rewards.sharesOf(ROOT, alice), rewards.sharesOf(ROOT, bob));
        uint256 lost = 250e18 * b / (a + b);
        uint256 before = token.balanceOf(treasury);
        vm.prank(bob);
        assertEq(rewards.claim(_ids(ROOT)), 0, "nothing can be taken before");
        _void(ROOT, 2);
        assertApproxEqAbs(token.balanceOf(treasury) - before, lost, 1);
        assertApproxEqAbs(_claim(alice, _ids(ROOT)), 250e18 - lost, 1);
        skipBlocks(VESTING);
        assertEq(_claim(bob, _ids(ROOT)), 0);
        _claim(server);
        assertLe(rewards.owed(), 2);
        _assertSolvent();
    }

    function test_voidRound_whenFeesComeAfterIt_thenOnlyTheOthersGetThem() external {
        _settleFor(ROOT, 1, alice);
        _settleFor(ROOT, 2, bob);
        _void(ROOT, 2);
        _addFee(ROOT, 1000e18);
        skipBlocks(VESTING);
        assertEq(_claim(bob, _ids(ROOT)), 0);
        assertApproxEqAbs(_claim(alice, _ids(ROOT)), 50e18 + 250e18, 1);
    }

    function test_voidRound_whenStillSettled_thenTheRestOfItIsCarried() external {
        _beginLater(ROOT, 1);
        _payMiner(ROOT, 1, alice, 40);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardsVoided(ROOT, 1, 20e18, rewards.sharesAt(1) * 8000 / 10_000 * 40 / 100);
        _void(ROOT, 1);
        _payMiner(ROOT, 1, bob, 60);
        _payOwner(ROOT, 1, bob, 60);
        _payValidator(ROOT, 1, carol, 100);
        vm.expectEmit(address(rewards));
        emit IRewards.EmissionSettled(ROOT, 1, 100e18, 0, 0, 100e18);
        _finish(ROOT, 1);
        assertEq(rewards.carry(ROOT), 100e18);
        assertEq(rewards.reserved(), 0);
        assertEq(rewards.owed(), 0);
        assertEq(rewards.totalShares(ROOT), 0);
        assertEq(token.totalSupply(), GENESIS);
        assertEq(rewards.vesting(alice) + rewards.vesting(bob) + rewards.vesting(carol), 0);
        _assertSolvent();
    }

    function test_voidRound_whenNothingWasCredited_thenOnlyTheMark() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.modelStake = 0;
        _begin(o);
        _finish(ROOT, 1);
        vm.recordLogs();
        _void(ROOT, 1);
        assertEq(vm.getRecordedLogs().length, 1);
        assertTrue(rewards.isVoided(ROOT, 1));
    }

    function test_voidRound_whenArchiveAndDelegatorsWerePaid_thenTheirsIsBurnedToo() external {
        staking.setPool(ROOT, bob, 1e18, 1e18, 0);
        vm.prank(admin);
        rewards.setArchive(ROOT, archive);
        _beginLater(ROOT, 1);
        _payOwner(ROOT, 1, carol, 100);
        _payValidator(ROOT, 1, bob, 100);
        _finish(ROOT, 1);
        assertEq(rewards.owed(), 15e18 + 20e18 + 2e18);
        _void(ROOT, 1);
        assertEq(rewards.owed(), 0);
        skipBlocks(VESTING);
        assertEq(_claimable(archive) + _claimable(bob) + _claimable(carol), 0);
        vm.prank(address(staking));
        assertEq(rewards.claimPool(ROOT, bob), 0);
        _assertSolvent();
    }

    function test_voidRound_whenTwiceOrMaturedOrUnknown_thenReverts() external {
        expectError(abi.encodeWithSelector(IRewards.NotVoidable.selector, ROOT, 1));
        _void(ROOT, 1);
        _settleFor(ROOT, 1, alice);
        _settleFor(CHILD, 1, alice);
        _void(ROOT, 1);
        expectError(abi.encodeWithSelector(IRewards.NotVoidable.selector, ROOT, 1));
        _void(ROOT, 1);
        rollTo(rewards.unlockOf(CHILD, 1));
        expectError(abi.encodeWithSelector(IRewards.NotVoidable.selector, CHILD, 1));
        _void(CHILD, 1);
    }

    function test_voidRound_inTheLastBlockBeforeMaturity_thenWorks() external {
        _settleFor(ROOT, 1, alice);
        rollTo(rewards.unlockOf(ROOT, 1) - 1);
        _void(ROOT, 1);
    }

    function test_voidRound_whenVoidedLotIsFirst_thenLaterLotsMature() external {
        _settleFor(ROOT, 1, alice);
        skipBlocks(50);
        _void(ROOT, 1);
        _settleFor(ROOT, 2, alice);
        assertEq(_claim(alice, _ids(ROOT)), 0);
        rollTo(rewards.unlockOf(ROOT, 2));
        _addFee(ROOT, 100e18);
        assertApproxEqAbs(_claim(alice, _ids(ROOT)), 25e18 + _minersOf(2), 1);
        assertEq(rewards.sharesOf(ROOT, alice), rewards.sharesAt(2) * 8000 / 10_000);
    }

    function test_voidRound_whenCarriedAgain_thenPaidWithLaterRounds() external {
        _settleFor(ROOT, 1, alice);
        _void(ROOT, 1);
        _beginLater(ROOT, 2);
        assertEq(rewards.reserved(), 185e18);
    }

    /// @dev Miners' half of round 2's pot, which has the 85 that were carried of round 1, and 50 more blocks.
    function _minersOf(uint64) private pure returns (uint256) {
        return (100e18 + 85e18) / 2;
    }
}
