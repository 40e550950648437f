"""What the stand-in holds of a round, so that it can commit and reveal in the leader's place.

The leader hands over the record (digest, salt, kind, base head, datasets, tokens) and the payload BEFORE its commitment
is sent, and the residual afterwards, over the team's own connections, which are encrypted and know the other's peer id.
The wallet's key is never sent: a stand-in has its own copy of the keystore.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from client.cid import digest_bytes
from client.errors import SwarmError
from node.vault import DeltaRecord

if TYPE_CHECKING:
    from node.teams.settings import Vector

MAX_PAYLOAD_BYTES = 2**30
MAX_RESIDUAL_BYTES = 2**34
MAX_IDS = 4096
BYTES_FIELDS = ("seed", "digest", "salt", "base_head")


@dataclass(frozen=True)
class Handover:
    """A sealed delta. ``payload`` or ``residual`` is None where it comes another time."""

    record: DeltaRecord
    payload: bytes | None = None
    residual: Vector | None = None  # what compression dropped, float32


Keep = Callable[[Handover], None]


def record_to_json(record: DeltaRecord) -> dict[str, Any]:
    """As it is sent."""
    values = dataclasses.asdict(record)
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return {**plain, "dataset_ids": list(record.dataset_ids)}


def record_from_json(value: Any) -> DeltaRecord:
    """What the leader sent; ``SwarmError`` where it is malformed."""
    names = {field.name for field in dataclasses.fields(DeltaRecord)}
    if not isinstance(value, dict) or set(value) != names:
        raise SwarmError("a record of other fields than ours")
    values: dict[str, Any] = {}
    for name, found in value.items():
        if name in BYTES_FIELDS:
            fits = isinstance(found, str) and len(found) == 64
            try:
                values[name] = bytes.fromhex(found) if fits else b""
            except ValueError:
                values[name] = b""
            if len(values[name]) != 32:
                raise SwarmError(f"a record's {name} is not 32 bytes in hexadecimal")
        elif name == "dataset_ids":
            if not isinstance(found, list) or len(found) > MAX_IDS or any(type(n) is not int or n < 0 for n in found):
                raise SwarmError("a record's datasets are not a list of numbers")
            values[name] = tuple(found)
        elif type(found) is not int or not 0 <= found < 2**63:
            raise SwarmError(f"a record's {name} is not a number")
        else:
            values[name] = found
    return DeltaRecord(**values)


def check_payload(handover: Handover) -> None:
    """``SwarmError`` where the payload is not the one that the record names."""
    if handover.payload is not None and digest_bytes(handover.payload) != handover.record.digest:
        raise SwarmError("the payload is not the one that the record names")


def residual_from_bytes(data: bytes) -> Vector:
    """A vector that was sent; ``SwarmError`` where it isn't finite float32."""
    values = np.frombuffer(data, dtype="<f4") if len(data) % 4 == 0 else np.zeros(0, "<f4")
    if not values.size or not np.isfinite(values).all():
        raise SwarmError("the residual is not a finite vector")
    return values.astype(np.float32)
