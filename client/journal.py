"""Signed transactions, written down before they are sent, so that neither a lost reply nor ``kill -9`` pays twice.

One file per nonce under ``pending/``, with every transaction that was signed for it; a line in ``sent.jsonl`` once its
fate is known. What is mined stays for some blocks: a reorganisation may take it out again.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from client.settings import write_atomically

MINED = "mined"


@dataclass(frozen=True)
class JournalEntry:
    """One nonce of one account and what was signed for it; whichever of ``hashes`` is mined counts. Hex is 0x text."""

    sender: str
    nonce: int
    chain_id: int
    chain: str  # hash of block 0: a fresh devnet has its predecessor's chain id
    purpose: str
    raw: str  # the newest signed bytes
    hashes: tuple[str, ...]  # of every transaction with this nonce, oldest first
    time: float  # unix seconds of the first signature
    signed: float = 0.0  # unix seconds of the newest
    block: int = 0  # the chain's newest block when the newest was signed; once mined, the block that holds it
    to: str = ""  # empty: creates a contract
    data: str = "0x"
    value: int = 0  # wei
    gas: int = 0
    intent: str = ""  # what tells a repetition, where not ``data``
    fees: Mapping[str, int] = field(default_factory=dict)  # of the newest, wei per gas, by transaction field
    voids: tuple[str, ...] = ()  # those of ``hashes`` that only use the nonce up
    outcome: str = ""  # "mined" while it is watched
    block_hash: str = ""  # of the block that holds it
    reported: bool = False  # whether its caller was told

    @property
    def tx(self) -> str:
        """The first hash: the entry's name."""
        return self.hashes[0]

    def asks(self, to: str | None, intent: str, value: int) -> bool:
        """Whether it does exactly that."""
        return (self.to.lower(), self.intent or self.data, self.value) == ((to or "").lower(), intent, value)

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JournalEntry:
        """From the plain form; one that an older version wrote has one hash, ``tx``."""
        fields = dict(data)
        old = fields.pop("tx", None)
        fields["hashes"] = tuple(fields.get("hashes") or (old,))
        fields["voids"] = tuple(fields.get("voids", ()))
        return cls(**fields)


class Journal(Protocol):
    """Where signed transactions are kept until their fate is known for good."""

    def record(self, entry: JournalEntry) -> None:
        """Keeps it, durably, before anything of it is sent; replaces what is known of its nonce."""

    def finish(self, tx: str, outcome: str) -> None:
        """Its fate is known for good (``mined``, ``failed``, ``replaced``, ``refused``): it is kept no more."""

    def kept(self) -> list[JournalEntry]:
        """Those that are pending, and those that are mined but not deep yet, by nonce."""

    def pending(self) -> list[JournalEntry]:
        """Those whose fate isn't known, by nonce."""

    def claim(self, tx: str) -> bool:
        """Looks after it from now on; False where somebody alive does already. A dead process's claims are void."""

    def release(self, tx: str) -> None:
        """Looks after it no more."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes with the same journal from taking the same nonce."""
        yield


class MemoryJournal:
    """A journal that dies with its process: for reads, tests and one-shot tools."""

    def __init__(self) -> None:
        self._kept: dict[str, JournalEntry] = {}
        self._claims: set[str] = set()
        self._lock = threading.RLock()

    def record(self, entry: JournalEntry) -> None:
        """Keeps it in memory."""
        self._kept[entry.tx] = entry

    def finish(self, tx: str, outcome: str) -> None:
        """Forgets it."""
        self._kept.pop(tx, None)

    def kept(self) -> list[JournalEntry]:
        """All, by nonce."""
        return sorted(self._kept.copy().values(), key=lambda entry: (entry.nonce, entry.time))

    def pending(self) -> list[JournalEntry]:
        """Those whose fate isn't known, by nonce."""
        return [entry for entry in self.kept() if not entry.outcome]

    def claim(self, tx: str) -> bool:
        """Once."""
        free = tx not in self._claims
        self._claims.add(tx)
        return free

    def release(self, tx: str) -> None:
        """May be claimed again."""
        self._claims.discard(tx)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps threads apart; no other process knows it."""
        with self._lock:
            yield


class FileJournal:
    """A journal in a folder, safe against ``kill -9`` and against a second process on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._claims: dict[str, Any] = {}  # tx -> open file that holds the system's lock
        (folder / "pending").mkdir(parents=True, exist_ok=True)

    def record(self, entry: JournalEntry) -> None:
        """Writes it to disk and waits until it is there."""
        write_atomically(self._path(entry.tx), json.dumps(entry.to_json()).encode())

    def finish(self, tx: str, outcome: str) -> None:
        """Moves it from ``pending/`` to ``sent.jsonl``."""
        path = self._path(tx)
        try:
            entry = JournalEntry.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return  # another thread or process was faster
        line = json.dumps(
            {
                "t": time.time(),
                "hashes": entry.hashes,
                "nonce": entry.nonce,
                "purpose": entry.purpose,
                "outcome": outcome,
            }
        )
        with open(self.folder / "sent.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        path.unlink(missing_ok=True)
        path.with_suffix(".claim").unlink(missing_ok=True)

    def kept(self) -> list[JournalEntry]:
        """All, by nonce."""
        entries = []
        for path in (self.folder / "pending").glob("0x*.json"):
            try:
                entries.append(JournalEntry.from_json(json.loads(path.read_text(encoding="utf-8"))))
            except FileNotFoundError:
                continue  # finished meanwhile
        return sorted(entries, key=lambda entry: (entry.nonce, entry.time))

    def pending(self) -> list[JournalEntry]:
        """Those whose fate isn't known, by nonce."""
        return [entry for entry in self.kept() if not entry.outcome]

    def claim(self, tx: str) -> bool:
        """A lock on a file of its own; the system drops it when the process dies."""
        if tx in self._claims:
            return False
        handle = self._path(tx).with_suffix(".claim").open("wb")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return False
        self._claims[tx] = handle
        return True

    def release(self, tx: str) -> None:
        """Gives the claim back."""
        handle = self._claims.pop(tx, None)
        if handle is not None:
            handle.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """An advisory lock on the folder; the system drops it when the process dies."""
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _path(self, tx: str) -> Path:
        return self.folder / "pending" / f"{tx}.json"
