"""One round of the real protocol code at any size, counted: dealing, deltas, the next head, the chain, the DHT.

Everything that a slope is taken of is a count (bytes, calls, gas, operations), so it is the same on every machine;
seconds are told beside it.
"""

from __future__ import annotations

import json
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from eth_account import Account

from client.assignment import assign_shards
from client.catchup import plan
from client.fakes import fake_address
from client.replay import Accepted, ModelState, build_next_head, genesis_state, load_state, publish
from contracts.reference import GROUP, PAGE_GROUPS, PAGE_UNITS, groups_of
from contracts.reference.bonds import bonds_after
from contracts.reference.judgement import Row, committee, consensus_by_groups
from devnet.bench.frame import ROOT
from devnet.bench.scale_world import SNAPSHOT_EVERY, Synthetic
from node.swarm_records import ROLES, heartbeat_key, make_record

COMMITTEE = 16
DATASETS = 16
HEARTBEAT_REPLICAS = 5
"""Peers that keep a DHT record: Hivemind's ``num_replicas``."""

Numbers = dict[str, float]


@dataclass(frozen=True)
class Size:
    """What grows. ``rounds``: played one after the other, each with the same miners."""

    miners: int = 64
    validators: int = 64
    values: int = 1 << 16
    rounds: int = 1


class Stopwatch:
    """CPU-seconds and peak bytes of Python and numpy by what they were spent on."""

    def __init__(self) -> None:
        self.numbers: Numbers = {}

    @contextmanager
    def of(self, what: str, memory: bool = False) -> Iterator[None]:
        """Measure a block."""
        if memory:
            tracemalloc.start()
        start = time.process_time()
        yield
        self.numbers[f"seconds: {what}"] = time.process_time() - start
        if memory:
            self.numbers[f"peak bytes: {what}"] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()


def play(size: Size, seed: int) -> Numbers:
    """One round of that size (and its ``rounds`` with the same deltas, where there are more), counted."""
    watch = Stopwatch()
    numbers = deal(size, seed) | chain_work(size, seed) | gas_of(size) | dht_load(size)
    numbers |= deltas_and_head(size, seed, watch)
    return numbers | watch.numbers


def deal(size: Size, seed: int) -> Numbers:
    """What every node computes of who trains on what: shards looked at, and shards dealt."""
    shards = [(dataset, place) for dataset in range(1, DATASETS + 1) for place in range(size.miners)]
    miners = [fake_address(number) for number in range(1, size.miners + 1)]
    hands = assign_shards(seed.to_bytes(32, "big"), miners, shards)
    return {"shards dealt, by each node": float(sum(map(len, hands.values())))}


def committees(size: Size, seed: int) -> list[list[int]]:
    """Each group's committee, by the reference."""
    stakes = [10 + slot for slot in range(size.validators)]
    return [committee(seed.to_bytes(32, "big"), group, stakes, COMMITTEE) for group in range(groups_of(size.miners))]


def dealt_of(size: Size, seats: Sequence[Sequence[int]], slot: int) -> list[int]:
    """The submissions that a validator judges."""
    return [index for index in range(size.miners) if seats[index // GROUP][slot]]


def chain_work(size: Size, seed: int) -> Numbers:
    """Consensus and bonds by the reference, votes and bonds counted; what of it one validator has to judge."""
    seats = committees(size, seed)
    dealt = [dealt_of(size, seats, slot) for slot in range(size.validators)]
    rng = np.random.default_rng(seed)
    gains = rng.integers(1_000, 40_000, size.miners).tolist()
    rows: list[Row] = [[gains[i] if seats[i // GROUP][slot] else None for i in range(size.miners)]
                       for slot in range(size.validators)]  # fmt: skip
    values = consensus_by_groups(rows, seats, size.miners)
    assert values == gains, "validators who agree are the consensus"
    bonds = [bonds_after([0] * size.validators, [row[i] for row in rows], seats[i // GROUP], values[i])
             for i in range(size.miners)]  # fmt: skip
    return {
        "scores on chain": float(sum(map(len, dealt))),
        "bonds moved": float(sum(bond > 0 for column in bonds for bond in column)),
        "deltas judged, by the busiest validator": float(max(map(len, dealt))),
        "deltas judged, by each on average": sum(map(len, dealt)) / size.validators,
    }


@lru_cache
def snapshots() -> dict[tuple[int, int], dict[str, int]]:
    """The committed measurements of whole rounds (``make gas``), by miners and validators."""
    found = {}
    for path in sorted((ROOT / "contracts" / "gas").glob("system-*-miners-*-validators.json")):
        words = path.stem.split("-")
        found[int(words[1]), int(words[3])] = {name: int(gas) for name, gas in json.loads(path.read_text()).items()}
    return found


def gas_of(size: Size) -> Numbers:
    """A round's gas, at most: each call of the protocol, at the most that it took with 256 miners and 64 validators.

    That is a bound for every smaller round. With 64 validators and 32 to 256 miners the measured total is known too,
    on the line between the two measurements; nothing is said beyond.
    """
    most = snapshots()[256, 64]
    calls = {
        "tick: open": 1,
        "tick: seed and seats": 1,
        "commitDelta": size.miners,
        "revealDelta, 16 datasets": size.miners,
        "commitScores": size.validators,
        "revealScores": size.validators,
        "tick: consensus page": -(-groups_of(size.miners) // PAGE_GROUPS),
        "commitHead": size.validators,
        "revealHead": size.validators,
        "tick: settling page": -(-((2 + DATASETS) * size.miners + 2 * size.validators) // PAGE_UNITS),
    }
    numbers: Numbers = {"transactions": float(sum(calls.values()))}
    numbers["gas, at most"] = float(sum(count * most[f"{name}, most"] for name, count in calls.items()))
    if size.validators == 64 and 32 <= size.miners <= 256:
        low, high = snapshots()[32, 64]["all transactions"], snapshots()[256, 64]["all transactions"]
        numbers["gas, measured or between"] = low + (high - low) * (size.miners - 32) / (256 - 32)
    return numbers


def dht_load(size: Size) -> Numbers:
    """Real signed records of every node: keys, bytes that a holder keeps, bytes that a look-up of all miners brings."""
    account = Account.from_key(b"\x01" * 32)
    peer, addresses = "12D3KooW" + "A" * 44, ["/ip4/203.0.113.77/tcp/31337/p2p/12D3KooW" + "A" * 44] * 2
    bytes_of = {}
    for role in ("miner", "validator"):
        record = make_record(account, 31337, role, [1], peer, addresses, 1_800_000_000)
        bytes_of[role] = len(record.encode()) + len(account.address)
    nodes = {"miner": size.miners, "validator": size.validators}
    return {
        "DHT keys": float(len({heartbeat_key(31337, role) for role in ROLES})),
        "DHT bytes, the miners' key": float(nodes["miner"] * bytes_of["miner"]),
        "DHT bytes, the validators' key": float(nodes["validator"] * bytes_of["validator"]),
        "DHT stores in a heartbeat of all": float(HEARTBEAT_REPLICAS * sum(nodes.values())),
        "DHT bytes sent by a node in a heartbeat": float(HEARTBEAT_REPLICAS * bytes_of["miner"]),
    }


def deltas_and_head(size: Size, seed: int, watch: Stopwatch) -> Numbers:
    """Encode every miner's delta, build the heads of all rounds, join late: bytes, objects, memory, seconds."""
    world = Synthetic(size.values, seed)
    with watch.of("encode"):
        payloads = [world.payload(miner) for miner in range(size.miners)]
    accepted = [
        Accepted(world.store.put(payload), 65536 // size.miners, fake_address(number + 1))
        for number, payload in enumerate(payloads)
    ]
    numbers: Numbers = {
        "delta bytes, all miners": float(sum(map(len, payloads))),
        "delta: float32 bytes to one": 4 * size.values * size.miners / sum(map(len, payloads)),
    }
    with tempfile.TemporaryDirectory() as folder:
        state = genesis_state(world.store, world.genesis_digest)
        world.store.begin()
        state, manifests = _rounds(world, state, accepted, size.rounds, Path(folder), watch)
    numbers["bytes fetched for a head"] = world.store.bytes_read / size.rounds
    numbers["bytes of manifests, a round"] = sum(manifests) / size.rounds
    numbers["bytes of a manifest, most"] = float(max(manifests))
    return numbers | _late_joiner(world, state, accepted, size, watch)


def _rounds(
    world: Synthetic, state: ModelState, accepted: list[Accepted], rounds: int, folder: Path, watch: Stopwatch
) -> tuple[ModelState, list[int]]:
    manifests = []
    with watch.of("heads", memory=True):
        for number in range(1, rounds + 1):
            made = build_next_head(state, 1, number, accepted, world.store, folder, reuse=True)
            publish(world.store, made)
            if made.snapshot is not None:
                made.snapshot.unlink()
            manifests.append(len(made.head.to_bytes()))
            state = made.state
    return state, manifests


def _late_joiner(
    world: Synthetic, state: ModelState, accepted: list[Accepted], size: Size, watch: Stopwatch
) -> Numbers:
    """Who comes now, and who was there a round ago: what they fetch. What an attester keeps until the next snapshot."""
    head = state.head
    assert head is not None, "at least one round was played"
    world.store.begin()
    with watch.of("late joiner", memory=True):
        load_state(world.store, state.head_digest)
    fetched = float(world.store.bytes_read)
    behind = plan(
        world.genesis, head, size.rounds - 1, lambda number: accepted, lambda digest: len(world.store.blobs[digest])
    )
    deltas = sum(len(world.store.blobs[delta.digest]) for delta in accepted)
    return {
        "bytes of a late joiner": fetched,
        "bytes of a node one round behind": float(behind.bytes_needed),
        "bytes of the model's state": 8.0 * size.values,
        "bytes kept by an attester, most": 8.0 * size.values + SNAPSHOT_EVERY * deltas,
    }
