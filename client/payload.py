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
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from client.codes import (
    EXPONENT_MAX,
    EXPONENT_MIN,
    MAX_VALUES,
    ZERO_LEVEL,
    Codes,
    DenseCodes,
    Shape,
    Span,
    SparseCodes,
)
from client.errors import DeltaError, ManifestError
from client.recipe import Compression
from client.schema import refuse_pickle

HEADER = struct.Struct("<4sBBHH6xQQ")
MAGIC = b"STDL"
VERSION = 1
CODEC_NUMBERS = {"topk2": 1, "int8": 2, "none": 3}


def body_bounds(shape: Shape, codec: str) -> tuple[int, int]:
    """The least and greatest size of a body, in bytes."""
    if codec != "topk2":
        size = shape.chunks + shape.n * (1 if codec == "int8" else 2)
        return size, size
    least = 2 * shape.chunks + 2 * (-(-shape.kept // 8)) + shape.kept
    return least, least + shape.chunks * (shape.chunk // 255)


def max_payload_bytes(n: int, compression: Compression) -> int:
    """The most bytes that an honest payload for ``n`` values can have; the cap for fetching one."""
    body = body_bounds(Shape(n, compression.chunk, compression.k), compression.codec)[1]
    return HEADER.size + body + (body >> 8) + 1024


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
    least, most = body_bounds(shape, codec)
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
    return DenseCodes(shape.n, shape.chunk, exponents, values)


def _decode_topk2(body: bytes, shape: Shape) -> Codes:
    packed = -(-shape.kept // 8)
    levels = np.frombuffer(body, dtype=np.uint8, count=shape.chunks)
    if int(levels.max()) > ZERO_LEVEL:
        raise DeltaError(f"level pair {int(levels.max())}, outside 0..{ZERO_LEVEL}")
    exponents = _checked_exponents(np.frombuffer(body, dtype=np.int8, count=shape.chunks, offset=shape.chunks))
    negative = _plane(body, 2 * shape.chunks, packed, shape.kept)
    higher = _plane(body, 2 * shape.chunks + packed, packed, shape.kept)
    places = _places(np.frombuffer(body, dtype=np.uint8, offset=2 * (shape.chunks + packed)), shape)
    return SparseCodes(shape, levels.copy(), exponents.copy(), negative.copy(), higher.copy(), places)


def _plane(body: bytes, offset: int, size: int, count: int) -> NDArray[np.uint8]:
    """A plane of bits, still packed."""
    plane = np.frombuffer(body, dtype=np.uint8, count=size, offset=offset)
    if count % 8 and int(plane[-1]) & (0xFF >> (count % 8)):
        raise DeltaError("the padding of a bit plane is not zero")
    return plane


def _places(coded: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint16]:
    """Places within their chunks, from gaps; they rise by construction and are checked to end inside the chunk."""
    places = np.empty(shape.kept, dtype=np.uint16)
    offset = 0
    for span in shape.spans():
        longest = span.chunks * (span.k + shape.chunk // 255)
        offset += _span_places(coded[offset : offset + longest], span, places[span.kept])
    if offset != len(coded):
        raise DeltaError(f"the places name more than the {shape.kept} values that must be kept")
    return places


def _span_places(coded: NDArray[np.uint8], span: Span, out: NDArray[np.uint16]) -> int:
    """The places of a span's kept values; returns how many bytes they take."""
    ends = coded != 255
    running = np.cumsum(coded + ends.astype(np.int32), dtype=np.int32)
    rising = running[ends]
    if len(rising) < len(out):
        raise DeltaError(f"the places name {len(rising)} values where {len(out)} must be kept")
    rising = rising[: len(out)]
    rows = rising.reshape(span.chunks, span.k)
    before = np.concatenate((np.zeros(1, np.int32), rows[:-1, -1]))
    if int((rows[:, -1] - before).max()) > span.width:
        raise DeltaError("a place lies outside its chunk")
    np.subtract(rows, before[:, None] + 1, out=out.reshape(rows.shape), casting="unsafe")
    return int(np.searchsorted(running, rising[-1], side="right"))
