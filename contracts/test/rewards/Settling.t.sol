// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Rewards} from "../../src/Rewards.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {Wired} from "../../src/libraries/Wired.sol";
import {RewardsWorld} from "./RewardsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice Who gets which part of a round's pot.
contract SettlingTest is RewardsWorld {
    function test_constructor_whenMade_thenKeepsItsArguments() external view {
        assertEq(rewards.treasury(), treasury);
        assertEq(rewards.vestingBlocks(), VESTING);
        assertEq(rewards.authority(), address(authority));
    }

    function test_constructor_whenArgumentsAreBad_thenReverts() external {
        expectError(abi.encodeWithSelector(Wired.ZeroAddress.selector));
        this.make(address(0), VESTING, address(authority));
        expectError(abi.encodeWithSelector(Wired.ZeroAddress.selector));
        this.make(treasury, VESTING, address(0));
        expectError(abi.encodeWithSelector(IRewards.VestingTooLong.selector, 100_000_001));
        this.make(treasury, 100_000_001, address(authority));
        this.make(treasury, 100_000_000, address(authority));
    }

    function make(address treasury_, uint64 vesting, address authority_) external returns (Rewards) {
        return _newRewards(treasury_, vesting, authority_);
    }

    function test_initialize_whenStrangerOrTwiceOrZero_thenReverts() external {
        Rewards fresh = _newRewards(treasury, VESTING, address(authority));
        expectError(abi.encodeWithSelector(Wired.ZeroAddress.selector));
        fresh.initialize(address(0), channels);
        expectError(abi.encodeWithSelector(Wired.ZeroAddress.selector));
        fresh.initialize(rounds, address(0));
        expectError(abi.encodeWithSelector(Wired.NotDeployer.selector, alice));
        vm.prank(alice);
        fresh.initialize(rounds, channels);
        fresh.initialize(rounds, channels);
        expectError(abi.encodeWithSelector(Wired.AlreadyInitialized.selector));
        fresh.initialize(rounds, channels);
    }

    function test_pages_whenNotRounds_thenRevert() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        bytes memory refusal = abi.encodeWithSelector(IRewards.NotRounds.selector, alice);
        vm.startPrank(alice);
        expectError(refusal);
        rewards.begin(o);
        expectError(refusal);
        rewards.payDelta(ROOT, 1, alice, 1, new address[](0), new uint256[](0));
        expectError(refusal);
        rewards.payValidator(ROOT, 1, alice, 1);
        expectError(refusal);
        rewards.finish(ROOT, 1);
        expectError(refusal);
        rewards.voidRound(ROOT, 1);
        vm.stopPrank();
    }

    function test_pages_whenNotThatRound_thenRevert() external {
        _begin(ROOT, 1);
        bytes memory refusal = abi.encodeWithSelector(IRewards.NotSettling.selector, ROOT, 2);
        expectError(refusal);
        _payMiner(ROOT, 2, alice, 1);
        expectError(refusal);
        _payValidator(ROOT, 2, alice, 1);
        expectError(refusal);
        _finish(ROOT, 2);
        _finish(ROOT, 1);
        expectError(abi.encodeWithSelector(IRewards.NotSettling.selector, ROOT, 1));
        _payMiner(ROOT, 1, alice, 1);
    }

    function test_payDelta_whenListsDiffer_thenReverts() external {
        _begin(ROOT, 1);
        expectError(abi.encodeWithSelector(IRewards.LengthMismatch.selector, 1, 2));
        vm.prank(rounds);
        rewards.payDelta(ROOT, 1, alice, 1, new address[](1), new uint256[](2));
    }

    function test_payDelta_whenMinersShare_thenByConsensus() external {
        _begin(ROOT, 1);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardCredited(ROOT, 1, alice, KIND_MINER, 15e18, uint64(vm.getBlockNumber()) + VESTING);
        vm.expectEmit(address(rewards));
        emit IRewards.SharesMinted(ROOT, 1, alice, _minerShares(1) * 30 / 100);
        _payMiner(ROOT, 1, alice, 30);
        _payMiner(ROOT, 1, bob, 70);
        assertEq(rewards.vesting(alice), 15e18);
        assertEq(rewards.vesting(bob), 35e18);
        assertEq(rewards.owed(), 50e18);
        assertEq(rewards.reserved(), 50e18);
        _assertSolvent();
        assertEq(rewards.sharesOf(ROOT, alice), 0, "shares count from the end of the settlement on");
        _finish(ROOT, 1);
        assertEq(rewards.sharesOf(ROOT, alice), _minerShares(1) * 30 / 100);
        assertEq(rewards.sharesOf(ROOT, bob), _minerShares(1) * 70 / 100);
        uint256 given = rewards.sharesOf(ROOT, alice) + rewards.sharesOf(ROOT, bob);
        assertEq(rewards.totalShares(ROOT), given);
        assertApproxEqAbs(given, _minerShares(1), 1);
    }

    function test_payDelta_whenDataIsNamed_thenOwnersShareByWeight() external {
        _begin(ROOT, 1);
        address[] memory owners = new address[](3);
        uint256[] memory weights = new uint256[](3);
        (owners[0], owners[1], owners[2]) = (bob, carol, bob);
        (weights[0], weights[1], weights[2]) = (20, 50, 30);
        vm.prank(rounds);
        rewards.payDelta(ROOT, 1, alice, 100, owners, weights);
        _finish(ROOT, 1);
        assertEq(rewards.vesting(alice), 50e18);
        assertEq(rewards.vesting(bob), 7.5e18);
        assertEq(rewards.vesting(carol), 7.5e18);
        uint256 shares = rewards.sharesAt(1) * 2000 / 10_000;
        assertEq(rewards.sharesOf(ROOT, bob), shares * 20 / 100 + shares * 30 / 100);
        assertEq(rewards.sharesOf(ROOT, carol), shares * 50 / 100);
    }

    function test_payDelta_whenNothingIsAccepted_thenMinersAndDataPartsAreCarried() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        (o.accepted, o.totalConsensus, o.totalData) = (false, 0, 0);
        _begin(o);
        _payMiner(ROOT, 1, alice, 1);
        _payOwner(ROOT, 1, bob, 1);
        _payValidator(ROOT, 1, carol, 100);
        _finish(ROOT, 1);
        assertEq(rewards.vesting(alice) + rewards.vesting(bob), 0);
        assertEq(rewards.vesting(carol), 20e18);
        assertEq(rewards.totalShares(ROOT), 0);
        assertEq(rewards.carry(ROOT), 65e18);
    }

    function test_payDelta_whenNotAcceptedButWeighed_thenStillNothing() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.accepted = false;
        _begin(o);
        _payMiner(ROOT, 1, alice, 100);
        _payOwner(ROOT, 1, alice, 100);
        assertEq(rewards.owed(), 0);
        _finish(ROOT, 1);
        assertEq(rewards.totalShares(ROOT), 0);
    }

    function test_payDelta_whenVoidYetAccepted_thenNoShares() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.isVoid = true;
        _begin(o);
        _payMiner(ROOT, 1, alice, 100);
        _finish(ROOT, 1);
        assertEq(rewards.totalShares(ROOT), 0);
    }

    function test_pages_whenWeightsPassTheTotals_thenNeverMoreThanTheParts() external {
        _begin(ROOT, 1);
        _payMiner(ROOT, 1, alice, 60);
        _payMiner(ROOT, 1, bob, 60);
        _payOwner(ROOT, 1, alice, 60);
        _payOwner(ROOT, 1, bob, 60);
        _payValidator(ROOT, 1, carol, 60);
        _payValidator(ROOT, 1, dave, 60);
        assertEq(rewards.vesting(alice), 30e18 + 9e18);
        assertEq(rewards.vesting(bob), 20e18 + 6e18);
        assertEq(rewards.vesting(carol), 12e18);
        assertEq(rewards.vesting(dave), 8e18);
        _finish(ROOT, 1);
        assertEq(rewards.totalShares(ROOT), _minerShares(1) + rewards.sharesAt(1) * 2000 / 10_000);
        assertEq(rewards.carry(ROOT), 0);
        _assertSolvent();
    }

    function test_pages_whenOneRoundPaysAnAccountTwice_thenOneEntry() external {
        _begin(ROOT, 1);
        _payMiner(ROOT, 1, alice, 50);
        _payMiner(ROOT, 1, alice, 50);
        _finish(ROOT, 1);
        assertEq(rewards.vesting(alice), 50e18);
        assertEq(rewards.sharesOf(ROOT, alice), 2 * (_minerShares(1) / 2));
        skipBlocks(VESTING);
        assertEq(_claim(alice), 50e18);
    }

    function test_payValidator_whenAlone_thenKeepsAll() external {
        _begin(ROOT, 1);
        staking.setPool(ROOT, alice, 100e18, 0, 1000);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardCredited(ROOT, 1, alice, KIND_VALIDATOR, 20e18, uint64(vm.getBlockNumber()) + VESTING);
        _payValidator(ROOT, 1, alice, 100);
        assertEq(rewards.vesting(alice), 20e18);
    }

    function test_pages_whenNothingIsDue_thenNothingIsWritten() external {
        _begin(ROOT, 1);
        vm.recordLogs();
        _payMiner(ROOT, 1, alice, 0);
        _payOwner(ROOT, 1, alice, 0);
        _payValidator(ROOT, 1, alice, 0);
        assertEq(vm.getRecordedLogs().length, 0);
        // alone: its reward and the minting, no line for a pool that gets nothing
        _payValidator(ROOT, 1, alice, 1);
        assertEq(vm.getRecordedLogs().length, 2);
    }

    function test_finish_whenThereIsNoPot_thenOnlyItsLine() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        (o.isVoid, o.isEmpty) = (true, true);
        _begin(o);
        vm.recordLogs();
        _finish(ROOT, 1);
        assertEq(vm.getRecordedLogs().length, 1);
    }

    function test_payValidator_whenDelegated_thenPoolGetsItsPartLessCommission() external {
        _begin(ROOT, 1);
        staking.setPool(ROOT, alice, 100e18, 300e18, 1000);
        address pool = rewards.poolAccountOf(ROOT, alice);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardCredited(ROOT, 1, alice, KIND_VALIDATOR, 6.5e18, uint64(vm.getBlockNumber()) + VESTING);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardCredited(ROOT, 1, pool, KIND_DELEGATION, 13.5e18, uint64(vm.getBlockNumber()) + VESTING);
        _payValidator(ROOT, 1, alice, 100);
        assertEq(rewards.vesting(pool), 13.5e18);
        _assertSolvent();
    }

    function test_payValidator_whenWholePoolWasSlashed_thenValidatorGetsAll() external {
        _begin(ROOT, 1);
        staking.setPool(ROOT, alice, 0, 0, 1000);
        _payValidator(ROOT, 1, alice, 100);
        assertEq(rewards.vesting(alice), 20e18);
    }

    function test_payValidator_whenNoWeights_thenPartIsCarried() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.totalValidators = 0;
        _begin(o);
        _payValidator(ROOT, 1, alice, 5);
        _payMiner(ROOT, 1, bob, 100);
        _payOwner(ROOT, 1, bob, 100);
        _finish(ROOT, 1);
        assertEq(rewards.vesting(alice), 0);
        assertEq(rewards.carry(ROOT), 20e18);
    }

    function test_finish_whenNoParentNoArchive_thenTreasuryGetsTheirParts() external {
        _begin(ROOT, 1);
        _payMiner(ROOT, 1, alice, 100);
        uint256 before = token.balanceOf(treasury);
        vm.expectEmit(address(rewards));
        emit IRewards.TreasuryPaid(ROOT, 1, 15e18);
        vm.expectEmit(address(rewards));
        emit IRewards.EmissionSettled(ROOT, 1, 100e18, 0, 65e18, 35e18);
        _finish(ROOT, 1);
        assertEq(token.balanceOf(treasury) - before, 15e18);
        assertEq(rewards.carry(ROOT), 35e18);
        assertEq(rewards.reserved(), 0);
        assertEq(token.totalSupply(), GENESIS + 65e18);
        _assertSolvent();
    }

    function test_finish_whenArchiveIsNamed_thenItsPartVests() external {
        vm.expectEmit(address(rewards));
        emit IRewards.ArchiveSet(ROOT, archive);
        vm.prank(admin);
        rewards.setArchive(ROOT, archive);
        assertEq(rewards.archiveOf(ROOT), archive);
        _begin(ROOT, 1);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardCredited(ROOT, 1, archive, KIND_ARCHIVE, 2e18, uint64(vm.getBlockNumber()) + VESTING);
        _finish(ROOT, 1);
        assertEq(rewards.vesting(archive), 2e18);
        _assertSolvent();
        vm.prank(admin);
        rewards.setArchive(ROOT, address(0));
        _beginLater(ROOT, 2);
        _finish(ROOT, 2);
        skipBlocks(VESTING);
        assertEq(_claimable(archive), 2e18, "nothing new");
    }

    function test_finish_whenDustIsLeft_thenCarried() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.totalConsensus = 3;
        _begin(o);
        for (uint256 i; i < 3; ++i) {
            _payMiner(ROOT, 1, account("miner", i), 1);
        }
        _finish(ROOT, 1);
        uint256 dust = 50e18 - 3 * (uint256(50e18) / 3);
        assertEq(rewards.carry(ROOT), 35e18 + dust);
    }

    function test_splits_whenChangedBetweenPages_thenTheRoundKeepsItsOwn() external {
        IRewards.Splits memory table = rewards.splits();
        (table.emissionMiners, table.emissionValidators) = (4000, 3000);
        (table.sharesMiners, table.sharesData) = (5000, 5000);
        _begin(ROOT, 1);
        vm.prank(admin);
        rewards.setSplits(table);
        _payMiner(ROOT, 1, alice, 100);
        _payValidator(ROOT, 1, bob, 100);
        _finish(ROOT, 1);
        assertEq(rewards.vesting(alice), 50e18);
        assertEq(rewards.vesting(bob), 20e18);
        assertEq(rewards.totalShares(ROOT), _minerShares(1));
        // the next one also takes what the first carried: 15 of data
        _beginLater(ROOT, 2);
        _payMiner(ROOT, 2, carol, 100);
        assertEq(rewards.vesting(carol), 115e18 * 4 / 10);
    }

    function _minerShares(uint64 round) private view returns (uint256) {
        return rewards.sharesAt(round) * 8000 / 10_000;
    }
}
