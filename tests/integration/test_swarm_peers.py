"""The DHT, signed heartbeats, streams and teams, with real libp2p daemons on loopback."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from eth_account import Account as EthAccount

from client.errors import SwarmError
from node.identity import prepare_identity
from node.streaming import GenerateClient, GenerateServer, StreamLimits
from node.swarm import PeerInfo, Swarm, run_bootstrap
from node.swarm_records import heartbeat_key, make_record
from node.team import Team, TeamSettings

pytestmark = pytest.mark.slow
CHAIN = 31337
LIMITS = StreamLimits(idle_seconds=1.0, total_seconds=5.0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Swarm, Swarm]]:
    folder = tmp_path_factory.mktemp("swarm")
    with (
        Swarm.start([], folder / "a.key", chain_id=CHAIN, account=EthAccount.create()) as first,
        Swarm.start(first.maddrs, folder / "b.key", chain_id=CHAIN, account=EthAccount.create()) as second,
    ):
        yield first, second


def _forge(swarm: Swarm, role: str, subkey: str | None, value: Any) -> None:
    store = swarm._dht.store(heartbeat_key(CHAIN, role), value, time.time() + 300, subkey=subkey)
    swarm.run(store, 10.0)


def test_peers_when_a_node_announces_itself_then_others_see_it_by_role_and_model(pair: tuple[Swarm, Swarm]) -> None:
    first, second = pair
    assert first.heartbeat("server", [1, 2], {"price_wei": "5"})
    (found,) = second.peers("server", 2)
    assert (found.peer_id, found.models, found.extra) == (first.peer_id, (1, 2), {"price_wei": "5"})
    assert second.peers("server", 3) == [] and second.peers("validator") == []
    assert second.peers("server", confirm=lambda info: False) == []


def test_peers_when_strangers_store_rubbish_then_only_signed_records_come_back(pair: tuple[Swarm, Swarm]) -> None:
    first, second = pair
    account = EthAccount.create()
    assert first.heartbeat("miner", [1])
    record = make_record(account, CHAIN, "miner", [1], first.peer_id, [], int(time.time()))
    for subkey, value in [
        ("rubbish", "{}"),
        ("number", 7),
        ("big", "x" * 10_000),
        (EthAccount.create().address, record),  # signed by another than the subkey says
        (account.address, record.replace('"models":[1]', '"models":[9]')),
    ]:
        _forge(second, "miner", subkey, value)
    assert [peer.peer_id for peer in second.peers("miner")] == [first.peer_id]


def test_peers_when_a_stranger_wipes_the_dictionary_then_it_is_empty_not_an_error(pair: tuple[Swarm, Swarm]) -> None:
    first, second = pair
    assert first.heartbeat("validator", [1])
    _forge(second, "validator", None, "wiped")
    assert first.peers("validator") == []


def test_start_when_no_bootstrap_peer_answers_then_it_runs_alone_and_joins_later(tmp_path: Path) -> None:
    key = tmp_path / "boot.key"
    peer_id = prepare_identity(key)
    with Swarm.start([], tmp_path / "x.key", chain_id=CHAIN) as probe:
        port = int(probe.maddrs[0].split("/")[4])  # free again once the probe is closed
    bootstrap = [f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}"]
    with Swarm.start(bootstrap, tmp_path / "a.key", chain_id=CHAIN, account=EthAccount.create()) as early:
        early.heartbeat("server", [1])
        with Swarm.start([], key, chain_id=CHAIN, host_maddr=f"/ip4/127.0.0.1/tcp/{port}") as late:
            assert late.peer_id == peer_id
            deadline = time.monotonic() + 20
            while not late.peers("server") and time.monotonic() < deadline:
                early.heartbeat("server", [1])
                time.sleep(0.3)
            assert [peer.address for peer in late.peers("server")] != []


def test_bootstrap_when_told_to_stop_then_it_ends(tmp_path: Path) -> None:
    stop, told = threading.Event(), list[list[str]]()

    def ready(maddrs: list[str]) -> None:
        told.append(maddrs)
        stop.set()

    run_bootstrap(tmp_path / "p.key", chain_id=CHAIN, ready=ready, stop=stop)
    assert told[0][0].startswith("/ip4/127.0.0.1/tcp/")


def test_p2pd_when_its_node_is_killed_then_it_dies_too(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from node.swarm import Swarm\n"
        f"swarm = Swarm.start([], Path({str(tmp_path / 'k.key')!r}), chain_id=1)\n"
        "print(swarm.libp2p.p2p._child.pid, flush=True); time.sleep(60)\n"
    )
    node = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None
        child = psutil.Process(int(node.stdout.readline()))
        assert child.name() == "p2pd"
        os.kill(node.pid, signal.SIGKILL)
        node.wait(5)
        deadline = time.monotonic() + 5
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    finally:
        node.kill()
        node.wait(5)


async def _answer(request: dict[str, Any], remote: str) -> AsyncIterator[dict[str, Any]]:
    for number in range(request["count"]):
        yield {"type": "token", "text": str(number)}
        await asyncio.sleep(request.get("pause", 0))
    if request.get("ends", True):
        yield {"type": "end"}


def _peer(swarm: Swarm) -> PeerInfo:
    return PeerInfo("0x" + "00" * 20, "server", (1,), swarm.peer_id, tuple(swarm.maddrs), int(time.time()))


@pytest.fixture(scope="module")
def client(pair: tuple[Swarm, Swarm]) -> GenerateClient:
    GenerateServer(pair[0], _answer, LIMITS).start()
    return GenerateClient(pair[1], LIMITS)


async def _collect(client: GenerateClient, peer: PeerInfo, request: dict[str, Any]) -> list[dict[str, Any]]:
    return [frame async for frame in client.generate(peer, request)]


def test_generate_when_the_peer_streams_then_frames_come_in_order(
    pair: tuple[Swarm, Swarm], client: GenerateClient
) -> None:
    for peer in (_peer(pair[0]), replace(_peer(pair[0]), maddrs=())):  # also by peer id alone
        frames = asyncio.run(_collect(client, peer, {"count": 50}))
        assert [frame.get("text") for frame in frames[:-1]] == [str(n) for n in range(50)]
        assert frames[-1] == {"type": "end"}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"count": 1, "ends": False}, "went away"),
        ({"count": "x"}, "can't be asked"),
        ({"count": 3, "pause": 3}, "in time"),
        ({"count": 1, "big": "x" * 300_000}, "more than"),
    ],
)
def test_generate_when_it_goes_wrong_then_swarm_error_says_how(
    pair: tuple[Swarm, Swarm], client: GenerateClient, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(SwarmError, match=message):
        asyncio.run(_collect(client, _peer(pair[0]), request_))


def test_generate_when_the_peer_has_no_such_service_then_swarm_error(
    pair: tuple[Swarm, Swarm], client: GenerateClient
) -> None:
    with pytest.raises(SwarmError, match="can't be asked"):
        asyncio.run(_collect(client, _peer(pair[1]), {"count": 1}))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Team, Team]]:
    folder = tmp_path_factory.mktemp("team")
    allow = (prepare_identity(folder / "leader.key"), prepare_identity(folder / "member.key"))
    leader = TeamSettings("team", True, 2, allow=allow)
    member = TeamSettings("team", False, 2, peers=(f"file:{folder / 'team.json'}",))
    with (
        Team.start(leader, folder / "leader.key", announce=folder / "team.json") as first,
        Team.start(member, folder / "member.key") as second,
    ):
        yield first, second


def _both(team: tuple[Team, Team], key: str, own: Any, other: Any, seconds: float = 30.0) -> tuple[Any, Any]:
    results: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: results.update(m=team[1].average(other, key, seconds, 7)))
    thread.start()
    result = team[0].average(own, key, seconds, 5)
    thread.join(30)
    return result, results["m"]


def test_average_when_both_come_then_each_has_the_mean(team: tuple[Team, Team]) -> None:
    generator = np.random.default_rng(0)
    own, other = generator.standard_normal((2, 200_000)).astype(np.float32)
    for result in _both(team, "mean", own, other):
        assert (result.peers, result.tokens, result.reason) == (2, 12, "")
        np.testing.assert_allclose(result.vector, (own + other) / 2, atol=1e-6)


@pytest.mark.parametrize("bad", ["nan", "inf", "shape"])
def test_average_when_the_member_is_unusable_then_the_leader_keeps_its_own(team: tuple[Team, Team], bad: str) -> None:
    own = np.ones(1000, dtype=np.float32)
    other = own[:-1].copy() if bad == "shape" else np.where(np.arange(1000) == 3, np.float32(bad), own)
    result, _ = _both(team, f"bad-{bad}", own, other.astype(np.float32))
    assert result.peers == 1 and result.tokens == 5 and (result.vector == own).all() and result.reason


def test_average_when_the_member_stays_away_then_the_leader_goes_on_in_time(team: tuple[Team, Team]) -> None:
    own, start = np.ones(1000, dtype=np.float32), time.monotonic()
    result = team[0].average(own, "alone", 2.0, 5)
    assert result.peers == 1 and (result.vector == own).all() and time.monotonic() - start < 3.0


def test_intent_when_the_leader_says_it_then_the_member_knows(team: tuple[Team, Team]) -> None:
    team[0].announce_intent({"model": 2, "round": 5})
    assert team[1].intent() == {"model": 2, "round": 5}


def test_team_when_a_stranger_comes_then_it_is_refused(team: tuple[Team, Team], tmp_path: Path) -> None:
    stranger = TeamSettings("team", False, 2, peers=(team[0].maddrs[0],))
    with Team.start(stranger, tmp_path / "stranger.key") as uninvited, pytest.raises(SwarmError, match="refused"):
        uninvited.intent()


def test_average_when_the_member_dies_in_the_middle_then_the_leader_keeps_its_own(tmp_path: Path) -> None:
    leader = TeamSettings("t", True, 2)
    member = TeamSettings("t", False, 2, peers=(f"file:{tmp_path / 'team.json'}",))
    own = np.ones(4_000_000, dtype=np.float32)
    with (
        Team.start(leader, tmp_path / "l.key", announce=tmp_path / "team.json") as first,
        Team.start(member, tmp_path / "m.key") as second,
    ):
        thread = threading.Thread(target=second.average, args=(own * 3, "cut", 3.0, 7))
        thread.start()
        killer = threading.Timer(0.08, second._libp2p.kill)
        killer.start()
        start = time.monotonic()
        result = first.average(own, "cut", 3.0, 5)
        assert time.monotonic() - start < 6.0
        assert result.peers == 1 and (result.vector == own).all(), "a vector averaged in parts came through"
        thread.join(30)


def test_team_when_told_its_host_then_it_listens_there_alone(tmp_path: Path) -> None:
    settings = TeamSettings("team", True, 2, host="127.0.0.2")
    with Team.start(settings, tmp_path / "team.key") as team:
        assert [str(maddr).split("/")[2] for maddr in team.maddrs] == ["127.0.0.2"]
