// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {vm} from "../support/Vm.sol";
import {DataWorld} from "./DataWorld.sol";

/// @notice Ballots: their electorate, what decides them, what they decide.
contract VotingTest is DataWorld {
    function test_vote_whenTheFirst_thenABallotOpensOverTheBlockBefore() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        uint64 now_ = uint64(vm.getBlockNumber());
        vm.expectEmit(address(data));
        emit IDataRegistry.BallotOpened(id, 1, now_, now_ + BALLOT, 100e18);
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetVoted(id, v40, true, 7000, 40e18);
        _vote(v40, id, true, 7000);
        IDataRegistry.Ballot memory ballot = data.ballotOf(id);
        assertEq(ballot.number, 1);
        assertEq(ballot.startBlock, now_);
        assertEq(ballot.endBlock, now_ + BALLOT);
        assertTrue(ballot.open);
        assertEq(ballot.total, 100e18);
        assertEq(ballot.accepting, 40e18);
        assertEq(ballot.rejecting, 0);
        assertTrue(data.hasVoted(id, v40));
        assertFalse(data.hasVoted(id, v30));
    }

    function test_vote_whenOverHalfAccepts_thenAcceptedAtTheLowerMedian() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        _vote(v40, id, true, 9000);
        assertEq(_statusOf(id), 0);
        uint64 now_ = uint64(vm.getBlockNumber());
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetAccepted(id, now_, 9000);
        _vote(v30, id, true, 1000);
        assertEq(_statusOf(id), 1);
        assertEq(data.valueOf(id), 9000);
        assertEq(data.get(id).acceptedBlock, now_);
        assertFalse(data.ballotOf(id).open);
        assertFalse(data.hasVoted(id, v40));
        (uint256 accepting, uint256 rejecting) = data.votesOf(id);
        assertEq(accepting, 70e18);
        assertEq(rejecting, 0);
        assertFalse(data.isUsableAt(id, now_));
        assertTrue(data.isUsableAt(id, now_ + 1));
    }

    function test_vote_whenExactlyHalfAccepts_thenStillPending() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        _vote(v40, id, true, 9000);
        _vote(v10, id, true, 9000);
        assertEq(_statusOf(id), 0);
        _vote(v30, id, false, 0);
        _vote(v20, id, false, 0);
        assertEq(_statusOf(id), 0);
        assertTrue(data.ballotOf(id).open);
        (uint256 accepting, uint256 rejecting) = data.votesOf(id);
        assertEq(accepting, 50e18);
        assertEq(rejecting, 50e18);
    }

    function test_vote_whenOverHalfRejects_thenTheTreasuryHasTheDepositAndTheRootIsFree() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        _vote(v40, id, false, 0);
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetRejected(id);
        _vote(v20, id, false, 0);
        assertEq(_statusOf(id), 2);
        assertEq(coin.balanceOf(treasury), DEPOSIT);
        assertEq(coin.balanceOf(address(data)), 0);
        assertEq(data.get(id).deposit, 0);
        assertEq(data.idOf(ROOT), 0);
        assertFalse(data.ballotOf(id).open);
        _expectStatus(2);
        _vote(v30, id, true, 1);
        assertEq(_submit(bob, MODEL, ROOT), 2);
        assertEq(data.idOf(ROOT), 2);
    }

    function test_vote_whenRejectedWithoutADeposit_thenNothingMoves() external {
        vm.prank(admin);
        data.setDeposit(0);
        vm.recordLogs();
        uint256 id = _submit(alice, MODEL, ROOT);
        _vote(v40, id, false, 0);
        _vote(v20, id, false, 0);
        assertEq(countLogs(vm.getRecordedLogs(), IERC20.Transfer.selector), 0);
        assertEq(_statusOf(id), 2);
    }

    function test_vote_whenOverHalfAcceptsAgain_thenTheValueMoves() external {
        uint256 id = _accepted(ROOT, 9000);
        uint64 before = uint64(vm.getBlockNumber()) - 1;
        _vote(v40, id, true, 2000);
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetValued(id, 2000);
        _vote(v20, id, true, 4000);
        assertEq(data.valueOf(id), 2000);
        assertEq(_statusOf(id), 1);
        assertEq(data.get(id).acceptedBlock, before);
        assertEq(data.ballotOf(id).number, 2);
        assertFalse(data.ballotOf(id).open);
    }

    function test_vote_whenTwoThirdsRejectWhatIsAccepted_thenRemovedForLaterRounds() external {
        stakes.set(MODEL, v10, 0);
        stakes.set(MODEL, v20, 26e18);
        stakes.set(MODEL, v30, 33e18); // 40 and 26 of 99 are two thirds, exactly
        skipBlocks(1);
        uint256 id = _accepted(ROOT, 9000);
        _vote(v40, id, false, 0);
        assertEq(_statusOf(id), 1);
        uint64 now_ = uint64(vm.getBlockNumber());
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetRemoved(id, now_);
        _vote(v20, id, false, 0);
        assertEq(_statusOf(id), 4);
        assertEq(data.get(id).withdrawnBlock, now_);
        assertFalse(data.isUsableAt(id, now_));
        assertEq(data.idOf(ROOT), id);
        assertFalse(data.ballotOf(id).open);
        _expectStatus(4);
        _vote(v30, id, true, 1);
        _expectStatus(4);
        vm.prank(alice);
        data.withdraw(id);
    }

    function test_vote_whenUnderTwoThirdsRejectWhatIsAccepted_thenItStays() external {
        uint256 id = _accepted(ROOT, 9000);
        _vote(v40, id, false, 0);
        _vote(v20, id, false, 0); // 60 of 100
        assertEq(_statusOf(id), 1);
        assertTrue(data.ballotOf(id).open);
        _vote(v10, id, false, 0); // 70 of 100
        assertEq(_statusOf(id), 4);
    }

    function test_removed_whenARoundOpenedBefore_thenItMayStillUseIt() external {
        uint256 id = _accepted(ROOT, 9000);
        skipBlocks(5);
        uint64 opened = uint64(vm.getBlockNumber());
        skipBlocks(5);
        _vote(v40, id, false, 0);
        _vote(v30, id, false, 0);
        assertTrue(data.isUsableAt(id, opened));
        assertTrue(data.isUsableAt(id, vm.getBlockNumber() - 1));
        assertFalse(data.isUsableAt(id, vm.getBlockNumber()));
    }

    function test_vote_whenTheBallotLapsed_thenTheNextStartsFromNothing() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        _vote(v40, id, true, 9000);
        skipBlocks(BALLOT - 1);
        assertTrue(data.ballotOf(id).open);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.AlreadyVoted.selector, v40));
        _vote(v40, id, true, 9000);
        skipBlocks(1);
        assertFalse(data.ballotOf(id).open);
        assertFalse(data.hasVoted(id, v40));
        _vote(v30, id, true, 5000);
        assertEq(data.ballotOf(id).number, 2);
        (uint256 accepting,) = data.votesOf(id);
        assertEq(accepting, 30e18);
        _vote(v40, id, true, 4000);
        assertEq(data.valueOf(id), 4000);
    }

    function test_vote_whenStakeMovesAfterTheFirstVote_thenItCountsNowhereElse() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        address late = account("late");
        _vote(v40, id, true, 9000);
        stakes.set(MODEL, v40, 0);
        stakes.set(MODEL, late, 40e18);
        skipBlocks(3);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.NotValidator.selector, late));
        _vote(late, id, true, 9000);
        stakes.set(MODEL, v30, 1); // who leaves still speaks for what it had
        _vote(v30, id, true, 9000);
        assertEq(_statusOf(id), 1);
    }

    function test_vote_whenStakedInTheSameBlock_thenRefused() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        address late = account("late");
        stakes.set(MODEL, late, 1000e18);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.NotValidator.selector, late));
        _vote(late, id, true, 9000);
        assertEq(data.ballotOf(id).number, 0);
    }

    function test_vote_whenOfAnotherModel_thenRefused() external {
        uint256 id = _submit(alice, BARE, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.NotValidator.selector, v40));
        _vote(v40, id, true, 9000);
    }

    function test_vote_whenAValueIsOverFull_thenRefused() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.BadValue.selector, 10_001));
        _vote(v40, id, true, 10_001);
        _vote(v40, id, true, 10_000);
        _vote(v30, id, true, 10_000);
        assertEq(data.valueOf(id), 10_000);
    }

    function test_vote_whenSixtyFourAccept_thenOneMoreIsRefused() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        address[] memory crowd = new address[](65);
        for (uint256 i; i < 65; ++i) {
            crowd[i] = account("crowd", i);
            stakes.set(MODEL, crowd[i], 1e18);
        }
        skipBlocks(1);
        for (uint256 i; i < 64; ++i) {
            _vote(crowd[i], id, true, uint16(10_000 - i));
        }
        vm.expectRevert(IDataRegistry.TooManyVotes.selector);
        _vote(crowd[64], id, true, 1);
        _vote(crowd[64], id, false, 1);
        assertEq(_statusOf(id), 0);
    }

    function testFuzz_vote_whenAnyoneVotesAnyhow_thenOnlyThresholdsDecide(uint8 ways, uint16[4] memory values) external {
        uint256 id = _submit(alice, MODEL, ROOT);
        address[4] memory voters = [v10, v20, v30, v40];
        (uint256 yes, uint256 no) = (0, 0);
        for (uint256 i; i < 4; ++i) {
            if (_statusOf(id) != 0) break;
            bool accept = (ways >> i) & 1 == 1;
            _vote(voters[i], id, accept, uint16(bound(values[i], 0, 10_000)));
            if (accept) yes += (i + 1) * 10;
            else no += (i + 1) * 10;
        }
        assertEq(_statusOf(id), yes > 50 ? 1 : no > 50 ? 2 : 0);
        if (yes > 50) assertLe(data.valueOf(id), 10_000);
    }
}
