"""What a miner minimises: the loss on text (``TRAIN``), or the distance to the parent's predictions (``DISTIL``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from client.errors import ManifestError
from node.models.architecture import vocabulary_weight
from node.models.head_loss import frozen_head_loss
from node.models.load import LoadedModel
from node.models.run import hidden_of, to_logits
from node.training.batches import IGNORED


class Objective(Protocol):
    """A loss of the model on tokens. Float32 scalar, mean over the predicted tokens, in nats."""

    def loss(
        self, model: LoadedModel, hidden: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """``hidden`` [windows, tokens, width], before the vocabulary; ``inputs`` and ``targets`` [windows, tokens]."""


def train_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token, in nats, float32."""
    flat = logits.reshape(-1, logits.shape[-1]).float()
    return functional.cross_entropy(flat, targets.reshape(-1), ignore_index=IGNORED)


def distil_loss(
    logits: torch.Tensor, teacher: torch.Tensor, targets: torch.Tensor, temperature: float, mix: float
) -> torch.Tensor:
    """``mix`` of the divergence from the teacher at a temperature, the rest cross-entropy on the text.

    The divergence is KL(teacher || student) times the temperature squared, which keeps its gradient's size.
    """
    if logits.shape[-1] != teacher.shape[-1]:
        raise ManifestError("a student can only learn from a parent with the same vocabulary")
    wanted = targets.reshape(-1)
    counted = wanted != IGNORED
    student = logits.reshape(-1, logits.shape[-1])[counted].float()
    parent = teacher.reshape(-1, teacher.shape[-1])[counted].float()
    text = functional.cross_entropy(student, wanted[counted])
    if mix == 0.0:
        return text
    log_student = functional.log_softmax(student / temperature, dim=-1)
    log_parent = functional.log_softmax(parent / temperature, dim=-1)
    divergence = functional.kl_div(log_student, log_parent, reduction="batchmean", log_target=True)
    return mix * temperature**2 * divergence + (1.0 - mix) * text


@dataclass(frozen=True)
class Train:
    """Learn the text."""

    def loss(
        self, model: LoadedModel, hidden: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy."""
        weight = vocabulary_weight(model.module)
        if weight.requires_grad:
            return train_loss(to_logits(model, hidden), targets)
        counted = targets != IGNORED
        return frozen_head_loss(hidden[counted], weight, targets[counted])


@dataclass(frozen=True)
class Distil:
    """Learn what the parent says about the text. ``teacher`` is frozen, at its model's head."""

    teacher: LoadedModel
    temperature: float = 1.0
    mix: float = 0.5

    def loss(
        self, model: LoadedModel, hidden: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """The mix of divergence and cross-entropy."""
        with torch.no_grad():
            states = hidden_of(self.teacher, inputs)
        weight, matrix = vocabulary_weight(model.module), vocabulary_weight(self.teacher.module)
        if len(weight) != len(matrix):
            raise ManifestError("a student can only learn from a parent with the same vocabulary")
        if weight.requires_grad:
            parent = to_logits(self.teacher, states)
            return distil_loss(to_logits(model, hidden), parent, targets, self.temperature, self.mix)
        counted = targets != IGNORED
        teacher = (states[counted], matrix)
        return frozen_head_loss(hidden[counted], weight, targets[counted], teacher, self.temperature, self.mix)
