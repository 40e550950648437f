"""What a node process counts about itself: one registry, fed by what the roles say anyway, read by files and pages.

    events (train_step, trained, averaged, served, round_final, ...)  --.
    status (phase, action, training_share, ...)                       ---+--> Telemetry --> telemetry.jsonl, /metrics,
    blocks seen, bytes of chain, content and sockets                  --'                  strata node status

Nothing here touches a disk, a socket or torch, and no lock is held for longer than a few assignments, so that training
is not kept waiting. ``Telemetry`` also takes in events read back from a file: so the status of a stopped node is told.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from client.errors import StrataError
from node.figures import (
    HANDLERS,
    ModelFigures,
    Traffic,
    deadline,
    number,
    plain,
    read_figures,
    read_traffic,
    share_of,
    table,
    whole,
)

BLOCKS_KEPT = 32  # over which seconds per block are taken
LEFT_OUT = ("head", "phase_end", "round", "phase")  # of a model's status: told otherwise


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
        self._asked: dict[str, Callable[[], Any]] = {}

    @classmethod
    def resumed(cls, record: Mapping[str, Any], clock: Callable[[], float] = time.time) -> Telemetry:
        """As it was when it gave ``record`` (a snapshot read back from a file, so checked here)."""
        made = cls(clock)
        made.started = clock() - (number(record.get("uptime")) or 0.0) if record else made.started
        block, at, pace = record.get("block"), number(record.get("block_at")), number(record.get("block_seconds"))
        if type(block) is int and at is not None:
            made._blocks.extend([(at - pace, block - 1)] if pace else [])
            made._blocks.append((at, block))
        moved = table(record.get("traffic"))
        made._traffic = {name: read_traffic(moved.get(name)) for name in made._traffic}
        made._sockets = read_traffic(moved["sockets"]) if moved.get("sockets") else None
        made._requests, made._events, made._errors = (
            whole(record.get(key)) for key in ("chain_requests", "events", "errors")
        )
        told = table(record.get("told"))
        made._asked = {str(name): partial(told.get, name) for name in told}
        made._models = {str(name): read_figures(table(values)) for name, values in table(record.get("models")).items()}
        return made

    # what is put in ---------------------------------------------------------------------------------------------------

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take in one record as ``events.jsonl`` has it. What is unknown or malformed is passed over."""
        kind, name = event.get("event"), event.get("model")
        when = number(event.get("t"))
        with self._lock:
            self._events += 1
            self._errors += kind == "error"
            if not isinstance(name, str) or not isinstance(kind, str) or when is None:
                return
            handler = HANDLERS.get(kind)
            if handler is not None:
                handler(self._models.setdefault(name, ModelFigures()), event, when, whole(event.get("round")))
        if kind in ("round_final", "round_void"):
            self.round_ended.set()

    def note_model(self, name: str, values: Mapping[str, Any]) -> None:
        """Take in what a role says of a model in its status."""
        with self._lock:
            said = self._models.setdefault(name, ModelFigures()).said
            said.update({key: value for key, value in values.items() if key not in LEFT_OUT})

    def ask(self, name: str, figure: Callable[[], Any]) -> None:
        """Have ``figure`` called for each snapshot, from any thread: a JSON value, like the number of pins."""
        with self._lock:
            self._asked[name] = figure

    def saw_block(self, block: int) -> None:
        """The newest block's number, whenever somebody asked for it."""
        with self._lock:
            if self._blocks and block < self._blocks[-1][1]:
                self._blocks.clear()  # another chain, or a reorganised one
            if not self._blocks or block > self._blocks[-1][1]:
                self._blocks.append((self._clock(), block))

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
        told = {name: _told(figure) for name, figure in list(self._asked.items())}  # not under our lock
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
                "told": told,
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
        for round_, (phase, end) in sorted(figures.rounds.items(), reverse=True):
            blocks, seconds = deadline(end, block, block_at, pace, now)
            rounds.append(
                {"round": round_, "phase": phase, "phase_end": end, "blocks_left": blocks, "seconds_left": seconds}
            )
        return {
            **{key: value for key, value in figures.said.items() if plain(value)},
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
            "training_share": share_of(figures, now),
            "team_peers": figures.team_peers,
            "rounds_judged": figures.judged,
            "rounds_final": figures.final,
            "rounds_void": figures.void,
            "rounds_missed": figures.missed,
            "answers": figures.answers,
            "tokens_served": figures.tokens_served,
        }


def _told(figure: Callable[[], Any]) -> Any:
    """What is told; nothing where it can't be told just now."""
    try:
        return figure()
    except (StrataError, OSError, RuntimeError, ValueError, LookupError, AttributeError, TypeError):
        return None
