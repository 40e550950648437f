"""The DHT, signed heartbeats and streams, with real libp2p daemons on loopback."""

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

import psutil
import pytest
from eth_account import Account as EthAccount

from client.errors import SwarmError
from node.identity import prepare_identity
from node.streaming import GenerateClient, GenerateServer, StreamLimits
from node.swarm import PeerInfo, Swarm, run_bootstrap
from node.swarm_records import heartbeat_key, make_record

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
