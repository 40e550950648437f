"""Documents to windows of tokens, in an order that a seed fixes, so that a validator can say which ones a miner saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from client.assignment import SeededRng
from client.errors import EmptyText
from node.models.tokenizer import Tokenizer

IGNORED = -100
"""The target of a padded place: it counts in no loss."""


@dataclass(frozen=True)
class Windows:
    """Stretches of text as token numbers, padded on the right. ``lengths`` counts the real tokens of each."""

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, windows: Sequence[Sequence[int]], pad: int = 0) -> Windows:
        """From lists of at least two tokens; raises ``EmptyText`` where there is none."""
        kept = [window for window in windows if len(window) >= 2]
        if not kept:
            raise EmptyText("there is no window of at least two tokens in this text")
        tokens = np.full((len(kept), max(map(len, kept))), pad, dtype=np.int64)
        for row, window in enumerate(kept):
            tokens[row, : len(window)] = window
        return cls(tokens, np.array([len(window) for window in kept], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """How many tokens of each window are predicted: all but its first."""
        return self.lengths - 1

    def take(self, rows: Sequence[int]) -> Windows:
        """Some of the windows, in the given order."""
        index = np.asarray(rows, dtype=np.int64)
        return Windows(self.tokens[index], self.lengths[index])

    def inputs(self, rows: Sequence[int]) -> torch.Tensor:
        """What the model reads: all tokens but the last, cut to the longest of these windows."""
        index = np.asarray(rows, dtype=np.int64)
        return torch.from_numpy(self.tokens[index, : int(self.lengths[index].max()) - 1])

    def targets(self, rows: Sequence[int]) -> torch.Tensor:
        """What it should predict; padding is ``IGNORED``."""
        index = np.asarray(rows, dtype=np.int64)
        end = int(self.lengths[index].max())
        found = self.tokens[index, 1:end].copy()
        found[np.arange(1, end)[None, :] >= self.lengths[index][:, None]] = IGNORED
        return torch.from_numpy(found)


def pack(tokenizer: Tokenizer, documents: Sequence[str], sequence: int) -> list[list[int]]:
    """Documents one after the other, an end token after each, cut into windows of ``sequence`` tokens.

    The rest is dropped, unless it is all there is.
    """
    stream: list[int] = []
    for document in documents:
        stream.extend(tokenizer.encode(document))
        stream.append(tokenizer.end)
    windows = [stream[start : start + sequence] for start in range(0, len(stream) - sequence + 1, sequence)]
    return windows or [stream]


def training_windows(
    tokenizer: Tokenizer, shards: Sequence[Sequence[str]], seed: bytes, miner: str, sequence: int, member: int = 0
) -> Windows:
    """A miner's windows in the order in which it trains on them: a function of the round's seed, miner and shards.

    A validator calls this too: the first rows are what the miner certainly saw. Each member of a team (0 is its leader)
    has an order of its own.
    """
    windows = [window for shard in shards for window in pack(tokenizer, shard, sequence)]
    rng = SeededRng(seed, f"training/{miner.lower()}/{member}")
    rng.shuffle(windows)
    return Windows.of(windows, tokenizer.end)


def rows_for(count: int, batch: int, steps: int) -> Iterator[list[int]]:
    """The rows of each step: in order, over again where the windows are fewer than the steps need."""
    for step in range(steps):
        yield [(step * batch + place) % count for place in range(batch)]
