// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RewardsMock} from "./RoundsMocks.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

/// @notice What a validator's agreement is in a round in which it was dealt nothing, and how much it weighs.
contract AgreementTest is RoundsWorld {
    function test_weight_whenAgreementIsHalf_thenItCountsAQuarter() public {
        _playWithLiar();
        RewardsMock.Paid[] memory paid = rewards.validators();
        assertEq(paid.length, 5);
        // all have a fifth of the bonds; the last one's score was twice the consensus
        assertEq(paid[0].weight, uint256(1e12) * 1311 * 100);
        assertEq(paid[4].weight, uint256(500_000) * 500_000 * 1311 * 100);
    }

    function test_weight_whenNothingIsAccepted_thenItIsStakeTimesTheSquare() public {
        populate(1, 5);
        uint64[][] memory rows = same(5, list(0));
        rows[4] = list(7);
        submit(1);
        score(rows);
        settle();
        RewardsMock.Paid[] memory paid = rewards.validators();
        assertEq(paid.length, 4); // who saw worth where nobody else did agrees with nothing
        assertEq(paid[0].weight, uint256(1e12) * 100);
    }

    function test_agreement_whenDealtNothing_thenItIsThatOfTheLastHand() public {
        _playWithLiar();
        _playUntilIdle(500_000);
    }

    function test_agreement_whenTheSlotHasAnotherOccupant_thenAnIdleOneHasNone() public {
        _playWithLiar();
        bool idle;
        for (uint256 tries; tries < 40 && !idle; ++tries) {
            staking.setSlot(4, validator(9), 100);
            _playDrawn(9);
            staking.setSlot(4, validator(4), 100);
            idle = _playDrawn(4);
        }
        assertTrue(idle, "never idle");
        assertEq(_agreement(4), 0);
    }

    function test_agreement_whenSilent_thenTheLastOneStays() public {
        _playWithLiar();
        submit(1);
        for (uint256 v; v < 4; ++v) {
            commitScores(v, list(100));
        }
        reach(SCORE_REVEAL);
        for (uint256 v; v < 4; ++v) {
            revealScores(v, list(100));
        }
        reach(ATTEST);
        attest(4, HEAD);
        settle();
        assertEq(_agreement(4), 0); // of that round: it revealed nothing
        _playUntilIdle(500_000);
    }

    /// @dev Rounds until the last validator is dealt nothing: it has the agreement of its last hand then.
    function _playUntilIdle(uint256 agreed) private {
        bool idle;
        for (uint256 tries; tries < 40 && !idle; ++tries) {
            idle = _playDrawn(4);
            if (!idle) agreed = _agreement(4);
        }
        assertTrue(idle, "never idle");
        assertEq(_agreement(4), agreed);
        assertTrue(agreed > 0);
    }

    /// @dev All judge all; the last of five gives twice what the others give.
    function _playWithLiar() private {
        populate(1, 5);
        uint64[][] memory rows = same(5, list(100));
        rows[4] = list(200);
        play(rows);
    }

    /// @dev A round with one group and a committee of 3 draws; the last of five validators gives twice what the others give. Returns
    /// whether it was dealt nothing.
    function _playDrawn(uint256 last) private returns (bool idle) {
        models.setPolicy(policy(3, 5000, 6666));
        submit(1);
        skipBlocks(1);
        idle = rounds.dealt(MODEL, round, validator(last)).length == 0;
        for (uint256 v; v < 5; ++v) {
            commitScores(_who(v, last), _hand(_who(v, last), last));
        }
        reach(SCORE_REVEAL);
        for (uint256 v; v < 5; ++v) {
            revealScores(_who(v, last), _hand(_who(v, last), last));
        }
        reach(ATTEST);
        bytes32 head = keccak256(abi.encode("head", round));
        for (uint256 v; v < 5; ++v) {
            commitHead(_who(v, last), head);
        }
        reach(ATTEST_REVEAL);
        for (uint256 v; v < 5; ++v) {
            revealHead(_who(v, last), head);
        }
        reach(FINAL);
        settle();
    }

    function _who(uint256 seat, uint256 last) private pure returns (uint256) {
        return seat == 4 ? last : seat;
    }

    function _hand(uint256 v, uint256 last) private view returns (uint64[] memory scores) {
        scores = new uint64[](rounds.dealt(MODEL, round, validator(v)).length);
        for (uint256 i; i < scores.length; ++i) {
            scores[i] = v == last ? 200 : 100;
        }
    }

    function _agreement(uint256 v) private view returns (uint256 agreement) {
        (agreement,) = rounds.judgementOf(MODEL, round, validator(v));
    }
}
