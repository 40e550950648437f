"""The text of datasets: manifests and shards by digest, verified, with the last few kept in memory."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from client.assignment import SeededRng, sample_capped
from client.errors import ManifestError, StorageError
from client.fetching import get_many
from client.manifests import MAX_MANIFEST_BYTES, MAX_SHARD_BYTES, Dataset, Shard, ShardText
from client.types import DatasetInfo
from node.interfaces import Document

KEPT_SHARDS = 512  # of some 64 KB each
HELDOUT_SHARDS = 32  # that one round's windows are picked from


class Blobs(Protocol):
    """Where bytes are, by digest."""

    def get(self, digest: bytes, max_bytes: int, timeout: float) -> bytes: ...


class Texts:
    """Fetches what datasets hold. Usable from several threads."""

    def __init__(self, store: Blobs, timeout_seconds: float) -> None:
        self._store, self._timeout = store, timeout_seconds
        self._manifests: dict[bytes, Dataset] = {}
        self._shards: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def manifest(self, info: DatasetInfo) -> Dataset:
        """A dataset's manifest; ``ManifestError`` where it does not say what the chain says."""
        with self._lock:
            known = self._manifests.get(info.root)
        if known is None:
            known = Dataset.from_bytes(self._store.get(info.root, MAX_MANIFEST_BYTES, self._timeout))
            counts = (len(known.shards), len(known.heldout))
            if counts != (info.shards, info.heldout):
                raise ManifestError(
                    f"dataset {info.id} has {counts[0]} shards and {counts[1]} held out, "
                    f"but the chain says {info.shards} and {info.heldout}"
                )
            with self._lock:
                self._manifests[info.root] = known
        return known

    def shard(self, shard: Shard) -> tuple[str, ...]:
        """The documents of one shard; ``ManifestError`` where it is not what its manifest says."""
        return self.shards((shard,))[0]

    def shards(self, wanted: Sequence[Shard]) -> tuple[tuple[str, ...], ...]:
        """The documents of several shards, fetched side by side under one deadline, in the order of ``wanted``."""
        found: dict[str, tuple[str, ...]] = {}
        with self._lock:
            for shard in wanted:
                if shard.digest in self._shards:
                    self._shards.move_to_end(shard.digest)
                    found[shard.digest] = self._shards[shard.digest]
        missing = {bytes.fromhex(shard.digest): shard for shard in wanted if shard.digest not in found}
        sizes = [(digest, min(shard.bytes, MAX_SHARD_BYTES)) for digest, shard in missing.items()]
        with contextlib.closing(get_many(self._store, sizes, self._timeout)) as coming:
            for digest, data in coming:
                if isinstance(data, StorageError):
                    raise data
                found[digest.hex()] = self._read(missing[digest], data)
        return tuple(found[shard.digest] for shard in wanted)

    def _read(self, shard: Shard, data: bytes) -> tuple[str, ...]:
        documents = ShardText.from_bytes(data, MAX_SHARD_BYTES).documents
        if (len(data), len(documents)) != (shard.bytes, shard.documents):
            raise ManifestError(f"shard {shard.digest[:12]} has other sizes than its manifest says")
        with self._lock:
            self._shards[shard.digest] = documents
            while len(self._shards) > KEPT_SHARDS:
                self._shards.popitem(last=False)
        return documents

    def training(self, datasets: Sequence[DatasetInfo], hand: Sequence[tuple[int, int]]) -> tuple[tuple[str, ...], ...]:
        """The documents of each dealt training shard, in the hand's order."""
        by_id = {info.id: info for info in datasets}
        return self.shards([self.manifest(by_id[dataset]).shards[index] for dataset, index in hand])

    def heldout(self, datasets: Sequence[DatasetInfo], seed: bytes) -> tuple[Document, ...]:
        """The documents of those held-out shards that ``seed`` picks, ``HELDOUT_SHARDS`` at most, of one contributor no
        more than ``sample_capped`` says.
        """
        shards = [
            (info.owner, shard)
            for info in sorted(datasets, key=lambda d: d.id)
            for shard in self.manifest(info).heldout
        ]
        owners = [owner for owner, _ in shards]
        picked = sample_capped(SeededRng(seed, "held-out shards"), shards, owners, HELDOUT_SHARDS)
        read = self.shards([shard for _, shard in picked])
        return tuple(Document(owner, text) for (owner, _), texts in zip(picked, read, strict=True) for text in texts)
