"""The simulation's arrays give what the reference arithmetic gives."""

from __future__ import annotations

import numpy as np
import pytest

from contracts import reference
from contracts.reference import GROUP, groups_of
from devnet.sim.engine import SILENT, Ints, Rules, judge, reach, seats_at, seats_drawn
from devnet.sim.play import Validator, play
from devnet.sim.world import World, honest

SEEDS = range(25)


def ballot(rng: np.random.Generator) -> tuple[Ints, Ints, Ints, Ints]:
    """Scores, stakes, weights and bonds of a random round; some validators silent, some miners worthless."""
    seats, count = int(rng.integers(1, 12)), int(rng.integers(1, 30))
    scores = rng.integers(0, rng.choice([4, 10**9]), size=(seats, count))
    scores[:, rng.random(count) < 0.2] = 0
    scores[rng.random(seats) < 0.2] = SILENT
    stakes = rng.integers(1, 800, seats)
    groups = rng.integers(0, 3, size=(seats, groups_of(count)))
    weights = (
        np.repeat(groups, GROUP, axis=1)[:, :count] if rng.random() < 0.7 else np.repeat(stakes[:, None], count, 1)
    )
    return scores, stakes, weights, rng.integers(0, 65_536, size=(seats, count))


def row(scores: Ints, weights: Ints, seat: int) -> list[int | None]:
    """A validator's scores as the reference takes them: none where it was not dealt, or was silent."""
    return [
        int(score) if score >= 0 and weight > 0 else None
        for score, weight in zip(scores[seat], weights[seat], strict=True)
    ]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("is_capped", [False, True])
def test_round_when_judged_twice_then_equal(seed: int, is_capped: bool) -> None:
    scores, stakes, weights, bonds = ballot(np.random.default_rng(seed))
    seats, count = scores.shape
    last = np.random.default_rng(seed).integers(0, 10**6, seats)
    found = judge(scores, stakes, weights, bonds, last, Rules(is_capped=is_capped))
    rows = [row(scores, weights, seat) for seat in range(seats)]
    committees = [[int(weight) for weight in weights[:, g * GROUP]] for g in range(groups_of(count))]
    agreed = reference.consensus_by_groups(rows, committees, count)
    if is_capped:
        agreed = reference.under(reference.ceiling(rows, [int(stake) for stake in stakes]), agreed)
    assert found.consensus.tolist() == agreed
    agreements = [reference.agreement_or_last(r, agreed, int(old)) for r, old in zip(rows, last, strict=True)]
    assert found.agreement.tolist() == agreements
    after = [
        reference.bonds_after(bonds[:, m].tolist(), [r[m] for r in rows], committees[m // GROUP], agreed[m])
        for m in range(count)
    ]
    assert found.bonds.T.tolist() == after
    sums = reference.bond_sums(after, agreed)
    assert found.bond_sums.tolist() == sums
    powers = sums if any(agreed) else [int(stake) for stake in stakes]
    revealed = (scores >= 0).any(axis=1)
    pay = [
        reference.validator_weight(power, agreement, bool(took_part), True)
        for power, agreement, took_part in zip(powers, agreements, revealed, strict=True)
    ]
    assert found.validator_shares == pytest.approx([weight / max(1, sum(pay)) for weight in pay])
    assert found.miner_shares == pytest.approx([value / max(1, sum(agreed)) for value in agreed])


@pytest.mark.parametrize("kappa", [5000, 6000, 6667])
def test_consensus_when_kappa_varies_then_equal(kappa: int) -> None:
    rng = np.random.default_rng(kappa)
    scores, weights = rng.integers(0, 50, size=(9, 40)), rng.integers(0, 5, size=(9, 40))
    columns = zip(scores.T.tolist(), weights.T.tolist(), strict=True)
    assert reach(scores, weights, kappa).tolist() == [reference.reach(s, w, kappa) for s, w in columns]


def test_draws_when_points_are_given_then_equal() -> None:
    rng = np.random.default_rng(3)
    stakes = rng.integers(0, 30, 20)
    points = rng.integers(0, stakes.sum(), size=(7, 16))
    expected = [reference.drawn(stakes.tolist(), hits.tolist()) for hits in points]
    assert seats_at(stakes, points).T.tolist() == expected


def test_committees_when_validators_are_few_then_everybody() -> None:
    rng = np.random.default_rng(0)
    stakes = np.array([5, 0, 7, 1])
    assert (seats_drawn(stakes, 11, 3, rng) == stakes[:, None]).all()
    assert (seats_drawn(stakes, 11, 2, rng).sum(axis=0) == 2).all()


def test_network_when_nobody_reveals_then_pays_nobody() -> None:
    found = play(World(miners=4), [Validator(10, lambda _: None), Validator(1, honest)], 10, Rules(), seed=1)
    assert found.voided == 1.0
    assert found.validators.sum() == found.miners.sum() == 0.0


def test_network_when_stake_is_too_fine_then_refused() -> None:
    with pytest.raises(ValueError, match="units"):
        play(World(miners=4), [Validator(10_001)], 1, Rules(), seed=1)
