"""A model of one's own: what its only validator and miner would mint to themselves, if registering were enough to earn.

Inside such a model no vote can help: its owner is all of its quorum. So a model earns nothing until governance gives it
a part of the emission (``setEmission``), and its stake earns nothing either.
"""

from __future__ import annotations

from contracts.reference import BPS, SPLITS, TOKEN, Ended, emission_for, split_emission
from devnet.sim.report import Result

GLOBAL = 1_000_000 * TOKEN
BLOCKS = 1_000


def earned(part: float, emission_bps: int) -> int:
    """Wei that the owner of so much of all stake takes out of a model of its own, in some blocks."""
    emission = emission_for(TOKEN, BLOCKS, int(GLOBAL * part), GLOBAL, emission_bps)
    alone = Ended(False, (("me", 1),), (("me", 1),), (("me", 1),))
    return sum(payment.amount for payment in split_emission(alone, emission, 0, 10**30).payments)


def honest(part: float) -> int:
    """What the same stake earns by judging a model that others judge, too."""
    return int(BLOCKS * TOKEN * part) * SPLITS.emission_validators // BPS


def run(rounds: int, seed: int) -> Result:
    """Stakes, and what they would earn by either."""
    rows = [
        (f"{part:.0%}", honest(part) / TOKEN, earned(part, BPS) / TOKEN, earned(part, 0) / TOKEN)
        for part in (0.01, 0.10, 0.30)
    ]
    return Result(
        "own-model",
        f"Tokens that a part of all validator stake earns in {BLOCKS:,} blocks",
        ("stake", "judging with others", "own model, with emission", "own model, as registered"),
        rows,
        "Work is not counted. Governance decides which models have emission; registering gives none.",
    )
