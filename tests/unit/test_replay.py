"""Heads are recomputed bit for bit: exact sums, fixed order of operations, snapshots and late joiners."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import client.replay
from client.aggregate import clipped_weights, norm_of
from client.codec import Codes, decode_codes, encode
from client.codes import DenseCodes
from client.errors import AuditError, DeltaError, ManifestError, NotFound
from client.manifests import Compression, Evaluation, Genesis, Head, Inner, Lora, Outer
from client.replay import (
    Accepted,
    ModelState,
    NextHead,
    aggregate,
    build_next_head,
    load_state,
    outer_step,
    publish,
    sha256_of,
)
from client.storage import MemoryStore
from client.tensors import bf16_to_float32, float32_to_bf16, write_tensors

MINERS = [f"0x{place:040x}" for place in range(1, 9)]


def _noise(n: int, seed: object, scale: float = 1e-3) -> np.ndarray:
    """Values from SHA-256, so that golden hashes don't hang on a random generator."""
    words = b"".join(hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(n // 16 + 1))
    return ((np.frombuffer(words, "<u2")[:n].astype(np.float32) - 32767.5) / 32768 * np.float32(scale)).astype(
        np.float32
    )


def _codes(vector: np.ndarray, codec: str = "topk2", k: int = 4, chunk: int = 64) -> Codes:
    payload, _ = encode(vector, codec, k if codec == "topk2" else chunk, chunk)
    return decode_codes(payload, len(vector), Compression(codec, k if codec == "topk2" else chunk, chunk))


@dataclass
class World:
    """A model in a store of its own."""

    store: MemoryStore
    folder: Path
    genesis: Genesis
    digest: bytes

    def delta(self, seed: object, scale: float = 1e-3) -> bytes:
        """A delta's payload, stored."""
        how = self.genesis.compression
        return self.store.put(encode(_noise(self.genesis.size, seed, scale), how.codec, how.k, how.chunk)[0])

    def accepted(self, round_number: int, weights: Sequence[int] = (30000, 20000, 15536)) -> list[Accepted]:
        """One round's deltas, one a miner."""
        return [
            Accepted(self.delta((round_number, place), 1e-3 * (place + 1)), weight, MINERS[place])
            for place, weight in enumerate(weights)
        ]

    def advance(self, state: ModelState, round_number: int) -> NextHead:
        """A round, stored."""
        made = build_next_head(state, 7, round_number, self.accepted(round_number), self.store, self.folder)
        assert publish(self.store, made) == made.digest
        return made


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def make_world(folder: Path, form: str = "full", codec: str = "topk2") -> World:
    store = MemoryStore()
    shapes = (("layer.w", (60, 50)), ("layer.b", (50,)), ("head", (5, 30)))
    size = 3200
    theta = _noise(size, "genesis", 0.1)
    files = {}
    place = 0
    for name, shape in shapes:
        part = theta[place : place + math.prod(shape)].reshape(shape)
        files[name] = float32_to_bf16(part) if form == "full" else part
        place += math.prod(shape)
    if form == "full":
        theta = bf16_to_float32(float32_to_bf16(theta))
    else:
        files["layer.A"] = _noise(80, "A").reshape(8, 10)
    write_tensors(folder / "weights", files)
    genesis = Genesis(
        name="law",
        level=2,
        field="law",
        language="en",
        description="",
        licence="CC0",
        parent=None,
        config="{}",
        tokenizer="bytes",
        chat_template="",
        form=form,
        base="a" * 64 if form == "lora" else None,
        lora=Lora(8, 16, ("q_proj",), (0, 1)) if form == "lora" else None,
        weights=store.put_file(folder / "weights").hex(),
        tensors=shapes,
        weights_sha256=sha256_of(theta),
        kinds=("TRAIN",),
        compression=Compression(codec, 16 if codec == "topk2" else 256, 256),
        outer=Outer(45875, 58982),
        inner=Inner(15, 4, 256, "3e-4", 2, "0"),
        evaluation=Evaluation(64, 256),
        snapshot_every=3,
    )
    return World(store, folder, genesis, store.put(genesis.to_bytes()))


@pytest.mark.parametrize(("form", "codec"), [("full", "topk2"), ("lora", "topk2"), ("full", "int8"), ("full", "none")])
def test_late_joiner_when_replaying_then_has_the_same_bits(tmp_path: Path, form: str, codec: str) -> None:
    world = make_world(tmp_path, form, codec)
    state = load_state(world.store, world.digest)
    assert state.round == 0 and not state.momentum.any()
    seen = []
    for number in (1, 2, 4, 5, 7):  # 3 and 6 were void
        made = world.advance(state, number)
        joined = load_state(world.store, made.digest)
        assert np.array_equal(joined.theta, made.state.theta) and np.array_equal(joined.momentum, made.state.momentum)
        assert made.head.parent == state.head_digest.hex()
        seen.append((made.head.snapshot_round, len(made.head.deltas), made.snapshot is not None))
        state = joined
    assert seen == [(0, 1, False), (0, 2, False), (4, 0, True), (4, 1, False), (7, 0, True)]


def test_three_rounds_when_seed_fixed_then_hashes_are_golden(world: World) -> None:
    state = load_state(world.store, world.digest)
    for number in (1, 2, 3):
        state = world.advance(state, number).state
    found = {"weights": sha256_of(state.theta)[:32], "momentum": sha256_of(state.momentum)[:32]}
    assert found == GOLDEN


GOLDEN = {"weights": "f417d72a02259dd908ed14cfd78555e6", "momentum": "fe52d89255b4ca2f0344e2521f31697d"}


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 700),
    count=st.integers(1, 6),
    seed=st.integers(0, 2**32),
    segment=st.integers(1, 800),
    codec=st.sampled_from(["topk2", "int8", "none"]),
    order=st.randoms(),
)
def test_aggregate_when_cut_or_permuted_then_same_bits_and_exact(
    n: int, count: int, seed: int, segment: int, codec: str, order
) -> None:
    """The sum does not depend on segments or on the order of deltas (the head's manifest does: it lists them)."""
    codes = [_codes(_noise(n, (seed, place), 10.0 ** -(place % 4)), codec) for place in range(count)]
    weights = [65536 // count] * count
    update = aggregate(codes, weights, n)
    assert np.array_equal(update, aggregate(codes, weights, n, segment))
    pairs = list(zip(codes, weights, strict=True))
    order.shuffle(pairs)
    assert np.array_equal(update, aggregate([c for c, _ in pairs], [w for _, w in pairs], n, segment))
    clipped = clipped_weights([norm_of(code) for code in codes], weights)
    whole = [sum(w * int(v * 2**30) for w, v in zip(clipped, column, strict=True)) for column in _columns(codes)]
    assert np.array_equal(update, np.array([np.float32(value) for value in whole]) * np.float32(2.0**-46))


def _columns(codes: Sequence[Codes]) -> list[tuple[float, ...]]:
    return list(zip(*(code.to_float32().astype(np.float64).tolist() for code in codes), strict=True))


def test_aggregate_when_bounds_are_reached_then_does_not_overflow() -> None:
    for sign in (1, -1):
        full = DenseCodes(4, 4, np.zeros(1, np.int8), np.full(4, sign * 32767, np.int16))
        assert aggregate([full], [65536], 4).tolist() == [sign * 32767.0] * 4


def test_clip_when_one_norm_is_huge_then_cut_to_the_median() -> None:
    assert clipped_weights([100, 110, 10_000], [20000, 20000, 20000]) == [20000, 20000, 220]
    assert clipped_weights([100, 400], [30000, 30000]) == [30000, 7500]
    assert clipped_weights([0, 100, 400], [1, 30000, 30000]) == [1, 30000, 7500]
    assert clipped_weights([0, 0], [5, 6]) == [5, 6]
    assert clipped_weights([10**40, 10**44], [30000, 30000]) == [30000, 3]


def test_weights_when_above_one_in_sum_then_refused() -> None:
    with pytest.raises(DeltaError, match="65536 in sum"):
        clipped_weights([1, 1], [65536, 1])
    with pytest.raises(DeltaError, match="but 1 weights"):
        clipped_weights([1, 1], [65536])
    with pytest.raises(DeltaError, match="not for"):
        aggregate([_codes(_noise(10, 1))], [65536], 11)


def test_outer_step_when_one_element_then_is_nesterov_in_float32() -> None:
    theta, momentum, update = (np.array([value], np.float32) for value in (1.0, 0.5, 0.25))
    new_theta, new_momentum = outer_step(theta, momentum, update, 32768, 58982)
    decay = np.float32(58982) / np.float32(65536)
    expected = np.float32(np.float32(0.5) * decay) + np.float32(0.25)
    assert new_momentum[0] == expected
    assert new_theta[0] == np.float32(1) + np.float32(0.5) * np.float32(np.float32(expected * decay) + np.float32(0.25))
    assert theta[0] == 1.0 and momentum[0] == 0.5


def test_outer_step_when_momentum_fades_then_becomes_zero_before_denormal() -> None:
    momentum = np.array([1e-3, -1e-3], np.float32)
    theta = np.array([1e-40, 1.0], np.float32)
    for _ in range(600):
        theta, momentum = outer_step(theta, momentum, np.zeros(2, np.float32), 65536, 58982)
        assert all(value == 0 or abs(value) >= 2.0**-64 for value in (*momentum, *theta))
    assert not momentum.any()


def test_build_when_given_state_is_kept_then_not_written_to(world: World) -> None:
    state = load_state(world.store, world.digest)
    before = sha256_of(state.theta)
    made = build_next_head(state, 7, 1, world.accepted(1), world.store, world.folder)
    assert sha256_of(state.theta) == before
    again = build_next_head(state, 7, 1, world.accepted(1), world.store, world.folder, reuse=True)
    assert again.digest == made.digest and again.state.theta is state.theta


def test_build_when_deltas_do_not_fit_in_memory_then_same_head(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    state = load_state(world.store, world.digest)
    made = build_next_head(state, 7, 1, world.accepted(1), world.store, world.folder)
    monkeypatch.setattr(client.replay, "HOLD_BYTES", 700)
    monkeypatch.setattr(client.replay, "HOLD_SHARE", 0)
    assert build_next_head(state, 7, 1, world.accepted(1), world.store, world.folder).digest == made.digest


def test_build_when_submission_order_changes_then_weights_same_but_head_differs(world: World) -> None:
    state = load_state(world.store, world.digest)
    one = build_next_head(state, 7, 1, world.accepted(1), world.store, world.folder)
    two = build_next_head(state, 7, 1, world.accepted(1)[::-1], world.store, world.folder)
    assert one.head.weights_sha256 == two.head.weights_sha256 and one.digest != two.digest


def test_build_when_a_weight_is_zero_then_delta_is_left_out_unfetched(world: World) -> None:
    state = load_state(world.store, world.digest)
    missing = Accepted(bytes(32), 0, MINERS[5])
    accepted = world.accepted(1)
    made = build_next_head(state, 7, 1, [missing, *accepted], world.store, world.folder)
    assert made.digest == build_next_head(state, 7, 1, accepted, world.store, world.folder).digest
    with pytest.raises(DeltaError, match="no delta was accepted"):
        build_next_head(state, 7, 1, [missing], world.store, world.folder)


def test_build_when_input_is_wrong_then_says_so(world: World) -> None:
    state = world.advance(load_state(world.store, world.digest), 2).state
    with pytest.raises(DeltaError, match="can't follow"):
        build_next_head(state, 7, 2, world.accepted(2), world.store, world.folder)
    with pytest.raises(NotFound):
        build_next_head(state, 7, 3, [Accepted(b"\1" * 32, 65536, MINERS[0])], world.store, world.folder)
    spoiled = world.store.put(b"not a delta, but forty bytes or so of it")
    with pytest.raises(DeltaError, match=f"delta {spoiled.hex()} of {MINERS[0]}: .*no delta"):
        build_next_head(state, 7, 3, [Accepted(spoiled, 65536, MINERS[0])], world.store, world.folder)


def test_load_when_a_head_lies_then_audit_error(world: World) -> None:
    made = world.advance(load_state(world.store, world.digest), 1)
    for change, match in (
        ({"weights_sha256": "0" * 64}, "replayed weights"),
        ({"momentum_sha256": "0" * 64}, "replayed momentum"),
        ({"snapshot": "1" * 64}, "not from its genesis"),
    ):
        lie = world.store.put(replace(made.head, **change).to_bytes())
        with pytest.raises(AuditError, match=match):
            load_state(world.store, lie)
    swapped = replace(made.head.deltas[0].deltas[0], weight_q16=29999)
    rounds = (replace(made.head.deltas[0], deltas=(swapped, *made.head.deltas[0].deltas[1:])),)
    with pytest.raises(AuditError, match="replayed weights"):
        load_state(world.store, world.store.put(replace(made.head, deltas=rounds).to_bytes()))


def test_load_when_manifests_are_crossed_then_refused(world: World) -> None:
    made = world.advance(load_state(world.store, world.digest), 1)
    crossed = replace(made.head, genesis=made.digest.hex())
    with pytest.raises(ManifestError, match="genesis manifest was expected"):
        load_state(world.store, world.store.put(crossed.to_bytes()))
    wrong = replace(world.genesis, weights_sha256="0" * 64)
    with pytest.raises(AuditError, match="genesis weights"):
        load_state(world.store, world.store.put(wrong.to_bytes()))
    assert isinstance(client.replay.read_manifest(world.store, made.digest), Head)


def test_head_when_it_lists_many_deltas_then_a_snapshot_is_due_before_its_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.replay.MAX_LISTED_DELTAS", 4)
    first = world.advance(load_state(world.store, world.digest), 1)
    second = world.advance(first.state, 2)  # six deltas, in a model that has a snapshot every third round
    assert (first.snapshot, len(first.head.deltas)) == (None, 1)
    assert second.snapshot is not None and (second.head.snapshot_round, second.head.deltas) == (2, ())
    assert np.array_equal(load_state(world.store, second.digest).theta, second.state.theta)
