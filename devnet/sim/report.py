"""A scenario's result as a table, as JSON, and as a picture."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Cell = str | int | float
LABEL_WIDTH = 32
"""Letters in a line of a bar's label."""


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
class Bars:
    """A picture of horizontal bars, the first on top. Where ``log_x``, they grow from 1 to either side."""

    x_label: str
    bars: Sequence[tuple[str, float]]
    goal: float | None = None
    goal_label: str = "goal"
    log_x: bool = False


@dataclass(frozen=True)
class Result:
    """What a scenario found."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    pictures: Mapping[str, Picture | Bars] = field(default_factory=dict)
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
            if isinstance(picture, Bars):
                _draw_bars(figure, axes, picture)
            else:
                _draw_lines(axes, picture)
            path = folder / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None})
            pyplot.close(figure)
            written.append(path)
    return written


def _draw_lines(axes: Any, picture: Picture) -> None:
    for line in picture.lines:
        axes.plot(line.x, line.y, line.style, label=line.label, linewidth=1.4, markersize=3.5)
    if picture.log_x:
        axes.set_xscale("log", base=2)
    axes.set_xlabel(picture.x_label)
    axes.set_ylabel(picture.y_label)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _draw_bars(figure: Any, axes: Any, picture: Bars) -> None:
    start = 1.0 if picture.log_x else 0.0
    if picture.log_x:
        axes.set_xscale("log")
    places, values = range(len(picture.bars)), [value for _, value in picture.bars]
    axes.barh(places, [value - start for value in values], left=start, height=0.62)
    style = {"textcoords": "offset points", "va": "center", "fontsize": 8}
    behind = {"color": "white", "pad": 0.6}  # else the goal's line would go through the number
    for place, value in zip(places, values, strict=True):
        shift, side = (4, "left") if value >= start else (-4, "right")
        axes.annotate(_number(value), (value, place), (shift, 0), ha=side, bbox=behind, **style)
    axes.set_yticks(places, [textwrap.fill(label, LABEL_WIDTH) for label, _ in picture.bars], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.set_xlabel(picture.x_label)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    if picture.goal is not None:
        label = f"{picture.goal_label}: {_number(picture.goal)}"
        axes.axvline(picture.goal, color="black", linestyle="--", linewidth=1.2, label=label)
        figure.legend(loc="outside upper right", fontsize=8)


def _number(value: float) -> str:
    """A bar's value: two decimals, or the whole number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 2) + 0.0:.2f}"
