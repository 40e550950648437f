"""Content by digest: put, get, pin. The only module that knows ipfshttpclient.

Whatever a daemon hands over is re-hashed here (``client.cid``): bytes that are not what the digest names never reach a
caller. Every read has a byte limit and a deadline. ``IpfsStore`` speaks to one Kubo-compatible daemon or several,
``MemoryStore`` is the fake that ships for tests. ``get_many`` fetches side by side from either.

How a blob is fetched (retries, resumption, other daemons) is in ``client.fetching``, the read cache in
``client.blob_cache``.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

from client.blob_cache import DEFAULT_LIMIT_BYTES, BlobCache, temporary_beside
from client.cid import cid_of, digest_bytes, digest_file, digest_of
from client.errors import DigestMismatch, NotFound, StorageError, StorageUnavailable, TooLarge
from client.fetching import Ranked, Silent, fetch, get_many, prefetch

__all__ = [
    "IpfsStore", "MemoryStore", "Store", "cid_of", "digest_bytes", "digest_file", "digest_of", "get_many", "prefetch",
]  # fmt: skip

DEFAULT_TIMEOUT_SECONDS = 60.0
PUT_TIMEOUT_SECONDS = 300.0
CONNECT_SECONDS = 5.0
SEND_BYTES = 2**20  # of one piece of what is written; ipfshttpclient's own 8 KB take half as long again
GRACE_SECONDS = 3.0  # for the daemon's own deadline to fire before ours
NUDGE_SECONDS = 5.0  # between two looks at whether a daemon is connected to the known providers


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
    """A store on IPFS daemons. Threads may share it.

    ``api``: a multiaddress like /ip4/127.0.0.1/tcp/5001/http, or several (a sequence, or one text with commas). What is
    written and pinned goes to the first; reads ask the others where it fails. ``providers``: multiaddresses of daemons
    that may have what is wanted; ours are connected to them when they give nothing.
    """

    def __init__(
        self,
        api: str | Sequence[str],
        cache_dir: Path | None = None,
        cache_bytes: int = DEFAULT_LIMIT_BYTES,
        providers: Sequence[str] = (),
    ) -> None:
        names = re.split(r"[,\s]+", api.strip()) if isinstance(api, str) else list(api)
        self.api = names[0]
        self.cache = BlobCache(cache_dir, cache_bytes) if cache_dir else None
        self._daemons = [_Daemon(name, providers) for name in names]
        self._ranked = [Ranked(daemon) for daemon in self._daemons]

    @property
    def _client(self) -> Any:
        return self._daemons[0].client

    # ---- writing ----

    def put(self, data: bytes) -> bytes:
        """Store and pin ``data``; returns its digest."""
        with _mapped("add to"):
            cid = self._client.add_bytes(data, opts=_ADD_OPTIONS, timeout=(CONNECT_SECONDS, PUT_TIMEOUT_SECONDS))
        return _agreed(digest_bytes(data), cid)

    def put_file(self, path: Path) -> bytes:
        """Store and pin a file, read as a stream; returns its digest. It is hashed here while it is sent."""
        with ThreadPoolExecutor(1) as hasher:
            digest = hasher.submit(digest_file, path)
            with _mapped("add to"):
                answer = self._client.add(str(path), cid_version=0, timeout=(CONNECT_SECONDS, PUT_TIMEOUT_SECONDS))
            return _agreed(digest.result(), str(answer["Hash"]))

    # ---- reading ----

    def get(self, digest: bytes, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> bytes:
        """The verified bytes. NotFound after ``timeout`` seconds, TooLarge past ``max_bytes``, DigestMismatch."""
        deadline = time.monotonic() + timeout
        if self.cache is None:
            memory = io.BytesIO()
            fetch(self._ranked, digest, memory, max_bytes, deadline)
            return memory.getvalue()
        with self._cached(self.cache, digest, max_bytes, deadline) as file:
            return file.read()

    def get_file(self, digest: bytes, path: Path, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Like ``get``, into a file that appears complete or not at all; with a cache it is a hard link, read-only."""
        deadline = time.monotonic() + timeout
        temporary = temporary_beside(path)
        try:
            if self.cache is None:
                with temporary.open("x+b") as out:
                    fetch(self._ranked, digest, out, max_bytes, deadline)
            else:
                with self._cached(self.cache, digest, max_bytes, deadline) as file:
                    self.cache.link(digest, file, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def check(self, digest: bytes, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> int:
        """Read it from the daemons to the end and keep nothing; its size in bytes. Raises what ``get`` raises."""
        nowhere = _Nowhere()
        fetch(self._ranked, digest, nowhere, max_bytes, time.monotonic() + timeout)
        return nowhere.taken

    @contextlib.contextmanager
    def _cached(self, cache: BlobCache, digest: bytes, max_bytes: int, deadline: float) -> Iterator[IO[bytes]]:
        """The cache's verified entry, fetched by one process while the others wait."""
        file = cache.open(digest, max_bytes)
        while file is None:
            with cache.claim(digest, deadline) as partial:
                if partial is not None:
                    fetch(self._ranked, digest, partial, max_bytes, deadline)
                    cache.keep(digest, partial)
                    partial.seek(0)
                    yield partial
                    return
            file = cache.open(digest, max_bytes)
        with file:
            yield file

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

    def collect_garbage(self) -> None:
        """Have the daemon delete what nothing pins."""
        with _mapped("collect the garbage of"):
            self._client.repo.gc(quiet=True, timeout=(CONNECT_SECONDS, PUT_TIMEOUT_SECONDS))

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
            self._client.swarm.connect(_Address(address), timeout=(CONNECT_SECONDS, DEFAULT_TIMEOUT_SECONDS))

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


class _Address:
    """Its text, once: ipfshttpclient sends an address and then what iterating over it gives, each letter of a text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def __iter__(self) -> Iterator[str]:
        return iter(())


class _Nowhere(io.BytesIO):
    """Takes bytes and counts them."""

    taken = 0

    def write(self, data: Any) -> int:
        """Forgets them."""
        self.taken += len(data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Begins anew."""
        self.taken = 0
        return 0


class _Daemon:
    """One daemon as a source to fetch from."""

    def __init__(self, name: str, providers: Sequence[str]) -> None:
        self.name = name
        self._providers = providers
        self._made: Any = None
        self._making = threading.Lock()
        self._nudged = float("-inf")

    @property
    def client(self) -> Any:
        with self._making:
            if self._made is None:
                warnings.filterwarnings("ignore", "The 'strict' parameter is no longer needed", FutureWarning)
                import ipfshttpclient  # it is old: urllib3 warns of how it is called

                with _mapped("connect to"):  # the constructor skips connect()'s version check, which knows 0.7 at most
                    self._made = ipfshttpclient.Client(self.name, chunk_size=SEND_BYTES)
            return self._made

    def stream(
        self, cid: str, offset: int, length: int, seconds: float, patience: float
    ) -> Generator[bytes, None, None]:
        """The daemon's bytes, unverified. The daemon itself gives up after ``seconds``."""
        options: dict[str, Any] = {"length": length, "timeout": f"{max(1, round(seconds * 1000))}ms"}
        if offset:
            options["offset"] = offset
        waits = (CONNECT_SECONDS, patience + (GRACE_SECONDS if patience >= seconds else 0.0))
        with _heard(self.name):
            stream = self.client.cat(cid, opts=options, stream=True, timeout=waits)
        with contextlib.closing(stream):
            while True:
                with _heard(self.name):
                    piece = next(stream, b"")
                if not piece:
                    return
                yield bytes(piece)

    def nudge(self) -> None:
        """Connect to the known providers, if it is time to look."""
        if self._providers and time.monotonic() - self._nudged > NUDGE_SECONDS:
            self._nudged = time.monotonic()
            for address in self._providers:
                with contextlib.suppress(StorageError), _mapped("connect"):
                    self.client.swarm.connect(_Address(address), timeout=(CONNECT_SECONDS, NUDGE_SECONDS))


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

    def check(self, digest: bytes, max_bytes: int, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> int:
        """Read it to the end and keep nothing; its size in bytes."""
        return len(self.get(digest, max_bytes, timeout))

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


@contextlib.contextmanager
def _heard(name: str) -> Iterator[None]:
    """A read that took too long as ``Silent``: the daemon is there, so it may give it later."""
    try:
        with _mapped("read from"):
            yield
    except StorageUnavailable as error:
        words = repr(error.__cause__).lower()
        if "timed out" in words and "connecttimeout" not in words:
            raise Silent(f"The IPFS daemon {name} was silent for too long.") from error
        raise


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
