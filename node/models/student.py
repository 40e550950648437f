"""A smaller model from a larger one of the same tree: some of its layers, evenly spread, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from client.errors import ConfigError

_LAYER = re.compile(r"^(model\.layers\.)(\d+)(\..+)$")


def kept_layers(of: int, keep: int) -> tuple[int, ...]:
    """Which ``keep`` of ``of`` layers stay: the first, the last and evenly between, since both ends matter most."""
    if not 1 <= keep <= of:
        raise ConfigError(f"a student can keep 1 to {of} of its parent's layers, not {keep}")
    if keep == 1:
        return (0,)
    return tuple(round(index * (of - 1) / (keep - 1)) for index in range(keep))


def student_config(parent: Mapping[str, Any], keep: int) -> dict[str, Any]:
    """The parent's config with fewer layers."""
    kept_layers(int(parent["num_hidden_layers"]), keep)
    return {**parent, "num_hidden_layers": keep}


def student_weights(parent: Mapping[str, torch.Tensor], of: int, keep: int) -> dict[str, torch.Tensor]:
    """The kept layers renumbered, and everything that is not in a layer, unchanged."""
    place = {layer: index for index, layer in enumerate(kept_layers(of, keep))}
    found: dict[str, torch.Tensor] = {}
    for name, values in parent.items():
        match = _LAYER.match(name)
        if match is None:
            found[name] = values
        elif int(match[2]) in place:
            found[f"{match[1]}{place[int(match[2])]}{match[3]}"] = values
    return dict(sorted(found.items()))
