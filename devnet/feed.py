"""What the nodes say of their progress, read from their ``events.jsonl`` and kept as one state that a view can draw."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

MICRO = 1_000_000
"""Losses are recorded in micro-nats."""
MAX_LINE_BYTES = 1 << 20
KEPT_HAPPENINGS = 200


@dataclass
class NodeState:
    """What one node does now."""

    name: str
    activity: str = "starting"
    model: str = ""
    round: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None  # nats a token, of the last training step
    tokens: int = 0
    alive: bool = True


@dataclass
class ModelState:
    """Where one model's newest round stands, as the chain says."""

    name: str
    round: int = 0
    phase: str = "NONE"
    blocks_left: int = 0
    miners: int = 0
    commits: int = 0
    reveals: int = 0
    scored_percent: int = 0  # of the frozen stake that revealed its scores
    attested_percent: int = 0
    void_reason: str = ""
    held: bool = False  # it waits in COMMIT for the round before
    judged: ModelState | None = None  # that round, while it is judged


FIGURES = (
    *("heldout_genesis", "heldout_genesis_se", "heldout_before", "heldout_after", "heldout_se"),
    *("general_before", "general_after", "general_se"),
)


@dataclass(frozen=True)
class Measured:
    """One validator's measurement of one round, in nats a token. ``judged_tokens`` is what it evaluated."""

    heldout_genesis: float
    heldout_genesis_se: float
    heldout_before: float
    heldout_after: float
    heldout_se: float
    general_before: float
    general_after: float
    general_se: float
    judged_tokens: int

    @staticmethod
    def from_report(values: Mapping[str, Any]) -> Measured | None:
        """From a report's fields (integers of micro-nats); None when they are not there."""
        if any(not isinstance(values.get(name), int) for name in FIGURES):
            return None
        figures = {name: values[name] / MICRO for name in FIGURES}
        return Measured(**figures, judged_tokens=int(values.get("tokens_judged", 0)))


@dataclass(frozen=True)
class Happening:
    """Something worth a line. ``time`` is in seconds since the epoch."""

    time: float
    who: str
    text: str
    bad: bool = False


@dataclass(frozen=True)
class LossRow:
    """A round's measurement (median of the validators), the tokens its miners trained on, and how it ended."""

    model: str
    round: int
    measured: Measured
    trained_tokens: int
    ended: str


@dataclass
class Board:
    """Everything that the view shows."""

    block: int = 0
    chain: str = ""
    nodes: dict[str, NodeState] = field(default_factory=dict)
    models: dict[str, ModelState] = field(default_factory=dict)
    measured: dict[tuple[str, int], dict[str, Measured]] = field(default_factory=dict)
    trained_tokens: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    ended: dict[tuple[str, int], str] = field(default_factory=dict)
    overlapped: set[tuple[str, int]] = field(default_factory=set)  # rounds that trained while the one before was judged
    happenings: deque[Happening] = field(default_factory=lambda: deque(maxlen=KEPT_HAPPENINGS))
    happened: int = 0  # ever, so that a plain view knows which lines are new

    def say(self, who: str, text: str, when: float, bad: bool = False) -> None:
        """Add a line."""
        self.happenings.append(Happening(when, who, text, bad))
        self.happened += 1

    def node(self, name: str) -> NodeState:
        """A node's state, made when new."""
        return self.nodes.setdefault(name, NodeState(name))

    def overlap(self, model: str, number: int) -> None:
        """A round is trained while the one before it is judged: say so once."""
        if (model, number) not in self.overlapped:
            self.overlapped.add((model, number))
            self.say(model, f"round {number} is trained while round {number - 1} is judged", time.time())

    def rows(self) -> list[LossRow]:
        """The table of losses: a row for each round that somebody measured."""
        return [
            LossRow(model, number, median_of(list(by.values())), self.trained(model, number), self.ended.get(key, ""))
            for key, by in sorted(self.measured.items())
            for model, number in (key,)
            if by
        ]

    def trained(self, model: str, number: int) -> int:
        """Tokens that the miners trained on in a round."""
        return sum(self.trained_tokens.get((model, number), {}).values())


def median_of(measured: list[Measured]) -> Measured:
    """The median of each figure over the validators; what they judged is summed."""
    figures = {name: float(median(getattr(m, name) for m in measured)) for name in FIGURES}
    return Measured(**figures, judged_tokens=sum(m.judged_tokens for m in measured))


def apply(board: Board, node: str, event: Mapping[str, Any]) -> None:
    """Take one event of a node into the board. Unknown events and missing fields are passed over."""
    kind = event.get("event")
    handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
    state = board.node(node)
    if isinstance(event.get("model"), str):
        state.model = event["model"]
    if isinstance(event.get("round"), int):
        state.round = event["round"]
    if handler is not None:
        handler(board, state, event)


def _when(event: Mapping[str, Any]) -> float:
    value = event.get("t", 0.0)
    return float(value) if isinstance(value, int | float) else 0.0


def _key(state: NodeState) -> tuple[str, int]:
    return (state.model, state.round)


def _started(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
    state.activity, state.step, state.steps = "waiting", 0, 0


def _step(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
    state.activity = "training"
    state.step, state.steps = int(event.get("step", 0)), int(event.get("steps", 0))
    state.tokens = int(event.get("tokens", state.tokens))
    if isinstance(event.get("loss"), int | float):
        state.loss = float(event["loss"])


def _trained(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
    state.activity, state.step = "trained", state.steps
    tokens = int(event.get("tokens", 0))
    board.trained_tokens.setdefault(_key(state), {})[state.name] = tokens
    first, last = event.get("loss_first"), event.get("loss_last")
    seconds = event.get("seconds")
    took = f" in {seconds:.1f} s" if isinstance(seconds, int | float) else ""
    change = f", loss {first:.3f} → {last:.3f}" if isinstance(first, float) and isinstance(last, float) else ""
    board.say(
        state.name, f"{state.model} round {state.round}: trained on {tokens:,} tokens{took}{change}", _when(event)
    )


def _scored(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
    state.activity = "scored"
    fields = event.get("report") if isinstance(event.get("report"), Mapping) else event
    measured = Measured.from_report(fields if isinstance(fields, Mapping) else {})
    if measured is None:
        return
    board.measured.setdefault(_key(state), {})[state.name] = measured
    text = f"held-out loss {measured.heldout_before:.4f} → {measured.heldout_after:.4f} ± {measured.heldout_se:.4f}"
    board.say(state.name, f"{state.model} round {state.round}: {text}", _when(event))


def _final(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
    _end(board, state, "FINAL", _when(event))


def _void(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
    _end(board, state, f"VOID {event.get('reason', '')}".strip(), _when(event))


def _end(board: Board, state: NodeState, how: str, when: float) -> None:
    state.activity, state.step, state.steps = "waiting", 0, 0
    if _key(state) not in board.ended:
        board.ended[_key(state)] = how
        board.say(state.model, f"round {state.round} ended: {how}", when, bad=how.startswith("VOID"))


def _error(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
    text = event.get("message") or event.get("error") or "an error"
    board.say(state.name, str(text)[:300], _when(event), bad=True)


def _told(text: str) -> Any:
    def handler(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
        state.activity = text

    return handler


def _spoken(text: str) -> Any:
    def handler(board: Board, state: NodeState, event: Mapping[str, Any]) -> None:
        board.say(state.name, text, _when(event))

    return handler


_HANDLERS: Mapping[str, Any] = {
    "node_started": _started,
    "train_step": _step,
    "trained": _trained,
    "committed": _told("committed"),
    "revealed": _told("revealed"),
    "scored": _scored,
    "scores_revealed": _told("scores revealed"),
    "head_attested": _told("head attested"),
    "round_final": _final,
    "round_void": _void,
    "served": _spoken("served an answer"),
    "redeemed": _spoken("redeemed a voucher on chain"),
    "waiting_chain": _told("waiting for the chain"),
    "error": _error,
}


class Tail:
    """Reads what was added to a file of JSON lines since the last look; half lines wait for their end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._rest = b""

    def read(self) -> list[dict[str, Any]]:
        """The new events. A file that shrank is read from its start; what is not JSON is passed over."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                if size < self._offset:
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = b""
        return [event for line in lines if (event := _parse(line)) is not None]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
