"""A delta as integers: what a payload decodes to, and the exact arithmetic on it.

A value is ``v * 2**e``: ``v`` a small integer, ``e`` the exponent of its chunk. Bounds, which the decoder enforces::

    |v| <= 32767 (16 bits, codec "none"), 127 ("int8"), 21 ("topk2")     -30 <= e <= 0
    weights of one round: whole numbers >= 0, at most 65536 = 2**16 in sum
    so |sum of weight * v * 2**(e + 30)| <= 2**16 * 2**15 * 2**30 = 2**61 < 2**63: int64 never overflows
    vectors have at most 2**32 values, so a sum of v*v of one exponent is at most 2**62
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPONENT_MIN = -30
EXPONENT_MAX = 0
WEIGHT_ONE = 65536
MAX_VALUES = 2**32
_BLOCK = 1 << 20

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Codes:
    """A decoded delta of ``n`` values in chunks of ``chunk``.

    ``values`` are int8 or int16; ``exponents`` int8, one a chunk. ``positions`` (uint32, rising) says where the values
    go in the vector; ``None`` means that every place has one.
    """

    n: int
    chunk: int
    exponents: NDArray[np.int8]
    values: NDArray[Any]
    positions: NDArray[np.uint32] | None

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take."""
        places = 0 if self.positions is None else self.positions.nbytes
        return int(self.exponents.nbytes + self.values.nbytes + places)

    def _range(self, low: int, high: int) -> tuple[slice, NDArray[Any]]:
        """Which values lie in ``low..high-1``, and the chunk of each."""
        if self.positions is None:
            return slice(low, high), np.arange(low, high, dtype=np.int64) // self.chunk
        first, last = np.searchsorted(self.positions, (low, high))
        return slice(int(first), int(last)), self.positions[first:last] // np.uint32(self.chunk)

    def add_to(self, total: Int64, low: int, weight: int) -> None:
        """``total += weight * value * 2**(e - EXPONENT_MIN)`` for the places from ``low`` on, exactly."""
        assert 0 <= weight <= WEIGHT_ONE, "weights are bounded so that int64 sums are exact"
        found, chunks = self._range(low, low + len(total))
        shifts = self.exponents.astype(np.int64) - EXPONENT_MIN
        factors = np.left_shift(np.int64(weight), shifts)
        terms = self.values[found].astype(np.int64) * factors[chunks]
        if self.positions is None:
            total += terms
        else:
            total[self.positions[found].astype(np.int64) - low] += terms

    def to_float32(self) -> Float32:
        """The vector that the codes stand for; each product is exact in float32."""
        out = np.zeros(self.n, dtype=np.float32)
        scales = np.ldexp(np.float32(1), self.exponents.astype(np.int32)).astype(np.float32)
        for low in range(0, self.n, _BLOCK):
            high = min(low + _BLOCK, self.n)
            found, chunks = self._range(low, high)
            values = self.values[found].astype(np.float32) * scales[chunks]
            if self.positions is None:
                out[low:high] = values
            else:
                out[self.positions[found]] = values
        return out

    def norm_squared(self) -> int:
        """The sum of squares in units of ``4**EXPONENT_MIN``, as an exact Python integer."""
        sums = np.zeros(len(self.exponents), dtype=np.int64)
        for low in range(0, self.n, _BLOCK * self.chunk):
            high = min(low + _BLOCK * self.chunk, self.n)
            self._add_squares(sums, low, high)
        total = 0
        for exponent in range(EXPONENT_MIN, EXPONENT_MAX + 1):
            of_exponent = int(sums[self.exponents == exponent].sum(dtype=np.int64))
            total += of_exponent << (2 * (exponent - EXPONENT_MIN))
        return total

    def _add_squares(self, sums: Int64, low: int, high: int) -> None:
        for start in range(low, high, _BLOCK):
            found, chunks = self._range(start, min(start + _BLOCK, high))
            values = self.values[found].astype(np.int64)
            if len(values) == 0:
                continue
            edges = np.flatnonzero(np.diff(chunks)) + 1
            starts = np.concatenate(([0], edges))
            sums[chunks[starts].astype(np.int64)] += np.add.reduceat(values * values, starts)
