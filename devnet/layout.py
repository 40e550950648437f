"""Where a devnet keeps its things, how big it is, and what each node is told.

::

    .strata/                     the devnet's home, git-ignored (another one with $STRATA_HOME)
      cache/                     converted models, extracted texts, verified content of IPFS
      wallets/  passphrase       keystores of nodes and people, and what opens them
      network.json               the run that is on: link to runs/<time>/network.json
      runs/<time>/               one run
        network.json  keeper.json  processes.json  summary.json  loss.png
        logs/  chain/  ipfs/<name>/  nodes/<name>/{node.toml, events.jsonl, status.json, journal/}
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from client.errors import ConfigError, PortTaken

REPOSITORY = Path(__file__).resolve().parent.parent
HOME_NAME = ".strata"
HOST = "127.0.0.1"

MINERS = ("miner-1", "miner-2", "miner-3")
TEAM_LEADER, TEAM_MEMBER = "miner-2", "miner-2b"
VALIDATORS = ("validator-1", "validator-2", "validator-3", "validator-4")
STAKE_SHARES = (30, 26, 24, 20)
"""Validators' stakes in percent: any one may die and two thirds of the stake still speak."""
SERVER, GATEWAY, BOOTSTRAP = "server-1", "gateway-1", "bootstrap"
TREASURY, ALICE, BOB, CAROL = "treasury", "alice", "bob", "carol"
PEOPLE = (TREASURY, ALICE, BOB, CAROL)
NODE_WALLETS = (*MINERS, *VALIDATORS, SERVER)
NODES = (BOOTSTRAP, *MINERS, TEAM_MEMBER, *VALIDATORS, SERVER, GATEWAY)


@dataclass(frozen=True)
class Preset:
    """How big a run is. ``limit_seconds`` is what the story may take after set-up, a promise of the README."""

    name: str
    limit_seconds: int
    answer_tokens: int
    question: str
    text_bytes: int  # of each contributor's text for each field
    models: tuple[str, ...] = ("global", "law", "computing")
    rounds: tuple[tuple[str, int], ...] = (("law", 3), ("computing", 2))
    least_fall_percent: float = 0.0  # of the first field's held-out loss, from before its first round


QUESTION = "May I redistribute modified copies of the software under this licence, and what notice must I keep?"
PRESETS: Mapping[str, Preset] = {
    "default": Preset("default", 12 * 60, 48, QUESTION, 800_000, least_fall_percent=10.0),
    "nano": Preset("nano", 90, 24, QUESTION, 200_000),
}


@dataclass(frozen=True)
class RunOptions:
    """What ``make demo`` and ``strata devnet up`` can be told."""

    preset: str = "default"
    ganache: bool = False
    text: Path | None = None
    field: str | None = None
    gateway_port: int = 0
    chain_port: int = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"no preset {self.preset!r}; there are: {', '.join(PRESETS)}")
        if self.field is not None and self.text is None:
            raise ConfigError(
                "--field names the field of your own text: give --text PATH (make demo TEXT=path) with it"
            )
        if self.text is not None and not self.text.is_file():
            raise ConfigError(f"no file at {self.text}; TEXT must be the path of a text file")

    @property
    def settings(self) -> Preset:
        """The preset's numbers, with the user's own field in the first field's place where a text was given."""
        preset = PRESETS[self.preset]
        if self.text is None:
            return preset
        name = self.field or "mine"
        if name in preset.models[2:] or name == preset.models[0]:
            raise ConfigError(f"the field {name!r} is taken by one of the demo's own models; choose another FIELD")
        models = tuple(name if model == "law" else model for model in preset.models)
        rounds = tuple((name if model == "law" else model, count) for model, count in preset.rounds)
        question = f"What does the text on {name} say about its most important term?"
        return replace(preset, question=question, models=models, rounds=rounds, least_fall_percent=0.0)


@dataclass(frozen=True)
class Home:
    """The devnet's home folder."""

    path: Path

    @property
    def cache(self) -> Path:
        """Converted models, texts and verified content, kept between runs."""
        return self.path / "cache"

    @property
    def wallets(self) -> Path:
        """The keystores."""
        return self.path / "wallets"

    @property
    def passphrase(self) -> Path:
        """The file whose first line opens the devnet's keystores."""
        return self.path / "passphrase"

    @property
    def network(self) -> Path:
        """The current run's ``network.json``."""
        return self.path / "network.json"

    @property
    def runs(self) -> Path:
        """All runs."""
        return self.path / "runs"

    def prepare(self) -> None:
        """Make the folders and, once, the passphrase."""
        for folder in (self.path, self.cache, self.wallets, self.runs):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.passphrase.exists():
            descriptor = os.open(self.passphrase, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")

    def new_run(self) -> Run:
        """A fresh run's folder, named by the time."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for attempt in range(100):
            folder = self.runs / (stamp if attempt == 0 else f"{stamp}-{attempt}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir(parents=True)
                for name in ("logs", "chain", "ipfs", "nodes"):
                    (folder / name).mkdir()
                return Run(folder)
        raise ConfigError(f"could not make a folder for the run below {self.runs}")

    def all_runs(self) -> list[Run]:
        """The runs that there are, oldest first."""
        folders = sorted(self.runs.iterdir()) if self.runs.is_dir() else []
        return [Run(folder) for folder in folders if folder.is_dir()]

    def current(self) -> Run | None:
        """The last run; it may have ended."""
        runs = self.all_runs()
        return runs[-1] if runs else None

    def point_to(self, run: Run) -> None:
        """Make ``network.json`` of the home that of the run."""
        temporary = self.path / "network.json.tmp"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(run.network.relative_to(self.path))
        temporary.replace(self.network)


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    path: Path

    @property
    def network(self) -> Path:
        """Where chain, contracts and daemons are."""
        return self.path / "network.json"

    @property
    def keeper(self) -> Path:
        """Which process keeps the run."""
        return self.path / "keeper.json"

    @property
    def ready(self) -> Path:
        """Written when the network is up; says what there is."""
        return self.path / "ready.json"

    def log(self, name: str) -> Path:
        """A process's log."""
        return self.path / "logs" / f"{name}.log"

    def node(self, name: str) -> Path:
        """A node's state folder."""
        return self.path / "nodes" / name

    def events(self, name: str) -> Path:
        """A node's progress."""
        return self.node(name) / "events.jsonl"


def find_home(environment: Mapping[str, str] | None = None) -> Home:
    """The devnet's home: ``$STRATA_HOME``, or ``.strata`` at the repository's root."""
    value = (os.environ if environment is None else environment).get("STRATA_HOME")
    return Home(Path(value).expanduser().resolve() if value else REPOSITORY / HOME_NAME)


class Ports:
    """Hands out free ports of the loopback interface, each once.

    They lie below those that the system gives to connections and to whoever asks for any port (32768 on Linux, 49152
    elsewhere): one of those could be gone before the process that it is meant for has started.
    """

    FIRST, LAST = 15_000, 32_000

    def __init__(self) -> None:
        self._given: set[int] = set()

    def free(self) -> int:
        """A port that nobody listens on now."""
        for _ in range(200):
            port = self.FIRST + secrets.randbelow(self.LAST - self.FIRST)
            if port in self._given:
                continue
            with socket.socket() as probe:
                try:
                    probe.bind((HOST, port))
                except OSError:
                    continue
            self._given.add(port)
            return port
        raise PortTaken("no free port on the loopback interface")

    def claim(self, port: int, what: str) -> int:
        """That very port, or a free one for 0. Raises PortTaken when another process has it."""
        if port == 0:
            return self.free()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise PortTaken(
                    f"port {port}, asked for {what}, is taken by another process ({error.strerror}); "
                    "choose another or leave it out: a free one is found"
                ) from None
        self._given.add(port)
        return port


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def to_toml(settings: Mapping[str, Any]) -> str:
    """The TOML of flat settings and one level of tables; JSON's text, numbers and lists are TOML's too."""
    flat = [f"{key} = {_toml(value)}" for key, value in settings.items() if not isinstance(value, Mapping)]
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat += ["", f"[{key}]", *(f"{inner} = {_toml(v)}" for inner, v in value.items())]
    return "\n".join(flat) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value, ensure_ascii=False)
