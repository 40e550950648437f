"""The fast way to the largest values finds exactly what a plain sort of the keys finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.topk import PREFIX, largest


def _plain(bits: np.ndarray, k: int) -> np.ndarray:
    keys = bits.astype(np.int64) + np.arange(bits.shape[1])
    return np.sort(np.argsort(keys, axis=1)[:, bits.shape[1] - k :], axis=1)


def _rows(kind: str, rows: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, width)).astype(np.float32)
    if kind == "heavy":
        values *= np.exp2(rng.integers(-60, 60, (rows, width))).astype(np.float32)
    elif kind == "few":
        values[rng.random((rows, width)) < 0.999] = 0
    elif kind == "alike":
        values = rng.integers(-1, 2, (rows, width)).astype(np.float32)
    elif kind == "clustered":
        values[:, : width // 16] *= 1000
    elif kind == "strided":
        values[:, :: max(1, width // 16)] *= 1000
    elif kind == "mixed":
        values[rng.random(rows) < 0.5] = 0
    return values.view(np.uint32) & PREFIX


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["bell", "heavy", "few", "alike", "clustered", "strided", "mixed"]),
    rows=st.integers(1, 20),
    width=st.sampled_from([1, 8, 25, 128, 256, 1000, 1024, 4096]),
    share=st.integers(0, 64),
    seed=st.integers(0, 2**32),
)
def test_largest_when_rows_are_of_any_kind_then_as_by_a_plain_sort(
    kind: str, rows: int, width: int, share: int, seed: int
) -> None:
    k = max(1, width * share // 64)
    bits = _rows(kind, rows, width, seed)
    assert np.array_equal(largest(bits.copy(), k), _plain(bits, k))


@pytest.mark.parametrize("kind", ["bell", "heavy", "few", "alike", "clustered", "strided", "mixed"])
def test_largest_when_64_of_4096_then_as_by_a_plain_sort(kind: str) -> None:
    bits = _rows(kind, 16, 4096, 1)
    assert np.array_equal(largest(bits.copy(), 64), _plain(bits, 64))
