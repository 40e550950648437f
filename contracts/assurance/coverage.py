"""Branch coverage of ``contracts/src``, held above a floor: ``python -m contracts.assurance.coverage [--floor 98]``."""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from contracts.assurance.tools import CODE_LIMIT, WORK, ToolFailed, forge, run

FLOOR = 98.0  # percent of branches
SECONDS = 1800.0
REPORT = WORK / "coverage.lcov"


@dataclass
class FileCoverage:
    """What the tests reached in one source file."""

    branches: int = 0
    taken: int = 0
    lines: int = 0
    run: int = 0
    missed: list[int] = field(default_factory=list)
    """Line numbers of branches that no test takes."""


def parse_lcov(text: str, prefix: str = "contracts/src/") -> dict[str, FileCoverage]:
    """Coverage by file from an lcov report, of files below ``prefix`` only."""
    found: dict[str, FileCoverage] = defaultdict(FileCoverage)
    name = ""
    for line in text.splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            name = rest
        if not name.startswith(prefix):
            continue
        entry = found[name]
        if kind == "BRDA":
            number, _, _, hits = rest.split(",")
            entry.branches += 1
            if hits in ("-", "0"):
                entry.missed.append(int(number))
            else:
                entry.taken += 1
        elif kind == "DA":
            entry.lines += 1
            entry.run += int(rest.split(",")[1]) > 0
    return dict(found)


def percent(part: int, whole: int) -> float:
    """``part`` of ``whole`` in percent; 100 where there is nothing to reach."""
    return 100.0 if whole == 0 else 100.0 * part / whole


def measure(report: Path = REPORT) -> dict[str, FileCoverage]:
    """Runs forge's coverage (profile ``fast`` unless FOUNDRY_PROFILE says else); raises :class:`ToolFailed`."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    settings = {
        "FOUNDRY_PROFILE": os.environ.get("FOUNDRY_PROFILE", "fast"),
        "FOUNDRY_CODE_SIZE_LIMIT": CODE_LIMIT,
        "FOUNDRY_OUT": str(WORK / "coverage" / "out"),
        "FOUNDRY_CACHE_PATH": str(WORK / "coverage" / "cache"),
    }
    done = run(
        [forge(), "coverage", "--report", "lcov", "--report-file", report, "--no-match-coverage", "node_modules|test/"],
        seconds=SECONDS,
        extra=settings,
    )
    if done.returncode != 0 or not report.is_file():
        raise ToolFailed(f"forge coverage ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return parse_lcov(report.read_text(encoding="utf-8"))


def render(found: dict[str, FileCoverage]) -> str:
    """A table: file, branches taken, lines run, lines of the branches that are missed."""
    rows = [f"{'file':44} {'branches':>16} {'lines':>16}  missed branches on lines"]
    for name, entry in sorted(found.items()):
        missed = " ".join(str(line) for line in sorted(set(entry.missed)))
        branches = f"{entry.taken}/{entry.branches} {percent(entry.taken, entry.branches):.1f}%"
        lines = f"{entry.run}/{entry.lines} {percent(entry.run, entry.lines):.1f}%"
        rows.append(f"{name.removeprefix('contracts/src/'):44} {branches:>16} {lines:>16}  {missed}")
    return "\n".join(rows)


def total_branches(found: dict[str, FileCoverage]) -> tuple[int, int]:
    """(taken, all) over every file."""
    return sum(entry.taken for entry in found.values()), sum(entry.branches for entry in found.values())


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m contracts.assurance.coverage", description=__doc__)
    parser.add_argument("--floor", type=float, default=FLOOR, help="least percentage of branches")
    options = parser.parse_args(arguments)
    try:
        found = measure()
    except ToolFailed as error:
        print(error, file=sys.stderr)
        return 1
    taken, branches = total_branches(found)
    reached = percent(taken, branches)
    print(render(found))
    print(f"branches of contracts/src: {taken} of {branches} ({reached:.2f}%), wanted {options.floor:g}%")
    return 0 if branches > 0 and reached >= options.floor else 1


if __name__ == "__main__":
    sys.exit(main())
