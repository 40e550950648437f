"""A development chain for the tests: Anvil or Ganache on a free port, raw JSON-RPC, unlocked accounts."""

from __future__ import annotations

import ctypes
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.contracts.abi import Log, decode_error, decode_log, decode_values, encode_args, selector_of

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ROOT = Path(__file__).resolve().parents[2]
ANVIL = ROOT / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
GANACHE = ROOT / "node_modules" / "ganache" / "dist" / "node" / "cli.js"
START_SECONDS = 60.0
GAS_LIMIT = 15_000_000
ACCOUNTS = 24
MNEMONIC = "test test test test test test test test test test test junk"


class Reverted(Exception):
    """A contract refused; ``name`` and ``arguments`` are of its error."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{name}{arguments}")
        self.name = name
        self.arguments = arguments


class RpcFailed(Exception):
    """The node answered with an error that is no revert."""


@dataclass(frozen=True)
class Done:
    """A mined transaction."""

    block: int
    gas: int
    logs: list[Log]

    def log(self, name: str) -> Log:
        """The only event of that name."""
        found = self.all(name)
        assert len(found) == 1, f"{len(found)} {name} in {[log.name for log in self.logs]}"
        return found[0]

    def all(self, name: str) -> list[Log]:
        """Every event of that name."""
        return [log for log in self.logs if log.name == name]


class Evm:
    """Talks to one chain over one kept connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.abis: list[list[dict[str, Any]]] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._id = 0
        self.accounts: list[str] = []
        self.is_anvil = False

    @property
    def url(self) -> str:
        """Of its JSON-RPC end point."""
        return f"http://127.0.0.1:{self.port}"

    def account(self, index: int) -> LocalAccount:
        """One of its accounts, with the key."""
        from eth_account import Account

        Account.enable_unaudited_hdwallet_features()
        account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
        return account

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC request; raises :class:`Reverted` or :class:`RpcFailed`."""
        self._id += 1
        body = json.dumps({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        if "error" in answer:
            raise self._problem(answer["error"])
        return answer["result"]

    def _problem(self, error: dict[str, Any]) -> Exception:
        data = error.get("data")
        if isinstance(data, dict):  # Ganache
            data = data.get("result") if isinstance(data.get("result"), str) else data.get("data")
        if isinstance(data, str) and data.startswith("0x") and len(data) >= 10:
            return Reverted(*decode_error(self.abis, bytes.fromhex(data[2:])))
        return RpcFailed(error.get("message", str(error)))

    @property
    def block(self) -> int:
        """The latest block's number."""
        return int(self.rpc("eth_blockNumber"), 16)

    def mine(self, blocks: int = 1) -> None:
        """Mine empty blocks."""
        if blocks > 0 and self.is_anvil:
            self.rpc("anvil_mine", hex(blocks))
        elif blocks > 0:
            self.rpc("evm_mine", {"blocks": blocks})

    def mine_to(self, block: int) -> None:
        """Mine until the latest block is ``block``."""
        self.mine(block - self.block)

    def learn(self, abi: list[dict[str, Any]]) -> None:
        """From now on it can read the events and errors of a contract."""
        if abi not in self.abis:
            self.abis.append(abi)

    def pass_seconds(self, seconds: int) -> None:
        """Let the chain's clock go on, and mine a block that shows it."""
        self.rpc("evm_increaseTime", seconds)
        self.mine()

    def transact(self, sender: str, to: str | None, data: bytes, gas: int = GAS_LIMIT) -> dict[str, Any]:
        """Send, wait for the receipt; raises :class:`Reverted`."""
        request = {"from": sender, "data": "0x" + data.hex(), "gas": hex(gas)}
        if to is not None:
            request["to"] = to
        digest = self.rpc("eth_sendTransaction", request)
        receipt = self.wait(digest)
        if int(receipt["status"], 16) != 1:
            self.rpc("eth_call", request, receipt["blockNumber"])  # again, in the same block, for the reason
            raise Reverted("unknown", ())
        return receipt

    def wait(self, digest: str) -> dict[str, Any]:
        """The receipt."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            receipt: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", digest)
            if receipt is not None:
                return receipt
            time.sleep(0.01)
        raise TimeoutError(f"transaction {digest} was not mined")

    def done(self, receipt: dict[str, Any]) -> Done:
        """What a receipt says."""
        return Done(int(receipt["blockNumber"], 16), int(receipt["gasUsed"], 16), self.decoded(receipt["logs"]))

    def decoded(self, raw_logs: list[dict[str, Any]]) -> list[Log]:
        """The logs of which we know the event."""
        logs = []
        for raw in raw_logs:
            topics = [bytes.fromhex(topic[2:]) for topic in raw["topics"]]
            found = (decode_log(abi, topics, bytes.fromhex(raw["data"][2:]), raw["address"]) for abi in self.abis)
            log = next((log for log in found if log is not None), None)
            if log is not None:
                logs.append(log)
        return logs

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Contract:
    """A deployed contract: ``c.send("stake", 1, 2, 3, sender=a)``, ``c.call("get", 1)``."""

    def __init__(self, evm: Evm, name: str, abi: list[dict[str, Any]], address: str) -> None:
        self.evm, self.name, self.abi, self.address = evm, name, abi, address
        self._functions = {entry["name"]: entry for entry in abi if entry["type"] == "function"}

    def data(self, function: str, args: tuple[Any, ...]) -> bytes:
        """A call's data."""
        entry = self._functions[function]
        return selector_of(entry) + encode_args(entry, args)

    def call(self, function: str, *args: Any, sender: str | None = None, block: int | str = "latest") -> Any:
        """The function's value, without a transaction; raises :class:`Reverted`."""
        request = {"to": self.address, "data": "0x" + self.data(function, args).hex()}
        if sender is not None:
            request["from"] = sender
        where = hex(block) if isinstance(block, int) else block
        answer = self.evm.rpc("eth_call", request, where)
        values = decode_values(self._functions[function]["outputs"], bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else tuple(values)

    def send(self, function: str, *args: Any, sender: str, gas: int = GAS_LIMIT) -> Done:
        """A transaction, mined; raises :class:`Reverted`."""
        return self.evm.done(self.evm.transact(sender, self.address, self.data(function, args), gas))


def at(evm: Evm, name: str, abi: list[dict[str, Any]], address: str) -> Contract:
    """A contract that is there already."""
    evm.learn(abi)
    return Contract(evm, name, abi, address)


def deploy(evm: Evm, artifact: dict[str, Any], args: tuple[Any, ...], sender: str) -> Contract:
    """Deploy from an artifact's ``abi`` and ``bytecode``."""
    abi = artifact["abi"]
    evm.learn(abi)
    constructor: dict[str, Any] = next((entry for entry in abi if entry["type"] == "constructor"), {"inputs": []})
    code = bytes.fromhex(artifact["bytecode"][2:]) + encode_args(constructor, args)
    receipt = evm.transact(sender, None, code)
    return at(evm, artifact.get("contractName", "?"), abi, receipt["contractAddress"])


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def anvil_command(port: int, hardfork: str = "shanghai") -> list[str]:
    """Anvil that mines with every transaction."""
    return [
        *(str(ANVIL), "--silent", "--host", "127.0.0.1", "--port", str(port), "--accounts", str(ACCOUNTS)),
        *("--mnemonic", MNEMONIC, "--hardfork", hardfork, "--gas-limit", "30000000"),
    ]


def ganache_command(port: int) -> list[str]:
    """Ganache that mines with every transaction."""
    return [
        *("node", str(GANACHE), "--server.host", "127.0.0.1", "--server.port", str(port), "--logging.quiet"),
        *("--wallet.totalAccounts", str(ACCOUNTS), "--chain.hardfork", "shanghai", "--chain.chainId", "31337"),
        *("--miner.blockGasLimit", "30000000", "--miner.callGasLimit", "0x3b9aca00", "--wallet.mnemonic", MNEMONIC),
    ]


@contextmanager
def running(command: list[str], port: int) -> Iterator[Evm]:
    """A chain's process, ready; stopped at the end, whatever happens."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent
    )
    evm = Evm(port)
    try:
        _wait_ready(process, evm)
        evm.accounts = [str(account).lower() for account in evm.rpc("eth_accounts")]
        yield evm
    finally:
        evm.close()
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)


def _die_with_parent() -> None:
    """A killed test run leaves no chain behind (Linux: PR_SET_PDEATHSIG is 1)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _wait_ready(process: subprocess.Popen[bytes], evm: Evm) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the chain ended with {process.returncode}")
        try:
            evm.is_anvil = str(evm.rpc("web3_clientVersion")).lower().startswith("anvil")
            return
        except (OSError, http.client.HTTPException):
            evm.close()
            time.sleep(0.05)
    raise TimeoutError("the chain did not start")
