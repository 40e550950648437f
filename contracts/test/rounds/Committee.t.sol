// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Committee} from "../../src/libraries/Committee.sol";
import {Test} from "../support/Test.sol";

contract CommitteeTest is Test {
    function testFuzz_weights_whenDrawn_thenEachDrawFallsWhereTheNaiveModelSays(
        bytes32 seed,
        uint96[20] memory stakes,
        uint256 holes,
        uint256 group
    ) public pure {
        group = bound(group, 0, 31);
        Committee.Panel memory p = _panel(stakes, holes, 4, seed);
        if (!Committee.isDrawn(p)) return;
        uint256[] memory weights = Committee.weights(p, group);
        uint256[] memory wanted = _naive(p, group);
        assertEq(weights, wanted);
    }

    function testFuzz_dealt_whenDrawn_thenTheGroupsInWhichItWeighs(
        bytes32 seed,
        uint96[20] memory stakes,
        uint256 holes,
        uint256 slot,
        uint256 groups
    ) public pure {
        slot = bound(slot, 0, 19);
        groups = bound(groups, 0, 32);
        Committee.Panel memory p = _panel(stakes, holes, 4, seed);
        uint256 bits = Committee.dealt(p, slot, groups);
        for (uint256 g; g < groups; ++g) {
            bool member = !Committee.isDrawn(p) || Committee.weights(p, g)[slot] > 0;
            assertEq((bits >> g) & 1 == 1, member);
        }
        assertEq(bits >> groups, 0);
    }

    function test_weights_whenAllFit_thenTheyAreStakes() public pure {
        uint96[20] memory stakes;
        (stakes[0], stakes[7]) = (5, 9);
        Committee.Panel memory p = _panel(stakes, 0, 20, bytes32(0));
        assertFalse(Committee.isDrawn(p));
        assertEq(Committee.weights(p, 3), p.stakes);
        assertEq(Committee.dealt(p, 7, 3), 7);
    }

    function test_weights_whenSeedIsUnknown_thenNobody() public pure {
        uint96[20] memory stakes;
        for (uint256 i; i < 20; ++i) {
            stakes[i] = 100;
        }
        Committee.Panel memory p = _panel(stakes, 0, 4, bytes32(0));
        assertEq(Committee.weights(p, 0), new uint256[](20));
        assertEq(Committee.dealt(p, 0, 32), 0);
    }

    function test_weights_whenManyDraws_thenTheyFollowStake() public pure {
        uint96[20] memory stakes;
        for (uint256 i; i < 20; ++i) {
            stakes[i] = i == 3 ? 1900 : 100; // half of all
        }
        uint256 drawn;
        for (uint256 g; g < 200; ++g) {
            Committee.Panel memory p = _panel(stakes, 0, 16, keccak256(abi.encode(g)));
            drawn += Committee.weights(p, g)[3];
        }
        assertApproxEqAbs(drawn, 1600, 120);
    }


    function _panel(uint96[20] memory stakes, uint256 holes, uint256 draws, bytes32 seed)
        private
        pure
        returns (Committee.Panel memory p)
    {
        (p.accounts, p.stakes, p.draws, p.seed) = (new address[](20), new uint256[](20), draws, seed);
        for (uint256 i; i < 20; ++i) {
            if ((holes >> i) & 1 == 0) p.stakes[i] = stakes[i];
        }
        return Committee.summed(p);
    }

    function _naive(Committee.Panel memory p, uint256 group) private pure returns (uint256[] memory weights) {
        weights = new uint256[](p.stakes.length);
        if (p.seed == 0) return weights;
        uint256 total;
        for (uint256 i; i < p.stakes.length; ++i) {
            total += p.stakes[i];
        }
        for (uint256 d; d < p.draws; ++d) {
            uint256 x = uint256(keccak256(abi.encode(p.seed, group, d))) % total;
            uint256 slot;
            while (x >= p.stakes[slot]) x -= p.stakes[slot++];
            ++weights[slot];
        }
    }
}
