"""Mutants of the contracts, made by gambit: each is one source file with one small change."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from contracts.assurance.tools import ROOT, TOOLS, WORK, ToolFailed, run

FOLDER = WORK / "mutants"
AST = Path(__file__).with_name("solc_ast.cjs")
SECONDS = 300.0
_CHANGE = re.compile(r"/// (\w+)\(`(.*?)` \|==> `(.*?)`\) of: `(.*?)`", re.DOTALL)


@dataclass(frozen=True)
class Mutant:
    """One change of one source file."""

    file: str
    """The source, from the repository's root."""
    operator: str
    """Gambit's name for the kind of change."""
    before: str
    after: str
    line: int
    """Of the original, from 1."""
    text: str
    """The whole file with the change."""

    @property
    def key(self) -> str:
        """Names the change, wherever in the file it has moved to: 12 hex digits."""
        said = "\n".join((self.file, self.operator, self.before, self.after, str(self.line)))
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: `{self.before}` -> `{self.after}`"


def find_gambit() -> Path:
    """Gambit's binary inside certora-cli; raises :class:`ToolFailed`."""
    for path in (TOOLS / "gambit" / "lib").glob("python3*/site-packages/certora_bins/gambit"):
        return path
    raise ToolFailed("gambit is not there; run .ci/tools")


def mutable_sources() -> list[str]:
    """Every source with code in it, from the root; interfaces have none."""
    folder = ROOT / "contracts" / "src"
    return [
        path.relative_to(ROOT).as_posix() for path in sorted(folder.rglob("*.sol")) if path.parent.name != "interfaces"
    ]


def make_mutants(source: str) -> list[Mutant]:
    """Every mutant of one source, in gambit's order, kept until the source changes; raises :class:`ToolFailed`."""
    out = FOLDER / "gambit" / Path(source).stem
    stamp, digest = out / "source.sha256", hashlib.sha256((ROOT / source).read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        _run_gambit(source, out)
        stamp.write_text(digest)
    listed = out / "gambit_results.json"
    if not listed.is_file():
        return []  # nothing in it that could be changed
    made = [_read(source, out / item["name"], item["diff"]) for item in json.loads(listed.read_text(encoding="utf-8"))]
    return list({mutant.key: mutant for mutant in made}.values())


def _run_gambit(source: str, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    done = run(
        [find_gambit(), "mutate", "-f", source, "--sourceroot", ".", "--solc", AST, "-o", out, "--skip_validate"],
        seconds=SECONDS,
    )
    if done.returncode != 0 or "[ERROR" in done.stdout + done.stderr:
        raise ToolFailed(f"gambit failed on {source}:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")


def _read(source: str, path: Path, diff: str) -> Mutant:
    change = _CHANGE.search(diff)
    operator, before, after = change.group(1, 2, 3) if change else ("?", diff, "?")
    start = int((re.search(r"^@@ -(\d+)", diff, re.MULTILINE) or ["", "1"])[1])
    context = diff.split("@@\n", 1)[-1].splitlines()
    offset = next((number for number, line in enumerate(context) if line.startswith("-")), 0)
    return Mutant(source, operator, before, after, start + offset, path.read_text(encoding="utf-8"))


def sample(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """``count`` of them, drawn by ``seed`` (all where there are no more), in random order: any beginning is fair."""
    drawn = sorted(mutants, key=lambda mutant: mutant.key)
    random.Random(seed).shuffle(drawn)
    return drawn[:count]
