"""Where the checkers are, and how they are called: forge from ``node_modules``, others in own environments."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORGE = ROOT / "node_modules" / "@foundry-rs" / "forge-linux-amd64" / "bin" / "forge"
TOOLS = ROOT / ".strata" / "tools"
WORK = ROOT / ".strata" / "forge"
CODE_LIMIT = "1000000"  # bytes; coverage and mutants run unoptimised or changed code, whose size says nothing


class ToolFailed(RuntimeError):
    """A checker did not run, or ended with an error of its own; the message says which and how."""


def tool(environment: str, program: str) -> Path:
    """A program of one of the environments that ``.ci/tools`` makes; raises :class:`ToolFailed`."""
    path = TOOLS / environment / "bin" / program
    if not path.exists():
        raise ToolFailed(f"{program} is not at {path}; run .ci/tools")
    return path


def forge() -> Path:
    """Forge's binary; raises :class:`ToolFailed`."""
    if not FORGE.is_file():
        raise ToolFailed(f"forge is not at {FORGE}; it comes for Linux on x86-64: npm ci")
    return FORGE


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with forge on PATH, for tools that call it themselves."""
    return {**os.environ, "PATH": f"{FORGE.parent}{os.pathsep}{os.environ.get('PATH', '')}", **(extra or {})}


def run(
    command: Sequence[str | Path], *, folder: Path = ROOT, seconds: float, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs to the end or to the deadline (``subprocess.TimeoutExpired``); output is captured."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment(extra),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
