"""``strata balance``: all that an address has."""

from __future__ import annotations

from typing import Annotated

import typer

from client.cli.context import CsvOption, JsonOption, chain, resolve_address, settings
from client.cli.groups import single
from client.cli.output import Column, show, show_json, tokens

app = single()

COLUMNS = [
    Column("who", "Who"),
    Column("tokens_wei", "Tokens", tokens, "right"),
    Column("coins_wei", "Coins", tokens, "right"),
    Column("staked_wei", "Staked", tokens, "right"),
    Column("delegated_wei", "Delegated", tokens, "right"),
    Column("unbonding_wei", "Unbonding", tokens, "right"),
    Column("vesting_wei", "Vesting", tokens, "right"),
    Column("claimable_wei", "Claimable", tokens, "right"),
    Column("shares", "Shares", lambda v: ", ".join(f"{m} {tokens(int(s))}" for m, s in v.items())),
]


@app.command()
def balance(
    who: Annotated[
        list[str] | None,
        typer.Argument(help="Wallets' names or addresses; else the wallet in use.", metavar="[ADDRESS]..."),
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every wallet of this home.")] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show tokens, coins, stake, what vests and can be claimed, and shares per model.

    Example: strata balance alice
    """
    from client.cli.context import wallets
    from client.queries import balances

    chosen = settings()
    names: list[str | None] = [*(who or [])]
    if everybody:
        names += [info.name for info in wallets(chosen).list()]
    link = chain(chosen)
    rows = []
    for name in names or [None]:
        found = balances(link, resolve_address(chosen, name))
        rows.append(
            {
                "who": name or found.address,
                "address": found.address,
                "tokens_wei": found.tokens,
                "coins_wei": found.coins,
                "staked_wei": found.staked,
                "delegated_wei": found.delegated,
                "unbonding_wei": found.unbonding,
                "vesting_wei": found.vesting,
                "claimable_wei": found.claimable,
                "shares": {model: str(shares) for model, shares in found.shares.items()},
            }
        )
    if as_json and len(rows) == 1:
        show_json(rows[0])
    else:
        show(rows, COLUMNS, as_json=as_json, as_csv=as_csv)
