"""``strata doctor``: what works on this machine, and how to mend what doesn't."""

from __future__ import annotations

import typer

from client.cli.context import JsonOption, settings
from client.cli.groups import single
from client.cli.output import Column, show

app = single()


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Check node, Anvil, the chain, IPFS, the swarm, the gateway, disk and Python packages; each with a remedy.

    Ends with 1 when something that is needed does not work.

    Example: strata doctor
    """
    from client.checks import examine

    results = examine(settings())
    rows = [{"check": r.name, "state": r.state, "found": r.found, "remedy": r.remedy} for r in results]
    columns = [
        Column("check", "Check"),
        Column("state", "State"),
        Column("found", "Found"),
        Column("remedy", "Remedy"),
    ]
    show(rows, columns, as_json=as_json)
    if any(r.state == "bad" for r in results):
        raise typer.Exit(1)
