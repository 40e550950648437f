"""What is known of one model's work: figures made by the events of a node, and read back from a snapshot of them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RATE_SECONDS = 30.0  # over which tokens per second are taken
MICRO = 1_000_000  # a validator's losses are recorded in micro-nats
ENDED = ("FINAL", "VOID")


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
    marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=128))  # (when, tokens of this loop)

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


def share_of(figures: ModelFigures, now: float) -> float | None:
    """The share of wall time spent in the inner loop: as the miner says, else since its first step."""
    said = number(figures.said.get("training_share"))
    if said is not None:
        return said
    if figures.train_began is None or not figures.train_seconds or now <= figures.train_began:
        return None
    return round(min(1.0, figures.train_seconds / (now - figures.train_began)), 4)


def _phase(figures: ModelFigures, event: Mapping[str, Any], when: float, round_: int) -> None:
    phase, end = event.get("phase"), event.get("phase_end")
    if isinstance(phase, str):
        figures.rounds[round_] = (phase, end if type(end) is int and phase not in ENDED else None)
        _forget_rounds(figures)


def _forget_rounds(figures: ModelFigures) -> None:
    """Keep the newest round, and the one before while it lives."""
    newest = max(figures.rounds)
    for past, (phase, _) in list(figures.rounds.items()):
        if past < newest - 1 or (past < newest and phase in ENDED):
            del figures.rounds[past]


def _train_step(figures: ModelFigures, event: Mapping[str, Any], when: float, round_: int) -> None:
    training = figures.training
    loss = number(event.get("loss"))
    training.mark(when, whole(event.get("step")), whole(event.get("tokens")), round_)
    training.steps = whole(event.get("steps"))
    training.loss = training.loss if loss is None else loss
    figures.train_began = when if figures.train_began is None else figures.train_began


def _trained(figures: ModelFigures, event: Mapping[str, Any], when: float, round_: int) -> None:
    training = figures.training
    tokens, seconds = whole(event.get("tokens")), number(event.get("seconds"))
    if seconds is None and training.marks and training.round == round_:
        seconds = when - training.marks[0][0]
    if seconds:
        figures.train_seconds += seconds
        training.rate = tokens / seconds
        begun = when - seconds
        figures.train_began = begun if figures.train_began is None else min(begun, figures.train_began)
    figures.tokens_trained += tokens
    loss = number(event.get("loss_last"))
    training.loss = training.loss if loss is None else loss
    training.running = False
    training.marks.clear()


def _averaged(figures: ModelFigures, event: Mapping[str, Any], when: float, round_: int) -> None:
    figures.team_peers = whole(event.get("peers"))


def _scored(figures: ModelFigures, event: Mapping[str, Any], when: float, round_: int) -> None:
    figures.judged += 1
    micro = number(event.get("heldout_after"))
    if micro is not None:
        figures.heldout_loss = micro / MICRO


def _ended(phase: str) -> Callable[[ModelFigures, Mapping[str, Any], float, int], None]:
    def handler(figures: ModelFigures, event: Mapping[str, Any], when: float, round_: int) -> None:
        figures.final += phase == "FINAL"
        figures.void += phase == "VOID"
        figures.rounds[round_] = (phase, None)
        _forget_rounds(figures)
        if figures.training.round <= round_:
            figures.training.running = False

    return handler


def _missed(figures: ModelFigures, event: Mapping[str, Any], when: float, round_: int) -> None:
    figures.missed += 1
    figures.training.running = False


def _served(figures: ModelFigures, event: Mapping[str, Any], when: float, round_: int) -> None:
    figures.answers += 1
    figures.tokens_served += whole(event.get("tokens"))


HANDLERS: Mapping[str, Callable[[ModelFigures, Mapping[str, Any], float, int], None]] = {
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


def read_figures(values: Mapping[str, Any]) -> ModelFigures:
    """A model's figures, from a snapshot."""
    training = Training(
        round=whole(values.get("train_round")),
        step=whole(values.get("step")),
        steps=whole(values.get("steps")),
        loss=number(values.get("loss")),
        tokens=whole(values.get("tokens")),
        rate=number(values.get("tokens_per_second")),
        running=values.get("training") is True,
    )
    figures = ModelFigures(
        training=training,
        tokens_trained=whole(values.get("tokens_trained")),
        train_seconds=number(values.get("train_seconds")) or 0.0,
        train_began=number(values.get("train_began")),
        team_peers=values["team_peers"] if type(values.get("team_peers")) is int else None,
        heldout_loss=number(values.get("heldout_loss")),
        judged=whole(values.get("rounds_judged")),
        final=whole(values.get("rounds_final")),
        void=whole(values.get("rounds_void")),
        missed=whole(values.get("rounds_missed")),
        answers=whole(values.get("answers")),
        tokens_served=whole(values.get("tokens_served")),
    )
    rounds = values.get("rounds")
    for live in reversed(rounds if isinstance(rounds, list) else []):
        _phase(figures, table(live), 0.0, whole(table(live).get("round")))
    return figures


def read_traffic(values: Any) -> Traffic:
    """Bytes, from a snapshot."""
    return Traffic(whole(table(values).get("sent")), whole(table(values).get("received")))


def table(value: Any) -> Mapping[str, Any]:
    """A table; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: Any) -> int:
    """A whole number that is not negative; 0 for anything else."""
    return value if type(value) is int and value >= 0 else 0


def plain(value: Any) -> bool:
    """Whether JSON has it as one word."""
    return value is None or isinstance(value, str | int | float | bool)
