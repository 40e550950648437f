"""Deltas as bytes: ``encode`` here, ``decode_codes`` and the description of the format in :mod:`client.payload`."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

from client.codes import EXPONENT_MAX, EXPONENT_MIN, MAX_VALUES, Codes, DenseCodes, Float32, Shape, Span, SparseCodes
from client.errors import DeltaError
from client.payload import CODEC_NUMBERS, HEADER, MAGIC, VERSION, decode_codes, max_payload_bytes
from client.recipe import MAX_CHUNK
from client.topk import PREFIX, fit_levels, largest

__all__ = ["Codes", "Encoder", "decode_codes", "encode", "max_payload_bytes"]

_INFINITY_BITS = 0x7F800000
_BLOCK = 1 << 16  # values looked at together: with their prefixes they stay in a processor core's own cache
_BATCH = 32  # blocks whose levels are fitted together
_ZSTD_LEVEL = 3


def encode(vector: Float32, codec: str, k: int, chunk: int, residual: Float32 | None = None) -> tuple[bytes, Float32]:
    """Compress ``vector`` (plus ``residual``); returns the payload and what a reader will decode from it.

    The caller's next residual is ``vector + residual - decoded``. ``DeltaError`` for NaN, infinity or a wrong shape.
    """
    encoder = Encoder(len(vector), codec, k, chunk)
    encoder.add(vector, residual)
    payload, codes = encoder.finish()
    return payload, codes.to_float32()


class Encoder:
    """Compresses a vector that comes in pieces, one tensor after the other, say.

    Memory beside the pieces is what is kept of them (at most 1/40 of float32 at 64 of 4096) and a few megabytes.
    To have the next residual without another vector: add the last residual to the delta in place, encode that, and
    let the codes be taken from it (``Codes.take_from``).
    """

    def __init__(self, n: int, codec: str, k: int, chunk: int) -> None:
        if codec not in CODEC_NUMBERS:
            raise DeltaError(f"unknown codec {codec!r}; known are {', '.join(CODEC_NUMBERS)}")
        if not 1 <= chunk <= MAX_CHUNK or not 1 <= k <= chunk:
            raise DeltaError(f"chunk {chunk} and k {k} must satisfy 1 <= k <= chunk <= {MAX_CHUNK}")
        if not 1 <= n <= MAX_VALUES:
            raise DeltaError(f"a delta of {n} values; 1 to {MAX_VALUES} are possible")
        self._shape = Shape(n, chunk, k if codec == "topk2" else chunk)
        self._codec = codec
        self._planes: _Planes = _Sparse(self._shape) if codec == "topk2" else _Dense(self._shape, codec)
        self._spans = self._shape.spans(values=_BLOCK)
        self._span: Span | None = next(self._spans)
        self._buffer = np.empty(max(_BLOCK, chunk), dtype=np.float32)
        self._filled = 0

    def add(self, piece: Float32, residual: Float32 | None = None) -> None:
        """The vector's next values (plus ``residual``, of the same length)."""
        for name, array in (("delta", piece), ("residual", residual)):
            if array is not None and (array.dtype != np.float32 or array.shape != (len(piece),)):
                raise DeltaError(
                    f"the {name} must be a flat float32 vector of the delta's length,"
                    f" not {array.dtype}{list(array.shape)}"
                )
        low = 0
        while low < len(piece):
            if self._span is None:
                raise DeltaError(f"more than the {self._shape.n} values that the delta was to have")
            room = self._span.high - self._span.low - self._filled
            high = min(low + room, len(piece))
            out = self._buffer[self._filled : self._filled + high - low]
            if residual is None:
                out[:] = piece[low:high]
            else:
                np.add(piece[low:high], residual[low:high], out=out)
            self._filled += high - low
            low = high
            if room == len(out):
                self._take(self._span)

    def _take(self, span: Span) -> None:
        block = self._buffer[: self._filled].reshape(span.chunks, span.width)
        prefixes = block.view(np.uint32) & PREFIX
        if prefixes.max() >= _INFINITY_BITS:
            raise DeltaError(f"the delta has NaN or infinity between places {span.low} and {span.high - 1}")
        self._planes.add(span, block, prefixes)
        self._filled, self._span = 0, next(self._spans, None)

    def finish(self) -> tuple[bytes, Codes]:
        """The payload, and what a reader decodes from it."""
        if self._span is not None:
            have = self._span.low + self._filled
            raise DeltaError(f"{have} of the {self._shape.n} values that the delta was to have")
        codes, body = self._planes.finish()
        frame = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True, threads=0).compress(body)
        shape = self._shape
        number = CODEC_NUMBERS[self._codec]
        return HEADER.pack(MAGIC, VERSION, number, shape.chunk, shape.k, shape.n, len(body)) + frame, codes


class _Planes(Protocol):
    """What one codec makes of blocks of whole chunks; ``prefixes`` are the values' bits & ``PREFIX``."""

    def add(self, span: Span, block: Float32, prefixes: NDArray[np.uint32]) -> None: ...

    def finish(self) -> tuple[Codes, bytes]: ...


class _Sparse:
    """Codec *topk2*."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._places = np.empty(shape.kept, dtype=np.uint16)
        self._negative = np.empty(shape.kept, dtype=np.bool_)
        self._higher = np.empty(shape.kept, dtype=np.bool_)
        self._levels = np.empty(shape.chunks, dtype=np.uint8)
        self._exponents = np.empty(shape.chunks, dtype=np.int8)
        self._waiting: list[tuple[Span, Float32]] = []

    def add(self, span: Span, block: Float32, prefixes: NDArray[np.uint32]) -> None:
        if self._waiting and (self._waiting[0][0].k != span.k or len(self._waiting) == _BATCH):
            self._fit()
        chosen = largest(prefixes, span.k)
        self._places[span.kept] = chosen.reshape(-1)
        starts = np.arange(span.chunks, dtype=np.int64) * span.width
        self._waiting.append((span, block.reshape(-1)[chosen + starts[:, None]]))

    def _fit(self) -> None:
        first, last = self._waiting[0][0], self._waiting[-1][0]
        chunks, kept = slice(first.first, last.end), slice(first.kept.start, last.kept.stop)
        values = np.concatenate([values for _, values in self._waiting])
        self._levels[chunks], self._exponents[chunks], higher = fit_levels(np.abs(values))
        self._negative[kept] = np.signbit(values).reshape(-1)
        self._higher[kept] = higher.reshape(-1)
        self._waiting.clear()

    def finish(self) -> tuple[Codes, bytes]:
        self._fit()
        negative, higher = np.packbits(self._negative), np.packbits(self._higher)
        codes = SparseCodes(self._shape, self._levels, self._exponents, negative, higher, self._places)
        gaps = [_gap_bytes(self._places[span.kept].reshape(span.chunks, span.k)) for span in self._shape.spans()]
        planes = (self._levels, self._exponents, negative, higher)
        return codes, b"".join((*(plane.tobytes() for plane in planes), *gaps))


class _Dense:
    """Codecs *int8* and *none*."""

    def __init__(self, shape: Shape, codec: str) -> None:
        kind: Any = np.dtype(np.int8 if codec == "int8" else np.int16)
        self._shape = shape
        self._limit, self._bits = np.iinfo(kind).max, 8 * kind.itemsize - 1
        self._values = np.empty(shape.n, dtype=kind)
        self._exponents = np.empty(shape.chunks, dtype=np.int8)

    def add(self, span: Span, block: Float32, prefixes: NDArray[np.uint32]) -> None:
        top = (prefixes.max(axis=1) >> np.uint32(23)).astype(np.int32) - 127
        exponent = np.clip(top + 1 - self._bits, EXPONENT_MIN, EXPONENT_MAX)
        scale = ((127 - exponent) << 23).view(np.float32)[:, None]
        with np.errstate(over="ignore", under="ignore"):
            whole = np.clip(np.rint(block * scale), -self._limit, self._limit)
        self._values[span.low : span.high] = whole.reshape(-1)
        self._exponents[span.first : span.end] = exponent

    def finish(self) -> tuple[Codes, bytes]:
        little = self._values.astype(self._values.dtype.newbyteorder("<"), copy=False)
        body = b"".join((self._exponents.tobytes(), little.data))
        return DenseCodes(self._shape.n, self._shape.chunk, self._exponents, self._values), body


def _gap_bytes(places: NDArray[np.uint16]) -> bytes:
    """A run of chunks' places as gaps: bytes 255 for each full 255, then the rest."""
    gaps = np.empty(places.shape, dtype=np.uint16)
    gaps[:, 0] = places[:, 0]
    np.subtract(places[:, 1:], places[:, :-1], out=gaps[:, 1:])
    gaps[:, 1:] -= 1
    flat = gaps.reshape(-1)
    full = flat // np.uint16(255)
    ends = np.cumsum(full, dtype=np.int64) + np.arange(len(flat))
    out = np.full(int(ends[-1]) + 1, 255, dtype=np.uint8)
    out[ends] = flat - full * np.uint16(255)
    return out.tobytes()
