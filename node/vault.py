"""The journal of a round's secrets. Each is on disk BEFORE its commitment is sent, so a killed node can still reveal.

A record names the round's seed, so that one of another chain (a new devnet, a reorg) is never mistaken for this one's.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from node.runtime import write_atomic

log = logging.getLogger("strata.node.vault")


@dataclass(frozen=True)
class DeltaRecord:
    """What a miner committed to in a round."""

    kind: ClassVar[str] = "delta"
    model: int
    round: int
    seed: bytes  # the round's seed: says which chain's round this is
    digest: bytes  # of the payload, 32 bytes
    salt: bytes = field(repr=False)  # 32 bytes
    delta_kind: int  # a DeltaKind
    base_head: bytes  # 32 bytes
    dataset_ids: tuple[int, ...]  # strictly increasing
    trained_tokens: int  # tokens


@dataclass(frozen=True)
class ScoreRecord:
    """What a validator thinks of a round's deltas."""

    kind: ClassVar[str] = "score"
    model: int
    round: int
    seed: bytes  # the evaluation seed
    scores: tuple[int, ...]  # micro-nats, in order of submission
    reasons: tuple[int, ...]  # ScoreReason, in order of submission
    report: bytes  # digest of the Report, 32 bytes
    salt: bytes = field(repr=False)  # 32 bytes


@dataclass(frozen=True)
class HeadRecord:
    """The next head that a validator computed."""

    kind: ClassVar[str] = "head"
    model: int
    round: int
    seed: bytes  # the evaluation seed
    head: bytes  # digest of the Head manifest, 32 bytes
    salt: bytes = field(repr=False)  # 32 bytes


Record = DeltaRecord | ScoreRecord | HeadRecord
R = TypeVar("R", DeltaRecord, ScoreRecord, HeadRecord)


class Vault:
    """Records by (kind, model, round) in a folder of this node alone, written and synced before ``keep`` returns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep(self, record: R, payload: bytes | None = None) -> R:
        """Write ``record`` and its payload. Where one is there for the same seed, that one stays and is returned:
        its commitment may be on its way already, and a second one would be refused.
        """
        known = self.find(type(record), record.model, record.round, record.seed)
        if known is not None:
            return known
        if payload is not None:
            write_atomic(self.payload_path(record.model, record.round), payload, sync=True)
        write_atomic(self._path(record.kind, record.model, record.round), _to_bytes(record), sync=True)
        return record

    def find(self, kind: type[R], model: int, round_number: int, seed: bytes) -> R | None:
        """The record of that round, or None: none was written, or it belongs to another chain's round."""
        record = _read(kind, self._path(kind.kind, model, round_number))
        return record if record is not None and record.seed == seed else None

    def last(self, kind: type[R], model: int, round_number: int) -> R | None:
        """The record of that round, of whatever chain it was."""
        return _read(kind, self._path(kind.kind, model, round_number))

    def payload(self, record: DeltaRecord) -> bytes | None:
        """The bytes that ``record`` commits to; None when they are gone."""
        try:
            return self.payload_path(record.model, record.round).read_bytes()
        except FileNotFoundError:
            return None

    def payload_path(self, model: int, round_number: int) -> Path:
        """Where the payload of that round lies."""
        return self.folder / f"payload-{model}-{round_number}.bin"

    def forget(self, model: int, before: int) -> None:
        """Remove what belongs to rounds of ``model`` before ``before``."""
        for path in self.folder.glob(f"*-{model}-*"):
            number = path.stem.rsplit("-", 1)[-1]
            if number.isdigit() and int(number) < before:
                path.unlink(missing_ok=True)

    def _path(self, kind: str, model: int, round_number: int) -> Path:
        return self.folder / f"{kind}-{model}-{round_number}.json"


def _to_bytes(record: Record) -> bytes:
    values = {k: v.hex() if isinstance(v, bytes) else v for k, v in dataclasses.asdict(record).items()}
    return json.dumps(values, sort_keys=True).encode()


def _read(kind: type[R], path: Path) -> R | None:
    try:
        values = json.loads(path.read_bytes())
        typed = {f.name: _typed(str(f.type), values[f.name]) for f in dataclasses.fields(kind)}
        return kind(**typed)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:  # our own writes are atomic, so somebody else wrote this
        log.error("%s is damaged (%s): set aside", path, error)
        os.replace(path, path.with_suffix(".damaged"))
        return None


def _typed(kind: str, value: Any) -> Any:
    if kind == "bytes":
        return bytes.fromhex(value)
    return tuple(int(v) for v in value) if kind.startswith("tuple") else int(value)
