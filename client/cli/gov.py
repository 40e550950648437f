"""``strata gov``: what governance has set, and who may change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli.context import JsonOption, PassphraseOption, WalletOption, chain, settings, signing_chain
from client.cli.groups import group
from client.cli.output import Column, say, show, show_json, show_sent, text, tokens
from client.errors import ConfigError

if TYPE_CHECKING:
    from client.governance import Governance

app = group(
    "What governance has set, who may change it, what waits; `list` proposes a model's emission, `execute` does it."
)


@app.command("show")
def show_governance(as_json: JsonOption = False) -> None:
    """Show the splits, whether openings are paused, who holds which role, the timelock's delay and what waits in it.

    Example: strata gov
    """
    from client.governance import governance

    state = governance(chain(settings()))
    if as_json:
        show_json(_plain(state))
        return
    rows = [{"what": what, "value": value} for what, value in _facts(state).items()]
    show(rows, [Column("what", "Setting"), Column("value", "Now", text)], title=f"Block {state.block}")
    parts = [{"part": name, "percent": part / 100} for name, part in state.splits.items()]
    show(parts, [Column("part", "Split"), Column("percent", "Part", lambda v: f"{v:g} %", "right")])
    columns = [Column("contract", "Contract"), Column("role", "Role"), Column("account", "Held by", _holder)]
    show([vars(holder) for holder in state.roles], columns)
    waiting = [{**vars(entry), "id": entry.id} for entry in state.waiting]
    if waiting:
        show(
            waiting,
            [
                Column("call", "Waits in the timelock"),
                Column("ready", "Ready", _moment),
                Column("id", "Id", lambda v: "0x" + v.hex()),
            ],
        )
    else:
        say("Nothing waits in the timelock.")


@app.command("list")
def list_model(
    model: Annotated[str, typer.Argument(help="A model's name or number.")],
    percent: Annotated[float, typer.Option(min=0, max=100, help="Of the emission that its stake votes to it.")] = 100.0,
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose, as the council, that a model earns emission; it does once somebody executes the decision.

    Example: strata gov list law --percent 100 --wallet council
    """
    from client.council import list_model as decision
    from client.council import propose

    link = signing_chain(wallet, passphrase_file)
    found = link.model(model)
    proposal = propose(link, [decision(found.id, round(percent * 100))])
    if as_json:
        show_json({"model": found.name, "id": proposal.id, "ready": proposal.ready})
    else:
        say(
            f"Proposed: {found.name} earns {percent:g} % of its emission. From {_moment(proposal.ready)} on anybody may"
        )
        say(f"strata gov execute 0x{proposal.id.hex()}")


@app.command("execute")
def execute_proposal(
    number: Annotated[str, typer.Argument(metavar="ID", help="The decision's number, see `strata gov`.")],
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what the council proposed, once it has waited in the timelock (anybody may).

    Example: strata gov execute 0x5d0e... --wallet alice
    """
    from client.council import execute, find_proposal

    try:
        wanted = bytes.fromhex(number.removeprefix("0x"))
    except ValueError as error:
        raise ConfigError(f"{number!r} is no decision's number: it takes 0x and 64 hexadecimal digits.") from error
    link = signing_chain(wallet, passphrase_file)
    receipt = execute(link, find_proposal(link, wanted))
    show_sent(receipt, "Done", as_json, id=wanted)


def _moment(seconds: int) -> str:
    """Unix seconds in this machine's time."""
    import datetime

    return datetime.datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")


def _facts(state: Governance) -> dict[str, Any]:
    paused = f"until block {state.paused_until}" if state.is_paused else "no"
    return {
        "openings paused": paused,
        "timelock's delay": f"{state.delay_seconds} s",
        "deposit of a dataset": f"{tokens(state.dataset_deposit, 18)} tokens",
        "a ballot on a dataset lasts": f"{state.ballot_blocks} blocks",
        "rewards vest for": f"{state.vesting_blocks} blocks",
        "stake unbonds in": f"{state.unbonding_blocks} blocks",
        "a round lasts at most": f"{state.most_round_blocks} blocks",
    }


def _plain(state: Governance) -> dict[str, Any]:
    return {
        "block": state.block,
        "paused": state.is_paused,
        "paused_until": state.paused_until,
        "delay_seconds": state.delay_seconds,
        "splits_bps": dict(state.splits),
        "dataset_deposit_wei": state.dataset_deposit,
        "ballot_blocks": state.ballot_blocks,
        "vesting_blocks": state.vesting_blocks,
        "unbonding_blocks": state.unbonding_blocks,
        "most_round_blocks": state.most_round_blocks,
        "roles": [vars(holder) for holder in state.roles],
        "waiting": [vars(entry) for entry in state.waiting],
    }


def _holder(account: str) -> str:
    return "anybody" if not int(account, 16) else account
