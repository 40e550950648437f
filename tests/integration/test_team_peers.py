"""Teams with real libp2p daemons and Hivemind's all-reduce on loopback; hostile peers among them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.cid import digest_bytes
from client.errors import SwarmError
from node.identity import prepare_identity
from node.swarm import LoopThread
from node.swarm_p2p import Libp2p, create_libp2p
from node.team import Team, TeamSettings
from node.teams.handover import Handover
from node.teams.links import BLOBS, CALL, FETCH_TRIES, PARTS
from node.teams.round import TeamRound
from node.teams.session import Shared, State
from node.teams.settings import TeamResult
from node.vault import DeltaRecord

pytestmark = pytest.mark.slow
SIZE = 200_000


def wait_for(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def start(folder: Path, rank: int, size: int, **changes: Any) -> Team:
    """A peer of the team in ``folder``; the others know it by a file."""
    allow = tuple(prepare_identity(folder / str(n) / "team.key") for n in range(size))
    peers = tuple(f"file:{folder / f'{n}.json'}" for n in range(min(2, rank)))
    settings = TeamSettings("team", rank, size, peers, allow, **{"silent_seconds": 1.5, "wait_seconds": 8.0, **changes})
    return Team.start(settings, folder / str(rank) / "team.key", announce=folder / f"{rank}.json")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Team, Team]]:
    folder = tmp_path_factory.mktemp("team")
    with start(folder, 0, 2, mode="parameters") as first, start(folder, 1, 2, mode="parameters") as second:
        yield first, second


def averaged(peers: list[Team], key: str, vectors: list[Any], seconds: float = 8.0) -> list[TeamResult]:
    with ThreadPoolExecutor(len(peers)) as pool:
        parts = [pool.submit(p.average, v, key, seconds, 5) for p, v in zip(peers, vectors, strict=True)]
        return [part.result(40) for part in parts]


def normal(count: int, size: int = SIZE) -> Any:
    return np.random.default_rng(0).standard_normal((count, size)).astype(np.float32)


def test_average_when_both_come_then_each_has_the_mean(team: tuple[Team, Team]) -> None:
    vectors = normal(2)
    for result in averaged(list(team), "mean", list(vectors)):
        assert (result.peers, result.tokens, result.reason) == (2, 10, "")
        np.testing.assert_allclose(result.vector, vectors.mean(axis=0), atol=1e-6)


def test_average_when_a_member_sends_nan_then_the_leader_keeps_its_own(team: tuple[Team, Team]) -> None:
    own, other = normal(2)
    other[7] = np.nan
    leader, member = averaged(list(team), "nan", [own, other])
    assert leader.peers == member.peers == 1
    assert (leader.vector == own).all() and "1 with a vector that fits" in leader.reason


def test_average_when_the_member_stays_away_then_the_leader_goes_on_in_time(team: tuple[Team, Team]) -> None:
    own, began = normal(1)[0], time.monotonic()
    result = team[0].average(own, "alone", 1.0, 5)
    assert result.peers == 1 and (result.vector == own).all() and time.monotonic() - began < 5.0


def _record(payload: bytes) -> DeltaRecord:
    return DeltaRecord(1, 2, b"s" * 32, digest_bytes(payload), b"x" * 32, 0, b"b" * 32, (1, 4), 1000)


def test_hand_over_when_the_leader_has_sealed_then_the_stand_in_holds_all_of_it(team: tuple[Team, Team]) -> None:
    held: list[Handover] = []
    team[1].keep_with(held.append)
    payload, residual = bytes(range(256)) * 5000, normal(1)[0]
    assert team[0].hand_over(Handover(_record(payload), payload), 8.0)
    assert team[0].hand_over(Handover(_record(payload), residual=residual), 8.0)
    assert held[0] == Handover(_record(payload), payload)
    assert held[1].payload is None and held[1].residual is not None and (held[1].residual == residual).all()
    assert not team[1].hand_over(Handover(_record(b""), b""), 2.0), "only the leader hands over"


def test_hand_over_when_the_payload_is_another_then_the_stand_in_does_not_take_it(team: tuple[Team, Team]) -> None:
    held: list[Handover] = []
    team[1].keep_with(held.append)
    assert not team[0].hand_over(Handover(_record(b"one"), b"another"), 4.0)
    assert held == []


def test_fetch_when_a_stream_ends_in_the_middle_then_it_is_asked_for_again(
    team: tuple[Team, Team], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = bytes(range(256)) * 5000
    team[0].lend_with(lambda model, number: lent if (model, number) == (1, 2) else None)
    links: Any = team[1].crew.links
    real, asked = links.libp2p.p2p.iterate_protobuf_handler, []

    async def cut_first(*arguments: Any) -> Any:
        asked.append(arguments)
        frames = await real(*arguments)
        return frames if len(asked) > cuts else _first_of(frames)

    monkeypatch.setattr(links.libp2p.p2p, "iterate_protobuf_handler", cut_first)
    leader = team[1].crew.lead.leader
    assert leader is not None
    cuts = 1
    assert links.run(links.fetch(leader, "sealed/1/2", len(lent), 8.0), 20.0) == lent and len(asked) == 2
    cuts = 100
    with pytest.raises(SwarmError, match="cut off after 0 bytes of 1280000"):
        links.run(links.fetch(leader, "sealed/1/2", len(lent), 8.0), 20.0)
    assert len(asked) == 2 + FETCH_TRIES


async def _first_of(frames: Any) -> Any:
    async for frame in frames:
        yield frame
        return


# ---- a round, and deaths ----


def _round(peer: Team) -> TeamRound:
    return peer.round("r", SIZE, 4)


def shared(parts: list[tuple[Team, TeamRound]], vectors: list[Any], step: int) -> list[Shared]:
    with ThreadPoolExecutor(len(parts)) as pool:
        asked = [pool.submit(p.share, r, v, 5, step) for (p, r), v in zip(parts, vectors, strict=True)]
        return [one.result(40) for one in asked]


def test_round_when_peers_come_and_go_then_the_rest_goes_on_and_the_stand_in_leads(tmp_path: Path) -> None:
    vectors = list(normal(3))
    settings = {"mode": "parameters", "every": 2}
    first, second = start(tmp_path, 0, 3, **settings), start(tmp_path, 1, 3, **settings)
    parts = [(first, _round(first)), (second, _round(second))]
    try:
        assert all(peer.enter(part) is not None for peer, part in parts)
        found = shared(parts, vectors[:2], 2)
        assert [one.peers for one in found] == [2, 2]
        with start(tmp_path, 2, 3, **settings) as third, ThreadPoolExecutor(1) as pool:
            newcomer = _round(third)
            entering = pool.submit(third.enter, newcomer)  # in mid-round
            wait_for(lambda: bool(first.crew.rounds["r"].waiting))
            found = shared(parts, vectors[:2], 4)
            first.give(parts[0][1], State(found[0].vector, vectors[1], np.abs(vectors[2]), 34), 4)
            begun = entering.result(20)
            assert begun is not None and begun.state is not None and (begun.step, begun.state.steps) == (4, 34)
            assert (begun.state.parameters == found[0].vector).all()
            found = shared([*parts, (third, newcomer)], vectors, 6)
            assert [one.peers for one in found] == [3, 3, 3]
            np.testing.assert_allclose(found[2].vector, np.mean(vectors, axis=0), atol=1e-6)
        found = shared(parts, vectors[:2], 8)  # the third has left
        assert [one.peers for one in found] == [2, 2]
        first.close()  # the leader
        wait_for(lambda: second.leading)
        (alone,) = shared(parts[1:], vectors[1:2], 10)
        assert alone.peers == 1 and (alone.vector == vectors[1]).all()
        with start(tmp_path, 0, 3, **settings) as again:
            assert not again.leading, "the stand-in leads the round that is on"
            assert [result.peers for result in averaged([second, again], "end", vectors[:2])] == [2, 2]
    finally:
        first.close()
        second.close()


def test_average_when_a_peer_dies_in_the_middle_then_the_other_keeps_its_own(tmp_path: Path) -> None:
    own = np.ones(4_000_000, dtype=np.float32)
    with start(tmp_path, 0, 2) as first, start(tmp_path, 1, 2) as second:
        thread = threading.Thread(target=second.average, args=(own * 3, "cut", 4.0, 7))
        thread.start()
        links: Any = second.crew.links
        killer = threading.Timer(0.08, links.libp2p.kill)
        killer.start()
        result = first.average(own, "cut", 4.0, 5)
        assert result.peers in (1, 2)
        expected = own if result.peers == 1 else own * 2
        assert (result.vector == expected).all(), "a vector averaged in parts came through"
        thread.join(30)


# ---- strangers ----


@pytest.fixture
def stranger(team: tuple[Team, Team], tmp_path: Path) -> Iterator[Callable[[Any], Any]]:
    """Runs hostile coroutines from a peer that nobody has invited, connected to the leader."""
    thread = LoopThread("stranger")
    libp2p: Libp2p = thread.run(create_libp2p([team[0].maddrs[0]], tmp_path / "stranger.key"), 20.0)
    try:
        yield lambda make: thread.run(make(libp2p), 15.0)
    finally:
        thread.run(libp2p.shutdown(), 5.0)
        libp2p.kill()
        thread.close()


def test_stranger_when_it_calls_then_it_gets_nothing(team: tuple[Team, Team], stranger: Callable[[Any], Any]) -> None:
    async def call(libp2p: Libp2p) -> bytes:
        from hivemind.p2p import PeerID
        from hivemind.proto import runtime_pb2

        request = runtime_pb2.ExpertRequest(metadata=b'{"team":"team","op":"beat"}')
        peer, deadline = PeerID.from_base58(team[0].peer_id), time.monotonic() + 10.0
        while True:
            await libp2p.connect(team[0].peer_id, team[0].maddrs)
            try:
                answer = await libp2p.p2p.call_protobuf_handler(peer, CALL, request, runtime_pb2.ExpertResponse)
                return bytes(answer.metadata)
            except Exception:  # it was hung up on in the middle of the call
                if time.monotonic() > deadline:
                    raise

    assert stranger(call) == b'{"refused": "not of this team"}'


@pytest.mark.parametrize("name", [BLOBS, f"{PARTS}::Parts.rpc_aggregate_part"])
def test_stranger_when_it_opens_a_stream_then_it_is_closed_before_a_byte_is_read(
    team: tuple[Team, Team], stranger: Callable[[Any], Any], name: str
) -> None:
    async def send(libp2p: Libp2p) -> bytes:
        from hivemind.p2p import PeerID

        _, reader, writer = await libp2p.p2p._client.stream_open(PeerID.from_base58(team[0].peer_id), (name,))
        try:
            writer.write(b"\x00" + (2**62).to_bytes(8, "big") + b"x" * 100_000)
            async with asyncio.timeout(5):
                return bytes(await reader.read())
        except ConnectionError:
            return b""
        finally:
            writer.close()

    assert stranger(send) == b""
    vectors = normal(2, 1000)
    assert [result.peers for result in averaged(list(team), f"after {name}", list(vectors))] == [2, 2]


def test_stranger_when_it_stays_connected_then_it_is_hung_up(
    team: tuple[Team, Team], stranger: Callable[[Any], Any]
) -> None:
    async def peers(libp2p: Libp2p) -> int:
        return len(await libp2p.p2p.list_peers())

    wait_for(lambda: stranger(peers) == 0)


def test_member_when_its_message_is_too_long_then_its_stream_ends_and_the_team_goes_on(team: tuple[Team, Team]) -> None:
    links: Any = team[1].crew.links

    async def send() -> bytes:
        from hivemind.p2p import PeerID

        p2p = links.libp2p.p2p
        _, reader, writer = await p2p._client.stream_open(PeerID.from_base58(team[0].peer_id), (BLOBS,))
        writer.write(b"\x00" + (2**62).to_bytes(8, "big") + b"x" * 100_000)
        async with asyncio.timeout(5):
            return bytes(await reader.read())

    with contextlib.suppress(ConnectionError):
        assert links.run(send(), 10.0) == b""
    vectors = normal(2, 1000)
    assert [result.peers for result in averaged(list(team), "after", list(vectors))] == [2, 2]


def test_peer_when_it_is_of_another_team_then_it_is_refused(team: tuple[Team, Team], tmp_path: Path) -> None:
    leader = team[0].crew.me
    links: Any = team[1].crew.links
    before = links._settings
    try:
        links._settings = TeamSettings("another", allow=before.allow)
        with pytest.raises(SwarmError, match="not of this team"):
            links.run(links.ask(leader, {"op": "beat"}, 3.0), 8.0)
    finally:
        links._settings = before


def test_team_when_told_its_host_then_it_listens_there_alone(tmp_path: Path) -> None:
    with Team.start(TeamSettings("team", 0, 2, host="127.0.0.2"), tmp_path / "team.key") as peer:
        assert [maddr.split("/")[2] for maddr in peer.maddrs] == ["127.0.0.2"]
