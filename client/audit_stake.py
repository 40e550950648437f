"""Stake replayed from events: who had what behind whom, what a slash must have taken, what can be withdrawn.

Amounts in wei. Nothing is read from ``Staking``'s views, so that these can be compared with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from client.audit_log import AuditLog
from client.types import Event
from contracts.enums import Role
from contracts.reference import BPS, DEFAULT_COMMISSION_BPS, Pool, bucket_width

PER_SHARE = 1 << 128

Key = tuple[int, int, str]
"""Model, role, operator."""


@dataclass
class Bucket:
    """Stake that leaves together. Whoever is in it holds shares of it."""

    assets: int = 0
    shares: int = 0


@dataclass
class Operator:
    """One operator's stake, its pool and what is leaving it."""

    own: int = 0
    delegated: int = 0
    dropped: bool = False
    unseated: bool = False
    holders: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    per_share: int = 0
    paid: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    commission: tuple[int, int, int] = (DEFAULT_COMMISSION_BPS, 0, DEFAULT_COMMISSION_BPS)  # now, from, then
    buckets: dict[int, Bucket] = field(default_factory=lambda: defaultdict(Bucket))

    @property
    def raw(self) -> int:
        """All that is staked on it."""
        return self.own + self.delegated

    def commission_at(self, block: int) -> int:
        """In basis points."""
        now, start, then = self.commission
        return then if block >= start else now


class StakeLedger:
    """Takes ``Staking``'s events in order."""

    def __init__(self, log: AuditLog, unbonding: int) -> None:
        self.log = log
        self.width = bucket_width(unbonding)
        self.operators: dict[Key, Operator] = defaultdict(Operator)
        self.entries: dict[str, dict[tuple[Key, int], int]] = defaultdict(lambda: defaultdict(int))  # shares of buckets
        self.credited: dict[str, int] = defaultdict(int)
        self.history: dict[Key, list[tuple[int, int]]] = defaultdict(list)  # (block, raw), for who may count
        self.pending: list[Event] = []  # claims of delegators that the next event explains
        self.held = 0  # what the contract must hold
        self._handlers: dict[str, Callable[[Event], None]] = {
            "Staked": self._staked,
            "Unstaking": self._unstaking,
            "Delegated": self._delegated,
            "Undelegated": self._undelegated,
            "Withdrawn": self._withdrawn,
            "Dropped": self._dropped,
            "Rejoined": self._rejoined,
            "Unseated": self._unseated,
            "CommissionSet": self._commission,
            "Harvested": self._harvested,
            "DelegationClaimed": self._delegation_claimed,
        }

    def take(self, event: Event) -> None:
        """One event; slashes are told by :meth:`slash`."""
        handler = self._handlers.get(event.name)
        if handler is not None:
            handler(event)

    # ---- what others ask

    def pool(self, model_id: int, validator: str, block: int) -> Pool:
        """A validator's backing and what it keeps of its delegators' rewards."""
        operator = self.operators[model_id, Role.VALIDATOR, validator]
        return Pool(operator.own, operator.delegated, operator.commission_at(block))

    def slash(self, key: Key, bps: int, block: int) -> int:
        """What a slash of so many basis points takes now; the books follow."""
        operator = self.operators[key]
        own, delegated = operator.own * bps // BPS, operator.delegated * bps // BPS
        operator.own, operator.delegated = operator.own - own, operator.delegated - delegated
        amount = own + delegated
        for number, bucket in operator.buckets.items():
            if number * self.width > block:
                amount += bucket.assets * bps // BPS
                bucket.assets -= bucket.assets * bps // BPS
        self.held -= amount
        self._note(key, block)
        return amount

    def _note(self, key: Key, block: int) -> None:
        self.history[key].append((block, self.operators[key].raw))

    # ---- events

    def _staked(self, event: Event) -> None:
        key = _key(event)
        self.operators[key].own += _amount(event)
        self.operators[key].unseated = False
        self.held += _amount(event)
        self._note(key, event.block)
        self._same(event, "stake", self.operators[key].own, int(event.args["total"]), key[2])

    def _unstaking(self, event: Event) -> None:
        key = _key(event)
        self.operators[key].own -= _amount(event)
        self._leave(event, key[2], key)

    def _delegated(self, event: Event) -> None:
        key, holder = _pool(event), event.args["holder"]
        self._settle_claims(event, direct=False)
        operator = self.operators[key]
        operator.delegated += _amount(event)
        operator.holders[holder] += int(event.args["shares"])
        self.held += _amount(event)
        self._note(key, event.block)

    def _undelegated(self, event: Event) -> None:
        key, holder = _pool(event), event.args["holder"]
        self._settle_claims(event, direct=False)
        operator, shares = self.operators[key], int(event.args["shares"])
        total = sum(operator.holders.values())
        worth = shares * operator.delegated // total if total else 0
        self._same(event, "delegation", worth, _amount(event), f"{holder} gives back")
        operator.holders[holder] -= shares
        operator.delegated -= _amount(event)
        self._leave(event, holder, key)

    def _leave(self, event: Event, account: str, key: Key) -> None:
        """Stake goes to the bucket that is released with ``releaseBlock``."""
        number, amount = int(event.args["releaseBlock"]) // self.width, _amount(event)
        self._note(key, event.block)
        if amount == 0:
            return
        bucket = self.operators[key].buckets[number]
        shares = amount * bucket.shares // bucket.assets if bucket.shares and bucket.assets else amount
        bucket.assets += amount
        bucket.shares += shares
        self.entries[account][key, number] += shares

    def _withdrawn(self, event: Event) -> None:
        self._flush()
        account = event.args["account"]
        due = self.credited.pop(account, 0)
        for (key, number), shares in list(self.entries[account].items()):
            bucket = self.operators[key].buckets[number]
            if number * self.width > event.block or not bucket.shares:
                continue
            part = shares * bucket.assets // bucket.shares
            bucket.assets, bucket.shares = bucket.assets - part, bucket.shares - shares
            del self.entries[account][key, number]
            due += part
        self.held -= _amount(event)
        self._same(event, "withdrawal", due, _amount(event), account)

    def _dropped(self, event: Event) -> None:
        self.operators[_validator(event)].dropped = True

    def _rejoined(self, event: Event) -> None:
        operator = self.operators[_validator(event)]
        operator.dropped = operator.unseated = False

    def _unseated(self, event: Event) -> None:
        self.operators[_key(event)].unseated = True

    def _commission(self, event: Event) -> None:
        operator = self.operators[_pool(event)]
        start, bps = int(event.args["fromBlock"]), int(event.args["bps"])
        operator.commission = (operator.commission_at(event.block), start, bps)

    # ---- pools' rewards

    def _harvested(self, event: Event) -> None:
        self._flush()
        operator, amount = self.operators[_pool(event)], _amount(event)
        total = sum(operator.holders.values())
        self.held += amount
        if total:
            operator.per_share += amount * PER_SHARE // total
        else:
            self.credited[event.args["validator"]] += amount

    def _delegation_claimed(self, event: Event) -> None:
        self._flush()
        operator, holder = self.operators[_pool(event)], event.args["holder"]
        due = operator.holders[holder] * (operator.per_share - operator.paid[holder]) // PER_SHARE
        operator.paid[holder] = operator.per_share
        self._same(event, "delegation", due, _amount(event), f"{holder} claims")
        self.pending.append(event)

    def _settle_claims(self, event: Event, direct: bool) -> None:
        """A change of a delegation credits what it earned, for later; a claim alone was paid at once."""
        for claim in self.pending:
            if not direct and claim.args["holder"] == event.args["holder"] and claim.tx == event.tx:
                self.credited[claim.args["holder"]] += _amount(claim)
            else:
                self.held -= _amount(claim)
        self.pending.clear()
        operator, holder = self.operators[_pool(event)], event.args["holder"]
        operator.paid[holder] = operator.per_share

    def _flush(self) -> None:
        """Claims that no change of a delegation follows were paid."""
        for claim in self.pending:
            self.held -= _amount(claim)
        self.pending.clear()

    def finish(self) -> None:
        """All events were taken."""
        self._flush()

    def _same(self, event: Event, check: str, expected: int, found: int, subject: str) -> None:
        self.log.compare(("", 0), check, expected, found, f"{subject}, block {event.block} (wei)")


def _amount(event: Event) -> int:
    return int(event.args["amount"])


def _key(event: Event) -> Key:
    return int(event.args["modelId"]), int(event.args["role"]), str(event.args["account"])


def _pool(event: Event) -> Key:
    return int(event.args["modelId"]), int(Role.VALIDATOR), str(event.args["validator"])


def _validator(event: Event) -> Key:
    return int(event.args["modelId"]), int(Role.VALIDATOR), str(event.args["account"])
