"""The order in which a network comes up: see ``devnet.network`` for the steps themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from devnet.layout import BOOTSTRAP, GATEWAY, NODES, SERVER, TEAM_LEADER, TEAM_MEMBER
from devnet.network import (
    START_SECONDS,
    Devnet,
    deploy_contracts,
    finish_bootstrap,
    finish_daemons,
    finish_models,
    start_bootstrap,
    start_ground,
    start_nodes,
    start_team_member,
)
from devnet.staking import list_models, place_stakes
from devnet.submissions import submit_texts
from devnet.waiting import together, wait_until

WORK_SECONDS = 600.0

WORKERS = tuple(name for name in NODES if name not in (BOOTSTRAP, SERVER, GATEWAY, TEAM_MEMBER))


def start_network(net: Devnet, nodes: Sequence[str] = WORKERS, models: Sequence[str] = ()) -> None:
    """Chain, contracts, IPFS, DHT, and the nodes that train and judge (they wait for their models).

    ``models``: those that have rounds, where they aren't the preset's.
    """
    start_ground(net)
    if models:
        net.plan = replace(net.node_plan(), models=tuple(models))
    deploy_contracts(net)
    start_bootstrap(net)
    finish_daemons(net)
    finish_bootstrap(net)
    start_nodes(net, nodes)


def start_models(net: Devnet) -> None:
    """The models on chain, and the last of the nodes that work on them."""
    finish_models(net)
    start_team_member(net)


def start_work(net: Devnet) -> None:
    """The stakes and, side by side with them, the contributors' texts and the listing; then all workers at work."""
    works = [partial(place_stakes, net), partial(submit_texts, net), partial(list_models, net)]
    together(works, WORK_SECONDS, "the stakes, the texts and the listing")
    with net.times.part("nodes"):
        wait_started(net, (*WORKERS, TEAM_MEMBER))
    net.say(f"{len(WORKERS) + 1} nodes work: 3 miners ({TEAM_LEADER} is a team of two peers) and 4 validators")


def start_serving(net: Devnet) -> None:
    """The server and the gateway."""
    start_nodes(net, (SERVER, GATEWAY))


def wait_started(net: Devnet, names: tuple[str, ...]) -> None:
    """Wait until each node has looked at its models."""
    for name in names:
        status = net.run.node(name) / "status.json"
        what = f"{name} (log: {net.run.log(name)})"
        wait_until(partial(works, status), START_SECONDS, what, net.check)


def works(status: Path) -> bool:
    """Whether a node's ``status.json`` says that it looks at models."""
    try:
        return bool(json.loads(status.read_text()).get("models"))
    except (OSError, ValueError):
        return False
