"""A delta as integers: what a payload decodes to, and the exact arithmetic on it.

A value is ``v * 2**e``: ``v`` a small integer, ``e`` the exponent of its chunk. Bounds, which the decoder enforces::

    |v| <= 32767 (16 bits, codec "none"), 127 ("int8"), 21 ("topk2")     -30 <= e <= 0
    weights of one round: whole numbers >= 0, at most 65536 = 2**16 in sum
    so |sum of weight * v * 2**(e + 30)| <= 2**16 * 2**15 * 2**30 = 2**61 < 2**63: int64 never overflows
    vectors have at most 2**32 values, so a sum of v*v of one exponent is at most 2**62

Sparse codes keep what is in the payload (a place of two bytes and two bits for each kept value: 1/112 of float32 at 64
of 4096); everything is computed a block of chunks at a time, in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

EXPONENT_MIN = -30
EXPONENT_MAX = 0
WEIGHT_ONE = 65536
MAX_VALUES = 2**32
ZERO_LEVEL = 16
RATIOS = (5, 6, 8, 12)
LOW = np.array([low for low in (4, 5, 6, 7) for _ in RATIOS] + [0], dtype=np.int8)
HIGH = np.array([low * ratio // 4 for low in (4, 5, 6, 7) for ratio in RATIOS] + [0], dtype=np.int8)
_FOUR = np.stack([LOW, HIGH, -LOW, -HIGH], axis=1)  # by level; a kept value's two bits say which: 2 * sign + higher
_BLOCK = 1 << 18

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


class Codes(Protocol):
    """A decoded delta."""

    @property
    def n(self) -> int:
        """How long the vector is."""

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take."""

    def add_to(self, total: Int64, low: int, weight: int) -> None:
        """``total += weight * value * 2**(e - EXPONENT_MIN)`` for the places from ``low`` on, exactly."""

    def to_float32(self) -> Float32:
        """The vector that the codes stand for; each product is exact in float32."""

    def take_from(self, vector: Float32) -> None:
        """``vector -= self`` in float32, in place: of what was to be sent, what is left for the next time."""

    def norm_squared(self) -> int:
        """The sum of squares in units of ``4**EXPONENT_MIN``, as an exact Python integer."""


@dataclass(frozen=True)
class Shape:
    """How a vector of ``n`` values falls into chunks, ``k`` values of each kept."""

    n: int
    chunk: int
    k: int

    @property
    def chunks(self) -> int:
        return -(-self.n // self.chunk)

    @property
    def last(self) -> int:
        """Values in the last chunk."""
        return self.n - (self.chunks - 1) * self.chunk

    @property
    def last_k(self) -> int:
        return -(-self.last * self.k // self.chunk)

    @property
    def kept(self) -> int:
        return (self.chunks - 1) * self.k + self.last_k

    def spans(self, low: int = 0, high: int | None = None, values: int = _BLOCK) -> Iterator[Span]:
        """Runs of about ``values`` values that cover the places ``low..high-1``; in a run all chunks keep alike.

        A last chunk that is short is a run of its own.
        """
        first, end = low // self.chunk, -(-(self.n if high is None else high) // self.chunk)
        full = min(end, self.n // self.chunk)
        step = max(1, values // self.chunk)
        for start in range(first, full, step):
            yield Span(start, min(start + step, full), self.chunk, self.k, self)
        if end > full:
            yield Span(max(first, full), end, self.last, self.last_k, self)


@dataclass(frozen=True)
class Span:
    """The chunks ``first..end-1``, each of ``width`` values of which ``k`` are kept."""

    first: int
    end: int
    width: int
    k: int
    shape: Shape

    @property
    def chunks(self) -> int:
        return self.end - self.first

    @property
    def low(self) -> int:
        """The first place in the vector."""
        return self.first * self.shape.chunk

    @property
    def high(self) -> int:
        return self.low + self.chunks * self.width

    @property
    def kept(self) -> slice:
        """Where its kept values lie among all kept values."""
        start = self.first * self.shape.k
        return slice(start, start + self.chunks * self.k)


@dataclass(frozen=True, eq=False)
class DenseCodes:
    """``n`` values, int8 or int16, in chunks of ``chunk``; ``exponents`` int8, one a chunk."""

    n: int
    chunk: int
    exponents: NDArray[np.int8]
    values: NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take."""
        return int(self.exponents.nbytes + self.values.nbytes)

    def add_to(self, total: Int64, low: int, weight: int) -> None:
        """``total += weight * value * 2**(e - EXPONENT_MIN)`` for the places from ``low`` on, exactly."""
        assert 0 <= weight <= WEIGHT_ONE, "weights are bounded so that int64 sums are exact"
        high = low + len(total)
        for span in self._shape.spans(low, high):
            start, end = max(low, span.low), min(high, span.high)
            shifts = self.exponents[span.first : span.end].astype(np.int64) - EXPONENT_MIN
            factors = np.repeat(np.left_shift(np.int64(weight), shifts), span.width)
            total[start - low : end - low] += self.values[start:end] * factors[start - span.low : end - span.low]

    def to_float32(self) -> Float32:
        """The vector that the codes stand for; each product is exact in float32."""
        out = np.empty(self.n, dtype=np.float32)
        for span in self._shape.spans():
            out[span.low : span.high] = self._floats(span)
        return out

    def take_from(self, vector: Float32) -> None:
        """``vector -= self`` in float32, in place."""
        for span in self._shape.spans():
            vector[span.low : span.high] -= self._floats(span)

    def norm_squared(self) -> int:
        """The sum of squares in units of ``4**EXPONENT_MIN``, as an exact Python integer."""
        sums = np.zeros(len(self.exponents), dtype=np.int64)
        for span in self._shape.spans():
            values = self.values[span.low : span.high].astype(np.int64).reshape(span.chunks, span.width)
            np.einsum("ij,ij->i", values, values, out=sums[span.first : span.end])
        return _by_exponent(sums, self.exponents)

    @property
    def _shape(self) -> Shape:
        return Shape(self.n, self.chunk, self.chunk)

    def _floats(self, span: Span) -> Float32:
        scales = _powers(self.exponents[span.first : span.end])[:, None]
        values = self.values[span.low : span.high].astype(np.float32).reshape(span.chunks, span.width)
        floats: Float32 = (values * scales).reshape(-1)
        return floats


@dataclass(frozen=True, eq=False)
class SparseCodes:
    """The kept values of a vector: ``shape.k`` of each chunk.

    ``levels`` (uint8) and ``exponents`` (int8): one a chunk. ``negative`` and ``higher``: a bit for each kept value,
    packed. ``places`` (uint16): where in its chunk each lies, rising.
    """

    shape: Shape
    levels: NDArray[np.uint8]
    exponents: NDArray[np.int8]
    negative: NDArray[np.uint8]
    higher: NDArray[np.uint8]
    places: NDArray[np.uint16]

    @property
    def n(self) -> int:
        """How long the vector is."""
        return self.shape.n

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take."""
        parts = (self.levels, self.exponents, self.negative, self.higher, self.places)
        return sum(int(part.nbytes) for part in parts)

    @property
    def positions(self) -> NDArray[np.uint32]:
        """Where in the vector each kept value lies (not kept in memory)."""
        parts = [self._positions(span, 0).astype(np.uint32) for span in self.shape.spans()]
        return np.concatenate(parts, axis=None)

    @property
    def values(self) -> NDArray[np.int8]:
        """Each kept value's integer (not kept in memory)."""
        parts = [_FOUR[self.levels[span.first : span.end]].take(self._which(span)) for span in self.shape.spans()]
        return np.concatenate(parts, axis=None)

    def add_to(self, total: Int64, low: int, weight: int) -> None:
        """``total += weight * value * 2**(e - EXPONENT_MIN)`` for the places from ``low`` on, exactly."""
        assert 0 <= weight <= WEIGHT_ONE, "weights are bounded so that int64 sums are exact"
        high = low + len(total)
        for span in self.shape.spans(low, high):
            shifts = self.exponents[span.first : span.end].astype(np.int64) - EXPONENT_MIN
            factors = np.left_shift(np.int64(weight), shifts)
            terms = (_FOUR[self.levels[span.first : span.end]] * factors[:, None]).take(self._which(span))
            positions = self._positions(span, low)
            if span.low < low or span.high > high:
                inside = (positions >= 0) & (positions < len(total))
                positions, terms = positions[inside], terms[inside]
            total[positions] += terms

    def to_float32(self) -> Float32:
        """The vector that the codes stand for; each product is exact in float32."""
        out = np.zeros(self.n, dtype=np.float32)
        for span in self.shape.spans():
            out[self._positions(span, 0)] = self._floats(span)
        return out

    def take_from(self, vector: Float32) -> None:
        """``vector -= self`` in float32, in place."""
        for span in self.shape.spans():
            vector[self._positions(span, 0)] -= self._floats(span)

    def norm_squared(self) -> int:
        """The sum of squares in units of ``4**EXPONENT_MIN``, as an exact Python integer."""
        sums = np.zeros(self.shape.chunks, dtype=np.int64)
        squares = _FOUR[:, :2].astype(np.int64) ** 2
        for span in self.shape.spans():
            higher = np.count_nonzero(_bits(self.higher, span).reshape(span.chunks, span.k), axis=1)
            low, high = squares[self.levels[span.first : span.end]].T
            sums[span.first : span.end] = (span.k - higher) * low + higher * high
        return _by_exponent(sums, self.exponents)

    def _which(self, span: Span) -> NDArray[np.intp]:
        """For each kept value, its place in the span's table of four values a chunk."""
        bits = 2 * _bits(self.negative, span) + _bits(self.higher, span)
        return bits.reshape(span.chunks, span.k) + 4 * np.arange(span.chunks, dtype=np.intp)[:, None]

    def _positions(self, span: Span, low: int) -> Int64:
        starts = np.arange(span.chunks, dtype=np.int64) * self.shape.chunk + (span.low - low)
        return self.places[span.kept].reshape(span.chunks, span.k) + starts[:, None]

    def _floats(self, span: Span) -> Float32:
        table = _FOUR[self.levels[span.first : span.end]] * _powers(self.exponents[span.first : span.end])[:, None]
        return table.take(self._which(span))


def _bits(packed: NDArray[np.uint8], span: Span) -> NDArray[np.uint8]:
    """A span's bits, one a byte."""
    start, end = span.kept.start, span.kept.stop
    return np.unpackbits(packed[start // 8 : -(-end // 8)])[start % 8 : start % 8 + end - start]


def _powers(exponents: NDArray[np.int8]) -> Float32:
    """``2**exponent`` as float32."""
    return ((exponents.astype(np.int32) + 127) << 23).view(np.float32)


def _by_exponent(sums: Int64, exponents: NDArray[np.int8]) -> int:
    """Sums of squares, one a chunk, as one number in units of ``4**EXPONENT_MIN``."""
    total = 0
    for exponent in range(EXPONENT_MIN, EXPONENT_MAX + 1):
        total += int(sums[exponents == exponent].sum(dtype=np.int64)) << (2 * (exponent - EXPONENT_MIN))
    return total
