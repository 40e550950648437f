"""Emission, splits, shares and fees (``Splitting.sol``, ``Rewards.sol``). Amounts in wei, splits in basis points.

Everything rounds down. What a round's payments leave of its pot is carried forward; what has no payee at all (no
parent's shareholder, no archive) goes to the treasury.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.enums import RewardKind
from contracts.reference.constants import (
    BPS,
    EMISSION_PER_BLOCK,
    FIRST_SHARES,
    HALVING_BLOCKS,
    SHARES_HORIZON,
)
from contracts.reference.stakes import delegators_part


@dataclass(frozen=True)
class Splits:
    """The table of splits (``Rewards.splits``), in the order of its struct. Each of the three groups makes 10,000."""

    emission_miners: int = 5000
    emission_validators: int = 2000
    emission_data: int = 1500
    emission_parent: int = 500
    emission_treasury: int = 800
    emission_archive: int = 200
    fee_server: int = 6000
    fee_model: int = 2500
    fee_parent: int = 1000
    fee_treasury: int = 500
    parent_on: int = 2000
    shares_miners: int = 8000
    shares_data: int = 2000


SPLITS = Splits()

SPLIT_BOUNDS: dict[str, tuple[int, int]] = {
    "emission_miners": (3000, 7000),
    "emission_validators": (1000, 3000),
    "emission_data": (500, 3000),
    "emission_parent": (0, 1500),
    "emission_treasury": (0, 2000),
    "emission_archive": (0, 1000),
    "fee_server": (4000, 8000),
    "fee_model": (1000, 4000),
    "fee_parent": (0, 2000),
    "fee_treasury": (0, 1500),
    "parent_on": (0, 5000),
    "shares_miners": (5000, 9500),
    "shares_data": (500, 5000),
}
"""Between which values governance may set each."""

SPLIT_GROUPS = tuple(
    tuple(name for name in SPLIT_BOUNDS if name.startswith(prefix)) for prefix in ("emission_", "fee_", "shares_")
)


def are_splits_allowed(splits: Splits) -> bool:
    """Whether governance can set this table."""
    values = vars(splits)
    inside = all(low <= values[name] <= high for name, (low, high) in SPLIT_BOUNDS.items())
    return inside and all(sum(values[name] for name in group) == BPS for group in SPLIT_GROUPS)


# --- emission -------------------------------------------------------------------------------------


def emission_at(blocks: int) -> int:
    """Wei that the network emits per block, so many blocks after its start, to a model with all stake."""
    return EMISSION_PER_BLOCK >> (blocks // HALVING_BLOCKS)


def paid_blocks(open_block: int, end_block: int, settled_until: int) -> int:
    """Blocks that a round is paid for: each block of a model once, also where rounds overlap."""
    return max(0, end_block - max(open_block, settled_until))


def emission_for(per_block: int, blocks: int, model_stake: int, global_stake: int, emission_bps: int = BPS) -> int:
    """A round's emission: so many blocks, by the model's part of all stake and by its policy."""
    if global_stake == 0:
        return 0
    return per_block * blocks * min(model_stake, global_stake) * emission_bps // (global_stake * BPS)


def pot_of(emission: int, carried_in: int, mintable: int) -> int:
    """What a round divides: its emission and at most as much again of what was carried forward, below the cap."""
    return min(emission + min(carried_in, emission), mintable)


def shares_for_round(round_number: int) -> int:
    """Shares (18 decimals) that the model's accepted round of this number mints, at most."""
    return FIRST_SHARES * SHARES_HORIZON // (SHARES_HORIZON + round_number)


def divide(amount: int, weights: Sequence[int], total: int | None = None) -> list[int]:
    """``amount`` by weights, each rounded down."""
    total = sum(weights) if total is None else total
    return [amount * weight // total if total else 0 for weight in weights]


# --- a round that ended ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Pool:
    """A validator's backing, in wei, and the part of its delegators' rewards that it keeps."""

    own: int
    delegated: int
    commission_bps: int


@dataclass(frozen=True)
class Ended:
    """What ``Rounds`` says of a round that ended: (account, weight) lists in the order of payment.

    ``contributors`` has one entry for each dataset of each accepted delta, so an owner may stand there more than once.
    """

    is_void: bool
    miners: tuple[tuple[str, int], ...] = ()
    validators: tuple[tuple[str, int], ...] = ()
    contributors: tuple[tuple[str, int], ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether any submission has value."""
        return any(weight for _, weight in self.miners)


def data_weights(
    consensus_scores: Sequence[int],
    dataset_ids: Sequence[Sequence[int]],
    owner_of: Callable[[int], str],
    value_of: Callable[[int], int] = lambda _: BPS,
) -> list[tuple[str, int]]:
    """Contributors and their weights, delta by delta: consensus times a dataset's value, over the datasets named."""
    return [
        (owner_of(dataset), score * value_of(dataset) // len(ids))
        for score, ids in zip(consensus_scores, dataset_ids, strict=True)
        for dataset in (ids if score else ())
    ]


@dataclass(frozen=True)
class Ancestor:
    """A parent on the way up: its model id and whether anybody holds its shares."""

    model_id: int
    has_shares: bool


@dataclass(frozen=True)
class Payment:
    """Wei credited to an account. Delegators' part stands under their validator's name."""

    account: str
    kind: RewardKind
    amount: int


@dataclass(frozen=True)
class EmissionSplit:
    """How a round's emission was divided: ``emission + carried_in == minted + carried_out``."""

    emission: int
    carried_in: int
    minted: int
    carried_out: int
    payments: list[Payment] = field(default_factory=list)
    dividends: list[tuple[int, int]] = field(default_factory=list)
    """(model id, amount) that parents' shareholders got."""
    treasury: int = 0


def climb(amount: int, ancestors: Sequence[Ancestor], splits: Splits = SPLITS) -> list[tuple[int, int]]:
    """(model id, amount) that found shareholders on the way from the parent up to the root."""
    paid = []
    for index, ancestor in enumerate(ancestors):
        if amount == 0:
            break
        on = amount * splits.parent_on // BPS if index + 1 < len(ancestors) else 0
        if ancestor.has_shares:
            paid.append((ancestor.model_id, amount - on))
        amount = on
    return paid


def credited(people: Sequence[tuple[str, int]], kind: RewardKind, amount: int) -> list[Payment]:
    """An amount divided by weights; zero payments are left out."""
    parts = divide(amount, [weight for _, weight in people])
    return [Payment(who, kind, part) for (who, _), part in zip(people, parts, strict=True) if part]


def shared_with_delegators(payments: Sequence[Payment], pools: Mapping[str, Pool]) -> list[Payment]:
    """Validators' payments, each divided between the validator and those who delegated to it."""
    found = []
    for payment in payments:
        pool = pools.get(payment.account, Pool(0, 0, 0))
        theirs = delegators_part(payment.amount, pool.own, pool.delegated, pool.commission_bps)
        found.append(Payment(payment.account, RewardKind.VALIDATOR, payment.amount - theirs))
        found.append(Payment(payment.account, RewardKind.DELEGATION, theirs))
    return [payment for payment in found if payment.amount]


def split_emission(
    ended: Ended,
    emission: int,
    carried_in: int,
    mintable: int,
    ancestors: Sequence[Ancestor] = (),
    splits: Splits = SPLITS,
    archive: str | None = None,
    pools: Mapping[str, Pool] | None = None,
) -> EmissionSplit:
    """Divide a settled round's emission (``Rewards.begin`` to ``finish``).

    ``mintable``: what cap and open rounds leave.
    """
    if ended.is_void:
        return EmissionSplit(emission, carried_in, 0, emission + carried_in)
    pot = pot_of(emission, carried_in, mintable)
    payments: list[Payment] = []
    if ended.accepted:
        payments += credited(ended.miners, RewardKind.MINER, pot * splits.emission_miners // BPS)
        payments += credited(ended.contributors, RewardKind.DATA, pot * splits.emission_data // BPS)
    judges = credited(ended.validators, RewardKind.VALIDATOR, pot * splits.emission_validators // BPS)
    payments += shared_with_delegators(judges, pools or {})
    archive_part = pot * splits.emission_archive // BPS
    if archive is not None and archive_part:
        payments.append(Payment(archive, RewardKind.ARCHIVE, archive_part))
        archive_part = 0
    parent_part = pot * splits.emission_parent // BPS
    dividends = climb(parent_part, ancestors, splits)
    parents = sum(amount for _, amount in dividends)
    treasury = pot * splits.emission_treasury // BPS + parent_part - parents + archive_part
    minted = sum(payment.amount for payment in payments) + parents + treasury
    return EmissionSplit(emission, carried_in, minted, emission + carried_in - minted, payments, dividends, treasury)


def divide_shares(
    round_number: int,
    miners: Sequence[tuple[str, int]],
    contributors: Sequence[tuple[str, int]],
    splits: Splits = SPLITS,
) -> list[tuple[str, int]]:
    """Shares minted, miners' first; zero ones are left out."""
    total = shares_for_round(round_number)
    minted = []
    for people, bps in ((miners, splits.shares_miners), (contributors, splits.shares_data)):
        amounts = divide(total * bps // BPS, [weight for _, weight in people])
        minted += [(who, amount) for (who, _), amount in zip(people, amounts, strict=True) if amount]
    return minted


# --- fees -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeeSplit:
    """How a fee was divided, in wei. ``treasury`` includes parts without a payee."""

    server: int
    model: int
    parents: list[tuple[int, int]]
    treasury: int


def split_fee(amount: int, has_shares: bool, ancestors: Sequence[Ancestor] = (), splits: Splits = SPLITS) -> FeeSplit:
    """Divide an inference fee (``Rewards.addFee``). ``has_shares``: whether anybody holds the model's shares."""
    server = amount * splits.fee_server // BPS
    model = amount * splits.fee_model // BPS if has_shares else 0
    parents = climb(amount * splits.fee_parent // BPS, ancestors, splits)
    return FeeSplit(server, model, parents, amount - server - model - sum(part for _, part in parents))
