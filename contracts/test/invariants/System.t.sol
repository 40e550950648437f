// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {World} from "../support/World.sol";
import {vm} from "../support/Vm.sol";
import {SystemHandler} from "./SystemHandler.sol";

/// @notice What holds on the whole network whatever anybody does, and that at the end everybody gets out.
contract SystemInvariants is World {
    uint256 private constant DUST = 1e6; // wei, of rounding, in any one contract

    SystemHandler internal _all;

    function setUp() public override {
        (unbonding, vesting, closeDelay, ballot) = (72, 12, 10, 15);
        super.setUp();
        uint256 root = models.register(0, 0, "global", "all", keccak256("g"), policyOf(3, 64));
        uint256 law = models.register(root, 2, "law", "law", keccak256("l"), policyOf(3, 3));
        uint256 tax = models.register(law, 3, "tax", "tax", keccak256("t"), policyOf(2, 5));
        _list(root);
        _list(law);
        _list(tax);
        _all = new SystemHandler(network());
        for (uint256 i; i < _all.PEOPLE(); ++i) {
            _settleIn(i);
        }
        skipBlocks(1);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_all);
    }

    /// @notice Forge reads which of the handler's functions to leave out.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0].addr = address(_all);
        excluded[0].selectors = new bytes4[](1);
        excluded[0].selectors[0] = SystemHandler.everybodyLeaves.selector;
    }

    /// @dev Forge's own record of functions of a contract.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function invariant_system_capHoldsAndEveryContractIsSolvent() external view {
        uint256 supply = token.totalSupply();
        assertLe(supply + rewards.reserved(), CAP, "the supply's cap");
        assertGe(token.balanceOf(address(rewards)), rewards.owed(), "Rewards is solvent");
        assertGe(token.balanceOf(address(staking)), _all.owedByStaking(), "Staking is solvent");
        assertGe(token.balanceOf(address(channels)), _all.lockedInChannels(), "InferenceChannels is solvent");
        assertGe(token.balanceOf(address(data)), _all.heldForData(), "DataRegistry is solvent");
        assertEq(token.balanceOf(address(rounds)), 0, "Rounds holds nothing");
        uint256 carried;
        for (uint256 model = 1; model <= 3; ++model) {
            carried += rewards.carry(model);
            uint256 blocks = block.number - rewards.startBlock();
            assertLe(_all.emittedBy(model), blocks * 1e18, "no block is emitted twice for a model");
        }
        assertLe(supply + carried, GENESIS + _all.emitted() + DUST, "what is paid and carried was emitted");
    }

    function invariant_rounds_atMostTwoAreNotSettledAndTheNewestWaits() external view {
        for (uint256 model = 1; model <= 3; ++model) {
            uint64 newest = rounds.current(model);
            for (uint64 round = 1; round + 1 < newest; ++round) {
                assertTrue(rounds.roundView(model, round).settled, "all but two are settled");
            }
            if (newest == 0) continue;
            IRounds.RoundView memory v = rounds.roundView(model, newest);
            bool waits = newest > 1 && !rounds.roundView(model, newest - 1).settled;
            assertEq(v.held, waits, "held while the one before is not settled");
            assertEq(v.parentHead == 0, waits, "its parent is known from then on");
            if (waits) assertTrue(v.phase <= COMMIT || (v.phase == VOID && v.voidReason == 2), "never past COMMIT");
            if (!waits && !v.settled) assertEq(v.parentHead, models.headOf(model), "it goes on from the model's head");
        }
    }

    /// @notice The handler is no paper tiger: played long enough, rounds end in every way, and rewards are voided.
    function test_play_whenLongEnough_thenRoundsEndInEveryWay() external {
        for (uint256 dice; dice < 30; ++dice) {
            uint256 mixed = uint256(keccak256(abi.encode(dice)));
            _all.stake(mixed, dice, dice / 2, mixed);
            _all.play(dice, mixed);
            if (dice % 3 == 0) _all.challenge(dice, mixed | 0x7f); // by everybody
        }
        assertGt(_all.opened(), 20, "rounds open");
        assertGt(_all.released(), 5, "some overlap");
        assertGt(_all.finals(), 3, "some end with a head");
        assertGt(_all.voids(), 3, "some end void");
        assertGt(_all.voided(), 0, "some are voided later");
    }

    /// @notice After each run: rounds end, everybody leaves, and nothing but dust stays behind.
    function afterInvariant() external {
        _all.everybodyLeaves();
        assertLe(token.balanceOf(address(staking)), DUST, "left in Staking");
        assertLe(rewards.owed(), DUST, "left in Rewards");
        assertEq(token.balanceOf(address(channels)), 0, "left in InferenceChannels");
        assertEq(token.balanceOf(address(data)), 0, "left in DataRegistry");
        assertEq(rewards.reserved(), 0, "nothing stays reserved");
    }

    function _settleIn(uint256 index) private {
        (address one,) = _all.person(index);
        fund(one, 100_000e18);
        stakeFor(one, 1 + index % 3, VALIDATOR, (20 + 7 * index) * 1e18);
        stakeFor(one, 2, VALIDATOR, (10 + index) * 1e18);
        stakeFor(one, 1 + (index + 1) % 3, MINER, 5e18);
        stakeFor(one, 2, MINER, 2e18);
    }
}
