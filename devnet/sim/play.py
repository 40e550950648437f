"""Many rounds of one network: who is paid what, on average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contracts.reference import QUORUM_BPS, is_quorum
from devnet.sim.engine import MAX_STAKE, SILENT, Floats, Ints, Mask, Rules, judge, seats_drawn
from devnet.sim.world import Seen, Strategy, World, honest

BURN_IN = 0.2
"""Part of the rounds in which bonds settle; it is not counted."""


@dataclass(frozen=True)
class Validator:
    """A seat: stake in units, and how it plays. Those with the same ``machine`` share its measurements."""

    stake: int
    strategy: Strategy = honest
    machine: int = -1


@dataclass(frozen=True)
class Totals:
    """Averages over the counted rounds."""

    validators: Floats
    """Each validator's part of the validators' pay."""
    miners: Floats
    """Each miner's part of the miners' pay."""
    agreement: Floats
    voided: float
    """Part of the rounds that fell short of the quorum, and paid nobody."""

    def pay_of(self, seats: slice) -> float:
        """The pay of some validators together."""
        return float(self.validators[seats].sum())


def even_stakes(total: int, count: int) -> list[int]:
    """A stake divided into equal parts; the first ones get what does not divide."""
    return [total // count + (index < total % count) for index in range(count)]


def honest_network(count: int, total: int = MAX_STAKE) -> list[Validator]:
    """Honest validators of equal stake."""
    return [Validator(stake) for stake in even_stakes(total, count)]


def play(
    world: World,
    validators: Sequence[Validator],
    rounds: int,
    rules: Rules,
    seed: int,
    own: Mask | None = None,
) -> Totals:
    """Plays so many rounds. ``own`` marks the miners that attacking strategies favour."""
    rng = np.random.default_rng(seed)
    stakes = np.array([validator.stake for validator in validators], np.int64)
    if stakes.sum() > MAX_STAKE:
        raise ValueError(f"{stakes.sum()} units of stake, but at most {MAX_STAKE}")
    favoured = np.zeros(world.miners, bool) if own is None else own
    skills = world.skills(rng)
    bonds = np.zeros((len(validators), world.miners), np.int64)
    last, agreement = scores_of_first(skills), np.zeros(len(validators), np.int64)
    paid, mined, agreed = (np.zeros(size) for size in (len(validators), world.miners, len(validators)))
    counted = voided = 0
    for number in range(rounds):
        measured = shared(world.measured(world.gains(skills, rng), len(validators), rng), validators)
        table = ballots(validators, measured, last, favoured, rng)
        silent = (table == SILENT).all(axis=1)
        is_counted = number >= BURN_IN * rounds
        counted += is_counted
        if not is_quorum(int(stakes[~silent].sum()), int(stakes.sum()), QUORUM_BPS):
            voided += is_counted
            continue
        order = rng.permutation(world.miners)
        weights = seats_drawn(stakes, world.miners, rules.committee, rng)
        judged = judge(table[:, order], stakes, weights, bonds[:, order], agreement, rules)
        bonds[:, order], last[order], agreement = judged.bonds, judged.consensus, judged.agreement
        if is_counted:
            paid, agreed = paid + judged.validator_shares, agreed + judged.agreement / 1e6
            mined[order] += judged.miner_shares
    scored = max(1, counted - voided)
    return Totals(paid / scored, mined / scored, agreed / scored, voided / max(1, counted))


def scores_of_first(skills: Floats) -> Ints:
    """Before the first round everybody's typical gain is known."""
    return np.rint(skills).astype(np.int64)


def shared(measured: Ints, validators: Sequence[Validator]) -> Ints:
    """Seats of one machine have one machine's measurements."""
    rows = list(range(len(validators)))
    first: dict[int, int] = {}
    for row, validator in enumerate(validators):
        if validator.machine >= 0:
            rows[row] = first.setdefault(validator.machine, row)
    return measured[rows]


def ballots(validators: Sequence[Validator], measured: Ints, last: Ints, own: Mask, rng: np.random.Generator) -> Ints:
    """Everybody's scores; rows of those who reveal nothing are silent."""
    table = np.full(measured.shape, SILENT, np.int64)
    for row, validator in enumerate(validators):
        scores = validator.strategy(Seen(measured[row], last, own, rng))
        if scores is not None:
            table[row] = scores
    return table
