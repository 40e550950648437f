"""What the numeric core makes of fixed inputs, as hashes: the same on every machine, or an audit could not be exact.

``hashes()`` encodes, decodes, sums and steps, and hashes every result. The inputs come from SHAKE-128 and whole
numbers, not from a random generator that another numpy could change. ``tests/golden/numeric.json`` holds what is right;
:mod:`devnet.bench.exact` runs this under other numpy builds, without SIMD, and on an emulated ARM.

    python -m devnet.bench.golden            prints the hashes as JSON
    python -m devnet.bench.golden --machine  what computed them

Needs numpy and zstandard alone, so that a bare interpreter of another architecture can run it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import platform
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from client.aggregate import aggregate, clipped_weights, norm_of, outer_step, sum_segment
from client.codec import decode_codes, encode
from client.codes import Codes, DenseCodes, SparseCodes
from client.payload import HEADER
from client.recipe import Compression
from client.tensors import bf16_to_float32, float32_to_bf16

Float32 = NDArray[np.float32]

RECIPES = (
    Compression("topk2", 64, 4096),
    Compression("topk2", 40, 4096),
    Compression("topk2", 124, 4096),
    Compression("topk2", 4096, 4096),
    Compression("topk2", 16, 256),
    Compression("topk2", 32, 1024),
    Compression("topk2", 7, 100),
    Compression("topk2", 1, 1),
    Compression("int8", 4096, 4096),
    Compression("none", 256, 256),
)
SIZES = (1, 63, 4096, 4097, 70_001)
LONG = 1_310_001
"""More than one block of the encoder and one segment of the sum."""


def integers(label: str, count: int) -> NDArray[np.int64]:
    """``count`` whole numbers of 0..65535 from SHAKE-128."""
    return np.frombuffer(hashlib.shake_128(label.encode()).digest(2 * count), "<u2").astype(np.int64)


def bell(label: str, n: int, power: int = -10) -> Float32:
    """Bell-shaped values of a standard deviation near ``2**power``; every step is exact."""
    sums = integers(label, 4 * n).reshape(n, 4).sum(axis=1) - 131070
    values: Float32 = np.ldexp(sums.astype(np.float32), power - 15).astype(np.float32)
    return values


def heavy(label: str, n: int) -> Float32:
    """Values with a heavy tail: bell-shaped, times a power of two from ``2**-12`` to ``2**11`` of their own."""
    powers = (integers(label + " powers", n) % 24 - 12).astype(np.int32)
    return np.ldexp(bell(label, n), powers).astype(np.float32)


def ties(label: str, n: int) -> Float32:
    """Few different magnitudes, negative zeros among them, and whole chunks of zeros."""
    small = (integers(label, n) % 5 - 2).astype(np.float32) * np.float32(2.0**-12)
    small[integers(label + " signs", n) % 7 == 0] = np.float32(-0.0)
    small[n // 3 : n // 2] = 0
    return small


def extreme(label: str, n: int) -> Float32:
    """From denormals to the largest float: what saturates or vanishes."""
    powers = (integers(label + " powers", n) % 270 - 145).astype(np.int32)
    return np.ldexp(bell(label, n, 0), powers).astype(np.float32)


MAKERS = {"bell": bell, "heavy": heavy, "ties": ties, "extreme": extreme}


def digest(*parts: NDArray[Any] | bytes | int | Sequence[int]) -> str:
    """Half a SHA-256 of arrays (little-endian), bytes and whole numbers."""
    hasher = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<")).tobytes()
        hasher.update(part if isinstance(part, bytes) else repr(part).encode())
    return hasher.hexdigest()[:32]


def coded(vector: Float32, how: Compression, residual: Float32 | None = None) -> tuple[str, Codes]:
    """A vector encoded and decoded: the hash of body, promised vector, codes and norm."""
    payload, promised = encode(vector, how.codec, how.k, how.chunk, residual)
    codes = decode_codes(payload, len(vector), how)
    body = zstandard.ZstdDecompressor().decompress(payload[HEADER.size :])  # zstd's own bytes differ by version
    assert np.array_equal(codes.to_float32(), promised), "what is read is what was promised"
    assert isinstance(codes, SparseCodes | DenseCodes)
    positions = codes.positions if isinstance(codes, SparseCodes) else b""
    planes = (codes.values, codes.exponents, positions, norm_of(codes))
    return digest(payload[: HEADER.size], body, promised, *planes), codes


def _codec_hashes() -> Iterator[tuple[str, str]]:
    for how in RECIPES:
        name = f"{how.codec} {how.k}/{how.chunk}"
        found = []
        for kind, make in MAKERS.items():
            for n in SIZES:
                found.append(coded(make(f"{kind} {n}", n), how)[0])
                found.append(coded(make(f"{kind} {n}", n), how, bell(f"residual {n}", n, -9))[0])
        yield f"codec {name}", digest("".join(found).encode())
    for kind in ("bell", "ties"):
        yield f"codec long {kind}", coded(MAKERS[kind](f"long {kind}", LONG), RECIPES[0], bell("long", LONG))[0]


def _round_hashes(how: Compression, n: int, rounds: int) -> Iterator[tuple[str, str]]:
    name = f"{how.codec} {how.k}/{how.chunk} of {n}"
    theta, momentum = bell(f"theta {n}", n, -5), np.zeros(n, dtype=np.float32)
    theta[:2] = np.float32(1e-42), np.float32(-0.0)
    for number in range(1, rounds + 1):
        codes = [coded(MAKERS[kind](f"{kind} {number} {n}", n), how)[1] for kind in ("bell", "heavy", "ties", "bell")]
        update = aggregate(codes, [20000, 17000, 15000, 13536], n)
        theta, momentum = outer_step(theta, momentum, update, 45875, 58982)
        yield f"round {number} {name}", digest(update, theta, momentum)


def _sum_hashes() -> Iterator[tuple[str, str]]:
    """Sums whose conversion shows whether 64 bits go to 24 in one rounding, at the bounds, and clipped."""
    chunk = 4

    def dense(values: Sequence[int], exponents: Sequence[int]) -> DenseCodes:
        return DenseCodes(len(values), chunk, np.array(exponents, np.int8), np.array(values, np.int16))

    wide = dense([1024, 1025, -1024, 32767] * 2, [0, 0])
    middle = dense([1, -1, 1, -1] * 2, [-1, -1])
    least = dense([1, 1, -1, -1] * 2, [-30, -29])
    yield "sum rounded once", digest(sum_segment([wide, middle, least], [8192, 1, 1], 0, 8))
    yield "sum at the bound", digest(aggregate([dense([32767, -32767, 32767, 1], [0])], [65536], 4))
    yield "weights clipped", digest(clipped_weights([10**40, 10**44, 0, 0, 0, 7], [30000, 30000, 1, 2, 3, 4]))


def _state_hashes() -> Iterator[tuple[str, str]]:
    values = np.concatenate([extreme("bf16", 5000), bell("bf16", 5000), ties("bf16", 5000)])
    bits = float32_to_bf16(values)
    yield "bfloat16", digest(bits, bf16_to_float32(bits))
    theta, momentum = bell("fade", 3000, -60), bell("momentum", 3000, -50)
    for _ in range(200):
        theta, momentum = outer_step(theta, momentum, np.zeros(3000, np.float32), 65536, 58982)
    yield "momentum that fades", digest(theta, momentum)


def hashes() -> dict[str, str]:
    """Every result's hash by name; about two seconds."""
    found = dict(_codec_hashes())
    for how in (RECIPES[0], RECIPES[4], RECIPES[8], RECIPES[9]):
        found |= dict(_round_hashes(how, 70_001, 3))
    found |= dict(_round_hashes(RECIPES[0], LONG, 1))
    found |= dict(_sum_hashes()) | dict(_state_hashes())
    return found


def machine() -> dict[str, Any]:
    """What computes here: architecture, numpy, and which of its processor features are in use."""
    home = "numpy._core" if hasattr(np, "_core") else "numpy.core"  # the name before numpy 2
    inner = importlib.import_module(f"{home}._multiarray_umath")
    features = [name for name in inner.__cpu_dispatch__ if inner.__cpu_features__.get(name)]
    return {
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "zstandard": zstandard.__version__,
        "features": features,
    }


if __name__ == "__main__":
    print(json.dumps(machine() if "--machine" in sys.argv else hashes(), indent=1))
