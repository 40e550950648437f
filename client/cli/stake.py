"""``strata stake``: stake for a role on a model."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from client.cli.context import (
    JsonOption,
    PassphraseOption,
    WalletOption,
    chain,
    open_account,
    resolve_address,
    settings,
)
from client.cli.groups import group
from client.cli.output import Column, parse_tokens, say, show, show_json, tokens, warn
from client.errors import Unfunded
from client.types import Receipt
from contracts.enums import Role

app = group("Stake tokens for a role on a model, take them back, show them.")


class RoleName(StrEnum):
    """What a stake is for."""

    miner = "miner"
    validator = "validator"

    @property
    def role(self) -> Role:
        """The protocol's number."""
        return Role[self.value.upper()]


ModelArgument = Annotated[str, typer.Argument(help="A model's name or number.")]
RoleArgument = Annotated[RoleName, typer.Argument(help="miner or validator.")]
AmountArgument = Annotated[str, typer.Argument(help="Tokens, like 100")]


@app.command()
def add(
    model: ModelArgument,
    role: RoleArgument,
    amount: AmountArgument,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stake tokens; they count from the next round that opens.

    Example: strata stake add law validator 100 --wallet alice
    """
    wei = parse_tokens(amount)
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = chain(chosen, open_account(chosen))
    found = link.model(model)
    held = link.token_balance(link.address)
    if held < wei:
        raise Unfunded(
            f"{link.address} holds {tokens(held)} tokens, less than {tokens(wei, 18)}. Stake less, or fund it."
        )
    receipt = link.stake(found.id, role.role, wei)
    total, least = link.stake_of(link.address, found.id, role.role), link.min_stake(role.role)
    if total < least:
        warn(f"it does not count yet: a {role.value} needs {tokens(least)} tokens, this one has {tokens(total)}.")
    _done(receipt, f"Staked {tokens(wei, 18)} on {found.name} as {role.value}; {tokens(total)} in all", as_json)


@app.command()
def remove(
    model: ModelArgument,
    role: RoleArgument,
    amount: AmountArgument,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask stake back: it no longer counts, and can be withdrawn after some blocks.

    Example: strata stake remove law validator 50 --wallet alice
    """
    wei = parse_tokens(amount)
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = chain(chosen, open_account(chosen))
    found = link.model(model)
    receipt = link.unstake(found.id, role.role, wei)
    release = receipt.event("Unstaking").args["releaseBlock"]
    _done(receipt, f"Asked {tokens(wei, 18)} back from {found.name}; withdraw from block {release} on", as_json)


@app.command()
def withdraw(
    wallet: WalletOption = None, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Take out what was asked back and has matured.

    Example: strata stake withdraw --wallet alice
    """
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = chain(chosen, open_account(chosen))
    receipt = link.withdraw_stake()
    _done(receipt, f"Withdrew {tokens(receipt.event('Withdrawn').args['amount'], 18)} tokens", as_json)


@app.command()
def rejoin(
    model: ModelArgument,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count again as a validator, after too many silent rounds.

    Example: strata stake rejoin law --wallet alice
    """
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = chain(chosen, open_account(chosen))
    found = link.model(model)
    _done(link.rejoin(found.id), f"Back among the validators of {found.name}", as_json)


@app.command("show")
def show_stake(
    who: Annotated[str | None, typer.Argument(help="A wallet's name or an address; else the wallet in use.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an address has staked, per model and role, and what it asked back.

    Example: strata stake show alice
    """
    from client.queries import stakes

    chosen = settings()
    address = resolve_address(chosen, who)
    link = chain(chosen)
    rows: list[dict[str, Any]] = [
        {
            "model": entry.model.name,
            "role": entry.role.name.lower(),
            "staked_wei": entry.amount,
            "of_all_wei": entry.total,
            "counts": entry.counts,
        }
        for entry in stakes(link, address)
    ]
    pending = link.pending_stake(address)
    if as_json:
        show_json({"address": address, "stakes": rows, "pending_wei": pending})
        return
    columns = [
        Column("model", "Model"),
        Column("role", "Role"),
        Column("staked_wei", "Staked", tokens, "right"),
        Column("of_all_wei", "Of all", tokens, "right"),
        Column("counts", "Counts", lambda v: "yes" if v else "no"),
    ]
    show(rows, columns, title=address, empty=f"{address} has staked nothing. Stake: strata stake add MODEL ROLE AMOUNT")
    if pending:
        say(f"Asked back and not yet taken: {tokens(pending)} (strata stake withdraw)")


def _done(receipt: Receipt, words: str, as_json: bool) -> None:
    if as_json:
        show_json({"done": words, "tx": receipt.tx, "block": receipt.block})
    else:
        say(f"{words} (0x{receipt.tx.hex()})")
