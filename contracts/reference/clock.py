"""A round's phases: a pure function of what is known of it and of a block number (``RoundClock.sol``).

Rounds overlap: the next one may open once COMMIT of a round has closed, and is *held* in TRAIN or COMMIT until the one
before it is settled. ``may_open`` says when; ``released`` what the windows become when it is let go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from contracts.enums import Phase, VoidReason
from contracts.reference.constants import BPS, HASH_BLOCKS, QUORUM_BPS

NEVER = 2**256 - 1
"""The end of a round that does not end as things stand: it is held."""


@dataclass(frozen=True)
class RoundFacts:
    """All that a round's phase depends on. Stakes in wei; ``head_stake`` stands behind the leading head."""

    open_block: int
    windows: tuple[int, ...]
    """Lengths of the seven phases in blocks, cut where one closed early."""
    commits: int = 0
    reveals: int = 0
    seed_known: bool = False
    evaluation_seed_known: bool = False
    consensus_known: bool = False
    """Whether the last page of the consensus was taken."""
    accepted: bool = False
    """Whether any consensus score is above zero."""
    frozen_stake: int = 0
    scores_stake: int = 0
    head_stake: int = 0
    quorum_bps: int = QUORUM_BPS
    history_blocks: int = HASH_BLOCKS
    """How far back the chain's block hashes can be read."""
    held: bool = False
    """Whether the round before is not settled yet: the round can't pass COMMIT."""


@dataclass(frozen=True)
class PhaseAt:
    """A phase, the first block after it (0 where the round has ended), and why the round is void."""

    phase: Phase
    phase_end: int
    reason: VoidReason = VoidReason.NONE


def phase_at(facts: RoundFacts, block: int) -> PhaseAt:
    """The phase at a block (``RoundClock.phaseAt``).

    A held round stays in COMMIT beyond its window; until when is not known, so its phase ends with the next block.
    """
    end_block, phase, reason = ending(facts)
    if block >= end_block:
        return PhaseAt(phase, 0, reason)
    if facts.held and block >= start_of(facts, Phase.REVEAL):
        return PhaseAt(Phase.COMMIT, block + 1)
    end = facts.open_block
    for index, length in enumerate(facts.windows):
        end += length
        if block < end:
            return PhaseAt(Phase(index + 1), end)
    raise AssertionError("a round that has not ended is in one of its windows")


def start_of(facts: RoundFacts, phase: Phase) -> int:
    """The first block of a phase (``RoundClock.startOf``)."""
    return facts.open_block + sum(facts.windows[: phase - 1])


def ending(facts: RoundFacts) -> tuple[int, Phase, VoidReason]:
    """The first block at which the round has ended as things stand, and how (``RoundClock.ending``).

    A held round ends only where its opening seed is lost; else ``(NEVER, COMMIT, NONE)``.
    """
    if facts.held:
        return _ending_held(facts)
    end: tuple[int, Phase, VoidReason]
    if is_quorum(facts.head_stake, facts.frozen_stake, facts.quorum_bps):
        end = (start_of(facts, Phase.FINAL), Phase.FINAL, VoidReason.NONE)
    else:
        end = (start_of(facts, Phase.FINAL), Phase.VOID, VoidReason.NO_HEAD_QUORUM)
    if facts.consensus_known and not facts.accepted:
        end = (start_of(facts, Phase.ATTEST), Phase.FINAL, VoidReason.NONE)
    if not is_quorum(facts.scores_stake, facts.frozen_stake, facts.quorum_bps):
        end = (start_of(facts, Phase.ATTEST), Phase.VOID, VoidReason.NO_SCORE_QUORUM)
    lost = _seed_lost(facts)
    if lost is not None and lost < end[0]:
        end = (lost, Phase.VOID, VoidReason.NO_SEED)
    empty = _empty_from(facts)
    if empty is not None and empty <= end[0]:
        end = (empty, Phase.VOID, VoidReason.EMPTY)
    return end


def may_open(newest: RoundFacts, settled: bool, block: int) -> bool:
    """Whether the round after the newest can open at a block (``Rounds.tick``): at most two are not settled."""
    return settled or (not newest.held and phase_at(newest, block).phase >= Phase.REVEAL)


def released(facts: RoundFacts, miners: int, block: int) -> RoundFacts:
    """A held round after the one before it was settled in a block (``RoundState.release``).

    COMMIT is stretched to end with that block where its window is over, so that all of REVEAL is still ahead; where all
    ``miners`` have committed, the present phase closes with it.
    """
    windows = list(facts.windows)
    free = replace(facts, held=False)
    if block >= start_of(facts, Phase.REVEAL):
        windows[Phase.COMMIT - 1] = block + 1 - start_of(facts, Phase.COMMIT)
    elif facts.commits == miners and (phase := phase_at(facts, block).phase) <= Phase.COMMIT:
        windows[phase - 1] = block + 1 - start_of(facts, phase)
        if phase == Phase.TRAIN:
            windows[Phase.COMMIT - 1] = 0
    return replace(free, windows=tuple(windows))


def is_quorum(stake: int, frozen_stake: int, quorum_bps: int = QUORUM_BPS) -> bool:
    """Whether so much of all frozen stake took part."""
    return stake * BPS >= frozen_stake * quorum_bps


def _ending_held(facts: RoundFacts) -> tuple[int, Phase, VoidReason]:
    if facts.seed_known:
        return NEVER, Phase.COMMIT, VoidReason.NONE
    return facts.open_block + facts.history_blocks + 1, Phase.VOID, VoidReason.NO_SEED


def _seed_lost(facts: RoundFacts) -> int | None:
    if not facts.seed_known:
        return facts.open_block + facts.history_blocks + 1
    if not facts.evaluation_seed_known:
        return start_of(facts, Phase.SCORE) + facts.history_blocks + 1
    return None


def _empty_from(facts: RoundFacts) -> int | None:
    if facts.commits == 0:
        return start_of(facts, Phase.REVEAL)
    if facts.reveals == 0:
        return start_of(facts, Phase.SCORE)
    return None
