"""The command line without a network: help, output, and the wallet commands."""

from __future__ import annotations

import io
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from client.cli.main import COMMANDS, hoist, run
from client.cli.output import parse_tokens, plain, tokens
from client.errors import ConfigError
from client.settings import CONTRACTS, Network
from client.wallet import Wallets

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OURS = ("models", "wallet", "balance", "stake", "rewards", "contributions", "rounds", "doctor", "config")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with a passphrase file."""
    (tmp_path / "pass").write_text("secret\n")
    for name in ("STRATA_PASSPHRASE_FILE", "STRATA_NETWORK", "STRATA_WALLET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    return tmp_path


def _create(home: Path, *more: str) -> int:
    return run(["wallet", "create", "alice", "--light", "--passphrase-file", str(home / "pass"), *more])


@pytest.mark.parametrize("name", OURS)
def test_help_when_a_command_is_asked_then_it_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    if "Commands" not in text:
        assert "Example: strata" in text


@pytest.mark.parametrize(
    "command",
    ["wallet create", "wallet import", "wallet list", "wallet send", "stake add", "rounds open", "rewards claim"],
)
def test_help_when_a_subcommand_is_asked_then_it_shows_an_example_and_json(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: strata {command}" in text
    assert "--json" in text


def test_commands_when_listed_then_each_says_where_it_is_and_what_for() -> None:
    for lazy in COMMANDS.values():
        assert lazy.target.startswith("client.cli.")
        assert lazy.help.endswith(".")


def test_command_when_unknown_then_the_exit_code_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["modles"]) == 2
    assert "modles" in capsys.readouterr().err


def test_create_when_the_wallet_exists_then_it_is_refused_and_kept(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _create(home, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert _create(home) == 1
    assert "left as it is" in capsys.readouterr().err
    assert Wallets(home / "wallets").address("alice") == first["address"]
    assert run(["wallet", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "alice"


def test_create_when_the_prompted_passphrase_is_empty_then_it_warns(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.cli.context.has_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "")
    assert run(["wallet", "create", "alice", "--light"]) == 0
    assert "passphrase is empty" in capsys.readouterr().err


def test_create_when_the_two_passphrases_differ_then_nothing_is_written(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["one", "two"])
    monkeypatch.setattr("client.cli.context.has_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert run(["wallet", "create", "alice", "--light"]) == 1
    assert "differ" in capsys.readouterr().err
    assert Wallets(home / "wallets").list() == []


def test_create_when_nobody_can_be_asked_then_the_error_says_how(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.cli.context.has_terminal", lambda: False)
    assert run(["wallet", "create", "alice"]) == 1
    assert "--passphrase-file" in capsys.readouterr().err


def test_import_when_the_key_stands_on_the_command_line_then_it_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["wallet", "import", "rich", KEY, "--passphrase-file", str(home / "pass")]) == 1
    assert "shell's history" in capsys.readouterr().err


def test_import_when_the_key_comes_by_stdin_then_it_is_kept(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY + "\n"))
    assert run(["wallet", "import", "rich", "--light", "--passphrase-file", str(home / "pass"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def test_error_when_debug_is_asked_then_the_exception_itself_comes(home: Path) -> None:
    with pytest.raises(ConfigError):
        run(["models", "--debug"])


def test_config_when_shown_then_each_value_has_an_origin(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_CHAIN_TIMEOUT_SECONDS", "7")
    assert run(["config", "show", "--json"]) == 0
    rows = {row["setting"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["chain.timeout_seconds"] == {
        "setting": "chain.timeout_seconds",
        "value": 7.0,
        "origin": "env STRATA_CHAIN_TIMEOUT_SECONDS",
    }


def test_options_when_they_stand_behind_the_command_then_they_are_moved_in_front() -> None:
    assert hoist(["models", "--json", "--network", "n", "--debug"]) == ["--network", "n", "--debug", "models", "--json"]
    assert hoist(["ask", "--", "--debug"]) == ["ask", "--", "--debug"]
    assert hoist(["--debug", "devnet", "up", "--home", "h"]) == ["--debug", "devnet", "up", "--home", "h"]
    assert hoist(["node", "miner", "--network", "n"]) == ["node", "miner", "--network", "n"]


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0"),
        (1, "<0.0001"),
        (10**18, "1"),
        (1234567890000000000000, "1,234.5678"),
        (-(10**18), "-1"),
        (None, ""),
        (1999999999999999999, "1.9999"),
    ],
)
def test_tokens_when_written_then_they_are_cut_and_never_rounded_up(wei: int | None, text: str) -> None:
    assert tokens(wei) == text


@pytest.mark.parametrize(("text", "wei"), [("1", 10**18), ("0.000000000000000001", 1), ("1,000.5", 10005 * 10**17)])
def test_amount_when_it_is_a_number_then_it_is_exact(text: str, wei: int) -> None:
    assert parse_tokens(text) == wei


@pytest.mark.parametrize("text", ["", "-1", "0", "nan", "inf", "1e40", "ten", "0.0000000000000000001"])
def test_amount_when_it_is_impossible_then_it_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_tokens(text)


def test_json_when_numbers_are_large_then_they_are_text() -> None:
    assert plain({"paid_wei": 5, "n": 5, "big": 2**60, "digest": b"\x01"}) == {
        "paid_wei": "5",
        "n": 5,
        "big": str(2**60),
        "digest": "0x01",
    }


def test_network_when_there_is_none_then_commands_and_doctor_say_how_to_get_one(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["models", "--json"], ["rounds"], ["balance", "0x" + "11" * 20], ["audit"]):
        assert run(command) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "make demo" in err and "strata devnet up" in err and "--network" in err
    assert run(["doctor", "--json"]) == 0
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["network"]["state"] == "warn"
    assert "make demo" in found["network"]["remedy"]


class _Refuse(BaseHTTPRequestHandler):
    """A gateway that knows no such model."""

    def do_GET(self) -> None:
        body = {"error": {"message": "There is no model 'nope'. Known are: global, law.", "code": "model_not_found"}}
        self.send_response(404)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_ask_when_the_model_is_unknown_then_it_names_the_known_ones_and_asks_for_no_passphrase(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.cli.ask.open_account", lambda chosen: pytest.fail("a wallet was opened"))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        contracts = dict.fromkeys(CONTRACTS, "0x" + "11" * 20)
        Network("test", 1, "http://127.0.0.1:9", 0, contracts, gateway=url).save(home / "network.json")
        code = run(["ask", "What is law?", "--model", "nope", "--json"])
        server.shutdown()
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert "Known are: global, law" in err
    assert "Traceback" not in err
