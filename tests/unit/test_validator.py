"""The validator, on a chain in memory."""

import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from client.errors import StorageError
from client.fake_stake import BALLOT_BLOCKS
from client.types import DatasetStatus, Policy
from contracts.enums import Phase, ScoreReason
from node.validator import Validator
from node.vault import HeadRecord, ScoreRecord
from tests.unit.role_fakes import FakeHeads, FakeJudge, World, told


def at_score(tmp_path: Path, validators: int = 1) -> World:
    """A world whose only miner has revealed."""
    world = World(tmp_path, validators=validators)
    world.open()
    miner = world.miner()
    miner.step()
    miner.step()
    world.ledger.mine()
    miner.step()
    world.ledger.mine(2)
    assert world.owner.round(1, 1).phase == Phase.SCORE
    return world


def judge_of(validator: Validator) -> FakeJudge:
    assert isinstance(validator.parts.judge, FakeJudge)
    return validator.parts.judge


def test_validator_walks_through_a_round(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    validator = world.validator()
    assert validator.step()  # JUDGE
    seed = world.owner.round(1, 1).evaluation_seed
    assert validator.parts.vault.find(ScoreRecord, 1, 1, seed) is not None
    assert validator.step()  # COMMIT_SCORES
    world.ledger.mine()
    assert validator.step()  # REVEAL_SCORES
    assert world.owner.scores_of(1, 1, validator.address).scores == (1000,)
    world.ledger.mine()
    assert validator.step()  # BUILD_HEAD
    assert validator.parts.vault.find(HeadRecord, 1, 1, seed) is not None
    assert validator.step()  # COMMIT_HEAD
    world.ledger.mine()
    assert validator.step()  # REVEAL_HEAD
    world.ledger.mine()
    assert world.owner.round(1, 1).phase == Phase.FINAL
    world.owner.tick(1)
    assert validator.step()  # FINISH
    assert isinstance(validator.parts.heads, FakeHeads)
    assert validator.parts.heads.advanced == 1
    assert told(validator, "round_final")[0]["head"] == ("01" * 32)
    assert not validator.step()


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_validator_restarted_after_any_step_finishes_the_round(tmp_path: Path, steps: int) -> None:
    world = at_score(tmp_path)
    validator = world.validator()
    mined_after = {2, 3, 5}
    for step in range(1, 7):
        if step == steps + 1:
            validator = world.validator()  # a new object on the old state folder
        assert validator.step(), step
        if step in mined_after:
            world.ledger.mine()
    world.ledger.mine()
    assert world.owner.round(1, 1).phase == Phase.FINAL


def test_validator_gives_the_judge_what_the_seed_dealt(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    validator = world.validator()
    validator.step()
    job = judge_of(validator).jobs[0]
    assert sorted(job.assigned[0]) == [("text one",), ("text two",)]
    assert [document.text for document in job.heldout] == ["held out"]
    assert job.committed == (0,)
    assert len(job.payloads) == 1 and isinstance(job.payloads[0], bytes)


def test_validator_calls_unfetched_deltas_unavailable(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    world.store.blobs.pop(world.owner.submissions(1, 1)[0].digest)
    validator = world.validator()
    validator.step()
    assert judge_of(validator).jobs[0].payloads == (ScoreReason.UNAVAILABLE,)


def test_validator_calls_wrong_bytes_and_too_many_bytes_bad_form(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    digest = world.owner.submissions(1, 1)[0].digest
    for data in (b"other bytes", b"x" * 1000):
        world.store.blobs[digest] = data
        validator = world.validator()
        validator._payloads.clear()
        job_before = len(judge_of(validator).jobs)
        validator.judge(world.owner.round(1, 1))
        assert judge_of(validator).jobs[job_before].payloads == (ScoreReason.BAD_FORM,)


def test_validator_refuses_undeclared_datasets(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    validator = world.validator()
    submission = world.owner.submissions(1, 1)[0]
    view = world.owner.round(1, 1)
    assert validator._payload(world.model, view, submission, [7], 1.0) is ScoreReason.NOT_ASSIGNED


def test_validator_out_of_the_freeze_rejoins_once_a_round(tmp_path: Path) -> None:
    world = World(tmp_path, validators=2)
    out = world.validators[1]
    world.ledger.dropped.add((1, out.address))
    world.ledger.mine()
    world.open()
    assert out.address not in [address for address, _ in world.owner.round_validators(1, 1)]
    validator = world.validator(1)
    validator.step()
    validator.step()
    assert len(told(validator, "rejoined")) == 1
    assert (1, out.address) not in world.ledger.dropped


def test_validator_votes_for_good_data_and_against_bad(tmp_path: Path) -> None:
    world = World(tmp_path)
    good = world.put_dataset([["a text"]], [["another text"]])
    leaking = world.put_dataset([["the same  Text"]], [["the same text"]])
    wrong_size = world.put_dataset([["b text"]], [["c text"]], size=3)
    no_licence = world.put_dataset([["d text"]], [["e text"]], licence=" ")
    none_held_out = world.put_dataset([["f text"]], [])
    miscounted = world.put_dataset([["g text"]], [["h text"]], shards=2)
    validator = world.validator()
    validator.vote()
    votes = {event["dataset"]: (event["accept"], event["reason"]) for event in told(validator, "dataset_vote")}
    assert votes[good][0] is True
    refused = {leaking: "training shards too", wrong_size: "bytes", no_licence: "licence",
               none_held_out: "held out", miscounted: "shards"}  # fmt: skip
    for number, words in refused.items():
        accepted, reason = votes[number]
        assert accepted is False
        assert words in reason


def words(seed: int, count: int = 200) -> str:
    picked = random.Random(seed)
    return " ".join(f"word{picked.randrange(5000)}" for _ in range(count))


def test_validator_when_a_dataset_repeats_earlier_ones_then_it_is_refused_or_valued_by_what_is_new(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    mine, held = [words(seed) for seed in range(8)], [words(seed) for seed in range(20, 24)]
    first = world.put_dataset([mine], [held])
    copied = world.put_dataset([[text.title() for text in mine]], [[words(30)]])
    joined = world.put_dataset([[f"{mine[0]} {mine[1]} {words(31, 80)}"]], [[words(32)]])
    half_new = world.put_dataset([[*mine[:2], words(33), words(34)]], [[words(35)]])
    spoils_ours = world.put_dataset([[words(36)]], [[mine[3], words(37)]])
    trains_on_held = world.put_dataset([[*held[:2], *(words(seed) for seed in range(40, 50))]], [[words(38)]])
    validator = world.validator()
    validator.vote()
    votes = {event["dataset"]: event for event in told(validator, "dataset_vote")}
    assert (votes[first]["accept"], votes[first]["value"]) == (True, 10_000)
    assert (votes[half_new]["accept"], votes[half_new]["value"]) == (True, 5_000)
    refused = {copied: "8 of its 8 documents", joined: "1 of its 1 documents",
               spoils_ours: "50% of its held-out", trains_on_held: "50% of an earlier"}  # fmt: skip
    assert all(not votes[number]["accept"] and said in votes[number]["reason"] for number, said in refused.items())


def test_validator_when_an_earlier_dataset_was_rejected_or_can_not_be_read_then_it_does_not_count(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, validators=1)
    text = words(1)
    unreadable = world.put_dataset([[text]], [[words(2)]])
    world.store.blobs.pop(world.owner.dataset(unreadable).root)
    rejected = world.put_dataset([[text]], [[words(3)]], licence=" ")
    validator = world.validator()
    validator.vote()
    assert not told(validator, "dataset_vote")[0]["accept"]
    assert validator.parts.votes is not None
    assert world.owner.dataset(rejected).status == DatasetStatus.REJECTED
    again = world.put_dataset([[text]], [[words(4)]])
    validator.parts.votes.last_look = 0.0
    validator.vote()
    assert [e["accept"] for e in told(validator, "dataset_vote") if e["dataset"] == again] == [True]


def test_validator_does_not_vote_before_it_has_all_of_the_text(tmp_path: Path) -> None:
    world = World(tmp_path)
    number = world.put_dataset([["a text"]], [["another text"]])
    root = world.owner.dataset(number).root
    blob = world.store.blobs.pop(root)
    validator = world.validator()
    validator.vote()
    assert not told(validator, "dataset_vote")
    world.store.blobs[root] = blob
    assert validator.parts.votes is not None
    validator.parts.votes.last_look = 0.0
    validator.vote()
    assert told(validator, "dataset_vote")[0]["accept"] is True


def test_judging_when_one_delta_is_no_file_then_it_alone_scores_zero(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    digest = world.owner.submissions(1, 1)[0].digest

    def fault(wanted: bytes) -> None:
        if wanted == digest:
            raise StorageError("The IPFS daemon refused: this dag node has an unknown type")

    world.store.fault = fault
    validator = world.validator()
    assert validator.step()
    assert judge_of(validator).jobs[0].payloads == (ScoreReason.BAD_FORM,)


def test_voting_when_one_dataset_fails_every_time_then_the_others_are_voted_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    hostile = world.put_dataset([["a text"]], [["another text"]])
    good = world.put_dataset([["b text"]], [["c text"]])
    root = world.owner.dataset(hostile).root

    def fault(wanted: bytes) -> None:
        if wanted == root:
            raise StorageError("The IPFS daemon refused: this dag node has an unknown type")

    world.store.fault = fault
    validator = world.validator()
    validator.vote()
    assert [event["dataset"] for event in told(validator, "dataset_vote")] == [good]


def test_voting_when_a_dataset_keeps_it_waiting_then_the_round_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.role_fakes.POLICY", Policy(6, 4, 4, 40, 4, 4, 4))
    world = at_score(tmp_path)
    root = world.owner.dataset(world.put_dataset([["a text"]], [["another text"]])).root
    waiting, free = threading.Event(), threading.Event()

    def fault(wanted: bytes) -> None:
        if wanted == root:
            waiting.set()
            free.wait(20)

    world.store.fault = fault
    validator = world.validator()
    thread = threading.Thread(target=validator.run, daemon=True)
    thread.start()
    try:
        assert waiting.wait(10)
        deadline = time.monotonic() + 10
        while not judge_of(validator).jobs and time.monotonic() < deadline:
            time.sleep(0.02)
        assert judge_of(validator).jobs
    finally:
        validator.runtime.stop.set()
        free.set()
        thread.join(10)


def test_voting_when_a_manifest_is_hostile_then_the_node_lives(tmp_path: Path) -> None:
    world = World(tmp_path)
    root = world.store.put(b'{"\\ud800":1,"schema":"strata/dataset/1"}')
    world.owner.register_dataset(world.model.id, root, licence="CC0-1.0", size=1, shards=1, heldout=1)
    validator = world.validator()
    validator.vote()
    assert told(validator, "dataset_vote")[0]["accept"] is False


def test_voting_when_another_registered_the_dataset_then_it_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put_dataset([["a text"]], [["another text"]], contributor="0x" + "11" * 20)
    validator = world.validator()
    validator.vote()
    vote = told(validator, "dataset_vote")[0]
    assert vote["accept"] is False
    assert "contributor" in vote["reason"]


def test_waiting_when_training_is_long_then_one_tick_keeps_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.role_fakes.POLICY", Policy(400, 4, 4, 4, 4, 4, 4))
    world = World(tmp_path)
    world.open()
    ticks: list[int] = []
    validator = world.validator()
    monkeypatch.setattr(validator.chain, "tick", lambda model, number=None: ticks.append(number))
    for _ in range(8):
        world.ledger.mine(30)
        assert not validator.step()
    assert ticks == [1]


def test_waiting_when_a_commitment_is_there_then_nobody_ticks_for_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.role_fakes.POLICY", Policy(400, 4, 4, 4, 4, 4, 4))
    world = World(tmp_path, miners=2)
    world.open()
    miner = world.miner()
    assert miner.step() and miner.step()  # TRAIN, COMMIT
    ticks: list[int] = []
    validator = world.validator()
    monkeypatch.setattr(validator.chain, "tick", lambda model, number=None: ticks.append(number))
    world.ledger.mine(200)
    assert not validator.step()
    assert ticks == []


def test_validators_when_committees_are_drawn_then_each_scores_what_it_was_dealt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.role_fakes.POLICY", Policy(6, 4, 4, 20, 20, 20, 20, committee=1))
    world = at_score(tmp_path, validators=3)
    world.ledger.mine()
    validators = [world.validator(number) for number in range(3)]
    for validator in validators:
        assert validator.step()  # JUDGE
    judged = [len(judge_of(validator).jobs[0].dealt) for validator in validators]
    assert sorted(judged) == [0, 0, 1]
    for _ in range(5):  # COMMIT_SCORES, REVEAL_SCORES, BUILD_HEAD, COMMIT_HEAD, REVEAL_HEAD
        for validator in validators:
            assert validator.step()
        world.ledger.mine()
    assert world.owner.round(1, 1).phase == Phase.FINAL
    assert [len(world.owner.scores_of(1, 1, v.address).scores) for v in validators] == judged
    assert [s.consensus for s in world.owner.submissions(1, 1)] == [1000]


def test_round_when_nothing_is_accepted_then_a_validator_has_the_chain_sum_it_up(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    world.store.blobs.pop(world.owner.submissions(1, 1)[0].digest)  # nobody can fetch the delta
    validator = world.validator()
    for _ in range(2):  # JUDGE, COMMIT_SCORES
        assert validator.step()
    world.ledger.mine()
    assert validator.step()  # REVEAL_SCORES
    world.ledger.mine()
    assert world.owner.round(1, 1).phase == Phase.ATTEST
    deadline = time.monotonic() + 10
    while world.owner.round(1, 1).phase == Phase.ATTEST and time.monotonic() < deadline:
        validator.step()
    view = world.owner.round(1, 1)
    assert (view.phase, view.head) == (Phase.FINAL, view.base_head)


def test_voting_when_a_ballot_lapses_then_the_validator_votes_again(tmp_path: Path) -> None:
    world = World(tmp_path, validators=3)
    number = world.put_dataset([["a text", "A  text"]], [["another text"]])
    validator = world.validator()
    validator.vote()
    assert [event["value"] for event in told(validator, "dataset_vote")] == [5_000]  # half of it is there twice
    assert validator.parts.votes is not None
    validator.parts.votes.last_look = 0.0
    validator.vote()
    assert len(told(validator, "dataset_vote")) == 1
    world.ledger.mine(BALLOT_BLOCKS)
    validator.parts.votes.last_look = 0.0
    validator.vote()
    assert len(told(validator, "dataset_vote")) == 2
    assert world.owner.dataset(number).accepted_block == 0


def test_judging_when_a_round_came_before_then_its_deltas_show_who_copied(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    validator = world.validator()
    judge = judge_of(validator)
    for _ in range(3):
        validator.step()
        world.ledger.mine()
    assert judge.jobs[0].earlier == ()
    (submission,) = world.owner.submissions(1, 1)
    before = world.owner.round(1, 1)
    view = replace(before, round=2)
    payload = judge.jobs[0].payloads[0]
    assert isinstance(payload, bytes)
    assert validator._earlier(world.owner.model(1), view) == ((submission.miner, payload),)
    validator._payloads.clear()
    world.store.blobs.pop(submission.digest, None)
    assert validator._earlier(world.owner.model(1), view) == ()
