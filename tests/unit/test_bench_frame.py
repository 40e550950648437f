"""What benchmarks share: results are kept, a cut-off run goes on, intervals are right."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from devnet.bench import frame


def options(**values: object) -> argparse.Namespace:
    return argparse.Namespace(
        **{"profile": "reduced", "fresh": False, "only": None, "json": True, "out": None, **values}
    )


def test_interval_of_three_seeds_then_students_t() -> None:
    found = frame.interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half == pytest.approx(4.303 / 3**0.5)
    assert frame.interval([5.0]) == frame.Interval(5.0, 0.0, 1)


def test_measure_when_cut_off_then_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "ROOT", tmp_path)
    runs: list[tuple[str, int]] = []

    def case(name: str, fails: bool = False) -> frame.Case:
        def run(seed: int) -> dict[str, float]:
            runs.append((name, seed))
            if fails:
                raise KeyboardInterrupt
            return {"loss": float(seed)}

        return frame.Case(name, run, (1, 2))

    with pytest.raises(KeyboardInterrupt):
        frame.measure("x", [case("a"), case("b", fails=True)], options(), "v1")
    kept = tmp_path / ".strata" / "bench" / "x-reduced.jsonl"
    kept.write_text(kept.read_text() + '{"case": "a", "se')  # a kill in the middle of a line
    found = frame.measure("x", [case("a"), case("b")], options(), "v1")
    assert runs == [("a", 1), ("a", 2), ("b", 1), ("b", 1), ("b", 2)]
    assert found["a"] == [{"loss": 1.0}, {"loss": 2.0}]
    assert frame.figure(found, "b", "loss").mean == 1.5
    assert frame.measure("x", [case("a"), case("b")], options(), "v1") == found
    assert len(runs) == 5


def test_measure_when_sources_changed_then_runs_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "ROOT", tmp_path)
    runs: list[int] = []

    def run(seed: int) -> dict[str, float]:
        runs.append(seed)
        return {"n": float(len(runs))}

    case = frame.Case("a", run)
    assert frame.measure("x", [case], options(), "v1")["a"] == [{"n": 1.0}]
    assert frame.measure("x", [case], options(), "v2")["a"] == [{"n": 2.0}]
    assert frame.measure("x", [case], options(fresh=True), "v2")["a"] == [{"n": 3.0}]
