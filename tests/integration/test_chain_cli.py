"""The commands against a real chain: what they print, and how they refuse."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.chain import Chain
from client.cli.main import run
from client.settings import Network
from client.types import Policy
from client.wallet import Wallets
from contracts.enums import Level
from tests.conftest import ChainProcess

TOKEN = 10**18
Connect = Callable[..., Chain]
Strata = Callable[..., str]


@pytest.fixture
def home(anvil: ChainProcess, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with wallets of accounts 1 (alice) and 2 (bob), and the network."""
    network.save(tmp_path / "network.json")
    (tmp_path / "pass").write_text("secret\n")
    store = Wallets(tmp_path / "wallets")
    store.import_key("alice", bytes(anvil.account(1).key), "secret", light=True)
    store.import_key("bob", bytes(anvil.account(2).key), "secret", light=True)
    for name in ("STRATA_NETWORK", "STRATA_WALLET", "STRATA_RPC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    monkeypatch.setenv("STRATA_PASSPHRASE_FILE", str(tmp_path / "pass"))
    return tmp_path


@pytest.fixture
def strata(home: Path, connect: Connect, capsys: pytest.CaptureFixture[str]) -> Strata:
    """Runs a command and returns what it printed; a model *law* below *global* is there, alice and bob have tokens."""
    deployer = connect(0)
    policy = Policy(6, 6, 6, 6, 6, 6, 6)
    deployer.register_model(0, Level.GLOBAL, "global", "general", b"\x01" * 32, policy)
    deployer.register_model(1, Level.FIELD, "law", "law", b"\x02" * 32, policy)
    deployer.pay_many([(connect(i).address, 0, 1000 * TOKEN) for i in (1, 2)])

    def call(*args: str, code: int = 0) -> str:
        assert run(args) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        return out if code == 0 else err

    return call


def test_models_when_piped_then_the_tree_is_whole(strata: Strata) -> None:
    text = strata("models")
    assert "└ law" in text
    assert "Qm" in text
    assert "…" not in text
    (root, law) = json.loads(strata("models", "--json"))
    assert (law["parent_id"], law["depth"], root["validator_stake_wei"]) == (1, 1, "0")


def test_send_when_funded_then_both_balances_move(strata: Strata, connect: Connect) -> None:
    text = strata("wallet", "send", "bob", "12.5", "--wallet", "alice", "--yes")
    assert "Sent 12.5 tokens" in text
    assert json.loads(strata("balance", "bob", "--json"))["tokens_wei"] == str(1012 * TOKEN + TOKEN // 2)
    strata("wallet", "send", "bob", "1", "--coins", "--wallet", "alice", "--yes")


def test_send_when_more_than_there_is_then_it_says_how_much_there_is(strata: Strata) -> None:
    assert "holds 1,000 tokens" in strata("wallet", "send", "bob", "5000", "--wallet", "alice", "--yes", code=1)


def test_wallet_when_the_passphrase_is_wrong_then_nothing_is_sent(strata: Strata, home: Path) -> None:
    (home / "wrong").write_text("guess\n")
    args = ("wallet", "send", "bob", "1", "--wallet", "alice", "--passphrase-file", str(home / "wrong"), "--yes")
    assert "does not open" in strata(*args, code=1)


def test_round_when_staked_and_opened_then_it_shows(strata: Strata, anvil: ChainProcess) -> None:
    assert "Staked 20" in strata("stake", "add", "law", "validator", "20", "--wallet", "alice")
    strata("stake", "add", "law", "miner", "5", "--wallet", "bob")
    anvil.mine()
    opened = json.loads(strata("rounds", "open", "law", "--wallet", "bob", "--json"))
    assert (opened["round"], opened["opened"]) == (1, True)
    (row,) = json.loads(strata("rounds", "law", "--json"))
    assert (row["phase"], row["miners"], row["frozen_stake_wei"]) == ("TRAIN", 1, str(20 * TOKEN))
    assert "TRAIN" in strata("rounds")
    shown = json.loads(strata("stake", "show", "alice", "--json"))
    assert shown["stakes"][0]["counts"] is True
    strata("stake", "remove", "law", "validator", "1", "--wallet", "alice")


def test_stake_when_below_the_minimum_then_it_warns(strata: Strata, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stake", "add", "law", "validator", "1", "--wallet", "alice"]) == 0
    assert "does not count yet" in capsys.readouterr().err


def test_stake_when_delegated_then_pool_show_and_undelegate_know_it(strata: Strata, anvil: ChainProcess) -> None:
    strata("stake", "add", "law", "validator", "20", "--wallet", "alice")
    assert "8 % from block" in strata("stake", "commission", "law", "8", "--wallet", "alice")
    assert "Delegated 30" in strata("stake", "delegate", "law", "alice", "30", "--wallet", "bob")
    (row,) = json.loads(strata("stake", "pool", "law", "--json"))
    assert (row["own_wei"], row["delegated_wei"], row["commission_percent"]) == (str(20 * TOKEN), str(30 * TOKEN), 8)
    shown = json.loads(strata("stake", "show", "bob", "--json"))
    assert shown["delegations"][0]["worth_wei"] == str(30 * TOKEN)
    assert json.loads(strata("balance", "bob", "--json"))["delegated_wei"] == str(30 * TOKEN)
    assert "Asked 10 back" in strata("stake", "undelegate", "law", "alice", "10", "--wallet", "bob")
    assert "Asked 20 back" in strata("stake", "undelegate", "law", "alice", "--wallet", "bob")
    assert "delegated nothing" in strata("stake", "undelegate", "law", "alice", "--wallet", "bob", code=1)


def test_data_when_voted_on_then_its_value_shows_and_nothing_is_left_to_reclaim(
    strata: Strata, connect: Connect, anvil: ChainProcess
) -> None:
    strata("stake", "add", "law", "validator", "20", "--wallet", "alice")
    connect(2).register_dataset(2, b"\x55" * 32, "CC0-1.0", 1000, 2, 1)
    told = json.loads(strata("data", "vote", "1", "--accept", "--value", "80", "--wallet", "alice", "--json"))
    assert told["status"] == "accepted"
    (row,) = json.loads(strata("data", "list", "--json"))
    assert (row["value_percent"], row["deposit_wei"]) == (80, "0")
    assert "can be taken back" in strata("data", "reclaim", "1", "--wallet", "bob", code=1)


def test_gov_when_shown_then_splits_and_roles_are_there(strata: Strata) -> None:
    text = strata("gov")
    assert "emissionArchive" in text and "guardian" in text and "Nothing waits" in text
    told = json.loads(strata("gov", "--json"))
    assert (told["paused"], told["splits_bps"]["emissionMiners"], told["waiting"]) == (False, 5000, [])
    assert "lacks that role" in strata("gov", "list", "law", "--wallet", "alice", code=1)  # alice is not the council
    assert "Nothing waits" in strata("gov", "execute", "0x" + "11" * 32, "--wallet", "alice", code=1)


def test_challenge_when_the_round_has_not_ended_then_it_is_refused_in_words(
    strata: Strata, anvil: ChainProcess
) -> None:
    strata("stake", "add", "law", "validator", "20", "--wallet", "alice")
    strata("stake", "add", "law", "miner", "5", "--wallet", "bob")
    anvil.mine()
    strata("rounds", "open", "law", "--wallet", "bob")
    assert "has not ended" in strata("rounds", "challenge", "law", "1", "--wallet", "alice", code=1)


def test_contributions_when_written_as_csv_then_a_spreadsheet_reads_them(strata: Strata, connect: Connect) -> None:
    connect(1).register_dataset(2, b"\x55" * 32, "CC0-1.0", 1000, 2, 1)
    (row,) = csv.DictReader(io.StringIO(strata("contributions", "--csv")))
    assert (row["kind"], row["model"], row["address"]) == ("DATA", "law", connect(1).address)
    assert row["tx"].startswith("0x")
    assert json.loads(strata("contributions", "--kind", "score", "--json")) == []
    assert len(json.loads(strata("contributions", "--address", "alice", "--model", "law", "--json"))) == 1


def test_rewards_when_there_are_none_then_claim_says_so_and_costs_nothing(strata: Strata) -> None:
    assert "Nothing is claimable" in strata("rewards", "claim", "--wallet", "alice")
    assert json.loads(strata("rewards", "alice", "--json"))["claimable_wei"] == "0"


def test_model_when_unknown_then_the_error_names_the_known_ones(strata: Strata) -> None:
    assert "Known are: global, law" in strata("rounds", "lwa", code=1)


def test_chain_when_dead_then_one_message_says_what_to_do(
    strata: Strata, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_RPC", "http://127.0.0.1:9")
    monkeypatch.setenv("STRATA_CHAIN_PATIENCE_SECONDS", "0.2")
    error = strata("models", code=1)
    assert "does not answer" in error
    assert "Traceback" not in error


def test_doctor_when_the_chain_is_up_then_it_says_so_and_names_what_is_missing(strata: Strata) -> None:
    rows = {row["check"]: row for row in json.loads(strata("doctor", "--json"))}
    assert rows["chain"]["state"] == "ok"
    assert rows["gateway"]["state"] == "warn"
    assert all(row["remedy"] for row in rows.values() if row["state"] != "ok")


def test_balance_when_all_wallets_are_asked_for_then_each_has_a_row(strata: Strata) -> None:
    rows = json.loads(strata("balance", "--all", "--json"))
    assert [row["who"] for row in rows] == ["alice", "bob"]
    assert "Claimable" in strata("balance", "alice")


def test_channel_when_closed_by_its_user_then_the_rest_comes_back(
    strata: Strata, anvil: ChainProcess, connect: Connect
) -> None:
    chain = connect(1)
    number = "0x" + chain.open_channel(connect(2).address, 2, 3 * TOKEN).id.hex()
    assert "4 are left" in strata("channel", "topup", number[:10], "1", "--wallet", "alice")
    (row,) = json.loads(strata("channel", "list", "alice", "--json"))
    assert (row["channel"], row["model"], row["left_wei"], row["state"]) == (number, "law", str(4 * TOKEN), "open")
    assert "not yours" in strata("channel", "close", number, "--wallet", "bob", code=1)
    block = json.loads(strata("channel", "close", number, "--wallet", "alice", "--json"))["close_block"]
    assert f"from block {block} on" in strata("channel", "close", number, "--wallet", "alice")
    while chain.block_number() < block:
        anvil.mine()
    assert "4 tokens came back" in strata("channel", "close", number, "--wallet", "alice")
    (row,) = json.loads(strata("channel", "list", "alice", "--all", "--json"))
    assert (row["state"], row["deposit_wei"], row["left_wei"]) == ("closed", str(4 * TOKEN), "0")
    assert json.loads(strata("balance", "alice", "--json"))["tokens_wei"] == str(1000 * TOKEN)
