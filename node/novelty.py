"""Is a dataset's text new to its model? Containment of word shingles in what is accepted already.

A document is *known* where at least ``KNOWN_PART`` of its shingles (runs of five words) are in accepted text:
containment as in Broder, "On the resemblance and containment of documents" (1997), on the shingles whose hash is a
multiple of ``SAMPLE``. Unlike the likeness of whole documents it finds a text that was joined with others, cut or
reordered by paragraphs. It does not find a translation or a paraphrase.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.dedupe import shingles

SAMPLE = 4  # one shingle in so many is kept: 4 bytes for every four words of accepted text
LEAST_SHINGLES = 8  # of a document that is looked at by itself; shorter ones are looked at together
KNOWN_PART = 0.7  # of its shingles; independent texts of law share half of theirs here and there (licences)

Sketch = NDArray[np.uint32]
"""Sampled hashes of shingles, rising, each once."""


@dataclass(frozen=True)
class Sketches:
    """A dataset's text, read once: of each document a sketch, and a key that is the same for exact copies (whatever
    their case and spacing; of this process alone).
    """

    train: tuple[Sketch, ...]
    heldout: tuple[Sketch, ...]
    train_keys: tuple[int, ...]
    heldout_keys: tuple[int, ...]

    @classmethod
    def of(cls, train: Iterable[str], heldout: Iterable[str]) -> Sketches:
        """From the documents."""
        trained = [(sketch(document), _key(document)) for document in train]
        held = [(sketch(document), _key(document)) for document in heldout]
        return cls(
            train=tuple(found for found, _ in trained),
            heldout=tuple(found for found, _ in held),
            train_keys=tuple(key for _, key in trained),
            heldout_keys=tuple(key for _, key in held),
        )


@dataclass(frozen=True)
class Novelty:
    """What of a dataset is known. Parts are of documents, 0 to 1."""

    known: tuple[bool, ...]  # for each document to train on, whether accepted text has it
    heldout_known: float  # part of its held-out documents that others' training text has
    leaked: float  # part of another dataset's held-out documents that its training text has, of the worst


def sketch(text: str) -> Sketch:
    """The sampled shingles of a text."""
    found = shingles(text)
    kept: Sketch = found[found % np.uint64(SAMPLE) == 0].astype(np.uint32)
    return kept


def _key(document: str) -> int:
    return hash(" ".join(document.split()).lower())


def compare(new: Sketches, accepted: Sequence[Sketches]) -> Novelty:
    """What the accepted datasets have of a new one."""
    trained = _union(part for each in accepted for part in each.train)
    everything = _union([trained, *(part for each in accepted for part in each.heldout)])
    ours = _union(new.train)
    leaks = [_part(_known(each.heldout, ours)) for each in accepted if each.heldout]
    return Novelty(
        known=tuple(_known(new.train, everything)),
        heldout_known=_part(_known(new.heldout, trained)),
        leaked=max(leaks, default=0.0),
    )


def _known(documents: Sequence[Sketch], text: Sketch) -> list[bool]:
    """Whether each document is in ``text``. The short ones say too little alone, and share one answer."""
    short = [document for document in documents if len(document) < LEAST_SHINGLES]
    together = _contained(_union(short), text)
    return [together if len(document) < LEAST_SHINGLES else _contained(document, text) for document in documents]


def _contained(document: Sketch, text: Sketch) -> bool:
    if len(document) < LEAST_SHINGLES or not len(text):
        return False
    places = np.minimum(np.searchsorted(text, document), len(text) - 1)
    return bool(np.mean(text[places] == document) >= KNOWN_PART)


def _union(parts: Iterable[Sketch]) -> Sketch:
    found = list(parts)
    return np.unique(np.concatenate(found)) if found else np.array([], dtype=np.uint32)


def _part(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0
