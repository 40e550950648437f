"""A scenario's result as a table, as JSON, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Cell = str | int | float


@dataclass(frozen=True)
class Line:
    """A curve of a picture."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: str = "-"


@dataclass(frozen=True)
class Picture:
    """A picture of curves."""

    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_x: bool = False


@dataclass(frozen=True)
class Result:
    """What a scenario found."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    pictures: dict[str, Picture] = field(default_factory=dict)
    """By file name without ending."""


def shown(cell: Cell) -> str:
    """A table's cell."""
    if isinstance(cell, float):
        return f"{cell:.3f}" if abs(cell) >= 0.001 or cell == 0 else f"{cell:.1e}"
    return str(cell)


def as_json(results: Sequence[Result]) -> str:
    """All tables."""
    return json.dumps(
        [
            {
                "name": result.name,
                "title": result.title,
                "rows": [dict(zip(result.columns, row, strict=True)) for row in result.rows],
                "note": result.note,
            }
            for result in results
        ],
        indent=2,
    )


def print_table(result: Result) -> None:
    """The table, in the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=result.title, title_justify="left", caption=result.note or None, caption_justify="left")
    for index, column in enumerate(result.columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in result.rows:
        table.add_row(*map(shown, row))
    Console().print(table)


def draw(result: Result, folder: Path) -> list[Path]:
    """The pictures, as SVG: the same bytes for the same numbers."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    options: dict[str, Any] = {"svg.hashsalt": "strata", "svg.fonttype": "none", "font.size": 9}
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in result.pictures.items():
        with pyplot.rc_context(options):
            figure, axes = pyplot.subplots(figsize=(5.6, 3.4), layout="constrained")
            for line in picture.lines:
                axes.plot(line.x, line.y, line.style, label=line.label, linewidth=1.4, markersize=3.5)
            if picture.log_x:
                axes.set_xscale("log", base=2)
            axes.set_xlabel(picture.x_label)
            axes.set_ylabel(picture.y_label)
            axes.grid(alpha=0.25)
            axes.legend(fontsize=8)
            path = folder / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None})
            pyplot.close(figure)
            written.append(path)
    return written
