"""The digests that Kubo gives, known by heart here and compared with a daemon in tests/integration."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client import cid
from client.errors import StorageError

# sizes in bytes -> what `ipfs add` says of as many zero bytes
KNOWN = {
    0: "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
}


@pytest.mark.parametrize(("size", "text"), KNOWN.items())
def test_digest_when_content_is_known_then_is_what_kubo_says(size: int, text: str) -> None:
    assert cid.cid_of(cid.digest_bytes(bytes(size))) == text


def test_digest_when_hello_world_then_is_the_one_in_every_manual() -> None:
    assert cid.cid_of(cid.digest_bytes(b"Mary had a little lamb")) == "QmZfF6C9j4VtoCsTp4KSrhYH47QMd3DNXVZBKaxJdhaPab"


@given(st.binary(min_size=32, max_size=32))
def test_cid_when_turned_into_text_and_back_then_is_the_same(digest: bytes) -> None:
    text = cid.cid_of(digest)
    assert len(text) == 46
    assert text.startswith("Qm")
    assert cid.digest_of(text) == digest
    assert cid.digest_of(f"/ipfs/{text}") == digest


@pytest.mark.parametrize("text", ["", "Qm", "bafy" + "a" * 55, "Qm" + "0" * 44, "Qm" + "1" * 45, "../../etc/passwd"])
def test_digest_of_when_not_a_cid_then_is_refused(text: str) -> None:
    with pytest.raises(StorageError):
        cid.digest_of(text)


def test_cid_of_when_digest_is_short_then_is_refused() -> None:
    with pytest.raises(StorageError):
        cid.cid_of(b"short")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 300_000), max_size=6))
def test_hasher_when_fed_in_any_pieces_then_gives_one_digest(lengths: list[int]) -> None:
    data = hashlib.shake_128(b"seed").digest(sum(lengths))
    hasher, at = cid.DigestHasher(), 0
    for length in lengths:
        hasher.update(data[at : at + length])
        at += length
    assert hasher.size_bytes == len(data)
    assert hasher.digest() == cid.digest_bytes(data)


def test_digest_file_when_file_has_many_chunks_then_equals_digest_bytes(tmp_path: Path) -> None:
    data = hashlib.shake_128(b"file").digest(3 * cid.CHUNK_BYTES + 7)
    (tmp_path / "file").write_bytes(data)
    assert cid.digest_file(tmp_path / "file") == cid.digest_bytes(data)


def test_declared_size_when_block_is_a_leaf_then_is_its_length() -> None:
    block = bytes.fromhex("0a0b080212056865 6c6c6f1805".replace(" ", ""))
    assert cid.declared_size(block) == 5


@given(st.binary(max_size=200))
def test_declared_size_when_block_is_garbage_then_never_breaks(block: bytes) -> None:
    with contextlib.suppress(StorageError):
        assert cid.declared_size(block) >= 0


def test_flatfs_name_when_decoded_then_holds_the_multihash() -> None:
    digest = hashlib.sha256(b"x").digest()
    name = cid.flatfs_name(digest)
    assert base64.b32decode(name + "=" * (-len(name) % 8)) == b"\x12\x20" + digest
