"""Payment channels of the chain in memory (a part of :class:`client.fakes.FakeChain`)."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from client.fake_accounts import FakeAccounts
from client.fake_ledger import refuse
from client.types import ZERO_ADDRESS, ChannelInfo, Receipt

CLOSE_DELAY = 20  # blocks


class FakeChannels(FakeAccounts):
    """What users and servers do with channels. Signatures of vouchers are not checked."""

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
        """Divides what is new as a fee."""

        def act() -> None:
            info = self.channel(channel_id)
            if cumulative > info.deposit:
                raise refuse("VoucherOverDeposit", cumulative, info.deposit)
            if cumulative <= info.redeemed:
                raise refuse("NothingToRedeem")
            amount = cumulative - info.redeemed
            self.ledger.channels[channel_id] = replace(info, redeemed=cumulative)
            args = {"channelId": channel_id, "modelId": info.model_id, "server": info.server, "amount": amount}
            self.ledger.emit("InferenceChannels", "VoucherRedeemed", cumulative=cumulative, **args)
            if info.model_id <= len(self.ledger.models):  # a test may pay for a model that is not registered
                self.ledger.add_fee(info.model_id, info.server, amount)

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
