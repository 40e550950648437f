"""A round played by the real roles over a chain and a store in memory: what one node asks of both.

Miners encode drawn deltas instead of training, validators score alike instead of judging (what that takes is counted by
:mod:`devnet.bench.scale_judge`); all else is the node's own code, from the dealing of shards to the head.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.codes import Float32 as Vector
from client.fakes import FakeChain, FakeLedger, fake_address
from client.manifests import Dataset, Genesis, Removed, Shard, ShardText
from client.types import ModelInfo, Policy
from contracts.enums import Level, Phase, Role, ScoreReason
from devnet.bench.scale_round import Numbers, Size
from devnet.bench.scale_world import CountingStore, Synthetic
from node.config import NodeConfig
from node.heads import Heads
from node.interfaces import JudgeJob, Progress, Trained, TrainJob, Verdict
from node.miner import Miner, MinerParts
from node.residual import Residuals
from node.runtime import open_runtime
from node.texts import Texts
from node.validator import Validator, ValidatorParts
from node.vault import Vault

SCORE = 1000
MOST_STEPS = 64
STAKE = 100


class CountingChain:
    """A chain that counts calls, and records in their answers."""

    def __init__(self, chain: FakeChain) -> None:
        self._chain = chain
        self.calls: Counter[str] = Counter()
        self.records = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._chain, name)
        if not callable(found):
            return found

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            answer = found(*args, **kwargs)
            self.records += len(answer) if isinstance(answer, list | tuple) else 1
            return answer

        return counted


@dataclass
class DrawnTrainer:
    """Keeps ``node.interfaces.Trainer``: a delta that is drawn, and the real codec."""

    world: Synthetic
    number: int

    def genesis(self, model: ModelInfo) -> Genesis:
        """The model's."""
        return self.world.genesis

    def train(self, job: TrainJob, progress: Callable[[Progress], None], stop: Callable[[], bool]) -> Trained:
        """No training."""
        return Trained(self.world.delta(self.number), 1, 1.0, 1.0)

    def encode(self, model: ModelInfo, vector: Vector) -> tuple[bytes, Vector]:
        """As a miner does."""
        from client.codec import encode

        compression = self.world.genesis.compression
        return encode(vector, compression.codec, compression.k, compression.chunk)

    def decode(self, model: ModelInfo, payload: bytes) -> Vector:
        """As a miner does."""
        from client.codec import decode_codes

        return decode_codes(payload, self.world.values, self.world.genesis.compression).to_float32()

    def advance(self, model: ModelInfo) -> None:
        """Nothing to load."""


@dataclass
class EvenJudge:
    """Keeps ``node.interfaces.Judge``: every delta that came is worth the same."""

    world: Synthetic

    def genesis(self, model: ModelInfo) -> Genesis:
        """The model's."""
        return self.world.genesis

    def max_payload_bytes(self, model: ModelInfo) -> int:
        """As the real one."""
        from client.codec import max_payload_bytes

        return max_payload_bytes(self.world.values, self.world.genesis.compression)

    def prepare(self, model: ModelInfo) -> None:
        """Nothing to load."""

    def judge(self, job: JudgeJob) -> Verdict:
        """The same for all."""
        assert all(isinstance(job.payloads[index], bytes) for index in job.dealt), "all deltas are to be had"
        return Verdict((SCORE,) * len(job.dealt), (ScoreReason.OK,) * len(job.dealt), b"{}", {})


@dataclass
class Cast:
    """A model with its miners and validators, each with a store and a chain of its own that count."""

    size: Size
    folder: Path
    seed: int
    ledger: FakeLedger = field(default_factory=FakeLedger)
    miners: list[Miner] = field(default_factory=list)
    validators: list[Validator] = field(default_factory=list)
    chains: dict[str, CountingChain] = field(default_factory=dict)
    stores: dict[str, CountingStore] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = Synthetic(self.size.values, self.seed)
        self.owner = FakeChain(self.ledger, fake_address(9999))
        self.ledger.tokens[self.owner.address] = 10**9
        window = 4 * (self.size.miners + self.size.validators) + 20
        policy = Policy(*(window,) * 7)
        self.model = self.owner.register_model(0, Level.GLOBAL, "m", "general", self.world.genesis_digest, policy)
        for number in range(self.size.miners):
            self.miners.append(self._miner(number))
        for number in range(self.size.validators):
            self.validators.append(self._validator(number))
        self._open()

    def _member(self, name: str, number: int, role: Role) -> tuple[Any, CountingStore, NodeConfig]:
        chain = FakeChain(self.ledger, fake_address(number))
        self.ledger.tokens[chain.address] = STAKE
        chain.stake(self.model.id, role, STAKE)
        store = CountingStore()
        store.blobs = self.world.store.blobs  # one network
        self.chains[name], self.stores[name] = CountingChain(chain), store
        return self.chains[name], store, NodeConfig(name, self.folder / name, margin_blocks=1)

    def _miner(self, number: int) -> Miner:
        chain, store, config = self._member(f"miner-{number}", number + 1, Role.MINER)
        runtime = open_runtime(config, "miner")
        parts = MinerParts(
            chain, store, Texts(store, 1.0), DrawnTrainer(self.world, number), Vault(config.state / "journal"),
            Residuals(config.state / "residuals"),
        )  # fmt: skip
        return Miner(runtime, parts, self.model)

    def _validator(self, number: int) -> Validator:
        chain, store, config = self._member(f"validator-{number}", number + 5001, Role.VALIDATOR)
        runtime = open_runtime(config, "validator")
        heads = Heads(store, config.state / "scratch", 1.0)
        vault = Vault(config.state / "journal")
        parts = ValidatorParts(chain, store, Texts(store, 1.0), EvenJudge(self.world), heads, vault)
        return Validator(runtime, parts, self.model)

    def _open(self) -> None:
        """A dataset with a shard for each miner, and a round whose seed can be read."""
        dataset = self._dataset()
        for number in range(self.size.validators):
            if self.owner.dataset(dataset).status == 0:
                FakeChain(self.ledger, fake_address(number + 5001)).vote_dataset(dataset, True)
        self.ledger.mine()
        self.owner.tick(self.model.id)
        self.ledger.mine()

    def _dataset(self) -> int:
        shards = [self._shard(f"text {number}") for number in range(self.size.miners + 1)]
        manifest = Dataset(
            "d", "CC0-1.0", "general", "en", "drawn", self.owner.address, tuple(shards[1:]), (shards[0],), 1,
            Removed(0, 0, 0),
        )  # fmt: skip
        root = self.world.store.put(manifest.to_bytes())
        values = {"size": sum(shard.bytes for shard in shards), "shards": self.size.miners, "heldout": 1}
        return self.owner.register_dataset(self.model.id, root, licence="CC0-1.0", **values).id

    def _shard(self, text: str) -> Shard:
        data = ShardText((text,)).to_bytes()
        return Shard(self.world.store.put(data).hex(), len(data), 1, len(text))

    def begin(self) -> None:
        """Count from zero."""
        for chain in self.chains.values():
            chain.calls.clear()
            chain.records = 0
        for store in self.stores.values():
            store.begin()

    def play(self) -> None:
        """All nodes, one after the other, until the round is settled; a block passes where nobody acts."""
        idle = 0
        for _ in range(MOST_STEPS):
            acted = [node.step() for node in (*self.miners, *self.validators)]
            idle = 0 if any(acted) else idle + 1
            if idle:
                self._let_pass(idle)
            if self.owner.round(self.model.id, 1).settled:
                return
        raise AssertionError(f"the round is still in {self.owner.round(self.model.id, 1).phase.name}")

    def _let_pass(self, idle: int) -> None:
        """A block or two, since a phase or a seed may come with them; else the rest of the phase."""
        view = self.owner.round(self.model.id, 1)
        self.ledger.mine(1 if idle < 3 else max(1, view.phase_end - self.ledger.block_number))
        if self.owner.round(self.model.id, 1).ended:
            self.owner.tick(self.model.id, 1)


def play_roles(size: Size, seed: int) -> Numbers:
    """One round by the real roles: calls, records and bytes of the busiest miner and of the busiest validator."""
    with tempfile.TemporaryDirectory() as folder:
        cast = Cast(size, Path(folder), seed)
        cast.begin()
        cast.play()
        view = cast.owner.round(cast.model.id, 1)
        assert view.phase == Phase.FINAL and view.reveals == size.miners, "everybody took part"
        numbers: Numbers = {}
        for role in ("miner", "validator"):
            names = [name for name in cast.chains if name.startswith(role)]
            numbers |= _busiest(role, [cast.chains[name] for name in names], [cast.stores[name] for name in names])
        return numbers


def _busiest(role: str, chains: Sequence[CountingChain], stores: Sequence[CountingStore]) -> Numbers:
    return {
        f"chain calls of a {role}": float(max(chain.calls.total() for chain in chains)),
        f"chain records read by a {role}": float(max(chain.records for chain in chains)),
        f"objects fetched by a {role}": float(max(store.objects for store in stores)),
        f"bytes fetched by a {role}": float(max(store.bytes_read for store in stores)),
    }
