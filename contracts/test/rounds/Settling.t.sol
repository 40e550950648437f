// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {RewardsMock} from "./RoundsMocks.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

contract SettlingTest is RoundsWorld {
    // --- rounds that end well ---

    function test_round_whenAllTakePart_thenHeadMovesInOneTick() public {
        data.set(1, MODEL, account("owner", 1), 10_000, 1);
        data.set(2, MODEL, account("owner", 2), 5000, 1);
        staking.setOtherStake(700);
        populate(2, 3);
        open();
        commitDelta(0);
        commitDelta(1);
        reach(REVEAL);
        revealDelta(0, ids(1, 2));
        revealDelta(1);
        data.set(1, MODEL, account("owner", 1), 1, 1); // too late to matter
        reach(SCORE);
        score(same(3, list(101, 300)));
        attest(3, HEAD);
        uint64 endBlock = uint64(vm.getBlockNumber());
        skipBlocks(7);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundFinalized(MODEL, 1, HEAD, 300);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundSettled(MODEL, 1);
        tick();
        assertTrue(view_().settled);
        assertEq(models.headOf(MODEL), HEAD);
        _checkOpening(endBlock);
        _checkPaid();
    }

    function test_round_whenAnotherHeadWins_thenItsMinorityEarnsNothing() public {
        populate(1, 3);
        submit(1);
        score(same(3, list(9)));
        commitHead(0, HEAD);
        commitHead(1, HEAD);
        commitHead(2, keccak256("other"));
        reach(ATTEST_REVEAL);
        revealHead(0, HEAD);
        revealHead(1, HEAD);
        revealHead(2, keccak256("other"));
        reach(FINAL);
        settle();
        assertEq(rewards.validators().length, 2);
        assertEq(staking.slashCount(), 0);
        assertEq(uint256(rounds.missedOf(MODEL, validator(2))), 0);
    }

    function test_round_whenNothingIsAccepted_thenFinalWithoutHeads() public {
        populate(1, 3);
        submit(1);
        uint64[][] memory rows = same(3, list(0));
        rows[2] = list(50);
        score(rows);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundFinalized(MODEL, 1, GENESIS, 0);
        tick();
        IRewards.Opening memory o = rewards.opening();
        assertTrue(!o.isVoid && !o.accepted);
        assertTrue(o.totalConsensus == 0 && o.totalData == 0 && o.totalValidators == 2 * 100 * 1e12);
        assertEq(view_().head, GENESIS);
        assertEq(uint256(view_().phase), FINAL);
        assertEq(rewards.validators().length, 2); // who saw value in nothing agrees with nobody
        assertEq(staking.slashCount(), 0);
    }

    // --- void rounds ---

    function test_round_whenNobodyCommits_thenEmptyAtOnce() public {
        populate(2, 2);
        open();
        reach(FINAL);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundVoided(MODEL, 1, 1);
        tick();
        IRewards.Opening memory o = rewards.opening();
        assertTrue(o.isVoid && o.isEmpty && view_().settled);
        assertEq(uint256(o.endBlock), view_().openBlock + 20);
        assertEq(view_().head, GENESIS);
        assertEq(uint256(rounds.missedOf(MODEL, validator(0))), 0);
    }

    function test_round_whenNobodyReveals_thenEmptyAndNobodyIsJudged() public {
        populate(2, 2);
        open();
        commitDelta(0);
        reach(FINAL);
        tick();
        assertTrue(rewards.opening().isEmpty && view_().settled);
        assertEq(staking.slashCount(), 0);
    }

    function test_round_whenScoresLackQuorum_thenVoidAndTheSilentMissed() public {
        populate(2, 4);
        open();
        commitDelta(0);
        commitDelta(1);
        reach(REVEAL);
        revealDelta(0); // the second never reveals
        reach(SCORE);
        for (uint256 v; v < 3; ++v) {
            commitScores(v, list(9));
        }
        reach(SCORE_REVEAL);
        revealScores(0, list(9));
        revealScores(1, list(9));
        reach(FINAL);
        (uint8 now_,, uint8 reason) = rounds.phaseAt(MODEL, 1, vm.getBlockNumber());
        assertTrue(now_ == VOID && reason == 3);
        vm.expectEmit(address(rounds));
        emit IRounds.ValidatorMissed(MODEL, 1, validator(2), 1);
        tick();
        assertTrue(view_().settled && rewards.opening().isVoid && !rewards.opening().isEmpty);
        _isSlash(0, 1, miner(1), 10);
        _isSlash(1, 2, validator(2), 10);
        assertEq(staking.slashCount(), 2);
        assertEq(uint256(rounds.missedOf(MODEL, validator(1))), 0);
        assertEq(uint256(rounds.missedOf(MODEL, validator(3))), 1);
        assertEq(rewards.deltas().length + rewards.validators().length, 0);
    }

    function test_round_whenNobodyScores_thenSeatedToBeJudged() public {
        populate(1, 2);
        submit(1);
        reach(FINAL);
        tick();
        assertEq(uint256(rounds.missedOf(MODEL, validator(1))), 1);
        assertEq(staking.slashCount(), 0);
    }

    function test_round_whenHeadsLackQuorum_thenVoidAndConsensusStands() public {
        populate(1, 3);
        submit(1);
        score(same(3, list(9)));
        commitHead(0, HEAD);
        commitHead(1, HEAD);
        reach(ATTEST_REVEAL);
        revealHead(0, HEAD); // the second never reveals, the third never attested
        reach(FINAL);
        (uint8 now_,, uint8 reason) = rounds.phaseAt(MODEL, 1, vm.getBlockNumber());
        assertTrue(now_ == VOID && reason == 4);
        tick();
        assertEq(models.headOf(MODEL), GENESIS);
        _isSlash(0, 2, validator(1), 10);
        assertEq(staking.slashCount(), 1);
        assertEq(uint256(rounds.missedOf(MODEL, validator(1))), 1);
        assertEq(uint256(rounds.missedOf(MODEL, validator(2))), 1);
        assertEq(uint256(consensus(0)), 9);
        assertEq(rewards.opening().totalConsensus, 0);
        assertEq(view_().head, GENESIS);
    }

    function test_round_whenConsensusIsTakenAfterItsEnd_thenTheSameOutcome() public {
        populate(1, 3);
        submit(1);
        score(same(3, list(9)));
        skipBlocks(20); // nobody acted in ATTEST: no page was taken
        assertEq(settle(), 1);
        assertEq(uint256(view_().voidReason), 4);
        assertEq(uint256(consensus(0)), 9);
    }

    function test_round_whenItEndsWithPagesLeft_thenTheyComeFirst() public {
        populate(40, 3);
        submit(40);
        uint64[] memory scores = new uint64[](40);
        scores[39] = 7;
        score(same(3, scores));
        skipBlocks(20); // nobody acted in ATTEST
        tick();
        assertTrue(rewards.begun() == 0 && view_().groupsJudged == 4);
        assertTrue(view_().accepted && view_().voidReason == 4);
        tick();
        assertTrue(rewards.begun() == 1 && view_().settled);
    }

    function test_round_whenASlotIsEmpty_thenTheOthersAreJudged() public {
        populate(1, 2);
        staking.setSlot(3, validator(2), 100);
        submit(1);
        score(same(3, list(9)));
        attest(3, HEAD);
        settle();
        assertEq(rewards.validators().length, 3);
    }

    // --- silence ---

    function test_validator_whenSilentThreeTimes_thenDroppedAndCountedAnew() public {
        populate(1, 4);
        for (uint256 i = 1; i <= 3; ++i) {
            submit(1);
            score(same(3, list(9)));
            attest(3, keccak256(abi.encode(i)));
            settle();
            assertEq(uint256(rounds.missedOf(MODEL, validator(3))), i % 3);
            assertEq(staking.dropCount(), i / 3);
        }
        assertEq(staking.drops(0), validator(3));
    }

    function test_validator_whenItTakesPartAgain_thenItsCountRestarts() public {
        populate(1, 4);
        submit(1);
        score(same(3, list(9)));
        attest(3, HEAD);
        settle();
        assertEq(uint256(rounds.missedOf(MODEL, validator(3))), 1);
        play(same(4, list(9)));
        assertEq(uint256(rounds.missedOf(MODEL, validator(3))), 0);
    }

    // --- malformed deltas ---

    function test_delta_whenTwoThirdsCallItMalformed_thenItsMinerIsSlashed() public {
        populate(2, 3);
        submit(2);
        _judged(3, 2);
        vm.expectEmit(address(rounds));
        emit IRounds.DeltaInvalid(MODEL, 1, miner(1), 1);
        settle();
        _isSlash(0, 1, miner(1), 500);
        assertEq(staking.slashCount(), 1);
        assertTrue(consensus(0) == 9 && consensus(1) == 0);
    }

    function test_delta_whenTwoThirdsOfThoseWhoSpokeCallItMalformed_thenTheSilentCountToo() public {
        populate(2, 4);
        submit(2);
        _judged(3, 2);
        settle();
        assertEq(staking.slashCount(), 0);
    }

    function test_delta_whenMalformedForAnotherReason_thenNothing() public {
        populate(2, 3);
        submit(2);
        _judged(3, 0);
        settle();
        assertEq(staking.slashCount(), 0);
    }

    // --- pages ---

    function test_settle_whenLarge_thenPagesPayEachOnce() public {
        models.setPolicy(policy(3, 5000, 6666));
        for (uint256 i; i < 40; ++i) {
            data.set(i + 1, MODEL, account("owner", i), uint16(100 * i), 1);
        }
        populate(90, 40);
        open();
        for (uint256 i; i < 90; ++i) {
            commitDelta(i);
        }
        reach(REVEAL);
        for (uint256 i; i < 80; ++i) {
            revealDelta(i, ids(1 + i % 39, 40));
        }
        reach(SCORE);
        skipBlocks(1);
        uint64[][] memory rows = new uint64[][](40);
        for (uint256 v; v < 40; ++v) {
            rows[v] = new uint64[](rounds.dealt(MODEL, 1, validator(v)).length);
            for (uint256 j; j < rows[v].length; ++j) {
                rows[v][j] = uint64(100 + v);
            }
        }
        score(rows);
        attest(40, HEAD);
        assertEq(rounds.submissions(MODEL, 1).length, 80);
        // the consensus was taken by attesters; 80 deltas of 3 units, 90 committers and 40 validators of 2 make 410 units
        assertEq(settle(), 7);
        assertEq(rewards.deltas().length, 80);
        assertEq(staking.slashCount(), 10);
        assertEq(rewards.finished(), 1);
        for (uint256 i; i < 10; ++i) {
            _isSlash(i, 1, miner(80 + i), 10);
        }
    }

    function test_tick_whenSettlingIsHalfDone_thenNothingElseCanHappen() public {
        models.setPolicy(policy(3, 5000, 6666));
        populate(40, 40);
        submit(40);
        reach(FINAL); // nobody scored
        tick();
        assertFalse(view_().settled);
        assertEq(uint256(view_().phase), VOID);
        vm.prank(validator(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, VOID, SCORE));
        rounds.commitScores(MODEL, 1, HEAD);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotFinal.selector, 1));
        rounds.challenge(MODEL, 1);
        settle();
        open();
    }

    // --- helpers ---

    /// @dev So many validators speak; some of them call the second delta malformed, the rest that it did not gain.
    function _judged(uint256 speak, uint256 malformed) private {
        for (uint256 v; v < speak; ++v) {
            commitScores(v, list(9, 0), _reasons(v < malformed));
        }
        reach(SCORE_REVEAL);
        for (uint256 v; v < speak; ++v) {
            revealScores(v, list(9, 0), _reasons(v < malformed));
        }
        reach(ATTEST);
        attest(speak, HEAD);
    }

    function _reasons(bool malformed) private pure returns (uint8[] memory why) {
        why = new uint8[](2);
        why[1] = malformed ? 2 : 3;
    }

    function _isSlash(uint256 index, uint8 role, address who, uint16 bps) private view {
        (uint8 foundRole, address found, uint16 rate) = staking.slashes(index);
        assertTrue(foundRole == role && found == who && rate == bps);
    }

    function _checkOpening(uint64 endBlock) private view {
        IRewards.Opening memory o = rewards.opening();
        assertTrue(o.modelId == MODEL && o.round == 1 && !o.isVoid && !o.isEmpty && o.accepted);
        assertTrue(o.openBlock == view_().openBlock && o.endBlock == endBlock);
        assertTrue(o.modelStake == 300 && o.globalStake == 1000);
        assertTrue(o.totalConsensus == 401 && o.totalData == 505_000 + 252_500);
    }

    function _checkPaid() private view {
        RewardsMock.Paid[] memory paid = rewards.deltas();
        assertEq(paid.length, 2);
        assertTrue(paid[0].account == miner(0) && paid[0].weight == 101);
        assertTrue(paid[0].owners[0] == account("owner", 1) && paid[0].dataWeights[0] == 505_000);
        assertTrue(paid[0].owners[1] == account("owner", 2) && paid[0].dataWeights[1] == 252_500);
        assertTrue(paid[1].account == miner(1) && paid[1].weight == 300 && paid[1].owners.length == 0);
        paid = rewards.validators();
        assertEq(paid.length, 3);
        for (uint256 v; v < 3; ++v) {
            // a third of each bond, a tenth of which is new, times what was reached
            assertTrue(paid[v].account == validator(v) && paid[v].weight == 1e12 * 2185 * 401);
        }
    }
}
