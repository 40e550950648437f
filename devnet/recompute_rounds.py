"""One round as its events tell it, and what its scores come to, with arithmetic of its own (see ``recompute``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from client.types import Event

FULL = 1_000_000
BOND_ONE = 65_535
NEWEST = 1_000  # basis points: the newest round's part in a bond
GROUP = 8
AGREEMENT_POWER = 2
EMPTY, NO_SEED, NO_SCORES = 1, 2, 3
PHASES = ("train", "commit", "reveal", "score", "scoreReveal", "attest", "attestReveal")

Column = Mapping[str, int]
"""Validator -> its score of one submission, of those who gave one."""


def consensus_of(column: Column, weights: Mapping[str, int], kappa: int) -> int:
    """The greatest score that ``kappa`` basis points of the weight that spoke reach."""
    spoken = sum(weights[who] for who in column)
    for score in sorted(set(column.values()), reverse=True):
        if 10_000 * sum(weights[who] for who, given in column.items() if given >= score) >= kappa * spoken:
            return score
    return 0


def agreement_of(scores: Sequence[int], consensus: Sequence[int]) -> int:
    """What part of the scores the consensus shares, in millionths."""
    high = sum(map(max, scores, consensus))
    return FULL if high == 0 else sum(map(min, scores, consensus)) * FULL // high


@dataclass
class Delta:
    """A revealed delta; its datasets with the value that each had then (basis points)."""

    miner: str
    datasets: dict[int, int]


@dataclass
class Round:
    """What the events say of one round. Stakes in wei, of the block before; seats: slot -> (validator, stake)."""

    open_block: int
    policy: dict[str, int]
    seats: dict[int, tuple[str, int]]
    world: int
    miners: int
    held: bool = False  # until the round before is settled
    settled: bool = False
    deltas: list[Delta] = field(default_factory=list)
    seed: bytes = bytes(32)
    scores: dict[str, tuple[int, ...]] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    consensus: list[int] | None = None
    windows: list[int] = field(default_factory=list)
    # the settlement
    emission: int = 0
    carried_in: int = 0
    pot: int = 0
    minted: int = 0
    is_void: bool = False
    splits: dict[str, int] = field(default_factory=dict)
    archive: str = ""
    backing: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.windows = [self.policy[f"{phase}Blocks"] for phase in PHASES]

    @property
    def stake(self) -> int:
        """All validators' stake."""
        return sum(stake for _, stake in self.seats.values())

    @property
    def stakes(self) -> dict[str, int]:
        """By validator, in the order of slots."""
        return {who: stake for _, (who, stake) in sorted(self.seats.items())}

    @property
    def accepted(self) -> bool:
        """Whether any delta has value."""
        return any(self.consensus or ())

    # ---- time

    def _start(self, phase: str) -> int:
        return self.open_block + sum(self.windows[: PHASES.index(phase)])

    def _close(self, phase: str, block: int) -> None:
        self.windows[PHASES.index(phase)] = block + 1 - self._start(phase)

    def end(self, reason: int) -> int:
        """The first block after the round."""
        if reason == EMPTY:
            return self._start("score" if self.counts["DeltaCommitted"] else "reveal")
        if reason == NO_SEED:
            return self.open_block + 257 if self.seed == bytes(32) else self._start("score") + 257
        if reason == NO_SCORES or not self.accepted:
            return self._start("attest")
        return self.open_block + sum(self.windows)

    # ---- events

    def take(self, event: Event, values: Mapping[int, int]) -> list[str]:
        """An event of the round; what is wrong with it, in words."""
        args, faults = event.args, []
        self.counts[event.name] += 1
        if event.name == "DeltaRevealed":
            if args["index"] != len(self.deltas):
                faults.append(f"delta {args['index']} revealed as number {len(self.deltas)}")
            self.deltas.append(Delta(args["miner"], {number: values.get(number, 0) for number in args["datasetIds"]}))
        elif event.name == "ScoresRevealed":
            self.scores[args["validator"]] = tuple(args["scores"])
            if len(args["scores"]) != len(self.dealt(args["validator"])):
                faults.append(f"{args['validator']} scored {len(args['scores'])} deltas, it was dealt others")
        elif event.name == "HeadRevealed":
            self.heads[args["validator"]] = bytes(args["head"])
        elif event.name == "EvaluationSeedCaptured":
            self.seed = bytes(args["seed"])
        elif event.name == "RoundReleased":
            faults += self._release(event.block)
        elif event.name == "RoundSettled":
            self.settled = True
        self._close_early(event)
        return faults

    def _release(self, block: int) -> list[str]:
        """It waited for the round before, which is settled in this block."""
        faults = [] if self.held else ["was let go without having been held"]
        self.held = False
        if block >= self._start("reveal"):
            self._close("commit", block)  # so that all of REVEAL is still to come
        elif self.counts["DeltaCommitted"] == self.miners:
            self._close_training(block)
        return faults

    def _close_training(self, block: int) -> None:
        phase = "train" if block < self._start("commit") else "commit"
        self._close(phase, block)
        if phase == "train":
            self.windows[1] = 0

    def _close_early(self, event: Event) -> None:
        """A phase ends with the block in which everybody has acted who may; not while the round is held."""
        done, everybody = self.counts[event.name], len(self.seats)
        if event.name == "DeltaCommitted" and done == self.miners and not self.held:
            self._close_training(event.block)
        awaited = {
            "DeltaRevealed": ("reveal", self.counts["DeltaCommitted"]),
            "ScoresCommitted": ("score", everybody),
            "ScoresRevealed": ("scoreReveal", self.counts["ScoresCommitted"]),
            "HeadCommitted": ("attest", everybody),
            "HeadRevealed": ("attestReveal", self.counts["HeadCommitted"]),
        }
        if event.name in awaited and done == awaited[event.name][1]:
            self._close(awaited[event.name][0], event.block)

    def leading(self) -> tuple[bytes, int]:
        """The head that had most stake behind it first."""
        behind: dict[bytes, int] = defaultdict(int)
        best, support = bytes(32), 0
        for who, head in self.heads.items():
            behind[head] += self.stakes.get(who, 0)
            if behind[head] > support:
                best, support = head, behind[head]
        return best, support

    # ---- judgement

    def committee(self, group: int) -> dict[str, int]:
        """A group's judges: all by stake, or so many draws by stake."""
        size, stakes = self.policy["committee"], self.stakes
        if len(stakes) <= size:
            return stakes
        from eth_utils.crypto import keccak

        ends = list(accumulate(stakes.values()))
        drawn = dict.fromkeys(stakes, 0)
        for number in range(size):
            word = keccak(self.seed + group.to_bytes(32, "big") + number.to_bytes(32, "big"))
            point = int.from_bytes(word, "big") % ends[-1]
            drawn[next(who for who, end in zip(stakes, ends, strict=True) if point < end)] += 1
        return {who: times for who, times in drawn.items() if times}

    def dealt(self, validator: str) -> list[int]:
        """What a validator had to score."""
        groups = range((len(self.deltas) + GROUP - 1) // GROUP)
        mine = [group for group in groups if validator in self.committee(group)]
        return [i for group in mine for i in range(group * GROUP, min(len(self.deltas), (group + 1) * GROUP))]

    def given(self) -> dict[str, dict[int, int]]:
        """Who scored what how."""
        return {who: dict(zip(self.dealt(who), row, strict=False)) for who, row in self.scores.items()}

    def judge(self) -> list[int]:
        """The consensus, in order of submission."""
        given, kappa = self.given(), self.policy["kappaBps"]
        found = []
        for index in range(len(self.deltas)):
            weights = self.committee(index // GROUP)
            column = {who: row[index] for who, row in given.items() if index in row and who in weights}
            found.append(consensus_of(column, weights, kappa))
        if len(self.stakes) > self.policy["committee"]:
            tops = {who: max(row.values()) for who, row in given.items() if row}
            found = [min(score, consensus_of(tops, self.stakes, kappa)) for score in found]
        return found


@dataclass
class Judged:
    """A model's judged rounds: bonds by miner and slot, and who sat where."""

    bonds: dict[str, dict[int, int]] = field(default_factory=dict)
    opened: dict[str, tuple[int, int]] = field(default_factory=dict)  # miner -> its last round with value, its opening
    seated: dict[int, tuple[str, int]] = field(default_factory=dict)  # slot -> who, since which round
    sums: dict[int, dict[str, int]] = field(default_factory=dict)
    agreed: dict[str, int] = field(default_factory=dict)  # each validator's last agreement in its seat
    agreements: dict[int, dict[str, int]] = field(default_factory=dict)  # round -> validator -> agreement

    def take(self, number: int, facts: Round, since: Mapping[str, int]) -> None:
        """A round whose scores are closed. ``since``: when each miner's stake last began to count."""
        facts.consensus = facts.judge()
        self.seat(number, facts)
        self.sums[number] = dict.fromkeys(facts.stakes, 0)
        given = facts.given()
        for who, row in given.items():
            if row:  # who was dealt nothing keeps what it had
                self.agreed[who] = agreement_of(list(row.values()), [facts.consensus[index] for index in row])
        self.agreements[number] = dict(self.agreed)
        for index, (delta, value) in enumerate(zip(facts.deltas, facts.consensus, strict=True)):
            if value:
                self._move(
                    number, facts, delta.miner, since.get(delta.miner, 0), self._parts(facts, given, index, value)
                )
                for slot, (who, _) in facts.seats.items():
                    self.sums[number][who] += self.bonds[delta.miner][slot] * value

    def seat(self, number: int, facts: Round) -> None:
        """Who sits where, and since which round; once a round."""
        for slot in {*self.seated, *facts.seats}:
            who = facts.seats.get(slot, ("", 0))[0]
            if self.seated.get(slot, ("", 0))[0] != who:
                self.agreed.pop(self.seated.get(slot, ("", 0))[0], None)
                self.agreed[who] = 0
                self.seated[slot] = (who, number)

    def _parts(self, facts: Round, given: Mapping[str, Mapping[int, int]], index: int, value: int) -> dict[str, int]:
        weights = facts.committee(index // GROUP)
        clipped = {who: w * min(given[who][index], value) for who, w in weights.items() if index in given.get(who, {})}
        total = sum(clipped.values())
        return {who: part * BOND_ONE // total for who, part in clipped.items()}

    def _move(self, number: int, facts: Round, miner: str, since: int, parts: Mapping[str, int]) -> None:
        last, opened = self.opened.get(miner, (0, 0))
        old = self.bonds.get(miner, {}) if since < opened else {}
        self.bonds[miner] = {
            slot: ((old.get(slot, 0) if self.seated[slot][1] <= last else 0) * (10_000 - NEWEST)
                   + parts.get(who, 0) * NEWEST + 5_000) // 10_000
            for slot, (who, _) in facts.seats.items()
        }  # fmt: skip
        self.opened[miner] = (number, facts.open_block)

    def weights(self, number: int, facts: Round) -> list[tuple[str, int]]:
        """By which the validators of a round are paid, in the order of slots."""
        winner, found = facts.leading()[0], []
        for who, stake in facts.stakes.items():
            if who not in facts.scores or (facts.accepted and facts.heads.get(who) != winner):
                continue
            power = self.sums[number][who] if facts.accepted else stake
            found.append((who, power * self.agreements[number].get(who, 0) ** AGREEMENT_POWER))
        return found
