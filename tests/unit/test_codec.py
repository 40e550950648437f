"""Deltas as bytes: what comes back is what was promised, and nothing but DeltaError comes out of spoiled bytes."""

from __future__ import annotations

import hashlib
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from client.codec import Codes, Encoder, decode_codes, encode, max_payload_bytes
from client.codes import EXPONENT_MAX, EXPONENT_MIN, DenseCodes, SparseCodes
from client.errors import DeltaError
from client.recipe import Compression

TOPK = Compression("topk2", 64, 4096)


def _vector(n: int, seed: int = 0, scale: float = 1e-3) -> np.ndarray:
    """Bell-shaped values made from SHA-256 alone, so that golden hashes don't hang on numpy's generator."""
    words = np.frombuffer(b"".join(hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(n // 4 + 1)), "<u2")
    return ((words.astype(np.int64).reshape(-1, 4).sum(axis=1) - 131070)[:n] / 32768.0 * scale).astype(np.float32)


def _spoil(payload: bytes, body: bytes) -> bytes:
    """The payload with another body of the same declared size."""
    return payload[:32] + zstandard.ZstdCompressor(level=3).compress(body)


def _body(payload: bytes) -> bytearray:
    return bytearray(zstandard.ZstdDecompressor().decompress(payload[32:]))


@pytest.mark.parametrize(("codec", "k"), [("topk2", 64), ("int8", 4096), ("none", 4096)])
@pytest.mark.parametrize("n", [1, 63, 4096, 4097, 20_000])
def test_encode_when_decoded_then_gives_the_promised_vector(codec: str, k: int, n: int) -> None:
    vector = _vector(n)
    payload, decoded = encode(vector, codec, k, 4096)
    codes = decode_codes(payload, n, Compression(codec, k, 4096))
    assert np.array_equal(codes.to_float32(), decoded)
    assert len(payload) <= max_payload_bytes(n, Compression(codec, k, 4096))
    assert codes.norm_squared() == sum(int(v * 2**30) ** 2 for v in decoded.astype(np.float64))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 3000),
    chunk=st.integers(1, 300),
    share=st.integers(1, 64),
    seed=st.integers(0, 2**32),
    power=st.integers(-40, 10),
    codec=st.sampled_from(["topk2", "int8", "none"]),
)
def test_encode_of_a_decoded_vector_when_repeated_then_decodes_alike(
    n: int, chunk: int, share: int, seed: int, power: int, codec: str
) -> None:
    k = max(1, chunk * share // 64) if codec == "topk2" else chunk
    vector = (np.random.default_rng(seed).standard_t(2, n) * 2.0**power).astype(np.float32)
    payload, decoded = encode(vector, codec, k, chunk)
    codes = decode_codes(payload, n, Compression(codec, k, chunk))
    assert np.array_equal(codes.to_float32(), decoded)
    again, same = encode(decoded, codec, k, chunk)
    if codec != "topk2":
        assert np.array_equal(same, decoded) and again == payload
    assert np.isfinite(decoded).all()


def test_topk2_when_given_bell_shaped_values_then_keeps_the_largest_within_a_percent() -> None:
    vector = _vector(40_960)
    payload, decoded = encode(vector, "topk2", 64, 4096)
    kept = decoded.reshape(-1, 4096) != 0
    assert (kept.sum(axis=1) == 64).all()
    magnitudes = np.abs(vector).reshape(-1, 4096)
    assert (np.where(kept, magnitudes, np.inf).min(axis=1) >= np.where(kept, 0, magnitudes).max(axis=1) * 0.999).all()
    error = ((vector - decoded)[kept.ravel()] ** 2).sum() / (vector[kept.ravel()] ** 2).sum()
    assert error < 0.01
    assert vector.nbytes / len(payload) > 180  # header and tables weigh on so short a vector; 1/217 on a model


def test_residual_when_fed_back_then_sums_to_the_whole() -> None:
    vector = _vector(8192)
    residual = np.zeros_like(vector)
    total = np.zeros_like(vector)
    for _ in range(200):
        _, decoded = encode(vector, "topk2", 64, 4096, residual)
        residual = vector + residual - decoded
        total += decoded
    assert np.linalg.norm(total / 200 - vector) < 0.35 * np.linalg.norm(vector)
    assert np.linalg.norm(encode(vector, "topk2", 64, 4096)[1] - vector) > 0.9 * np.linalg.norm(vector)


def test_encode_when_seed_fixed_then_bytes_are_golden() -> None:
    digests = {}
    for codec, k in (("topk2", 64), ("int8", 4096), ("none", 4096)):
        payload, decoded = encode(_vector(10_000, 7), codec, k, 4096)
        digests[codec] = hashlib.sha256(bytes(_body(payload)) + decoded.tobytes()).hexdigest()[:32]
    assert digests == GOLDEN


GOLDEN = {
    "topk2": "e4c1139c90f5d9f443f4af1e0e8a1a00",
    "int8": "d006766f192ab3f10dc30c1aa03436d3",
    "none": "3e63af7daf133247c7258ff7a925b847",
}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("codec", ["topk2", "int8", "none"])
def test_encode_when_not_finite_then_refuses(bad: float, codec: str) -> None:
    vector = _vector(5000)
    vector[4999] = bad
    with pytest.raises(DeltaError, match="NaN or infinity between places"):
        encode(vector, codec, 64 if codec == "topk2" else 4096, 4096)


def test_encode_when_extreme_then_saturates_or_vanishes() -> None:
    _, huge = encode(np.full(10, 1e30, np.float32), "topk2", 64, 4096)
    assert huge.max() == 21.0
    _, tiny = encode(np.full(10, 1e-30, np.float32), "topk2", 64, 4096)
    assert not tiny.any()
    _, zero = encode(np.zeros(5000, np.float32), "topk2", 64, 4096)
    assert not zero.any()


def test_encode_when_misused_then_says_how() -> None:
    vector = _vector(10)
    with pytest.raises(DeltaError, match="unknown codec"):
        encode(vector, "gzip", 1, 1)
    with pytest.raises(DeltaError, match="flat float32"):
        encode(vector.astype(np.float64), "topk2", 1, 4)
    with pytest.raises(DeltaError, match="residual"):
        encode(vector, "topk2", 1, 4, _vector(9))
    with pytest.raises(DeltaError, match="k <= chunk"):
        encode(vector, "topk2", 5, 4)


def test_decode_when_header_differs_then_names_the_field() -> None:
    payload, _ = encode(_vector(5000), "topk2", 64, 4096)
    for wrong, match in (
        (b"NOPE" + payload[4:], "STDL"),
        (payload[:4] + b"\x09" + payload[5:], "version 9"),
        (payload[:5] + b"\x07" + payload[6:], "unknown codec number 7"),
        (payload[:5] + b"\x02" + payload[6:], "this model takes topk2"),
        (payload[:6] + struct.pack("<H", 2048) + payload[8:], "64 of 2048"),
        (payload[:16] + struct.pack("<Q", 5001) + payload[24:], "for 5001 values"),
        (payload[:24] + struct.pack("<Q", 2**50) + payload[32:], "declares a body"),
        (payload[:12] + b"\x01" + payload[13:], "reserved"),
        (payload[:20], "fewer than its header"),
        (payload + b"\x00", "damaged"),
        (payload + payload[32:], "damaged"),
        (payload + bytes(10_000), "more than"),
        (payload[:-3], "damaged|declares"),
        (pickle.dumps({"a": 1}), "pickle"),
        (b"PK\x03\x04" + bytes(60), "pickle or zip"),
    ):
        with pytest.raises(DeltaError, match=match):
            decode_codes(wrong, 5000, TOPK)


def test_decode_when_body_is_crafted_then_refuses() -> None:
    payload, _ = encode(_vector(8192), "topk2", 64, 4096)
    body = _body(payload)
    for place, value, match in ((0, 17, "level pair 17"), (2, 5, "exponent of 5"), (3, 0x80, "exponent of -128")):
        crafted = bytearray(body)
        crafted[place] = value
        with pytest.raises(DeltaError, match=match):
            decode_codes(_spoil(payload, bytes(crafted)), 8192, TOPK)
    outside = bytearray(body)
    outside[-64:] = b"\xfe" * 64
    with pytest.raises(DeltaError, match="outside its chunk"):
        decode_codes(_spoil(payload, bytes(outside)), 8192, TOPK)
    fewer = bytearray(body)
    fewer[-1] = 255
    with pytest.raises(DeltaError, match="must be kept"):
        decode_codes(_spoil(payload, bytes(fewer)), 8192, TOPK)


def test_decode_when_frame_lies_about_its_size_then_allocates_nothing() -> None:
    payload, _ = encode(_vector(5000), "topk2", 64, 4096)
    bomb = payload[:32] + zstandard.ZstdCompressor().compress(bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(DeltaError):
        decode_codes(bomb, 5000, TOPK)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_decode_when_bytes_are_random_then_only_delta_errors(data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([1, 100, 5000]))
    codec, k = data.draw(st.sampled_from([("topk2", 64), ("int8", 4096), ("none", 4096)]))
    payload, _ = encode(_vector(n), codec, k, 4096)
    kind = data.draw(st.sampled_from(["random", "flip", "body"]))
    if kind == "random":
        wrong = data.draw(st.binary(max_size=300))
    elif kind == "flip":
        changed = bytearray(payload)
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        wrong = bytes(changed)
    else:
        body = _body(payload)
        for _ in range(data.draw(st.integers(1, 6))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        wrong = _spoil(payload, bytes(body))
    try:
        codes = decode_codes(wrong, n, Compression(codec, k, 4096))
    except DeltaError:
        return
    assert_bounded(codes)


def assert_bounded(codes: Codes) -> None:
    """What a reader accepts keeps the bounds on which exact sums rest."""
    assert isinstance(codes, SparseCodes | DenseCodes)
    assert np.abs(codes.values.astype(np.int64)).max() <= 32767
    assert codes.exponents.min() >= EXPONENT_MIN and codes.exponents.max() <= EXPONENT_MAX
    if isinstance(codes, SparseCodes):
        assert (np.diff(codes.positions.astype(np.int64)) > 0).all() and codes.positions[-1] < codes.n


@pytest.mark.parametrize(("codec", "k", "chunk"), [("topk2", 64, 4096), ("topk2", 3, 50), ("int8", 256, 256)])
def test_encoder_when_fed_in_pieces_then_same_payload_and_residual(codec: str, k: int, chunk: int) -> None:
    vector, before = _vector(150_001), _vector(150_001, 5)
    payload, decoded = encode(vector, codec, k, chunk, before)
    total = vector + before
    encoder = Encoder(len(total), codec, k, chunk)
    for low, high in ((0, 1), (1, 70_000), (70_000, 70_000), (70_000, 150_001)):
        encoder.add(total[low:high])
    again, codes = encoder.finish()
    assert again == payload and np.array_equal(codes.to_float32(), decoded)
    codes.take_from(total)
    assert np.array_equal(total, vector + before - decoded)


def test_encoder_when_values_are_too_few_or_too_many_then_delta_error() -> None:
    encoder = Encoder(100, "topk2", 4, 64)
    encoder.add(_vector(64))
    with pytest.raises(DeltaError, match="64 of the 100"):
        encoder.finish()
    with pytest.raises(DeltaError, match="more than the 100"):
        encoder.add(_vector(37))
