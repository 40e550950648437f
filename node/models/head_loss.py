"""The loss over a large vocabulary, a few places at a time, with its gradient taken on the way.

With 49,152 tokens the logits of one batch are hundreds of megabytes, and moving them costs more than computing them.
Where the vocabulary's matrix is frozen (LoRA models, students) nothing needs them later, so each slice is used up while
it is in cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

_PLACES = 64
"""Places per slice: 64 times 49,152 float32 are 12.6 MB."""


class _FrozenHeadLoss(torch.autograd.Function):
    """Mean of ``mix * T**2 * KL(teacher || student) + (1 - mix) * cross-entropy``; differentiable in ``hidden``."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        teacher: tuple[torch.Tensor, torch.Tensor] | None,
        temperature: float,
        mix: float,
    ) -> torch.Tensor:
        """Loss in nats, float32; the gradient is kept for ``backward``."""
        gradient = torch.empty_like(hidden, dtype=torch.float32)
        total = 0.0
        for start in range(0, len(hidden), _PLACES):
            part = slice(start, start + _PLACES)
            logits = functional.linear(hidden[part].to(weight.dtype), weight).float()
            loss, towards = _cross_entropy(logits, targets[part])
            if teacher is not None and mix > 0.0:
                states, matrix = teacher
                parent = functional.linear(states[part].to(matrix.dtype), matrix).float()
                apart, pull = _divergence(logits, parent, temperature)
                loss = (1.0 - mix) * loss + mix * apart
                towards.mul_(1.0 - mix).add_(pull, alpha=mix)
            total += loss
            gradient[part] = (towards.to(weight.dtype) @ weight).float()
        ctx.save_for_backward(gradient.div_(len(hidden)).to(hidden.dtype))
        return torch.tensor(total / len(hidden))

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The kept gradient, scaled."""
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0], None, None, None, None, None


def frozen_head_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    teacher: tuple[torch.Tensor, torch.Tensor] | None = None,
    temperature: float = 1.0,
    mix: float = 0.0,
) -> torch.Tensor:
    """Mean loss of places. ``hidden`` [places, width]; ``targets`` [places]; ``teacher``: (hidden, matrix)."""
    found: torch.Tensor = _FrozenHeadLoss.apply(hidden, weight, targets, teacher, temperature, mix)  # type: ignore[no-untyped-call]
    return found


def place_losses(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss of each place in nats, float32, without gradient. ``hidden`` [places, width], ``targets`` [places]."""
    out = torch.empty(len(hidden))
    with torch.no_grad():
        for start in range(0, len(hidden), _PLACES):
            part = slice(start, start + _PLACES)
            logits = functional.linear(hidden[part].to(weight.dtype), weight).float()
            chosen = logits.gather(1, targets[part][:, None])[:, 0]
            out[part] = torch.logsumexp(logits, dim=1) - chosen
    return out


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Summed loss of a slice and its gradient in the logits."""
    probabilities = torch.softmax(logits, dim=1)
    places = torch.arange(len(targets))
    loss = (torch.logsumexp(logits, dim=1) - logits[places, targets]).sum()
    probabilities[places, targets] -= 1.0
    return float(loss), probabilities


def _divergence(logits: torch.Tensor, parent: torch.Tensor, temperature: float) -> tuple[float, torch.Tensor]:
    """Summed ``T**2 * KL(parent || student)`` of a slice and its gradient in the student's logits."""
    own = torch.log_softmax(logits / temperature, dim=1)
    wanted = torch.log_softmax(parent / temperature, dim=1)
    probabilities = wanted.exp()
    loss = temperature**2 * float((probabilities * (wanted - own)).sum())
    return loss, own.exp_().sub_(probabilities).mul_(temperature)
