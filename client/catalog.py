"""The models of the network as cards: what the chain says of each, its genesis's description, its datasets' words."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from client.errors import ManifestError, StorageError, UnknownModel
from client.manifests import MAX_MANIFEST_BYTES, MAX_SHARD_BYTES, Dataset, Genesis, ShardText
from client.storage import Store
from client.types import DatasetInfo, DatasetStatus, ModelInfo
from contracts.enums import Level

SAMPLE_CHARACTERS = 240
SAMPLES_PER_DATASET = 12
DATASETS_PER_MODEL = 4
FETCH_SECONDS = 10.0
READING_SECONDS = 5.0  # of one refresh, after which what was not read yet waits for the next
RETRY_SECONDS = 60.0  # after a failure, doubled each time up to
RETRY_MOST_SECONDS = 3600.0
T = TypeVar("T")


@dataclass(frozen=True)
class Card:
    """One model as a person chooses it. ``parameters`` counts what rounds train; ``head`` is a hex digest."""

    id: int
    name: str
    level: Level
    field: str
    parent_id: int
    head: str
    round: int
    language: str = ""
    description: str = ""
    licence: str = ""
    parameters: int = 0
    samples: tuple[str, ...] = ()  # sentences of its datasets, for the recommender

    @property
    def profile(self) -> str:
        """What its description says, as one text."""
        return ". ".join(part for part in (self.field, self.description) if part)


class CatalogChain(Protocol):
    """What a catalog needs of the chain."""

    def models(self) -> list[ModelInfo]: ...
    def datasets(self, model_id: int | None = None, block: int | None = None) -> list[DatasetInfo]: ...


class Catalog:
    """Cards of all models, read anew after ``refresh_seconds``. Content that can't be had leaves fields empty."""

    def __init__(
        self,
        chain: CatalogChain,
        store: Store | None,
        refresh_seconds: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chain, self._store, self._refresh, self._clock = chain, store, refresh_seconds, clock
        self._genesis: dict[bytes, Genesis] = {}
        self._samples: dict[bytes, tuple[str, ...]] = {}
        self._failed: dict[bytes, tuple[float, float]] = {}  # when to try again, and after which pause
        self._read_until = 0.0
        self._cards: tuple[Card, ...] = ()
        self._read_at: float | None = None
        self._lock = threading.Lock()

    def cards(self) -> Sequence[Card]:
        """All models, by number."""
        with self._lock:
            now = self._clock()
            if self._read_at is None or now - self._read_at >= self._refresh:
                self._read_until = now + READING_SECONDS  # anybody may register models whose content nobody gives
                infos = self._chain.models()
                datasets = self._chain.datasets(None) if self._store is not None else []
                self._cards = tuple(self._card(info, datasets) for info in infos)
                self._read_at = now
            return self._cards

    def card(self, wanted: str | int) -> Card:
        """The model of that name or number; ``UnknownModel`` lists what there is."""
        cards = self.cards()
        for card in cards:
            if wanted in (card.name, card.id, str(card.id)):
                return card
        known = ", ".join(card.name for card in cards) or "none yet"
        raise UnknownModel(f"There is no model {str(wanted)[:80]!r}. There are: {known}.")

    def _card(self, info: ModelInfo, datasets: Sequence[DatasetInfo]) -> Card:
        card = Card(
            info.id, info.name, info.level, info.field, info.parent_id, info.head.hex(), info.head_round
        )  # what the chain alone says
        genesis = self._read(info.genesis, self._genesis, self._read_genesis)
        if genesis is None:
            return card
        samples: list[str] = []
        for dataset in [d for d in datasets if d.model_id == info.id and d.status == DatasetStatus.ACCEPTED]:
            if len(samples) < DATASETS_PER_MODEL * SAMPLES_PER_DATASET:
                found = self._read(dataset.root, self._samples, self._read_samples)
                samples += found or ()
        return Card(
            *(card.id, card.name, card.level, card.field, card.parent_id, card.head, card.round),
            language=genesis.language,
            description=genesis.description,
            licence=genesis.licence,
            parameters=genesis.size,
            samples=tuple(samples),
        )

    def _read(self, digest: bytes, known: dict[bytes, T], read: Callable[[bytes], T]) -> T | None:
        """Content never changes under its digest: read once. A failure is tried again, more and more rarely."""
        if digest in known or self._store is None:
            return known.get(digest)
        again, pause = self._failed.get(digest, (-1e9, RETRY_SECONDS / 2))
        if self._clock() < again or self._clock() > self._read_until:
            return None
        try:
            known[digest] = read(digest)
        except (StorageError, ManifestError):
            pause = min(pause * 2, RETRY_MOST_SECONDS)
            self._failed[digest] = (self._clock() + pause, pause)
        return known.get(digest)

    def _read_genesis(self, digest: bytes) -> Genesis:
        assert self._store is not None
        return Genesis.from_bytes(self._store.get(digest, MAX_MANIFEST_BYTES, FETCH_SECONDS))

    def _read_samples(self, root: bytes) -> tuple[str, ...]:
        """A few sentences of a dataset's first training shard (held-out text is not looked at)."""
        assert self._store is not None
        dataset = Dataset.from_bytes(self._store.get(root, MAX_MANIFEST_BYTES, FETCH_SECONDS))
        if not dataset.shards:
            return (dataset.name,)
        first = bytes.fromhex(dataset.shards[0].digest)
        shard = ShardText.from_bytes(self._store.get(first, MAX_SHARD_BYTES, FETCH_SECONDS))
        return (dataset.name, *sample_sentences(shard.documents))


def sample_sentences(documents: Sequence[str], count: int = SAMPLES_PER_DATASET) -> tuple[str, ...]:
    """Passages of some length, spread evenly over the documents."""
    passages = []
    for document in documents:
        for passage in re.split(r"\n\s*\n|(?<=[.!?])\s+", document):
            text = " ".join(passage.split())
            if len(text) >= 40:
                passages.append(text[:SAMPLE_CHARACTERS])
    step = max(1, len(passages) // count)
    return tuple(passages[::step][:count])
