"""Payments of processes that die, time out or share a wallet, and what a journal holds of them: each is made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from client.chain_rpc import RpcError
from client.chain_send import Call
from client.errors import TransactionLost, Unfunded
from client.journal import FileJournal, MemoryJournal
from tests.conftest import ROOT
from tests.faulty_proxy import Fault
from tests.sender_world import COIN, SEND, Scene, in_thread, until

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
    works = [in_thread(lambda: scene.sender(FileJournal(scene.folder)).send(scene.pay())) for _ in range(4)]
    until(lambda: len(FileJournal(scene.folder).pending()) == 4)
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
