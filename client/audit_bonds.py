"""Validators' bonds with miners, round after round, and the weights by which validators are paid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from client.audit_facts import GROUP_ROWS, RoundFacts
from contracts.reference import bond_sums, bonds_after, live_bonds, validator_weight

MemberSince = Callable[[int, str, int], int]
"""Model, miner and block to the block in which the miner's stake last began to count, as that block had it."""

MAX_SLOTS = 64


@dataclass
class ModelBonds:
    """One model's bonds, by miner and slot, and who sits where since which round."""

    model_id: int
    member_since: MemberSince
    lanes: dict[str, list[int]] = field(default_factory=dict)
    last: dict[str, RoundFacts] = field(default_factory=dict)  # the miner's last round with value
    occupants: list[str] = field(default_factory=lambda: [""] * MAX_SLOTS)
    since: list[int] = field(default_factory=lambda: [0] * MAX_SLOTS)
    agreements: list[int] = field(default_factory=lambda: [0] * MAX_SLOTS)  # each occupant's last, in millionths

    def take(self, facts: RoundFacts) -> tuple[tuple[str, int], ...]:
        """A round that was judged, in order; its validators' weights."""
        self._seat(facts)
        if not facts.has_consensus:
            return ()
        after = [self._move(facts, index) for index in range(len(facts.submissions))]
        sums = bond_sums(after, facts.consensus)
        winner = b"" if facts.ended is None else bytes(facts.ended.args.get("head", b""))
        found = []
        for place, (who, stake) in enumerate(facts.validators):
            power = sums[place] if facts.accepted else stake
            attested = not facts.accepted or facts.heads.get(who) == winner
            weight = validator_weight(power, self._agreement(facts, place), who in facts.judgements, attested)
            found.append((who, weight))
        return tuple(found)

    def _seat(self, facts: RoundFacts) -> None:
        seated = {slot: who for slot, (who, _) in zip(facts.slots, facts.validators, strict=True)}
        for slot in range(MAX_SLOTS):
            if self.occupants[slot] != seated.get(slot, ""):
                self.occupants[slot], self.since[slot] = seated.get(slot, ""), facts.number
                self.agreements[slot] = 0

    def _agreement(self, facts: RoundFacts, place: int) -> int:
        """A validator's, or its last one where it was dealt nothing."""
        slot = facts.slots[place]
        if facts.dealt(place) and facts.validators[place][0] in facts.judgements:
            self.agreements[slot] = facts.agreement(place)
        return self.agreements[slot]

    def _move(self, facts: RoundFacts, index: int) -> list[int]:
        """The bonds with a submission's miner after it, by place among the round's validators."""
        event, value = facts.submissions[index], facts.consensus[index]
        miner = str(event.args["miner"])
        if value == 0:
            return [0] * len(facts.validators)
        before = self._live(facts, miner)
        bonds = [before[slot] for slot in facts.slots]
        column = [row[index] for row in facts.rows]
        after = bonds_after(bonds, column, facts.committees[index // GROUP_ROWS], value)
        self.lanes[miner] = [0] * MAX_SLOTS
        for slot, bond in zip(facts.slots, after, strict=True):
            self.lanes[miner][slot] = bond
        self.last[miner] = facts
        return after

    def _live(self, facts: RoundFacts, miner: str) -> list[int]:
        """What the miner's last round left, as far as it still holds."""
        last = self.last.get(miner)
        if last is None:
            return [0] * MAX_SLOTS
        page = next((e for e in facts.all("ConsensusPage")), None)
        since = self.member_since(self.model_id, miner, facts.open_block if page is None else page.block)
        return live_bonds(self.lanes[miner], self.since, last.number, since, last.open_block)
