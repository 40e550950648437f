"""The shared cache: what is cut goes on, what is old goes, nobody waits for a stranger's digest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from client.blob_cache import PARTIAL_SECONDS, BlobCache
from client.cid import digest_bytes
from client.errors import NotFound, StorageUnavailable
from client.fetching import Ranked, fetch
from tests.unit.test_fetching import DATA, DIGEST, Source


def _soon(seconds: float = 10) -> float:
    return time.monotonic() + seconds


def _put(cache: BlobCache, data: bytes, read_at: float | None = None) -> bytes:
    digest = digest_bytes(data)
    with cache.claim(digest, _soon()) as partial:
        assert partial is not None
        partial.write(data)
        cache.keep(digest, partial)
    if read_at is not None:
        os.utime(cache.path(digest), (read_at, read_at))
    return digest


def _partials(cache: BlobCache) -> list[Path]:
    return list((cache.folder / "partial").iterdir())


def test_claim_when_the_fetch_is_cut_then_the_next_goes_on(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    cut = Source(until=300_000, then=StorageUnavailable("cut"))
    with pytest.raises(StorageUnavailable), cache.claim(DIGEST, _soon()) as partial:
        assert partial is not None
        fetch([Ranked(cut)], DIGEST, partial, len(DATA), _soon(0.3))
    source = Source()
    with cache.claim(DIGEST, _soon()) as partial:
        assert partial is not None
        fetch([Ranked(source)], DIGEST, partial, len(DATA), _soon())
        cache.keep(DIGEST, partial)
    assert source.offsets == [300_000]
    found = cache.open(DIGEST, len(DATA))
    assert found is not None
    assert found.read() == DATA
    found.close()
    assert _partials(cache) == []


def test_claim_when_its_holder_is_killed_then_the_part_stays_and_the_lock_goes(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from client.blob_cache import BlobCache\n"
        "with BlobCache(Path(sys.argv[1])).claim(bytes.fromhex(sys.argv[2]), time.monotonic() + 5) as partial:\n"
        "    partial.write(b'part'); partial.flush(); print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), DIGEST.hex()], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    cache = BlobCache(tmp_path)
    with pytest.raises(NotFound), cache.claim(DIGEST, time.monotonic()):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait(5)
    holder.stdout.close()
    with cache.claim(DIGEST, _soon()) as partial:
        assert partial is not None
        partial.seek(0)
        assert partial.read() == b"part"


def test_claim_when_digests_share_a_beginning_then_they_do_not_wait_for_each_other(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    one, two = b"\xab\xc1" + bytes(30), b"\xab\xc2" + bytes(30)
    with cache.claim(one, _soon()) as first, cache.claim(two, time.monotonic()) as second:
        assert first is not None
        assert second is not None


def test_claim_when_somebody_finishes_it_then_those_who_waited_get_the_entry(tmp_path: Path) -> None:
    cache, found = BlobCache(tmp_path), []

    def wait() -> None:
        with BlobCache(tmp_path).claim(DIGEST, _soon()) as partial:
            found.append(partial)

    with cache.claim(DIGEST, _soon()) as partial:
        assert partial is not None
        waiting = [threading.Thread(target=wait) for _ in range(4)]
        for thread in waiting:
            thread.start()
        partial.write(DATA)
        cache.keep(DIGEST, partial)
    for thread in waiting:
        thread.join(10)
    assert found == [None] * 4
    assert _partials(cache) == []


def test_cache_when_past_its_limit_then_what_was_not_read_for_longest_goes(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, limit_bytes=100_000)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "another's").write_bytes(bytes(90_000))
    now = time.time()
    old = [_put(cache, os.urandom(10_000), now - 10_000 + number) for number in range(9)]
    read = cache.open(old[0], 10_000)  # the oldest, but read just now
    assert read is not None
    read.close()
    new = [_put(cache, os.urandom(10_000)) for _ in range(4)]
    assert cache.bytes_held() <= 100_000
    assert cache.path(old[0]).exists()
    assert not cache.path(old[1]).exists()
    assert all(cache.path(digest).exists() for digest in new)
    assert (tmp_path / "models" / "another's").exists()


def test_cache_when_a_partial_is_old_then_it_goes_unless_somebody_works_on_it(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    names = [bytes([number]) * 32 for number in range(3)]
    for name in names:
        with cache.claim(name, _soon()) as partial:
            assert partial is not None
            partial.write(b"part")
    long_ago = time.time() - PARTIAL_SECONDS - 10
    for name in names[:2]:
        os.utime(cache.folder / "partial" / name.hex(), (long_ago, long_ago))
    with cache.claim(names[0], _soon()):
        assert cache.evict() == 4
    assert sorted(path.name for path in _partials(cache)) == [names[0].hex(), names[2].hex()]
