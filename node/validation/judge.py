"""A round's judgement: every delta alone, all together, and each beside the others, on text that the seed picked.

Base losses are measured once; deltas are applied in place and undone. Where only a model's last layers are trained, the
frozen layers run once per window for all deltas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from contracts.enums import ScoreReason
from node.models.load import LoadedModel, Vector
from node.training.batches import Windows
from node.validation.evaluation import Bench, Estimate, Losses, Measured, fall
from node.validation.scoring import (
    Likeness,
    Measurements,
    ScoringSettings,
    form_reason,
    honesty_of,
    likeness,
    reason_for,
    score_for,
)

Join = Callable[[list[int]], Vector]
"""Scores in the deltas' order to the model's values after such a round: the exact aggregation of ``client.replay``."""


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
    """A revealed delta: decoded (None: its bytes could not be had or read, and ``reason`` says which).

    ``committed`` orders the commitments: of two alike, the later is the copy. ``assigned``: windows that the miner
    trained on if it did its work; None where nothing can be said (then honesty is not judged). ``judged``: false for a
    delta that others judge; it only shows whether one of ours copies it.
    """

    miner: str
    digest: bytes
    vector: Vector | None
    committed: int
    assigned: Windows | None = None
    reason: ScoreReason = ScoreReason.OK
    judged: bool = True


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


class _Court:
    """The windows of one judgement, measured at the head once."""

    def __init__(self, model: LoadedModel, head: Vector, heldout: Windows, general: Windows, dealt: _Dealt) -> None:
        self.model = model
        self.head = head
        self.heldout = Bench(model, heldout)
        self.general = Bench(model, general)
        self.owners = dealt.owners
        self.inputs = None if dealt.windows is None else Bench(model, dealt.windows)
        model.set_vector(head)
        self.heldout_base = self.heldout.measure()
        self.general_base = self.general.measure()
        self.inputs_base = None if self.inputs is None else self.inputs.measure()

    def alone(self, index: int, vector: Vector) -> _Alone:
        """The model with this delta and no other."""
        self.model.set_vector(self.head + vector)
        found = _Alone(fall(self.heldout_base, self.heldout.measure()), fall(self.general_base, self.general.measure()))
        if self.inputs is not None and self.inputs_base is not None:
            after, base = self.inputs.measure(), self.inputs_base
            own, rest = np.flatnonzero(self.owners == index), np.flatnonzero(self.owners != index)
            found.assigned = fall(base.take(own), after.take(own)) if len(own) else None
            found.others = fall(base.take(rest), after.take(rest)) if len(rest) else None
            found.inputs = (base.losses - after.losses) / base.tokens
        return found

    def at(self, vector: Vector) -> Measured:
        """The losses on held-out text with other values."""
        self.model.set_vector(vector)
        return self.heldout.measure()

    @property
    def judged(self) -> int:
        """Tokens whose loss was computed."""
        benches = [self.heldout, self.general, *([self.inputs] if self.inputs else [])]
        return sum(bench.judged for bench in benches)


def judge_round(
    model: LoadedModel,
    head: Vector,
    deltas: Sequence[DeltaInput],
    heldout: Windows,
    general: Windows,
    settings: JudgeSettings | None = None,
    join: Join | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
    genesis: Vector | None = None,
) -> Judgement:
    """Judge a round's deltas against ``head``; leaves the model at ``head``.

    ``heldout``: windows of held-out text that the evaluation seed picked; ``general``: the retention text's. ``join``
    computes the next values from scores; without it the good deltas' mean, weighted by score, is added. ``genesis``:
    the model before its first round (None: ``head`` is that).
    """
    settings = settings or JudgeSettings()
    ours = [index for index, delta in enumerate(deltas) if delta.judged]
    steps = 2 + 2 * len(ours)
    dealt = _dealt(deltas, settings.assigned_windows, int(heldout.lengths.max()))
    court = _Court(model, head, heldout, general.take(range(min(len(general), settings.general_windows))), dealt)
    progress(1, steps)
    reasons = {index: _form(deltas[index], len(head), settings.max_norm) for index in ours}
    alone = _each_alone(court, deltas, reasons, lambda done: progress(2 + done, steps))
    found = {index: _measurements(index, deltas, alone, court.owners) for index in alone}
    final = {
        index: _judged(deltas[index], reasons[index], alone.get(index), found.get(index), settings.scoring)
        for index in ours
    }
    joiner = join or _mean(head, deltas)
    scores = [final[index].score if index in final else 0 for index in range(len(deltas))]
    after, general_after = _joined(court, joiner, scores)
    for done, index in enumerate(ours):
        if final[index].score and sum(score > 0 for score in scores) > 1:
            marginal = _marginal(court, joiner, scores, index, after, settings.marginal_windows)
            whole = replace(found[index], marginal=marginal)
            final[index] = _judged(deltas[index], reasons[index], alone[index], whole, settings.scoring)
        progress(2 + len(ours) + done, steps)
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
    court: _Court, deltas: Sequence[DeltaInput], reasons: dict[int, ScoreReason], progress: Callable[[int], None]
) -> dict[int, _Alone]:
    """What each delta that has a form does by itself."""
    found: dict[int, _Alone] = {}
    for done, (index, reason) in enumerate(reasons.items()):
        vector = deltas[index].vector
        if reason is ScoreReason.OK and vector is not None:
            found[index] = court.alone(index, vector)
        progress(done)
    return found


def _form(delta: DeltaInput, n: int, max_norm: float) -> ScoreReason:
    """What is wrong with the delta before anything is loaded."""
    if delta.reason is not ScoreReason.OK:
        return delta.reason
    return form_reason(delta.vector, n, max_norm)


def _measurements(
    index: int, deltas: Sequence[DeltaInput], alone: dict[int, _Alone], owners: NDArray[np.int64]
) -> Measurements:
    """What was measured of one delta before it is seen beside the others."""
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
    return Measurements(own.heldout, None, honesty, forgetting, _likest(index, deltas))


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


def _marginal(court: _Court, join: Join, scores: list[int], index: int, after: Measured, windows: int) -> Estimate:
    """How much further the loss falls with this delta than with all others alone."""
    court.model.set_vector(join([0 if place == index else score for place, score in enumerate(scores)]))
    rows = np.arange(min(windows, len(court.heldout.windows)))
    return fall(court.heldout.measure(rows), after.take(rows))


def _likest(index: int, deltas: Sequence[DeltaInput]) -> Likeness:
    """The likeness to that earlier commitment which it is most like."""
    own = deltas[index]
    assert own.vector is not None, "only deltas that were decoded are compared"
    found = [
        likeness(own.vector, other.vector)
        for other in deltas
        if other.vector is not None and other.committed < own.committed and other.vector.shape == own.vector.shape
    ]
    return max(found, key=lambda like: (like.cosine, like.overlap), default=Likeness(0.0, 0.0))


@dataclass(frozen=True)
class _Dealt:
    """All deltas' assigned windows as one set, and whose each is (the delta's place)."""

    windows: Windows | None
    owners: NDArray[np.int64]


def _dealt(deltas: Sequence[DeltaInput], each: int, length: int) -> _Dealt:
    """The first ``each`` windows assigned to every delta, cut to ``length`` tokens."""
    rows: list[list[int]] = []
    owners: list[int] = []
    for index, delta in enumerate(deltas):
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
            if score and delta.vector is not None:
                update += np.float32(score / total) * delta.vector
        return head + update

    return join
