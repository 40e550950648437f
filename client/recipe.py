"""How a model learns, as recorded in its genesis: adapter, compression, outer and inner steps, evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from client.errors import ManifestError
from client.schema import Fields, Manifest, whole

CODECS = ("topk2", "int8", "none")
MAX_CHUNK = 4096


@dataclass(frozen=True)
class Lora(Manifest):
    """Which linear layers carry an adapter. ``layers`` is the first and last layer, both included."""

    rank: int
    alpha: int
    targets: tuple[str, ...]
    layers: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        return {"rank": self.rank, "alpha": self.alpha, "targets": list(self.targets), "layers": list(self.layers)}

    @classmethod
    def from_json(cls, obj: Any) -> Lora:
        fields = Fields(obj, "lora", ("rank", "alpha", "targets", "layers"))
        first, last = (whole(layer, "lora.layers", 0, 10_000) for layer in fields.items("layers", 2, 2))
        if first > last:
            raise ManifestError("lora.layers must be [first, last] with first <= last")
        rank, alpha = fields.whole("rank", 1, 4096), fields.whole("alpha", 1, 65536)
        return cls(rank, alpha, fields.texts("targets", 64), (first, last))


@dataclass(frozen=True)
class Compression(Manifest):
    """How a model's deltas are coded. ``k`` of ``chunk`` values are kept (``k`` = ``chunk`` for dense codecs)."""

    codec: str
    k: int
    chunk: int

    def to_json(self) -> dict[str, Any]:
        return {"codec": self.codec, "k": self.k, "chunk": self.chunk}

    @classmethod
    def from_json(cls, obj: Any) -> Compression:
        fields = Fields(obj, "compression", ("codec", "k", "chunk"))
        k = fields.whole("k", 1, MAX_CHUNK)
        return cls(fields.one_of("codec", CODECS), k, fields.whole("chunk", k, MAX_CHUNK))


@dataclass(frozen=True)
class Outer(Manifest):
    """The outer Nesterov step: learning rate and momentum as multiples of 1/65536."""

    lr_q16: int
    momentum_q16: int

    def to_json(self) -> dict[str, Any]:
        return {"lr_q16": self.lr_q16, "momentum_q16": self.momentum_q16}

    @classmethod
    def from_json(cls, obj: Any) -> Outer:
        fields = Fields(obj, "outer", ("lr_q16", "momentum_q16"))
        return cls(fields.whole("lr_q16", 1, 2**20), fields.whole("momentum_q16", 0, 65535))


@dataclass(frozen=True)
class Inner(Manifest):
    """A miner's local AdamW run: steps, batch (windows), sequence (tokens), warmup (steps); decimals as text."""

    steps: int
    batch: int
    sequence: int
    lr: str
    warmup: int
    weight_decay: str

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, obj: Any) -> Inner:
        fields = Fields(obj, "inner", ("steps", "batch", "sequence", "lr", "warmup", "weight_decay"))
        return cls(
            steps=fields.whole("steps", 1, 1_000_000),
            batch=fields.whole("batch", 1, 65536),
            sequence=fields.whole("sequence", 2, 1_000_000),
            lr=fields.decimal("lr"),
            warmup=fields.whole("warmup", 0, 1_000_000),
            weight_decay=fields.decimal("weight_decay"),
        )


@dataclass(frozen=True)
class Evaluation(Manifest):
    """How much text judges a delta: ``windows`` of ``sequence`` tokens each."""

    windows: int
    sequence: int

    def to_json(self) -> dict[str, Any]:
        return {"windows": self.windows, "sequence": self.sequence}

    @classmethod
    def from_json(cls, obj: Any) -> Evaluation:
        fields = Fields(obj, "evaluation", ("windows", "sequence"))
        return cls(fields.whole("windows", 1, 1_000_000), fields.whole("sequence", 2, 1_000_000))
