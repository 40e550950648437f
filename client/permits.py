"""What an account signs besides transactions: leave to take tokens (EIP-2612), and salts that it can make again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.settings import Network

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

PERMIT_SECONDS = 3600  # how long a permit can be used
_PERMIT = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]
_SALT = [
    {"name": "purpose", "type": "string"},
    {"name": "model", "type": "uint256"},
    {"name": "root", "type": "bytes32"},
]


def sign_permit(
    account: LocalAccount, network: Network, spender: str, value: int, nonce: int, deadline: int
) -> tuple[int, bytes, bytes]:
    """Leave for ``spender`` to take ``value`` wei until ``deadline`` (unix seconds), as (v, r, s)."""
    message = {"owner": account.address, "spender": spender, "value": value, "nonce": nonce, "deadline": deadline}
    domain = _domain("Strata", network, "StrataToken")
    signed = account.sign_typed_data(domain, {"Permit": _PERMIT}, message)
    return int(signed.v), int(signed.r).to_bytes(32, "big"), int(signed.s).to_bytes(32, "big")


def dataset_salt(account: LocalAccount, network: Network, model_id: int, root: bytes) -> bytes:
    """The 32-byte salt of a dataset's announcement: the same each time, and nobody else can make it.

    It is the hash of a signature, which is deterministic, so nothing has to be kept between announcement and
    registration.
    """
    from eth_utils.crypto import keccak

    message = {"purpose": "announcement of a dataset", "model": model_id, "root": root}
    domain = _domain("StrataDataRegistry", network, "DataRegistry")
    return bytes(keccak(bytes(account.sign_typed_data(domain, {"Salt": _SALT}, message).signature)))


def _domain(name: str, network: Network, contract: str) -> dict[str, object]:
    where = {"chainId": network.chain_id, "verifyingContract": network.contracts[contract]}
    return {"name": name, "version": "1", **where}
