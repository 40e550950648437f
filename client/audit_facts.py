"""One round as the chain recorded it, event by event: what the audit's checks look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from client.audit_log import AuditChain
from client.types import ZERO_DIGEST, Event, ModelInfo, Policy, RoundInfo
from contracts.enums import ScoreReason, VoidReason
from contracts.reference import (
    agreement,
    ceiling,
    committee,
    consensus_by_groups,
    dealt,
    groups_of,
    is_invalid,
    is_quorum,
    is_sampled,
    under,
)
from contracts.reference.judgement import Row

GROUP_ROWS = 8
_POLICY = (
    *("trainBlocks", "commitBlocks", "revealBlocks", "scoreBlocks", "scoreRevealBlocks", "attestBlocks"),
    *("attestRevealBlocks", "committee", "kappaBps", "quorumBps", "emissionBps", "minMinerStake", "minValidatorStake"),
)


@dataclass(frozen=True)
class RoundFacts:
    """A round's events in order, its validators by slot with the stakes (wei) of its opening, and its thresholds.

    ``slots`` has the place of each validator among the model's seats.
    """

    model: ModelInfo
    number: int
    events: tuple[Event, ...]
    validators: tuple[tuple[str, int], ...]
    slots: tuple[int, ...]
    info: RoundInfo

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
    def open_block(self) -> int:
        """Where its opening is recorded; 0 where it is not."""
        opened = self.one("RoundOpened")
        return 0 if opened is None else int(opened.args["openBlock"])

    @property
    def base_head(self) -> bytes:
        """What its deltas start from, as its opening recorded it; zero where that is not recorded."""
        opened = self.one("RoundOpened")
        return ZERO_DIGEST if opened is None else bytes(opened.args["baseHead"])

    @property
    def parent_head(self) -> bytes:
        """What its deltas are judged on: recorded when the round before was settled, or at its opening if it was."""
        released = self.one("RoundReleased")
        return self.base_head if released is None else bytes(released.args["parentHead"])

    @property
    def ended(self) -> Event | None:
        """``RoundFinalized`` or ``RoundVoided``: the beginning of its settlement."""
        return self.one("RoundFinalized") or self.one("RoundVoided")

    @property
    def settled(self) -> Event | None:
        """The end of its settlement."""
        return self.one("RoundSettled")

    @property
    def is_void(self) -> bool:
        """Whether the round was settled without effect."""
        return self.one("RoundVoided") is not None

    @cached_property
    def submissions(self) -> list[Event]:
        """``DeltaRevealed`` events in submission order."""
        return sorted(self.all("DeltaRevealed"), key=lambda event: int(event.args["index"]))

    @property
    def heads(self) -> dict[str, bytes]:
        """Attested head by validator."""
        return {event.args["validator"]: bytes(event.args["head"]) for event in self.all("HeadRevealed")}

    @property
    def stakes(self) -> list[int]:
        """By slot."""
        return [stake for _, stake in self.validators]

    @property
    def frozen_stake(self) -> int:
        """All validators' stake at the opening, in wei."""
        return sum(self.stakes)

    # ---- committees and consensus, computed here

    @property
    def evaluation_seed(self) -> bytes:
        """As it was captured; zero where it was not."""
        captured = self.one("EvaluationSeedCaptured")
        return ZERO_DIGEST if captured is None else bytes(captured.args["seed"])

    @property
    def is_drawn(self) -> bool:
        """Whether committees are drawn: there are more validators than one has members."""
        return is_sampled(self.stakes, self.info.committee)

    @cached_property
    def committees(self) -> list[list[int]]:
        """Each group's, as each validator's weight."""
        groups = range(groups_of(len(self.submissions)))
        return [committee(self.evaluation_seed, group, self.stakes, self.info.committee) for group in groups]

    def dealt(self, slot: int) -> list[int]:
        """What the validator in this place of :attr:`validators` had to score."""
        return dealt(self.evaluation_seed, slot, self.stakes, len(self.submissions), self.info.committee)

    @cached_property
    def judgements(self) -> dict[str, dict[int, tuple[int, ScoreReason]]]:
        """What each validator revealed, by submission: score in micro-nats, and reason."""
        found = {}
        places = {who: place for place, (who, _) in enumerate(self.validators)}
        for event in self.all("ScoresRevealed"):
            who, args = event.args["validator"], event.args
            if who in places:
                said = zip(args["scores"], map(ScoreReason, args["reasons"]), strict=False)
                found[who] = dict(zip(self.dealt(places[who]), said, strict=False))
        return found

    @cached_property
    def rows(self) -> list[Row]:
        """Each validator's scores in submission order, ``None`` where it gave none."""
        found: list[Row] = []
        for who, _ in self.validators:
            mine = self.judgements.get(who, {})
            found.append([mine[i][0] if i in mine else None for i in range(len(self.submissions))])
        return found

    @cached_property
    def consensus(self) -> list[int]:
        """Micro-nats, in submission order."""
        values = consensus_by_groups(self.rows, self.committees, len(self.submissions), self.info.kappa_bps)
        return under(ceiling(self.rows, self.stakes, self.info.kappa_bps), values) if self.is_drawn else values

    @cached_property
    def invalid(self) -> list[int]:
        """Submissions that two thirds of their committees call malformed."""
        found = []
        for index in range(len(self.submissions) if self.has_consensus else 0):
            said = [self.judgements.get(who, {}).get(index) for who, _ in self.validators]
            reasons = [entry[1] if entry else None for entry in said]
            if is_invalid(reasons, self.committees[index // GROUP_ROWS]):
                found.append(index)
        return found

    def agreement(self, place: int) -> int:
        """How much of a validator's scores the consensus shares, in millionths."""
        return agreement(self.rows[place], self.consensus)

    @property
    def scored_stake(self) -> int:
        """Wei of those who revealed scores."""
        return sum(stake for who, stake in self.validators if who in self.judgements)

    @property
    def has_consensus(self) -> bool:
        """Whether enough stake spoke, of a round whose seeds were kept."""
        quorum = is_quorum(self.scored_stake, self.frozen_stake, self.info.quorum_bps)
        return bool(self.submissions) and quorum and self.info.void_reason != VoidReason.NO_SEED

    @property
    def accepted(self) -> bool:
        """Whether any delta has value."""
        return self.has_consensus and any(self.consensus)

    @property
    def is_seated(self) -> bool:
        """Whether its validators' seats were written down: it came to be judged."""
        return bool(self.submissions) and self.info.void_reason not in (VoidReason.EMPTY, VoidReason.NO_SEED)

    @property
    def unrevealed(self) -> list[str]:
        """Miners that committed and never revealed, in the order of their commitments."""
        shown = {event.args["miner"] for event in self.submissions}
        return [event.args["miner"] for event in self.all("DeltaCommitted") if event.args["miner"] not in shown]

    def took_part(self, who: str) -> bool:
        """Whether a validator revealed scores, and attested a head where there was one to attest."""
        return who in self.judgements and (not self.accepted or who in self.heads)


def rounds_of(chain: AuditChain, model: ModelInfo, block: int) -> dict[int, RoundFacts]:
    """Every round of a model that was opened up to ``block``."""
    grouped: dict[int, list[Event]] = defaultdict(list)
    for event in chain.events("Rounds", None, None, block, modelId=model.id):
        grouped[int(event.args["round"])].append(event)
    return {number: _facts(chain, model, number, in_order(events)) for number, events in sorted(grouped.items())}


def _facts(chain: AuditChain, model: ModelInfo, number: int, events: list[Event]) -> RoundFacts:
    info = chain.round(model.id, number)
    validators = tuple(chain.round_validators(model.id, number))
    places = {who: slot for slot, (who, stake) in enumerate(chain.seats(model.id, info.open_block - 1)) if stake}
    slots = tuple(places.get(who, -1) for who, _ in validators)
    return RoundFacts(model, number, tuple(events), validators, slots, info)


def policy_before(chain: AuditChain, model_id: int, event: Event) -> Policy:
    """A model's rules when something happened: as registered, then as governance changed them."""
    changes = [
        change
        for name in ("PolicySet", "EmissionSet")
        for change in chain.events("ModelRegistry", name, None, event.block, id=model_id)
        if (change.block, change.log_index) < (event.block, event.log_index)
    ]
    rules: dict[str, Any] = {}
    for change in in_order(changes):
        rules = {**rules, "emissionBps": change.args["bps"]} if "bps" in change.args else dict(change.args["policy"])
    return Policy(*(int(rules.get(name, 0)) for name in _POLICY))


def in_order(events: Sequence[Event]) -> list[Event]:
    """As they happened."""
    return sorted(events, key=lambda event: (event.block, event.log_index))
