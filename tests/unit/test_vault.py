"""The journal: what was kept before a kill is there after it."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

from client.types import Reveal
from contracts.enums import DeltaKind
from node.vault import DeltaRecord, HeadRecord, ScoreRecord, Vault

SEED = b"s" * 32
DELTA = DeltaRecord(1, 2, SEED, b"d" * 32, b"x" * 32, 0, b"h" * 32, (3, 5), 4096)
SCORE = ScoreRecord(1, 2, SEED, (0, 7), (3, 0), b"r" * 32, b"y" * 32)
HEAD = HeadRecord(1, 2, SEED, b"n" * 32, b"z" * 32)
SALT = b"SALTSALT" * 4


def test_keep_then_find_in_another_vault_gives_the_same_records(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.keep(DELTA, b"payload")
    vault.keep(SCORE)
    vault.keep(HEAD)
    again = Vault(tmp_path)
    assert again.find(DeltaRecord, 1, 2, SEED) == DELTA
    assert again.find(ScoreRecord, 1, 2, SEED) == SCORE
    assert again.find(HeadRecord, 1, 2, SEED) == HEAD
    assert again.payload(DELTA) == b"payload"


def test_keep_twice_keeps_the_first(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.keep(DELTA, b"first")
    second = dataclasses.replace(DELTA, salt=b"q" * 32)
    assert vault.keep(second, b"second") == DELTA
    assert vault.payload(DELTA) == b"first"


def test_find_of_another_chains_round_gives_none_and_keep_replaces_it(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.keep(DELTA, b"old")
    assert vault.find(DeltaRecord, 1, 2, b"other" * 6 + b"xx") is None
    new = dataclasses.replace(DELTA, seed=b"t" * 32)
    assert vault.keep(new, b"new") == new
    assert vault.payload(new) == b"new"


def test_find_of_a_damaged_record_sets_it_aside(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    (tmp_path / "delta-1-2.json").write_text("{")
    assert vault.find(DeltaRecord, 1, 2, SEED) is None
    assert (tmp_path / "delta-1-2.damaged").exists()


def test_forget_removes_earlier_rounds_of_that_model_alone(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    other = dataclasses.replace(DELTA, model=11)
    later = dataclasses.replace(DELTA, round=3)
    for record in (DELTA, other, later):
        vault.keep(record, b"p")
    vault.forget(1, before=3)
    assert vault.find(DeltaRecord, 1, 2, SEED) is None
    assert vault.payload(DELTA) is None
    assert vault.find(DeltaRecord, 1, 3, SEED) == later
    assert vault.find(DeltaRecord, 11, 2, SEED) == other


def test_keep_then_kill_9_leaves_the_record(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from node.vault import HeadRecord, Vault\n"
        "Vault(Path(sys.argv[1])).keep(HeadRecord(1, 2, b's' * 32, b'n' * 32, b'z' * 32))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=20, env={**os.environ})
    assert done.returncode == -9
    assert Vault(tmp_path).find(HeadRecord, 1, 2, SEED) == HEAD


def test_vault_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    Vault(tmp_path / "journal")
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0


def test_record_when_printed_then_its_salt_is_not_shown() -> None:
    reveal = Reveal(b"d" * 32, SALT, DeltaKind.TRAIN, b"h" * 32, (1,), 5)
    salted = [dataclasses.replace(record, salt=SALT) for record in (DELTA, SCORE, HEAD)]
    for secret in (*salted, reveal):
        assert "SALTSALT" not in repr(secret)
        assert "salt" not in repr(secret)
