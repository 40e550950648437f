"""Validators' bonds with miners, and what a validator's part of a round is (``Bonds.sol``).

After Yuma's bonds: a validator that values a miner as the consensus does holds a part of it, a moving average over
rounds. Bonds are in 1/65535; there is one list of them for each miner, by validator slot.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.reference.constants import BOND_ALPHA_BPS, BOND_ONE, BPS
from contracts.reference.judgement import Row


def bond_targets(column: Row, weights: Sequence[int], value: int) -> list[int]:
    """Each validator's part of a submission's value: weight times its score, clipped at the consensus ``value``."""
    parts = [
        weight * min(score, value) if score is not None else 0 for score, weight in zip(column, weights, strict=True)
    ]
    total = sum(parts)
    return [part * BOND_ONE // total if total else 0 for part in parts]


def bond_step(bond: int, target: int) -> int:
    """A bond after one more round, rounded to the nearest."""
    return (bond * (BPS - BOND_ALPHA_BPS) + target * BOND_ALPHA_BPS + BPS // 2) // BPS


def bonds_after(bonds: Sequence[int], column: Row, weights: Sequence[int], value: int) -> list[int]:
    """A miner's bonds after its submission got the consensus ``value``; one without value leaves them alone."""
    if value == 0:
        return list(bonds)
    targets = bond_targets(column, weights, value)
    return [bond_step(bond, target) for bond, target in zip(bonds, targets, strict=True)]


def live_bonds(
    bonds: Sequence[int], occupied_since: Sequence[int], last_round: int, member_since: int, last_open_block: int
) -> list[int]:
    """Bonds that still hold: of validators that sat in their slot in the miner's last round already.

    None does where the miner registered anew since that round opened (its stake had counted in the block before).
    """
    if member_since >= last_open_block:
        return [0] * len(bonds)
    return [0 if since > last_round else bond for bond, since in zip(bonds, occupied_since, strict=True)]


def bond_sums(bonds_by_submission: Sequence[Sequence[int]], consensus_scores: Sequence[int]) -> list[int]:
    """Each validator's bonds with this round's miners, times their consensus."""
    seats = max((len(bonds) for bonds in bonds_by_submission), default=0)
    sums = [0] * seats
    for bonds, value in zip(bonds_by_submission, consensus_scores, strict=True):
        for seat, bond in enumerate(bonds):
            sums[seat] += bond * value
    return sums


def validator_weight(power: int, agreement_: int, revealed: bool, attested_winner: bool) -> int:
    """Power times the square of agreement, zero without full part.

    ``power`` is the validator's bond sum, or its frozen stake in a round where no submission has value;
    ``attested_winner`` is true where nothing was to attest. Honest validators agree almost wholly, so the square costs
    them nothing; who guesses is paid half as much as in proportion.
    """
    return power * agreement_ * agreement_ if revealed and attested_winner else 0
