"""What is stored on IPFS as JSON, as records: genesis, head, dataset, shard, report.

A manifest's digest is taken over its canonical bytes, so two people who describe the same thing get the same digest:
keys sorted, no spaces, UTF-8, integers, strings, booleans, null, lists and objects only. Floats are refused, because
their text form is not unique; what is fractional is stored as a decimal string or as an integer of a named unit.
Digests are 64 lower-case hexadecimal characters here, 32 bytes on chain. ``from_bytes`` and ``from_json`` refuse
unknown and missing fields, other types and sizes with ``ManifestError``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from client.errors import ManifestError
from client.recipe import CODECS, MAX_CHUNK, Compression, Evaluation, Inner, Lora, Outer
from client.schema import (
    MAX_MANIFEST_BYTES,
    MAX_SHARD_BYTES,
    Fields,
    Manifest,
    address,
    canonical_json,
    hex_digest,
    names_of,
    parse_json,
    refuse_pickle,
    text,
    whole,
)

KINDS = ("TRAIN", "DISTIL", "UPSTREAM")
MAX_TENSORS = 20_000
MAX_PARAMETERS = 2**32

__all__ = [
    "CODECS", "MAX_CHUNK", "MAX_MANIFEST_BYTES", "MAX_PARAMETERS", "MAX_SHARD_BYTES", "Compression", "Dataset",
    "DeltaRef", "DeltaReport", "Evaluation", "Genesis", "Head", "Inner", "Lora", "Manifest", "Outer", "Removed",
    "Report", "RoundDeltas", "Shard", "ShardText", "canonical_json", "parse_json", "refuse_pickle",
]  # fmt: skip


@dataclass(frozen=True)
class DeltaRef(Manifest):
    """One accepted delta: its digest (hex), its weight (1/65536) and who sent it."""

    digest: str
    weight_q16: int
    miner: str

    def to_json(self) -> Any:
        return [self.digest, self.weight_q16, self.miner]

    @classmethod
    def from_json(cls, obj: Any) -> DeltaRef:
        if not isinstance(obj, list) or len(obj) != 3:
            raise ManifestError("a delta in a head must be [digest, weight_q16, miner]")
        weight = whole(obj[1], "delta.weight_q16", 1, 65536)
        return cls(hex_digest(obj[0], "delta.digest"), weight, address(obj[2], "delta.miner"))


@dataclass(frozen=True)
class RoundDeltas(Manifest):
    """What one round added, in submission order."""

    round: int
    deltas: tuple[DeltaRef, ...]

    def to_json(self) -> Any:
        return [self.round, [delta.to_json() for delta in self.deltas]]

    @classmethod
    def from_json(cls, obj: Any) -> RoundDeltas:
        if not isinstance(obj, list) or len(obj) != 2 or not isinstance(obj[1], list) or not obj[1]:
            raise ManifestError("a round in a head must be [round, [[digest, weight_q16, miner], ...]]")
        deltas = tuple(DeltaRef.from_json(delta) for delta in obj[1][:1025])
        if len(deltas) > 1024 or sum(delta.weight_q16 for delta in deltas) > 65536:
            raise ManifestError(f"round {obj[0]} in a head holds more than 1024 deltas, or weights above 65536 in sum")
        return cls(whole(obj[0], "deltas.round", 1, 2**63), deltas)


@dataclass(frozen=True)
class Head(Manifest):
    """A model's state after a round: where to start, what to add, and what must come out (hex digests throughout)."""

    SCHEMA: ClassVar[str] = "strata/head/1"
    genesis: str
    model_id: int
    round: int
    parent: str
    snapshot: str
    snapshot_round: int
    deltas: tuple[RoundDeltas, ...]
    weights_sha256: str
    momentum_sha256: str

    def to_json(self) -> dict[str, Any]:
        found = dict(self.__dict__, schema=self.SCHEMA)
        found["deltas"] = [entry.to_json() for entry in self.deltas]
        return found

    @classmethod
    def from_json(cls, obj: Any) -> Head:
        fields = Fields(obj, "head", names_of(cls), cls.SCHEMA)
        head = cls(
            genesis=fields.digest("genesis"),
            model_id=fields.whole("model_id", 1, 2**255),
            round=fields.whole("round", 1, 2**63),
            parent=fields.digest("parent"),
            snapshot=fields.digest("snapshot"),
            snapshot_round=fields.whole("snapshot_round", 0, 2**63),
            deltas=tuple(RoundDeltas.from_json(entry) for entry in fields.items("deltas", 4096)),
            weights_sha256=fields.digest("weights_sha256"),
            momentum_sha256=fields.digest("momentum_sha256"),
        )
        rounds = [head.snapshot_round, *(entry.round for entry in head.deltas)]
        if any(later <= earlier for earlier, later in pairwise(rounds)) or rounds[-1] != head.round:
            raise ManifestError("a head's rounds must rise from its snapshot's to its own")
        return head


def _tensor(obj: Any) -> tuple[str, tuple[int, ...]]:
    if not isinstance(obj, list) or len(obj) != 2 or not isinstance(obj[1], list) or not 1 <= len(obj[1]) <= 8:
        raise ManifestError("a tensor must be [name, [size, ...]] with 1 to 8 sizes")
    shape = tuple(whole(size, "tensors.shape", 1, MAX_PARAMETERS) for size in obj[1])
    return text(obj[0], "tensors.name", 500, 1), shape


@dataclass(frozen=True)
class Genesis(Manifest):
    """What a model is before its first round.

    ``config`` is the Hugging Face config as canonical JSON text, ``tokenizer`` the digest of a tokenizer.json or
    ``"bytes"``, ``tensors`` the trainable vector's names and shapes in order (for LoRA the B matrices alone),
    ``weights_sha256`` that vector's SHA-256 as little-endian float32, ``snapshot_every`` in rounds.
    """

    SCHEMA: ClassVar[str] = "strata/genesis/1"
    name: str
    level: int
    field: str
    language: str
    description: str
    licence: str
    parent: str | None
    config: str
    tokenizer: str
    chat_template: str
    form: str
    base: str | None
    lora: Lora | None
    weights: str
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    weights_sha256: str
    kinds: tuple[str, ...]
    compression: Compression
    outer: Outer
    inner: Inner
    evaluation: Evaluation
    snapshot_every: int

    @property
    def size(self) -> int:
        """Length of the trainable vector, in parameters."""
        total = 0
        for _, shape in self.tensors:
            count = 1
            for side in shape:
                count *= side
            total += count
        return total

    def to_json(self) -> dict[str, Any]:
        found = dict(self.__dict__, schema=self.SCHEMA)
        found["lora"] = None if self.lora is None else self.lora.to_json()
        found["tensors"] = [[name, list(shape)] for name, shape in self.tensors]
        found["kinds"] = list(self.kinds)
        for name in ("compression", "outer", "inner", "evaluation"):
            found[name] = getattr(self, name).to_json()
        return found

    @classmethod
    def from_json(cls, obj: Any) -> Genesis:
        fields = Fields(obj, "genesis", names_of(cls), cls.SCHEMA)
        tokenizer = fields.value("tokenizer")
        genesis = cls(
            name=fields.text("name", 64, 1),
            level=fields.whole("level", 0, 4),
            field=fields.text("field", 64),
            language=fields.text("language", 64),
            description=fields.text("description", 4000),
            licence=fields.text("licence", 200),
            parent=fields.optional_digest("parent"),
            config=fields.text("config", 1_000_000, 2),
            tokenizer=tokenizer if tokenizer == "bytes" else fields.digest("tokenizer"),
            chat_template=fields.text("chat_template", 100_000),
            form=fields.one_of("form", ("full", "lora")),
            base=fields.optional_digest("base"),
            lora=None if fields.value("lora") is None else Lora.from_json(fields.value("lora")),
            weights=fields.digest("weights"),
            tensors=tuple(_tensor(item) for item in fields.items("tensors", MAX_TENSORS, 1)),
            weights_sha256=fields.digest("weights_sha256"),
            kinds=fields.texts("kinds", len(KINDS)),
            compression=Compression.from_json(fields.value("compression")),
            outer=Outer.from_json(fields.value("outer")),
            inner=Inner.from_json(fields.value("inner")),
            evaluation=Evaluation.from_json(fields.value("evaluation")),
            snapshot_every=fields.whole("snapshot_every", 1, 4096),
        )
        genesis._check()
        return genesis

    def _check(self) -> None:
        lora = self.form == "lora"
        if (self.lora is not None) != lora or (self.base is not None) != lora:
            raise ManifestError("base and lora belong to the form lora, and to it alone")
        if not set(self.kinds) <= set(KINDS) or len(set(self.kinds)) != len(self.kinds) or not self.kinds:
            raise ManifestError(f"genesis.kinds must be some of {', '.join(KINDS)}, each once")
        if len({name for name, _ in self.tensors}) != len(self.tensors):
            raise ManifestError("genesis.tensors names a tensor twice")
        if self.size > MAX_PARAMETERS:
            raise ManifestError(f"genesis.tensors hold {self.size} parameters, more than {MAX_PARAMETERS}")


@dataclass(frozen=True)
class Shard(Manifest):
    """One blob of documents: its digest, size in bytes, and how many documents and characters it holds."""

    digest: str
    bytes: int
    documents: int
    characters: int

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, obj: Any) -> Shard:
        fields = Fields(obj, "shard", names_of(cls))
        return cls(
            digest=fields.digest("digest"),
            bytes=fields.whole("bytes", 1, MAX_SHARD_BYTES),
            documents=fields.whole("documents", 1, MAX_SHARD_BYTES),
            characters=fields.whole("characters", 1, MAX_SHARD_BYTES),
        )


@dataclass(frozen=True)
class ShardText(Manifest):
    """The blob itself: its documents' texts."""

    SCHEMA: ClassVar[str] = "strata/shard/1"
    documents: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"schema": self.SCHEMA, "documents": list(self.documents)}

    @classmethod
    def from_json(cls, obj: Any) -> ShardText:
        fields = Fields(obj, "shard", ("documents",), cls.SCHEMA)
        return cls(fields.texts("documents", MAX_SHARD_BYTES, MAX_SHARD_BYTES))


@dataclass(frozen=True)
class Removed(Manifest):
    """How many documents cleaning took out, and how many passages were masked as personal."""

    duplicates: int
    empty: int
    pii: int

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, obj: Any) -> Removed:
        fields = Fields(obj, "removed", ("duplicates", "empty", "pii"))
        return cls(fields.whole("duplicates"), fields.whole("empty"), fields.whole("pii"))


@dataclass(frozen=True)
class Dataset(Manifest):
    """What a contributor submitted: training shards and held-out shards, split by cluster of near-duplicates."""

    SCHEMA: ClassVar[str] = "strata/dataset/1"
    name: str
    licence: str
    field: str
    language: str
    source: str
    contributor: str
    shards: tuple[Shard, ...]
    heldout: tuple[Shard, ...]
    clusters: int
    removed: Removed

    def to_json(self) -> dict[str, Any]:
        found = dict(self.__dict__, schema=self.SCHEMA, removed=self.removed.to_json())
        found["shards"] = [shard.to_json() for shard in self.shards]
        found["heldout"] = [shard.to_json() for shard in self.heldout]
        return found

    @classmethod
    def from_json(cls, obj: Any) -> Dataset:
        fields = Fields(obj, "dataset", names_of(cls), cls.SCHEMA)
        return cls(
            name=fields.text("name", 200, 1),
            licence=fields.text("licence", 200, 1),
            field=fields.text("field", 64),
            language=fields.text("language", 64),
            source=fields.text("source", 2000),
            contributor=fields.address("contributor"),
            shards=tuple(Shard.from_json(item) for item in fields.items("shards", 100_000, 1)),
            heldout=tuple(Shard.from_json(item) for item in fields.items("heldout", 100_000)),
            clusters=fields.whole("clusters"),
            removed=Removed.from_json(fields.value("removed")),
        )


_LOSS = 2**40  # micro-nats: a million nats


@dataclass(frozen=True)
class DeltaReport(Manifest):
    """One delta as one validator measured it; gains in micro-nats per token, ``reason`` a ``ScoreReason``."""

    miner: str
    digest: str
    score: int
    reason: int
    gain: int
    gain_se: int
    marginal: int
    assigned_gain: int
    other_gain: int

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, obj: Any) -> DeltaReport:
        names = names_of(cls)
        fields = Fields(obj, "delta report", names)
        gains = {name: fields.whole(name, -_LOSS, _LOSS) for name in names[4:]}
        score, reason = fields.whole("score", 0, 10**9), fields.whole("reason", 0, 255)
        return cls(fields.address("miner"), fields.digest("digest"), score, reason, **gains)


@dataclass(frozen=True)
class Report(Manifest):
    """What a validator measured in a round; losses and standard errors (``_se``) in micro-nats per token.

    ``heldout_genesis``: the loss of the model before its first round on the same held-out text, so that all that was
    learned shows on one text; its error is that of the fall from there to ``heldout_after``.
    """

    SCHEMA: ClassVar[str] = "strata/report/1"
    model_id: int
    round: int
    validator: str
    heldout_genesis: int
    heldout_genesis_se: int
    heldout_before: int
    heldout_after: int
    heldout_se: int
    general_before: int
    general_after: int
    general_se: int
    tokens_judged: int
    deltas: tuple[DeltaReport, ...]

    def to_json(self) -> dict[str, Any]:
        found = dict(self.__dict__, schema=self.SCHEMA)
        found["deltas"] = [delta.to_json() for delta in self.deltas]
        return found

    @classmethod
    def from_json(cls, obj: Any) -> Report:
        names = names_of(cls)
        fields = Fields(obj, "report", names, cls.SCHEMA)
        return cls(
            model_id=fields.whole("model_id", 1, 2**255),
            round=fields.whole("round", 1),
            validator=fields.address("validator"),
            **{name: fields.whole(name, 0, _LOSS) for name in names[3:11]},
            tokens_judged=fields.whole("tokens_judged"),
            deltas=tuple(DeltaReport.from_json(item) for item in fields.items("deltas", 1024)),
        )
