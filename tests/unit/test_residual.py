"""Error feedback: what comes back, what does not, when it ends, and that a kill counts nothing twice."""

from pathlib import Path

import numpy as np
import pytest

from node.residual import Fate, Residuals

GENESIS = b"g" * 32
DIGEST = b"d" * 32


def vector(value: float, size: int = 4) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(size, value, np.float32)


def seal(residuals: Residuals, number: int, dropped: float, digest: bytes = DIGEST) -> None:
    """A delta that came into the journal."""
    residuals.propose(1, GENESIS, number, digest, vector(dropped))
    residuals.adopt(1, lambda *_: True)


def test_settle_when_judged_then_only_what_was_dropped_stays_and_decays(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    seal(residuals, 5, 0.25)
    assert residuals.settle(1, 5, Fate.JUDGED, vector(1.0))
    found = Residuals(tmp_path).load(1, GENESIS, 4)
    np.testing.assert_allclose(found, 0.225, rtol=1e-6)


def test_settle_when_returned_then_all_of_it_comes_back(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    seal(residuals, 5, 0.25)
    residuals.settle(1, 5, Fate.RETURNED, vector(1.0))
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 1.125, rtol=1e-6)


def test_settle_when_run_twice_then_nothing_is_counted_twice(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    seal(residuals, 5, 1.0)
    assert residuals.settle(1, 5, Fate.RETURNED, vector(1.0))
    assert not residuals.settle(1, 5, Fate.RETURNED, vector(1.0))
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 1.8, rtol=1e-6)


def test_load_when_the_fate_is_not_known_then_what_was_dropped_is_there_at_once(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    seal(residuals, 5, 1.0)
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 0.9, rtol=1e-6)
    assert residuals.awaited(1) == {5: DIGEST}


def test_settle_when_two_rounds_are_on_then_each_comes_back_once(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    seal(residuals, 5, 1.0)
    seal(residuals, 6, 2.0, b"e" * 32)  # took the residual of round 5 with it
    assert list(residuals.awaited(1)) == [5, 6]
    residuals.settle(1, 5, Fate.RETURNED, vector(10.0))
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 1.8 + 9.0, rtol=1e-6)
    residuals.settle(1, 6, Fate.JUDGED, None)
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 1.8 + 9.0, rtol=1e-6)
    assert residuals.awaited(1) == {}


@pytest.mark.parametrize("in_journal", [False, True])
def test_adopt_when_the_node_died_in_between_then_the_journal_decides(tmp_path: Path, in_journal: bool) -> None:
    seal(Residuals(tmp_path), 5, 1.0)
    Residuals(tmp_path).propose(1, GENESIS, 6, b"e" * 32, vector(3.0))
    asked: list[tuple[int, bytes]] = []

    def is_sealed(number: int, digest: bytes) -> bool:
        asked.append((number, digest))
        return in_journal

    again = Residuals(tmp_path)
    again.adopt(1, is_sealed)
    again.adopt(1, is_sealed)
    assert asked == [(6, b"e" * 32)]
    np.testing.assert_allclose(again.load(1, GENESIS, 4), 2.7 if in_journal else 0.9, rtol=1e-6)
    assert list(again.awaited(1)) == ([5, 6] if in_journal else [5])


def test_propose_when_done_again_then_the_last_one_counts_and_no_file_is_left(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    seal(residuals, 5, 1.0)
    residuals.propose(1, GENESIS, 6, b"e" * 32, vector(3.0))
    seal(residuals, 6, 4.0, b"f" * 32)
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 3.6, rtol=1e-6)
    residuals.settle(1, 5, Fate.RETURNED, vector(1.0))
    residuals.settle(1, 6, Fate.RETURNED, vector(1.0))
    np.testing.assert_allclose(residuals.load(1, GENESIS, 4), 5.4, rtol=1e-6)
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_load_when_the_model_is_another_then_there_is_none(tmp_path: Path) -> None:
    residuals = Residuals(tmp_path)
    seal(residuals, 5, 1.0)
    assert residuals.load(1, b"h" * 32, 4) is None
    assert residuals.load(1, GENESIS, 5) is None
    assert residuals.load(2, GENESIS, 4) is None
    residuals.propose(1, b"h" * 32, 6, DIGEST, vector(1.0))
    residuals.adopt(1, lambda *_: True)
    assert list(residuals.awaited(1)) == [6]  # what was sent to another model does not come back into this one


@pytest.mark.parametrize("damaged", ["*.npy", "*.json"])
def test_load_when_a_file_is_damaged_then_there_is_none(tmp_path: Path, damaged: str) -> None:
    residuals = Residuals(tmp_path)
    seal(residuals, 5, 1.0)
    next(tmp_path.glob(damaged)).write_bytes(b"\x93NUMPY broken")
    assert residuals.load(1, GENESIS, 4) is None
    residuals.settle(1, 5, Fate.RETURNED, vector(1.0))
    seal(residuals, 6, float("nan"))
    assert residuals.load(1, GENESIS, 4) is None
