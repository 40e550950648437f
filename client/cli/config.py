"""``strata config``: settings, and where each comes from."""

from __future__ import annotations

from client.cli.context import CsvOption, JsonOption, settings
from client.cli.groups import group
from client.cli.output import Column, show, text

app = group("Settings, and where each comes from.")


@app.callback()
def config() -> None:
    """Keeps this a group while it has one command."""


@app.command("show")
def show_config(as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """Show every setting with its value and its origin: default, file, environment or flag.

    Write settings to HOME/config.toml, as [chain] timeout_seconds = 20, or set STRATA_CHAIN_TIMEOUT_SECONDS.

    Example: strata config show
    """
    rows = [{"setting": key, "value": value, "origin": origin} for key, value, origin in settings().values()]
    columns = [Column("setting", "Setting"), Column("value", "Value", text), Column("origin", "From")]
    show(rows, columns, as_json=as_json, as_csv=as_csv)
