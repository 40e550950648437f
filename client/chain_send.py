"""Transactions that happen once: checked, journaled before they leave, waited for until they are deep enough."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from client.chain_fees import default_confirmations, is_local
from client.chain_outbox import CHEAP, POOR, Call, Outbox, Pace, says
from client.chain_rpc import Rpc, RpcError
from client.errors import ChainError, ChainUnavailable, Reverted, TransactionLost, Unfunded
from client.journal import Journal, JournalEntry

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

__all__ = [
    "FIXED_GAS",
    "PLAIN_GAS",
    "ROUNDS_GAS",
    "TOKEN_GAS",
    "Call",
    "Pace",
    "Sender",
    "default_confirmations",
    "is_local",
]

log = logging.getLogger(__name__)

MAX_SIGNATURES = 5  # how often a nonce may be used by somebody else before we give up
MAX_RAISES = 12  # how often the first broadcast may be called too cheap
# Gas of calls whose cost depends on the block that they land in, from the figures of a full round (`contracts/gas`) and
# a third more: the first in SCORE copies the seats (4.6 M), a tick turns a page (11 M), a vote may decide a ballot.
FIXED_GAS = {"tick": 15_000_000, "commitScores": 7_000_000, "revealScores": 9_000_000, "commitHead": 7_000_000}
FIXED_GAS |= {"revealHead": 7_000_000, "challenge": 4_000_000, "proveConflict": 4_000_000, "vote": 600_000}
ROUNDS_GAS = 6_000_000
PLAIN_GAS = 30_000
TOKEN_GAS = 100_000

Told = Callable[[int, dict[str, Any]], None]


class Sender:
    """Sends for one account. Several threads may share it."""

    def __init__(
        self,
        rpc: Rpc,
        account: LocalAccount,
        journal: Journal,
        chain_id: int,
        explain: Callable[[RpcError], Exception],
        pace: Pace | None = None,
    ) -> None:
        self.address: str = account.address
        self.pace = pace or Pace(confirmations=default_confirmations(chain_id))
        self.outbox = Outbox(rpc, account, journal, chain_id, self.pace)
        self._rpc = rpc
        self._journal = journal
        self._explain = explain
        self._lock = threading.RLock()

    def send(self, call: Call) -> dict[str, Any]:
        """Sends and waits until it is mined; the raw receipt. Refusals raise before anything is sent where possible.

        Where an earlier run was cut off after signing exactly this call, that transaction is taken up instead.
        """
        (receipt,) = self._send([call], check=True)
        return receipt

    def send_all(self, calls: Sequence[Call], told: Told | None = None) -> list[dict[str, Any]]:
        """Sends calls with fixed gas, one behind the other, unchecked, then waits for all: for deployments, faucets.

        ``told(index, receipt)`` hears of each as it is mined.
        """
        assert all(call.gas is not None for call in calls), "send_all doesn't estimate"
        return self._send(calls, check=False, told=told)

    def settle(self) -> None:
        """Waits until nothing that an earlier run signed is on its way any more."""
        with self._lock, self._journal.lock():
            orphans = self.outbox.recover()
        try:
            for orphan in list(orphans):
                entry, receipt = self._wait(orphan, orphans)
                if receipt is None:
                    self._journal.finish(entry.tx, "replaced")
                else:
                    self.outbox.mined(entry, receipt, reported=False)
        finally:
            self._release(orphans)

    def next_nonce(self) -> int:
        """The nonce that the next transaction will have."""
        with self._lock, self._journal.lock():
            self._release(self.outbox.recover())
            return self.outbox.next_nonce()

    # ---- sending

    def _send(self, calls: Sequence[Call], check: bool, told: Told | None = None) -> list[dict[str, Any]]:
        orphans: list[JournalEntry] = []
        entries: list[tuple[Call, JournalEntry]] = []
        try:
            with self._lock, self._journal.lock():
                orphans = self.outbox.recover()
                for call in calls:
                    found = self.outbox.adopt(call, orphans, {entry.tx for _, entry in entries})
                    entries.append((call, found or self._open(call, self._gas(call, check))))
            orphans = [orphan for orphan in orphans if orphan.tx not in {entry.tx for _, entry in entries}]
            receipts = []
            for index, (call, entry) in enumerate(entries):
                receipts.append(self._await(call, entry, orphans))
                if told is not None:
                    told(index, receipts[-1])
            self._settle(orphans)
            return receipts
        finally:
            self._release([*orphans, *(entry for _, entry in entries)])

    def _release(self, entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            self._journal.release(entry.tx)

    def _settle(self, orphans: Sequence[JournalEntry]) -> None:
        """Notes what became of an earlier run's transactions; the next call would, where the chain is silent now."""
        with suppress(ChainError):
            for orphan in orphans:
                self.outbox.settle(orphan)

    def _gas(self, call: Call, check: bool) -> int:
        """Runs the call against the pending block; its gas limit. Raises what the contract would."""
        if not check:
            assert call.gas is not None
            return call.gas
        plain = self._plain(call)
        try:
            if call.gas is not None:
                self._rpc.request("eth_call", [plain, "pending"])
                return call.gas
            estimate = int(self._rpc.request("eth_estimateGas", [plain]), 16)
            return estimate * 13 // 10 + 20_000
        except RpcError as error:
            raise self._named(error, call.purpose) from error

    def _open(self, call: Call, gas: int) -> JournalEntry:
        """Signs, journals and sends for a nonce of its own."""
        entry = self.outbox.write(call, gas, self.outbox.next_nonce())
        for _ in range(MAX_RAISES):
            try:
                self.outbox.broadcast(entry)  # what is in doubt is looked up while we wait
                return entry
            except RpcError as error:
                raised = self.outbox.dearer(entry) if says(error, *CHEAP) else None
                if raised is None:
                    self._journal.finish(entry.tx, "refused")
                    self._journal.release(entry.tx)
                    raise self._named(error, call.purpose) from error
                entry = raised
            except BaseException:
                self._journal.release(entry.tx)
                raise
        return entry

    # ---- after sending

    def _await(self, call: Call, entry: JournalEntry, orphans: list[JournalEntry]) -> dict[str, Any]:
        """The receipt, once deep enough. Signs anew only when the nonce was used by a transaction that isn't ours."""
        for _ in range(MAX_SIGNATURES):
            try:
                entry, receipt = self._wait(entry, orphans)
                if receipt is not None and receipt["transactionHash"] not in entry.voids:
                    return self._finish(call, entry, receipt)
                self._journal.finish(entry.tx, "replaced")
            finally:
                self._journal.release(entry.tx)
                self.outbox.doubts.pop(entry.tx, None)
            with self._lock, self._journal.lock():
                entry = self._open(call, entry.gas)
        raise TransactionLost(
            f"{call.purpose}: the nonce of {self.address} was taken {MAX_SIGNATURES} times. "
            "Is the same wallet used elsewhere at the same time? Try again."
        )

    def _wait(self, entry: JournalEntry, orphans: list[JournalEntry]) -> tuple[JournalEntry, dict[str, Any] | None]:
        """The receipt of what is mined for the entry and deep enough; None where another took its nonce."""
        deadline = time.monotonic() + self.pace.receipt_seconds
        seen: str | None = None
        tended = 0.0 if entry.tx in self.outbox.doubts else time.monotonic()
        while True:
            receipt = self.outbox.look(entry, max(deadline - time.monotonic(), 0.1))
            if receipt is not None:
                if not self.pace.confirmations or self.outbox.depth(receipt) >= self.pace.confirmations:
                    return entry, receipt
                if receipt["transactionHash"] != seen:
                    seen, deadline = receipt["transactionHash"], time.monotonic() + self.pace.receipt_seconds
            elif seen is not None:  # a reorganisation took it out
                log.warning("%s (%s) fell out of the chain: it is sent again", entry.purpose, seen)
                seen, tended = None, 0.0
            if time.monotonic() >= deadline:
                raise self._lost(entry, receipt)
            if receipt is None and time.monotonic() >= tended + self.pace.again_seconds:
                with suppress(ChainUnavailable):  # it may come back before the deadline
                    if self.outbox.used_by_another(entry):
                        return entry, None
                    orphans[:] = [self.outbox.tend(o) if o.nonce < entry.nonce else o for o in orphans]
                    entry = self.outbox.tend(entry)
                tended = time.monotonic()
            self._rpc.pause(min(self.pace.poll_seconds, max(deadline - time.monotonic(), 0.01)))

    def _lost(self, entry: JournalEntry, receipt: dict[str, Any] | None) -> TransactionLost:
        doubt = self.outbox.doubts.get(entry.tx, "")
        said = f" (the end point said: {doubt})" if doubt and receipt is None else ""
        where = "in no block" if receipt is None else f"not yet {self.pace.confirmations} blocks deep"
        return TransactionLost(
            f"{entry.purpose}: transaction {entry.hashes[-1]} is {where} after {self.pace.receipt_seconds:.0f} s{said}."
            " It may still be mined. Giving the same command again takes it up and does not send a second one."
        )

    def _finish(self, call: Call, entry: JournalEntry, receipt: dict[str, Any]) -> dict[str, Any]:
        if not self.outbox.mined(entry, receipt, reported=True):
            raise self._why(call, entry.gas, receipt)
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

    # ---- words

    def _plain(self, call: Call) -> dict[str, str]:
        plain = {"from": self.address, "data": call.data, "value": hex(call.value)}
        if call.to is not None:
            plain["to"] = call.to
        return plain

    def _named(self, error: RpcError, purpose: str) -> Exception:
        if says(error, *POOR):
            return Unfunded(
                f"{self.address} can't pay for {purpose}: it lacks coins for gas. "
                f"Send it some (`strata wallet send {self.address} AMOUNT --coins` from a funded wallet)."
            )
        return self._explain(error)
