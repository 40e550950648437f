"""A smaller model from a larger one of the same tree: some of its layers, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from client.errors import ConfigError

_LAYER = re.compile(r"^(model\.layers\.)(\d+)(\..+)$")


def student_config(parent: Mapping[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    """The parent's config with the ``kept`` layers alone (rising numbers of the parent's)."""
    of = int(parent["num_hidden_layers"])
    if not kept or list(kept) != sorted(set(kept)) or kept[0] < 0 or kept[-1] >= of:
        raise ConfigError(f"a student keeps some of its parent's layers 0 to {of - 1}, in order; not {list(kept)}")
    return {**parent, "num_hidden_layers": len(kept)}


def student_weights(parent: Mapping[str, torch.Tensor], kept: Sequence[int]) -> dict[str, torch.Tensor]:
    """The kept layers renumbered, and everything that is not in a layer, unchanged."""
    place = {layer: index for index, layer in enumerate(kept)}
    found: dict[str, torch.Tensor] = {}
    for name, values in parent.items():
        match = _LAYER.match(name)
        if match is None:
            found[name] = values
        elif int(match[2]) in place:
            found[f"{match[1]}{place[int(match[2])]}{match[3]}"] = values
    return dict(sorted(found.items()))


def layer_of(name: str) -> int:
    """The number of the layer that a tensor belongs to; -1 for one outside of layers."""
    match = _LAYER.match(name)
    return int(match[2]) if match else -1
