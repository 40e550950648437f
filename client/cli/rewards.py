"""``strata rewards``: what was earned, and taking it."""

from __future__ import annotations

from typing import Annotated

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
from client.cli.output import Column, say, show, show_json, tokens

app = group("What was earned: claimable now, still vesting, and by what; `claim` takes it.")


@app.command("show")
def show_rewards(
    who: Annotated[str | None, typer.Argument(help="A wallet's name or an address; else the wallet in use.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is claimable, what vests, and what each kind of work has earned.

    Example: strata rewards show alice
    """
    from client.queries import rewards

    chosen = settings()
    address = resolve_address(chosen, who)
    summary = rewards(chain(chosen), address)
    rows = [
        {"model": e.model, "kind": e.kind.name.lower(), "payments": e.payments, "earned_wei": e.amount}
        for e in summary.earned
    ]
    if as_json:
        show_json(
            {
                "address": address,
                "claimable_wei": summary.claimable,
                "vesting_wei": summary.vesting,
                "claimed_wei": summary.claimed,
                "earned": rows,
            }
        )
        return
    columns = [
        Column("model", "Model"),
        Column("kind", "As"),
        Column("payments", "Payments", justify="right"),
        Column("earned_wei", "Earned", tokens, "right"),
    ]
    show(rows, columns, title=address, empty=f"{address} has earned nothing by work yet.")
    say(
        f"Claimable {tokens(summary.claimable)}, vesting {tokens(summary.vesting)}, "
        f"claimed so far {tokens(summary.claimed)} tokens."
    )


@app.command()
def claim(wallet: WalletOption = None, passphrase_file: PassphraseOption = None, as_json: JsonOption = False) -> None:
    """Take all that is claimable: matured rewards, and dividends of every model.

    Example: strata rewards claim --wallet alice
    """
    chosen = settings(wallet_name=wallet, wallet_passphrase_file=passphrase_file)
    link = chain(chosen, open_account(chosen))
    ids = [model.id for model in link.models()]
    due = link.claimable(link.address, ids)
    if due == 0:
        vesting = link.vesting(link.address)
        if as_json:
            show_json({"claimed_wei": 0, "vesting_wei": vesting, "tx": None})
        else:
            say(f"Nothing is claimable now; {tokens(vesting)} tokens still vest.")
        return
    receipt = link.claim(ids)
    paid = sum(int(event.args["amount"]) for event in receipt.events if event.name == "Claimed")
    if as_json:
        show_json({"claimed_wei": paid, "tx": receipt.tx, "block": receipt.block})
    else:
        say(f"Claimed {tokens(paid, 18)} tokens for {link.address} (0x{receipt.tx.hex()})")
