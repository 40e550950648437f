"""The form of a delta's payload, and its reader: chunked top-k with 2-bit values, int8, or 16-bit integers ("none").

A payload is a header of 32 bytes and one zstd frame, with nothing after it::

    offset  size  field (little-endian)
         0     4  magic "STDL"
         4     1  version, 1
         5     1  codec: 1 topk2, 2 int8, 3 none
         6     2  chunk: values per chunk, 1..4096
         8     2  k: values kept per chunk, 1..chunk (equal to chunk for int8 and none)
        10     6  zero
        16     8  n: length of the vector
        24     8  size of the body once decompressed

The last chunk may be short: of its ``m`` values ``ceil(m * k / chunk)`` are kept. The body of *topk2*, plane by plane
(C chunks, K kept values in all)::

    C bytes   levels: 0..15, see below; 16 means that the chunk's values are all zero
    C bytes   exponents, int8, -30..0
    K bits    sign of each kept value (1: negative), then K bits: which level (1: the higher); each padded to a byte
    rest      places: per kept value the gap to the one before it in its chunk, less one (the first: its place), as
              bytes 255 for each full 255 and then the rest (0..254)

``levels = 4 * (low - 4) + r`` gives the two magnitudes ``low`` (4..7) and ``low * (5, 6, 8, 12)[r] // 4``, times
``2**exponent``. The pair is fitted to each chunk (a two-level Lloyd step in integers): a fixed {1, 3} wastes a bit,
because the largest 64 of 4096 lie within a factor of two of each other for bell-shaped deltas, and further apart for
heavy tails. The body of *int8* and *none*: C exponents, then n values, int8 or int16.

What is stored is integers and powers of two, so no NaN or infinity can be written down. Bounds: :mod:`client.codes`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from client.codes import EXPONENT_MAX, EXPONENT_MIN, MAX_VALUES, Codes
from client.errors import DeltaError, ManifestError
from client.recipe import Compression
from client.schema import refuse_pickle

HEADER = struct.Struct("<4sBBHH6xQQ")
MAGIC = b"STDL"
VERSION = 1
CODEC_NUMBERS = {"topk2": 1, "int8": 2, "none": 3}
ZERO_LEVEL = 16
RATIOS = (5, 6, 8, 12)
LOW = np.array([low for low in (4, 5, 6, 7) for _ in RATIOS] + [0], dtype=np.int8)
HIGH = np.array([low * ratio // 4 for low in (4, 5, 6, 7) for ratio in RATIOS] + [0], dtype=np.int8)


@dataclass(frozen=True)
class Shape:
    """How a vector of ``n`` values falls into chunks."""

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

    def body_bounds(self, codec: str) -> tuple[int, int]:
        """The least and greatest size of a body, in bytes."""
        if codec != "topk2":
            size = self.chunks + self.n * (1 if codec == "int8" else 2)
            return size, size
        least = 2 * self.chunks + 2 * (-(-self.kept // 8)) + self.kept
        return least, least + self.chunks * (self.chunk // 255)


def max_payload_bytes(n: int, compression: Compression) -> int:
    """The most bytes that an honest payload for ``n`` values can have; the cap for fetching one."""
    body = Shape(n, compression.chunk, compression.k).body_bounds(compression.codec)[1]
    return HEADER.size + body + (body >> 8) + 1024


def starts_of(shape: Shape) -> NDArray[np.int64]:
    """Where each chunk's kept values begin."""
    return np.arange(shape.chunks, dtype=np.int64) * shape.k


def sparse_codes(
    shape: Shape,
    levels: NDArray[np.uint8],
    exponents: NDArray[np.int8],
    negative: NDArray[np.bool_],
    higher: NDArray[np.bool_],
    places: NDArray[Any],
) -> Codes:
    chunk_of = np.minimum(np.arange(shape.kept, dtype=np.int64) // shape.k, shape.chunks - 1)
    level = levels[chunk_of]
    values = np.where(higher, HIGH[level], LOW[level])
    values = np.where(negative, -values, values)
    positions = (chunk_of * shape.chunk + places).astype(np.uint32)
    return Codes(shape.n, shape.chunk, exponents, values, positions)


def decode_codes(payload: bytes, n: int, compression: Compression) -> Codes:
    """The integers in a payload for a vector of ``n`` values; whatever is wrong with it raises ``DeltaError``.

    Memory is bounded by ``n`` and ``compression`` alone: every size is computed from them and compared before
    anything is decompressed.
    """
    shape = Shape(n, compression.chunk, compression.k if compression.codec == "topk2" else compression.chunk)
    if not 1 <= n <= MAX_VALUES:
        raise DeltaError(f"a delta of {n} values; 1 to {MAX_VALUES} are possible")
    most = max_payload_bytes(n, compression)
    if len(payload) > most:
        raise DeltaError(f"the payload has {len(payload)} bytes, more than the {most} that {n} values can need")
    body = _decompress(payload, _check_header(payload, shape, compression.codec))
    if compression.codec == "topk2":
        return _decode_topk2(body, shape)
    return _decode_dense(body, shape, np.int8 if compression.codec == "int8" else np.int16)


def _check_header(payload: bytes, shape: Shape, codec: str) -> int:
    """Compare the header with what the model says; returns the body's size."""
    try:
        refuse_pickle(payload)
    except ManifestError as error:
        raise DeltaError(str(error)) from error
    if len(payload) < HEADER.size:
        raise DeltaError(f"the payload has {len(payload)} bytes, fewer than its header's {HEADER.size}")
    magic, version, kind, chunk, k, n, size = HEADER.unpack_from(payload)
    if magic != MAGIC:
        raise DeltaError("the payload does not start with STDL; it is no delta")
    if version != VERSION:
        raise DeltaError(f"the payload has version {version}; this program reads {VERSION}")
    if kind not in CODEC_NUMBERS.values():
        raise DeltaError(f"unknown codec number {kind}")
    if kind != CODEC_NUMBERS[codec]:
        raise DeltaError(f"the payload has codec number {kind}; this model takes {codec} ({CODEC_NUMBERS[codec]})")
    if (chunk, k) != (shape.chunk, shape.k):
        raise DeltaError(f"the payload keeps {k} of {chunk}; this model takes {shape.k} of {shape.chunk}")
    if n != shape.n:
        raise DeltaError(f"the payload is for {n} values; this model has {shape.n}")
    if payload[10:16] != bytes(6):
        raise DeltaError("the payload's reserved bytes are not zero")
    least, most = shape.body_bounds(codec)
    if not least <= size <= most:
        raise DeltaError(f"the payload declares a body of {size} bytes, outside {least}..{most}")
    return int(size)


def _decompress(payload: bytes, size: int) -> bytes:
    frame = memoryview(payload)[HEADER.size :]
    try:
        declared = zstandard.frame_content_size(frame)
        if declared != size:
            raise DeltaError(f"the zstd frame declares {declared} bytes, the header {size}")
        body = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DeltaError(f"the payload's zstd frame is damaged: {error}") from error
    if len(body) != size:
        raise DeltaError(f"the body has {len(body)} bytes, not the declared {size}")
    return body


def _checked_exponents(plane: NDArray[np.int8]) -> NDArray[np.int8]:
    low, high = int(plane.min()), int(plane.max())
    if low < EXPONENT_MIN or high > EXPONENT_MAX:
        raise DeltaError(
            f"an exponent of {low if low < EXPONENT_MIN else high}, outside {EXPONENT_MIN}..{EXPONENT_MAX}"
        )
    return plane


def _decode_dense(body: bytes, shape: Shape, kind: type[Any]) -> Codes:
    exponents = _checked_exponents(np.frombuffer(body, dtype=np.int8, count=shape.chunks))
    values = np.frombuffer(body, dtype=np.dtype(kind).newbyteorder("<"), offset=shape.chunks).astype(kind, copy=False)
    if values.min() == np.iinfo(kind).min:
        raise DeltaError(f"a value of {np.iinfo(kind).min}, which has no opposite")
    return Codes(shape.n, shape.chunk, exponents, values, None)


def _decode_topk2(body: bytes, shape: Shape) -> Codes:
    packed = -(-shape.kept // 8)
    levels = np.frombuffer(body, dtype=np.uint8, count=shape.chunks)
    if int(levels.max()) > ZERO_LEVEL:
        raise DeltaError(f"level pair {int(levels.max())}, outside 0..{ZERO_LEVEL}")
    exponents = _checked_exponents(np.frombuffer(body, dtype=np.int8, count=shape.chunks, offset=shape.chunks))
    negative = _unpack(body, 2 * shape.chunks, packed, shape.kept)
    higher = _unpack(body, 2 * shape.chunks + packed, packed, shape.kept)
    places = _places(np.frombuffer(body, dtype=np.uint8, offset=2 * (shape.chunks + packed)), shape)
    return sparse_codes(shape, levels, exponents, negative, higher, places)


def _unpack(body: bytes, offset: int, size: int, count: int) -> NDArray[np.bool_]:
    plane = np.frombuffer(body, dtype=np.uint8, count=size, offset=offset)
    if count % 8 and int(plane[-1]) & (0xFF >> (count % 8)):
        raise DeltaError("the padding of a bit plane is not zero")
    return np.unpackbits(plane, count=count).view(np.bool_)


def _places(coded: NDArray[np.uint8], shape: Shape) -> NDArray[np.int64]:
    """Places within their chunks, from gaps; they rise by construction and are checked to end inside the chunk."""
    ends = np.flatnonzero(coded != 255)
    if len(ends) != shape.kept or (len(coded) and ends[-1] != len(coded) - 1):
        raise DeltaError(f"the places name {len(ends)} values; {shape.kept} must be kept")
    steps = (np.diff(ends, prepend=-1) - 1) * 255 + coded[ends].astype(np.int64) + 1
    running = np.cumsum(steps)
    starts = starts_of(shape)
    before = running[starts] - steps[starts]
    counts = np.full(shape.chunks, shape.k, dtype=np.int64)
    counts[-1] = shape.last_k
    places: NDArray[np.int64] = running - np.repeat(before, counts) - 1
    lasts = places[starts + counts - 1]
    if int(lasts[-1]) >= shape.last or (len(lasts) > 1 and int(lasts[:-1].max()) >= shape.chunk):
        raise DeltaError("a place lies outside its chunk")
    return places
