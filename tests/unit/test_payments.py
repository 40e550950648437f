"""Vouchers as they travel, and the user's book of channels."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ConfigError, VoucherError
from client.payments import ChannelBook, Payer, Voucher
from client.wallet import recover_voucher
from tests.serving_fakes import NETWORK, ChannelBank

USER, SERVER = Account.create(), Account.create()


def _payer(folder: Path, bank: ChannelBank | None = None) -> Payer:
    bank = bank or ChannelBank()
    return Payer(bank.of(USER.address), NETWORK, USER, ChannelBook(folder / "channels.json"))


@given(st.binary(min_size=32, max_size=32), st.integers(1, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_voucher_when_sent_as_a_header_then_the_same_comes_back(channel: bytes, model: int, cumulative: int) -> None:
    voucher = Voucher(channel, model, cumulative, b"\x07" * 65)
    assert Voucher.from_header(voucher.to_header()) == voucher


@pytest.mark.parametrize(
    "changes",
    [
        {"cumulative": 5},
        {"cumulative": "-1"},
        {"cumulative": "1e3"},
        {"cumulative": "٣"},
        {"cumulative": str(2**256)},
        {"model": "1"},
        {"model": True},
        {"model": 0},
        {"channel": "0x12"},
        {"channel": "zz" * 32},
        {"signature": "0x"},
        {"more": 1},
    ],
)
def test_voucher_when_a_field_is_wrong_then_voucher_error(changes: dict[str, Any]) -> None:
    body = {**Voucher(bytes(32), 1, 1, bytes(65)).to_json(), **changes}
    with pytest.raises(VoucherError):
        Voucher.from_json(body)


@pytest.mark.parametrize("header", ["", "!", "e30", base64.urlsafe_b64encode(b"[" * 900).decode(), "A" * 3000])
def test_voucher_when_the_header_is_rubbish_then_voucher_error(header: str) -> None:
    with pytest.raises(VoucherError):
        Voucher.from_header(header)


def test_pay_when_within_the_agreed_price_then_a_valid_voucher_is_signed(tmp_path: Path) -> None:
    payer = _payer(tmp_path)
    entry = payer.open(SERVER.address, 2, 100)
    entry, voucher = payer.pay(entry, 40, 40)
    assert entry.signed == 40
    assert recover_voucher(NETWORK, voucher.channel, 2, 40, voucher.signature) == USER.address


def test_pay_when_the_server_asks_for_more_then_nothing_is_signed(tmp_path: Path) -> None:
    payer = _payer(tmp_path)
    entry = payer.open(SERVER.address, 2, 100)
    for owed, most in ((41, 40), (101, 200)):
        with pytest.raises(VoucherError, match="nothing was signed"):
            payer.pay(entry, owed, most)
    assert ChannelBook(tmp_path / "channels.json").entries()[0].signed == 0


def test_pay_when_the_server_asks_for_less_than_was_signed_then_the_old_sum_stays(tmp_path: Path) -> None:
    payer = _payer(tmp_path)
    entry, _ = payer.pay(payer.open(SERVER.address, 2, 100), 40, 40)
    assert payer.pay(entry, 10, 10)[1].cumulative == 40


def test_book_when_opened_again_then_it_remembers_what_was_signed(tmp_path: Path) -> None:
    bank = ChannelBank()
    payer = _payer(tmp_path, bank)
    payer.pay(payer.open(SERVER.address, 2, 10**20), 10**19, 10**19)
    again = _payer(tmp_path, bank).existing(SERVER.address, 2)
    assert again is not None and again.signed == 10**19 and again.deposit == 10**20
    assert _payer(tmp_path, bank).existing(SERVER.address, 3) is None


def test_existing_when_the_channel_is_gone_on_chain_then_none(tmp_path: Path) -> None:
    bank = ChannelBank()
    payer = _payer(tmp_path, bank)
    payer.open(SERVER.address, 2, 100)
    bank.channels.clear()
    assert payer.existing(SERVER.address, 2) is None


def test_top_up_when_done_then_the_deposit_is_the_chains(tmp_path: Path) -> None:
    payer = _payer(tmp_path)
    assert payer.top_up(payer.open(SERVER.address, 2, 100), 50).deposit == 150


@pytest.mark.parametrize(
    "text", ["{", "7", "[1]", '[{"channel": "0x"}]', json.dumps([{"deposit": "x", "signed": "1"}])]
)
def test_book_when_the_file_is_damaged_then_config_error_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "channels.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"channels\.json"):
        ChannelBook(path)
