"""Compiled contracts: ABI, bytecode, and what they were made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

ARTIFACTS = Path(__file__).resolve().parent / "artifacts"

CONTRACTS = (
    "StrataToken",
    "Staking",
    "ModelRegistry",
    "DataRegistry",
    "Rewards",
    "InferenceChannels",
    "Rounds",
)
"""The contracts of a network, in the order in which they can be deployed."""


class ArtifactMissing(LookupError):
    """No compiled contract of that name; ``python -m contracts.compile`` makes them."""


@dataclass(frozen=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    """Creation code, hex with 0x."""
    source_sha256: str
    """Hex SHA-256 over the path and text of every source that it was compiled from."""
    compiler: dict[str, Any]
    """Version and settings of the compiler."""


def read_artifact(path: Path) -> Artifact:
    """Read an artifact file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Artifact(
        name=data["contractName"],
        abi=data["abi"],
        bytecode=data["bytecode"],
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
