"""The picture of one node, for a terminal of any width or a pipe. It draws a ``NodeView`` and decides nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.status import NodeView

BAR = 20  # characters
MODEL_NAMES = 12
LONGEST = 300  # characters of what somebody else said
STALE_SECONDS = 60.0  # without a sign, after which that is said of a running node
EVENT_FIELDS = ("message", "error", "reason", "tokens", "loss_last", "bytes", "peers", "heldout_after", "url", "head")
MARKS = {"runs": ("●", "green"), "stopped": ("○", "yellow"), "gone": ("✗", "bold red")}
ENDED = ("FINAL", "VOID")


def draw(view: NodeView) -> RenderableType:
    """The whole picture."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in _facts(view):
        grid.add_row(label, value)
    parts: list[RenderableType] = [_header(view), grid]
    models = view.figures["models"]
    for name in sorted(models)[:MODEL_NAMES]:
        parts.append(_model(name, models[name], view))
    if len(models) > MODEL_NAMES:
        parts.append(Text(f"and {len(models) - MODEL_NAMES} more models (--json shows all)", style="dim"))
    if view.events:
        lines = Table.grid(padding=(0, 1))
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column(overflow="fold")
        for event in view.events:
            lines.add_row(clock(event.get("t")), _event(event))
        parts += [Text("last events", style="bold"), lines]
    return Group(*parts)


def summary(view: NodeView) -> str:
    """The node in one line, for a pipe that is fed again and again."""
    who = f"[{clock(view.now)}] {_word(view.status, 'role')} {_word(view.status, 'name')} {view.condition}"
    return "; ".join([who, *activity(view)])


def activity(view: NodeView) -> list[str]:
    """What the node does, a few words a model."""
    return [_work(name, model, view.figures) for name, model in sorted(view.figures["models"].items())]


def _work(name: str, model: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    said = [_live(model["rounds"][0], figures)] if model["rounds"] else []
    if isinstance(model.get("action"), str) and not model["training"]:
        said.append(clean(model["action"], 40))
    if model["training"]:
        said.append(f"step {model['step']}/{model['steps']}")
        said += [] if model["loss"] is None else [f"loss {model['loss']:.4f}"]
        said += [] if model["tokens_per_second"] is None else [f"{model['tokens_per_second']:.0f} tokens/s"]
    elif model["answers"]:
        said.append(f"{_count(model['answers'], 'answer')}")
    return f"{clean(name, 24)} " + ", ".join(said)


def _header(view: NodeView) -> Text:
    mark, style = MARKS[view.condition]
    text = Text()
    text.append(f"{mark} ", style=style)
    text.append(f"{_word(view.status, 'role')} {_word(view.status, 'name')} ", style="bold")
    pid, ago = view.status.get("pid", "?"), duration(view.now - view.heard)
    if view.condition == "runs":
        text.append(f"runs as process {pid}, up {duration(view.figures['uptime'])}")
        text.append("; it is stopping" if view.status.get("stopping") else "", style="yellow")
        if view.now - view.heard > STALE_SECONDS:
            text.append(f"; it last wrote something {ago} ago", style="yellow")
    elif view.condition == "stopped":
        text.append(f"does not run: it was stopped at {clock(view.heard)}, {ago} ago", style=style)
    else:
        words = f"does not run: process {pid} ended without a word; its last sign was at {clock(view.heard)}, {ago} ago"
        text.append(words, style=style)
    return text


def _facts(view: NodeView) -> list[tuple[str, RenderableType]]:
    status, figures = view.status, view.figures
    rows: list[tuple[str, str]] = [
        (key, _word(status, key)) for key in ("address", "network", "url") if status.get(key)
    ]
    if figures["block"] is not None:
        pace = figures["block_seconds"]
        rows.append(("block", f"{figures['block']}" + (f", one in about {pace:.3g} s" if pace else "")))
    rows.append(("traffic", _traffic(figures)))
    cpu, memory = view.usage.get("cpu_seconds"), view.usage.get("memory_bytes")
    if isinstance(cpu, int | float) and isinstance(memory, int):
        rows.append(("uses", f"{duration(cpu)} of processor time, {size(memory)} of memory"))
    told = {**{key: status[key] for key in ("archive", "pins", "team") if key in status}, **figures["told"]}
    rows += [(clean(str(key), 12), _told(value)) for key, value in sorted(told.items()) if value is not None]
    if status.get("metrics") and view.condition == "runs":
        rows.append(("metrics", _word(status, "metrics")))
    if figures["errors"]:
        rows.append(("errors", f"{figures['errors']} since the node began"))
    return [(label, Text(value)) for label, value in rows]


def _told(value: Any) -> str:
    """What a part of the node says of itself (team, pins, archive), in a line."""
    if not isinstance(value, Mapping):
        return clean(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    said = []
    for key, one in value.items():
        if isinstance(one, bool):
            said += [str(key)] if one else []
        elif key == "bytes" and isinstance(one, int | float):
            said.append(size(one))
        elif isinstance(one, list):
            said.append(_count(len(one), str(key).rstrip("s")))
        elif isinstance(one, str | int | float) and one != "":
            said.append(f"{key} {one}")
    return clean(", ".join(said))


def _traffic(figures: Mapping[str, Any]) -> str:
    said = []
    for what, name in (("content", "IPFS content"), ("chain", "chain"), ("sockets", "all TCP sockets")):
        moved = figures["traffic"][what]
        if moved is not None:
            said.append(f"{name} {size(moved['sent'])} sent, {size(moved['received'])} received")
    return "; ".join(said)


def _model(name: str, model: Mapping[str, Any], view: NodeView) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    lines = list(_model_lines(name, model, view))
    label = Text(clean(name, 24), style="bold cyan")
    for line in lines or [Text("no round yet", style="dim")]:
        grid.add_row(label, line)
        label = Text("")
    return grid


def _model_lines(name: str, model: Mapping[str, Any], view: NodeView) -> list[Text]:
    lines: list[Text] = []
    runs = view.condition == "runs"
    for live in model["rounds"]:
        lines.append(Text(_live(live, view.figures), style="" if live is model["rounds"][0] else "dim"))
    action = model.get("action")
    if isinstance(action, str) and action:
        if lines and runs:
            lines[0].append(f", {clean(action, 40)}")
        elif not lines:  # a server takes no part in rounds
            lines.append(Text(f"{clean(action, 40)}{_head(name, view)}", style="" if runs else "dim"))
    if model["steps"] or model["loss"] is not None or model["tokens_trained"]:
        lines += _training(model)
    if model["rounds_judged"]:
        loss = "" if model["heldout_loss"] is None else f"; held-out loss {model['heldout_loss']:.4f} nats a token"
        lines.append(Text(f"{_count(model['rounds_judged'], 'round')} judged{loss}"))
    if model["answers"]:
        lines.append(Text(f"{_count(model['answers'], 'answer')}, {_count(model['tokens_served'], 'token')} served"))
    ended = [("rounds_final", "with a head"), ("rounds_void", "void"), ("rounds_missed", "missed")]
    told = [f"{model[key]} {word}" for key, word in ended if model[key]]
    if told:
        lines.append(Text("rounds ended: " + ", ".join(told), style="dim"))
    return lines


def _head(name: str, view: NodeView) -> str:
    """Whose head a server answers with."""
    models = view.status.get("models")
    said = models.get(name) if isinstance(models, Mapping) else None
    number = said.get("round") if isinstance(said, Mapping) else None
    return f", head of round {number}" if type(number) is int else ""


def _training(model: Mapping[str, Any]) -> list[Text]:
    step, steps = model["step"], model["steps"]
    first = Text()
    if steps:
        done = min(BAR, BAR * step // steps)
        first.append("█" * done, style="green")
        first.append("░" * (BAR - done), style="dim")
        first.append(f" step {step}/{steps}  ")
    if model["loss"] is not None:
        first.append(f"loss {model['loss']:.4f}  ")
    if model["tokens_per_second"] is not None:
        first.append(f"{model['tokens_per_second']:,.0f} tokens/s")
    second = []
    if model["tokens_trained"]:
        second.append(f"{_count(model['tokens_trained'], 'token')} trained")
    if model["training_share"] is not None:
        second.append(f"{100 * model['training_share']:.1f}% of the time spent training")
    if model["team_peers"] is not None:
        second.append(f"last delta the mean of {_count(model['team_peers'], 'peer')}")
    return [first, Text(", ".join(second))] if second else [first]


def _live(live: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """Round, phase and what is left of it; blocks as the seconds have it, since the last block seen may be old."""
    text = f"round {live['round']} {clean(str(live['phase']), 20)}"
    blocks, seconds, pace = live["blocks_left"], live["seconds_left"], figures["block_seconds"]
    if blocks is None or live["phase"] in ENDED:
        return text
    if seconds is None or not pace:
        return f"{text}, {_count(blocks, 'block')} left"
    return f"{text}, {_count(min(blocks, math.ceil(seconds / pace)), 'block')} left, about {duration(seconds)}"


def _event(event: Mapping[str, Any]) -> Text:
    text = Text(clean(str(event.get("event", "?")), 40), style="red" if event.get("event") == "error" else "")
    where = [clean(str(event[key]), 24) for key in ("model", "round") if key in event]
    if where:
        text.append(" " + " ".join(where), style="cyan")
    for key in EVENT_FIELDS:
        value = event.get(key)
        if isinstance(value, str | int | float) and value != "":
            shown = f"{value:.4g}" if isinstance(value, float) else clean(str(value), 120)
            text.append(f"  {shown}" if key in ("message", "reason", "url") else f"  {key} {shown}", style="dim")
    return text


def clean(text: str, longest: int = LONGEST) -> str:
    """Somebody else's words as one line that can't move the cursor or change colours."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text[: longest + 1])
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def clock(when: Any) -> str:
    """The local time of day; the date too where it is not today's."""
    try:
        told, today = time.localtime(float(when)), time.localtime()
    except (TypeError, ValueError, OverflowError, OSError):
        return "--:--:--"
    return time.strftime("%H:%M:%S" if told[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", told)


def duration(seconds: float) -> str:
    """In words short enough for a line: ``4.2 s``, ``18 s``, ``3 min``, ``2 h 05 min``, ``3 days``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes < 2880 else f"{minutes // 1440} days"


def size(count: float) -> str:
    """Bytes, in powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def _word(values: Mapping[str, Any], key: str) -> str:
    return clean(str(values.get(key, "?")))
