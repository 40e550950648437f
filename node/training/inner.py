"""The inner loop: H local AdamW steps from the head. What comes out is the delta, new minus old."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from client.errors import DeltaError
from client.manifests import Inner
from node.models.load import LoadedModel
from node.models.run import frozen_prefix, hidden_of
from node.training.batches import Windows, rows_for
from node.training.memory import InnerState
from node.training.objectives import Objective, Train
from node.training.optimizer import InnerOptimizer

_MAX_CACHED_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class InnerSettings:
    """The inner loop's settings. ``lr`` is the peak rate; ``clip`` bounds the gradient's norm; ``warmup`` counts steps.

    A step's gradient is the mean over ``batch * accumulate`` windows, ``batch`` at a time in memory. ``horizon`` is the
    steps of all rounds over which the rate rises and falls, of which ``done`` lie behind; 0: each round for itself.
    ``floor`` is the share of ``lr`` that the rate ends at.
    """

    steps: int
    batch: int
    lr: float
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.95)
    accumulate: int = 1
    optimizer: str = "adamw"
    horizon: int = 0
    done: int = 0
    floor: float = 0.1

    @classmethod
    def of(cls, inner: Inner, round_number: int = 1) -> InnerSettings:
        """From a genesis, for a round (the first is 1)."""
        return cls(
            steps=inner.steps_in(round_number),
            batch=inner.batch,
            lr=float(inner.lr),
            warmup=inner.warmup,
            weight_decay=float(inner.weight_decay),
            clip=float(inner.clip),
            accumulate=inner.accumulate,
            optimizer=inner.optimizer,
            horizon=inner.horizon,
            done=inner.steps_before(round_number),
            floor=float(inner.floor),
        )

    def rate(self, step: int) -> float:
        """The learning rate of this round's step number ``step``, from 0."""
        length = self.horizon or self.steps
        return self.lr * schedule(step + self.done if self.horizon else step, length, self.warmup, self.floor)


@dataclass(frozen=True)
class Step:
    """Where the loop is: ``step`` of ``steps`` done, the last batch's loss in nats, tokens trained so far."""

    step: int
    steps: int
    loss: float
    tokens: int


@dataclass(frozen=True)
class TrainResult:
    """``delta`` is new - old, float32. ``losses`` are per step, in nats. ``stopped``: before all steps were done.

    ``state`` is the optimizer's at the end, for the next round.
    """

    delta: NDArray[np.float32]
    tokens: int
    losses: tuple[float, ...]
    stopped: bool
    state: InnerState | None = None


def _nothing(step: int, parameters: Sequence[torch.nn.Parameter]) -> None:
    """The hook that does nothing."""


@dataclass(frozen=True)
class Hooks:
    """Called inside every inner step with its number (from 0) and the trained parameters, in the vector's order.

    ``after_backward``: their ``grad`` holds the step's whole gradient (all accumulated parts), neither clipped nor used
    yet; a team averages gradients here, in place. ``on_step``: they hold the step's result; a team may average these.
    ``on_start``: once, before the first step, with the optimizer: a team may have to give its state to a newcomer.
    """

    after_backward: Callable[[int, Sequence[torch.nn.Parameter]], None] = _nothing
    on_step: Callable[[int, Sequence[torch.nn.Parameter]], None] = _nothing
    on_start: Callable[[InnerOptimizer], None] = lambda optimizer: None


NO_HOOKS = Hooks()


@dataclass
class _Prefixes:
    """Frozen layers' results of windows that will be read again."""

    model: LoadedModel
    windows: Windows
    keep: bool
    found: dict[int, torch.Tensor] = field(default_factory=dict)
    size: int = 0

    def of(self, rows: list[int], inputs: torch.Tensor) -> torch.Tensor | None:
        """The batch's prefix, from memory where all of it is there."""
        if self.keep and all(row in self.found for row in rows):
            return torch.stack([self.found[row] for row in rows])
        prefix = frozen_prefix(self.model, inputs)
        if prefix is not None and self.keep and self.size < _MAX_CACHED_BYTES:
            for row, hidden in zip(rows, prefix, strict=True):
                self.size += 0 if row in self.found else hidden.numel() * hidden.element_size()
                self.found[row] = hidden
        return prefix


def run_inner(
    model: LoadedModel,
    windows: Windows,
    settings: InnerSettings,
    objective: Objective | None = None,
    progress: Callable[[Step], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
    hooks: Hooks = NO_HOOKS,
    state: InnerState | None = None,
) -> TrainResult:
    """Train from the model's present values; leaves the model as it was and returns the difference.

    ``should_stop`` is asked before every step: a miner passes its deadline. ``state`` is the optimizer's from the round
    before; without it the optimizer begins anew. Raises ``DeltaError`` where the result isn't finite.
    """
    start = model.get_vector()
    parameters = [parameter for _, parameter in model.trained]
    optimizer = InnerOptimizer(model, settings.optimizer, settings.betas, settings.weight_decay, state)
    batches = _Batches(model, windows, settings, objective or Train())
    losses: list[float] = []
    hooks.on_start(optimizer)
    try:
        for step in range(settings.steps):
            if should_stop():
                break
            losses.append(batches.backward(step))
            hooks.after_backward(step, parameters)
            torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
            optimizer.step(settings.rate(step))
            hooks.on_step(step, parameters)
            optimizer.clear()
            progress(Step(step + 1, settings.steps, losses[-1], batches.tokens))
        delta = model.get_vector() - start
        kept = optimizer.state()
    finally:
        optimizer.clear()
        model.set_vector(start)
    if not np.isfinite(delta).all():
        raise DeltaError("training gave values that are not finite; lower the learning rate")
    return TrainResult(delta, batches.tokens, tuple(losses), len(losses) < settings.steps, kept)


class _Batches:
    """A round's windows in steps: forward, loss, gradient."""

    def __init__(self, model: LoadedModel, windows: Windows, settings: InnerSettings, goal: Objective) -> None:
        self.tokens = 0
        self._model, self._windows, self._goal, self._parts = model, windows, goal, settings.accumulate
        even = len(set(windows.lengths.tolist())) == 1
        count = settings.steps * settings.accumulate
        self._prefixes = _Prefixes(model, windows, keep=even and count * settings.batch > len(windows))
        self._rows = rows_for(len(windows), settings.batch, count)

    def backward(self, step: int) -> float:
        """Add up the step's gradient; returns its loss in nats."""
        total = 0.0
        for _ in range(self._parts):
            rows = next(self._rows)
            inputs, targets = self._windows.inputs(rows), self._windows.targets(rows)
            hidden = hidden_of(self._model, inputs, self._prefixes.of(rows, inputs))
            loss = self._goal.loss(self._model, hidden, inputs, targets) / self._parts
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
            self.tokens += int(self._windows.predicted[rows].sum())
        return total


def schedule(step: int, steps: int, warmup: int, floor: float = 0.1) -> float:
    """The learning rate's factor: a rise over ``warmup`` steps, then half a cosine down to ``floor``, and on there."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    part = min(1.0, (step - warmup) / max(1, steps - warmup))
    return floor + 0.5 * (1.0 - floor) * (1.0 + math.cos(math.pi * part))
