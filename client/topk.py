"""Which values of a delta are kept, and by which two levels they are written: the inner half of codec *topk2*.

Everything is computed in whole numbers from the values' bits, a few hundred kilobytes at a time, so that it stays in
the processor's cache and gives the same bytes on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from client.codes import EXPONENT_MAX, EXPONENT_MIN, HIGH, LOW, ZERO_LEVEL, Float32

_RATIO_EDGES = np.array([10, 13, 19])  # in eighths: 5, 6, 8 or 12 quarters, whichever is nearest
PREFIX = np.uint32(0x7FFFF000)  # of a float32's bits: its magnitude without the low 12, where a key has its place
_PLACE = np.uint32(0xFFF)
_GROUPS = (16, 8, 4)

UInt32 = NDArray[np.uint32]


def largest(prefixes: UInt32, k: int) -> NDArray[np.uint16]:
    """The places of the ``k`` largest magnitudes of each row, rising. ``prefixes``: bits & ``PREFIX``; used up.

    Rows have at most 4096 values. A key is a magnitude's prefix and its place, so the keys differ, and every way to
    find the ``k`` largest keys finds the same ones.
    """
    width = prefixes.shape[1]
    group = next((size for size in _GROUPS if width % (8 * size) == 0 and width // size >= 4 * k), 0)
    if group == 0:
        return _by_partition(prefixes, k)
    return _by_groups(prefixes, k, group)


def _by_partition(prefixes: UInt32, k: int) -> NDArray[np.uint16]:
    """A plain partition of the keys."""
    width = prefixes.shape[1]
    prefixes |= np.arange(width, dtype=np.uint32)
    if k < width:
        prefixes.partition(width - k, axis=1)
    places = (prefixes[:, width - k :] & _PLACE).astype(np.uint16)
    places.sort(axis=1)
    return places


def _by_groups(prefixes: UInt32, k: int, group: int) -> NDArray[np.uint16]:
    """Of the largest of every ``group`` values (each from another quarter of the row, say) the ``k``-th is a bound.

    At least ``k`` values reach it, at most ``k * group``, and in bell-shaped rows a few more than ``k``: these alone
    are sorted. Rows where the bound says nothing (mostly zeros, or many values alike) are partitioned as a whole.
    """
    rows, width = prefixes.shape
    tops = np.maximum.reduce(prefixes.reshape(rows, group, width // group), axis=1)
    tops.partition(width // group - k, axis=1)
    bounds = tops[:, width // group - k]
    odd = bounds == 0
    if odd.all():
        return _by_partition(prefixes, k)
    found = _set_places((prefixes >= np.where(odd, np.uint32(0xFFFFFFFF), bounds)[:, None]).reshape(-1))
    row_of = found // width
    ends = np.searchsorted(row_of, np.arange(1, rows + 1))
    odd[0] |= ends[0] > 4 * k
    odd[1:] |= ends[1:] - ends[:-1] > 4 * k
    keys = (prefixes.reshape(-1)[found] | (found - row_of * width).astype(np.uint32)).astype(np.uint64)
    keys |= row_of.astype(np.uint64) << np.uint64(32)
    keys.sort()
    picked = np.where(odd, k, ends)[:, None] + np.arange(-k, 0)
    places = (keys[picked] & np.uint64(_PLACE)).astype(np.uint16)
    places.sort(axis=1)
    if odd.any():
        places[odd] = _by_partition(prefixes[odd], k)
    return np.asarray(places)


def _set_places(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """``flatnonzero`` for few among many: words of eight flags first. The flags are a multiple of eight."""
    words = np.flatnonzero(flags.view(np.uint64) != 0)
    inside = np.flatnonzero(flags.view(np.uint64)[words].view(np.bool_))
    return np.asarray((words[inside >> 3] << 3) + (inside & 7))


def fit_levels(magnitudes: Float32) -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.bool_]]:
    """Per row: the level pair, its exponent, and which values take the higher level. Integers throughout."""
    top = (magnitudes.max(axis=1).view(np.uint32) >> np.uint32(23)).astype(np.int32) - 127
    shift = (15 - np.clip(top, -60, 60) + 127).astype(np.uint32) << np.uint32(23)
    with np.errstate(under="ignore"):
        scaled = magnitudes * shift.view(np.float32)[:, None]
    low, high = _two_means(np.minimum(scaled, np.float32(65535)).astype(np.int32))
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


def _two_means(whole: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A lower and a higher level for each row: split at the mean, then once more midway between the two means.

    Values are below 2**16 and rows at most 2**12 long, so that sums fit 32 bits.
    """
    count, total = whole.shape[1], whole.sum(axis=1, dtype=np.int32).astype(np.int64)
    edge = total // count
    low = high = edge
    for _ in range(2):
        cut = edge.astype(np.int32)[:, None]
        number = np.count_nonzero(whole > cut, axis=1)
        upper = np.maximum(whole, cut).sum(axis=1, dtype=np.int32) - (count - number) * edge
        low = (total - upper) // np.maximum(count - number, 1)
        high = np.where(number > 0, upper // np.maximum(number, 1), low)
        edge = (low + high) // 2
    return low, high
