"""Compiled contracts: ABI, bytecode, the libraries that they link to, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

ARTIFACTS = Path(__file__).resolve().parent / "artifacts"

LIBRARIES: tuple[str, ...] = ("Disputes", "Judging", "Reading", "Scoring", "Settling")
"""The libraries that contracts call (rather than contain), in the order in which they can be deployed. The compiler
refuses to finish where this is not what the sources need."""

CONTRACTS = (
    "StrataTimelock",
    "StrataAuthority",
    "StrataToken",
    "ModelRegistry",
    "Staking",
    "DataRegistry",
    "Rewards",
    "InferenceChannels",
    "Rounds",
)
"""The contracts of a network, in the order in which they can be deployed, after the libraries."""


class ArtifactMissing(LookupError):
    """No compiled contract of that name; ``python -m contracts.compile`` makes them."""


class LinkFailed(ValueError):
    """Code can't be linked: a library's address is missing or is none."""


@dataclass(frozen=True)
class Artifact:
    """One compiled contract or library."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    """Creation code, hex with 0x; not hex where a library's address belongs, see :func:`link`."""
    links: dict[str, tuple[int, ...]]
    """Where the addresses of libraries go: library -> offsets in bytes."""
    source_sha256: str
    """Hex SHA-256 over the path and text of every source that it was compiled from."""
    compiler: dict[str, Any]
    """Version and settings of the compiler."""


def read_artifact(path: Path) -> Artifact:
    """Read an artifact file."""
    return parse_artifact(json.loads(path.read_text(encoding="utf-8")))


def parse_artifact(data: Mapping[str, Any]) -> Artifact:
    """An artifact from its JSON."""
    return Artifact(
        name=data["contractName"],
        abi=data["abi"],
        bytecode=data["bytecode"],
        links={library: tuple(offsets) for library, offsets in data.get("linkReferences", {}).items()},
        source_sha256=data["sourceSha256"],
        compiler=data["compiler"],
    )


@lru_cache(maxsize=64)
def load_artifact(name: str) -> Artifact:
    """The compiled contract ``name`` (or interface, such as ``IRounds``); raises :class:`ArtifactMissing`."""
    path = ARTIFACTS / f"{name}.json"
    if not path.is_file():
        raise ArtifactMissing(f"no compiled contract {name!r}: run `python -m contracts.compile`")
    return read_artifact(path)


def link(artifact: Artifact, addresses: Mapping[str, str]) -> str:
    """The creation code (hex with 0x) with the libraries' addresses in it; ``addresses`` may name more than it needs.

    Raises :class:`LinkFailed` where a needed library has no address, or something that isn't one.
    """
    code = artifact.bytecode.removeprefix("0x")
    for library, offsets in artifact.links.items():
        address = addresses.get(library, "").removeprefix("0x").lower()
        if len(address) != 40 or not set(address) <= set("0123456789abcdef"):
            raise LinkFailed(f"{artifact.name} needs the address of library {library}, got {addresses.get(library)!r}")
        for offset in offsets:
            code = code[: 2 * offset] + address + code[2 * offset + 40 :]
    return "0x" + code


def order_libraries(artifacts: Iterable[Artifact]) -> tuple[str, ...]:
    """The libraries that the artifacts link to, each after those that it links to itself.

    ``artifacts`` holds the libraries too.
    """
    known = {artifact.name: artifact for artifact in artifacts}
    ordered: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise LinkFailed(f"libraries link in a circle: {' > '.join((*path, name))}")
        for library in sorted(known[name].links):
            if library not in ordered:
                visit(library, (*path, name))
                ordered.append(library)

    for name in known:
        visit(name, ())
    return tuple(ordered)
