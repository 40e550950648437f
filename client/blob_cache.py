"""The folder of verified content that the processes of one machine share, bounded in size.

Entries are named by digest, appear by rename once they are verified, are read-only, and are **hashed again at every
read**; a spoiled entry is deleted. What is on its way is a *partial*: it stays when its fetch is cut or its process
is killed, and the next who asks goes on where it stopped. The partial is also the digest's lock: one process fetches,
the others wait for it, and a holder that dies lets go.

Past the limit, entries that were not read for longest go first, and partials that nobody works on after a day.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from client.cid import CHUNK_BYTES, DigestHasher, cid_of
from client.errors import NotFound, TooLarge

READ_BYTES = CHUNK_BYTES * 4
DEFAULT_LIMIT_BYTES = 20 * 10**9
LOCK_POLL_SECONDS = 0.02
TOUCH_SECONDS = 60.0  # an entry's time of reading is that exact
PARTIAL_SECONDS = 24 * 3600.0  # after which a partial that nobody works on is given up
LOW_WATER = 0.9  # of the limit: what is left after making room
_OURS = re.compile("partial|[0-9a-f]{2}")  # subfolders; others may keep theirs beside them
LOOK_PART = 64  # the folder is measured again when 1/64 of the limit was written


class BlobCache:
    """See the module. Threads and processes may share the folder; ``limit_bytes`` may be passed by 1/64 a process."""

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self._unmeasured = limit_bytes  # bytes written since the folder was last measured; at first, nobody knows

    def path(self, digest: bytes) -> Path:
        """Where the entry of a digest is, or would be."""
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
            if hash_of(file).digest() != digest:
                path.unlink(missing_ok=True)
                file.close()
                return None
            _touch(file)
            file.seek(0)
            return file
        except BaseException:
            file.close()
            raise

    @contextlib.contextmanager
    def claim(self, digest: bytes, deadline: float) -> Iterator[IO[bytes] | None]:
        """The digest's partial file, ours alone, for reading and appending; None where somebody just finished it.

        Waits for whoever has it until ``deadline`` (of ``time.monotonic``), then raises NotFound. A partial that is
        empty when the block ends goes; any other stays for the next.
        """
        path = self.folder / "partial" / digest.hex()
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open_locked(path, digest, deadline)
        try:
            if self.path(digest).exists():
                path.unlink(missing_ok=True)
                yield None
                return
            yield file
        finally:
            file.flush()
            if os.fstat(file.fileno()).st_size == 0 and _is_same(file, path):
                path.unlink(missing_ok=True)
            file.close()

    def keep(self, digest: bytes, file: IO[bytes]) -> None:
        """Make an entry of a claimed file that holds exactly what the digest names."""
        file.flush()
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.fchmod(file.fileno(), 0o444)
        (self.folder / "partial" / digest.hex()).replace(path)
        _touch(file)
        self._make_room(os.fstat(file.fileno()).st_size)

    def link(self, digest: bytes, file: IO[bytes], target: Path) -> None:
        """``target`` as a hard link of the very file that was verified; a copy where the disk can't link."""
        with contextlib.suppress(OSError):
            os.link(self.path(digest), target)
            if _is_same(file, target):
                return
        target.unlink(missing_ok=True)
        file.seek(0)
        with target.open("xb") as out:
            shutil.copyfileobj(file, out, READ_BYTES)

    def bytes_held(self) -> int:
        """Bytes of all entries and partials."""
        return sum(size for _, size, _ in _files(self.folder))

    # ---- room

    def _make_room(self, written: int) -> None:
        self._unmeasured += written
        if self._unmeasured < self.limit_bytes // LOOK_PART:
            return
        with (self.folder / "room").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # another process does it
            self._unmeasured = 0
            self.evict()

    def evict(self) -> int:
        """Delete old partials, and past the limit what was not read for longest; returns the bytes that went."""
        gone = 0
        found = []
        for used, size, path in _files(self.folder):
            if path.parent.name == "partial":
                gone += size if time.time() - used > PARTIAL_SECONDS and _drop_partial(path) else 0
            found.append((used, size, path))
        total = sum(size for _, size, _ in found) - gone
        if total <= self.limit_bytes:
            return gone
        for _, size, path in sorted(found):
            if total <= self.limit_bytes * LOW_WATER:
                break
            if path.parent.name == "partial":
                went = _drop_partial(path)
            else:
                path.unlink(missing_ok=True)
                went = True
            total -= size if went else 0
            gone += size if went else 0
        return gone


def hash_of(file: IO[bytes]) -> DigestHasher:
    """A hasher that has seen the whole file, from its beginning."""
    hasher = DigestHasher()
    file.seek(0)
    while piece := file.read(READ_BYTES):
        hasher.update(piece)
    return hasher


def temporary_beside(path: Path) -> Path:
    """A fresh name in the same folder, for a file that is to replace ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}")


def _open_locked(path: Path, digest: bytes, deadline: float) -> IO[bytes]:
    while True:
        file = path.open("a+b")
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise NotFound(f"{cid_of(digest)}: somebody else still fetches it at the deadline.") from None
                    time.sleep(LOCK_POLL_SECONDS)
            if _is_same(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its holder finished or dropped it: what we locked is no longer the partial


def _is_same(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _touch(file: IO[bytes]) -> None:
    """Note that it was read: by the time of access, which is set here because most disks don't."""
    found, now = os.fstat(file.fileno()), time.time()
    if now - found.st_atime > TOUCH_SECONDS or found.st_atime < found.st_mtime:
        with contextlib.suppress(OSError):  # another user's entry
            os.utime(file.fileno(), ns=(int(now * 1e9), found.st_mtime_ns))


def _drop_partial(path: Path) -> bool:
    """Delete a partial unless somebody works on it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            return True
    except OSError:
        return False


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """(last use in unix seconds, bytes, path) of every entry and partial."""
    try:
        inside = [entry.path for entry in os.scandir(folder) if _OURS.fullmatch(entry.name) and entry.is_dir()]
    except FileNotFoundError:
        return
    for sub in inside:
        for entry in os.scandir(sub):
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                used = found.st_mtime if sub.endswith("partial") else found.st_atime
                yield used, found.st_size, Path(entry.path)
