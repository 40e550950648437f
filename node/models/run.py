"""Running a loaded model on whole windows: hidden states, their frozen first part, logits."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch.nn import functional

from node.models.architecture import (
    can_split,
    compute_dtype,
    embed,
    final_norm,
    last_hidden,
    layer_count,
    run_layers,
    vocabulary_weight,
)
from node.models.load import LoadedModel


def mixed() -> AbstractContextManager[object]:
    """Matrix products in the number format that the processor is quick with; everything else in float32."""
    quick = compute_dtype()
    return torch.autocast("cpu", dtype=quick, enabled=quick is torch.bfloat16)


def frozen_prefix(model: LoadedModel, inputs: torch.Tensor) -> torch.Tensor | None:
    """Hidden states before the first trained layer, which no delta changes; None where the model has no such part."""
    if model.frozen_layers == 0 or not can_split(model.module):
        return None
    with torch.no_grad(), mixed():
        return run_layers(model.module, embed(model.module, inputs), 0, model.frozen_layers)


def hidden_of(model: LoadedModel, inputs: torch.Tensor, prefix: torch.Tensor | None = None) -> torch.Tensor:
    """Hidden states just before the vocabulary; from ``prefix`` on where it is given."""
    with mixed():
        if prefix is None:
            return last_hidden(model.module, inputs)
        hidden = run_layers(model.module, prefix, model.frozen_layers, layer_count(model.module))
        return final_norm(model.module, hidden)


def to_logits(model: LoadedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Scores of the vocabulary."""
    with mixed():
        weight = vocabulary_weight(model.module)
        return functional.linear(hidden.to(weight.dtype), weight)


def logits_of(model: LoadedModel, inputs: torch.Tensor, prefix: torch.Tensor | None = None) -> torch.Tensor:
    """Scores of the vocabulary at every place of whole windows."""
    return to_logits(model, hidden_of(model, inputs, prefix))
