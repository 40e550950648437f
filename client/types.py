"""What the chain says, as frozen records: addresses checksummed text, digests and hashes 32 bytes, money integer wei.

``ChainLike`` (in ``client.chain_like``) is the Protocol that :class:`client.chain.Chain` and
:class:`client.fakes.FakeChain` both keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from enum import IntEnum
from typing import Any

from client.chain_like import ChainLike as ChainLike
from contracts.enums import DeltaKind, Level, Phase, ScoreReason, VoidReason

ZERO_DIGEST = bytes(32)
ZERO_ADDRESS = "0x" + "00" * 20


class DatasetStatus(IntEnum):
    """Where a dataset stands in ``DataRegistry``."""

    PENDING = 0
    ACCEPTED = 1
    REJECTED = 2
    WITHDRAWN = 3
    REMOVED = 4


@dataclass(frozen=True)
class BlockInfo:
    """A block: its number, its time in unix seconds, its 32-byte hash."""

    number: int
    timestamp: int
    hash: bytes


TOKEN = 10**18
FULL_VALUE = 10_000
"""A dataset's greatest value, in basis points."""


@dataclass(frozen=True)
class Policy:
    """A model's rules in Solidity's order. Phases in blocks (2..100000 each), parts in basis points, stakes in wei.

    ``committee``: validators that judge a group of submissions, where there are more. ``kappa_bps``: the part of the
    stake that has to reach a score. ``quorum_bps``: the part of the frozen stake that has to take part.
    ``emission_bps``: the part of the emission that a round may have.
    """

    train_blocks: int
    commit_blocks: int
    reveal_blocks: int
    score_blocks: int
    score_reveal_blocks: int
    attest_blocks: int
    attest_reveal_blocks: int
    committee: int = 16
    kappa_bps: int = 5000
    quorum_bps: int = 6667
    emission_bps: int = 10_000
    min_miner_stake: int = 1 * TOKEN
    min_validator_stake: int = 10 * TOKEN

    def as_tuple(self) -> tuple[int, ...]:
        """The struct as Solidity takes it."""
        return astuple(self)

    @property
    def phases(self) -> tuple[int, ...]:
        """The lengths of the seven phases, in blocks."""
        return self.as_tuple()[:7]


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
    """A dataset in the registry. ``size`` is in bytes; block 0 means "not yet".

    ``value``: what it counts in payments, in basis points; ``deposit``: what its owner can get back, in wei.
    """

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
    value: int = FULL_VALUE
    deposit: int = 0
    registered_block: int = 0

    def usable_at(self, block: int) -> bool:
        """Whether a round opened at ``block`` may use it: accepted strictly before, not taken out by then."""
        if self.accepted_block == 0 or self.accepted_block >= block:
            return False
        return self.withdrawn_block == 0 or self.withdrawn_block > block


@dataclass(frozen=True)
class RoundInfo:
    """A round as the chain sees it at the block of the call.

    ``phase_end`` is the first block after the phase (0 once ended); seeds are 32 zero bytes until they can be read;
    stakes are wei. ``committee``, ``kappa_bps`` and ``quorum_bps`` are the policy's when it opened. ``groups_judged``:
    of how many groups of submissions the consensus was taken; ``accepted``: some of it is above zero.

    ``held``: it was opened while the round before was unsettled, and that still is; it can't pass COMMIT. ``base_head``
    is what every delta starts from; ``parent_head`` what they are scored against and what the next head follows. It is
    the head that the round before left, zero while ``held``.
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
    validator_count: int = 0
    committee: int = 64
    kappa_bps: int = 5000
    quorum_bps: int = 6667
    groups_judged: int = 0
    consensus_known: bool = False
    accepted: bool = False
    held: bool = False
    parent_head: bytes = ZERO_DIGEST

    @property
    def ended(self) -> bool:
        """Whether the round is over, for good or ill."""
        return self.phase in (Phase.FINAL, Phase.VOID)

    @property
    def left_head(self) -> bytes:
        """The model's head after the round, once it is settled."""
        return self.head if self.phase == Phase.FINAL else self.parent_head

    @property
    def can_be_followed(self) -> bool:
        """Whether the next round may open: this one's COMMIT has closed, and none before it is unsettled."""
        return self.settled or (not self.held and self.phase >= Phase.REVEAL)


def due_round(live: Sequence[RoundInfo]) -> int:
    """The round that a tick would move, of a model's last one or two rounds in order: one that can be settled or summed
    up before one that can be opened, and where nothing else is to be done one whose seed may want to be recorded.
    """
    for view in live:
        if (
            not view.settled
            and not view.held
            and (view.ended or (view.phase == Phase.ATTEST and not view.consensus_known))
        ):
            return view.round
    if not live:
        return 1
    if live[-1].can_be_followed:
        return live[-1].round + 1
    return next(view.round for view in live if not view.settled)


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
    """A validator's revealed scores of what was dealt to it, ascending: micro-nats, reasons, its report's digest."""

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
class CommitteeInfo:
    """Who judges a group of eight submissions, and with which weight: stake in wei, or how often it was drawn."""

    group: int
    members: tuple[str, ...]
    weights: tuple[int, ...]


@dataclass(frozen=True)
class PoolInfo:
    """A validator with those who delegated to it. Stakes in wei; ``commission_bps`` is what it keeps of their part."""

    model_id: int
    validator: str
    own: int
    delegated: int
    shares: int
    commission_bps: int


@dataclass(frozen=True)
class DelegationInfo:
    """What one holder has in a validator's pool: shares, the wei that they are worth, the wei that it could claim."""

    model_id: int
    validator: str
    holder: str
    shares: int
    assets: int
    reward: int = 0


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
