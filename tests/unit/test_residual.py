"""Error feedback: what comes back, what does not, and when it ends."""

from pathlib import Path

import numpy as np

from node.residual import Fate, Residuals

GENESIS = b"g" * 32


def vector(value: float, size: int = 4) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(size, value, np.float32)


def test_settle_when_judged_then_only_what_was_dropped_stays_and_decays(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    residuals.stage(1, 5, vector(0.25))
    assert residuals.settle(1, GENESIS, 5, Fate.JUDGED, vector(1.0))
    found = Residuals(tmp_path).load(1, GENESIS, 4)
    np.testing.assert_allclose(found, 0.225, rtol=1e-6)


def test_settle_when_returned_then_all_of_it_comes_back(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    residuals.stage(1, 5, vector(0.25))
    residuals.settle(1, GENESIS, 5, Fate.RETURNED, vector(1.0))
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 1.125, rtol=1e-6)


def test_settle_when_run_twice_then_nothing_is_counted_twice(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    residuals.stage(1, 5, vector(1.0))
    assert residuals.settle(1, GENESIS, 5, Fate.JUDGED, None)
    assert not residuals.settle(1, GENESIS, 5, Fate.JUDGED, None)
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 0.9, rtol=1e-6)


def test_load_when_the_model_is_another_then_there_is_none(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    residuals.stage(1, 5, vector(1.0))
    residuals.settle(1, GENESIS, 5, Fate.JUDGED, None)
    assert residuals.load(1, b"h" * 32, 4) is None
    assert residuals.load(1, GENESIS, 5) is None
    assert residuals.load(2, GENESIS, 4) is None


def test_load_when_the_file_is_damaged_then_there_is_none(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    residuals.stage(1, 5, vector(1.0))
    residuals.settle(1, GENESIS, 5, Fate.JUDGED, None)
    (tmp_path / "residual-1.npy").write_bytes(b"\x93NUMPY broken")
    assert residuals.load(1, GENESIS, 4) is None
    residuals.stage(1, 6, vector(float("nan")))
    residuals.settle(1, GENESIS, 6, Fate.JUDGED, None)
    assert residuals.load(1, GENESIS, 4) is None
