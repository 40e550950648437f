"""What ``strata node status`` does: one look, or a picture that follows the node until Ctrl-C."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import ConfigError
from node.status import NodeView, read_node

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

RUNS, DOES_NOT_RUN = 0, 3
PIPED_WIDTH = 160  # columns: Rich would cut what goes into a pipe at 80


def state_folder(config: Path | None, state: Path | None) -> Path:
    """The folder that the options name; ``ConfigError`` where they name none, or two."""
    from node.config import load_config

    if config is not None and state is not None:
        raise ConfigError("give --config or --state, not both")
    if state is not None:
        if not state.is_dir():
            raise ConfigError(f"there is no folder {state}")
        return state
    if config is None:
        raise ConfigError("which node? Give --config node.toml, or --state with its state folder")
    return load_config(config).state


def show(state: Path, as_json: bool) -> int:
    """One look; the exit code."""
    view = read_node(state)
    if as_json:
        print(json.dumps(view.plain(), indent=2))
    else:
        from node.status_view import draw

        console().print(draw(view))
    return RUNS if view.condition == "runs" else DOES_NOT_RUN


def watch(state: Path, as_json: bool, seconds: float) -> int:
    """Look every so many seconds, until Ctrl-C; a node that has not run yet is waited for."""
    last: NodeView | None = None
    try:
        if as_json or not sys.stdout.isatty():
            while True:
                last = _look(state)
                print(_line(last, as_json, state), flush=True)
                time.sleep(seconds)
        _live(state, seconds)
    except KeyboardInterrupt:
        last = _look(state)
    return RUNS if last is not None and last.condition == "runs" else DOES_NOT_RUN


def _look(state: Path) -> NodeView | None:
    """The node; None where it has not run yet."""
    return read_node(state) if (state / "status.json").exists() else None


def _line(view: NodeView | None, as_json: bool, state: Path) -> str:
    if as_json:
        return json.dumps(view.plain() if view else {"alive": False, "condition": "never ran"})
    from node.status_view import summary

    return summary(view) if view else f"no status in {state}: waiting for the node to run"


def _live(state: Path, seconds: float) -> None:
    from rich.live import Live

    with Live(_picture(_look(state), state), console=console(), auto_refresh=False) as live:
        while True:
            time.sleep(seconds)
            live.update(_picture(_look(state), state), refresh=True)


def _picture(view: NodeView | None, state: Path) -> RenderableType:
    from rich.text import Text

    from node.status_view import draw

    return draw(view) if view else Text(f"no status in {state}: waiting for the node to run (Ctrl-C leaves)")


def console() -> Console:
    """A console that does not cut what goes into a pipe, and that replaces what the terminal can't show."""
    from rich.console import Console

    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
