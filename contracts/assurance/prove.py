"""Proofs, for every input, of what ``contracts/test/proofs`` states: ``python -m contracts.assurance.prove``."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from contracts.assurance.tools import ROOT, WORK, ToolFailed, environment, tool

SOLVER = Path(__file__).with_name("solve.py")
ASSERTION_SECONDS = 70
_RESULT = re.compile(r"\[(PASS|FAIL|TIMEOUT|ERROR)\]\S* (check_\w+)")


def read_results(output: str) -> dict[str, str]:
    """Property -> PASS, FAIL, TIMEOUT or ERROR, from what halmos printed."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    return {name: verdict for verdict, name in _RESULT.findall(plain)}


def _stream(command: list[str], settings: dict[str, str]) -> tuple[str, int]:
    """Runs the command and shows what it prints as it comes; (all of it, exit code)."""
    lines = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines), process.returncode


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
        output, code = _stream(
            [
                *(str(tool("halmos", "halmos")), "--root", str(ROOT), "--forge-build-out", str(out / "out")),
                *(
                    "--match-contract",
                    "Proof",
                    "--match-test",
                    options.match,
                    "--no-status",
                    "--loop",
                    "8",
                    "--solver-threads",
                    "2",
                ),
                *("--solver-command", f"{python} {SOLVER}", "--solver-timeout-assertion", f"{ASSERTION_SECONDS}s"),
            ],
            settings,
        )
    except ToolFailed as error:
        print(error, file=sys.stderr)
        return 1
    verdicts = read_results(output)
    failed = sorted(name for name, verdict in verdicts.items() if verdict != "PASS")
    print(
        f"proofs: {len(verdicts) - len(failed)} of {len(verdicts)} hold{': not ' + ', '.join(failed) if failed else ''}"
    )
    return 1 if failed or not verdicts or code else 0


if __name__ == "__main__":
    sys.exit(main())
