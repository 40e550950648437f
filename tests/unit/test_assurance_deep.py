"""The deep profile in parts: which there are, what each depends on, what is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.assurance import deep
from contracts.assurance.tools import ToolFailed


def _tree(root: Path) -> Path:
    folder = root / "contracts" / "test"
    (folder / "a").mkdir(parents=True)
    (root / "contracts" / "src").mkdir()
    (root / "contracts" / "src" / "Bank.sol").write_text("contract Bank {}")
    (folder / "a" / "World.sol").write_text('import {Bank} from "../../src/Bank.sol";\nimport "@openzeppelin/x.sol";\n')
    (folder / "a" / "Money.t.sol").write_text(
        'import {\n  World\n} from "./World.sol";\nfunction test_a() {}\nfunction invariant_solvent() {}\n'
    )
    (folder / "a" / "BankGas.t.sol").write_text("function test_gas() {}")
    return folder


def test_parts_of_a_tree_then_files_and_invariants_without_gas(tmp_path: Path) -> None:
    folder = _tree(tmp_path)
    assert [part.name for part in deep.parts(folder)] == ["a/Money.t.sol", "a/Money.t.sol:invariant_solvent"]


def test_digest_when_an_import_of_an_import_changes_then_another(tmp_path: Path) -> None:
    folder = _tree(tmp_path)
    part = deep.Part("a/Money.t.sol")
    before = deep.digest_of(part, folder, tmp_path)
    assert deep.digest_of(part, folder, tmp_path) == before
    (tmp_path / "contracts" / "src" / "Bank.sol").write_text("contract Bank { uint256 x; }")
    assert deep.digest_of(part, folder, tmp_path) != before


def test_record_when_damaged_then_nothing_is_known(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    outcome = deep.Outcome("d", 2, 20_000, 0, 1.5)
    deep.write_record({"a": outcome}, path)
    assert deep.read_record(path) == {"a": outcome}
    path.write_text('{"a": {"digest"')
    assert deep.read_record(path) == {}


def test_counts_of_forges_answer_then_runs_calls_and_failures() -> None:
    answer = {
        "f": {
            "test_results": {
                "testFuzz_a()": {"status": "Success", "reason": None, "kind": {"Fuzz": {"runs": 10_000}}},
                "invariant_b()": {"status": "Success", "reason": None, "kind": {"Invariant": {"calls": 1_000_000}}},
                "test_c()": {"status": "Failure", "reason": "no", "kind": {"Unit": {"gas": 1}}},
            }
        }
    }
    assert deep.counts(answer) == (3, 10_000, 1_000_000, ["test_c(): no"])


def test_run_part_when_forge_finds_no_test_then_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        stdout, stderr = "{}", ""

    monkeypatch.setattr(deep, "run", lambda *args, **kwargs: Done())
    monkeypatch.setattr(deep, "forge", lambda: Path("forge"))
    with pytest.raises(ToolFailed, match="no test was found"):
        deep.run_part(deep.Part("x.t.sol"), "d")
