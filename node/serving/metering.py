"""Who may ask, what it costs, and taking the money: payment channels from the server's side.

Paid after each answer: a request must carry a voucher over everything owed so far (0 at first, but signed: it proves
whose channel it is), so that a server risks one answer and a user nothing. Vouchers are redeemed on chain in batches.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from client.errors import ChainError, ChainUnavailable, Reverted, VoucherError
from client.payments import Voucher
from client.settings import Network
from client.types import ChannelInfo, Receipt
from client.wallet import recover_voucher
from node.serving.ledger import Account, Ledger

log = logging.getLogger("strata.node.metering")


class MeterChain(Protocol):
    """What metering needs of the chain."""

    @property
    def address(self) -> str: ...
    def channel(self, channel_id: bytes) -> ChannelInfo: ...
    def redeem(self, channel_id: bytes, cumulative: int, signature: bytes) -> Receipt: ...


@dataclass(frozen=True)
class Tariff:
    """What answers cost and when vouchers are redeemed."""

    price_wei: int = 10**15  # of STR, per token of an answer
    redeem_vouchers: int = 8  # answers paid, after which a channel is redeemed
    redeem_seconds: float = 30.0  # since the best voucher came, after which it is redeemed


class PaymentRequired(VoucherError):
    """The request does not pay; ``code`` is for programs, ``owed`` (wei, cumulative) says what would."""

    def __init__(self, code: str, message: str, owed: int = 0) -> None:
        self.code = code
        self.owed = owed
        super().__init__(message)


@dataclass(frozen=True)
class Redeemed:
    """A voucher taken on chain: ``amount`` wei, transaction hash."""

    channel: bytes
    model_id: int
    amount: int
    tx: bytes


class Meter:
    """Admits requests, counts tokens, keeps vouchers and redeems them. Safe from several threads."""

    def __init__(
        self,
        chain: MeterChain,
        network: Network,
        ledger: Ledger,
        tariff: Tariff,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._chain, self._network, self._ledger, self.tariff, self._clock = chain, network, ledger, tariff, clock
        self._busy: set[bytes] = set()
        self._lock = threading.Lock()

    def admit(self, voucher: Voucher | None, model_id: int, max_tokens: int) -> int:
        """Check that a request pays; reserve its channel and say how many tokens it may have (at most ``max_tokens``).

        Raises ``PaymentRequired``. Whoever was admitted must be settled by :meth:`charge`, even with no tokens.
        """
        if voucher is None:
            raise PaymentRequired("voucher_required", "this answer must be paid for: send a Strata-Voucher header")
        if voucher.model_id != model_id:
            raise PaymentRequired("wrong_model", f"the voucher is for model {voucher.model_id}, not {model_id}")
        _, info = self._accept(voucher)
        with self._lock:  # looked at again: an answer that ran beside us may have been billed meanwhile
            account = self._ledger.get(voucher.channel) or Account(voucher.channel, voucher.model_id)
            if voucher.channel in self._busy:
                raise PaymentRequired("channel_busy", "another answer is being given on this channel", account.owed)
            if account.paid < account.owed:
                message = f"{account.owed} wei are owed, {account.paid} are signed for"
                raise PaymentRequired("unpaid", message, account.owed)
            left = info.deposit - account.owed
            affordable = max_tokens if self.tariff.price_wei == 0 else min(max_tokens, left // self.tariff.price_wei)
            if affordable < 1:
                message = f"the channel's deposit of {info.deposit} wei is used up ({account.owed} owed): top it up"
                raise PaymentRequired("over_deposit", message, account.owed)
            self._busy.add(voucher.channel)
        return affordable

    def charge(self, voucher: Voucher, tokens: int) -> Account:
        """Bill an answer that was admitted (0 tokens: nothing came) and let the channel ask again."""
        with self._lock:
            self._busy.discard(voucher.channel)
            account = self._ledger.get(voucher.channel) or Account(voucher.channel, voucher.model_id)
            if tokens == 0:
                return account
            cost = tokens * self.tariff.price_wei
            return self._ledger.put(replace(account, owed=account.owed + cost, answers=account.answers + 1))

    def release(self, channel: bytes) -> None:
        """Let a channel ask again whose admitted request never began."""
        with self._lock:
            self._busy.discard(channel)

    def accept(self, voucher: Voucher) -> Account:
        """Keep a voucher that pays; ``PaymentRequired`` when it does not."""
        return self._accept(voucher)[0]

    def _accept(self, voucher: Voucher) -> tuple[Account, ChannelInfo]:
        info = self._verified(voucher)
        with self._lock:
            account = self._ledger.get(voucher.channel)
            if account is None:  # also where our ledger was lost: what the user signed for is taken as what is owed
                start = max(voucher.cumulative, info.redeemed)
                blank = Account(voucher.channel, voucher.model_id, start, info.redeemed, b"", info.redeemed)
                account = self._ledger.put(blank)
            if voucher.cumulative > account.paid:
                account = replace(account, paid=voucher.cumulative, signature=voucher.signature)
                account = replace(account, vouchers=account.vouchers + 1, paid_unix_seconds=self._clock())
                self._ledger.put(account)
            return account, info

    def _verified(self, voucher: Voucher) -> ChannelInfo:
        """The channel as the chain has it, once the voucher's signature and bounds fit it."""
        info = self._chain.channel(voucher.channel)
        if int(info.user, 16) == 0:
            raise PaymentRequired("unknown_channel", "there is no such channel (or it is closed): open one")
        if info.server != self._chain.address:
            raise PaymentRequired("wrong_server", f"the channel pays {info.server}, not this server")
        if info.model_id != voucher.model_id:
            raise PaymentRequired("wrong_model", f"the channel pays for model {info.model_id}, not {voucher.model_id}")
        if info.close_block:
            raise PaymentRequired("channel_closing", "the channel is being closed: open another")
        if voucher.cumulative > info.deposit:
            message = f"the voucher is for {voucher.cumulative} wei, the channel's deposit is {info.deposit}"
            raise PaymentRequired("over_deposit", message)
        try:
            signer = recover_voucher(
                self._network, voucher.channel, voucher.model_id, voucher.cumulative, voucher.signature
            )
        except VoucherError as error:
            raise PaymentRequired("bad_signature", str(error)) from error
        if signer != info.user:
            raise PaymentRequired("bad_signature", "the voucher is not signed by the channel's user")
        return info

    def owed(self, channel: bytes) -> int:
        """What a channel owes in all, in wei."""
        account = self._ledger.get(channel)
        return 0 if account is None else account.owed

    def redeem_due(self, everything: bool = False) -> list[Redeemed]:
        """Redeem the vouchers that are old or many enough, or every one; a chain that is away is tried next time.

        A channel that its user closes is redeemed at once: when it is closed, the deposit goes back.
        """
        done = []
        for account in self._ledger.all():
            if account.paid <= account.redeemed or not account.signature:
                continue
            many = account.vouchers >= self.tariff.redeem_vouchers
            old = self._clock() - account.paid_unix_seconds >= self.tariff.redeem_seconds
            if everything or many or old or self._is_closing(account):
                redeemed = self._redeem(account)
                if redeemed is not None:
                    done.append(redeemed)
        return done

    def _is_closing(self, account: Account) -> bool:
        try:
            return self._chain.channel(account.channel).close_block != 0
        except ChainError:
            return False  # asked again at the next look

    def _redeem(self, account: Account) -> Redeemed | None:
        try:
            receipt = self._chain.redeem(account.channel, account.paid, account.signature)
        except ChainUnavailable as error:
            log.warning("the chain is away, vouchers are redeemed later: %s", error)
            return None
        except Reverted as error:
            log.warning("channel 0x%s can't be redeemed: %s", account.channel.hex(), error)
            self._note_redeemed(account.channel, self._on_chain(account))
            return None
        except ChainError as error:
            log.warning("channel 0x%s is redeemed later: %s", account.channel.hex(), error)
            return None
        self._note_redeemed(account.channel, account.paid)
        return Redeemed(account.channel, account.model_id, account.paid - account.redeemed, receipt.tx)

    def _on_chain(self, account: Account) -> int:
        """After a refusal: what the chain says was redeemed, or all of it where the channel is gone."""
        try:
            info = self._chain.channel(account.channel)
        except ChainError:
            return account.redeemed
        return account.paid if int(info.user, 16) == 0 else info.redeemed

    def _note_redeemed(self, channel: bytes, amount: int) -> None:
        with self._lock:
            account = self._ledger.get(channel)
            if account is not None:
                self._ledger.put(replace(account, redeemed=max(account.redeemed, amount), vouchers=0))
