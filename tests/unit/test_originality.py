"""Who copied whom: the prints of many deltas against comparing each with each."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from node.validation.originality import BLOCK, EACH_WITH_EACH, NEAREST, SAMPLE, Prints
from node.validation.scoring import Likeness, likeness

SIZE = 32 * BLOCK
SEED = b"evaluation"


def sparse(seed: int, n: int = SIZE, shared: float = 0.0) -> NDArray[np.float32]:
    """A delta as top-k leaves it; ``shared`` of its kept places are those that all such deltas have."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(0).permutation(n)
    count = n // 64
    of_all = common[: int(shared * count)]
    places = np.concatenate([of_all, rng.permutation(n)[: count - len(of_all)]])
    vector = np.zeros(n, np.float32)
    vector[places] = rng.choice([-2.0, -1.0, 1.0, 2.0], len(places))
    return vector


def printed(vectors: list[NDArray[np.float32]], seed: bytes = SEED) -> Prints:
    prints = Prints(len(vectors[0]), len(vectors), seed)
    for index, vector in enumerate(vectors):
        prints.add(index, index, vector)
    return prints


def each_with_each(vectors: list[NDArray[np.float32]], index: int) -> Likeness:
    found = [likeness(vectors[index], earlier) for earlier in vectors[:index]]
    return max(found, key=lambda like: (like.cosine, like.overlap), default=Likeness(0.0, 0.0))


def close(one: Likeness, other: Likeness) -> bool:
    return one.cosine == pytest.approx(other.cosine, abs=1e-5) and one.overlap == pytest.approx(other.overlap, abs=1e-9)


def test_likest_when_deltas_are_few_then_as_by_comparing_each_with_each() -> None:
    vectors = [sparse(seed, shared=0.3) for seed in range(6)]
    vectors.append(vectors[2] * np.float32(0.9))
    found = printed(vectors).likest(range(7))
    assert all(close(found[index], each_with_each(vectors, index)) for index in range(7))
    assert found[6].cosine > 0.999 and found[6].overlap == 1.0
    assert max(found[index].cosine for index in range(6)) < 0.5


def test_likest_when_the_vector_is_longer_than_the_sample_then_a_copy_shows_and_others_do_not() -> None:
    n = 2 * SAMPLE + 77
    vectors = [sparse(seed, n) for seed in range(3)]
    vectors.append(-vectors[0])
    vectors.append(vectors[1] + np.float32(0.1) * vectors[2])
    found = printed(vectors).likest(range(5))
    assert max(found[index].cosine for index in range(4)) < 0.1
    assert found[4].cosine > 0.98
    assert printed(vectors, b"another").likest(range(5))[4] != found[4]


def test_likest_when_deltas_are_many_then_each_copy_is_found_and_no_honest_one_is_called_so() -> None:
    vectors = [sparse(seed, shared=0.4) for seed in range(2 * EACH_WITH_EACH)]
    rng = np.random.default_rng(1)
    for original in range(0, 20, 4):
        copy = vectors[original].copy()
        kept = np.flatnonzero(copy)
        copy[rng.choice(kept, len(kept) // 12, replace=False)] = 0
        vectors.append(copy)
    found = printed(vectors).likest(range(len(vectors)))
    honest = [found[index].cosine for index in range(2 * EACH_WITH_EACH)]
    assert max(honest) < 0.9
    for place in range(2 * EACH_WITH_EACH, len(vectors)):
        assert close(found[place], each_with_each(vectors, place)) and found[place].cosine > 0.95


def test_likest_when_only_some_are_wanted_then_the_others_still_count_as_originals() -> None:
    vectors = [sparse(seed) for seed in range(EACH_WITH_EACH + 1)]
    vectors.append(vectors[3])
    found = printed(vectors).likest([len(vectors) - 1])
    assert list(found) == [len(vectors) - 1] and found[len(vectors) - 1].cosine > 0.999


def test_likest_when_all_are_alike_then_the_pairs_grow_with_the_deltas_alone() -> None:
    for count in (64, 128):
        prints = printed([sparse(seed, 4 * BLOCK, shared=0.9) for seed in range(count)])
        prints.likest(range(count))
        assert count - 1 <= prints.compared <= NEAREST * count


def test_likest_when_a_delta_is_tiny_or_zero_then_there_is_nothing_to_be_like() -> None:
    vectors = [np.zeros(8, np.float32) for _ in range(EACH_WITH_EACH + 2)]
    vectors[3][2] = vectors[5][2] = 1.0
    found = printed(vectors).likest(range(len(vectors)))
    assert found[0] == Likeness(0.0, 0.0) and found[5] == Likeness(1.0, 1.0)


def mixed(committed: int, vector: NDArray[np.float32], n: int = SIZE, before: int = 3) -> float:
    """The mix of a delta whose ``before`` predecessors were shown in the round before."""
    prints = Prints(n, before + 1, SEED)
    for place in range(before):
        prints.add(-place - 1, -place - 1, sparse(place, n, shared=0.3), f"0x{place}")
    prints.add(0, committed, vector, "0xme")
    return prints.likest([0])[0].mix


@pytest.mark.parametrize("n", [SIZE, 2 * SAMPLE + 77])
def test_mix_when_a_delta_is_made_of_several_that_were_shown_then_it_shows(n: int) -> None:
    shown = [sparse(place, n, shared=0.3) for place in range(3)]
    noise = np.random.default_rng(5).normal(0, 0.3, n).astype(np.float32) * (shown[0] != 0)
    assert mixed(4, np.mean(shown, axis=0, dtype=np.float32), n) > 0.999
    assert mixed(4, np.float32(0.2) * shown[0] - shown[2], n) > 0.999
    assert mixed(4, shown[0] + shown[1] + noise, n) > 0.9


def test_mix_when_a_delta_is_new_then_little_of_it_is_in_what_was_shown() -> None:
    assert mixed(4, sparse(9, shared=0.3)) < 0.6
    assert mixed(4, np.zeros(SIZE, np.float32)) == 0.0
    assert mixed(4, sparse(0, shared=0.3), before=1) == 0.0, "one alone is no mix: its cosine says it"


def test_mix_when_the_others_are_of_the_same_round_then_nobody_could_have_seen_them() -> None:
    vectors = [sparse(place) for place in range(3)]
    prints = printed([*vectors, np.mean(vectors, axis=0, dtype=np.float32)])
    assert prints.likest([3])[3].mix == 0.0


def test_mix_when_the_shown_ones_are_the_same_then_a_number_all_the_same() -> None:
    prints = Prints(SIZE, 3, SEED)
    for place in (1, 2):
        prints.add(-place, -place, sparse(1), f"0x{place}")
    prints.add(0, 0, sparse(1) + sparse(2), "0xme")
    assert 0.5 < prints.likest([0])[0].mix < 0.9
