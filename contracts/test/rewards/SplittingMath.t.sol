// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Splitting} from "../../src/libraries/Splitting.sol";
import {Test} from "../support/Test.sol";

/// @notice The arithmetic of payments alone.
contract SplittingMathTest is Test {
    function testFuzz_part_neverMoreThanTheWhole(uint128 amount, uint16 bps) external pure {
        bps = uint16(bound(bps, 0, 10_000));
        assertEq(Splitting.part(amount, bps), uint256(amount) * bps / 10_000);
        assertLe(Splitting.part(amount, bps) + Splitting.part(amount, 10_000 - bps), amount);
    }

    function testFuzz_share_sumIsAtMostTheAmountAndLosesDustOnly(uint128 amount, uint32[5] calldata weights)
        external
        pure
    {
        uint256 total;
        for (uint256 i; i < 5; ++i) {
            total += weights[i];
        }
        uint256 left = amount;
        for (uint256 i; i < 5; ++i) {
            left -= Splitting.share(amount, weights[i], total, left);
        }
        if (total > 0) assertLt(left, 5);
        else assertEq(left, amount);
    }

    function testFuzz_share_whenWeightsPassTheTotal_thenAtMostWhatIsLeft(uint128 amount, uint128 weight, uint128 left)
        external
        pure
    {
        assertEq(Splitting.share(amount, weight, 0, left), 0);
        uint256 got = Splitting.share(amount, weight, 7, left);
        uint256 asked = uint256(amount) * weight / 7;
        assertEq(got, asked < left ? asked : left);
    }

    function testFuzz_delegatorsPart_whenCommissionIsTaken_thenTheValidatorHasAtLeastIt(
        uint96 amount,
        uint96 own,
        uint96 delegated,
        uint16 bps
    ) external pure {
        bps = uint16(bound(bps, 0, 5000));
        uint256 theirs = Splitting.delegatorsPart(amount, own, delegated, bps);
        if (delegated == 0) return assertEq(theirs, 0);
        uint256 before = uint256(amount) * delegated / (uint256(own) + delegated);
        assertLe(theirs, before);
        assertEq(theirs, uint256(amount) * delegated * (10_000 - bps) / ((uint256(own) + delegated) * 10_000));
    }

    function test_emission_overAllTime_isTheCapLessGenesis() external pure {
        uint256 sum;
        for (uint256 era; era < 64; ++era) {
            sum += Splitting.emissionPerBlock(era * 45_000_000) * 45_000_000;
            assertEq(
                Splitting.emissionPerBlock(era * 45_000_000), Splitting.emissionPerBlock((era + 1) * 45_000_000 - 1)
            );
        }
        assertLe(sum, 90_000_000e18);
        assertApproxEqAbs(sum, 90_000_000e18, 64 * 45_000_000);
        assertEq(Splitting.emissionPerBlock(type(uint256).max), 0);
    }

    function testFuzz_potOf_neverMoreThanTwiceTheEmissionNorThanThereIs(uint96 emission, uint96 carried, uint96 mintable)
        external
        pure
    {
        uint256 pot = Splitting.potOf(emission, carried, mintable);
        assertLe(pot, mintable);
        assertLe(pot, uint256(emission) + carried);
        assertLe(pot, 2 * uint256(emission));
        if (mintable >= 2 * uint256(emission) && carried >= emission) assertEq(pot, 2 * uint256(emission));
    }

    function testFuzz_emissionOf_neverMoreThanTheBlocksEmit(uint64 blocks, uint96 stake, uint96 total, uint16 bps)
        external
        pure
    {
        bps = uint16(bound(bps, 0, 10_000));
        uint256 emission = Splitting.emissionOf(1e18, blocks, stake, total, bps);
        assertLe(emission, uint256(blocks) * 1e18);
        if (total == 0) assertEq(emission, 0);
        if (stake >= total && total > 0 && bps == 10_000) assertEq(emission, uint256(blocks) * 1e18);
    }

    function test_sharesAt_whenRoundsPass_thenHalvedAtTheHorizon() external pure {
        assertEq(Splitting.sharesAt(0), 1000e18);
        assertEq(Splitting.sharesAt(100), 500e18);
        assertEq(Splitting.sharesAt(300), 250e18);
    }
}
