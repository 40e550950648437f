"""A ledger in memory, and a trainer, a judge and a head builder that need no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from client.fakes import FakeChain, FakeLedger, fake_address
from client.manifests import Compression, Dataset, Evaluation, Genesis, Inner, Outer, Removed, Shard, ShardText
from client.storage import MemoryStore
from client.types import ModelInfo, Policy, SubmissionInfo
from contracts.enums import Level, Role, ScoreReason
from node.config import NodeConfig, TeamConfig
from node.interfaces import JudgeJob, Progress, Trained, TrainJob, Verdict
from node.miner import Miner, MinerParts
from node.residual import Residuals
from node.runtime import Runtime, open_runtime
from node.texts import Texts
from node.validator import Validator, ValidatorParts
from node.vault import Vault
from node.votes import Votes

POLICY = Policy(6, 4, 4, 4, 4, 4, 4)
SIZE = 8
ZERO_HEX = "00" * 32

GENESIS = Genesis(
    name="m", level=0, field="general", language="en", description="", licence="CC0-1.0", parent=None, config="{}",
    tokenizer="bytes", chat_template="", form="full", base=None, lora=None, weights=ZERO_HEX,
    tensors=(("w", (SIZE,)),), weights_sha256=ZERO_HEX, kinds=("TRAIN",), compression=Compression("none", 8, 8),
    outer=Outer(65536, 0), inner=Inner(4, 1, 16, "0.1", 0, "0"), evaluation=Evaluation(4, 16), snapshot_every=4,
)  # fmt: skip


@dataclass
class FakeTrainer:
    """Every delta is ones; half of it survives compression. ``during`` runs inside of ``train``."""

    during: Callable[[], None] = lambda: None
    jobs: list[TrainJob] = field(default_factory=list)
    vectors: list[Any] = field(default_factory=list)
    advanced: int = 0
    steps: int = 3

    def genesis(self, model: ModelInfo) -> Genesis:
        return GENESIS

    def train(self, job: TrainJob, progress: Callable[[Progress], None], stop: Callable[[], bool]) -> Trained:
        self.jobs.append(job)
        self.during()
        done = 0
        while done < self.steps and not stop():
            done += 1
            progress(Progress(done, self.steps, 3.0 - done / 10, 100 * done))
        return Trained(np.ones(SIZE, np.float32), 100 * done, 2.9, 2.7)

    def encode(self, model: ModelInfo, vector: Any) -> tuple[bytes, Any]:
        self.vectors.append(vector.copy())
        kept = (vector / 2).astype(np.float32)
        return kept.tobytes(), kept

    def decode(self, model: ModelInfo, payload: bytes) -> Any:
        return np.frombuffer(payload, np.float32)

    def advance(self, model: ModelInfo) -> None:
        self.advanced += 1


@dataclass
class FakeJudge:
    """Scores 1000 whatever came as bytes."""

    jobs: list[JudgeJob] = field(default_factory=list)

    def genesis(self, model: ModelInfo) -> Genesis:
        return GENESIS

    def max_payload_bytes(self, model: ModelInfo) -> int:
        return 64

    def prepare(self, model: ModelInfo) -> None:
        pass

    def judge(self, job: JudgeJob) -> Verdict:
        self.jobs.append(job)
        dealt = [job.payloads[index] for index in job.dealt]
        reasons = tuple(ScoreReason.OK if isinstance(payload, bytes) else payload for payload in dealt)
        scores = tuple(1000 if reason is ScoreReason.OK else 0 for reason in reasons)
        return Verdict(scores, reasons, b"{}", {"heldout_before": 5, "heldout_after": 4})


@dataclass
class FakeHeads:
    """The next head is a digest of what was accepted."""

    accepted: list[Sequence[SubmissionInfo]] = field(default_factory=list)
    advanced: int = 0

    def next_head(
        self, model: ModelInfo, parent_head: bytes, round_number: int, accepted: Sequence[SubmissionInfo]
    ) -> bytes:
        self.accepted.append(accepted)
        return bytes([round_number]) * 32

    def advance(self, model: ModelInfo) -> None:
        self.advanced += 1


class World:
    """One model, one dataset, some miners and validators."""

    def __init__(self, folder: Path, miners: int = 1, validators: int = 1) -> None:
        self.folder, self.ledger, self.store = folder, FakeLedger(), MemoryStore()
        self.owner = FakeChain(self.ledger, fake_address(99))
        self.ledger.tokens[self.owner.address] = 1000
        self.model = self.owner.register_model(0, Level.GLOBAL, "m", "general", b"\x01" * 32, POLICY)
        self.miners = [self._member(n + 1, Role.MINER) for n in range(miners)]
        self.validators = [self._member(n + 11, Role.VALIDATOR) for n in range(validators)]
        self.dataset = 0
        self.events: list[tuple[str, dict[str, Any]]] = []

    def _member(self, number: int, role: Role) -> FakeChain:
        chain = FakeChain(self.ledger, fake_address(number))
        self.ledger.tokens[chain.address] = 1000
        chain.stake(self.model.id, role, 100)
        return chain

    def put_dataset(self, train: Sequence[Sequence[str]], heldout: Sequence[Sequence[str]], **changes: Any) -> int:
        """Store and register a dataset of these shards; nobody has voted on it."""
        shards, held = [[self._shard(documents) for documents in side] for side in (train, heldout)]
        who = changes.pop("contributor", self.owner.address)
        manifest = Dataset(
            "d", "CC0-1.0", "general", "en", "test", who, tuple(shards), tuple(held), 1, Removed(0, 0, 0)
        )
        root = self.store.put(manifest.to_bytes())
        size = sum(shard.bytes for shard in (*shards, *held))
        values = {"licence": "CC0-1.0", "size": size, "shards": len(shards), "heldout": len(held), **changes}
        return self.owner.register_dataset(self.model.id, root, **values).id

    def _shard(self, documents: Sequence[str]) -> Shard:
        data = ShardText(tuple(documents)).to_bytes()
        return Shard(self.store.put(data).hex(), len(data), len(documents), sum(map(len, documents)))

    def open(self) -> None:
        """A usable dataset, and a round in TRAIN whose seed can be read."""
        self.dataset = self.put_dataset([["text one"], ["text two"]], [["held out"]])
        for validator in self.validators:
            if self.owner.dataset(self.dataset).status == 0:
                validator.vote_dataset(self.dataset, True)
        self.ledger.mine()
        self.owner.tick(self.model.id)
        self.ledger.mine()

    def runtime(self, name: str, **settings: Any) -> Runtime:
        team = settings.pop("team", TeamConfig())
        config = NodeConfig(name, self.folder / name, margin_blocks=1, poll_seconds=0.05, team=team, **settings)
        return open_runtime(config, "miner")

    def miner(self, number: int = 0, trainer: FakeTrainer | None = None, **settings: Any) -> Miner:
        runtime = self.runtime(f"miner-{number}", **settings)
        state = runtime.config.state
        parts = MinerParts(
            self.miners[number], self.store, Texts(self.store, 1.0), trainer or FakeTrainer(), Vault(state / "journal"),
            Residuals(state / "residuals"),
        )  # fmt: skip
        return Miner(runtime, parts, self.model)

    def validator(self, number: int = 0, **settings: Any) -> Validator:
        runtime = self.runtime(f"validator-{number}", **settings)
        chain, texts = self.validators[number], Texts(self.store, 1.0)
        vault = Vault(runtime.config.state / "journal")
        parts = ValidatorParts(chain, self.store, texts, FakeJudge(), FakeHeads(), vault, Votes(chain, texts))
        return Validator(runtime, parts, self.model)

    def again(self, miner: Miner) -> Miner:
        """The same miner after a restart: nothing but its state folder is left."""
        return Miner(miner.runtime, replace(miner.parts), self.model)


def told(worker: Miner | Validator, name: str) -> list[dict[str, Any]]:
    """The events of one name that a worker wrote."""
    import json

    path = worker.runtime.config.state / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == name]
