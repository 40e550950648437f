"""An HTTP proxy in front of a chain that loses, delays, repeats and invents what passes through it, as it is told.

A fault is said once, for the next request of a method: ``proxy.next("eth_sendRawTransaction", Fault.LOSE_REPLY)``.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

UPSTREAM_SECONDS = 30.0


class Fault(Enum):
    """What happens to one request."""

    LOSE_REQUEST = "it never arrives, the connection breaks"
    LOSE_REPLY = "the chain acts on it, the connection breaks"
    LATE_REPLY = "the chain acts on it, the answer comes when nobody listens any more"
    DUPLICATE = "it arrives twice, the second answer is given"
    HALF_REPLY = "the chain acts on it, half the answer comes"


@dataclass(frozen=True)
class Instead:
    """The request never arrives; this error is answered in its place."""

    message: str
    code: int = -32000


Edit = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]  # (request, answer) -> answer


class FaultyProxy:
    """A proxy on a free port; as a context manager it ends with the block."""

    def __init__(self, upstream: str, late_seconds: float = 1.5) -> None:
        self.upstream = upstream
        self.late_seconds = late_seconds  # more than the client's time-out
        self.seen: list[tuple[str, list[Any]]] = []  # method and parameters of every request that came
        self._faults: dict[str, deque[Fault | Instead | Edit]] = defaultdict(deque)
        self._always: dict[str, Edit] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def next(self, method: str, *faults: Fault | Instead | Edit) -> None:
        """The next requests of a method meet these, one each; then all is well again."""
        with self._lock:
            self._faults[method].extend(faults)

    def clear(self) -> None:
        """All is well from now on."""
        with self._lock:
            self._faults.clear()

    def always(self, method: str, edit: Edit | None) -> None:
        """Every answer to a method is edited, until told otherwise (None)."""
        if edit is None:
            self._always.pop(method, None)
        else:
            self._always[method] = edit

    def count(self, method: str) -> int:
        """How many requests of a method came."""
        return sum(1 for name, _ in self.seen if name == method)

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # ---- inside

    def forward(self, body: bytes) -> bytes:
        """To the chain and back."""
        request = urllib.request.Request(self.upstream, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=UPSTREAM_SECONDS) as response:
            return bytes(response.read())

    def answer(self, body: bytes) -> bytes | None:
        """The answer's bytes; None breaks the connection."""
        calls = json.loads(body)
        if isinstance(calls, list):
            self.seen.extend((call["method"], call.get("params", [])) for call in calls)
            return self.forward(body)
        method = calls["method"]
        self.seen.append((method, calls.get("params", [])))
        with self._lock:
            fault = self._faults[method].popleft() if self._faults[method] else None
        if fault is Fault.LOSE_REQUEST:
            return None
        if isinstance(fault, Instead):
            return json.dumps(refuse(fault.message, fault.code)(calls, {})).encode()
        if fault is Fault.DUPLICATE:
            self.forward(body)
        answer = self.forward(body)
        if fault is Fault.LOSE_REPLY:
            return None
        if fault is Fault.HALF_REPLY:
            return answer[: len(answer) // 2]
        if fault is Fault.LATE_REPLY:
            time.sleep(self.late_seconds)
        for edit in (fault, self._always.get(method)):
            if callable(edit):
                answer = json.dumps(edit(calls, json.loads(answer))).encode()
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    answer = proxy.answer(body)
                except OSError:
                    answer = None
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    self.close_connection = True  # nobody listens any more

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler


def refuse(message: str, code: int = -32000) -> Edit:
    """The chain's answer, whatever it was, becomes this error."""

    def edit(request: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": request.get("id"), "error": {"code": code, "message": message}}

    return edit


def result(value: Any) -> Edit:
    """The chain's answer, whatever it was, becomes this result."""

    def edit(request: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": request.get("id"), "result": value}

    return edit
