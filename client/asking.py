"""One question from beginning to end: a channel, a voucher, the answer, the next voucher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from client.errors import StrataError, SwarmError, UnknownModel, VoucherError
from client.gateway_client import GatewayClient, Quote, Unpaid
from client.payments import BookEntry, Payer

Confirm = Callable[[str], bool]


@dataclass(frozen=True)
class Wish:
    """A question and its bounds. ``deposit_wei`` is locked when a channel must be opened or filled."""

    question: str
    model: str = "auto"
    max_tokens: int = 128
    temperature: float = 0.0
    deposit_wei: int = 2 * 10**18


@dataclass(frozen=True)
class Answer:
    """What came back, and what it cost."""

    text: str
    model: str
    finish: str
    usage: dict[str, Any]
    strata: dict[str, Any] = field(default_factory=dict)  # model_id, server, head, round, reasons
    channel: str = ""
    cost_wei: int = 0  # of this answer
    left_wei: int = 0  # in the channel
    paid: bool = True  # whether the server has the voucher

    def to_json(self) -> dict[str, Any]:
        """For programs; wei as text."""
        plain = dict(self.__dict__)
        return {**plain, "cost_wei": str(self.cost_wei), "left_wei": str(self.left_wei)}


class Asker:
    """Asks through one gateway and pays with one wallet; ``confirm`` is asked before tokens are locked."""

    def __init__(self, gateway: GatewayClient, payer: Payer, confirm: Confirm) -> None:
        self._gateway, self._payer, self._confirm = gateway, payer, confirm

    def ask(self, quote: Quote, wish: Wish, say: Callable[[str], None]) -> Answer:
        """Stream the answer to ``say`` and pay for it."""
        most = quote.price_wei * wish.max_tokens
        entry = self._channel(quote, wish, most)
        try:
            answer = self._stream(entry, wish, say)
        except Unpaid as error:  # the last answer's voucher was lost on its way: pay it and ask again
            if error.code != "unpaid" or error.owed is None:
                raise
            entry = self._settle(entry, error.owed, quote.price_wei * quote.max_tokens)
            answer = self._stream(entry, wish, say)
        if answer.model != quote.model:
            raise VoucherError(f"{answer.model} answered where {quote.model} was asked; nothing was paid")
        return self._pay(entry, answer, quote, most)

    def _channel(self, quote: Quote, wish: Wish, most: int) -> BookEntry:
        """A channel with enough in it for the longest answer."""
        deposit = max(wish.deposit_wei, most)
        entry = self._payer.existing(quote.server, quote.model_id)
        if entry is None:
            self._agree(f"Open a channel to the server of {quote.model}, locking {deposit / 1e18:g} STR.")
            return self._payer.open(quote.server, quote.model_id, deposit)
        if entry.deposit - entry.signed < most:
            self._agree(f"The channel has {(entry.deposit - entry.signed) / 1e18:g} STR left; add {deposit / 1e18:g}.")
            return self._payer.top_up(entry, deposit)
        return entry

    def _agree(self, message: str) -> None:
        if not self._confirm(message):
            raise VoucherError("Nothing was locked and nothing was asked.")

    def _stream(self, entry: BookEntry, wish: Wish, say: Callable[[str], None]) -> Answer:
        body = {
            "model": wish.model,
            "messages": [{"role": "user", "content": wish.question}],
            "max_tokens": wish.max_tokens,
            "temperature": wish.temperature,
        }
        parts: list[str] = []
        model, finish, usage, strata = "", "", dict[str, Any](), dict[str, Any]()
        for chunk in self._gateway.chat(body, self._payer.voucher(entry)):
            model, strata = str(chunk.get("model", model)), chunk.get("strata", strata)
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices", [])[:1]:
                piece = choice.get("delta", {}).get("content") or ""
                finish = choice.get("finish_reason") or finish
                parts.append(piece)
                if piece:
                    say(piece)
        if not usage:
            raise SwarmError("the answer ended without saying what it costs; nothing was paid")
        return Answer("".join(parts), model, finish, usage, strata, entry.channel)

    def _settle(self, entry: BookEntry, owed: int, most: int) -> BookEntry:
        entry, voucher = self._payer.pay(entry, owed, most)
        self._gateway.pay(voucher)
        return entry

    def _pay(self, entry: BookEntry, answer: Answer, quote: Quote, most: int) -> Answer:
        """Sign for this answer: never more than its own tokens at the quoted price."""
        try:
            owed = int(answer.usage["strata"]["owed"])
            count = int(answer.usage["completion_tokens"])
        except (KeyError, TypeError, ValueError) as error:
            raise SwarmError("the answer does not say what it costs; nothing was paid") from error
        before = entry.signed
        entry, voucher = self._payer.pay(entry, owed, min(most, quote.price_wei * count))
        paid = True
        try:
            self._gateway.pay(voucher)
        except UnknownModel:
            raise
        except StrataError:  # it is signed and in the book: the next request brings it along
            paid = False
        left = entry.deposit - entry.signed
        return Answer(
            answer.text, answer.model, answer.finish, answer.usage, answer.strata, entry.channel,
            entry.signed - before, left, paid,
        )  # fmt: skip
