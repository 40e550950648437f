"""Two rounds of a model at once: the miner trains for the next while validators judge the last."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.audit_facts import RoundFacts
from client.audit_log import AuditLog, Finding
from client.audit_rounds import check_overlap
from client.cid import digest_bytes
from client.errors import Reverted
from client.types import ZERO_DIGEST, Policy
from contracts.enums import Phase, VoidReason
from node.miner import Miner
from node.validator import Validator
from node.vault import DeltaRecord, Vault
from tests.unit.role_fakes import SIZE, FakeJudge, FakeTrainer, World, told

LONG = Policy(40, 10, 10, 10, 10, 10, 10)


class Overlap:
    """A miner and a validator that opens rounds, stepped in turn; ``mortal``: each is a new object at every step."""

    def __init__(self, folder: Path, mortal: bool = False, trainer: FakeTrainer | None = None) -> None:
        self.world, self.mortal = World(folder), mortal
        self.world.ledger.policies[0] = LONG
        self.trainer = trainer or FakeTrainer()
        self.validator: Validator = self.world.validator(auto_open=True)
        self.miner: Miner = self.world.miner(trainer=self.trainer)
        self.world.dataset = self.world.put_dataset([["text one"], ["text two"]], [["held out"]])
        self.world.validators[0].vote_dataset(self.world.dataset, True)
        self.world.ledger.mine()
        self.judged: list[tuple[int, bytes]] = []

    def turn(self) -> None:
        """Each does one thing, and a block passes."""
        self.miner.step()
        self.validator.step()
        if self.mortal:
            self.miner = self.world.again(self.miner)
            self.validator = Validator(self.validator.runtime, self.validator.parts, self.world.model)
        self.world.ledger.mine()

    def until(self, number: int, turns: int = 400) -> None:
        """Until a round is settled."""
        chain = self.world.owner
        for _ in range(turns):
            if chain.current(1) >= number and chain.round(1, number).settled:
                return
            self.turn()
        raise AssertionError(f"round {number} was not settled in {turns} turns")

    def log(self, name: str, number: int) -> list[int]:
        """The blocks of a round's events of one name."""
        return [e.block for e in self.world.ledger.log if e.name == name and e.args["round"] == number]


@pytest.mark.parametrize("mortal", [False, True])
def test_rounds_when_one_is_judged_then_the_next_is_trained_from_the_head_before(tmp_path: Path, mortal: bool) -> None:
    net = Overlap(tmp_path, mortal)
    net.until(3)
    chain = net.world.owner
    views = [chain.round(1, number) for number in (1, 2, 3)]
    assert [view.phase for view in views] == [Phase.FINAL] * 3
    heads = [net.world.model.genesis, *(view.head for view in views)]
    for number, view in enumerate(views, 1):
        assert view.parent_head == heads[number - 1]
        assert view.base_head == heads[max(0, number - 2)]  # one behind: it opened before the round before was settled
        assert all(delta.base_head == view.base_head for delta in chain.submissions(1, number))
        assert len(net.log("DeltaRevealed", number)) == 1
    for number in (2, 3):
        assert net.log("RoundOpened", number)[0] < net.log("RoundSettled", number - 1)[0]
        assert net.log("DeltaRevealed", number - 1)[0] < net.log("DeltaCommitted", number)[0]
        assert net.log("RoundSettled", number - 1)[0] <= net.log("DeltaRevealed", number)[0]
    judge = net.validator.parts.judge
    assert isinstance(judge, FakeJudge)
    assert [job.parent_head for job in judge.jobs[:3]] == heads[:3]
    assert [job.base_head for job in net.trainer.jobs[:3]] == [view.base_head for view in views]
    sent = [chain.submissions(1, number)[0].digest for number in (1, 2)]
    went_on = [job.ahead and digest_bytes(job.ahead) for job in net.trainer.jobs[:3]]
    assert went_on == [None, *sent]  # each goes on from its own last delta, which its base head does not hold
    assert [event["round"] for event in told(net.miner, "trained")][:3] == [1, 2, 3]  # nothing was trained twice


@pytest.mark.parametrize("mortal", [False, True])
def test_residual_when_rounds_overlap_then_what_was_dropped_is_in_the_next_delta_at_once(
    tmp_path: Path, mortal: bool
) -> None:
    net = Overlap(tmp_path, mortal)
    net.until(3)
    # each delta is ones; half of what is sent is dropped, and nine tenths of that come into the next
    wanted = [1.0, 1.0 + 0.45 * 1.0, 1.0 + 0.45 * 1.45]
    for vector, value in zip(net.trainer.vectors, wanted, strict=False):
        np.testing.assert_allclose(vector, value, rtol=1e-6)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("before_the_journal", [True, False])
def test_residual_when_the_miner_dies_while_sealing_then_nothing_is_lost_or_counted_twice(
    tmp_path: Path, before_the_journal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, keep, deaths = Overlap(tmp_path), Vault.keep, list[object]()

    def die(vault: Vault, record: Any, payload: bytes | None = None) -> Any:
        if isinstance(record, DeltaRecord) and record.round == 2 and not deaths:
            deaths.append(record if before_the_journal else keep(vault, record, payload))
            raise Killed
        return keep(vault, record, payload)

    monkeypatch.setattr(Vault, "keep", die)
    with pytest.raises(Killed):
        net.until(2)
    net.miner = net.world.again(net.miner)
    net.until(3)
    wanted = [1.0, 1.45, *([1.45] if before_the_journal else []), 1.0 + 0.45 * 1.45]
    for vector, value in zip(net.trainer.vectors, wanted, strict=False):
        np.testing.assert_allclose(vector, value, rtol=1e-6)


def test_residual_when_nobody_could_fetch_a_delta_then_it_comes_back_once_its_round_is_settled(tmp_path: Path) -> None:
    net = Overlap(tmp_path)
    chain = net.world.owner
    while chain.current(1) == 0 or not net.log("DeltaRevealed", 1):
        net.turn()
    net.world.store.blobs.pop(chain.submissions(1, 1)[0].digest)
    net.until(3)
    assert chain.round(1, 1).head == net.world.model.genesis  # nothing was accepted
    first, second, third = (float(vector[0]) for vector in net.trainer.vectors[:3])
    assert first == 1.0
    sent, dropped = 0.5 * first, 0.5 * first
    carried = 0.9 * dropped
    assert [job.ahead is None for job in net.trainer.jobs[:3]] == [True, False, True]  # no building on what is refused
    if second == pytest.approx(1.0 + carried):  # its fate was not known yet
        assert third == pytest.approx(1.0 + 0.9 * 0.5 * second + 0.9 * sent)
    else:
        assert second == pytest.approx(1.0 + carried + 0.9 * sent)


def test_miner_when_it_restarts_with_both_rounds_unsettled_then_it_reveals_the_older_and_keeps_the_newest(
    tmp_path: Path,
) -> None:
    net = Overlap(tmp_path)
    chain, ledger = net.world.owner, net.world.ledger
    while chain.current(1) == 0:
        net.turn()
    ledger.mine()
    net.miner.step()  # TRAIN
    net.miner.step()  # COMMIT
    ledger.mine()
    chain.tick(1, 2)  # somebody opens round 2 before the reveal
    ledger.mine()
    again = net.world.again(net.miner)
    assert again.step()
    assert len(chain.submissions(1, 1)) == 1 and len(net.trainer.jobs) == 1  # REVEAL comes before TRAIN
    assert again.step()  # TRAIN of round 2
    again = net.world.again(again)
    assert again.step()  # COMMIT of round 2
    assert chain.round(1, 2).commits == 1 and not chain.round(1, 1).ended
    assert len(net.trainer.jobs) == 2


def test_held_round_when_its_windows_are_over_then_a_miner_still_trains_and_commits(tmp_path: Path) -> None:
    net = Overlap(tmp_path)
    chain, ledger = net.world.owner, net.world.ledger
    ledger.policies[0] = Policy(3, 2, 10, 200, 10, 10, 10)
    while chain.current(1) == 0 or not net.log("DeltaRevealed", 1):
        net.turn()
    while chain.current(1) < 2:
        net.validator.step()
        ledger.mine()
    ledger.mine(20)
    view = chain.round(1, 2)
    assert (view.phase, view.held) == (Phase.COMMIT, True)
    assert net.miner.step() and net.miner.step()  # TRAIN, COMMIT
    assert chain.round(1, 2).commits == 1
    assert told(net.miner, "trained")[-1]["tokens"] == 300  # all of its steps
    assert chain.round(1, 2).phase == Phase.COMMIT  # all have committed, and it is held


def test_deal_when_a_round_is_held_then_everybody_can_compute_it_at_its_opening(tmp_path: Path) -> None:
    net = Overlap(tmp_path)
    chain, ledger = net.world.owner, net.world.ledger
    while chain.current(1) < 2:
        net.turn()
    ledger.mine()
    view = chain.round(1, 2)
    assert view.held and view.seed != ZERO_DIGEST and view.parent_head == ZERO_DIGEST
    assert chain.round_miners(1, 2) == [net.miner.address]
    net.miner.step()
    net.miner.step()
    assert sorted(net.trainer.jobs[1].shards) == [("text one",), ("text two",)]


def test_share_of_training_when_a_second_delta_is_sealed_then_events_and_status_have_it(tmp_path: Path) -> None:
    net = Overlap(tmp_path)
    net.until(3)
    net.turn()
    trained = told(net.miner, "trained")
    assert all(event["seconds"] >= 0 for event in trained)
    shares = [event.get("training_share") for event in told(net.miner, "round_final")]
    assert shares[0] is None and all(share is not None and 0 <= share <= 1 for share in shares[1:])


def test_miner_of_two_models_when_another_one_trains_then_tidying_up_does_not_wait(tmp_path: Path) -> None:
    net = Overlap(tmp_path)
    net.until(1)
    with net.miner.runtime.compute:
        net.miner.finish(net.world.owner.round(1, 1))
    assert told(net.miner, "round_final")
    assert net.trainer.advanced == 0


# ---- the audit


def audited(net: Overlap, change: dict[tuple[str, int], dict[str, Any]] | None = None) -> list[Finding]:
    """What an audit of the first three rounds finds, where some events say something else."""
    log, world = AuditLog(), net.world
    facts = []
    for number in (1, 2, 3):
        mine = [e for e in world.ledger.log if e.contract == "Rounds" and e.args.get("round") == number]
        events = [replace(e, args={**e.args, **(change or {}).get((e.name, number), {})}) for e in mine]
        info = world.owner.round(1, number)
        facts.append(RoundFacts(world.model, number, tuple(events), (), (), info))
    check_overlap(log, facts, frozenset((1, 2, 3)))
    return log.findings


def test_audit_when_rounds_overlap_then_base_and_parent_heads_follow(tmp_path: Path) -> None:
    net = Overlap(tmp_path)
    net.until(3)
    assert audited(net) == []


@pytest.mark.parametrize(
    ("event", "number", "field", "check"),
    [("RoundOpened", 3, "baseHead", "base head"), ("RoundReleased", 2, "parentHead", "parent head"),
     ("RoundFinalized", 1, "head", "parent head")],
)  # fmt: skip
def test_audit_when_a_head_is_another_then_it_is_found(
    tmp_path: Path, event: str, number: int, field: str, check: str
) -> None:
    net = Overlap(tmp_path)
    net.until(3)
    found = audited(net, {(event, number): {field: b"z" * 32}})
    assert check in {finding.check for finding in found}


# ---- the chain's rules, as the fake keeps them


def test_tick_when_commit_has_closed_then_one_more_round_opens_and_no_third(tmp_path: Path) -> None:
    world = World(tmp_path, miners=2)
    world.open()
    for number in (0, 1):
        miner = world.miner(number)
        assert miner.step() and miner.step()
    with pytest.raises(Reverted, match="WrongRound"):
        world.owner.tick(1, 3)
    world.owner.tick(1, 2)
    second = world.owner.round(1, 2)
    assert (second.held, second.phase, second.parent_head) == (True, Phase.TRAIN, ZERO_DIGEST)
    world.ledger.mine(30)
    assert world.owner.round(1, 2).phase == Phase.COMMIT
    with pytest.raises(Reverted, match="WrongRound"):
        world.owner.tick(1, 3)


def test_release_when_the_window_is_over_then_commit_ends_with_that_block(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    miner = world.miner()
    assert miner.step() and miner.step()
    world.ledger.mine()
    world.owner.tick(1, 2)
    world.ledger.mine(50)  # nobody reveals
    assert world.owner.round(1, 1).void_reason == VoidReason.EMPTY
    assert world.owner.phase_at(1, 2, world.ledger.block_number + 100)[0] == Phase.COMMIT
    released = world.owner.tick(1, 1).event("RoundReleased")
    view = world.owner.round(1, 2)
    assert (view.held, view.parent_head) == (False, world.model.genesis)
    assert view.phase == Phase.COMMIT and view.phase_end == released.block + 1


def test_reveal_when_the_base_is_another_then_it_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    miner = world.miner()
    assert miner.step() and miner.step()
    world.ledger.mine()
    world.ledger.rounds[1][0].base_head = b"z" * 32
    record = miner.parts.vault.last(DeltaRecord, 1, 1)
    assert record is not None
    with pytest.raises(Reverted, match="WrongBase"):
        miner.step()


def test_emission_when_rounds_overlap_then_no_block_is_paid_twice(tmp_path: Path) -> None:
    net = Overlap(tmp_path)
    net.until(3)
    ledger = net.world.ledger
    first = net.log("RoundOpened", 1)[0]
    emitted = sum(e.args["emission"] for e in ledger.log if e.name == "EmissionSettled")
    assert 0 < emitted <= (ledger.settled_until[1] - first) * 10**18
    assert len(net.trainer.vectors[0]) == SIZE
