"""Training in a team: the inner loop of two peers, in memory, on nano models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from client.errors import TeamOverError
from node.swarm import LoopThread
from node.team import Team
from node.teams.crew import Crew
from node.teams.fakes import FakeLinks, FakeNet
from node.teams.inner import DealtWindows, TeamInner
from node.teams.session import Deal
from node.teams.settings import Contact, TeamSettings
from node.training.batches import Windows, training_windows
from node.training.inner import InnerSettings, TrainResult, run_inner
from tests.unit.nano_world import documents, nano

pytestmark = pytest.mark.slow
SETTINGS = InnerSettings(6, 2, 0.01, 1)


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("fake-team")
    yield thread
    thread.close()


def make(loop: LoopThread, net: FakeNet, rank: int, **settings: Any) -> Team:
    given = TeamSettings("t", rank, 2, **{"wait_seconds": 20.0, "silent_seconds": 60.0, **settings})
    links = FakeLinks(net, f"p{rank}", loop)
    crew = Crew(links, given)
    loop.run(crew.open([Contact("p0", 0)]), 5.0)
    return Team(links, crew)


def windows() -> Windows:
    return training_windows(nano("law").tokenizer, [documents()], b"seed", "0x01", 32)


def inner(team: Team, stop: Callable[[], bool] = lambda: False, each: Callable[[int], None] = lambda step: None) -> Any:
    return TeamInner(team, "r", nano("law"), windows(), SETTINGS, None, lambda step: each(step.step), stop)


def both(leader: TeamInner, member: TeamInner) -> list[TrainResult]:
    """Both train; the leader begins when the member has, so that it waits for it."""
    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(member.run)
        deadline = time.monotonic() + 30
        while not leader.team.crew.early and not second.done() and time.monotonic() < deadline:
            time.sleep(0.01)
        return [pool.submit(leader.run).result(60), second.result(60)]


def alone_on(rows: list[int], steps: int = SETTINGS.steps) -> TrainResult:
    """A single peer with the batches of both: twice the batch, the same order."""
    return run_inner(nano("law"), windows().take(rows), InnerSettings(steps, 4, 0.01, 1))


def test_gradients_when_two_peers_share_then_it_is_one_peer_with_twice_the_batch(loop: LoopThread) -> None:
    net = FakeNet()
    teams = [make(loop, net, rank, mode="gradients") for rank in range(2)]
    results = both(*(inner(team) for team in teams))
    expected = alone_on([row % len(windows()) for row in range(24)])
    np.testing.assert_array_equal(results[0].delta, results[1].delta)
    apart = np.linalg.norm(results[0].delta - expected.delta) / np.linalg.norm(expected.delta)
    assert apart < 0.05, "AdamW makes much of the smallest gradients, so rounding shows"
    assert results[0].tokens + results[1].tokens == expected.tokens


def test_parameters_when_shared_at_the_last_step_then_both_have_the_same_delta(loop: LoopThread) -> None:
    net = FakeNet()
    peers = [inner(make(loop, net, rank, mode="parameters", every=3)) for rank in range(2)]
    results = both(*peers)
    np.testing.assert_allclose(results[0].delta, results[1].delta, atol=1e-6)
    assert [peer.averages for peer in peers] == [2, 2] and len(results[1].losses) == 6
    assert not results[0].stopped


@pytest.mark.parametrize("mode", ["parameters", "gradients"])
def test_newcomer_when_it_comes_in_mid_round_then_it_ends_where_the_leader_ends(loop: LoopThread, mode: str) -> None:
    net, settings = FakeNet(), {"mode": mode, "every": 2}
    first, second = make(loop, net, 0, **settings), make(loop, net, 1, **settings)
    came, waits = threading.Event(), threading.Event()

    def pause(step: int) -> None:
        if step == 3:
            came.set()
            assert waits.wait(20)

    leader, late = inner(first, each=pause), inner(second)
    with ThreadPoolExecutor(3) as pool:
        leading = pool.submit(leader.run)
        assert came.wait(30)
        coming = pool.submit(late.run)
        while not first.crew.rounds["r"].waiting:
            came.wait(0.01)
        waits.set()
        results = [leading.result(60), coming.result(60)]
    np.testing.assert_allclose(results[0].delta, results[1].delta, atol=2e-5)
    assert len(results[1].losses) == 2
    assert results[0].state and results[1].state and results[0].state.steps == results[1].state.steps == 6


def test_member_when_it_dies_in_mid_round_then_the_leader_finishes_with_its_own(loop: LoopThread) -> None:
    net, settings = FakeNet(), {"mode": "parameters", "every": 2, "wait_seconds": 0.4}
    first, second = make(loop, net, 0, **settings), make(loop, net, 1, **settings)
    stopped: list[int] = []

    def die(step: int) -> None:
        if step == 3:
            net.dead.add("p1")
            stopped.append(step)

    leader, member = inner(first), inner(second, stop=lambda: bool(stopped), each=die)
    results = both(leader, member)
    assert len(results[0].losses) == 6 and not results[0].stopped
    assert (leader.averages, leader.alone) == (1, 2)
    assert np.isfinite(results[0].delta).all()


def test_member_when_the_leader_has_finished_then_team_over_error(loop: LoopThread) -> None:
    net = FakeNet()
    first, second = (make(loop, net, rank, mode="parameters", every=3, wait_seconds=0.2) for rank in range(2))
    inner(first).run()
    with pytest.raises(TeamOverError, match="finished"):
        inner(second).run()


def test_delta_mode_when_two_peers_train_then_each_on_its_own_rows(loop: LoopThread) -> None:
    net = FakeNet()
    first, second = (make(loop, net, rank) for rank in range(2))
    result = inner(second).run()
    rows = [row % len(windows()) for row in range(24) if row // 2 % 2 == 1]
    expected = run_inner(nano("law"), windows().take(rows), SETTINGS)
    np.testing.assert_allclose(result.delta, expected.delta, atol=1e-6)
    assert first.crew.rounds == {}


def test_dealt_windows_when_filled_again_then_only_later_steps_change() -> None:
    source = Windows.of([[n, n + 1] for n in range(20)])
    dealt = DealtWindows(source, 4, 2)
    dealt.fill(0, Deal(0, 0, 2))
    assert dealt.windows.tokens[:, 0].tolist() == [0, 1, 4, 5, 8, 9, 12, 13]
    dealt.fill(2, Deal(18, 0, 1))
    assert dealt.windows.tokens[:, 0].tolist() == [0, 1, 4, 5, 18, 19, 0, 1]
