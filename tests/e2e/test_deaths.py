"""``kill -9`` of any one node in mid-round, of two validators at once, and what comes after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.enums import Phase, VoidReason
from devnet.layout import MINERS, VALIDATORS
from devnet.network import Devnet
from devnet.nodes import wallet_of
from devnet.verify import verify
from devnet.waiting import wait_until
from tests.e2e.world import Rounds, network

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with network(tmp_path_factory.mktemp("home")) as made:
        yield made


def miners_of(rounds: Rounds, number: int) -> set[str]:
    return {s.miner for s in rounds.net.chain().submissions(rounds.id, number)}


def scored_by(rounds: Rounds, number: int, name: str) -> bool:
    address = rounds.net.address(wallet_of(name) or name)
    return any(rounds.net.chain().scores_of(rounds.id, number, address).report)


def kill(net: Devnet, name: str) -> None:
    net.supervisor.kill(name)
    assert [ended.name for ended in net.supervisor.reap()] == [name]


def test_round_when_a_miner_is_killed_in_training_then_ends_without_it_and_the_next_has_it_again(net: Devnet) -> None:
    rounds = Rounds(net)
    number = rounds.open()
    kill(net, "miner-1")
    rounds.until(lambda view: view.commits == 2, "the other miners' commitments")
    rounds.skip()
    rounds.until(lambda view: view.phase >= Phase.REVEAL, "the end of the commitments")
    ended = rounds.until(lambda view: view.ended, "the end of the round")
    assert ended.phase == Phase.FINAL
    assert net.address("miner-1") not in miners_of(rounds, number)
    net.supervisor.restart("miner-1")
    rounds.until(lambda view: view.settled, "the settlement")
    number = rounds.open()
    rounds.until(lambda view: view.ended, "the end of the next round", 150)
    assert net.address("miner-1") in miners_of(rounds, number)


def test_round_when_a_validator_is_killed_while_judging_then_ends_without_it_and_the_next_has_it_again(
    net: Devnet,
) -> None:
    rounds = Rounds(net)
    rounds.until(lambda view: view.settled, "the settlement")
    number = rounds.open()
    rounds.until(lambda view: view.phase == Phase.SCORE, "the deltas")
    kill(net, "validator-1")
    assert rounds.end(actors=3).phase == Phase.FINAL
    assert not scored_by(rounds, number, "validator-1")
    net.supervisor.restart("validator-1")
    number = rounds.open()
    rounds.until(lambda view: view.ended, "the end of the next round", 150)
    assert scored_by(rounds, number, "validator-1")


def test_round_when_two_validators_are_gone_then_is_void_and_with_them_back_the_next_works(net: Devnet) -> None:
    rounds = Rounds(net)
    rounds.until(lambda view: view.settled, "the settlement")
    head = net.chain().model(rounds.id).head
    rounds.open()
    rounds.until(lambda view: view.phase == Phase.SCORE, "the deltas")
    for name in VALIDATORS[:2]:
        kill(net, name)
    ended = rounds.end(actors=2)
    assert (ended.phase, ended.void_reason) == (Phase.VOID, VoidReason.NO_SCORE_QUORUM)
    assert net.chain().model(rounds.id).head == head
    events = net.run.node(VALIDATORS[2]) / "events.jsonl"
    wait_until(lambda: '"round_void"' in events.read_text(), 30.0, "a validator that says so", net.check)
    for name in VALIDATORS[:2]:
        net.supervisor.restart(name)
    number = rounds.open()
    ended = rounds.until(lambda view: view.ended, "the end of the next round", 150)
    assert ended.phase == Phase.FINAL
    assert all(scored_by(rounds, number, name) for name in VALIDATORS)


def test_rounds_when_a_miner_is_killed_while_two_are_on_then_both_have_its_delta(net: Devnet) -> None:
    rounds, chain = Rounds(net), net.chain()
    rounds.until(lambda view: view.settled, "the settlement")
    first = rounds.open()
    rounds.until(lambda view: view.commits == len(MINERS), "all commitments")
    kill(net, "miner-1")
    rounds.until(lambda view: view.phase >= Phase.REVEAL, "the end of the commitments")
    second = rounds.open()
    assert (second, rounds.view().held) == (first + 1, True)
    net.supervisor.restart("miner-1")
    rounds.until(lambda view: not view.held, "the end of the older round", 150)
    ended = rounds.until(lambda view: view.ended, "the end of the newest", 150)
    assert [chain.round(rounds.id, first).phase, ended.phase] == [Phase.FINAL, Phase.FINAL]
    assert all(net.address("miner-1") in miners_of(rounds, number) for number in (first, second))
    assert ended.parent_head == chain.round(rounds.id, first).head


def test_money_when_nodes_died_and_rounds_were_void_then_every_wei_is_where_it_should_be(
    net: Devnet, tmp_path: Path
) -> None:
    rounds = Rounds(net)
    rounds.until(lambda view: view.settled, "the settlement")
    verdict = verify(net.chain())
    assert verdict.faults() == []
    assert {check.round for check in verdict.checks} >= {1, 2, 3}
