// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {WeightedMedian} from "../../src/libraries/WeightedMedian.sol";
import {Test} from "../support/Test.sol";

/// @notice The lower median by stake, against its definition.
contract WeightedMedianTest is Test {
    function test_lower_whenOneVote_thenItsValue() external pure {
        assertEq(_lower(_list(7), _list(1)), 7);
    }

    function test_lower_whenHalfAndHalf_thenTheSmaller() external pure {
        assertEq(_lower(_list(9, 4), _list(5, 5)), 4);
        assertEq(_lower(_list(9, 4), _list(6, 5)), 9);
        assertEq(_lower(_list(9, 4), _list(5, 6)), 4);
    }

    function test_lower_whenAValueIsExtreme_thenOneVoteMovesNothing() external pure {
        assertEq(_lower(_list(10_000, 3000, 3000), _list(30, 34, 36)), 3000);
        assertEq(_lower(_list(0, 3000, 3000), _list(30, 34, 36)), 3000);
    }

    function testFuzz_lower_isTheSmallestValueThatHalfBacks(uint16[] memory values, uint96[] memory stakes) external pure {
        uint256 length = values.length < stakes.length ? values.length : stakes.length;
        if (length == 0) return;
        if (length > 64) length = 64;
        (uint256[] memory v, uint256[] memory s) = (new uint256[](length), new uint256[](length));
        uint256 total;
        for (uint256 i; i < length; ++i) {
            (v[i], s[i]) = (values[i], uint256(stakes[i]) + 1);
            total += s[i];
        }
        uint256 found = _lower(v, s);
        bool isOne;
        uint256 upTo;
        uint256 below;
        for (uint256 i; i < length; ++i) {
            if (v[i] == found) isOne = true;
            if (v[i] <= found) upTo += s[i];
            if (v[i] < found) below += s[i];
        }
        assertTrue(isOne);
        assertGe(upTo * 2, total);
        assertLt(below * 2, total);
    }

    function _lower(uint256[] memory values, uint256[] memory stakes) private pure returns (uint256) {
        uint256[] memory votes = new uint256[](values.length);
        uint256 total;
        for (uint256 i; i < votes.length; ++i) {
            votes[i] = WeightedMedian.vote(uint16(values[i]), stakes[i]);
            total += stakes[i];
        }
        return WeightedMedian.lower(votes, total);
    }

    function _list(uint256 a) private pure returns (uint256[] memory made) {
        made = new uint256[](1);
        made[0] = a;
    }

    function _list(uint256 a, uint256 b) private pure returns (uint256[] memory made) {
        made = new uint256[](2);
        (made[0], made[1]) = (a, b);
    }

    function _list(uint256 a, uint256 b, uint256 c) private pure returns (uint256[] memory made) {
        made = new uint256[](3);
        (made[0], made[1], made[2]) = (a, b, c);
    }
}
