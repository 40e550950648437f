"""What can go wrong between a wallet and a chain: lost replies, taken nonces, killed processes, dead chains."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from client.chain import Chain
from client.deploy import DeploySettings, deploy
from client.errors import ChainUnavailable, ConfigError, TransactionLost
from client.journal import FileJournal
from client.settings import Network
from client.types import Policy
from contracts.enums import Level, Role
from tests.conftest import ChainProcess

TOKEN = 10**18
SOMEBODY = "0x000000000000000000000000000000000000dEaD"

Connect = Callable[..., Chain]


class LosesReplies:
    """A provider whose first reply to a method is lost after the chain has acted on it."""

    def __init__(self, inner: Any, method: str) -> None:
        self.inner = inner
        self.method = method
        self.lost = 0

    def make_request(self, method: str, params: Any) -> Any:
        """Acts, then loses the answer once."""
        answer = self.inner.make_request(method, params)
        if method == self.method and not self.lost:
            self.lost += 1
            raise requests.ConnectionError("the reply was lost")
        return answer

    def make_batch_request(self, calls: Any) -> Any:
        """As ever."""
        return self.inner.make_batch_request(calls)


def _lose_reply(chain: Chain) -> LosesReplies:
    provider = LosesReplies(chain._rpc._provider, "eth_sendRawTransaction")
    chain._rpc._provider = provider  # type: ignore[assignment]
    return provider


def test_transfer_when_the_reply_is_lost_then_it_is_paid_once(connect: Connect) -> None:
    chain = connect(0)
    lossy = _lose_reply(chain)
    chain.transfer(SOMEBODY, TOKEN)
    assert lossy.lost == 1
    assert chain.token_balance(SOMEBODY) == TOKEN


def test_transfer_when_another_process_takes_the_nonce_then_it_is_signed_anew(connect: Connect) -> None:
    chain, other = connect(0), connect(0)
    outbox = chain._signer().outbox
    stale = outbox.next_nonce()
    other.transfer(SOMEBODY, TOKEN)
    fresh = outbox.next_nonce
    answers = iter([stale])
    outbox.next_nonce = lambda: next(answers, None) or fresh()  # type: ignore[method-assign]
    chain.transfer(SOMEBODY, TOKEN)
    assert chain.token_balance(SOMEBODY) == 2 * TOKEN


@pytest.mark.slow
def test_threads_when_they_share_a_chain_then_each_transaction_happens_once(
    start_chain: Callable[..., ChainProcess], tmp_path: Path
) -> None:
    node = start_chain(block_time=1)
    network = deploy(node.url, node.account(0))
    chain = Chain.connect(network, node.account(0), FileJournal(tmp_path))
    threads = [threading.Thread(target=chain.transfer, args=(SOMEBODY, TOKEN)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert chain.token_balance(SOMEBODY) == 8 * TOKEN
    assert FileJournal(tmp_path).pending() == []
    node.stop()


def test_transfer_when_the_process_dies_before_sending_then_the_next_run_sends_it_once(
    connect: Connect, tmp_path: Path
) -> None:
    dying = connect(0, journal=FileJournal(tmp_path))

    class Killed(BaseException):
        """As by kill -9: nothing after it runs."""

    def die(*_: Any) -> bool:
        raise Killed

    dying._signer().outbox.broadcast = die  # type: ignore[method-assign, assignment]
    with pytest.raises(Killed):
        dying.transfer(SOMEBODY, TOKEN)
    assert len(FileJournal(tmp_path).pending()) == 1
    again = connect(0, journal=FileJournal(tmp_path))
    again.transfer(SOMEBODY, 2 * TOKEN)
    assert again.token_balance(SOMEBODY) == 3 * TOKEN
    assert FileJournal(tmp_path).pending() == []


def test_journal_when_it_is_from_another_chain_then_nothing_is_sent_again(
    connect: Connect, start_chain: Callable[..., ChainProcess], tmp_path: Path
) -> None:
    journal = FileJournal(tmp_path)
    chain = connect(0, journal=journal)
    chain.receipt_seconds = 1.0
    chain._signer().outbox.broadcast = lambda *_: True  # type: ignore[method-assign]
    with pytest.raises(TransactionLost):
        chain.transfer(SOMEBODY, TOKEN)
    assert len(journal.pending()) == 1
    fresh = start_chain()
    fresh.mine()
    network = deploy(fresh.url, fresh.account(0))
    other = Chain.connect(network, fresh.account(0), journal)
    other.transfer(SOMEBODY, 5)
    assert other.token_balance(SOMEBODY) == 5
    assert journal.pending() == []
    fresh.stop()


def test_chain_when_dead_then_it_is_unavailable_after_its_patience(network: Network) -> None:
    dead = Chain.connect(network.with_(rpc="http://127.0.0.1:9"), patience=0.5)
    started = time.monotonic()
    with pytest.raises(ChainUnavailable, match="does not answer"):
        dead.block_number()
    assert time.monotonic() - started < 5


def test_chain_when_it_is_closed_then_a_waiting_call_gives_up_at_once(network: Network) -> None:
    dead = Chain.connect(network.with_(rpc="http://127.0.0.1:9"), patience=60)
    threading.Timer(0.3, dead.close).start()
    started = time.monotonic()
    with pytest.raises(ChainUnavailable):
        dead.block_number()
    assert time.monotonic() - started < 10


@pytest.mark.slow
def test_chain_when_it_restarts_in_the_middle_then_calls_wait_and_go_on(
    start_chain: Callable[..., ChainProcess], tmp_path: Path
) -> None:
    node = start_chain()
    node.stop()
    node.state = tmp_path / "state.json"
    node.start()
    network = deploy(node.url, node.account(0))
    chain = Chain.connect(network, node.account(0), patience=20)
    chain.transfer(SOMEBODY, TOKEN)
    node.stop()
    restart = threading.Timer(1.0, node.start)
    restart.start()
    chain.transfer(SOMEBODY, TOKEN)
    restart.join()
    assert chain.token_balance(SOMEBODY) == 2 * TOKEN
    node.stop()


def test_check_when_the_chain_is_another_one_then_the_error_says_so(anvil: ChainProcess, network: Network) -> None:
    with pytest.raises(ConfigError, match="is chain 31337"):
        Chain.connect(network.with_(chain_id=1)).check()
    nowhere = network.with_(contracts=dict.fromkeys(network.contracts, SOMEBODY))
    with pytest.raises(ConfigError, match="holds no Rounds"):
        Chain.connect(nowhere).check()
    with pytest.raises(ConfigError, match="holds no ModelRegistry"):
        Chain.connect(nowhere).models()


def test_wait_block_when_it_does_not_come_then_the_error_names_the_newest(connect: Connect) -> None:
    chain = connect()
    newest = chain.block_number()
    assert chain.wait_block(newest, 1.0) == newest
    with pytest.raises(ChainUnavailable, match=f"the chain is at {newest}"):
        chain.wait_block(newest + 5, 0.5)


@pytest.mark.slow
def test_ganache_when_it_is_the_chain_then_deploying_staking_and_opening_work(
    start_chain: Callable[..., ChainProcess],
) -> None:
    node = start_chain(ganache=True)
    network = deploy(node.url, node.account(0), DeploySettings.local(name="ganache"))
    chain = Chain.connect(network, node.account(0))
    chain.check()
    model = chain.register_model(0, Level.GLOBAL, "global", "general", b"\x01" * 32, Policy(3, 3, 3, 3, 3, 3, 3))
    chain.pay_many([(node.account(1).address, 0, 100 * TOKEN)])
    chain.stake(model.id, Role.VALIDATOR, 100 * TOKEN)
    Chain.connect(network, node.account(1)).stake(model.id, Role.MINER, 10 * TOKEN)
    node.mine()
    chain.tick(model.id)
    assert chain.current(model.id) == 1
    assert [event.name for event in chain.events("Rounds", "RoundOpened", modelId=model.id)] == ["RoundOpened"]
    node.stop()
