"""Losses per window, and what the difference of two of them is worth: means and standard errors, in nats."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from node.models.architecture import vocabulary_weight
from node.models.head_loss import place_losses
from node.models.load import LoadedModel
from node.models.run import frozen_prefix, hidden_of
from node.training.batches import IGNORED, Windows

Losses = NDArray[np.float64]
"""Negative log-likelihood summed over each window's predicted tokens, in nats."""

_BATCH_TOKENS = 1024


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error over windows, both in nats a token."""

    mean: float
    error: float

    def above(self, limit: float, z: float) -> bool:
        """Whether it exceeds ``limit`` by more than ``z`` standard errors."""
        return self.mean - limit > z * self.error

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference of two independent estimates."""
        return Estimate(self.mean - other.mean, float(np.hypot(self.error, other.error)))


@dataclass(frozen=True)
class Measured:
    """Losses of a model on some windows: sums in nats, and how many tokens each window predicts."""

    losses: Losses
    tokens: NDArray[np.int64]

    @property
    def loss(self) -> float:
        """Mean loss, in nats a token."""
        return float(self.losses.sum() / self.tokens.sum())

    def take(self, rows: NDArray[np.int64]) -> Measured:
        """Some of the windows."""
        return Measured(self.losses[rows], self.tokens[rows])


@dataclass(frozen=True)
class Text:
    """Windows to measure on, and the account that contributed each ("" or nothing at all: nobody's that is judged)."""

    windows: Windows
    owners: tuple[str, ...] = ()

    def take(self, count: int) -> Text:
        """The first ``count``."""
        return Text(self.windows.take(range(min(len(self.windows), count))), self.owners[:count])

    def of_others(self, account: str) -> NDArray[np.int64]:
        """The windows that ``account`` did not contribute."""
        owners = self.owners or ("",) * len(self.windows)
        return np.array([row for row, owner in enumerate(owners) if owner.lower() != account.lower()], dtype=np.int64)


def fall(before: Measured, after: Measured) -> Estimate:
    """How much the loss fell on the same windows: paired, each window weighted by its tokens.

    The standard error is that of a ratio over independent windows. A single window says nothing: its error is infinite.
    """
    if not len(before.tokens):
        return Estimate(0.0, float("inf"))
    tokens = before.tokens.astype(np.float64)
    differences = before.losses - after.losses
    mean = float(differences.sum() / tokens.sum())
    count = len(tokens)
    if count < 2 or not np.isfinite(mean):
        return Estimate(mean, float("inf"))
    spread = float(((differences - mean * tokens) ** 2).sum())
    return Estimate(mean, float(np.sqrt(spread * count / (count - 1)) / tokens.sum()))


@dataclass
class Bench:
    """Windows ready to be measured again and again: the frozen layers' results are kept from the first time."""

    model: LoadedModel
    windows: Windows
    judged: int = 0
    _batches: list[list[int]] = field(default_factory=list)
    _prefixes: dict[int, torch.Tensor | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = np.argsort(self.windows.lengths, kind="stable")[::-1].tolist()
        while order:
            count = max(1, _BATCH_TOKENS // int(self.windows.lengths[order[0]]))
            self._batches.append(order[:count])
            order = order[count:]

    def measure(self, rows: NDArray[np.int64] | None = None) -> Measured:
        """Losses at the model's present values; of the batches that hold ``rows`` alone, where given."""
        wanted = None if rows is None else set(rows.tolist())
        losses = np.full(len(self.windows), np.nan)
        for number, batch in enumerate(self._batches):
            if wanted is None or not wanted.isdisjoint(batch):
                losses[batch] = self._measure(number, batch)
        found = Measured(losses, self.windows.predicted)
        return found if rows is None else found.take(rows)

    def _measure(self, number: int, batch: list[int]) -> Losses:
        inputs, targets = self.windows.inputs(batch), self.windows.targets(batch)
        if number not in self._prefixes:
            self._prefixes[number] = frozen_prefix(self.model, inputs)
        self.judged += int(self.windows.predicted[batch].sum())
        with torch.no_grad():
            hidden = hidden_of(self.model, inputs, self._prefixes[number])
            return self._losses(hidden, targets)

    def _losses(self, hidden: torch.Tensor, targets: torch.Tensor) -> Losses:
        """Each window's loss in nats, from float32 sums over the vocabulary."""
        weight = vocabulary_weight(self.model.module)
        counted = targets != IGNORED
        places = place_losses(hidden[counted], weight, targets[counted]).double().numpy()
        owners = np.nonzero(counted.numpy())[0]
        return np.bincount(owners, weights=places, minlength=len(targets)).astype(np.float64)
