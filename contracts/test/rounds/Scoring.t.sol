// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

contract ScoringTest is RoundsWorld {
    bytes32 private constant ANY = keccak256("any");

    // --- seats ---

    function test_seats_whenScoreBegins_thenFirstCallTakesThemDown() public {
        populate(1, 3);
        staking.setSlot(5, validator(5), 100);
        staking.setSlot(6, validator(6), 0);
        submit(1);
        (address[] memory who, uint256[] memory stakes) = rounds.validators(MODEL, 1);
        assertTrue(who.length == 4 && who[3] == validator(5) && stakes[3] == 100);
        tick();
        staking.cutSlots(1); // what comes later does not matter
        (who, stakes) = rounds.validators(MODEL, 1);
        assertTrue(who.length == 4 && who[3] == validator(5) && stakes[3] == 100);
        assertEq(uint256(view_().validatorCount), 4);
        (address occupant, uint64 since) = rounds.seatOf(MODEL, 5);
        assertTrue(occupant == validator(5) && since == 1);
        (occupant, since) = rounds.seatOf(MODEL, 4);
        assertTrue(occupant == address(0) && since == 0);
    }

    function test_seats_whenOccupantsChange_thenTheRoundIsNoted() public {
        populate(1, 3);
        play(same(3, list(5)));
        staking.setSlot(1, validator(7), 100);
        staking.cutSlots(2);
        submit(1);
        tick();
        _isSeat(0, validator(0), 1);
        _isSeat(1, validator(7), 2);
        _isSeat(2, address(0), 2);
    }

    function test_seats_whenTheSourceHasTooMany_thenTheFirst64() public {
        populate(1, 66);
        submit(1);
        tick();
        (address[] memory who,) = rounds.validators(MODEL, 1);
        assertEq(who.length, 64);
    }

    // --- commitments ---

    function test_commitScores_whenSeated_thenRecorded() public {
        populate(1, 2);
        submit(1);
        bytes32 commitment = scoresCommitment(validator(0), list(5), new uint8[](1));
        vm.expectEmit(address(rounds));
        emit IRounds.ScoresCommitted(MODEL, 1, validator(0), commitment);
        commitScores(0, list(5));
        (, bytes32 kept,) = rounds.committed(MODEL, 1, validator(0));
        assertEq(kept, commitment);
        skipBlocks(1);
        assertEq(uint256(phase()), SCORE);
        commitScores(1, list(5));
        skipBlocks(1);
        assertEq(uint256(phase()), SCORE_REVEAL);
    }

    function test_commitScores_whenNotAllowed_thenRefused() public {
        populate(1, 2);
        open();
        vm.prank(validator(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, TRAIN, SCORE));
        rounds.commitScores(MODEL, 1, ANY);
        commitDelta(0);
        reach(REVEAL);
        revealDelta(0);
        reach(SCORE);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnrolled.selector, address(this)));
        rounds.commitScores(MODEL, 1, ANY);
        vm.startPrank(validator(0));
        vm.expectRevert(IRounds.ZeroDigest.selector);
        rounds.commitScores(MODEL, 1, bytes32(0));
        rounds.commitScores(MODEL, 1, ANY);
        vm.expectRevert(IRounds.AlreadyCommitted.selector);
        rounds.commitScores(MODEL, 1, ANY);
        vm.stopPrank();
    }

    // --- reveals ---

    function test_revealScores_whenCommitted_thenStoredByGroups() public {
        populate(10, 1);
        submit(10);
        (uint64[] memory scores, uint8[] memory why) = (new uint64[](10), new uint8[](10));
        for (uint256 i; i < 10; ++i) {
            if (i % 3 == 1) why[i] = uint8(1 + i % 6);
            else scores[i] = uint64(1e9 - i);
        }
        commitScores(0, scores, why);
        reach(SCORE_REVEAL);
        vm.expectEmit(address(rounds));
        emit IRounds.ScoresRevealed(MODEL, 1, validator(0), scores, why, REPORT);
        revealScores(0, scores, why);
        (uint64[] memory kept, uint8[] memory reasons, bytes32 report) = rounds.scoresOf(MODEL, 1, validator(0));
        assertEq(keccak256(abi.encode(kept)), keccak256(abi.encode(scores)));
        assertEq(keccak256(abi.encode(reasons)), keccak256(abi.encode(why)));
        assertEq(report, REPORT);
        assertEq(view_().scoresRevealedStake, 100);
        skipBlocks(1);
        assertEq(uint256(phase()), ATTEST);
    }

    function test_scoresOf_whenNothingRevealed_thenEmpty() public {
        populate(1, 2);
        submit(1);
        commitScores(0, list(5));
        (uint64[] memory kept, uint8[] memory reasons, bytes32 report) = rounds.scoresOf(MODEL, 1, validator(0));
        assertTrue(kept.length == 0 && reasons.length == 0 && report == 0);
        (uint256 agreement, uint256 bondSum) = rounds.judgementOf(MODEL, 1, validator(0));
        assertTrue(agreement == 0 && bondSum == 0);
    }

    function test_revealScores_whenNotWhatWasCommitted_thenRefused() public {
        populate(1, 3);
        submit(1);
        commitScores(0, list(5));
        commitScores(1, list(5));
        vm.prank(validator(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, SCORE, SCORE_REVEAL));
        rounds.revealScores(MODEL, 1, list(5), new uint8[](1), REPORT, SALT);
        reach(SCORE_REVEAL);
        vm.prank(validator(2));
        vm.expectRevert(IRounds.NotCommitted.selector);
        rounds.revealScores(MODEL, 1, list(5), new uint8[](1), REPORT, SALT);
        vm.prank(validator(2));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, SCORE_REVEAL, SCORE));
        rounds.commitScores(MODEL, 1, ANY);
        vm.startPrank(validator(0));
        vm.expectRevert(IRounds.CommitmentMismatch.selector);
        rounds.revealScores(MODEL, 1, list(6), new uint8[](1), REPORT, SALT);
        vm.expectRevert(IRounds.CommitmentMismatch.selector);
        rounds.revealScores(MODEL, 1, list(5), new uint8[](1), ANY, SALT);
        rounds.revealScores(MODEL, 1, list(5), new uint8[](1), REPORT, SALT);
        vm.expectRevert(IRounds.AlreadyRevealed.selector);
        rounds.revealScores(MODEL, 1, list(5), new uint8[](1), REPORT, SALT);
        vm.stopPrank();
    }

    function test_revealScores_whenMalformed_thenRefused() public {
        populate(2, 6);
        submit(2);
        _badly(0, list(1e9 + 1, 0), new uint8[](2), abi.encodeWithSelector(IRounds.BadScore.selector, 0));
        uint8[] memory why = new uint8[](2);
        why[1] = 7;
        _badly(1, list(1, 0), why, abi.encodeWithSelector(IRounds.BadScore.selector, 1));
        why = new uint8[](2);
        why[1] = 6;
        _badly(2, list(1, 1), why, abi.encodeWithSelector(IRounds.BadScore.selector, 1));
        _badly(3, list(1), new uint8[](2), abi.encodeWithSelector(IRounds.BadLength.selector, 1, 2));
        _badly(4, list(1, 2), new uint8[](1), abi.encodeWithSelector(IRounds.BadLength.selector, 1, 2));
        _badly(5, new uint64[](3), new uint8[](3), abi.encodeWithSelector(IRounds.BadLength.selector, 3, 2));
    }

    // --- committees ---

    function test_dealt_whenCommitteesAreDrawn_thenScoresFitOnlyThose() public {
        _drawn(20, 9);
        uint256 judged;
        for (uint256 v; v < 9; ++v) {
            uint64[] memory scores = new uint64[](rounds.dealt(MODEL, 1, validator(v)).length);
            judged += scores.length;
            commitScores(v, scores);
        }
        assertTrue(judged >= 20 && judged <= 60);
        reach(SCORE_REVEAL);
        for (uint256 v; v < 9; ++v) {
            uint64[] memory scores = new uint64[](rounds.dealt(MODEL, 1, validator(v)).length);
            revealScores(v, scores);
            (uint64[] memory kept,,) = rounds.scoresOf(MODEL, 1, validator(v));
            assertEq(kept.length, scores.length);
        }
    }

    function test_committeeOf_whenDrawn_thenItsMembersAreDealtTheGroup() public {
        _drawn(20, 9);
        for (uint256 g; g < 3; ++g) {
            (address[] memory who, uint256[] memory weights) = rounds.committeeOf(MODEL, 1, g);
            uint256 draws;
            for (uint256 i; i < who.length; ++i) {
                draws += weights[i];
                assertTrue(_isDealt(who[i], uint32(8 * g)));
            }
            assertEq(draws, 3);
        }
    }

    function test_dealt_whenSeedIsUnknown_thenNothing() public {
        models.setPolicy(policy(3, 5000, 6666));
        populate(2, 5);
        assertEq(rounds.dealt(MODEL, 1, validator(0)).length, 0); // no such round
        (address[] memory who,) = rounds.committeeOf(MODEL, 1, 0);
        assertEq(who.length, 0);
        (who,) = rounds.validators(MODEL, 1);
        assertEq(who.length, 0);
        submit(2);
        assertEq(rounds.dealt(MODEL, 1, validator(0)).length, 0); // the block whose hash it takes is not over
        (who,) = rounds.committeeOf(MODEL, 1, 0);
        assertEq(who.length, 0);
        skipBlocks(1);
        (who,) = rounds.committeeOf(MODEL, 1, 0);
        assertTrue(who.length > 0);
    }

    function test_dealt_whenRoundIsVoid_thenNothingWithoutSeed() public {
        models.setPolicy(policy(3, 5000, 6666));
        populate(2, 5);
        submit(2);
        skipBlocks(300);
        assertEq(rounds.dealt(MODEL, 1, validator(0)).length, 0);
    }

    function test_dealt_whenAllFit_thenEverythingForThoseWithSeats() public {
        populate(10, 2);
        submit(10);
        assertEq(rounds.dealt(MODEL, 1, validator(1)).length, 10);
        assertEq(rounds.dealt(MODEL, 1, validator(2)).length, 0);
        assertEq(rounds.dealt(MODEL, 1, address(0)).length, 0);
        (address[] memory who, uint256[] memory weights) = rounds.committeeOf(MODEL, 1, 1);
        assertTrue(who.length == 2 && weights[1] == 100);
    }

    function test_revealScores_whenDealtNothing_thenEmptyCounts() public {
        _drawn(1, 9);
        uint256 idle;
        while (rounds.dealt(MODEL, 1, validator(idle)).length > 0) ++idle;
        commitScores(idle, new uint64[](0));
        reach(SCORE_REVEAL);
        revealScores(idle, new uint64[](0));
        (uint64[] memory kept,, bytes32 report) = rounds.scoresOf(MODEL, 1, validator(idle));
        assertTrue(kept.length == 0 && report == REPORT);
        assertEq(view_().scoresRevealedStake, 100);
    }

    // --- heads ---

    function test_heads_whenRevealed_thenTheHeaviestLeads() public {
        populate(1, 3);
        submit(1);
        score(same(3, list(5)));
        bytes32 commitment = headCommitment(validator(0), ANY);
        vm.expectEmit(address(rounds));
        emit IRounds.HeadCommitted(MODEL, 1, validator(0), commitment);
        commitHead(0, ANY);
        (,, bytes32 kept) = rounds.committed(MODEL, 1, validator(0));
        assertEq(kept, commitment);
        commitHead(1, HEAD);
        commitHead(2, HEAD);
        skipBlocks(1);
        assertEq(uint256(phase()), ATTEST_REVEAL);
        vm.expectEmit(address(rounds));
        emit IRounds.HeadRevealed(MODEL, 1, validator(0), ANY);
        revealHead(0, ANY);
        revealHead(1, HEAD);
        revealHead(2, HEAD);
        assertEq(rounds.headOf(MODEL, 1, validator(0)), ANY);
        assertEq(view_().headsRevealedStake, 300);
        skipBlocks(1);
        assertEq(uint256(phase()), FINAL);
        assertEq(view_().head, HEAD);
    }

    function test_heads_whenNotAllowed_thenRefused() public {
        populate(1, 3);
        submit(1);
        vm.prank(validator(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, SCORE, ATTEST));
        rounds.commitHead(MODEL, 1, ANY);
        score(same(3, list(5)));
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnrolled.selector, address(this)));
        rounds.commitHead(MODEL, 1, ANY);
        vm.startPrank(validator(0));
        vm.expectRevert(IRounds.ZeroDigest.selector);
        rounds.commitHead(MODEL, 1, bytes32(0));
        vm.stopPrank();
        commitHead(0, HEAD);
        vm.startPrank(validator(0));
        vm.expectRevert(IRounds.AlreadyCommitted.selector);
        rounds.commitHead(MODEL, 1, ANY);
        vm.stopPrank();
        commitHead(1, bytes32(0));
        vm.prank(validator(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, ATTEST, ATTEST_REVEAL));
        rounds.revealHead(MODEL, 1, HEAD, SALT);
        reach(ATTEST_REVEAL);
        vm.startPrank(validator(2));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, ATTEST_REVEAL, ATTEST));
        rounds.commitHead(MODEL, 1, ANY);
        vm.expectRevert(IRounds.NotCommitted.selector);
        rounds.revealHead(MODEL, 1, HEAD, SALT);
        vm.stopPrank();
        vm.prank(validator(1));
        vm.expectRevert(IRounds.ZeroDigest.selector);
        rounds.revealHead(MODEL, 1, bytes32(0), SALT);
        vm.startPrank(validator(0));
        vm.expectRevert(IRounds.CommitmentMismatch.selector);
        rounds.revealHead(MODEL, 1, ANY, SALT);
        rounds.revealHead(MODEL, 1, HEAD, SALT);
        vm.expectRevert(IRounds.AlreadyRevealed.selector);
        rounds.revealHead(MODEL, 1, HEAD, SALT);
        vm.stopPrank();
    }

    // --- helpers ---

    function _isSeat(uint256 slot, address who, uint64 since) private view {
        (address found, uint64 from) = rounds.seatOf(MODEL, slot);
        assertTrue(found == who && from == since);
    }

    function _drawn(uint256 miners, uint256 validators) private {
        models.setPolicy(policy(3, 5000, 6666));
        populate(miners, validators);
        submit(miners);
        skipBlocks(1);
    }

    function _isDealt(address who, uint32 index) private view returns (bool) {
        uint32[] memory mine = rounds.dealt(MODEL, 1, who);
        for (uint256 i; i < mine.length; ++i) {
            if (mine[i] == index) return true;
        }
        return false;
    }

    function _badly(uint256 index, uint64[] memory scores, uint8[] memory why, bytes memory error_) private {
        uint256 id = vm.snapshotState();
        commitScores(index, scores, why);
        reach(SCORE_REVEAL);
        vm.prank(validator(index));
        vm.expectRevert(error_);
        rounds.revealScores(MODEL, 1, scores, why, REPORT, SALT);
        vm.revertToState(id);
    }
}
