"""What an audit found: every comparison is counted, every difference is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from client.chain_like import EventReader
from client.types import (
    BlockInfo,
    CommittedInfo,
    CommitteeInfo,
    DatasetInfo,
    ModelInfo,
    RoundInfo,
    ScoreInfo,
    SubmissionInfo,
)
from contracts.enums import Role

_SHOWN = 300  # characters of a value in a finding


class AuditChain(EventReader, Protocol):
    """What an audit reads of the chain; :class:`client.chain.Chain` keeps it."""

    @property
    def chain_id(self) -> int: ...
    def block_number(self) -> int: ...
    def block(self, number: int | None = None) -> BlockInfo: ...
    def contract_address(self, contract: str) -> str: ...
    def token_balance(self, address: str, block: int | None = None) -> int: ...
    def total_supply(self, block: int | None = None) -> int: ...
    def models(self) -> list[ModelInfo]: ...
    def model(self, name_or_id: str | int) -> ModelInfo: ...
    def datasets(self, model_id: int | None = None, block: int | None = None) -> list[DatasetInfo]: ...
    def stake_of(self, account: str, model_id: int, role: Role, block: int | None = None) -> int: ...
    def current(self, model_id: int, block: int | None = None) -> int: ...
    def round(self, model_id: int, number: int, block: int | None = None) -> RoundInfo: ...
    def submissions(self, model_id: int, number: int, block: int | None = None) -> list[SubmissionInfo]: ...
    def round_miners(self, model_id: int, number: int) -> list[str]: ...
    def round_validators(self, model_id: int, number: int) -> list[tuple[str, int]]: ...
    def scores_of(self, model_id: int, number: int, validator: str) -> ScoreInfo: ...
    def committed(self, model_id: int, number: int, account: str) -> CommittedInfo: ...
    def committee(self, model_id: int, number: int, group: int) -> CommitteeInfo: ...
    def windows(self, model_id: int, number: int) -> tuple[int, ...]: ...
    def seats(self, model_id: int, block: int) -> list[tuple[str, int]]: ...
    def member_since(self, model_id: int, role: Role, account: str, block: int | None = None) -> int: ...
    def missed_of(self, model_id: int, validator: str) -> int: ...
    def unbonding_blocks(self) -> int: ...
    def vesting_blocks(self) -> int: ...
    def start_block(self) -> int: ...
    def head_of(self, model_id: int, number: int, validator: str) -> bytes: ...
    def carry(self, model_id: int) -> int: ...
    def shares_of(self, model_id: int, account: str) -> int: ...
    def total_shares(self, model_id: int) -> int: ...


@dataclass(frozen=True)
class Finding:
    """One difference. ``round`` 0 means that it belongs to no round; ``subject`` says whose (a miner, a digest)."""

    model: str
    round: int
    check: str
    subject: str
    expected: str
    found: str


@dataclass
class AuditLog:
    """Counts comparisons by (model, round) and check, and keeps the differences."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[tuple[str, int, str]] = field(default_factory=Counter)

    def compare(self, where: tuple[str, int], check: str, expected: Any, found: Any, subject: str = "") -> bool:
        """Note one comparison; ``where`` is (model's name, round). True where both are equal."""
        self.counts[(*where, check)] += 1
        if expected == found:
            return True
        self.findings.append(Finding(*where, check, subject, readable(expected), readable(found)))
        return False

    def failed(self, where: tuple[str, int], check: str, expected: str, error: Exception, subject: str = "") -> None:
        """Note something that could not be recomputed at all."""
        self.counts[(*where, check)] += 1
        self.findings.append(Finding(*where, check, subject, expected, f"{type(error).__name__}: {error}"[:_SHOWN]))


@dataclass(frozen=True)
class AuditReport:
    """The outcome: how many comparisons were made, and those that failed. ``rounds`` are (model, round) pairs.

    ``skipped`` says in words what could not be looked at with this chain end point.
    """

    block: int
    models: tuple[str, ...]
    rounds: tuple[tuple[str, int], ...]
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything agreed."""
        return not self.findings


Progress = Callable[[str, int, int], None]
"""Called with what is being looked at, how many steps are done, and how many there are."""


def readable(value: Any) -> str:
    """A value as people compare it: bytes as hexadecimal, long text cut in the middle."""
    if isinstance(value, bytes):
        text = value.hex()
    elif isinstance(value, Sequence) and not isinstance(value, str):
        text = "[" + ", ".join(readable(item) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 100]} … {text[-90:]}"
