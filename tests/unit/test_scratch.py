"""Long vectors live in mapped files without a name; what is fetched ahead comes in order."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from client import scratch
from client.errors import StorageError


def test_vector_when_long_then_is_mapped_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "MAP_BYTES", 4000)
    vector = scratch.zeros(1000, np.float32, tmp_path)
    assert vector.base is not None and not list(tmp_path.iterdir())
    assert not vector.any() and vector.flags.writeable
    vector += 2
    other = scratch.copy(vector, tmp_path)
    other[0] = 1
    assert vector.sum() == 2000 and other.sum() == 1999
    assert scratch.zeros(999, np.float32, tmp_path).base is None
    assert scratch.zeros(1000, np.int64, None).base is None


def test_vector_when_disk_has_no_room_then_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _start: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "MAP_BYTES", 4000)
    monkeypatch.setattr(scratch.os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="No room"):
        scratch.zeros(1000, np.float32, tmp_path)


def test_ahead_when_calls_end_out_of_order_then_values_come_in_order() -> None:
    second = threading.Event()

    def get(key: int) -> int:
        if key == 0:
            assert second.wait(10), "the next one runs while the first is at work"
        elif key == 1:
            second.set()
        return key * key

    assert list(scratch.ahead(get, range(6), 3)) == [0, 1, 4, 9, 16, 25]


def test_ahead_when_one_fails_then_raises_at_its_turn_and_drops_the_rest() -> None:
    asked = []

    def get(key: int) -> int:
        asked.append(key)
        if key == 2:
            raise StorageError("gone")
        return key

    found = scratch.ahead(get, range(100), 2)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(StorageError, match="gone"):
        next(found)
    assert len(asked) <= 5


def test_ahead_when_there_is_one_key_then_no_thread_is_started() -> None:
    assert list(scratch.ahead(lambda _key: threading.current_thread().name, ["x"], 4)) == ["MainThread"]
