"""Whole rounds of the nano model on a real chain: miners and validators do all of their work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.replay import load_state
from client.types import DatasetStatus
from contracts.enums import Phase, Role
from tests.integration.roles_world import add_models, add_text, small_world, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.deep]  # the demo in tests/e2e plays the same with real processes


def test_rounds_of_the_nano_model_end_with_the_head_that_anybody_recomputes(tmp_path: Path) -> None:
    with small_world(tmp_path) as world:
        model = add_models(world)["global"]
        for name, tokens in (("validator-1", 40), ("validator-2", 30), ("validator-3", 30)):
            world.stake(name, model, Role.VALIDATOR, tokens)
        for name in ("miner-1", "miner-2"):
            world.stake(name, model, Role.MINER, 10)
        dataset = add_text(world, model)
        for name in ("validator-1", "validator-2", "validator-3"):
            world.start_validator(name, model, auto_open=False)
        chain = world.chain()
        wait_for("the dataset is accepted", lambda: chain.dataset(dataset).status == DatasetStatus.ACCEPTED, 20)
        for name in ("miner-1", "miner-2"):
            world.start_miner(name, model, auto_open=False)
        chain.tick(model.id)

        view = world.wait_round(model, 1, 60)
        assert view.phase == Phase.FINAL, world.told()
        assert view.head != view.base_head == model.genesis, world.told()
        assert chain.model(model.id).head == view.head
        state = load_state(world.store, view.head, tmp_path)
        kept = world.nodes["validator-1"].workers[0].parts.heads.state(model.id, view.head)  # type: ignore[attr-defined]
        assert np.array_equal(state.theta, kept.theta)
        assert all(s.weight_q16 > 0 for s in chain.submissions(model.id, 1)), world.told()
        scored = world.nodes["validator-1"].events("scored")[0]
        assert scored["heldout_after"] < scored["heldout_before"]

        chain.tick(model.id)
        world.wait_phase(model, 2, Phase.TRAIN, 20)
        world.nodes["miner-2"].stop()
        view = world.wait_round(model, 2, 60)
        assert view.phase == Phase.FINAL, world.told()
        assert [s.miner for s in chain.submissions(model.id, 2)] == [world.account("miner-1").address]
