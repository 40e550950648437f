"""Rewards, shares and dividends of the chain in memory (a part of :class:`client.fake_ledger.FakeLedger`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from client.commitments import pool_account
from client.types import Event, ModelInfo
from contracts.enums import RewardKind
from contracts.reference import SPLITS, Ancestor, Ended, Pool, divide_shares, split_emission, split_fee

VESTING = 5  # blocks
TOKEN_CAP = 100_000_000 * 10**18
PER_SHARE = 10**36


@dataclass
class Credit:
    """Wei that an account can claim from a block on; ``round`` is (model, number), number 0 for fees."""

    account: str
    kind: RewardKind
    amount: int
    unlock: int
    round: tuple[int, int]


@dataclass
class Lot:
    """Shares that a round gave to an account, and what one share of the model had got when they were last paid."""

    account: str
    model_id: int
    number: int
    shares: int
    base: int
    unlock: int


class FakeMoney:
    """What ``Rewards`` keeps. Tests may change any of it."""

    block_number: int
    models: list[ModelInfo]
    tokens: dict[str, int]
    emit: Callable[..., Event]

    def __init__(self) -> None:
        self.credits: list[Credit] = []
        self.lots: list[Lot] = []
        self.per_share: dict[int, int] = defaultdict(int)
        self.carry: dict[int, int] = defaultdict(int)
        self.voided: set[tuple[int, int]] = set()
        self.unlocks: dict[tuple[int, int], int] = {}
        self.minted = 10_000_000 * 10**18

    # ---- a round that ended

    def pay_round(self, where: tuple[int, int], ended: Ended, emission: int, pools: Mapping[str, Pool]) -> None:
        """Divides a round's emission, as ``Rewards`` does in its pages."""
        model_id, number = where
        split = split_emission(
            ended, emission, self.carry[model_id], TOKEN_CAP - self.minted, self.ancestors(model_id), pools=pools
        )
        at = {"modelId": model_id, "round": number}
        unlock = self.block_number + VESTING
        if not ended.is_void:
            self.unlocks[where] = unlock
        self.minted += split.minted
        self.carry[model_id] = split.carried_out
        for payment in split.payments:
            account = payment.account
            if payment.kind == RewardKind.DELEGATION:
                account = pool_account(model_id, account)
            self.credits.append(Credit(account, payment.kind, payment.amount, unlock, where))
            line = {"account": account, "kind": int(payment.kind), "amount": payment.amount}
            self.emit("Rewards", "RewardCredited", **at, **line, unlockBlock=unlock)
        for parent, amount in split.dividends:
            self.add_dividends(parent, where, amount)
        accepted = not ended.is_void and ended.accepted
        for account, shares in divide_shares(number, ended.miners, ended.contributors) if accepted else ():
            self.lots.append(Lot(account, model_id, number, shares, self.per_share[model_id], unlock))
            self.emit("Rewards", "SharesMinted", **at, account=account, shares=shares)
        amounts = {"emission": emission, "carriedIn": split.carried_in, "minted": split.minted}
        self.emit("Rewards", "EmissionSettled", **at, **amounts, carriedOut=split.carried_out)
        if split.treasury:
            self.emit("Rewards", "TreasuryPaid", **at, amount=split.treasury)

    def ancestors(self, model_id: int) -> list[Ancestor]:
        """The parents up to the root."""
        found: list[Ancestor] = []
        parent = self.models[model_id - 1].parent_id
        while parent:
            found.append(Ancestor(parent, self.shares(parent) > 0))
            parent = self.models[parent - 1].parent_id
        return found

    def add_dividends(self, model_id: int, source: tuple[int, int], amount: int) -> None:
        """Pays all shareholders of a model."""
        shares = self.shares(model_id)
        if shares and amount:
            self.per_share[model_id] += amount * PER_SHARE // shares
            args = {"modelId": model_id, "fromModelId": source[0], "round": source[1], "amount": amount}
            self.emit("Rewards", "DividendsAdded", **args)

    def add_fee(self, model_id: int, server: str, amount: int) -> None:
        """Divides a fee."""
        split = split_fee(amount, self.shares(model_id) > 0, self.ancestors(model_id), SPLITS)
        self.credits.append(Credit(server, RewardKind.SERVER, split.server, self.block_number, (model_id, 0)))
        line = {"account": server, "kind": int(RewardKind.SERVER), "amount": split.server}
        self.emit("Rewards", "RewardCredited", modelId=model_id, round=0, **line, unlockBlock=self.block_number)
        for payee, part in [(model_id, split.model), *split.parents]:
            self.add_dividends(payee, (model_id, 0), part)
        parts = {"serverPart": split.server, "modelPart": split.model, "treasuryPart": split.treasury}
        parents = sum(part for _, part in split.parents)
        self.emit(
            "Rewards", "FeeDistributed", modelId=model_id, server=server, amount=amount, parentPart=parents, **parts
        )

    def void_round(self, where: tuple[int, int]) -> None:
        """Takes back what a round credited."""
        self.voided.add(where)
        mine = [credit for credit in self.credits if credit.round == where]
        lots = [lot for lot in self.lots if (lot.model_id, lot.number) == where]
        amount = sum(credit.amount for credit in mine)
        self.credits = [credit for credit in self.credits if credit.round != where]
        self.lots = [lot for lot in self.lots if (lot.model_id, lot.number) != where]
        self.carry[where[0]] += amount
        self.minted -= amount
        shares = sum(lot.shares for lot in lots)
        self.emit("Rewards", "RewardsVoided", modelId=where[0], round=where[1], amount=amount, shares=shares)

    # ---- what an account has

    def shares(self, model_id: int, account: str | None = None) -> int:
        """Shares of a model: an account's, or all."""
        return sum(lot.shares for lot in self.lots if lot.model_id == model_id and account in (None, lot.account))

    def due(self, account: str, model_ids: Sequence[int]) -> int:
        """What a claim would pay."""
        ready = sum(c.amount for c in self.credits if c.account == account and c.unlock <= self.block_number)
        return ready + sum(self._dividend(lot) for lot in self._lots_of(account, model_ids))

    def take(self, account: str, model_ids: Sequence[int]) -> int:
        """Takes what is due, out of the books."""
        amount = self.due(account, model_ids)
        self.credits = [c for c in self.credits if c.account != account or c.unlock > self.block_number]
        for lot in self._lots_of(account, model_ids):
            lot.base = self.per_share[lot.model_id]
        return amount

    def _lots_of(self, account: str, model_ids: Sequence[int]) -> list[Lot]:
        ready = [lot for lot in self.lots if lot.account == account and lot.unlock <= self.block_number]
        return [lot for lot in ready if lot.model_id in model_ids]

    def _dividend(self, lot: Lot) -> int:
        return lot.shares * (self.per_share[lot.model_id] - lot.base) // PER_SHARE
