"""A payer, somebody to pay, and a faulty proxy between the payer and a real chain: for the sender's tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.chain_rpc import Rpc
from client.chain_send import Call, Pace, Sender
from client.errors import StrataError
from client.journal import FileJournal, Journal
from tests.conftest import ChainProcess
from tests.faulty_proxy import FaultyProxy

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

COIN = 10**18
SEND = "eth_sendRawTransaction"
COUNT = "eth_getTransactionCount"
QUICK = {"receipt_seconds": 20.0, "poll_seconds": 0.05, "again_seconds": 0.3, "raise_seconds": 0.5}


class Scene:
    """A rich account, a proxy between it and the chain, and somebody to pay."""

    def __init__(self, node: ChainProcess, proxy: FaultyProxy, folder: Path) -> None:
        from eth_account import Account

        self.node, self.proxy, self.folder = node, proxy, folder
        self.account: LocalAccount = Account.create()
        self.to: str = Account.create().address
        self.give(100 * COIN)

    def give(self, wei: int) -> None:
        """Sets what the payer has."""
        self.node.rpc("anvil_setBalance", self.account.address, hex(wei))

    def sender(self, journal: Journal | None = None, **pace: Any) -> Sender:
        """A sender whose requests go through the proxy."""
        rpc = Rpc(self.proxy.url, timeout=1.0, patience=5.0)
        kept = FileJournal(self.folder) if journal is None else journal
        return Sender(rpc, self.account, kept, 31337, lambda error: error, Pace(**{**QUICK, **pace}))

    def pay(self, coins: int = 1, to: str | None = None) -> Call:
        """A payment."""
        return Call(to or self.to, "0x", f"pay {coins}", coins * COIN, 21_000)

    def paid(self, to: str | None = None) -> float:
        """Coins that have arrived."""
        return int(self.node.rpc("eth_getBalance", to or self.to, "latest"), 16) / COIN

    def nonce(self) -> int:
        """Transactions of the payer that are mined."""
        return int(self.node.rpc(COUNT, self.account.address, "latest"), 16)

    def foreign(self, nonce: int, to: str, gwei: int = 100) -> str:
        """Another program pays one coin with the same wallet."""
        fields: dict[str, Any] = {"nonce": nonce, "gas": 21_000, "value": COIN, "to": to, "chainId": 31337}
        fields |= {"maxFeePerGas": gwei * 10**9, "maxPriorityFeePerGas": gwei * 10**9}
        raw = bytes(self.account.sign_transaction(fields).raw_transaction)
        return str(self.node.rpc(SEND, "0x" + raw.hex()))


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Starts it; the list holds its result or what it raised."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except (StrataError, AssertionError) as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
