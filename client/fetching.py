"""One blob from whoever gives it, and many blobs at once: retries, resumption, deadlines. No daemon is known here.

A *source* streams a blob from an offset on. One that is slow, stalls, cuts or does not have it is left for the next,
which goes on where it stopped; one that sends other bytes than the digest names is not asked again. All that came is
hashed as it comes, and nothing leaves here before the hash is right.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import IO, Protocol

from client.blob_cache import hash_of
from client.cid import DigestHasher, cid_of
from client.errors import DigestMismatch, NotFound, StorageError, StorageUnavailable, TooLarge

FIRST_PATIENCE_SECONDS = 2.0  # with a source that gives nothing, while there are others; doubled each time around
SLOW_BYTES_PER_SECOND = 32_768  # below this a source is left, where there is another
PAUSE_SECONDS = 0.2  # before the same source is asked again
FETCH_THREADS = 16
HOLD_BYTES = 256 * 2**20  # of blobs that are fetched and not yet taken, by their greatest sizes
LEAST_PATIENCE_SECONDS = 1.0  # with a blob of many, before the others get their turn
PART_OF_DEADLINE = 4  # a blob that nobody gives waits at the back of the queue after a quarter of the time


class Silent(NotFound):
    """A source gave nothing, or too little, for as long as it was listened to. It may still."""


class Source(Protocol):
    """Somebody who may have it."""

    name: str

    def stream(
        self, cid: str, offset: int, length: int, seconds: float, patience: float
    ) -> Generator[bytes, None, None]:
        """Up to ``length`` bytes from ``offset`` on, unverified.

        NotFound when nobody gave it in ``seconds``, Silent when nothing comes for ``patience`` seconds.
        """

    def nudge(self) -> None:
        """Called when it gave nothing: connect to those who may have it."""


class Gettable(Protocol):
    """A store, as far as reading goes."""

    def get(self, digest: bytes, max_bytes: int, timeout: float) -> bytes: ...


@dataclass
class Ranked:
    """A source, and how often in a row it failed lately."""

    source: Source
    failures: int = 0


@dataclass
class _Attempts:
    """What is known of one blob's sources while it is fetched."""

    usable: list[Ranked]
    patience: float = FIRST_PATIENCE_SECONDS
    wrong: StorageError | None = None  # from a source that is not asked again
    last: StorageError | None = None
    hopeless: set[int] = field(default_factory=set)  # ids of those that can't be reached or say that nobody has it
    came: bool = False  # anything at all

    def drop(self, ranked: Ranked, error: StorageError) -> None:
        ranked.failures += 1
        self.usable.remove(ranked)
        self.wrong = self.wrong or error


def fetch(sources: Sequence[Ranked], digest: bytes, out: IO[bytes], max_bytes: int, deadline: float) -> None:
    """Append to ``out`` (open for reading and writing) until it holds what ``digest`` names.

    ``deadline`` is of ``time.monotonic``. What ``out`` holds already is kept where it turns out right. On failure it
    holds what came, to be gone on with later, or nothing where it was wrong. NotFound at the deadline; TooLarge,
    DigestMismatch or StorageError where every source was wrong; StorageUnavailable where none can be reached.
    """
    hasher = hash_of(out)
    if hasher.size_bytes > max_bytes:
        hasher = _emptied(out)
    resumed = hasher.size_bytes > 0
    tries = _Attempts(sorted(sources, key=lambda ranked: ranked.failures))
    while True:
        for ranked in list(tries.usable):
            before = hasher.size_bytes
            try:
                _take(ranked.source, digest, out, hasher, max_bytes, deadline, tries)
                found = hasher.digest()
                if found == digest:
                    ranked.failures = 0
                    return
                raise DigestMismatch(
                    f"The bytes that came for {cid_of(digest)} are those of {cid_of(found)}; they were dropped."
                )
            except (NotFound, StorageUnavailable) as error:
                _note(tries, ranked, error, hasher.size_bytes > before)
                with contextlib.suppress(StorageError):
                    ranked.source.nudge()
            except StorageError as error:
                hasher = _emptied(out)
                if not resumed:  # else what was there before may have been the wrong part
                    tries.drop(ranked, error)
                resumed = False
        _go_on(tries, deadline)


def _take(
    source: Source,
    digest: bytes,
    out: IO[bytes],
    hasher: DigestHasher,
    max_bytes: int,
    deadline: float,
    tries: _Attempts,
) -> None:
    """Append what one source gives, until it ends."""
    alone = len(tries.usable) == 1
    left = deadline - time.monotonic()
    if left <= 0:
        raise NotFound(f"No time left to fetch {cid_of(digest)}.")
    patience = left if alone else min(left, tries.patience)
    looked, seen = time.monotonic(), hasher.size_bytes
    length = max_bytes + 1 - hasher.size_bytes
    with contextlib.closing(source.stream(cid_of(digest), hasher.size_bytes, length, left, patience)) as stream:
        for piece in stream:
            if hasher.size_bytes + len(piece) > max_bytes:
                raise TooLarge(f"{cid_of(digest)} has more than the {max_bytes} bytes that are allowed here.")
            hasher.update(piece)
            try:
                out.write(piece)
            except OSError as error:
                raise StorageError(f"{cid_of(digest)} can't be kept ({error}). Is the disk full?") from error
            now = time.monotonic()
            if now > deadline:
                raise NotFound(f"{cid_of(digest)} was not complete before the deadline: {hasher.size_bytes} bytes came")
            if not alone and now - looked > patience:
                if hasher.size_bytes - seen < SLOW_BYTES_PER_SECOND * (now - looked):
                    raise Silent(f"{source.name} gives {cid_of(digest)} too slowly")
                looked, seen = now, hasher.size_bytes


def _note(tries: _Attempts, ranked: Ranked, error: StorageError, came: bool) -> None:
    tries.last = error
    tries.came |= came
    ranked.failures += 0 if came else 1
    if came or isinstance(error, Silent):
        tries.hopeless.discard(id(ranked))
    else:
        tries.hopeless.add(id(ranked))


def _go_on(tries: _Attempts, deadline: float) -> None:
    """Return when it is worth another round, else raise what the last one ended with."""
    if not tries.usable:
        raise tries.wrong or StorageUnavailable("No IPFS daemon is known to fetch from.")
    if tries.last is not None:
        hopeless = not tries.came and len(tries.hopeless) >= len(tries.usable)
        if hopeless or deadline - time.monotonic() <= PAUSE_SECONDS:
            raise tries.last
        time.sleep(PAUSE_SECONDS)
    tries.patience *= 2


def _emptied(out: IO[bytes]) -> DigestHasher:
    out.seek(0)
    out.truncate()
    return DigestHasher()


# ---- many at once


def get_many(
    store: Gettable,
    wanted: Iterable[tuple[bytes, int]],
    timeout: float,
    threads: int = FETCH_THREADS,
    hold_bytes: int = HOLD_BYTES,
) -> Generator[tuple[bytes, bytes | StorageError], None, None]:
    """Blobs side by side, as (digest, verified bytes or why there are none), in the order in which they arrive.

    ``wanted``: (digest, greatest size in bytes); one that is named twice comes once. All share one deadline,
    ``timeout`` seconds from now. At most ``hold_bytes`` are fetched and not yet taken. Blobs that nobody gives don't
    hold up those that are there: they are asked for again after the others.
    """
    deadline = time.monotonic() + timeout
    queue = list(dict(wanted).items())
    running: dict[Future[bytes | None], tuple[bytes, int]] = {}
    held = 0

    def one(digest: bytes, max_bytes: int) -> bytes | None:
        started = time.monotonic()
        left = max(0.01, deadline - started)
        patience = min(left, max(LEAST_PATIENCE_SECONDS, left / PART_OF_DEADLINE))
        try:
            return store.get(digest, max_bytes, patience)
        except NotFound:
            waited = time.monotonic() - started
            if waited < patience / 2 or deadline - time.monotonic() < PAUSE_SECONDS:
                raise  # it is known not to be there, or there is no time left
            return None

    pool = ThreadPoolExecutor(max(1, min(threads, len(queue))), thread_name_prefix="fetch")
    try:
        while queue or running:
            while queue and len(running) < threads and (not running or held + queue[0][1] <= hold_bytes):
                digest, size = queue.pop(0)
                held += size
                running[pool.submit(one, digest, size)] = (digest, size)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                digest, size = running.pop(future)
                held -= size
                try:
                    found: bytes | StorageError | None = future.result()
                except StorageError as error:
                    found = error
                if found is None:
                    queue.append((digest, size))
                else:
                    yield digest, found
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def prefetch(store: Gettable, wanted: Iterable[tuple[bytes, int]], timeout: float) -> dict[bytes, StorageError]:
    """Bring blobs into the store's read cache side by side; what could not be had, and why."""
    return {digest: found for digest, found in get_many(store, wanted, timeout) if isinstance(found, StorageError)}
