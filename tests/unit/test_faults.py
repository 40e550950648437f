"""The fault benchmark's network: who dies leaves nothing in the round, and what is left is summed up as ever."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from devnet.bench.faults import ARMS, COURSES, Arm, Network, blocks_of, table

SIZE = 8192
Vector = NDArray[np.float32]


def network(arm: Arm, miners: int = 10) -> tuple[Network, list[tuple[int, int]]]:
    """A network whose deltas are drawn, and who trained in which round."""
    trained: list[tuple[int, int]] = []

    def train(head: Vector, miner: int, number: int) -> Vector:
        trained.append((miner, number))
        return np.random.default_rng((miner, number)).normal(0, 1e-3, SIZE).astype(np.float32)

    return Network(np.zeros(SIZE, np.float32), miners, arm, train, seed=1), trained


def test_round_when_nobody_dies_then_all_deltas_count() -> None:
    net, trained = network(Arm("none"))
    assert net.round(1) == 0
    assert len(trained) == 10 and net.lost == 0 and np.count_nonzero(net.theta) > SIZE // 64


def test_round_when_some_die_then_the_living_count_and_the_dead_keep_their_residual() -> None:
    net, trained = network(Arm("some", 0.3))
    net.round(1)
    before = [residual.copy() for residual in net.residuals]
    deaths = net.round(2)
    living = {miner for miner, number in trained if number == 2}
    assert len(living) == 10 - deaths and net.lost >= deaths > 0
    for miner in set(range(10)) - living:
        assert np.array_equal(net.residuals[miner], before[miner])


def test_round_when_the_disk_dies_too_then_the_residual_is_gone() -> None:
    net, trained = network(Arm("some", 0.3, loses_residual=True))
    net.round(1)
    net.round(2)
    dead = set(range(10)) - {miner for miner, number in trained if number == 2}
    assert dead and not any(net.residuals[miner].any() for miner in dead)


def test_round_when_all_die_then_the_head_stays() -> None:
    net, trained = network(Arm("all", 1.0))
    assert net.round(1) == 10 and trained == [] and not net.theta.any()


def test_deaths_when_the_residual_is_lost_or_kept_then_the_same_miners_die() -> None:
    kept, lost = network(Arm("a", 0.3)), network(Arm("b", 0.3, loses_residual=True))
    for number in range(1, 4):
        kept[0].round(number)
        lost[0].round(number)
    assert kept[1] == lost[1]


def test_blocks_when_all_commit_then_train_closes_early_else_the_windows_run_out() -> None:
    assert blocks_of(0, 15) == 15
    assert blocks_of(1, 15) == blocks_of(9, 15) == 15 + 4 + 2


def test_table_when_arms_are_known_then_ratios_are_to_the_one_in_which_nobody_dies() -> None:
    numbers = {"loss": 2.0, "blocks": 10.0, "tokens kept": 1.0, "steps wasted": 0.0, "loss0": 5.0}
    found = {ARMS[0].name: [numbers], ARMS[3].name: [{**numbers, "loss": 2.2, "blocks": 14.0}]}
    result = table(found, COURSES["reduced"], "reduced")
    assert [row[0] for row in result.rows] == [ARMS[0].name, ARMS[3].name]
    assert result.rows[1][2] == pytest.approx(1.1) and result.rows[1][5] == pytest.approx(1.4)
