"""What lies on disk as blocks, read without Kubo; and the fetches' book-keeping, with a node that is a fake."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import cid
from client.cid import cid_of, digest_of, digest_of_flatfs, flatfs_name
from client.errors import NotFound, StorageError, TooLarge
from client.kubo_blocks import Blocks, Branch, depth_of, parse
from client.kubo_fetches import Fetches


def _leaf(content: bytes) -> bytes:
    size = bytes([len(content)])
    data = b"\x08\x02\x12" + size + content + b"\x18" + size
    return b"\x0a" + bytes([len(data)]) + data


def _branch(*children: tuple[bytes, int]) -> bytes:
    links = b"".join(b"\x12\x28\x0a\x22\x12\x20" + digest + b"\x12\x00\x18\x01" for digest, _ in children)
    data = b"\x08\x02\x18" + bytes([sum(size for _, size in children)])
    data += b"".join(b"\x20" + bytes([size]) for _, size in children)
    return links + b"\x0a" + bytes([len(data)]) + data


def _keep(blocks: Blocks, block: bytes) -> bytes:
    digest = hashlib.sha256(block).digest()
    blocks.path(digest).parent.mkdir(parents=True, exist_ok=True)
    blocks.path(digest).write_bytes(block)
    return digest


def _file(blocks: Blocks) -> tuple[bytes, list[bytes]]:
    """hello world, in three chunks (of four bytes, for the tests)."""
    leaves = [_keep(blocks, _leaf(content)) for content in (b"hell", b"o wo", b"rld")]
    return _keep(blocks, _branch(*zip(leaves, (4, 4, 3), strict=True))), leaves


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cid, "CHUNK_BYTES", 4)
    monkeypatch.setattr(cid, "LINKS_PER_NODE", 3)


@pytest.mark.parametrize(("size", "depth"), [(0, 0), (4, 0), (5, 1), (12, 1), (13, 2), (36, 2), (37, 3)])
def test_depth_when_a_file_grows_then_follows_its_chunks(size: int, depth: int) -> None:
    assert depth_of(size) == depth


@given(st.binary(max_size=200))
def test_parse_when_block_is_garbage_then_is_refused_or_read(block: bytes) -> None:
    with contextlib.suppress(StorageError):
        assert isinstance(parse(block), Branch | bytes)


def test_parse_when_sizes_do_not_add_up_then_is_refused() -> None:
    good = _branch((bytes(32), 4), (bytes(32), 3))
    assert parse(good) == Branch(((bytes(32), 4), (bytes(32), 3)))
    for bad in (good[:-1] + b"\x09", _branch((bytes(32), 4), (bytes(32), 0)), _leaf(b"abc")[:-1] + b"\x04"):
        with pytest.raises(StorageError):
            parse(bad)


@pytest.mark.parametrize("offset", [0, 1, 4, 7, 8, 10, 11, 50])
def test_pieces_when_read_from_an_offset_then_are_the_rest(tmp_path: Path, offset: int) -> None:
    blocks = Blocks(tmp_path)
    root, _ = _file(blocks)
    assert b"".join(blocks.pieces(root, offset, lambda digest: blocks.read(digest) or b"")) == b"hello world"[offset:]
    assert blocks.size(root) == 11


def test_complete_when_a_chunk_is_missing_then_it_is_not(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path)
    root, leaves = _file(blocks)
    assert blocks.is_complete(root)
    assert blocks.children(root) == leaves
    assert blocks.children(leaves[0]) == []
    blocks.path(leaves[2]).unlink()
    assert not blocks.is_complete(root)
    assert not blocks.is_complete(bytes(32))


def test_sweep_when_blocks_are_not_live_or_young_then_they_stay(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path)
    names = [_keep(blocks, os.urandom(100)) for _ in range(3)]
    small = _keep(blocks, b"small")
    long_ago = time.time() - 1000
    for digest in (*names[:2], small):
        os.utime(blocks.path(digest), (long_ago, long_ago))
    gone, freed = blocks.sweep({flatfs_name(names[0])}, 500)
    assert [digest_of_flatfs(name) for name in gone] == [names[1]]
    assert freed == 100
    assert blocks.count() == (3, 205)


class Node:
    """Brings a file's blocks when it is told to; remembers pins."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks, self.pins, self.restarts = blocks, set[str](), 0
        self.arrives = threading.Event()
        self.file: dict[bytes, bytes] = {}

    def fetch_and_pin(self, cid: str) -> int:
        if self.blocks.read(digest_of(cid)) is None:
            self.arrives.wait(10)
            for block in self.file.values():
                _keep(self.blocks, block)
        self.pins.add(cid)
        return 0

    def fetch_missing(self, cid: str) -> int:
        for block in self.file.values():
            _keep(self.blocks, block)
        return 0

    def pin_here(self, cid: str) -> int:
        return self.fetch_and_pin(cid)

    def is_pinned(self, cid: str) -> bool:
        return cid in self.pins

    def drop_pin(self, cid: str) -> None:
        self.pins.discard(cid)

    def generation(self) -> int:
        return self.restarts

    def restart_soon(self, generation: int) -> None:
        self.restarts += 1


@pytest.fixture
def world(tmp_path: Path) -> tuple[Node, Fetches, str]:
    elsewhere = Blocks(tmp_path / "elsewhere")
    root, leaves = _file(elsewhere)
    node = Node(Blocks(tmp_path / "blocks"))
    node.file = {digest: elsewhere.read(digest) or b"" for digest in (root, *leaves)}
    fetches = Fetches(node, node.blocks, tmp_path / "fetching")
    fetches.forget_leftovers()
    return node, fetches, cid_of(root)


def _until(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_fetch_when_read_then_its_pin_goes_and_its_marker_too(world: tuple[Node, Fetches, str], tmp_path: Path) -> None:
    node, fetches, name = world
    node.arrives.set()
    with fetches.open(name, 10, 11) as reader:
        assert (reader.size, b"".join(reader.pieces())) == (11, b"hello world")
    _until(lambda: not node.pins and not any((tmp_path / "fetching").iterdir()))


def test_fetch_when_pinned_while_it_runs_then_the_pin_stays(world: tuple[Node, Fetches, str], tmp_path: Path) -> None:
    node, fetches, name = world
    pinning = threading.Thread(target=fetches.pin, args=(name, 10))
    pinning.start()
    with pytest.raises(NotFound):
        fetches.open(name, 0.05)
    node.arrives.set()
    pinning.join(10)
    assert node.pins == {name}
    assert not any((tmp_path / "fetching").iterdir())


def test_fetch_when_pinned_after_all_is_read_and_before_it_ends_then_the_pin_stays(
    world: tuple[Node, Fetches, str], tmp_path: Path
) -> None:
    node, fetches, name = world
    node.arrives.set()
    ends = threading.Event()
    fetch_and_pin = node.fetch_and_pin

    def lingering(cid: str) -> int:
        code = fetch_and_pin(cid)
        if threading.current_thread().name.startswith("fetch"):
            ends.wait(10)
        return code

    node.fetch_and_pin = lingering  # type: ignore[method-assign]
    node.pin_here = fetch_and_pin  # type: ignore[method-assign]
    with fetches.open(name, 10) as reader:
        assert b"".join(reader.pieces()) == b"hello world"
        fetch = reader.fetch
    fetches.pin(name, 10)
    ends.set()
    assert fetch is not None
    assert fetch.done.wait(10)
    assert node.pins == {name}
    assert not any((tmp_path / "fetching").iterdir())


def test_fetch_when_a_pinned_file_lost_blocks_then_they_come_back_and_it_stays_pinned(
    world: tuple[Node, Fetches, str],
) -> None:
    node, fetches, name = world
    node.arrives.set()
    fetches.pin(name, 10)
    lost = node.blocks.children(digest_of(name))[1]
    node.blocks.path(lost).unlink()
    with fetches.open(name, 10) as reader:
        assert b"".join(reader.pieces()) == b"hello world"
        assert reader.fetch is not None
        assert reader.fetch.done.wait(10)
    assert node.pins == {name}


def test_fetch_when_its_process_was_killed_then_the_pin_is_dropped_at_the_next_start(
    world: tuple[Node, Fetches, str], tmp_path: Path
) -> None:
    node, _, name = world
    node.pins = {name, "wanted"}
    (tmp_path / "fetching" / name).touch()
    Fetches(node, node.blocks, tmp_path / "fetching").forget_leftovers()
    assert node.pins == {"wanted"}


def test_fetch_when_nobody_listens_or_it_is_too_large_then_it_ends(world: tuple[Node, Fetches, str]) -> None:
    node, fetches, name = world
    with pytest.raises(NotFound):
        fetches.open(name, 10, gone=lambda: True)
    node.arrives.set()
    with pytest.raises(TooLarge):
        fetches.open(name, 10, 10)


def test_fetch_when_somebody_joins_while_a_restart_ends_it_then_it_starts_again(
    world: tuple[Node, Fetches, str],
) -> None:
    node, fetches, name = world
    fetch_and_pin, cut, joined = node.fetch_and_pin, threading.Event(), threading.Event()
    calls: list[str] = []

    def ended_by_a_restart(cid: str) -> int:
        calls.append(cid)
        if len(calls) > 1:
            return fetch_and_pin(cid)
        cut.wait(10)
        node.restarts += 1
        return -3

    def late(cid: str) -> None:  # the fetch is being tidied up: nobody waited for it when the restart ended it
        joined.set()
        _until(lambda: fetches._running[name].waiting == 1)

    node.fetch_and_pin, node.drop_pin = ended_by_a_restart, late  # type: ignore[method-assign]
    node.arrives.set()
    with pytest.raises(NotFound):
        fetches.open(name, 0.05)
    cut.set()
    assert joined.wait(10)
    with fetches.open(name, 10) as reader:
        assert b"".join(reader.pieces()) == b"hello world"
    assert len(calls) == 2
