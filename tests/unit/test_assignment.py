"""Shards and windows are dealt by the seed alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.assignment import SeededRng, assign_shards, assigned_datasets, pick_windows, sample_capped, shard_list

SEED = bytes(range(32))
MINERS = ["0xAa", "0xbB", "0xCc"]


def test_seeded_rng_when_seed_fixed_then_numbers_are_golden() -> None:
    rng = SeededRng(SEED, "golden")
    assert [rng.below(1000) for _ in range(8)] == NUMBERS
    items = list(range(10))
    SeededRng(SEED).shuffle(items)
    assert items == SHUFFLED


NUMBERS = [611, 344, 811, 796, 635, 430, 689, 445]
SHUFFLED = [6, 3, 8, 2, 4, 9, 7, 1, 5, 0]


def test_seeded_rng_when_drawn_often_then_is_even() -> None:
    rng = SeededRng(SEED)
    counts = Counter(rng.below(6) for _ in range(6000))
    assert set(counts) == set(range(6)) and all(850 < count < 1150 for count in counts.values())


@pytest.mark.parametrize("n", [0, -1, 2**64 + 1])
def test_below_when_out_of_range_then_refused(n: int) -> None:
    with pytest.raises(ValueError, match="below"):
        SeededRng(SEED).below(n)


@given(seed=st.binary(min_size=1, max_size=32), shards=st.integers(0, 60), miners=st.integers(1, 7), order=st.randoms())
def test_assign_when_orders_differ_then_hands_are_the_same(seed: bytes, shards: int, miners: int, order) -> None:
    names = [f"0x{place:040x}" for place in range(miners)]
    deck = shard_list({3: shards // 2, 1: shards - shards // 2})
    dealt = assign_shards(seed, names, deck)
    order.shuffle(names)
    order.shuffle(deck)
    assert assign_shards(seed, names, deck) == dealt
    hands = [tuple(hand) for hand in dealt.values()]
    assert all(len(set(hand)) == len(hand) for hand in hands)
    if shards >= miners:
        flat = [shard for hand in hands for shard in hand]
        assert len(set(flat)) == len(flat)
        assert {len(hand) for hand in hands} == {min(8, shards // miners)}
    elif shards:
        assert {len(hand) for hand in hands} == {1}


def test_assign_when_nothing_to_deal_then_hands_are_empty() -> None:
    assert assign_shards(SEED, MINERS, []) == {"0xAa": [], "0xbB": [], "0xCc": []}
    assert assign_shards(SEED, [], [(1, 0)]) == {}


def test_assign_when_seed_changes_then_hands_do() -> None:
    deck = shard_list({1: 40})
    assert assign_shards(SEED, MINERS, deck) != assign_shards(SEED[::-1], MINERS, deck)


def test_assigned_datasets_when_shards_repeat_then_each_once_rising() -> None:
    assert assigned_datasets([(7, 1), (2, 0), (7, 0)]) == [2, 7]


def test_pick_windows_when_documents_are_short_then_takes_what_is_there() -> None:
    lengths = [100, 5, 64, 70, 0]
    windows = pick_windows(SEED, lengths, 100, 32)
    assert sorted(windows) == [(0, 0, 32), (0, 32, 32), (0, 64, 32), (2, 0, 32), (2, 32, 32), (3, 0, 32), (3, 32, 32)]
    assert pick_windows(SEED, lengths, 3, 32) == windows[:3]
    assert pick_windows(SEED, [], 3, 32) == []


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(1, 40), st.binary(max_size=8))
def test_sample_capped_when_picked_then_no_owner_has_more_than_its_part(
    owners: list[str], count: int, seed: bytes
) -> None:
    items = list(range(len(owners)))
    found = sample_capped(SeededRng(seed), items, owners, count)
    most = -(-count // max(1, min(3, len(set(owners)))))
    held, has = Counter(owners[item] for item in found), Counter(owners)
    assert len(set(found)) == len(found) <= count and all(part <= most for part in held.values())
    assert len(found) == min(count, sum(min(most, part) for part in has.values())), "no place stays free without need"
    if len(set(owners)) < 2:
        assert found == SeededRng(seed).sample(items, count)


def test_pick_windows_when_one_owner_has_most_text_then_a_third_is_its() -> None:
    lengths, owners = [64000, 640, 640, 640], ["a", "b", "c", "b"]
    picked = pick_windows(SEED, lengths, 30, 32, owners)
    parts = Counter(owners[window.document] for window in picked)
    assert len(picked) == 30 and parts["a"] == 10
    assert len(pick_windows(SEED, lengths[:1], 30, 32, owners[:1])) == 30


@given(st.lists(st.integers(0, 500), max_size=20), st.integers(1, 50), st.integers(2, 100), st.binary(max_size=8))
def test_pick_windows_when_picked_then_inside_and_disjoint(
    lengths: list[int], count: int, sequence: int, seed: bytes
) -> None:
    windows = pick_windows(seed, lengths, count, sequence)
    assert len(set(windows)) == len(windows) <= count
    for document, start, length in windows:
        assert start % sequence == 0 and 0 < length <= sequence and start + length <= lengths[document]
