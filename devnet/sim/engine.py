"""A round's judgement on arrays: the arithmetic of :mod:`contracts.reference`, some hundred times as fast.

Validators are rows, submissions are columns. Everything is an int64, so stakes are small units: in all at most 10,000,
which keeps the largest product (stake, score, bond) below 2^63. Unit tests hold each function equal to the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.reference import BOND_ALPHA_BPS, BOND_ONE, BPS, COMMITTEE, FULL_AGREEMENT, GROUP, KAPPA_BPS, groups_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SILENT = -1
"""In place of a score: not dealt, or not revealed."""
MAX_STAKE = 10_000
"""All validators' stake, in units."""


@dataclass(frozen=True)
class Rules:
    """What of the protocol the scenarios vary."""

    committee: int = COMMITTEE
    kappa_bps: int = KAPPA_BPS
    is_capped: bool = True
    """Whether the ceiling cuts the consensus."""
    remembers: bool = True
    """Whether who was dealt nothing keeps its last agreement; else it has full agreement."""


@dataclass(frozen=True)
class Judged:
    """A round's outcome. Shares sum to one, or are all zero where nothing was paid."""

    consensus: Ints
    agreement: Ints
    bonds: Ints
    bond_sums: Ints
    miner_shares: Floats
    validator_shares: Floats


def seats_drawn(stakes: Ints, submissions: int, size: int, rng: np.random.Generator) -> Ints:
    """Weights of each validator in each submission's committee: its stake, or how many times it was drawn."""
    if np.count_nonzero(stakes) <= size:
        return np.repeat(stakes[:, None], submissions, axis=1)
    groups = groups_of(submissions)
    points = rng.integers(0, stakes.sum(), size=(groups, size))
    return np.repeat(seats_at(stakes, points), GROUP, axis=1)[:, :submissions]


def seats_at(stakes: Ints, points: Ints) -> Ints:
    """How many of each group's points (a row) fall on each validator's part of the line of stake."""
    seats = np.searchsorted(np.cumsum(stakes), points, side="right")
    weights = np.zeros((len(stakes), len(points)), np.int64)
    for group, hit in enumerate(seats):
        np.add.at(weights[:, group], hit, 1)
    return weights


def reach(scores: Ints, weights: Ints, kappa_bps: int) -> Ints:
    """Each column's consensus; rows with a weight of zero do not vote."""
    order = np.argsort(-scores, axis=0, kind="stable")
    votes = np.take_along_axis(weights, order, axis=0).cumsum(axis=0)
    reached = votes * BPS >= votes[-1] * kappa_bps
    first = reached.argmax(axis=0)[None, :]
    values = np.take_along_axis(np.take_along_axis(scores, order, axis=0), first, axis=0)[0]
    return np.where(votes[-1] > 0, values, 0)


def judge(scores: Ints, stakes: Ints, weights: Ints, bonds: Ints, last: Ints, rules: Rules) -> Judged:
    """Consensus, agreement, bonds and pay of a round.

    ``scores`` and ``weights`` are validators by submissions; ``bonds`` are those with the submissions' miners, ``last``
    is everybody's last agreement. A validator with no score at all revealed nothing, and is paid nothing.
    """
    votes = np.where(scores >= 0, weights, 0)
    given = np.where(votes > 0, scores, 0)
    dealt = (votes > 0).any(axis=1)
    consensus = reach(given, votes, rules.kappa_bps)
    if rules.is_capped:
        tops, judges = given.max(axis=1), np.where(dealt, stakes, 0)
        consensus = np.minimum(consensus, reach(tops[:, None], judges[:, None], rules.kappa_bps))
    low = np.where(votes > 0, np.minimum(given, consensus), 0)
    high = np.where(votes > 0, np.maximum(given, consensus), 0).sum(axis=1)
    agreement = np.where(high > 0, low.sum(axis=1) * FULL_AGREEMENT // np.maximum(high, 1), FULL_AGREEMENT)
    if rules.remembers:
        agreement = np.where(dealt, agreement, last)
    bonds = bonds_after(bonds, votes * low, consensus)
    sums = (bonds * consensus).sum(axis=1)
    revealed = (scores >= 0).any(axis=1)
    power = np.where(revealed, sums if consensus.any() else stakes, 0)
    pay = power.astype(np.float64) * agreement * agreement
    return Judged(consensus, agreement, bonds, sums, normalised(consensus), normalised(pay))


def bonds_after(bonds: Ints, parts: Ints, consensus: Ints) -> Ints:
    """Bonds after a round; columns without value stay as they were. ``parts`` are weights times clipped scores."""
    targets = parts * BOND_ONE // np.maximum(parts.sum(axis=0), 1)
    moved = (bonds * (BPS - BOND_ALPHA_BPS) + targets * BOND_ALPHA_BPS + BPS // 2) // BPS
    return np.where(consensus > 0, moved, bonds)


def normalised(values: npt.NDArray[np.number]) -> Floats:
    """Values as parts of their sum; zeros where that is zero."""
    total = float(values.sum())
    return values.astype(np.float64) / total if total else np.zeros(len(values))
