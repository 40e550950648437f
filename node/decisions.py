"""What a role does next: pure functions of the round as the chain shows it and of this node's own records.

Nothing here remembers or waits. A node that restarts in any phase asks the same question and gets the right answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from client.types import ZERO_DIGEST, DatasetInfo, DatasetStatus, RoundInfo
from contracts.enums import Phase


class Action(StrEnum):
    """The one thing to do now."""

    WAIT = "wait"
    OPEN = "open"  # the next round may begin: tick opens it
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
    """What a miner does about ``view`` (None: the model has had no round); ``auto_open`` only if it is the newest."""
    if view is None:
        return Action.OPEN if auto_open else Action.WAIT
    action = _next_miner_action(view, mine, auto_open)
    return Action.OPEN if action is Action.WAIT and auto_open and view.can_be_followed else action


def _next_miner_action(view: RoundInfo, mine: MinerRecords, auto_open: bool) -> Action:
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
    """What a validator does about ``view``; as with a miner, ``auto_open`` only where it is the newest round."""
    if view is None:
        return Action.OPEN if auto_open else Action.WAIT
    action = _next_validator_action(view, mine, auto_open)
    return Action.OPEN if action is Action.WAIT and auto_open and view.can_be_followed else action


def _next_validator_action(view: RoundInfo, mine: ValidatorRecords, auto_open: bool) -> Action:
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
        return Action.WAIT if view.held else Action.SETTLE
    if not finished:
        return Action.FINISH
    return Action.OPEN if auto_open else Action.WAIT


@dataclass(frozen=True)
class Due:
    """One round with what its role would do about it."""

    view: RoundInfo | None  # None: the model has had no round
    action: Action


QUICK = (
    Action.COMMIT,
    Action.REVEAL,
    Action.COMMIT_SCORES,
    Action.REVEAL_SCORES,
    Action.COMMIT_HEAD,
    Action.REVEAL_HEAD,
)


def in_turn(dues: Sequence[Due]) -> list[Due]:
    """In which order to try what a model's rounds, given in their order, ask for.

    Of live rounds the older comes first: its phases run by the clock. Tidying up after a settled one can wait for what
    the newest may lose: a secret to send, or training from a head that tidying up would replace by a later one.
    """
    *before, newest = dues
    settled = [due for due in before if due.action is Action.FINISH]
    live = [due for due in before if due.action is not Action.FINISH]
    view, last = newest.view, settled[-1].view if settled else None
    behind = view is not None and last is not None and view.base_head != last.left_head
    first = newest.action in QUICK or (newest.action is Action.TRAIN and behind)
    return [*live, newest, *settled] if first else [*live, *settled, newest]


def commit_deadline(view: RoundInfo, commit_blocks: int, older: RoundInfo | None = None) -> int:
    """The last block in which a delta can be committed for sure, as things stand.

    (``phase_end`` is the first block after the phase.) A held round stays in COMMIT until ``older``, the one before it,
    is settled; the scores that are still to come take longer than a commitment, so until then there is another block.
    """
    last = view.phase_end - 1
    if view.phase == Phase.TRAIN:
        return last + commit_blocks
    if view.phase > Phase.COMMIT:
        return view.open_block
    if view.held and older is not None and not older.ended and older.phase < Phase.SCORE_REVEAL:
        return max(last, older.phase_end)
    return last


def tick_turn(address: str, validators: Iterable[str], miners: Iterable[str], model_id: int, round_number: int) -> int:
    """How many of the round's nodes come before this one when it has to be ticked: an order that changes each round.

    One after the other, not all at once: one tick is enough, and each costs gas. Miners come last, since they are busy
    with the next round's training.
    """
    judges = {who.lower() for who in validators}

    def place(who: str) -> tuple[bool, bytes]:
        name = who.lower()
        return name not in judges, hashlib.sha256(f"{name}:{model_id}:{round_number}".encode()).digest()

    others = judges | {who.lower() for who in miners}
    return sum(place(other) < place(address) for other in others - {address.lower()})


def usable(datasets: list[DatasetInfo], open_block: int) -> list[DatasetInfo]:
    """The datasets that a round opened at ``open_block`` uses, by id."""
    return sorted((d for d in datasets if d.usable_at(open_block)), key=lambda d: d.id)


def to_vote_on(datasets: list[DatasetInfo]) -> list[DatasetInfo]:
    """Datasets that wait for the validators."""
    return [d for d in datasets if d.status == DatasetStatus.PENDING]
