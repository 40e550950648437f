"""The deep profile, part by part: ``python -m contracts.assurance.deep [--only TEXT] [--list]``.

10,000 runs of each property, and a campaign of a million calls for each invariant: hours. Each file of tests, and each
invariant, is a part of its own; what passed is written to ``.strata/forge/deep.json`` with a digest of the sources that
it imports, so a run that was cut off goes on, and after a change only the parts that it touches are run anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.assurance.tools import ROOT, WORK, ToolFailed, forge, run

TESTS = ROOT / "contracts" / "test"
SETTINGS = (ROOT / "foundry.toml", ROOT / "contracts" / "solc.cjs")
RECORD = WORK / "deep.json"
SECONDS = 4 * 3600.0
_IMPORT = re.compile(r'^\s*import\s[^;]*?"(?P<path>[^"]+)"\s*;', re.MULTILINE)
_INVARIANT = re.compile(r"function (invariant_\w+)\(")


@dataclass(frozen=True)
class Part:
    """What is run at a time: one file's invariant, or all the other tests of a file (``test`` is empty)."""

    file: str
    test: str = ""

    @property
    def name(self) -> str:
        """As the record and the user call it."""
        return f"{self.file}:{self.test}" if self.test else self.file


@dataclass(frozen=True)
class Outcome:
    """A part that passed: its sources' digest, how many tests, fuzz runs and invariant calls, in how many seconds."""

    digest: str
    tests: int
    runs: int
    calls: int
    seconds: float


def parts(folder: Path = TESTS) -> list[Part]:
    """All parts, quick ones first."""
    plain, campaigns = [], []
    for file in sorted(folder.rglob("*.t.sol")):
        if file.name.endswith("Gas.t.sol") or file.parent.name == "proofs":
            continue  # gas has a target of its own, proofs are halmos's
        name = file.relative_to(folder).as_posix()
        text = file.read_text()
        if re.search(r"function test", text):
            plain.append(Part(name))
        campaigns += [Part(name, found) for found in _INVARIANT.findall(text)]
    return plain + campaigns


def sources_of(file: Path, root: Path = ROOT) -> set[Path]:
    """A Solidity file and all that it imports, directly or not (OpenZeppelin's are pinned by the lock file)."""
    found: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for match in _IMPORT.finditer(path.read_text()):
            name = match["path"]
            if name.startswith("."):
                waiting.append((path.parent / name).resolve())
            elif name.startswith("contracts/"):
                waiting.append((root / name).resolve())
    return found


def digest_of(part: Part, folder: Path = TESTS, root: Path = ROOT) -> str:
    """What a part's outcome depends on."""
    hasher = hashlib.sha256()
    for path in (*sorted(sources_of(folder / part.file, root)), *SETTINGS):
        hasher.update(path.name.encode() + b"\0" + path.read_bytes())
    return hasher.hexdigest()[:32]


def read_record(path: Path = RECORD) -> dict[str, Outcome]:
    """What passed before; nothing where the record can't be read."""
    try:
        return {name: Outcome(**entry) for name, entry in json.loads(path.read_text()).items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def write_record(record: dict[str, Outcome], path: Path = RECORD) -> None:
    """The record, replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({name: asdict(outcome) for name, outcome in sorted(record.items())}, indent=1))
    temporary.replace(path)


def counts(answer: dict[str, Any]) -> tuple[int, int, int, list[str]]:
    """Of forge's JSON: tests, fuzz runs, invariant calls, and the names of those that failed."""
    tests = runs = calls = 0
    failed = []
    for suite in answer.values():
        for name, result in suite["test_results"].items():
            tests += 1
            if result["status"] != "Success":
                failed.append(f"{name}: {result.get('reason') or result['status']}")
            kind = result["kind"]
            if "Invariant" in kind:
                calls += int(kind["Invariant"]["calls"])
            elif "Fuzz" in kind:
                runs += int(kind["Fuzz"]["runs"])
    return tests, runs, calls, failed


def run_part(part: Part, digest: str) -> Outcome:
    """Runs one part in the deep profile; raises :class:`ToolFailed` where a test fails or forge does."""
    chosen = ["--match-test", f"^{part.test}\\("] if part.test else ["--no-match-test", "^invariant_"]
    started = time.monotonic()
    done = run(
        [forge(), "test", "--json", "--match-path", f"contracts/test/{part.file}", *chosen],
        seconds=SECONDS,
        extra={"FOUNDRY_PROFILE": "deep"},
    )
    start = done.stdout.find("{")
    try:
        answer = json.loads(done.stdout[start:])
        tests, runs, calls, failed = counts(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolFailed(f"forge did not answer on {part.name}: {(done.stderr or done.stdout)[-800:]}") from error
    if failed or tests == 0:
        raise ToolFailed(f"{part.name}: " + ("; ".join(failed) or "no test was found"))
    return Outcome(digest, tests, runs, calls, round(time.monotonic() - started, 1))


def main(arguments: list[str] | None = None) -> int:
    """Runs what has not passed yet; 1 where something failed."""
    parser = argparse.ArgumentParser(
        "python -m contracts.assurance.deep", description="The deep profile, part by part."
    )
    parser.add_argument("--only", default="", help="only parts whose name contains this")
    parser.add_argument("--list", action="store_true", help="say what passed and what is to be run, and run nothing")
    options = parser.parse_args(arguments)
    record, passed, failed = read_record(), [], False
    chosen = [part for part in parts() if options.only in part.name]
    for number, part in enumerate(chosen, 1):
        digest, place = digest_of(part), f"[{number}/{len(chosen)}] {part.name}"
        outcome = record.get(part.name)
        if outcome is not None and outcome.digest == digest:
            print(f"{place}: passed before ({outcome.runs} runs, {outcome.calls} calls)")
            passed.append(outcome)
            continue
        if options.list:
            print(f"{place}: to be run")
            continue
        print(f"{place} ...", flush=True)
        try:
            outcome = run_part(part, digest)
        except ToolFailed as error:
            failed = True
            print(f"FAILED {error}", flush=True)
            continue
        write_record({**read_record(), part.name: outcome})
        passed.append(outcome)
        print(
            f"    {outcome.tests} tests, {outcome.runs} runs, {outcome.calls} calls in {outcome.seconds:.0f} s",
            flush=True,
        )
    print(
        f"{len(passed)} of {len(chosen)} parts passed: {sum(o.tests for o in passed)} tests, "
        f"{sum(o.runs for o in passed)} fuzz runs, {sum(o.calls for o in passed)} invariant calls"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
