"""``strata gov``: what governance has set, and who may change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from client.cli.context import JsonOption, chain, settings
from client.cli.groups import single
from client.cli.output import Column, say, show, show_json, text, tokens

if TYPE_CHECKING:
    from client.governance import Governance

app = single()


@app.command()
def gov(as_json: JsonOption = False) -> None:
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
        show(waiting, [Column("call", "Waits in the timelock"), Column("ready", "Ready (unix seconds)")])
    else:
        say("Nothing waits in the timelock.")


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
