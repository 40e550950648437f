"""What the chain says, as frozen records: addresses checksummed text, digests and hashes 32 bytes, money integer wei.

``ChainLike`` is the Protocol that :class:`client.chain.Chain` and :class:`client.fakes.FakeChain` both keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from contracts.enums import DeltaKind, Level, Phase, Role, ScoreReason, VoidReason

ZERO_DIGEST = bytes(32)
ZERO_ADDRESS = "0x" + "00" * 20


class DatasetStatus(IntEnum):
    """Where a dataset stands in ``DataRegistry``."""

    PENDING = 0
    ACCEPTED = 1
    REJECTED = 2
    WITHDRAWN = 3


@dataclass(frozen=True)
class BlockInfo:
    """A block: its number, its time in unix seconds, its 32-byte hash."""

    number: int
    timestamp: int
    hash: bytes


@dataclass(frozen=True)
class Policy:
    """The length of each phase of a model's rounds, in blocks (2..100000 each); the order is Solidity's."""

    train_blocks: int
    commit_blocks: int
    reveal_blocks: int
    score_blocks: int
    score_reveal_blocks: int
    attest_blocks: int
    attest_reveal_blocks: int

    def as_tuple(self) -> tuple[int, ...]:
        """The struct as Solidity takes it."""
        return (
            self.train_blocks,
            self.commit_blocks,
            self.reveal_blocks,
            self.score_blocks,
            self.score_reveal_blocks,
            self.attest_blocks,
            self.attest_reveal_blocks,
        )


@dataclass(frozen=True)
class ModelInfo:
    """A model in the registry. ``parent_id`` 0 means a root; ``head`` is the genesis digest until a round ends."""

    id: int
    parent_id: int
    level: Level
    name: str
    field: str
    genesis: bytes
    head: bytes
    head_round: int
    owner: str


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset in the registry. ``size`` is in bytes; block 0 means "not yet"."""

    id: int
    model_id: int
    owner: str
    root: bytes
    licence: str
    size: int
    shards: int
    heldout: int
    status: DatasetStatus
    accepted_block: int
    withdrawn_block: int

    def usable_at(self, block: int) -> bool:
        """Whether a round opened at ``block`` may use it: accepted strictly before, not withdrawn by then."""
        if self.accepted_block == 0 or self.accepted_block >= block:
            return False
        return self.withdrawn_block == 0 or self.withdrawn_block > block


@dataclass(frozen=True)
class RoundInfo:
    """A round as the chain sees it at the block of the call.

    ``phase_end`` is the first block after the phase (0 once ended); seeds are 32 zero bytes until they can be read;
    stakes are wei.
    """

    model_id: int
    round: int
    phase: Phase
    phase_end: int
    open_block: int
    score_start: int
    seed: bytes
    evaluation_seed: bytes
    base_head: bytes
    frozen_stake: int
    miner_count: int
    commits: int
    reveals: int
    scores_revealed_stake: int
    heads_revealed_stake: int
    void_reason: VoidReason
    head: bytes
    settled: bool

    @property
    def ended(self) -> bool:
        """Whether the round is over, for good or ill."""
        return self.phase in (Phase.FINAL, Phase.VOID)


@dataclass(frozen=True)
class SubmissionInfo:
    """A revealed delta. ``consensus`` is in micro-nats, ``weight_q16`` in 1/65536; both 0 until scores are settled."""

    index: int
    miner: str
    digest: bytes
    kind: DeltaKind
    base_head: bytes
    dataset_ids: tuple[int, ...]
    trained_tokens: int
    consensus: int
    weight_q16: int


@dataclass(frozen=True)
class ScoreInfo:
    """One validator's revealed scores, in submission order: micro-nats, reasons, and the digest of its report."""

    validator: str
    scores: tuple[int, ...]
    reasons: tuple[ScoreReason, ...]
    report: bytes


@dataclass(frozen=True)
class CommittedInfo:
    """The three commitments of an account in a round; 32 zero bytes where there is none."""

    delta: bytes
    score: bytes
    head: bytes


@dataclass(frozen=True)
class ChannelInfo:
    """A payment channel. ``deposit`` and ``redeemed`` are wei; ``close_block`` 0: nobody asked to close it."""

    id: bytes
    user: str
    server: str
    model_id: int
    deposit: int
    redeemed: int
    close_block: int


@dataclass(frozen=True)
class Reveal:
    """What a miner reveals; ``dataset_ids`` strictly increasing, at most 16; ``trained_tokens`` a count."""

    digest: bytes
    salt: bytes = field(repr=False)
    kind: DeltaKind
    base_head: bytes
    dataset_ids: tuple[int, ...]
    trained_tokens: int


@dataclass(frozen=True)
class Event:
    """A decoded log. ``args`` has addresses checksummed and bytes as ``bytes``; ``tx`` is the 32-byte hash."""

    contract: str
    name: str
    args: Mapping[str, Any]
    block: int
    tx: bytes
    log_index: int


@dataclass(frozen=True)
class Receipt:
    """A mined transaction that succeeded (a failed one raises ``Reverted``), with the events of our contracts."""

    tx: bytes
    block: int
    gas_used: int
    events: tuple[Event, ...] = field(default=())

    def event(self, name: str) -> Event:
        """The first event of that name; ``KeyError`` when there is none."""
        for event in self.events:
            if event.name == name:
                return event
        raise KeyError(name)


class ChainLike(Protocol):
    """Every call that a role, a command or the audit may make. All block; all may raise ``ChainUnavailable``.

    Reads take ``block`` where a fixed point in time matters; ``None`` means the newest block.
    Transactions return a :class:`Receipt` once mined and raise ``Reverted`` when the contract refuses.
    """

    @property
    def address(self) -> str: ...  # of the account that signs; ConfigError without one
    @property
    def chain_id(self) -> int: ...
    @property
    def deploy_block(self) -> int: ...

    # blocks and money
    def block_number(self) -> int: ...
    def block(self, number: int | None = None) -> BlockInfo: ...
    def wait_block(self, number: int, timeout: float) -> int: ...
    def contract_address(self, contract: str) -> str: ...
    def balance(self, address: str, block: int | None = None) -> int: ...
    def token_balance(self, address: str, block: int | None = None) -> int: ...
    def total_supply(self, block: int | None = None) -> int: ...
    def transfer(self, to: str, amount: int) -> Receipt: ...
    def send_coins(self, to: str, amount: int) -> Receipt: ...
    def allowance(self, owner: str, spender: str) -> int: ...
    def approve(self, spender: str, amount: int) -> Receipt: ...

    # models and data
    def models(self) -> list[ModelInfo]: ...
    def model(self, name_or_id: str | int) -> ModelInfo: ...
    def head(self, model_id: int, block: int | None = None) -> bytes: ...
    def policy(self, model_id: int) -> Policy: ...
    def register_model(
        self, parent_id: int, level: Level, name: str, field: str, genesis: bytes, policy: Policy
    ) -> ModelInfo: ...
    def datasets(self, model_id: int | None = None, block: int | None = None) -> list[DatasetInfo]: ...
    def dataset(self, dataset_id: int, block: int | None = None) -> DatasetInfo: ...
    def dataset_id_of(self, root: bytes) -> int: ...  # 0 when it is not registered
    def register_dataset(
        self, model_id: int, root: bytes, licence: str, size: int, shards: int, heldout: int
    ) -> DatasetInfo: ...
    def vote_dataset(self, dataset_id: int, accept: bool) -> Receipt: ...
    def withdraw_dataset(self, dataset_id: int) -> Receipt: ...
    def has_voted(self, dataset_id: int, validator: str) -> bool: ...

    # stake
    def stake(self, model_id: int, role: Role, amount: int) -> Receipt: ...  # approves first where needed
    def unstake(self, model_id: int, role: Role, amount: int) -> Receipt: ...
    def withdraw_stake(self) -> Receipt: ...
    def rejoin(self, model_id: int) -> Receipt: ...
    def stake_of(self, account: str, model_id: int, role: Role, block: int | None = None) -> int: ...
    def total_stake(self, model_id: int, role: Role) -> int: ...
    def global_validator_stake(self) -> int: ...
    def min_stake(self, role: Role) -> int: ...
    def members(self, model_id: int, role: Role) -> list[str]: ...
    def pending_stake(self, account: str) -> int: ...

    # rounds
    def tick(self, model_id: int, number: int | None = None) -> Receipt: ...
    def current(self, model_id: int, block: int | None = None) -> int: ...
    def round(self, model_id: int, number: int, block: int | None = None) -> RoundInfo: ...
    def submissions(self, model_id: int, number: int, block: int | None = None) -> list[SubmissionInfo]: ...
    def round_miners(self, model_id: int, number: int) -> list[str]: ...
    def round_validators(self, model_id: int, number: int) -> list[tuple[str, int]]: ...
    def commit_delta(self, model_id: int, number: int, commitment: bytes) -> Receipt: ...
    def reveal_delta(self, model_id: int, number: int, reveal: Reveal) -> Receipt: ...
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
    def scores_of(self, model_id: int, number: int, validator: str) -> ScoreInfo: ...  # empty when not revealed
    def committed(self, model_id: int, number: int, account: str) -> CommittedInfo: ...
    def head_of(self, model_id: int, number: int, validator: str) -> bytes: ...

    # money earned
    def claim(self, model_ids: Sequence[int]) -> Receipt: ...
    def claimable(self, account: str, model_ids: Sequence[int]) -> int: ...
    def vesting(self, account: str) -> int: ...
    def shares_of(self, model_id: int, account: str) -> int: ...
    def total_shares(self, model_id: int) -> int: ...
    def carry(self, model_id: int) -> int: ...

    # channels
    def open_channel(self, server: str, model_id: int, deposit: int) -> ChannelInfo: ...  # approves first where needed
    def channel(self, channel_id: bytes) -> ChannelInfo: ...
    def top_up(self, channel_id: bytes, amount: int) -> Receipt: ...
    def redeem(self, channel_id: bytes, cumulative: int, signature: bytes) -> Receipt: ...
    def start_close(self, channel_id: bytes) -> Receipt: ...
    def close_channel(self, channel_id: bytes) -> Receipt: ...
    def close_by_server(self, channel_id: bytes) -> Receipt: ...

    # history
    def events(
        self,
        contract: str,
        event: str | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
        **filters: Any,
    ) -> list[Event]: ...
