// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

/// @notice A round always ends, whoever stays silent; slashed are those alone who committed and never revealed.
contract SilenceTest is RoundsWorld {
    uint256 private constant MINERS = 4;
    uint256 private constant VALIDATORS = 5;

    /// @dev Who acts, one bit each. Only who committed can reveal.
    struct Acts {
        uint8 committed;
        uint8 revealed;
        uint8 scored;
        uint8 told;
        uint8 attested;
        uint8 shown;
    }

    uint96[VALIDATORS] private _stakes;
    uint256 private _total;

    /// forge-config: default.fuzz.runs = 500
    function testFuzz_round_whenAnySubsetActs_thenItEndsAndSlashesTheUnrevealed(
        Acts memory a,
        uint96[VALIDATORS] memory stakes
    ) public {
        _scene(a, stakes);
        _submit(a);
        if (phase() == SCORE) _score(a);
        if (phase() == ATTEST) _attest(a);
        reach(FINAL);
        (uint8 end, uint8 reason) = _expected(a);
        assertLe(settle(), 2);
        IRounds.RoundView memory v = view_();
        assertEq(uint256(v.phase), end, "phase");
        assertEq(uint256(v.voidReason), reason, "reason");
        assertEq(models.headOf(MODEL), end == FINAL ? HEAD : GENESIS);
        assertEq(staking.slashCount(), reason == 1 ? 0 : _unrevealed(a, reason), "slashes");
        _checkMissed(a, reason);
        open();
        assertEq(uint256(phase()), TRAIN);
    }

    function _scene(Acts memory a, uint96[VALIDATORS] memory stakes) private {
        // most of them act, so that quorums are often reached
        (a.scored, a.attested) = (a.scored | a.shown, a.attested | a.told);
        (a.told, a.shown) = ((a.told | a.committed) & a.scored, (a.shown | a.revealed) & a.attested);
        a.committed &= 15;
        a.revealed &= a.committed;
        populate(MINERS, VALIDATORS);
        for (uint256 i; i < VALIDATORS; ++i) {
            _stakes[i] = uint96(bound(stakes[i], 1, 1000));
            _total += _stakes[i];
            staking.setSlot(i, validator(i), _stakes[i]);
        }
    }

    function _submit(Acts memory a) private {
        open();
        for (uint256 i; i < MINERS; ++i) {
            if (_is(a.committed, i)) commitDelta(i);
        }
        reach(REVEAL);
        for (uint256 i; i < MINERS; ++i) {
            if (_is(a.revealed, i)) revealDelta(i);
        }
        reach(SCORE);
    }

    function _score(Acts memory a) private {
        uint64[] memory scores = new uint64[](_count(a.revealed, MINERS));
        for (uint256 i; i < scores.length; ++i) {
            scores[i] = 5;
        }
        for (uint256 v; v < VALIDATORS; ++v) {
            if (_is(a.scored, v)) commitScores(v, scores);
        }
        reach(SCORE_REVEAL);
        for (uint256 v; v < VALIDATORS; ++v) {
            if (_is(a.told, v)) revealScores(v, scores);
        }
        reach(ATTEST);
    }

    function _attest(Acts memory a) private {
        for (uint256 v; v < VALIDATORS; ++v) {
            if (_is(a.attested, v)) commitHead(v, HEAD);
        }
        reach(ATTEST_REVEAL);
        for (uint256 v; v < VALIDATORS; ++v) {
            if (_is(a.shown, v)) revealHead(v, HEAD);
        }
    }

    function _expected(Acts memory a) private view returns (uint8, uint8) {
        if (a.revealed == 0) return (VOID, 1);
        if (_weight(a.told) * 10_000 < _total * 6666) return (VOID, 3);
        if (_weight(a.shown) * 10_000 < _total * 6666) return (VOID, 4);
        return (FINAL, 0);
    }

    function _unrevealed(Acts memory a, uint8 reason) private pure returns (uint256 count) {
        count = _count(a.committed & ~a.revealed, MINERS) + _count(a.scored & ~a.told, VALIDATORS);
        if (reason != 3) count += _count(a.attested & ~a.shown, VALIDATORS);
    }

    function _checkMissed(Acts memory a, uint8 reason) private view {
        for (uint256 v; v < VALIDATORS; ++v) {
            bool took = _is(a.told, v) && (reason == 3 || _is(a.shown, v));
            assertEq(uint256(rounds.missedOf(MODEL, validator(v))), reason == 1 || took ? 0 : 1);
        }
    }

    function _weight(uint8 bits) private view returns (uint256 sum) {
        for (uint256 v; v < VALIDATORS; ++v) {
            if (_is(bits, v)) sum += _stakes[v];
        }
    }

    function _is(uint8 bits, uint256 index) private pure returns (bool) {
        return (bits >> index) & 1 == 1;
    }

    function _count(uint8 bits, uint256 people) private pure returns (uint256 count) {
        for (uint256 i; i < people; ++i) {
            if (_is(bits, i)) ++count;
        }
    }
}
