"""One average: who comes, what is found out, what is left when a peer goes away. And rounds trained together."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from client.errors import SwarmError
from node.team import Team, configured, read_roster
from node.teams.average import block_sums, encode_sums, is_mean
from node.teams.crew import Crew
from node.teams.round import TeamRound
from node.teams.session import Deal, Shared, Start, State, read_start
from node.teams.settings import TeamResult
from tests.unit.team_world import World, run, together

SIZE = 1000


def vector(value: float, size: int = SIZE) -> Any:
    return np.linspace(value, value + 1, size, dtype=np.float32)


async def mean_of(crews: list[Crew], vectors: list[Any], key: str = "k", seconds: float = 3.0) -> list[TeamResult]:
    async def one(crew: Crew, own: Any) -> TeamResult:
        try:
            return await Team(crew.links, crew)._average(own, key, seconds, 10)
        except SwarmError as error:
            return TeamResult(own, 1, 10, str(error))

    return await together(one(crew, own) for crew, own in zip(crews, vectors, strict=True))


def test_average_when_all_come_then_everybody_has_the_mean() -> None:
    async def main() -> None:
        crews = await World(3).open()
        for result in await mean_of(crews, [vector(0), vector(1), vector(5)]):
            assert (result.peers, result.tokens, result.reason) == (3, 30, "")
            np.testing.assert_allclose(result.vector, vector(2), atol=1e-6)

    run(main)


def test_average_when_one_dies_in_the_middle_then_the_others_average_once_more() -> None:
    async def main() -> None:
        world = World(3)
        crews = await world.open()
        world.net.dies_in_reduce.add("p2")
        first, second, _ = await mean_of(crews, [vector(0), vector(1), vector(50)])
        for result in (first, second):
            assert result.peers == 2, result.reason
            np.testing.assert_allclose(result.vector, vector(0.5), atol=1e-6)

    run(main)


def test_average_when_of_two_one_dies_in_the_middle_then_the_other_keeps_its_own() -> None:
    async def main() -> None:
        world = World(2)
        crews = await world.open()
        world.net.dies_in_reduce.add("p1")
        result, _ = await mean_of(crews, [vector(0), vector(1)])
        assert result.peers == 1 and "incomplete" in result.reason
        assert (result.vector == vector(0)).all(), "a vector averaged in parts came through"

    run(main)


@pytest.mark.parametrize("bad", [np.nan, np.inf, "short"])
def test_average_when_a_vector_does_not_fit_then_the_others_go_on_without_it(bad: Any) -> None:
    async def main() -> None:
        crews = await World(3).open()
        wrong = vector(9, SIZE - 1) if bad == "short" else np.where(np.arange(SIZE) == 3, np.float32(bad), vector(9))
        results = await mean_of(crews, [vector(0), vector(1), wrong.astype(np.float32)])
        assert [result.peers for result in results] == [2, 2, 1]

    run(main)


def test_average_when_a_peer_stays_away_then_the_next_one_does_not_wait_for_it() -> None:
    async def main() -> None:
        world = World(2)
        crews = await world.open()
        (result,) = await mean_of(crews[:1], [vector(0)], seconds=0.1)
        assert result.peers == 1 and (result.vector == vector(0)).all()
        world.net.dead.add("p1")
        await world.beat(4, 3.0)
        assert world.told("team_lost") == ["p0"]
        async with asyncio.timeout(1):
            (result,) = await mean_of(crews[:1], [vector(0)], "k2", seconds=1000.0)
        assert result.peers == 1

    run(main)


def test_average_when_the_leader_dies_then_it_begins_anew_under_the_stand_in() -> None:
    async def main() -> None:
        world = World(3, {"silent_seconds": 1.0})
        crews = await world.open()
        task = asyncio.ensure_future(mean_of(crews[1:], [vector(1), vector(2)], seconds=8.0))
        await asyncio.sleep(0)
        world.net.dead.add("p0")
        for _ in range(6):
            await world.beat(1, 0.5)
            await asyncio.sleep(0.02)
        for result in await task:
            assert result.peers == 2
            np.testing.assert_allclose(result.vector, vector(1.5), atol=1e-6)

    run(main)


def test_is_mean_when_a_part_is_not_averaged_then_false() -> None:
    generator = np.random.default_rng(1)
    vectors = generator.standard_normal((3, 50_000)).astype(np.float32)
    announced = [encode_sums(block_sums(one)) for one in vectors]
    mean = vectors.mean(axis=0)
    assert is_mean(mean, announced)
    partly = mean.copy()
    partly[100:300] = vectors[0, 100:300]
    assert not is_mean(partly, announced)
    assert not is_mean(np.full_like(mean, np.nan), announced)
    assert not is_mean(mean, [*announced[:2], "!!"]) and not is_mean(mean, [*announced[:2], ""])


# ---- rounds ----


def rounds(crews: list[Crew], key: str = "r") -> list[TeamRound]:
    return [TeamRound(crew, key, SIZE, 4) for crew in crews]


async def entered(parts: list[TeamRound]) -> list[Start]:
    starts = [await part.enter() for part in parts]
    assert all(starts)
    return [start for start in starts if start is not None]


async def shared(parts: list[TeamRound], vectors: list[Any], step: int = 2) -> list[Shared]:
    return await together(part.share(own, 10, step) for part, own in zip(parts, vectors, strict=True))


async def under_way() -> tuple[World, list[TeamRound]]:
    """Three peers that average parameters every two steps, and have done so once."""
    world = World(3, {"mode": "parameters", "every": 2})
    parts = rounds(await world.open())
    await entered(parts)
    await shared(parts, [vector(0), vector(1), vector(2)])
    return world, parts


def test_round_when_all_share_then_the_mean_and_different_rows_for_each() -> None:
    async def main() -> None:
        crews = await World(3, {"mode": "parameters", "every": 2}).open()
        parts = rounds(crews)
        starts = await entered(parts)
        assert [start.deal for start in starts] == [Deal(0, place, 3) for place in range(3)]
        found = await shared(parts, [vector(0), vector(1), vector(2)])
        assert [one.peers for one in found] == [3, 3, 3]
        np.testing.assert_allclose(found[2].vector, vector(1), atol=1e-6)
        assert [one.deal for one in found] == [Deal(24, place, 3) for place in range(3)]
        rows = [row for one in found for step in range(2) for row in one.deal.rows(step, 4)]
        assert sorted(rows) == list(range(24, 48)), "every row once"

    run(main)


def test_round_when_a_peer_dies_then_the_next_interval_is_dealt_among_the_rest() -> None:
    async def main() -> None:
        world, parts = await under_way()
        world.net.dead.add("p2")
        found = await shared(parts[:2], [vector(0), vector(1)], 4)
        assert [one.peers for one in found] == [2, 2]
        assert [one.deal.peers for one in found] == [2, 2]
        async with asyncio.timeout(0.4):  # the one that was missed is not waited for again
            found = await shared(parts[:2], [vector(0), vector(1)], 6)
        assert [one.deal for one in found] == [Deal(48 + 16, place, 2) for place in range(2)]

    run(main)


def test_round_when_a_peer_comes_late_then_it_goes_on_from_the_leaders_state() -> None:
    async def main() -> None:
        crews = await World(3, {"mode": "parameters", "every": 2}).open()
        parts = rounds(crews)
        await entered(parts[:2])
        await shared(parts[:2], [vector(0), vector(2)], 2)
        late = asyncio.ensure_future(parts[2].enter())
        while not crews[0].rounds["r"].waiting:
            await asyncio.sleep(0.01)
        found = await shared(parts[:2], [vector(0), vector(2)], 4)
        assert found[0].wanted and not found[1].wanted
        state = State(found[0].vector, vector(7), vector(8), 44)
        await parts[0].give(state, 4)
        start = await late
        assert start is not None and start.state is not None
        assert (start.index, start.step, start.state.steps) == (2, 4, 44)
        np.testing.assert_array_equal(start.state.parameters, found[0].vector)
        np.testing.assert_array_equal(start.state.second, vector(8))
        rows = [set(one.rows(step, 4)) for one in (found[0].deal, found[1].deal, start.deal) for step in range(2)]
        assert sum(map(len, rows)) == len(set().union(*rows)), "the newcomer trains on rows of its own"
        again = await shared(parts, [vector(0), vector(1), vector(2)], 6)
        assert [one.peers for one in again] == [3, 3, 3]
        assert min(again[0].deal.rows(0, 4)) > max(max(one) for one in rows)

    run(main)


def test_round_when_a_peer_missed_an_average_then_it_is_behind() -> None:
    async def main() -> None:
        world = World(2, {"mode": "parameters", "every": 2, "wait_seconds": 0.2})
        crews = await world.open()
        parts = rounds(crews)
        await entered(parts)
        (alone,) = await shared(parts[:1], [vector(0)])
        assert alone.peers == 1
        (late,) = await shared(parts[1:], [vector(1)])
        assert late.behind and (late.vector == vector(1)).all()

    run(main)


def test_gradients_when_one_average_was_missed_then_that_peer_must_fetch_the_leaders_parameters() -> None:
    async def main() -> None:
        world = World(3, {"mode": "gradients", "wait_seconds": 0.4})
        crews = await world.open()
        parts = rounds(crews)
        await entered(parts)
        found = await shared(parts, [vector(0), vector(1), vector(2)], 1)
        assert [one.behind for one in found] == [False] * 3
        world.net.dies_in_reduce.add("p2")
        found = await shared(parts, [vector(0), vector(1), vector(2)], 2)
        assert [one.peers for one in found[:2]] == [2, 2]
        world.net.dead.clear()
        world.net.dies_in_reduce.clear()
        found = await shared(parts, [vector(0), vector(1), vector(2)], 3)
        assert [one.peers for one in found] == [2, 2, 1]
        assert [one.behind for one in found] == [False, False, True]

    run(main)


def test_round_when_the_leader_has_finished_then_members_stop_too() -> None:
    async def main() -> None:
        crews = await World(2, {"mode": "parameters", "every": 2}).open()
        parts = rounds(crews)
        await entered(parts)
        waiting = asyncio.ensure_future(parts[1].share(vector(1), 10, 2))
        while not crews[0].meeting.values("r#0/join"):
            await asyncio.sleep(0.01)
        await parts[0].finish()
        found = await waiting
        assert found.over and found.peers == 1
        start = await TeamRound(crews[1], "r", SIZE, 4).enter()
        assert start is not None and start.over

    run(main)


def test_round_when_the_leader_dies_then_the_stand_in_leads_it_on() -> None:
    async def main() -> None:
        world, parts = await under_way()
        world.net.dead.add("p0")
        await world.beat(5, 3.0)
        assert world.leaders() == ["p1"]
        found = await shared(parts[1:], [vector(1), vector(2)], 4)
        assert [one.peers for one in found] == [2, 2]
        assert [one.deal.place for one in found] == [0, 1]

    run(main)


@pytest.mark.parametrize(
    "change", [{"index": -1}, {"step": None}, {"cursor": 2**60}, {"steps": "1"}, {"lineage": 4}, {"index": True}]
)
def test_read_start_when_malformed_then_swarm_error(change: dict[str, Any]) -> None:
    head = {"index": 1, "step": 2, "cursor": 3, "steps": 4, "lineage": ""}
    data = State(vector(0), vector(1), vector(2), 4).to_bytes()
    assert read_start(head, data).index == 1
    with pytest.raises(SwarmError):
        read_start({**head, **change}, data)


@pytest.mark.parametrize("data", [b"", b"12345", np.full(6, np.nan, dtype="<f4").tobytes()])
def test_state_when_it_is_not_three_finite_vectors_then_swarm_error(data: bytes) -> None:
    with pytest.raises(SwarmError):
        State.from_bytes(data, 1)


def test_configured_when_peers_are_named_then_the_first_is_the_leader(tmp_path: Any) -> None:
    leader, other = "/ip4/10.0.0.1/tcp/4/p2p/QmA", "/ip4/10.0.0.2/tcp/4/p2p/QmB"
    assert [(c.peer_id, c.rank, c.maddrs) for c in configured((leader, other), 0.0)] == [
        ("QmA", 0, (leader,)),
        ("QmB", 1, (other,)),
    ]
    path = tmp_path / "team.json"
    assert configured((f"file:{path}",), 0.0) == []
    path.write_text(f'{{"maddrs": ["{leader}"]}}')
    assert [c.peer_id for c in configured((f"file:{path}",), 0.0)] == ["QmA"]


@pytest.mark.parametrize("text", ["", "[]", '{"term": 1}', '{"term": 1, "contacts": [{"id": 1}]}', "[" * 2000])
def test_read_roster_when_damaged_then_nothing(tmp_path: Any, text: str) -> None:
    path = tmp_path / "roster.json"
    path.write_text(text)
    assert read_roster(path) == (0, [])
