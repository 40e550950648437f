"""One round as the chain recorded it, event by event: what the audit's checks look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from client.audit_log import AuditChain
from client.types import Event, ModelInfo


@dataclass(frozen=True)
class RoundFacts:
    """A round's events in order, and the stakes (wei) that were frozen at its opening."""

    model: ModelInfo
    number: int
    events: tuple[Event, ...]
    validators: tuple[tuple[str, int], ...]

    @property
    def where(self) -> tuple[str, int]:
        """For findings."""
        return self.model.name, self.number

    def all(self, name: str) -> list[Event]:
        """The events of one name, in order."""
        return [event for event in self.events if event.name == name]

    def one(self, name: str) -> Event | None:
        """The only event of that name, or ``None``."""
        found = self.all(name)
        return found[0] if found else None

    @property
    def ended(self) -> Event | None:
        """``RoundFinalized`` or ``RoundVoided``."""
        return self.one("RoundFinalized") or self.one("RoundVoided")

    @property
    def is_void(self) -> bool:
        """Whether the round was settled without effect."""
        return self.one("RoundVoided") is not None

    @property
    def submissions(self) -> list[Event]:
        """``DeltaRevealed`` events in submission order."""
        return sorted(self.all("DeltaRevealed"), key=lambda event: int(event.args["index"]))

    @property
    def scores(self) -> list[tuple[str, int, list[int]]]:
        """(validator, stake in wei, scores in micro-nats) of those who revealed, validators ascending."""
        revealed = {event.args["validator"]: list(event.args["scores"]) for event in self.all("ScoresRevealed")}
        return [(who, stake, revealed[who]) for who, stake in self.validators if who in revealed]

    @property
    def heads(self) -> dict[str, bytes]:
        """Attested head by validator."""
        return {event.args["validator"]: bytes(event.args["head"]) for event in self.all("HeadRevealed")}

    @property
    def frozen_stake(self) -> int:
        """All validators' stake at the opening, in wei."""
        return sum(stake for _, stake in self.validators)


def rounds_of(chain: AuditChain, model: ModelInfo, block: int) -> dict[int, RoundFacts]:
    """Every round of a model that was opened up to ``block``."""
    grouped: dict[int, list[Event]] = defaultdict(list)
    for event in chain.events("Rounds", None, None, block, modelId=model.id):
        grouped[int(event.args["round"])].append(event)
    return {
        number: RoundFacts(model, number, tuple(in_order(events)), tuple(chain.round_validators(model.id, number)))
        for number, events in sorted(grouped.items())
    }


def in_order(events: Sequence[Event]) -> list[Event]:
    """As they happened."""
    return sorted(events, key=lambda event: (event.block, event.log_index))
