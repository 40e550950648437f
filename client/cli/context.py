"""What every command needs: the settings, the chain, the wallet that signs, and the options that name them."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.errors import ConfigError, WalletError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from client.chain import Chain
    from client.settings import Settings
    from client.wallet import Wallets


@dataclass(frozen=True)
class Flags:
    """The options of ``strata`` itself."""

    home: Path | None = None
    network: Path | None = None
    debug: bool = False


FLAGS: ContextVar[Flags] = ContextVar("flags")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs (money as wei in text).")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]
WalletOption = Annotated[
    str | None, typer.Option("--wallet", help="Which wallet (else $STRATA_WALLET).", metavar="NAME")
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File with the passphrase (else $STRATA_PASSPHRASE_FILE, else asked)."),
]


def settings(**flags: Any) -> Settings:
    """All settings; ``flags`` as ``section_field=value``."""
    from client.settings import load_settings

    chosen = FLAGS.get(Flags())
    named = {key.replace("_", ".", 1): value for key, value in flags.items()}
    return load_settings(home=chosen.home, network=chosen.network, flags=named)


def wallets(chosen: Settings) -> Wallets:
    """The keystores."""
    from client.wallet import Wallets

    return Wallets(chosen.wallet_folder())


def wallet_name(chosen: Settings) -> str:
    """The wallet that the settings name, or the only one that there is."""
    if chosen.wallet.name:
        return chosen.wallet.name
    names = [path.stem for path in sorted(chosen.wallet_folder().glob("*.json"))]
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigError(f"There is no wallet in {chosen.wallet_folder()} yet. Make one: strata wallet create NAME")
    raise ConfigError(f"Which wallet? There are {', '.join(names)}. Give --wallet NAME or set STRATA_WALLET.")


def ask_passphrase(chosen: Settings, prompt: str) -> str:
    """From the passphrase file of the settings, else asked without echo."""
    from client.wallet import read_passphrase

    if chosen.wallet.passphrase_file:
        return read_passphrase(Path(chosen.wallet.passphrase_file))
    if not has_terminal():
        raise WalletError(
            "There is no terminal to ask for the passphrase. Give --passphrase-file FILE or set STRATA_PASSPHRASE_FILE."
        )
    from getpass import getpass

    return getpass(f"{prompt}: ")


def has_terminal() -> bool:
    """Whether somebody can be asked, even when stdin is a pipe."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin.isatty()
    return True


def open_account(chosen: Settings) -> LocalAccount:
    """The account that signs, opened."""
    name = wallet_name(chosen)
    store = wallets(chosen)
    store.address(name)  # WalletNotFound before anybody types a passphrase
    return store.open(name, ask_passphrase(chosen, f"Passphrase of wallet {name}"))


def own_address(chosen: Settings) -> str:
    """The address of the wallet in use; needs no passphrase."""
    return wallets(chosen).address(wallet_name(chosen))


def resolve_address(chosen: Settings, who: str | None) -> str:
    """An address as it is, a wallet's name as its address, nothing as our own."""
    if who is None:
        return own_address(chosen)
    from eth_utils.address import is_address, to_checksum_address

    if is_address(who):
        return str(to_checksum_address(who))
    if who.startswith("0x"):
        raise ConfigError(f"{who} is not an address: it takes 0x and 40 hexadecimal digits. Check for a missing digit.")
    return wallets(chosen).address(who)


def chain(chosen: Settings, account: LocalAccount | None = None) -> Chain:
    """The network's chain: to read, or with an account to write (journaled in the home)."""
    from client.chain import Chain
    from client.journal import FileJournal

    journal = None if account is None else FileJournal(chosen.home / "journal" / account.address.lower())
    return Chain.connect(
        chosen.network(),
        account,
        journal,
        patience=chosen.chain.patience_seconds,
        timeout=chosen.chain.timeout_seconds,
        receipt_seconds=chosen.chain.receipt_seconds,
        confirmations=None if chosen.chain.confirmations < 0 else chosen.chain.confirmations,
    )


def open_chain(chosen: Settings) -> Chain:
    """The network's chain, to write: the settings' wallet is opened, and what it sends is journaled."""
    return chain(chosen, open_account(chosen))


def signing_chain(wallet: str | None, passphrase_file: Path | None) -> Chain:
    """The same for a command whose options name the wallet."""
    return open_chain(settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file))
