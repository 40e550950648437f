"""The part of Kubo's RPC (``/api/v0``) that ipfshttpclient 0.7 speaks, in front of one ``KuboNode``.

Loopback only, POST only, and never for a browser: a request with an ``Origin`` or a foreign ``Host`` is refused, as
Kubo does.
"""

from __future__ import annotations

import json
import logging
import re
import select
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import IO, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from client import cid as cids
from client.errors import StorageError
from client.kubo_node import KuboNode

log = logging.getLogger("strata.kubo")

VERSION = "0.7.0"  # the newest that ipfshttpclient 0.7 accepts
MAX_ADD_BYTES = 8 * 2**30
MAX_HEADER_BYTES = 16_384
PIECE_BYTES = 262_144
SOCKET_TIMEOUT_SECONDS = 120.0
DEFAULT_FETCH_SECONDS = 60.0
MAX_FETCH_SECONDS = 3600.0
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class _BadRequest(Exception):
    """A request that this daemon can't read."""


def duration_seconds(text: str) -> float:
    """Go's duration text (``1m30s``, ``500ms``; a bare number means seconds), bounded to an hour."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return min(float(text), MAX_FETCH_SECONDS)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise _BadRequest(f"invalid duration {text[:40]!r}")
    return min(sum(float(number) * _UNITS[unit] for number, unit in parts), MAX_FETCH_SECONDS)


def body_pieces(stream: BufferedIOBase, headers: Any) -> Iterator[bytes]:
    """A request's body, chunked or of stated length, in pieces of bounded size."""
    if "chunked" in (headers.get("Transfer-Encoding") or "").lower():
        while True:
            line = stream.readline(1024)
            try:
                left = int(line.split(b";")[0].strip(), 16)
            except ValueError:
                raise _BadRequest("broken chunked body") from None
            if left < 0:
                raise _BadRequest("broken chunked body")
            if left == 0:
                while stream.readline(1024).strip():
                    pass
                return
            yield from _exactly(stream, left)
            stream.readline(8)
    else:
        try:
            yield from _exactly(stream, int(headers.get("Content-Length") or 0))
        except ValueError:
            raise _BadRequest("broken Content-Length") from None


def _exactly(stream: BufferedIOBase, left: int) -> Iterator[bytes]:
    while left > 0:
        piece = stream.read(min(left, PIECE_BYTES))
        if not piece:
            raise _BadRequest("the body ended early")
        left -= len(piece)
        yield piece


def first_part(pieces: Iterator[bytes], boundary: bytes, out: IO[bytes], max_bytes: int) -> int:
    """Copy the one file of a multipart body to ``out``; returns its size. More than one file is refused."""
    delimiter = b"\r\n--" + boundary
    held = b"\r\n"  # so that the first delimiter looks like the others
    while b"\r\n\r\n" not in held:
        if len(held) > MAX_HEADER_BYTES:
            raise _BadRequest("multipart headers too long")
        held += _next(pieces)
    head, _, held = held.partition(b"\r\n\r\n")
    if not head.startswith(delimiter):
        raise _BadRequest("not multipart, or not with that boundary")
    if b"x-directory" in head.lower():
        raise _BadRequest("this daemon adds single files, not directories")
    size = 0
    while (at := held.find(delimiter)) < 0:
        keep = len(delimiter) - 1
        size += out.write(held[:-keep]) if len(held) > keep else 0
        if size > max_bytes:
            raise _BadRequest(f"more than {max_bytes} bytes")
        held = held[-keep:] + _next(pieces)
    size += out.write(held[:at])
    rest = held[at + len(delimiter) :]
    for piece in pieces:
        rest = (rest + piece)[:64]
    if not rest.startswith(b"--"):
        raise _BadRequest("one file at a time")
    return size


def _next(pieces: Iterator[bytes]) -> bytes:
    piece = next(pieces, b"")
    if not piece:
        raise _BadRequest("the multipart body ended early")
    return piece


class RpcServer(ThreadingHTTPServer):
    """The RPC of one node. ``serve_forever`` in a thread; ``shutdown`` stops it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, node: KuboNode, port: int) -> None:
        self.node = node
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def port(self) -> int:
        """The TCP port on loopback."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is not worth a traceback."""
        log.debug("a request ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT_SECONDS
    server: RpcServer

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def do_GET(self) -> None:
        self._fail(405, "405 - Method Not Allowed: use POST")

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        self._query = parse_qs(url.query, keep_blank_values=True)
        if "Origin" in self.headers or not re.fullmatch(
            r"(127\.0\.0\.1|localhost)(:\d+)?", self.headers.get("Host", "")
        ):
            return self._fail(403, "403 - Forbidden")
        name = url.path.removeprefix("/api/v0/")
        action = self._ACTIONS.get(name)
        if not url.path.startswith("/api/v0/") or action is None:
            return self._fail(404, f"404 - this daemon has no {url.path}")
        try:
            if name != "add":
                for _ in body_pieces(self.rfile, self.headers):
                    pass
            action(self)
        except _BadRequest as error:
            self._fail(400, str(error))
        except StorageError as error:
            self._fail(500, str(error))
        return None

    # ---- answers ----

    def _fail(self, status: int, message: str) -> None:
        self.close_connection = True  # the body may not have been read
        self._json({"Message": message, "Code": 0, "Type": "error"}, status)

    def _json(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _argument(self) -> str:
        values = self._query.get("arg", [])
        if len(values) != 1 or len(values[0]) > 1024:
            raise _BadRequest("argument missing: exactly one `arg`")
        return values[0]

    def _cid(self) -> str:
        return cids.cid_of(cids.digest_of(self._argument()))

    def _option(self, name: str, default: str) -> str:
        return self._query.get(name, [default])[-1]

    def _whole_number(self, name: str) -> int | None:
        text = self._option(name, "")
        if text and not re.fullmatch(r"\d{1,18}", text):
            raise _BadRequest(f"{name} is a number of bytes")
        return int(text) if text else None

    def _timeout(self) -> float:
        return duration_seconds(self._option("timeout", str(DEFAULT_FETCH_SECONDS)))

    # ---- actions ----

    def _add(self) -> None:
        found = re.search(r'boundary="?([^";]{1,70})"?', self.headers.get("Content-Type", ""))
        if not found:
            raise _BadRequest("not multipart/form-data")
        if self._option("cid-version", "0") != "0" or self._option("raw-leaves", "false") == "true":
            raise _BadRequest("this daemon makes CIDv0 with plain leaves only")
        node, path = self.server.node, self.server.node.temporary()
        try:
            with path.open("wb") as out:
                pieces = body_pieces(self.rfile, self.headers)
                size = first_part(pieces, found.group(1).encode(), out, MAX_ADD_BYTES)
            cid = node.add(path, only_hash=self._option("only-hash", "false") == "true")
            if self._option("pin", "true") == "false":
                node.unpin(cid)
        except OSError as error:
            raise StorageError(f"the body could not be kept: {error}") from error
        finally:
            path.unlink(missing_ok=True)
        self._json({"Name": cid, "Hash": cid, "Size": str(size)})

    def _cat(self) -> None:
        offset, length = self._whole_number("offset") or 0, self._whole_number("length")
        limit = None if length is None else offset + length
        with self.server.node.fetches.open(self._cid(), self._timeout(), limit, self._hung_up) as reader:
            pieces = reader.pieces(offset)
            piece = next(pieces, b"")  # an error before the first byte is an answer
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("X-Content-Length", str(reader.size))
            self.send_header("Transfer-Encoding", "chunked")  # so that a cut connection is seen as one
            self.end_headers()
            left = reader.size if length is None else length
            try:
                while piece and left > 0:
                    piece = piece[:left]
                    left -= len(piece)
                    self.wfile.write(b"%x\r\n" % len(piece))
                    self.wfile.write(piece)
                    self.wfile.write(b"\r\n")
                    piece = next(pieces, b"")
                self.wfile.write(b"0\r\n\r\n")
            except StorageError as error:
                log.info("a file broke off: %s", error)
                self.close_connection = True

    def _hung_up(self) -> bool:
        """Whether the client is gone: its side of the connection is at an end."""
        try:
            poll = select.poll()
            poll.register(self.connection, select.POLLIN)
            return bool(poll.poll(0)) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _block_get(self) -> None:
        cid = self._cid()
        block = self.server.node.blocks.read(cids.digest_of(cid))
        if block is None:
            raise StorageError(f"block was not found locally: could not find {cid}")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(block)))
        self.end_headers()
        self.wfile.write(block)

    def _pin_add(self) -> None:
        cid = self._cid()
        self.server.node.pin(cid, self._timeout())
        self._json({"Pins": [cid]})

    def _pin_rm(self) -> None:
        cid = self._cid()
        self.server.node.unpin(cid)
        self._json({"Pins": [cid]})

    def _pin_ls(self) -> None:
        pins = self.server.node.roots()
        if "arg" in self._query:
            cid = self._cid()
            if cid not in pins:
                raise StorageError(f"path '{cid}' is not pinned")
            pins = [cid]
        self._json({"Keys": {cid: {"Type": "recursive"} for cid in pins}})

    def _id(self) -> None:
        node = self.server.node
        self._json(
            {
                "ID": node.peer_id,
                "PublicKey": "",
                "Addresses": node.addresses(),
                "AgentVersion": "kubo/libkubo/strata",
                "ProtocolVersion": "ipfs/0.1.0",
            }
        )

    def _version(self) -> None:
        self._json({"Version": VERSION, "Commit": "", "Repo": "14", "System": "linux", "Golang": ""})

    def _connect(self) -> None:
        address = self._argument()
        self.server.node.connect(address)
        if self._option("keep", "true") == "true":
            self.server.node.want([address])
        self._json({"Strings": [f"connect {address.rpartition('/')[2]} success"]})

    def _peers(self) -> None:
        parts = [address.replace("/p2p/", "/").rpartition("/") for address in self.server.node.peers()]
        self._json({"Peers": [{"Addr": where, "Peer": peer} for where, _, peer in parts]})

    def _repo_stat(self) -> None:
        node = self.server.node
        files, held = node.blocks.count()
        most = node.limit_bytes
        self._json(
            {"NumObjects": files, "RepoSize": held, "RepoPath": str(node.repo), "StorageMax": most, "Version": ""}
        )

    def _repo_gc(self) -> None:
        gone, _ = self.server.node.collect_garbage()
        quiet = self._option("quiet", "false") == "true"
        body = b"".join(json.dumps({"Key": {"/": cid}}).encode() + b"\n" for cid in ([] if quiet else gone))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stop(self) -> None:
        self._json({})
        threading.Thread(target=self.server.shutdown, daemon=True).start()

    _ACTIONS: ClassVar[dict[str, Any]] = {
        "add": _add,
        "cat": _cat,
        "pin/add": _pin_add,
        "pin/rm": _pin_rm,
        "pin/ls": _pin_ls,
        "id": _id,
        "version": _version,
        "swarm/connect": _connect,
        "swarm/peers": _peers,
        "block/get": _block_get,
        "repo/stat": _repo_stat,
        "repo/gc": _repo_gc,
        "shutdown": _stop,
    }
