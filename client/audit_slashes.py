"""Every slash recomputed: whom, why, and how many wei, from what a round's record shows."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from client.audit_books import RoundKey
from client.audit_facts import RoundFacts
from client.audit_log import AuditLog
from client.audit_stake import StakeLedger
from client.types import Event
from contracts.enums import Role
from contracts.reference import CONFLICT_BPS, INVALID_BPS, UNREVEALED_BPS

Blow = tuple[Role, str, int]
"""Role, operator, basis points."""


def expected_slashes(facts: RoundFacts) -> list[Blow]:
    """Whom the settlement of a round slashes, in its order."""
    if not facts.is_seated:
        return []
    wrong = [] if facts.is_void else facts.invalid
    blows: list[Blow] = [(Role.MINER, facts.submissions[i].args["miner"], INVALID_BPS) for i in wrong]
    blows += [(Role.MINER, miner, UNREVEALED_BPS) for miner in facts.unrevealed]
    promised = {event.args["validator"] for event in facts.all("ScoresCommitted")}
    bound = {event.args["validator"] for event in facts.all("HeadCommitted")}
    for who, _ in facts.validators:
        if who in promised and who not in facts.judgements:
            blows.append((Role.VALIDATOR, who, UNREVEALED_BPS))
        if facts.accepted and who in bound and who not in facts.heads:
            blows.append((Role.VALIDATOR, who, UNREVEALED_BPS))
    return blows


@dataclass
class SlashAudit:
    """Takes the events that begin, end and interrupt settlements, and every slash, in order."""

    log: AuditLog
    rounds: Mapping[RoundKey, RoundFacts]
    stake: StakeLedger
    waiting: dict[int, deque[Blow]] = field(default_factory=lambda: defaultdict(deque))
    conflict: Event | None = None

    def take(self, event: Event) -> None:
        """One event of ``Rounds`` or ``Staking``."""
        if event.name in ("RoundFinalized", "RoundVoided"):
            facts = self.rounds.get(_key(event))
            self.waiting[int(event.args["modelId"])] = deque(expected_slashes(facts) if facts else [])
        elif event.name == "ConflictProven":
            self.conflict = event
        elif event.name == "Slashed":
            self._slashed(event)
        elif event.name == "RoundSettled":
            self._settled(event)

    def _slashed(self, event: Event) -> None:
        model_id, who = int(event.args["modelId"]), str(event.args["account"])
        told = (Role(event.args["role"]).name, who, int(event.args["amount"]))
        if self.conflict is not None and self.conflict.tx == event.tx:
            blow: Blow = (Role.VALIDATOR, str(self.conflict.args["validator"]), CONFLICT_BPS)
            amount, self.conflict = self._take(event, model_id, blow), None
        else:
            blow, amount = self._next(event, model_id)
        expected = (blow[0].name, blow[1], amount)
        self.log.compare(("", 0), "slash", expected, told, f"block {event.block}: role, whom, wei")

    def _next(self, event: Event, model_id: int) -> tuple[Blow, int]:
        """The next that is due and takes anything."""
        while self.waiting[model_id]:
            blow = self.waiting[model_id].popleft()
            amount = self._take(event, model_id, blow)
            if amount:
                return blow, amount
        return (Role.NONE, "nobody", 0), 0

    def _take(self, event: Event, model_id: int, blow: Blow) -> int:
        return self.stake.slash((model_id, int(blow[0]), blow[1]), blow[2], event.block)

    def _settled(self, event: Event) -> None:
        """Whoever is left had nothing to lose."""
        model_id = int(event.args["modelId"])
        missing = []
        while self.waiting[model_id]:
            blow = self.waiting[model_id].popleft()
            if self._take(event, model_id, blow):
                missing.append(f"{blow[0].name} {blow[1]}")
        facts = self.rounds.get(_key(event))
        if facts is not None:
            self.log.compare(facts.where, "slash", [], missing, "who had to be slashed and was not")


def _key(event: Event) -> RoundKey:
    return int(event.args["modelId"]), int(event.args["round"])
