"""What is committed before it is revealed: keccak hashes that bind value, salt, sender, round, contract and chain."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

SALT_BYTES = 32


def new_salt() -> bytes:
    """A fresh 32-byte salt from the system's randomness."""
    return secrets.token_bytes(SALT_BYTES)


def delta_commitment(
    chain_id: int, rounds_address: str, model_id: int, round_number: int, sender: str, digest: bytes, salt: bytes
) -> bytes:
    """``keccak256(abi.encode(chainid, rounds, model, round, sender, digest, salt))``."""
    return _hash(
        ("uint256", "address", "uint256", "uint64", "address", "bytes32", "bytes32"),
        (chain_id, rounds_address, model_id, round_number, sender, digest, salt),
    )


def score_commitment(
    chain_id: int,
    rounds_address: str,
    model_id: int,
    round_number: int,
    sender: str,
    scores: Sequence[int],
    reasons: Sequence[int],
    report: bytes,
    salt: bytes,
) -> bytes:
    """``keccak256(abi.encode(chainid, rounds, model, round, sender, scores, reasons, report, salt))``; micro-nats."""
    return _hash(
        ("uint256", "address", "uint256", "uint64", "address", "uint64[]", "uint8[]", "bytes32", "bytes32"),
        (
            chain_id,
            rounds_address,
            model_id,
            round_number,
            sender,
            [int(s) for s in scores],
            [int(r) for r in reasons],
            report,
            salt,
        ),
    )


def head_commitment(
    chain_id: int, rounds_address: str, model_id: int, round_number: int, sender: str, head: bytes, salt: bytes
) -> bytes:
    """``keccak256(abi.encode(chainid, rounds, model, round, sender, "HEAD", head, salt))``."""
    return _hash(
        ("uint256", "address", "uint256", "uint64", "address", "string", "bytes32", "bytes32"),
        (chain_id, rounds_address, model_id, round_number, sender, "HEAD", head, salt),
    )


def dataset_commitment(
    chain_id: int, registry_address: str, model_id: int, sender: str, root: bytes, salt: bytes
) -> bytes:
    """``keccak256(abi.encode(chainid, registry, model, sender, root, salt))``."""
    return _hash(
        ("uint256", "address", "uint256", "address", "bytes32", "bytes32"),
        (chain_id, registry_address, model_id, sender, root, salt),
    )


def pool_account(model_id: int, validator: str) -> str:
    """Where the rewards of a validator's delegators are credited: an address whose key nobody holds."""
    from eth_utils.address import to_checksum_address

    digest = _hash(("string", "uint256", "address"), ("strata.pool", model_id, validator))
    return str(to_checksum_address(digest[12:]))


def round_seed(block_hash: bytes, model_id: int, round_number: int) -> bytes:
    """``keccak256(abi.encode(blockhash(openBlock), model, round))``."""
    return _hash(("bytes32", "uint256", "uint64"), (block_hash, model_id, round_number))


def evaluation_seed(block_hash: bytes, salt_mix: bytes, model_id: int, round_number: int) -> bytes:
    """``keccak256(abi.encode(blockhash(scoreStart), saltMix, model, round))``."""
    return _hash(("bytes32", "bytes32", "uint256", "uint64"), (block_hash, salt_mix, model_id, round_number))


def _hash(types: Sequence[str], values: Sequence[object]) -> bytes:
    from eth_abi.abi import encode
    from eth_utils.crypto import keccak

    return bytes(keccak(encode(list(types), list(values))))
