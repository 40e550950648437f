"""What each node of the devnet is told (``node.toml``) and how its process, and its IPFS daemon, are started."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.wallet import Wallets
from devnet.layout import (
    BOOTSTRAP,
    GATEWAY,
    HOST,
    MINERS,
    SERVER,
    TEAM_LEADER,
    TEAM_MEMBER,
    VALIDATORS,
    Home,
    Run,
    to_toml,
)
from devnet.processes import ProcessSpec
from node.identity import TEAM_KEY, prepare_identity
from node.threads import thread_variables, threads_for

ONE_THREAD = thread_variables(1)
"""For what runs beside the nodes. Two threads in each of nine processes on two cores cost nine tenths of the speed."""
COMPUTING = (*MINERS, TEAM_MEMBER, *VALIDATORS, SERVER)
"""The nodes that share the machine's cores."""
CLIENTS = "clients"
"""The name of the IPFS daemon that the commands of people use."""
TEAM = (TEAM_LEADER, TEAM_MEMBER)
WITH_DAEMON = (*MINERS, TEAM_MEMBER, *VALIDATORS, SERVER, GATEWAY, CLIENTS)
STRATA = (sys.executable, "-c", "from client.cli.main import main; main()")
"""The ``strata`` command, of this very interpreter."""


@dataclass(frozen=True)
class NodePlan:
    """What all nodes of a run have in common, and the ports that were handed out."""

    home: Home
    run: Run
    models: tuple[str, ...]  # the models that rounds run on
    bootstrap: tuple[str, ...]
    gateway_port: int
    team_port: int
    daemons: Mapping[str, str]  # node name -> multiaddress of its IPFS daemon's API
    auto_open: bool = False  # whether the nodes open rounds by themselves; in the demo the story does


def threads_each() -> int:
    """Threads of one node: its part of the cores, at least one; ``OMP_NUM_THREADS`` where that is set."""
    return threads_for(0, len(COMPUTING))


def role_of(name: str) -> str:
    """The role that a node's name says."""
    return next(role for role in ("miner", "validator", "server", "gateway", "bootstrap") if name.startswith(role))


def wallet_of(name: str) -> str | None:
    """The wallet that a node signs with: a team's peers share their miner's; gateway and bootstrap need none."""
    if name in (GATEWAY, BOOTSTRAP):
        return None
    return TEAM_LEADER if name == TEAM_MEMBER else name


def node_settings(
    plan: NodePlan, name: str, team_peers: Sequence[str] = (), team_allow: Sequence[str] = ()
) -> dict[str, Any]:
    """A node's settings, as ``node.toml`` has them; ``team_allow`` are the peer ids that its team admits."""
    settings: dict[str, Any] = {"name": name, "state": plan.run.node(name)}
    wallet = wallet_of(name)
    if wallet is not None:
        settings["wallet"] = Wallets(plan.home.wallets).path(wallet)
        settings["passphrase_file"] = plan.home.passphrase
    if role_of(name) in ("miner", "validator"):
        settings["models"] = list(plan.models)
    settings |= {
        "network": plan.run.network,
        "ipfs": plan.daemons.get(name, plan.daemons.get(CLIENTS, "")),
        "bootstrap": list(plan.bootstrap),
        "cache_dir": plan.home.cache / "blobs",
        "auto_open": plan.auto_open,
        "threads": threads_each(),
        "poll_seconds": 0.4,
    }
    if name in TEAM:
        role = "leader" if name == TEAM_LEADER else "member"
        settings["team"] = {"size": 2, "role": role, "name": f"devnet {TEAM_LEADER}", "peers": list(team_peers)}
        settings["team"] |= {"allow": list(team_allow)}
        if role == "leader":
            settings["team"] |= {"rank": 0, "port": plan.team_port}
        else:
            settings["team"] |= {"rank": 1, "miner": Wallets(plan.home.wallets).address(TEAM_LEADER)}
    if name == GATEWAY:
        settings["serve"] = {"host": HOST, "port": plan.gateway_port}
    if name == SERVER:
        settings["serve"] = {"redeem_vouchers": 1, "redeem_seconds": 5.0}
    return settings


def write_node(plan: NodePlan, name: str, team_peers: Sequence[str] = ()) -> Path:
    """Write a node's ``node.toml`` and return its path.

    A team's peers get their keys here, before either runs, so that each is told to admit the other and nobody else.
    """
    folder = plan.run.node(name)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.toml"
    allow = team_ids(plan.run) if name in TEAM else []
    path.write_text(to_toml(node_settings(plan, name, team_peers, allow)), encoding="utf-8")
    return path


def team_ids(run: Run) -> list[str]:
    """The peer ids of the team; keys that are not there yet are made."""
    return [prepare_identity(run.node(name) / TEAM_KEY) for name in TEAM]


def node_spec(plan: NodePlan, name: str) -> ProcessSpec:
    """How to start a node whose ``node.toml`` is written."""
    config = plan.run.node(name) / "node.toml"
    arguments = ("node", role_of(name), "--config", str(config))
    forked = arguments if role_of(name) != "gateway" else ()  # a gateway has no torch, not even a forked one
    return ProcessSpec(name, (*STRATA, *arguments), plan.run.log(name), thread_variables(threads_each()), forked=forked)


def daemon_spec(run: Run, name: str, port: int) -> ProcessSpec:
    """How to start the IPFS daemon of a node; the daemons of a run find each other by a shared folder."""
    command = (
        *(sys.executable, "-m", "client.kubo", "--repo", str(run.path / "ipfs" / name)),
        *("--api", f"{HOST}:{port}", "--peer-book", str(run.path / "ipfs" / "peers")),
    )
    return ProcessSpec(daemon_name(name), command, run.log(daemon_name(name)))


def daemon_name(name: str) -> str:
    """The process name of a node's IPFS daemon."""
    return f"ipfs-{name}"


def daemon_api(port: int) -> str:
    """The multiaddress of a daemon's API on that port."""
    return f"/ip4/{HOST}/tcp/{port}/http"
