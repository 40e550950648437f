"""Near-duplicates: MinHash signatures of word shingles, clustered by banding.

datasketch computes the signatures. Its ``MinHashLSH`` keeps some 5 kB a document in dictionaries; here the signatures
lie in a file and the bands are sorted with numpy, 256 bytes a document on disk and 32 in memory, so that millions fit.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PERMUTATIONS = 64
ROWS = 4  # a band: documents of Jaccard similarity s share one of 16 with probability 1 - (1 - s^4)^16
SIMILARITY = 0.5  # from which on two pieces are near-duplicates, as estimated from the signatures
SHINGLE_WORDS = 5
_SEED = 20_260_101
_WORD = re.compile(r"\w+")
_CHUNK_ROWS = 32_768


def shingles(text: str) -> NDArray[np.uint64]:
    """Hashes (32 bits) of every run of five words, in lower case; of all words where there are fewer."""
    import numpy as np

    words = np.array([zlib.crc32(word.encode()) for word in _WORD.findall(text.lower())], dtype=np.uint64)
    length = max(1, min(SHINGLE_WORDS, len(words)))
    mixed = np.zeros(max(0, len(words) - length + 1), dtype=np.uint64)
    for place in range(length):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + words[place : place + len(mixed)]
    return np.unique(mixed >> np.uint64(32))


class Clusters:
    """Which pieces belong together: near-duplicates, exact ones, pieces of one document. Named by the first."""

    def __init__(self) -> None:
        from array import array

        self._parent = array("I")

    def __len__(self) -> int:
        return len(self._parent)

    def add(self) -> int:
        """A new piece, alone for now; returns its number."""
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def root(self, piece: int) -> int:
        """The smallest number in the cluster of ``piece``."""
        parent = self._parent
        while parent[piece] != piece:
            parent[piece] = parent[parent[piece]]
            piece = parent[piece]
        return piece

    def join(self, one: int, other: int) -> None:
        """Put both clusters into one."""
        first, second = sorted((self.root(one), self.root(other)))
        self._parent[second] = first


class Signatures:
    """MinHash signatures, written to a file as they come."""

    def __init__(self, path: Path) -> None:
        from datasketch import MinHash

        self._path = path
        self._file: IO[bytes] = path.open("wb")
        self._empty: Any = MinHash(num_perm=PERMUTATIONS, seed=_SEED, hashfunc=int)
        self.count = 0

    def add(self, text: str) -> None:
        """The signature of the next piece."""
        import numpy as np

        signature = self._empty.copy()
        found = shingles(text)
        if len(found):
            signature.update_batch(found.tolist())
        self._file.write(signature.hashvalues.astype(np.uint32).tobytes())
        self.count += 1

    def join_similar(self, clusters: Clusters) -> None:
        """Join the clusters of pieces whose signatures agree in at least half of their places."""
        import numpy as np

        self._file.close()
        if self.count < 2:
            return
        rows = np.memmap(self._path, dtype=np.uint32, mode="r", shape=(self.count, PERMUTATIONS))
        for start in range(0, PERMUTATIONS, ROWS):
            keys = _band_keys(rows, start)
            order = np.argsort(keys, kind="stable")
            same = keys[order[1:]] == keys[order[:-1]]
            group = np.concatenate([[0], np.cumsum(~same)])
            leaders = order[np.concatenate([[0], np.flatnonzero(~same) + 1])]
            followers = np.flatnonzero(np.concatenate([[False], same]))
            _join_followers(rows, order[followers], leaders[group[followers]], clusters)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _band_keys(rows: NDArray[np.uint32], start: int) -> NDArray[np.uint64]:
    import numpy as np

    keys = np.zeros(len(rows), dtype=np.uint64)
    for at in range(0, len(rows), _CHUNK_ROWS):
        part = rows[at : at + _CHUNK_ROWS, start : start + ROWS].astype(np.uint64)
        for place in range(ROWS):
            keys[at : at + _CHUNK_ROWS] = keys[at : at + _CHUNK_ROWS] * np.uint64(0x9E3779B97F4A7C15) + part[:, place]
    return keys


def _join_followers(
    rows: NDArray[np.uint32], pieces: NDArray[np.int64], leaders: NDArray[np.int64], clusters: Clusters
) -> None:
    for at in range(0, len(pieces), _CHUNK_ROWS):
        left, right = pieces[at : at + _CHUNK_ROWS], leaders[at : at + _CHUNK_ROWS]
        alike = (rows[left] == rows[right]).mean(axis=1) >= SIMILARITY
        for one, other in zip(left[alike].tolist(), right[alike].tolist(), strict=True):
            clusters.join(one, other)
