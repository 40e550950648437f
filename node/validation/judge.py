"""A round's judgement: every delta alone, all together, and each beside the others, on text that the seed picked.

Base losses are measured once. Where only a model's last layers are trained, the frozen layers run once per window for
all deltas. Deltas are decoded one at a time: first each for its print (:mod:`node.validation.originality`), then each
that is judged for its losses. Honesty is told within blocks of deltas, so that the work grows with their number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

import numpy as np
from numpy.typing import NDArray

from client.errors import DeltaError
from contracts.enums import ScoreReason
from node.models.load import LoadedModel, Vector
from node.training.batches import Windows
from node.validation.evaluation import Bench, Estimate, Losses, Measured, Text, fall
from node.validation.originality import Prints
from node.validation.scoring import (
    Likeness,
    Measurements,
    ScoringSettings,
    form_reason,
    honesty_of,
    reason_for,
    score_for,
)

Join = Callable[[list[int]], Vector]
"""Scores in the deltas' order to the model's values after such a round: the exact aggregation of ``client.replay``."""

Without = Callable[[list[int], int], Vector]
"""The same without the delta at a place."""

BLOCK = 8
"""Deltas whose inputs judge each other's honesty, at least; up to twice as many less one, while there are."""


@dataclass(frozen=True)
class JudgeSettings:
    """How much is measured. ``max_norm``: of a delta, Euclidean. The others count windows; more than that are left out.

    The assigned windows are cut to the length of the held-out ones.
    """

    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    max_norm: float = 1e4
    marginal_windows: int = 8
    general_windows: int = 8
    assigned_windows: int = 3


@dataclass(frozen=True)
class DeltaInput:
    """A revealed delta: decoded, or what decodes it (``DeltaError`` where it has no form) each time that it is needed.

    None: its bytes could not be had or read, and ``reason`` says which.
    ``committed`` orders the commitments: of two alike, the later is the copy. ``assigned``: windows that the miner
    trained on if it did its work; None where nothing can be said (then honesty is not judged). ``judged``: false for a
    delta that others judge; it only shows whether one of ours copies it.
    """

    miner: str
    digest: bytes
    vector: Vector | Callable[[], Vector] | None
    committed: int
    assigned: Windows | None = None
    reason: ScoreReason = ScoreReason.OK
    judged: bool = True

    def read(self) -> Vector | None:
        """The decoded delta."""
        return self.vector() if callable(self.vector) else self.vector


@dataclass(frozen=True)
class Judged:
    """One delta's result: ``score`` in micro-nats, why it is zero if it is, estimates in nats (None: not measured)."""

    miner: str
    digest: bytes
    score: int
    reason: ScoreReason
    gain: Estimate | None = None
    marginal: Estimate | None = None
    assigned: Estimate | None = None
    others: Estimate | None = None
    honesty: Estimate | None = None
    forgetting: Estimate | None = None
    likeness: Likeness | None = None


@dataclass(frozen=True)
class Judgement:
    """A validator's view of what it judged, in the deltas' order. Losses in nats a token; ``*_fall``: paired.

    ``heldout_genesis`` is the loss of the model before its first round, on the same text; ``whole_fall``: from
    there to the model after this round.
    """

    deltas: tuple[Judged, ...]
    heldout_genesis: float
    whole_fall: Estimate
    heldout_before: float
    heldout_after: float
    heldout_fall: Estimate
    general_before: float
    general_after: float
    general_fall: Estimate
    tokens: int

    @property
    def scores(self) -> list[int]:
        """Micro-nats, in submission order, as the chain takes them."""
        return [delta.score for delta in self.deltas]

    @property
    def reasons(self) -> list[ScoreReason]:
        """In submission order."""
        return [delta.reason for delta in self.deltas]


@dataclass
class _Alone:
    """What one delta did by itself. ``inputs``: fall of the loss on every dealt window, in nats a token."""

    heldout: Estimate
    general: Estimate
    assigned: Estimate | None = None
    others: Estimate | None = None
    inputs: Losses | None = None


class _Inputs:
    """The windows that a block's miners were dealt, measured at the head. ``owners``: the delta's place of each."""

    def __init__(self, model: LoadedModel, windows: Windows, owners: NDArray[np.int64]) -> None:
        self.bench, self.owners = Bench(model, windows), owners
        self.base = self.bench.measure()

    def measure(self, index: int, found: _Alone) -> None:
        """Add what the model, with this delta now, gained on its own inputs and on others'."""
        after = self.bench.measure()
        own, rest = np.flatnonzero(self.owners == index), np.flatnonzero(self.owners != index)
        found.assigned = fall(self.base.take(own), after.take(own)) if len(own) else None
        found.others = fall(self.base.take(rest), after.take(rest)) if len(rest) else None
        found.inputs = (self.base.losses - after.losses) / self.base.tokens


class _Court:
    """The windows of one judgement, measured at the head once."""

    def __init__(self, model: LoadedModel, head: Vector, heldout: Text, general: Text) -> None:
        self.model = model
        self.head = head
        self.texts = heldout, general
        self.heldout = Bench(model, heldout.windows)
        self.general = Bench(model, general.windows)
        self.dealt_judged = 0
        model.set_vector(head)
        self.heldout_base = self.heldout.measure()
        self.general_base = self.general.measure()

    def block(
        self, block: dict[int, DeltaInput], good: Sequence[int], each: int, progress: Callable[[], None]
    ) -> tuple[dict[int, _Alone], NDArray[np.int64]]:
        """What each good delta of a block does by itself, and whose the block's inputs are."""
        inputs = self._inputs(block, each) if good else None
        found: dict[int, _Alone] = {}
        for index in good:
            vector = block[index].read()
            assert vector is not None, "a delta that was good is read again"
            found[index] = self._alone(index, block[index].miner, vector, inputs)
            progress()
        self.dealt_judged += inputs.bench.judged if inputs else 0
        return found, inputs.owners if inputs else np.array([], dtype=np.int64)

    def _inputs(self, block: dict[int, DeltaInput], each: int) -> _Inputs | None:
        dealt = _dealt(block, each, int(self.heldout.windows.lengths.max()))
        self.model.set_vector(self.head)
        return None if dealt.windows is None else _Inputs(self.model, dealt.windows, dealt.owners)

    def _alone(self, index: int, miner: str, vector: Vector, inputs: _Inputs | None) -> _Alone:
        self.model.set_vector(self.head + vector)
        held, kept = (text.of_others(miner) for text in self.texts)
        kept = kept if len(kept) else np.arange(len(self.general.windows))  # the gate stays, where all of it is its own
        found = _Alone(
            fall(self.heldout_base.take(held), self.heldout.measure().take(held)),
            fall(self.general_base.take(kept), self.general.measure().take(kept)),
        )
        if inputs is not None:
            inputs.measure(index, found)
        return found

    def at(self, vector: Vector) -> Measured:
        """The losses on held-out text with other values."""
        self.model.set_vector(vector)
        return self.heldout.measure()

    @property
    def judged(self) -> int:
        """Tokens whose loss was computed."""
        return self.heldout.judged + self.general.judged + self.dealt_judged


def judge_round(
    model: LoadedModel,
    head: Vector,
    deltas: Sequence[DeltaInput],
    heldout: Text,
    general: Text,
    settings: JudgeSettings | None = None,
    join: Join | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
    genesis: Vector | None = None,
    seed: bytes = b"",
    without: Without | None = None,
    earlier: Sequence[DeltaInput] = (),
) -> Judgement:
    """Judge a round's deltas against ``head``; leaves the model at ``head``.

    ``heldout``: windows of held-out text that the evaluation seed picked; ``general``: the retention text's. No delta
    is judged on what its miner contributed; one whose miner contributed all of ``heldout`` shows no gain. ``join``
    computes the next values from scores; without it the good deltas' mean, weighted by score, is added. ``without``
    computes them without one delta, where there is a quicker way than ``join``. ``genesis``: the model before its first
    round (None: ``head`` is that). ``seed``: the evaluation's, which picks where deltas are compared. ``earlier``: the
    deltas of the round before, which everybody had seen when these were committed: a copy of one is a copy.
    """
    settings = settings or JudgeSettings()
    ours = [index for index, delta in enumerate(deltas) if delta.judged]
    steps = 2 + 2 * len(ours)
    court = _Court(model, head, heldout, general.take(settings.general_windows))
    progress(1, steps)
    reasons, likest = _read_once(deltas, earlier, ours, len(head), settings.max_norm, seed)
    progresses = count(2)
    alone, found = _each_alone(
        court, {index: deltas[index] for index in ours}, reasons, likest, settings.assigned_windows,
        lambda: progress(next(progresses), steps),
    )  # fmt: skip
    final = {
        index: _judged(deltas[index], reasons[index], alone.get(index), found.get(index), settings.scoring)
        for index in ours
    }
    joiner = join or _mean(head, deltas)
    scores = [final[index].score if index in final else 0 for index in range(len(deltas))]
    after, general_after = _joined(court, joiner, scores)
    for place, index in enumerate(ours):
        if final[index].score and sum(score > 0 for score in scores) > 1:
            rest = without(scores, index) if without else joiner([0 if i == index else s for i, s in enumerate(scores)])
            marginal = _marginal(court, rest, after, deltas[index].miner, settings.marginal_windows)
            whole = replace(found[index], marginal=marginal)
            final[index] = _judged(deltas[index], reasons[index], alone[index], whole, settings.scoring)
        progress(2 + len(ours) + place, steps)
    first = court.heldout_base if genesis is None else court.at(genesis)
    model.set_vector(head)
    progress(steps, steps)
    return Judgement(
        deltas=tuple(final[index] for index in ours),
        heldout_genesis=first.loss,
        whole_fall=fall(first, after),
        heldout_before=court.heldout_base.loss,
        heldout_after=after.loss,
        heldout_fall=fall(court.heldout_base, after),
        general_before=court.general_base.loss,
        general_after=general_after.loss,
        general_fall=fall(court.general_base, general_after),
        tokens=court.judged,
    )


def _each_alone(
    court: _Court,
    ours: dict[int, DeltaInput],
    reasons: dict[int, ScoreReason],
    likest: dict[int, Likeness],
    each: int,
    progress: Callable[[], None],
) -> tuple[dict[int, _Alone], dict[int, Measurements]]:
    """What each of our deltas that has a form does by itself, and what was measured of it so far."""
    alone: dict[int, _Alone] = {}
    found: dict[int, Measurements] = {}
    for block in _blocks(list(ours)):
        good = [index for index in block if reasons[index] is ScoreReason.OK]
        seen, owners = court.block({index: ours[index] for index in block}, good, each, progress)
        alone |= seen
        found |= {index: _measurements(index, seen, owners, likest[index]) for index in seen}
    return alone, found


def _blocks(ours: Sequence[int]) -> list[list[int]]:
    """What we judge, in order, in blocks of ``BLOCK`` or a little more; in one, where there are less than two such."""
    blocks = max(1, len(ours) // BLOCK)
    edges = [len(ours) * number // blocks for number in range(blocks + 1)]
    return [list(ours[low:high]) for low, high in pairwise(edges)]


def _read_once(
    deltas: Sequence[DeltaInput],
    earlier: Sequence[DeltaInput],
    ours: Sequence[int],
    n: int,
    max_norm: float,
    seed: bytes,
) -> tuple[dict[int, ScoreReason], dict[int, Likeness]]:
    """Every delta decoded once: why ours can't be measured (or OK), and what each is most like of those before it.

    A miner's own delta of the round before is no model to copy: what was sent in vain comes back by its residual.
    """
    prints = Prints(n, len(deltas) + len(earlier), seed)
    for place, delta in enumerate(earlier, 1):
        with suppress(DeltaError):
            _print(prints, -place, -place, delta.miner, delta.read())
    reasons: dict[int, ScoreReason] = {}
    for index, delta in enumerate(deltas):
        try:
            vector = delta.read()
            reason = delta.reason if delta.reason is not ScoreReason.OK else form_reason(vector, n, max_norm)
        except DeltaError:
            vector, reason = None, ScoreReason.BAD_FORM
        _print(prints, index, delta.committed, delta.miner, vector)
        reasons[index] = reason
    return reasons, prints.likest(ours)


def _print(prints: Prints, index: int, committed: int, miner: str, vector: Vector | None) -> None:
    """Take a delta's print, if it has the form of one."""
    if vector is not None and vector.shape == (prints.n,) and np.isfinite(vector).all():
        prints.add(index, committed, vector, miner)


def _measurements(index: int, alone: dict[int, _Alone], owners: NDArray[np.int64], likest: Likeness) -> Measurements:
    """What was measured of one delta of a block before it is seen beside the others."""
    own = alone[index]
    honesty = None
    if own.inputs is not None:
        peers = [
            other.inputs
            for place, other in alone.items()
            if place != index and other.inputs is not None and other.heldout.mean > 0.0
        ]
        honesty = honesty_of(own.inputs, peers, owners == index)
    forgetting = Estimate(-own.general.mean, own.general.error)
    return Measurements(own.heldout, None, honesty, forgetting, likest)


def _judged(
    delta: DeltaInput,
    form: ScoreReason,
    alone: _Alone | None,
    found: Measurements | None,
    settings: ScoringSettings,
) -> Judged:
    """The result of one delta; of one with a bad form, only that."""
    if alone is None or found is None:
        return Judged(delta.miner, delta.digest, 0, form)
    reason = reason_for(found, settings)
    return Judged(
        miner=delta.miner,
        digest=delta.digest,
        score=score_for(found, reason),
        reason=reason,
        gain=found.gain,
        marginal=found.marginal,
        assigned=alone.assigned,
        others=alone.others,
        honesty=found.honesty,
        forgetting=found.forgetting,
        likeness=found.likeness,
    )


def _joined(court: _Court, join: Join, scores: list[int]) -> tuple[Measured, Measured]:
    """Losses on held-out and on general text after a round with these scores."""
    if not any(scores):
        return court.heldout_base, court.general_base
    court.model.set_vector(join(scores))
    return court.heldout.measure(), court.general.measure()


def _marginal(court: _Court, rest: Vector, after: Measured, miner: str, windows: int) -> Estimate:
    """How much further the loss falls with a miner's delta than with all the ``rest`` alone."""
    court.model.set_vector(rest)
    rows = court.texts[0].of_others(miner)[:windows]
    return fall(court.heldout.measure(rows), after.take(rows))


@dataclass(frozen=True)
class _Dealt:
    """A block's assigned windows as one set, and whose each is (the delta's place)."""

    windows: Windows | None
    owners: NDArray[np.int64]


def _dealt(block: dict[int, DeltaInput], each: int, length: int) -> _Dealt:
    """The first ``each`` windows assigned to every delta, cut to ``length`` tokens."""
    rows: list[list[int]] = []
    owners: list[int] = []
    for index, delta in block.items():
        if delta.assigned is None:
            continue
        for tokens, size in list(zip(delta.assigned.tokens, delta.assigned.lengths, strict=True))[:each]:
            rows.append(tokens[: min(int(size), length)].tolist())
            owners.append(index)
    return _Dealt(Windows.of(rows) if rows else None, np.array(owners, dtype=np.int64))


def _mean(head: Vector, deltas: Sequence[DeltaInput]) -> Join:
    """The head plus the mean of deltas, weighted by score."""

    def join(scores: list[int]) -> Vector:
        total = sum(scores)
        update = np.zeros_like(head)
        for score, delta in zip(scores, deltas, strict=True):
            vector = delta.read() if score else None
            if vector is not None:
                update += np.float32(score / total) * vector
        return head + update

    return join
