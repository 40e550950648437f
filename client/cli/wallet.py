"""``strata wallet``: keys, and sending what they hold."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from client.cli.context import (
    JsonOption,
    PassphraseOption,
    WalletOption,
    ask_passphrase,
    chain,
    open_chain,
    resolve_address,
    settings,
    wallets,
)
from client.cli.groups import plain_group
from client.cli.output import Column, console, parse_tokens, say, show, show_json, tokens, warn
from client.errors import Unfunded, WalletError
from client.settings import Settings
from client.wallet import WalletInfo

app = plain_group("Make, import, list and use wallets (keystore v3 files that only you can read).")

MAX_IMPORT_BYTES = 64 * 1024
LightOption = Annotated[bool, typer.Option("--light", help="Weak key derivation: fast, for devnets only.")]
NameArgument = Annotated[str, typer.Argument(help="The wallet's name.")]


@app.command()
def create(
    name: NameArgument,
    passphrase_file: PassphraseOption = None,
    light: LightOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new wallet. An existing one is never overwritten.

    Example: strata wallet create alice
    """
    chosen = settings(wallet_passphrase_file=passphrase_file)
    store = wallets(chosen)
    store.refuse_existing(name)
    info = store.create(name, _new_passphrase(chosen, name), light)
    _made(info, as_json)


@app.command("import")
def import_(
    name: NameArgument,
    source: Annotated[
        str, typer.Argument(help="File with a private key, a mnemonic or a keystore; '-' reads stdin.")
    ] = "-",
    passphrase_file: PassphraseOption = None,
    light: LightOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import a private key, a mnemonic or a keystore, from a file or stdin (never from the command line).

    Example: strata wallet import alice key.txt
    """
    chosen = settings(wallet_passphrase_file=passphrase_file)
    store = wallets(chosen)
    store.refuse_existing(name)
    secret = _read_secret(source)
    if secret.startswith("{"):
        try:
            keystore = json.loads(secret)
        except ValueError as error:
            raise WalletError(f"{source} looks like a keystore and is not JSON: {error}.") from error
        info = store.import_keystore(name, keystore, ask_passphrase(chosen, "Passphrase of that keystore"))
    elif len(secret.split()) >= 12:
        info = store.import_mnemonic(name, secret, _new_passphrase(chosen, name), light=light)
    else:
        info = store.import_key(name, secret, _new_passphrase(chosen, name), light)
    _made(info, as_json)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the wallets of this home.

    Example: strata wallet list
    """
    chosen = settings()
    rows = [{"name": i.name, "address": i.address, "path": str(i.path)} for i in wallets(chosen).list()]
    columns = [Column("name", "Wallet"), Column("address", "Address"), Column("path", "File")]
    empty = f"No wallet in {chosen.wallet_folder()} yet. Make one: strata wallet create NAME"
    show(rows, columns, as_json=as_json, empty=empty)


@app.command()
def balance(
    who: Annotated[str | None, typer.Argument(help="A wallet's name or an address; else the wallet in use.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the tokens and coins of a wallet (`strata balance` shows all that it earns).

    Example: strata wallet balance alice
    """
    chosen = settings()
    address = resolve_address(chosen, who)
    link = chain(chosen)
    row = {"address": address, "tokens_wei": link.token_balance(address), "coins_wei": link.balance(address)}
    columns = [
        Column("address", "Address"),
        Column("tokens_wei", "Tokens", tokens, "right"),
        Column("coins_wei", "Coins", tokens, "right"),
    ]
    if as_json:
        show_json(row)
    else:
        show([row], columns)


@app.command()
def send(
    to: Annotated[str, typer.Argument(help="An address, or the name of a wallet here.")],
    amount: Annotated[str, typer.Argument(help="How many, like 12.5")],
    coins: Annotated[
        bool, typer.Option("--coins", help="The chain's own coins (they pay for gas), not tokens.")
    ] = False,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send tokens, or with --coins the chain's coins.

    Example: strata wallet send 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 12.5 --wallet alice
    """
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    target = resolve_address(chosen, to)
    wei = parse_tokens(amount)
    kind = "coins" if coins else "tokens"
    if not yes and not as_json and sys.stdin.isatty():
        typer.confirm(f"Send {tokens(wei, 18)} {kind} to {target}?", abort=True)
    link = open_chain(chosen)
    held = link.balance(link.address) if coins else link.token_balance(link.address)
    if held < wei:
        raise Unfunded(
            f"{link.address} holds {tokens(held)} {kind}, less than {tokens(wei, 18)}. Send less, or fund it."
        )
    receipt = link.send_coins(target, wei) if coins else link.transfer(target, wei)
    if as_json:
        show_json({"to": target, f"{kind}_wei": wei, "tx": receipt.tx, "block": receipt.block})
    else:
        say(f"Sent {tokens(wei, 18)} {kind} to {target} in block {receipt.block}: 0x{receipt.tx.hex()}")


def _made(info: WalletInfo, as_json: bool) -> None:
    if as_json:
        show_json({"name": info.name, "address": info.address, "path": str(info.path)})
        return
    say(f"Wallet {info.name}: {info.address}\nin {info.path} (only you can read it; keep a copy, and the passphrase).")


def _new_passphrase(chosen: Settings, name: str) -> str:
    """Asked twice, unless a file holds it; an empty one is allowed and warned of."""
    passphrase = ask_passphrase(chosen, f"New passphrase of wallet {name}")
    if chosen.wallet.passphrase_file:
        return passphrase
    if ask_passphrase(chosen, "Once more") != passphrase:
        raise WalletError("The two passphrases differ; nothing was written. Try again.")
    if not passphrase:
        warn("the passphrase is empty: whoever can read the file can spend what the wallet holds.")
    return passphrase


def _read_secret(source: str) -> str:
    if re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", source):
        raise WalletError(
            "A key on the command line can be seen by others and stays in the shell's history. "
            "Put it into a file, or pipe it: strata wallet import NAME < key.txt"
        )
    if source == "-":
        if sys.stdin.isatty():
            console(stderr=True).print("Paste the private key or the mnemonic, then Enter and Ctrl-D:")
        text = sys.stdin.read(MAX_IMPORT_BYTES + 1)
    else:
        try:
            with Path(source).open(encoding="utf-8") as file:
                text = file.read(MAX_IMPORT_BYTES + 1)
        except FileNotFoundError as error:
            raise WalletError(f"There is no file {source}. Give a file with the key, or '-' for stdin.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise WalletError(f"{source} can't be read as text: {error}.") from error
    if len(text) > MAX_IMPORT_BYTES or not text.strip():
        raise WalletError(f"{source} holds no key: it is {'empty' if not text.strip() else 'too large'}.")
    return text.strip()
