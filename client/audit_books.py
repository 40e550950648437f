"""The books that the audit keeps beside ``Rewards``: shares, dividends, credits, carry, and what each account is due.

Amounts in wei, shares in 1e-18. All is put in from recomputed settlements, never from what an event says it paid.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.reference import SPLITS, Splits

PER_SHARE = 10**36
TOKEN_CAP = 100_000_000 * 10**18

RoundKey = tuple[int, int]
"""Model, round."""


@dataclass
class Lot:
    """Shares that a round gave, and what one share had got when they began to count."""

    round: RoundKey
    account: str
    shares: int
    base: int


@dataclass
class Opened:
    """A settlement that has begun: what was there to divide, and by which table."""

    emission: int
    carried_in: int
    mintable: int
    pot: int
    splits: Splits
    archive: str | None
    unlock: int
    voided: int = 0  # what taking back other rounds of the model has added to the carry since


@dataclass
class Books:
    """What ``Rewards`` must have written down after each event."""

    committed: int = 0  # tokens that exist, and those that open settlements may still mint
    splits: Splits = SPLITS
    archives: dict[int, str] = field(default_factory=dict)
    carry: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    settled_until: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    opened: dict[RoundKey, Opened] = field(default_factory=dict)
    unlocks: dict[RoundKey, int] = field(default_factory=dict)
    per_share: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    lots: list[Lot] = field(default_factory=list)
    voided: set[RoundKey] = field(default_factory=set)
    credits: dict[RoundKey, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    fees: Counter[str] = field(default_factory=Counter)
    claimed: Counter[str] = field(default_factory=Counter)

    # ---- shares and dividends

    def shares(self, model_id: int) -> Counter[str]:
        """Who has how many shares of a model."""
        found: Counter[str] = Counter()
        for lot in self.lots:
            if lot.round[0] == model_id and lot.round not in self.voided:
                found[lot.account] += lot.shares
        return found

    def has_shares(self, model_id: int) -> bool:
        """Whether anybody holds shares of the model."""
        return self.shares(model_id).total() > 0

    def give_shares(self, key: RoundKey, account: str, shares: int) -> None:
        """They count from now on."""
        self.lots.append(Lot(key, account, shares, self.per_share[key[0]]))

    def pay_shareholders(self, model_id: int, amount: int) -> None:
        """Dividends."""
        total = self.shares(model_id).total()
        if total:
            self.per_share[model_id] += amount * PER_SHARE // total

    # ---- rounds taken back

    def void(self, key: RoundKey) -> tuple[int, int, int]:
        """(wei burned, shares gone, dividends of theirs that go to the treasury)."""
        lots = [lot for lot in self.lots if lot.round == key]
        shares = sum(lot.shares for lot in lots)
        base = lots[0].base if lots else self.per_share[key[0]]
        amount = self.credits[key].total()
        self.voided.add(key)
        self.carry[key[0]] += amount
        self.committed -= amount
        for open_key, opened in self.opened.items():
            if open_key[0] == key[0]:
                opened.voided += amount
        return amount, shares, shares * (self.per_share[key[0]] - base) // PER_SHARE

    # ---- what an account is due

    def due(self, account: str, block: int) -> int:
        """All that has ever matured for an account by a block, claimed or not."""
        matured = sum(
            amounts[account]
            for key, amounts in self.credits.items()
            if key not in self.voided and self.unlocks.get(key, block + 1) <= block
        )
        dividends = sum(
            lot.shares * (self.per_share[lot.round[0]] - lot.base)
            for lot in self.lots
            if lot.account == account and lot.round not in self.voided and self.unlocks[lot.round] <= block
        )
        return matured + dividends // PER_SHARE + self.fees[account]


def splits_of(raw: Mapping[str, int]) -> Splits:
    """The table from an event or a view: Solidity's field names to ours."""
    return Splits(*(int(value) for value in raw.values()))
