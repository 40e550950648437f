"""The world that a simulated network judges: true gains, what validators measure, and how they may play.

A miner's gain in a round is its skill times that round's luck, both log-normal, and zero where the round failed. An
honest validator measures it with relative noise. Scores are micro-nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from contracts.reference import MAX_SCORE
from devnet.sim.engine import Floats, Ints, Mask

TYPICAL_GAIN = 20_000
"""Micro-nats: 0.02 nats a round."""


@dataclass(frozen=True)
class World:
    """A population of miners. Spreads are standard deviations of logarithms."""

    miners: int = 64
    skill: float = 0.5
    luck: float = 0.3
    failures: float = 0.1
    """How often a round of a miner comes to nothing."""
    noise: float = 0.02
    """Validators' relative error: they read the same windows, so only arithmetic and machines differ."""
    worthless: int = 0
    """How many of the miners (the last ones) never gain anything."""

    def skills(self, rng: np.random.Generator) -> Floats:
        """Each miner's typical gain."""
        skills = TYPICAL_GAIN * np.exp(rng.normal(0.0, self.skill, self.miners))
        skills[self.miners - self.worthless :] = 0.0
        return skills

    def gains(self, skills: Floats, rng: np.random.Generator) -> Floats:
        """One round's true gains."""
        gains = skills * np.exp(rng.normal(0.0, self.luck, self.miners))
        return np.where(rng.random(self.miners) < self.failures, 0.0, gains)

    def measured(self, gains: Floats, validators: int, rng: np.random.Generator) -> Ints:
        """What each validator finds if it does the work."""
        error = 1.0 + self.noise * rng.normal(size=(validators, self.miners))
        return scores_of(gains * np.maximum(0.0, error))


@dataclass(frozen=True)
class Seen:
    """What a strategy may use: its own measurements, the last round's public consensus, and whose miners are whose."""

    measured: Ints
    last: Ints
    own: Mask
    rng: np.random.Generator


Strategy = Callable[[Seen], Ints | None]
"""A validator's scores in a round, or ``None`` where it reveals nothing."""


def scores_of(values: Floats) -> Ints:
    """Values as the integers that a contract takes."""
    return np.rint(np.clip(values, 0, MAX_SCORE)).astype(np.int64)


def honest(seen: Seen) -> Ints:
    """Reports what it measured."""
    return seen.measured


def copier(seen: Seen) -> Ints:
    """Does no work: gives each miner what the last consensus gave it."""
    return seen.last


def cautious_copier(seen: Seen) -> Ints:
    """Copies the last consensus, and fills its gaps with the median of the others."""
    return np.where(seen.last > 0, seen.last, middle(seen.last))


def constant(seen: Seen) -> Ints:
    """Does no work: gives everybody the median of the last consensus."""
    return np.full_like(seen.last, middle(seen.last))


def shuffler(seen: Seen) -> Ints:
    """Does no work: gives each miner somebody else's last consensus."""
    return seen.rng.permutation(seen.last)


def flat_maximum(seen: Seen) -> Ints:
    """Gives everybody the highest score there is."""
    return np.full_like(seen.last, MAX_SCORE)


def silent(_: Seen) -> None:
    """Commits and reveals nothing."""
    return


def lifter(seen: Seen) -> Ints:
    """Gives its own miners what the best one earned, and others what they earned."""
    return np.where(seen.own, seen.measured.max(), seen.measured)


def greedy_lifter(seen: Seen) -> Ints:
    """Gives its own miners the highest score there is, and others what they earned."""
    return np.where(seen.own, MAX_SCORE, seen.measured)


def sinker(seen: Seen) -> Ints:
    """Gives its own miners what the best one earned, and others nothing."""
    return np.where(seen.own, seen.measured.max(), 0)


def middle(values: Ints) -> int:
    """The median of what is above zero."""
    return int(np.median(values[values > 0])) if (values > 0).any() else 0
