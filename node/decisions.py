"""What a role does next: pure functions of the round as the chain shows it and of this node's own records.

Nothing here remembers or waits. A node that restarts in any phase asks the same question and gets the right answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from client.types import ZERO_DIGEST, DatasetInfo, DatasetStatus, RoundInfo
from contracts.enums import Phase


class Action(StrEnum):
    """The one thing to do now."""

    WAIT = "wait"
    OPEN = "open"  # no round is live: tick opens one
    TALLY = "tally"  # nothing was accepted, and the chain has not summed it up: tick does
    SETTLE = "settle"  # the round is over and nobody has settled it: tick does
    FINISH = "finish"  # the round is over: load the head, tidy up
    TRAIN = "train"
    COMMIT = "commit"
    REVEAL = "reveal"
    MISSED = "missed"  # the work came too late, or its secret is lost
    JUDGE = "judge"
    COMMIT_SCORES = "commit_scores"
    REVEAL_SCORES = "reveal_scores"
    BUILD_HEAD = "build_head"
    COMMIT_HEAD = "commit_head"
    REVEAL_HEAD = "reveal_head"


@dataclass(frozen=True)
class MinerRecords:
    """What a miner knows of itself in one round."""

    enrolled: bool  # frozen into the round's miners
    sealed: bool  # a delta is in the journal
    committed: bool  # the chain has its commitment
    revealed: bool  # the chain has its reveal
    missed: bool = False  # already noted that this round went by
    finished: bool = False  # already tidied up after this round


@dataclass(frozen=True)
class ValidatorRecords:
    """What a validator knows of itself in one round."""

    frozen: bool  # has stake in the round
    scores_sealed: bool  # scores are in the journal
    scores_committed: bool  # the chain has their commitment
    scores_revealed: bool  # the chain has the scores
    head_sealed: bool  # a head is in the journal
    head_committed: bool
    head_revealed: bool
    finished: bool = False  # already loaded the head that this round left


def next_miner_action(view: RoundInfo | None, mine: MinerRecords, auto_open: bool) -> Action:
    """What a miner does about ``view`` (None: the model has had no round)."""
    if view is None:
        return Action.OPEN if auto_open else Action.WAIT
    if view.ended:
        return _after(view, mine.finished, auto_open)
    if not mine.enrolled:
        return Action.WAIT
    if view.phase in (Phase.TRAIN, Phase.COMMIT):
        return _before_commit(view, mine)
    if view.phase == Phase.REVEAL and mine.committed and mine.sealed:
        return Action.WAIT if mine.revealed else Action.REVEAL
    lost = not mine.committed or (not mine.revealed and view.phase >= Phase.REVEAL)
    return Action.MISSED if lost and not mine.missed else Action.WAIT


def _before_commit(view: RoundInfo, mine: MinerRecords) -> Action:
    if mine.committed or view.seed == ZERO_DIGEST:  # the seed can be read one block after the round opened
        return Action.WAIT
    return Action.COMMIT if mine.sealed else Action.TRAIN


def next_validator_action(view: RoundInfo | None, mine: ValidatorRecords, auto_open: bool) -> Action:
    """What a validator does about ``view`` (None: the model has had no round)."""
    if view is None:
        return Action.OPEN if auto_open else Action.WAIT
    if view.ended:
        return _after(view, mine.finished, auto_open)
    if not mine.frozen or view.evaluation_seed == ZERO_DIGEST:
        return Action.WAIT
    if view.phase == Phase.SCORE and not mine.scores_committed:
        return Action.COMMIT_SCORES if mine.scores_sealed else Action.JUDGE
    if view.phase == Phase.SCORE_REVEAL and mine.scores_committed and not mine.scores_revealed:
        return Action.REVEAL_SCORES if mine.scores_sealed else Action.WAIT
    if view.phase == Phase.ATTEST and not mine.head_committed:
        return Action.COMMIT_HEAD if mine.head_sealed else Action.BUILD_HEAD
    if view.phase == Phase.ATTEST_REVEAL and mine.head_committed and not mine.head_revealed:
        return Action.REVEAL_HEAD if mine.head_sealed else Action.WAIT
    return Action.WAIT


def _after(view: RoundInfo, finished: bool, auto_open: bool) -> Action:
    if not view.settled:
        return Action.SETTLE
    if not finished:
        return Action.FINISH
    return Action.OPEN if auto_open else Action.WAIT


def commit_deadline(view: RoundInfo, commit_blocks: int) -> int:
    """The last block in which a delta can be committed (``phase_end`` is the first block after the phase)."""
    last = view.phase_end - 1
    return last + commit_blocks if view.phase == Phase.TRAIN else last


def tick_turn(address: str, others: Iterable[str], model_id: int, round_number: int) -> int:
    """How many of the round's nodes come before this one when it has to be ticked: an order that changes each round.

    One after the other, not all at once: one tick is enough, and each costs gas.
    """

    def place(who: str) -> bytes:
        return hashlib.sha256(f"{who.lower()}:{model_id}:{round_number}".encode()).digest()

    return sum(place(other) < place(address) for other in {o.lower() for o in others} - {address.lower()})


def usable(datasets: list[DatasetInfo], open_block: int) -> list[DatasetInfo]:
    """The datasets that a round opened at ``open_block`` uses, by id."""
    return sorted((d for d in datasets if d.usable_at(open_block)), key=lambda d: d.id)


def to_vote_on(datasets: list[DatasetInfo]) -> list[DatasetInfo]:
    """Datasets that wait for the validators."""
    return [d for d in datasets if d.status == DatasetStatus.PENDING]
