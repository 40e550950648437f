"""Whether one gains by being many: stake split over identities, and miners split over identities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contracts.reference import COMMITTEE
from devnet.sim.engine import MAX_STAKE, Rules
from devnet.sim.play import Validator, even_stakes, honest_network, play
from devnet.sim.report import Cell, Line, Picture, Result
from devnet.sim.world import Strategy, World, copier, greedy_lifter, honest, lifter

IDENTITIES = (1, 2, 4, 8, 16, 28)
STAKE = 0.2
SEEDS = 8
SMALL, LARGE = 12, 36
"""Honest validators of a network whose committees are everybody, and of one whose are drawn."""


def network(others: int, stake: float, identities: int, strategy: Strategy) -> list[Validator]:
    """Honest validators, and one owner's stake in so many identities that share a machine."""
    mine = round(stake * MAX_STAKE)
    split = [Validator(part, strategy, machine=1) for part in even_stakes(mine, identities)]
    return honest_network(others, MAX_STAKE - mine) + split


def pay(others: int, identities: int, strategy: Strategy, rules: Rules, rounds: int, seed: int) -> list[float]:
    """The owner's pay in several networks."""
    validators = network(others, STAKE, identities, strategy)
    runs = (play(World(miners=32), validators, rounds, rules, seed * 1000 + n) for n in range(SEEDS))
    return [totals.pay_of(slice(others, None)) for totals in runs]


def gains(others: int, strategy: Strategy, rules: Rules, rounds: int, seed: int) -> list[tuple[float, float]]:
    """What so many identities gain over one, and the standard error."""
    alone = np.array(pay(others, 1, strategy, rules, rounds, seed))
    found = []
    for identities in IDENTITIES:
        ratios = np.array(pay(others, identities, strategy, rules, rounds, seed)) / alone.mean() - 1.0
        found.append((float(ratios.mean()), float(ratios.std(ddof=1) / np.sqrt(SEEDS))))
    return found


DRAWN = f"{COMMITTEE} draws"
CASES = (
    (f"honest, {SMALL} others, all judge all", SMALL, honest, Rules(committee=64)),
    (f"honest, {SMALL} others, {DRAWN}", SMALL, honest, Rules()),
    (f"honest, {LARGE} others, {DRAWN}", LARGE, honest, Rules()),
    (f"copier, {LARGE} others, {DRAWN}", LARGE, copier, Rules()),
    ("copier, full agreement when idle", LARGE, copier, Rules(remembers=False)),
)


def run_stake(rounds: int, seed: int) -> Result:
    """One owner's fifth of the stake in 1 to 28 identities."""
    found = {label: gains(others, strategy, rules, rounds, seed) for label, others, strategy, rules in CASES}
    rows: list[Sequence[Cell]] = [
        (k, *(f"{found[label][i][0]:+.2%} ±{found[label][i][1]:.2%}" for label in found))
        for i, k in enumerate(IDENTITIES)
    ]
    lines = [Line(label, IDENTITIES, [100 * gain for gain, _ in runs], "o-") for label, runs in found.items()]
    return Result(
        "split-stake",
        f"What {STAKE:.0%} of the stake gains by being in several identities",
        ("identities", *found),
        rows,
        f"With {SMALL} others, more than {COMMITTEE - SMALL} identities make the network draw its committees.",
        {"sim-split-stake": Picture("identities", "gain, %", lines, log_x=True)},
    )


def lifted(identities: int, rules: Rules, rounds: int, seed: int) -> float:
    """What a fourth of the miners, worthless, take when 30% of the stake in so many identities lifts them."""
    world, own = World(miners=64, worthless=16), np.arange(64) >= 48
    validators = network(12, 0.3, identities, lifter if rules.is_capped else greedy_lifter)
    return float(play(world, validators, rounds, rules, seed, own).miners[own].sum())


def run_switch(rounds: int, seed: int) -> Result:
    """Identities that turn a network where all judge all into one that draws, to capture committees."""
    cases = {
        DRAWN: Rules(),
        f"{DRAWN}, no ceiling": Rules(is_capped=False),
        "16 draws": Rules(committee=16),
        "all judge all": Rules(committee=64),
    }
    rows: list[Sequence[Cell]] = [
        (k, *(lifted(k, rules, rounds, seed) for rules in cases.values())) for k in IDENTITIES
    ]
    return Result(
        "switch",
        "Miners' pay that 16 worthless miners of 64 take, lifted by 30% of the stake beside 12 honest validators",
        ("identities", *cases),
        rows,
        "Committees are drawn once there are more validators than a committee has members.",
    )


# --- miners ---------------------------------------------------------------------------------------


def split_scores(value: int, identities: int, concavity: float, overlap: float) -> list[int]:
    """Scores of one miner's work in several identities, each with its part of the compute.

    Alone, a part gains ``(1/k) ** concavity`` of the whole. Beside its siblings it gains what it adds to them: as much
    where nothing overlaps, ``1 - (1 - 1/k) ** concavity`` where all does. A score is half of either.
    """
    alone = (1 / identities) ** concavity
    together = (1 - overlap) * alone + overlap * (1 - (1 - 1 / identities) ** concavity)
    return [round(value * (alone + together) / 2)] * identities


def run_miners(rounds: int, seed: int) -> Result:
    """A miner among 32 in 1 to 32 identities: exact copies, equal parts, and parts with diminishing returns."""
    others = World(miners=31).skills(np.random.default_rng(seed))
    rest, value = float(others.sum()), int(others.mean())

    def over_one(scores: Sequence[int]) -> float:
        return (sum(scores) / (rest + sum(scores))) / (value / (rest + value)) - 1.0

    rows: list[Sequence[Cell]] = []
    for k in (1, 2, 4, 8, 16, 32):
        copies = [value] + [0] * (k - 1)  # a copy of an earlier delta scores nothing
        rows.append(
            (
                k,
                over_one(copies),
                over_one([value // k] * k),
                over_one(split_scores(value, k, 0.7, 1.0)),
                over_one(split_scores(value, k, 0.5, 1.0)),
                over_one(split_scores(value, k, 0.5, 0.0)),
            )
        )
    return Result(
        "split-miner",
        "What one miner of 32 gains by being in several identities (1.0 is twice the pay)",
        ("identities", "copies", "equal parts", "steps^0.7, overlapping", "steps^0.5, overlapping", "steps^0.5, apart"),
        rows,
        "Pay is linear in consensus, so dividing a score gains nothing; dividing work gains where returns diminish.",
    )
