"""The miner, on a chain in memory."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from client.commitments import score_commitment
from client.storage import MemoryStore
from client.types import ZERO_DIGEST
from contracts.enums import Phase, Role, ScoreReason
from node.config import TeamConfig
from node.vault import DeltaRecord
from tests.unit.role_fakes import SIZE, FakeTrainer, World, told


def test_miner_walks_through_a_round(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    miner = world.miner()
    assert miner.step()  # TRAIN
    record = miner.parts.vault.find(DeltaRecord, 1, 1, world.owner.round(1, 1).seed)
    assert record is not None and record.dataset_ids == (world.dataset,)
    assert world.owner.committed(1, 1, miner.address).delta == ZERO_DIGEST  # the journal comes first
    assert record.digest not in world.store.blobs  # not a byte is published before the reveal
    assert miner.step()  # COMMIT
    assert world.owner.committed(1, 1, miner.address).delta != ZERO_DIGEST
    world.ledger.mine()
    assert miner.step()  # REVEAL
    assert [s.digest for s in world.owner.submissions(1, 1)] == [record.digest]
    assert record.digest in world.store.blobs
    assert not miner.step()
    assert [told(miner, name)[0]["round"] for name in ("trained", "committed", "revealed")] == [1, 1, 1]


def test_miner_trains_on_what_the_seed_deals(tmp_path: Path) -> None:
    world = World(tmp_path, miners=2)
    world.open()
    trainers = [FakeTrainer(), FakeTrainer()]
    for number, trainer in enumerate(trainers):
        world.miner(number, trainer).step()
    hands = [trainer.jobs[0].shards for trainer in trainers]
    assert sorted(hands) == [(("text one",),), (("text two",),)]


@pytest.mark.parametrize("killed_after", ["train", "commit"])
def test_miner_restarted_goes_on_with_its_journal(tmp_path: Path, killed_after: str) -> None:
    world = World(tmp_path)
    world.open()
    miner = world.miner()
    miner.step()
    if killed_after == "commit":
        miner.step()
    again = world.again(miner)
    trainer = again.parts.trainer
    assert isinstance(trainer, FakeTrainer)
    trainer.jobs.clear()
    if killed_after == "train":
        assert again.step()
    world.ledger.mine()
    assert again.step()
    assert len(world.owner.submissions(1, 1)) == 1
    assert trainer.jobs == []  # nothing was trained twice


def test_miner_too_late_says_so_and_takes_its_work_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    trainer = FakeTrainer(during=lambda: world.ledger.mine(20) and None)
    miner = world.miner(trainer=trainer)
    miner.step()
    miner.step()
    assert told(miner, "missed") or (miner.view is not None and miner.view.ended)
    world.owner.tick(1)
    miner.step()
    assert world.owner.round(1, 1).phase == Phase.VOID
    residual = miner.parts.residuals.load(1, world.model.genesis, SIZE)
    assert residual is not None
    np.testing.assert_allclose(residual, 0.9, rtol=1e-6)  # all of the delta comes back, decayed


def judged(world: World, reason: ScoreReason) -> None:
    """All validators score the only delta."""
    scores = [1000 if reason is ScoreReason.OK else 0]
    for step in ("commit", "reveal"):
        for chain in world.validators:
            who = (chain.chain_id, chain.contract_address("Rounds"), 1, 1, chain.address)
            if step == "commit":
                chain.commit_scores(1, 1, score_commitment(*who, scores, [reason], b"r" * 32, b"s" * 32))
            else:
                chain.reveal_scores(1, 1, scores, [reason], b"r" * 32, b"s" * 32)
        world.ledger.mine()


@pytest.mark.parametrize(
    ("reason", "left"),
    [(ScoreReason.NO_GAIN, 0.45), (ScoreReason.COPY, 0.45), (ScoreReason.UNAVAILABLE, 0.9)],
)
def test_miner_takes_back_what_nobody_could_fetch_but_not_what_was_refused(
    tmp_path: Path, reason: ScoreReason, left: float
) -> None:
    world = World(tmp_path)
    world.open()
    miner = world.miner()
    miner.step()
    miner.step()
    world.ledger.mine()
    miner.step()
    world.ledger.mine()
    judged(world, reason)
    world.owner.tick(1)  # takes the consensus: every score is zero, so the head stays
    assert world.owner.round(1, 1).phase == Phase.FINAL
    assert miner.step()
    residual = miner.parts.residuals.load(1, world.model.genesis, SIZE)
    assert residual is not None
    np.testing.assert_allclose(residual, left, rtol=1e-6)


def test_miner_adds_the_residual_to_its_next_delta(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    trainer = FakeTrainer()
    miner = world.miner(trainer=trainer)
    for _ in range(2):
        miner.step()
    world.ledger.mine()
    miner.step()
    world.ledger.mine()
    judged(world, ScoreReason.NO_GAIN)
    world.owner.tick(1)
    miner.step()
    world.owner.tick(1)
    world.ledger.mine()
    miner.step()
    np.testing.assert_allclose(trainer.vectors[1], 1.45, rtol=1e-6)


def test_miner_stops_training_before_commit_closes(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    trainer = FakeTrainer(during=lambda: world.ledger.mine(7) and None, steps=10)
    miner = world.miner(trainer=trainer)
    miner.step()
    assert told(miner, "trained")[0]["tokens"] < 1000
    assert world.owner.round(1, 1).phase == Phase.COMMIT
    assert miner.step()
    assert told(miner, "committed")


def test_miner_without_text_waits(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.owner.tick(1)
    world.ledger.mine()
    miner = world.miner()
    miner.runtime.stop.set()  # so that it does not pause
    miner.step()
    assert told(miner, "refused")[0]["message"].startswith("no dataset")


def test_miner_not_enrolled_leaves_the_round_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    world.miners.append(world._member(5, Role.MINER))
    late = world.miner(1)
    assert not late.step()


def test_miner_of_a_dead_chain_waits_and_goes_on(tmp_path: Path) -> None:

    world = World(tmp_path)
    world.open()
    miner = world.miner()
    world.ledger.down = True
    thread = threading.Thread(target=miner.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not told(miner, "waiting_chain") and time.monotonic() < deadline:
        time.sleep(0.02)
    world.ledger.down = False
    while not told(miner, "committed") and time.monotonic() < deadline:
        time.sleep(0.02)
    miner.runtime.stop.set()
    thread.join(5)
    assert told(miner, "waiting_chain") and told(miner, "committed")


def test_member_of_a_team_trains_and_averages_but_sends_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    trainer = FakeTrainer()
    member = world.miner(trainer=trainer, team=TeamConfig(size=2, role="member", name="t"))
    assert member.step()
    assert trainer.jobs[0].member == 1
    assert not member.step()
    assert world.owner.committed(1, 1, member.address).delta == ZERO_DIGEST


def test_miner_opens_and_settles_only_in_its_turn(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    miner = world.miner(auto_open=True)
    world.ledger.mine(60)
    deadline = time.monotonic() + 10
    while world.owner.current(1) < 2 and time.monotonic() < deadline:
        miner.step()
        miner.runtime.sleep(0.05)
    assert world.owner.round(1, 1).settled
    assert world.owner.current(1) == 2


def test_miner_when_no_text_is_accepted_yet_then_opens_no_round(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.ledger.mine()
    miner = world.miner(auto_open=True)
    for _ in range(5):
        assert not miner.step()
    assert world.owner.current(1) == 0
    world.open()
    assert world.owner.current(1) == 1


def test_miner_whose_daemon_is_gone_keeps_its_record(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    miner = world.miner()
    miner.step()
    miner.step()
    world.ledger.mine()
    assert isinstance(miner.parts.store, MemoryStore)
    miner.parts.vault.payload_path(1, 1).unlink()
    miner.step()
    assert not world.owner.submissions(1, 1)
    assert miner.missed == 1
