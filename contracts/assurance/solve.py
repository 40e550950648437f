"""A solver for halmos, called as ``solve.py QUERY.smt2``: yices first, then cvc5 with integers for bits.

Products and quotients of 256-bit words are hopeless bit by bit and easy as integers; all else is the other way round.
What the compiler adds to each product, to see that it did not overflow, is a quotient that says nothing new; cvc5 first
tries without such conditions. What contradicts itself without them does so with them, too; any other answer is asked
for again with all.
Runs in halmos's own environment.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

YICES_SECONDS = 5
RELAXED_SECONDS = 40
SETTINGS = {"produce-models": "true", "incremental": "false", "solve-bv-as-int": "sum"}
QUOTIENT = "f_evm_bvudiv"


def ask(command: list[str], seconds: float | None) -> str:
    """What the solver says, nothing if it needs longer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout if done.stdout.startswith(("sat", "unsat")) else ""


def relax(query: str) -> str:
    """The query without the conditions that hold a quotient, but for the last one, which is the claim's negation."""
    forms, depth, start = [], 0, 0
    for place, character in enumerate(query):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == ")" and depth == 0:
            forms.append(query[start : place + 1])
            start = place + 1
    conditions = [i for i, form in enumerate(forms) if form.lstrip().startswith("(assert")]
    dropped = {i for i in conditions[:-1] if QUOTIENT in forms[i]}
    return "".join(form for i, form in enumerate(forms) if i not in dropped)


def run_cvc5(path: str) -> str:
    """Cvc5's answer to the query in a file."""
    import cvc5

    solver = cvc5.Solver(cvc5.TermManager())
    for option, value in SETTINGS.items():
        solver.setOption(option, value)
    parser = cvc5.InputParser(solver)
    parser.setFileInput(cvc5.InputLanguage.SMT_LIB_2_6, path)
    symbols = parser.getSymbolManager()
    answers = []
    while not (command := parser.nextCommand()).isNull():
        answers.append(command.invoke(solver, symbols))
        if answers[-1].strip() == "unsat":
            break
    return "".join(answers)


def solve(path: str) -> str:
    """The answer to the query in a file; halmos stops this at its own deadline."""
    answer = ask([str(Path(sys.executable).parent / "yices-smt2"), path], YICES_SECONDS)
    if answer:
        return answer
    with tempfile.NamedTemporaryFile("w", suffix=".smt2") as relaxed:
        relaxed.write(relax(Path(path).read_text(encoding="utf-8")))
        relaxed.flush()
        answer = ask([sys.executable, __file__, "--cvc5", relaxed.name], RELAXED_SECONDS)
    return answer if answer.startswith("unsat") else run_cvc5(path)


if __name__ == "__main__":
    print(run_cvc5(sys.argv[2]) if sys.argv[1] == "--cvc5" else solve(sys.argv[1]), end="", flush=True)
