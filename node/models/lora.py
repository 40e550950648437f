"""Adapters with A frozen at genesis and B alone trained, so that the average of deltas is the delta of the average.

For a linear layer W of the base: ``y = W x + (alpha / rank) * B (A x)``. B starts at zero, A at random with rows of
length one on average, so that A x is as large as x's entries are.
"""

from __future__ import annotations

import re

import torch
from torch import nn

from client.errors import ManifestError
from client.manifests import Lora

A_SUFFIX = ".lora_A"
B_SUFFIX = ".lora_B"
_NUMBERED = re.compile(r"\.(\d+)\.")


class LoraLinear(nn.Module):
    """A frozen linear layer with an adapter beside it. The base may carry one already: a person's on a field's."""

    def __init__(self, base: nn.Linear | LoraLinear, rank: int, alpha: int) -> None:
        super().__init__()
        self.base = base
        self.in_features: int = base.in_features
        self.out_features: int = base.out_features
        self.scale = alpha / rank
        compute: torch.dtype = base.lora_A.dtype if isinstance(base, LoraLinear) else base.weight.dtype
        self.lora_A: nn.Parameter = nn.Parameter(
            torch.zeros(rank, base.in_features, dtype=compute), requires_grad=False
        )
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank, dtype=torch.float32), requires_grad=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Base and adapter, in the type of the base's result."""
        y: torch.Tensor = self.base(x)
        low = nn.functional.linear(x.to(self.lora_A.dtype), self.lora_A)
        added = nn.functional.linear(low, (self.lora_B * self.scale).to(low.dtype))
        return y + added.to(y.dtype)


def attach(module: nn.Module, lora: Lora) -> list[str]:
    """Put adapters on the named linear layers, freeze the rest; returns the names of the B matrices, sorted."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    names = [name for name, part in module.named_modules() if _is_linear(part) and _chosen(name, lora)]
    if not names:
        raise ManifestError(f"no linear layer is called {', '.join(lora.targets)} in layers {lora.layers}")
    for name in names:
        parent, _, leaf = name.rpartition(".")
        owner = module.get_submodule(parent)
        base = owner.get_submodule(leaf)
        assert isinstance(base, nn.Linear | LoraLinear)
        setattr(owner, leaf, LoraLinear(base, lora.rank, lora.alpha))
    return sorted(name + B_SUFFIX for name in names)


def initial(module: nn.Module, lora: Lora, seed: int) -> dict[str, torch.Tensor]:
    """The genesis values of all A (random from ``seed``, in bfloat16) and B (zero, float32), by name."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, torch.Tensor] = {}
    for name, part in sorted(module.named_modules(), key=lambda item: item[0]):
        if isinstance(part, nn.Linear | LoraLinear) and _chosen(name, lora):
            a = torch.randn(lora.rank, part.in_features, generator=generator) / part.in_features**0.5
            found[name + A_SUFFIX] = a.to(torch.bfloat16)
            found[name + B_SUFFIX] = torch.zeros(part.out_features, lora.rank)
    return found


def linear_layers(module: nn.Module) -> tuple[str, ...]:
    """The distinct short names of linear layers inside numbered layers, whatever the architecture calls them."""
    names = [name for name, part in module.named_modules() if _is_linear(part)]
    return tuple(sorted({name.rpartition(".")[2] for name in names if _NUMBERED.search(name)} - {"base"}))


def _is_linear(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear | LoraLinear)


def _chosen(name: str, lora: Lora) -> bool:
    layer = _NUMBERED.search(name)
    first, last = lora.layers
    return layer is not None and first <= int(layer[1]) <= last and name.rpartition(".")[2] in lora.targets
