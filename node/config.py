"""A node's settings: ``node.toml`` < ``STRATA_NODE_*`` < flags, as frozen dataclasses whose fields say their unit."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from client.errors import ConfigError

ENV_PREFIX = "STRATA_NODE_"
EMBEDDED = "embedded"


@dataclass(frozen=True)
class TeamConfig:
    """A miner of several peers. They trust each other; one of them, the leader, speaks to the chain."""

    size: int = 1  # peers, this one included
    role: str = "leader"  # "leader" commits; "member" trains and averages
    rank: int = 0  # this peer's number in the team; 0 is the leader, 1 stands in for it
    mode: str = "delta"  # averaged: "delta" once a round, "parameters" every `every` steps, "gradients" each step
    every: int = 10  # inner steps between two averages of parameters
    silent_seconds: float = 10.0  # seconds without a word after which a peer counts as gone
    miner: str = ""  # the leader's address: a member trains on what was dealt to it
    name: str = ""  # what the team's peers find each other by; the miner's address when empty
    peers: tuple[str, ...] = ()  # libp2p multiaddresses of the leader and of its stand-in
    allow: tuple[str, ...] = ()  # libp2p peer ids that may join; beyond loopback it must name them
    host: str = "127.0.0.1"  # IPv4 address of this machine at which the team's other machines reach it
    port: int = 0  # TCP port of the team's connections; 0 takes a free one
    wait_seconds: float = 20.0  # seconds that averaging may take before the leader goes on alone


@dataclass(frozen=True)
class ServeConfig:
    """What a server or a gateway needs beyond the rest."""

    host: str = "127.0.0.1"  # address that the gateway's HTTP listens on
    port: int = 0  # TCP port of the gateway's HTTP; 0 takes a free one
    price_wei: int = 10**15  # wei of STR asked per generated token
    redeem_vouchers: int = 8  # vouchers after which a channel is redeemed
    redeem_seconds: float = 30.0  # seconds after which a channel is redeemed
    max_tokens: int = 256  # tokens of one answer, at most
    quantize: bool = False  # int8 linear layers for decoding


@dataclass(frozen=True)
class NodeConfig:
    """Everything that a node process is told. Paths are absolute once loaded."""

    name: str  # what logs and events call this node
    state: Path  # folder of its journal, events and status
    wallet: Path | None = None  # keystore file; a gateway and a bootstrap peer need none
    passphrase_file: Path | None = None  # file whose first line opens the keystore
    network: Path | None = None  # network.json: chain, contracts, IPFS
    models: tuple[str, ...] = ()  # names of the models to work on; all that it is enrolled in when empty
    ipfs: str = ""  # multiaddress of the daemon's API (or several, by commas), or "embedded"; network.json's when empty
    ipfs_peers: tuple[str, ...] = ()  # multiaddresses that an embedded daemon connects to
    ipfs_peer_book: Path | None = None  # folder by which the embedded daemons of one machine find each other
    bootstrap: tuple[str, ...] = ()  # libp2p multiaddresses of the public DHT's first peers
    cache_dir: Path | None = None  # verified content, shared by the nodes of one machine
    cache_gb: float = 20.0  # GB of verified content; past it, what was not read for longest goes
    ipfs_gb: float = 20.0  # GB of the embedded daemon's blocks; past it, what nothing pins goes
    swarm: bool = True  # join the public DHT and send heartbeats
    swarm_port: int = 0  # TCP port of the public DHT; 0 takes a free one
    auto_open: bool = False  # open the next round of a model as soon as it may open
    threads: int = 0  # threads of one numerical operation; 0: this machine's cores, divided by `machine_nodes`
    machine_nodes: int = 1  # node processes that compute on this machine, this one included
    poll_seconds: float = 0.5  # seconds between two looks at the chain
    fetch_seconds: float = 30.0  # seconds that one fetch from IPFS may take
    margin_blocks: int = 3  # blocks before the end of COMMIT at which training stops
    log_level: str = "INFO"  # of Python's logging
    metrics_host: str = "127.0.0.1"  # address that /metrics listens on
    metrics_port: int = 0  # TCP port of /metrics; 0 takes a free one, -1 leaves it out
    telemetry_seconds: float = 10.0  # seconds between two lines of telemetry.jsonl; 0 leaves them out
    team: TeamConfig = field(default_factory=TeamConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)


def load_config(
    path: Path, env: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None
) -> NodeConfig:
    """Read ``path`` (TOML), then the environment, then ``overrides`` (flags); later ones win.

    Relative paths are taken from the file's folder. Names of nested settings have a dot: ``team.size``.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no node settings at {path}: write them with `strata node init {path}`") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    environment = os.environ if env is None else env
    changes = {k[len(ENV_PREFIX) :].lower().replace("__", "."): v for k, v in environment.items() if _is_ours(k)}
    changes.update(overrides or {})
    for name, text in changes.items():
        _override(data, name, text)
    return parse_config(data, base=path.resolve().parent)


def parse_config(data: Mapping[str, Any], base: Path) -> NodeConfig:
    """Turn TOML's tables into a ``NodeConfig``; unknown names and wrong types are refused by name."""
    plain = dict(data)
    team = _section(TeamConfig, plain.pop("team", {}), "team.", base)
    serve = _section(ServeConfig, plain.pop("serve", {}), "serve.", base)
    for needed in ("name", "state"):
        if needed not in plain:
            raise ConfigError(f"the node's settings lack {needed!r}")
    config: NodeConfig = _section(NodeConfig, {**plain, "team": team, "serve": serve}, "", base)
    _check(config)
    return config


def _is_ours(name: str) -> bool:
    return name.startswith(ENV_PREFIX) and name != ENV_PREFIX + "CONFIG"


def _section(kind: Any, table: Any, prefix: str, base: Path) -> Any:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{prefix.rstrip('.')} must be a table")
    known = {f.name: str(f.type) for f in fields(kind)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            raise ConfigError(f"unknown setting {prefix}{name}; known: {', '.join(sorted(known))}")
        values[name] = _convert(prefix + name, known[name], value, base)
    return kind(**values)


def _convert(name: str, kind: str, value: Any, base: Path) -> Any:
    """Check ``value`` against the annotation ``kind`` (annotations are strings here)."""
    if kind in ("TeamConfig", "ServeConfig"):
        return value
    if kind.startswith("Path"):
        if isinstance(value, str) and value:
            return (base / Path(value).expanduser()).resolve()
        if value == "" and kind.endswith("None"):
            return None
    elif kind.startswith("tuple"):
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
    elif kind == "float":
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif type(value).__name__ == kind:
        return value
    raise ConfigError(f"setting {name} must be a {_words(kind)}, not {value!r}")


def _words(kind: str) -> str:
    names = {"str": "text", "bool": "true or false", "int": "whole number", "float": "number"}
    if kind.startswith("tuple"):
        return "list of texts"
    return "path" if kind.startswith("Path") else names.get(kind, kind)


def _override(data: dict[str, Any], name: str, text: str) -> None:
    section, _, leaf = name.rpartition(".")
    kind: Any = {"": NodeConfig, "team": TeamConfig, "serve": ServeConfig}.get(section)
    known = {f.name: str(f.type) for f in fields(kind)} if kind else {}
    if leaf not in known:
        raise ConfigError(f"unknown setting {name}")
    table = data.setdefault(section, {}) if section else data
    table[leaf] = _from_text(name, known[leaf], text)


def _from_text(name: str, kind: str, text: str) -> Any:
    try:
        if kind == "bool":
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        if kind in ("int", "float"):
            return int(text) if kind == "int" else float(text)
    except (KeyError, ValueError):
        raise ConfigError(f"setting {name} must be a {_words(kind)}, not {text!r}") from None
    return [part.strip() for part in text.split(",") if part.strip()] if kind.startswith("tuple") else text


def _check(config: NodeConfig) -> None:
    """Refuse values of the right type that can't work."""
    rules = (
        (config.name != "", "name must not be empty"),
        (0 <= config.threads <= 256, "threads must be 0 to 256; 0 chooses by the machine's cores"),
        (1 <= config.machine_nodes <= 4096, "machine_nodes must be 1 to 4096"),
        (-1 <= config.metrics_port < 65536, "metrics_port must be -1 to 65535; 0 takes a free one, -1 leaves it out"),
        (
            config.telemetry_seconds == 0 or 0.1 <= config.telemetry_seconds <= 3600,
            "telemetry_seconds must be 0.1 to 3600, or 0 for none",
        ),
        (0.05 <= config.poll_seconds <= 60, "poll_seconds must be 0.05 to 60"),
        (config.cache_gb > 0 and config.ipfs_gb > 0, "cache_gb and ipfs_gb must be more than 0"),
        (config.fetch_seconds > 0, "fetch_seconds must be more than 0"),
        (config.margin_blocks >= 0, "margin_blocks must not be negative"),
        (config.team.role in ("leader", "member"), "team.role must be leader or member"),
        (1 <= config.team.size <= 64, "team.size must be 1 to 64"),
        (0 <= config.team.rank < 64, "team.rank must be 0 to 63"),
        (config.team.mode in ("delta", "parameters", "gradients"), "team.mode must be delta, parameters or gradients"),
        (config.team.every >= 1, "team.every must be at least 1"),
        (config.team.silent_seconds >= 1, "team.silent_seconds must be at least 1"),
        (_is_ipv4(config.team.host), "team.host must be an IPv4 address, like 10.0.0.1"),
        (
            config.team.size == 1 or bool(config.team.allow) or config.team.host.startswith("127."),
            "team.allow must name the team's peers where team.host is beyond loopback (see `strata node team-id`)",
        ),
        (config.serve.price_wei >= 0, "serve.price_wei must not be negative"),
        (all(0 <= p < 65536 for p in (config.swarm_port, config.team.port, config.serve.port)), "ports are 0 to 65535"),
        (config.log_level in ("DEBUG", "INFO", "WARNING", "ERROR"), "log_level must be DEBUG, INFO, WARNING or ERROR"),
    )
    for holds, message in rules:
        if not holds:
            raise ConfigError(message)


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


TEMPLATE = """\
# Settings of one Strata node. Every line that starts with '#' shows a default.
# The environment wins over this file: STRATA_NODE_AUTO_OPEN=true, STRATA_NODE_TEAM__SIZE=2. Flags win over both.

name = "{name}"                          # what logs and events call this node
state = "{state}"                        # folder of its journal, events and status: back it up, it holds open secrets
wallet = "{wallet}"                      # keystore file
passphrase_file = "{passphrase_file}"    # file whose first line opens the keystore; chmod 600
network = "{network}"                    # network.json: chain, contracts, IPFS

# models = []                # names of models, e.g. ["law"]; empty: all that this address has a stake in
# ipfs = ""                  # API of the IPFS daemon, e.g. "/ip4/127.0.0.1/tcp/5001/http"; "embedded" starts one
# ipfs_peers = []            # other daemons that the embedded one connects to
# ipfs_peer_book = ""        # folder by which the embedded daemons of one machine find each other
# bootstrap = []             # first peers of the public DHT; network.json's when empty
# cache_dir = ""             # verified content, may be shared by all nodes of a machine
# cache_gb = 20.0            # GB of it; past that, what was not read for longest goes
# ipfs_gb = 20.0             # GB that an embedded daemon holds; past that, what nothing pins goes
# swarm = true               # join the public DHT and send heartbeats
# swarm_port = 0             # TCP; 0 takes a free one
# auto_open = false          # open the next round as soon as it may open
# threads = 0                # threads of one numerical operation; 0: the cores divided by machine_nodes
# machine_nodes = 1          # node processes that compute on this machine, this one included
# poll_seconds = 0.5         # between two looks at the chain
# fetch_seconds = 30.0       # that one fetch from IPFS may take
# margin_blocks = 3          # training stops so many blocks before COMMIT closes
# log_level = "INFO"
# metrics_host = "127.0.0.1" # address that /metrics listens on
# metrics_port = 0           # TCP port of /metrics; 0 takes a free one (see `strata node status`), -1 leaves it out
# telemetry_seconds = 10.0   # between two lines of telemetry.jsonl in the state folder; 0 leaves them out

# [team]                     # several machines that are one miner
# size = 1                   # peers, this one included
# role = "leader"            # "leader" commits, "member" trains and averages
# rank = 0                   # this peer's number in the team; 0 is the leader, 1 stands in for it
# mode = "delta"             # averaged: "delta" once a round, "parameters" every `every` steps, "gradients" each step
# every = 10                 # inner steps between two averages of parameters
# silent_seconds = 10.0      # without a word, after which a peer counts as gone and the stand-in takes over
# miner = ""                 # a member's: the leader's address
# name = ""                  # same text on all of the team's peers
# peers = []                 # multiaddresses of the leader and of its stand-in
# allow = []                 # libp2p ids of all of the team's peers (strata node team-id)
# host = "127.0.0.1"         # this machine's address in the team's network
# port = 0
# wait_seconds = 20.0        # that averaging may take before the leader goes on alone

# [serve]                    # servers and gateways
# host = "127.0.0.1"
# port = 0
# price_wei = 1000000000000000   # wei of STR per generated token
# redeem_vouchers = 8
# redeem_seconds = 30.0
# max_tokens = 256
"""


def template(name: str, state: str, wallet: str, passphrase_file: str, network: str) -> str:
    """A commented ``node.toml`` to start from."""
    values = {"name": name, "state": state, "wallet": wallet, "passphrase_file": passphrase_file, "network": network}
    return TEMPLATE.format(**{k: v.replace("\\", "\\\\").replace('"', '\\"') for k, v in values.items()})
