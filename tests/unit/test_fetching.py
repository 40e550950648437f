"""One blob from several sources, some of them bad, and many blobs at once: no daemon, no network."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest

from client import fetching
from client.cid import digest_bytes
from client.errors import DigestMismatch, NotFound, StorageError, StorageUnavailable, TooLarge
from client.fetching import Ranked, Silent, fetch, get_many, prefetch
from client.storage import MemoryStore

DATA = os.urandom(700_000)
DIGEST = digest_bytes(DATA)
PIECE = 65_536


@dataclass
class Source:
    """Gives ``data`` from an offset on; after ``until`` bytes of it raises ``then``."""

    name: str = "source"
    data: bytes = DATA
    until: int | None = None
    then: StorageError | None = None
    offsets: list[int] = field(default_factory=list)
    nudges: int = 0

    def stream(
        self, cid: str, offset: int, length: int, seconds: float, patience: float
    ) -> Generator[bytes, None, None]:
        self.offsets.append(offset)
        end = min(len(self.data), offset + length, self.until if self.until is not None else len(self.data))
        for at in range(offset, end, PIECE):
            yield self.data[at : min(at + PIECE, end)]
        if self.then is not None:
            raise self.then

    def nudge(self) -> None:
        self.nudges += 1


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.001)


def _fetch(*sources: Source, held: bytes = b"", max_bytes: int = len(DATA), seconds: float = 20) -> bytes:
    out = io.BytesIO()
    out.write(held)
    fetch([Ranked(source) for source in sources], DIGEST, out, max_bytes, time.monotonic() + seconds)
    return out.getvalue()


def test_fetch_when_one_is_cut_then_the_next_goes_on_where_it_stopped() -> None:
    first, second = Source(until=300_000, then=StorageUnavailable("cut")), Source()
    assert _fetch(first, second) == DATA
    assert second.offsets == [300_000]
    assert first.nudges == 1


@pytest.mark.parametrize("error", [Silent("stalls"), NotFound("nobody gave it"), StorageUnavailable("is down")])
def test_fetch_when_one_gives_nothing_then_another_does(error: StorageError) -> None:
    assert _fetch(Source(until=0, then=error), Source()) == DATA


def test_fetch_when_one_is_cut_and_alone_then_it_is_asked_again() -> None:
    class Restarting(Source):
        def stream(self, *arguments: object) -> Generator[bytes, None, None]:
            yield from super().stream(*arguments)  # type: ignore[arg-type]
            if self.until is not None:
                self.until = None
                raise StorageUnavailable("restarts")

    only = Restarting(until=100_000)
    assert _fetch(only) == DATA
    assert only.offsets == [0, 100_000]


def test_fetch_when_one_sends_other_bytes_then_it_is_not_asked_again() -> None:
    liar, honest = Source(data=b"x" * 5000), Source()
    assert _fetch(liar, honest) == DATA
    assert liar.offsets == [0]
    assert honest.offsets == [0]  # nothing of the liar's bytes is gone on with


def test_fetch_when_a_liar_begins_and_an_honest_one_ends_then_it_still_comes() -> None:
    liar = Source(data=b"x" * 500_000, until=200_000, then=StorageUnavailable("cut"))
    honest = Source()
    assert _fetch(liar, honest, Source(name="third")) == DATA


def test_fetch_when_all_send_other_bytes_then_says_so() -> None:
    with pytest.raises(DigestMismatch):
        _fetch(Source(data=b"x"), Source(data=b"y"))


def test_fetch_when_it_is_too_large_then_stops() -> None:
    with pytest.raises(TooLarge):
        _fetch(Source(), max_bytes=1000)


def test_fetch_when_part_is_there_then_only_the_rest_is_asked_for() -> None:
    source = Source()
    assert _fetch(source, held=DATA[:400_000]) == DATA
    assert source.offsets == [400_000]


@pytest.mark.parametrize("held", [b"x" * 400_000, b"x" * 800_000])
def test_fetch_when_the_part_is_wrong_then_it_is_dropped_and_all_comes_anew(held: bytes) -> None:
    source = Source()
    assert _fetch(source, held=held) == DATA
    assert source.offsets[-1] == 0


def test_fetch_when_nobody_can_be_reached_then_does_not_wait_for_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(StorageUnavailable):
        _fetch(Source(until=0, then=StorageUnavailable("down")), Source(until=0, then=StorageUnavailable("down")))
    assert time.monotonic() - started < 10


def test_fetch_when_all_stay_silent_then_ends_at_the_deadline() -> None:
    silent = Source(until=0, then=Silent("silent"))
    with pytest.raises(NotFound):
        _fetch(silent, Source(until=0, then=Silent("silent")), seconds=0.3)
    assert len(silent.offsets) > 1


def test_fetch_when_one_is_slow_then_the_other_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FIRST_PATIENCE_SECONDS", 0.05)

    class Slow(Source):
        def stream(self, *arguments: object) -> Generator[bytes, None, None]:
            for byte in DATA:
                time.sleep(0.01)
                yield bytes([byte])

    fast = Source()
    assert _fetch(Slow(), fast) == DATA
    assert fast.offsets[0] < 1000


def test_fetch_when_one_failed_before_then_it_is_asked_last() -> None:
    bad, good = Source(until=0, then=NotFound("not here")), Source()
    ranked = [Ranked(bad), Ranked(good)]
    for _ in range(3):
        fetch(ranked, DIGEST, io.BytesIO(), len(DATA), time.monotonic() + 20)
    assert len(bad.offsets) == 1


# ---- many


def test_many_when_wanted_then_each_comes_once_with_its_fault() -> None:
    store = MemoryStore()
    blobs = [os.urandom(100) for _ in range(40)]
    digests = [store.put(blob) for blob in blobs]
    absent = digest_bytes(b"absent")
    store.blobs[digests[7]] = b"spoiled"
    found = dict(get_many(store, [(digest, 100) for digest in (*digests, *digests, absent)], 20))
    assert isinstance(found[absent], NotFound)
    assert isinstance(found[digests[7]], DigestMismatch)
    assert all(found[digest] == blob for digest, blob in zip(digests, blobs, strict=True) if digest != digests[7])
    assert set(prefetch(store, [(digest, 100) for digest in digests], 20)) == {digests[7]}


def test_many_when_some_are_withheld_then_the_others_do_not_wait() -> None:
    store, there = MemoryStore(), [os.urandom(10) for _ in range(6)]
    digests = [store.put(blob) for blob in there]

    class Patient:
        def get(self, digest: bytes, max_bytes: int, timeout: float) -> bytes:
            if digest not in store.blobs:
                threading.Event().wait(timeout)
                raise NotFound("nobody gave it")
            return store.get(digest, max_bytes, timeout)

    withheld = [digest_bytes(b"withheld %d" % number) for number in range(4)]
    order = [digest for digest, _ in get_many(Patient(), [(d, 10) for d in (*withheld, *digests)], 3.0, threads=2)]
    assert set(order[:6]) == set(digests)
    assert set(order[6:]) == set(withheld)


def test_many_when_results_are_not_taken_then_no_more_is_held_than_allowed() -> None:
    asked: list[bytes] = []

    class Counting(MemoryStore):
        def get(self, digest: bytes, max_bytes: int, timeout: float = 1.0) -> bytes:
            asked.append(digest)
            return super().get(digest, max_bytes, timeout)

    store = Counting()
    digests = [store.put(os.urandom(100)) for _ in range(30)]
    coming = get_many(store, [(digest, 100) for digest in digests], 20, threads=8, hold_bytes=300)
    next(coming)
    assert len(asked) <= 4
    assert len(list(coming)) == 29
