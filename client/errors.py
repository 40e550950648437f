"""Every exception that Strata raises on purpose.

::

    StrataError
    ├── ConfigError            a setting is missing or wrong
    ├── ToolMissing            a program that we need (node, anvil, ipfs) is not there
    ├── PortTaken              another process listens where we would
    ├── WalletError
    │   ├── WalletExists       a wallet of that name is there; nothing was overwritten
    │   ├── WalletNotFound
    │   └── WrongPassphrase
    ├── ChainError
    │   ├── ChainUnavailable   no answer from the RPC end point
    │   ├── Reverted           a contract refused; `.name` and `.arguments` say why
    │   ├── Unfunded           the account can't pay for gas, or lacks tokens
    │   └── TransactionLost    sent, but in no block before the deadline
    ├── StorageError
    │   ├── StorageUnavailable no answer from the IPFS daemon
    │   ├── NotFound           nobody gave that CID before the deadline
    │   ├── DigestMismatch     the bytes are not the ones that were asked for
    │   └── TooLarge           more bytes than the caller allows
    ├── DataError
    │   ├── EmptyText
    │   ├── BinaryText
    │   └── AlreadySubmitted
    ├── ManifestError          JSON that is not what its schema says
    ├── DeltaError             a delta's form is wrong (shape, size, scales, codec)
    ├── AuditError             chain and content disagree
    ├── UnknownModel
    ├── VoucherError           a voucher that does not pay (signature, order, deposit)
    ├── SwarmError             no peer could be reached
    └── NoServer               nobody serves that model now
"""

from __future__ import annotations

from typing import Any


class StrataError(Exception):
    """Base of all. The message says what happened, why, and what to do about it."""


class ConfigError(StrataError):
    """A setting is missing or has a value that can't be used."""


class ToolMissing(StrataError):
    """A program that we need is not installed."""


class PortTaken(StrataError):
    """Another process listens on a port that was asked for."""


class WalletError(StrataError):
    """Something about a wallet."""


class WalletExists(WalletError):
    """A wallet of that name is there already; it was left alone."""


class WalletNotFound(WalletError):
    """No wallet of that name."""


class WrongPassphrase(WalletError):
    """The passphrase does not open the keystore."""


class ChainError(StrataError):
    """Something about the chain."""


class ChainUnavailable(ChainError):
    """The RPC end point does not answer."""


class Reverted(ChainError):
    """A contract refused a call.

    ``name`` is the Solidity error's name (``"Error"`` for a plain reason), ``arguments`` its decoded arguments.
    """

    def __init__(self, name: str, arguments: tuple[Any, ...] = (), message: str = "") -> None:
        self.name = name
        self.arguments = arguments
        super().__init__(message or f"{name}{arguments}")


class Unfunded(ChainError):
    """The account lacks the coins for gas, or the tokens for the transfer."""


class TransactionLost(ChainError):
    """A transaction was sent and is in no block before the deadline."""


class StorageError(StrataError):
    """Something about IPFS."""


class StorageUnavailable(StorageError):
    """The IPFS daemon does not answer."""


class NotFound(StorageError):
    """Nobody provided that CID before the deadline."""


class DigestMismatch(StorageError):
    """The bytes that came are not the bytes that the digest names."""


class TooLarge(StorageError):
    """More bytes than the caller allows."""


class DataError(StrataError):
    """A text that can't be submitted."""


class EmptyText(DataError):
    """Nothing is left of the text after cleaning."""


class BinaryText(DataError):
    """The file is not text."""


class AlreadySubmitted(DataError):
    """A dataset with the same content is registered."""


class ManifestError(StrataError):
    """Stored JSON that is not what its schema says."""


class DeltaError(StrataError):
    """A delta whose form is wrong."""


class TeamOverError(DeltaError):
    """The team's training of a round was over when this peer came to it."""


class AuditError(StrataError):
    """What the chain recorded and what can be recomputed disagree."""


class UnknownModel(StrataError):
    """No model of that name or number."""


class VoucherError(StrataError):
    """A voucher that does not pay."""


class SwarmError(StrataError):
    """No peer could be reached."""


class NoServer(SwarmError):
    """Nobody serves that model now."""
