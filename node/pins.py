"""What this node keeps on IPFS: pinned while a round or a late joiner may need it, let go when a snapshot replaces it.

Two sentences say it all. What a round makes (a delta, a report, a head) is pinned while that round is open. Once the
round is over, what stays is what the model's head still names: its manifest, its last snapshot and the deltas since. So
a refused delta goes with its round, an accepted one with the next attested snapshot.

The journal is written before a pin is set and after it is dropped: a node that is killed at any point lets go, later,
of everything that it pinned.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from client.errors import StorageError, StrataError
from client.manifests import MAX_MANIFEST_BYTES, Head, parse_json
from node.runtime import write_atomic

HEAD_SECONDS = 5.0  # for a head's manifest: a round's secrets may have to be revealed meanwhile
LINES_PER_ENTRY = 8  # the journal is written anew when it has so many lines for each entry
LINES_LEAST = 200

log = logging.getLogger("strata.node.pins")


class PinStore(Protocol):
    """What pins need of IPFS."""

    def get(self, digest: bytes, max_bytes: int, timeout: float) -> bytes: ...
    def pin(self, digest: bytes, timeout: float) -> None: ...
    def unpin(self, digest: bytes) -> None: ...


class Pins:
    """The pins of one node on one store. Threads may share it.

    ``keep`` whatever a round makes, ``settle`` when the round is over.
    """

    def __init__(self, store: PinStore, journal: Path, timeout_seconds: float) -> None:
        self._store, self._timeout = store, timeout_seconds
        self._journal = _Journal(journal)
        self._lock = threading.RLock()

    def keep(self, model_id: int, round_number: int, digests: Iterable[bytes], have: bool = False) -> None:
        """Pin what round ``round_number`` makes. ``have``: a ``put`` has pinned it already, so only remember it.

        Safe to call again. Raises StorageError where something can't be fetched; it is remembered all the same.
        """
        failed: StorageError | None = None
        for digest in digests:
            with self._lock:
                known = self._journal.rounds(digest)
                if known.get(model_id, -1) < round_number:
                    self._journal.write(digest, {**known, model_id: round_number})
            if have:
                continue
            try:
                self._store.pin(digest, self._timeout)
            except StorageError as error:
                failed = error
        if failed is not None:
            raise failed

    def keep_head(self, model_id: int, round_number: int, head: bytes, accepted: Iterable[bytes]) -> None:
        """Keep a head that this node has just made and put, and the deltas that it took in: all are on the daemon.

        A new snapshot stands for its round's deltas at once; they stay for a round more, for an archive that is late.
        What can't be pinned is logged: attesting must not wait.
        """
        try:
            manifest = self._manifest(head)
            made = manifest is not None and manifest.snapshot_round == round_number
            new = [head, bytes.fromhex(manifest.snapshot)] if manifest is not None and made else [head]
            self.keep(model_id, round_number, new, have=True)
            self.keep(model_id, round_number + 1 if made else round_number, accepted)
        except StrataError as error:
            log.warning("model %d: not all of round %d could be pinned: %s", model_id, round_number, error)

    def settle(self, model_id: int, round_number: int, head: bytes) -> int:
        """The round is over and ``head`` is the model's: let go of what it does not name; how many digests went.

        Later rounds' pins stay. Where the head can't be read, nothing goes: the next round's end does it.
        """
        try:
            live = set(self._named_by(head))
        except StrataError as error:
            log.warning(
                "model %d: pins of round %d stay, since its head can't be read: %s", model_id, round_number, error
            )
            return 0
        gone = 0
        with self._lock:
            for digest, rounds in self._journal.entries():
                if digest in live or rounds.get(model_id, round_number + 1) > round_number:
                    continue
                left = {model: number for model, number in rounds.items() if model != model_id}
                if not left:
                    try:
                        self._store.unpin(digest)
                    except StorageError as error:
                        log.warning("%s stays pinned for now: %s", digest.hex()[:12], error)
                        continue
                    gone += 1
                self._journal.write(digest, left)
        return gone

    def digests(self, model_id: int | None = None) -> set[bytes]:
        """What is kept, of one model or of all."""
        with self._lock:
            return {d for d, rounds in self._journal.entries() if model_id is None or model_id in rounds}

    def _named_by(self, head: bytes) -> list[bytes]:
        """A head's own digest and those that a late joiner needs with it."""
        manifest = self._manifest(head)
        if manifest is None:
            return [head]
        deltas = [delta.digest for entry in manifest.deltas for delta in entry.deltas]
        return [head, *map(bytes.fromhex, (manifest.snapshot, *deltas))]

    def _manifest(self, head: bytes) -> Head | None:
        """A head's manifest; None where it is a genesis, which is its owner's to keep."""
        data = self._store.get(head, MAX_MANIFEST_BYTES, min(self._timeout, HEAD_SECONDS))
        parsed: Any = parse_json(data)
        return Head.from_bytes(data) if isinstance(parsed, dict) and parsed.get("schema") == Head.SCHEMA else None


class _Journal:
    """Lines of [digest, {model: round}], the last of each digest counts; an empty one means that it is gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[bytes, dict[int, int]] = {}
        self._lines = 0
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                digest, rounds = json.loads(line)
                self._take(bytes.fromhex(digest), {int(model): int(number) for model, number in rounds.items()})
            except (ValueError, TypeError, AttributeError):
                continue  # cut off by a kill: what it was about had not begun
        self._compact()

    def rounds(self, digest: bytes) -> dict[int, int]:
        return self._entries.get(digest, {})

    def entries(self) -> list[tuple[bytes, dict[int, int]]]:
        return list(self._entries.items())

    def write(self, digest: bytes, rounds: dict[int, int]) -> None:
        """On disk when this returns."""
        self._take(digest, rounds)
        with self._path.open("ab") as file:
            file.write(_line(digest, rounds))
            file.flush()
            os.fsync(file.fileno())
        if self._lines > LINES_LEAST + LINES_PER_ENTRY * len(self._entries):
            self._compact()

    def _take(self, digest: bytes, rounds: dict[int, int]) -> None:
        self._lines += 1
        if rounds:
            self._entries[digest] = rounds
        else:
            self._entries.pop(digest, None)

    def _compact(self) -> None:
        """One line an entry, and a whole last line, so that the next one begins on its own."""
        write_atomic(self._path, b"".join(_line(digest, rounds) for digest, rounds in self._entries.items()), sync=True)
        self._lines = len(self._entries)


def _line(digest: bytes, rounds: dict[int, int]) -> bytes:
    return json.dumps([digest.hex(), rounds]).encode() + b"\n"
