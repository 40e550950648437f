"""Safetensors files, read and written without any library that could run what is in them.

The reader maps the file, caps the header at 1 MB before parsing it, and checks that the tensors' offsets cover the data
without hole, overlap or rest. The writer has one form for one content: tensors sorted by name, header in canonical
JSON, padded with spaces to eight bytes. bfloat16 has no numpy type: it travels as ``uint16`` and becomes float32
exactly (its bits are the upper half). A model's trainable state is one flat float32 vector, its tensors one after the
other in the order of the genesis manifest.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.errors import ManifestError
from client.schema import canonical_json, parse_json, refuse_pickle

MAX_HEADER_BYTES = 1024 * 1024
Float32 = NDArray[np.float32]
TensorList = Sequence[tuple[str, tuple[int, ...]]]

_DTYPES: dict[str, Any] = {"F32": np.dtype("<f4"), "BF16": np.dtype("<u2"), "F16": np.dtype("<f2")}
_NAMES = {np.dtype(np.float32): "F32", np.dtype(np.uint16): "BF16", np.dtype(np.float16): "F16"}
_BLOCK = 1 << 22


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies in its file: ``start`` and ``end`` in bytes from the start of the data."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class TensorFile:
    """A safetensors file, mapped into memory. Use as a context manager; arrays that it hands out are copies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            size = path.stat().st_size
            start = file.read(8)
            refuse_pickle(start)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or not 2 <= length <= MAX_HEADER_BYTES or 8 + length > size:
                raise ManifestError(f"{path.name} is no safetensors file: header of {length} bytes (at most 1 MB)")
            header = file.read(length)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._data_start = 8 + length
        try:
            self.tensors = _parse_header(header, size - self._data_start)
        except ManifestError as error:
            self._map.close()
            raise ManifestError(f"{path.name}: {error}") from error

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    def read_into(self, name: str, out: Float32) -> None:
        """The tensor's values as float32, flattened, written into ``out``."""
        info = self.tensors.get(name)
        if info is None:
            raise ManifestError(f"{self._path.name} has no tensor {name}")
        kind = _DTYPES[info.dtype]
        count = (info.end - info.start) // kind.itemsize
        if count != len(out):
            raise ManifestError(f"{self._path.name}: {name} has {count} values, {len(out)} wanted")
        for low in range(0, count, _BLOCK):
            high = min(low + _BLOCK, count)
            offset = self._data_start + info.start + low * kind.itemsize
            raw = np.frombuffer(self._map, dtype=kind, count=high - low, offset=offset)
            out[low:high] = bf16_to_float32(raw) if info.dtype == "BF16" else raw
            del raw
            self._map.madvise(mmap.MADV_DONTNEED)  # what was read need not stay resident
            if not np.isfinite(out[low:high]).all():
                raise ManifestError(f"{self._path.name}: {name} holds NaN or infinity")

    def read(self, name: str) -> Float32:
        """The tensor as a float32 array of its shape."""
        info = self.tensors.get(name)
        if info is None:
            raise ManifestError(f"{self._path.name} has no tensor {name}")
        out = np.empty(_count(info.shape), dtype=np.float32)
        self.read_into(name, out)
        return out.reshape(info.shape)

    def read_vector(self, tensors: TensorList, out: Float32 | None = None) -> Float32:
        """The named tensors, each of the given shape, as one flat vector; written into ``out`` where it is given."""
        size = sum(_count(shape) for _, shape in tensors)
        if out is None:
            out = np.empty(size, dtype=np.float32)
        elif len(out) != size:
            raise ManifestError(f"{self._path.name}: {size} values for a vector of {len(out)}")
        place = 0
        for name, shape in tensors:
            info = self.tensors.get(name)
            if info is None or info.shape != tuple(shape):
                found = "is missing" if info is None else f"has shape {list(info.shape)}"
                raise ManifestError(f"{self._path.name}: {name} {found}, wanted {list(shape)}")
            self.read_into(name, out[place : place + _count(shape)])
            place += _count(shape)
        return out


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], also: Callable[[bytes | memoryview], object] | None = None
) -> None:
    """Write float32, float16 or (as uint16) bfloat16 arrays; equal content gives equal bytes.

    ``also`` gets every piece that is written, to hash it on the way.
    """
    header: dict[str, Any] = {}
    place = 0
    for name in sorted(tensors):
        array = tensors[name]
        if array.dtype not in _NAMES:
            raise ManifestError(f"{name} is {array.dtype}; float32, float16 and uint16 (bfloat16) can be stored")
        end = place + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [place, end]}
        place = end
    text = canonical_json(header)
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise ManifestError(f"a header of {len(text)} bytes; at most {MAX_HEADER_BYTES} are read back")
    with path.open("wb") as file:
        for piece in _pieces(len(text).to_bytes(8, "little") + text, [tensors[name] for name in sorted(tensors)]):
            file.write(piece)
            if also is not None:
                also(piece)


def _pieces(header: bytes, arrays: Sequence[NDArray[Any]]) -> Iterator[bytes | memoryview]:
    yield header
    for array in arrays:
        flat = np.ascontiguousarray(array).reshape(-1)
        for low in range(0, len(flat), _BLOCK):
            piece = flat[low : low + _BLOCK]
            yield piece.astype(piece.dtype.newbyteorder("<"), copy=False).view(np.uint8).data


def split_vector(vector: NDArray[Any], tensors: TensorList) -> dict[str, NDArray[Any]]:
    """Views of a flat vector, one per tensor in order, each in its shape."""
    total = sum(_count(shape) for _, shape in tensors)
    if vector.ndim != 1 or len(vector) != total:
        raise ManifestError(f"a vector of {vector.shape} for tensors of {total} values")
    found: dict[str, NDArray[Any]] = {}
    place = 0
    for name, shape in tensors:
        found[name] = vector[place : place + _count(shape)].reshape(shape)
        place += _count(shape)
    return found


def join_vector(named: Mapping[str, NDArray[Any]], tensors: TensorList) -> Float32:
    """One flat float32 vector of the named arrays, in the order of ``tensors``."""
    for name, shape in tensors:
        if name not in named or named[name].shape != tuple(shape):
            raise ManifestError(f"{name} is missing or not of shape {list(shape)}")
    return np.concatenate([np.asarray(named[name], dtype=np.float32).reshape(-1) for name, _ in tensors])


def bf16_to_float32(raw: NDArray[np.uint16]) -> Float32:
    """bfloat16 bits as float32: exact, the missing half is zero."""
    return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)


def float32_to_bf16(values: Float32) -> NDArray[np.uint16]:
    """float32 rounded to bfloat16 bits, to nearest, ties to even. The values must be finite."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    carry = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return ((bits + carry) >> np.uint32(16)).astype(np.uint16)


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _parse_header(header: bytes, data_bytes: int) -> dict[str, TensorInfo]:
    parsed = parse_json(header, MAX_HEADER_BYTES)
    if not isinstance(parsed, dict):
        raise ManifestError("the header is not a JSON object")
    parsed.pop("__metadata__", None)
    found = {name: _parse_tensor(name, entry) for name, entry in parsed.items()}
    place = 0
    for name, info in sorted(found.items(), key=lambda item: (item[1].start, item[1].end)):
        if info.start != place:
            raise ManifestError(f"{name} starts at byte {info.start}, where {place} was due")
        place = info.end
    if place != data_bytes:
        raise ManifestError(f"the tensors cover {place} bytes of {data_bytes}")
    return found


def _parse_tensor(name: str, entry: Any) -> TensorInfo:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ManifestError(f"{name[:80]} must have dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ManifestError(f"{name[:80]} has dtype {str(dtype)[:20]}; {', '.join(_DTYPES)} are read")
    for numbers, length in ((shape, None), (offsets, 2)):
        if not isinstance(numbers, list) or (length is not None and len(numbers) != length) or len(numbers) > 8:
            raise ManifestError(f"{name[:80]} has a malformed shape or data_offsets")
        if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < 2**48 for n in numbers):
            raise ManifestError(f"{name[:80]} has a size or offset that is no whole number below 2**48")
    if offsets[1] - offsets[0] != _count(shape) * _DTYPES[dtype].itemsize:
        raise ManifestError(f"{name[:80]}: shape {shape} of {dtype} does not fill bytes {offsets[0]}..{offsets[1]}")
    return TensorInfo(dtype, tuple(shape), offsets[0], offsets[1])
