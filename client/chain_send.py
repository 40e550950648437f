"""Transactions that are sent once: own nonces, signed and journaled before they leave, found again by their hash."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.chain_rpc import Rpc, RpcError
from client.errors import ChainError, ChainUnavailable, Reverted, TransactionLost, Unfunded
from client.journal import Journal, JournalEntry

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

log = logging.getLogger(__name__)

GWEI = 10**9
POLL_SECONDS = 0.25
REBROADCAST_SECONDS = 6.0
RECOVERY_SECONDS = 5.0  # how long what an earlier run sent may hold up the next transaction
MAX_SIGNATURES = 5  # how often a nonce may be taken by somebody else before we give up
# Gas of calls whose cost depends on the block that they land in (whoever acts last settles the round).
FIXED_GAS = {"tick": 12_000_000, "revealScores": 10_000_000, "revealHead": 10_000_000}
ROUNDS_GAS = 6_000_000
PLAIN_GAS = 30_000
TOKEN_GAS = 100_000


@dataclass(frozen=True)
class Call:
    """What a transaction shall do. ``to`` None creates a contract; ``gas`` None is estimated; ``value`` is wei."""

    to: str | None
    data: str
    purpose: str
    value: int = 0
    gas: int | None = None


class Sender:
    """Sends for one account. Several threads may share it."""

    def __init__(
        self,
        rpc: Rpc,
        account: LocalAccount,
        journal: Journal,
        chain_id: int,
        explain: Callable[[RpcError], Exception],
        receipt_seconds: float = 90.0,
    ) -> None:
        self.address: str = account.address
        self.receipt_seconds = receipt_seconds
        self._rpc = rpc
        self._account = account
        self._journal = journal
        self._chain_id = chain_id
        self._explain = explain
        self._lock = threading.RLock()
        self._in_flight: dict[int, str] = {}  # nonce -> hash
        self._genesis: str | None = None

    def send(self, call: Call) -> dict[str, Any]:
        """Sends and waits until it is mined; the raw receipt. Refusals raise before anything is sent where possible."""
        with self._lock, self._journal.lock():
            self._recover()
            gas = self._check(call)
            entry = self._submit(call, gas)
        return self._await(call, gas, entry)

    def send_all(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        """Sends calls with fixed gas, one behind the other, unchecked, then waits for all: for deployments, faucets."""
        with self._lock, self._journal.lock():
            self._recover()
            entries = []
            for call in calls:
                assert call.gas is not None, "send_all doesn't estimate"
                entries.append((call, call.gas, self._submit(call, call.gas)))
        return [self._await(*entry) for entry in entries]

    def next_nonce(self) -> int:
        """The nonce that the next transaction will have."""
        with self._lock:
            self._recover()
            return self._next_nonce()

    # ---- before sending

    def _check(self, call: Call) -> int:
        """Runs the call against the pending block; its gas limit. Raises what the contract would."""
        plain = self._plain(call)
        try:
            if call.gas is not None:
                self._rpc.request("eth_call", [plain, "pending"])
                return call.gas
            estimate = int(self._rpc.request("eth_estimateGas", [plain]), 16)
            return estimate * 13 // 10 + 20_000
        except RpcError as error:
            raise self._named(error, call) from error

    def _plain(self, call: Call) -> dict[str, str]:
        plain = {"from": self.address, "data": call.data, "value": hex(call.value)}
        if call.to is not None:
            plain["to"] = call.to
        return plain

    def _named(self, error: RpcError, call: Call) -> Exception:
        if _says(error, "insufficient funds", "insufficient balance", "doesn't have enough funds", "outoffunds"):
            return Unfunded(
                f"{self.address} can't pay for {call.purpose}: it lacks coins for gas. "
                f"Send it some (`strata wallet send {self.address} AMOUNT --coins` from a funded wallet)."
            )
        return self._explain(error)

    def _fees(self) -> dict[str, int]:
        """EIP-1559 where blocks have a base fee, a plain gas price elsewhere; wei per gas."""
        block = self._rpc.request("eth_getBlockByNumber", ["latest", False])
        base = block.get("baseFeePerGas")
        if base is None:
            return {"gasPrice": int(self._rpc.request("eth_gasPrice"), 16)}
        return {"maxPriorityFeePerGas": GWEI, "maxFeePerGas": 2 * int(base, 16) + GWEI}

    def _next_nonce(self) -> int:
        nonce = int(self._rpc.request("eth_getTransactionCount", [self.address, "pending"]), 16)
        while nonce in self._in_flight:
            nonce += 1
        return nonce

    # ---- sending

    def _submit(self, call: Call, gas: int) -> JournalEntry:
        """Signs, journals and sends; signs anew only when the nonce is used up by another transaction for good."""
        for _ in range(MAX_SIGNATURES):
            entry = self._sign(call, gas)
            self._journal.record(entry)
            if self._broadcast(entry, call):
                self._in_flight[entry.nonce] = entry.tx
                return entry
            self._journal.finish(entry.tx, "replaced")
        raise TransactionLost(
            f"{call.purpose}: the nonce of {self.address} was taken {MAX_SIGNATURES} times. "
            "Is the same wallet used elsewhere at the same time? Try again."
        )

    def _sign(self, call: Call, gas: int) -> JournalEntry:
        nonce = self._next_nonce()
        fields: dict[str, Any] = {
            "nonce": nonce,
            "gas": gas,
            "value": call.value,
            "data": call.data,
            "chainId": self._chain_id,
            **self._fees(),
        }
        if call.to is not None:
            fields["to"] = call.to
        signed = self._account.sign_transaction(fields)
        return JournalEntry(
            tx="0x" + bytes(signed.hash).hex(),
            raw="0x" + bytes(signed.raw_transaction).hex(),
            sender=self.address,
            nonce=nonce,
            chain_id=self._chain_id,
            chain=self._chain_genesis(),
            purpose=call.purpose,
            time=time.time(),
        )

    def _broadcast(self, entry: JournalEntry, call: Call) -> bool:
        """True when the chain has it (a lost reply is not an error); False when its nonce is used up by another."""
        try:
            self._rpc.request("eth_sendRawTransaction", [entry.raw])
            return True
        except RpcError as error:
            if self._known(entry.tx):
                return True
            if _says(error, "already known", "already imported", "known transaction"):
                return True
            if _says(error, "nonce too low", "correct nonce", "replacement transaction underpriced"):
                return False
            self._journal.finish(entry.tx, "refused")
            raise self._named(error, call) from error

    def _known(self, tx: str) -> bool:
        return self._rpc.request("eth_getTransactionByHash", [tx]) is not None

    # ---- after sending

    def _await(self, call: Call, gas: int, entry: JournalEntry) -> dict[str, Any]:
        """The receipt. Whatever happens, the nonce is no longer ours to skip: ``_recover`` settles what is pending."""
        try:
            return self._finish(call, gas, entry, self._receipt(call, entry))
        finally:
            self._in_flight.pop(entry.nonce, None)

    def _receipt(self, call: Call, entry: JournalEntry) -> dict[str, Any]:
        """Waits for the receipt, re-sending the same bytes now and then (a restarted node forgets its pool)."""
        deadline = time.monotonic() + self.receipt_seconds
        again = time.monotonic() + REBROADCAST_SECONDS
        while True:
            left = deadline - time.monotonic()
            receipt = self._rpc.request("eth_getTransactionReceipt", [entry.tx], patience=max(left, 0.1))
            if receipt is not None and receipt.get("blockNumber") is not None:
                return dict(receipt)
            if left <= 0:
                raise TransactionLost(
                    f"{call.purpose}: transaction {entry.tx} is in no block after {self.receipt_seconds:.0f} s. "
                    "It may still be mined: look it up before you try again."
                )
            if time.monotonic() >= again:
                again = time.monotonic() + REBROADCAST_SECONDS
                self._send_again(entry)
            self._rpc.pause(min(POLL_SECONDS, max(left, 0.01)))

    def _finish(self, call: Call, gas: int, entry: JournalEntry, receipt: dict[str, Any]) -> dict[str, Any]:
        succeeded = int(receipt["status"], 16) == 1
        self._journal.finish(entry.tx, "mined" if succeeded else "failed")
        if not succeeded:
            raise self._why(call, gas, receipt)
        return receipt

    def _why(self, call: Call, gas: int, receipt: dict[str, Any]) -> Exception:
        """Runs a mined, failed call again to learn its reason."""
        number = int(receipt["blockNumber"], 16)
        for block in (number, number - 1):
            try:
                self._rpc.request("eth_call", [self._plain(call), hex(block)])
            except RpcError as error:
                if error.is_revert:
                    return self._explain(error)
        used = int(receipt["gasUsed"], 16)
        reason = "it ran out of gas" if used >= gas * 98 // 100 else "its reason can't be had any more"
        return Reverted(
            "Unknown", (), f"{call.purpose} failed in block {number}: {reason} ({receipt['transactionHash']})."
        )

    def _send_again(self, entry: JournalEntry) -> bool:
        """True when the chain has it or may yet have it."""
        try:
            self._rpc.request("eth_sendRawTransaction", [entry.raw])
        except RpcError as error:
            if _says(error, "nonce too low", "correct nonce") and not self._known(entry.tx):
                return False
            log.debug("re-sent %s: %s", entry.tx, error)
        return True

    # ---- after a crash

    def _recover(self) -> None:
        """Settles what an earlier process signed and did not see mined. Cheap when there is nothing."""
        for entry in self._journal.pending():
            if entry.tx in self._in_flight.values() or entry.sender != self.address:
                continue
            if entry.chain_id != self._chain_id or entry.chain != self._chain_genesis():
                self._journal.finish(entry.tx, "another chain")
                continue
            self._settle(entry)

    def _settle(self, entry: JournalEntry) -> None:
        """Looks the entry up, sends it again where it is missing, and gives it some seconds to be mined."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        sent = False
        while True:
            receipt = self._rpc.request("eth_getTransactionReceipt", [entry.tx])
            if receipt is not None and receipt.get("blockNumber") is not None:
                self._journal.finish(entry.tx, "mined" if int(receipt["status"], 16) == 1 else "failed")
                return
            if not sent and not self._send_again(entry):
                self._journal.finish(entry.tx, "replaced")
                return
            sent = True
            if time.monotonic() > deadline:
                log.warning("sent again what an earlier run signed, not mined yet: %s (%s)", entry.purpose, entry.tx)
                return
            self._rpc.pause(POLL_SECONDS)

    def _chain_genesis(self) -> str:
        """The hash of block 0: tells a fresh devnet from the last one, which had the same chain id."""
        if self._genesis is None:
            block = self._rpc.request("eth_getBlockByNumber", ["0x0", False])
            if block is None:
                raise ChainUnavailable("The chain has no block 0.")
            self._genesis = str(block["hash"])
        return self._genesis


def _says(error: ChainError, *words: str) -> bool:
    text = str(error).lower()
    return any(word in text for word in words)
