"""What a node process counts about itself: one registry, fed by what the roles say anyway, read by files and pages.

    events (train_step, trained, averaged, served, round_final, ...)  --.
    status (phase, action, training_share, ...)                       ---+--> Telemetry --> telemetry.jsonl, /metrics,
    blocks seen, bytes of chain, content and sockets                  --'                  strata node status

Nothing here touches a disk, a socket or torch, and no lock is held for longer than a few assignments, so that training
is not kept waiting. ``Telemetry`` also takes in events read back from a file: so the status of a stopped node is told.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RATE_SECONDS = 30.0  # over which tokens per second are taken
BLOCKS_KEPT = 32  # over which seconds per block are taken
MICRO = 1_000_000  # a validator's losses are recorded in micro-nats
ENDED = ("FINAL", "VOID")
LEFT_OUT = ("head", "phase_end", "round", "phase")  # of a model's status: told otherwise


@dataclass
class Traffic:
    """Bytes since the process began."""

    sent: int = 0
    received: int = 0


@dataclass
class Training:
    """The inner loop as last heard of. ``loss`` in nats a token, ``rate`` in tokens per second."""

    round: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens: int = 0  # of this loop
    rate: float | None = None
    running: bool = False
    marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=128))  # (seconds, tokens of this loop)

    def mark(self, when: float, step: int, tokens: int, number: int) -> None:
        """Take a step in; the rate is over the last ``RATE_SECONDS``."""
        if step <= self.step or number != self.round or tokens < self.tokens or not self.running:
            self.marks.clear()
        self.round, self.step, self.tokens, self.running = number, step, tokens, True
        self.marks.append((when, tokens))
        while len(self.marks) > 2 and when - self.marks[0][0] > RATE_SECONDS:
            self.marks.popleft()
        first_when, first = self.marks[0]
        if when > first_when:
            self.rate = (tokens - first) / (when - first_when)


@dataclass
class ModelFigures:
    """One model's figures since the process began."""

    rounds: dict[int, tuple[str, int | None]] = field(default_factory=dict)  # live: phase, and block at which it ends
    training: Training = field(default_factory=Training)
    tokens_trained: int = 0
    train_seconds: float = 0.0
    train_began: float | None = None  # when the first step was done, in seconds since the epoch
    team_peers: int | None = None  # whose mean the last delta was
    heldout_loss: float | None = None  # nats a token, as this validator measured the last round's result
    judged: int = 0
    final: int = 0
    void: int = 0
    missed: int = 0
    answers: int = 0
    tokens_served: int = 0
    said: dict[str, Any] = field(default_factory=dict)  # what the role puts into status.json


class Telemetry:
    """The registry of one node process. Usable from any thread; feeding it never raises."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self.started = clock()
        self.round_ended = threading.Event()  # set at each end of a round, for whoever writes lines
        self._models: dict[str, ModelFigures] = {}
        self._traffic = {"content": Traffic(), "chain": Traffic()}
        self._sockets: Traffic | None = None
        self._blocks: deque[tuple[float, int]] = deque(maxlen=BLOCKS_KEPT)
        self._requests = self._events = self._errors = 0

    @classmethod
    def resumed(cls, record: Mapping[str, Any], clock: Callable[[], float] = time.time) -> Telemetry:
        """As it was when it gave ``record`` (a snapshot read back from a file, so checked here)."""
        made = cls(clock)
        made.started = clock() - (_number(record.get("uptime")) or 0.0) if record else made.started
        block, at, pace = record.get("block"), _number(record.get("block_at")), _number(record.get("block_seconds"))
        if type(block) is int and at is not None:
            made._blocks.extend([(at - pace, block - 1)] if pace else [])
            made._blocks.append((at, block))
        moved = _table(record.get("traffic"))
        made._traffic = {name: _traffic(moved.get(name)) for name in made._traffic}
        made._sockets = _traffic(moved["sockets"]) if moved.get("sockets") else None
        made._requests, made._events, made._errors = (
            _whole(record.get(key)) for key in ("chain_requests", "events", "errors")
        )
        made._models = {str(name): _figures(_table(values)) for name, values in _table(record.get("models")).items()}
        return made

    # what is put in ---------------------------------------------------------------------------------------------------

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take in one record as ``events.jsonl`` has it. What is unknown or malformed is passed over."""
        kind, name = event.get("event"), event.get("model")
        when = _number(event.get("t"))
        with self._lock:
            self._events += 1
            self._errors += kind == "error"
            if not isinstance(name, str) or not isinstance(kind, str) or when is None:
                return
            handler = _HANDLERS.get(kind)
            if handler is not None:
                handler(self._models.setdefault(name, ModelFigures()), event, when, _whole(event.get("round")))
        if kind in ("round_final", "round_void"):
            self.round_ended.set()

    def note_model(self, name: str, values: Mapping[str, Any]) -> None:
        """Take in what a role says of a model in its status."""
        with self._lock:
            said = self._models.setdefault(name, ModelFigures()).said
            said.update({key: value for key, value in values.items() if key not in LEFT_OUT})

    def saw_block(self, number: int) -> None:
        """The newest block's number, whenever somebody asked for it."""
        with self._lock:
            if self._blocks and number < self._blocks[-1][1]:
                self._blocks.clear()  # another chain, or a reorganised one
            if not self._blocks or number > self._blocks[-1][1]:
                self._blocks.append((self._clock(), number))

    def moved(self, what: str, sent: int = 0, received: int = 0, requests: int = 0) -> None:
        """Count bytes of ``content`` (put on IPFS, got from it) or ``chain`` (JSON-RPC bodies)."""
        with self._lock:
            self._requests += requests
            traffic = self._traffic[what]
            traffic.sent += sent
            traffic.received += received

    def set_sockets(self, sent: int, received: int) -> None:
        """What the sockets of the process and its children have carried so far, where that can be counted."""
        with self._lock:
            self._sockets = Traffic(sent, received)

    # what comes out ---------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """All figures as plain JSON values; counts are since the process began, times in seconds."""
        with self._lock:
            now = self._clock()
            block, block_at, pace = self._block()
            traffic: dict[str, Any] = {name: vars(moved).copy() for name, moved in self._traffic.items()}
            traffic["sockets"] = vars(self._sockets).copy() if self._sockets else None
            return {
                "t": round(now, 3),
                "uptime": round(now - self.started, 1),
                "block": block,
                "block_at": None if block_at is None else round(block_at, 3),
                "block_seconds": None if pace is None else round(pace, 3),
                "traffic": traffic,
                "chain_requests": self._requests,
                "events": self._events,
                "errors": self._errors,
                "models": {name: self._model(figures, now) for name, figures in self._models.items()},
            }

    def _block(self) -> tuple[int | None, float | None, float | None]:
        """The newest block, when it was first seen, and seconds per block."""
        if not self._blocks:
            return None, None, None
        (first_at, first), (last_at, last) = self._blocks[0], self._blocks[-1]
        return last, last_at, (last_at - first_at) / (last - first) if last > first else None

    def _model(self, figures: ModelFigures, now: float) -> dict[str, Any]:
        training = figures.training
        block, block_at, pace = self._block()
        rounds = []
        for number, (phase, end) in sorted(figures.rounds.items(), reverse=True):
            blocks, seconds = deadline(end, block, block_at, pace, now)
            rounds.append(
                {"round": number, "phase": phase, "phase_end": end, "blocks_left": blocks, "seconds_left": seconds}
            )
        return {
            **{key: value for key, value in figures.said.items() if _plain(value)},
            "rounds": rounds,
            "training": training.running,
            "train_round": training.round,
            "step": training.step,
            "steps": training.steps,
            "loss": None if training.loss is None else round(training.loss, 6),
            "heldout_loss": figures.heldout_loss,
            "tokens": training.tokens,
            "tokens_per_second": None if training.rate is None else round(training.rate, 2),
            "tokens_trained": figures.tokens_trained,
            "train_seconds": round(figures.train_seconds, 3),
            "train_began": figures.train_began,
            "training_share": _share(figures, now),
            "team_peers": figures.team_peers,
            "rounds_judged": figures.judged,
            "rounds_final": figures.final,
            "rounds_void": figures.void,
            "rounds_missed": figures.missed,
            "answers": figures.answers,
            "tokens_served": figures.tokens_served,
        }


def deadline(
    end: int | None, block: int | None, block_at: float | None, pace: float | None, now: float
) -> tuple[int | None, float | None]:
    """Blocks, and about how many seconds, until block ``end``; the block was first seen at ``block_at``."""
    if end is None or block is None:
        return None, None
    blocks = max(0, end - block)
    if pace is None or block_at is None:
        return blocks, None
    return blocks, round(max(0.0, blocks * pace - max(0.0, now - block_at)), 1)


def _share(figures: ModelFigures, now: float) -> float | None:
    """The share of wall time spent in the inner loop: as the miner says, else since its first step."""
    said = _number(figures.said.get("training_share"))
    if said is not None:
        return said
    if figures.train_began is None or not figures.train_seconds or now <= figures.train_began:
        return None
    return round(min(1.0, figures.train_seconds / (now - figures.train_began)), 4)


def _phase(figures: ModelFigures, event: Mapping[str, Any], when: float, number: int) -> None:
    phase, end = event.get("phase"), event.get("phase_end")
    if isinstance(phase, str):
        figures.rounds[number] = (phase, end if type(end) is int and phase not in ENDED else None)
        _forget_rounds(figures)


def _forget_rounds(figures: ModelFigures) -> None:
    """Keep the newest round, and the one before while it lives."""
    newest = max(figures.rounds)
    for number, (phase, _) in list(figures.rounds.items()):
        if number < newest - 1 or (number < newest and phase in ENDED):
            del figures.rounds[number]


def _train_step(figures: ModelFigures, event: Mapping[str, Any], when: float, number: int) -> None:
    training = figures.training
    loss = _number(event.get("loss"))
    training.mark(when, _whole(event.get("step")), _whole(event.get("tokens")), number)
    training.steps = _whole(event.get("steps"))
    training.loss = training.loss if loss is None else loss
    figures.train_began = when if figures.train_began is None else figures.train_began


def _trained(figures: ModelFigures, event: Mapping[str, Any], when: float, number: int) -> None:
    training = figures.training
    tokens, seconds = _whole(event.get("tokens")), _number(event.get("seconds"))
    if seconds is None and training.marks and training.round == number:
        seconds = when - training.marks[0][0]
    if seconds:
        figures.train_seconds += seconds
        training.rate = tokens / seconds
        begun = when - seconds
        figures.train_began = begun if figures.train_began is None else min(begun, figures.train_began)
    figures.tokens_trained += tokens
    loss = _number(event.get("loss_last"))
    training.loss = training.loss if loss is None else loss
    training.running = False
    training.marks.clear()


def _averaged(figures: ModelFigures, event: Mapping[str, Any], when: float, number: int) -> None:
    figures.team_peers = _whole(event.get("peers"))


def _scored(figures: ModelFigures, event: Mapping[str, Any], when: float, number: int) -> None:
    figures.judged += 1
    micro = _number(event.get("heldout_after"))
    if micro is not None:
        figures.heldout_loss = micro / MICRO


def _ended(phase: str) -> Callable[[ModelFigures, Mapping[str, Any], float, int], None]:
    def handler(figures: ModelFigures, event: Mapping[str, Any], when: float, number: int) -> None:
        figures.final += phase == "FINAL"
        figures.void += phase == "VOID"
        figures.rounds[number] = (phase, None)
        _forget_rounds(figures)
        if figures.training.round <= number:
            figures.training.running = False

    return handler


def _missed(figures: ModelFigures, event: Mapping[str, Any], when: float, number: int) -> None:
    figures.missed += 1
    figures.training.running = False


def _served(figures: ModelFigures, event: Mapping[str, Any], when: float, number: int) -> None:
    figures.answers += 1
    figures.tokens_served += _whole(event.get("tokens"))


_HANDLERS: Mapping[str, Callable[[ModelFigures, Mapping[str, Any], float, int], None]] = {
    "phase": _phase,
    "train_step": _train_step,
    "trained": _trained,
    "averaged": _averaged,
    "scored": _scored,
    "round_final": _ended("FINAL"),
    "round_void": _ended("VOID"),
    "missed": _missed,
    "served": _served,
}


def _figures(values: Mapping[str, Any]) -> ModelFigures:
    """A model's figures, from a snapshot."""
    training = Training(
        round=_whole(values.get("train_round")),
        step=_whole(values.get("step")),
        steps=_whole(values.get("steps")),
        loss=_number(values.get("loss")),
        tokens=_whole(values.get("tokens")),
        rate=_number(values.get("tokens_per_second")),
        running=values.get("training") is True,
    )
    figures = ModelFigures(
        training=training,
        tokens_trained=_whole(values.get("tokens_trained")),
        train_seconds=_number(values.get("train_seconds")) or 0.0,
        train_began=_number(values.get("train_began")),
        team_peers=values["team_peers"] if type(values.get("team_peers")) is int else None,
        heldout_loss=_number(values.get("heldout_loss")),
        judged=_whole(values.get("rounds_judged")),
        final=_whole(values.get("rounds_final")),
        void=_whole(values.get("rounds_void")),
        missed=_whole(values.get("rounds_missed")),
        answers=_whole(values.get("answers")),
        tokens_served=_whole(values.get("tokens_served")),
    )
    rounds = values.get("rounds")
    for live in reversed(rounds if isinstance(rounds, list) else []):
        _phase(figures, _table(live), 0.0, _whole(_table(live).get("round")))
    return figures


def _traffic(values: Any) -> Traffic:
    return Traffic(_whole(_table(values).get("sent")), _whole(_table(values).get("received")))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _whole(value: Any) -> int:
    """A whole number that is not negative; 0 for anything else."""
    return value if type(value) is int and value >= 0 else 0


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
