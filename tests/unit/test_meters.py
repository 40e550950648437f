"""Chain and store as a node uses them: what they carry is counted."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from client.cid import digest_bytes
from client.fetching import Ranked
from node.meters import MeteredRpc, MeteredStore, _MeteredSource
from node.telemetry import Telemetry

BODY = b"x" * 5000


class EndPoint(BaseHTTPRequestHandler):
    """Answers every request with block 17; remembers how many bytes came and went."""

    came: list[int]
    went: list[int]

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        self.came.append(len(asked))
        calls = json.loads(asked)
        many = calls if isinstance(calls, list) else [calls]
        answers = [{"jsonrpc": "2.0", "id": call["id"], "result": "0x11"} for call in many]
        body = json.dumps(answers if isinstance(calls, list) else answers[0]).encode()
        self.went.append(len(body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def end_point() -> Iterator[tuple[str, type[EndPoint]]]:
    handler = type("Handler", (EndPoint,), {"came": [], "went": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_rpc_when_it_asks_then_bytes_requests_and_the_block_are_noted() -> None:
    telemetry = Telemetry()
    with end_point() as (url, handler):
        rpc = MeteredRpc(url, 1.0, telemetry)
        assert rpc.request("eth_blockNumber") == "0x11"
        one = telemetry.snapshot()
        assert one["traffic"]["chain"] == {"sent": sum(handler.came), "received": sum(handler.went)}
        assert rpc.batch([("eth_call", [{}, "latest"]), ("eth_call", [{}, "latest"])]) == ["0x11", "0x11"]
    both = telemetry.snapshot()
    assert (one["block"], one["chain_requests"], both["chain_requests"]) == (17, 1, 3)
    assert both["traffic"]["chain"]["received"] == sum(handler.went)
    assert both["traffic"]["chain"]["sent"] == pytest.approx(sum(handler.came), abs=8)  # a batch's brackets


class Daemon:
    """A source in memory."""

    name = "memory"
    closed = nudged = 0

    def stream(
        self, cid: str, offset: int, length: int, seconds: float, patience: float
    ) -> Generator[bytes, None, None]:
        try:
            for start in range(offset, len(BODY), 2000):
                yield BODY[start : start + 2000]
        finally:
            self.closed += 1

    def nudge(self) -> None:
        self.nudged += 1


def test_store_when_it_fetches_then_what_came_is_counted_once_and_the_cache_not(tmp_path: Path) -> None:
    telemetry, daemon = Telemetry(), Daemon()
    store = MeteredStore(telemetry, "/ip4/127.0.0.1/tcp/1/http", tmp_path)
    store._ranked = [Ranked(_MeteredSource(daemon, telemetry))]
    for _ in range(2):
        assert store.get(digest_bytes(BODY), len(BODY), 5.0) == BODY
    assert telemetry.snapshot()["traffic"]["content"] == {"sent": 0, "received": len(BODY)}
    assert daemon.closed == 1


def test_store_when_made_then_every_daemon_is_counted() -> None:
    store = MeteredStore(Telemetry(), ("/ip4/127.0.0.1/tcp/1/http", "/ip4/127.0.0.1/tcp/2/http"))
    assert [type(ranked.source) for ranked in store._ranked] == [_MeteredSource] * 2


def test_store_when_it_puts_then_what_went_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("client.storage.IpfsStore.put", lambda self, data: digest_bytes(data))
    monkeypatch.setattr("client.storage.IpfsStore.put_file", lambda self, path: digest_bytes(path.read_bytes()))
    telemetry = Telemetry()
    store = MeteredStore(telemetry, "/ip4/127.0.0.1/tcp/1/http")
    store.put(BODY)
    (tmp_path / "file").write_bytes(BODY)
    store.put_file(tmp_path / "file")
    assert telemetry.snapshot()["traffic"]["content"] == {"sent": 2 * len(BODY), "received": 0}


def test_source_when_its_reader_leaves_then_the_daemon_s_stream_is_closed() -> None:
    daemon = Daemon()
    stream = _MeteredSource(daemon, Telemetry()).stream("Qm", 0, 10, 1.0, 1.0)
    assert next(stream) == BODY[:2000]
    stream.close()
    assert daemon.closed == 1
