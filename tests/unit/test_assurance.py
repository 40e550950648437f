"""The tools that check the contracts read what forge, slither, halmos and gambit say the right way."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.assurance import coverage, findings, gambit, mutants, prove
from contracts.assurance.findings import Finding
from contracts.assurance.gambit import Mutant
from contracts.assurance.mutants import Outcome

LCOV = """TN:
SF:contracts/src/Staking.sol
DA:3,5
DA:4,0
BRDA:7,0,0,2
BRDA:7,0,1,-
BRDA:9,1,0,0
end_of_record
SF:contracts/test/Staking.t.sol
BRDA:1,0,0,0
end_of_record
"""


def mutant(before: str = "a < b", line: int = 3) -> Mutant:
    return Mutant("contracts/src/A.sol", "BinaryOpMutation", before, "a > b", line, "")


def test_coverage_when_read_then_counts_branches_and_lines_of_our_sources_only() -> None:
    (name, entry), *others = coverage.parse_lcov(LCOV).items()
    assert (name, others) == ("contracts/src/Staking.sol", [])
    assert (entry.taken, entry.branches, entry.run, entry.lines, entry.missed) == (1, 3, 1, 2, [7, 9])
    assert coverage.total_branches({"a": entry, "b": entry}) == (2, 6)
    assert coverage.percent(1, 4) == 25.0 and coverage.percent(0, 0) == 100.0
    assert "7 9" in coverage.render({name: entry})


def test_findings_when_read_then_one_per_check_and_place() -> None:
    contract = {"type": "contract", "name": "Rewards", "type_specific_fields": {}}
    function = {"type": "function", "name": "claim", "type_specific_fields": {"parent": contract}}
    node = {"type": "node", "name": "x == 0", "type_specific_fields": {"parent": function}}
    found = {"check": "incorrect-equality", "impact": "Medium", "elements": [node]}
    report = {"results": {"detectors": [found, {**found, "elements": [function, node]}]}}
    assert findings.read_findings(report) == [Finding("incorrect-equality", "Rewards.claim", "Medium")]


def test_findings_when_compared_then_tells_the_unexplained_and_the_gone() -> None:
    here, there = Finding("a", "X.f", "High"), Finding("b", "Y.g", "Medium")
    assert findings.compare([here, there], {("a", "*"): "why"}) == ([there], [])
    assert findings.compare([here], {("a", "X.f"): "why", ("b", "Y.g"): "why"}) == ([], [("b", "Y.g")])


def test_reasons_when_committed_then_none_is_empty() -> None:
    assert all(len(reason.strip()) > 40 for reason in findings.read_reasons().values())
    assert all(len(reason.strip()) > 20 for reason in mutants.read_reasons().values())


def test_proofs_when_printed_in_colour_then_read() -> None:
    output = "\x1b[32m[PASS]\x1b[0m check_a(uint8) (paths: 1)\n\x1b[33m[TIMEOUT]\x1b[0m check_b() (paths: 2)\n"
    assert prove.read_results(output) == {"check_a": "PASS", "check_b": "TIMEOUT"}


def test_sample_when_drawn_again_then_the_same_and_a_shorter_one_is_its_beginning() -> None:
    every = [mutant(line=line) for line in range(40)]
    drawn = gambit.sample(every, 10, seed=1)
    assert drawn == gambit.sample(list(reversed(every)), 10, seed=1)
    assert drawn[:4] == gambit.sample(every, 4, seed=1) and drawn != gambit.sample(every, 10, seed=2)
    assert len({one.key for one in every}) == 40


def test_report_when_some_survive_then_counts_only_those_that_could_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    every = [mutant(line=line) for line in range(5)]
    verdicts = ("killed", "timeout", "survived", "broken", "same")
    results = {one.key: Outcome(one.key, verdict, 1.0) for one, verdict in zip(every, verdicts, strict=True)}
    assert mutants.report(every, results, {}) == pytest.approx(200 / 3)
    assert "SURVIVED contracts/src/A.sol:2" in capsys.readouterr().out


def test_results_when_saved_then_loaded(tmp_path: Path) -> None:
    results = {"k": Outcome("k", "killed", 2.5)}
    mutants.save(results, tmp_path / "results.json")
    assert mutants.load(tmp_path / "results.json") == results
    assert mutants.load(tmp_path / "none.json") == {}
