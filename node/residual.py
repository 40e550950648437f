"""Error feedback: what compression dropped from a miner's deltas is added to its next one.

What a delta's compression dropped is known when it is sealed, and enters the next delta at once, though the network
has not judged the one before it yet. What was sent comes back, later, where it was late, could not be fetched, or fell
into a void round; never what was refused. The residual decays, and ends when the model is another (a rebase).

A delta that is sealed uses the residual up and leaves another in its place; both happen in the moment in which the
journal has the delta. So ``propose`` writes the new residual down beside the old one, the journal is written, and
``adopt`` lets it count; a node that died in between asks the journal which of them does. One small JSON file says which
vector counts and whose fate is open, and is replaced in one step: nothing is ever counted twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from client.schema import load_json
from node.runtime import write_atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

_PIECE = 1 << 20
DECAY = 0.9  # per round
MAX_ABOUT_BYTES = 65_536
MAX_OPEN = 64  # rounds whose fate is awaited; the oldest are given up beyond that


class Fate(StrEnum):
    """What became of a delta."""

    JUDGED = "judged"  # accepted or refused: either way the network has had it
    RETURNED = "returned"  # late, not fetched, or in a void round: it comes back


@dataclass(frozen=True)
class _About:
    """A model's residual: its vector's file, the last round sealed, and round -> digest of deltas not settled yet."""

    genesis: str
    file: str
    last: int
    open: dict[int, str] = field(default_factory=dict)


Sealed = Callable[[int, bytes], bool]
"""Whether the journal has a delta of this round with this digest."""


class Residuals:
    """One residual vector per model, in this node's state folder. Losing it costs little, so it is not synced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, model_id: int, genesis: bytes, size: int) -> Vector | None:
        """The residual to add; None where there is none, or where it belongs to another genesis (a rebase)."""
        import numpy as np

        about = self._read(self._about(model_id))
        vector = self._vector(about)
        if about is None or vector is None:
            return None
        fits = about.genesis == genesis.hex() and vector.shape == (size,) and vector.dtype == np.float32
        return vector if fits and bool(np.isfinite(vector).all()) else None

    def propose(self, model_id: int, genesis: bytes, round_number: int, digest: bytes, dropped: Vector) -> None:
        """Write down what the residual will be once the delta of that digest is in the journal: what was dropped."""
        now = self._read(self._about(model_id))
        awaited = now.open if now is not None and now.genesis == genesis.hex() else {}
        kept = sorted(number for number in awaited if number != round_number)[1 - MAX_OPEN :]
        opened = {number: awaited[number] for number in kept} | {round_number: digest.hex()}
        name = f"residual-{model_id}-{round_number}-{digest.hex()[:8]}.npy"
        _save(self.folder / name, dropped, DECAY)
        self._write(self._proposed(model_id), _About(genesis.hex(), name, round_number, opened))

    def adopt(self, model_id: int, is_sealed: Sealed) -> None:
        """Let what was proposed count if the journal has its delta, else forget it. Asked for after each start, too."""
        proposed = self._read(self._proposed(model_id))
        if proposed is None:
            return
        if is_sealed(proposed.last, bytes.fromhex(proposed.open[proposed.last])):
            os.replace(self._proposed(model_id), self._about(model_id))
            self._tidy(model_id, proposed.file)
        else:
            self._proposed(model_id).unlink(missing_ok=True)

    def awaited(self, model_id: int) -> dict[int, bytes]:
        """Rounds whose delta was sealed and whose fate is not settled here yet: round -> digest, ascending."""
        about = self._read(self._about(model_id))
        return {number: bytes.fromhex(about.open[number]) for number in sorted(about.open)} if about else {}

    def settle(self, model_id: int, round_number: int, fate: Fate, sent: Vector | None) -> bool:
        """Note a delta's fate; ``sent`` (as decoded) is added where it comes back. False: it was not awaited."""
        import numpy as np

        about = self._read(self._about(model_id))
        if about is None or round_number not in about.open:
            return False
        left = {number: digest for number, digest in about.open.items() if number != round_number}
        vector = self._vector(about)
        changed = replace(about, open=left)
        if fate is Fate.RETURNED and sent is not None and vector is not None and sent.shape == vector.shape:
            name = f"{Path(about.file).stem}+{round_number}.npy"  # beside the present one, until the line below
            _save(self.folder / name, vector + sent * np.float32(DECAY))
            changed = replace(changed, file=name)
        self._write(self._about(model_id), changed)
        self._tidy(model_id, changed.file)
        return True

    # ---- files

    def _read(self, path: Path) -> _About | None:
        try:
            with path.open("rb") as file:
                raw = load_json(file.read(MAX_ABOUT_BYTES).decode())
            opened = {int(number): str(digest) for number, digest in raw["open"].items()}
            return _About(str(raw["genesis"]), Path(str(raw["file"])).name, int(raw["last"]), opened)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):  # none, or not of our making
            return None

    def _write(self, path: Path, about: _About) -> None:
        write_atomic(path, json.dumps(asdict(about), sort_keys=True).encode())

    def _vector(self, about: _About | None) -> Vector | None:
        import numpy as np

        if about is None:
            return None
        try:
            vector: Vector = np.load(self.folder / about.file, allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):
            return None
        return vector

    def _tidy(self, model_id: int, kept: str) -> None:
        for path in self.folder.glob(f"residual-{model_id}-*.npy"):
            if path.name != kept:
                path.unlink(missing_ok=True)

    def _about(self, model_id: int) -> Path:
        return self.folder / f"residual-{model_id}.json"

    def _proposed(self, model_id: int) -> Path:
        return self.folder / f"proposed-{model_id}.json"


def _save(path: Path, vector: Vector, factor: float = 1.0) -> None:
    """A vector times a factor, piece by piece: a copy would be as large as the model."""
    import numpy as np

    temporary, npy = path.with_suffix(".tmp"), cast(Any, np.lib.format)
    with temporary.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(vector))
        for low in range(0, len(vector), _PIECE):
            file.write((vector[low : low + _PIECE] * np.float32(factor)).data)
    os.replace(temporary, path)
