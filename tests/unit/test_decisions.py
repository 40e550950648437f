"""What a role does next, for every phase and every state of its records."""

import itertools
from dataclasses import replace

import pytest

from client.types import ZERO_DIGEST, DatasetInfo, DatasetStatus, RoundInfo
from contracts.enums import Phase, VoidReason
from node.decisions import (
    Action,
    Due,
    MinerRecords,
    ValidatorRecords,
    commit_deadline,
    in_turn,
    next_miner_action,
    next_validator_action,
    tick_turn,
    to_vote_on,
    usable,
)

SEED, LATER = b"s" * 32, b"e" * 32
VIEW = RoundInfo(
    model_id=1,
    round=3,
    phase=Phase.TRAIN,
    phase_end=110,
    open_block=100,
    score_start=0,
    seed=SEED,
    evaluation_seed=LATER,
    base_head=b"h" * 32,
    frozen_stake=10,
    miner_count=2,
    commits=0,
    reveals=0,
    scores_revealed_stake=0,
    heads_revealed_stake=0,
    void_reason=VoidReason.NONE,
    head=ZERO_DIGEST,
    settled=False,
)
LIVE = [p for p in Phase if Phase.TRAIN <= p <= Phase.ATTEST_REVEAL]
SENDS = {
    Action.COMMIT: {Phase.TRAIN, Phase.COMMIT},
    Action.TRAIN: {Phase.TRAIN, Phase.COMMIT},
    Action.REVEAL: {Phase.REVEAL},
    Action.JUDGE: {Phase.SCORE},
    Action.COMMIT_SCORES: {Phase.SCORE},
    Action.REVEAL_SCORES: {Phase.SCORE_REVEAL},
    Action.BUILD_HEAD: {Phase.ATTEST},
    Action.COMMIT_HEAD: {Phase.ATTEST},
    Action.REVEAL_HEAD: {Phase.ATTEST_REVEAL},
}


def all_miners() -> list[MinerRecords]:
    return [MinerRecords(*values) for values in itertools.product([False, True], repeat=6)]


def all_validators() -> list[ValidatorRecords]:
    return [ValidatorRecords(*values) for values in itertools.product([False, True], repeat=8)]


def at(phase: Phase, **changes: object) -> RoundInfo:
    return replace(VIEW, phase=phase, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", list(Phase))
def test_miner_in_every_state_does_only_what_the_phase_allows(phase: Phase) -> None:
    for mine, settled, seed in itertools.product(all_miners(), [False, True], [SEED, ZERO_DIGEST]):
        action = next_miner_action(at(phase, settled=settled, seed=seed), mine, auto_open=True)
        if action in SENDS:
            assert phase in SENDS[action]
            assert mine.enrolled
        if action == Action.TRAIN:
            assert not (mine.sealed or mine.committed)
            assert seed != ZERO_DIGEST
        if action == Action.COMMIT:
            assert mine.sealed and not mine.committed
        if action == Action.REVEAL:
            assert mine.sealed and mine.committed and not mine.revealed
        if action == Action.MISSED:
            assert not (mine.committed and mine.revealed) and not mine.missed


@pytest.mark.parametrize("phase", list(Phase))
def test_validator_in_every_state_does_only_what_the_phase_allows(phase: Phase) -> None:
    for mine, settled, seed in itertools.product(all_validators(), [False, True], [LATER, ZERO_DIGEST]):
        action = next_validator_action(at(phase, settled=settled, evaluation_seed=seed), mine, auto_open=True)
        if action in SENDS:
            assert phase in SENDS[action]
            assert mine.frozen
            assert seed != ZERO_DIGEST
        if action in (Action.JUDGE, Action.BUILD_HEAD):
            assert not (mine.scores_sealed if action == Action.JUDGE else mine.head_sealed)
        if action in (Action.REVEAL_SCORES, Action.REVEAL_HEAD):
            scores = action == Action.REVEAL_SCORES
            assert mine.scores_sealed if scores else mine.head_sealed
            assert mine.scores_committed if scores else mine.head_committed


def test_miner_from_open_to_settled_walks_through_the_round() -> None:
    new = MinerRecords(enrolled=True, sealed=False, committed=False, revealed=False)
    sealed = replace(new, sealed=True)
    committed = replace(sealed, committed=True)
    revealed = replace(committed, revealed=True)
    story = [
        (at(Phase.TRAIN, seed=ZERO_DIGEST), new, Action.WAIT),
        (at(Phase.TRAIN), new, Action.TRAIN),
        (at(Phase.TRAIN), sealed, Action.COMMIT),
        (at(Phase.COMMIT), sealed, Action.COMMIT),
        (at(Phase.COMMIT), committed, Action.WAIT),
        (at(Phase.REVEAL), committed, Action.REVEAL),
        (at(Phase.REVEAL), revealed, Action.OPEN),
        (at(Phase.ATTEST), revealed, Action.OPEN),
        (at(Phase.ATTEST, held=True), revealed, Action.WAIT),
        (at(Phase.FINAL), revealed, Action.SETTLE),
        (at(Phase.FINAL, settled=True), revealed, Action.FINISH),
        (at(Phase.FINAL, settled=True), replace(revealed, finished=True), Action.OPEN),
    ]
    for view, mine, wanted in story:
        assert next_miner_action(view, mine, auto_open=True) == wanted, view.phase


def test_miner_late_says_so_once() -> None:
    late = MinerRecords(enrolled=True, sealed=True, committed=False, revealed=False)
    for phase in (Phase.REVEAL, Phase.SCORE, Phase.ATTEST):
        assert next_miner_action(at(phase), late, False) == Action.MISSED
        assert next_miner_action(at(phase), replace(late, missed=True), False) == Action.WAIT


def test_miner_that_lost_its_journal_does_not_reveal() -> None:
    lost = MinerRecords(enrolled=True, sealed=False, committed=True, revealed=False)
    assert next_miner_action(at(Phase.REVEAL), lost, False) == Action.MISSED


def test_validator_from_score_to_settled_walks_through_the_round() -> None:
    new = ValidatorRecords(True, False, False, False, False, False, False)
    judged = replace(new, scores_sealed=True)
    scored = replace(judged, scores_committed=True)
    told = replace(scored, scores_revealed=True)
    built = replace(told, head_sealed=True)
    attested = replace(built, head_committed=True)
    done = replace(attested, head_revealed=True)
    story = [
        (at(Phase.TRAIN), new, Action.WAIT),
        (at(Phase.REVEAL), new, Action.WAIT),
        (at(Phase.SCORE, evaluation_seed=ZERO_DIGEST), new, Action.WAIT),
        (at(Phase.SCORE), new, Action.JUDGE),
        (at(Phase.SCORE), judged, Action.COMMIT_SCORES),
        (at(Phase.SCORE), scored, Action.WAIT),
        (at(Phase.SCORE_REVEAL), scored, Action.REVEAL_SCORES),
        (at(Phase.SCORE_REVEAL), told, Action.WAIT),
        (at(Phase.ATTEST), told, Action.BUILD_HEAD),
        (at(Phase.ATTEST), built, Action.COMMIT_HEAD),
        (at(Phase.ATTEST), attested, Action.WAIT),
        (at(Phase.ATTEST_REVEAL), attested, Action.REVEAL_HEAD),
        (at(Phase.ATTEST_REVEAL), done, Action.WAIT),
        (at(Phase.VOID), done, Action.SETTLE),
        (at(Phase.VOID, settled=True), done, Action.FINISH),
        (at(Phase.VOID, settled=True), replace(done, finished=True), Action.WAIT),
    ]
    for view, mine, wanted in story:
        assert next_validator_action(view, mine, auto_open=False) == wanted, view.phase


def test_validator_that_missed_scoring_still_attests() -> None:
    silent = ValidatorRecords(True, False, False, False, False, False, False)
    assert next_validator_action(at(Phase.SCORE_REVEAL), silent, False) == Action.WAIT
    assert next_validator_action(at(Phase.ATTEST), silent, False) == Action.BUILD_HEAD


@pytest.mark.parametrize("phase", LIVE)
def test_nobody_settles_a_live_round_or_opens_the_next_too_early(phase: Phase) -> None:
    never = {Action.SETTLE}
    for view, refused in ((at(phase), never | ({Action.OPEN} if phase < Phase.REVEAL else set())),
                          (at(phase, held=True), never | {Action.OPEN})):  # fmt: skip
        for miner in all_miners():
            assert next_miner_action(view, miner, True) not in refused
        for validator in all_validators():
            assert next_validator_action(view, validator, True) not in refused


@pytest.mark.parametrize("phase", [p for p in LIVE if p >= Phase.REVEAL])
def test_whoever_has_nothing_to_do_opens_the_next_round_once_commit_has_closed(phase: Phase) -> None:
    miner = MinerRecords(enrolled=True, sealed=True, committed=True, revealed=True)
    validator = ValidatorRecords(True, True, True, True, True, True, True)
    for opens, wanted in ((True, Action.OPEN), (False, Action.WAIT)):
        assert next_miner_action(at(phase), miner, opens) == wanted
        assert next_validator_action(at(phase), validator, opens) == wanted
    hidden = replace(miner, revealed=False)
    assert next_miner_action(at(Phase.REVEAL), hidden, True) == Action.REVEAL  # its own work comes first


def test_a_held_round_that_lost_its_seed_waits_for_the_one_before() -> None:
    lost = at(Phase.VOID, held=True, void_reason=VoidReason.NO_SEED)
    miner = MinerRecords(enrolled=True, sealed=False, committed=False, revealed=False)
    assert next_miner_action(lost, miner, True) == Action.WAIT
    assert next_miner_action(replace(lost, held=False), miner, True) == Action.SETTLE


def due(number: int, action: Action, **changes: object) -> Due:
    return Due(replace(VIEW, round=number, **changes), action)  # type: ignore[arg-type]


def tried(*dues: Due) -> list[tuple[int, Action]]:
    return [(d.view.round if d.view else 0, d.action) for d in in_turn(dues)]


def test_rounds_in_turn_when_the_older_is_live_then_it_comes_first() -> None:
    for older in (Action.REVEAL, Action.JUDGE, Action.COMMIT_HEAD, Action.SETTLE, Action.MISSED, Action.WAIT):
        for newest in (Action.TRAIN, Action.COMMIT, Action.WAIT):
            assert tried(due(3, older), due(4, newest)) == [(3, older), (4, newest)]
    assert tried(Due(None, Action.OPEN)) == [(0, Action.OPEN)]


def test_rounds_in_turn_when_the_older_is_settled_then_secrets_and_the_present_base_go_before_it() -> None:
    old, new = b"o" * 32, b"n" * 32
    settled = due(3, Action.FINISH, phase=Phase.FINAL, settled=True, head=new)
    for action in (Action.COMMIT, Action.REVEAL):
        assert tried(settled, due(4, action)) == [(4, action), (3, Action.FINISH)]
    assert tried(settled, due(4, Action.TRAIN, base_head=old))[0] == (4, Action.TRAIN)
    assert tried(settled, due(4, Action.TRAIN, base_head=new))[0] == (3, Action.FINISH)
    assert tried(settled, due(4, Action.WAIT))[0] == (3, Action.FINISH)
    three = (settled, due(4, Action.REVEAL), due(5, Action.TRAIN, base_head=new))
    assert tried(*three) == [(4, Action.REVEAL), (3, Action.FINISH), (5, Action.TRAIN)]


def test_no_round_yet_is_opened_only_by_whom_was_told_to() -> None:
    miner = MinerRecords(False, False, False, False)
    assert next_miner_action(None, miner, True) == Action.OPEN
    assert next_miner_action(None, miner, False) == Action.WAIT
    validator = ValidatorRecords(False, False, False, False, False, False, False)
    assert next_validator_action(None, validator, True) == Action.OPEN
    assert next_validator_action(None, validator, False) == Action.WAIT


def test_commit_deadline_is_the_end_of_commit() -> None:
    assert commit_deadline(at(Phase.TRAIN, phase_end=110), 5) == 114
    assert commit_deadline(at(Phase.COMMIT, phase_end=115), 5) == 114
    assert commit_deadline(at(Phase.REVEAL, phase_end=125), 5) < 115


def test_commit_deadline_of_a_held_round_waits_for_the_scores_of_the_one_before() -> None:
    held = at(Phase.COMMIT, phase_end=116, held=True)
    assert commit_deadline(held, 5, at(Phase.SCORE, phase_end=140)) == 140
    assert commit_deadline(held, 5, at(Phase.REVEAL, phase_end=110)) == 115
    assert commit_deadline(held, 5, at(Phase.ATTEST, phase_end=140)) == 115
    assert commit_deadline(at(Phase.TRAIN, phase_end=110, held=True), 5, at(Phase.SCORE, phase_end=140)) == 114


def test_tick_turns_are_one_for_each_change_with_the_round_and_validators_come_first() -> None:
    nodes = [f"0x{n:040X}" for n in range(20)]
    judges, miners = nodes[:5], nodes[3:]
    orders = [[tick_turn(node, judges, miners, 1, number) for node in nodes] for number in (1, 2)]
    assert [sorted(order) for order in orders] == [list(range(20))] * 2
    assert [sorted(order[:5]) for order in orders] == [list(range(5))] * 2
    assert orders[0] != orders[1]
    assert tick_turn("0x" + "f" * 40, [], [], 1, 1) == 0


def dataset(number: int, accepted: int, withdrawn: int = 0) -> DatasetInfo:
    status = DatasetStatus.ACCEPTED if accepted else DatasetStatus.PENDING
    return DatasetInfo(number, 1, "0x" + "1" * 40, b"r" * 32, "CC0", 10, 1, 1, status, accepted, withdrawn)


def test_usable_takes_what_was_accepted_before_the_round_and_not_withdrawn() -> None:
    sets = [dataset(4, 99), dataset(1, 100), dataset(2, 50, 100), dataset(3, 50, 101), dataset(5, 0)]
    assert [d.id for d in usable(sets, 100)] == [3, 4]
    assert [d.id for d in to_vote_on(sets)] == [5]
