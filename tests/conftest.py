"""Fixtures that need a chain: real Anvil on a free port, contracts deployed once, each test on a state of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from client.errors import ChainUnavailable
from client.settings import Network

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from client.chain import Chain

ROOT = Path(__file__).resolve().parents[1]
ANVIL = ROOT / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
GANACHE = ROOT / "node_modules/ganache/dist/node/cli.js"
MNEMONIC = "test test test test test test test test test test test junk"
START_SECONDS = 30.0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ChainProcess:
    """A development chain as a child process; it is stopped by its handle."""

    def __init__(self, log: Path, block_time: int | None = None, ganache: bool = False) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.block_time = block_time
        self.ganache = ganache
        self.process: subprocess.Popen[bytes] | None = None
        self.state: Path | None = None

    def _command(self) -> list[str]:
        pace = [] if self.block_time is None else ["--block-time", str(self.block_time)]
        if self.ganache:
            pace = [] if self.block_time is None else ["--miner.blockTime", str(self.block_time)]
            plain = ["--server.host", "127.0.0.1", "--server.port", str(self.port), "--chain.chainId", "31337"]
            return ["node", str(GANACHE), *plain, "--wallet.mnemonic", MNEMONIC, "--chain.hardfork", "shanghai", *pace]
        anvil = str(ANVIL) if ANVIL.exists() else shutil.which("anvil")
        if anvil is None:
            pytest.skip("there is no Anvil here: npm ci")
        kept = [] if self.state is None else ["--state", str(self.state)]
        plain = ["--host", "127.0.0.1", "--port", str(self.port), "--silent", "--mnemonic", MNEMONIC]
        return [anvil, *plain, *pace, *kept]

    def start(self) -> ChainProcess:
        """Starts it and waits until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.rpc("eth_chainId")
                return self
            except ChainUnavailable:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self, kill: bool = False) -> None:
        """Terminates it (it saves its state), then kills what does not listen."""
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process = None

    def rpc(self, method: str, *params: Any) -> Any:
        """One raw request, tried once."""
        from client.chain_rpc import Rpc

        return Rpc(self.url, timeout=10.0, patience=0.0).request(method, params)

    def mine(self, blocks: int = 1) -> None:
        """Makes empty blocks at once."""
        if self.ganache:
            for _ in range(blocks):
                self.rpc("evm_mine")
        else:
            self.rpc("anvil_mine", hex(blocks))

    def account(self, index: int) -> LocalAccount:
        """One of its ten rich accounts."""
        from eth_account import Account

        Account.enable_unaudited_hdwallet_features()
        account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
        return account


@pytest.fixture(scope="session")
def start_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ChainProcess]]:
    """Starts development chains; all are stopped at the end."""
    folder = tmp_path_factory.mktemp("chains")
    started: list[ChainProcess] = []

    def start(**options: Any) -> ChainProcess:
        process = ChainProcess(folder / f"chain-{len(started)}.log", **options)
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.stop()


@pytest.fixture(scope="session")
def anvil(start_chain: Callable[..., ChainProcess]) -> ChainProcess:
    """One Anvil for the session that mines each transaction at once."""
    return start_chain()


@pytest.fixture(scope="session")
def deployed(anvil: ChainProcess) -> Network:
    """The contracts, deployed once; the deployer (account 0) holds the treasury."""
    from client.deploy import DeploySettings, deploy

    settings = DeploySettings.local(name="test", unbonding_blocks=200, governance_delay_seconds=0)
    return deploy(anvil.url, anvil.account(0), settings)


@pytest.fixture
def network(anvil: ChainProcess, deployed: Network) -> Iterator[Network]:
    """The deployed network; whatever the test does to it is undone afterwards."""
    snapshot = anvil.rpc("evm_snapshot")
    yield deployed
    anvil.rpc("evm_revert", snapshot)


@pytest.fixture
def connect(anvil: ChainProcess, network: Network) -> Callable[..., Chain]:
    """``connect(3)``: the chain as account 3 sees it; ``connect()`` only reads."""
    from client.chain import Chain

    def make(index: int | None = None, **options: Any) -> Chain:
        account = None if index is None else anvil.account(index)
        return Chain.connect(network, account, **{"patience": 2.0, "receipt_seconds": 20.0, **options})

    return make
