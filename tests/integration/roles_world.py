"""A small real network for tests of the roles: Anvil, contracts, the nano models, miners and validators as threads."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from client.chain import Chain
from client.data import submit_text
from client.deploy import deploy
from client.settings import Network
from client.storage import MemoryStore
from client.types import ModelInfo, Policy, RoundInfo
from contracts.enums import Phase, Role
from devnet.models import build_models
from node.config import NodeConfig
from node.heads import Heads
from node.judging import Bench
from node.learner import Learner, Models
from node.miner import Miner, MinerParts
from node.residual import Residuals
from node.runtime import Runtime, open_runtime
from node.texts import Texts
from node.validator import Validator, ValidatorParts
from node.vault import Vault
from node.votes import Votes
from node.worker import Worker

ROOT = Path(__file__).resolve().parents[2]
ANVIL = ROOT / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
TOKEN = 10**18
POLICY = Policy(40, 6, 12, 120, 40, 80, 40)
SHORT = Policy(120, 30, 60, 24, 20, 40, 20)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(what: str, ready: Callable[[], Any], seconds: float) -> Any:
    """Poll until ``ready`` gives something true; fails with ``what`` after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


@contextmanager
def anvil(block_seconds: float = 0.5) -> Iterator[tuple[str, int]]:
    """A chain of its own: its RPC URL and its process."""
    port = free_port()
    command = [str(ANVIL), "--port", str(port), "--block-time", str(block_seconds), "--silent", "--accounts", "1"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for("anvil answers", lambda: _answers(url), 20)
        yield url, child.pid
    finally:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(5)


def rpc(url: str, method: str, *params: Any) -> Any:
    """One JSON-RPC call."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["result"]


def _answers(url: str) -> bool:
    try:
        return rpc(url, "eth_chainId") is not None
    except OSError:
        return False


@dataclass
class Node:
    """A role as a thread."""

    runtime: Runtime
    workers: list[Worker]
    threads: list[threading.Thread]

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What it wrote."""
        path = self.runtime.config.state / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if name in (None, event["event"])]

    def stop(self) -> None:
        """Stop the thread."""
        self.runtime.stop.set()
        for thread in self.threads:
            thread.join(15)
            assert not thread.is_alive(), f"{self.runtime.config.name} did not stop"


@dataclass
class World:
    """The network, and everybody in it."""

    folder: Path
    network: Network
    treasury: LocalAccount
    chain_pid: int
    store: MemoryStore = field(default_factory=MemoryStore)
    nodes: dict[str, Node] = field(default_factory=dict)
    accounts: dict[str, LocalAccount] = field(default_factory=dict)

    def chain(self, name: str = "treasury") -> Chain:
        """The chain as ``name`` sees it."""
        account = self.treasury if name == "treasury" else self.account(name)
        return Chain.connect(self.network, account, patience=5.0)

    def account(self, name: str) -> LocalAccount:
        """An account with coins for gas and tokens to stake."""
        if name not in self.accounts:
            account = Account.create()
            rpc(self.network.rpc, "anvil_setBalance", account.address, hex(100 * TOKEN))
            self.chain().transfer(account.address, 1000 * TOKEN)
            self.accounts[name] = account
        return self.accounts[name]

    def stake(self, name: str, model: ModelInfo, role: Role, tokens: int) -> None:
        """Place a stake."""
        self.chain(name).stake(model.id, role, tokens * TOKEN)

    def state(self, name: str) -> Path:
        """A node's state folder."""
        return self.folder / "nodes" / name

    def runtime(self, name: str, role: str, **settings: Any) -> Runtime:
        """The runtime of a node."""
        values: dict[str, Any] = {"poll_seconds": 0.1, "swarm": False, "margin_blocks": 2, "fetch_seconds": 5.0}
        return open_runtime(NodeConfig(name=name, state=self.state(name), **{**values, **settings}), role)

    def start_miner(self, name: str, *models: ModelInfo, store: Any = None, **settings: Any) -> Node:
        """A miner, a thread a model."""
        runtime, store = self.runtime(name, "miner", **settings), store or self.store
        held = Models(store, self.folder / "cache", 10.0)
        heads = Heads(store, runtime.config.state / "scratch", 10.0)
        parts = MinerParts(
            chain=self.chain(name),
            store=store,
            texts=Texts(store, 10.0),
            trainer=Learner(held, heads, store, runtime.config.state / "scratch"),
            vault=Vault(runtime.config.state / "journal"),
            residuals=Residuals(runtime.config.state / "residuals"),
        )
        return self._start(name, runtime, [Miner(runtime, parts, model) for model in models])

    def start_validator(self, name: str, *models: ModelInfo, store: Any = None, **settings: Any) -> Node:
        """A validator, a thread a model."""
        runtime, store = self.runtime(name, "validator", **settings), store or self.store
        heads = Heads(store, runtime.config.state / "scratch", 10.0)
        bench = Bench(Models(store, self.folder / "cache", 10.0), heads)
        chain, texts = self.chain(name), Texts(store, 10.0)
        vault = Vault(runtime.config.state / "journal")

        def parts() -> ValidatorParts:
            return ValidatorParts(chain, store, texts, bench, heads, vault, Votes(chain, texts))

        return self._start(name, runtime, [Validator(runtime, parts(), model) for model in models])

    def _start(self, name: str, runtime: Runtime, workers: Sequence[Worker]) -> Node:
        threads = [threading.Thread(target=w.run, name=f"{name} {w.model.name}", daemon=True) for w in workers]
        node = self.nodes[name] = Node(runtime, list(workers), threads)
        for thread in threads:
            thread.start()
        return node

    def stop(self) -> None:
        """Stop every node."""
        for node in self.nodes.values():
            node.runtime.stop.set()
        for node in self.nodes.values():
            node.stop()

    def wait_round(self, model: ModelInfo, number: int, seconds: float) -> RoundInfo:
        """Wait until a round is settled; says what everybody did when it isn't."""
        chain = self.chain()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if chain.current(model.id) >= number:
                view = chain.round(model.id, number)
                if view.settled:
                    return view
            time.sleep(0.2)
        now = chain.round(model.id, chain.current(model.id)) if chain.current(model.id) else None
        raise AssertionError(f"round {number} of {model.name} is not settled after {seconds} s: {now}\n{self.told()}")

    def wait_phase(self, model: ModelInfo, number: int, phase: Phase, seconds: float) -> RoundInfo:
        """Wait until a round is in a phase or past it."""

        def ready() -> RoundInfo | None:
            chain = self.chain()
            view = chain.round(model.id, number) if chain.current(model.id) >= number else None
            return view if view is not None and view.phase >= phase else None

        found: RoundInfo = wait_for(f"round {number} in {phase.name}", ready, seconds)
        return found

    def told(self) -> str:
        """The last events of all nodes."""
        return "\n".join(f"{name}: {event}" for name, node in self.nodes.items() for event in node.events()[-6:])


@contextmanager
def small_world(folder: Path, block_seconds: float = 0.5) -> Iterator[World]:
    """A deployed network with nobody in it yet."""
    with anvil(block_seconds) as (url, pid):
        treasury = Account.create()
        rpc(url, "anvil_setBalance", treasury.address, hex(1000 * TOKEN))
        world = World(folder, deploy(url, treasury), treasury, pid)
        try:
            yield world
        finally:
            world.stop()


def add_models(world: World, policy: Policy = POLICY, names: tuple[str, ...] = ("global",)) -> dict[str, ModelInfo]:
    """Register the nano tree's models of these names (a parent before its child)."""
    chain, found = world.chain(), dict[str, ModelInfo]()
    for plan in build_models("nano", world.store, world.folder / "cache"):
        if plan.name in names:
            parent = found[plan.parent].id if plan.parent else 0
            found[plan.name] = chain.register_model(parent, plan.level, plan.name, plan.field, plan.digest, policy)
    return found


def add_text(world: World, model: ModelInfo, first: int = 0, topics: int = 24, owner: str = "alice") -> int:
    """Submit some topics of Python's own language reference; the dataset's id."""
    from pydoc_data.topics import topics as reference

    path = world.folder / f"{model.name}-{first}.txt"
    chosen = [reference[name] for name in sorted(reference)[first : first + topics]]
    path.write_text("\n\n\n".join(chosen))
    return submit_text(world.chain(owner), world.store, path, model.name, "PSF-2.0").dataset_id
