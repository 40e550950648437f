"""What a node does, or did last, read from its state folder: nothing is asked of the process, nothing is locked.

``status.json`` says who it is and what it works on, the last line of ``telemetry.jsonl`` how far it is, and the events
since then bring that up to the second. So this tells as much of a node that was stopped, or killed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.schema import load_json
from node.runtime import read_status
from node.telemetry import Telemetry

TAIL_BYTES = 256 * 1024  # read of a file's end
EVENTS_SHOWN = 8
QUIET = ("train_step", "phase")  # events that come too often to be shown among the last ones


@dataclass(frozen=True)
class NodeView:
    """A node at one moment. Times are seconds since the epoch."""

    status: Mapping[str, Any]  # status.json
    condition: str  # "runs", "stopped" (it said so), or "gone" (it ended without a word)
    figures: Mapping[str, Any]  # as ``Telemetry.snapshot`` gives them
    usage: Mapping[str, Any]  # of the last line: processor time, memory
    events: tuple[Mapping[str, Any], ...]  # the last ones of interest, oldest first
    heard: float  # when the process wrote something last
    now: float

    def plain(self) -> dict[str, Any]:
        """For ``--json``: the status file's own values, and beside them the rest."""
        more = {"alive": self.condition == "runs", "condition": self.condition, "heard": round(self.heard, 3)}
        return {**self.status, **more, "figures": {**self.figures, **self.usage}, "last_events": list(self.events)}


def read_node(state: Path, now: float | None = None) -> NodeView:
    """The node whose state folder this is; ``ConfigError`` where it has never run or its status can't be read."""
    at = time.time() if now is None else now
    status = read_status(state)
    record = last_record(state, status.get("pid"))
    telemetry = Telemetry.resumed(record, lambda: at)
    since = record.get("t", 0.0)
    events = events_of_process(state)
    for event in events:
        if isinstance(event.get("t"), int | float) and event["t"] > since:
            telemetry.observe(event)
    _add_status(telemetry, status, events)
    alive = bool(status.pop("alive"))
    told = status.get("stopped") or status.get("stopping")
    condition = "runs" if alive else "stopped" if told else "gone"
    figures = telemetry.snapshot()
    if not alive:
        _forget_deadlines(figures)
    times = [
        values.get(key) for values, key in ((status, "updated"), (record, "t"), (events[-1] if events else {}, "t"))
    ]
    heard = max((float(t) for t in times if isinstance(t, int | float)), default=0.0)
    started = status.get("started")
    if isinstance(started, int | float):
        figures["uptime"] = round(max(0.0, (at if alive else heard) - started), 1)
    usage = {key: record.get(key) for key in ("cpu_seconds", "memory_bytes")}
    shown = tuple(event for event in events if event.get("event") not in QUIET)[-EVENTS_SHOWN:]
    return NodeView(status, condition, figures, usage, shown, heard, at)


def _add_status(telemetry: Telemetry, status: Mapping[str, Any], events: list[dict[str, Any]]) -> None:
    """What the status says of models; its rounds too, where the events are not there to tell them."""
    models = status.get("models")
    for name, values in (models if isinstance(models, dict) else {}).items():
        if not isinstance(values, dict):
            continue
        telemetry.note_model(name, values)
        if not any(event.get("event") == "phase" and event.get("model") == name for event in events):
            telemetry.observe({**values, "t": status.get("updated"), "event": "phase", "model": name})


def _forget_deadlines(figures: Mapping[str, Any]) -> None:
    for model in figures["models"].values():
        model["training"] = False
        for live in model["rounds"]:
            live["blocks_left"] = live["seconds_left"] = None


def last_record(state: Path, pid: Any) -> dict[str, Any]:
    """The last line of telemetry that the process wrote; empty where there is none."""
    for name in ("telemetry.jsonl", "telemetry.jsonl.1"):
        for record in reversed(list(tail(state / name))):
            if isinstance(record.get("t"), int | float):
                return record if record.get("pid") == pid else {}
    return {}


def events_of_process(state: Path) -> list[dict[str, Any]]:
    """The last events since the process began, oldest first."""
    found = [*tail(state / "events.jsonl.1"), *tail(state / "events.jsonl")]
    for index in range(len(found) - 1, -1, -1):
        if found[index].get("event") == "node_started":
            return found[index:]
    return found


def tail(path: Path, limit_bytes: int = TAIL_BYTES) -> Iterator[dict[str, Any]]:
    """The JSON objects at a file's end, one a line; half lines and what is not JSON are passed over."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit_bytes))
            lines = file.read(limit_bytes).split(b"\n")
    except OSError:
        return
    for line in lines[1 if size > limit_bytes else 0 :]:
        try:
            value = load_json(line.decode(errors="replace"))
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value
