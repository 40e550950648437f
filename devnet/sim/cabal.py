"""A cabal of validators for its own miners: what it takes at 0 to 60% of the stake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from devnet.sim.engine import MAX_STAKE, Rules
from devnet.sim.play import Totals, Validator, even_stakes, honest_network, play
from devnet.sim.report import Cell, Line, Picture, Result
from devnet.sim.world import Strategy, World, greedy_lifter, lifter, sinker

SHARES = tuple(n / 100 for n in range(0, 61, 5))
HONEST, CABAL = 24, 24
"""Seats of either side."""
MINERS, OWN = 64, 16


@dataclass(frozen=True)
class Setting:
    """How a network judges."""

    label: str
    rules: Rules
    noise: float = 0.02


SETTINGS = (
    Setting("all judge all", Rules(committee=64)),
    Setting("all judge all, noise 0.4", Rules(committee=64), noise=0.4),
    Setting("32 draws", Rules(committee=32)),
    Setting("16 draws", Rules(committee=16)),
    Setting("32 draws, no ceiling", Rules(committee=32, is_capped=False)),
)


def attack(stake: float, strategy: Strategy, worthless: bool, setting: Setting, rounds: int, seed: int) -> Totals:
    """One network with a cabal of so much stake; its miners are the last ones."""
    world = World(miners=MINERS, noise=setting.noise, worthless=OWN if worthless else 0)
    theirs = round(stake * MAX_STAKE)
    validators = honest_network(HONEST, MAX_STAKE - theirs)
    validators += [Validator(part, strategy) for part in even_stakes(theirs, CABAL)] if theirs else []
    return play(world, validators, rounds, setting.rules, seed, np.arange(MINERS) >= MINERS - OWN)


def taken(totals: Totals) -> float:
    """The part of the miners' pay that went to the cabal's miners."""
    return float(totals.miners[MINERS - OWN :].sum())


def curve(strategy: Strategy, worthless: bool, setting: Setting, rounds: int, seed: int) -> list[Totals]:
    """All stakes."""
    return [attack(stake, strategy, worthless, setting, rounds, seed) for stake in SHARES]


def pay_per_stake(totals: Sequence[Totals]) -> list[float]:
    """The cabal's validators' pay over what honest judgement would have earned their stake; 1 where it has none."""
    pairs = zip(SHARES, totals, strict=True)
    return [found.pay_of(slice(HONEST, None)) / stake if stake else 1.0 for stake, found in pairs]


def run_lift(rounds: int, seed: int) -> Result:
    """Worthless miners, lifted."""
    found = {s.label: curve(lifter if s.rules.is_capped else greedy_lifter, True, s, rounds, seed) for s in SETTINGS}
    columns = ["cabal's stake", *found, "its judges' pay, all", "its judges' pay, 32 draws"]
    judges = [pay_per_stake(found[label]) for label in ("all judge all", "32 draws")]
    rows: list[Sequence[Cell]] = [
        (f"{stake:.0%}", *(taken(found[label][i]) for label in found), *(pay[i] for pay in judges))
        for i, stake in enumerate(SHARES)
    ]
    lines = [Line(label, SHARES, [taken(totals) for totals in runs], "o-") for label, runs in found.items()]
    return Result(
        "lift",
        f"Part of the miners' pay that goes to {OWN} worthless miners of {MINERS} (fair: 0)",
        columns,
        rows,
        "Judges' pay: the cabal's validators', over what their stake earns by honest work.",
        {"sim-lift": Picture("cabal's part of the stake", "worthless miners' pay", lines)},
    )


def run_sink(rounds: int, seed: int) -> Result:
    """Working miners, whose rivals are sunk."""
    settings = SETTINGS[:4]
    fair = {s.label: taken(attack(0.0, sinker, False, s, rounds, seed)) for s in settings}
    found = {s.label: curve(sinker, False, s, rounds, seed) for s in settings}
    rows: list[Sequence[Cell]] = [
        (f"{stake:.0%}", *(taken(found[label][i]) / fair[label] for label in found)) for i, stake in enumerate(SHARES)
    ]
    lines = [
        Line(label, SHARES, [taken(totals) / fair[label] for totals in runs], "o-") for label, runs in found.items()
    ]
    return Result(
        "sink",
        f"Pay of the cabal's {OWN} working miners of {MINERS}, whose rivals it sinks, over their fair pay",
        ("cabal's stake", *found),
        rows,
        pictures={"sim-sink": Picture("cabal's part of the stake", "pay over fair pay", lines)},
    )
