"""Delegating just in time: in before rewards are harvested, out right after.

Capital that undelegates is idle until the unbonding time is over. Yields are per round and token of capital, idle
rounds counted, over those of somebody who delegates all the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.reference import TOKEN, assets_for, shares_for
from devnet.sim.report import Result

STEADY = 1_000 * TOKEN
"""What the others delegate."""
GUEST = 500 * TOKEN
REWARD = TOKEN
"""Matures each round for the pool's delegators."""
SCALE = 10**36


@dataclass
class Pool:
    """A validator's pool: shares, assets, and rewards per share since the start."""

    shares: int = 0
    assets: int = 0
    waiting: int = 0
    per_share: int = 0

    def enter(self, amount: int, harvests: bool) -> int:
        """The shares of a deposit; what waits is harvested first where the rules say so."""
        if harvests:
            self.harvest()
        bought = shares_for(amount, self.shares, self.assets)
        self.shares, self.assets = self.shares + bought, self.assets + amount
        return bought

    def leave(self, shares: int) -> None:
        """Takes shares out."""
        worth = assets_for(shares, self.shares, self.assets)
        self.shares, self.assets = self.shares - shares, self.assets - worth

    def harvest(self) -> None:
        """Divides what waits among the shares."""
        if self.shares:
            self.per_share += self.waiting * SCALE // self.shares
            self.waiting = 0


def guest_over_steady(rounds: int, every: int, unbonding: int, harvests: bool) -> float:
    """A guest's yield over a steady delegator's. Somebody harvests every so many rounds; the guest is in for that."""
    pool = Pool()
    steady = pool.enter(STEADY, harvests)
    earned, idle_until = 0, 0
    for number in range(1, rounds + 1):
        pool.waiting += REWARD
        if number % every:
            continue
        if number < idle_until:
            pool.harvest()
            continue
        mine = pool.enter(GUEST, harvests)
        before = pool.per_share
        pool.harvest()
        earned += mine * (pool.per_share - before) // SCALE
        pool.leave(mine)
        idle_until = number + unbonding
    return (earned / GUEST) / (steady * pool.per_share // SCALE / STEADY)


def run(rounds: int, seed: int) -> Result:
    """Several harvest intervals and unbonding times, with and without a harvest at entry."""
    span = max(rounds, 100) * 10  # the longest interval has to pass some times
    rows = [
        (
            every,
            unbonding,
            guest_over_steady(span, every, unbonding, harvests=False),
            guest_over_steady(span, every, unbonding, harvests=True),
        )
        for unbonding in (10, 100)
        for every in (1, 10, 50, 200)
    ]
    return Result(
        "delegation",
        "Yield of delegating just in time over that of staying",
        ("rounds between harvests", "unbonding, rounds", "if entry did not harvest", "as it is"),
        rows,
        "`delegate` harvests the pool first, for those who were there: the guest finds nothing.",
    )
