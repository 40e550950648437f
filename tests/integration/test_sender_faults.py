"""A payment through a faulty proxy to a real chain: whatever is lost, late, repeated or undone, it is made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from client.chain_rpc import Rpc, RpcError
from client.chain_send import Call, Pace, Sender
from client.errors import StrataError, TransactionLost, Unfunded
from client.journal import FileJournal, Journal, MemoryJournal
from tests.conftest import ROOT, ChainProcess
from tests.faulty_proxy import Fault, FaultyProxy, Instead, refuse, result

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

COIN = 10**18
SEND = "eth_sendRawTransaction"
COUNT = "eth_getTransactionCount"
QUICK = {"receipt_seconds": 20.0, "poll_seconds": 0.05, "again_seconds": 0.3, "raise_seconds": 0.5}


class Scene:
    """A rich account, a proxy between it and the chain, and somebody to pay."""

    def __init__(self, node: ChainProcess, proxy: FaultyProxy, folder: Path) -> None:
        from eth_account import Account

        self.node, self.proxy, self.folder = node, proxy, folder
        self.account: LocalAccount = Account.create()
        self.to: str = Account.create().address
        self.give(100 * COIN)

    def give(self, wei: int) -> None:
        """Sets what the payer has."""
        self.node.rpc("anvil_setBalance", self.account.address, hex(wei))

    def sender(self, journal: Journal | None = None, **pace: Any) -> Sender:
        """A sender whose requests go through the proxy."""
        rpc = Rpc(self.proxy.url, timeout=1.0, patience=5.0)
        kept = FileJournal(self.folder) if journal is None else journal
        return Sender(rpc, self.account, kept, 31337, lambda error: error, Pace(**{**QUICK, **pace}))

    def pay(self, coins: int = 1, to: str | None = None) -> Call:
        """A payment."""
        return Call(to or self.to, "0x", f"pay {coins}", coins * COIN, 21_000)

    def paid(self, to: str | None = None) -> float:
        """Coins that have arrived."""
        return int(self.node.rpc("eth_getBalance", to or self.to, "latest"), 16) / COIN

    def nonce(self) -> int:
        """Transactions of the payer that are mined."""
        return int(self.node.rpc(COUNT, self.account.address, "latest"), 16)

    def foreign(self, nonce: int, to: str, gwei: int = 100) -> str:
        """Another program pays one coin with the same wallet."""
        fields: dict[str, Any] = {"nonce": nonce, "gas": 21_000, "value": COIN, "to": to, "chainId": 31337}
        fields |= {"maxFeePerGas": gwei * 10**9, "maxPriorityFeePerGas": gwei * 10**9}
        raw = bytes(self.account.sign_transaction(fields).raw_transaction)
        return str(self.node.rpc(SEND, "0x" + raw.hex()))


@pytest.fixture(scope="module")
def node(start_chain: Callable[..., ChainProcess]) -> Iterator[ChainProcess]:
    chain = start_chain()
    yield chain
    chain.stop()


@pytest.fixture
def scene(node: ChainProcess, tmp_path: Path) -> Iterator[Scene]:
    with FaultyProxy(node.url) as proxy:
        yield Scene(node, proxy, tmp_path)
    node.rpc("evm_setAutomine", True)


def _in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Starts it; the list holds its result or what it raised."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except (StrataError, AssertionError) as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def _until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("fault", list(Fault))
def test_payment_when_a_request_or_reply_goes_astray_then_it_is_made_once(scene: Scene, fault: Fault) -> None:
    scene.proxy.next(SEND, fault)
    receipt = scene.sender().send(scene.pay())
    assert int(receipt["status"], 16) == 1
    assert (scene.paid(), scene.nonce()) == (1, 1)
    assert FileJournal(scene.folder).pending() == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_REPLY, Fault.LATE_REPLY])
@pytest.mark.parametrize("method", [COUNT, "eth_getTransactionReceipt", "eth_getBlockByNumber"])
def test_payment_when_the_questions_around_it_go_astray_then_it_is_made_once(
    scene: Scene, method: str, fault: Fault
) -> None:
    scene.proxy.next(method, fault)
    scene.sender().send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 1)


def test_payment_when_every_second_reply_is_lost_then_each_is_made_once(scene: Scene) -> None:
    sender = scene.sender()
    for _ in range(5):
        scene.proxy.next(SEND, Fault.LOSE_REPLY, Fault.LOSE_REPLY)
        sender.send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (5, 5)


@pytest.mark.parametrize(
    "words",
    [
        "already known",
        "AlreadyKnown",
        "known transaction",
        "transaction already imported",
        "nonce too low",
        "nonce too low: next nonce 1, tx nonce 0",
        "the tx doesn't have the correct nonce. account has nonce of: 1",
        "replacement transaction underpriced",
        "internal error",
    ],
)
def test_payment_when_the_node_took_it_and_says_otherwise_then_it_is_made_once(scene: Scene, words: str) -> None:
    scene.proxy.next(SEND, refuse(words))
    scene.sender().send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 1)


@pytest.mark.parametrize("words", ["internal error", "txpool is full", "upstream timeout", "already known"])
def test_payment_when_the_node_says_something_else_and_has_it_not_then_it_is_sent_again(
    scene: Scene, words: str
) -> None:
    scene.proxy.next(SEND, Instead(words))
    scene.sender().send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 1)


def test_payment_when_the_end_point_is_busy_then_it_waits(scene: Scene) -> None:
    for method in (SEND, COUNT, "eth_getTransactionReceipt"):
        scene.proxy.next(method, Instead("Too Many Requests", 429), Instead("daily request rate limit reached", -32005))
    scene.sender().send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 1)


@pytest.mark.parametrize("words", ["intrinsic gas too low", "invalid chain id for signer", "exceeds block gas limit"])
def test_payment_when_the_node_will_never_take_it_then_it_is_told_at_once(scene: Scene, words: str) -> None:
    scene.proxy.next(SEND, Instead(words))
    with pytest.raises(RpcError, match=words):
        scene.sender().send(scene.pay())
    assert FileJournal(scene.folder).pending() == []
    assert (scene.paid(), scene.nonce()) == (0, 0)


def test_payment_when_it_is_in_doubt_to_the_end_then_the_end_point_s_words_are_told(scene: Scene) -> None:
    scene.proxy.next(SEND, *[Instead("upstream timeout")] * 20)
    with pytest.raises(TransactionLost, match="upstream timeout"):
        scene.sender(receipt_seconds=1.0).send(scene.pay())
    scene.proxy.clear()
    scene.sender().send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 1)


def test_payment_when_the_node_says_already_known_and_drops_it_then_it_is_sent_again(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)

    def drop(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        scene.node.rpc("anvil_dropTransaction", answer["result"])
        return refuse("already known")(request, answer)

    scene.proxy.next(SEND, drop)
    thread, found = _in_thread(lambda: scene.sender().send(scene.pay()))
    _until(lambda: scene.proxy.count(SEND) >= 2)
    scene.node.mine()
    thread.join(10)
    assert int(found[0]["status"], 16) == 1
    assert (scene.paid(), scene.nonce()) == (1, 1)


def test_payment_when_the_nonce_is_stale_then_it_is_signed_anew_and_made_once(scene: Scene) -> None:
    scene.sender().send(scene.pay(5, scene.account.address))
    scene.proxy.next(COUNT, result("0x0"))
    scene.sender(MemoryJournal()).send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 2)


def test_payment_when_its_nonce_leaves_a_gap_then_the_gap_is_filled_and_it_is_made_once(scene: Scene) -> None:
    scene.proxy.next(COUNT, result("0x2"))
    sender = scene.sender()
    sender.send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 3)
    sender.send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (2, 4)
    assert FileJournal(scene.folder).pending() == []


def test_payments_when_the_first_falls_out_of_the_pool_then_the_gap_is_closed_by_itself(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)
    sender = scene.sender()
    first, one = _in_thread(lambda: sender.send(scene.pay(1)))
    _until(lambda: scene.proxy.count(SEND) == 1)
    second, two = _in_thread(lambda: sender.send(scene.pay(2)))
    _until(lambda: scene.proxy.count(SEND) >= 2)
    (entry, _) = FileJournal(scene.folder).pending()
    scene.node.rpc("anvil_dropTransaction", entry.tx)
    scene.node.rpc("evm_setAutomine", True)
    first.join(15)
    second.join(15)
    assert [int(found[0]["status"], 16) for found in (one, two)] == [1, 1]
    assert (scene.paid(), scene.nonce()) == (3, 2)


def test_payment_when_another_takes_its_place_then_it_is_made_once_with_the_next_nonce(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)
    thread, found = _in_thread(lambda: scene.sender().send(scene.pay()))
    _until(lambda: scene.proxy.count(SEND) == 1)
    other = "0x" + "77" * 20
    before = scene.paid(other)
    scene.foreign(0, other)
    scene.node.rpc("evm_setAutomine", True)
    scene.node.mine()
    thread.join(15)
    assert int(found[0]["status"], 16) == 1
    assert (scene.paid(other) - before, scene.paid(), scene.nonce()) == (1, 1, 2)


def test_payment_when_the_pool_holds_another_with_its_nonce_then_both_are_made_once(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)
    other = "0x" + "78" * 20
    before = scene.paid(other)
    scene.foreign(0, other)
    scene.proxy.next(COUNT, result("0x0"))  # an end point that doesn't see the pool
    thread, found = _in_thread(lambda: scene.sender(raise_seconds=60).send(scene.pay()))
    _until(lambda: scene.proxy.count(SEND) >= 2)
    scene.node.rpc("evm_setAutomine", True)
    scene.node.mine()
    thread.join(15)
    assert int(found[0]["status"], 16) == 1
    assert (scene.paid(other) - before, scene.paid(), scene.nonce()) == (1, 1, 2)


def test_payment_when_the_fee_is_too_low_for_the_blocks_then_it_is_raised_and_made_once(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)
    sender = scene.sender()
    thread, found = _in_thread(lambda: sender.send(scene.pay()))
    _until(lambda: scene.proxy.count(SEND) == 1)
    (entry,) = FileJournal(scene.folder).pending()
    high = entry.fees["maxFeePerGas"] * 2
    for _ in range(3):
        scene.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(high))
        scene.node.mine()
    assert scene.paid() == 0
    _until(lambda: len(FileJournal(scene.folder).pending()[0].hashes) > 1)
    while thread.is_alive():
        scene.node.mine()
        thread.join(0.2)
    assert int(found[0]["status"], 16) == 1
    assert (scene.paid(), scene.nonce()) == (1, 1)
    (kept,) = FileJournal(scene.folder).kept()
    assert kept.tx == entry.tx
    assert found[0]["transactionHash"] in kept.hashes[1:]
    scene.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))


def test_payment_when_the_base_fee_jumps_before_it_is_sent_then_it_is_raised_at_once(scene: Scene) -> None:
    scene.proxy.next(SEND, refuse("max fee per gas less than block base fee"))
    scene.sender().send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 1)
    (kept,) = FileJournal(scene.folder).kept()
    assert len(kept.hashes) <= 2


def test_payment_when_the_first_of_two_fees_is_mined_then_it_counts_once(scene: Scene) -> None:
    sender = scene.sender()
    scene.node.rpc("evm_setAutomine", False)
    with sender._journal.lock():
        entry = sender.outbox.write(scene.pay(), 21_000, 0)
    sender.outbox.broadcast(entry)
    scene.node.mine()
    assert sender.outbox.dearer(entry) is not None
    sender._journal.release(entry.tx)
    receipt = scene.sender().send(scene.pay())
    assert receipt["transactionHash"] == entry.tx
    assert (scene.paid(), scene.nonce()) == (1, 1)


@pytest.mark.parametrize("returns", [True, False])
def test_payment_when_a_reorganisation_drops_it_before_it_is_deep_then_it_is_sent_again(
    scene: Scene, returns: bool
) -> None:
    scene.node.mine(3)
    thread, found = _in_thread(lambda: scene.sender(confirmations=2).send(scene.pay()))
    _until(lambda: scene.paid() == 1)
    time.sleep(0.3)
    assert thread.is_alive()
    scene.node.rpc("evm_setAutomine", returns)
    scene.node.rpc("anvil_reorg", 1, [])
    assert scene.paid() == 0
    sent = scene.proxy.count(SEND)
    _until(lambda: scene.proxy.count(SEND) > sent)
    scene.node.mine()
    _until(lambda: scene.paid() == 1)
    scene.node.mine(2)
    thread.join(10)
    assert int(found[0]["status"], 16) == 1
    assert (scene.paid(), scene.nonce()) == (1, 1)


def test_payment_when_a_reorganisation_drops_it_after_it_was_told_then_the_next_call_sends_it_again(
    scene: Scene,
) -> None:
    scene.node.mine(3)
    sender = scene.sender()
    sender.send(scene.pay(1))
    sender.send(scene.pay(2))
    scene.node.rpc("anvil_reorg", 2, [])
    assert scene.paid() == 0
    sender.send(scene.pay(4))
    assert (scene.paid(), scene.nonce()) == (7, 3)
    assert FileJournal(scene.folder).pending() == []


def test_payment_when_a_reorganisation_gives_its_nonce_to_another_then_nothing_is_paid_twice(scene: Scene) -> None:
    scene.node.mine(3)
    thread, found = _in_thread(lambda: scene.sender(confirmations=2).send(scene.pay()))
    _until(lambda: scene.paid() == 1)
    scene.node.rpc("evm_setAutomine", False)
    scene.node.rpc("anvil_reorg", 1, [])
    scene.foreign(0, "0x" + "79" * 20, gwei=200)
    scene.node.mine(3)
    scene.node.rpc("evm_setAutomine", True)
    _until(lambda: scene.paid() == 1)
    scene.node.mine(3)
    thread.join(10)
    assert int(found[0]["status"], 16) == 1
    assert (scene.paid(), scene.nonce()) == (1, 2)


DYING = """
import os, signal, sys
from eth_account import Account
from client.chain_outbox import Outbox
from client.chain_rpc import Rpc
from client.chain_send import Call, Pace, Sender
from client.journal import FileJournal
from pathlib import Path

url, key, folder, to, when = sys.argv[1:]
real = Outbox.broadcast

def broadcast(self, entry):
    if when == "after":
        real(self, entry)
    os.kill(os.getpid(), signal.SIGKILL)

Outbox.broadcast = broadcast
account = Account.from_key(key)
sender = Sender(Rpc(url), account, FileJournal(Path(folder)), 31337, lambda error: error, Pace())
sender.send(Call(to, "0x", "pay 1", 10**18, 21_000))
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("repeated", [True, False])
def test_payment_when_the_process_is_killed_around_sending_then_it_is_made_once(
    scene: Scene, when: str, repeated: bool
) -> None:
    arguments = [scene.proxy.url, scene.account.key.hex(), str(scene.folder), scene.to, when]
    done = subprocess.run(
        [sys.executable, "-c", DYING, *arguments], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert scene.paid() == (1 if when == "after" else 0)
    assert len(FileJournal(scene.folder).pending()) == 1
    scene.sender().send(scene.pay(1 if repeated else 2))
    assert (scene.paid(), scene.nonce()) == ((1, 1) if repeated else (3, 2))
    assert FileJournal(scene.folder).pending() == []
    scene.sender().send(scene.pay(1))  # nobody was told of the first, so this may be its repetition; a third is meant
    assert scene.paid() == (2 if repeated else 3)
    scene.sender().send(scene.pay(1))
    assert scene.paid() == (3 if repeated else 4)


def test_payment_when_it_is_not_mined_in_time_then_the_same_command_again_makes_it_once(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)
    with pytest.raises(TransactionLost, match="takes it up"):
        scene.sender(receipt_seconds=0.5).send(scene.pay())
    scene.node.rpc("evm_setAutomine", True)
    scene.node.mine()
    scene.sender().send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 1)


def test_payments_when_two_processes_share_a_wallet_then_each_is_made_once(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)
    works = [_in_thread(lambda: scene.sender(FileJournal(scene.folder)).send(scene.pay())) for _ in range(4)]
    _until(lambda: len(FileJournal(scene.folder).pending()) == 4)
    scene.node.rpc("evm_setAutomine", True)
    scene.node.mine()
    for thread, _ in works:
        thread.join(15)
    assert [int(found[0]["status"], 16) for _, found in works] == [1] * 4
    assert (scene.paid(), scene.nonce()) == (4, 4)


def test_payments_when_sent_together_over_a_faulty_line_then_each_is_made_once(scene: Scene) -> None:
    scene.proxy.next(SEND, Fault.LOSE_REPLY, Fault.LOSE_REQUEST, Fault.DUPLICATE, Fault.LATE_REPLY)
    scene.sender().send_all([scene.pay(1)] * 6)
    assert (scene.paid(), scene.nonce()) == (6, 6)


def test_payment_when_the_account_is_too_poor_then_nothing_is_left_behind(scene: Scene) -> None:
    scene.give(COIN // 2)
    with pytest.raises(Unfunded, match="lacks coins"):
        scene.sender().send(scene.pay())
    assert FileJournal(scene.folder).pending() == []
    scene.give(100 * COIN)
    scene.sender().send(scene.pay())
    assert (scene.paid(), scene.nonce()) == (1, 1)


def test_payment_when_an_earlier_one_can_no_longer_be_paid_then_its_nonce_is_used_for_nothing(scene: Scene) -> None:
    dying = scene.sender()
    entry = dying.outbox.write(scene.pay(90), 21_000, 0)
    dying._journal.release(entry.tx)
    scene.give(10 * COIN)
    scene.sender().send(scene.pay(1))
    assert (scene.paid(), scene.nonce()) == (1, 2)
    assert FileJournal(scene.folder).pending() == []


def test_payment_when_the_journal_is_of_an_older_version_then_it_is_taken_up(scene: Scene) -> None:
    import json

    sender = scene.sender(MemoryJournal())
    entry = sender.outbox.write(scene.pay(2), 21_000, 0)
    old = {"tx": entry.tx, "raw": entry.raw, "sender": entry.sender, "nonce": 0, "chain_id": 31337}
    old |= {"chain": entry.chain, "purpose": "pay 2", "time": 1.0}
    FileJournal(scene.folder)
    (scene.folder / "pending" / f"{entry.tx}.json").write_text(json.dumps(old))
    scene.sender().send(scene.pay(1))
    assert (scene.paid(), scene.nonce()) == (3, 2)


def test_refusal_when_the_contract_says_no_then_it_is_told_before_anything_is_sent(scene: Scene) -> None:
    code = "0x60006000fd"  # reverts
    contract = "0x" + "66" * 20
    scene.node.rpc("anvil_setCode", contract, code)
    with pytest.raises(RpcError):
        scene.sender().send(Call(contract, "0x", "call what refuses", 0, None))
    assert (scene.proxy.count(SEND), scene.nonce()) == (0, 0)
    assert os.listdir(scene.folder / "pending") == []
