"""Who may ask, what is owed, and what is redeemed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account as Wallet

from client.payments import ChannelBook, Payer, Voucher
from client.types import ChannelInfo
from node.serving.ledger import Account, Ledger
from node.serving.metering import Meter, PaymentRequired, Tariff
from tests.serving_fakes import NETWORK, ChannelBank

USER, SERVER, OTHER = Wallet.create(), Wallet.create(), Wallet.create()
PRICE = 10**15
DEPOSIT = 100 * PRICE


class Bench:
    """A meter with a clock that the test turns, and a user with a channel."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.bank = folder, 1000.0, ChannelBank()
        self.payer = Payer(self.bank.of(USER.address), NETWORK, USER, ChannelBook(folder / "book.json"))
        self.entry = self.payer.open(SERVER.address, 2, DEPOSIT)
        self.open()

    def open(self) -> None:
        self.ledger = Ledger(self.folder / "ledger.sqlite")
        chain = self.bank.of(SERVER.address)
        self.meter = Meter(chain, NETWORK, self.ledger, Tariff(PRICE, 2, 30.0), lambda: self.now)

    def voucher(self, cumulative: int = 0) -> Voucher:
        return self.payer._sign(self.entry, cumulative)

    def answer(self, paid: int, tokens: int) -> int:
        voucher = self.voucher(paid)
        self.meter.admit(voucher, 2, 50)
        return self.meter.charge(voucher, tokens).owed


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.ledger.close()


def _code(call: Callable[[], object]) -> str:
    with pytest.raises(PaymentRequired) as caught:
        call()
    return caught.value.code


def test_admit_when_the_voucher_proves_the_channel_then_tokens_up_to_the_deposit(bench: Bench) -> None:
    assert bench.meter.admit(bench.voucher(), 2, 50) == 50
    bench.meter.charge(bench.voucher(), 0)
    assert bench.meter.admit(bench.voucher(), 2, 500) == 100


def test_admit_when_something_is_wrong_then_the_code_says_what(bench: Bench) -> None:
    meter, good = bench.meter, bench.voucher()
    assert _code(lambda: meter.admit(None, 2, 1)) == "voucher_required"
    assert _code(lambda: meter.admit(good, 3, 1)) == "wrong_model"
    assert _code(lambda: meter.admit(bench.voucher(DEPOSIT + 1), 2, 1)) == "over_deposit"
    assert _code(lambda: meter.admit(replace(good, channel=bytes(32)), 2, 1)) == "unknown_channel"
    assert _code(lambda: meter.admit(replace(good, cumulative=7), 2, 1)) == "bad_signature"
    assert _code(lambda: meter.admit(replace(good, signature=bytes(65)), 2, 1)) == "bad_signature"


def test_admit_when_an_answer_is_billed_meanwhile_then_the_second_is_not_given_unpaid(bench: Bench) -> None:
    class Overtaken(Meter):
        """Another request's answer ends right after our voucher was looked at."""

        def _accept(self, voucher: Voucher) -> tuple[Account, ChannelInfo]:
            found = super()._accept(voucher)
            if voucher.channel in self._busy:
                self.charge(voucher, 5)
            return found

    meter = Overtaken(bench.bank.of(SERVER.address), NETWORK, bench.ledger, Tariff(PRICE, 2, 30.0), lambda: bench.now)
    assert meter.admit(bench.voucher(), 2, 50) == 50
    assert _code(lambda: meter.admit(bench.voucher(), 2, 50)) == "unpaid"


def test_admit_when_the_channel_pays_another_server_then_refused(bench: Bench) -> None:
    entry = bench.payer.open(OTHER.address, 2, DEPOSIT)
    assert _code(lambda: bench.meter.admit(bench.payer.voucher(entry), 2, 1)) == "wrong_server"


def test_admit_when_the_channel_is_closing_then_refused(bench: Bench) -> None:
    key = bench.entry.channel_id
    bench.bank.channels[key] = replace(bench.bank.channels[key], close_block=9)
    assert _code(lambda: bench.meter.admit(bench.voucher(), 2, 1)) == "channel_closing"


def test_admit_when_an_answer_runs_then_the_channel_is_busy(bench: Bench) -> None:
    bench.meter.admit(bench.voucher(), 2, 1)
    assert _code(lambda: bench.meter.admit(bench.voucher(), 2, 1)) == "channel_busy"
    bench.meter.release(bench.entry.channel_id)
    assert bench.meter.admit(bench.voucher(), 2, 1) == 1


def test_admit_when_the_last_answer_is_unpaid_then_refused_until_it_is(bench: Bench) -> None:
    owed = bench.answer(0, 8)
    assert owed == 8 * PRICE
    assert _code(lambda: bench.meter.admit(bench.voucher(), 2, 1)) == "unpaid"
    assert _code(lambda: bench.meter.admit(bench.voucher(owed - 1), 2, 1)) == "unpaid"
    assert bench.answer(owed, 2) == 10 * PRICE


def test_admit_when_the_deposit_is_used_up_then_top_up_helps(bench: Bench) -> None:
    owed = bench.answer(0, 100)
    assert _code(lambda: bench.meter.admit(bench.voucher(owed), 2, 5)) == "over_deposit"
    bench.payer.top_up(bench.entry, 3 * PRICE)
    assert bench.meter.admit(bench.voucher(owed), 2, 5) == 3


def test_ledger_when_the_server_starts_again_then_debts_and_vouchers_are_there(bench: Bench) -> None:
    owed = bench.answer(0, 8)
    bench.meter.accept(bench.voucher(owed))
    bench.ledger.close()
    bench.open()
    assert bench.meter.owed(bench.entry.channel_id) == owed
    assert [done.amount for done in bench.meter.redeem_due(everything=True)] == [owed]


def test_redeem_when_vouchers_are_few_and_young_then_not_yet(bench: Bench) -> None:
    bench.meter.accept(bench.voucher(bench.answer(0, 1)))
    assert bench.meter.redeem_due() == []
    bench.now += 31
    assert [done.amount for done in bench.meter.redeem_due()] == [PRICE]
    assert bench.meter.redeem_due(everything=True) == []


def test_redeem_when_the_user_closes_the_channel_then_at_once(bench: Bench) -> None:
    bench.meter.accept(bench.voucher(bench.answer(0, 1)))
    key = bench.entry.channel_id
    bench.bank.channels[key] = replace(bench.bank.channels[key], close_block=9)
    assert [done.amount for done in bench.meter.redeem_due()] == [PRICE]


def test_redeem_when_there_are_enough_vouchers_then_the_last_one_counts(bench: Bench) -> None:
    for _ in range(2):
        bench.meter.accept(bench.voucher(bench.answer(bench.meter.owed(bench.entry.channel_id), 4)))
    assert [done.amount for done in bench.meter.redeem_due()] == [8 * PRICE]
    assert bench.bank.redeemed == [8 * PRICE]


def test_redeem_when_the_chain_is_away_then_later(bench: Bench) -> None:
    bench.meter.accept(bench.voucher(bench.answer(0, 4)))
    bench.bank.down = True
    assert bench.meter.redeem_due(everything=True) == []
    bench.bank.down = False
    assert len(bench.meter.redeem_due(everything=True)) == 1


def test_redeem_when_the_chain_refuses_then_it_is_not_tried_for_ever(bench: Bench) -> None:
    bench.meter.accept(bench.voucher(bench.answer(0, 4)))
    bench.bank.channels.clear()
    assert bench.meter.redeem_due(everything=True) == []
    account = bench.ledger.get(bench.entry.channel_id)
    assert account is not None and account.redeemed == account.paid


def test_accept_when_an_older_voucher_comes_then_the_better_one_is_kept(bench: Bench) -> None:
    bench.meter.admit(bench.voucher(), 2, 50)
    bench.meter.charge(bench.voucher(), 10)
    assert bench.meter.accept(bench.voucher(10 * PRICE)).paid == 10 * PRICE
    assert bench.meter.accept(bench.voucher(3 * PRICE)).paid == 10 * PRICE
