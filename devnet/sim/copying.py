"""Validators that save the work: copiers, constants, guesses, and one that answers everybody the highest score."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.reference import COMMITTEE
from devnet.sim.engine import MAX_STAKE, Rules
from devnet.sim.play import Totals, Validator, even_stakes, play
from devnet.sim.report import Cell, Line, Picture, Result
from devnet.sim.world import (
    Strategy,
    World,
    cautious_copier,
    constant,
    copier,
    flat_maximum,
    honest,
    shuffler,
    silent,
)

STRATEGIES: dict[str, Strategy] = {
    "honest": honest,
    "copies the last consensus": copier,
    "copies, fills gaps": cautious_copier,
    "one constant": constant,
    "somebody else's last score": shuffler,
    "highest for everybody": flat_maximum,
    "commits, reveals nothing": silent,
}
WORLDS = {
    "miners differ much": World(miners=48),
    "differ a little": World(miners=48, skill=0.2, luck=0.2, failures=0.05),
    "hardly differ": World(miners=48, skill=0.1, luck=0.1, failures=0.0),
}
OTHERS = 39
"""Honest validators beside the one that plays; all have the same stake."""


def one_among(strategy: Strategy, world: World, rules: Rules, rounds: int, seed: int, lazy: int = 1) -> Totals:
    """Some validators that play a strategy, the first ones, among honest ones."""
    stakes = even_stakes(MAX_STAKE, OTHERS + 1)
    validators = [Validator(stake, strategy if seat < lazy else honest) for seat, stake in enumerate(stakes)]
    return play(world, validators, rounds, rules, seed)


def relative_pay(totals: Totals, lazy: int = 1) -> float:
    """Its pay over an honest validator's."""
    return totals.pay_of(slice(0, lazy)) / lazy / (totals.pay_of(slice(lazy, None)) / (OTHERS + 1 - lazy))


def run(rounds: int, seed: int) -> Result:
    """Every strategy in every world; the last column where committees are drawn."""
    rules, drawn = Rules(committee=64), Rules()
    rows: list[Sequence[Cell]] = []
    for label, strategy in STRATEGIES.items():
        found = [one_among(strategy, world, rules, rounds, seed) for world in WORLDS.values()]
        sampled = one_among(strategy, next(iter(WORLDS.values())), drawn, rounds, seed)
        rows.append(
            (label, *(relative_pay(totals) for totals in found), float(found[0].agreement[0]), relative_pay(sampled))
        )
    return Result(
        "lazy",
        f"Pay of one validator among {OTHERS} honest ones of the same stake, over theirs",
        ("strategy", *WORLDS, "agreement (much)", f"{COMMITTEE} draws (much)"),
        rows,
        "Not working pays as long as work costs more than the rest: 1 - pay is the break-even cost, as a part of pay.",
    )


def run_many(rounds: int, seed: int) -> Result:
    """How copying pays as copiers become many."""
    world, rules = World(miners=48), Rules(committee=64)
    counts = (2, 4, 8, 12, 16, 18, 20, 22, 24)
    found = [one_among(copier, world, rules, rounds, seed, lazy) for lazy in counts]
    stakes = [lazy / (OTHERS + 1) for lazy in counts]
    rows: list[Sequence[Cell]] = [
        (f"{stake:.0%}", relative_pay(totals, lazy), float(totals.agreement[-1]))
        for stake, lazy, totals in zip(stakes, counts, found, strict=True)
    ]
    return Result(
        "copiers",
        "Copiers' pay over honest validators', by the copiers' part of the stake",
        ("copiers' stake", "pay over honest pay", "honest agreement"),
        rows,
        "From half of the stake on copiers are the consensus: it no longer follows the miners.",
        {
            "sim-copiers": Picture(
                "copiers' part of the stake",
                "pay over honest pay",
                [Line("copiers", stakes, [relative_pay(t, n) for t, n in zip(found, counts, strict=True)], "o-")],
            )
        },
    )
