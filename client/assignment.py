"""Who trains on what, and which windows judge: pure functions of a seed.

Nothing here uses a library's random generator, whose stream may change between versions; numbers come from SHA-256 in
counter mode, so every machine and every year deals the same cards.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")

SHARDS_PER_MINER = 8
"""At most so many shards per miner and round; part of the protocol, since an audit deals them again."""

LEAST_OWNERS = 3
"""The text that judges a round has so many contributors at least, where so many have text: nobody supplies more than a
third of it."""

SHORTEST_WINDOW = 16
"""Fewer tokens than this (or than a full window, if that is less) do not make a window."""


class ShardRef(NamedTuple):
    """A training shard: the dataset's number on chain, and the shard's place in its manifest (from 0)."""

    dataset_id: int
    shard: int


class Window(NamedTuple):
    """A stretch of one document: ``start`` and ``length`` in tokens."""

    document: int
    start: int
    length: int


class SeededRng:
    """Numbers from ``sha256(seed || counter)``, eight bytes at a time, without modulo bias."""

    def __init__(self, seed: bytes, purpose: str = "") -> None:
        self._seed = hashlib.sha256(len(seed).to_bytes(4, "big") + seed + purpose.encode("utf-8")).digest()
        self._counter = 0
        self._pool = b""

    def _word(self) -> int:
        if not self._pool:
            self._pool = hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
        word, self._pool = self._pool[:8], self._pool[8:]
        return int.from_bytes(word, "big")

    def below(self, n: int) -> int:
        """A whole number in ``0..n-1``, each as likely; ``n`` at most 2**64."""
        if not 0 < n <= 2**64:
            raise ValueError(f"below({n}) needs 1..2**64")
        limit = 2**64 - 2**64 % n
        while (word := self._word()) >= limit:
            pass
        return word % n

    def shuffle(self, items: list[Item]) -> None:
        """Fisher-Yates, in place."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """``count`` different places of ``items`` in random order (all of them, where there are fewer)."""
        pool = list(items)
        count = min(count, len(pool))
        for place in range(count):
            other = place + self.below(len(pool) - place)
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:count]


def shard_list(shard_counts: Mapping[int, int]) -> list[ShardRef]:
    """All training shards of the given datasets (number on chain -> how many), in canonical order."""
    return [ShardRef(dataset, index) for dataset in sorted(shard_counts) for index in range(shard_counts[dataset])]


def assign_shards(
    seed: bytes, miners: Sequence[str], shards: Iterable[tuple[int, int]], per_miner: int = SHARDS_PER_MINER
) -> dict[str, list[ShardRef]]:
    """Deal shards to miners: a function of the seed and of the two sets, not of their order.

    While there are shards enough, no shard goes to two miners, so that what a miner did on its own shards can be told
    from what it did on others': each gets ``min(per_miner, shards // miners)``. With fewer shards than miners each
    gets one, and some share.
    """
    names = sorted(set(miners), key=str.lower)
    deck = [ShardRef(*shard) for shard in sorted({(int(dataset), int(index)) for dataset, index in shards})]
    if not deck or not names:
        return {name: [] for name in names}
    SeededRng(seed, "shards").shuffle(deck)
    each = max(1, min(per_miner, len(deck) // len(names)))
    dealt: dict[str, list[ShardRef]] = {}
    for place, name in enumerate(names):
        hand = [deck[(place * each + offset) % len(deck)] for offset in range(each)]
        dealt[name] = sorted(hand)
    return dealt


def assigned_datasets(hand: Iterable[tuple[int, int]]) -> list[int]:
    """The dataset numbers that a miner with these shards names on chain: each once, rising."""
    return sorted({dataset for dataset, _ in hand})


def sample_capped(rng: SeededRng, items: Sequence[Item], owners: Sequence[str], count: int) -> list[Item]:
    """Different places of ``items`` in random order, each as likely, but of one owner no more than a capped part.

    That part is ``count`` over ``LEAST_OWNERS``, or over the number of owners where there are fewer, rounded up. Fewer
    than ``count`` come back where the others have no more. With one owner it is ``rng.sample``.
    """
    most = -(-count // max(1, min(LEAST_OWNERS, len(set(owners)))))
    taken: Counter[str] = Counter()
    found: list[Item] = []
    for place in rng.sample(range(len(items)), len(items)):
        if len(found) == count:
            break
        if taken[owners[place]] < most:
            taken[owners[place]] += 1
            found.append(items[place])
    return found


def pick_windows(
    seed: bytes, lengths: Sequence[int], windows: int, sequence: int, owners: Sequence[str] | None = None
) -> list[Window]:
    """Different, non-overlapping windows of documents whose token counts are ``lengths``.

    Each is as likely as any other, but of one owner of documents (``owners``, one for each; None: all are one's) no
    more are picked than :func:`sample_capped` says. A document's rest counts as a window if it has
    ``SHORTEST_WINDOW`` tokens. Fewer than ``windows`` come back where the documents hold no more.
    """
    shortest = min(sequence, SHORTEST_WINDOW)
    places = [
        Window(document, start, min(sequence, length - start))
        for document, length in enumerate(lengths)
        for start in range(0, length, sequence)
        if length - start >= shortest
    ]
    whose = ["" if owners is None else owners[place.document] for place in places]
    return sample_capped(SeededRng(seed, "windows"), places, whose, windows)
