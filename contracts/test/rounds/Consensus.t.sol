// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Consensus} from "../../src/libraries/Consensus.sol";
import {Sorting} from "../../src/libraries/Sorting.sol";
import {Test} from "../support/Test.sol";

contract ConsensusTest is Test {
    function testFuzz_upper_whenCompared_thenItIsTheNaiveModels(
        uint64[24] memory scores,
        uint96[24] memory weights,
        uint256 count,
        uint256 kappa
    ) public pure {
        count = bound(count, 0, 24);
        kappa = bound(kappa, 5000, 6667);
        uint256[] memory column = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            scores[i] = uint64(scores[i] % 12); // ties are likely
            if (weights[i] == 0) weights[i] = 1;
            column[i] = (uint256(scores[i]) << 128) | weights[i];
        }
        uint256 value = Consensus.upper(column, new uint256[](count), kappa);
        assertEq(value, _naive(scores, weights, count, kappa));
    }

    /// @dev Tries every score, and adds up who reaches it.
    function _naive(uint64[24] memory scores, uint96[24] memory weights, uint256 count, uint256 kappa)
        private
        pure
        returns (uint256 best)
    {
        uint256 total;
        for (uint256 i; i < count; ++i) {
            total += weights[i];
        }
        for (uint256 i; i < count; ++i) {
            uint256 reached;
            for (uint256 k; k < count; ++k) {
                if (scores[k] >= scores[i]) reached += weights[k];
            }
            if (reached * 10_000 >= total * kappa && scores[i] > best) best = scores[i];
        }
    }

    function test_upper_whenHalfReachesIt_thenItCounts() public pure {
        assertEq(_upper(100, 50, 10, 50, 5000), 100);
        assertEq(_upper(100, 49, 10, 51, 5000), 10);
        assertEq(_upper(100, 50, 10, 50, 5001), 10);
    }

    function test_upper_whenWeightsAreGreatest_thenNothingOverflows() public pure {
        uint256[] memory column = new uint256[](64);
        for (uint256 i; i < 64; ++i) {
            column[i] = (uint256(i) << 128) | type(uint128).max;
        }
        assertEq(Consensus.upper(column, new uint256[](64), 6667), 21);
    }

    function testFuzz_upper_whenMinorityLifts_thenNothingRises(uint256 honest, uint256 lifted, uint256 part) public pure {
        honest = bound(honest, 0, 1e9);
        lifted = bound(lifted, honest, 1e9);
        part = bound(part, 1, 4999);
        assertEq(_upper(lifted, part, honest, 10_000 - part, 5000), honest);
    }

    function testFuzz_weightQ16_whenSummed_thenAtMostOne(uint32 a, uint32 b, uint32 c) public pure {
        uint256 total = uint256(a) + b + c;
        uint256 sum = uint256(Consensus.weightQ16(a, total)) + Consensus.weightQ16(b, total)
            + Consensus.weightQ16(c, total);
        assertLe(sum, 65_536);
        if (total > 0) assertGe(sum, 65_534);
    }

    function test_agreement_whenScoresDiffer_thenMinimaOverMaxima() public pure {
        assertEq(Consensus.agreement(0, 0), 1_000_000);
        assertEq(Consensus.agreement(1, 3), 333_333);
        assertEq(Consensus.agreement(3, 3), 1_000_000);
    }

    function testFuzz_ascending_whenSorted_thenOrderedAndTheSame(uint256[] memory words) public pure {
        uint256 sum;
        for (uint256 i; i < words.length; ++i) {
            words[i] >>= 16;
            sum += words[i];
        }
        Sorting.ascending(words, new uint256[](words.length));
        for (uint256 i; i < words.length; ++i) {
            sum -= words[i];
            if (i > 0) assertLe(words[i - 1], words[i]);
        }
        assertEq(sum, 0);
    }

    function test_ascending_whenAddresses_thenOrdered() public pure {
        address[] memory people = new address[](3);
        (people[0], people[1], people[2]) = (address(3), address(1), address(2));
        Sorting.ascending(people);
        assertTrue(people[0] == address(1) && people[1] == address(2) && people[2] == address(3));
    }

    function _upper(uint256 a, uint256 weightA, uint256 b, uint256 weightB, uint256 kappa)
        private
        pure
        returns (uint256)
    {
        uint256[] memory column = new uint256[](2);
        (column[0], column[1]) = ((a << 128) | weightA, (b << 128) | weightB);
        return Consensus.upper(column, new uint256[](2), kappa);
    }
}
