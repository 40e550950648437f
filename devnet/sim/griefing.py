"""Those who spoil rounds without gaining: what it costs them, and what it costs the others.

A validator that is silent, or commits and does not reveal, is paid nothing. From a third of the stake on it voids
rounds. The emission of a voided round is carried forward, so the harm to the others is delay, and lost work.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.reference import BPS, SPLITS, TOKEN, is_quorum, missed_after, pot_of, slashed
from devnet.sim.report import Result

STAKE = 1_000_000 * TOKEN
EMISSION = 100 * TOKEN
"""Of a round, in wei."""
TAIL = 4
"""Rounds without griefing after it, as parts of those with."""


@dataclass(frozen=True)
class Griefed:
    """What a stretch of griefing did. Parts of one, unless they say otherwise."""

    voided: float
    """Part of the rounds."""
    slashed: float
    """Part of the griefer's stake."""
    forgone: float
    """What the griefer's stake would have earned as a validator, over the emission of the stretch."""
    delayed: float
    """Part of the emission of the stretch that was not yet paid at its end."""
    recovered: float
    """Part of the whole emission that was paid some rounds later."""


def griefed(part: float, rounds: int, commits: bool, wait: int) -> Griefed:
    """So many rounds with a silent validator of so much stake, which rejoins ``wait`` rounds after it was dropped."""
    theirs, others = int(STAKE * part), int(STAKE * (1 - part))
    start, missed, out_until = theirs, 0, 0
    carry = paid = voided = 0
    for number in range(rounds):
        is_in = number >= out_until
        frozen = others + (theirs if is_in else 0)
        if is_quorum(others, frozen):
            carry, paid = settle(carry, paid)
        else:
            voided, carry = voided + 1, carry + EMISSION
        if is_in:
            theirs -= slashed(theirs) if commits else 0
            missed, is_dropped = missed_after(missed, took_full_part=False)
            out_until = number + 1 + wait if is_dropped else out_until
    delayed = 1 - paid / (rounds * EMISSION)
    for _ in range(TAIL * rounds):
        carry, paid = settle(carry, paid)
    return Griefed(
        voided / rounds,
        1 - theirs / start,
        SPLITS.emission_validators / BPS * part,
        delayed,
        paid / ((1 + TAIL) * rounds * EMISSION),
    )


def settle(carry: int, paid: int) -> tuple[int, int]:
    """A round that pays: (what is carried on, what was paid in all)."""
    pot = pot_of(EMISSION, carry, 10**30)
    return carry + EMISSION - pot, paid + pot


def run(rounds: int, seed: int) -> Result:
    """Several stakes, silent or not revealing, with and without a wait before rejoining."""
    cases = [(part, commits, wait) for part in (0.10, 0.34, 0.40) for commits in (False, True) for wait in (0, 1, 10)]
    rows = []
    for part, commits, wait in cases:
        found = griefed(part, rounds, commits, wait)
        what = "commits, does not reveal" if commits else "is silent"
        rows.append((f"{part:.0%}", what, wait, found.voided, found.slashed, found.forgone, found.delayed))
    return Result(
        "griefing",
        f"{rounds} rounds beside a validator that takes no part",
        (
            "stake",
            "what it does",
            "wait to rejoin",
            "voided",
            "of its stake slashed",
            "pay forgone",
            "emission delayed",
        ),
        rows,
        "Wait: rounds from a drop to rejoining, as a quarter of the unbonding time is. Pay forgone: of all emission. "
        f"All that is delayed is paid within {TAIL} times as many rounds.",
    )
