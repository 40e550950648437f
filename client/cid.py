"""CIDs without a daemon: the digest of bytes as Kubo's ``ipfs add`` computes it, in pure Python.

A CIDv0 is the SHA-256 of the root of a balanced UnixFS tree: chunks of 256 KiB, at most 174 links to a node. The chain
stores the 32 bytes (a *digest*); the text ``Qm...`` is base58 of 0x12 0x20 and those bytes.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from client.errors import StorageError

CHUNK_BYTES = 262_144
LINKS_PER_NODE = 174
DIGEST_BYTES = 32

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_INDEX = {letter: value for value, letter in enumerate(_ALPHABET)}
_PREFIX = b"\x12\x20"  # sha2-256, 32 bytes
_CID_LENGTH = 46


def cid_of(digest: bytes) -> str:
    """The text form (``Qm...``) of a 32-byte digest."""
    if len(digest) != DIGEST_BYTES:
        raise StorageError(f"A digest has 32 bytes, this one {len(digest)}.")
    number = int.from_bytes(_PREFIX + digest, "big")
    letters = []
    while number:
        number, rest = divmod(number, 58)
        letters.append(_ALPHABET[rest])
    return "".join(reversed(letters))


def digest_of(cid: str) -> bytes:
    """The 32-byte digest of a CIDv0's text form."""
    text = cid.removeprefix("/ipfs/")
    if len(text) != _CID_LENGTH or not text.startswith("Qm") or any(letter not in _INDEX for letter in text):
        raise StorageError(f"Not a CIDv0 (Qm and 44 letters of base58): {cid[:80]!r}")
    number = 0
    for letter in text:
        number = number * 58 + _INDEX[letter]
    raw = number.to_bytes(len(_PREFIX) + DIGEST_BYTES, "big")
    return raw[len(_PREFIX) :]


def flatfs_name(digest: bytes) -> str:
    """The name under which Kubo's flatfs store keeps a block: base32 of its multihash, upper case, no padding."""
    return base64.b32encode(_PREFIX + digest).decode().rstrip("=")


def digest_of_flatfs(name: str) -> bytes:
    """The digest in such a name; empty where it is that of another hash."""
    try:
        raw = base64.b32decode(name + "=" * (-len(name) % 8))
    except ValueError:
        return b""
    return raw[len(_PREFIX) :] if raw.startswith(_PREFIX) and len(raw) == len(_PREFIX) + DIGEST_BYTES else b""


@dataclass(frozen=True)
class _Node:
    """A block of the tree: what its parent needs to know of it."""

    digest: bytes
    file_bytes: int  # of the file's content below it
    total_bytes: int  # of all blocks at and below it


class DigestHasher:
    """The digest of a stream, fed piece by piece; memory stays at one chunk and 174 links a level."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._levels: list[list[_Node]] = [[]]
        self.size_bytes = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        self.size_bytes += len(data)
        view = memoryview(data)
        if self._pending:
            missing = CHUNK_BYTES - len(self._pending)
            self._pending += view[:missing]
            view = view[missing:]
            if len(self._pending) < CHUNK_BYTES:
                return
            self._push(0, _leaf(self._pending))
            self._pending.clear()
        while len(view) >= CHUNK_BYTES:
            self._push(0, _leaf(view[:CHUNK_BYTES]))
            view = view[CHUNK_BYTES:]
        self._pending += view

    def digest(self) -> bytes:
        """The digest of all bytes so far; the hasher can't be fed after it."""
        if self._pending or self.size_bytes == 0:
            self._push(0, _leaf(self._pending))
            self._pending.clear()
        level = 0
        while level + 1 < len(self._levels) or len(self._levels[level]) > 1:
            if self._levels[level]:
                self._close(level)
            level += 1
        return self._levels[level][0].digest

    def _push(self, level: int, node: _Node) -> None:
        if level == len(self._levels):
            self._levels.append([])
        nodes = self._levels[level]
        if len(nodes) == LINKS_PER_NODE:
            self._close(level)
        self._levels[level].append(node)

    def _close(self, level: int) -> None:
        nodes = self._levels[level]
        self._levels[level] = []
        self._push(level + 1, _branch(nodes))


def digest_bytes(data: bytes) -> bytes:
    """The digest of ``data``, as ``ipfs add`` would give it."""
    hasher = DigestHasher()
    hasher.update(data)
    return hasher.digest()


def digest_file(path: Path) -> bytes:
    """The digest of a file, read as a stream."""
    hasher = DigestHasher()
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES * 4):
            hasher.update(piece)
    return hasher.digest()


def declared_size(block: bytes) -> int:
    """The file size in bytes that a UnixFS root block declares (a claim of whoever made it, not yet verified)."""
    for number, value in fields_of(block):
        if number == 1 and isinstance(value, bytes):
            fields = dict(fields_of(value))
            size = fields.get(3)
            if fields.get(1) == FILE and isinstance(size, int):
                return size
    raise StorageError("Not the root block of a file.")


def fields_of(data: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a protobuf message with varints and byte strings only."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if key & 7 == 0:
            found.append((key >> 3, value))
        elif key & 7 == 2 and at + value <= len(data):
            found.append((key >> 3, data[at : at + value]))
            at += value
        else:
            raise StorageError("Not a dag-pb block.")
    return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise StorageError("Not a dag-pb block.")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _int_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


FILE = 2  # UnixFS's type; 1 is a directory, 4 a symbolic link
_TYPE_FILE = _int_field(1, FILE)


def _leaf(chunk: bytes | bytearray | memoryview) -> _Node:
    """A chunk's block, hashed around the chunk: it is not copied."""
    size = len(chunk)
    head = _TYPE_FILE + (_varint(2 << 3 | 2) + _varint(size) if size else b"")
    tail = _int_field(3, size)
    block = _varint(1 << 3 | 2) + _varint(len(head) + size + len(tail)) + head
    hasher = hashlib.sha256(block)
    hasher.update(chunk)
    hasher.update(tail)
    return _Node(hasher.digest(), size, len(block) + size + len(tail))


def _branch(nodes: list[_Node]) -> _Node:
    links = b"".join(
        _bytes_field(
            2,
            _bytes_field(1, _PREFIX + node.digest) + _bytes_field(2, b"") + _int_field(3, node.total_bytes),
        )
        for node in nodes
    )
    file_bytes = sum(node.file_bytes for node in nodes)
    sizes = b"".join(_int_field(4, node.file_bytes) for node in nodes)
    block = links + _bytes_field(1, _TYPE_FILE + _int_field(3, file_bytes) + sizes)
    total = len(block) + sum(node.total_bytes for node in nodes)
    return _Node(hashlib.sha256(block).digest(), file_bytes, total)
