"""Deltas as bytes: ``encode`` here, ``decode_codes`` and the description of the format in :mod:`client.payload`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from client.codes import EXPONENT_MAX, EXPONENT_MIN, MAX_VALUES, Codes, Float32
from client.errors import DeltaError
from client.payload import (
    CODEC_NUMBERS,
    HEADER,
    HIGH,
    LOW,
    MAGIC,
    VERSION,
    ZERO_LEVEL,
    Shape,
    decode_codes,
    max_payload_bytes,
    sparse_codes,
    starts_of,
)
from client.recipe import MAX_CHUNK

__all__ = ["Codes", "decode_codes", "encode", "max_payload_bytes"]

_RATIO_EDGES = np.array([10, 13, 19])  # in eighths: 5, 6, 8 or 12 quarters, whichever is nearest
_INFINITY_BITS = 0x7F800000
_ROWS = 256
_ZSTD_LEVEL = 3

UInt32 = NDArray[np.uint32]


def encode(vector: Float32, codec: str, k: int, chunk: int, residual: Float32 | None = None) -> tuple[bytes, Float32]:
    """Compress ``vector`` (plus ``residual``); returns the payload and what a reader will decode from it.

    The caller's next residual is ``vector + residual - decoded``. ``DeltaError`` for NaN, infinity or a wrong shape.
    """
    shape = _checked_shape(vector, codec, k, chunk, residual)
    if codec == "topk2":
        codes, body = _encode_topk2(vector, residual, shape)
    else:
        codes, body = _encode_dense(vector, residual, shape, np.int8 if codec == "int8" else np.int16)
    frame = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True, threads=0).compress(body)
    header = HEADER.pack(MAGIC, VERSION, CODEC_NUMBERS[codec], chunk, shape.k, shape.n, len(body))
    return header + frame, codes.to_float32()


def _checked_shape(vector: Float32, codec: str, k: int, chunk: int, residual: Float32 | None) -> Shape:
    if codec not in CODEC_NUMBERS:
        raise DeltaError(f"unknown codec {codec!r}; known are {', '.join(CODEC_NUMBERS)}")
    if not 1 <= chunk <= MAX_CHUNK or not 1 <= k <= chunk:
        raise DeltaError(f"chunk {chunk} and k {k} must satisfy 1 <= k <= chunk <= {MAX_CHUNK}")
    for name, array in (("delta", vector), ("residual", residual)):
        if array is not None and (array.dtype != np.float32 or array.ndim != 1 or len(array) != len(vector)):
            raise DeltaError(
                f"the {name} must be a flat float32 vector of the delta's length, not {array.dtype}{list(array.shape)}"
            )
    if not 1 <= len(vector) <= MAX_VALUES:
        raise DeltaError(f"a delta of {len(vector)} values; 1 to {MAX_VALUES} are possible")
    return Shape(len(vector), chunk, k if codec == "topk2" else chunk)


def _blocks(vector: Float32, residual: Float32 | None, shape: Shape) -> Iterator[tuple[int, Float32, UInt32]]:
    """Blocks of whole chunks: first chunk, values and the bits of their magnitudes, one chunk a row.

    The short last chunk comes by itself. Temporary memory is a few megabytes, whatever the vector's length.
    """
    full = shape.n // shape.chunk
    spans = [(low, min(low + _ROWS, full)) for low in range(0, full, _ROWS)]
    if full < shape.chunks:
        spans.append((full, shape.chunks))
    for low, high in spans:
        part = slice(low * shape.chunk, min(high * shape.chunk, shape.n))
        block = np.ascontiguousarray(vector[part])
        if residual is not None:
            block = block + residual[part]
        bits = block.view(np.uint32) & np.uint32(0x7FFFFFFF)
        if bits.max() >= _INFINITY_BITS:
            raise DeltaError(f"the delta has NaN or infinity between places {part.start} and {part.stop - 1}")
        yield low, block.reshape(high - low, -1), bits.reshape(high - low, -1)


def _encode_topk2(vector: Float32, residual: Float32 | None, shape: Shape) -> tuple[Codes, bytes]:
    places = np.empty(shape.kept, dtype=np.uint16)
    negative = np.empty(shape.kept, dtype=np.bool_)
    higher = np.empty(shape.kept, dtype=np.bool_)
    levels = np.empty(shape.chunks, dtype=np.uint8)
    exponents = np.empty(shape.chunks, dtype=np.int8)
    for first, block, bits in _blocks(vector, residual, shape):
        rows, width = block.shape
        k = shape.k if width == shape.chunk else shape.last_k
        chosen = _largest(bits, k)
        kept = slice(first * shape.k, first * shape.k + rows * k)
        values = np.take_along_axis(block, chosen.astype(np.int64), axis=1)
        level, exponent, high = _fit_levels(np.abs(values))
        places[kept] = chosen.ravel()
        negative[kept] = np.signbit(values).ravel()
        higher[kept] = high.ravel()
        levels[first : first + rows], exponents[first : first + rows] = level, exponent
    body = b"".join((levels.tobytes(), exponents.tobytes(), _pack(negative), _pack(higher), _gap_bytes(places, shape)))
    return sparse_codes(shape, levels, exponents, negative, higher, places), body


def _largest(bits: UInt32, k: int) -> NDArray[np.uint16]:
    """The places of the ``k`` largest magnitudes of each row, rising.

    The low 12 bits of a magnitude make room for its place, so the keys differ and a plain partition of 32-bit
    integers, which numpy does fast and alike on every machine, finds places and magnitudes at once.
    """
    width = bits.shape[1]
    keys = (bits & np.uint32(0xFFFFF000)) | np.arange(width, dtype=np.uint32)
    if k < width:
        keys.partition(width - k, axis=1)
    places = (keys[:, width - k :] & np.uint32(0xFFF)).astype(np.uint16)
    places.sort(axis=1)
    return places


def _fit_levels(magnitudes: Float32) -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.bool_]]:
    """Per row: the level pair, its exponent, and which values take the higher level. Integers throughout."""
    top = (magnitudes.max(axis=1).view(np.uint32) >> np.uint32(23)).astype(np.int32) - 127
    scaled = np.ldexp(magnitudes, (15 - np.clip(top, -60, 60))[:, None])
    whole = np.minimum(scaled, np.float32(65535)).astype(np.int64)
    low, high = _two_means(whole)
    low = np.maximum(np.maximum(low, high // 3), 1)
    power = np.frexp(low.astype(np.float64))[1] - 1
    step = np.left_shift(np.int64(1), np.maximum(power - 2, 0))
    mantissa = np.clip((2 * low + step) // (2 * step), 4, 8)
    power = np.where(mantissa == 8, power + 1, power)
    mantissa = np.where(mantissa == 8, 4, mantissa)
    ratio = np.searchsorted(_RATIO_EDGES, 8 * high // low)
    exponent = power - 2 - 15 + top
    level = np.where(exponent < EXPONENT_MIN, ZERO_LEVEL, 4 * (mantissa - 4) + ratio)
    level = np.where(exponent > EXPONENT_MAX, ZERO_LEVEL - 1, level)
    exponent = np.clip(exponent, EXPONENT_MIN, EXPONENT_MAX)
    exponent = np.where(level == ZERO_LEVEL, EXPONENT_MIN, exponent)
    middle = LOW[level].astype(np.float32) + HIGH[level].astype(np.float32)
    middle = np.ldexp(middle, exponent - 1).astype(np.float32)
    higher = (magnitudes > middle[:, None]) & (level != ZERO_LEVEL)[:, None]
    return level.astype(np.uint8), exponent.astype(np.int8), higher


def _two_means(whole: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A lower and a higher level for each row: split at the mean, then once more midway between the two means."""
    count, total = whole.shape[1], whole.sum(axis=1)
    edge = total // count
    low = high = edge
    for _ in range(2):
        above = whole > edge[:, None]
        number = above.sum(axis=1)
        upper = np.where(above, whole, 0).sum(axis=1)
        low = (total - upper) // np.maximum(count - number, 1)
        high = np.where(number > 0, upper // np.maximum(number, 1), low)
        edge = (low + high) // 2
    return low, high


def _encode_dense(vector: Float32, residual: Float32 | None, shape: Shape, kind: type[Any]) -> tuple[Codes, bytes]:
    values = np.empty(shape.n, dtype=kind)
    exponents = np.empty(shape.chunks, dtype=np.int8)
    limit = np.iinfo(kind).max
    width_bits = 7 if kind is np.int8 else 15
    for first, block, bits in _blocks(vector, residual, shape):
        rows, width = block.shape
        top = (bits.max(axis=1) >> np.uint32(23)).astype(np.int32) - 127
        exponent = np.clip(top + 1 - width_bits, EXPONENT_MIN, EXPONENT_MAX)
        whole = np.clip(np.rint(np.ldexp(block, -exponent[:, None])), -limit, limit)
        start = first * shape.chunk
        values[start : start + rows * width] = whole.astype(kind).ravel()
        exponents[first : first + rows] = exponent
    body = exponents.tobytes() + values.astype(values.dtype.newbyteorder("<")).tobytes()
    return Codes(shape.n, shape.chunk, exponents, values, None), body


def _pack(flags: NDArray[np.bool_]) -> bytes:
    return np.packbits(flags).tobytes()


def _gap_bytes(places: NDArray[np.uint16], shape: Shape) -> bytes:
    gaps = np.empty(shape.kept, dtype=np.int32)
    gaps[1:] = places[1:].astype(np.int32) - places[:-1] - 1
    starts = starts_of(shape)
    gaps[starts] = places[starts]
    full, rest = np.divmod(gaps, 255)
    ends = np.cumsum(full + 1, dtype=np.int64)
    out = np.full(int(ends[-1]), 255, dtype=np.uint8)
    out[ends - 1] = rest
    return out.tobytes()
