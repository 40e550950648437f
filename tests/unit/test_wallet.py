"""Wallets: never overwritten, never readable by others, opened by their passphrase alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from client.errors import VoucherError, WalletError, WalletExists, WalletNotFound, WrongPassphrase
from client.settings import CONTRACTS, Network
from client.wallet import Wallets, read_passphrase, recover_voucher, sign_voucher

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
MNEMONIC = "test test test test test test test test test test test junk"
NETWORK = Network("test", 31337, "http://127.0.0.1:9", 1, dict.fromkeys(CONTRACTS, ADDRESS))


def test_create_when_new_then_only_its_owner_can_read_and_open_it(tmp_path: Path) -> None:
    store = Wallets(tmp_path / "wallets")
    info = store.create("alice", "secret", light=True)
    assert stat.S_IMODE(info.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert json.loads(info.path.read_text())["version"] == 3
    assert store.open("alice", "secret").address == info.address == store.address("alice")
    assert [found.name for found in store.list()] == ["alice"]
    assert list(store.folder.iterdir()) == [info.path]


def test_create_when_the_name_is_taken_then_the_wallet_is_left_as_it_is(tmp_path: Path) -> None:
    store = Wallets(tmp_path)
    before = store.create("alice", "secret", light=True).path.read_bytes()
    with pytest.raises(WalletExists, match="left as it is"):
        store.create("alice", "other", light=True)
    with pytest.raises(WalletExists):
        store.import_key("alice", KEY, "other", light=True)
    assert store.path("alice").read_bytes() == before


def test_open_when_the_passphrase_is_wrong_then_it_is_refused(tmp_path: Path) -> None:
    store = Wallets(tmp_path)
    store.create("alice", "secret", light=True)
    with pytest.raises(WrongPassphrase):
        store.open("alice", "guess")


def test_open_when_there_is_no_such_wallet_then_the_error_names_those_that_there_are(tmp_path: Path) -> None:
    store = Wallets(tmp_path)
    store.create("alice", "", light=True)
    with pytest.raises(WalletNotFound, match="there: alice"):
        store.open("bob", "")


@pytest.mark.parametrize("key", [KEY, KEY[2:], f"  {KEY}\n", bytes.fromhex(KEY[2:])])
def test_import_when_the_key_is_given_in_any_form_then_the_address_is_the_same(
    tmp_path: Path, key: str | bytes
) -> None:
    assert Wallets(tmp_path).import_key("rich", key, "x", light=True).address == ADDRESS


@pytest.mark.parametrize("key", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32, b"short"])
def test_import_when_it_is_no_key_then_it_is_refused(tmp_path: Path, key: str | bytes) -> None:
    with pytest.raises(WalletError, match="not a private key"):
        Wallets(tmp_path).import_key("rich", key, "x", light=True)


def test_import_when_it_is_a_mnemonic_then_its_first_account_is_kept(tmp_path: Path) -> None:
    store = Wallets(tmp_path)
    assert store.import_mnemonic("rich", MNEMONIC, "x", light=True).address == ADDRESS
    with pytest.raises(WalletError, match="mnemonic"):
        store.import_mnemonic("poor", MNEMONIC.replace("junk", "junk2"), "x", light=True)


def test_import_when_it_is_a_keystore_then_it_is_opened_once_first(tmp_path: Path) -> None:
    first = Wallets(tmp_path / "a")
    keystore = json.loads(first.import_key("rich", KEY, "x", light=True).path.read_text())
    second = Wallets(tmp_path / "b")
    with pytest.raises(WrongPassphrase):
        second.import_keystore("rich", keystore, "y")
    assert second.import_keystore("rich", keystore, "x").address == ADDRESS


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"address": "0x12"}'])
def test_address_when_the_file_is_no_keystore_then_the_error_is_typed(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(WalletError):
        Wallets(tmp_path).address("bad")
    with pytest.raises(WalletError):
        Wallets(tmp_path).open("bad", "x")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "x" * 65])
def test_create_when_the_name_could_leave_the_folder_then_it_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WalletError, match="name"):
        Wallets(tmp_path).create(name, "x", light=True)


def test_passphrase_when_the_file_ends_with_a_line_end_then_it_is_not_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "pass").write_bytes(b"se cret \r\nsecond line\n")
    assert read_passphrase(tmp_path / "pass") == "se cret "
    with pytest.raises(WalletError, match="can't be read"):
        read_passphrase(tmp_path / "none")


def test_voucher_when_signed_then_its_signer_is_recovered_and_nothing_can_be_changed(tmp_path: Path) -> None:
    store = Wallets(tmp_path)
    store.import_key("rich", KEY, "x", light=True)
    channel = b"\x07" * 32
    signed = sign_voucher(store.open("rich", "x"), NETWORK, channel, 2, 10**18)
    assert len(signed) == 65
    assert recover_voucher(NETWORK, channel, 2, 10**18, signed) == ADDRESS
    assert recover_voucher(NETWORK, channel, 2, 10**18 + 1, signed) != ADDRESS
    assert recover_voucher(NETWORK.with_(chain_id=1), channel, 2, 10**18, signed) != ADDRESS


@pytest.mark.parametrize("signature", [b"", b"\x00" * 64, b"\x00" * 65, b"\xff" * 65])
def test_voucher_when_the_signature_is_none_then_the_error_is_typed(signature: bytes) -> None:
    with pytest.raises(VoucherError):
        recover_voucher(NETWORK, b"\x07" * 32, 2, 1, signature)


def test_voucher_when_amount_or_channel_are_impossible_then_the_error_is_typed() -> None:
    for channel, amount in ((b"short", 1), (b"\x07" * 32, -1), (b"\x07" * 32, 2**256)):
        with pytest.raises(VoucherError):
            recover_voucher(NETWORK, channel, 2, amount, b"\x01" * 65)
