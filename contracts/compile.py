"""Compile the contracts: ``python -m contracts.compile [--check]``.

Writes one artifact per contract in ``contracts/artifacts``, and one per library that a contract links to (a library
whose functions are all internal is part of its callers instead). They are committed, so running
Strata needs no compiler.
A native ``solc`` of the right version on PATH is used where there is one, else the JavaScript build from
``node_modules`` behind ``solc.cjs``; both give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from contracts.artifact import ARTIFACTS, CONTRACTS, LIBRARIES, Artifact, order_libraries, parse_artifact, read_artifact

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "contracts" / "src"
SHIM = ROOT / "contracts" / "solc.cjs"
SOLC_VERSION = "0.8.37"
SETTINGS: dict[str, Any] = {
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": False,
    "evmVersion": "shanghai",
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}
_IMPORT = re.compile(r'^import\s[^;]*?"([^"]+)";', re.MULTILINE)
_LIBRARY = re.compile(r"^library\s+(\w+)", re.MULTILINE)


class CompileFailed(RuntimeError):
    """The compiler refused the sources; the message is the compiler's."""


def source_file(name: str, root: Path = ROOT) -> Path:
    """Where a source unit lies: ours below the repository's root, others in ``node_modules``."""
    return root / ("node_modules" if name.startswith("@") else "") / name


def read_closure(entries: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """Every source that the entries need, themselves included: name -> text."""
    found: dict[str, str] = {}
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = source_file(name, root).read_text(encoding="utf-8")
        for target in _IMPORT.findall(found[name]):
            waiting.append(_resolve(name, target))
    return dict(sorted(found.items()))


def _resolve(importer: str, target: str) -> str:
    if not target.startswith("."):
        return target
    parts = importer.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def hash_sources(sources: dict[str, str]) -> str:
    """Hex SHA-256 over names and texts, each with its length before it, and over the compiler's settings."""
    digest = hashlib.sha256(json.dumps([SOLC_VERSION, SETTINGS], sort_keys=True).encode())
    for name, text in sorted(sources.items()):
        for part in (name.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def find_solc() -> Path:
    """A ``solc`` of the right version: a native one on PATH, else the shim."""
    native = shutil.which("solc")
    if native:
        answer = subprocess.run([native, "--version"], capture_output=True, text=True, timeout=60, check=False)
        if f"Version: {SOLC_VERSION}+" in answer.stdout:
            return Path(native)
    if shutil.which("node") is None:
        raise CompileFailed(f"needs solc {SOLC_VERSION} on PATH, or Node to run the one in node_modules (npm ci)")
    return SHIM


def compile_sources(entries: dict[str, str], root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """Compile ``{contract name: source name}``; returns an artifact, ready for JSON, per contract name.

    The libraries that they link to are compiled with them, and are in the answer.
    """
    from solcx import compile_standard
    from solcx.exceptions import SolcError

    sources = read_closure(entries.values(), root)
    wanted = {**_own_libraries(sources), **entries}
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**SETTINGS, "outputSelection": _selection(wanted)},
    }
    try:
        answer = compile_standard(request, solc_binary=find_solc())
    except SolcError as error:
        raise CompileFailed(error.message) from error
    made = {
        contract: _artifact(contract, entry, answer["contracts"][entry][contract], root)
        for contract, entry in sorted(wanted.items())
    }
    linked = order_libraries(_reached_from(made, entries))
    return {name: artifact for name, artifact in made.items() if name in entries or name in linked}


def _own_libraries(sources: dict[str, str]) -> dict[str, str]:
    """Libraries declared in our own sources: name -> source name."""
    return {
        library: name
        for name, text in sources.items()
        if not name.startswith("@")
        for library in _LIBRARY.findall(text)
    }


def _reached_from(made: dict[str, dict[str, Any]], entries: Iterable[str]) -> list[Artifact]:
    """The entries' artifacts with those of every library that they link to, whatever else was compiled."""
    waiting, reached = list(entries), {}
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached[name] = parse_artifact(made[name])
            waiting.extend(reached[name].links)
    return [reached[name] for name in sorted(reached)]


def _selection(entries: dict[str, str]) -> dict[str, Any]:
    wanted = ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences", "evm.deployedBytecode.object"]
    selection: dict[str, Any] = {}
    for contract, entry in entries.items():
        selection.setdefault(entry, {})[contract] = wanted
    return selection


def _artifact(contract: str, entry: str, output: dict[str, Any], root: Path) -> dict[str, Any]:
    references = output["evm"]["bytecode"].get("linkReferences", {})
    return {
        "contractName": contract,
        "sourceName": entry,
        "sourceSha256": hash_sources(read_closure([entry], root)),
        "compiler": {"version": SOLC_VERSION, "settings": SETTINGS},
        "deployedBytes": len(output["evm"]["deployedBytecode"]["object"]) // 2,
        "bytecode": "0x" + output["evm"]["bytecode"]["object"],
        "linkReferences": {
            library: [place["start"] for place in places]
            for libraries in references.values()
            for library, places in sorted(libraries.items())
        },
        "abi": output["abi"],
    }


def protocol_entries() -> dict[str, str]:
    """The protocol's contracts and the libraries that they link to: name -> source name."""
    found = {path.stem: path.relative_to(ROOT).as_posix() for path in sorted(SOURCES.rglob("*.sol"))}
    missing = [name for name in (*LIBRARIES, *CONTRACTS) if name not in found]
    if missing:
        raise CompileFailed(f"no {', '.join(name + '.sol' for name in missing)} below {SOURCES}")
    return {name: found[name] for name in (*LIBRARIES, *CONTRACTS)}


def write_artifacts(artifacts: dict[str, dict[str, Any]], folder: Path = ARTIFACTS) -> None:
    """Write one ``NAME.json`` per artifact, the same bytes for the same input."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, artifact in artifacts.items():
        (folder / f"{name}.json").write_text(render(artifact), encoding="utf-8")


def render(artifact: dict[str, Any]) -> str:
    """An artifact's JSON text."""
    return json.dumps(artifact, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def stale(entries: dict[str, str], folder: Path = ARTIFACTS) -> list[str]:
    """Names of artifacts that are missing or were made from other sources or settings; compiles nothing."""
    return [
        name
        for name, entry in sorted(entries.items())
        if not (folder / f"{name}.json").is_file()
        or read_artifact(folder / f"{name}.json").source_sha256 != hash_sources(read_closure([entry]))
    ]


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m contracts.compile", description="Compile the contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where artifacts don't match sources")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            old = stale(protocol_entries())
            print(f"stale artifacts: {', '.join(old)}; run `python -m contracts.compile`" if old else "artifacts match")
            return 1 if old else 0
        artifacts = compile_sources({name: entry for name, entry in protocol_entries().items() if name in CONTRACTS})
    except CompileFailed as error:
        print(error, file=sys.stderr)
        return 1
    write_artifacts(artifacts)
    for name, artifact in artifacts.items():
        print(f"{name}: {artifact['deployedBytes']} bytes")
    return _compare_libraries(artifacts)


def _compare_libraries(artifacts: dict[str, dict[str, Any]]) -> int:
    """0 where ``LIBRARIES`` says what the contracts link to; else tells what it should say, and 1."""
    needed = order_libraries(_reached_from(artifacts, CONTRACTS))
    if needed == LIBRARIES:
        return 0
    print(f"set LIBRARIES in contracts/artifact.py to {needed!r}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
