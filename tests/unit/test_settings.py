"""Settings: file below environment below flags, and each value knows where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.errors import ConfigError
from client.settings import CONTRACTS, Network, find_home, find_network, load_settings, write_atomically

ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
NETWORK = Network(
    "test", 31337, "http://127.0.0.1:1", 1, dict.fromkeys(CONTRACTS, ADDRESS), bootstrap=("/ip4/127.0.0.1/tcp/1",)
)


def test_settings_when_all_three_speak_then_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[chain]\ntimeout_seconds = 1\nrpc = "a"\npatience_seconds = 3\n[wallet]\nname = "w"\n'
    )
    environ = {"STRATA_CHAIN_TIMEOUT_SECONDS": "2", "STRATA_RPC": "b"}
    found = load_settings(tmp_path, environ, {"chain.timeout_seconds": 4.0, "wallet.name": None})
    assert (found.chain.timeout_seconds, found.chain.rpc, found.chain.patience_seconds) == (4.0, "b", 3.0)
    origins = {key: origin for key, _, origin in found.values()}
    assert origins["chain.timeout_seconds"] == "flag"
    assert origins["chain.rpc"] == "env STRATA_RPC"
    assert origins["wallet.name"].startswith("file ")
    assert origins["gateway.url"] == "default"


@pytest.mark.parametrize(
    "toml",
    ["nonsense", "name = 1\n", "[chain]\nrcp = 'x'\n", "[chain]\ntimeout_seconds = 'soon'\n", "[chain]\nrpc = 1\n"],
)
def test_settings_when_the_file_is_wrong_then_the_error_says_what(tmp_path: Path, toml: str) -> None:
    (tmp_path / "config.toml").write_text(toml)
    with pytest.raises(ConfigError):
        load_settings(tmp_path, {})


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e10", "soon"])
def test_settings_when_a_number_is_impossible_then_it_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="timeout_seconds"):
        load_settings(tmp_path, {"STRATA_CHAIN_TIMEOUT_SECONDS": value})


def test_confirmations_when_set_then_they_are_a_whole_number_in_bounds(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}).chain.confirmations == -1
    assert load_settings(tmp_path, {"STRATA_CHAIN_CONFIRMATIONS": "12"}).chain.confirmations == 12
    for wrong in ("1.5", "many", "1001", "-2"):
        with pytest.raises(ConfigError, match="confirmations"):
            load_settings(tmp_path, {"STRATA_CHAIN_CONFIRMATIONS": wrong})


def test_home_when_a_folder_above_has_one_then_it_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / ".strata").mkdir()
    assert find_home({}, inner) == tmp_path / ".strata"
    assert find_home({"STRATA_HOME": str(inner)}, tmp_path) == inner
    assert find_network(None, inner, {}) == inner / "network.json"
    assert find_network(None, inner, {"STRATA_NETWORK": "/x/n.json"}) == Path("/x/n.json")
    assert find_network(Path("y"), inner, {"STRATA_NETWORK": "/x/n.json"}) == Path("y")


def test_network_when_written_then_it_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "network.json"
    NETWORK.save(path)
    assert Network.load(path) == NETWORK
    settings = load_settings(tmp_path, {"STRATA_RPC": "http://other"}, network=path)
    assert settings.network().rpc == "http://other"


def test_network_when_it_is_missing_or_wrong_then_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="devnet up"):
        Network.load(tmp_path / "network.json")
    data = NETWORK.to_json()
    del data["contracts"]["Rounds"]
    for content in ("{", "[]", "{}", json.dumps(data)):
        (tmp_path / "network.json").write_text(content)
        with pytest.raises(ConfigError):
            Network.load(tmp_path / "network.json")


def test_write_when_nothing_may_be_replaced_then_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    with pytest.raises(FileExistsError):
        write_atomically(path, b"two", overwrite=False)
    assert path.read_bytes() == b"one"
    write_atomically(path, b"three")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"three"]
