"""The miner as one of a team: what survives the loss of the leader, and what two leaders of a split team can't do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.cid import digest_bytes
from client.errors import Reverted, SwarmError, TeamOverError
from client.storage import MemoryStore
from client.types import ZERO_DIGEST
from contracts.enums import Phase
from node.config import TeamConfig
from node.fates import Fates
from node.miner import Miner
from node.swarm import LoopThread
from node.team import Team
from node.teams.crew import Crew
from node.teams.fakes import FakeLinks, FakeNet
from node.teams.handover import Handover, record_from_json, record_to_json, residual_from_bytes
from node.teams.role import open_team, settings_of
from node.teams.settings import Contact, TeamSettings
from node.teams.work import TeamWork
from node.vault import DeltaRecord
from tests.unit.role_fakes import FakeTrainer, World, told


@dataclass
class FakeDesk:
    """Keeps ``Averager``: the average is ours, and what is handed over goes to ``other``."""

    leading: bool
    minority: bool = False
    other: Miner | None = None
    leader: Miner | None = None  # whose deltas are lent
    before: Callable[[], None] = lambda: None
    given: list[Handover] = field(default_factory=list)

    def average(self, round_key: str, vector: Any, tokens: int, deadline_seconds: float) -> tuple[Any, int, int]:
        return vector, tokens, 1

    def hand_over(self, record: DeltaRecord, payload: bytes | None, residual: Any, seconds: float) -> bool:
        if self.other is None:
            return False
        self.before()
        handover = Handover(record_from_json(record_to_json(record)), payload, residual)
        self.given.append(handover)
        self.other.work.keep(handover)
        return True

    def borrow(self, model: int, round_number: int, seconds: float) -> bytes | None:
        return self.leader.work.lend(round_number) if self.leader else None


@dataclass
class Pair:
    """A leader and its stand-in: one account, two state folders."""

    world: World
    leader: Miner
    stand_in: Miner
    desks: tuple[FakeDesk, FakeDesk]

    def mine_to(self, phase: Phase) -> None:
        for _ in range(40):
            if self.world.owner.round(1, 1).phase >= phase:
                return
            self.world.ledger.mine()
        raise AssertionError(f"never in {phase}")

    def commitment(self) -> bytes:
        return self.world.owner.committed(1, 1, self.leader.address).delta

    def leader_dies(self) -> None:
        self.desks[1].leading = True


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    world = World(tmp_path)
    world.miners = world.miners[:1] * 2  # one account
    world.open()
    desks = FakeDesk(True), FakeDesk(False)
    leader, stand_in = (
        peer(world, rank, desk, role) for rank, (desk, role) in enumerate(zip(desks, ("leader", "member"), strict=True))
    )
    desks[0].other, desks[1].leader = stand_in, leader
    return Pair(world, leader, stand_in, desks)


def peer(world: World, rank: int, desk: FakeDesk, role: str) -> Miner:
    config = TeamConfig(size=2, role=role, rank=rank, name="t")
    plain = world.miner(rank, trainer=FakeTrainer(), team=config)
    return Miner(plain.runtime, replace(plain.parts, team=desk), world.model)


def test_commit_when_there_is_a_stand_in_then_it_holds_salt_and_payload_before(pair: Pair) -> None:
    seen: list[bytes] = []
    pair.desks[0].before = lambda: seen.append(pair.commitment())
    pair.leader.step()
    pair.leader.step()
    assert seen[0] == ZERO_DIGEST and pair.commitment() != ZERO_DIGEST
    record = pair.leader.parts.vault.last(DeltaRecord, 1, 1)
    assert record is not None and pair.stand_in.parts.vault.last(DeltaRecord, 1, 1) == record
    assert pair.stand_in.parts.vault.payload(record) == pair.leader.parts.vault.payload(record)


def test_leader_when_it_dies_after_the_commitment_then_the_stand_in_reveals(pair: Pair) -> None:
    pair.leader.step()
    pair.leader.step()
    pair.leader_dies()
    pair.mine_to(Phase.REVEAL)
    pair.stand_in.step()
    (submission,) = pair.world.owner.submissions(1, 1)
    assert submission.miner == pair.leader.address
    assert isinstance(pair.stand_in.parts.store, MemoryStore)
    assert digest_bytes(pair.stand_in.parts.store.get(submission.digest, 10**6, 1.0)) == submission.digest
    assert told(pair.stand_in, "revealed") and not told(pair.stand_in, "missed")


def too_late() -> None:
    raise TeamOverError("over")


def test_member_when_it_comes_after_the_training_then_it_tries_once_and_can_still_reveal(pair: Pair) -> None:
    trainer = pair.stand_in.parts.trainer
    assert isinstance(trainer, FakeTrainer)
    trainer.during = too_late
    pair.stand_in.step()
    assert not pair.stand_in.step() and len(trainer.jobs) == 1
    pair.leader.step()
    pair.leader.step()
    pair.leader_dies()
    pair.mine_to(Phase.REVEAL)
    pair.stand_in.step()
    assert len(pair.world.owner.submissions(1, 1)) == 1
    assert not told(pair.stand_in, "missed") and not told(pair.stand_in, "error")


def test_member_when_it_came_late_and_the_leader_dies_before_it_sealed_then_it_trains_itself(pair: Pair) -> None:
    trainer = pair.stand_in.parts.trainer
    assert isinstance(trainer, FakeTrainer)
    trainer.during = too_late
    pair.stand_in.step()
    trainer.during = lambda: None
    pair.leader_dies()
    for _ in range(2):
        pair.stand_in.step()
    assert pair.commitment() != ZERO_DIGEST


def test_leader_when_it_dies_before_the_commitment_then_the_stand_in_sends_the_same_one(pair: Pair) -> None:
    pair.leader.step()
    record = pair.leader.parts.vault.last(DeltaRecord, 1, 1)
    assert record is not None
    pair.leader.work.may_commit(record, lambda: False)  # handed over, and then it died
    pair.leader_dies()
    pair.stand_in.step()
    assert pair.commitment() == pair.leader.work.commitment(record)


def test_leader_when_it_dies_before_it_sealed_then_the_stand_in_seals_the_average(pair: Pair) -> None:
    pair.stand_in.step()
    assert not pair.stand_in.step() and pair.commitment() == ZERO_DIGEST, "a member waits"
    pair.leader_dies()
    pair.world.ledger.mine()
    pair.stand_in.step()
    assert isinstance(pair.stand_in.parts.trainer, FakeTrainer) and len(pair.stand_in.parts.trainer.jobs) == 1
    pair.stand_in.step()
    assert pair.commitment() != ZERO_DIGEST
    pair.mine_to(Phase.REVEAL)
    pair.stand_in.step()
    assert len(pair.world.owner.submissions(1, 1)) == 1


def test_leader_when_it_dies_in_mid_round_then_the_stand_in_trains_to_the_end_and_commits(pair: Pair) -> None:
    assert isinstance(pair.stand_in.parts.trainer, FakeTrainer)
    pair.stand_in.parts.trainer.during = pair.leader_dies
    pair.stand_in.step()
    pair.stand_in.step()
    assert pair.commitment() != ZERO_DIGEST


def test_split_when_both_lead_then_the_chain_takes_one_commitment_and_the_other_side_says_nothing(pair: Pair) -> None:
    pair.desks[0].other = None  # cut off before anything was handed over
    pair.leader_dies()
    for miner in (pair.leader, pair.stand_in):
        miner.step()
    pair.leader.step()
    first = pair.commitment()
    late = pair.stand_in.parts.vault.last(DeltaRecord, 1, 1)
    assert late is not None and pair.stand_in.work.commitment(late) != first
    with pytest.raises(Reverted):
        pair.stand_in.parts.chain.commit_delta(1, 1, pair.stand_in.work.commitment(late))
    pair.mine_to(Phase.REVEAL)
    pair.stand_in.step()
    assert told(pair.stand_in, "missed") and not pair.world.owner.submissions(1, 1)
    pair.leader.step()
    assert len(pair.world.owner.submissions(1, 1)) == 1 and pair.commitment() == first


def test_commit_when_most_of_the_team_is_elsewhere_then_it_waits_for_the_last_call(pair: Pair) -> None:
    pair.desks[0].minority = True
    pair.leader.step()
    pair.leader.step()
    assert pair.commitment() == ZERO_DIGEST
    last = pair.leader.last_commit_block(pair.world.owner.round(1, 1))
    while pair.world.owner.block_number() + 1 < last:
        pair.world.ledger.mine()
    pair.leader.step()
    assert pair.commitment() != ZERO_DIGEST


def test_member_when_the_leader_does_not_reveal_then_it_does_after_half_of_the_time(pair: Pair) -> None:
    pair.leader.step()
    pair.leader.step()
    pair.mine_to(Phase.REVEAL)
    pair.stand_in.step()
    assert not pair.world.owner.submissions(1, 1)
    pair.world.ledger.mine(2)
    pair.stand_in.step()
    assert len(pair.world.owner.submissions(1, 1)) == 1


def test_keep_when_a_delta_of_our_own_is_sealed_then_it_stays(pair: Pair) -> None:
    pair.desks[1].leading = True
    pair.stand_in.step()
    mine = pair.stand_in.parts.vault.last(DeltaRecord, 1, 1)
    pair.leader.step()
    record = pair.leader.parts.vault.last(DeltaRecord, 1, 1)
    assert record is not None
    with pytest.raises(SwarmError, match="our own"):
        pair.stand_in.work.keep(Handover(record, pair.leader.parts.vault.payload(record)))
    assert pair.stand_in.parts.vault.last(DeltaRecord, 1, 1) == mine


def test_residual_when_it_is_handed_over_then_it_counts_here_as_it_does_there(pair: Pair) -> None:
    pair.leader.step()
    pair.leader.step()
    record = pair.leader.parts.vault.last(DeltaRecord, 1, 1)
    size = FakeTrainer().genesis(pair.world.model).size
    wanted = pair.leader.parts.residuals.load(1, pair.world.model.genesis, size)
    assert record is not None and wanted is not None
    deadline = [handover for handover in pair.desks[0].given if handover.residual is not None]
    pair.stand_in.work.keep(Handover(record, None, deadline[0].residual if deadline else wanted))
    pair.stand_in.work.take_in(pair.world.model)
    found = pair.stand_in.parts.residuals.load(1, pair.world.model.genesis, size)
    assert found is not None
    np.testing.assert_allclose(found, wanted, rtol=0.2)


def test_team_of_one_when_asked_then_nothing_changes(tmp_path: Path) -> None:
    world = World(tmp_path)
    plain = world.miner()
    parts = plain.parts
    fates = Fates(parts.chain, parts.trainer, parts.vault, parts.residuals, plain.address)
    work = TeamWork(TeamConfig(), parts, fates, 1)
    record = DeltaRecord(1, 1, b"s" * 32, b"d" * 32, b"x" * 32, 0, b"b" * 32, (1,), 5)
    assert not work.member and work.may_commit(record, lambda: False) and work.has_sealed(record, True)
    assert not work.has_sealed(None, True)


@pytest.mark.parametrize(
    "change",
    [
        {"salt": "00"}, {"salt": None}, {"digest": "zz" * 32}, {"round": -1}, {"round": True}, {"dataset_ids": "1"},
        {"dataset_ids": [-1]}, {"dataset_ids": [0] * 5000}, {"more": 1}, {"trained_tokens": 2**70},
    ],
)  # fmt: skip
def test_record_from_json_when_malformed_then_swarm_error(change: dict[str, Any]) -> None:
    record = DeltaRecord(1, 1, b"s" * 32, b"d" * 32, b"x" * 32, 0, b"b" * 32, (1,), 5)
    assert record_from_json(record_to_json(record)) == record
    with pytest.raises(SwarmError):
        record_from_json({**record_to_json(record), **change})


@pytest.mark.parametrize("data", [b"", b"123", np.full(2, np.inf, dtype="<f4").tobytes()])
def test_residual_from_bytes_when_it_is_no_finite_vector_then_swarm_error(data: bytes) -> None:
    with pytest.raises(SwarmError):
        residual_from_bytes(data)


def test_ahead_when_the_leader_has_sealed_then_a_member_goes_on_from_the_same_delta(pair: Pair) -> None:
    pair.leader.step()
    record = pair.leader.parts.vault.last(DeltaRecord, 1, 1)
    assert record is not None
    payload = pair.leader.parts.vault.payload(record)
    assert payload and pair.stand_in.work.borrow(1) == payload
    assert pair.stand_in.work.borrow(2) is None and pair.leader.work.borrow(1) is None


def test_settings_when_the_stand_in_has_another_wallet_then_it_is_a_member_like_others() -> None:
    config = TeamConfig(size=3, role="member", rank=1, miner="0xAb", name="t", mode="parameters", every=4)
    assert settings_of(config, "0xaB").rank == 1
    other = settings_of(config, "0xcd")
    assert other.rank == 4 and other.rank % 3 == 1, "rows of its own all the same"
    assert (other.mode, other.every, other.size) == ("parameters", 4, 3)
    leader = TeamConfig(size=2, role="leader", rank=0)
    assert (settings_of(leader, "0xab").rank, settings_of(leader, "0xab").name) == (0, "0xab")
    assert settings_of(replace(config, rank=0, miner=""), "0xab").rank == 1


@pytest.mark.parametrize(("failures", "held"), [(0, True), (2, True), (3, False)])
def test_hand_over_when_the_stand_in_fails_at_first_then_it_is_asked_again(failures: int, held: bool) -> None:
    net, thread = FakeNet(), LoopThread("fake-team")
    tries: list[Handover] = []

    def keep(handover: Handover) -> None:
        tries.append(handover)
        if len(tries) <= failures:
            raise SwarmError("not now")

    try:
        peers = [FakeLinks(net, f"p{rank}", thread) for rank in range(2)]
        teams = [Team(links, Crew(links, TeamSettings("t", rank, 2))) for rank, links in enumerate(peers)]
        for team in teams:
            thread.run(team.crew.open([Contact("p0", 0)]), 5.0)
        teams[1].keep_with(keep)
        record = DeltaRecord(1, 7, b"s" * 32, digest_bytes(b"delta"), b"x" * 32, 0, b"b" * 32, (1,), 5)
        assert teams[0].hand_over(Handover(record, b"delta"), 5.0) is held
        assert len(tries) == min(failures + 1, 3) and not teams[1].hand_over(Handover(record, b"delta"), 5.0)
    finally:
        thread.close()


@pytest.mark.slow
def test_open_team_when_two_nodes_are_configured_then_one_leads_and_the_other_stands_in(tmp_path: Path) -> None:
    world = World(tmp_path)
    plain = TeamConfig(size=2, name="t", silent_seconds=5.0)
    first = world.runtime("a", team=plain)
    with ExitStack() as stack:
        desk = open_team(first, "0xab", stack)
        assert desk is not None and desk.leading and not desk.minority
        member = replace(plain, role="member", rank=1, peers=tuple(desk.team.maddrs))
        other = open_team(world.runtime("b", team=member), "0xab", stack)
        assert other is not None and not other.leading
        other.keep_with({1: lambda handover: None})
        desk.lend_with({1: lambda number: b"delta" if number == 7 else None})
        record = DeltaRecord(1, 7, b"s" * 32, digest_bytes(b"delta"), b"x" * 32, 0, b"b" * 32, (1,), 5)
        assert desk.hand_over(record, b"delta", None, 10.0)
        assert other.borrow(1, 7, 10.0) == b"delta" and other.borrow(1, 8, 10.0) is None
    assert open_team(world.runtime("c"), "0xab", ExitStack()) is None
