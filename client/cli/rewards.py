"""``strata rewards``: what was earned, and taking it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli.context import (
    JsonOption,
    PassphraseOption,
    WalletOption,
    chain,
    resolve_address,
    settings,
    signing_chain,
)
from client.cli.groups import group
from client.cli.output import Column, say, show, show_json, tokens

if TYPE_CHECKING:
    from client.queries import DelegationEntry

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
                "delegations": [_delegation(entry) for entry in summary.delegations],
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
    if summary.delegations:
        behind = [_delegation(entry) for entry in summary.delegations]
        show(behind, DELEGATION_COLUMNS, title="By stake behind validators")
    say(
        f"Claimable {tokens(summary.claimable)}, vesting {tokens(summary.vesting)}, "
        f"claimed so far {tokens(summary.claimed)} tokens."
    )


@app.command()
def claim(wallet: WalletOption = None, passphrase_file: PassphraseOption = None, as_json: JsonOption = False) -> None:
    """Take all that is claimable: matured rewards, dividends of every model, and your part of validators' pools.

    A validator's claim also brings its delegators' matured rewards to its pool.

    Example: strata rewards claim --wallet alice
    """
    from client.earnings import claim_all

    link = signing_chain(wallet, passphrase_file)
    taken = claim_all(link)
    last = taken.receipts[-1] if taken.receipts else None
    if as_json:
        show_json(
            {
                "claimed_wei": taken.rewards,
                "delegation_wei": taken.delegations,
                "harvested_wei": taken.harvested,
                "vesting_wei": link.vesting(link.address),
                "tx": None if last is None else last.tx,
                "block": None if last is None else last.block,
            }
        )
    elif last is None:
        say(f"Nothing is claimable now; {tokens(link.vesting(link.address))} tokens still vest.")
    else:
        by_pools = f", {tokens(taken.delegations, 18)} of them by delegation" if taken.delegations else ""
        say(f"Claimed {tokens(taken.ours, 18)} tokens for {link.address}{by_pools} (0x{last.tx.hex()})")
        if taken.harvested:
            say(f"Brought {tokens(taken.harvested, 18)} tokens to pools of delegators.")


DELEGATION_COLUMNS = [
    Column("model", "Model"),
    Column("validator", "Validator"),
    Column("worth_wei", "Worth", tokens, "right"),
    Column("reward_wei", "To claim", tokens, "right"),
    Column("harvestable_wei", "In its pool to harvest", tokens, "right"),
]


def _delegation(entry: DelegationEntry) -> dict[str, Any]:
    return {
        "model": entry.model,
        "validator": entry.info.validator,
        "worth_wei": entry.info.assets,
        "reward_wei": entry.info.reward,
        "harvestable_wei": entry.harvestable,
    }
