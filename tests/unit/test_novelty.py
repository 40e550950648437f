"""What of a dataset a model's earlier datasets have already."""

from __future__ import annotations

import random

import numpy as np
import pytest

from node.novelty import Sketches, compare, sketch

WORDS = [f"word{number}" for number in range(4000)]


def document(seed: int, words: int = 300) -> str:
    picked = random.Random(seed)
    return " ".join(picked.choice(WORDS) for _ in range(words))


OLD = [document(seed) for seed in range(10)]
HELD = [document(100 + seed) for seed in range(5)]
ACCEPTED = [Sketches.of(OLD, HELD)]


def known(*train: str) -> tuple[bool, ...]:
    return compare(Sketches.of(train, ()), ACCEPTED).known


def test_sketch_when_made_then_a_quarter_of_the_shingles_rising() -> None:
    found = sketch(document(1, 4000))
    assert 800 < len(found) < 1200 and (np.diff(found.astype(np.int64)) > 0).all()


@pytest.mark.parametrize(
    "text",
    [
        OLD[3],
        OLD[3].upper().replace(" ", "\n"),
        HELD[2],
        " ".join(OLD[3].split()[150:] + OLD[3].split()[:150]),
        OLD[3] + " " + OLD[4] + " " + document(50, 150),
        " ".join(word if place % 30 else "other" for place, word in enumerate(OLD[3].split())),
        " ".join(OLD[3].split()[:150]),
    ],
    ids=["same", "in another form", "held out there", "reordered", "joined", "every thirtieth word", "half"],
)
def test_document_when_it_is_in_accepted_text_then_known(text: str) -> None:
    assert known(text, document(70)) == (True, False)


@pytest.mark.parametrize(
    "text",
    [document(60), OLD[3][: len(OLD[3]) // 4] + document(61), "a few words", ""],
    ids=["new", "a quotation", "short", "empty"],
)
def test_document_when_most_of_it_is_new_then_not_known(text: str) -> None:
    assert known(text) == (False,)


def test_documents_when_each_is_too_short_then_all_together_are_looked_at() -> None:
    pieces = [" ".join(OLD[0].split()[start : start + 20]) for start in range(0, 300, 20)]
    fresh = [" ".join(document(62).split()[start : start + 20]) for start in range(0, 300, 20)]
    assert all(known(*pieces)) and not any(known(*fresh))


def test_compare_when_held_out_text_is_trained_on_elsewhere_then_both_ways_are_told() -> None:
    found = compare(Sketches.of([*HELD[:2], document(63)], [OLD[1], document(64)]), ACCEPTED)
    assert (found.heldout_known, found.leaked, found.known) == (0.5, 0.4, (True, True, False))


def test_compare_when_nothing_is_accepted_yet_then_all_is_new() -> None:
    found = compare(Sketches.of(OLD, HELD), [])
    assert found.known == (False,) * 10 and (found.heldout_known, found.leaked) == (0.0, 0.0)
