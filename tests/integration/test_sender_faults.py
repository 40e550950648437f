"""A payment through a faulty proxy to a real chain: whatever is lost, late, repeated or undone, it is made once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from client.chain_rpc import RpcError
from client.errors import TransactionLost
from client.journal import FileJournal, MemoryJournal
from tests.faulty_proxy import Fault, Instead, refuse, result
from tests.sender_world import COUNT, SEND, Scene, in_thread, until


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
    thread, found = in_thread(lambda: scene.sender().send(scene.pay()))
    until(lambda: scene.proxy.count(SEND) >= 2)
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
    first, one = in_thread(lambda: sender.send(scene.pay(1)))
    until(lambda: scene.proxy.count(SEND) == 1)
    second, two = in_thread(lambda: sender.send(scene.pay(2)))
    until(lambda: scene.proxy.count(SEND) >= 2)
    (entry, _) = FileJournal(scene.folder).pending()
    scene.node.rpc("anvil_dropTransaction", entry.tx)
    scene.node.rpc("evm_setAutomine", True)
    scene.node.mine()  # should the first be in the pool again before the switch
    first.join(15)
    second.join(15)
    assert [int(found[0]["status"], 16) for found in (one, two)] == [1, 1]
    assert (scene.paid(), scene.nonce()) == (3, 2)


def test_payment_when_another_takes_its_place_then_it_is_made_once_with_the_next_nonce(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)
    thread, found = in_thread(lambda: scene.sender().send(scene.pay()))
    until(lambda: scene.proxy.count(SEND) == 1)
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
    thread, found = in_thread(lambda: scene.sender(raise_seconds=60).send(scene.pay()))
    until(lambda: scene.proxy.count(SEND) >= 2)
    scene.node.rpc("evm_setAutomine", True)
    scene.node.mine()
    thread.join(15)
    assert int(found[0]["status"], 16) == 1
    assert (scene.paid(other) - before, scene.paid(), scene.nonce()) == (1, 1, 2)


def test_payment_when_the_fee_is_too_low_for_the_blocks_then_it_is_raised_and_made_once(scene: Scene) -> None:
    scene.node.rpc("evm_setAutomine", False)
    sender = scene.sender()
    thread, found = in_thread(lambda: sender.send(scene.pay()))
    until(lambda: scene.proxy.count(SEND) == 1)
    (entry,) = FileJournal(scene.folder).pending()
    high = entry.fees["maxFeePerGas"] * 2
    for _ in range(3):
        scene.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(high))
        scene.node.mine()
    assert scene.paid() == 0
    until(lambda: len(FileJournal(scene.folder).pending()[0].hashes) > 1)
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
    thread, found = in_thread(lambda: scene.sender(confirmations=2).send(scene.pay()))
    until(lambda: scene.paid() == 1)
    time.sleep(0.3)
    assert thread.is_alive()
    scene.node.rpc("evm_setAutomine", returns)
    scene.node.rpc("anvil_reorg", 1, [])
    assert scene.paid() == 0
    sent = scene.proxy.count(SEND)
    until(lambda: scene.proxy.count(SEND) > sent)
    scene.node.mine()
    until(lambda: scene.paid() == 1)
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
    thread, found = in_thread(lambda: scene.sender(confirmations=2).send(scene.pay()))
    until(lambda: scene.paid() == 1)
    scene.node.rpc("evm_setAutomine", False)
    scene.node.rpc("anvil_reorg", 1, [])
    scene.foreign(0, "0x" + "79" * 20, gwei=200)
    scene.node.mine(3)
    scene.node.rpc("evm_setAutomine", True)
    scene.node.mine()  # what came before the switch lies in the pool
    until(lambda: scene.paid() == 1)
    scene.node.mine(3)
    thread.join(10)
    assert int(found[0]["status"], 16) == 1
    assert (scene.paid(), scene.nonce()) == (1, 2)
