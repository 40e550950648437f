"""Whole rounds of two models side by side on Anvil and on Ganache, deployed, listed and settled as people do it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from client.council import execute
from client.errors import Reverted as ClientReverted
from contracts import reference
from contracts.enums import Level, Phase, VoidReason
from tests.contracts.evm import GANACHE, Reverted, free_port, ganache_command, running
from tests.contracts.net import STAKES, TOKEN, Net, Play, deploy_net, digest

ROW = (400, 300, 200, 100)
DUST = 100  # wei of rounding in a round
DATASETS = 16  # of each delta: with four deltas more than a page of settling
ON_GANACHE = (
    pytest.mark.slow,
    pytest.mark.skipif(not GANACHE.is_file() or shutil.which("node") is None, reason="no Ganache"),
)


@pytest.fixture(scope="module", params=["anvil", pytest.param("ganache", marks=ON_GANACHE)])
def deployed(request: pytest.FixtureRequest) -> Iterator[Net]:
    """The network on either chain."""
    if request.param == "anvil":
        yield deploy_net(request.getfixturevalue("evm"))
        return
    port = free_port()
    with running(ganache_command(port), port) as evm:
        yield deploy_net(evm)


@pytest.fixture
def root(net: Net) -> int:
    """A global model that earns emission and has its people."""
    model = net.register("global")
    net.list(model)
    net.staffed(model)
    return model


def emission(net: Net, play: Play, part: int = 1, of: int = 1) -> int:
    """What a round has to emit, by the windows that it had and the model's part of all stake."""
    view = play.view()
    blocks = sum(net.rounds.call("windows", play.model, play.round))
    return reference.emission_for(net.rewards.call("emissionAt", view.openBlock), blocks, part, of)


def settled(done: Any) -> Any:
    """What was settled in the last of these transactions."""
    return done[-1].log("EmissionSettled").args


def test_rounds_when_two_models_play_side_by_side_then_each_has_its_head_and_its_pay(net: Net, root: int) -> None:
    law = net.register("law", root, Level.FIELD)
    net.list(law)
    texts = [net.dataset(law, number, net.deployer) for number in range(DATASETS - 1)]  # nobody is there to vote yet
    net.staffed(law)
    texts.append(net.dataset(law, "voted on", net.contributor))
    for validator in net.validators[:2]:
        net.data.send("vote", texts[-1], True, 10_000, sender=validator)
    plays = [Play(net, root).open(), Play(net, law).open()]
    for miner in net.miners:
        for play in plays:
            play.commit(miner)
    assert [(play.phase(0), play.phase(1)) for play in plays] == [(Phase.REVEAL, Phase.REVEAL), (Phase.TRAIN, 3)]
    for miner in net.miners:
        for play in plays:
            play.reveal(miner, texts if play.model == law else ())
    for play in plays:
        play.judge(net.validators, ROW)
        play.attest(net.validators)
    assert [play.phase() for play in plays] == [Phase.FINAL, Phase.FINAL]

    above, below = (play.settle() for play in plays)
    assert (len(above), len(below)) == (1, 2)  # with its datasets the second fills more than a page
    assert below[0].log("RoundFinalized").args.head == plays[1].head
    assert not below[0].all("EmissionSettled")
    for play, done in zip(plays, (above, below), strict=True):
        view = play.view()
        assert (view.settled, view.phase, view.head) == (True, Phase.FINAL, play.head)
        assert net.models.call("headOf", play.model) == play.head
        assert [s.consensus for s in net.rounds.call("submissions", play.model, play.round)] == list(ROW)
        assert settled(done).emission == emission(net, play, 1, 2)
        assert settled(done).minted <= settled(done).emission
    dividends = below[-1].log("DividendsAdded").args
    assert (dividends.modelId, dividends.fromModelId) == (root, law)

    net.evm.mine(net.settings.vesting_blocks)
    for account in (*net.miners, *net.validators, net.contributor):
        due = net.rewards.call("claimable", account, [root, law])
        before = net.balance(account)
        net.rewards.send("claim", [root, law], sender=account)
        assert net.balance(account) - before == due > 0
        assert net.rewards.call("vesting", account) == net.rewards.call("claimable", account, []) == 0
    assert net.balance(net.rewards.address) == net.rewards.call("owed")
    assert [play.open().view().baseHead for play in plays] == [digest(("head", model, 1)) for model in (root, law)]


def test_rounds_when_they_overlap_then_heads_follow_and_each_block_pays_once(net: Net, root: int) -> None:
    first = Play(net, root).open()
    for miner in net.miners[:3]:  # the fourth never commits, so that the windows stay
        first.commit(miner)
    with pytest.raises(Reverted, check=lambda e: e.name == "WrongRound"):
        Play(net, root).open()
    first.skip_to(Phase.REVEAL)
    second = Play(net, root).open()
    assert (second.view().held, second.view().parentHead, second.phase()) == (True, bytes(32), Phase.TRAIN)
    for miner in net.miners[:3]:
        first.reveal(miner)
        second.commit(miner)
    first.judge(net.validators, ROW[:3])
    first.attest(net.validators)
    released = first.settle()[-1].log("RoundReleased").args
    assert (released.round, released.parentHead) == (second.round, first.head)

    view = second.view()
    assert (view.held, view.baseHead, view.parentHead) == (False, digest("global"), first.head)
    second.skip_to(Phase.REVEAL)
    for miner in net.miners[:3]:
        second.reveal(miner)
    second.judge(net.validators, ROW[:3])
    second.attest(net.validators)
    paid = settled(second.settle())
    assert net.models.call("headOf", root) == second.head
    end = second.view().openBlock + sum(net.rounds.call("windows", root, second.round))
    first_end = first.view().openBlock + sum(net.rounds.call("windows", root, first.round))
    assert second.view().openBlock < first_end < end
    per_block = net.rewards.call("emissionAt", second.view().openBlock)
    assert paid.emission == reference.emission_for(per_block, end - first_end, 1, 1)


def test_round_when_scores_lack_quorum_then_void_and_its_emission_comes_with_the_next(net: Net, root: int) -> None:
    play = Play(net, root).open()
    play.mine_deltas(net.miners)
    loud, silent = net.validators[:2], net.validators[2:]  # 56 of 100, and two thirds are wanted
    play.judge(loud, ROW)
    assert (play.phase(), play.reason()) == (Phase.VOID, VoidReason.NO_SCORE_QUORUM)
    (done,) = play.settle()
    assert done.log("RoundVoided").args.reason == VoidReason.NO_SCORE_QUORUM
    assert {log.args.validator for log in done.all("ValidatorMissed")} == set(silent)
    lost = settled([done])
    assert (lost.minted, lost.carriedOut) == (0, lost.emission)
    assert net.rewards.call("carry", root) == lost.emission > 0
    assert net.models.call("headOf", root) == digest("global")

    paid = settled(play.whole())
    assert (paid.carriedIn, paid.emission) == (lost.emission, emission(net, play))
    assert paid.minted > paid.emission
    assert paid.minted + paid.carriedOut == paid.emission + paid.carriedIn
    assert [net.rounds.call("missedOf", root, validator) for validator in silent] == [0, 0]
    assert net.balance(net.rewards.address) == net.rewards.call("owed")


def test_round_when_the_model_is_listed_by_the_council_then_it_pays_from_there_on(net: Net) -> None:
    model = net.register("global")
    net.staffed(model)
    play = Play(net, model)
    assert (settled(play.whole()).emission, net.models.call("policyOf", model).emissionBps) == (0, 0)

    with pytest.raises(Reverted, check=lambda e: e.name == "AccessManagedUnauthorized"):
        net.models.send("setEmission", model, 10_000, sender=net.deployer)  # nobody at once, not even the council
    proposal = net.propose(model)
    net.evm.pass_seconds(net.settings.governance_delay_seconds + 1)
    execute(net.client(net.stranger), proposal)
    with pytest.raises(ClientReverted):
        execute(net.client(net.stranger), proposal)  # once
    assert net.models.call("policyOf", model).emissionBps == 10_000

    paid = settled(play.whole())
    assert paid.emission == emission(net, play) > 0
    splits = reference.SPLITS
    assert 0 <= paid.emission * (10_000 - splits.emission_data) // 10_000 - paid.minted < DUST  # no data was used
    assert net.rewards.call("vesting", net.miners[0]) == paid.emission * splits.emission_miners // 10_000 * 4 // 10


def test_stake_when_most_is_elsewhere_then_the_model_earns_its_part(net: Net, root: int) -> None:
    other = net.register("other", root, Level.FIELD)
    net.stake(net.stranger, other, 2, 3 * sum(STAKES))
    play = Play(net, root)
    paid = settled(play.whole())
    assert paid.emission == emission(net, play, 1, 4)
    assert paid.emission % (TOKEN // 4) == 0
