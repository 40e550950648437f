"""A solver for halmos, called as ``solve.py QUERY.smt2``: yices first, then cvc5 with integers for bits.

Products and quotients of 256-bit words are hopeless bit by bit and easy as integers; all else is the other way round.
Runs in halmos's own environment.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

YICES_SECONDS = 5
SETTINGS = {"produce-models": "true", "incremental": "false", "solve-bv-as-int": "sum", "tlimit": "120000"}


def ask_yices(query: str) -> str | None:
    """Yices' answer, or nothing where it has none in time."""
    yices = Path(sys.executable).parent / "yices-smt2"
    try:
        done = subprocess.run([str(yices), query], capture_output=True, text=True, timeout=YICES_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.stdout.startswith(("sat", "unsat")) else None


def ask_cvc5(query: str) -> str:
    """Cvc5's answer; halmos stops it at its own deadline."""
    import cvc5

    solver = cvc5.Solver(cvc5.TermManager())
    for option, value in SETTINGS.items():
        solver.setOption(option, value)
    parser = cvc5.InputParser(solver)
    parser.setFileInput(cvc5.InputLanguage.SMT_LIB_2_6, query)
    symbols = parser.getSymbolManager()
    answers = []
    while not (command := parser.nextCommand()).isNull():
        answers.append(command.invoke(solver, symbols))
        if answers[-1].strip() == "unsat":
            break
    return "".join(answers)


if __name__ == "__main__":
    print(ask_yices(sys.argv[1]) or ask_cvc5(sys.argv[1]), end="", flush=True)
