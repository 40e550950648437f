"""The nano models, made once for all learning tests of a session."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

from client.storage import MemoryStore
from devnet.models import ModelPlan, build_models
from node.models.load import LoadedModel, load_genesis

TEXT = (
    "The licensor grants the licensee a licence to use, copy and distribute the software, provided that this notice "
    "appears in all copies. The software comes without warranty of any kind. "
)


@lru_cache(maxsize=1)
def nano_world() -> tuple[MemoryStore, Path, dict[str, ModelPlan]]:
    """A store with the three nano models, a cache folder, their plans by name."""
    store = MemoryStore()
    cache = Path(tempfile.mkdtemp(prefix="strata-nano-"))
    return store, cache, {plan.name: plan for plan in build_models("nano", store, cache)}


def nano(name: str, trainable: bool = True) -> LoadedModel:
    """A freshly loaded nano model."""
    store, cache, plans = nano_world()
    return load_genesis(store, plans[name].digest, cache, trainable=trainable)


def documents(count: int = 12) -> list[str]:
    """Texts that are alike, and yet none is another."""
    return [f"Section {number}. {TEXT * 3}" for number in range(count)]
