"""Stake, seats and delegation of the chain in memory (a part of :class:`client.fake_ledger.FakeLedger`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from client.fake_words import refuse
from client.types import Event
from contracts.enums import Role
from contracts.reference import (
    BPS,
    DEFAULT_COMMISSION_BPS,
    MAX_COMMISSION_BPS,
    MAX_MINERS,
    MAX_VALIDATORS,
    assets_for,
    bucket_of,
    bucket_width,
    effective_stake,
    release_block,
    shares_for,
)

PER_SHARE = 1 << 128
BALLOT_BLOCKS = 100

MemberKey = tuple[int, Role, str]
"""Model, role, account."""


@dataclass
class FakeMember:
    """An operator's stake on a model, in wei. ``history``: what counted, as (block, wei)."""

    own: int = 0
    delegated: int = 0
    shares: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    paid: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    per_share: int = 0
    commission: int = DEFAULT_COMMISSION_BPS
    next_commission: tuple[int, int] | None = None  # from which block, how much
    since: int = 0
    history: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Leaving:
    """Stake that was asked back of an operator, in wei, until it is taken."""

    operator: MemberKey
    amount: int
    release: int


@dataclass
class FakeBallot:
    """A vote on a dataset: stakes in wei at its beginning, and who said what with which value (basis points)."""

    start: int
    electorate: dict[str, int]
    votes: dict[str, tuple[bool, int]] = field(default_factory=dict)
    decided: bool = False

    def stake(self, accept: bool) -> int:
        """What said so."""
        return sum(self.electorate[who] for who, (said, _) in self.votes.items() if said is accept)

    def median(self) -> int:
        """The accepting votes' value, weighted by stake; the lower one of two."""
        said = sorted((value, self.electorate[who]) for who, (accept, value) in self.votes.items() if accept)
        reached = 0
        for value, stake in said:
            reached += stake
            if reached * 2 >= self.stake(True):
                return value
        return 0


class FakeStake:
    """What ``Staking`` keeps. Tests may change any of it."""

    block_number: int
    minimum: int
    unbonding: int
    tokens: dict[str, int]
    emit: Callable[..., Event]

    def __init__(self) -> None:
        self.members_of: dict[MemberKey, FakeMember] = defaultdict(FakeMember)
        self.leaving: dict[str, list[Leaving]] = defaultdict(list)
        self.credited: dict[str, int] = defaultdict(int)  # claimable in Staking, in wei
        self.dropped: set[tuple[int, str]] = set()
        self.left: dict[tuple[int, str], int] = {}  # when a validator was dropped, or gave its seat up

    # ---- what counts

    def raw(self, key: MemberKey) -> int:
        """What counts of a member, if it has a seat."""
        member = self.members_of[key]
        gone = key[1] == Role.VALIDATOR and (key[0], key[2]) in self.dropped
        return effective_stake(member.own, member.delegated, max(1, self.minimum), gone)

    def stake_at(self, model_id: int, role: Role, account: str, block: int) -> int:
        """What counted at the end of a block; nothing of a validator that was dropped since."""
        if role == Role.VALIDATOR and (model_id, account) in self.dropped:
            return 0
        amounts = [amount for at, amount in self.members_of[model_id, role, account].history if at <= block]
        return amounts[-1] if amounts else 0

    def members(self, model_id: int, role: Role, block: int) -> list[tuple[str, int]]:
        """Whose stake counted at the end of a block, ascending."""
        accounts = [account for model, of, account in list(self.members_of) if (model, of) == (model_id, role)]
        found = [(account, self.stake_at(model_id, role, account, block)) for account in accounts]
        return sorted(((who, amount) for who, amount in found if amount), key=lambda item: int(item[0], 16))

    def refresh(self, key: MemberKey, sit: bool = False) -> None:
        """Brings what counts in line with what is staked; who asks to ``sit`` may take the lowest member's seat."""
        model_id, role, account = key
        now, before = self.raw(key), self.stake_at(model_id, role, account, self.block_number)
        member = self.members_of[key]
        if before == 0 and now:
            if not sit:
                return
            self._may_sit(key)
            if not self._sit(key, now):
                raise refuse("TooManyMembers", model_id, int(role))
            member.since = self.block_number
        if before and not now and role == Role.VALIDATOR:
            self.left[model_id, account] = self.block_number
        member.history.append((self.block_number, now))

    def _may_sit(self, key: MemberKey) -> None:
        left = self.left.get((key[0], key[2])) if key[1] == Role.VALIDATOR else None
        start = 0 if left is None else left + bucket_width(self.unbonding)
        if self.block_number < start:
            raise refuse("RejoinTooSoon", start)

    def rejoin(self, model_id: int, account: str) -> None:
        """A dropped validator counts again."""
        if (model_id, account) not in self.dropped:
            raise refuse("NotDropped", account)
        key = (model_id, Role.VALIDATOR, account)
        self._may_sit(key)
        self.dropped.discard((model_id, account))
        self.refresh(key, sit=True)

    def _sit(self, key: MemberKey, amount: int) -> bool:
        model_id, role, _ = key
        seated = self.members(model_id, role, self.block_number)
        if len(seated) < (MAX_MINERS if role == Role.MINER else MAX_VALIDATORS):
            return True
        lowest, least = min(seated, key=lambda item: item[1])
        if amount <= least:
            return False
        self.members_of[model_id, role, lowest].history.append((self.block_number, 0))
        self.emit("Staking", "Unseated", account=lowest, modelId=model_id, role=int(role))
        return True

    # ---- moving stake

    def add_stake(self, key: MemberKey, amount: int) -> None:
        """An operator's own."""
        member = self.members_of[key]
        member.own += amount
        self.refresh(key, sit=True)
        self._tell("Staked", key, amount=amount, total=member.own)

    def take_stake(self, key: MemberKey, amount: int) -> None:
        """Asks an operator's own stake back."""
        member = self.members_of[key]
        if member.own < amount:
            raise refuse("InsufficientStake", member.own, amount)
        member.own -= amount
        release = self._leave(key[2], key, amount)
        self.refresh(key)
        self._tell("Unstaking", key, amount=amount, releaseBlock=release)

    def _leave(self, account: str, operator: MemberKey, amount: int) -> int:
        release = release_block(bucket_of(self.block_number, self.unbonding), self.unbonding)
        self.leaving[account].append(Leaving(operator, amount, release))
        return release

    def withdraw(self, account: str) -> None:
        """Pays what was released and what was credited."""
        ready = [entry for entry in self.leaving[account] if entry.release <= self.block_number]
        if not ready and not self.credited[account]:
            raise refuse("NothingToWithdraw")
        amount = sum(entry.amount for entry in ready) + self.credited.pop(account)
        self.leaving[account] = [entry for entry in self.leaving[account] if entry.release > self.block_number]
        self.tokens[account] += amount
        self.emit("Staking", "Withdrawn", account=account, amount=amount)

    def slash(self, model_id: int, role: Role, account: str, bps: int) -> None:
        """Takes a part of an operator's stake, of what is delegated to it and of what is leaving it."""
        key = (model_id, role, account)
        member = self.members_of[key]
        own, delegated = member.own * bps // BPS, member.delegated * bps // BPS
        member.own, member.delegated = member.own - own, member.delegated - delegated
        amount = own + delegated
        for entry in (entry for entries in self.leaving.values() for entry in entries):
            if entry.operator == key and entry.release > self.block_number:
                amount += entry.amount * bps // BPS
                entry.amount -= entry.amount * bps // BPS
        if amount:
            self.refresh(key)
            self._tell("Slashed", key, amount=amount)

    def drop(self, model_id: int, account: str) -> None:
        """A validator that was silent too often."""
        self.dropped.add((model_id, account))
        self.left[model_id, account] = self.block_number
        self.emit("Staking", "Dropped", account=account, modelId=model_id)

    def _tell(self, name: str, key: MemberKey, **args: Any) -> None:
        self.emit("Staking", name, account=key[2], modelId=key[0], role=int(key[1]), **args)

    # ---- delegation

    def delegate(self, holder: str, key: MemberKey, amount: int) -> None:
        """Stake of another behind a validator."""
        member = self.members_of[key]
        if member.own < max(1, self.minimum):
            raise refuse("NotEligible", key[2])
        self.credited[holder] += self.take_reward(holder, key)
        shares = shares_for(amount, sum(member.shares.values()), member.delegated)
        member.delegated += amount
        member.shares[holder] += shares
        self.refresh(key)
        args = {"holder": holder, "modelId": key[0], "validator": key[2], "amount": amount, "shares": shares}
        self.emit("Staking", "Delegated", **args)

    def undelegate(self, holder: str, key: MemberKey, shares: int) -> None:
        """Gives shares back."""
        member = self.members_of[key]
        if shares > member.shares[holder]:
            raise refuse("InsufficientStake", member.shares[holder], shares)
        self.credited[holder] += self.take_reward(holder, key)
        amount = assets_for(shares, sum(member.shares.values()), member.delegated)
        member.delegated -= amount
        member.shares[holder] -= shares
        release = self._leave(holder, key, amount)
        self.refresh(key)
        args = {"holder": holder, "modelId": key[0], "validator": key[2], "amount": amount, "shares": shares}
        self.emit("Staking", "Undelegated", **args, releaseBlock=release)

    def commission(self, key: MemberKey) -> int:
        """In force now, in basis points."""
        member = self.members_of[key]
        if member.next_commission is not None and member.next_commission[0] <= self.block_number:
            return member.next_commission[1]
        return member.commission

    def set_commission(self, key: MemberKey, bps: int) -> None:
        """A cut is in force at once, a rise after the unbonding time."""
        if bps > MAX_COMMISSION_BPS:
            raise refuse("BadCommission", bps)
        member, now = self.members_of[key], self.commission(key)
        start = self.block_number + (self.unbonding if bps > now else 0)
        member.commission, member.next_commission = now, (start, bps)
        self.emit("Staking", "CommissionSet", validator=key[2], modelId=key[0], bps=bps, fromBlock=start)

    def share_reward(self, key: MemberKey, amount: int) -> None:
        """Divides a pool's rewards among its shares."""
        member, shares = self.members_of[key], sum(self.members_of[key].shares.values())
        if shares:
            member.per_share += amount * PER_SHARE // shares
        else:
            self.credited[key[2]] += amount
        if amount:
            self.emit("Staking", "Harvested", modelId=key[0], validator=key[2], amount=amount)

    def reward_of(self, holder: str, key: MemberKey) -> int:
        """What a holder could claim of the pool's rewards."""
        member = self.members_of[key]
        return member.shares[holder] * (member.per_share - member.paid[holder]) // PER_SHARE

    def take_reward(self, holder: str, key: MemberKey) -> int:
        """Takes it."""
        amount = self.reward_of(holder, key)
        self.members_of[key].paid[holder] = self.members_of[key].per_share
        if amount:
            args = {"holder": holder, "modelId": key[0], "validator": key[2], "amount": amount}
            self.emit("Staking", "DelegationClaimed", **args)
        return amount
