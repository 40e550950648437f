"""The quality benchmark's arms: the same tokens for all, the real codec's bytes, rounds that add up."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from client.recipe import Compression
from devnet.bench.quality import ARMS, FULL, REDUCED, STRATA, Setup, cases, inner_of, table
from devnet.bench.quality_arms import Plan, centralised, network
from devnet.bench.quality_together import Together
from devnet.bench.quality_world import MINERS, SHAPES, World, scratch_model
from node.models import run
from node.models.nano import NanoShape
from node.training.batches import Windows
from node.training.inner import InnerSettings, run_inner

pytestmark = pytest.mark.slow


def _world(shape: NanoShape | None = None) -> World:
    rng = np.random.default_rng(3)
    tokens = rng.integers(97, 105, (70, 17))
    windows = Windows(tokens, np.full(len(tokens), 17))
    return World(scratch_model("micro", 1), windows.take(range(64)), windows.take(range(64, 70)), shape)


def test_world_when_dealt_then_the_miners_together_read_what_one_run_reads() -> None:
    world = _world()
    for done, steps in ((0, 2), (3, 1)):
        mine = [world.of_miner(miner, done, steps, 2).tokens.tobytes() for miner in range(MINERS)]
        together = world.of_all(done, steps, 2).tokens.reshape(steps, MINERS, 2, 17)
        assert mine == [together[:, miner].tobytes() for miner in range(MINERS)]


def test_together_when_compared_with_the_inner_loop_then_the_same_deltas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "mixed", nullcontext)  # float32, as the quick way computes
    world = _world()
    settings = InnerSettings(6, 2, 0.004, warmup=2, weight_decay=0.01, horizon=9)
    theta = world.model.get_vector()
    together, state, total = Together(world.model, SHAPES["micro"], 2), None, np.zeros_like(theta)
    for done in (0, 6):
        windows = [world.of_miner(miner, done, 6, 2) for miner in (1, 3)]
        moved = replace(settings, done=done)
        found = together.train(np.stack([theta + total, theta]), windows, moved)
        wanted = run_inner(world.model, windows[0], moved, state=state)
        assert np.linalg.norm(found[0] - wanted.delta) < 2e-3 * np.linalg.norm(wanted.delta)
        total, state = total + wanted.delta, wanted.state
        world.model.set_vector(theta + total)


def test_network_when_deltas_are_whole_and_rounds_are_one_step_then_as_plain_averaging() -> None:
    world = _world()
    inner = inner_of(REDUCED[0], 1, None)
    found = network(world, Plan(inner, 4))
    assert found.rounds == 4 and len(found.losses) == 4 and found.losses[-1] < found.losses[0]
    assert found.payload == 4 * MINERS * 4 * found.values


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("shape", [None, SHAPES["micro"]], ids=["turns", "together"])
def test_network_when_compressed_then_payloads_are_counted_and_it_learns(behind: bool, shape: NanoShape | None) -> None:
    plan = Plan(inner_of(REDUCED[0], 2, None), 8, STRATA.outer, Compression("topk2", 64, 4096), behind)
    found = network(_world(shape), plan)
    assert found.rounds == 4 and found.losses[-1] < found.losses[0]
    assert found.numbers()["share"] > 100
    assert np.isfinite(found.losses).all()


def test_centralised_when_run_then_it_learns_from_all_windows() -> None:
    found = centralised(_world(), Plan(inner_of(REDUCED[0], 4, None), 4))
    assert found.losses[-1] < found.losses[0] and found.payload == 0


@pytest.mark.parametrize("setup", FULL, ids=lambda setup: str(setup.name))
@pytest.mark.parametrize("each", [15, 30])
def test_early_rounds_when_counted_then_at_most_twice_the_rounds(setup: Setup, each: int) -> None:
    inner = inner_of(setup, each, STRATA)
    early = inner.early_rounds
    assert (early, inner.early_steps) == (setup.steps // each, each // 6)
    left = setup.steps - early * inner.early_steps
    assert left > 0 and early + -(-left // each) <= 2 * setup.steps / each


def test_table_when_made_then_losses_are_compared_with_the_one_run() -> None:
    names = [case.name for case in cases(REDUCED)]
    assert {f"micro/{arm.name}/H15" for arm in ARMS} < set(names)
    numbers = {"loss": 2.2, "rounds": 4.0, "payload": 1.0, "share": 210.0}
    rows = table({"micro/centralised": [{**numbers, "loss": 2.0}], "micro/strata/H15": [numbers]}).rows
    assert rows[1][2] == pytest.approx(1.1)
