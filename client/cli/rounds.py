"""``strata rounds``: where the models' rounds stand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from client.cid import cid_of
from client.cli.context import CsvOption, JsonOption, PassphraseOption, WalletOption, chain, settings, signing_chain
from client.cli.groups import group
from client.cli.output import Column, say, short, show, show_json, show_sent, tokens
from contracts.enums import VoidReason

app = group("Where the models' rounds stand: phase, blocks left, commits, reveals, votes, head. `open` starts one.")

COLUMNS = [
    Column("model", "Model"),
    Column("round", "Round", justify="right"),
    Column("phase", "Phase"),
    Column("blocks_left", "Blocks left", lambda v: "" if v is None else str(v), "right"),
    Column("miners", "Miners", justify="right"),
    Column("commits", "Commits", justify="right"),
    Column("reveals", "Reveals", justify="right"),
    Column("frozen_stake_wei", "Stake", tokens, "right"),
    Column("scores_revealed_percent", "Scored", lambda v: f"{v} %", "right"),
    Column("heads_revealed_percent", "Attested", lambda v: f"{v} %", "right"),
    Column("head_cid", "Head", short),
    Column("note", "Note"),
]


@app.command("show")
def show_rounds(
    model: Annotated[
        str | None, typer.Argument(help="A model's name or number; else every model's last round.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many rounds of the model.")] = 10,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show a model's rounds, or the last round of every model.

    Example: strata rounds law --last 3
    """
    from client.queries import round_states, void_words

    rows: list[dict[str, Any]] = []
    for state in round_states(chain(settings()), model, last):
        info = state.info
        rows.append(
            {
                "model": state.model.name,
                "model_id": info.model_id,
                "round": info.round,
                "phase": info.phase.name,
                "blocks_left": state.blocks_left,
                "miners": info.miner_count,
                "validators": info.validator_count,
                "committee": min(info.committee, info.validator_count),
                "commits": info.commits,
                "reveals": info.reveals,
                "frozen_stake_wei": info.frozen_stake,
                "scores_revealed_percent": state.percent(info.scores_revealed_stake),
                "heads_revealed_percent": state.percent(info.heads_revealed_stake),
                "open_block": info.open_block,
                "head_cid": cid_of(info.head) if any(info.head) else None,
                "settled": info.settled,
                "void_reason": None if info.void_reason == VoidReason.NONE else info.void_reason.name,
                "note": void_words(info.void_reason) if info.void_reason else state.note,
            }
        )
    empty = "No round yet. Open one: strata rounds open MODEL"
    show(rows, COLUMNS, as_json=as_json, as_csv=as_csv, empty=empty)


@app.command("open")
def open_round(
    model: Annotated[str, typer.Argument(help="A model's name or number.")],
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the model's next round, or move the present one on (anyone may).

    Example: strata rounds open law --wallet alice
    """
    link = signing_chain(wallet, passphrase_file)
    found = link.model(model)
    receipt = link.tick(found.id)
    number = link.current(found.id)
    phase = link.round(found.id, number).phase.name if number else "NONE"
    opened = any(event.name == "RoundOpened" for event in receipt.events)
    words = f"{found.name}: round {number} is {'open, ' if opened else ''}in phase {phase}"
    show_sent(receipt, words, as_json, model=found.name, round=number, phase=phase, opened=opened)


@app.command()
def challenge(
    model: Annotated[str, typer.Argument(help="A model's name or number.")],
    number: Annotated[int, typer.Argument(min=1, metavar="ROUND", help="The round's number.")],
    wallet: WalletOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Object, as a validator of the round, to its outcome while its rewards vest; two thirds of its stake void them.

    Example: strata rounds challenge law 3 --wallet alice
    """
    link = signing_chain(wallet, passphrase_file)
    found = link.model(model)
    receipt = link.challenge(found.id, number)
    against, frozen = link.challenged_stake(found.id, number), link.round(found.id, number).frozen_stake
    voided = any(event.name == "RewardsVoided" for event in receipt.events)
    if as_json:
        stakes = {"against_wei": against, "frozen_wei": frozen}
        show_json({"model": found.name, "round": number, **stakes, "voided": voided, "tx": receipt.tx})
        return
    words = (
        "its rewards are taken back" if voided else f"its rewards vest until block {link.unlock_of(found.id, number)}"
    )
    say(f"{against * 100 // max(1, frozen)} % of the stake object to round {number} of {found.name}; {words}.")
