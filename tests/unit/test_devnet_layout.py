"""Run folders, ports, options, and what nodes are told."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path

import pytest

from client.errors import ConfigError, PortTaken, ToolMissing
from client.wallet import Wallets
from devnet import chain
from devnet.layout import HOST, NODE_WALLETS, NODES, PRESETS, STAKE_SHARES, Home, Ports, RunOptions, find_home, to_toml
from devnet.nodes import NodePlan, node_settings, role_of, wallet_of, write_node
from node.config import load_config
from node.identity import TEAM_KEY, prepare_identity


def plan(tmp_path: Path) -> NodePlan:
    home = Home(tmp_path / "home")
    home.prepare()
    for name in NODE_WALLETS:
        Wallets(home.wallets).create(name, "secret", light=True)
    return NodePlan(home, home.new_run(), ("law", "computing"), ("/ip4/127.0.0.1/tcp/1/p2p/x",), 8080, 9090, {})


def test_find_home_when_the_environment_names_one_then_it_is_taken(tmp_path: Path) -> None:
    assert find_home({"STRATA_HOME": str(tmp_path)}).path == tmp_path
    assert find_home({}).path.name == ".strata"


def test_home_when_prepared_twice_then_the_passphrase_stays_and_is_private(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    first = home.passphrase.read_text()
    home.prepare()
    assert home.passphrase.read_text() == first
    assert home.passphrase.stat().st_mode & 0o077 == 0


def test_new_run_when_two_start_in_one_second_then_they_have_two_folders(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first, second = home.new_run(), home.new_run()
    assert first != second
    assert home.current() == second
    home.point_to(first)
    home.point_to(second)
    assert home.network.readlink() == second.network.relative_to(tmp_path)


def test_ports_when_one_is_taken_then_says_which_and_what_to_do() -> None:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port}, asked for the gateway"):
            Ports().claim(port, "the gateway")


def test_ports_when_many_are_asked_then_all_differ() -> None:
    ports = Ports()
    given = [ports.free() for _ in range(50)]
    assert len(set(given)) == 50


def test_options_when_wrong_then_say_what_is_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no preset 'huge'; there are: default, nano"):
        RunOptions("huge")
    with pytest.raises(ConfigError, match="no file at"):
        RunOptions(text=tmp_path / "none.txt")
    with pytest.raises(ConfigError, match="--text PATH"):
        RunOptions(field="cooking")


def test_options_when_a_text_is_given_then_its_field_takes_the_first_place(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("words")
    preset = RunOptions(text=text, field="cooking").settings
    assert preset.models == ("global", "cooking", "computing")
    assert preset.rounds == (("cooking", 3), ("computing", 2))
    with pytest.raises(ConfigError, match="taken"):
        _ = RunOptions(text=text, field="computing").settings


def test_stake_shares_when_any_one_validator_dies_then_two_thirds_are_left() -> None:
    assert sum(STAKE_SHARES) == 100
    assert all((100 - share) * 3 >= 200 for share in STAKE_SHARES)
    assert all((100 - a - b) * 3 < 200 for a in STAKE_SHARES for b in STAKE_SHARES if a != b)
    assert PRESETS["default"].limit_seconds == 720
    assert PRESETS["nano"].limit_seconds == 90


@pytest.mark.parametrize("name", NODES)
def test_write_node_when_loaded_then_the_node_understands_every_setting(tmp_path: Path, name: str) -> None:
    config = load_config(write_node(plan(tmp_path), name, ("/ip4/127.0.0.1/tcp/2/p2p/y",)), env={})
    assert config.name == name
    assert not config.auto_open
    assert (config.wallet is None) == (wallet_of(name) is None)
    assert config.team.size == (2 if name.startswith("miner-2") else 1)


def test_node_settings_when_a_team_then_both_peers_sign_as_one_miner(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert node_settings(made, "miner-2")["wallet"] == node_settings(made, "miner-2b")["wallet"]
    assert [role_of(name) for name in ("miner-2b", "gateway-1")] == ["miner", "gateway"]


def test_write_node_when_a_team_then_it_admits_its_two_peers_and_nobody_else(tmp_path: Path) -> None:
    made = plan(tmp_path)
    leader, member = (load_config(write_node(made, name), env={}) for name in ("miner-2", "miner-2b"))
    assert leader.team.allow == member.team.allow
    assert leader.team.allow == tuple(prepare_identity(config.state / TEAM_KEY) for config in (leader, member))
    assert len(set(leader.team.allow)) == 2
    assert load_config(write_node(made, "miner-1"), env={}).team.allow == ()


def test_to_toml_when_read_back_then_is_the_same(tmp_path: Path) -> None:
    settings = {"name": 'a "b" \\ é', "list": ["x", "y"], "flag": True, "number": 3, "table": {"deep": 1.5}}
    assert tomllib.loads(to_toml(settings)) == settings


def test_find_anvil_when_missing_then_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "REPOSITORY", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"make setup.*GANACHE=1"):
        chain.find_anvil()


def test_ganache_when_there_is_no_node_then_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"node is missing.*Get Node 20"):
        chain.ganache_command(Home(tmp_path).new_run(), 1)


def test_ports_when_handed_out_then_differ_and_lie_below_those_that_the_system_gives_away() -> None:
    ports = Ports()
    found = [ports.free() for _ in range(50)]
    assert len(set(found)) == 50
    assert all(Ports.FIRST <= port < Ports.LAST <= 32_768 for port in found)
