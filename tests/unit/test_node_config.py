"""A node's settings: where they come from, and what is refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.errors import ConfigError
from node.cli import app
from node.config import load_config, template


def write(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


MINIMAL = 'name = "m"\nstate = "state"\n'


def test_load_config_of_the_template_gives_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, template("miner-1", "state", "w.json", "pass", "network.json"))
    config = load_config(path, env={})
    assert config.name == "miner-1"
    assert config.state == tmp_path / "state"
    assert (config.threads, config.auto_open, config.team.size, config.models) == (0, False, 1, ())


def test_load_config_environment_wins_over_file_and_flags_over_both(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "threads = 2\n[team]\nsize = 3\n")
    env = {"STRATA_NODE_THREADS": "4", "STRATA_NODE_TEAM__ROLE": "member", "STRATA_NODE_MODELS": "law, computing"}
    config = load_config(path, env, {"threads": "8", "auto_open": "yes"})
    assert (config.threads, config.team.size, config.team.role) == (8, 3, "member")
    assert config.models == ("law", "computing")
    assert config.auto_open


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "m"\n', "lack 'state'"),
        (MINIMAL + "thread = 1\n", "unknown setting thread"),
        (MINIMAL + 'threads = "two"\n', "threads must be a whole number"),
        (MINIMAL + "threads = true\n", "threads must be a whole number"),
        (MINIMAL + "threads = 257\n", "threads must be 0 to 256"),
        (MINIMAL + "machine_nodes = 0\n", "machine_nodes must be 1 to 4096"),
        (MINIMAL + "metrics_port = -2\n", "metrics_port must be -1 to 65535"),
        (MINIMAL + "telemetry_seconds = 0.01\n", "telemetry_seconds must be 0.1 to 3600"),
        (MINIMAL + 'models = "law"\n', "models must be a list of texts"),
        (MINIMAL + '[team]\nrole = "boss"\n', "team.role must be"),
        (MINIMAL + "[team]\nsizes = 1\n", "unknown setting team.sizes"),
        (MINIMAL + '[team]\nsize = 2\nhost = "here"\n', "team.host must be an IPv4 address"),
        (MINIMAL + '[team]\nsize = 2\nhost = "10.0.0.1"\n', "team.allow must name the team's peers"),
        (MINIMAL + 'team = "x"\n', "team must be a table"),
        ("name = [", "is not TOML"),
    ],
)
def test_load_config_with_a_wrong_setting_names_it(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path, text), env={})


def test_team_id_before_the_allow_list_is_written_says_the_id_that_it_then_admits(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + '[team]\nsize = 2\nhost = "10.0.0.1"\n')
    first, again = (CliRunner().invoke(app, ["team-id", "--config", str(path)]) for _ in range(2))
    assert first.exit_code == 0 and first.output == again.output
    write(tmp_path, path.read_text() + f'allow = ["{first.output.strip()}"]\n')
    assert load_config(path, env={}).team.host == "10.0.0.1"


def test_load_config_without_a_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="strata node init"):
        load_config(tmp_path / "none.toml", env={})


@pytest.mark.parametrize(("name", "value"), [("threads", "x"), ("auto_open", "perhaps"), ("none", "1"), ("a.b", "1")])
def test_load_config_with_a_wrong_override_names_it(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_config(write(tmp_path, MINIMAL), env={}, overrides={name: value})


def test_template_with_quotes_in_a_path_is_still_toml(tmp_path: Path) -> None:
    path = write(tmp_path, template('a"b', "state", "w", "p", "n"))
    assert load_config(path, env={}).name == 'a"b'
