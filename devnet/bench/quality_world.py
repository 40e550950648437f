"""What the quality benchmark trains: models, real text, and one order of windows that every arm reads alike.

Text: what the sample packages ship (licences, Python's documentation, the Brown corpus). One contributor's half is for
training, the other's for holding out: near-duplicates never lie in both. Which window is read at which step by which of
the four miners is a function of the seed alone, so all arms see the same tokens at the same step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client.storage import MemoryStore
from devnet.models import ModelPlan, build_models
from devnet.texts import sample_texts
from node.models.architecture import named_weights
from node.models.load import LoadedModel, load_genesis
from node.models.nano import NanoShape, nano_model
from node.models.run import hidden_of, to_logits
from node.models.tokenizer import ByteTokenizer
from node.training.batches import Windows, pack
from node.training.objectives import train_loss

FIELDS = ("law", "computing", "general")
MINERS = 4
SHAPES = {
    "micro": NanoShape(layers=2, width=64, inner=176),
    "nano": NanoShape(),
    "5m": NanoShape(layers=7, width=256, inner=704, heads=8),
}
"""Models from scratch that read bytes: 0.1, 0.4 and 5.2 million values."""
HELD_SEED = 7
_EVALUATED_TOGETHER = 16

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """A model at its first values, training windows in order, and held-out windows."""

    model: LoadedModel
    windows: Windows
    held: Windows
    shape: NanoShape | None = None
    """Of a model from scratch: then all miners can train in one graph."""

    def loss(self, vector: Vector) -> float:
        """Mean held-out loss at these model weights, nats a token."""
        total = 0.0
        with self.model.at(vector), torch.no_grad():
            for start in range(0, len(self.held), _EVALUATED_TOGETHER):
                rows = list(range(start, min(start + _EVALUATED_TOGETHER, len(self.held))))
                hidden = hidden_of(self.model, self.held.inputs(rows))
                loss = train_loss(to_logits(self.model, hidden), self.held.targets(rows))
                total += float(loss) * int(self.held.predicted[rows].sum())
        return total / float(self.held.predicted.sum())

    def of_miner(self, miner: int, done: int, steps: int, batch: int) -> Windows:
        """A miner's windows for ``steps`` steps after ``done``, ``batch`` a step."""
        places = [
            step * MINERS * batch + miner * batch + row for step in range(done, done + steps) for row in range(batch)
        ]
        return self.windows.take([place % len(self.windows) for place in places])

    def of_all(self, done: int, steps: int, batch: int) -> Windows:
        """All miners' windows of those steps, step by step."""
        first, last = done * MINERS * batch, (done + steps) * MINERS * batch
        return self.windows.take([place % len(self.windows) for place in range(first, last)])


def world(name: str, seed: int, cache: Path, sequence: int = 128, held: int = 256) -> World:
    """A model from scratch (``SHAPES``) or ``"lora"`` (an adapter on SmolLM2), with its text.

    ``sequence`` tokens are predicted in each window; ``held`` windows measure.
    """
    model = _lora_model(cache) if name == "lora" else scratch_model(name, seed)
    fields = ("law",) if name == "lora" else FIELDS
    train = _windows(model, cache, fields, "alice", sequence, np.random.default_rng(seed))
    test = _windows(model, cache, fields, "bob", sequence, np.random.default_rng(HELD_SEED))
    return World(model, train, test.take(range(min(held, len(test)))), SHAPES.get(name))


def scratch_model(name: str, seed: int) -> LoadedModel:
    """A model from scratch that reads bytes, with values from ``seed``."""
    module = nano_model(seed, SHAPES[name]).eval()
    named = named_weights(module)
    trained = tuple((key, named[key]) for key in sorted(named))
    for _, parameter in trained:
        parameter.requires_grad_(True)
    return LoadedModel(_any_genesis().genesis, b"", module, ByteTokenizer(), trained)


def _any_genesis() -> ModelPlan:
    """The loop asks a loaded model for its parameters alone; its genesis is there to be a whole record."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return build_models("nano", MemoryStore(), Path(folder))[0]


def _lora_model(cache: Path) -> LoadedModel:
    store = MemoryStore()
    plan = next(plan for plan in build_models("default", store, cache) if plan.name == "law")
    return load_genesis(store, plan.digest, cache)


def _windows(
    model: LoadedModel, cache: Path, fields: Sequence[str], half: str, sequence: int, rng: np.random.Generator
) -> Windows:
    """One half's text as windows in an order of ``rng``; each is packed from the documents of one field."""
    kept = cache / "quality" / f"{half}-{'-'.join(fields)}-{type(model.tokenizer).__name__}-{sequence}.npy"
    if not kept.exists():
        _write_tokens(kept, _packed(model, cache, fields, half, sequence))
    tokens = np.load(kept, mmap_mode="r", allow_pickle=False)
    shuffled = np.ascontiguousarray(tokens[rng.permutation(len(tokens))], dtype=np.int64)
    return Windows(shuffled, np.full(len(shuffled), sequence + 1, dtype=np.int64))


def _packed(model: LoadedModel, cache: Path, fields: Sequence[str], half: str, sequence: int) -> NDArray[np.int32]:
    found: list[NDArray[np.int32]] = []
    for text in sample_texts(cache, tuple(fields)).values():
        documents = [json.loads(line)["text"] for line in text.parts[half].read_text().splitlines()]
        found.append(np.array(pack(model.tokenizer, documents, sequence + 1), dtype=np.int32))
    return np.concatenate(found)


def _write_tokens(path: Path, tokens: NDArray[np.int32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.npy")
    np.save(fresh, tokens, allow_pickle=False)
    fresh.replace(path)
