"""A round of the chain in memory: its record, and what committees and consensus make of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from client.types import ZERO_DIGEST, CommitteeInfo, Policy, Reveal, ScoreInfo
from contracts.enums import Phase, ScoreReason
from contracts.reference import (
    agreement,
    bond_sums,
    bonds_after,
    ceiling,
    committee,
    consensus_by_groups,
    dealt,
    groups_of,
    is_invalid,
    is_sampled,
    under,
    validator_weight,
)
from contracts.reference.judgement import Row

GROUP_ROWS = 8


@dataclass
class FakeRound:
    """A round's state; stakes in wei, by address; ``validators`` in the order of their slots."""

    model_id: int
    number: int
    open_block: int
    policy: Policy
    windows: list[int]
    base_head: bytes
    miners: list[str]
    validators: list[tuple[str, int]]
    global_stake: int
    commits: dict[str, bytes] = field(default_factory=dict)
    reveals: dict[str, Reveal] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)  # of the datasets that were named, when they first were (bps)
    score_commits: dict[str, bytes] = field(default_factory=dict)
    scores: dict[str, ScoreInfo] = field(default_factory=dict)
    head_commits: dict[str, bytes] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)
    held: bool = False  # until the round before is settled
    parent_head: bytes = ZERO_DIGEST  # the head that the round before left, once it is not held
    salts: bytes = ZERO_DIGEST
    evaluation_seed: bytes = ZERO_DIGEST  # once it is recorded
    groups_judged: int = 0
    pages_left: int = -1  # of the settlement; -1 before it begins
    settled: bool = False
    challengers: set[str] = field(default_factory=set)

    def stake(self, accounts: Sequence[str]) -> int:
        """What these validators have frozen."""
        return sum(stake for account, stake in self.validators if account in accounts)

    @property
    def frozen_stake(self) -> int:
        """All of it."""
        return sum(stake for _, stake in self.validators)

    @property
    def groups(self) -> int:
        """Groups of submissions."""
        return groups_of(len(self.reveals))

    @property
    def consensus_known(self) -> bool:
        """Whether the last page was taken."""
        return bool(self.reveals) and self.groups_judged == self.groups

    def leading(self) -> tuple[bytes, int]:
        """The head with most stake behind it."""
        votes: dict[bytes, int] = defaultdict(int)
        for account, head in self.heads.items():
            votes[head] += self.stake([account])
        return max(votes.items(), key=lambda item: item[1]) if votes else (ZERO_DIGEST, 0)

    def close(self, phase: Phase, block: int) -> None:
        """Ends a window with this block, since everybody has acted."""
        first = self.open_block + sum(self.windows[: phase - 1])
        self.windows[phase - 1] = block + 1 - first

    # ---- committees

    @property
    def stakes(self) -> list[int]:
        """By slot."""
        return [stake for _, stake in self.validators]

    def weights(self, group: int) -> list[int]:
        """A group's committee, as each validator's weight; nobody where it is drawn and the seed is not recorded."""
        if is_sampled(self.stakes, self.policy.committee) and self.evaluation_seed == ZERO_DIGEST:
            return [0] * len(self.validators)
        return committee(self.evaluation_seed, group, self.stakes, self.policy.committee)

    def committee(self, group: int) -> CommitteeInfo:
        """A group's members."""
        found = [(who, w) for (who, _), w in zip(self.validators, self.weights(group), strict=True) if w]
        return CommitteeInfo(group, tuple(who for who, _ in found), tuple(weight for _, weight in found))

    def dealt(self, account: str) -> list[int]:
        """What a validator has to score."""
        slots = [slot for slot, (who, _) in enumerate(self.validators) if who == account]
        drawn = is_sampled(self.stakes, self.policy.committee)
        if not slots or (drawn and self.evaluation_seed == ZERO_DIGEST):
            return []
        return dealt(self.evaluation_seed, slots[0], self.stakes, len(self.reveals), self.policy.committee)

    # ---- consensus

    def rows(self) -> list[Row]:
        """Each validator's scores in submission order; None where it gave none."""
        found: list[Row] = []
        for account, _ in self.validators:
            row: list[int | None] = [None] * len(self.reveals)
            if account in self.scores:
                for index, score in zip(self.dealt(account), self.scores[account].scores, strict=True):
                    row[index] = score
            found.append(row)
        return found

    def consensus(self) -> list[int]:
        """Per submission; micro-nats."""
        rows, committees = self.rows(), [self.weights(group) for group in range(self.groups)]
        values = consensus_by_groups(rows, committees, len(self.reveals), self.policy.kappa_bps)
        if not is_sampled(self.stakes, self.policy.committee):
            return values
        return under(ceiling(rows, self.stakes, self.policy.kappa_bps), values)

    def invalid(self) -> list[str]:
        """Miners whose deltas two thirds of their committees call malformed."""
        found = []
        for index, miner in enumerate(self.reveals):
            weights = self.weights(index // GROUP_ROWS)
            if is_invalid([self._reason(who, index) for who, _ in self.validators], weights):
                found.append(miner)
        return found

    def _reason(self, account: str, index: int) -> ScoreReason | None:
        mine = self.dealt(account)
        return self.scores[account].reasons[mine.index(index)] if account in self.scores and index in mine else None

    def judged(self, bonds: dict[str, dict[str, int]], agreements: dict[str, int]) -> list[tuple[str, int]]:
        """Validators' weights in the payment; ``bonds`` (of miners, by validator) and last agreements move on."""
        values, rows = self.consensus(), self.rows()
        after: list[list[int]] = []
        for index, miner in enumerate(self.reveals):
            before = [bonds.get(miner, {}).get(who, 0) for who, _ in self.validators]
            column = [row[index] for row in rows]
            now = bonds_after(before, column, self.weights(index // GROUP_ROWS), values[index])
            after.append(now)
            if values[index]:
                bonds[miner] = dict(zip([who for who, _ in self.validators], now, strict=True))
        powers = bond_sums(after, values) if any(values) else self.stakes
        winner = self.leading()[0]
        for (who, _), row in zip(self.validators, rows, strict=True):
            if any(score is not None for score in row):  # who is dealt nothing keeps its last one
                agreements[who] = agreement(row, values)
        return [
            (who, validator_weight(power, agreements.get(who, 0), who in self.scores, self._attested(who, winner)))
            for (who, _), power in zip(self.validators, powers, strict=True)
        ]

    def _attested(self, account: str, winner: bytes) -> bool:
        return not any(self.consensus()) or self.heads.get(account) == winner
