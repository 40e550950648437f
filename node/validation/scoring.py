"""From measurements to a score and a reason. Pure: no model, no input or output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.enums import ScoreReason
from node.validation.evaluation import Estimate, Losses

MICRO = 1_000_000
MAX_SCORE_MICRO_NATS = 10**9
"""The contract's bound: a thousand nats."""


@dataclass(frozen=True)
class ScoringSettings:
    """Where a delta passes. Losses are in nats a token.

    ``z``: standard errors by which a gain must exceed zero. ``honesty_z``: standard errors by which the gain on the
    miner's own inputs may fall short of the gain on others' before the work counts as not done. ``epsilon``: how far
    the loss on the retention text may rise. ``copy_cosine`` and ``copy_overlap``: likeness to an earlier delta that
    makes it a copy; ``copy_mix``: likeness to a mix of the round before's.
    """

    z: float = 2.0
    honesty_z: float = 2.0
    epsilon: float = 0.05
    copy_cosine: float = 0.95
    copy_overlap: float = 0.9
    copy_mix: float = 0.8


@dataclass(frozen=True)
class Likeness:
    """How like an earlier delta one is: share of common top places (0..1), and cosine (-1..1).

    ``mix``: the cosine with the nearest mix of what others had shown in the round before.
    """

    overlap: float
    cosine: float
    mix: float = 0.0


@dataclass(frozen=True)
class Measurements:
    """What was measured of one delta. ``marginal`` and ``honesty`` are None where they could not be measured.

    ``gain``: fall of held-out loss, applied alone. ``marginal``: the further fall beside the other deltas.
    ``honesty``: gain on its assigned inputs less gain on others', see :func:`honesty_of`. ``forgetting``: rise of the
    loss on the retention text.
    """

    gain: Estimate
    marginal: Estimate | None
    honesty: Estimate | None
    forgetting: Estimate
    likeness: Likeness


def reason_for(found: Measurements, settings: ScoringSettings) -> ScoreReason:
    """Why the delta scores zero, or ``OK``. The gravest reason is named: copy, false work, forgetting, no gain."""
    like = found.likeness
    placed_alike = like.overlap > settings.copy_overlap and like.cosine > 0.5
    if like.cosine > settings.copy_cosine or placed_alike or like.mix > settings.copy_mix:
        return ScoreReason.COPY
    if not np.isfinite([found.gain.mean, found.forgetting.mean]).all():
        return ScoreReason.NO_GAIN
    if found.honesty is not None and Estimate(-found.honesty.mean, found.honesty.error).above(0.0, settings.honesty_z):
        return ScoreReason.NOT_ASSIGNED
    if found.forgetting.mean > settings.epsilon:
        return ScoreReason.FORGETS
    return ScoreReason.OK if found.gain.above(0.0, settings.z) else ScoreReason.NO_GAIN


def score_for(found: Measurements, reason: ScoreReason) -> int:
    """Micro-nats: half for the gain alone, half for the part of it that is left beside the other deltas."""
    if reason is not ScoreReason.OK:
        return 0
    gain = found.gain.mean
    beside = gain if found.marginal is None else min(max(found.marginal.mean, 0.0), gain)
    return max(1, min(micro(0.5 * gain + 0.5 * beside), MAX_SCORE_MICRO_NATS))


def micro(nats: float) -> int:
    """Nats as whole millionths; what is not finite becomes the bound."""
    if not np.isfinite(nats):
        return MAX_SCORE_MICRO_NATS if np.isnan(nats) or nats > 0 else -MAX_SCORE_MICRO_NATS
    return round(nats * MICRO)


def likeness(vector: NDArray[np.float32], earlier: NDArray[np.float32], part: int = 64) -> Likeness:
    """Overlap of the largest 1/``part`` of both vectors' places, and the cosine between them."""
    norm = float(np.linalg.norm(vector)) * float(np.linalg.norm(earlier))
    cosine = float(np.dot(vector, earlier)) / norm if norm > 0 else 0.0
    return Likeness(overlap(top_places(vector, part), top_places(earlier, part)), cosine)


def top_places(vector: NDArray[np.float32], part: int = 64) -> NDArray[np.int64]:
    """The places of the largest values (one in ``part``, at least one), unordered; zeros don't count."""
    count = max(1, len(vector) // part)
    places = np.flatnonzero(vector)
    if len(places) <= count:
        return places
    sizes = np.abs(vector[places])
    return places[np.argpartition(sizes, len(places) - count)[-count:]]


def overlap(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """The part of the smaller of two sets of places that the other one has too."""
    smaller = min(len(first), len(second))
    return len(np.intersect1d(first, second, assume_unique=True)) / smaller if smaller else 0.0


def honesty_of(own: Losses, peers: Sequence[Losses], mine: NDArray[np.bool_]) -> Estimate | None:
    """How much more a delta gained on its assigned windows than on others', in nats a token; None where nothing tells.

    ``own`` and each of ``peers`` are falls of the loss per window. Windows differ in how much anybody gains on them, so
    the peers' mean on the same window is taken away first: what remains is what this miner alone learned there.
    """
    apart = own - np.mean(peers, axis=0) if peers else own
    inside, outside = apart[mine], apart[~mine]
    if len(inside) < 2 or len(outside) < 2 or not np.isfinite(apart).all():
        return None
    error = np.sqrt(inside.var(ddof=1) / len(inside) + outside.var(ddof=1) / len(outside))
    return Estimate(float(inside.mean() - outside.mean()), float(error))


def form_reason(vector: NDArray[np.float32] | None, n: int, max_norm: float) -> ScoreReason:
    """The check before anything is loaded: length, finite values, a norm within bounds and not zero."""
    if vector is None:
        return ScoreReason.UNAVAILABLE
    if vector.dtype != np.float32 or vector.shape != (n,) or not np.isfinite(vector).all():
        return ScoreReason.BAD_FORM
    norm = float(np.linalg.norm(vector))
    return ScoreReason.OK if 0.0 < norm <= max_norm else ScoreReason.BAD_FORM
