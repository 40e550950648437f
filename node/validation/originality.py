"""Who copied whom, among many: one pass over a round's deltas, a small print of each, and likely pairs alone compared.

A print is the delta on a sample of places that the evaluation seed picks (all of it, up to ``SAMPLE`` values), so that
nobody knows beforehand where two deltas will be compared. A few deltas are compared each with each. Among more, those
that share a band of min-hashes of their top places are (Broder 1997; one permutation in bins: Li, Owen and Zhang 2012),
the likeliest ``NEAREST`` of them: two deltas with 0.7 of their top places in common share one in 99.6 of 100 cases, two
with 0.9 always. So the work grows with the number of deltas, not with its square.

A delta may also be a mix of several that the round before had shown. So each is compared with the nearest point in the
span of those (of the ``MIXED`` that it is most like among a few, of those that share a band among many). Honest deltas
of two rounds have little in common: the second begins where the first ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from client.assignment import SeededRng
from node.validation.scoring import Likeness, overlap, top_places

SAMPLE = 1 << 18
BLOCK = 4096
EACH_WITH_EACH = 32
BANDS = 64
ROWS = 4
NEAREST = 8
MIXED = 16

_BINS_BITS = 8
_FAR = np.uint64(0x9E3779B97F4A7C15)
assert BANDS * ROWS == 1 << _BINS_BITS, "every bin of the min-hash belongs to one row of one band"

Places = NDArray[np.int64]
Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Print:
    """What is kept of a delta: where it is not zero in the sample and its values there, its top places, its bands."""

    owner: str
    committed: int
    places: Places
    values: NDArray[np.float32]
    top: Places
    bands: Words | None

    @property
    def norm(self) -> float:
        """Euclidean, of the sample."""
        return float(np.linalg.norm(self.values.astype(np.float64)))


class Prints:
    """The prints of a round's deltas of ``n`` values; ``compared`` counts the pairs that were looked at."""

    def __init__(self, n: int, count: int, seed: bytes = b"") -> None:
        self.n = n
        self._rows = _sampled_blocks(n, seed)
        self._salt = np.uint64(SeededRng(seed, "prints").below(2**64))
        self._banded = count > EACH_WITH_EACH
        self._prints: dict[int, Print] = {}
        self.compared = 0

    def add(self, index: int, committed: int, vector: NDArray[np.float32], owner: str = "") -> None:
        """Take a delta's print; the vector is not kept. What has the same ``owner`` (if any) is not compared."""
        found = vector if self._rows is None else np.concatenate([vector[r : r + BLOCK] for r in self._rows])
        places = np.flatnonzero(found)
        top = np.sort(top_places(found))
        bands = _bands(top, self._salt) if self._banded and len(top) else None
        self._prints[index] = Print(owner, committed, places, found[places], top, bands)

    def likest(self, wanted: Sequence[int]) -> dict[int, Likeness]:
        """Of each wanted delta, the likeness to that earlier commitment which it is most like."""
        if not self._banded:
            return {index: self._nearest(index, list(self._prints)) for index in wanted if index in self._prints}
        buckets: dict[tuple[int, int], list[int]] = {}
        asked, found = set(wanted), {}
        for index in sorted(self._prints, key=lambda place: self._prints[place].committed):
            bands = self._prints[index].bands
            keys = [] if bands is None else list(enumerate(bands.tolist()))
            if index in asked:
                shared = Counter(other for key in keys for other in buckets.get(key, ()))
                found[index] = self._nearest(index, [other for other, _ in shared.most_common(NEAREST)])
            for key in keys:
                bucket = buckets.setdefault(key, [])
                if len(bucket) < NEAREST:  # the earliest are the ones that were copied
                    bucket.append(index)
        return found

    def _nearest(self, index: int, others: Sequence[int]) -> Likeness:
        own = self._prints[index]
        prints = [self._prints[other] for other in others]
        earlier = [o for o in prints if o.committed < own.committed and not (own.owner and o.owner == own.owner)]
        self.compared += len(earlier)
        likes = [_likeness(own, other) for other in earlier]
        nearest = max(likes, key=lambda like: (like.cosine, like.overlap), default=Likeness(0.0, 0.0))
        shown = [(abs(like.cosine), place) for place, like in enumerate(likes) if earlier[place].committed < 0]
        chosen = [earlier[place] for _, place in sorted(shown, reverse=True)[:MIXED]]
        return replace(nearest, mix=self._mix(own, chosen))

    def _mix(self, own: Print, others: Sequence[Print]) -> float:
        """The cosine between a delta and the nearest mix of others: 1 where it is one."""
        if len(others) < 2 or not len(own.places):
            return 0.0
        rows = np.zeros((len(others), self.n if self._rows is None else BLOCK * len(self._rows)))
        for row, other in zip(rows, others, strict=True):
            row[other.places] = other.values
        products = rows[:, own.places] @ own.values.astype(np.float64)
        shares, *_ = np.linalg.lstsq(rows @ rows.T, products, rcond=1e-9)
        norm = own.norm * float(np.linalg.norm(shares @ rows))
        return float(shares @ products) / norm if norm > 0 else 0.0


def _sampled_blocks(n: int, seed: bytes) -> list[int] | None:
    """Where the sampled blocks begin; None: all of the vector is taken."""
    if n <= SAMPLE:
        return None
    return sorted(SeededRng(seed, "places").sample(range(0, n - BLOCK + 1, BLOCK), SAMPLE // BLOCK))


def _likeness(own: Print, earlier: Print) -> Likeness:
    _, mine, theirs = np.intersect1d(own.places, earlier.places, assume_unique=True, return_indices=True)
    norm = own.norm * earlier.norm
    product = float(np.dot(own.values[mine].astype(np.float64), earlier.values[theirs].astype(np.float64)))
    return Likeness(overlap(own.top, earlier.top), product / norm if norm > 0 else 0.0)


def _bands(top: Places, salt: np.uint64) -> Words:
    """One number for each band, of the least hashes in its rows' bins; an empty bin borrows from the next full one."""
    hashes = np.sort(_mixed(top.astype(np.uint64) ^ salt))
    full, first = np.unique(hashes >> np.uint64(64 - _BINS_BITS), return_index=True)
    bins = np.arange(1 << _BINS_BITS)
    place = np.searchsorted(full.astype(np.int64), bins) % len(full)
    distance = (full.astype(np.int64)[place] - bins) % len(bins)
    rows = (hashes[first[place]] + distance.astype(np.uint64) * _FAR).reshape(BANDS, ROWS)
    found = np.zeros(BANDS, dtype=np.uint64)
    for row in rows.T:
        found = _mixed(found ^ row)
    return found


def _mixed(words: Words) -> Words:
    """SplitMix64's finaliser: every bit of the result depends on every bit of the word."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Words = words ^ (words >> np.uint64(31))
    return found
