// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundClock} from "../../src/libraries/RoundClock.sol";
import {Test} from "../support/Test.sol";

contract RoundClockTest is Test {
    using RoundClock for RoundClock.Facts;

    function testFuzz_phaseAt_whenBlocksPass_thenItNeverGoesBack(RoundClock.Facts memory f, uint256 a, uint256 b)
        public
        pure
    {
        _tame(f);
        f.held = false;
        a = bound(a, f.openBlock, f.openBlock + 12_000);
        b = bound(b, a, f.openBlock + 12_000);
        (uint8 before, uint64 end,) = f.phaseAt(a);
        (uint8 later,,) = f.phaseAt(b);
        assertLe(before, later);
        assertTrue(before >= RoundClock.TRAIN && before <= RoundClock.VOID);
        if (before < RoundClock.FINAL) {
            assertTrue(end > a);
            (uint8 next,,) = f.phaseAt(end);
            assertTrue(next > before);
            (uint8 last,,) = f.phaseAt(end - 1);
            assertTrue(last == before || last == RoundClock.VOID); // a lost seed ends a round within a phase
        } else {
            assertEq(uint256(end), 0);
        }
    }

    function testFuzz_ending_whenReached_thenOutcomeStays(RoundClock.Facts memory f, uint256 later) public pure {
        _tame(f);
        f.held = false;
        (uint256 endBlock, uint8 phase, uint8 reason) = f.ending();
        later = bound(later, 0, 20_000);
        (uint8 phaseThen, uint64 end, uint8 reasonThen) = f.phaseAt(endBlock + later);
        assertTrue(phaseThen == phase && reasonThen == reason && end == 0);
        assertTrue(phase == RoundClock.FINAL || phase == RoundClock.VOID);
        assertEq(phase == RoundClock.VOID, reason != 0);
        assertLe(endBlock, f.startOf(RoundClock.FINAL));
        assertGe(endBlock, f.openBlock);
    }

    function testFuzz_phaseAt_whenHeld_thenTrainThenCommitForEver(RoundClock.Facts memory f, uint256 a) public pure {
        _tame(f);
        (f.held, f.seedKnown) = (true, true);
        a = bound(a, f.openBlock, f.openBlock + 12_000);
        (uint8 phase, uint64 end, uint8 reason) = f.phaseAt(a);
        uint256 afterTrain = f.startOf(RoundClock.COMMIT);
        uint256 afterCommit = f.startOf(RoundClock.REVEAL);
        assertEq(uint256(phase), a < afterTrain ? RoundClock.TRAIN : RoundClock.COMMIT);
        assertEq(uint256(end), a < afterTrain ? afterTrain : a < afterCommit ? afterCommit : a + 1);
        assertEq(uint256(reason), 0);
        (uint256 endBlock,,) = f.ending();
        assertEq(endBlock, type(uint256).max);
    }

    function testFuzz_phaseAt_whenHeldWithoutASeed_thenVoidFromTheBlockInWhichItIsLost(
        RoundClock.Facts memory f,
        uint256 a
    ) public pure {
        _tame(f);
        (f.held, f.seedKnown) = (true, false);
        uint256 lost = f.openBlock + f.historyBlocks + 1;
        (uint256 endBlock, uint8 phase, uint8 reason) = f.ending();
        assertEq(endBlock, lost);
        assertTrue(phase == RoundClock.VOID && reason == RoundClock.NO_SEED);
        a = bound(a, f.openBlock, lost + 12_000);
        (uint8 now_,,) = f.phaseAt(a);
        assertEq(now_ == RoundClock.VOID, a >= lost);
        assertTrue(now_ <= RoundClock.COMMIT || a >= lost);
    }

    function test_ending_whenNobodyCommits_thenEmptyAtReveal() public pure {
        RoundClock.Facts memory f = _good();
        f.commits = 0;
        _ends(f, 120, RoundClock.VOID, RoundClock.EMPTY);
    }

    function test_ending_whenNobodyReveals_thenEmptyAtScore() public pure {
        RoundClock.Facts memory f = _good();
        f.reveals = 0;
        _ends(f, 130, RoundClock.VOID, RoundClock.EMPTY);
    }

    function test_ending_whenSeedIsLost_thenVoidFromThatBlock() public pure {
        RoundClock.Facts memory f = _good();
        (f.seedKnown, f.historyBlocks) = (false, 50);
        _ends(f, 151, RoundClock.VOID, RoundClock.NO_SEED);
        (f.seedKnown, f.evaluationSeedKnown, f.historyBlocks) = (true, false, 20);
        _ends(f, 151, RoundClock.VOID, RoundClock.NO_SEED);
        f.historyBlocks = 8191;
        _ends(f, 170, RoundClock.FINAL, 0);
    }

    function test_ending_whenEmptyAndLost_thenTheEarlierReasonWins() public pure {
        RoundClock.Facts memory f = _good();
        (f.commits, f.seedKnown, f.historyBlocks) = (0, false, 10);
        _ends(f, 111, RoundClock.VOID, RoundClock.NO_SEED);
        f.historyBlocks = 19;
        _ends(f, 120, RoundClock.VOID, RoundClock.EMPTY);
    }

    function test_ending_whenScoresLackQuorum_thenVoidAtAttest() public pure {
        RoundClock.Facts memory f = _good();
        f.scoresStake = 199;
        _ends(f, 150, RoundClock.VOID, RoundClock.NO_SCORE_QUORUM);
        f.scoresStake = 200;
        _ends(f, 170, RoundClock.FINAL, 0);
    }

    function test_ending_whenNothingIsAccepted_thenFinalAtAttest() public pure {
        RoundClock.Facts memory f = _good();
        (f.consensusKnown, f.headStake) = (true, 0);
        _ends(f, 150, RoundClock.FINAL, 0);
        f.accepted = true;
        _ends(f, 170, RoundClock.VOID, RoundClock.NO_HEAD_QUORUM);
    }

    function testFuzz_quorum_whenStakeIsShort_thenVoid(uint96 stake, uint96 frozen, uint256 quorum) public pure {
        RoundClock.Facts memory f = _good();
        (f.frozenStake, f.scoresStake, f.headStake) = (frozen, stake, frozen);
        f.quorumBps = bound(quorum, 6666, 9000);
        (, uint8 phase,) = f.ending();
        bool enough = uint256(stake) * 10_000 >= uint256(frozen) * f.quorumBps;
        assertEq(phase == RoundClock.FINAL, enough);
    }

    function _good() private pure returns (RoundClock.Facts memory f) {
        f.openBlock = 100;
        for (uint256 i; i < 7; ++i) {
            f.windows[i] = 10;
        }
        (f.commits, f.reveals, f.seedKnown, f.evaluationSeedKnown) = (2, 2, true, true);
        (f.frozenStake, f.scoresStake, f.headStake) = (300, 300, 300);
        (f.quorumBps, f.historyBlocks) = (6666, 256);
    }

    function _ends(RoundClock.Facts memory f, uint256 atBlock, uint8 phase, uint8 reason) private pure {
        (uint256 endBlock, uint8 found, uint8 why) = f.ending();
        assertEq(endBlock, atBlock, "block");
        assertEq(uint256(found), phase, "phase");
        assertEq(uint256(why), reason, "reason");
    }

    function _tame(RoundClock.Facts memory f) private pure {
        f.openBlock %= 1e9;
        for (uint256 i; i < 7; ++i) {
            f.windows[i] = uint32(bound(f.windows[i], 1, 1000));
        }
        f.reveals %= f.commits == 0 ? 1 : f.commits;
        (f.frozenStake, f.quorumBps) = (bound(f.frozenStake, 1, 1e30), bound(f.quorumBps, 6666, 9000));
        (f.scoresStake, f.headStake) = (f.scoresStake % (f.frozenStake + 1), f.headStake % (f.frozenStake + 1));
        f.historyBlocks = f.historyBlocks % 2 == 0 ? 256 : 8191;
    }
}
