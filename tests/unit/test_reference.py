"""The protocol's arithmetic, by examples that a reader can check by hand."""

from __future__ import annotations

import pytest

from contracts import reference
from contracts.enums import Phase, RewardKind, ScoreReason, VoidReason
from contracts.reference import BPS, Ancestor, Ended, Payment, Pool, RoundFacts, Splits

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


def test_phase_when_the_chain_keeps_hashes_longer_then_seeds_are_lost_later() -> None:
    long = {"windows": (300, 5, 5, 5, 5, 5, 5), "seed_known": False}
    assert reference.phase_at(changed(**long), 399).reason == VoidReason.NO_SEED
    assert reference.phase_at(changed(**long, history_blocks=8191), 399).phase == Phase.TRAIN


def test_quorum_when_two_of_three_equal_validators_take_part_then_is_reached() -> None:
    assert reference.is_quorum(2, 3)
    assert not reference.is_quorum(1999, 3000)
    assert not reference.is_quorum(899, 1000, quorum_bps=9000)


def test_phase_when_a_window_was_closed_then_is_skipped() -> None:
    assert reference.phase_at(changed(windows=(4, 0, 5, 10, 5, 5, 5)), 104).phase == Phase.REVEAL


@pytest.mark.parametrize(
    ("block", "phase", "end"),
    [
        (100, Phase.TRAIN, 110),
        (109, Phase.TRAIN, 110),
        (110, Phase.COMMIT, 115),
        (114, Phase.COMMIT, 115),
        (115, Phase.COMMIT, 116),
        (9999, Phase.COMMIT, 10000),
    ],
)
def test_phase_when_held_then_never_passes_commit(block: int, phase: Phase, end: int) -> None:
    for facts in (changed(held=True), changed(held=True, commits=0, reveals=0, scores_stake=0, head_stake=0)):
        found = reference.phase_at(facts, block)
        assert (found.phase, found.phase_end, found.reason) == (phase, end, VoidReason.NONE)
    assert reference.ending(changed(held=True)) == (reference.NEVER, Phase.COMMIT, VoidReason.NONE)


def test_phase_when_held_and_the_seed_is_lost_then_void_also_after_the_release() -> None:
    facts = changed(held=True, seed_known=False, commits=0, reveals=0)
    assert reference.phase_at(facts, 356) == reference.PhaseAt(Phase.COMMIT, 357)
    assert reference.phase_at(facts, 357) == reference.PhaseAt(Phase.VOID, 0, VoidReason.NO_SEED)
    free = reference.released(facts, 3, 400)
    assert reference.ending(free) == (357, Phase.VOID, VoidReason.NO_SEED)
    assert reference.phase_at(free, 400).reason == VoidReason.NO_SEED


def test_may_open_when_commit_closed_then_once() -> None:
    assert [reference.may_open(FACTS, False, block) for block in (100, 114, 115, 9999)] == [False, False, True, True]
    assert not reference.may_open(changed(held=True), False, 9999)
    assert reference.may_open(changed(held=True), True, 100)
    assert reference.may_open(changed(commits=0, reveals=0), False, 115), "an empty round, not settled yet"


@pytest.mark.parametrize(
    ("commits", "block", "windows", "reveal"),
    [
        (2, 105, (10, 5), 115),
        (2, 114, (10, 5), 115),
        (2, 115, (10, 6), 116),
        (2, 150, (10, 41), 151),
        (3, 105, (6, 0), 106),
        (3, 112, (10, 3), 113),
        (3, 150, (10, 41), 151),
    ],
)
def test_released_when_the_round_before_is_settled_then_commit_stretches_or_closes(
    commits: int, block: int, windows: tuple[int, int], reveal: int
) -> None:
    free = reference.released(changed(held=True, commits=commits, reveals=0), 3, block)
    assert (free.held, free.windows[:2], free.windows[2:]) == (False, windows, FACTS.windows[2:])
    assert reference.start_of(free, Phase.REVEAL) == reveal
    assert reference.phase_at(free, block).phase <= Phase.COMMIT
    assert reference.phase_at(free, reveal).phase == Phase.REVEAL


# --- judgement


def test_consensus_when_half_of_the_stake_reaches_a_score_then_that() -> None:
    rows = [[10, 0], [8, 5], [3, 5], [100, 9]]
    assert reference.consensus(rows, [30, 26, 24, 20]) == [10, 5]
    assert reference.consensus([[7]], [1]) == [7]
    assert reference.consensus([], [], 2) == [0, 0]
    with pytest.raises(ValueError, match="stakes"):
        reference.consensus([[1]], [1, 2])


def test_consensus_when_kappa_is_higher_then_more_stake_must_agree() -> None:
    assert [reference.reach([9, 5, 1], [40, 20, 40], kappa) for kappa in (4000, 5000, 6000, 6001)] == [9, 5, 5, 1]


def test_consensus_when_a_committee_is_silent_then_its_submissions_have_no_value() -> None:
    rows = [[4] * 8 + [None], [None] * 8 + [None]]
    assert reference.consensus_by_groups(rows, [[1, 15], [0, 16]], 9) == [4] * 8 + [0]


def test_committee_when_validators_are_few_then_all_by_stake() -> None:
    stakes = [5, 0, 7, 9]
    assert reference.committee(b"s" * 32, 3, stakes, size=3) == stakes
    assert reference.dealt(b"s" * 32, 2, stakes, 11, size=3) == list(range(11))


def test_committee_when_validators_are_many_then_drawn_by_stake() -> None:
    stakes = [1] * 40 + [40]
    found = [reference.committee(bytes([n]) * 32, n, stakes) for n in range(100)]
    assert {sum(weights) for weights in found} == {reference.COMMITTEE}
    assert 1500 < sum(weights[40] for weights in found) < 1700
    mine = reference.dealt(b"x" * 32, 0, stakes, 250)
    assert {index // 8 for index in mine} == {g for g in range(32) if reference.committee(b"x" * 32, g, stakes)[0]}
    assert len(mine) < 250 and mine == sorted(mine)


def test_draws_when_points_lie_on_the_line_of_stake_then_hit_whose_part_holds_them() -> None:
    assert reference.drawn([3, 0, 2], [0, 2, 3, 4]) == [2, 0, 2]


def test_ceiling_when_a_minority_gives_one_submission_all_then_binds() -> None:
    honest = [[4, 6, None], [3, 7, 1], [None, None, 5]]
    assert reference.ceiling([*honest, [10**9] * 3], [1, 1, 1, 2]) == 7
    assert reference.under(7, [10**9, 3]) == [7, 3]


def test_ceiling_when_all_score_everything_then_never_binds() -> None:
    rows, stakes = [[10, 0], [8, 5], [3, 5], [100, 9]], [30, 26, 24, 20]
    assert max(reference.consensus(rows, stakes)) <= reference.ceiling(rows, stakes)


def test_word_when_packed_then_unpacks_to_scores_and_reasons() -> None:
    word = reference.pack_group([0, 10**9, 0], [ScoreReason.OK, ScoreReason.OK, ScoreReason.COPY])
    assert word == 1 | (10**9 + 1) << 32 | 0x40000005 << 64
    assert reference.unpack_group(word, 4) == [
        (0, ScoreReason.OK),
        (10**9, ScoreReason.OK),
        (0, ScoreReason.COPY),
        None,
    ]


def test_invalid_when_two_thirds_of_the_whole_committee_say_so() -> None:
    bad, fine = ScoreReason.BAD_FORM, ScoreReason.NO_GAIN
    assert reference.is_invalid([bad, bad, None], [1, 1, 1])
    assert not reference.is_invalid([bad, None, None], [1, 1, 1])
    assert not reference.is_invalid([bad, bad, fine], [3, 2, 3])
    assert not reference.is_invalid([], [])


def test_weights_when_consensus_is_known_then_sum_to_at_most_one() -> None:
    assert reference.weights_q16([300, 200, 100]) == [32768, 21845, 10922]
    assert reference.weights_q16([0, 0]) == [0, 0]


def test_agreement_when_scores_differ_then_minima_over_maxima() -> None:
    assert reference.agreement([10, 0], [5, 5]) == 333_333
    assert reference.agreement([0, 0], [0, 0]) == 1_000_000
    assert reference.agreement([0], [5]) == 0
    assert reference.agreement([10, None], [5, 100]) == 500_000


# --- bonds


def test_bonds_when_a_validator_values_a_miner_as_all_do_then_it_gets_its_stakes_part() -> None:
    assert reference.bond_targets([10, 40, None, 5], [1, 1, 9, 2], 10) == [21845, 21845, 0, 21845]
    bonds = [0, 0]
    for _ in range(200):
        bonds = reference.bonds_after(bonds, [7, 7], [1, 3], 7)
    assert bonds == [16379, 49147]  # a quarter and three quarters of 65535, within 5
    assert reference.bonds_after([9, 8], [1, 1], [1, 1], 0) == [9, 8]


def test_bonds_when_the_slot_or_the_miner_is_new_then_are_gone() -> None:
    assert reference.live_bonds([5, 6, 7], [1, 4, 3], last_round=3, member_since=10, last_open_block=20) == [5, 0, 7]
    assert reference.live_bonds([5, 6, 7], [1, 4, 3], last_round=3, member_since=20, last_open_block=20) == [0, 0, 0]


def test_validator_weight_when_it_took_no_full_part_then_zero() -> None:
    sums = reference.bond_sums([[3, 1], [0, 2]], [10, 100])
    assert sums == [30, 210]
    assert reference.validator_weight(sums[1], 500_000, revealed=True, attested_winner=True) == 210 * 500_000**2
    assert reference.validator_weight(sums[1], 500_000, revealed=True, attested_winner=False) == 0
    assert reference.validator_weight(sums[1], 500_000, revealed=False, attested_winner=True) == 0


# --- money


def test_data_weights_when_deltas_share_datasets_then_each_gets_its_value_of_an_equal_part() -> None:
    values = {1: BPS, 2: 5000, 3: BPS}
    found = reference.data_weights([6, 0, 3], [[1, 2], [3], [2]], lambda n: f"owner-{n}", values.__getitem__)
    assert found == [("owner-1", 30_000), ("owner-2", 15_000), ("owner-2", 15_000)]


ENDED = Ended(False, (("m", 2), ("n", 1)), (("v", 3), ("w", 0)), (("d", 1),))


def test_emission_when_final_then_adds_up_and_dust_is_carried() -> None:
    split = reference.split_emission(ENDED, 500 * TOKEN, 1, 10**30, [Ancestor(9, True), Ancestor(1, True)])
    paid = {payment.account: payment.amount for payment in split.payments}
    pot = 500 * TOKEN + 1
    assert paid == {"m": pot // 2 * 2 // 3, "n": pot // 2 // 3, "v": 100 * TOKEN, "d": 75 * TOKEN}
    assert split.dividends == [(9, 20 * TOKEN), (1, 5 * TOKEN)]
    assert split.treasury == 50 * TOKEN  # nobody keeps an archive
    assert sum(paid.values()) + 75 * TOKEN == split.minted
    assert (split.carried_in, split.carried_out) == (1, pot - split.minted)


def test_emission_when_someone_keeps_the_archive_then_is_paid() -> None:
    split = reference.split_emission(ENDED, 500 * TOKEN, 0, 10**30, archive="a")
    assert split.payments[-1] == Payment("a", RewardKind.ARCHIVE, 10 * TOKEN)
    assert split.treasury == 65 * TOKEN  # with the part of parents that do not exist


def test_emission_when_a_validator_has_delegators_then_they_get_theirs() -> None:
    pools = {"v": Pool(own=100, delegated=300, commission_bps=1000)}
    split = reference.split_emission(ENDED, 500 * TOKEN, 0, 10**30, pools=pools)
    theirs = 100 * TOKEN * 3 // 4 * 9 // 10
    assert Payment("v", RewardKind.DELEGATION, theirs) in split.payments
    assert Payment("v", RewardKind.VALIDATOR, 100 * TOKEN - theirs) in split.payments


def test_emission_when_void_or_unaccepted_then_carried() -> None:
    void = reference.split_emission(Ended(True), 1000 * TOKEN, 5, 10**30)
    assert (void.minted, void.carried_out, void.payments) == (0, 1000 * TOKEN + 5, [])
    nothing = reference.split_emission(Ended(False, validators=(("v", 1),)), 1000 * TOKEN, 0, 10**30)
    assert (nothing.minted, nothing.carried_out, nothing.treasury) == (350 * TOKEN, 650 * TOKEN, 150 * TOKEN)


def test_emission_when_much_is_carried_then_a_round_pays_at_most_twice_its_own() -> None:
    assert [reference.pot_of(100, carried, 10**9) for carried in (0, 30, 100, 5000)] == [100, 130, 200, 200]
    split = reference.split_emission(ENDED, 1000, 5000, 10**9)
    assert split.carried_out == 6000 - split.minted >= 4000


def test_emission_when_the_cap_is_near_then_cut() -> None:
    split = reference.split_emission(ENDED, 500 * TOKEN, 0, 1000)
    assert 1000 - 3 <= split.minted <= 1000
    assert split.minted == sum(payment.amount for payment in split.payments) + split.treasury


def test_emission_when_blocks_pass_then_halves_and_stays_below_the_cap() -> None:
    year = reference.HALVING_BLOCKS
    assert [reference.emission_at(n) for n in (0, year - 1, year, 2 * year)] == [TOKEN, TOKEN, TOKEN // 2, TOKEN // 4]
    assert sum(reference.emission_at(n * year) * year for n in range(80)) <= 90_000_000 * TOKEN


def test_emission_when_models_share_stake_then_by_stake_blocks_and_policy() -> None:
    assert reference.emission_for(TOKEN, 10, 50, 100) == 5 * TOKEN
    assert reference.emission_for(TOKEN, 10, 50, 100, emission_bps=2500) == 5 * TOKEN // 4
    assert reference.emission_for(TOKEN, 10, 5, 0) == 0


def test_blocks_when_rounds_overlap_then_each_is_paid_once() -> None:
    assert reference.paid_blocks(100, 150, 0) == 50
    assert reference.paid_blocks(100, 150, 120) == 30
    assert reference.paid_blocks(100, 150, 160) == 0


def test_splits_when_a_table_is_out_of_bounds_or_does_not_add_up_then_refused() -> None:
    assert reference.are_splits_allowed(reference.SPLITS)
    assert not reference.are_splits_allowed(Splits(emission_miners=5001))
    assert not reference.are_splits_allowed(Splits(emission_miners=7500, emission_validators=0, emission_data=1000))
    assert reference.are_splits_allowed(Splits(fee_server=6500, fee_model=2000))


def test_fee_when_a_level_has_no_shareholders_then_its_part_is_the_treasurys() -> None:
    alone = reference.split_fee(1000, has_shares=False)
    assert (alone.server, alone.model, alone.parents, alone.treasury) == (600, 0, [], 400)
    tree = reference.split_fee(1000, True, [Ancestor(2, False), Ancestor(1, True)])
    assert (tree.server, tree.model, tree.parents, tree.treasury) == (600, 250, [(1, 20)], 130)


def test_shares_when_rounds_pass_then_fall() -> None:
    assert reference.shares_for_round(100) == 500 * TOKEN
    minted = reference.divide_shares(100, [("m", 3), ("n", 1)], [])
    assert minted == [("m", 300 * TOKEN), ("n", 100 * TOKEN)]


# --- stake


def test_delegation_when_a_pool_grew_then_shares_cost_more_and_nobody_gains_by_rounding() -> None:
    assert reference.shares_for(100, 0, 0) == 100
    assert reference.shares_for(100, 100, 150) == 66
    assert reference.assets_for(66, 166, 250) == 99
    assert reference.assets_for(1, 0, 0) == 0


def test_bucket_when_stake_leaves_then_is_released_after_the_unbonding_time_and_a_quarter_at_most() -> None:
    for block in range(1000, 1040):
        release = reference.release_block(reference.bucket_of(block, 100), 100)
        assert block + 100 <= release < block + 125
        assert reference.release_block(reference.bucket_of(block, 5), 5) == block + 5
        assert reference.rejoin_block(block, 100) == block + 25


def test_stake_when_own_is_below_the_minimum_then_nothing_counts() -> None:
    assert reference.effective_stake(10, 90, 10) == 100
    assert reference.effective_stake(9, 90, 10) == 0
    assert reference.effective_stake(10, 90, 10, dropped=True) == 0


def test_missed_when_three_in_a_row_then_dropped_and_counted_anew() -> None:
    assert reference.missed_after(1, False) == (2, False)
    assert reference.missed_after(2, False) == (0, True)
    assert reference.missed_after(2, True) == (0, False)


def test_slash_when_stake_is_unbonding_then_covers_it() -> None:
    assert reference.slashed(10_000, {1: 5_000, 2: 999}) == 15
