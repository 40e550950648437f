"""Compile the harness: ``python -m tests.contracts.harness.build``, after a change of the libraries that it calls."""

from __future__ import annotations

from pathlib import Path

from contracts.compile import compile_sources, write_artifacts

ENTRIES = {name: f"tests/contracts/harness/{name}.sol" for name in ("Harness", "Payer")}

if __name__ == "__main__":
    write_artifacts(compile_sources(ENTRIES), Path(__file__).parent)
