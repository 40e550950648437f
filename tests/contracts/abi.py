"""ABI coding for the tests: small, strict, and independent of the client's."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

Entry = dict[str, Any]


def type_of(entry: Entry) -> str:
    """An entry's canonical type; tuples written out."""
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(type_of(part) for part in entry["components"])
    return f"({inner}){kind[len('tuple') :]}"


def signature_of(entry: Entry) -> str:
    """``name(types)`` of a function, event or error."""
    return f"{entry['name']}({','.join(type_of(part) for part in entry['inputs'])})"


def selector_of(entry: Entry) -> bytes:
    """The first four bytes of the signature's hash."""
    return keccak(text=signature_of(entry))[:4]


def encode_args(entry: Entry, args: tuple[Any, ...]) -> bytes:
    """Arguments of a function or constructor."""
    return encode([type_of(part) for part in entry.get("inputs", [])], args)


def decode_values(parts: list[Entry], data: bytes) -> list[Any]:
    """Values by ABI entries; tuples become namespaces."""
    return [_shape(part, value) for part, value in zip(parts, decode([type_of(p) for p in parts], data), strict=True)]


def _shape(part: Entry, value: Any, kind: str | None = None) -> Any:
    kind = kind or part["type"]
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        return [_shape(part, item, inner) for item in value]
    if kind == "tuple":
        fields = zip(part["components"], value, strict=True)
        return SimpleNamespace(**{p["name"]: _shape(p, v) for p, v in fields})
    return value


@dataclass(frozen=True)
class Log:
    """A decoded event."""

    name: str
    args: SimpleNamespace
    address: str  # of the contract that it is from, in lower case


def decode_log(abi: list[Entry], topics: list[bytes], data: bytes, address: str) -> Log | None:
    """The event, or None where the ABI doesn't have it."""
    for entry in abi:
        if entry["type"] != "event" or keccak(text=signature_of(entry)) != topics[0]:
            continue
        indexed = [p for p in entry["inputs"] if p["indexed"]]
        plain = [p for p in entry["inputs"] if not p["indexed"]]
        values = dict(zip([p["name"] for p in plain], decode_values(plain, data), strict=True))
        for part, topic in zip(indexed, topics[1:], strict=True):
            values[part["name"]] = decode([type_of(part)], topic)[0]
        return Log(entry["name"], SimpleNamespace(**values), address.lower())
    return None


def decode_error(abis: list[list[Entry]], data: bytes) -> tuple[str, tuple[Any, ...]]:
    """A revert's name and arguments."""
    if data[:4] == keccak(text="Error(string)")[:4]:
        return "Error", tuple(decode(["string"], data[4:]))
    if data[:4] == keccak(text="Panic(uint256)")[:4]:
        return "Panic", tuple(decode(["uint256"], data[4:]))
    for abi in abis:
        for entry in abi:
            if entry["type"] == "error" and selector_of(entry) == data[:4]:
                return entry["name"], tuple(decode([type_of(p) for p in entry["inputs"]], data[4:]))
    return data[:4].hex(), ()
