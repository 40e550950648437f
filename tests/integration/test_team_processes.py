"""A team of two processes on a real chain: the leader is killed after its commitment, and the stand-in reveals."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from client.chain import Chain
from client.kubo import KuboSettings, start_daemon
from client.storage import IpfsStore
from client.types import DatasetStatus, Policy
from client.wallet import Wallets
from contracts.enums import Phase, Role
from node.identity import TEAM_KEY, prepare_identity
from tests.integration.roles_world import World, add_models, add_text, free_port, rpc, small_world, wait_for
from tests.integration.test_roles_processes import Process

pytestmark = pytest.mark.slow

POLICY = Policy(120, 40, 120, 60, 60, 60, 30)
NAMES = ("leader", "stand-in")


def team_of(world: World, api: str) -> dict[str, Process]:
    """Two peers of one miner, not started yet."""
    account = world.account("miner")
    wallets = Wallets(world.folder / "wallets")
    (world.folder / "pass").write_text("pass word\n")
    world.network.save(world.folder / "network.json")
    wallets.import_key("miner", bytes(account.key), "pass word", light=True)
    ids = {name: prepare_identity(world.state(name) / TEAM_KEY) for name in NAMES}
    port, found = free_port(), dict[str, Process]()
    for rank, name in enumerate(NAMES):
        config = world.folder / f"{name}.toml"
        where = f'["/ip4/127.0.0.1/tcp/{port}/p2p/{ids["leader"]}"]' if rank else "[]"
        config.write_text(
            f'name = "{name}"\nstate = "nodes/{name}"\nwallet = "wallets/miner.json"\npassphrase_file = "pass"\n'
            f'network = "network.json"\nipfs = "{api}"\ncache_dir = "blobs"\nswarm = false\npoll_seconds = 0.2\n'
            f'[team]\nsize = 2\nrole = "{"member" if rank else "leader"}"\nrank = {rank}\nname = "t"\n'
            f'mode = "parameters"\nevery = 2\nminer = "{account.address}"\nport = {0 if rank else port}\n'
            f"peers = {where}\n"
            f"allow = {list(ids.values())}\nsilent_seconds = 3.0\nwait_seconds = 15.0\n"
        )
        command = [sys.executable, "-m", "node.cli", "miner", "--config", str(config)]
        found[name] = Process(name, command, world.state(name), world.folder / f"{name}.log")
    return found


def is_ready(process: Process) -> bool:
    """Whether it looks at the chain."""
    path = process.state / "status.json"
    return path.exists() and '"models"' in path.read_text()


def go_to_reveal(chain: Chain, url: str, model_id: int) -> None:
    """Mine what is left of TRAIN and COMMIT at once."""
    view = chain.round(model_id, 1)
    ends = view.phase_end + (chain.windows(model_id, 1)[Phase.COMMIT - 1] if view.phase == Phase.TRAIN else 0)
    rpc(url, "anvil_mine", hex(ends - chain.block_number() + 1))


def test_leader_when_it_is_killed_after_its_commitment_then_the_stand_in_reveals(tmp_path: Path) -> None:
    settings = KuboSettings(kind="embedded", log=tmp_path / "ipfs.log")
    with start_daemon(tmp_path / "ipfs", settings=settings) as daemon, small_world(tmp_path) as world:
        world.store = IpfsStore(daemon.api)
        model = add_models(world, POLICY)["global"]
        for name in ("miner", "idle"):  # while one commits nothing, REVEAL does not open early: the leader can't reveal
            world.stake(name, model, Role.MINER, 30)
        world.stake("validator", model, Role.VALIDATOR, 30)
        dataset, chain = add_text(world, model), world.chain()
        peers = team_of(world, daemon.api)
        try:
            peers["leader"].start()
            peers["leader"].wait_event("team_leads")
            peers["stand-in"].start()
            world.chain("validator").vote_dataset(dataset, True)
            wait_for("the dataset is accepted", lambda: chain.dataset(dataset).status == DatasetStatus.ACCEPTED, 60)
            wait_for("the stand-in is ready", lambda: is_ready(peers["stand-in"]), 120)
            chain.tick(model.id)
            peers["leader"].wait_event("committed", 90)
            peers["leader"].kill()
            assert not chain.submissions(model.id, 1)
            assert peers["stand-in"].wait_event("team_leads", 30)["term"] >= 2
            go_to_reveal(chain, world.network.rpc, model.id)
            peers["stand-in"].wait_event("revealed", 60)
            (submission,) = chain.submissions(model.id, 1)
            assert submission.miner == world.account("miner").address
            assert chain.round(model.id, 1).phase >= Phase.REVEAL
        finally:
            for process in peers.values():
                if process.child is not None and process.child.poll() is None:
                    process.child.kill()
                    process.child.wait(5)
