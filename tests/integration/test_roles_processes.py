"""Roles as processes: kill -9 in the middle of a round loses nothing, SIGTERM ends them within five seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from client.kubo import KuboSettings, start_daemon
from client.storage import IpfsStore
from client.types import ZERO_DIGEST, DatasetStatus, Policy
from client.wallet import Wallets
from contracts.enums import Phase, Role
from node.status import NodeView, read_node
from tests.integration.roles_world import ROOT, World, add_models, add_text, small_world, wait_for

pytestmark = pytest.mark.slow

POLICY = Policy(80, 30, 60, 90, 60, 60, 30)
STOP_SECONDS = 5.0


@dataclass
class Process:
    """A node as a process of its own."""

    name: str
    command: list[str]
    state: Path
    log: Path
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command, cwd=ROOT, stdout=log, stderr=log, env=environment)

    def kill(self) -> None:
        """kill -9, then start again on the same state folder."""
        assert self.child is not None
        self.child.kill()
        assert self.child.wait(5) == -signal.SIGKILL

    def events(self, name: str) -> list[dict[str, Any]]:
        path = self.state / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def wait_event(self, name: str, seconds: float = 60) -> dict[str, Any]:
        try:
            return dict(wait_for(f"{self.name}: {name}", lambda: self.events(name), seconds)[0])
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-3000:]}") from None


@contextmanager
def processes(world: World, api: str, roles: dict[str, str]) -> Iterator[dict[str, Process]]:
    """All nodes, started, and stopped by their handles."""
    wallets = Wallets(world.folder / "wallets")
    (world.folder / "pass").write_text("pass word\n")
    world.network.save(world.folder / "network.json")
    found: dict[str, Process] = {}
    for name, role in roles.items():
        wallets.import_key(name, bytes(world.account(name).key), "pass word", light=True)
        config = world.folder / f"{name}.toml"
        config.write_text(
            f'name = "{name}"\nstate = "nodes/{name}"\nwallet = "wallets/{name}.json"\npassphrase_file = "pass"\n'
            f'network = "network.json"\nipfs = "{api}"\ncache_dir = "blobs"\nswarm = false\npoll_seconds = 0.2\n'
        )
        command = [sys.executable, "-m", "node.cli", role, "--config", str(config)]
        found[name] = Process(name, command, world.state(name), world.folder / f"{name}.log")
    try:
        for process in found.values():
            process.start()
        yield found
    finally:
        for process in found.values():
            if process.child is not None and process.child.poll() is None:
                process.child.kill()
                process.child.wait(5)


def told(process: Process, again: bool) -> str:
    """The page of metrics and the lines of telemetry, once the round's end is told. ``again``: it was killed before."""

    def ended() -> NodeView | None:
        view = read_node(process.state)
        final = view.figures["models"].get("global", {}).get("rounds_final")
        counted = again or view.figures["traffic"]["content"]["sent"] > 100  # that line may be older than the events
        return view if final and counted else None

    view = wait_for(f"{process.name} tells of the round's end", ended, 30)
    model, traffic = view.figures["models"]["global"], view.figures["traffic"]
    assert view.condition == "runs"
    assert again or (model["loss"] if "miner" in process.name else model["heldout_loss"]) > 0
    least = 0 if again else 1000  # who came again counts from then on
    assert min(traffic["chain"].values()) > least
    assert again or traffic["sockets"] is None or min(traffic["sockets"].values()) > least
    page = urllib.request.urlopen(view.status["metrics"], timeout=30).read().decode()
    assert 'strata_rounds_final_total{model="global"} 1.0' in page
    return str(page) + (process.state / "telemetry.jsonl").read_text()


def test_nodes_killed_in_mid_round_take_it_up_again_and_stop_in_time(tmp_path: Path) -> None:
    settings = KuboSettings(kind="embedded", log=tmp_path / "ipfs.log")
    with start_daemon(tmp_path / "ipfs", settings=settings) as daemon, small_world(tmp_path) as world:
        world.store = IpfsStore(daemon.api)
        model = add_models(world, POLICY)["global"]
        roles = {f"validator-{n}": "validator" for n in (1, 2, 3)} | {"miner-1": "miner", "miner-2": "miner"}
        for name, role in roles.items():
            world.stake(name, model, Role.VALIDATOR if role == "validator" else Role.MINER, 30)
        dataset = add_text(world, model)
        chain = world.chain()
        with processes(world, daemon.api, roles) as nodes:
            accepted = lambda: chain.dataset(dataset).status == DatasetStatus.ACCEPTED  # noqa: E731
            wait_for("the dataset is accepted", accepted, 60)
            chain.tick(model.id)

            nodes["miner-2"].wait_event("committed")
            nodes["miner-2"].kill()
            nodes["miner-2"].start()
            nodes["validator-3"].wait_event("scores_committed")
            nodes["validator-3"].kill()
            nodes["validator-3"].start()
            view = world.wait_round(model, 1, 120)

            assert view.phase == Phase.FINAL
            assert view.head != view.base_head
            assert len(chain.submissions(model.id, 1)) == 2
            again = world.account("validator-3").address  # asked of the chain: the kill may come between act and event
            assert chain.scores_of(model.id, 1, again).report != ZERO_DIGEST
            assert chain.head_of(model.id, 1, again) == view.head
            pages = {name: told(process, name in ("miner-2", "validator-3")) for name, process in nodes.items()}
            began = time.monotonic()
            for process in nodes.values():
                assert process.child is not None
                process.child.send_signal(signal.SIGTERM)
            codes = [process.child.wait(STOP_SECONDS + 2) for process in nodes.values() if process.child]
            assert time.monotonic() - began < STOP_SECONDS + 1
            assert codes == [0] * len(nodes)
            secret = world.account("miner-1").key.hex().removeprefix("0x")
            for name in nodes:
                text = (world.folder / f"{name}.log").read_text()
                assert "pass word" not in text + pages[name]
                assert secret not in text + pages[name]
