"""All four miners of a byte model in one graph: what ``run_inner`` computes, with AdamW, in a third of the time.

Parameters of M models lie in one matrix [M, n]; a product of M matrices with M matrices is one batched product. A test
holds it equal to ``run_inner`` in float32. It is for studies of models from scratch (``node.models.nano``) alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from node.models.load import LoadedModel
from node.models.nano import NanoShape
from node.training.batches import Windows
from node.training.inner import InnerSettings

NORM_EPSILON = 1e-5
ADAM_EPSILON = 1e-8
ROPE_BASE = 10000.0

Vector = NDArray[np.float32]


class Together:
    """Trains ``count`` copies of a model, each on its own windows, each with its own optimizer state."""

    def __init__(self, model: LoadedModel, shape: NanoShape, count: int) -> None:
        self._shape, self._count = shape, count
        self._tensors = [(name, tuple(parameter.shape)) for name, parameter in model.trained]
        self._sizes = [parameter.numel() for _, parameter in model.trained]
        self._steps = 0
        self._first = torch.zeros(count, sum(self._sizes))
        self._second = torch.zeros(count, sum(self._sizes))
        head = shape.width // shape.heads
        rates = 1.0 / ROPE_BASE ** (torch.arange(0, head, 2).float() / head)
        angles = torch.outer(torch.arange(shape.context).float(), rates).repeat(1, 2)
        self._cosines, self._sines = angles.cos(), angles.sin()

    def forget(self) -> None:
        """Begin with fresh optimizers."""
        self._steps = 0
        self._first.zero_()
        self._second.zero_()

    def train(self, starts: Vector, windows: Sequence[Windows], settings: InnerSettings) -> Vector:
        """``settings.steps`` steps from ``starts`` [count, n], on windows of one length; returns new - old."""
        tokens = torch.from_numpy(np.stack([each.tokens for each in windows]))
        flat = torch.from_numpy(starts.copy()).requires_grad_(True)
        for step in range(settings.steps):
            rows = slice(step * settings.batch, (step + 1) * settings.batch)
            self._losses(flat, tokens[:, rows]).sum().backward()  # type: ignore[no-untyped-call]
            self._adamw(flat, settings, settings.rate(step))
        result: Vector = flat.detach().numpy() - starts
        return result

    @torch.no_grad()
    def _adamw(self, flat: torch.Tensor, settings: InnerSettings, rate: float) -> None:
        gradient = flat.grad
        assert gradient is not None, "backward has just run"
        norms = gradient.norm(dim=1, keepdim=True)
        gradient.mul_(torch.clamp(settings.clip / (norms + 1e-6), max=1.0))
        self._steps += 1
        low, high = settings.betas
        self._first.lerp_(gradient, 1 - low)
        self._second.mul_(high).addcmul_(gradient, gradient, value=1 - high)
        size = self._second.sqrt().div_(math.sqrt(1 - high**self._steps)).add_(ADAM_EPSILON)
        flat.mul_(1 - rate * settings.weight_decay)
        flat.addcdiv_(self._first, size, value=-rate / (1 - low**self._steps))
        flat.grad = None

    def _losses(self, flat: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of each copy; ``tokens`` [count, windows, length]."""
        parts = zip(self._tensors, torch.split(flat, self._sizes, 1), strict=True)
        own = {name: part.reshape(self._count, *shape) for (name, shape), part in parts}
        count, batch, length = tokens.shape
        embedding = own["model.embed_tokens.weight"]
        words, width = embedding.shape[1:]
        places = tokens[:, :, :-1] + torch.arange(count)[:, None, None] * words
        hidden = functional.embedding(places.reshape(-1), embedding.reshape(-1, width))
        hidden = hidden.view(count, batch * (length - 1), width)
        for layer in range(self._shape.layers):
            weights = {name.split(".", 3)[3]: own[name] for name in own if name.startswith(f"model.layers.{layer}.")}
            hidden = hidden + self._attention(_normal(hidden, weights["input_layernorm.weight"]), weights, length - 1)
            inner = _normal(hidden, weights["post_attention_layernorm.weight"])
            gate = functional.silu(_times(inner, weights["mlp.gate_proj.weight"]))
            up = _times(inner, weights["mlp.up_proj.weight"])
            hidden = hidden + _times(gate * up, weights["mlp.down_proj.weight"])
        logits = _times(_normal(hidden, own["model.norm.weight"]), embedding)
        wanted = tokens[:, :, 1:].reshape(-1)
        losses = functional.cross_entropy(logits.reshape(-1, words), wanted, reduction="none")
        return losses.view(count, -1).mean(1)

    def _attention(self, hidden: torch.Tensor, weights: Mapping[str, torch.Tensor], length: int) -> torch.Tensor:
        count, width = hidden.shape[0], hidden.shape[2]
        head = width // self._shape.heads

        def heads(name: str) -> torch.Tensor:
            return _times(hidden, weights[f"self_attn.{name}_proj.weight"]).reshape(-1, length, head_count(name), head)

        def head_count(name: str) -> int:
            return self._shape.heads if name == "q" else self._shape.heads // 2

        query, key, value = self._turned(heads("q")), self._turned(heads("k")), heads("v")
        key, value = key.repeat_interleave(2, 2), value.repeat_interleave(2, 2)
        found = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=True
        )
        return _times(found.transpose(1, 2).reshape(count, -1, width), weights["self_attn.o_proj.weight"])

    def _turned(self, values: torch.Tensor) -> torch.Tensor:
        """Rotary positions; ``values`` [windows, tokens, heads, head]."""
        length = values.shape[1]
        cosines, sines = self._cosines[None, :length, None], self._sines[None, :length, None]
        left, right = values.chunk(2, -1)
        return values * cosines + torch.cat([-right, left], -1) * sines


def _times(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.bmm(values, weight.transpose(1, 2))


def _normal(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return values * torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + NORM_EPSILON) * weight[:, None]
