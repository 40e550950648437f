"""Slither's findings, each with a reason to stay: ``python -m contracts.assurance.findings``.

Fails on a finding that ``findings.toml`` does not explain, and on an explanation whose finding is gone.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.assurance.tools import ROOT, WORK, ToolFailed, run, tool

EXPLAINED = Path(__file__).with_name("findings.toml")
CONFIG = Path(__file__).with_name("slither.json")
SECONDS = 900.0


@dataclass(frozen=True, order=True)
class Finding:
    """What slither found, and where: one per check and place, however often it says so."""

    check: str
    place: str
    """``Contract.function``, ``Contract.variable`` or ``Contract.function.variable``."""
    impact: str = ""


def read_findings(report: dict[str, Any]) -> list[Finding]:
    """The findings of slither's JSON report, sorted, each once."""
    results = report.get("results", {}).get("detectors", [])
    return sorted({Finding(found["check"], _place(found), found["impact"]) for found in results})


def _place(found: dict[str, Any]) -> str:
    """The first function, variable or contract that a finding names, with what it is in."""
    for element in found.get("elements", []):
        if element["type"] == "node":  # a statement: take its function
            element = element["type_specific_fields"]["parent"]
        names: list[str] = []
        while element and element.get("type") not in (None, "source_unit"):
            names.insert(0, element["name"])
            element = element.get("type_specific_fields", {}).get("parent")
        if names:
            return ".".join(names)
    return "?"


def read_reasons(path: Path = EXPLAINED) -> dict[tuple[str, str], str]:
    """(check, place) -> why it stays; the place ``*`` stands for every place."""
    listed = tomllib.loads(path.read_text(encoding="utf-8")).get("finding", [])
    return {(item["check"], place): item["reason"] for item in listed for place in item["places"]}


def compare(found: list[Finding], reasons: dict[tuple[str, str], str]) -> tuple[list[Finding], list[tuple[str, str]]]:
    """(findings without a reason, reasons without a finding)."""
    seen = {(finding.check, place) for finding in found for place in (finding.place, "*")}
    unexplained = [f for f in found if not {(f.check, f.place), (f.check, "*")} & set(reasons)]
    return unexplained, sorted(set(reasons) - seen)


def measure() -> list[Finding]:
    """Runs slither over ``contracts/src``; raises :class:`ToolFailed`."""
    report = WORK / "slither.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    settings = {
        "FOUNDRY_TEST": "contracts/test/support",
        "FOUNDRY_OUT": str(WORK / "slither" / "out"),
        "FOUNDRY_CACHE_PATH": str(WORK / "slither" / "cache"),
    }
    command: list[str | Path] = [tool("slither", "slither"), ".", "--config-file", CONFIG, "--json", report]
    done = run(command, folder=ROOT, seconds=SECONDS, extra=settings)
    if not report.is_file():
        raise ToolFailed(f"slither ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    answer = json.loads(report.read_text(encoding="utf-8"))
    if not answer.get("success"):
        raise ToolFailed(f"slither failed: {answer.get('error')}")
    return read_findings(answer)


def main() -> int:
    """Entry point."""
    try:
        found = measure()
    except ToolFailed as error:
        print(error, file=sys.stderr)
        return 1
    unexplained, gone = compare(found, read_reasons())
    for finding in found:
        mark = "UNEXPLAINED" if finding in unexplained else "explained"
        print(f"{mark:12} {finding.impact:14} {finding.check:28} {finding.place}")
    for check, place in gone:
        print(f"GONE: {check} {place}; take it out of findings.toml")
    print(f"slither: {len(found)} findings, {len(unexplained)} without a reason, {len(gone)} reasons without a finding")
    return 1 if unexplained or gone else 0


if __name__ == "__main__":
    sys.exit(main())
