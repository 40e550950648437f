"""Who judges what, and what their scores come to (``Committee.sol``, ``Consensus.sol``).

Scores are micro-nats. A row is one validator's scores in submission order, ``None`` where it was not dealt a submission
or revealed nothing. A committee is a list of weights, one for each validator; zero for who is no member.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.enums import ScoreReason
from contracts.reference.constants import BPS, COMMITTEE, FULL_AGREEMENT, GROUP, KAPPA_BPS, MAX_SCORE, ONE_Q16

Row = Sequence[int | None]

_LANE_BITS = 32
_LANE_MASK = (1 << _LANE_BITS) - 1
_REASON_FLAG = 0x4000_0000

# --- groups, lanes and committees -----------------------------------------------------------------


def groups_of(submissions: int) -> int:
    """How many groups so many submissions make; the last one may be smaller."""
    return -(-submissions // GROUP)


def pack_group(scores: Sequence[int], reasons: Sequence[int]) -> int:
    """The storage word of one group's scores: in lane i 0 for none, else score + 1, or a flag and the reason."""
    word = 0
    for lane, (score, reason) in enumerate(zip(scores, reasons, strict=True)):
        value = _REASON_FLAG | reason if reason != ScoreReason.OK else score + 1
        word |= value << (lane * _LANE_BITS)
    return word


def unpack_group(word: int, count: int = GROUP) -> list[tuple[int, ScoreReason] | None]:
    """Score and reason of each lane; ``None`` where nothing was revealed."""
    found: list[tuple[int, ScoreReason] | None] = []
    for lane in range(count):
        value = (word >> (lane * _LANE_BITS)) & _LANE_MASK
        if value == 0:
            found.append(None)
        elif value & _REASON_FLAG:
            found.append((0, ScoreReason(value & ~_REASON_FLAG)))
        else:
            found.append((value - 1, ScoreReason.OK))
    return found


def is_sampled(stakes: Sequence[int], size: int = COMMITTEE) -> bool:
    """Whether committees are drawn: there are more validators than seats in one."""
    return sum(1 for stake in stakes if stake) > size


def draw(seed: bytes, group: int, number: int, total: int) -> int:
    """A draw's point on the line of all stake: ``keccak256(abi.encode(seed, group, number)) % total``."""
    from eth_utils.crypto import keccak

    data = seed.rjust(32, b"\0") + group.to_bytes(32, "big") + number.to_bytes(32, "big")
    return int.from_bytes(keccak(data), "big") % total


def committee(seed: bytes, group: int, stakes: Sequence[int], size: int = COMMITTEE) -> list[int]:
    """Each validator's weight in a group's committee. ``stakes`` are in slot order, zero for an empty slot.

    All stakes as they are while there are at most ``size`` validators; else the number of times that each was drawn.
    """
    if not is_sampled(stakes, size):
        return list(stakes)
    return drawn(stakes, [draw(seed, group, number, sum(stakes)) for number in range(size)])


def drawn(stakes: Sequence[int], points: Iterable[int]) -> list[int]:
    """How many points fall on each validator's part of the line of all stake."""
    weights = [0] * len(stakes)
    for point in points:
        seat = 0
        while point >= stakes[seat]:
            point -= stakes[seat]
            seat += 1
        weights[seat] += 1
    return weights


def dealt(seed: bytes, validator: int, stakes: Sequence[int], submissions: int, size: int = COMMITTEE) -> list[int]:
    """The submissions that a validator (by its slot) has to score, ascending (``Rounds.dealt``)."""
    mine = [g for g in range(groups_of(submissions)) if committee(seed, g, stakes, size)[validator]]
    return [index for g in mine for index in range(g * GROUP, min(submissions, (g + 1) * GROUP))]


# --- consensus ------------------------------------------------------------------------------------


def reach(scores: Iterable[int], weights: Iterable[int], kappa_bps: int = KAPPA_BPS) -> int:
    """The greatest score that members with at least kappa of the weight reach or pass; 0 where nobody voted."""
    votes = sorted(((score, weight) for score, weight in zip(scores, weights, strict=True) if weight), reverse=True)
    total = sum(weight for _, weight in votes)
    reached = 0
    for score, weight in votes:
        reached += weight
        if reached * BPS >= total * kappa_bps:
            return score
    return 0


def consensus(
    scores: Sequence[Row], stakes: Sequence[int], submissions: int | None = None, kappa_bps: int = KAPPA_BPS
) -> list[int]:
    """Consensus of a round in which every row comes from a validator that was dealt everything."""
    if len(scores) != len(stakes):
        raise ValueError(f"{len(scores)} validators' scores, but {len(stakes)} stakes")
    count = submissions if submissions is not None else (len(scores[0]) if scores else 0)
    return consensus_by_groups(scores, [list(stakes)] * groups_of(count), count, kappa_bps)


def consensus_by_groups(
    scores: Sequence[Row], committees: Sequence[Sequence[int]], submissions: int, kappa_bps: int = KAPPA_BPS
) -> list[int]:
    """Consensus of every submission within its group's committee; who revealed nothing does not count."""
    values = []
    for index in range(submissions):
        weights = committees[index // GROUP]
        votes = [(row[index], weight) for row, weight in zip(scores, weights, strict=True)]
        given = [(score, weight) for score, weight in votes if score is not None]
        values.append(reach([score for score, _ in given], [weight for _, weight in given], kappa_bps))
    return values


def ceiling(scores: Sequence[Row], stakes: Sequence[int], kappa_bps: int = KAPPA_BPS) -> int:
    """The greatest score that any submission can get: what kappa of all revealed stake gave its own best submission.

    It binds only where committees are drawn: one of them may fall to a minority of the stake, this can't.
    """
    tops = [max((score for score in row if score is not None), default=None) for row in scores]
    given = [(top, stake) for top, stake in zip(tops, stakes, strict=True) if top is not None]
    return reach([top for top, _ in given], [stake for _, stake in given], kappa_bps)


def under(limit: int, consensus_scores: Sequence[int]) -> list[int]:
    """Consensus scores cut to the ceiling."""
    return [min(score, limit) for score in consensus_scores]


def lower_median(votes: Sequence[tuple[int, int]]) -> int:
    """The least of (value, stake) votes such that half of the stake voted for it or less (``WeightedMedian.sol``)."""
    total = sum(stake for _, stake in votes)
    below = 0
    for value, stake in sorted(votes):
        below += stake
        if below * 2 >= total:
            return value
    raise ValueError("a median of no votes")


def weights_q16(consensus_scores: Sequence[int]) -> list[int]:
    """Mixing weights in 1/65536, rounded down; all zero where no consensus is above zero."""
    total = sum(consensus_scores)
    return [score * ONE_Q16 // total if total else 0 for score in consensus_scores]


def agreement(scores: Row, consensus_scores: Sequence[int]) -> int:
    """How much of a validator's scores the consensus shares, in millionths: sum of minima over sum of maxima.

    Only submissions that it was dealt count; full where both sides are zero.
    """
    pairs = [(score, value) for score, value in zip(scores, consensus_scores, strict=False) if score is not None]
    high = sum(max(pair) for pair in pairs)
    return sum(min(pair) for pair in pairs) * FULL_AGREEMENT // high if high else FULL_AGREEMENT


def agreement_or_last(scores: Row, consensus_scores: Sequence[int], last: int) -> int:
    """This round's agreement, or ``last`` where the validator was dealt nothing (zero if it never was)."""
    return agreement(scores, consensus_scores) if any(score is not None for score in scores) else last


def is_invalid(reasons: Sequence[int | None], weights: Sequence[int]) -> bool:
    """Whether two thirds of a whole committee, its silent members too, call a delta malformed."""
    against = sum(weight for reason, weight in zip(reasons, weights, strict=True) if reason == ScoreReason.BAD_FORM)
    return against > 0 and against * 3 >= sum(weights) * 2


def check_score(score: int, reason: int) -> bool:
    """Whether a contract takes this score with this reason."""
    return 0 <= score <= MAX_SCORE and (reason == ScoreReason.OK or score == 0)
