"""Rounds in which something goes wrong: they end, say why, and the next one works."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from client.errors import NotFound
from client.storage import MemoryStore
from client.types import DatasetStatus
from contracts.enums import DeltaKind, Phase, Role, ScoreReason, VoidReason
from node.residual import Residuals
from tests.integration.roles_world import SHORT, World, add_models, add_text, small_world, wait_for

pytestmark = pytest.mark.slow


class Deaf(MemoryStore):
    """A validator's store that never gets one miner's deltas."""

    def __init__(self, shared: MemoryStore) -> None:
        super().__init__()
        self.blobs, self.pins = shared.blobs, shared.pins
        self.missing: set[bytes] = set()
        self.fault = self._refuse

    def _refuse(self, digest: bytes) -> None:
        if digest in self.missing:
            raise NotFound("nobody gave it")


def pause(world: World, seconds: float) -> None:
    """Stop the chain's process for a while, as a machine that hangs would."""
    os.kill(world.chain_pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(world.chain_pid, signal.SIGCONT)


def test_rounds_end_whoever_is_away_and_the_next_one_works(tmp_path: Path) -> None:
    with small_world(tmp_path) as world:
        model = add_models(world, SHORT)["global"]
        for name in ("validator-1", "validator-2", "validator-3"):
            world.stake(name, model, Role.VALIDATOR, 30)
        world.stake("miner-1", model, Role.MINER, 10)
        dataset = add_text(world, model)
        for name in ("validator-1", "validator-2", "validator-3"):
            world.start_validator(name, model)
        chain = world.chain()
        wait_for("accepted", lambda: chain.dataset(dataset).status == DatasetStatus.ACCEPTED, 30)
        world.start_miner("miner-1", model)

        chain.tick(model.id)  # round 1: two of three validators are gone
        world.wait_phase(model, 1, Phase.REVEAL, 120)
        for name in ("validator-2", "validator-3"):
            world.nodes[name].stop()
        view = world.wait_round(model, 1, 120)
        assert (view.phase, view.void_reason) == (Phase.VOID, VoidReason.NO_SCORE_QUORUM)
        assert chain.model(model.id).head == model.genesis
        wait_for("it says so", lambda: world.nodes["miner-1"].events("round_void"), 10)

        for name in ("validator-2", "validator-3"):  # round 2: they are back, and the chain hangs for a while
            world.start_validator(name, model)
        chain.tick(model.id)
        world.wait_phase(model, 2, Phase.SCORE, 120)
        pause(world, 8.0)
        view = world.wait_round(model, 2, 120)
        assert view.phase == Phase.FINAL, world.told()
        assert view.head != view.base_head

        world.stake("miner-2", model, Role.MINER, 10)  # round 3: a late joiner starts from nothing but chain and store
        world.start_miner("miner-2", model)
        wait_for("the new miner is ready", lambda: world.nodes["miner-2"].events("phase"), 30)
        chain.tick(model.id)
        view = world.wait_round(model, 3, 120)
        assert view.phase == Phase.FINAL, world.told()
        miners = {s.miner for s in chain.submissions(model.id, 3)}
        assert world.account("miner-2").address in miners, world.told()


@pytest.mark.deep
def test_models_of_one_process_run_their_rounds_side_by_side(tmp_path: Path) -> None:
    with small_world(tmp_path) as world:
        models = add_models(world, names=("global", "law", "computing"))
        fields = [models["law"], models["computing"]]
        general = add_text(world, models["global"], first=40, topics=12, owner="treasury")
        data = [add_text(world, model, first, 16) for first, model in zip((0, 20), fields, strict=True)]
        for model in fields:
            world.stake("validator-1", model, Role.VALIDATOR, 50)
            world.stake("miner-1", model, Role.MINER, 10)
        chain = world.chain()
        assert chain.dataset(general).status == DatasetStatus.ACCEPTED  # its own model, where nobody has a stake
        world.start_validator("validator-1", *fields)
        for number in data:
            if chain.dataset(number).status == DatasetStatus.PENDING:
                wait_for("accepted", lambda n=number: chain.dataset(n).status == DatasetStatus.ACCEPTED, 30)
        world.start_miner("miner-1", *fields)
        for model in fields:
            chain.tick(model.id)
        for model, kind in zip(fields, (DeltaKind.TRAIN, DeltaKind.DISTIL), strict=True):
            view = world.wait_round(model, 1, 120)
            assert view.phase == Phase.FINAL, world.told()
            submission = chain.submissions(model.id, 1)[0]
            assert submission.kind == kind
            reasons = chain.scores_of(model.id, 1, world.account("validator-1").address).reasons
            assert ScoreReason.UNAVAILABLE not in reasons
            assert submission.weight_q16 > 0, world.told()


def test_a_delta_that_validators_can_not_fetch_scores_zero_and_comes_back(tmp_path: Path) -> None:
    with small_world(tmp_path) as world:
        model = add_models(world)["global"]
        deaf = Deaf(world.store)
        world.stake("validator-1", model, Role.VALIDATOR, 50)
        world.stake("miner-1", model, Role.MINER, 10)
        dataset = add_text(world, model, topics=12)
        world.start_validator("validator-1", model, store=deaf)
        chain = world.chain()
        wait_for("accepted", lambda: chain.dataset(dataset).status == DatasetStatus.ACCEPTED, 30)
        miner = world.start_miner("miner-1", model)
        chain.tick(model.id)
        committed = wait_for("committed", lambda: miner.events("committed"), 60)[0]
        deaf.missing.add(bytes.fromhex(committed["digest"]))
        view = world.wait_round(model, 1, 120)
        assert view.phase == Phase.FINAL and view.head == view.base_head
        scores = chain.scores_of(model.id, 1, world.account("validator-1").address)
        assert scores.reasons == (ScoreReason.UNAVAILABLE,)
        residuals = Residuals(world.state("miner-1") / "residuals")
        wait_for("the work is kept", lambda: not residuals.awaited(model.id), 20)
        size = miner.workers[0].parts.trainer.genesis(model).size  # type: ignore[attr-defined]
        assert residuals.load(model.id, model.genesis, size) is not None
        returned = list((world.state("miner-1") / "residuals").glob("residual-*+1.npy"))
        assert returned, "what nobody could fetch is part of the residual again"
