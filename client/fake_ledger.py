"""The world behind :class:`client.fakes.FakeChain`: phases and consensus by ``contracts.reference``.

Payments are simplified: a settled round credits its miners by consensus, nobody else. Nothing is slashed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from client.commitments import evaluation_seed, round_seed
from client.errors import Reverted
from client.reverts import sentence
from client.types import (
    ZERO_DIGEST,
    ChannelInfo,
    DatasetInfo,
    Event,
    ModelInfo,
    Policy,
    Reveal,
    RoundInfo,
    ScoreInfo,
    SubmissionInfo,
)
from contracts.enums import Phase, Role, VoidReason
from contracts.reference import MAX_MISSED, RoundFacts, consensus, emission_at, phase_at, start_of, weights_q16

CHAIN_ID = 31337


def fake_address(number: int) -> str:
    """A checksummed address for tests."""
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(f"0x{number:040x}"))


def refuse(name: str, *args: Any) -> Reverted:
    """The exception that the contract would cause."""
    return Reverted(name, args, sentence(name, ("",) * len(args), args))


@dataclass
class FakeRound:
    """A round's state; stakes in wei, by address."""

    model_id: int
    number: int
    open_block: int
    windows: list[int]
    base_head: bytes
    miners: list[str]
    validators: list[tuple[str, int]]
    commits: dict[str, bytes] = field(default_factory=dict)
    reveals: dict[str, Reveal] = field(default_factory=dict)
    score_commits: dict[str, bytes] = field(default_factory=dict)
    scores: dict[str, ScoreInfo] = field(default_factory=dict)
    head_commits: dict[str, bytes] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)
    salts: bytes = ZERO_DIGEST
    settled: bool = False

    def stake(self, accounts: Sequence[str]) -> int:
        """What these validators have frozen."""
        return sum(stake for account, stake in self.validators if account in accounts)

    def leading(self) -> tuple[bytes, int]:
        """The head with most stake behind it."""
        votes: dict[bytes, int] = defaultdict(int)
        for account, head in self.heads.items():
            votes[head] += self.stake([account])
        return max(votes.items(), key=lambda item: item[1]) if votes else (ZERO_DIGEST, 0)

    def consensus(self) -> list[int]:
        """Per submission; micro-nats."""
        judges = [(account, stake) for account, stake in self.validators if account in self.scores]
        rows = [self.scores[account].scores for account, _ in judges]
        return consensus(rows, [stake for _, stake in judges], len(self.reveals))

    def close(self, phase: Phase, block: int) -> None:
        """Ends a window with this block, since everybody has acted."""
        first = self.open_block + sum(self.windows[: phase - 1])
        self.windows[phase - 1] = block + 1 - first


class FakeLedger:
    """Everything that the contracts would keep. Tests may change any of it."""

    def __init__(self, minimum: int = 1) -> None:
        self.block_number = 1
        self.minimum = minimum
        self.coins: dict[str, int] = defaultdict(int)
        self.tokens: dict[str, int] = defaultdict(int)
        self.stakes: dict[tuple[int, Role, str], list[tuple[int, int]]] = defaultdict(list)  # (block, amount)
        self.dropped: set[tuple[int, str]] = set()
        self.missed: dict[tuple[int, str], int] = defaultdict(int)
        self.models: list[ModelInfo] = []
        self.policies: list[Policy] = []
        self.datasets: list[DatasetInfo] = []
        self.votes: dict[int, dict[str, bool]] = defaultdict(dict)
        self.rounds: dict[int, list[FakeRound]] = defaultdict(list)
        self.credits: list[tuple[str, int, int]] = []  # account, wei, unlock block
        self.settled_rounds = 0
        self.channels: dict[bytes, ChannelInfo] = {}
        self.down = False  # a test may take the chain down
        self.log: list[Event] = []

    def mine(self, blocks: int = 1) -> int:
        """Lets time pass; the new block number."""
        self.block_number += blocks
        return self.block_number

    def block_hash(self, number: int) -> bytes:
        """A hash that depends on the number alone."""
        return hashlib.sha256(f"block {number}".encode()).digest()

    def mix(self, mixed: bytes, salt: bytes) -> bytes:
        """The running hash of all revealed salts."""
        return hashlib.sha256(mixed + salt).digest()

    def emit(self, contract: str, name: str, **args: Any) -> Event:
        """Logs an event in the newest block."""
        tx = hashlib.sha256(f"tx {self.block_number}".encode()).digest()
        event = Event(contract, name, args, self.block_number, tx, len(self.log))
        self.log.append(event)
        return event

    # ---- stake

    def set_stake(self, model_id: int, role: Role, account: str, amount: int) -> None:
        """As of the newest block."""
        self.stakes[(model_id, role, account)].append((self.block_number, amount))

    def stake_at(self, model_id: int, role: Role, account: str, block: int) -> int:
        """At the end of a block."""
        amounts = [amount for at, amount in self.stakes[(model_id, role, account)] if at <= block]
        return amounts[-1] if amounts else 0

    def members(self, model_id: int, role: Role, block: int) -> list[tuple[str, int]]:
        """Whose stake counts at the end of a block, ascending."""
        accounts = [account for model, of, account in list(self.stakes) if (model, of) == (model_id, role)]
        found = [(account, self.stake_at(model_id, role, account, block)) for account in accounts]
        counted = [
            (account, amount)
            for account, amount in found
            if amount >= self.minimum and not (role == Role.VALIDATOR and (model_id, account) in self.dropped)
        ]
        return sorted(counted, key=lambda item: int(item[0], 16))

    # ---- rounds

    def round_of(self, model_id: int, number: int) -> FakeRound:
        """The live round, or ``WrongRound``."""
        rounds = self.rounds[model_id]
        if not rounds or rounds[-1].number != number:
            raise refuse("WrongRound", len(rounds))
        return rounds[-1]

    def facts(self, round_: FakeRound) -> RoundFacts:
        """What the round's phase depends on."""
        block = self.block_number
        facts = RoundFacts(
            open_block=round_.open_block,
            windows=tuple(round_.windows),
            commits=len(round_.commits),
            reveals=len(round_.reveals),
            seed_known=True,
            evaluation_seed_known=True,
            frozen_stake=sum(stake for _, stake in round_.validators),
            scores_stake=round_.stake(list(round_.scores)),
            head_stake=round_.leading()[1],
        )
        scored = bool(round_.scores) and block >= start_of(facts, Phase.ATTEST)
        return replace(facts, consensus_known=scored, accepted=scored and any(round_.consensus()))

    def phase(self, round_: FakeRound, block: int | None = None) -> tuple[Phase, int, VoidReason]:
        """(phase, its end, void reason)."""
        at = phase_at(self.facts(round_), self.block_number if block is None else block)
        return at.phase, at.phase_end, at.reason

    def need(self, round_: FakeRound, *wanted: Phase) -> None:
        """Refuses outside of these phases."""
        actual = self.phase(round_)[0]
        if actual not in wanted:
            raise refuse("WrongPhase", int(actual), int(wanted[-1]))

    def tick(self, model_id: int, number: int | None = None) -> None:
        """Opens the next round, or settles the one that has ended; nothing for a round that was moved on already."""
        rounds = self.rounds[model_id]
        over = not rounds or rounds[-1].settled
        number = len(rounds) + over if number is None else number
        if number == 0 or number > len(rounds) + over:
            raise refuse("WrongRound", len(rounds))
        if number <= len(rounds) and (over or number < len(rounds)):
            return
        if rounds and not rounds[-1].settled:
            if self.phase(rounds[-1])[0] in (Phase.FINAL, Phase.VOID):
                self.settle(rounds[-1])
            return
        self.open(model_id)

    def open(self, model_id: int) -> None:
        """Freezes stake at the block before."""
        frozen = self.block_number - 1
        miners = [account for account, _ in self.members(model_id, Role.MINER, frozen)]
        validators = self.members(model_id, Role.VALIDATOR, frozen)
        if not miners or not validators:
            raise refuse("NotEnoughMembers", len(miners), len(validators))
        number = len(self.rounds[model_id]) + 1
        base = self.models[model_id - 1].head
        windows = list(self.policies[model_id - 1].as_tuple())
        self.rounds[model_id].append(FakeRound(model_id, number, self.block_number, windows, base, miners, validators))
        stake = sum(amount for _, amount in validators)
        args = {"openBlock": self.block_number, "baseHead": base, "frozenStake": stake, "minerCount": len(miners)}
        self.emit("Rounds", "RoundOpened", modelId=model_id, round=number, **args)

    def settle(self, round_: FakeRound) -> None:
        """Sets the head, credits the miners, counts silent validators."""
        phase, _, reason = self.phase(round_)
        round_.settled = True
        where = {"modelId": round_.model_id, "round": round_.number}
        if phase == Phase.VOID:
            self.emit("Rounds", "RoundVoided", **where, reason=int(reason))
        else:
            self._finalize(round_, where)
        if reason != VoidReason.EMPTY:
            self._count_silent(round_)

    def _finalize(self, round_: FakeRound, where: dict[str, int]) -> None:
        scores = round_.consensus()
        head, stake = round_.leading() if any(scores) else (round_.base_head, 0)
        self.emit("Rounds", "ConsensusReached", **where, consensus=scores, weightsQ16=weights_q16(scores))
        self.emit("Rounds", "RoundFinalized", **where, head=head, attestedStake=stake)
        if any(scores):
            model = self.models[round_.model_id - 1]
            self.models[round_.model_id - 1] = replace(model, head=head, head_round=round_.number)
        for miner, score in zip(round_.reveals, scores, strict=True):
            amount = emission_at(self.settled_rounds) // 2 * score // max(1, sum(scores))
            if amount:
                self.credits.append((miner, amount, self.block_number + 5))
                paid = {"account": miner, "kind": 0, "amount": amount, "unlockBlock": self.block_number + 5}
                self.emit("Rewards", "RewardCredited", **where, **paid)
        self.settled_rounds += 1

    def _count_silent(self, round_: FakeRound) -> None:
        attest = bool(round_.scores) and any(round_.consensus())
        for account, _ in round_.validators:
            silent = account not in round_.scores or (attest and account not in round_.heads)
            key = (round_.model_id, account)
            self.missed[key] = self.missed[key] + 1 if silent else 0
            if self.missed[key] >= MAX_MISSED:
                self.dropped.add(key)

    # ---- what is read

    def view(self, round_: FakeRound) -> RoundInfo:
        """As ``Rounds.roundView`` says it."""
        phase, end, reason = self.phase(round_)
        facts = self.facts(round_)
        score_start = start_of(facts, Phase.SCORE)
        where = (round_.model_id, round_.number)
        seed = ZERO_DIGEST if self.block_number <= round_.open_block else self.block_hash(round_.open_block)
        scored = self.block_number > score_start and round_.reveals
        mixed = evaluation_seed(self.block_hash(score_start), round_.salts, *where) if scored else ZERO_DIGEST
        accepted = phase == Phase.FINAL and round_.scores and any(round_.consensus())
        return RoundInfo(
            model_id=round_.model_id,
            round=round_.number,
            phase=phase,
            phase_end=end,
            open_block=round_.open_block,
            score_start=score_start,
            seed=round_seed(seed, *where) if any(seed) else ZERO_DIGEST,
            evaluation_seed=mixed,
            base_head=round_.base_head,
            frozen_stake=facts.frozen_stake,
            miner_count=len(round_.miners),
            commits=len(round_.commits),
            reveals=len(round_.reveals),
            scores_revealed_stake=facts.scores_stake,
            heads_revealed_stake=round_.stake(list(round_.heads)),
            void_reason=reason,
            head=round_.leading()[0] if accepted else (round_.base_head if phase == Phase.FINAL else ZERO_DIGEST),
            settled=round_.settled,
        )

    def submissions(self, round_: FakeRound) -> list[SubmissionInfo]:
        """In the order in which they were revealed; judged from the end of SCORE_REVEAL on."""
        facts = self.facts(round_)
        scores = round_.consensus() if facts.consensus_known else [0] * len(round_.reveals)
        weights = weights_q16(scores)
        return [
            SubmissionInfo(
                i, miner, r.digest, r.kind, r.base_head, r.dataset_ids, r.trained_tokens, scores[i], weights[i]
            )
            for i, (miner, r) in enumerate(round_.reveals.items())
        ]
