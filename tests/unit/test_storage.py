"""Stores without a daemon: the fake's rules, the cache, and how a daemon's errors are read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from client.errors import DigestMismatch, NotFound, StorageError, StorageUnavailable, TooLarge
from client.storage import IpfsStore, MemoryStore, Store, cid_of, digest_bytes

TEXT = b"held by somebody"
DIGEST = digest_bytes(TEXT)


class _Liar(BaseHTTPRequestHandler):
    """A daemon that answers every cat with what the test chose."""

    answer = TEXT
    status = 200
    calls = 0

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        type(self).calls += 1
        self.send_response(self.status)
        self.send_header("Content-Type", "text/plain" if self.status == 200 else "application/json")
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)


@pytest.fixture
def liar() -> Iterator[type[_Liar]]:
    handler = type("Liar", (_Liar,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    handler.api = f"/ip4/127.0.0.1/tcp/{server.server_address[1]}/http"  # type: ignore[attr-defined]
    yield handler
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_stores_when_checked_then_follow_the_protocol() -> None:
    assert isinstance(MemoryStore(), Store)
    assert isinstance(IpfsStore("/ip4/127.0.0.1/tcp/1/http"), Store)


def test_memory_store_when_put_then_gives_the_same_bytes(tmp_path: Path) -> None:
    store = MemoryStore()
    assert store.put(TEXT) == DIGEST
    assert store.get(DIGEST, 100) == TEXT
    store.get_file(DIGEST, tmp_path / "sub" / "out", 100)
    assert (tmp_path / "sub" / "out").read_bytes() == TEXT
    assert store.put_file(tmp_path / "sub" / "out") == DIGEST
    store.unpin(DIGEST)
    assert DIGEST not in store.pins


def test_memory_store_when_faulty_then_raises_what_a_daemon_would() -> None:
    store = MemoryStore()
    with pytest.raises(NotFound):
        store.get(DIGEST, 100)
    with pytest.raises(NotFound):
        store.pin(DIGEST)
    store.put(TEXT)
    with pytest.raises(TooLarge):
        store.get(DIGEST, len(TEXT) - 1)
    store.blobs[DIGEST] = b"other bytes"
    with pytest.raises(DigestMismatch):
        store.get(DIGEST, 100)

    def fault(digest: bytes) -> None:
        raise StorageUnavailable("down")

    store.fault = fault
    with pytest.raises(StorageUnavailable):
        store.get(DIGEST, 100)


def test_get_when_nothing_listens_then_is_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = IpfsStore(f"/ip4/127.0.0.1/tcp/{port}/http")
    for action in (lambda: store.get(DIGEST, 9, 1), lambda: store.put(TEXT), lambda: store.pin(DIGEST, 1)):
        with pytest.raises(StorageUnavailable):
            action()


def test_store_when_address_is_not_one_then_says_how_to_write_it() -> None:
    with pytest.raises(StorageUnavailable, match="/ip4/"):
        IpfsStore("localhost:5001").get(DIGEST, 9, 1)


def test_get_when_daemon_gives_other_bytes_then_they_are_refused(liar: type[_Liar], tmp_path: Path) -> None:
    liar.answer = b"held by a thief!"
    for store in (_store(liar), _store(liar, tmp_path / "cache")):
        with pytest.raises(DigestMismatch):
            store.get(DIGEST, 100, 5)
        with pytest.raises(DigestMismatch):
            store.get_file(DIGEST, tmp_path / "out", 100, 5)
    assert not (tmp_path / "out").exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "locks" not in path.parts] == []


def test_get_when_daemon_gives_more_than_allowed_then_stops(liar: type[_Liar], tmp_path: Path) -> None:
    liar.answer = bytes(1_000_000)
    with pytest.raises(TooLarge):
        _store(liar).get(DIGEST, 1000, 5)
    with pytest.raises(TooLarge):
        _store(liar, tmp_path).get(DIGEST, 1000, 5)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("context deadline exceeded", NotFound),
        ("block was not found locally (offline): ipld: could not find Qm", NotFound),
        ("Qm has at least 9 bytes, more than the 1 that were asked for", TooLarge),
        ("this dag node is a directory", DigestMismatch),
    ],
)
def test_get_when_daemon_says_error_then_it_is_mapped(
    liar: type[_Liar], message: str, expected: type[StorageError]
) -> None:
    liar.status, liar.answer = 500, f'{{"Message": "{message}", "Code": 0, "Type": "error"}}'.encode()
    with pytest.raises(StorageError) as caught:
        _store(liar).get(DIGEST, 100, 5)
    assert type(caught.value) is expected


def test_cache_when_content_was_read_once_then_daemon_is_not_asked_again(liar: type[_Liar], tmp_path: Path) -> None:
    store = _store(liar, tmp_path / "cache")
    assert store.get(DIGEST, 100, 5) == TEXT
    assert _store(liar, tmp_path / "cache").get(DIGEST, 100, 5) == TEXT
    store.get_file(DIGEST, tmp_path / "out", 100, 5)
    assert (tmp_path / "out").read_bytes() == TEXT
    assert liar.calls == 1
    with pytest.raises(TooLarge):
        store.get(DIGEST, 3, 5)


def test_cache_when_entry_was_spoiled_then_it_is_fetched_anew(liar: type[_Liar], tmp_path: Path) -> None:
    store = _store(liar, tmp_path)
    store.get(DIGEST, 100, 5)
    entry = tmp_path / DIGEST.hex()[:2] / DIGEST.hex()
    entry.chmod(0o644)
    entry.write_bytes(TEXT.upper())
    assert store.get(DIGEST, 100, 5) == TEXT
    assert entry.read_bytes() == TEXT
    assert liar.calls == 2


def test_cache_when_many_want_the_same_then_one_fetches(liar: type[_Liar], tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(_store(liar, tmp_path).get(DIGEST, 100, 5))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [TEXT] * 8
    assert liar.calls == 1


def test_put_when_daemon_names_another_cid_then_is_refused(liar: type[_Liar]) -> None:
    other = cid_of(digest_bytes(b"other"))
    liar.answer = f'{{"Name": "x", "Hash": "{other}", "Size": "1"}}'.encode()
    with pytest.raises(DigestMismatch):
        _store(liar).put(TEXT)


def _store(liar: type[_Liar], cache: Path | None = None) -> IpfsStore:
    return IpfsStore(liar.api, cache)  # type: ignore[attr-defined]
