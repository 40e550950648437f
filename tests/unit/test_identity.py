"""Peers' keys and ids, made without Hivemind and held equal to Hivemind's."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.errors import ConfigError
from node.identity import prepare_identity


def test_prepare_identity_when_made_then_it_stays_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "team.key"
    first = prepare_identity(path)
    kept = path.read_bytes()
    assert prepare_identity(path) == first
    assert path.read_bytes() == kept
    assert path.stat().st_mode & 0o077 == 0
    assert first.startswith("Qm") and len(first) == 46
    assert prepare_identity(tmp_path / "other.key") != first


def test_prepare_identity_when_hivemind_reads_the_key_then_it_says_the_same_id(tmp_path: Path) -> None:
    from node.swarm_p2p import lean_hivemind

    lean_hivemind()
    from hivemind.p2p import P2P, PeerID

    ours, theirs = tmp_path / "ours.key", tmp_path / "theirs.key"
    P2P.generate_identity(str(theirs))
    for path in (ours, theirs):
        peer_id = prepare_identity(path)
        assert peer_id == PeerID.from_identity(path.read_bytes()).to_base58()


@pytest.mark.parametrize("cut", [0, 2, 40, -1])
def test_prepare_identity_when_the_file_is_no_key_then_the_error_names_it(tmp_path: Path, cut: int) -> None:
    path, whole = tmp_path / "team.key", tmp_path / "whole.key"
    prepare_identity(whole)
    path.write_bytes(whole.read_bytes()[:cut])
    with pytest.raises(ConfigError, match=r"team\.key is not the RSA key"):
        prepare_identity(path)
