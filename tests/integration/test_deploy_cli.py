"""``strata deploy`` against a real chain: what it shows, sends and refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from client.cli.main import run
from client.settings import Network
from client.wallet import Wallets
from tests.conftest import ChainProcess
from tests.deploy_world import PUBLIC_CHAIN, sent, steps


@pytest.fixture
def strata(
    node: ChainProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs ``strata`` with a wallet *alice*, the chain's account 0; what it printed (with code 1: its error)."""
    (tmp_path / "pass").write_text("secret\n")
    Wallets(tmp_path / "wallets").import_key("alice", bytes(node.account(0).key), "secret", light=True)
    for name in ("STRATA_NETWORK", "STRATA_WALLET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRATA_RPC", node.url)
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    monkeypatch.setenv("STRATA_PASSPHRASE_FILE", str(tmp_path / "pass"))
    monkeypatch.chdir(tmp_path)

    def call(*args: str, code: int = 0) -> str:
        assert run(args) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        return out if code == 0 else " ".join(err.split())

    return call


def test_command_when_run_dry_then_it_shows_gas_and_cost_and_sends_nothing(
    strata: Callable[..., str], node: ChainProcess, tmp_path: Path
) -> None:
    text = strata("deploy", "--dry-run")
    assert "deploy Rounds" in text
    assert "give up the deployer's rights" in text
    assert f"{steps()} transactions" in text
    assert "which is enough" in text
    found = json.loads(strata("deploy", "--dry-run", "--json"))
    assert (found["transactions"], len(found["steps"])) == (steps(), steps())
    assert sum(step["gas"] for step in found["steps"]) == found["gas"]
    assert max(step["gas"] for step in found["steps"]) < 15_000_000
    assert (sent(node), sorted(os.listdir(tmp_path))) == (0, ["pass", "wallets"])


def test_command_when_run_then_the_network_s_file_works_and_again_it_only_checks(
    strata: Callable[..., str], node: ChainProcess, tmp_path: Path
) -> None:
    (tmp_path / "net.toml").write_text('[deploy]\nname = "mine"\nchain_id = 31337\nvesting_blocks = 9\n')
    args = ("deploy", "--config", "net.toml", "--deposit", "2.5", "--ballot", "77", "--output", "mine.json")
    assert "reads back as it should" in strata(*args)
    assert Network.load(tmp_path / "mine.json").name == "mine"
    found = json.loads(strata(*args, "--json"))
    assert (found["sent"], len(found["transactions"])) == (0, steps())
    assert (found["settings"]["vesting_blocks"], found["settings"]["dataset_deposit"]) == (9, str(25 * 10**17))
    assert "ballot_blocks 77 (now 78)" in strata(*args[:-4], "--ballot", "78", "--output", "mine.json", code=1)
    assert "is chain 31337, not 5" in strata("deploy", "--chain-id", "5", code=1)
    assert "is for chain 31337" in strata("deploy", "--config", "net.toml", "--chain-id", "5", code=1)
    assert "Deployed" in strata(*args, "--start-over")
    assert sent(node) == 2 * steps()


def test_command_when_the_chain_is_public_then_it_asks_before_it_sends(
    strata: Callable[..., str], node: ChainProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.rpc("anvil_setChainId", PUBLIC_CHAIN)
    assert "everybody knows" in strata("deploy", code=1)
    info = Wallets(tmp_path / "wallets").create("bob", "secret", light=True)
    node.rpc("anvil_setBalance", info.address, hex(10**20))
    monkeypatch.setenv("STRATA_WALLET", "bob")
    people = ("--treasury", "bob", "--council", "0x" + "12" * 20)
    assert "Who shall be guardian" in strata("deploy", *people, code=1)
    assert "alice" in strata("deploy", *people, "--guardian", "alicia", code=1)
    monkeypatch.setattr("client.cli.deploy.has_terminal", lambda: False)
    assert "Give --yes" in strata("deploy", *people, "--guardian", "0x" + "13" * 20, code=1)
    assert int(node.rpc("eth_getTransactionCount", info.address, "latest"), 16) == 0
