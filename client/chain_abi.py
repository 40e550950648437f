"""Calls, results, logs and reverts between Solidity's ABI and Python values. Pure: no input or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eth_abi.abi import encode
from eth_abi.codec import ABIDecoder
from eth_abi.decoding import StringDecoder
from eth_abi.encoding import TextStringEncoder
from eth_abi.exceptions import DecodingError
from eth_abi.registry import BaseEquals, registry
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from client.errors import Reverted, Unfunded
from client.reverts import PANICS, sentence

Param = Mapping[str, Any]


def _lenient() -> ABIDecoder:
    """Solidity puts any bytes into a string: what is not UTF-8 is replaced, so that no name can stop its readers."""
    ours = registry.copy()  # type: ignore[no-untyped-call]
    ours.unregister("string")
    reader = StringDecoder(handle_string_errors="replace")  # type: ignore[no-untyped-call]
    kind = BaseEquals("string", with_sub=False)  # type: ignore[no-untyped-call]
    ours.register(kind, TextStringEncoder, reader, label="string")
    return ABIDecoder(ours)


decode = _lenient().decode


@lru_cache(maxsize=4096)
def checksum(address: str) -> str:
    """The EIP-55 text of an address."""
    return str(to_checksum_address(address))


def type_of(param: Param) -> str:
    """The canonical type: tuples spelled out."""
    kind = str(param["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(type_of(part) for part in param["components"])
    return f"({inner}){kind[len('tuple') :]}"


def signature_of(item: Param) -> str:
    """``name(type,type)`` of a function, event or error."""
    return f"{item['name']}({','.join(type_of(p) for p in item['inputs'])})"


def to_python(param: Param, value: Any) -> Any:
    """Addresses checksummed, structs as dicts by field name, arrays as lists."""
    kind = str(param["type"])
    if kind.endswith("]"):
        base = {**param, "type": kind[: kind.rindex("[")]}
        return [to_python(base, item) for item in value]
    if kind == "tuple":
        return {p["name"]: to_python(p, v) for p, v in zip(param["components"], value, strict=True)}
    if kind == "address":
        return checksum(value)
    return value


@dataclass(frozen=True)
class FunctionAbi:
    """One function: how to call it and read its answer."""

    name: str
    selector: bytes
    inputs: tuple[Param, ...]
    outputs: tuple[Param, ...]

    def encode(self, args: Sequence[Any]) -> str:
        """The call's data, as 0x text."""
        return "0x" + (self.selector + encode([type_of(p) for p in self.inputs], list(args))).hex()

    def decode_input(self, data: bytes) -> list[Any]:
        """The arguments of a call, without its selector."""
        values = decode([type_of(p) for p in self.inputs], data)
        return [to_python(p, v) for p, v in zip(self.inputs, values, strict=True)]

    def decode(self, data: str) -> Any:
        """The answer: one value, or a tuple of several."""
        values = decode([type_of(p) for p in self.outputs], bytes.fromhex(data[2:]))
        result = tuple(to_python(p, v) for p, v in zip(self.outputs, values, strict=True))
        return result[0] if len(result) == 1 else result


@dataclass(frozen=True)
class EventAbi:
    """One event: how to find and read its logs."""

    name: str
    topic: str
    inputs: tuple[Param, ...]

    def topics(self, filters: Mapping[str, Any]) -> list[str | None]:
        """The topics that select logs whose indexed arguments have the wanted values."""
        topics: list[str | None] = [self.topic]
        for param in self.inputs:
            if param["indexed"]:
                wanted = filters.get(param["name"])
                topics.append(None if wanted is None else "0x" + encode([type_of(param)], [wanted]).hex())
        while topics[-1] is None:
            topics.pop()
        return topics

    def decode(self, log: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name."""
        topics = iter(log["topics"][1:])
        plain = [p for p in self.inputs if not p["indexed"]]
        rest = iter(decode([type_of(p) for p in plain], bytes.fromhex(log["data"][2:])))
        args: dict[str, Any] = {}
        for param in self.inputs:
            if param["indexed"]:
                raw = bytes.fromhex(next(topics)[2:])
                kind = type_of(param)
                dynamic = kind in ("string", "bytes") or kind.endswith(("]", ")"))
                args[param["name"]] = raw if dynamic else to_python(param, decode([kind], raw)[0])
            else:
                args[param["name"]] = to_python(param, next(rest))
        return args


class ContractAbi:
    """A contract's functions and events by name."""

    def __init__(self, name: str, abi: Sequence[Param]) -> None:
        self.name = name
        self.functions: dict[str, FunctionAbi] = {}
        self.events: dict[str, EventAbi] = {}
        self.by_topic: dict[str, EventAbi] = {}
        self.errors: dict[bytes, Param] = {}
        self.constructor: tuple[Param, ...] = ()
        for item in abi:
            self._add(item)

    def _add(self, item: Param) -> None:
        if item["type"] == "constructor":
            self.constructor = tuple(item["inputs"])
            return
        if item["type"] not in ("function", "event", "error"):
            return
        digest = keccak(text=signature_of(item))
        if item["type"] == "function":
            function = FunctionAbi(item["name"], digest[:4], tuple(item["inputs"]), tuple(item["outputs"]))
            self.functions.setdefault(item["name"], function)
        elif item["type"] == "event":
            event = EventAbi(item["name"], "0x" + digest.hex(), tuple(item["inputs"]))
            self.events[event.name] = self.by_topic[event.topic] = event
        else:
            self.errors[digest[:4]] = item

    def encode_constructor(self, bytecode: str, args: Sequence[Any]) -> str:
        """The data that creates the contract."""
        code = bytecode.removeprefix("0x")
        return "0x" + code + encode([type_of(p) for p in self.constructor], list(args)).hex()


def decode_revert(data: bytes, errors: Mapping[bytes, Param], text: str = "") -> Reverted | Unfunded:
    """The exception for a revert's data: our errors by selector, ``Error(string)``, ``Panic(uint256)``, or raw."""
    selector, body = data[:4], data[4:]
    try:
        if selector == bytes.fromhex("08c379a0"):
            reason = str(decode(["string"], body)[0])
            return Reverted("Error", (reason,), f"The contract refused: {reason}.")
        if selector == bytes.fromhex("4e487b71"):
            code = int(decode(["uint256"], body)[0])
            return Reverted("Panic", (code,), f"The contract failed: {PANICS.get(code, f'panic {code:#x}')}.")
        if selector in errors:
            item = errors[selector]
            values = decode([type_of(p) for p in item["inputs"]], body)
            args = tuple(to_python(p, v) for p, v in zip(item["inputs"], values, strict=True))
            names = tuple(str(p["name"]) for p in item["inputs"])
            message = sentence(str(item["name"]), names, args)
            if item["name"] in ("ERC20InsufficientBalance",):
                return Unfunded(message)
            return Reverted(str(item["name"]), args, message)
    except DecodingError:
        pass  # a selector that only looks like one of ours: the raw bytes are shown instead
    shown = f"0x{data.hex()}" if data else (text or "no reason given")
    return Reverted("Unknown", (data,), f"The contract refused without a reason that we know: {shown}.")
