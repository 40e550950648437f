"""``strata contributions``: who did what, what it was worth, what it paid."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from client.cli.context import CsvOption, JsonOption, chain, resolve_address, settings
from client.cli.groups import single
from client.cli.output import Column, short, show, text, tokens

app = single()


class KindName(StrEnum):
    """Kinds of contribution."""

    train = "train"
    distil = "distil"
    upstream = "upstream"
    data = "data"
    score = "score"
    serve = "serve"


@app.command()
def contributions(
    address: Annotated[str | None, typer.Option(help="Only of this address or wallet.")] = None,
    model: Annotated[str | None, typer.Option(help="Only on this model (name or number).")] = None,
    round_: Annotated[int | None, typer.Option("--round", min=1, help="Only in this round.")] = None,
    kind: Annotated[list[KindName] | None, typer.Option(case_sensitive=False, help="Only of this kind.")] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show who did what: deltas, datasets, scores and answers; the score, why it was zero, the pay and the transaction.

    Example: strata contributions --model law --round 2 --kind train
    """
    from client.queries import Filter
    from client.queries import contributions as find

    chosen = settings()
    link = chain(chosen)
    wanted = Filter(
        address=None if address is None else resolve_address(chosen, address),
        model_id=None if model is None else link.model(model).id,
        round=round_,
        kinds=frozenset(k.value.upper() for k in kind or []),
    )
    rows: list[dict[str, Any]] = [entry.to_json() for entry in find(link, wanted)]
    columns = [
        Column("kind", "Kind"),
        Column("model", "Model"),
        Column("round", "Round", text, "right"),
        Column("address", "Who", short),
        Column("cid", "What", short),
        Column("score_micronats", "Score", _micro, "right"),
        Column("weight_q16", "Weight", _weight, "right"),
        Column("paid_wei", "Paid", tokens, "right"),
        Column("note", "Note", text),
        Column("tx", "Transaction", short),
    ]
    show(rows, columns, as_json=as_json, as_csv=as_csv, empty="No contribution matches.")


def _micro(value: Any) -> str:
    return "" if value is None else f"{value / 1e6:.4f}"


def _weight(value: Any) -> str:
    return "" if value is None else f"{value * 100 / 65536:.1f} %"
