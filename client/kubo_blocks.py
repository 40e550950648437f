"""Files read straight from the blocks that Kubo keeps on disk, in order, also while they still arrive.

Kubo's flatfs holds one file per block, which appears whole. Only the one layout is read that ``ipfs add`` makes by
default (``client.cid``): everything else can't have a digest of ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from client import cid as cids
from client.errors import StorageError

MAX_BLOCK_BYTES = 4 * 2**20
SMALL_BYTES = 64  # Kubo's own empty folder and the like: never garbage
FORM = "is not a file that we lay out"


@dataclass(frozen=True)
class Branch:
    """A block that holds no content itself: its children's digests and sizes in bytes, in order."""

    children: tuple[tuple[bytes, int], ...]

    @property
    def size(self) -> int:
        """Bytes of content below it."""
        return sum(size for _, size in self.children)


def parse(block: bytes) -> Branch | bytes:
    """A block as a branch, or as the content that it holds; StorageError where it is no block of a file."""
    fields = cids.fields_of(block)
    data = [value for number, value in fields if number == 1]
    links = [value for number, value in fields if number == 2]
    if len(data) != 1 or not isinstance(data[0], bytes):
        raise StorageError(FORM)
    inner = cids.fields_of(data[0])
    facts = dict(inner)
    size = facts.get(3, 0)
    if facts.get(1) != cids.FILE or not isinstance(size, int):
        raise StorageError(FORM)
    if not links:
        content = facts.get(2, b"")
        if not isinstance(content, bytes) or len(content) != size or size > cids.CHUNK_BYTES:
            raise StorageError(FORM)
        return content
    sizes = [value for number, value in inner if number == 4 and isinstance(value, int)]
    branch = Branch(tuple(zip((_digest(link) for link in links), sizes, strict=False)))
    if len(sizes) != len(links) or len(links) > cids.LINKS_PER_NODE or branch.size != size or not all(sizes):
        raise StorageError(FORM)
    return branch


def _digest(link: int | bytes) -> bytes:
    name = dict(cids.fields_of(link)).get(1) if isinstance(link, bytes) else None
    if not isinstance(name, bytes) or len(name) != 34 or name[:2] != b"\x12\x20":
        raise StorageError(FORM)
    return name[2:]


class Blocks:
    """The folder ``blocks`` of a Kubo repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: bytes) -> Path:
        """Where the block with that digest is, or would be."""
        name = cids.flatfs_name(digest)
        return self.folder / name[-3:-1] / f"{name}.data"

    def read(self, digest: bytes) -> bytes | None:
        """A block, unverified; None where it is not here."""
        try:
            with self.path(digest).open("rb") as file:
                return file.read(MAX_BLOCK_BYTES)
        except FileNotFoundError:
            return None

    def size(self, digest: bytes) -> int | None:
        """The bytes of content that a file's root block declares; None where it is not here."""
        block = self.read(digest)
        if block is None:
            return None
        found = parse(block)
        return found.size if isinstance(found, Branch) else len(found)

    def children(self, digest: bytes) -> list[bytes]:
        """The blocks that a block links to; none where it is a chunk or is not here."""
        try:
            with self.path(digest).open("rb") as file:
                if file.read(1) == b"\x0a":
                    return []  # no link comes first: a chunk, whose bytes need not be read
        except FileNotFoundError:
            return []
        found = parse(self.read(digest) or b"")
        return [child for child, _ in found.children] if isinstance(found, Branch) else []

    def is_complete(self, digest: bytes) -> bool:
        """Whether every block of the file is here."""
        size = self.size(digest)
        return size is not None and self._is_complete(digest, depth_of(size))

    def _is_complete(self, digest: bytes, depth: int) -> bool:
        if depth == 0:
            return self.path(digest).exists()
        block = self.read(digest)
        found = b"" if block is None else parse(block)
        return isinstance(found, Branch) and all(self._is_complete(child, depth - 1) for child, _ in found.children)

    def is_complete_file(self, digest: bytes) -> bool:
        """Whether every block is here, or it is no file of ours at all, so that nobody will read it."""
        try:
            return self.is_complete(digest)
        except StorageError:
            return True

    def pieces(self, digest: bytes, offset: int, need: Callable[[bytes], bytes], size: int = -1) -> Iterator[bytes]:
        """The content from ``offset`` on, chunk by chunk. ``need`` gives a block, waiting for it, or raises."""
        found = parse(need(digest))
        if not isinstance(found, Branch):
            if size not in (-1, len(found)):
                raise StorageError(FORM)
            if found[offset:]:
                yield found[offset:]
            return
        if size not in (-1, found.size):
            raise StorageError(FORM)
        for child, inside in found.children:
            if offset < inside:
                yield from self.pieces(child, offset, need, inside)
            offset = max(0, offset - inside)

    def count(self) -> tuple[int, int]:
        """How many blocks there are, and their bytes."""
        sizes = [size for _, size, _ in self._files()]
        return len(sizes), sum(sizes)

    def sweep(self, live: set[str], min_age_seconds: float) -> tuple[list[str], int]:
        """Delete the blocks whose flatfs names are not in ``live``; their names, and their bytes.

        Only while the node is closed: it remembers which blocks it has.
        """
        gone, freed = [], 0
        newest = time.time() - min_age_seconds
        for path, size, written in list(self._files()):
            if path.stem not in live and size > SMALL_BYTES and written <= newest:
                path.unlink(missing_ok=True)
                gone.append(path.stem)
                freed += size
        return gone, freed

    def _files(self) -> Iterator[tuple[Path, int, float]]:
        for path in self.folder.glob("*/*.data"):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            yield path, found.st_size, found.st_mtime


class Watch:
    """Looks at blocks of one file as they arrive in any order, so that no false one leads to endless others.

    A fetch takes whatever a block links to. A block that says it is a chunk and is a branch could link to anything.
    """

    def __init__(self, blocks: Blocks, digest: bytes, size: int) -> None:
        self._blocks = blocks
        self._expected = {digest: (size, depth_of(size))}

    def look(self) -> None:
        """StorageError where a block that arrived is not what its parent says."""
        fresh = True
        while fresh:
            fresh = False
            for digest, (size, depth) in list(self._expected.items()):
                if not self._blocks.path(digest).exists():
                    continue
                del self._expected[digest]
                if depth == 0:
                    if self._blocks.children(digest):
                        raise StorageError(FORM)
                    continue
                found = parse(self._blocks.read(digest) or b"")
                if not isinstance(found, Branch) or found.size != size:
                    raise StorageError(FORM)
                self._expected.update((child, (inside, depth - 1)) for child, inside in found.children)
                fresh = True


def depth_of(size: int) -> int:
    """How many branches lie above each chunk of a file with so many bytes: all chunks are equally deep."""
    depth, leaves = 0, max(1, -(-size // cids.CHUNK_BYTES))
    while leaves > 1:
        depth, leaves = depth + 1, -(-leaves // cids.LINKS_PER_NODE)
    return depth
