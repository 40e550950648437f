"""Error feedback: what compression dropped from a miner's deltas is added to its next one.

The residual takes back what was late, could not be fetched, or fell into a void round, never what was refused. It
decays, and ends when the model is another (a rebase). Kept on disk; losing it costs little, so it is not synced.
"""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

DECAY = 0.9  # per round


class Fate(StrEnum):
    """What became of a delta."""

    JUDGED = "judged"  # accepted or refused: either way the network has had it
    RETURNED = "returned"  # late, not fetched, or in a void round: it comes back


class Residuals:
    """One residual vector per model, in this node's state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, model_id: int, genesis: bytes, size: int) -> Vector | None:
        """The residual to add; None where there is none, or where it belongs to another genesis (a rebase)."""
        import numpy as np

        try:
            about = json.loads(self._about(model_id).read_text())
            vector: Vector = np.load(self._path(model_id), allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):
            return None
        fits = about.get("genesis") == genesis.hex() and vector.shape == (size,) and vector.dtype == np.float32
        return vector if fits and bool(np.isfinite(vector).all()) else None

    def stage(self, model_id: int, round_number: int, dropped: Vector) -> None:
        """Keep what compression dropped from this round's delta, until its fate is known."""
        _save(self._staged(model_id, round_number), dropped)

    def settle(self, model_id: int, genesis: bytes, round_number: int, fate: Fate, sent: Vector | None) -> bool:
        """Turn what was staged into the residual, plus ``sent`` (decoded) where that comes back. False: none staged."""
        import numpy as np

        staged = self._staged(model_id, round_number)
        try:
            dropped: Vector = np.load(staged, allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):
            return False
        if fate is Fate.RETURNED and sent is not None and sent.shape == dropped.shape:
            dropped = dropped + sent
        _save(self._path(model_id), (dropped * np.float32(DECAY)).astype(np.float32))
        self._about(model_id).write_text(json.dumps({"genesis": genesis.hex(), "round": round_number}))
        for path in self.folder.glob(f"staged-{model_id}-*.npy"):
            path.unlink(missing_ok=True)
        return True

    def _path(self, model_id: int) -> Path:
        return self.folder / f"residual-{model_id}.npy"

    def _about(self, model_id: int) -> Path:
        return self.folder / f"residual-{model_id}.json"

    def _staged(self, model_id: int, round_number: int) -> Path:
        return self.folder / f"staged-{model_id}-{round_number}.npy"


def _save(path: Path, vector: Vector) -> None:
    import numpy as np

    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.save(file, vector, allow_pickle=False)
    os.replace(temporary, path)
