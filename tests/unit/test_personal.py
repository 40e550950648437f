"""The personal adapter: it helps on one's own text, is private, and nothing of it leaves the machine."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
import torch

from client.errors import BinaryText, ConfigError, EmptyText, ManifestError
from client.storage import MemoryStore
from node.models.load import load_genesis
from node.models.run import logits_of
from node.training.personal import Adapted, PersonalSettings, adapt, open_personal, read_text
from tests.unit.nano_world import documents, nano, nano_world

pytestmark = pytest.mark.slow  # each test trains a model
SETTINGS = PersonalSettings(steps=20, sequence=64, lr=0.01, layers=4)


def _adapt(home: Path) -> Adapted:
    return adapt(nano("law", trainable=False), "law", "ab" * 32, documents(), home, SETTINGS)


def test_adapt_when_given_own_text_then_heldout_loss_falls_and_files_are_private(tmp_path: Path) -> None:
    made = _adapt(tmp_path)
    assert made.kept and made.after < made.before - 0.3 and made.fall.above(0.0, 2.0)
    files = sorted(path.name for path in made.folder.iterdir())
    assert files == ["adapter.json", "adapter.safetensors"]
    assert {stat.S_IMODE((made.folder / name).stat().st_mode) for name in files} == {0o600}
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700


def test_open_personal_when_opened_then_model_answers_as_adapted(tmp_path: Path) -> None:
    _adapt(tmp_path)
    tokens = torch.tensor([list(b"The licensor grants")])
    model, about = open_personal(nano("law", trainable=False), "law", tmp_path)
    with torch.no_grad():
        assert not torch.equal(logits_of(model, tokens), logits_of(nano("law", trainable=False), tokens))
    assert float(about.after) < float(about.before)


def test_adapt_when_it_runs_then_nothing_is_put_and_no_socket_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache, plans = nano_world()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the personal adapter must not touch the network")

    monkeypatch.setattr(MemoryStore, "put", refuse)
    monkeypatch.setattr(MemoryStore, "put_file", refuse)
    monkeypatch.setattr(MemoryStore, "pin", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = load_genesis(store, plans["law"].digest, cache, trainable=False)
    assert adapt(model, "law", "ab" * 32, documents(), tmp_path, SETTINGS).kept


def test_open_personal_when_missing_or_damaged_then_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="strata user adapt"):
        open_personal(nano("law", trainable=False), "law", tmp_path)
    made = _adapt(tmp_path)
    (made.folder / "adapter.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ManifestError, match="make it again"):
        open_personal(nano("law", trainable=False), "law", tmp_path)


def test_read_text_when_empty_binary_or_short_then_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("  \n")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(EmptyText):
        read_text(tmp_path / "empty.txt")
    with pytest.raises(BinaryText):
        read_text(tmp_path / "binary.txt")
    with pytest.raises(EmptyText, match="too short"):
        adapt(nano("law", trainable=False), "law", "ab" * 32, ["a few words"], tmp_path, SETTINGS)
