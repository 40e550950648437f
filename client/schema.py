"""The canonical form of stored JSON, and the helpers that read it strictly."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn, Self

from client.errors import ManifestError

MAX_MANIFEST_BYTES = 8 * 1024 * 1024
MAX_SHARD_BYTES = 1024 * 1024
MAX_INTEGER = 2**256
MAX_NESTING = 500  # of lists and objects in JSON that a stranger wrote
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def load_json(text: str, **options: Any) -> Any:
    """``json.loads`` for what a stranger wrote; ``JSONDecodeError`` where it is nested too deeply.

    Python's own guard does not hold: eth_account's imports raise the recursion limit to 100,000, and at that depth the
    parser overruns the stack and kills the process.
    """
    if text.count("[") + text.count("{") > MAX_NESTING and nesting_of(text) > MAX_NESTING:
        raise json.JSONDecodeError(f"JSON nested deeper than {MAX_NESTING}", "", 0)
    return json.loads(text, **options)


def nesting_of(text: str) -> int:
    """How deeply lists and objects lie in each other; of broken JSON at least as deep as a parser would come."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def canonical_json(obj: Any) -> bytes:
    """The one byte form of ``obj``; raises ``ManifestError`` for what has none (floats, other types)."""
    _check_plain(obj, 0)
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def parse_json(data: bytes, max_bytes: int = MAX_MANIFEST_BYTES) -> Any:
    """JSON without floats, NaN or repeated keys; ``ManifestError`` says what is wrong."""
    if len(data) > max_bytes:
        raise ManifestError(f"JSON of {len(data)} bytes where at most {max_bytes} are allowed")
    refuse_pickle(data)
    try:
        parsed = load_json(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except UnicodeDecodeError as error:
        raise ManifestError(f"not UTF-8: {error}") from error
    except RecursionError as error:
        raise ManifestError("JSON nested too deeply") from error
    except ValueError as error:
        raise ManifestError(f"not JSON: {error}") from error
    _check_plain(parsed, 0)
    return parsed


def refuse_pickle(data: bytes) -> None:
    """Name the mistake where someone hands in a pickle or a zip (torch.save) file."""
    if data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or data[:4] == b"PK\x03\x04":
        raise ManifestError("these bytes are a pickle or zip file; nothing pickled is ever read here")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ManifestError("a key appears twice in one JSON object")
    return found


def _refuse_number(text: str) -> NoReturn:
    raise ManifestError(f"the number {text} is not an integer; manifests hold integers and strings")


def _check_plain(obj: Any, depth: int) -> None:
    if depth > 32:
        raise ManifestError("JSON nested deeper than 32")
    if obj is None or isinstance(obj, bool):
        return
    if isinstance(obj, str):
        if not obj.isascii() and any(0xD800 <= ord(letter) <= 0xDFFF for letter in obj):
            raise ManifestError("a string holds half of a surrogate pair")
    elif isinstance(obj, int):
        if abs(obj) >= MAX_INTEGER:
            raise ManifestError("an integer of more than 256 bits")
    elif isinstance(obj, (list, tuple)):
        for item in obj:
            _check_plain(item, depth + 1)
    elif isinstance(obj, dict):
        for key, item in obj.items():
            if not isinstance(key, str):
                raise ManifestError(f"the key {key!r} is not a string")
            _check_plain(key, depth + 1)
            _check_plain(item, depth + 1)
    else:
        raise ManifestError(f"{type(obj).__name__} has no place in a manifest")


class Manifest:
    """A record with a JSON form. Subclasses define ``to_json`` and ``from_json``."""

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, obj: Any) -> Self:
        """The record from parsed JSON, checked; raises ``ManifestError``."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """The canonical bytes, whose digest names this manifest."""
        return canonical_json(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes, max_bytes: int = MAX_MANIFEST_BYTES) -> Self:
        """The record from its canonical bytes; other spellings of the same JSON are refused."""
        record = cls.from_json(parse_json(data, max_bytes))
        if record.to_bytes() != data:
            raise ManifestError(f"{cls.__name__} is not in canonical form (sorted keys, no spaces)")
        return record


_HEX = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?(e-?[0-9]{1,2})?")


def whole(value: Any, name: str, low: int, high: int) -> int:
    """``value`` as an integer in ``low..high`` (both included)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ManifestError(f"{name} must be an integer, not {type(value).__name__}")
    if not low <= value <= high:
        raise ManifestError(f"{name} is {value}, outside {low}..{high}")
    return value


def text(value: Any, name: str, longest: int, shortest: int = 0) -> str:
    """``value`` as a string of ``shortest..longest`` characters."""
    if not isinstance(value, str):
        raise ManifestError(f"{name} must be a string, not {type(value).__name__}")
    if not shortest <= len(value) <= longest:
        raise ManifestError(f"{name} has {len(value)} characters, outside {shortest}..{longest}")
    return value


def hex_digest(value: Any, name: str) -> str:
    """``value`` as 64 lower-case hexadecimal characters."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ManifestError(f"{name} must be 64 lower-case hexadecimal characters")
    return value


def address(value: Any, name: str) -> str:
    """``value`` as an account's address, 0x and 40 hexadecimal characters."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ManifestError(f"{name} must be an address (0x and 40 hexadecimal characters)")
    return value


def decimal_text(value: Any, name: str) -> str:
    """``value`` as a non-negative decimal number in a string, such as "0.0003" or "3e-4"."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ManifestError(f'{name} must be a decimal number in a string, such as "0.0003"')
    return value


def names_of(record: type[Any]) -> tuple[str, ...]:
    """A dataclass's field names, in order (class variables left out)."""
    return tuple(field.name for field in dataclasses.fields(record))


class Fields:
    """The fields of one JSON object: exactly ``names``, each read with its own check."""

    def __init__(self, obj: Any, where: str, names: Sequence[str], schema: str | None = None) -> None:
        if not isinstance(obj, dict):
            raise ManifestError(f"{where} must be a JSON object, not {type(obj).__name__}")
        wanted = {*names, "schema"} if schema else set(names)
        if schema and obj.get("schema") != schema:
            raise ManifestError(f"{where} has schema {obj.get('schema')!r}, wanted {schema!r}")
        if missing := sorted(wanted - obj.keys()):
            raise ManifestError(f"{where} lacks {', '.join(missing)}")
        if unknown := sorted(str(key)[:80] for key in obj.keys() - wanted):
            raise ManifestError(f"{where} has unknown fields: {', '.join(unknown[:10])}")
        self._obj = obj
        self._where = where

    def _name(self, key: str) -> str:
        return f"{self._where}.{key}"

    def value(self, key: str) -> Any:
        """The raw value."""
        return self._obj[key]

    def whole(self, key: str, low: int = 0, high: int = 2**63 - 1) -> int:
        """An integer within bounds."""
        return whole(self._obj[key], self._name(key), low, high)

    def text(self, key: str, longest: int = 200, shortest: int = 0) -> str:
        """A string within bounds."""
        return text(self._obj[key], self._name(key), longest, shortest)

    def digest(self, key: str) -> str:
        """A digest in hexadecimal."""
        return hex_digest(self._obj[key], self._name(key))

    def optional_digest(self, key: str) -> str | None:
        """A digest in hexadecimal, or null."""
        return None if self._obj[key] is None else self.digest(key)

    def address(self, key: str) -> str:
        """An account's address."""
        return address(self._obj[key], self._name(key))

    def decimal(self, key: str) -> str:
        """A decimal number in a string."""
        return decimal_text(self._obj[key], self._name(key))

    def one_of(self, key: str, allowed: Sequence[str]) -> str:
        """One of a few words."""
        value = self._obj[key]
        if not isinstance(value, str) or value not in allowed:
            raise ManifestError(f"{self._name(key)} must be one of {', '.join(allowed)}")
        return value

    def items(self, key: str, most: int, least: int = 0) -> list[Any]:
        """A list of ``least..most`` entries, each still to be checked."""
        value = self._obj[key]
        if not isinstance(value, list):
            raise ManifestError(f"{self._name(key)} must be a list, not {type(value).__name__}")
        if not least <= len(value) <= most:
            raise ManifestError(f"{self._name(key)} has {len(value)} entries, outside {least}..{most}")
        return value

    def texts(self, key: str, most: int, longest: int = 200) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(text(item, self._name(key), longest, 1) for item in self.items(key, most))
