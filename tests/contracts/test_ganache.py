"""The same contracts on Ganache: a round's life, and which block a view sees."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.contracts.evm import GANACHE, Contract, deploy, free_port, ganache_command, running
from tests.contracts.net import HARNESS, REVEAL, STAKES, TRAIN, VOID, Net, Play, deploy_net, digest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not GANACHE.is_file() or shutil.which("node") is None, reason="no Ganache"),
]


@pytest.fixture(scope="module")
def deployed() -> Iterator[Net]:
    """A network on Ganache."""
    port = free_port()
    with running(ganache_command(port), port) as evm:
        yield deploy_net(evm)


@pytest.fixture
def harness(deployed: Net) -> Contract:
    return deploy(deployed.evm, json.loads(HARNESS.read_text()), (), deployed.deployer)


def test_round_when_played_on_ganache_then_head_is_set_and_void_rounds_carry(net: Net, play: Play) -> None:
    play.open()
    play.skip_to(VOID)
    play.tick()
    play.open()
    for miner in net.miners:
        play.commit(miner)
    assert (play.phase(0), play.phase(1)) == (TRAIN, REVEAL)
    for miner in net.miners:
        play.reveal(miner)
    play.judge(dict.fromkeys(net.validators, (3, 2, 1)))
    play.attest(dict.fromkeys(net.validators, digest("new")))
    done = play.tick()
    assert done.log("RoundFinalized").args.attestedStake == sum(STAKES)
    assert done.log("EmissionSettled").args.carriedIn > 0
    assert net.models.call("headOf", play.model) == digest("new")
    assert net.balance(net.rewards.address) == net.rewards.call("owed")


def test_view_when_asked_at_latest_then_sees_the_latest_block_not_the_next(harness: Contract) -> None:
    assert harness.call("currentBlock")[0] == harness.evm.block
