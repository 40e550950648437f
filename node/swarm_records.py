"""What a node says about itself in the DHT: a small JSON record under its own signature.

The DHT is open: anybody can store anything under any key. So a record carries the signature of the node's wallet over
everything in it, readers drop what does not verify, and what is left is still only a hint: stakes, models and channels
are read from the chain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils.exceptions import ValidationError as EthValidationError

from client.errors import SwarmError
from client.schema import load_json

ROLES = ("miner", "validator", "server", "gateway")
MAX_RECORD_BYTES = 4096
MAX_MODELS = 64
MAX_MADDRS = 8
FUTURE_SECONDS = 30
_PEER_ID = re.compile(r"^[1-9A-HJ-NP-Za-km-z]{20,80}$")
_ADDRESS = re.compile(r"^0x[0-9a-fA-F]{40}$")
_FIELDS = {"address", "chain", "extra", "maddrs", "models", "peer", "role", "time"}


@dataclass(frozen=True)
class PeerInfo:
    """One node as it announced itself, its signature checked."""

    address: str
    role: str
    models: tuple[int, ...]
    peer_id: str
    maddrs: tuple[str, ...]
    time_unix_seconds: int
    extra: dict[str, Any] = field(default_factory=dict)


def heartbeat_key(chain_id: int, role: str) -> str:
    """The DHT key under which nodes of a role announce themselves; the subkey is the node's address."""
    if role not in ROLES:
        raise SwarmError(f"no role is called {role!r}: one of {', '.join(ROLES)}")
    return f"strata/1/{chain_id}/{role}"


def _canonical(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def make_record(
    account: LocalAccount,
    chain_id: int,
    role: str,
    models: Sequence[int],
    peer_id: str,
    maddrs: Sequence[str],
    now_unix_seconds: int,
    extra: dict[str, Any] | None = None,
) -> str:
    """The signed text to store. Raises ``SwarmError`` when it would be too big for readers to take."""
    body: dict[str, Any] = {
        "address": account.address,
        "chain": chain_id,
        "extra": extra or {},
        "maddrs": list(maddrs)[:MAX_MADDRS],
        "models": sorted(int(model) for model in models),
        "peer": peer_id,
        "role": role,
        "time": int(now_unix_seconds),
    }
    signature = account.sign_message(encode_defunct(text=_canonical(body))).signature
    text = _canonical({"body": body, "signature": "0x" + bytes(signature).hex()})
    if len(text.encode()) > MAX_RECORD_BYTES:
        raise SwarmError(f"the heartbeat is {len(text.encode())} bytes, more than {MAX_RECORD_BYTES}")
    return text


def parse_record(text: object, chain_id: int, role: str, now_unix_seconds: float, max_age_seconds: float) -> PeerInfo:
    """Check a stored record: size, schema, age, signature. Raises ``SwarmError`` saying what is wrong."""
    if not isinstance(text, str) or len(text.encode()) > MAX_RECORD_BYTES:
        raise SwarmError("the record is not a text of the allowed size")
    try:
        outer = load_json(text)
    except (ValueError, RecursionError) as error:
        raise SwarmError("the record is not JSON") from error
    if not isinstance(outer, dict) or set(outer) != {"body", "signature"} or not isinstance(outer["body"], dict):
        raise SwarmError("the record has not the fields that it should have")
    body = outer["body"]
    info = _checked(body)
    if body["chain"] != chain_id or info.role != role:
        raise SwarmError("the record is of another network or role")
    age = now_unix_seconds - info.time_unix_seconds
    if age > max_age_seconds or age < -FUTURE_SECONDS:
        raise SwarmError("the record is too old, or from the future")
    if _signer(body, outer["signature"]).lower() != info.address.lower():
        raise SwarmError("the record is not signed by its address")
    return info


def _checked(body: dict[str, Any]) -> PeerInfo:
    if set(body) != _FIELDS:
        raise SwarmError("the record has not the fields that it should have")
    models, maddrs = body["models"], body["maddrs"]
    fits = (
        isinstance(body["address"], str)
        and _ADDRESS.match(body["address"])
        and isinstance(body["peer"], str)
        and _PEER_ID.match(body["peer"])
        and isinstance(body["role"], str)
        and type(body["time"]) is int
        and type(body["chain"]) is int
        and isinstance(body["extra"], dict)
        and isinstance(models, list)
        and len(models) <= MAX_MODELS
        and all(type(model) is int and 0 < model < 2**256 for model in models)
        and isinstance(maddrs, list)
        and len(maddrs) <= MAX_MADDRS
        and all(isinstance(maddr, str) and len(maddr) <= 256 for maddr in maddrs)
    )
    if not fits:
        raise SwarmError("a field of the record has a value that it can't have")
    return PeerInfo(
        body["address"], body["role"], tuple(models), body["peer"], tuple(maddrs), body["time"], body["extra"]
    )


def _signer(body: dict[str, Any], signature: object) -> str:
    if not isinstance(signature, str) or not re.match(r"^0x[0-9a-f]{130}$", signature):
        raise SwarmError("the signature has not the form of one")
    try:
        return str(Account.recover_message(encode_defunct(text=_canonical(body)), signature=signature))
    except (ValueError, EthValidationError) as error:
        raise SwarmError("the signature is not valid") from error
    except Exception as error:
        if type(error).__module__.startswith("eth_keys"):  # BadSignature and the like; eth_keys has no public base
            raise SwarmError("the signature is not valid") from error
        raise
