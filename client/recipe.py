"""How a model learns, as recorded in its genesis: adapter, compression, outer and inner steps, evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from client.errors import ManifestError
from client.schema import Fields, Manifest, names_of, whole

CODECS = ("topk2", "int8", "none")
OPTIMIZERS = ("adamw", "muon")
STATES = ("fresh", "kept")
MAX_CHUNK = 4096
MAX_STEPS = 1_000_000


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


SPARSE = Compression("topk2", 64, 4096)
SPARSE_OUTER = Outer(2 << 16, 0)
"""What to begin with for deltas this sparse (docs/explain/performance/quality.md): few miners send the same place, so
their mean is too short a step, and the rate is 2; error feedback stands in for momentum (arXiv 2508.15706)."""


@dataclass(frozen=True)
class Inner(Manifest):
    """A miner's local run: its optimizer, and how many steps it does on what.

    ``steps`` a round (``early_steps`` in the first ``early_rounds``), each on ``batch * accumulate`` windows of
    ``sequence`` tokens, ``batch`` at a time in memory. The learning rate rises over ``warmup`` steps to ``lr``, then
    falls to ``floor`` times that over ``horizon`` steps, counted from round 1; in each round where ``horizon`` is 0.
    ``clip`` bounds the gradient's norm. ``state`` says whether the optimizer's state is kept from round to round.
    Decimals are text.
    """

    steps: int
    batch: int
    sequence: int
    lr: str
    warmup: int
    weight_decay: str
    optimizer: str = "adamw"
    accumulate: int = 1
    clip: str = "1"
    state: str = "fresh"
    horizon: int = 0
    floor: str = "0.1"
    early_rounds: int = 0
    early_steps: int = 1

    @property
    def least_windows(self) -> int:
        """How many windows a miner has surely trained on, whatever the round."""
        least = min(self.steps, self.early_steps) if self.early_rounds else self.steps
        return least * self.batch * self.accumulate

    def steps_in(self, round_number: int) -> int:
        """Steps of a round, counted from 1."""
        return self.early_steps if round_number <= self.early_rounds else self.steps

    def steps_before(self, round_number: int) -> int:
        """Steps of all rounds before this one."""
        early = min(round_number - 1, self.early_rounds)
        return early * self.early_steps + (round_number - 1 - early) * self.steps

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def over_rounds(self, horizon: int) -> Inner:
        """The same loop for a run of ``horizon`` steps: one schedule, state kept, and as many rounds of a sixth of H
        first as plain rounds would be. Measured best from scratch; a miner sends 1.83 times plain rounds' bytes.
        """
        early = horizon // self.steps
        return replace(self, state="kept", horizon=horizon, early_rounds=early, early_steps=max(1, self.steps // 6))

    @classmethod
    def from_json(cls, obj: Any) -> Inner:
        fields = Fields(obj, "inner", names_of(cls))
        return cls(
            steps=fields.whole("steps", 1, MAX_STEPS),
            batch=fields.whole("batch", 1, 65536),
            sequence=fields.whole("sequence", 2, 1_000_000),
            lr=fields.decimal("lr"),
            warmup=fields.whole("warmup", 0, MAX_STEPS),
            weight_decay=fields.decimal("weight_decay"),
            optimizer=fields.one_of("optimizer", OPTIMIZERS),
            accumulate=fields.whole("accumulate", 1, 65536),
            clip=_above_zero(fields, "clip"),
            state=fields.one_of("state", STATES),
            horizon=fields.whole("horizon", 0, 2**40),
            floor=_share(fields, "floor"),
            early_rounds=fields.whole("early_rounds", 0, MAX_STEPS),
            early_steps=fields.whole("early_steps", 1, MAX_STEPS),
        )


def _above_zero(fields: Fields, key: str) -> str:
    found = fields.decimal(key)
    if not float(found) > 0:
        raise ManifestError(f"{key} must be above 0")
    return found


def _share(fields: Fields, key: str) -> str:
    found = fields.decimal(key)
    if float(found) > 1:
        raise ManifestError(f"{key} must be from 0 to 1, not {found}")
    return found


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
