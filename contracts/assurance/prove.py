"""Proofs, for every input, of what ``contracts/test/proofs`` states: ``python -m contracts.assurance.prove``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from contracts.assurance.tools import ROOT, WORK, ToolFailed, run, tool

SOLVER = Path(__file__).with_name("solve.py")
SECONDS = 3600.0
ASSERTION_SECONDS = 300
_RESULT = re.compile(r"\[(PASS|FAIL|TIMEOUT|ERROR)\]\S* (check_\w+)")


def read_results(output: str) -> dict[str, str]:
    """Property -> PASS, FAIL, TIMEOUT or ERROR, from what halmos printed."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    return {name: verdict for verdict, name in _RESULT.findall(plain)}


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m contracts.assurance.prove", description=__doc__)
    parser.add_argument("--match", default="", help="only properties whose name after check_ matches this pattern")
    options = parser.parse_args(arguments)
    out = WORK / "proofs"
    settings = {
        "FOUNDRY_SRC": "contracts/test/proofs",
        "FOUNDRY_TEST": "contracts/test/proofs",
        "FOUNDRY_OUT": str(out / "out"),
        "FOUNDRY_CACHE_PATH": str(out / "cache"),
    }
    try:
        python = tool("halmos", "python")
        done = run(
            [
                *(tool("halmos", "halmos"), "--root", ROOT, "--forge-build-out", out / "out"),
                *("--match-contract", "Proof", "--match-test", options.match, "--no-status"),
                *("--solver-command", f"{python} {SOLVER}", "--solver-timeout-assertion", f"{ASSERTION_SECONDS}s"),
            ],
            seconds=SECONDS,
            extra=settings,
        )
    except ToolFailed as error:
        print(error, file=sys.stderr)
        return 1
    print(done.stdout + done.stderr)
    verdicts = read_results(done.stdout)
    failed = sorted(name for name, verdict in verdicts.items() if verdict != "PASS")
    print(
        f"proofs: {len(verdicts) - len(failed)} of {len(verdicts)} hold{': not ' + ', '.join(failed) if failed else ''}"
    )
    return 1 if failed or not verdicts or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
