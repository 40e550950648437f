"""Stake, earnings and payment channels of the chain in memory (a part of :class:`client.fakes.FakeChain`)."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

from client.fake_ledger import FakeLedger, refuse
from client.types import ZERO_ADDRESS, ChannelInfo, Receipt
from contracts.enums import Role

CLOSE_DELAY = 20  # blocks


class FakeChannels(ABC):
    """What an account does with money. Signatures of vouchers are not checked."""

    ledger: FakeLedger

    @property
    @abstractmethod
    def address(self) -> str: ...
    @abstractmethod
    def _do(self, action: Callable[[], object]) -> Receipt: ...
    @abstractmethod
    def _take(self, purse: dict[str, int], amount: int) -> None: ...

    # ---- stake

    def stake(self, model_id: int, role: Role, amount: int) -> Receipt:
        """Stakes tokens."""

        def act() -> None:
            self._take(self.ledger.tokens, amount)
            total = self.stake_of(self.address, model_id, role) + amount
            self.ledger.set_stake(model_id, role, self.address, total)

        return self._do(act)

    def unstake(self, model_id: int, role: Role, amount: int) -> Receipt:
        """Pays back at once: the fake has no unbonding."""

        def act() -> None:
            staked = self.stake_of(self.address, model_id, role)
            if staked < amount:
                raise refuse("InsufficientStake", staked, amount)
            self.ledger.set_stake(model_id, role, self.address, staked - amount)
            self.ledger.tokens[self.address] += amount

        return self._do(act)

    def withdraw_stake(self) -> Receipt:
        """Nothing is ever pending."""
        raise refuse("NothingToWithdraw")

    def rejoin(self, model_id: int) -> Receipt:
        """Counts again."""
        if (model_id, self.address) not in self.ledger.dropped:
            raise refuse("NotDropped", self.address)
        return self._do(lambda: self.ledger.dropped.discard((model_id, self.address)))

    def stake_of(self, account: str, model_id: int, role: Role, block: int | None = None) -> int:
        """Wei, at the end of a block."""
        return self.ledger.stake_at(model_id, role, account, self.ledger.block_number if block is None else block)

    def total_stake(self, model_id: int, role: Role) -> int:
        """Wei that count now."""
        return sum(amount for _, amount in self.ledger.members(model_id, role, self.ledger.block_number))

    def global_validator_stake(self) -> int:
        """Of all models."""
        return sum(self.total_stake(model.id, Role.VALIDATOR) for model in self.ledger.models)

    def min_stake(self, role: Role) -> int:
        """The least that counts."""
        return self.ledger.minimum

    def members(self, model_id: int, role: Role) -> list[str]:
        """Whose stake counts now."""
        return [account for account, _ in self.ledger.members(model_id, role, self.ledger.block_number)]

    def pending_stake(self, account: str) -> int:
        """Nothing."""
        return 0

    # ---- earnings

    def claim(self, model_ids: Sequence[int]) -> Receipt:
        """Pays what is mature."""

        def act() -> None:
            due = self.claimable(self.address, model_ids)
            now = self.ledger.block_number
            self.ledger.credits = [c for c in self.ledger.credits if c[0] != self.address or c[2] > now]
            self.ledger.tokens[self.address] += due
            self.ledger.emit("Rewards", "Claimed", account=self.address, amount=due)

        return self._do(act)

    def claimable(self, account: str, model_ids: Sequence[int]) -> int:
        """Mature credits."""
        now = self.ledger.block_number
        return sum(amount for who, amount, unlock in self.ledger.credits if who == account and unlock <= now)

    def vesting(self, account: str) -> int:
        """Credits that are not mature."""
        now = self.ledger.block_number
        return sum(amount for who, amount, unlock in self.ledger.credits if who == account and unlock > now)

    def shares_of(self, model_id: int, account: str) -> int:
        """The fake has no shares."""
        return 0

    def total_shares(self, model_id: int) -> int:
        """The fake has no shares."""
        return 0

    def carry(self, model_id: int) -> int:
        """The fake carries nothing."""
        return 0

    # ---- channels

    def open_channel(self, server: str, model_id: int, deposit: int) -> ChannelInfo:
        """Locks tokens."""
        number = len(self.ledger.channels)
        channel_id = hashlib.sha256(f"channel {number}".encode()).digest()
        info = ChannelInfo(channel_id, self.address, server, model_id, deposit, 0, 0)

        def act() -> None:
            self._take(self.ledger.tokens, deposit)
            self.ledger.channels[channel_id] = info
            args = {"channelId": channel_id, "user": self.address, "server": server, "modelId": model_id}
            self.ledger.emit("InferenceChannels", "ChannelOpened", deposit=deposit, **args)

        self._do(act)
        return info

    def channel(self, channel_id: bytes) -> ChannelInfo:
        """All zero when there is none."""
        none = ChannelInfo(channel_id, ZERO_ADDRESS, ZERO_ADDRESS, 0, 0, 0, 0)
        return self.ledger.channels.get(channel_id, none)

    def top_up(self, channel_id: bytes, amount: int) -> Receipt:
        """Adds to the deposit."""

        def act() -> None:
            info = self._open(channel_id)
            self._take(self.ledger.tokens, amount)
            self.ledger.channels[channel_id] = replace(info, deposit=info.deposit + amount)
            args = {"channelId": channel_id, "amount": amount, "deposit": info.deposit + amount}
            self.ledger.emit("InferenceChannels", "ToppedUp", **args)

        return self._do(act)

    def redeem(self, channel_id: bytes, cumulative: int, signature: bytes) -> Receipt:
        """Pays the server all that is new."""

        def act() -> None:
            info = self.channel(channel_id)
            if cumulative > info.deposit:
                raise refuse("VoucherOverDeposit", cumulative, info.deposit)
            if cumulative <= info.redeemed:
                raise refuse("NothingToRedeem")
            amount = cumulative - info.redeemed
            self.ledger.channels[channel_id] = replace(info, redeemed=cumulative)
            self.ledger.tokens[info.server] += amount
            args = {"channelId": channel_id, "modelId": info.model_id, "server": info.server, "amount": amount}
            self.ledger.emit("InferenceChannels", "VoucherRedeemed", cumulative=cumulative, **args)

        return self._do(act)

    def start_close(self, channel_id: bytes) -> Receipt:
        """Starts the delay."""

        def act() -> None:
            info = self._open(channel_id)
            if info.user != self.address:
                raise refuse("NotUser", self.address)
            block = self.ledger.block_number + CLOSE_DELAY
            self.ledger.channels[channel_id] = replace(info, close_block=block)
            self.ledger.emit("InferenceChannels", "CloseStarted", channelId=channel_id, closeBlock=block)

        return self._do(act)

    def close_channel(self, channel_id: bytes) -> Receipt:
        """Refunds once the delay is over."""
        info = self.channel(channel_id)
        if not info.close_block or self.ledger.block_number < info.close_block:
            raise refuse("TooEarly", info.close_block)
        return self._do(lambda: self._refund(channel_id))

    def close_by_server(self, channel_id: bytes) -> Receipt:
        """Refunds at once."""
        if self.channel(channel_id).server != self.address:
            raise refuse("NotServer", self.address)
        return self._do(lambda: self._refund(channel_id))

    def _refund(self, channel_id: bytes) -> None:
        info = self.ledger.channels.pop(channel_id)
        self.ledger.tokens[info.user] += info.deposit - info.redeemed
        args = {"channelId": channel_id, "refund": info.deposit - info.redeemed}
        self.ledger.emit("InferenceChannels", "ChannelClosed", **args)

    def _open(self, channel_id: bytes) -> ChannelInfo:
        info = self.ledger.channels.get(channel_id)
        if info is None:
            raise refuse("UnknownChannel", channel_id)
        if info.close_block:
            raise refuse("Closing", info.close_block)
        return info
