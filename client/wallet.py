"""Keys: keystore v3 files that nothing overwrites, and signed vouchers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import VoucherError, WalletError, WalletExists, WalletNotFound, WrongPassphrase
from client.settings import Network, write_atomically

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_KEYSTORE_BYTES = 64 * 1024
LIGHT_SCRYPT_N = 2**12  # for tests and devnets: 15 ms instead of a second
FULL_SCRYPT_N = 2**18


@dataclass(frozen=True)
class WalletInfo:
    """A wallet's name, checksummed address and file."""

    name: str
    address: str
    path: Path


class Wallets:
    """The keystores in one folder, ``NAME.json`` each, readable by their owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, name: str, passphrase: str, light: bool = False) -> WalletInfo:
        """Makes a new key. ``light`` takes a weak key derivation (fast, for tests and devnets)."""
        from eth_account import Account

        self.refuse_existing(name)
        return self._write(name, bytes(Account.create().key), passphrase, light)

    def import_key(self, name: str, key: bytes | str, passphrase: str, light: bool = False) -> WalletInfo:
        """Keeps a private key: 32 bytes, or their hex text with or without ``0x``."""
        self.refuse_existing(name)
        return self._write(name, _parse_key(key), passphrase, light)

    def import_mnemonic(
        self, name: str, mnemonic: str, passphrase: str, path: str = "m/44'/60'/0'/0/0", light: bool = False
    ) -> WalletInfo:
        """Keeps the key that a BIP-39 phrase leads to along ``path``."""
        from eth_account import Account
        from eth_utils.exceptions import ValidationError

        self.refuse_existing(name)
        Account.enable_unaudited_hdwallet_features()
        try:
            account = Account.from_mnemonic(" ".join(mnemonic.split()), account_path=path)
        except (ValidationError, ValueError) as error:
            raise WalletError("That is not a valid mnemonic. Check its words, their order and their number.") from error
        return self._write(name, bytes(account.key), passphrase, light)

    def import_keystore(self, name: str, keystore: Mapping[str, Any], passphrase: str) -> WalletInfo:
        """Keeps a keystore v3 made elsewhere, after opening it once."""
        self.refuse_existing(name)
        account = _decrypt(dict(keystore), passphrase, "the given keystore")
        data = {**keystore, "address": account.address.lower().removeprefix("0x")}
        self._store(name, data)
        return WalletInfo(name, account.address, self.path(name))

    def list(self) -> list[WalletInfo]:
        """All wallets in the folder, by name."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in sorted(self.folder.glob("*.json")):
            if NAME.fullmatch(path.stem):
                found.append(WalletInfo(path.stem, self.address(path.stem), path))
        return found

    def open(self, name: str, passphrase: str) -> LocalAccount:
        """The account that signs."""
        return open_keystore(self._existing(name), passphrase)

    def address(self, name: str) -> str:
        """The checksummed address; needs no passphrase."""
        return keystore_address(self._existing(name))

    def path(self, name: str) -> Path:
        """Where the wallet's keystore is or would be."""
        if not NAME.fullmatch(name):
            raise WalletError(f"{name!r} can't be a wallet's name. Use letters, digits, '.', '_' and '-', 64 at most.")
        return self.folder / f"{name}.json"

    def _existing(self, name: str) -> Path:
        path = self.path(name)
        if not path.is_file():
            known = ", ".join(p.stem for p in sorted(self.folder.glob("*.json"))) or "none"
            raise WalletNotFound(
                f"There is no wallet {name!r} in {self.folder} (there: {known}). Make one: strata wallet create {name}"
            )
        return path

    def refuse_existing(self, name: str) -> None:
        """Raises ``WalletExists`` before anybody is asked for a passphrase."""
        if self.path(name).exists():
            raise WalletExists(
                f"A wallet {name!r} exists in {self.folder}; it was left as it is. "
                "Choose another name, or move that file away."
            )

    def _write(self, name: str, key: bytes, passphrase: str, light: bool) -> WalletInfo:
        from eth_account import Account

        rounds = LIGHT_SCRYPT_N if light else FULL_SCRYPT_N
        keystore = Account.encrypt(key, passphrase, kdf="scrypt", iterations=rounds)
        self._store(name, dict(keystore))
        return WalletInfo(name, Account.from_key(key).address, self.path(name))

    def _store(self, name: str, keystore: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            write_atomically(self.path(name), json.dumps(keystore).encode(), mode=0o600, overwrite=False)
        except FileExistsError as error:
            raise WalletExists(
                f"A wallet {name!r} exists in {self.folder}; it was left as it is. Choose another name."
            ) from error


def open_keystore(path: Path, passphrase: str) -> LocalAccount:
    """The account in a keystore v3 file."""
    return _decrypt(_load(path), passphrase, str(path))


def keystore_address(path: Path) -> str:
    """The checksummed address that a keystore names."""
    from eth_utils.address import is_address, to_checksum_address

    text = str(_load(path).get("address", ""))
    if not is_address(text):
        raise WalletError(f"{path} names no address; it is not a keystore v3. Import it: strata wallet import NAME")
    return str(to_checksum_address(text))


def read_passphrase(path: Path) -> str:
    """The first line of a passphrase file, without its line end."""
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise WalletError(
            f"The passphrase file {path} can't be read: {reason}. Give another with --passphrase-file FILE."
        ) from error
    return text.split("\n", 1)[0].rstrip("\r")


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_KEYSTORE_BYTES:
            raise WalletError(f"{path} is too large for a keystore.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WalletNotFound(f"There is no keystore {path}. Make one: strata wallet create NAME") from error
    except (OSError, ValueError) as error:
        raise WalletError(f"{path} can't be read as a keystore: {error}. Restore it from a copy.") from error
    if not isinstance(data, dict):
        raise WalletError(f"{path} is not a keystore v3. Restore it from a copy.")
    return data


def _decrypt(keystore: dict[str, Any], passphrase: str, where: str) -> LocalAccount:
    from eth_account import Account

    try:
        key = Account.decrypt(keystore, passphrase)
    except ValueError as error:
        if "MAC" in str(error):
            raise WrongPassphrase(
                f"That passphrase does not open {where}. Try again, or check --passphrase-file."
            ) from error
        raise WalletError(f"{where} is not a keystore v3 that can be opened: {error}.") from error
    except KeyError as error:
        raise WalletError(f"{where} is not a keystore v3: it lacks {error}. Restore it from a copy.") from error
    except (TypeError, NotImplementedError) as error:
        raise WalletError(f"{where} is not a keystore v3 that can be opened: {error}.") from error
    account: LocalAccount = Account.from_key(key)
    return account


def _parse_key(key: bytes | str) -> bytes:
    if isinstance(key, str):
        text = key.strip().removeprefix("0x")
        try:
            key = bytes.fromhex(text)
        except ValueError as error:
            raise WalletError("That is not a private key. Give 64 hexadecimal digits, with or without 0x.") from error
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    if len(key) != 32 or not 0 < int.from_bytes(key, "big") < order:
        raise WalletError("That is not a private key. Give 64 hexadecimal digits, with or without 0x.")
    return key


def sign_voucher(account: LocalAccount, network: Network, channel: bytes, model_id: int, cumulative: int) -> bytes:
    """Signs that ``cumulative`` wei in all may be redeemed from ``channel`` for answers of ``model_id``: 65 bytes."""
    return bytes(account.sign_message(_voucher_message(network, channel, model_id, cumulative)).signature)


def recover_voucher(network: Network, channel: bytes, model_id: int, cumulative: int, signature: bytes) -> str:
    """Who signed the voucher; ``VoucherError`` when the signature is no signature."""
    from eth_account import Account
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    if len(signature) != 65:
        raise VoucherError(f"A voucher's signature has 65 bytes, not {len(signature)}.")
    try:
        message = _voucher_message(network, channel, model_id, cumulative)
        return str(Account.recover_message(message, signature=signature))
    except (BadSignature, ValidationError, ValueError, TypeError) as error:
        raise VoucherError(f"The voucher's signature can't be read: {error}.") from error


def _voucher_message(network: Network, channel: bytes, model_id: int, cumulative: int) -> Any:
    from eth_account.messages import encode_typed_data

    if len(channel) != 32:
        raise VoucherError(f"A channel's id has 32 bytes, not {len(channel)}.")
    if not 0 <= cumulative < 2**256:
        raise VoucherError(f"A voucher can't be for {cumulative} wei.")
    domain = {
        "name": "StrataInferenceChannels",
        "version": "1",
        "chainId": network.chain_id,
        "verifyingContract": network.contracts["InferenceChannels"],
    }
    types = {
        "Voucher": [
            {"name": "channel", "type": "bytes32"},
            {"name": "model", "type": "uint256"},
            {"name": "cumulative", "type": "uint256"},
        ]
    }
    return encode_typed_data(domain, types, {"channel": channel, "model": model_id, "cumulative": cumulative})
