// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {OverlapWorld} from "./OverlapWorld.sol";

/// @notice Two rounds at once: the older one is judged while miners train for the newest, which waits for it in COMMIT.
contract PipeliningTest is OverlapWorld {
    bytes32 private constant ANY = keccak256("any");

    // --- opening ---

    function test_open_whenCommitIsOver_thenTheNextOneIsHeld() public {
        open();
        commitDelta(0);
        _refusesToOpen(2, 1);
        reach(COMMIT);
        _refusesToOpen(2, 1);
        skipBlocks(9); // the last block of COMMIT
        _refusesToOpen(2, 1);
        skipBlocks(1);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundOpened(MODEL, 2, uint64(vm.getBlockNumber()), GENESIS, 300, 3);
        rounds.tick(MODEL, 2);
        assertEq(uint256(rounds.current(MODEL)), 2);
        assertEq(uint256(phase()), REVEAL);
        assertFalse(view_().held);
        assertEq(view_().parentHead, GENESIS);
        round = 2;
        IRounds.RoundView memory v = view_();
        assertTrue(v.held && v.parentHead == 0 && v.baseHead == GENESIS);
        assertEq(uint256(v.phase), TRAIN);
        assertEq(uint256(v.phaseEnd), v.openBlock + 10);
    }

    function test_open_whenTwoAreNotSettled_thenTheThirdIsRefused() public {
        _overlap(1);
        _refusesToOpen(3, 2);
        reach(COMMIT);
        tick(); // its seed
        skipBlocks(500);
        _refusesToOpen(3, 2);
        _finish(1);
        skipBlocks(1);
        assertEq(uint256(phase()), VOID); // nobody committed to the second
        rounds.tick(MODEL, 3);
        _refusesToOpen(4, 3);
        round = 3;
        assertTrue(view_().held);
        rounds.tick(MODEL, 2);
        assertFalse(view_().held);
    }

    function test_open_whenTheNewestHasEndedAndIsNotSettled_thenHeldUntilItIs() public {
        open();
        reach(FINAL); // nobody commits
        rounds.tick(MODEL, 2);
        round = 2;
        assertTrue(view_().held);
        rounds.tick(MODEL, 1);
        IRounds.RoundView memory v = view_();
        assertTrue(!v.held && v.parentHead == GENESIS);
        assertEq(uint256(v.phase), TRAIN);
        assertEq(uint256(rounds.windows(MODEL, 2)[0]), 10);
    }

    function test_open_whenTheHeadIsSetButPagesAreLeft_thenItIsTheBase() public {
        populate(90, 3);
        submit(80);
        score(same(3, _scores(80)));
        attest(3, HEAD);
        tick();
        assertEq(models.headOf(MODEL), HEAD);
        assertFalse(view_().settled);
        rounds.tick(MODEL, 2);
        round = 2;
        assertTrue(view_().held && view_().baseHead == HEAD && view_().parentHead == 0);
        _finish(1);
        assertTrue(!view_().held && view_().parentHead == HEAD);
    }

    function test_open_whenPaused_thenTheNextOneWaitsAndTheHeldOneGoesOn() public {
        _overlap(1);
        rounds.pause(1000);
        _finish(1);
        assertFalse(view_().held);
        commitDelta(0);
        reach(REVEAL);
        vm.expectRevert(abi.encodeWithSelector(IRounds.Paused.selector, rounds.pausedUntil()));
        rounds.tick(MODEL, 3);
        revealDelta(0);
        reach(SCORE);
        assertEq(uint256(phase()), SCORE);
    }

    // --- waiting ---

    function test_held_whenItsWindowsAreOver_thenStillInCommit() public {
        _overlap(1);
        skipBlocks(1);
        tick(); // its seed
        commitDelta(0);
        uint64 openBlock = view_().openBlock;
        for (uint256 past = 20; past < 400; past += 95) {
            rollTo(openBlock + past);
            IRounds.RoundView memory v = view_();
            assertEq(uint256(v.phase), COMMIT);
            assertEq(uint256(v.phaseEnd), vm.getBlockNumber() + 1);
            assertEq(uint256(v.commits), 1);
        }
        commitDelta(1); // late, and still in time
        IRounds.Reveal memory r = delta(0, new uint256[](0));
        vm.prank(miner(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, COMMIT, REVEAL));
        rounds.revealDelta(MODEL, 2, r);
        vm.prank(validator(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, COMMIT, SCORE));
        rounds.commitScores(MODEL, 2, ANY);
        tick();
        assertFalse(view_().settled);
    }

    function test_held_whenAllHaveCommitted_thenItStaysOpenUntilItIsReleased() public {
        _overlap(1);
        skipBlocks(3);
        for (uint256 i; i < 3; ++i) {
            commitDelta(i);
        }
        skipBlocks(1);
        assertEq(uint256(phase()), TRAIN);
        assertEq(uint256(rounds.windows(MODEL, 2)[0]), 10);
        assertEq(uint256(rounds.windows(MODEL, 2)[1]), 10);
    }

    function test_held_whenItsSeedIsLost_thenVoidAndSettledAfterTheOther() public {
        IModelRegistry.Policy memory p = policy(64, 5000, 6666);
        p.scoreBlocks = 400;
        models.setPolicy(p);
        _overlap(1);
        round = 1;
        revealDelta(0);
        reach(SCORE);
        skipBlocks(1);
        tick(); // the first one's seed of the evaluation
        round = 2;
        skipBlocks(255);
        (uint8 now_, uint64 end, uint8 reason) = rounds.phaseAt(MODEL, 2, vm.getBlockNumber());
        assertTrue(now_ == VOID && end == 0 && reason == 2);
        _refusesToOpen(3, 2);
        tick();
        assertFalse(view_().settled);
        assertEq(rewards.begun(), 0);
        _finish(1);
        assertEq(rewards.finished(), 1);
        assertFalse(view_().held);
        (now_, end, reason) = rounds.phaseAt(MODEL, 2, vm.getBlockNumber());
        assertTrue(now_ == VOID && end == 0 && reason == 2, "what it ended as stays");
        tick();
        assertTrue(view_().settled);
        assertTrue(rewards.opening().round == 2 && rewards.opening().isVoid && !rewards.opening().isEmpty);
        assertEq(uint256(rewards.opening().endBlock), view_().openBlock + 257);
    }

    // --- two at once ---

    function test_rounds_whenTheyOverlap_thenHeadsFollowOneAnother() public {
        _overlap(2);
        commitDelta(0); // of the second, while the first one is revealed
        round = 1;
        revealDelta(0);
        round = 2;
        commitDelta(1);
        round = 1;
        revealDelta(1);
        reach(SCORE);
        score(same(3, list(5, 7)));
        attest(3, HEAD);
        settle();
        round = 2;
        IRounds.RoundView memory v = view_();
        assertTrue(!v.held && v.baseHead == GENESIS && v.parentHead == HEAD);
        reach(REVEAL);
        IRounds.Reveal memory r = delta(0, new uint256[](0));
        r.baseHead = HEAD;
        vm.prank(miner(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongBase.selector, HEAD, GENESIS));
        rounds.revealDelta(MODEL, 2, r);
        revealDelta(0);
        revealDelta(1);
        reach(SCORE);
        score(same(3, list(3, 0)));
        bytes32 next = keccak256("next");
        attest(3, next);
        settle();
        assertEq(models.headOf(MODEL), next);
        assertEq(view_().head, next);
        assertEq(rewards.finished(), 2);
    }

    function test_rounds_whenTheSecondAcceptsNothing_thenItsHeadIsThatOfTheFirst() public {
        _overlap(1);
        commitDelta(0);
        _judgeFirst();
        round = 2;
        reach(REVEAL);
        revealDelta(0);
        reach(SCORE);
        score(same(3, list(0)));
        assertEq(view_().head, HEAD);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundFinalized(MODEL, 2, HEAD, 0);
        settle();
        assertEq(view_().head, HEAD);
        assertEq(models.headOf(MODEL), HEAD);
    }

    function test_rounds_whenTheSecondIsVoid_thenTheHeadIsThatOfTheFirst() public {
        _overlap(1);
        commitDelta(0);
        _judgeFirst();
        round = 2;
        reach(FINAL);
        settle();
        assertEq(uint256(view_().phase), VOID);
        assertEq(view_().head, HEAD);
        assertEq(models.headOf(MODEL), HEAD);
    }

    function test_rounds_whenTheFirstIsVoid_thenTheSecondGoesOnFromItsBase() public {
        _overlap(1);
        commitDelta(0);
        round = 1;
        revealDelta(0);
        round = 2;
        _finish(1); // nobody scores
        IRounds.RoundView memory v = view_();
        assertTrue(v.baseHead == GENESIS && v.parentHead == GENESIS && !v.held);
        reach(REVEAL);
        revealDelta(0);
        reach(SCORE);
        score(same(3, list(4)));
        attest(3, HEAD);
        settle();
        assertEq(models.headOf(MODEL), HEAD);
    }

    function test_calls_whenTheOlderIsSettled_thenWrongRound() public {
        _overlap(1);
        vm.prank(validator(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, REVEAL, SCORE));
        rounds.commitScores(MODEL, 1, ANY);
        _finish(1);
        bytes memory wrong = abi.encodeWithSelector(IRounds.WrongRound.selector, 2);
        vm.startPrank(validator(0));
        vm.expectRevert(wrong);
        rounds.commitScores(MODEL, 1, ANY);
        vm.expectRevert(wrong);
        rounds.commitHead(MODEL, 0, ANY);
        vm.expectRevert(wrong);
        rounds.commitHead(MODEL, 3, ANY);
        vm.expectRevert(wrong);
        rounds.commitHead(MODEL, type(uint64).max, ANY);
        vm.stopPrank();
        rounds.tick(MODEL, 1); // settled: nothing
        assertEq(rewards.finished(), 1);
    }

    function test_blocks_whenRoundsOverlap_thenEachOpeningSaysItsOwn() public {
        _overlap(1);
        commitDelta(0);
        _judgeFirst();
        IRewards.Opening memory o = rewards.opening();
        (uint64 openFirst, uint64 endFirst) = (o.openBlock, o.endBlock);
        round = 2;
        reach(REVEAL);
        revealDelta(0);
        reach(SCORE);
        score(same(3, list(0)));
        settle();
        o = rewards.opening();
        assertTrue(openFirst < o.openBlock && o.openBlock < endFirst && endFirst < o.endBlock);
    }
}
