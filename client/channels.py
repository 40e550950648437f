"""The payment channels of one user, as the chain has them and as the user's own book completes them.

The chain says which channels there are (so a lost book hides no money), the book what was signed and not yet redeemed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from client.errors import ConfigError, Unfunded
from client.payments import BookEntry, ChannelBook
from client.settings import Network
from client.types import ChainLike, ChannelInfo, Receipt

CONTRACT = "InferenceChannels"
LEAST_DIGITS = 4  # hexadecimal digits of a channel's number that name it


class ChannelState(StrEnum):
    """Where a channel stands."""

    OPEN = "open"
    CLOSING = "closing"  # the server may still redeem what was signed
    READY = "ready"  # the rest can be taken
    CLOSED = "closed"


@dataclass(frozen=True)
class OwnChannel:
    """A channel with what was signed on it. Amounts in wei; ``close_block`` 0 while nobody asked to close it."""

    id: bytes
    server: str
    model_id: int
    deposit: int
    redeemed: int
    signed: int  # the highest cumulative in the book; 0 where the book does not know the channel
    close_block: int
    state: ChannelState

    @property
    def spent(self) -> int:
        """What answers have cost: signed by us, or redeemed where the book has less."""
        return max(self.signed, self.redeemed)

    @property
    def left(self) -> int:
        """What is still ours, in wei."""
        return 0 if self.state == ChannelState.CLOSED else self.deposit - self.spent


def own_channels(chain: ChainLike, network: Network, book: ChannelBook, user: str) -> list[OwnChannel]:
    """All channels that ``user`` ever opened, oldest first."""
    known = _known(book, network)
    now = chain.block_number()
    found = []
    for event in chain.events(CONTRACT, "ChannelOpened", user=user):
        channel_id = bytes(event.args["channelId"])
        info = chain.channel(channel_id)
        signed = known[channel_id].signed if channel_id in known else 0
        if info.user == user:
            found.append(_living(info, signed, now))
        else:
            found.append(_closed(chain, event.args, signed))
    return found


def _known(book: ChannelBook, network: Network) -> dict[bytes, BookEntry]:
    ours = (network.chain_id, network.contracts[CONTRACT])
    return {entry.channel_id: entry for entry in book.entries() if (entry.chain_id, entry.contract) == ours}


def _living(info: ChannelInfo, signed: int, now: int) -> OwnChannel:
    state = ChannelState.OPEN
    if info.close_block:
        state = ChannelState.READY if now >= info.close_block else ChannelState.CLOSING
    return OwnChannel(info.id, info.server, info.model_id, info.deposit, info.redeemed, signed, info.close_block, state)


def _closed(chain: ChainLike, opened: Mapping[str, Any], signed: int) -> OwnChannel:
    """A channel whose account on chain is gone: what it was, from its events."""
    channel_id = bytes(opened["channelId"])
    paid = [int(e.args["cumulative"]) for e in chain.events(CONTRACT, "VoucherRedeemed", channelId=channel_id)]
    back = [int(e.args["refund"]) for e in chain.events(CONTRACT, "ChannelClosed", channelId=channel_id)]
    redeemed = max(paid, default=0)
    deposit = redeemed + sum(back)
    # what was signed and never redeemed came back to the user, so it was not spent
    return OwnChannel(
        channel_id,
        str(opened["server"]),
        int(opened["modelId"]),
        deposit,
        redeemed,
        min(signed, redeemed),
        0,
        ChannelState.CLOSED,
    )


def channel_digits(name: str) -> str:
    """The hexadecimal digits of a channel's number, or those that it begins with; ``ConfigError`` for other text."""
    digits = name.lower().removeprefix("0x")
    if not re.fullmatch(f"[0-9a-f]{{{LEAST_DIGITS},64}}", digits):
        raise ConfigError(
            f"{name!r} is not a channel's number: it takes 0x and 64 hexadecimal digits, or the first {LEAST_DIGITS} "
            "or more of them. See: strata channel list"
        )
    return digits


def find_own(chain: ChainLike, network: Network, book: ChannelBook, name: str) -> OwnChannel:
    """The account's living channel of that number, or of a number that begins so."""
    digits = channel_digits(name)
    ours = [c for c in own_channels(chain, network, book, chain.address) if c.id.hex().startswith(digits)]
    if len(ours) > 1:
        raise ConfigError(
            f"{len(ours)} of your channels begin with {name}. Give more digits: strata channel list --json"
        )
    if not ours:
        raise ConfigError(_why_not(chain, name, digits))
    if ours[0].state == ChannelState.CLOSED:
        raise ConfigError(f"Channel {name} is closed; what was left in it has come back.")
    return ours[0]


def _why_not(chain: ChainLike, name: str, digits: str) -> str:
    if len(digits) == 64:
        owner = chain.channel(bytes.fromhex(digits)).user
        if int(owner, 16):
            return f"Channel {name} is not yours: {owner} opened it. Name that wallet with --wallet."
    return f"{chain.address} has no channel {name} on this network. See: strata channel list"


def top_up(chain: ChainLike, book: ChannelBook, channel: OwnChannel, amount: int) -> Receipt:
    """Lock ``amount`` wei more; the book knows it afterwards."""
    if channel.close_block:
        raise ConfigError("The channel is closing and takes no more tokens. The next `strata ask` opens another.")
    held = chain.token_balance(chain.address)
    if held < amount:
        raise Unfunded(
            f"{chain.address} holds {held / 1e18:g} tokens, less than {amount / 1e18:g}. Add less, or fund it."
        )
    receipt = chain.top_up(channel.id, amount)
    _note(book, channel, deposit=channel.deposit + amount)
    return receipt


def start_close(chain: ChainLike, book: ChannelBook, channel: OwnChannel) -> tuple[Receipt, int]:
    """Ask for the rest; the first block in which it can be taken."""
    receipt = chain.start_close(channel.id)
    _note(book, channel, closing=True)
    return receipt, int(receipt.event("CloseStarted").args["closeBlock"])


def take_rest(chain: ChainLike, book: ChannelBook, channel: OwnChannel) -> tuple[Receipt, int]:
    """Take what is left of a channel whose delay is over; how many wei came back."""
    receipt = chain.close_channel(channel.id)
    _note(book, channel, closing=True)
    return receipt, int(receipt.event("ChannelClosed").args["refund"])


def _note(book: ChannelBook, channel: OwnChannel, **changes: Any) -> None:
    for entry in book.entries():
        if entry.channel_id == channel.id:
            book.put(replace(entry, **changes))
