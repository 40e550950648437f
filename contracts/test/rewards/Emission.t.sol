// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {RewardsWorld} from "./RewardsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice How much a round may pay: blocks, halvings, stake, carry, cap.
contract EmissionTest is RewardsWorld {
    uint256 internal constant HALVING = 45_000_000;

    function test_emissionAt_whenErasPass_thenHalves() external view {
        assertEq(rewards.startBlock(), start);
        assertEq(rewards.emissionAt(0), 1e18);
        assertEq(rewards.emissionAt(start - 1), 1e18);
        assertEq(rewards.emissionAt(start), 1e18);
        assertEq(rewards.emissionAt(start + HALVING - 1), 1e18);
        assertEq(rewards.emissionAt(start + HALVING), 0.5e18);
        assertEq(rewards.emissionAt(start + 59 * HALVING), 1);
        assertEq(rewards.emissionAt(start + 60 * HALVING), 0);
        assertEq(rewards.emissionAt(start + 300 * HALVING), 0);
    }

    function test_begin_whenAllStake_thenReservesOneTokenABlock() external {
        _begin(ROOT, 1);
        assertEq(rewards.reserved(), 100e18);
        assertEq(rewards.carry(ROOT), 0);
        assertEq(rewards.settledUntil(ROOT), vm.getBlockNumber());
        assertEq(rewards.unlockOf(ROOT, 1), vm.getBlockNumber() + VESTING);
        assertEq(token.totalSupply(), GENESIS);
    }

    function testFuzz_begin_whenPartOfStake_thenOneFloorDivision(uint96 stake, uint96 total, uint16 bps, uint16 blocks)
        external
    {
        bps = uint16(bound(bps, 0, 10_000));
        models.setUntaken(ROOT, 10_000 - bps);
        skipBlocks(blocks);
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.openBlock = o.endBlock - blocks;
        (o.modelStake, o.globalStake) = (stake, total);
        _begin(o);
        uint256 counted = stake < total ? stake : total;
        uint256 expected = total == 0 ? 0 : 1e18 * uint256(blocks) * counted * bps / (uint256(total) * 10_000);
        assertEq(rewards.reserved(), expected);
    }

    function test_begin_whenOpenedInALaterEra_thenHalf() external {
        rollTo(start + HALVING + 100);
        _begin(ROOT, 1);
        assertEq(rewards.reserved(), 50e18);
    }

    function test_begin_whenRoundsOverlap_thenEachBlockPaysOnce() external {
        _begin(ROOT, 1);
        _finish(ROOT, 1);
        skipBlocks(30);
        _begin(ROOT, 2);
        // thirty new blocks, and as much again of the carry that nobody took in round 1
        assertEq(rewards.reserved(), 60e18);
        assertEq(rewards.settledUntil(ROOT), vm.getBlockNumber());
    }

    function test_begin_whenEndedBeforeTheLast_thenNothingAndTheEndStays() external {
        _begin(ROOT, 1);
        _finish(ROOT, 1);
        uint64 until = rewards.settledUntil(ROOT);
        IRewards.Opening memory o = _opening(ROOT, 2);
        o.endBlock -= 1;
        _begin(o);
        assertEq(rewards.reserved(), 0);
        assertEq(rewards.settledUntil(ROOT), until);
    }

    function test_begin_whenEmpty_thenNoEmissionAndItsBlocksAreGone() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        (o.isEmpty, o.isVoid) = (true, true);
        _begin(o);
        assertEq(rewards.carry(ROOT), 0);
        assertEq(rewards.unlockOf(ROOT, 1), 0);
        _finish(ROOT, 1);
        assertEq(rewards.settledUntil(ROOT), vm.getBlockNumber());
        skipBlocks(10);
        _begin(ROOT, 2);
        assertEq(rewards.reserved(), 10e18);
    }

    function test_begin_whenVoid_thenCarriesAll() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.isVoid = true;
        _begin(o);
        assertEq(rewards.reserved(), 0);
        assertEq(rewards.carry(ROOT), 100e18);
        _payMiner(ROOT, 1, alice, 100);
        _payOwner(ROOT, 1, alice, 100);
        _payValidator(ROOT, 1, bob, 100);
        vm.expectEmit(address(rewards));
        emit IRewards.EmissionSettled(ROOT, 1, 100e18, 0, 0, 100e18);
        _finish(ROOT, 1);
        assertEq(rewards.owed(), 0);
        assertEq(rewards.totalShares(ROOT), 0);
        assertEq(token.totalSupply(), GENESIS);
    }

    function test_begin_whenMuchIsCarried_thenAtMostAsMuchAgain() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        (o.isVoid, o.openBlock) = (true, o.endBlock - 900);
        _begin(o);
        _finish(ROOT, 1);
        assertEq(rewards.carry(ROOT), 900e18);
        _beginLater(ROOT, 2);
        assertEq(rewards.reserved(), 200e18);
        assertEq(rewards.carry(ROOT), 800e18);
    }

    function test_begin_whenNoEmission_thenCarryStays() external {
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.isVoid = true;
        _begin(o);
        _finish(ROOT, 1);
        models.setUntaken(ROOT, 10_000);
        _beginLater(ROOT, 2);
        assertEq(rewards.reserved(), 0);
        assertEq(rewards.carry(ROOT), 100e18);
    }

    function test_begin_whenCapIsNear_thenOnlyWhatOthersHaveNotReserved() external {
        rollTo(start + HALVING - 1);
        IRewards.Opening memory o = _opening(ROOT, 1);
        o.openBlock = uint64(start);
        _begin(o);
        o.modelId = CHILD;
        _begin(o);
        o.modelId = GRANDCHILD;
        _begin(o);
        assertEq(rewards.reserved(), CAP - GENESIS);
        assertEq(rewards.carry(GRANDCHILD), 3 * (HALVING - 1) * 1e18 - (CAP - GENESIS));
        // the round that came too late pays nothing, and fails nowhere
        _payMiner(GRANDCHILD, 1, alice, 100);
        _finish(GRANDCHILD, 1);
        assertEq(rewards.reserved() + token.totalSupply(), CAP - 0.7e18, "the last two tokens, less what was paid of them");
        _payMiner(ROOT, 1, alice, 100);
        _payMiner(CHILD, 1, alice, 100);
        assertEq(rewards.reserved() + token.totalSupply(), CAP - 0.7e18, "what is minted was reserved");
        _finish(ROOT, 1);
        _finish(CHILD, 1);
        assertEq(rewards.reserved(), 0);
        _assertSolvent();
    }

    function test_begin_whenAnotherIsOpen_thenReverts() external {
        _begin(ROOT, 1);
        IRewards.Opening memory o = _opening(ROOT, 2);
        expectError(abi.encodeWithSelector(IRewards.AlreadyBegun.selector, ROOT, 2));
        _begin(o);
        _begin(CHILD, 1);
    }

    function test_begin_whenSettledBefore_thenReverts() external {
        _begin(ROOT, 1);
        _finish(ROOT, 1);
        IRewards.Opening memory o = _opening(ROOT, 1);
        expectError(abi.encodeWithSelector(IRewards.AlreadyBegun.selector, ROOT, 1));
        _begin(o);
    }
}
