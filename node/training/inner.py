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
from node.training.objectives import Objective, Train

_MAX_CACHED_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class InnerSettings:
    """The inner loop's settings. ``lr`` is AdamW's; ``clip`` bounds the gradient's norm; ``warmup`` counts steps."""

    steps: int
    batch: int
    lr: float
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.95)

    @classmethod
    def of(cls, inner: Inner) -> InnerSettings:
        """From a genesis."""
        return cls(inner.steps, inner.batch, float(inner.lr), inner.warmup, float(inner.weight_decay))


@dataclass(frozen=True)
class Step:
    """Where the loop is: ``step`` of ``steps`` done, the last batch's loss in nats, tokens trained so far."""

    step: int
    steps: int
    loss: float
    tokens: int


@dataclass(frozen=True)
class TrainResult:
    """``delta`` is new - old, float32. ``losses`` are per step, in nats. ``stopped``: before all steps were done."""

    delta: NDArray[np.float32]
    tokens: int
    losses: tuple[float, ...]
    stopped: bool


def _nothing(step: int, parameters: Sequence[torch.nn.Parameter]) -> None:
    """The hook that does nothing."""


@dataclass(frozen=True)
class Hooks:
    """Called inside every inner step with its number (from 0) and the trained parameters, in the vector's order.

    ``after_backward``: their ``grad`` holds the step's whole gradient (all accumulated parts), neither clipped nor used
    yet; a team averages gradients here, in place. ``on_step``: they hold the step's result; a team may average these.
    """

    after_backward: Callable[[int, Sequence[torch.nn.Parameter]], None] = _nothing
    on_step: Callable[[int, Sequence[torch.nn.Parameter]], None] = _nothing


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
) -> TrainResult:
    """Train from the model's present values; leaves the model as it was and returns the difference.

    ``should_stop`` is asked before every step: a miner passes its deadline. Raises ``DeltaError`` where the result
    isn't finite.
    """
    start = model.get_vector()
    goal = objective or Train()
    parameters = [parameter for _, parameter in model.trained]
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, foreach=True
    )
    even = len(set(windows.lengths.tolist())) == 1
    prefixes = _Prefixes(model, windows, keep=even and settings.steps * settings.batch > len(windows))
    losses: list[float] = []
    tokens = 0
    try:
        for step, rows in enumerate(rows_for(len(windows), settings.batch, settings.steps)):
            if should_stop():
                break
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * schedule(step, settings.steps, settings.warmup)
            inputs, targets = windows.inputs(rows), windows.targets(rows)
            loss = goal.loss(model, hidden_of(model, inputs, prefixes.of(rows, inputs)), inputs, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            hooks.after_backward(step, parameters)
            torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
            optimizer.step()
            hooks.on_step(step, parameters)
            optimizer.zero_grad(set_to_none=True)
            losses.append(float(loss.detach()))
            tokens += int(windows.predicted[rows].sum())
            progress(Step(step + 1, settings.steps, losses[-1], tokens))
        delta = model.get_vector() - start
    finally:
        optimizer.zero_grad(set_to_none=True)
        model.set_vector(start)
    if not np.isfinite(delta).all():
        raise DeltaError("training gave values that are not finite; lower the learning rate")
    return TrainResult(delta, tokens, tuple(losses), stopped=len(losses) < settings.steps)


def schedule(step: int, steps: int, warmup: int) -> float:
    """The learning rate's factor: a rise over ``warmup`` steps, then half a cosine down to a tenth."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    part = (step - warmup) / max(1, steps - warmup)
    return 0.1 + 0.45 * (1.0 + math.cos(math.pi * part))
