// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {vm} from "../support/Vm.sol";
import {StakingWorld} from "./StakingWorld.sol";

/// @notice Who has a seat, who loses it, and what earlier blocks remember.
contract SeatsTest is StakingWorld {
    uint256 private constant SEATS = 64;
    uint256 private constant MINER_SEATS = 256;

    function test_seatsAt_holesAndLowestFreeFirst_byBlock() external {
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        stakeAs(bob, VALIDATOR, 2 * MIN_VALIDATOR);
        stakeAs(carol, VALIDATOR, 3 * MIN_VALIDATOR);
        uint256 full = vm.getBlockNumber();
        skipBlocks(1);
        unstakeAs(bob, VALIDATOR, 2 * MIN_VALIDATOR);
        uint256 hole = vm.getBlockNumber();
        skipBlocks(1);
        unstakeAs(carol, VALIDATOR, 3 * MIN_VALIDATOR);
        uint256 short = vm.getBlockNumber();
        skipBlocks(1);
        address dave = account("dave");
        stakeAs(dave, VALIDATOR, MIN_VALIDATOR);

        _checkSeats(full, _list(alice, bob, carol), 6 * MIN_VALIDATOR);
        _checkSeats(hole, _list(alice, address(0), carol), 4 * MIN_VALIDATOR);
        _checkSeats(short, _list(alice), MIN_VALIDATOR);
        _checkSeats(vm.getBlockNumber(), _list(alice, dave), 2 * MIN_VALIDATOR);
        _checkSeats(full - 1, new address[](0), 0);
        (address[] memory without,) = staking.frozen(MODEL, VALIDATOR, hole);
        assertEq(without, _list(alice, carol));
        (without,) = staking.frozen(MODEL, VALIDATOR, full);
        assertEq(without, _list(alice, bob, carol));
        assertEq(staking.members(MODEL, VALIDATOR), _list(alice, dave));
    }

    function test_frozenMiners_whoLeftLater_ascendingWithStake() external {
        stakeAs(alice, MINER, MIN_MINER);
        stakeAs(bob, MINER, 2 * MIN_MINER);
        uint256 before = vm.getBlockNumber();
        skipBlocks(1);
        unstakeAs(alice, MINER, 1);
        (address[] memory who, uint256[] memory stakes) = staking.frozen(MODEL, MINER, before);
        assertTrue(alice > bob);
        assertEq(who, _list(bob, alice));
        assertEq(stakes[0], 2 * MIN_MINER);
        assertEq(stakes[1], MIN_MINER);
        assertEq(staking.members(MODEL, MINER), _list(bob));
        assertEq(staking.countAt(MODEL, MINER, before), 2);
    }

    function test_stake_seatsTakenByEquals_refused() external {
        _fill(VALIDATOR, SEATS, MIN_VALIDATOR);
        fund(alice, MIN_VALIDATOR);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.TooManyMembers.selector, MODEL, VALIDATOR));
        staking.stake(MODEL, VALIDATOR, MIN_VALIDATOR);
    }

    function test_stake_moreThanTheLowest_takesItsSeat() external {
        _fill(VALIDATOR, SEATS, MIN_VALIDATOR + 10);
        address loser = account("member", 7);
        unstakeAs(loser, VALIDATOR, 5);
        uint256 before = vm.getBlockNumber();
        skipBlocks(1);
        fund(alice, MIN_VALIDATOR + 6);
        vm.expectEmit(address(staking));
        emit IStaking.Unseated(loser, MODEL, VALIDATOR);
        vm.prank(alice);
        staking.stake(MODEL, VALIDATOR, MIN_VALIDATOR + 6);

        (address[] memory seats, uint96[] memory stakes) = staking.seatsAt(MODEL, vm.getBlockNumber());
        assertEq(seats[7], alice);
        assertEq(stakes[7], MIN_VALIDATOR + 6);
        (seats, stakes) = staking.seatsAt(MODEL, before);
        assertEq(seats[7], loser);
        assertEq(stakes[7], MIN_VALIDATOR + 5);
        assertEq(effective(loser, VALIDATOR), 0);
        assertEq(staking.stakeOf(loser, MODEL, VALIDATOR), MIN_VALIDATOR + 5);
        assertEq(staking.countAt(MODEL, VALIDATOR, vm.getBlockNumber()), SEATS);
        assertEq(staking.totalStake(MODEL, VALIDATOR), SEATS * (MIN_VALIDATOR + 10) - 4);
        assertEq(staking.globalValidatorStake(), staking.totalStake(MODEL, VALIDATOR));
    }

    function test_stake_lowestByOwnHasDelegators_anotherGivesWay() external {
        _fill(VALIDATOR, SEATS, MIN_VALIDATOR + 1 ether);
        address backed = account("member", 9);
        unstakeAs(backed, VALIDATOR, 1 ether);
        delegateAs(bob, backed, 2 ether);
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR + 2 ether);
        assertEq(effective(backed, VALIDATOR), MIN_VALIDATOR + 2 ether);
        assertEq(effective(account("member", SEATS - 1), VALIDATOR), 0);
    }

    function test_unseated_topUpReseatUnstakeSlash_eachAsItShould() external {
        address loser = _unseatOne();
        vm.prank(loser);
        expectError(abi.encodeWithSelector(IStaking.TooManyMembers.selector, MODEL, VALIDATOR));
        staking.reseat(MODEL, VALIDATOR);

        staking.slash(MODEL, VALIDATOR, loser, 100);
        assertEq(effective(loser, VALIDATOR), 0);
        fund(loser, 10 ether);
        vm.prank(loser);
        expectError(abi.encodeWithSelector(IStaking.TooManyMembers.selector, MODEL, VALIDATOR));
        staking.stake(MODEL, VALIDATOR, MIN_VALIDATOR / 100);
        vm.prank(loser);
        staking.stake(MODEL, VALIDATOR, MIN_VALIDATOR / 100 + 1);
        assertEq(effective(loser, VALIDATOR), MIN_VALIDATOR + 1);
        assertEq(staking.memberSince(MODEL, VALIDATOR, loser), block.number);
    }

    function test_unseated_leavesAtOnce_andAFreeSeatIsForReseat() external {
        address loser = _unseatOne();
        unstakeAs(alice, VALIDATOR, MIN_VALIDATOR + 1);
        assertEq(effective(loser, VALIDATOR), 0, "a free seat is given to who asks");
        models.setMinimum(MODEL, VALIDATOR, MIN_VALIDATOR - 1);
        unstakeAs(loser, VALIDATOR, 1);
        assertEq(effective(loser, VALIDATOR), 0, "who takes stake out does not sit down");
        vm.prank(loser);
        staking.reseat(MODEL, VALIDATOR);
        assertEq(effective(loser, VALIDATOR), MIN_VALIDATOR - 1);
        vm.prank(loser);
        staking.reseat(MODEL, VALIDATOR);
        assertEq(staking.countAt(MODEL, VALIDATOR, block.number), SEATS, "asking twice changes nothing");
    }

    function test_seat_whenGivenUp_thenTakenAgainOnlyAfterAWhile() external {
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        delegateAs(bob, alice, MIN_VALIDATOR);
        unstakeAs(alice, VALIDATOR, 1);
        uint64 from = uint64(vm.getBlockNumber() + WIDTH);
        fund(alice, 2);
        bytes memory refused = abi.encodeWithSelector(IStaking.RejoinTooSoon.selector, from);
        vm.prank(alice);
        expectError(refused);
        staking.stake(MODEL, VALIDATOR, 1);
        models.setMinimum(MODEL, VALIDATOR, MIN_VALIDATOR - 1);
        vm.roll(from - 1);
        vm.prank(alice);
        expectError(refused);
        staking.reseat(MODEL, VALIDATOR);
        assertEq(staking.globalValidatorStake(), 0);
        vm.roll(from);
        vm.prank(alice);
        staking.reseat(MODEL, VALIDATOR);
        assertEq(staking.globalValidatorStake(), 2 * MIN_VALIDATOR - 1);
    }

    function test_seat_whenOnlyAPartOrAMinerLeaves_thenNobodyWaits() external {
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR + 1);
        unstakeAs(alice, VALIDATOR, 1);
        staking.slash(MODEL, VALIDATOR, alice, 10);
        assertEq(effective(alice, VALIDATOR), 0);
        unstakeAs(alice, VALIDATOR, 1);
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        assertTrue(effective(alice, VALIDATOR) > 0, "a slash is no leaving");
        stakeAs(alice, MINER, MIN_MINER);
        unstakeAs(alice, MINER, 1);
        stakeAs(alice, MINER, 1);
        assertEq(effective(alice, MINER), MIN_MINER);
    }

    function test_reseat_withoutStakeOrDropped_refused() external {
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.NotEligible.selector, alice));
        staking.reseat(MODEL, VALIDATOR);
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        staking.drop(MODEL, alice);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.NotEligible.selector, alice));
        staking.reseat(MODEL, VALIDATOR);
    }

    function test_rejoin_seatsTakenByEquals_staysDroppedUntilItHasMore() external {
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        staking.drop(MODEL, alice);
        _fill(VALIDATOR, SEATS, MIN_VALIDATOR);
        skipBlocks(WIDTH);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.TooManyMembers.selector, MODEL, VALIDATOR));
        staking.rejoin(MODEL);
        stakeAs(alice, VALIDATOR, 1);
        vm.prank(alice);
        staking.rejoin(MODEL);
        assertEq(effective(alice, VALIDATOR), MIN_VALIDATOR + 1);
    }

    function test_miners_allSeatsTaken_theLowestGivesWay() external {
        _fill(MINER, MINER_SEATS, MIN_MINER);
        fund(alice, MIN_MINER + 1);
        vm.prank(alice);
        expectError(abi.encodeWithSelector(IStaking.TooManyMembers.selector, MODEL, MINER));
        staking.stake(MODEL, MINER, MIN_MINER);
        vm.prank(alice);
        staking.stake(MODEL, MINER, MIN_MINER + 1);
        assertEq(effective(account("member", 255), MINER), 0, "among equals, the highest slot");
        assertEq(staking.members(MODEL, MINER).length, MINER_SEATS);
        assertEq(staking.totalStake(MODEL, MINER), MINER_SEATS * MIN_MINER + 1);
        assertEq(staking.globalValidatorStake(), 0);
    }

    function test_models_sameAccount_keptApart() external {
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR);
        fund(alice, 2 * MIN_VALIDATOR);
        vm.prank(alice);
        staking.stake(OTHER_MODEL, VALIDATOR, 2 * MIN_VALIDATOR);
        assertEq(staking.globalValidatorStake(), 3 * MIN_VALIDATOR);
        assertEq(staking.totalStake(MODEL, VALIDATOR), MIN_VALIDATOR);
        staking.slash(MODEL, VALIDATOR, alice, 5_000);
        assertEq(staking.stakeOf(alice, OTHER_MODEL, VALIDATOR), 2 * MIN_VALIDATOR);
        assertEq(staking.globalValidatorStake(), 2 * MIN_VALIDATOR);
    }

    /// forge-config: default.fuzz.runs = 200
    /// forge-config: deep.fuzz.runs = 2000
    function testFuzz_seats_joinAndLeave_lowestFreeAndNoDoubles(uint256 moves) external {
        for (uint256 i; i < 40; ++i) {
            address who = account("member", (moves >> (6 * i)) % 16);
            if (effective(who, VALIDATOR) == 0) {
                uint256 free = _lowestHole();
                stakeAs(who, VALIDATOR, MIN_VALIDATOR + i);
                (address[] memory seats,) = staking.seatsAt(MODEL, vm.getBlockNumber());
                assertEq(seats[free], who);
            } else {
                unstakeAs(who, VALIDATOR, staking.stakeOf(who, MODEL, VALIDATOR));
            }
            skipBlocks(WIDTH);
        }
        (address[] memory now_, uint96[] memory stakes) = staking.seatsAt(MODEL, vm.getBlockNumber());
        uint256 total;
        for (uint256 i; i < now_.length; ++i) {
            total += stakes[i];
            for (uint256 j; j < i; ++j) {
                if (now_[i] != address(0)) assertNotEq(now_[i], now_[j]);
            }
        }
        assertEq(total, staking.totalStake(MODEL, VALIDATOR));
    }

    /// @dev Fills all validators' seats and lets alice, with a wei more, take one; returns who lost it.
    function _unseatOne() private returns (address loser) {
        _fill(VALIDATOR, SEATS, MIN_VALIDATOR);
        loser = account("member", SEATS - 1);
        stakeAs(alice, VALIDATOR, MIN_VALIDATOR + 1);
        assertEq(effective(loser, VALIDATOR), 0);
    }

    /// @dev Without counting gas: it is many transactions' work.
    function _fill(uint8 role, uint256 count, uint256 amount) private {
        vm.pauseGasMetering();
        for (uint256 i; i < count; ++i) {
            stakeAs(account("member", i), role, amount);
        }
        vm.resumeGasMetering();
    }

    function _lowestHole() private view returns (uint256 slot) {
        (address[] memory seats,) = staking.seatsAt(MODEL, vm.getBlockNumber());
        while (slot < seats.length && seats[slot] != address(0)) ++slot;
    }

    function _checkSeats(uint256 blockNumber, address[] memory expected, uint256 total) private view {
        (address[] memory seats, uint96[] memory stakes) = staking.seatsAt(MODEL, blockNumber);
        assertEq(seats, expected);
        uint256 sum;
        for (uint256 i; i < stakes.length; ++i) {
            sum += stakes[i];
            assertEq(stakes[i], staking.stakeAt(seats[i], MODEL, VALIDATOR, blockNumber));
        }
        assertEq(sum, total);
        assertEq(staking.totalAt(MODEL, VALIDATOR, blockNumber), total);
    }

    function _list(address a) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = a;
    }

    function _list(address a, address b) private pure returns (address[] memory list) {
        list = new address[](2);
        (list[0], list[1]) = (a, b);
    }

    function _list(address a, address b, address c) private pure returns (address[] memory list) {
        list = new address[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }
}
