// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Lanes} from "../../src/libraries/Lanes.sol";
import {Test} from "../support/Test.sol";

contract LanesTest is Test {
    function testFuzz_lane_whenPacked_thenScoreAndReasonComeBack(uint256 value, uint256 why, uint256 index)
        public
        pure
    {
        why = bound(why, 0, 6);
        value = why == 0 ? bound(value, 0, 1e9) : 0;
        index = bound(index, 0, 7);
        uint256 word = Lanes.placed(Lanes.pack(value, why), index);
        uint256 lane = Lanes.at(word, index);
        assertTrue(lane != 0);
        assertEq(Lanes.score(lane), value);
        assertEq(uint256(Lanes.reason(lane)), why);
        assertEq(word, lane << (32 * index));
    }

    function test_lane_whenEmpty_thenNeitherScoreNorReason() public pure {
        assertEq(Lanes.score(0), 0);
        assertEq(uint256(Lanes.reason(0)), 0);
    }

    function testFuzz_consensus_whenFlagged_thenFlagIsNoPartOfIt(uint256 value) public pure {
        value = bound(value, 0, 1e9);
        assertEq(Lanes.consensus(value | Lanes.FLAG), value);
        assertEq(Lanes.consensus(value), value);
    }

    function testFuzz_groups_whenAllAreDealt_thenTheirSizesAddUp(uint256 submissions) public pure {
        submissions = bound(submissions, 0, 256);
        uint256 groups = Lanes.groups(submissions);
        uint256 sum;
        for (uint256 g; g < groups; ++g) {
            uint256 size = Lanes.sizeOf(g, submissions);
            assertTrue(size > 0 && size <= 8);
            sum += size;
        }
        assertEq(sum, submissions);
        assertEq(Lanes.sizeOf(groups, submissions), 0);
        assertEq(Lanes.dealt((1 << groups) - 1, submissions), submissions);
    }

    function test_dealt_whenLastGroupIsShort_thenItCountsShort() public pure {
        assertEq(Lanes.dealt(5, 20), 12);
        assertEq(Lanes.dealt(4, 20), 4);
        assertEq(Lanes.dealt(0, 20), 0);
    }
}
