"""The dearest round that can be: 64 miners, 64 validators, each transaction below 15 million gas."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.contracts.evm import ANVIL, anvil_command, free_port, running
from tests.contracts.net import MINER, REVEAL, SCORE, SCORE_REVEAL, TOKEN, VALIDATOR, Net, Play, deploy_net, digest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ANVIL.is_file(), reason="no Anvil")]
MEMBERS = 64
DATASETS = 64
LIMIT = 15_000_000
LONG = (400, 200, 200, 400, 200, 200, 200)


@pytest.fixture
def net() -> Iterator[Net]:
    """A network with accounts enough."""
    port = free_port()
    with running(anvil_command(port, 2 * MEMBERS + 4), port) as evm:
        yield deploy_net(evm)


def crowded(net: Net) -> tuple[Play, list[str], list[str], list[int]]:
    """A model with all seats taken, and datasets."""
    root = net.register("global", windows=LONG)
    datasets = [net.dataset(root, n, net.evm.accounts[1 + n]) for n in range(DATASETS)]
    accounts = net.evm.accounts[2 : 2 + 2 * MEMBERS]
    miners, validators = accounts[:MEMBERS], accounts[MEMBERS:]
    for role, people in ((MINER, miners), (VALIDATOR, validators)):
        for index, account in enumerate(people):
            net.stake(account, root, role, (1 + index) * TOKEN)
    return Play(net, root), miners, validators, datasets


def test_gas_when_all_seats_are_taken_then_each_transaction_fits(net: Net) -> None:
    play, miners, validators, datasets = crowded(net)
    dice = random.Random(1)
    gas = {"open": play.tick().gas}
    gas["commitDelta"] = max(play.commit(miner).gas for miner in miners)
    play.skip_to(REVEAL)
    picks = [sorted(datasets[(16 * n + k) % DATASETS] for k in range(16)) for n in range(MEMBERS)]
    gas["revealDelta"] = max(play.reveal(m, pick).gas for m, pick in zip(miners, picks, strict=True))
    play.skip_to(SCORE)
    rows = {validator: [dice.randrange(1, 10**9) for _ in miners] for validator in validators}
    gas["commitScores"] = max(play.commit_scores(validator, row).gas for validator, row in rows.items())
    play.skip_to(SCORE_REVEAL)
    gas["revealScores"] = max(play.reveal_scores(validator, row).gas for validator, row in rows.items())
    gas["tick: consensus"] = play.tick().gas
    gas["commitHead"] = max(play.commit_head(validator, digest("new")).gas for validator in validators)
    gas["revealHead"] = max(play.reveal_head(validator, digest("new")).gas for validator in validators)
    gas["tick: settle"] = play.tick().gas
    print(gas)
    assert net.models.call("headOf", play.model) == digest("new")
    assert {name: used for name, used in gas.items() if used >= LIMIT} == {}
