"""An IPFS daemon of our own: Kubo as a library, in a process of its own, behind Kubo's RPC.

``python -m client.kubo --repo DIR --api 127.0.0.1:PORT`` runs one and prints a JSON line when it is ready. Programs use
``start_daemon``, which hands back an ``ipfshttpclient`` address whatever is behind it: the embedded daemon, a real
``ipfs`` from PATH, or a daemon that runs already.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from client.errors import PortTaken, StorageUnavailable, ToolMissing

READY_SECONDS = 30.0
DEFAULT_DISK_BYTES = 20 * 10**9
STOP_SECONDS = 3.0
PARENT_POLL_SECONDS = 0.3
_MEMORY = {"GOMAXPROCS": "1", "GOGC": "50", "GOMEMLIMIT": "192MiB", "OMP_NUM_THREADS": "1"}


@dataclass
class KuboDaemon:
    """A daemon that answers; a context manager that stops it if it is ours.

    ``api`` is a multiaddress for ``IpfsStore``, ``addresses`` are what other daemons connect to.
    """

    api: str
    addresses: list[str] = field(default_factory=list)
    peer_id: str = ""
    repo: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        """Whether our child still runs (True for a daemon that is not ours)."""
        return self.process is None or self.process.poll() is None

    def stop(self) -> None:
        """Stop the child within three seconds; a daemon that is not ours is left alone."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_SECONDS)
        if self.process.stdout:
            self.process.stdout.close()

    def __enter__(self) -> KuboDaemon:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


@dataclass(frozen=True)
class KuboSettings:
    """How to start a daemon."""

    kind: str = ""  # "embedded", "kubo" (ipfs on PATH) or the RPC multiaddress of a running one; "" asks STRATA_IPFS
    api_port: int = 0  # TCP port of the RPC on loopback; 0 takes a free one
    swarm_port: int = 0  # TCP port for other daemons; 0 takes the one of the last run, else a free one
    peer_book: Path | None = None  # folder shared by the daemons of one machine: each writes its address, all connect
    log: Path | None = None  # file for the daemon's log; None inherits standard error
    ready_seconds: float = READY_SECONDS
    disk_bytes: int = DEFAULT_DISK_BYTES  # blocks that are not pinned go when they pass this; 0: they stay for ever


def start_daemon(repo: Path, peers: Sequence[str] = (), settings: KuboSettings | None = None) -> KuboDaemon:
    """Start (or find) a daemon on the repository ``repo``, connected to ``peers``; returns when it answers.

    The child dies with the calling process, also after a kill -9.
    """
    settings = settings or KuboSettings()
    kind = settings.kind or os.environ.get("STRATA_IPFS", "") or "embedded"
    if kind.startswith("/"):
        return KuboDaemon(api=kind)
    repo.mkdir(parents=True, exist_ok=True)
    if kind == "kubo":
        return _start_real_kubo(repo, peers, settings)
    if kind != "embedded":
        raise StorageUnavailable(
            f"STRATA_IPFS is {kind!r}: use `embedded`, `kubo`, or an address like /ip4/127.0.0.1/tcp/5001/http."
        )
    command = [
        sys.executable,
        "-m",
        "client.kubo",
        "--repo",
        str(repo.resolve()),
        "--api",
        f"127.0.0.1:{settings.api_port}",
    ]
    command += ["--swarm-port", str(settings.swarm_port), "--parent", str(os.getpid())]
    command += ["--disk-bytes", str(settings.disk_bytes)]
    if settings.peer_book:
        command += ["--peer-book", str(settings.peer_book.resolve())]
    for peer in peers:
        command += ["--peer", peer]
    package_root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
    process = _spawn(command, {**os.environ, **_MEMORY, "PYTHONPATH": path}, settings)
    try:
        ready = _read_ready(process, settings.ready_seconds)
    except BaseException:
        KuboDaemon("", process=process).stop()
        raise
    return KuboDaemon(ready["api"], ready["addresses"], ready["id"], repo, process)


def _spawn(command: list[str], environment: Mapping[str, str], settings: KuboSettings) -> subprocess.Popen[bytes]:
    log = settings.log.open("ab") if settings.log else None
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C in a terminal stops the owner, who stops us
        )
    finally:
        if log:
            log.close()


def _read_ready(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """The child's ready line, or a typed error with what it said instead."""
    assert process.stdout is not None
    deadline, said = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while b"\n" not in said:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise StorageUnavailable(f"The IPFS daemon was not ready within {seconds:.0f} s.")
            piece = os.read(process.stdout.fileno(), 65_536)
            if not piece:
                raise StorageUnavailable(
                    f"The IPFS daemon ended at once (code {process.wait(STOP_SECONDS)}); see its log."
                )
            said += piece
    ready: dict[str, Any] = json.loads(said.split(b"\n")[0])
    if "error" in ready:
        raise (PortTaken if ready.get("kind") == "PortTaken" else StorageUnavailable)(ready["error"])
    return ready


def _start_real_kubo(repo: Path, peers: Sequence[str], settings: KuboSettings) -> KuboDaemon:
    """Kubo's own program on a quiet configuration. Where Strata runs, it is the embedded one that is tested."""
    from client.kubo_node import free_port, quiet_config  # does not load libkubo

    program = shutil.which("ipfs")
    if program is None:
        raise ToolMissing("STRATA_IPFS=kubo, but no `ipfs` is on PATH. Install Kubo, or use STRATA_IPFS=embedded.")
    environment = {**os.environ, "IPFS_PATH": str(repo)}
    if not (repo / "config").exists():
        subprocess.run(
            [program, "init"], env=environment, check=True, capture_output=True, timeout=settings.ready_seconds
        )
    config = quiet_config(json.loads((repo / "config").read_text()), settings.swarm_port or free_port())
    api = f"/ip4/127.0.0.1/tcp/{settings.api_port or free_port()}"
    config["Addresses"]["API"] = api
    config["AutoConf"] = {"Enabled": False}
    if settings.disk_bytes:
        config.setdefault("Datastore", {})["StorageMax"] = f"{settings.disk_bytes // 10**6}MB"
    (repo / "config").write_text(json.dumps(config, indent=1))
    with (settings.log or repo / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "daemon", "--enable-gc"], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    daemon = KuboDaemon(f"{api}/http", repo=repo, process=process)
    try:
        from client.storage import IpfsStore

        store = IpfsStore(daemon.api)
        store.wait_ready(settings.ready_seconds)
        for peer in peers:
            store.connect(peer)
        daemon.addresses, daemon.peer_id = store.addresses(), store.peer_id()
    except BaseException:
        daemon.stop()
        raise
    return daemon


# ---- the process ----


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one embedded daemon until SIGTERM, Ctrl-C or the parent's death."""
    parser = argparse.ArgumentParser(prog="python -m client.kubo", description="An IPFS daemon on loopback.")
    parser.add_argument("--repo", type=Path, required=True, help="folder of the IPFS repository")
    parser.add_argument(
        "--api", default="127.0.0.1:0", help="HOST:PORT of the RPC; only loopback; port 0 takes a free one"
    )
    parser.add_argument(
        "--swarm-port", type=int, default=0, help="port for other daemons; 0 keeps the last or takes a free one"
    )
    parser.add_argument(
        "--peer", action="append", default=[], metavar="MULTIADDR", help="stay connected to this daemon"
    )
    parser.add_argument("--peer-book", type=Path, help="folder in which the daemons of this machine find each other")
    parser.add_argument(
        "--disk-bytes", type=int, default=DEFAULT_DISK_BYTES, help="blocks without a pin go past this; 0 keeps them"
    )
    parser.add_argument("--parent", type=int, default=0, help="end when this process is no longer our parent")
    options = parser.parse_args(arguments)
    os.environ.update({name: os.environ.get(name, value) for name, value in _MEMORY.items()})
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    ready_line = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libkubo prints is not the ready line
    stop = threading.Event()
    _stop_on_signals(stop)
    return _serve(options, ready_line, stop)


def _serve(options: argparse.Namespace, ready_line: Any, stop: threading.Event) -> int:
    from client.kubo_http import RpcServer
    from client.kubo_node import KuboNode

    host, _, port = options.api.rpartition(":")
    if host not in ("127.0.0.1", "localhost"):
        return _say_error(ready_line, StorageUnavailable("The RPC listens on 127.0.0.1 only."))
    try:
        _require_free(int(port))
        node = KuboNode(options.repo.resolve(), options.swarm_port)
        server = RpcServer(node, int(port))
    except (StorageUnavailable, PortTaken, OSError) as error:
        return _say_error(ready_line, error)
    _stop_on_signals(stop)  # again: loading libkubo put Go's handlers in their place
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="rpc", daemon=True).start()
    if options.disk_bytes > 0:
        threading.Thread(target=node.keep_below, args=(options.disk_bytes,), name="room", daemon=True).start()
    node.want(options.peer)
    api = f"/ip4/127.0.0.1/tcp/{server.port}/http"
    ready = {"api": api, "id": node.peer_id, "addresses": node.addresses(), "pid": os.getpid()}
    ready_line.write(json.dumps(ready) + "\n")
    ready_line.close()
    while True:
        if options.peer_book:
            node.want(_read_peer_book(options.peer_book, node.peer_id, node.addresses()))
        if stop.wait(PARENT_POLL_SECONDS) or (options.parent and os.getppid() != options.parent):
            break
    closing = threading.Thread(target=node.close, name="close", daemon=True)
    closing.start()
    closing.join(STOP_SECONDS - 1.0)
    sys.stderr.flush()
    os._exit(0)  # threads that sit inside libkubo can't be joined


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(f"Port {port} on 127.0.0.1 is taken by another process; choose another or 0.") from error


def _say_error(ready_line: Any, error: Exception) -> int:
    ready_line.write(json.dumps({"error": str(error), "kind": type(error).__name__}) + "\n")
    ready_line.close()
    return 1


def _read_peer_book(book: Path, own_id: str, own: Sequence[str]) -> list[str]:
    """Write our address into the shared folder where it changed; the addresses of the others."""
    book.mkdir(parents=True, exist_ok=True)
    entry, text = book / own_id, "\n".join(own)
    if not entry.exists() or entry.read_text() != text:
        temporary = book / f".{own_id}"
        temporary.write_text(text)
        temporary.replace(entry)
    found: list[str] = []
    for other in sorted(book.iterdir()):
        if other.name != own_id and not other.name.startswith("."):
            with contextlib.suppress(OSError):
                found += [line for line in other.read_text().splitlines() if line.startswith("/ip4/127.0.0.1/")]
    return found


if __name__ == "__main__":
    sys.exit(main())
