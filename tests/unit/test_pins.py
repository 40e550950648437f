"""A node's disk stays bounded: what a round makes goes with it, what a head needs goes with the next snapshot."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.errors import NotFound, StorageUnavailable
from client.manifests import DeltaRef, Head, RoundDeltas
from client.storage import MemoryStore
from node import pins
from node.pins import Pins
from node.validator import Validator
from tests.unit.role_fakes import FakeHeads
from tests.unit.test_validator import at_score

MINER = "0x" + "11" * 20
ZERO = "00" * 32


class World:
    """A model whose heads are made by hand."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.path = folder / "pins.jsonl"
        self.pins = Pins(self.store, self.path, 1.0)
        self.snapshot, self.snapshot_round = self.remote(), 0
        self.deltas: list[RoundDeltas] = []

    def remote(self) -> bytes:
        """A blob that somebody else has, and that is not pinned here."""
        digest = self.store.put(os.urandom(20))
        self.store.unpin(digest)
        return digest

    def head(self, round_number: int, *deltas: bytes, snapshot: bytes | None = None) -> bytes:
        """What a validator makes of a round and puts, pinned by that."""
        deltas = deltas or (() if snapshot is not None else (self.remote(),))
        if deltas:
            refs = tuple(DeltaRef(digest.hex(), 100, MINER) for digest in deltas)
            self.deltas.append(RoundDeltas(round_number, refs))
        if snapshot is not None:
            self.snapshot, self.snapshot_round, self.deltas = snapshot, round_number, []
        manifest = Head(
            ZERO, 1, round_number, ZERO, self.snapshot.hex(), self.snapshot_round, tuple(self.deltas), ZERO, ZERO
        )  # fmt: skip
        return self.store.put(manifest.to_bytes())

    def reopened(self) -> Pins:
        return Pins(self.store, self.path, 1.0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_settle_when_a_delta_was_refused_then_it_goes_with_its_round(world: World) -> None:
    good, bad = world.remote(), world.remote()
    world.pins.keep(1, 1, [good, bad])
    assert {good, bad} <= world.store.pins
    head = world.head(1, good)
    world.pins.keep_head(1, 1, head, [good])
    assert world.pins.settle(1, 1, head) == 1
    assert world.store.pins == {good, head}


def test_settle_when_the_next_snapshot_is_attested_then_what_led_to_it_goes(world: World) -> None:
    first, second = world.remote(), world.remote()
    heads: list[bytes] = []
    for number, delta in enumerate((first, second), start=1):
        heads.append(world.head(number, delta))
        world.pins.keep_head(1, number, heads[-1], [delta])
        world.pins.settle(1, number, heads[-1])
    assert world.store.pins == {first, second, heads[1]}
    snapshot, last = world.store.put(b"the model itself"), world.remote()
    heads.append(world.head(3, snapshot=snapshot))
    world.pins.keep_head(1, 3, heads[-1], [last])
    assert world.store.pins >= {first, second, last, snapshot}  # nothing goes before it is attested
    world.pins.settle(1, 3, heads[-1])
    assert world.store.pins == {snapshot, heads[2], last}
    world.pins.settle(1, 4, heads[-1])  # a round without gain
    assert world.store.pins == {snapshot, heads[2]}


def test_settle_when_the_round_was_void_then_what_it_made_goes_and_the_head_stays(world: World) -> None:
    delta = world.remote()
    head = world.head(1, delta)
    world.pins.keep_head(1, 1, head, [delta])
    world.pins.settle(1, 1, head)
    before = set(world.store.pins)
    wrong = world.head(2, world.remote())
    world.pins.keep_head(1, 2, wrong, [world.remote()])
    world.pins.settle(1, 2, head)
    assert world.store.pins == before


def test_settle_when_the_next_round_runs_already_then_its_pins_stay(world: World) -> None:
    early = world.remote()
    world.pins.keep(1, 6, [early])
    head = world.head(5, world.remote())
    world.pins.settle(1, 5, head)
    assert early in world.store.pins


def test_settle_when_two_models_want_it_then_it_stays_for_the_other(world: World) -> None:
    shared = world.remote()
    world.pins.keep(1, 1, [shared])
    world.pins.keep(2, 1, [shared])
    head = world.head(1)
    world.pins.settle(1, 1, head)
    assert shared in world.store.pins
    world.pins.settle(2, 1, head)
    assert shared not in world.store.pins


def test_settle_when_the_head_cannot_be_read_then_nothing_goes(world: World) -> None:
    delta = world.remote()
    world.pins.keep(1, 1, [delta])
    assert world.pins.settle(1, 1, bytes(32)) == 0
    assert delta in world.store.pins


def test_pins_when_killed_before_the_pin_was_set_then_it_is_let_go_all_the_same(world: World) -> None:
    def killed(digest: bytes) -> None:
        raise KeyboardInterrupt

    delta = world.remote()
    store_pin, world.store.pin = world.store.pin, lambda digest, timeout=0: killed(digest)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.pins.keep(1, 1, [delta])
    world.store.pin = store_pin  # type: ignore[method-assign]
    world.store.pin(delta)  # as if the kill came right after it
    assert world.reopened().settle(1, 1, world.head(1)) == 1
    assert delta not in world.store.pins


def test_pins_when_the_daemon_is_down_at_the_end_then_the_next_end_lets_go(world: World) -> None:
    delta, head = world.remote(), world.head(1)
    world.pins.keep(1, 1, [delta])

    def down(digest: bytes) -> None:
        raise StorageUnavailable("down")

    unpin, world.store.unpin = world.store.unpin, down  # type: ignore[method-assign]
    assert world.pins.settle(1, 1, head) == 0
    world.store.unpin = unpin  # type: ignore[method-assign]
    assert world.reopened().settle(1, 2, head) == 1
    assert delta not in world.store.pins


def test_journal_when_its_last_line_was_cut_then_the_rest_counts(world: World) -> None:
    delta = world.remote()
    world.pins.keep(1, 1, [delta])
    with world.path.open("ab") as file:
        file.write(b'["ab12')
    again = world.reopened()
    assert again.digests() == {delta}
    other = world.remote()
    again.keep(1, 1, [other])
    assert world.reopened().digests(1) == {delta, other}


def test_journal_when_many_rounds_pass_then_it_stays_small(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "LINES_LEAST", 20)
    head = world.head(1)
    for number in range(1, 40):
        world.pins.keep(1, number, [world.remote()])
        world.pins.settle(1, number, head)
    assert len(world.path.read_bytes().splitlines()) < 40
    assert world.pins.digests() == set()


class StoringHeads(FakeHeads):
    """Stores the manifests of its heads, as the real one does."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.store = store

    def next_head(self, model: Any, parent_head: bytes, round_number: int, accepted: Any) -> bytes:
        refs = tuple(DeltaRef(entry.digest.hex(), entry.weight_q16, entry.miner) for entry in accepted)
        rounds = (RoundDeltas(round_number, refs),)
        return self.store.put(Head(ZERO, 1, round_number, ZERO, ZERO, 0, rounds, ZERO, ZERO).to_bytes())


def test_validator_when_its_round_is_over_then_keeps_what_the_head_names(tmp_path: Path) -> None:
    world = at_score(tmp_path)
    first = world.validator()
    journal = first.runtime.config.state / "journal" / "pins.jsonl"
    parts = replace(first.parts, heads=StoringHeads(world.store), pins=Pins(world.store, journal, 1.0))
    validator = Validator(first.runtime, parts, world.model)
    stray = world.store.put(b"of a round that was given up")
    parts.pins.keep(1, 1, [stray], have=True)
    for steps in (2, 1, 2, 1):  # judge and commit, reveal, build the head and commit, reveal
        for _ in range(steps):
            assert validator.step()
        world.ledger.mine()
    world.owner.tick(1)
    assert validator.step()
    assert validator.finished == 1
    delta, head = world.owner.submissions(1, 1)[0].digest, world.owner.model("m").head
    report = world.owner.scores_of(1, 1, validator.address).report
    assert {delta, head, report} == parts.pins.digests()
    assert {delta, head, report} <= world.store.pins
    assert stray not in world.store.pins


def test_head_when_something_cannot_be_pinned_then_the_rest_is_and_nothing_is_raised(world: World) -> None:
    gone = world.remote()
    head = world.head(1, gone)
    del world.store.blobs[gone]
    world.pins.keep_head(1, 1, head, [gone])
    world.pins.keep_head(1, 2, bytes(32), [])
    assert world.pins.digests() == {head, gone}


def test_keep_when_nobody_has_it_then_it_says_so_and_pins_the_rest(world: World) -> None:
    there = world.remote()
    with pytest.raises(NotFound):
        world.pins.keep(1, 1, [bytes(32), there])
    assert there in world.store.pins
    late = world.store.put(b"late")
    del world.store.blobs[late]
    with pytest.raises(NotFound):
        world.pins.keep(1, 1, [late])
    world.store.blobs[late] = b"late"
    world.store.pins.discard(late)
    world.pins.keep(1, 1, [late])
    assert late in world.store.pins
