// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../interfaces/IRounds.sol";
import {Committee} from "../libraries/Committee.sol";
import {Lanes} from "../libraries/Lanes.sol";
import {Ballot, Round} from "../libraries/RoundTypes.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title Takes down a validator's revealed scores
/// @notice Linked into `Rounds`, and works on its record.
library Scoring {
    uint64 private constant MAX_SCORE = 1e9;
    uint8 private constant LAST_REASON = 6;

    /// @notice Stores one score for each submission that the validator was dealt, in submission order.
    function store(Round storage r, Ballot storage ballot, uint64[] calldata scores, uint8[] calldata reasons)
        external
    {
        uint256 count = r.reveals;
        uint256 bits = _dealt(r, ballot.slot - 1, Lanes.groups(count));
        uint256 wanted = Lanes.dealt(bits, count);
        if (scores.length != wanted) revert IRounds.BadLength(scores.length, wanted);
        if (reasons.length != wanted) revert IRounds.BadLength(reasons.length, wanted);
        uint256 from;
        uint256 top;
        for (uint256 group; bits >> group != 0; ++group) {
            if (bits & (1 << group) == 0) continue;
            uint256 to = from + Lanes.sizeOf(group, count);
            (uint256 word, uint256 best) = _word(scores, reasons, from, to);
            ballot.words[group] = word;
            if (best > top) top = best;
            from = to;
        }
        (ballot.revealed, ballot.top) = (true, uint32(top));
    }

    /// @dev Scores `from` to `to` in one word, and the greatest of them plus one.
    function _word(uint64[] calldata scores, uint8[] calldata reasons, uint256 from, uint256 to)
        private
        pure
        returns (uint256 word, uint256 best)
    {
        for (uint256 i = from; i < to; ++i) {
            (uint256 score, uint256 reason) = (scores[i], reasons[i]);
            if (score > MAX_SCORE || reason > LAST_REASON || (reason != 0 && score != 0)) revert IRounds.BadScore(i);
            word |= Lanes.placed(Lanes.pack(score, reason), i - from);
            if (score + 1 > best) best = score + 1;
        }
    }

    /// @dev All groups where everybody judges everything, without a look at the others' seats.
    function _dealt(Round storage r, uint256 slot, uint256 groups) private view returns (uint256) {
        if (r.validatorCount <= r.committee) return (1 << groups) - 1;
        return Committee.dealt(Verdicts.panel(r), slot, groups);
    }
}
