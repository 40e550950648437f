"""``strata stake``: stake for a role on a model."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli.context import (
    CsvOption,
    JsonOption,
    PassphraseOption,
    WalletOption,
    chain,
    open_chain,
    resolve_address,
    settings,
    signing_chain,
)
from client.cli.groups import group
from client.cli.output import Column, parse_tokens, say, show, show_json, show_sent, tokens, warn
from client.errors import Unfunded
from contracts.enums import Role

if TYPE_CHECKING:
    from client.queries import DelegationEntry

app = group("Stake tokens for a role on a model, take them back, show them; or delegate them to a validator.")


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
ValidatorArgument = Annotated[str, typer.Argument(help="A validator's address, or a wallet's name.")]
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
    link = signing_chain(wallet, passphrase_file)
    found = link.model(model)
    _check_funds(link.address, link.token_balance(link.address), wei)
    receipt = link.stake(found.id, role.role, wei)
    total, least = link.own_stake_of(link.address, found.id, role.role), link.min_stake(found.id, role.role)
    if total < least:
        warn(f"it does not count yet: a {role.value} needs {tokens(least)} tokens, this one has {tokens(total)}.")
    show_sent(receipt, f"Staked {tokens(wei, 18)} on {found.name} as {role.value}; {tokens(total)} in all", as_json)


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
    link = signing_chain(wallet, passphrase_file)
    found = link.model(model)
    receipt = link.unstake(found.id, role.role, wei)
    release = receipt.event("Unstaking").args["releaseBlock"]
    show_sent(receipt, f"Asked {tokens(wei, 18)} back from {found.name}; withdraw from block {release} on", as_json)


@app.command()
def withdraw(
    wallet: WalletOption = None, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Take out what was asked back and has matured.

    Example: strata stake withdraw --wallet alice
    """
    link = signing_chain(wallet, passphrase_file)
    receipt = link.withdraw_stake()
    show_sent(receipt, f"Withdrew {tokens(receipt.event('Withdrawn').args['amount'], 18)} tokens", as_json)


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
    link = signing_chain(wallet, passphrase_file)
    found = link.model(model)
    show_sent(link.rejoin(found.id), f"Back among the validators of {found.name}", as_json)


@app.command("show")
def show_stake(
    who: Annotated[str | None, typer.Argument(help="A wallet's name or an address; else the wallet in use.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an address has staked, per model and role, and what it asked back.

    Example: strata stake show alice
    """
    from client.queries import delegations, stakes

    chosen = settings()
    address = resolve_address(chosen, who)
    link = chain(chosen)
    rows: list[dict[str, Any]] = [
        {
            "model": entry.model.name,
            "role": entry.role.name.lower(),
            "staked_wei": entry.amount,
            "delegated_wei": entry.delegated,
            "of_all_wei": entry.total,
            "counts": entry.counts,
        }
        for entry in stakes(link, address)
    ]
    pending = link.pending_stake(address)
    if as_json:
        behind = [_delegation(entry) for entry in delegations(link, address)]
        show_json({"address": address, "stakes": rows, "delegations": behind, "pending_wei": pending})
        return
    columns = [
        Column("model", "Model"),
        Column("role", "Role"),
        Column("staked_wei", "Staked", tokens, "right"),
        Column("delegated_wei", "Of it by others", tokens, "right"),
        Column("of_all_wei", "Of all", tokens, "right"),
        Column("counts", "Counts", lambda v: "yes" if v else "no"),
    ]
    show(rows, columns, title=address, empty=f"{address} has staked nothing. Stake: strata stake add MODEL ROLE AMOUNT")
    behind = [_delegation(entry) for entry in delegations(link, address)]
    if behind:
        show(behind, DELEGATION_COLUMNS, title="Delegated to validators")
    if pending:
        say(f"Asked back and not yet taken: {tokens(pending)} (strata stake withdraw)")


@app.command()
def reseat(
    model: ModelArgument,
    role: RoleArgument,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a seat again, after somebody with more stake took yours.

    Example: strata stake reseat law validator --wallet alice
    """
    link = signing_chain(wallet, passphrase_file)
    found = link.model(model)
    show_sent(link.reseat(found.id, role.role), f"Back on a {role.value}'s seat of {found.name}", as_json)


@app.command()
def delegate(
    model: ModelArgument,
    validator: ValidatorArgument,
    amount: AmountArgument,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put tokens behind a validator: they earn with it, less its commission, and are slashed with it.

    Example: strata stake delegate law 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 100 --wallet alice
    """
    wei = parse_tokens(amount)
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = open_chain(chosen)
    found, who = link.model(model), resolve_address(chosen, validator)
    _check_funds(link.address, link.token_balance(link.address), wei)
    receipt = link.delegate(found.id, who, wei)
    show_sent(receipt, f"Delegated {tokens(wei, 18)} to {who} on {found.name}", as_json)


@app.command()
def undelegate(
    model: ModelArgument,
    validator: ValidatorArgument,
    amount: Annotated[str | None, typer.Argument(help="Tokens, like 100; else all.")] = None,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask delegated tokens back: they no longer count, and can be withdrawn after some blocks.

    Example: strata stake undelegate law 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 50 --wallet alice
    """
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = open_chain(chosen)
    found, who = link.model(model), resolve_address(chosen, validator)
    held = link.delegation(found.id, who, link.address)
    shares = held.shares
    if amount is not None and held.assets:
        shares = min(held.shares, -(-parse_tokens(amount) * held.shares // held.assets))
    if not shares:
        raise Unfunded(f"{link.address} has delegated nothing to {who} on {found.name}. See `strata stake show`.")
    receipt = link.undelegate(found.id, who, shares)
    args = receipt.event("Undelegated").args
    words = f"Asked {tokens(args['amount'], 18)} back from {who}; withdraw from block {args['releaseBlock']} on"
    show_sent(receipt, words, as_json)


@app.command()
def commission(
    model: ModelArgument,
    percent: Annotated[float, typer.Argument(min=0, max=50, help="Percent of delegators' rewards, 0 to 50.")],
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set what you keep of your delegators' rewards; a rise counts after the unbonding time, so that they can leave.

    Example: strata stake commission law 8 --wallet alice
    """
    link = signing_chain(wallet, passphrase_file)
    found = link.model(model)
    receipt = link.set_commission(found.id, round(percent * 100))
    start = receipt.event("CommissionSet").args["fromBlock"]
    show_sent(receipt, f"Commission on {found.name}: {percent:g} % from block {start} on", as_json)


@app.command()
def pool(
    model: ModelArgument,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show a model's validators with what is delegated to them and what they keep.

    Example: strata stake pool law
    """
    from client.queries import pools

    link = chain(settings())
    found = link.model(model)
    rows: list[dict[str, Any]] = [
        {
            "validator": entry.validator,
            "own_wei": entry.own,
            "delegated_wei": entry.delegated,
            "commission_percent": entry.commission_bps / 100,
            "harvestable_wei": link.harvestable(found.id, entry.validator),
        }
        for entry in pools(link, found.id)
    ]
    columns = [
        Column("validator", "Validator"),
        Column("own_wei", "Own", tokens, "right"),
        Column("delegated_wei", "Delegated", tokens, "right"),
        Column("commission_percent", "Keeps", lambda v: f"{v:g} %", "right"),
        Column("harvestable_wei", "To harvest", tokens, "right"),
    ]
    empty = f"{found.name} has no validator yet. Become one: strata stake add {found.name} validator AMOUNT"
    show(rows, columns, as_json=as_json, as_csv=as_csv, title=found.name, empty=empty)


DELEGATION_COLUMNS = [
    Column("model", "Model"),
    Column("validator", "Validator"),
    Column("worth_wei", "Worth", tokens, "right"),
    Column("reward_wei", "Reward", tokens, "right"),
    Column("commission_percent", "Keeps", lambda v: f"{v:g} %", "right"),
]


def _delegation(entry: DelegationEntry) -> dict[str, Any]:
    return {
        "model": entry.model,
        "validator": entry.info.validator,
        "shares": str(entry.info.shares),
        "worth_wei": entry.info.assets,
        "reward_wei": entry.info.reward,
        "commission_percent": entry.commission_bps / 100,
    }


def _check_funds(address: str, held: int, wei: int) -> None:
    if held < wei:
        raise Unfunded(f"{address} holds {tokens(held)} tokens, less than {tokens(wei, 18)}. Stake less, or fund it.")
