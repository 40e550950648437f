"""A round's judgement: every delta alone, all together, and each beside the others, on text that the seed picked.

Base losses are measured once; deltas are applied in place and undone. Where only a model's last layers are trained, the frozen
layers run once per window for all deltas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contracts.enums import ScoreReason
from node.models.load import LoadedModel, Vector
from node.training.batches import Windows
from node.validation.evaluation import Bench, Estimate, Measured, fall
from node.validation.scoring import (
    Likeness,
    Measurements,
    ScoringSettings,
    form_reason,
    likeness,
    reason_for,
    score_for,
)

Join = Callable[[list[int]], Vector]
"""Scores in the deltas' order to the model's values after a round with those: the exact aggregation of ``client.replay``."""


@dataclass(frozen=True)
class JudgeSettings:
    """How much is measured. ``max_norm``: of a delta, Euclidean. ``marginal_windows``: held-out windows for the marginal gain."""

    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    max_norm: float = 1e4
    marginal_windows: int = 16


@dataclass(frozen=True)
class DeltaInput:
    """A revealed delta: decoded (None: its bytes could not be had or read, and ``reason`` says which).

    ``committed`` orders the commitments: of two alike, the later is the copy. ``assigned``: windows that the miner
    trained on if it did its work; None where nothing can be said (then honesty is not judged).
    """

    miner: str
    digest: bytes
    vector: Vector | None
    committed: int
    assigned: Windows | None = None
    reason: ScoreReason = ScoreReason.OK


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
    forgetting: Estimate | None = None
    likeness: Likeness | None = None


@dataclass(frozen=True)
class Judgement:
    """A validator's view of a round, in the deltas' order. Losses in nats a token; ``*_fall`` are paired differences."""

    deltas: tuple[Judged, ...]
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
    """What one delta did by itself."""

    heldout: Estimate
    general: Estimate
    assigned: Estimate | None
    others: Estimate | None


class _Court:
    """The windows of one judgement, measured at the head once."""

    def __init__(
        self, model: LoadedModel, head: Vector, deltas: Sequence[DeltaInput], heldout: Windows, general: Windows
    ) -> None:
        self.model = model
        self.head = head
        self.heldout = Bench(model, heldout)
        self.general = Bench(model, general)
        self.dealt, owners = _dealt(deltas)
        self.owners = owners
        self.inputs = None if self.dealt is None else Bench(model, self.dealt)
        model.set_vector(head)
        self.heldout_base = self.heldout.measure()
        self.general_base = self.general.measure()
        self.inputs_base = None if self.inputs is None else self.inputs.measure()

    def alone(self, index: int, vector: Vector) -> _Alone:
        """The model with this delta and no other."""
        self.model.set_vector(self.head + vector)
        heldout = fall(self.heldout_base, self.heldout.measure())
        general = fall(self.general_base, self.general.measure())
        assigned = others = None
        if self.inputs is not None and self.inputs_base is not None and (self.owners == index).any():
            after = self.inputs.measure()
            own = np.flatnonzero(self.owners == index)
            rest = np.flatnonzero(self.owners != index)
            assigned = fall(self.inputs_base.take(own), after.take(own))
            others = fall(self.inputs_base.take(rest), after.take(rest)) if len(rest) else None
        return _Alone(heldout, general, assigned, others)

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
) -> Judgement:
    """Judge all deltas of a round against ``head``; leaves the model at ``head``.

    ``heldout``: windows of held-out text that the evaluation seed picked; ``general``: the retention text's. ``join`` computes
    the next values from scores; without it the mean of the good deltas, weighted by score, is added to the head.
    """
    settings = settings or JudgeSettings()
    steps = 2 + 2 * len(deltas)
    court = _Court(model, head, deltas, heldout, general)
    progress(1, steps)
    alone: dict[int, _Alone] = {}
    first: list[Judged] = []
    for index, delta in enumerate(deltas):
        reason = (
            delta.reason
            if delta.reason is not ScoreReason.OK
            else form_reason(delta.vector, len(head), settings.max_norm)
        )
        if reason is ScoreReason.OK and delta.vector is not None:
            alone[index] = court.alone(index, delta.vector)
            first.append(_judged(delta, alone[index], _likest(index, deltas), None, settings.scoring))
        else:
            first.append(Judged(delta.miner, delta.digest, 0, reason))
        progress(2 + index, steps)
    joiner = join or _mean(head, deltas)
    scores = [judged.score for judged in first]
    after, general_after = _joined(court, joiner, scores)
    final: list[Judged] = []
    for index, judged in enumerate(first):
        if judged.score and sum(score > 0 for score in scores) > 1:
            marginal = _marginal(court, joiner, scores, index, after, settings.marginal_windows)
            judged = _judged(deltas[index], alone[index], judged.likeness or Likeness(0, 0), marginal, settings.scoring)
        final.append(judged)
        progress(2 + len(deltas) + index, steps)
    model.set_vector(head)
    progress(steps, steps)
    return Judgement(
        deltas=tuple(final),
        heldout_before=court.heldout_base.loss,
        heldout_after=after.loss,
        heldout_fall=fall(court.heldout_base, after),
        general_before=court.general_base.loss,
        general_after=general_after.loss,
        general_fall=fall(court.general_base, general_after),
        tokens=court.judged,
    )


def _judged(
    delta: DeltaInput, alone: _Alone, like: Likeness, marginal: Estimate | None, settings: ScoringSettings
) -> Judged:
    honesty = alone.assigned - alone.others if alone.assigned is not None and alone.others is not None else None
    forgetting = Estimate(-alone.general.mean, alone.general.error)
    found = Measurements(alone.heldout, marginal, honesty, forgetting, like)
    reason = reason_for(found, settings)
    return Judged(
        delta.miner, delta.digest, score_for(found, reason), reason,
        alone.heldout, marginal, alone.assigned, alone.others, forgetting, like,
    )  # fmt: skip


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


def _dealt(deltas: Sequence[DeltaInput]) -> tuple[Windows | None, NDArray[np.int64]]:
    """All deltas' assigned windows as one set, and whose each is."""
    rows: list[list[int]] = []
    owners: list[int] = []
    for index, delta in enumerate(deltas):
        if delta.assigned is None:
            continue
        for tokens, length in zip(delta.assigned.tokens, delta.assigned.lengths, strict=True):
            rows.append(tokens[: int(length)].tolist())
            owners.append(index)
    return (Windows.of(rows) if rows else None), np.array(owners, dtype=np.int64)


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
