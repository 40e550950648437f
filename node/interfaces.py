"""What the roles need of the rest of the world, as Protocols of five methods or fewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from client.chain_like import EventReader
from client.manifests import Genesis
from client.types import (
    BlockInfo,
    CommittedInfo,
    DatasetInfo,
    ModelInfo,
    Receipt,
    Reveal,
    RoundInfo,
    ScoreInfo,
    SubmissionInfo,
)
from contracts.enums import DeltaKind, Phase, Role, ScoreReason, VoidReason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from node.vault import DeltaRecord

    Vector = NDArray[np.float32]


class Blocks(Protocol):
    """Who we are, and what time it is."""

    @property
    def address(self) -> str: ...
    @property
    def chain_id(self) -> int: ...
    def block_number(self) -> int: ...
    def block(self, number: int | None = None) -> BlockInfo: ...
    def contract_address(self, contract: str) -> str: ...


class RoundReader(Protocol):
    """One model's rounds."""

    def current(self, model_id: int) -> int: ...
    def round(self, model_id: int, number: int) -> RoundInfo: ...
    def submissions(self, model_id: int, number: int) -> list[SubmissionInfo]: ...
    def round_miners(self, model_id: int, number: int) -> list[str]: ...
    def round_validators(self, model_id: int, number: int) -> list[tuple[str, int]]: ...


class RecordReader(Protocol):
    """What one account did in a round."""

    def committed(self, model_id: int, number: int, account: str) -> CommittedInfo: ...
    def scores_of(self, model_id: int, number: int, validator: str) -> ScoreInfo: ...
    def head_of(self, model_id: int, number: int, validator: str) -> bytes: ...


class Registry(Protocol):
    """Models, their data, and who has a stake in them."""

    def models(self) -> list[ModelInfo]: ...
    def model(self, name_or_id: str | int) -> ModelInfo: ...
    def datasets(self, model_id: int | None = None) -> list[DatasetInfo]: ...
    def stake_of(self, account: str, model_id: int, role: Role) -> int: ...


class Ticker(Protocol):
    """The phase to come, and the permissionless calls that move a round."""

    def phase_at(self, model_id: int, number: int, block: int) -> tuple[Phase, int, VoidReason]: ...
    def tick(self, model_id: int, number: int | None = None) -> Receipt: ...
    def rejoin(self, model_id: int) -> Receipt: ...


class DeltaSender(Protocol):
    """A miner's transactions."""

    def commit_delta(self, model_id: int, number: int, commitment: bytes) -> Receipt: ...
    def reveal_delta(self, model_id: int, number: int, reveal: Reveal) -> Receipt: ...


class JudgementSender(Protocol):
    """A validator's transactions about a round."""

    def commit_scores(self, model_id: int, number: int, commitment: bytes) -> Receipt: ...
    def reveal_scores(
        self,
        model_id: int,
        number: int,
        scores: Sequence[int],
        reasons: Sequence[ScoreReason],
        report: bytes,
        salt: bytes,
    ) -> Receipt: ...
    def commit_head(self, model_id: int, number: int, commitment: bytes) -> Receipt: ...
    def reveal_head(self, model_id: int, number: int, head: bytes, salt: bytes) -> Receipt: ...


class DatasetVoter(Protocol):
    """A validator's say about data."""

    def vote_dataset(self, dataset_id: int, accept: bool, value: int = ...) -> Receipt: ...
    def has_voted(self, dataset_id: int, validator: str) -> bool: ...


class Dealer(Protocol):
    """How long a round's phases are, and what of it a validator is to judge."""

    def windows(self, model_id: int, number: int) -> tuple[int, ...]: ...
    def dealt(self, model_id: int, number: int, validator: str) -> list[int]: ...


class WorkerChain(Blocks, RoundReader, RecordReader, Registry, Ticker, Dealer, Protocol):
    """What both roles need of the chain."""


class MinerChain(WorkerChain, DeltaSender, Protocol):
    """What a miner needs of the chain."""


class ValidatorChain(WorkerChain, JudgementSender, DatasetVoter, EventReader, Protocol):
    """What a validator needs of the chain."""


@dataclass(frozen=True)
class TrainJob:
    """One miner's work in one round."""

    model: ModelInfo
    parent: ModelInfo | None  # the teacher of a DISTIL delta
    base_head: bytes  # digest of the head to start from, at most one behind the model's
    kind: DeltaKind
    shards: tuple[tuple[str, ...], ...]  # the assigned text: documents by shard
    seed: bytes  # the round's: orders the windows
    miner: str  # address that the shards were dealt to
    member: int  # of the miner's team; 0 is the leader
    ahead: bytes | None = None  # the miner's own delta of the round before, where that round is still judged


@dataclass(frozen=True)
class Progress:
    """How far the inner loop is."""

    step: int  # steps done
    steps: int  # steps planned
    loss: float  # nats per token, of this step
    tokens: int  # tokens so far


@dataclass(frozen=True)
class Trained:
    """What training gave."""

    delta: Vector  # new - old
    tokens: int  # tokens trained on
    loss_first: float  # nats per token
    loss_last: float  # nats per token


class Trainer(Protocol):
    """Trains a model from its head; gives what it has when ``stop`` says so."""

    def genesis(self, model: ModelInfo) -> Genesis: ...
    def train(self, job: TrainJob, progress: Callable[[Progress], None], stop: Callable[[], bool]) -> Trained: ...
    def encode(self, model: ModelInfo, vector: Vector) -> tuple[bytes, Vector]: ...  # payload, what it decodes to
    def decode(self, model: ModelInfo, payload: bytes) -> Vector: ...
    def advance(self, model: ModelInfo) -> None: ...  # load what the chain's head is now


class Document(NamedTuple):
    """A text and who contributed it."""

    owner: str
    text: str


@dataclass(frozen=True)
class JudgeJob:
    """One validator's part of a round's judgement. Texts are in a canonical order: all validators see the same."""

    model: ModelInfo
    round: int
    validator: str
    parent_head: bytes  # the head to score against; the deltas may have started from the one before it
    evaluation_seed: bytes
    submissions: tuple[SubmissionInfo, ...]  # all of the round
    dealt: tuple[int, ...]  # the places of those to be judged, ascending; the others only show who copied whom
    payloads: tuple[bytes | ScoreReason, ...]  # bytes, or why there are none, in order of submission
    assigned: tuple[tuple[tuple[str, ...], ...], ...]  # per submission, the shards that its miner was dealt
    committed: tuple[int, ...]  # per submission, its place in the order of commitments
    seed: bytes  # the round's
    heldout: tuple[Document, ...]
    general: tuple[Document, ...]  # of the parent's datasets
    earlier: tuple[tuple[str, bytes], ...] = ()  # miner and payload of the round before's deltas, public since then


@dataclass(frozen=True)
class Verdict:
    """Scores of what was dealt, in order of submission, and the report's canonical bytes."""

    scores: tuple[int, ...]  # micro-nats
    reasons: tuple[ScoreReason, ...]
    report: bytes
    summary: dict[str, Any]  # the report's figures, for the event log


class Judge(Protocol):
    """Measures deltas."""

    def genesis(self, model: ModelInfo) -> Genesis: ...
    def max_payload_bytes(self, model: ModelInfo) -> int: ...
    def prepare(self, model: ModelInfo) -> None: ...
    def judge(self, job: JudgeJob) -> Verdict: ...


class HeadBuilder(Protocol):
    """Keeps the model's state at the chain's head and computes the next one."""

    def next_head(
        self,
        model: ModelInfo,
        parent_head: bytes,
        round_number: int,
        accepted: Sequence[SubmissionInfo],
    ) -> bytes: ...  # puts manifest and snapshot, returns the digest
    def advance(self, model: ModelInfo) -> None: ...  # load what the chain says now


class Averager(Protocol):
    """A miner's team: the mean over the peers who came, their tokens, and how many they were; who speaks for them."""

    @property
    def leading(self) -> bool: ...  # this peer speaks to the chain now
    @property
    def minority(self) -> bool: ...  # it does, but most of the team is elsewhere
    def average(
        self, round_key: str, vector: Vector, tokens: int, deadline_seconds: float
    ) -> tuple[Vector, int, int]: ...
    def hand_over(
        self, record: DeltaRecord, payload: bytes | None, residual: Vector | None, seconds: float
    ) -> bool: ...  # to the stand-in, before the commitment is sent
    def borrow(self, model: int, round_number: int, seconds: float) -> bytes | None: ...  # the leader's sealed delta
