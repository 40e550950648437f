"""Yuma's own experiment, on Yuma's formulas and on ours.

After the Monte Carlo that Yuma's authors describe (repository opentensor/subtensor, page consensus.md): honest
validators of 60% of the stake give honest miners a part W of all weight, a cabal gives its own miners any part.
Published: honest stake keeps its part of all emission (half to validators, half to miners) once W is at least 60, 67,
73%, where weights' deviation is 0, 0.2, 0.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts.reference import MAX_SCORE
from devnet.sim.engine import MAX_STAKE, Floats, Ints, Rules, judge, normalised, reach
from devnet.sim.report import Line, Picture, Result

HONEST_STAKE = 0.6
VALIDATORS, NODES = 64, 512
STAKE_DEVIATION = 0.3
NOISES = (0.0, 0.2, 0.4)
PUBLISHED = (0.60, 0.67, 0.73)
UTILITIES = tuple(n / 100 for n in range(50, 87, 2))
CABAL_WEIGHTS = tuple(n / 40 for n in range(41))
NETWORKS = 2
"""Random networks of each kind at the fewest."""


@dataclass(frozen=True)
class Network:
    """Stakes in units, honest validators first, and raw weights that are normalised by quadrant."""

    stakes: Ints
    raw: Floats
    honest_validators: int
    honest_miners: int


def positive(rng: np.random.Generator, deviation: float, shape: tuple[int, ...]) -> Floats:
    """Normal about one, cut at zero."""
    return np.maximum(0.0, rng.normal(1.0, deviation, shape))


def sampled(noise: float, rng: np.random.Generator) -> Network:
    """A network of 512: 64 validators, of which 60% are honest, as are 60% of the miners."""
    judges, miners = round(VALIDATORS * HONEST_STAKE), round((NODES - VALIDATORS) * HONEST_STAKE)
    stakes = positive(rng, STAKE_DEVIATION, (VALIDATORS,))
    stakes[:judges] *= HONEST_STAKE / stakes[:judges].sum()
    stakes[judges:] *= (1 - HONEST_STAKE) / stakes[judges:].sum()
    units = np.floor(stakes * MAX_STAKE).astype(np.int64)
    return Network(units, positive(rng, noise, (VALIDATORS, NODES - VALIDATORS)), judges, miners)


def weights_for(network: Network, honest_utility: float, cabal_weight: float) -> Ints:
    """Everybody's scores: rows sum to the highest score, divided among honest and cabal miners."""
    table, cut = network.raw.copy(), network.honest_miners
    for rows, to_honest in (
        (slice(0, network.honest_validators), honest_utility),
        (slice(network.honest_validators, None), 1 - cabal_weight),
    ):
        for columns, part in ((slice(0, cut), to_honest), (slice(cut, None), 1 - to_honest)):
            block = table[rows, columns]
            table[rows, columns] = part * block / np.maximum(block.sum(axis=1, keepdims=True), 1e-12)
    return np.rint(table * MAX_SCORE).astype(np.int64)


def yuma_emission(network: Network, scores: Ints) -> tuple[Floats, Floats]:
    """Yuma's dividends and incentives, with full bonds penalty."""
    stakes = np.repeat(network.stakes[:, None], scores.shape[1], axis=1)
    clipped = stakes * np.minimum(scores, reach(scores, stakes, 5000))
    incentive = normalised(clipped.sum(axis=0))
    bonds = clipped / np.maximum(clipped.sum(axis=0), 1)
    return normalised(bonds @ incentive), incentive


def our_emission(network: Network, scores: Ints) -> tuple[Floats, Floats]:
    """Ours: miners by consensus, validators by agreement times bonds, once these have settled."""
    stakes = np.repeat(network.stakes[:, None], scores.shape[1], axis=1)
    clipped = stakes * np.minimum(scores, reach(scores, stakes, 5000))
    settled = clipped * 65_535 // np.maximum(clipped.sum(axis=0), 1)
    none = np.zeros(len(network.stakes), np.int64)
    judged = judge(scores, network.stakes, stakes, settled, none, Rules(committee=VALIDATORS))
    return judged.validator_shares, judged.miner_shares


def honest_part(network: Network, parts: tuple[Floats, Floats]) -> float:
    """Honest nodes' part of all emission."""
    validators, miners = parts
    return float(validators[: network.honest_validators].sum() + miners[: network.honest_miners].sum()) / 2


def worst(networks: list[Network], utility: float) -> tuple[float, float]:
    """The honest part where the cabal's self-weight is what hurts most: Yuma's and ours."""
    yuma, ours = [], []
    for weight in (*CABAL_WEIGHTS, 1 - utility):
        tables = [(network, weights_for(network, utility, weight)) for network in networks]
        yuma.append(np.mean([honest_part(n, yuma_emission(n, table)) for n, table in tables]))
        ours.append(np.mean([honest_part(n, our_emission(n, table)) for n, table in tables]))
    return float(min(yuma)), float(min(ours))


def least_utility(parts: list[float]) -> float:
    """The first utility from which on honest stake keeps its part, between two steps by the straight line."""
    for index in range(len(parts) - 1, 0, -1):
        if parts[index - 1] < HONEST_STAKE:
            low, high = parts[index - 1], parts[index]
            step = UTILITIES[index] - UTILITIES[index - 1]
            return UTILITIES[index - 1] + step * (HONEST_STAKE - low) / max(high - low, 1e-12)
    return UTILITIES[0]


def run(rounds: int, seed: int) -> Result:
    """The three published points, by Yuma's formulas and by ours."""
    rng = np.random.default_rng(seed)
    rows, lines = [], []
    for noise, published in zip(NOISES, PUBLISHED, strict=True):
        networks = [sampled(noise, rng) for _ in range(max(NETWORKS, rounds // 100))]
        found = [worst(networks, utility) for utility in UTILITIES]
        yuma, ours = ([pair[side] for pair in found] for side in (0, 1))
        rows.append((noise, published, least_utility(yuma), least_utility(ours)))
        colour = f"C{len(rows) - 1}"
        lines.append(Line(f"Yuma, noise {noise}", UTILITIES, yuma, f"{colour}--"))
        lines.append(Line(f"Strata, noise {noise}", UTILITIES, ours, f"{colour}-"))
    return Result(
        "yuma",
        "Honest utility from which 60% of the stake keeps its part, whatever the other 40% say of themselves",
        ("noise", "published for Yuma", "Yuma's formulas here", "Strata"),
        rows,
        pictures={"sim-yuma": Picture("honest miners' true part of the utility", "honest part of emission", lines)},
    )
