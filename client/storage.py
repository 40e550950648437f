"""Content by digest: put, get, pin. The only module that knows ipfshttpclient.

Whatever a daemon hands over is re-hashed here (``client.cid``): bytes that are not what the digest names never reach a
caller. Every read has a byte limit and a deadline. ``IpfsStore`` speaks to any Kubo-compatible daemon,
``MemoryStore`` is the fake that ships for tests.

The read cache is a folder shared by the processes of one machine. Entries are named by digest, appear by atomic rename
after verification, are read-only, and are **hashed again at every read**; a spoiled entry is deleted and fetched anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

from client.cid import CHUNK_BYTES, DigestHasher, cid_of, digest_bytes, digest_file, digest_of
from client.errors import DigestMismatch, NotFound, StorageError, StorageUnavailable, TooLarge

__all__ = ["IpfsStore", "MemoryStore", "Store", "cid_of", "digest_bytes", "digest_file", "digest_of"]

DEFAULT_TIMEOUT_SECONDS = 60.0
PUT_TIMEOUT_SECONDS = 300.0
CONNECT_SECONDS = 5.0
GRACE_SECONDS = 3.0  # for the daemon's own deadline to fire before ours
LOCK_POLL_SECONDS = 0.05


@runtime_checkable
class Store(Protocol):
    """Bytes by their 32-byte digest."""

    def put(self, data: bytes) -> bytes:
        """Store and pin ``data``; returns its digest."""

    def put_file(self, path: Path) -> bytes:
        """Store and pin a file, read as a stream; returns its digest."""

    def get(self, digest: bytes, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> bytes:
        """The verified bytes. NotFound after ``timeout`` seconds, TooLarge past ``max_bytes``, DigestMismatch."""

    def get_file(self, digest: bytes, path: Path, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Like ``get``, into a file that appears complete or not at all; memory stays bounded."""

    def pin(self, digest: bytes, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Keep this content, fetching it where needed."""

    def unpin(self, digest: bytes) -> None:
        """Stop keeping it; no error where it was not pinned."""


class IpfsStore:
    """A store on an IPFS daemon. Threads may share it; ``api`` is a multiaddress like /ip4/127.0.0.1/tcp/5001/http."""

    def __init__(self, api: str, cache_dir: Path | None = None) -> None:
        self.api = api
        self._cache = _Cache(cache_dir) if cache_dir else None
        self._made: Any = None
        self._making = threading.Lock()

    @property
    def _client(self) -> Any:
        with self._making:
            if self._made is None:
                warnings.filterwarnings("ignore", "The 'strict' parameter is no longer needed", FutureWarning)
                import ipfshttpclient  # it is old: urllib3 warns of how it is called

                with _mapped("connect to"):  # the constructor skips connect()'s version check, which knows 0.7 at most
                    self._made = ipfshttpclient.Client(self.api)
            return self._made

    # ---- writing ----

    def put(self, data: bytes) -> bytes:
        """Store and pin ``data``; returns its digest."""
        with _mapped("add to"):
            cid = self._client.add_bytes(data, opts=_ADD_OPTIONS, timeout=(CONNECT_SECONDS, PUT_TIMEOUT_SECONDS))
        return _agreed(digest_bytes(data), cid)

    def put_file(self, path: Path) -> bytes:
        """Store and pin a file, read as a stream; returns its digest."""
        digest = digest_file(path)
        with _mapped("add to"):
            answer = self._client.add(str(path), cid_version=0, timeout=(CONNECT_SECONDS, PUT_TIMEOUT_SECONDS))
        return _agreed(digest, str(answer["Hash"]))

    # ---- reading ----

    def get(self, digest: bytes, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> bytes:
        """The verified bytes. NotFound after ``timeout`` seconds, TooLarge past ``max_bytes``, DigestMismatch."""
        deadline = time.monotonic() + timeout
        if self._cache is None:
            hasher, pieces = DigestHasher(), []
            for piece in self._stream(digest, max_bytes, deadline):
                hasher.update(piece)
                pieces.append(piece)
            _require(digest, hasher)
            return b"".join(pieces)
        with self._cached(self._cache, digest, max_bytes, deadline) as file:
            return file.read()

    def get_file(self, digest: bytes, path: Path, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Like ``get``, into a file that appears complete or not at all; with a cache it is a hard link, read-only."""
        deadline = time.monotonic() + timeout
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            if self._cache is None:
                self._fetch(digest, temporary, max_bytes, deadline)
            else:
                with self._cached(self._cache, digest, max_bytes, deadline) as file:
                    _link_or_copy(file, self._cache.path(digest), temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _cached(self, cache: _Cache, digest: bytes, max_bytes: int, deadline: float) -> Iterator[IO[bytes]]:
        """The cache's verified entry, fetched by one process while the others wait."""
        file = cache.open(digest, max_bytes)
        if file is None:
            with cache.lock(digest, deadline):
                file = cache.open(digest, max_bytes)
                if file is None:
                    with cache.entry(digest) as temporary:
                        self._fetch(digest, temporary, max_bytes, deadline)
                    file = cache.open(digest, max_bytes)
        if file is None:
            raise StorageError(f"The cache entry of {cid_of(digest)} vanished while it was read; try again.")
        with file:
            yield file

    def _fetch(self, digest: bytes, path: Path, max_bytes: int, deadline: float) -> None:
        hasher = DigestHasher()
        with path.open("xb") as file:
            for piece in self._stream(digest, max_bytes, deadline):
                hasher.update(piece)
                file.write(piece)
        _require(digest, hasher)

    def _stream(self, digest: bytes, max_bytes: int, deadline: float) -> Iterator[bytes]:
        """The daemon's bytes for a digest, not yet verified, at most ``max_bytes`` of them."""
        cid = cid_of(digest)
        left = deadline - time.monotonic()
        if left <= 0:
            raise NotFound(f"No time left to fetch {cid}.")
        options = {"length": max_bytes + 1, "timeout": f"{max(1, round(left * 1000))}ms"}
        waits = (CONNECT_SECONDS, left + GRACE_SECONDS)
        with _mapped("read from"):
            stream = self._client.cat(cid, opts=options, stream=True, timeout=waits)
        with contextlib.closing(stream):
            received = 0
            while True:
                with _mapped("read from"):
                    piece = next(stream, b"")
                if not piece:
                    return
                received += len(piece)
                if received > max_bytes:
                    raise TooLarge(f"{cid} has more than the {max_bytes} bytes that are allowed here.")
                if time.monotonic() > deadline + GRACE_SECONDS:
                    raise NotFound(f"{cid} was not complete before the deadline: {received} bytes came.")
                yield bytes(piece)

    # ---- pins and peers ----

    def pin(self, digest: bytes, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Keep this content, fetching it where needed."""
        waits = (CONNECT_SECONDS, timeout + GRACE_SECONDS)
        with _mapped("pin at"):
            self._client.pin.add(cid_of(digest), opts={"timeout": f"{max(1, round(timeout * 1000))}ms"}, timeout=waits)

    def unpin(self, digest: bytes) -> None:
        """Stop keeping it; no error where it was not pinned."""
        try:
            with _mapped("unpin at"):
                self._client.pin.rm(cid_of(digest), timeout=(CONNECT_SECONDS, DEFAULT_TIMEOUT_SECONDS))
        except StorageUnavailable:
            raise
        except StorageError as error:
            if "not pinned" not in str(error):
                raise

    def pinned(self) -> set[bytes]:
        """The digests of everything pinned here (CIDv0 only)."""
        with _mapped("list pins of"):
            keys = self._client.pin.ls(type="recursive", timeout=(CONNECT_SECONDS, DEFAULT_TIMEOUT_SECONDS))["Keys"]
        return {digest_of(cid) for cid in keys if cid.startswith("Qm")}

    def peer_id(self) -> str:
        """The daemon's libp2p identity."""
        return str(self._identity()["ID"])

    def addresses(self) -> list[str]:
        """Where other daemons reach this one."""
        return [str(address) for address in self._identity()["Addresses"] or []]

    def _identity(self) -> Any:
        with _mapped("ask"):
            return self._client.id(timeout=(CONNECT_SECONDS, CONNECT_SECONDS))

    def connect(self, address: str) -> None:
        """Connect the daemon to another one."""
        with _mapped("connect"):
            self._client.swarm.connect(address, timeout=(CONNECT_SECONDS, DEFAULT_TIMEOUT_SECONDS))

    def peers(self) -> list[str]:
        """The identities of the connected daemons."""
        with _mapped("ask"):
            found = self._client.swarm.peers(timeout=(CONNECT_SECONDS, CONNECT_SECONDS))["Peers"]
        return [str(peer["Peer"]) for peer in found or []]

    def wait_ready(self, seconds: float) -> None:
        """Return when the daemon answers; StorageUnavailable after ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.peer_id()
                return
            except StorageUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


_ADD_OPTIONS = {"cid-version": 0, "pin": "true"}


class _Cache:
    """The shared folder of verified content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.folder / name[:2] / name

    def open(self, digest: bytes, max_bytes: int) -> IO[bytes] | None:
        """The entry, hashed and rewound; None where there is none or it is spoiled (then it is deleted)."""
        path = self.path(digest)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        try:
            if os.fstat(file.fileno()).st_size > max_bytes:
                raise TooLarge(f"{cid_of(digest)} has more than the {max_bytes} bytes that are allowed here.")
            hasher = DigestHasher()
            while piece := file.read(CHUNK_BYTES * 4):
                hasher.update(piece)
            if hasher.digest() != digest:
                path.unlink(missing_ok=True)
                file.close()
                return None
            file.seek(0)
            return file
        except BaseException:
            file.close()
            raise

    @contextlib.contextmanager
    def entry(self, digest: bytes) -> Iterator[Path]:
        """A temporary path that becomes the entry if the block ends well."""
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            yield temporary
            temporary.chmod(0o444)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, digest: bytes, deadline: float) -> Iterator[None]:
        """One process at a time fetches a digest; a holder that dies lets go."""
        locks = self.folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / digest.hex()[:3]).open("ab") as file:  # at most 4096 lock files, never deleted
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise NotFound(f"{cid_of(digest)}: another process still fetches it at the deadline.") from None
                    time.sleep(LOCK_POLL_SECONDS)
            yield


class MemoryStore:
    """A store in memory, with the same rules and faults on demand. Share one among fakes of nodes."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, bytes] = {}
        self.pins: set[bytes] = set()
        self.fault: Callable[[bytes], None] | None = None  # called with the digest before each read; may raise

    def put(self, data: bytes) -> bytes:
        """Store and pin ``data``; returns its digest."""
        digest = digest_bytes(data)
        self.blobs[digest] = bytes(data)
        self.pins.add(digest)
        return digest

    def put_file(self, path: Path) -> bytes:
        """Store and pin a file; returns its digest."""
        return self.put(path.read_bytes())

    def get(self, digest: bytes, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> bytes:
        """The verified bytes; NotFound at once (there is nobody to wait for)."""
        if self.fault:
            self.fault(digest)
        if digest not in self.blobs:
            raise NotFound(f"Nobody gave {cid_of(digest)} within {timeout:.0f} s.")
        data = self.blobs[digest]
        if len(data) > max_bytes:
            raise TooLarge(f"{cid_of(digest)} has more than the {max_bytes} bytes that are allowed here.")
        if digest_bytes(data) != digest:
            raise DigestMismatch(f"The bytes that came for {cid_of(digest)} are not what that CID names.")
        return data

    def get_file(self, digest: bytes, path: Path, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Like ``get``, into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.get(digest, max_bytes, timeout))

    def pin(self, digest: bytes, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Keep this content."""
        if digest not in self.blobs:
            raise NotFound(f"Nobody gave {cid_of(digest)} within {timeout:.0f} s.")
        self.pins.add(digest)

    def unpin(self, digest: bytes) -> None:
        """Stop keeping it."""
        self.pins.discard(digest)


def _agreed(digest: bytes, cid: str) -> bytes:
    if cid != cid_of(digest):
        raise DigestMismatch(
            f"The daemon stored {cid} where {cid_of(digest)} was to be stored: does it chunk differently?"
        )
    return digest


def _require(digest: bytes, hasher: DigestHasher) -> None:
    found = hasher.digest()
    if found != digest:
        raise DigestMismatch(
            f"The bytes that came for {cid_of(digest)} are those of {cid_of(found)}; they were dropped."
        )


def _link_or_copy(file: IO[bytes], source: Path, target: Path) -> None:
    """A hard link of the very file that was verified; a copy where the disk can't link."""
    with contextlib.suppress(OSError):
        os.link(source, target)
        if os.stat(target).st_ino == os.fstat(file.fileno()).st_ino:
            return
    target.unlink(missing_ok=True)
    with target.open("xb") as out:
        shutil.copyfileobj(file, out, CHUNK_BYTES * 4)


@contextlib.contextmanager
def _mapped(action: str) -> Iterator[None]:
    """ipfshttpclient's exceptions as ours."""
    import ipfshttpclient.exceptions as foreign

    try:
        yield
    except foreign.ErrorResponse as error:
        raise _from_message(str(error.args[0] if error.args else error)) from error
    except foreign.AddressError as error:
        raise StorageUnavailable(
            f"Not an IPFS API address: {error}. Write it like /ip4/127.0.0.1/tcp/5001/http."
        ) from error
    except (foreign.Error, OSError) as error:
        raise StorageUnavailable(f"Can't {action} the IPFS daemon ({error}). Is it running?") from error


def _from_message(message: str) -> StorageError:
    """A daemon's error text as the exception that it means."""
    lowered = message.lower()
    if "more than the" in lowered and "asked for" in lowered:
        return TooLarge(message)
    if any(words in lowered for words in ("is not a file", "is a directory")):  # ours, and Kubo's
        return DigestMismatch(f"What that CID names is no file: {message}")
    if any(words in lowered for words in ("deadline exceeded", "not found", "no connected peer", "could not find")):
        return NotFound(
            f"Nobody gave this content in time ({message}). Is a node that has it running? Try again later."
        )
    return StorageError(f"The IPFS daemon refused: {message}")
