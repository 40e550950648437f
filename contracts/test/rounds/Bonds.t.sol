// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Bonds} from "../../src/libraries/Bonds.sol";
import {Bond} from "../../src/libraries/RoundTypes.sol";
import {Test} from "../support/Test.sol";

contract BondsTest is Test {
    Bond private _bond;
    uint256[64] private _model;

    function testFuzz_update_whenRepeated_thenItIsTheNaiveModels(
        uint16[64] memory first,
        uint16[64] memory second,
        uint256 slots,
        uint256 fewer,
        uint256 changed,
        bool valid,
        uint256 consensus
    ) public {
        slots = bound(slots, 1, 64);
        fewer = bound(fewer, 0, slots);
        consensus = bound(consensus, 1, 1e9);
        _round(first, slots, 0, true, consensus, 1);
        _round(second, fewer, changed, valid, consensus, 2);
        _round(first, slots, 0, true, consensus, 3);
    }

    function test_update_whenAlwaysAll_thenItNearsAllAndStays() public {
        uint16[64] memory parts;
        parts[17] = 65_535;
        for (uint64 i = 1; i <= 130; ++i) {
            _round(parts, 18, 0, true, 1, i);
        }
        assertEq(_lane(17), 65_535 - 4); // halves round up from below, so the last steps are not made
    }

    function test_update_whenSilent_thenItFades() public {
        uint16[64] memory parts;
        parts[0] = 65_535;
        _round(parts, 1, 0, true, 1, 1);
        assertEq(_lane(0), 6554);
        parts[0] = 0;
        _round(parts, 1, 0, true, 1, 2);
        assertEq(_lane(0), 5899);
    }

    /// @dev One round, held against the model. `changed` has a bit for each slot with a new occupant.
    function _round(uint16[64] memory all, uint256 slots, uint256 changed, bool valid, uint256 consensus, uint64 round)
        private
    {
        uint256[] memory parts = new uint256[](slots);
        uint256[] memory since = new uint256[](slots);
        uint256[] memory sums = new uint256[](slots);
        for (uint256 i; i < slots; ++i) {
            parts[i] = all[i];
            if ((changed >> i) & 1 == 1) since[i] = round;
        }
        Bonds.update(_bond, parts, since, valid, consensus, sums);
        _bond.lastRound = round;
        for (uint256 i; i < 64; ++i) {
            if (!valid || i >= slots || since[i] == round) _model[i] = 0;
            if (i < slots) _model[i] = (_model[i] * 9000 + parts[i] * 1000 + 5000) / 10_000;
            assertEq(_lane(i), _model[i]);
            if (i < slots) assertEq(sums[i], _model[i] * consensus);
        }
    }

    function _lane(uint256 slot) private view returns (uint256) {
        return uint16(_bond.lanes[slot / 16] >> (16 * (slot % 16)));
    }
}
