"""``strata models``: the tree of models."""

from __future__ import annotations

from client.cid import cid_of
from client.cli.context import CsvOption, JsonOption, chain, settings
from client.cli.groups import single
from client.cli.output import Column, show, tokens

app = single()


@app.command()
def models(as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """Show the tree of models: level, field, head, round and validator stake.

    Example: strata models
    """
    from client.queries import model_tree

    rows = []
    for entry in model_tree(chain(settings())):
        model = entry.model
        rows.append(
            {
                "id": model.id,
                "name": model.name,
                "depth": entry.depth,
                "parent_id": model.parent_id,
                "level": model.level.name.lower(),
                "field": model.field,
                "round": entry.round,
                "head_round": model.head_round,
                "head": model.head,
                "head_cid": cid_of(model.head),
                "genesis_cid": cid_of(model.genesis),
                "validator_stake_wei": entry.validator_stake,
                "owner": model.owner,
                "tree": "  " * entry.depth + ("└ " if entry.depth else "") + model.name,
            }
        )
    columns = [
        Column("id", "Id", justify="right"),
        Column("tree", "Model"),
        Column("level", "Level"),
        Column("field", "Field"),
        Column("round", "Round", justify="right"),
        Column("head_round", "Head of round", justify="right"),
        Column("head_cid", "Head"),
        Column("validator_stake_wei", "Validator stake", tokens, "right"),
    ]
    show(rows, columns, as_json=as_json, as_csv=as_csv, empty="No model is registered on this network yet.")
