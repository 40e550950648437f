"""Solidity and ``contracts.reference`` give the same numbers, on random input."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import reference
from contracts.enums import Phase, ScoreReason
from contracts.reference import GROUP, MAX_SCORE, RoundFacts
from tests.contracts.evm import Contract, Evm

FEW = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
stakes = st.integers(min_value=0, max_value=100_000_000 * 10**18)
scores = st.one_of(st.just(0), st.integers(0, 5), st.integers(0, MAX_SCORE))
weights = st.one_of(st.sampled_from([0, 1, 2, 10**18]), st.integers(1, 2**96 - 1))
kappas = st.sampled_from([5000, 5001, 6000, 6667])
seeds = st.binary(min_size=32, max_size=32).filter(any)
_FLAG = 0x40000000
OLDEST = 600
"""Blocks that a released round is old at most."""


@pytest.fixture
def old_chain(evm: Evm, harness: Contract) -> Contract:
    """The harness on a chain of so many blocks that a round can have opened long ago."""
    evm.mine(max(0, OLDEST + 1 - evm.block))
    return harness


# --- phases


@st.composite
def rounds(draw: st.DrawFn) -> tuple[RoundFacts, int]:
    """A round's facts, and a block at or after its opening; often on an edge."""
    lengths = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 7, 200, 300]), min_size=7, max_size=7)))
    commits = draw(st.integers(0, 3))
    frozen = draw(st.sampled_from([1, 3, 90, 100, 10**24 + 1]))
    part = st.sampled_from([0, frozen // 3, frozen * 2 // 3, -(-frozen * 2 // 3), frozen * 9 // 10, frozen])
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
        quorum_bps=draw(st.sampled_from([6666, 6667, 9000])),
        history_blocks=draw(st.sampled_from([256, 8191])),
        held=draw(st.booleans()),
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
    elif not facts.held:
        assert reference.phase_at(facts, found.phase_end).phase > found.phase
    else:
        assert reference.phase_at(facts, block + later).phase in (found.phase, Phase.COMMIT, Phase.VOID)


@FEW
@given(case=rounds(), age=st.integers(0, OLDEST), miners=st.integers(1, 3))
def test_release_when_computed_twice_then_equal(
    old_chain: Contract, case: tuple[RoundFacts, int], age: int, miners: int
) -> None:
    facts = replace(case[0], held=True, commits=min(case[0].commits, miners), reveals=0)
    windows, opened, block = old_chain.call("release", astuple(facts), age, miners)
    facts = replace(facts, open_block=opened)
    free = reference.released(facts, miners, block)
    assert (tuple(windows), False) == (free.windows, free.held)
    before, after = reference.phase_at(facts, block), reference.phase_at(free, block)
    assert (before.phase, before.reason) == (after.phase, after.reason), "what it is stays"
    if after.phase != Phase.VOID:
        assert reference.start_of(free, Phase.REVEAL) > block, "all of REVEAL is ahead"


@FEW
@given(case=rounds(), settled=st.booleans())
def test_next_round_when_it_may_open_then_at_most_two_are_open(case: tuple[RoundFacts, int], settled: bool) -> None:
    facts, block = case
    past = reference.phase_at(replace(facts, held=False), block).phase >= Phase.REVEAL
    assert reference.may_open(facts, settled, block) == (settled or (past and not facts.held))


# --- judgement


@dataclass(frozen=True)
class Ballots:
    """A round's validators by slot, their scores with reasons (none: silent), and how they are judged."""

    stakes: list[int]
    rows: list[list[tuple[int, int]] | None]
    submissions: int
    size: int
    kappa: int
    seed: bytes

    def committees(self) -> list[list[int]]:
        """Every group's committee."""
        groups = range(reference.groups_of(self.submissions))
        return [reference.committee(self.seed, g, self.stakes, self.size) for g in groups]

    def given(self, seat: int, index: int) -> tuple[int, int] | None:
        """Score and reason of a submission that the validator was dealt."""
        row = self.rows[seat]
        return row[index] if row is not None and self.committees()[index // GROUP][seat] else None

    def column(self, index: int) -> list[tuple[int, int] | None]:
        """What everybody says of a submission."""
        return [self.given(seat, index) for seat in range(len(self.stakes))]


@st.composite
def ballots(draw: st.DrawFn) -> Ballots:
    """Up to 9 slots, some empty, some silent, and up to 18 submissions."""
    seats, submissions = draw(st.integers(1, 9)), draw(st.integers(1, 18))
    voice = st.tuples(scores, st.sampled_from([0, 0, 0, 2, 5])).map(lambda s: (0, s[1]) if s[1] else s)
    row = st.lists(voice, min_size=submissions, max_size=submissions)
    return Ballots(
        stakes=draw(st.lists(weights, min_size=seats, max_size=seats).filter(any)),
        rows=draw(st.lists(st.one_of(row, row, st.none()), min_size=seats, max_size=seats)),
        submissions=submissions,
        size=draw(st.sampled_from([3, 4, 64])),
        kappa=draw(kappas),
        seed=draw(seeds),
    )


@FEW
@given(
    shares=st.lists(weights, min_size=1, max_size=64).filter(any),
    size=st.integers(3, 64),
    seed=seeds,
    group=st.integers(0, 31),
)
def test_committee_when_drawn_twice_then_equal(
    harness: Contract, shares: list[int], size: int, seed: bytes, group: int
) -> None:
    expected = reference.committee(seed, group, shares, size)
    assert list(harness.call("committee", shares, size, seed, group)) == expected
    slot = group % len(shares)
    if shares[slot]:
        bits = harness.call("dealt", shares, size, seed, slot, 4)
        mine = {index // GROUP for index in reference.dealt(seed, slot, shares, 32, size)}
        assert {g for g in range(4) if bits >> g & 1} == mine


@FEW
@given(votes=st.lists(st.tuples(scores, weights), max_size=64), kappa=kappas)
def test_consensus_when_taken_twice_then_equal(harness: Contract, votes: list[tuple[int, int]], kappa: int) -> None:
    voters = [(score, weight) for score, weight in votes if weight]
    columns = [score for score, _ in voters], [weight for _, weight in voters]
    assert harness.call("upper", *columns, kappa) == reference.reach(*columns, kappa)


@FEW
@given(case=ballots())
def test_round_when_judged_twice_then_equal(harness: Contract, case: Ballots) -> None:
    columns = [case.column(index) for index in range(case.submissions)]
    rows = [[entry and entry[0] for entry in seat] for seat in zip(*columns, strict=True)]
    agreed = reference.consensus_by_groups(rows, case.committees(), case.submissions, case.kappa)
    limit = reference.ceiling(rows, case.stakes, case.kappa)
    assert reference.is_sampled(case.stakes, case.size) or reference.under(limit, agreed) == agreed
    agreed = reference.under(limit, agreed)
    invalid = [
        reference.is_invalid([entry and entry[1] for entry in column], case.committees()[index // GROUP])
        for index, column in enumerate(columns)
    ]
    lanes, _ = harness.call("judge", solidity_case(case, columns))
    found = [lanes[i // GROUP] >> (i % GROUP * 32) & 0xFFFFFFFF for i in range(case.submissions)]
    assert [lane & ~_FLAG for lane in found] == agreed
    assert [bool(lane & _FLAG) for lane in found] == invalid


def solidity_case(case: Ballots, columns: list[list[tuple[int, int] | None]]) -> tuple[object, ...]:
    """The same ballots as the contracts store them."""
    words, tops = [], []
    for seat in range(len(case.stakes)):
        mine = [column[seat] for column in columns]
        groups = [mine[start : start + GROUP] for start in range(0, case.submissions, GROUP)]
        words.append([packed(group) for group in groups])
        tops.append(max((entry[0] + 1 for entry in mine if entry is not None), default=0))
    return (case.stakes, words, tops, case.submissions, case.size, case.kappa, case.seed)


def packed(group: list[tuple[int, int] | None]) -> int:
    """A group's word; a group is dealt as a whole."""
    if any(entry is None for entry in group):
        return 0
    given = [entry for entry in group if entry is not None]
    return reference.pack_group([score for score, _ in given], [reason for _, reason in given])


@FEW
@given(score=scores, reason=st.sampled_from(list(ScoreReason)))
def test_lane_when_packed_twice_then_equal(harness: Contract, score: int, reason: ScoreReason) -> None:
    score = 0 if reason else score
    word = reference.pack_group([score], [reason])
    assert tuple(harness.call("lane", score, reason)) == (word, score, reason)
    assert reference.unpack_group(word, 1) == [(score, reason)]


@FEW
@given(rows=st.lists(st.tuples(scores, scores), min_size=1, max_size=40))
def test_agreement_and_mixing_when_computed_twice_then_equal(harness: Contract, rows: list[tuple[int, int]]) -> None:
    mine, agreed = [row[0] for row in rows], [row[1] for row in rows]
    low, high = sum(map(min, mine, agreed)), sum(map(max, mine, agreed))
    assert harness.call("agreement", low, high) == reference.agreement(mine, agreed)
    mixing = reference.weights_q16(agreed)
    assert harness.call("mixing", agreed[0], sum(agreed)) == mixing[0]
    assert sum(mixing) <= reference.ONE_Q16


@FEW
@given(case=ballots())
def test_consensus_when_a_minority_lies_upwards_then_no_higher_than_some_honest_score(case: Ballots) -> None:
    rows = [[score for score, _ in row] for row in case.rows if row is not None]
    for liar in range(len(rows)):
        shares = [stake + 1 for stake in case.stakes[: len(rows)]]
        if shares[liar] * 2 >= sum(shares):
            continue
        lied = [[MAX_SCORE] * case.submissions if seat == liar else row for seat, row in enumerate(rows)]
        honest = [row for seat, row in enumerate(rows) if seat != liar]
        for index, value in enumerate(reference.consensus(lied, shares)):
            assert value <= max(row[index] for row in honest)


@FEW
@given(
    accepted=st.booleans(),
    stake=st.integers(1, 2**96 - 1),
    rows=st.lists(st.tuples(scores, scores), min_size=1, max_size=40),
    bond_sum=st.integers(0, 2**54),
    revealed=st.booleans(),
    attested=st.booleans(),
)
def test_validators_weight_when_computed_twice_then_equal(
    harness: Contract,
    accepted: bool,
    stake: int,
    rows: list[tuple[int, int]],
    bond_sum: int,
    revealed: bool,
    attested: bool,
) -> None:
    mine, agreed = [row[0] for row in rows], [row[1] for row in rows]
    sums = sum(map(min, mine, agreed)), sum(map(max, mine, agreed))
    expected = reference.validator_weight(
        bond_sum if accepted else stake, reference.agreement(mine, agreed), revealed, attested or not accepted
    )
    assert harness.call("weight", accepted, stake, *sums, bond_sum, revealed, attested) == expected


# --- bonds


@st.composite
def bondings(draw: st.DrawFn) -> tuple[list[int], list[int | None], list[int], list[int], bool, int]:
    """A miner's bonds, what committee members say of its submission, and since when they sit there."""
    seats = draw(st.integers(1, 64))
    lanes = draw(st.lists(st.integers(0, 65_535), min_size=seats, max_size=seats))
    column = draw(st.lists(st.one_of(st.none(), scores), min_size=seats, max_size=seats))
    members = draw(st.lists(weights, min_size=seats, max_size=seats))
    since = draw(st.lists(st.integers(1, 9), min_size=seats, max_size=seats))
    return lanes, column, members, since, draw(st.booleans()), draw(st.integers(1, MAX_SCORE))


@FEW
@given(case=bondings())
def test_bonds_when_moved_twice_then_equal(
    harness: Contract, case: tuple[list[int], list[int | None], list[int], list[int], bool, int]
) -> None:
    lanes, column, members, since, is_new, value = case
    live = reference.live_bonds(lanes, since, last_round=5, member_since=7 if is_new else 0, last_open_block=7)
    expected = reference.bonds_after(live, column, members, value)
    parts = reference.bond_targets(column, members, value)
    after, sums = harness.call("bonds", (lanes, parts, since, 5, not is_new, value))
    assert list(after) == expected
    assert list(sums) == reference.bond_sums([expected], [value])


# --- money


@FEW
@given(
    elapsed=st.integers(0, 3_000_000_000),
    blocks=st.integers(0, 100_000),
    model=stakes,
    total=stakes,
    bps=st.integers(0, 10_000),
)
def test_emission_when_computed_twice_then_equal(
    harness: Contract, elapsed: int, blocks: int, model: int, total: int, bps: int
) -> None:
    per_block = reference.emission_at(elapsed)
    amount = reference.emission_for(per_block, blocks, model, total, bps)
    assert tuple(harness.call("emission", elapsed, blocks, model, total, bps)) == (per_block, amount)


@FEW
@given(amount=stakes, carried=stakes, mintable=stakes, number=st.integers(0, 2**64 - 101))
def test_pot_and_shares_when_computed_twice_then_equal(
    harness: Contract, amount: int, carried: int, mintable: int, number: int
) -> None:
    assert harness.call("pot", amount, carried, mintable) == reference.pot_of(amount, carried, mintable)
    assert harness.call("sharesAt", number) == reference.shares_for_round(number)


@FEW
@given(amount=stakes, own=stakes, delegated=stakes, commission=st.integers(0, 5000))
def test_delegators_part_when_computed_twice_then_equal(
    harness: Contract, amount: int, own: int, delegated: int, commission: int
) -> None:
    found = harness.call("delegatorsPart", amount, own, delegated, commission)
    assert found == reference.delegators_part(amount, own, delegated, commission)
    assert found <= amount


@FEW
@given(amount=st.integers(0, 10**26), total=st.integers(1, 10**26), kept=st.integers(1, 10_000))
def test_pool_shares_when_computed_twice_then_equal(harness: Contract, amount: int, total: int, kept: int) -> None:
    assets = max(1, total * kept // 10_000)
    expected = (reference.shares_for(amount, total, assets), reference.assets_for(amount, total, assets))
    assert tuple(harness.call("shares", amount, assets, total)) == expected
    assert reference.assets_for(expected[0], total + expected[0], assets + amount) <= amount


@FEW
@given(votes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 10**26)), min_size=1, max_size=64))
def test_median_when_taken_twice_then_equal(harness: Contract, votes: list[tuple[int, int]]) -> None:
    found = harness.call("median", [value for value, _ in votes], [stake for _, stake in votes])
    assert found == reference.lower_median(votes)
