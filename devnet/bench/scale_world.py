"""What the scale simulation runs on: models of any size, never run, their deltas, and a store that counts."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from client.codec import encode
from client.codes import Float32
from client.manifests import Evaluation, Genesis, Inner
from client.recipe import SPARSE
from client.replay import sha256_of
from client.storage import MemoryStore
from client.tensors import write_tensors
from devnet.bench.material import genesis_of

SNAPSHOT_EVERY = 8
DELTA_SCALE = 1e-3


class CountingStore(MemoryStore):
    """Counts what is read: ``objects`` and ``bytes_read``."""

    def __init__(self) -> None:
        super().__init__()
        self.objects = 0
        self.bytes_read = 0

    def get(self, digest: bytes, max_bytes: int, timeout: float = 60.0) -> bytes:
        """As any store, and counted."""
        data = super().get(digest, max_bytes, timeout)
        self.objects += 1
        self.bytes_read += len(data)
        return data

    def begin(self) -> None:
        """Count from zero."""
        self.objects = self.bytes_read = 0


@dataclass
class Synthetic:
    """A model of ``values`` parameters whose deltas are drawn, not trained: heavy tails, as real ones have."""

    values: int
    seed: int
    store: CountingStore = field(default_factory=CountingStore)
    genesis_digest: bytes = b""
    genesis: Genesis = field(init=False)

    def __post_init__(self) -> None:
        theta = np.random.default_rng(self.seed).normal(0.0, 0.02, self.values).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            write_tensors(path, {"w": theta})
            weights = self.store.put_file(path)
        self.genesis = scale_genesis(self.values, weights, sha256_of(theta))
        self.genesis_digest = self.store.put(self.genesis.to_bytes())

    def delta(self, *which: int) -> Float32:
        """A delta of its own for every miner and round."""
        rng = np.random.default_rng((self.seed, *which))
        return (rng.standard_t(5, self.values) * DELTA_SCALE).astype(np.float32)

    def payload(self, *which: int) -> bytes:
        """The same, as the real codec writes it."""
        return encode(self.delta(*which), SPARSE.codec, SPARSE.k, SPARSE.chunk)[0]


def scale_genesis(values: int, weights: bytes, weights_sha256: str) -> Genesis:
    """A genesis with the optimizer's settings of a real model."""
    return genesis_of(
        "scale", (("w", (values,)),), weights, weights_sha256, field="general", language="en", licence="CC0-1.0",
        inner=Inner(15, 4, 128, "0.001", 0, "0.01"), evaluation=Evaluation(16, 128), snapshot_every=SNAPSHOT_EVERY,
    )  # fmt: skip
