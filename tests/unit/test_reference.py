"""The protocol's arithmetic, by examples that a reader can check by hand."""

from __future__ import annotations

import pytest

from contracts import reference
from contracts.enums import Phase, RewardKind, VoidReason
from contracts.reference import Ancestor, Ended, RoundFacts

TOKEN = 10**18
FACTS = RoundFacts(
    open_block=100,
    windows=(10, 5, 5, 10, 5, 5, 5),
    commits=3,
    reveals=2,
    seed_known=True,
    evaluation_seed_known=True,
    consensus_known=True,
    accepted=True,
    frozen_stake=90,
    scores_stake=60,
    head_stake=60,
)


def changed(**changes: object) -> RoundFacts:
    return RoundFacts(**{**vars(FACTS), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("block", "phase", "end"),
    [
        (100, Phase.TRAIN, 110),
        (109, Phase.TRAIN, 110),
        (110, Phase.COMMIT, 115),
        (115, Phase.REVEAL, 120),
        (120, Phase.SCORE, 130),
        (130, Phase.SCORE_REVEAL, 135),
        (135, Phase.ATTEST, 140),
        (144, Phase.ATTEST_REVEAL, 145),
        (145, Phase.FINAL, 0),
        (9999, Phase.FINAL, 0),
    ],
)
def test_phase_when_all_take_part_then_windows_chain(block: int, phase: Phase, end: int) -> None:
    found = reference.phase_at(FACTS, block)
    assert (found.phase, found.phase_end, found.reason) == (phase, end, VoidReason.NONE)


@pytest.mark.parametrize(
    ("facts", "block", "phase", "reason"),
    [
        (changed(commits=0, reveals=0), 115, Phase.VOID, VoidReason.EMPTY),
        (changed(reveals=0), 120, Phase.VOID, VoidReason.EMPTY),
        (changed(scores_stake=59), 135, Phase.VOID, VoidReason.NO_SCORE_QUORUM),
        (changed(head_stake=59), 145, Phase.VOID, VoidReason.NO_HEAD_QUORUM),
        (changed(accepted=False, head_stake=0), 135, Phase.FINAL, VoidReason.NONE),
        (changed(windows=(300, 5, 5, 5, 5, 5, 5), seed_known=False), 357, Phase.VOID, VoidReason.NO_SEED),
        (changed(windows=(10, 5, 5, 400, 5, 5, 5), evaluation_seed_known=False), 377, Phase.VOID, VoidReason.NO_SEED),
    ],
)
def test_phase_when_something_lacks_then_ends_in_that_block(
    facts: RoundFacts, block: int, phase: Phase, reason: VoidReason
) -> None:
    assert reference.phase_at(facts, block - 1).phase_end == block or reason == VoidReason.NO_SEED
    found = reference.phase_at(facts, block)
    assert (found.phase, found.phase_end, found.reason) == (phase, 0, reason)


def test_phase_when_a_window_was_closed_then_is_skipped() -> None:
    assert reference.phase_at(changed(windows=(4, 0, 5, 10, 5, 5, 5)), 104).phase == Phase.REVEAL


def test_consensus_when_half_of_the_stake_reaches_a_score_then_that() -> None:
    rows = [[10, 0], [8, 5], [3, 5], [100, 9]]
    assert reference.consensus(rows, [30, 26, 24, 20]) == [10, 5]
    assert reference.consensus([[7]], [1]) == [7]
    assert reference.consensus([], [], 2) == [0, 0]
    with pytest.raises(ValueError, match="stakes"):
        reference.consensus([[1]], [1, 2])


def test_weights_when_consensus_is_known_then_sum_to_at_most_one() -> None:
    assert reference.weights_q16([300, 200, 100]) == [32768, 21845, 10922]
    assert reference.weights_q16([0, 0]) == [0, 0]


def test_agreement_when_scores_differ_then_minima_over_maxima() -> None:
    assert reference.agreement([10, 0], [5, 5]) == 333_333
    assert reference.agreement([0, 0], [0, 0]) == 1_000_000
    assert reference.agreement([0], [5]) == 0


def test_data_weights_when_deltas_share_datasets_then_each_gives_equal_parts() -> None:
    found = reference.data_weights([6, 0, 3], [[1, 2], [3], [2]], lambda n: f"owner-{n}")
    assert found == [("owner-1", 3 * 720_720), ("owner-2", 6 * 720_720)]
    many = reference.data_weights([1] * 3, [range(1, 17), range(17, 33), [33]], str)
    assert len(many) == reference.MAX_PAID_DATASETS


ENDED = Ended(False, 50, 100, (("m", 2), ("n", 1)), (("v", 3), ("w", 0)), (("d", 1),))


def test_emission_when_final_then_adds_up_and_dust_is_the_treasurys() -> None:
    split = reference.split_emission(ENDED, 0, 1, 10**30, [Ancestor(9, True), Ancestor(1, True)])
    assert (split.emission, split.carried_in, split.minted, split.carried_out) == (500 * TOKEN, 1, 500 * TOKEN + 1, 0)
    paid = {payment.account: payment.amount for payment in split.payments}
    assert paid == {
        "v": 100 * TOKEN,
        "m": 250 * TOKEN * 2 // 3,
        "n": 250 * TOKEN // 3,
        "d": 75 * TOKEN,
    }
    assert split.dividends == [(9, 20 * TOKEN), (1, 5 * TOKEN)]
    assert sum(paid.values()) + 25 * TOKEN + split.treasury == split.minted
    assert split.payments[0].kind == RewardKind.VALIDATOR


def test_emission_when_void_or_unaccepted_then_carried() -> None:
    void = reference.split_emission(Ended(True, 1, 1), 0, 5, 10**30)
    assert (void.minted, void.carried_out, void.payments) == (0, 1000 * TOKEN + 5, [])
    nothing = reference.split_emission(Ended(False, 1, 1, validators=(("v", 1),)), 0, 0, 10**30)
    assert (nothing.minted, nothing.carried_out, nothing.treasury) == (350 * TOKEN, 650 * TOKEN, 150 * TOKEN)


def test_emission_when_the_cap_is_near_then_cut() -> None:
    split = reference.split_emission(ENDED, 0, 0, 1000)
    assert split.minted == 1000 == sum(payment.amount for payment in split.payments) + split.treasury


def test_emission_when_rounds_pass_then_halves() -> None:
    assert [reference.emission_at(n) for n in (0, 99_999, 100_000, 200_000)] == [
        1000 * TOKEN,
        1000 * TOKEN,
        500 * TOKEN,
        250 * TOKEN,
    ]
    assert reference.emission_for(0, 5, 0) == 0


def test_fee_when_a_level_has_no_shareholders_then_its_part_is_the_treasurys() -> None:
    alone = reference.split_fee(1000, has_shares=False)
    assert (alone.server, alone.model, alone.parents, alone.treasury) == (600, 0, [], 400)
    tree = reference.split_fee(1000, True, [Ancestor(2, False), Ancestor(1, True)])
    assert (tree.server, tree.model, tree.parents, tree.treasury) == (600, 250, [(1, 20)], 130)


def test_shares_when_rounds_pass_then_fall() -> None:
    assert reference.shares_for_round(100) == 500 * TOKEN
    minted = reference.divide_shares(100, [("m", 3), ("n", 1)], [])
    assert minted == [("m", 300 * TOKEN), ("n", 100 * TOKEN)]


def test_missed_when_three_in_a_row_then_dropped_and_counted_anew() -> None:
    assert reference.missed_after(1, False) == (2, False)
    assert reference.missed_after(2, False) == (0, True)
    assert reference.missed_after(2, True) == (0, False)


def test_slash_when_stake_is_unbonding_then_covers_it() -> None:
    assert reference.slashed(10_000, {1: 5_000, 2: 999}) == 15
