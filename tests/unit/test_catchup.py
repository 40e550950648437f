"""The shorter way to a head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.catchup import catch_up, plan
from client.codec import encode, max_payload_bytes
from client.manifests import Compression, Evaluation, Genesis, Head, Inner, Outer
from client.replay import Accepted, ModelState, build_next_head, genesis_state, load_state, publish, sha256_of
from client.storage import MemoryStore
from client.tensors import write_tensors

SIZE = 8192
EVERY = 3
MINER = "0x" + "11" * 20


class Chain:
    """A model of several rounds, in memory; ``heads`` by round, ``accepted`` as the chain would tell."""

    def __init__(self, folder: Path, rounds: int, miners: int = 2) -> None:
        self.store, self.folder = MemoryStore(), folder
        theta = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
        write_tensors(folder / "w.safetensors", {"w": theta})
        self.genesis = Genesis(
            name="m", level=0, field="general", language="en", description="", licence="CC0-1.0", parent=None,
            config="{}", tokenizer="bytes", chat_template="", form="full", base=None, lora=None,
            weights=self.store.put_file(folder / "w.safetensors").hex(), tensors=(("w", (SIZE,)),),
            weights_sha256=sha256_of(theta), kinds=("TRAIN",), compression=Compression("topk2", 64, 4096),
            outer=Outer(65536, 32768), inner=Inner(4, 1, 16, "0.1", 0, "0"), evaluation=Evaluation(4, 16),
            snapshot_every=EVERY,
        )  # fmt: skip
        self.heads = {0: self.store.put(self.genesis.to_bytes())}
        self.accepted: dict[int, list[Accepted]] = {}
        state = genesis_state(self.store, self.heads[0])
        for number in range(1, rounds + 1):
            self.accepted[number] = [self._delta(number, miner, miners) for miner in range(miners)]
            made = build_next_head(state, 1, number, self.accepted[number], self.store, folder)
            self.heads[number] = publish(self.store, made)
            state = made.state

    def _delta(self, number: int, miner: int, miners: int) -> Accepted:
        vector = np.random.default_rng((number, miner)).normal(size=SIZE).astype(np.float32) * np.float32(1e-3)
        payload = encode(vector, "topk2", 64, 4096)[0]
        return Accepted(self.store.put(payload), 65536 // miners, MINER)

    def state(self, number: int) -> ModelState:
        return load_state(self.store, self.heads[number])

    def manifest(self, number: int) -> Head:
        found = load_state(self.store, self.heads[number]).head
        assert found is not None
        return found


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("chain"), 5)


def test_plan_when_nothing_is_known_then_from_the_snapshot(chain: Chain) -> None:
    most = max_payload_bytes(SIZE, chain.genesis.compression)
    route = plan(chain.genesis, chain.manifest(5), None)
    assert route.steps is None and route.bytes_other is None
    assert route.bytes_needed == 8 * SIZE + 4 * most
    assert plan(chain.genesis, chain.manifest(2), None).bytes_needed == 4 * SIZE + 4 * most


def test_plan_when_a_round_behind_then_by_its_deltas(chain: Chain) -> None:
    route = plan(chain.genesis, chain.manifest(5), 4)
    assert route.steps is not None and [number for number, _ in route.steps] == [5]
    assert route.bytes_other is not None and route.bytes_needed < route.bytes_other


def test_plan_when_a_snapshot_lies_between_then_the_chain_tells_the_deltas_before_it(chain: Chain) -> None:
    assert plan(chain.genesis, chain.manifest(4), 2).steps is None
    route = plan(chain.genesis, chain.manifest(4), 2, lambda number: chain.accepted.get(number))
    assert route.steps is not None and [number for number, _ in route.steps] == [3, 4]


@pytest.mark.parametrize("delta_bytes", [10, 4 * SIZE, 9 * SIZE])
def test_plan_when_sizes_are_known_then_no_way_is_longer_than_the_one_taken(chain: Chain, delta_bytes: int) -> None:
    head, per_round = chain.manifest(5), 2 * delta_bytes
    for known in range(6):
        route = plan(chain.genesis, head, known, chain.accepted.get, lambda digest: delta_bytes)
        assert route.bytes_needed == min((5 - known) * per_round, 8 * SIZE + 2 * per_round)
        assert (route.steps is not None) == ((5 - known) * per_round <= 8 * SIZE + 2 * per_round)


def test_catch_up_when_deltas_are_shorter_then_the_snapshot_is_not_fetched(chain: Chain, tmp_path: Path) -> None:
    wanted: list[bytes] = []
    known = chain.state(2)
    chain.store.fault = wanted.append
    try:
        found = catch_up(chain.store, chain.heads[5], tmp_path, known, chain.accepted.get)
    finally:
        chain.store.fault = None
    assert np.array_equal(found.theta, chain.state(5).theta) and found.head_digest == chain.heads[5]
    snapshot = bytes.fromhex(chain.manifest(5).snapshot)
    assert snapshot not in wanted and list(tmp_path.iterdir()) == []


def test_catch_up_when_the_chain_went_another_way_then_the_snapshot_is_taken(chain: Chain, tmp_path: Path) -> None:
    other = Chain(tmp_path, 2, miners=1)
    stranger = replace(other.state(2), head_digest=b"\x07" * 32)
    found = catch_up(chain.store, chain.heads[5], tmp_path, stranger, chain.accepted.get)
    assert np.array_equal(found.theta, chain.state(5).theta)


def test_catch_up_when_there_already_or_at_genesis_then_nothing_is_applied(chain: Chain, tmp_path: Path) -> None:
    assert catch_up(chain.store, chain.heads[4], tmp_path, chain.state(4)).round == 4
    assert catch_up(chain.store, chain.heads[0], tmp_path).round == 0
