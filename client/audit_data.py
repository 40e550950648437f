"""Datasets replayed from events: announced first, voted on by stake, valued by the median, deposits held or paid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from client.audit_log import AuditChain, AuditLog
from client.types import DatasetStatus, Event
from contracts.enums import Role

_NETWORK = ("", 0)


@dataclass
class Ballot:
    """The votes of one ballot: (value in basis points, stake in wei) of who accepted, wei of who rejected."""

    start: int
    total: int
    accepting: list[tuple[int, int]] = field(default_factory=list)
    rejecting: int = 0

    @property
    def accepted_stake(self) -> int:
        """Wei."""
        return sum(stake for _, stake in self.accepting)

    def median(self) -> int:
        """The accepting votes' value by stake, the lower one of two."""
        reached = 0
        for value, stake in sorted(self.accepting):
            reached += stake
            if reached * 2 >= self.accepted_stake:
                return value
        return 0


@dataclass
class Held:
    """A dataset as its events tell it. ``values``: (block, log index, basis points)."""

    model_id: int
    owner: str
    deposit: int
    status: DatasetStatus = DatasetStatus.PENDING
    values: list[tuple[int, int, int]] = field(default_factory=list)
    ballot: Ballot | None = None


class DataLedger:
    """Takes ``DataRegistry``'s events in order."""

    def __init__(self, chain: AuditChain, log: AuditLog) -> None:
        self.chain, self.log = chain, log
        self.datasets: dict[int, Held] = {}
        self.deposit = 0
        self.announced: list[int] = []  # blocks
        self._handlers: dict[str, Callable[[Event], None]] = {
            "DepositSet": self._deposit_set,
            "DatasetAnnounced": lambda event: self.announced.append(event.block),
            "DatasetRegistered": self._registered,
            "BallotOpened": self._ballot,
            "DatasetVoted": self._vote,
            "DatasetAccepted": self._accepted,
            "DatasetValued": self._valued,
            "DatasetRejected": self._rejected,
            "DatasetRemoved": self._removed,
            "DatasetWithdrawn": self._withdrawn,
            "DepositReturned": self._returned,
        }

    def take(self, event: Event) -> None:
        """One event."""
        handler = self._handlers.get(event.name)
        if handler is not None and ("id" not in event.args or event.name == "DatasetRegistered" or self._of(event)):
            handler(event)

    @property
    def held(self) -> int:
        """What the registry must hold, in wei."""
        return sum(dataset.deposit for dataset in self.datasets.values())

    def owner(self, number: int) -> str:
        """Who is paid for it."""
        return self.datasets[number].owner if number in self.datasets else ""

    def values_at(self, event: Event) -> Callable[[int], int]:
        """What each dataset counted when a delta that names it was revealed, in basis points."""

        def value(number: int) -> int:
            said = self.datasets[number].values if number in self.datasets else []
            before = [value for block, place, value in said if (block, place) < (event.block, event.log_index)]
            return before[-1] if before else 0

        return value

    def _of(self, event: Event) -> Held | None:
        return self.datasets.get(int(event.args["id"]))

    # ---- registration

    def _deposit_set(self, event: Event) -> None:
        self.deposit = int(event.args["amount"])

    def _registered(self, event: Event) -> None:
        number = int(event.args["id"])
        self.datasets[number] = Held(int(event.args["modelId"]), str(event.args["owner"]), self.deposit)
        before = [block for block in self.announced if block < event.block]
        self._same(event, "announcement", True, bool(before), "announced in an earlier block")
        if before:
            self.announced.remove(before[0])

    # ---- ballots

    def _ballot(self, event: Event) -> None:
        held = self._of(event)
        assert held is not None, "take() looked"
        start, total = int(event.args["startBlock"]), int(event.args["total"])
        held.ballot = Ballot(start, total)
        self._same(event, "ballot", event.block, start, "it begins with its first vote")

    def _vote(self, event: Event) -> None:
        held = self._of(event)
        if held is None or held.ballot is None:
            self._same(event, "ballot", "a ballot", None, "a vote outside of any")
            return
        stake, who = int(event.args["stake"]), str(event.args["validator"])
        counted = self.chain.stake_of(who, held.model_id, Role.VALIDATOR, held.ballot.start - 1)
        self._same(event, "ballot", counted, stake, f"{who}'s stake before the ballot (wei)")
        if event.args["accept"]:
            held.ballot.accepting.append((int(event.args["value"]), stake))
        else:
            held.ballot.rejecting += stake

    def _accepted(self, event: Event) -> None:
        held = self._of(event)
        assert held is not None, "take() looked"
        held.status = DatasetStatus.ACCEPTED
        if held.ballot is not None:
            self._decided(event, held.ballot.accepted_stake * 2 > held.ballot.total, held.ballot.median())
        else:
            owner = self.chain.model(held.model_id).owner
            self._same(event, "ballot", owner, held.owner, "without a vote, by the model's owner alone")
        held.values.append((event.block, event.log_index, int(event.args["value"])))

    def _valued(self, event: Event) -> None:
        held = self._of(event)
        if held is None or held.ballot is None:
            self._same(event, "ballot", "a ballot", None, "a value outside of any")
            return
        self._decided(event, held.ballot.accepted_stake * 2 > held.ballot.total, held.ballot.median())
        held.values.append((event.block, event.log_index, int(event.args["value"])))

    def _decided(self, event: Event, carried: bool, value: int) -> None:
        self._same(event, "ballot", True, carried, "more than half of the stake accepts")
        self._same(event, "dataset value", value, int(event.args["value"]), "the accepting votes' median (bps)")

    def _rejected(self, event: Event) -> None:
        held = self._of(event)
        assert held is not None, "take() looked"
        ballot = held.ballot
        carried = ballot is not None and ballot.rejecting * 2 > ballot.total
        self._same(event, "ballot", True, carried, "more than half of the stake rejects")
        held.status, held.deposit = DatasetStatus.REJECTED, 0

    def _removed(self, event: Event) -> None:
        held = self._of(event)
        assert held is not None, "take() looked"
        ballot = held.ballot
        carried = ballot is not None and ballot.rejecting * 3 >= ballot.total * 2
        self._same(event, "ballot", True, carried, "two thirds of the stake remove it")
        held.status = DatasetStatus.REMOVED

    def _withdrawn(self, event: Event) -> None:
        held = self._of(event)
        assert held is not None, "take() looked"
        held.status = DatasetStatus.WITHDRAWN

    def _returned(self, event: Event) -> None:
        held = self._of(event)
        assert held is not None, "take() looked"
        allowed = held.deposit if held.status not in (DatasetStatus.PENDING, DatasetStatus.REJECTED) else 0
        paid = (str(event.args["owner"]), int(event.args["amount"]))
        self._same(event, "deposit", (held.owner, allowed), paid, "to whom, and wei")
        held.deposit = 0

    def finish(self, block: int) -> None:
        """All events were taken: storage says the same, where nothing happened since."""
        if self.chain.events("DataRegistry", None, block + 1, None):
            return
        for info in self.chain.datasets():
            held = self.datasets.get(info.id)
            if held is not None:
                value = held.values[-1][2] if held.values else 0
                expected = (held.owner, held.status, value, held.deposit)
                stored = (info.owner, info.status, info.value, info.deposit)
                self.log.compare(_NETWORK, "dataset", expected, stored, f"{info.id}: owner, status, value, deposit")

    def _same(self, event: Event, check: str, expected: object, found: object, subject: str) -> None:
        number = f"dataset {event.args['id']}, " if "id" in event.args else ""
        self.log.compare(_NETWORK, check, expected, found, f"{number}{subject}")
