// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Lanes} from "../libraries/Lanes.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {Round} from "../libraries/RoundTypes.sol";

/// @title What follows from a round's record at a block
library RoundState {
    /// @notice What is recorded, as the clock wants it.
    function facts(Round storage r, uint256 historyBlocks) internal view returns (RoundClock.Facts memory) {
        return RoundClock.Facts({
            openBlock: r.openBlock,
            windows: r.windows,
            commits: r.commits,
            reveals: r.reveals,
            seedKnown: r.seed != 0,
            evaluationSeedKnown: r.evaluationSeed != 0,
            consensusKnown: r.consensusKnown,
            accepted: r.accepted,
            frozenStake: r.frozenStake,
            scoresStake: r.scoresRevealedStake,
            headStake: r.headStake[r.leadingHead],
            quorumBps: r.quorumBps,
            historyBlocks: historyBlocks,
            held: r.held
        });
    }

    /// @notice Whether validators have something to do, or had: seats are needed.
    function needsSeats(uint8 phase, uint8 reason) internal pure returns (bool) {
        return phase >= RoundClock.SCORE && reason != RoundClock.EMPTY && reason != RoundClock.NO_SEED;
    }

    /// @notice Whether scores are closed with quorum, so that their consensus can be taken.
    function isScored(uint8 phase, uint8 reason) internal pure returns (bool) {
        return phase >= RoundClock.ATTEST && (phase != RoundClock.VOID || reason == RoundClock.NO_HEAD_QUORUM);
    }

    /// @notice Ends a phase with this block.
    function close(Round storage r, uint8 phase) internal {
        uint256 start = r.openBlock;
        for (uint256 i = 1; i < phase; ++i) {
            start += r.windows[i - 1];
        }
        r.windows[phase - 1] = uint32(block.number + 1 - start);
    }

    /// @notice Ends TRAIN or COMMIT with this block; after TRAIN there is no COMMIT then.
    function closeTraining(Round storage r, uint8 phase) internal {
        close(r, phase);
        if (phase == RoundClock.TRAIN) r.windows[RoundClock.COMMIT - 1] = 0;
    }

    /// @notice Lets a held round go on from a head. Its COMMIT ends with this block where its window is over, so that all of REVEAL is
    /// still ahead, and so does its present phase where all its miners have committed.
    function release(Round storage r, uint256 historyBlocks, bytes32 parentHead) internal {
        RoundClock.Facts memory f = facts(r, historyBlocks);
        (uint8 phase,,) = RoundClock.phaseAt(f, block.number);
        (r.held, r.parentHead) = (false, parentHead);
        if (block.number >= RoundClock.startOf(f, RoundClock.REVEAL)) close(r, RoundClock.COMMIT);
        else if (r.commits == r.minerCount && phase <= RoundClock.COMMIT) closeTraining(r, phase);
    }

    /// @notice How many groups of submissions the round has.
    function groups(Round storage r) internal view returns (uint256) {
        return Lanes.groups(r.reveals);
    }

    /// @notice A submission's lane of the consensus, 0 while its page was not taken.
    function verdict(Round storage r, uint256 index) internal view returns (uint256) {
        return Lanes.at(r.verdicts[index / Lanes.GROUP], index % Lanes.GROUP);
    }
}
