"""Attacks of validators. Each is a class with a name; :data:`VALIDATOR_ATTACKS` lists them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from devnet.layout import MINERS, VALIDATORS

LIFTED = 5_000_000
"""Micro-nats: more than any honest delta of these models is worth in a round."""


@dataclass(frozen=True)
class Scores:
    """What a hostile validator knows when it has to have scores. ``honest``: what it has found, in micro-nats."""

    honest: Sequence[int]
    miners: Sequence[str]  # who sent what it scores
    own: str  # the miner that it wants to see paid
    last: Sequence[int]  # its scores of the round before
    rng: np.random.Generator


class ValidatorAttack:
    """A way to cheat as a validator. Subclasses change one of the methods."""

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    harmless: ClassVar[bool] = False
    members: ClassVar[Mapping[str, str]] = {}
    """Nodes that are hostile, and which attack each of them runs; set for all below."""

    def scores(self, seen: Scores) -> list[int]:
        """The scores that it commits to."""
        return list(seen.honest)

    def head(self, head: bytes) -> bytes:
        """The head that it attests."""
        return head

    @property
    def speaks(self) -> bool:
        """Whether it commits to anything at all."""
        return True


class RandomScores(ValidatorAttack):
    """No work."""

    name, about = "validator-random", "scores at random"

    def scores(self, seen: Scores) -> list[int]:
        """Anything up to one nat."""
        return [int(score) for score in seen.rng.integers(0, 1_000_000, len(seen.honest))]


class ConstantScores(ValidatorAttack):
    """No work."""

    name, about = "validator-constant", "the same score for everybody"

    def scores(self, seen: Scores) -> list[int]:
        """A tenth of a nat."""
        return [100_000] * len(seen.honest)


class LastScores(ValidatorAttack):
    """No work but to remember."""

    name, about = "validator-last", "its own scores of the round before, given again"

    def scores(self, seen: Scores) -> list[int]:
        """As they were, where there are as many."""
        return list(seen.last) if len(seen.last) == len(seen.honest) else list(seen.honest)


class Lift(ValidatorAttack):
    """A miner that sends noise, and a validator that praises it."""

    name, about = "validator-lift", "a friend's delta of noise is lifted to five nats"

    def scores(self, seen: Scores) -> list[int]:
        """As found, but for the friend."""
        return [LIFTED if who == seen.own else s for who, s in zip(seen.miners, seen.honest, strict=True)]


class Sink(ValidatorAttack):
    """Rivals get nothing."""

    name, about = "validator-sink", "every miner but its friend gets no score"

    def scores(self, seen: Scores) -> list[int]:
        """Nothing, but for the friend."""
        return [s if who == seen.own else 0 for who, s in zip(seen.miners, seen.honest, strict=True)]


class WrongHead(ValidatorAttack):
    """Attests what does not follow."""

    name, about = "validator-head", "another head than the one that follows from the deltas is attested"

    def head(self, head: bytes) -> bytes:
        """Other bytes."""
        return bytes(byte ^ 0xFF for byte in head)


class Silent(ValidatorAttack):
    """Takes its seat and says nothing."""

    name, about = "validator-silent", "never commits to anything"

    @property
    def speaks(self) -> bool:
        """It does not."""
        return False


class CabalLift(Lift):
    """44% of the stake praise the noise of a friend."""

    name, about = "cabal-lift", "44% of the stake lift a friend's delta of noise to five nats"


class CabalSink(Sink):
    """44% of the stake give rivals nothing."""

    name, about = "cabal-sink", "44% of the stake give every miner but their friend no score"


FRIEND = MINERS[-1]
VALIDATOR_ATTACKS: dict[str, type[ValidatorAttack]] = {
    attack.name: attack
    for attack in (
        RandomScores, ConstantScores, LastScores, Lift, Sink, WrongHead, Silent, CabalLift, CabalSink,
    )
}  # fmt: skip
"""By name."""

for _name, _attack in VALIDATOR_ATTACKS.items():
    _seats = VALIDATORS[-2:] if _name.startswith("cabal") else VALIDATORS[-1:]
    _attack.members = dict.fromkeys(_seats, _name) | ({FRIEND: "random"} if issubclass(_attack, Lift) else {})
