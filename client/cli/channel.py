"""``strata channel``: the payment channels of this user, filling them up, and getting back what was not used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli.context import JsonOption, PassphraseOption, WalletOption, chain, open_chain, resolve_address, settings
from client.cli.groups import plain_group
from client.cli.output import Column, parse_tokens, say, short, show, show_json, tokens

if TYPE_CHECKING:
    from client.chain import Chain
    from client.channels import OwnChannel
    from client.payments import ChannelBook
    from client.settings import Settings

app = plain_group("Payment channels: the tokens that are locked for answers. Fill one up, or take back what is left.")

ChannelArgument = Annotated[
    str, typer.Argument(help="A channel's number, or how it begins (strata channel list).", metavar="CHANNEL")
]


@app.command("list")
def list_channels(
    who: Annotated[str | None, typer.Argument(help="A wallet's name or an address; else the wallet in use.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List channels: to which server and model, what was locked, spent and is left, and how they stand.

    Example: strata channel list carol
    """
    from client.channels import ChannelState, own_channels

    chosen = settings()
    address = resolve_address(chosen, who)
    link = chain(chosen)
    names = {model.id: model.name for model in link.models()}
    found = own_channels(link, chosen.network(), _book(chosen), address)
    rows = [_row(c, names) for c in found if everything or c.state != ChannelState.CLOSED]
    columns = [
        Column("channel", "Channel", lambda value: str(value)[:10]),
        Column("server", "Server", short),
        Column("model", "Model"),
        Column("deposit_wei", "Deposit", tokens, "right"),
        Column("spent_wei", "Spent", tokens, "right"),
        Column("left_wei", "Left", tokens, "right"),
        Column("says", "State"),
    ]
    if as_json:
        show_json([{key: value for key, value in row.items() if key != "says"} for row in rows])
        return
    closed = len(found) - len(rows)
    hidden = f" ({closed} closed: --all)" if closed else ""
    show(rows, columns, title=address + hidden, empty=f"{address} has no open channel{hidden}. `strata ask` opens one.")


@app.command()
def close(
    channel: ChannelArgument,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Get back what is left. The first call starts the closing, a second one, some blocks later, takes the rest.

    Example: strata channel close 0x3f2a91c4 --wallet carol
    """
    from client.channels import ChannelState, start_close, take_rest

    link, book, found = _own(channel, wallet, passphrase_file)
    facts: dict[str, Any] = {"channel": found.id, "close_block": found.close_block, "tx": None}
    if found.state == ChannelState.OPEN:
        receipt, block = start_close(link, book, found)
        facts |= {"state": "closing", "close_block": block, "left_wei": found.left, "tx": receipt.tx}
        words = (
            f"Closing: about {tokens(found.left)} tokens can be taken from block {block} on (now {receipt.block}) "
            "by the same command. Until then the server may redeem what you signed for."
        )
    elif found.state == ChannelState.CLOSING:
        now = link.block_number()
        facts |= {"state": "closing", "left_wei": found.left}
        words = (
            f"It is closing since before: the rest, about {tokens(found.left)} tokens, can be taken from block "
            f"{found.close_block} on (now {now}). Call this again then."
        )
    else:
        receipt, refund = take_rest(link, book, found)
        facts |= {"state": "closed", "returned_wei": refund, "tx": receipt.tx}
        words = f"Closed: {tokens(refund, 18)} tokens came back to {link.address} (0x{receipt.tx.hex()})"
    _tell(facts, words, as_json)


@app.command()
def topup(
    channel: ChannelArgument,
    amount: Annotated[str, typer.Argument(help="Tokens to lock beside those that are, like 2.5")],
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lock more tokens in a channel.

    Example: strata channel topup 0x3f2a91c4 2 --wallet carol
    """
    from client.channels import top_up

    wei = parse_tokens(amount)
    link, book, found = _own(channel, wallet, passphrase_file)
    receipt = top_up(link, book, found, wei)
    facts = {"channel": found.id, "deposit_wei": found.deposit + wei, "left_wei": found.left + wei, "tx": receipt.tx}
    words = f"Added {tokens(wei, 18)} tokens; {tokens(found.left + wei)} are left in the channel (0x{receipt.tx.hex()})"
    _tell(facts, words, as_json)


def _own(channel: str, wallet: str | None, passphrase_file: Any) -> tuple[Chain, ChannelBook, OwnChannel]:
    """The chain with the account that signs, the book, and the account's channel of that name."""
    from client.channels import channel_digits, find_own

    channel_digits(channel)  # before anybody types a passphrase
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = open_chain(chosen)
    book = _book(chosen)
    return link, book, find_own(link, chosen.network(), book, channel)


def _book(chosen: Settings) -> ChannelBook:
    from client.payments import ChannelBook

    return ChannelBook(chosen.home / "channels.json")


def _row(channel: OwnChannel, names: dict[int, str]) -> dict[str, Any]:
    says = {
        "open": "open",
        "closing": f"closing, the rest from block {channel.close_block} on",
        "ready": f"closing since before block {channel.close_block}: take the rest (strata channel close)",
        "closed": "closed",
    }[channel.state]
    return {
        "channel": "0x" + channel.id.hex(),
        "server": channel.server,
        "model": names.get(channel.model_id, str(channel.model_id)),
        "deposit_wei": channel.deposit,
        "spent_wei": channel.spent,
        "left_wei": channel.left,
        "state": channel.state.value,
        "close_block": channel.close_block or None,
        "says": says,
    }


def _tell(facts: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        show_json(facts)
    else:
        say(words)
