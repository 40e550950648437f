"""The committed artifacts are what the sources compile to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from contracts import CONTRACTS, LIBRARIES, ArtifactMissing, compile, load_artifact
from contracts.artifact import ARTIFACTS
from tests.contracts.harness.build import ENTRIES
from tests.contracts.net import HARNESS

MAX_CODE = 24_576
OPENZEPPELIN = compile.ROOT / "node_modules" / "@openzeppelin"
needs_sources = pytest.mark.skipif(not OPENZEPPELIN.is_dir(), reason="no OpenZeppelin in node_modules")


@needs_sources
def test_artifacts_when_sources_are_hashed_then_match() -> None:
    assert compile.stale(compile.protocol_entries()) == []
    assert compile.stale(ENTRIES, HARNESS.parent) == []
    assert compile.main(["--check"]) == 0


@needs_sources
def test_artifacts_when_a_source_changes_then_are_stale(tmp_path: Path) -> None:
    before = compile.read_closure(["contracts/src/Rounds.sol"])
    assert compile.hash_sources(before) == load_artifact("Rounds").source_sha256
    changed = {**before, "contracts/src/Rounds.sol": before["contracts/src/Rounds.sol"] + " "}
    assert compile.hash_sources(changed) != load_artifact("Rounds").source_sha256
    assert compile.stale(compile.protocol_entries(), tmp_path) == sorted((*LIBRARIES, *CONTRACTS))


@pytest.mark.parametrize("name", (*LIBRARIES, *CONTRACTS))
def test_contract_when_deployed_then_fits_the_size_limit(name: str) -> None:
    assert 0 < json.loads((ARTIFACTS / f"{name}.json").read_text())["deployedBytes"] <= MAX_CODE


def test_artifact_when_unknown_then_says_what_to_run() -> None:
    with pytest.raises(ArtifactMissing, match=r"python -m contracts\.compile"):
        load_artifact("Nothing")


@pytest.mark.slow
@needs_sources
@pytest.mark.skipif(shutil.which("node") is None, reason="no Node")
def test_artifacts_when_compiled_again_then_byte_equal() -> None:
    for name, artifact in compile.compile_sources(compile.protocol_entries()).items():
        assert compile.render(artifact) == (ARTIFACTS / f"{name}.json").read_text(), name
    harness = compile.compile_sources(ENTRIES)["Harness"]
    assert compile.render(harness) == HARNESS.read_text()
