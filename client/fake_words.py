"""Addresses and refusals of the chain in memory."""

from __future__ import annotations

from typing import Any

from client.errors import Reverted
from client.reverts import sentence


def fake_address(number: int) -> str:
    """A checksummed address for tests."""
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(f"0x{number:040x}"))


def refuse(name: str, *args: Any) -> Reverted:
    """The exception that the contract would cause."""
    return Reverted(name, args, sentence(name, ("",) * len(args), args))
