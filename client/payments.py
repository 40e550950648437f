"""The user's side of paying for answers: vouchers, and the book of the channels that this user opened.

A channel locks tokens once; each answer is paid by a voucher for the sum of all answers so far. The book on disk
remembers what was signed, so that nothing is paid twice and no server can ask for more than it delivered.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from client.errors import ConfigError, VoucherError
from client.schema import load_json
from client.settings import Network, write_atomically
from client.types import ChannelInfo, Receipt

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

VOUCHER_HEADER = "Strata-Voucher"
MAX_HEADER_CHARACTERS = 2048
MAX_BOOK_BYTES = 4 * 1024 * 1024
_HEX = re.compile(r"^(0x)?[0-9a-fA-F]*$")


@dataclass(frozen=True)
class Voucher:
    """A signed promise: of this channel, ``cumulative`` wei in all may be redeemed for answers of this model."""

    channel: bytes
    model_id: int
    cumulative: int
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """The form that travels; big numbers as text, since JSON readers round them."""
        return {
            "channel": "0x" + self.channel.hex(),
            "model": self.model_id,
            "cumulative": str(self.cumulative),
            "signature": "0x" + self.signature.hex(),
        }

    @classmethod
    def from_json(cls, data: object) -> Voucher:
        """Check the form (not yet who signed); ``VoucherError`` names what is wrong."""
        if not isinstance(data, dict) or set(data) != {"channel", "model", "cumulative", "signature"}:
            raise VoucherError("a voucher is an object of channel, model, cumulative and signature")
        model, cumulative = data["model"], data["cumulative"]
        if type(model) is not int or not 0 < model < 2**256:
            raise VoucherError("the voucher's model must be a model's number")
        if not isinstance(cumulative, str) or not re.fullmatch(r"\d{1,78}", cumulative, re.ASCII):
            raise VoucherError("the voucher's cumulative must be an amount of wei, written as text")
        if int(cumulative) >= 2**256:
            raise VoucherError("the voucher's cumulative is more than can exist")
        channel, signature = _hex(data["channel"], 32, "channel"), _hex(data["signature"], 65, "signature")
        return cls(channel, model, int(cumulative), signature)

    def to_header(self) -> str:
        """The value of the ``Strata-Voucher`` header: base64url of the JSON form."""
        return base64.urlsafe_b64encode(json.dumps(self.to_json(), separators=(",", ":")).encode()).decode()

    @classmethod
    def from_header(cls, text: str) -> Voucher:
        """Read a ``Strata-Voucher`` header."""
        if len(text) > MAX_HEADER_CHARACTERS:
            raise VoucherError("the voucher header is too long")
        try:
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            data = load_json(plain.decode())
        except (ValueError, RecursionError, binascii.Error) as error:
            raise VoucherError("the voucher header is not base64url of JSON") from error
        return cls.from_json(data)


def _hex(value: object, size: int, name: str) -> bytes:
    if not isinstance(value, str) or not _HEX.match(value):
        raise VoucherError(f"the voucher's {name} must be hexadecimal")
    data = bytes.fromhex(value.removeprefix("0x")) if len(value) % 2 == 0 else b""
    if len(data) != size:
        raise VoucherError(f"the voucher's {name} must have {size} bytes")
    return data


@dataclass(frozen=True)
class BookEntry:
    """One channel of ours. ``deposit`` and ``signed`` (the highest cumulative ever signed) are wei."""

    channel: str  # 0x and 64 hexadecimal digits
    chain_id: int
    contract: str  # address of InferenceChannels
    user: str
    server: str
    model_id: int
    deposit: int
    signed: int = 0
    closing: bool = False

    @property
    def channel_id(self) -> bytes:
        """The channel's 32 bytes."""
        return bytes.fromhex(self.channel.removeprefix("0x"))


class ChannelBook:
    """The channels of one home, in ``channels.json``; every change is on disk before it is acted on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, BookEntry] = {}
        if path.exists():
            self._entries = {entry.channel: entry for entry in _read_book(path)}

    def entries(self) -> list[BookEntry]:
        """All, in the order of their opening."""
        return list(self._entries.values())

    def find(self, network: Network, user: str, server: str, model_id: int) -> BookEntry | None:
        """The open channel of that user to that server for that model, if there is one."""
        contract = network.contracts["InferenceChannels"]
        for entry in self._entries.values():
            ours = entry.chain_id == network.chain_id and entry.contract == contract and entry.user == user
            if ours and entry.server == server and entry.model_id == model_id and not entry.closing:
                return entry
        return None

    def put(self, entry: BookEntry) -> BookEntry:
        """Add or replace, and write."""
        self._entries[entry.channel] = entry
        rows = [{**asdict(e), "deposit": str(e.deposit), "signed": str(e.signed)} for e in self._entries.values()]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, (json.dumps(rows, indent=1) + "\n").encode())
        return entry


def _read_book(path: Path) -> list[BookEntry]:
    try:
        if path.stat().st_size > MAX_BOOK_BYTES:
            raise ConfigError(f"{path} is too large for a book of channels; move it away")
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [BookEntry(**{**row, "deposit": int(row["deposit"]), "signed": int(row["signed"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} can't be read as a book of channels: {error}. Mend it or move it away.") from error


class PayingChain(Protocol):
    """What paying needs of the chain."""

    def open_channel(self, server: str, model_id: int, deposit: int) -> ChannelInfo: ...
    def channel(self, channel_id: bytes) -> ChannelInfo: ...
    def top_up(self, channel_id: bytes, amount: int) -> Receipt: ...


class Payer:
    """Signs for one user: opens channels, tops them up, and pays each answer after checking its price."""

    def __init__(self, chain: PayingChain, network: Network, account: LocalAccount, book: ChannelBook) -> None:
        self._chain, self._network, self._account, self._book = chain, network, account, book

    def existing(self, server: str, model_id: int) -> BookEntry | None:
        """A usable channel to that server for that model, as chain and book agree; None when one must be opened."""
        entry = self._book.find(self._network, self._account.address, server, model_id)
        if entry is None:
            return None
        info = self._chain.channel(entry.channel_id)
        if info.user != self._account.address or info.close_block:
            self._book.put(replace(entry, closing=True))
            return None
        return self._book.put(replace(entry, deposit=info.deposit))

    def open(self, server: str, model_id: int, deposit: int) -> BookEntry:
        """Lock ``deposit`` wei in a new channel."""
        info = self._chain.open_channel(server, model_id, deposit)
        contract = self._network.contracts["InferenceChannels"]
        entry = BookEntry(
            "0x" + info.id.hex(), self._network.chain_id, contract, info.user, info.server, model_id, info.deposit
        )
        return self._book.put(entry)

    def top_up(self, entry: BookEntry, amount: int) -> BookEntry:
        """Lock ``amount`` wei more."""
        self._chain.top_up(entry.channel_id, amount)
        return self._book.put(replace(entry, deposit=self._chain.channel(entry.channel_id).deposit))

    def voucher(self, entry: BookEntry) -> Voucher:
        """The voucher over what was signed so far (0 at first): proves whose channel it is."""
        return self._sign(entry, entry.signed)

    def pay(self, entry: BookEntry, owed: int, most: int) -> tuple[BookEntry, Voucher]:
        """Sign for ``owed`` wei in all, if that is at most ``most`` more than before; ``VoucherError`` otherwise."""
        if owed < entry.signed:
            return entry, self._sign(entry, entry.signed)
        if owed - entry.signed > most:
            raise VoucherError(
                f"the server asks for {owed - entry.signed} wei where at most {most} were agreed; nothing was signed"
            )
        if owed > entry.deposit:
            raise VoucherError(f"{owed} wei are owed but only {entry.deposit} are in the channel; nothing was signed")
        entry = self._book.put(replace(entry, signed=owed))
        return entry, self._sign(entry, owed)

    def _sign(self, entry: BookEntry, cumulative: int) -> Voucher:
        from client.wallet import sign_voucher

        signature = sign_voucher(self._account, self._network, entry.channel_id, entry.model_id, cumulative)
        return Voucher(entry.channel_id, entry.model_id, cumulative, signature)
