"""Signed transactions on their way: journaled, sent, looked up, sent again, made dearer, found again after a crash.

A nonce is one journal entry. All that is ever signed for it does the same, or nothing (a *void* only uses the nonce
up), so whichever is mined counts. A call gets another nonce only when its own was used by somebody else's transaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from client.chain_fees import Fees, Quote, top
from client.chain_rpc import Rpc, RpcError
from client.errors import ChainError, ChainUnavailable
from client.journal import MINED, Journal, JournalEntry

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

log = logging.getLogger(__name__)

VOID_GAS = 21_000
WATCH_BLOCKS = 32  # how deep a mined transaction must lie before the journal forgets it
UNREPORTED_SECONDS = 3600.0  # how long one that nobody was told of may answer for a repeated call
KNOWN = ("already known", "already imported", "known transaction", "alreadyknown")
USED = (
    "nonce too low",
    "nonce is too low",
    "correct nonce",
    "replacement transaction underpriced",
    "could not replace",
)
# What a node says of a transaction that it will never take. Anything else leaves it in doubt, and it is looked up.
POOR = ("insufficient funds", "insufficient balance", "doesn't have enough funds", "outoffunds")
REFUSED = (
    *POOR,
    *("intrinsic gas", "gas limit", "gas uint64", "oversized", "initcode", "chain id", "chainid", "signature"),
    *("invalid sender", "invalid transaction", "not supported", "unsupported", "rlp", "configured cap"),
    *("nonce too high", "not an eoa", "sender not", "method not found", "invalid params"),
)
CHEAP = ("less than block base fee", "feecap", "fee cap", "gas price too low", "transaction underpriced", "tip too low")


@dataclass(frozen=True)
class Call:
    """What a transaction shall do. ``to`` None creates a contract; ``gas`` None is estimated; ``value`` is wei."""

    to: str | None
    data: str
    purpose: str
    value: int = 0
    gas: int | None = None
    intent: str = ""  # what a repetition has in common where ``data`` differs each time (a permit in front of a call)


@dataclass(frozen=True)
class Pace:
    """How patient a sender is."""

    receipt_seconds: float = 90.0  # until a transaction must be mined, and again until it must be deep enough
    confirmations: int = 0  # blocks on top of its own
    poll_seconds: float = 0.25
    again_seconds: float = 6.0  # between two broadcasts of what is not mined
    raise_seconds: float = 30.0  # until a transaction that blocks pass by is made dearer


class Outbox:
    """One account's transactions at one end point."""

    def __init__(self, rpc: Rpc, account: LocalAccount, journal: Journal, chain_id: int, pace: Pace) -> None:
        self.pace = pace
        self.address: str = account.address
        self.journal = journal
        self._rpc = rpc
        self._account = account
        self._chain_id = chain_id
        self._fees = Fees(rpc)
        self._genesis: str | None = None
        self.doubts: dict[str, str] = {}  # entry -> what the end point last said against it
        self._gaps: dict[int, float] = {}  # nonce -> when it was first seen missing

    # ---- new ones

    def next_nonce(self) -> int:
        """The nonce that the next transaction will have: past what the chain knows and what the journal holds."""
        nonce = self._count("pending")
        held = {entry.nonce for entry in self.mine() if not entry.outcome}
        while nonce in held:
            nonce += 1
        return nonce

    def write(self, call: Call, gas: int, nonce: int) -> JournalEntry:
        """Signs it and writes it down; nothing is sent. The entry is claimed."""
        quote = self._fees.quote()
        entry = JournalEntry(
            sender=self.address,
            nonce=nonce,
            chain_id=self._chain_id,
            chain=self.genesis(),
            purpose=call.purpose,
            raw="",
            hashes=(),
            time=time.time(),
            to=call.to or "",
            data=call.data,
            value=call.value,
            gas=gas,
            intent=call.intent,
        )
        entry = self._signed(entry, quote)
        self.journal.record(entry)
        self.journal.claim(entry.tx)
        return entry

    def _signed(self, entry: JournalEntry, quote: Quote, void: bool = False) -> JournalEntry:
        """One more transaction for the entry's nonce."""
        fields: dict[str, Any] = {"nonce": entry.nonce, "chainId": entry.chain_id, **quote.fees}
        if void:
            fields |= {"to": self.address, "value": 0, "data": "0x", "gas": VOID_GAS}
        else:
            fields |= {"value": entry.value, "data": entry.data, "gas": entry.gas}
            fields |= {"to": entry.to} if entry.to else {}
        signed = self._account.sign_transaction(fields)
        tx = "0x" + bytes(signed.hash).hex()
        return replace(
            entry,
            raw="0x" + bytes(signed.raw_transaction).hex(),
            hashes=(*entry.hashes, tx),
            voids=(*entry.voids, tx) if void else entry.voids,
            signed=time.time(),
            block=quote.block,
            fees=dict(quote.fees),
        )

    def broadcast(self, entry: JournalEntry) -> bool:
        """True when the chain has it, False when that is in doubt; ``RpcError`` when it will never take it."""
        try:
            self._rpc.request("eth_sendRawTransaction", [entry.raw])
            return True
        except RpcError as error:
            if says(error, *KNOWN) or any(self._known(tx) for tx in entry.hashes):
                return True
            if not says(error, *USED) and (error.is_revert or says(error, *REFUSED, *CHEAP)):
                raise
            log.info("%s: nonce %d is in doubt: %s", entry.purpose, entry.nonce, error.text)
            self.doubts[entry.tx] = error.text
            return False

    def dearer(self, entry: JournalEntry, void: bool = False) -> JournalEntry | None:
        """The same nonce for a higher fee, written down and not sent yet; None at the ceiling."""
        quote = self._fees.raised(entry.fees) if entry.fees else None
        if quote is None:
            return None
        raised = self._signed(entry, quote, void or entry.tx in entry.voids)
        self.journal.record(raised)
        log.info("%s: nonce %d is signed again for %d wei per gas", entry.purpose, entry.nonce, top(quote.fees))
        return raised

    # ---- their fate

    def look(self, entry: JournalEntry, patience: float | None = None) -> dict[str, Any] | None:
        """The receipt of whichever of the entry's transactions is in a block."""
        for tx in reversed(entry.hashes):
            receipt = self._rpc.request("eth_getTransactionReceipt", [tx], patience=patience)
            if receipt is not None and receipt.get("blockNumber") is not None:
                return dict(receipt)
        return None

    def used_by_another(self, entry: JournalEntry) -> bool:
        """Whether a transaction that isn't ours has used the nonce, as deep as confirmations go.

        The count comes first: were ours mined between two questions, the receipt would show it. Asked twice, since
        an end point may be several machines, one behind the other.
        """
        number = int(self._rpc.request("eth_blockNumber"), 16)
        block = hex(max(number - self.pace.confirmations, 0)) if self.pace.confirmations else "latest"
        for _ in range(2):
            if self._count(block) <= entry.nonce or self.look(entry) is not None:
                return False
            self._rpc.pause(self.pace.poll_seconds)
        return True

    def depth(self, receipt: Mapping[str, Any]) -> int:
        """How many blocks lie on the receipt's."""
        return int(self._rpc.request("eth_blockNumber"), 16) - int(receipt["blockNumber"], 16)

    def mined(self, entry: JournalEntry, receipt: Mapping[str, Any], reported: bool) -> bool:
        """Writes down that it is in a block; False where it failed or did nothing, which is final at once."""
        if receipt["transactionHash"] in entry.voids:
            self.journal.finish(entry.tx, "voided")
            return False
        if int(receipt["status"], 16) != 1:
            self.journal.finish(entry.tx, "failed")
            return False
        number, block_hash = int(receipt["blockNumber"], 16), str(receipt["blockHash"])
        done = replace(entry, outcome=MINED, block=number, block_hash=block_hash, reported=reported, signed=time.time())
        self.journal.record(done)
        return True

    # ---- while they wait

    def tend(self, entry: JournalEntry) -> JournalEntry:
        """Sends it again (a restarted node forgets its pool), for a higher fee where blocks pass it by; fills gaps."""
        if self._stuck(entry):
            entry = self.dearer(entry) or entry
        try:
            self.broadcast(entry)
        except RpcError as error:
            if says(error, *CHEAP):
                entry = self.dearer(entry) or entry
            log.debug("sent again %s: %s", entry.tx, error)
        self._fill_gaps(entry.nonce)
        return entry

    def _stuck(self, entry: JournalEntry) -> bool:
        """Whether it is its turn, and blocks were made without it."""
        if time.time() - entry.signed < self.pace.raise_seconds or not entry.fees:
            return False
        blocks = int(self._rpc.request("eth_blockNumber"), 16) - entry.block
        return blocks >= 2 and self._count("latest") == entry.nonce

    def _fill_gaps(self, nonce: int) -> None:
        """A nonce below ours that neither chain nor journal knows holds ours up for ever: it is used for nothing."""
        missing = self._count("pending")
        held = {entry.nonce for entry in self.mine() if not entry.outcome}
        if missing >= nonce or missing in held:
            self._gaps.clear()
            return
        if time.monotonic() - self._gaps.setdefault(missing, time.monotonic()) < self.pace.again_seconds:
            return
        with self.journal.lock():
            if any(entry.nonce == missing and not entry.outcome for entry in self.mine()):
                return  # somebody just took it
            log.warning("nonce %d of %s is missing and holds up %d: used for nothing", missing, self.address, nonce)
            filler = self.write(Call(self.address, "0x", f"fill the gap at nonce {missing}"), VOID_GAS, missing)
            filler = replace(filler, voids=filler.hashes)
            self.journal.record(filler)
        self._send_orphan(filler)
        self.journal.release(filler.tx)

    # ---- after a crash

    def recover(self) -> list[JournalEntry]:
        """What others left behind: looked up, sent again where it is missing; those that still wait, claimed."""
        orphans = []
        self._watch()
        for entry in self.mine():
            if not entry.outcome and self.journal.claim(entry.tx):
                found = self._recover(entry)
                if found is None:
                    self.journal.release(entry.tx)
                else:
                    orphans.append(found)
        return orphans

    def _recover(self, entry: JournalEntry) -> JournalEntry | None:
        """The entry while it still waits, None once its fate is known."""
        if self.settle(entry):
            return None
        return self._send_orphan(entry)

    def settle(self, entry: JournalEntry) -> bool:
        """Writes down the fate of an entry that nobody waits for, where it is known."""
        receipt = self.look(entry)
        if receipt is not None:
            self.mined(entry, receipt, reported=False)
            return True
        if self._count("latest") > entry.nonce and self.used_by_another(entry):
            self.journal.finish(entry.tx, "replaced")
            return True
        return False

    def _send_orphan(self, entry: JournalEntry) -> JournalEntry:
        """Sends it again. One that the account can't pay for any more is voided: it would hold up all behind it."""
        try:
            self.broadcast(entry)
            return entry
        except RpcError as error:
            log.warning("%s (%s) was refused: %s", entry.purpose, entry.tx, error.text)
            other = self.dearer(entry, void=not says(error, *CHEAP))
        if other is None:
            return entry
        try:
            self.broadcast(other)
        except RpcError as error:
            log.warning("%s (%s) was refused again: %s", entry.purpose, entry.tx, error.text)
        return other

    def adopt(self, call: Call, orphans: Sequence[JournalEntry], but: Container[str]) -> JournalEntry | None:
        """An entry that does exactly what ``call`` asks and whose caller never learned it: a repeated call is that one.

        ``but``: hashes of entries that other calls have taken up already.
        """
        since = time.time() - UNREPORTED_SECONDS
        unreported = [e for e in self.mine() if e.outcome and not e.reported and e.signed > since]
        for entry in (*orphans, *unreported):
            if entry.tx not in but and entry.asks(call.to, call.intent or call.data, call.value):
                log.warning("%s was signed by an earlier run: %s is taken up", call.purpose, entry.tx)
                self.journal.claim(entry.tx)
                return entry
        return None

    def _watch(self) -> None:
        """Forgets what lies deep; opens again what a reorganisation took out."""
        mined = [entry for entry in self.mine() if entry.outcome]
        if not mined:
            return
        newest = max(mined, key=lambda entry: entry.block)
        block = self._rpc.request("eth_getBlockByNumber", [hex(newest.block), False])
        number = int(self._rpc.request("eth_blockNumber"), 16)
        if block is None or block["hash"] != newest.block_hash:
            self._reopen(mined)
            return
        for entry in mined:
            old = entry.reported or time.time() - entry.signed > UNREPORTED_SECONDS
            if old and number - entry.block >= max(WATCH_BLOCKS, self.pace.confirmations):
                self.journal.finish(entry.tx, MINED)

    def _reopen(self, mined: Sequence[JournalEntry]) -> None:
        for entry in mined:
            receipt = self.look(entry)
            if receipt is not None:
                self.mined(entry, receipt, entry.reported)
                continue
            log.warning("%s (%s) fell out of the chain: it is sent again", entry.purpose, entry.tx)
            self.journal.record(replace(entry, outcome="", block_hash=""))

    # ---- small ones

    def mine(self) -> list[JournalEntry]:
        """This account's entries on this chain; those of a chain that is gone are closed."""
        found = []
        for entry in self.journal.kept():
            if entry.sender != self.address:
                continue
            if entry.chain_id != self._chain_id or entry.chain != self.genesis():
                self.journal.finish(entry.tx, "another chain")
                continue
            found.append(entry)
        return found

    def _count(self, block: str) -> int:
        return int(self._rpc.request("eth_getTransactionCount", [self.address, block]), 16)

    def _known(self, tx: str) -> bool:
        return self._rpc.request("eth_getTransactionByHash", [tx]) is not None

    def genesis(self) -> str:
        """The hash of block 0: tells a fresh devnet from the last one, which had the same chain id."""
        if self._genesis is None:
            block = self._rpc.request("eth_getBlockByNumber", ["0x0", False])
            if block is None:
                raise ChainUnavailable("The chain has no block 0.")
            self._genesis = str(block["hash"])
        return self._genesis


def says(error: ChainError, *words: str) -> bool:
    """Whether the end point's message has one of the words."""
    text = str(error).lower()
    return any(word in text for word in words)
