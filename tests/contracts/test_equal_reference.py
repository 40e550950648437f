"""Solidity and ``contracts/reference.py`` give the same numbers, on random input."""

from __future__ import annotations

from dataclasses import astuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import reference
from contracts.reference import RoundFacts
from tests.contracts.evm import Contract
from tests.contracts.net import Net

FEW = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
stakes = st.integers(min_value=0, max_value=100_000_000 * 10**18)
scores = st.one_of(st.just(0), st.integers(min_value=0, max_value=5), st.integers(min_value=0, max_value=10**9))


@st.composite
def ballots(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    """Scores of up to 8 validators for up to 6 deltas, and stakes (some equal)."""
    voters, deltas = draw(st.integers(0, 8)), draw(st.integers(0, 6))
    rows = draw(st.lists(st.lists(scores, min_size=deltas, max_size=deltas), min_size=voters, max_size=voters))
    weight = st.one_of(st.sampled_from([1, 2, 10**18]), st.integers(min_value=1, max_value=2**96 - 1))
    return rows, draw(st.lists(weight, min_size=voters, max_size=voters))


@st.composite
def rounds(draw: st.DrawFn) -> tuple[RoundFacts, int]:
    """A round's facts, and a block at or after its opening; often on an edge."""
    lengths = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 7, 200, 300]), min_size=7, max_size=7)))
    commits = draw(st.integers(0, 3))
    frozen = draw(st.sampled_from([1, 3, 90, 100, 10**24 + 1]))
    part = st.sampled_from([0, frozen // 3, frozen * 2 // 3, -(-frozen * 2 // 3), frozen])
    facts = RoundFacts(
        open_block=draw(st.integers(1, 10**6)),
        windows=lengths,
        commits=commits,
        reveals=draw(st.integers(0, commits)),
        seed_known=draw(st.booleans()),
        evaluation_seed_known=draw(st.booleans()),
        consensus_known=draw(st.booleans()),
        accepted=draw(st.booleans()),
        frozen_stake=frozen,
        scores_stake=draw(part),
        head_stake=draw(part),
    )
    edges = [facts.open_block + sum(lengths[:n]) + d for n in range(8) for d in (-1, 0, 1)]
    edges += [facts.open_block + 256, facts.open_block + 257, facts.open_block + sum(lengths[:3]) + 257]
    block = draw(st.one_of(st.sampled_from(edges), st.integers(0, 2500).map(lambda n: facts.open_block + n)))
    return facts, max(block, facts.open_block)


@FEW
@given(case=rounds())
def test_phase_when_computed_twice_then_equal(harness: Contract, case: tuple[RoundFacts, int]) -> None:
    facts, block = case
    found = reference.phase_at(facts, block)
    assert tuple(harness.call("phaseAt", astuple(facts), block)) == (found.phase, found.phase_end, found.reason)


@FEW
@given(case=rounds(), later=st.integers(0, 3000))
def test_phase_when_the_round_has_ended_then_stays(case: tuple[RoundFacts, int], later: int) -> None:
    facts, block = case
    found = reference.phase_at(facts, block)
    if found.phase_end == 0:
        assert reference.phase_at(facts, block + later) == found
    else:
        assert reference.phase_at(facts, found.phase_end).phase > found.phase


@FEW
@given(case=ballots())
def test_consensus_when_computed_twice_then_equal(harness: Contract, case: tuple[list[list[int]], list[int]]) -> None:
    rows, weights = case
    count = len(rows[0]) if rows else 0
    agreed = reference.consensus(rows, weights)
    mixing = reference.weights_q16(agreed)
    expected = (agreed, mixing, [reference.agreement(row, agreed) for row in rows])
    assert tuple(harness.call("consensus", rows, weights, count)) == expected
    assert sum(mixing) <= reference.ONE_Q16


@FEW
@given(case=ballots())
def test_consensus_when_a_minority_lies_upwards_then_no_higher_than_some_honest_score(
    case: tuple[list[list[int]], list[int]],
) -> None:
    rows, weights = case
    for liar, weight in enumerate(weights):
        if weight * 2 >= sum(weights):
            continue
        lied = [[10**9] * len(row) if index == liar else row for index, row in enumerate(rows)]
        honest = [row for index, row in enumerate(rows) if index != liar]
        for m, value in enumerate(reference.consensus(lied, weights)):
            assert value <= max(row[m] for row in honest)


@FEW
@given(settled=st.integers(0, 30_000_000), model=stakes, total=stakes, number=st.integers(0, 2**64 - 101))
def test_emission_and_shares_when_computed_twice_then_equal(
    harness: Contract, settled: int, model: int, total: int, number: int
) -> None:
    assert harness.call("emissionFor", settled, model, total) == reference.emission_for(settled, model, total)
    assert harness.call("sharesAt", number) == reference.shares_for_round(number)


@FEW
@given(settled=st.integers(0, 400_000))
def test_emission_when_asked_of_the_contract_then_equal(deployed: Net, settled: int) -> None:
    assert deployed.rewards.call("emissionAt", settled) == reference.emission_at(settled)
