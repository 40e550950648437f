"""Signed transactions, written down before they are sent, so that neither a lost reply nor ``kill -9`` pays twice.

One file per transaction under ``pending/``; a line in ``sent.jsonl`` once its fate is known.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from client.settings import write_atomically


@dataclass(frozen=True)
class JournalEntry:
    """One signed transaction. Hashes and bytes are 0x text; ``time`` is unix seconds."""

    tx: str
    raw: str
    sender: str
    nonce: int
    chain_id: int
    chain: str  # hash of block 0: a fresh devnet has its predecessor's chain id
    purpose: str
    time: float


class Journal(Protocol):
    """Where signed transactions are kept until their fate is known."""

    def record(self, entry: JournalEntry) -> None:
        """Keeps it, durably, before it is sent."""

    def finish(self, tx: str, outcome: str) -> None:
        """Its fate is known (``mined``, ``failed``, ``replaced``, ``refused``): it is pending no more."""

    def pending(self) -> list[JournalEntry]:
        """Those whose fate isn't known, by nonce."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes with the same journal from taking the same nonce."""
        yield


class MemoryJournal:
    """A journal that dies with its process: for reads, tests and one-shot tools."""

    def __init__(self) -> None:
        self._pending: dict[str, JournalEntry] = {}

    def record(self, entry: JournalEntry) -> None:
        """Keeps it in memory."""
        self._pending[entry.tx] = entry

    def finish(self, tx: str, outcome: str) -> None:
        """Forgets it."""
        self._pending.pop(tx, None)

    def pending(self) -> list[JournalEntry]:
        """Those whose fate isn't known, by nonce."""
        return sorted(self._pending.values(), key=lambda entry: entry.nonce)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nothing to lock."""
        yield


class FileJournal:
    """A journal in a folder, safe against ``kill -9`` and against a second process on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pending").mkdir(parents=True, exist_ok=True)

    def record(self, entry: JournalEntry) -> None:
        """Writes it to disk and waits until it is there."""
        write_atomically(self._path(entry.tx), json.dumps(asdict(entry)).encode())

    def finish(self, tx: str, outcome: str) -> None:
        """Moves it from ``pending/`` to ``sent.jsonl``."""
        path = self._path(tx)
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return  # another thread or process was faster
        line = json.dumps(
            {"t": time.time(), "tx": tx, "nonce": entry["nonce"], "purpose": entry["purpose"], "outcome": outcome}
        )
        with open(self.folder / "sent.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        path.unlink(missing_ok=True)

    def pending(self) -> list[JournalEntry]:
        """Those whose fate isn't known, by nonce."""
        entries = []
        for path in (self.folder / "pending").glob("0x*.json"):
            try:
                entries.append(JournalEntry(**json.loads(path.read_text(encoding="utf-8"))))
            except FileNotFoundError:
                continue  # finished meanwhile
        return sorted(entries, key=lambda entry: (entry.nonce, entry.time))

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
