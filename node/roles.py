"""The roles as processes: each opens what it needs, works until it is told to stop, and closes in order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from contracts.enums import Role
from node.config import NodeConfig
from node.outfit import (
    Outfit,
    in_swarm,
    keep_announced,
    opened,
    read_account,
    read_network,
    wait_for_chain,
    wait_for_models,
)
from node.runtime import Runtime, process, run_threads

if TYPE_CHECKING:
    from client.types import ModelInfo
    from node.worker import Worker


def run_miner(config: NodeConfig) -> None:
    """A miner, or a peer of a miner's team."""
    _run_worker(config, "miner", Role.MINER, _miners)


def run_validator(config: NodeConfig) -> None:
    """A validator."""
    _run_worker(config, "validator", Role.VALIDATOR, _validators)


def run_bootstrap(config: NodeConfig) -> None:
    """The public DHT's first peer: no wallet, no models."""
    with process(config, "bootstrap") as runtime:
        from node.swarm import run_bootstrap as serve

        serve(
            config.state / "p2p.key",
            chain_id=read_network(config).chain_id,
            ready=lambda maddrs: runtime.status.update(maddrs=list(maddrs)),
            stop=runtime.stop,
            bootstrap=config.bootstrap,
            host_maddr=f"/ip4/127.0.0.1/tcp/{config.swarm_port}",
        )


Maker = Callable[[Runtime, Outfit, "list[ModelInfo]", ExitStack], "list[Worker]"]


def _run_worker(config: NodeConfig, name: str, role: Role, make: Maker) -> None:
    account, passphrase = read_account(config)
    secrets = (passphrase, bytes(account.key).hex())
    with process(config, name, secrets) as runtime, ExitStack() as stack:
        outfit = stack.enter_context(opened(runtime, account))
        wait_for_chain(runtime, outfit.chain)
        swarm = stack.enter_context(in_swarm(runtime, outfit))
        models = wait_for_models(runtime, outfit.chain, role)
        workers = make(runtime, outfit, models, stack)
        targets: dict[str, Callable[[], None]] = {worker.model.name: worker.run for worker in workers}
        if swarm is not None:
            targets["heartbeat"] = partial(keep_announced, runtime, swarm, name, [model.id for model in models])
        if not runtime.stop.is_set():
            run_threads(runtime, targets)


def _miners(runtime: Runtime, outfit: Outfit, models: list[ModelInfo], stack: ExitStack) -> list[Worker]:
    from node.heads import Heads, accepted_on
    from node.learner import Learner, Models
    from node.miner import Miner, MinerParts
    from node.pins import Pins
    from node.residual import Residuals
    from node.teams.role import open_team
    from node.texts import Texts
    from node.training.memory import InnerStates
    from node.vault import Vault

    config, scratch = runtime.config, runtime.config.state / "scratch"
    team = open_team(runtime, outfit.account.address, stack)
    held = Models(outfit.store, outfit.cache, config.fetch_seconds)
    heads = Heads(outfit.store, scratch, config.fetch_seconds, accepted_on(outfit.chain))
    parts = MinerParts(
        chain=outfit.chain,
        store=outfit.store,
        texts=Texts(outfit.store, config.fetch_seconds),
        trainer=Learner(
            held, heads, outfit.store, scratch, InnerStates(config.state / "inner"), team.team if team else None
        ),
        vault=Vault(config.state / "journal"),
        residuals=Residuals(config.state / "residuals"),
        team=team,
        account=config.team.miner,
        pins=Pins(outfit.store, config.state / "journal" / "pins.jsonl", config.fetch_seconds),
    )
    miners = [Miner(runtime, parts, model) for model in models]
    if team is not None:
        team.keep_with({miner.model.id: miner.work.keep for miner in miners})
        team.lend_with({miner.model.id: miner.work.lend for miner in miners})
    return [*miners]


def _validators(runtime: Runtime, outfit: Outfit, models: list[ModelInfo], stack: ExitStack) -> list[Worker]:
    from node.heads import Heads, accepted_on
    from node.judging import Bench
    from node.learner import Models
    from node.pins import Pins
    from node.texts import Texts
    from node.validator import Validator, ValidatorParts
    from node.vault import Vault
    from node.votes import Votes

    config = runtime.config
    heads = Heads(outfit.store, config.state / "scratch", config.fetch_seconds, accepted_on(outfit.chain))
    texts = Texts(outfit.store, config.fetch_seconds)
    bench = Bench(Models(outfit.store, outfit.cache, config.fetch_seconds), heads)
    pins = Pins(outfit.store, config.state / "journal" / "pins.jsonl", config.fetch_seconds)

    def parts() -> ValidatorParts:
        votes = Votes(outfit.chain, texts)
        vault = Vault(config.state / "journal")
        return ValidatorParts(outfit.chain, outfit.store, texts, bench, heads, vault, votes, pins)

    return [Validator(runtime, parts(), model) for model in models]
