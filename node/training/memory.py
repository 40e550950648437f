"""The inner optimizer's state between rounds, on this miner's disk: one safetensors file per model.

Losing it costs a few steps of warming up, so it is not synced, and what does not fit is dropped without a word: another
genesis, another number of values, a file that was cut off, numbers that are not finite.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

Vector = NDArray[np.float32]

MAX_HEADER_BYTES = 4096
MAX_STEPS = 2**24  # beyond it a float32 counter stands still


@dataclass(frozen=True)
class InnerState:
    """``first`` (mean of gradients) and ``second`` (of squares; zero where Muon steps), after ``steps`` steps.

    Float32, in the order of the model's vector.
    """

    steps: int
    first: Vector
    second: Vector


class InnerStates:
    """States by model, in a folder of this node's. ``n`` values take ``8 n`` bytes and a short header."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, model_id: int, genesis: bytes, size: int) -> InnerState | None:
        """The state that was kept for this genesis; None where there is none that fits."""
        path = self._path(model_id)
        try:
            if not 8 * size <= path.stat().st_size <= 8 * size + MAX_HEADER_BYTES:
                return None
            with safe_open(path, framework="numpy") as file:
                about = file.metadata() or {}
                if about.get("genesis") != genesis.hex() or set(file.keys()) != {"first", "second"}:
                    return None
                found = InnerState(int(about.get("steps", "-1")), file.get_tensor("first"), file.get_tensor("second"))
        except (OSError, SafetensorError, ValueError):
            return None
        return found if _fits(found, size) else None

    def save(self, model_id: int, genesis: bytes, state: InnerState) -> None:
        """Keep a state in place of the one before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(model_id)
        temporary = path.with_suffix(".tmp")
        about = {"genesis": genesis.hex(), "steps": str(min(state.steps, MAX_STEPS))}
        save_file({"first": state.first, "second": state.second}, temporary, about)
        os.replace(temporary, path)

    def _path(self, model_id: int) -> Path:
        return self._folder / f"inner-{model_id}.safetensors"


def _fits(state: InnerState, size: int) -> bool:
    vectors = (state.first, state.second)
    shaped = all(vector.shape == (size,) and vector.dtype == np.float32 for vector in vectors)
    finite = shaped and all(bool(np.isfinite(vector).all()) for vector in vectors)
    return finite and 0 <= state.steps <= MAX_STEPS and float(state.second.min(initial=0.0)) >= 0.0
