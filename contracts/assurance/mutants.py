"""Mutation test: small faults are put into the contracts, and each must make a test fail.

``python -m contracts.assurance.mutants [--count 400] [--all] [--file contracts/src/Staking.sol]``. A mutant that does
not compile, or compiles to the same code, is not viable and not counted. Survivors that change nothing
anybody can see are listed with the reason in ``survivors.toml``.
"""

from __future__ import annotations

import argparse
import json
import queue
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from contracts.assurance.gambit import FOLDER, Mutant, make_mutants, mutable_sources, sample
from contracts.assurance.tools import CODE_LIMIT, ROOT, ToolFailed, forge, run

EXPLAINED = Path(__file__).with_name("survivors.toml")
RESULTS = FOLDER / "results.json"
SCORE = 95.0  # percent of viable mutants that must be killed
BUILD_SECONDS = 900.0
TEST_SECONDS = 300.0


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: killed, timeout (killed too), survived, broken (no compiling) or same (same code)."""

    key: str
    verdict: str
    seconds: float


class Worker:
    """One copy of the sources in which mutants are tried, one after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def make(cls, number: int = 0) -> Worker:
        """A copy of the sources and the tests, and whatever of it was compiled before."""
        worker = cls(FOLDER / f"worker-{number}")
        shutil.rmtree(worker.root / "contracts", ignore_errors=True)
        worker.root.mkdir(parents=True, exist_ok=True)
        skip = shutil.ignore_patterns("artifacts", "__pycache__", "assurance", "proofs")
        shutil.copytree(ROOT / "contracts", worker.root / "contracts", ignore=skip)
        shutil.copy(ROOT / "foundry.toml", worker.root / "foundry.toml")
        if not (worker.root / "node_modules").exists():
            (worker.root / "node_modules").symlink_to(ROOT / "node_modules")
        return worker

    def clone(self, number: int) -> Worker:
        """Another one with the same sources, compiled as far."""
        twin = Worker(FOLDER / f"worker-{number}")
        shutil.rmtree(twin.root, ignore_errors=True)
        shutil.copytree(self.root, twin.root, symlinks=True)
        return twin

    def prove_whole(self) -> dict[str, str]:
        """The unchanged sources pass every test; returns their code. Raises :class:`ToolFailed`."""
        done = self._forge("test", BUILD_SECONDS)
        if done.returncode != 0:
            raise ToolFailed(f"the tests fail without any mutant:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
        return self._code()

    def try_mutant(self, mutant: Mutant, whole: dict[str, str]) -> Outcome:
        """Puts it in, runs the tests until one fails, takes it out."""
        path = self.root / mutant.file
        original = path.read_text(encoding="utf-8")
        began = time.monotonic()
        path.write_text(mutant.text, encoding="utf-8")
        try:
            verdict = self._judge(whole)
        finally:
            path.write_text(original, encoding="utf-8")
        return Outcome(mutant.key, verdict, round(time.monotonic() - began, 1))

    def _judge(self, whole: dict[str, str]) -> str:
        built = self._forge("build", BUILD_SECONDS)
        if built.returncode != 0:
            return "broken"
        if self._code() == whole:
            return "same"
        try:
            done = self._forge("test", TEST_SECONDS)
        except subprocess.TimeoutExpired:
            return "timeout"
        return "killed" if done.returncode != 0 else "survived"

    def _forge(self, verb: str, seconds: float) -> subprocess.CompletedProcess[str]:
        settings = {"FOUNDRY_PROFILE": "mutants", "FOUNDRY_CODE_SIZE_LIMIT": CODE_LIMIT}
        options = ["--fail-fast"] if verb == "test" else []
        return run([forge(), verb, *options], folder=self.root, seconds=seconds, extra=settings)

    def _code(self) -> dict[str, str]:
        """Creation code of every contract and library of ours, by the last build."""
        found = {}
        for source in mutable_sources():
            for path in (self.root / ".strata" / "forge" / "out" / Path(source).name).glob("*.json"):
                data = json.loads(path.read_text(encoding="utf-8"))
                found[f"{source}:{path.stem}"] = data["bytecode"]["object"]
        return found


def run_all(mutants: list[Mutant], workers: int, known: dict[str, Outcome]) -> dict[str, Outcome]:
    """Tries every mutant that ``known`` does not hold; results are saved as they come."""
    waiting: queue.Queue[Mutant] = queue.Queue()
    for mutant in mutants:
        if mutant.key not in known:
            waiting.put(mutant)
    results, lock = dict(known), threading.Lock()
    broken: list[Exception] = []

    first = Worker.make()
    whole = first.prove_whole()

    def work(worker: Worker) -> None:
        try:
            while not broken:
                mutant = waiting.get_nowait()
                outcome = worker.try_mutant(mutant, whole)
                with lock:
                    results[mutant.key] = outcome
                    save(results)
                    print(f"{len(results):5} {outcome.verdict:9} {outcome.seconds:6.1f} s  {mutant}", flush=True)
        except queue.Empty:
            return
        except Exception as error:  # noqa: BLE001 - told by the main thread
            broken.append(error)

    team = [first, *(first.clone(number) for number in range(1, workers))]
    threads = [threading.Thread(target=work, args=(worker,)) for worker in team]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return results


def save(results: dict[str, Outcome], path: Path = RESULTS) -> None:
    """Writes the outcomes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([vars(outcome) for outcome in results.values()], indent=1), encoding="utf-8")


def load(path: Path = RESULTS) -> dict[str, Outcome]:
    """Outcomes of an earlier run, to go on with."""
    if not path.is_file():
        return {}
    return {item["key"]: Outcome(**item) for item in json.loads(path.read_text(encoding="utf-8"))}


def read_reasons(path: Path = EXPLAINED) -> dict[tuple[str, str, str], str]:
    """(file, before, after) -> why no test can see the change."""
    listed = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    return {(item["file"], item["before"], item["after"]): item["reason"] for item in listed}


def report(mutants: list[Mutant], results: dict[str, Outcome], reasons: dict[tuple[str, str, str], str]) -> float:
    """Prints the tally and each survivor; returns the percentage killed of those that a test could notice."""
    tried = [(mutant, results[mutant.key].verdict) for mutant in mutants if mutant.key in results]
    tally = Counter(verdict for _, verdict in tried)
    killed = tally["killed"] + tally["timeout"]
    survivors = [mutant for mutant, verdict in tried if verdict == "survived"]
    equal = [m for m in survivors if (m.file, m.before, m.after) in reasons]
    for mutant in survivors:
        print(f"{'equal' if mutant in equal else 'SURVIVED':8} {mutant}")
    viable = killed + len(survivors)
    for name in sorted({mutant.file for mutant, _ in tried}):
        dead = sum(1 for m, v in tried if m.file == name and v in ("killed", "timeout"))
        left = sum(1 for m, v in tried if m.file == name and v == "survived")
        print(f"  {name.removeprefix('contracts/src/'):36} {dead:4} killed {left:4} survived")
    print(
        f"mutants: {len(tried)} tried, {tally['broken']} do not compile, {tally['same']} give the same code; "
        f"of {viable} viable {killed} killed ({tally['timeout']} by running on), {len(survivors)} survived, "
        f"{len(equal)} of these explained"
    )
    return 100.0 if viable == 0 else 100.0 * killed / viable


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m contracts.assurance.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="how many mutants, drawn at random")
    parser.add_argument("--all", action="store_true", help="every mutant (hours)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--file", action="append", help="only mutants of this source")
    parser.add_argument("--resume", action="store_true", help="keep the results of an earlier run")
    parser.add_argument("--floor", type=float, default=SCORE, help="least percentage of viable mutants killed")
    options = parser.parse_args(arguments)
    try:
        made = [mutant for source in options.file or mutable_sources() for mutant in make_mutants(source)]
        chosen = sample(made, len(made) if options.all else options.count, options.seed)
        print(f"{len(chosen)} of {len(made)} mutants", flush=True)
        results = run_all(chosen, options.workers, load() if options.resume else {})
    except ToolFailed as error:
        print(error, file=sys.stderr)
        return 1
    score = report(chosen, results, read_reasons())
    print(f"mutation score: {score:.1f}% killed, wanted {options.floor:g}%")
    return 0 if score >= options.floor else 1


if __name__ == "__main__":
    sys.exit(main())
