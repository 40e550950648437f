"""One setting of the C library's allocator."""

from __future__ import annotations

import ctypes
from functools import lru_cache

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # numbers of <malloc.h>
_KEPT_BYTES = 1 << 30


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Let the process keep what it frees, up to a gigabyte, in place of giving every large tensor back to the kernel.

    Mapping and unmapping them cost a fifth of a training step's time. Where the C library isn't glibc, nothing happens.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
