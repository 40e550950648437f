// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {RewardsWorld} from "./RewardsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice How income flows to shareholders, and up the tree.
contract DividendsFlowTest is RewardsWorld {
    function test_addFee_whenSharesAreFresh_thenDividendsWaitUntilTheyMature() external {
        _settleFor(ROOT, 1, alice);
        vm.expectEmit(address(rewards));
        emit IRewards.DividendsAdded(ROOT, ROOT, 0, 25e18);
        this.addFee(ROOT, 100e18);
        assertEq(rewards.claimable(alice, _ids(ROOT)), 0);
        rollTo(rewards.unlockOf(ROOT, 1) - 1);
        assertEq(_claim(alice, _ids(ROOT)), 0);
        rollTo(rewards.unlockOf(ROOT, 1));
        assertApproxEqAbs(rewards.claimable(alice, _ids(ROOT)), 50e18 + 25e18, 1);
        assertApproxEqAbs(_claim(alice, _ids(ROOT)), 50e18 + 25e18, 1);
        assertEq(_claim(alice, _ids(ROOT)), 0);
        _assertSolvent();
    }

    function addFee(uint256 modelId, uint256 amount) external {
        _addFee(modelId, amount);
    }

    function test_addFee_whenRoundIsStillSettled_thenItsSharesGetNothingOfIt() external {
        _settleFor(ROOT, 1, alice);
        _beginLater(ROOT, 2);
        _payMiner(ROOT, 2, bob, 100);
        _addFee(ROOT, 100e18);
        _finish(ROOT, 2);
        skipBlocks(VESTING);
        _claim(bob);
        assertEq(_claim(bob, _ids(ROOT)), 0);
        _claim(alice);
        assertApproxEqAbs(_claim(alice, _ids(ROOT)), 25e18, 1);
    }

    function test_addFee_whenSettlingOutlastsVesting_thenItsLotWaitsForTheEnd() external {
        _settleFor(ROOT, 1, alice);
        _beginLater(ROOT, 2);
        _payMiner(ROOT, 2, bob, 100);
        skipBlocks(VESTING);
        _claim(bob, _ids(ROOT));
        assertEq(rewards.sharesOf(ROOT, bob), 0);
        _finish(ROOT, 2);
        uint256 shares = rewards.sharesOf(ROOT, bob);
        assertGt(shares, 0);
        _addFee(ROOT, 100e18);
        assertApproxEqAbs(_claim(bob, _ids(ROOT)), 25e18 * shares / rewards.totalShares(ROOT), 1);
    }

    function test_addFee_whenSharesDiffer_thenInProportion() external {
        _settleFor(ROOT, 1, alice);
        _settleFor(ROOT, 2, bob);
        skipBlocks(VESTING);
        _claim(alice, _ids(ROOT));
        _claim(bob, _ids(ROOT));
        _addFee(ROOT, 1000e18);
        (uint256 a, uint256 b) = (rewards.sharesOf(ROOT, alice), rewards.sharesOf(ROOT, bob));
        assertEq(rewards.totalShares(ROOT), a + b);
        assertApproxEqAbs(_claim(alice, _ids(ROOT)), 250e18 * a / (a + b), 1);
        assertApproxEqAbs(_claim(bob, _ids(ROOT)), 250e18 * b / (a + b), 1);
        _assertSolvent();
    }

    function test_addFee_whenParentsHaveShareholders_thenEachKeepsItsPart() external {
        _settleFor(ROOT, 1, alice);
        _settleFor(CHILD, 1, bob);
        _settleFor(GRANDCHILD, 1, carol);
        vm.expectEmit(address(rewards));
        emit IRewards.DividendsAdded(GRANDCHILD, GRANDCHILD, 0, 25e18);
        vm.expectEmit(address(rewards));
        emit IRewards.DividendsAdded(CHILD, GRANDCHILD, 0, 8e18);
        vm.expectEmit(address(rewards));
        emit IRewards.DividendsAdded(ROOT, GRANDCHILD, 0, 2e18);
        vm.expectEmit(address(rewards));
        emit IRewards.FeeDistributed(GRANDCHILD, server, 100e18, 60e18, 25e18, 10e18, 5e18);
        this.addFee(GRANDCHILD, 100e18);
        _assertSolvent();
    }

    function test_addFee_whenOnlyTheRootHasShareholders_thenTheChildsPartIsTheTreasurys() external {
        _settleFor(ROOT, 1, alice);
        vm.expectEmit(address(rewards));
        emit IRewards.FeeDistributed(GRANDCHILD, server, 100e18, 60e18, 0, 2e18, 38e18);
        this.addFee(GRANDCHILD, 100e18);
    }

    function test_finish_whenParentHasShareholders_thenTheyGetThePart() external {
        _settleFor(ROOT, 1, alice);
        _settleFor(CHILD, 1, bob);
        uint256 before = rewards.owed();
        _beginLater(GRANDCHILD, 1);
        vm.expectEmit(address(rewards));
        emit IRewards.DividendsAdded(CHILD, GRANDCHILD, 1, 4e18);
        vm.expectEmit(address(rewards));
        emit IRewards.DividendsAdded(ROOT, GRANDCHILD, 1, 1e18);
        vm.expectEmit(address(rewards));
        emit IRewards.TreasuryPaid(GRANDCHILD, 1, 10e18);
        _finish(GRANDCHILD, 1);
        assertEq(rewards.owed() - before, 5e18);
        _assertSolvent();
    }

    function testFuzz_dividends_whenFeesAndHoldersVary_thenPaidWhatCameInButForDust(uint64[4] calldata fees, uint8 split)
        external
    {
        _beginLater(ROOT, 1);
        uint256 weight = bound(split, 0, 100);
        _payMiner(ROOT, 1, alice, weight);
        _payMiner(ROOT, 1, bob, 100 - weight);
        _finish(ROOT, 1);
        skipBlocks(VESTING);
        _claim(alice);
        _claim(bob);
        uint256 income;
        uint256 paid;
        for (uint256 i; i < fees.length; ++i) {
            _addFee(ROOT, fees[i]);
            income += uint256(fees[i]) * 2500 / 10_000;
            if (i % 2 == 0) paid += _claim(alice, _ids(ROOT));
        }
        paid += _claim(alice, _ids(ROOT)) + _claim(bob, _ids(ROOT));
        assertLe(paid, income);
        assertLe(income - paid, 8);
        _claim(server);
        assertEq(rewards.owed(), income - paid, "nothing else is owed");
        _assertSolvent();
    }
}
