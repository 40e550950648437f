"""What a node process is made of: its account, chain, store and swarm, opened from its settings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import ChainUnavailable, ConfigError, SwarmError
from client.types import ModelInfo
from contracts.enums import Role
from node.config import EMBEDDED, NodeConfig
from node.runtime import Runtime

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from client.chain import Chain
    from client.settings import Network
    from client.storage import IpfsStore
    from node.swarm import Swarm

CHAIN_PATIENCE_SECONDS = 3.0  # of one call; roles go on trying by themselves
HEARTBEAT_SECONDS = 20.0
LOOK_FOR_MODELS_SECONDS = 2.0

log = logging.getLogger("strata.node")


@dataclass(frozen=True)
class Outfit:
    """An opened node: who it is and what it talks to."""

    network: Network
    account: LocalAccount
    chain: Chain
    store: IpfsStore
    cache: Path  # folder of weights and other large things that can be fetched again


def read_account(config: NodeConfig) -> tuple[LocalAccount, str]:
    """The account that signs, and its passphrase (for the log's filter)."""
    from client.wallet import open_keystore, read_passphrase

    if config.wallet is None:
        raise ConfigError("this role signs transactions: set `wallet` to a keystore file")
    if config.passphrase_file is None:
        raise ConfigError("set `passphrase_file`: a node has nobody to ask for its passphrase")
    passphrase = read_passphrase(config.passphrase_file)
    return open_keystore(config.wallet, passphrase), passphrase


def read_network(config: NodeConfig) -> Network:
    """The network that the settings name."""
    from client.settings import Network, find_network

    return Network.load(find_network(config.network))


@contextlib.contextmanager
def opened(runtime: Runtime, account: LocalAccount) -> Iterator[Outfit]:
    """Chain and store for the time of the block; an embedded IPFS daemon is started and stopped with it."""
    from client.journal import FileJournal
    from node.meters import MeteredStore, metered_chain

    config = runtime.config
    network = read_network(config)
    journal = FileJournal(config.state / "journal" / "transactions")
    chain = metered_chain(network, runtime.telemetry, account, journal, patience=CHAIN_PATIENCE_SECONDS)
    cache = config.cache_dir or config.state / "cache"
    runtime.status.update(address=account.address, network=network.name)
    with ipfs_api(config, network) as api:
        runtime.status.update(ipfs=api)
        try:
            store = MeteredStore(runtime.telemetry, api, cache, round(config.cache_gb * 1e9), config.ipfs_peers)
            yield Outfit(network, account, chain, store, cache)
        finally:
            chain.close()


@contextlib.contextmanager
def ipfs_api(config: NodeConfig, network: Network) -> Iterator[str]:
    """The API's address of the daemon that the settings name, started here where it is to be embedded."""
    if config.ipfs != EMBEDDED:
        api = config.ipfs or network.ipfs
        if not api:
            raise ConfigError(
                f'no IPFS daemon: set `ipfs` to its API\'s address, or to "{EMBEDDED}" for one of its own'
            )
        yield api
        return
    from client.kubo import KuboSettings, start_daemon

    log_file, disk = config.state / "ipfs.log", round(config.ipfs_gb * 1e9)
    settings = KuboSettings(kind=EMBEDDED, peer_book=config.ipfs_peer_book, log=log_file, disk_bytes=disk)
    with start_daemon(config.state / "ipfs", config.ipfs_peers, settings) as daemon:
        yield daemon.api


def wait_for_chain(runtime: Runtime, chain: Chain) -> None:
    """Return when the chain answers (or the node stops), saying that it waits meanwhile."""
    pause = 0.5
    while not runtime.stop.is_set():
        try:
            chain.check()
            return
        except ChainUnavailable as error:
            log.warning("the chain does not answer: %s", error)
            runtime.events.write("waiting_chain", message=str(error))
            runtime.sleep(pause)
            pause = min(10.0, pause * 2)


def wait_for_models(runtime: Runtime, chain: Chain, role: Role) -> list[ModelInfo]:
    """The models to work on: those named in the settings, or all in which this address has a stake for ``role``."""
    said = False
    while not runtime.stop.is_set():
        try:
            found = _models(runtime.config, chain, role)
        except ChainUnavailable as error:
            runtime.events.write("waiting_chain", message=str(error))
            found = []
        if found:
            return found
        if not said:
            said = True
            names = ", ".join(runtime.config.models) or "any model"
            log.info("waiting: no stake as %s in %s yet", role.name.lower(), names)
        runtime.sleep(LOOK_FOR_MODELS_SECONDS)
    return []


def _models(config: NodeConfig, chain: Chain, role: Role) -> list[ModelInfo]:
    models = chain.models()
    if config.models:
        named = [model for model in models if model.name in config.models]
        return named if len(named) == len(config.models) else []
    return [model for model in models if chain.stake_of(chain.address, model.id, role) > 0]


@contextlib.contextmanager
def in_swarm(runtime: Runtime, outfit: Outfit) -> Iterator[Swarm | None]:
    """A place in the public DHT; None where it is switched off or can't be had: rounds go on without it."""
    config = runtime.config
    if not config.swarm:
        yield None
        return
    from node.swarm import Swarm

    bootstrap = config.bootstrap or outfit.network.bootstrap
    try:
        swarm = Swarm.start(
            bootstrap,
            config.state / "p2p.key",
            chain_id=outfit.network.chain_id,
            account=outfit.account,
            host_maddr=f"/ip4/127.0.0.1/tcp/{config.swarm_port}",
        )
    except SwarmError as error:
        log.warning("no place in the swarm: %s", error)
        runtime.events.write("error", error="SwarmError", message=str(error))
        yield None
        return
    runtime.status.update(peer_id=str(swarm.peer_id), maddrs=list(swarm.maddrs))
    try:
        yield swarm
    finally:
        swarm.close()


def keep_announced(runtime: Runtime, swarm: Swarm, role: str, models: list[int]) -> None:
    """Send heartbeats until the node stops."""
    while not runtime.stop.is_set():
        try:
            swarm.heartbeat(role, models)
        except SwarmError as error:
            log.info("heartbeat: %s", error)
        runtime.sleep(HEARTBEAT_SECONDS)
