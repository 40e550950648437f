"""``python -m devnet.sim [NAME|all] [--rounds N] [--seed S] [--out DIR] [--json]``"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from devnet.sim import cabal, committees, copying, dealing, delegation, griefing, sybil, yuma
from devnet.sim.report import Result, as_json, draw, print_table

SCENARIOS: dict[str, Callable[[int, int], Result]] = {
    "committees": committees.run,
    "seeds": committees.run_seeds,
    "lift": cabal.run_lift,
    "sink": cabal.run_sink,
    "split-stake": sybil.run_stake,
    "switch": sybil.run_switch,
    "split-miner": sybil.run_miners,
    "lazy": copying.run,
    "copiers": copying.run_many,
    "griefing": griefing.run,
    "delegation": delegation.run,
    "own-model": dealing.run,
    "yuma": yuma.run,
}
ROUNDS, SEED = 400, 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser("python -m devnet.sim", description="Plays the protocol's rules against attackers.")
    found.add_argument("name", nargs="?", default="all", choices=["all", *SCENARIOS], help="a scenario (default: all)")
    found.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each network (default: %(default)s)")
    found.add_argument("--seed", type=int, default=SEED, help="of all randomness (default: %(default)s)")
    found.add_argument("--out", type=Path, help="folder for the pictures (default: none are drawn)")
    found.add_argument("--json", action="store_true", help="the tables as JSON")
    return found


def simulate(names: Sequence[str], rounds: int, seed: int) -> list[Result]:
    """The scenarios one after the other, with a bar on the error output."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:14}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    results = []
    with bar:
        task = bar.add_task("", total=len(names))
        for name in names:
            bar.update(task, description=name)
            results.append(SCENARIOS[name](rounds, seed))
            bar.advance(task)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints, draws."""
    options = parser().parse_args(arguments)
    if options.rounds < 5:
        parser().error("at least 5 rounds")
    names = list(SCENARIOS) if options.name == "all" else [options.name]
    results = simulate(names, options.rounds, options.seed)
    if options.json:
        print(as_json(results))
    for result in results:
        if not options.json:
            print_table(result)
        if options.out:
            for path in draw(result, options.out):
                print(f"wrote {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
