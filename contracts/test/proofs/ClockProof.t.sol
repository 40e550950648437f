// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundClock} from "../../src/libraries/RoundClock.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";

/// @notice What holds of the phase of any round at any block: proven by halmos.
contract ClockProof is Test {
    uint8 private constant FINAL = 8;

    /// @notice From the end of its last window on, whoever stays silent, a round has ended, FINAL or VOID.
    function check_ending_isNeverAfterTheLastWindow(RoundClock.Facts memory f) external pure {
        _sane(f);
        f.held = false;
        (uint256 endBlock, uint8 phase, uint8 reason) = RoundClock.ending(f);
        assertLe(endBlock, RoundClock.startOf(f, FINAL));
        assertTrue(phase == FINAL ? reason == 0 : phase == FINAL + 1 && reason > 0);
    }

    function check_phaseAt_whenLive_thenItsEndIsAhead(RoundClock.Facts memory f, uint64 at) external pure {
        _sane(f);
        vm.assume(f.openBlock <= at && at < type(uint64).max); // where a round is held, the next block's number must be one
        (uint8 phase, uint64 end,) = RoundClock.phaseAt(f, at);
        if (phase < FINAL) assertGt(end, at);
    }

    /// @notice A round that waits for the one before it never passes COMMIT, and ends only where its opening seed is lost.
    function check_phaseAt_whenHeld_thenNeverPastCommit(RoundClock.Facts memory f, uint64 at) external pure {
        _sane(f);
        f.held = true;
        vm.assume(f.openBlock <= at);
        (uint8 phase,, uint8 reason) = RoundClock.phaseAt(f, at);
        bool lost = !f.seedKnown && at > f.openBlock + f.historyBlocks;
        if (lost) assertTrue(phase == FINAL + 1 && reason == RoundClock.NO_SEED);
        else assertTrue(phase == RoundClock.TRAIN || phase == RoundClock.COMMIT);
    }

    /// @dev As the registry bounds them; a quorum of two thirds, on a chain that tells 256 hashes.
    function _sane(RoundClock.Facts memory f) private pure {
        f.openBlock = uint48(f.openBlock);
        for (uint256 i; i < 7; ++i) {
            f.windows[i] = uint16(f.windows[i]);
        }
        f.frozenStake = uint96(f.frozenStake);
        (f.scoresStake, f.headStake) = (uint96(f.scoresStake), uint96(f.headStake));
        (f.quorumBps, f.historyBlocks) = (6_667, 256);
    }
}
