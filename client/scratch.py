"""Vectors as long as a model: in memory while they are short, in a mapped file without a name where they are long.

The file has no name any more once it is mapped, so nothing is left behind, whatever becomes of the process. Its pages
are the kernel's to write out and read again: they take no memory that training needs.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from client.errors import StorageError

MAP_BYTES = 256 * 1024 * 1024  # from here on a vector is a file, where a folder is given

Kind = TypeVar("Kind", bound=np.generic)
Key = TypeVar("Key")
Value = TypeVar("Value")


def zeros(length: int, kind: type[Kind], folder: Path | None) -> NDArray[Kind]:
    """A vector of zeros; mapped from a file in ``folder`` if it takes ``MAP_BYTES`` or more.

    ``StorageError`` where the disk has no room: all of it is reserved now, not found missing in the middle.
    """
    size = length * np.dtype(kind).itemsize
    if folder is None or size < MAP_BYTES:
        return np.zeros(length, dtype=kind)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise StorageError(f"No room for {size / 1e9:.1f} GB in {folder}: {error}") from error
        mapped = mmap.mmap(file.fileno(), size)
    return np.frombuffer(mapped, dtype=kind)


def copy(vector: NDArray[Any], folder: Path | None) -> NDArray[Any]:
    """A copy of a vector, as ``zeros`` would make it."""
    made = zeros(len(vector), vector.dtype.type, folder)
    made[:] = vector
    return made


def ahead(get: Callable[[Key], Value], keys: Sequence[Key], count: int) -> Iterator[Value]:
    """``get(key)`` for each key in order, up to ``count`` of them at work in threads before they are asked for.

    What one raises comes out at its turn; what has not begun by then is dropped.
    """
    if len(keys) < 2 or count < 2:
        yield from map(get, keys)
        return
    rest = iter(keys)
    pool = ThreadPoolExecutor(count, thread_name_prefix="ahead")
    try:
        waiting = deque(pool.submit(get, key) for key in islice(rest, count))
        while waiting:
            value = waiting.popleft().result()
            waiting.extend(pool.submit(get, key) for key in islice(rest, 1))
            yield value
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
