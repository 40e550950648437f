"""``strata recommend``: which model fits a need, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from client.cli.context import CsvOption, JsonOption, chain, settings
from client.cli.groups import single
from client.cli.output import Column, show

app = single()


@app.command()
def recommend(
    text: Annotated[str, typer.Argument(help="A question, or what you want to do.")],
    language: Annotated[str | None, typer.Option(help="The language that you want, like en.")] = None,
    max_parameters: Annotated[
        float | None, typer.Option(help="The largest model that your machine can hold, in millions of parameters.")
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Rank the network's models for a need, with reasons. The text stays on this machine.

    Example: strata recommend "May I sell a program that uses GPL code?"
    """
    from client.catalog import Catalog
    from client.recommend import Needs, Recommender
    from client.storage import IpfsStore

    chosen = settings()
    network = chosen.network()
    store = IpfsStore(network.ipfs, chosen.cache_folder(), chosen.cache_bytes()) if network.ipfs else None
    most = None if max_parameters is None else int(max_parameters * 1e6)
    ranked = Recommender().rank(text, Catalog(chain(chosen), store).cards(), Needs(language, None, most))
    rows = [
        {
            "rank": place,
            "model": found.card.name,
            "level": found.card.level.name.lower(),
            "field": found.card.field,
            "score": found.score,
            "reasons": list(found.reasons),
            "why": "; ".join(found.reasons),
        }
        for place, found in enumerate(ranked, 1)
    ]
    columns = [
        Column("rank", "#", justify="right"),
        Column("model", "Model"),
        Column("level", "Level"),
        Column("field", "Field"),
        Column("score", "Score", justify="right"),
        Column("why", "Why"),
    ]
    show(rows, columns, as_json=as_json, as_csv=as_csv, empty="No model is registered on this network yet.")
