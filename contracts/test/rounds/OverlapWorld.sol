// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

/// @notice Three miners, three validators, and what leads to two rounds at once.
abstract contract OverlapWorld is RoundsWorld {
    function setUp() public virtual override {
        super.setUp();
        populate(3, 3);
    }

    /// @dev The first round in REVEAL, with so many deltas committed, and the second just opened.
    function _overlap(uint256 count) internal {
        open();
        for (uint256 i; i < count; ++i) {
            commitDelta(i);
        }
        reach(REVEAL);
        tick();
        round = 2;
        tick();
    }

    /// @dev The first round has ended without a delta; in the second one miner has committed, so many blocks after its opening.
    function _empty(uint256 blocks) internal {
        open();
        reach(FINAL);
        round = 2;
        tick();
        skipBlocks(blocks);
        commitDelta(0);
    }

    /// @dev Lets a round end and settles it, and goes back to the one that was looked at.
    function _finish(uint64 which) internal {
        uint64 back = round;
        round = which;
        reach(FINAL);
        settle();
        round = back;
    }

    /// @dev The first round's one delta is accepted.
    function _judgeFirst() internal {
        round = 1;
        revealDelta(0);
        reach(SCORE);
        score(same(3, list(5)));
        attest(3, HEAD);
        settle();
    }

    function _refusesToOpen(uint64 next, uint64 last) internal {
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongRound.selector, last));
        rounds.tick(MODEL, next);
    }

    function _scores(uint256 count) internal pure returns (uint64[] memory l) {
        l = new uint64[](count);
        for (uint256 i; i < count; ++i) {
            l[i] = uint64(1 + i);
        }
    }
}
