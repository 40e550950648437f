"""Stake: delegation's shares, buckets of leaving stake, slashes, missed rounds (``Staking.sol``). Amounts in wei."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.reference.constants import BPS, BUCKETS, MAX_MISSED, UNREVEALED_BPS


def shares_for(amount: int, shares: int, assets: int) -> int:
    """Shares that a deposit buys, rounded down; one for each wei where there are none yet."""
    return amount * shares // assets if shares and assets else amount


def assets_for(redeemed: int, shares: int, assets: int) -> int:
    """Wei that shares are worth, rounded down."""
    return redeemed * assets // shares if shares else 0


def bucket_width(unbonding_blocks: int) -> int:
    """Blocks of one bucket: a quarter of the unbonding time, one block where that is very short."""
    return 1 if unbonding_blocks < 2 * BUCKETS else unbonding_blocks // BUCKETS


def bucket_of(block: int, unbonding_blocks: int) -> int:
    """The bucket that takes stake which asks to leave in this block."""
    return -(-(block + unbonding_blocks) // bucket_width(unbonding_blocks))


def release_block(bucket: int, unbonding_blocks: int) -> int:
    """The first block in which a bucket's stake can be withdrawn and no longer be slashed."""
    return bucket * bucket_width(unbonding_blocks)


def rejoin_block(drop_block: int, unbonding_blocks: int) -> int:
    """The first block in which a validator that was dropped may rejoin."""
    return drop_block + bucket_width(unbonding_blocks)


def slashed(stake: int, unbonding: Mapping[int, int] | None = None, bps: int = UNREVEALED_BPS) -> int:
    """Wei that a slash takes: of the stake, and of each unreleased bucket (rounded down one by one)."""
    return stake * bps // BPS + sum(amount * bps // BPS for amount in (unbonding or {}).values())


def effective_stake(own: int, delegated: int, minimum: int, dropped: bool = False) -> int:
    """A validator's stake that counts: all of it, once its own reaches the minimum."""
    return own + delegated if own >= minimum and not dropped else 0


def delegators_part(reward: int, own: int, delegated: int, commission_bps: int) -> int:
    """What of a validator's reward goes to those who delegated to it."""
    backing = own + delegated
    if delegated == 0 or backing == 0:
        return 0
    return reward * delegated * (BPS - commission_bps) // (backing * BPS)


def missed_after(missed: int, took_full_part: bool) -> tuple[int, bool]:
    """A validator's count of missed rounds after one more, and whether it is dropped now (its count restarts)."""
    if took_full_part:
        return 0, False
    return (0, True) if missed + 1 >= MAX_MISSED else (missed + 1, False)
