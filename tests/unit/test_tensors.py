"""Safetensors, read without trust and written in one form."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.errors import ManifestError
from client.tensors import (
    TensorFile,
    bf16_to_float32,
    float32_to_bf16,
    join_vector,
    split_vector,
    write_tensors,
)


def _file(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def _entry(**change: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **change}}


def test_tensors_when_written_and_read_then_values_and_bytes_are_fixed(tmp_path: Path) -> None:
    arrays = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array([0x3F80, 0xC000], dtype=np.uint16),
        "c": np.array([0.5, -2], dtype=np.float16),
    }
    write_tensors(tmp_path / "x", arrays)
    write_tensors(tmp_path / "y", dict(reversed(arrays.items())))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    with TensorFile(tmp_path / "x") as file:
        assert np.array_equal(file.read("b"), arrays["b"])
        assert file.read("a").tolist() == [1.0, -2.0]
        assert file.read_vector([("c", (2,)), ("a", (2,))]).tolist() == [0.5, -2.0, 1.0, -2.0]
    assert hashlib.sha256((tmp_path / "x").read_bytes()).hexdigest() == GOLDEN


GOLDEN = "77a07d491d3d10d790d6155bda469a187215d794467f6150224748e5f1136e71"


def test_tensors_when_read_by_the_safetensors_library_then_agree(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    array = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    write_tensors(tmp_path / "ours", {"w": array})
    assert np.array_equal(numpy_files.load_file(tmp_path / "ours")["w"], array)
    numpy_files.save_file({"w": array, "v": array[0]}, tmp_path / "theirs", metadata={"format": "pt"})
    with TensorFile(tmp_path / "theirs") as file:
        assert np.array_equal(file.read("w"), array)


@pytest.mark.parametrize(
    ("header", "data", "match"),
    [
        (_entry(dtype="F64"), b"\0" * 8, "dtype"),
        (_entry(dtype=["F32"]), b"\0" * 8, "dtype"),
        (_entry(shape=[3]), b"\0" * 8, "does not fill"),
        (_entry(shape=[-2]), b"\0" * 8, "whole number"),
        (_entry(shape=[True, 2]), b"\0" * 8, "whole number"),
        (_entry(data_offsets=[0, 8, 9]), b"\0" * 8, "malformed"),
        (_entry(data_offsets=[4, 12]), b"\0" * 12, "was due"),
        (_entry(data_offsets=[8, 0]), b"\0" * 8, "does not fill"),
        (_entry(), b"\0" * 4, "cover"),
        (_entry(), b"\0" * 12, "cover"),
        ({**_entry(), "b": _entry()["a"]}, b"\0" * 8, "was due"),
        (_entry(extra=1), b"\0" * 8, "must have"),
        (_entry(shape=[2**47, 2**47]), b"\0" * 8, "does not fill"),
        ([1], b"", "not a JSON object"),
        (b"{nonsense", b"", "not JSON"),
        (b'{"a":{"dtype":"F32"},"a":{}}', b"", "twice"),
    ],
)
def test_tensor_file_when_header_is_wrong_then_says_why(tmp_path: Path, header: Any, data: bytes, match: str) -> None:
    with pytest.raises(ManifestError, match=match):
        TensorFile(_file(tmp_path / "x", header, data))


def test_tensor_file_when_header_is_huge_then_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ManifestError, match="at most 1 MB"):
        TensorFile(tmp_path / "x")
    (tmp_path / "x").write_bytes((2_000_000).to_bytes(8, "little") + b" " * 2_000_000)
    with pytest.raises(ManifestError, match="at most 1 MB"):
        TensorFile(tmp_path / "x")


@pytest.mark.parametrize("data", [b"", b"\x08", pickle.dumps([1, 2]), b"PK\x03\x04" + bytes(99)])
def test_tensor_file_when_it_is_something_else_then_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ManifestError):
        TensorFile(tmp_path / "x")


def test_read_when_values_are_nan_or_shapes_differ_then_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x", {"a": np.array([1, np.nan], np.float32), "b": np.zeros(3, np.float32)})
    with TensorFile(tmp_path / "x") as file:
        with pytest.raises(ManifestError, match="NaN"):
            file.read("a")
        with pytest.raises(ManifestError, match="has shape"):
            file.read_vector([("b", (4,))])
        with pytest.raises(ManifestError, match="missing"):
            file.read_vector([("z", (4,))])
        with pytest.raises(ManifestError, match="no tensor"):
            file.read("z")


def test_write_when_dtype_has_no_name_then_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="float64"):
        write_tensors(tmp_path / "x", {"a": np.zeros(2)})


def test_vector_when_split_and_joined_then_is_the_same() -> None:
    tensors = [("b", (2, 3)), ("a", (4,))]
    vector = np.arange(10, dtype=np.float32)
    named = split_vector(vector, tensors)
    assert named["b"].shape == (2, 3) and named["a"][0] == 6
    assert np.array_equal(join_vector(named, tensors), vector)
    with pytest.raises(ManifestError):
        split_vector(vector[:9], tensors)
    with pytest.raises(ManifestError):
        join_vector({"a": named["a"]}, tensors)


@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**120), max_value=2.0**120),
        min_size=1,
    )
)
def test_bf16_when_rounded_then_nearest_and_stable(values: list[float]) -> None:
    given_values = np.array(values, dtype=np.float32)
    bits = float32_to_bf16(given_values)
    back = bf16_to_float32(bits)
    assert np.array_equal(float32_to_bf16(back), bits)
    assert (np.abs(back - given_values) <= np.abs(given_values) * 2.0**-8 + 1e-40).all()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tensor_file_when_bytes_are_random_then_only_manifest_errors(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "fuzz"
    write_tensors(path, {"a": np.ones((2, 2), np.float32), "b": np.ones(3, np.uint16)})
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw)
    try:
        with TensorFile(path) as file:
            for name in file.tensors:
                file.read(name)
    except ManifestError:
        return
