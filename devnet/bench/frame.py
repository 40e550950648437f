"""What every benchmark shares: a profile, cases that are run once and kept, intervals, a table, a picture.

A benchmark is a list of *cases*; a case is a name and a function of a seed that returns numbers. Each result is written
to ``.strata/bench/NAME-PROFILE.jsonl`` as soon as it is there, so a run that was cut off goes on where it stopped. The
record names a digest of the sources that it depends on: after a change they are run anew.

    python -m devnet.bench.NAME [--profile full|reduced] [--fresh] [--json] [--out DIR] [--only CASE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devnet.sim.report import Result, as_json, draw, print_table

PROFILES = ("reduced", "full")
ROOT = Path(__file__).resolve().parents[2]
T_95 = (0.0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t at 95%, two-sided, by degrees of freedom; 1.96 beyond ten is close enough for a table."""

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Case:
    """One thing to measure. ``run`` gets a seed and returns its figures by name."""

    name: str
    run: Callable[[int], Numbers]
    seeds: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Interval:
    """A mean, and half of its 95% confidence interval over seeds (0 where there was one seed)."""

    mean: float
    half: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.4g}" if self.count < 2 else f"{self.mean:.4g} ± {self.half:.2g}"


def interval(values: Sequence[float]) -> Interval:
    """The mean of some values with its 95% confidence interval by Student's t."""
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return Interval(mean, 0.0, count)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    t = T_95[count - 1] if count <= len(T_95) else 1.96
    return Interval(mean, t * deviation / math.sqrt(count), count)


class Kept:
    """Results on disk, one JSON line each, found again by case, seed and what they depend on."""

    def __init__(self, path: Path, depends_on: str) -> None:
        self._path, self._key = path, depends_on
        self._found: dict[tuple[str, int], dict[str, float]] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                entry = json.loads(line)
                if entry["depends_on"] == depends_on:
                    self._found[entry["case"], entry["seed"]] = entry["numbers"]
            except (ValueError, KeyError, TypeError):
                continue  # a line that was cut off by a kill

    def get(self, case: str, seed: int) -> dict[str, float] | None:
        """What an earlier run found."""
        return self._found.get((case, seed))

    def add(self, case: str, seed: int, numbers: Numbers) -> None:
        """Write a result; it is there whole or not at all."""
        self._found[case, seed] = dict(numbers)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"case": case, "seed": seed, "depends_on": self._key, "numbers": dict(numbers)}
        with self._path.open("a") as file:
            file.write("\n" * self._is_cut() + json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _is_cut(self) -> bool:
        if not self._path.exists() or self._path.stat().st_size == 0:
            return False
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"


Findings = dict[str, list[dict[str, float]]]
"""By case, a dictionary of figures per seed."""


def digest_of_sources(*folders_and_files: str) -> str:
    """A digest of Python sources below the repository's root: what a result depends on."""
    hasher = hashlib.sha256()
    for name in folders_and_files:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            hasher.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return hasher.hexdigest()[:16]


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """The command line of a benchmark."""
    found = argparse.ArgumentParser(f"python -m devnet.bench.{name}", description=about)
    found.add_argument(
        "--profile", choices=PROFILES, default="reduced", help="reduced: two minutes, to see that it works"
    )
    found.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    found.add_argument("--json", action="store_true", help="the table as JSON")
    found.add_argument("--out", type=Path, help="folder for pictures and the results as JSON")
    found.add_argument("--only", help="only the cases whose names contain this")
    return found


def measure(name: str, cases: Sequence[Case], options: argparse.Namespace, depends_on: str) -> Findings:
    """Run what is not known yet, with a bar on the error output; Ctrl-C loses the running case alone."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    path = ROOT / ".strata" / "bench" / f"{name}-{options.profile}.jsonl"
    if options.fresh:
        path.unlink(missing_ok=True)
    kept = Kept(path, depends_on)
    todo = [(case, seed) for case in cases if not options.only or options.only in case.name for seed in case.seeds]
    columns = (TextColumn("{task.description:32}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    found: Findings = {}
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(todo))
        for case, seed in todo:
            bar.update(task, description=f"{case.name} (seed {seed})")
            numbers = kept.get(case.name, seed)
            if numbers is None:
                kept.add(case.name, seed, case.run(seed))
                numbers = kept.get(case.name, seed) or {}
            found.setdefault(case.name, []).append(numbers)
            bar.advance(task)
    return found


def figure(findings: Findings, case: str, name: str) -> Interval:
    """One figure of a case over its seeds."""
    return interval([numbers[name] for numbers in findings[case]])


def report(name: str, result: Result, findings: Findings, options: argparse.Namespace) -> None:
    """Print the table (or JSON), and write pictures and raw results where a folder is given."""
    if options.json:
        print(as_json([result]))
    else:
        print_table(result)
    if options.out is None:
        return
    written: list[Path] = draw(result, options.out)
    raw: dict[str, Any] = {"profile": options.profile, "table": json.loads(as_json([result])), "results": findings}
    path = options.out / f"bench-{name}-{options.profile}.json"
    path.write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")
    for file in (*written, path):
        print(f"wrote {file}", file=sys.stderr)
