"""How often a committee that is drawn by stake falls to a minority: exact, by the binomial distribution."""

from __future__ import annotations

from math import ceil, comb

from contracts.reference import BPS, COMMITTEE, KAPPA_BPS
from devnet.sim.report import Line, Picture, Result

STAKES = (0.10, 0.20, 0.25, 0.30, 1 / 3, 0.40, 0.45)
SIZES = (16, 24, 32, 48)
GROUPS = 32
"""Of 256 submissions."""


def at_least(draws: int, hits: int, chance: float) -> float:
    """How likely so many of so many independent draws hit."""
    return sum(comb(draws, n) * chance**n * (1 - chance) ** (draws - n) for n in range(hits, draws + 1))


def lifted(size: int, stake: float, kappa_bps: int = KAPPA_BPS) -> float:
    """How likely an attacker's seats alone carry any score they like."""
    return at_least(size, ceil(size * kappa_bps / BPS), stake)


def sunk(size: int, stake: float, kappa_bps: int = KAPPA_BPS) -> float:
    """How likely honest seats are too few to carry a score."""
    return at_least(size, size - ceil(size * kappa_bps / BPS) + 1, stake)


def invalidated(size: int, stake: float) -> float:
    """How likely an attacker alone can have an honest delta called malformed."""
    return at_least(size, ceil(size * 2 / 3), stake)


def in_any(chance: float, groups: int = GROUPS) -> float:
    """How likely something happens to at least one of a full round's groups."""
    return 1 - (1 - chance) ** groups


def best_of(tries: int, chance: float, groups: int = GROUPS) -> float:
    """How many groups of a round are captured on average if the attacker picks the best of so many seeds."""
    below = [1 - at_least(groups, hits, chance) for hits in range(1, groups + 1)]
    return sum(1 - part**tries for part in below)


def run_seeds(rounds: int, seed: int) -> Result:
    """What it is worth to whoever makes blocks to try several seeds: each costs a block, or making one anew."""
    tries = (1, 2, 10, 1000)
    return Result(
        "seeds",
        f"Captured groups of {GROUPS}, {COMMITTEE} draws each, if an attacker picks the best of several seeds (exact)",
        ("stake", "one seed", *(f"best of {n}" for n in tries[1:])),
        [(f"{stake:.0%}", *[best_of(n, lifted(COMMITTEE, stake)) for n in tries]) for stake in STAKES],
        "Who makes one block in p has one more seed each time; who orders all transactions has as many as it computes.",
    )


def run(rounds: int, seed: int) -> Result:
    """The table for the default committee, the picture for several sizes."""
    rows = [
        (
            f"{stake:.0%}",
            lifted(COMMITTEE, stake),
            sunk(COMMITTEE, stake),
            invalidated(COMMITTEE, stake),
            in_any(lifted(COMMITTEE, stake)),
            in_any(invalidated(COMMITTEE, stake)),
            lifted(16, stake),
            lifted(48, stake),
        )
        for stake in STAKES
    ]
    steps = [n / 100 for n in range(5, 51)]
    lines = [Line(f"{size} draws", steps, [lifted(size, x) for x in steps]) for size in SIZES]
    return Result(
        "committees",
        f"Chance that a committee of {COMMITTEE} draws falls to an attacker (exact)",
        ("stake", "lifts", "sinks", "invalid", "lifts any of 32", "invalid, any of 32", "16 draws", "48 draws"),
        rows,
        pictures={"sim-committees": Picture("attacker's part of the stake", "chance to carry a committee", lines)},
    )
