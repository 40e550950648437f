"""The local chain: Anvil or Ganache, one block a second, as a process of the run."""

from __future__ import annotations

import json
import platform
import shutil
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.errors import ChainUnavailable, ToolMissing
from devnet.layout import HOST, REPOSITORY, Run
from devnet.processes import NodeFailed, ProcessSpec, Supervisor, tail

NAME = "chain"
GAS_LIMIT = 30_000_000
READY_SECONDS = 40.0
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class LocalChain:
    """A running local chain."""

    rpc: str
    kind: str  # "anvil" or "ganache"
    chain_id: int

    def call(self, method: str, *parameters: Any, timeout_seconds: float = 10.0) -> Any:
        """One JSON-RPC call; for what only a local chain has, such as setting a balance."""
        return rpc_call(self.rpc, method, *parameters, timeout_seconds=timeout_seconds)

    def give_coins(self, address: str, wei: int) -> None:
        """Set an account's balance of the chain's own coin (for gas)."""
        method = "anvil_setBalance" if self.kind == "anvil" else "evm_setAccountBalance"
        self.call(method, address, hex(wei))

    def block(self) -> int:
        """The last block's number."""
        return int(self.call("eth_blockNumber"), 16)


def rpc_call(rpc: str, method: str, *parameters: Any, timeout_seconds: float = 10.0) -> Any:
    """One JSON-RPC call over HTTP. Raises ChainUnavailable when there is no (good) answer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}).encode()
    request = urllib.request.Request(rpc, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
            answer = json.load(response)
    except (OSError, ValueError) as error:
        raise ChainUnavailable(f"the chain at {rpc} does not answer: {error}") from None
    if "error" in answer:
        raise ChainUnavailable(f"the chain at {rpc} refused {method}: {answer['error'].get('message')}")
    return answer["result"]


def start_chain(supervisor: Supervisor, run: Run, port: int, ganache: bool) -> LocalChain:
    """Start Anvil (or Ganache) and wait until it answers."""
    chain = LocalChain(f"http://{HOST}:{port}", "ganache" if ganache else "anvil", chain_id_of(run))
    command = ganache_command(run, port) if ganache else anvil_command(run, port)
    supervisor.start(ProcessSpec(NAME, command, run.log(NAME), folder=run.path / "chain"))
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            chain.block()
            return chain
        except ChainUnavailable:
            if not supervisor.alive(NAME):
                last = "\n".join(tail(run.log(NAME), 8))
                raise NodeFailed(f"{chain.kind} ended while starting; log {run.log(NAME)}:\n{last}") from None
            if time.monotonic() > deadline:
                raise NodeFailed(
                    f"{chain.kind} gave no answer in {READY_SECONDS:.0f} s; log: {run.log(NAME)}"
                ) from None
            time.sleep(0.1)


def chain_id_of(run: Run) -> int:
    """A chain number of the run's own: what was signed for one run is worth nothing in the next."""
    return 31_337_000 + zlib.crc32(run.path.name.encode()) % 1_000_000


def anvil_command(run: Run, port: int) -> tuple[str, ...]:
    """Anvil's command line; its state is saved at a clean stop."""
    return (
        *(str(find_anvil()), "--host", HOST, "--port", str(port), "--chain-id", str(chain_id_of(run))),
        *("--block-time", "1", "--hardfork", "shanghai", "--gas-limit", str(GAS_LIMIT), "--accounts", "1"),
        *("--state", str(run.path / "chain" / "anvil.json")),
    )


def ganache_command(run: Run, port: int) -> tuple[str, ...]:
    """Ganache's command line."""
    node = shutil.which("node")
    if node is None:
        raise ToolMissing("node is missing; Ganache runs on it. Get Node 20: 'apt install nodejs' or 'nvm install 20'")
    script = REPOSITORY / "node_modules" / "ganache" / "dist" / "node" / "cli.js"
    if not script.is_file():
        raise ToolMissing(f"Ganache is missing ({script}); 'make setup' fetches it")
    return (
        *(
            node,
            str(script),
            "--server.host",
            HOST,
            "--server.port",
            str(port),
            "--chain.chainId",
            str(chain_id_of(run)),
        ),
        *("--chain.hardfork", "shanghai", "--miner.blockTime", "1", "--miner.blockGasLimit", str(GAS_LIMIT)),
        *("--wallet.totalAccounts", "1", "--database.dbPath", str(run.path / "chain" / "ganache")),
    )


def find_anvil() -> Path:
    """The Anvil binary that npm brought, or the one on PATH."""
    machine = f"{platform.system().lower()}-{MACHINES.get(platform.machine().lower(), platform.machine())}"
    packaged = REPOSITORY / "node_modules" / "@foundry-rs" / f"anvil-{machine}" / "bin" / "anvil"
    if packaged.is_file():
        return packaged
    installed = shutil.which("anvil")
    if installed is None:
        raise ToolMissing(
            f"Anvil is missing: neither {packaged} nor 'anvil' on PATH. 'make setup' fetches it with npm; "
            "without it, 'make demo GANACHE=1' runs on Ganache"
        )
    return Path(installed)
