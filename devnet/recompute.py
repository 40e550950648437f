"""Recomputes every payment from the chain's events alone, with arithmetic of its own.

Nothing here comes from ``contracts.reference``, the contracts' views or ``client.audit``: if those agree by sharing a
mistake, this one does not. Read the events in order, keep the stakes, and at each settlement work out from the design's
rules who should have been paid what; then compare with what the contracts said they paid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from client.types import Event

MINER, VALIDATOR = 1, 2
KIND_MINER, KIND_VALIDATOR, KIND_DATA, KIND_SERVER = 0, 1, 2, 4
Q16 = 65_536
FULL = 1_000_000
FIRST_EMISSION = 1000 * 10**18
HALVING = 100_000
FIRST_SHARES = 1000 * 10**18
HORIZON = 100
SLASH_BPS = 10
DATA_UNIT = 720_720  # divisible by 1 to 16
EMISSION = {"miners": 5000, "validators": 2000, "data": 1500, "parent": 500}  # the rest is the treasury's
FEE = {"server": 6000, "model": 2500, "parent": 1000}
PARENT_ON = 2000
SHARES_TO_MINERS, SHARES_TO_DATA = 8000, 2000

Payments = dict[tuple[int, str], int]
"""(kind, account) -> wei."""


def bps(amount: int, part: int) -> int:
    """Basis points of an amount, rounded down."""
    return amount * part // 10_000


def divide(amount: int, weights: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """An amount by weights, each share rounded down."""
    total = sum(weight for _, weight in weights)
    return [(who, amount * weight // total) for who, weight in weights] if total else []


def consensus_of(scores: Sequence[tuple[int, Sequence[int]]], count: int) -> list[int]:
    """Per submission the greatest score that half of the stake that spoke reaches. ``scores``: (stake, scores)."""
    spoken = sum(stake for stake, _ in scores)
    found = []
    for index in range(count):
        values = sorted({row[index] for _, row in scores}, reverse=True)
        backed = (x for x in values if 2 * sum(stake for stake, row in scores if row[index] >= x) >= spoken)
        found.append(next(backed, 0))
    return found


def agreement_of(scores: Sequence[int], consensus: Sequence[int]) -> int:
    """What part of the scores the consensus shares, in millionths."""
    high = sum(map(max, scores, consensus))
    return FULL if high == 0 else sum(map(min, scores, consensus)) * FULL // high


@dataclass
class RoundFacts:
    """What the events say of one round. Stakes in wei, frozen at the block before its opening."""

    validators: dict[str, int] = field(default_factory=dict)
    model_stake: int = 0
    global_stake: int = 0
    deltas: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)  # miner, datasets, in order
    scores: dict[str, tuple[int, ...]] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)
    consensus: tuple[int, ...] = ()
    head: bytes | None = None  # None: void
    attested: int = 0


@dataclass
class Expected:
    """What a settlement or a fee should have paid."""

    payments: Payments = field(default_factory=lambda: defaultdict(int))
    dividends: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # model -> wei
    shares: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    treasury: int = 0
    minted: int = 0
    carried: int = 0

    def plain(self) -> dict[str, Any]:
        """Without what is zero, to compare."""
        return {
            "payments": {key: value for key, value in self.payments.items() if value},
            "dividends": {key: value for key, value in self.dividends.items() if value},
            "shares": {key: value for key, value in self.shares.items() if value},
            "treasury": self.treasury,
            "minted": self.minted,
            "carried": self.carried,
        }


@dataclass(frozen=True)
class Check:
    """One settlement or fee: what it was, what was paid in wei, and how it differs from what it should be."""

    what: str
    model: int
    round: int
    paid: int
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every wei is where it should be."""
        return not self.differences


class Ledger:
    """Takes all events in order. ``min_stake``: role -> wei below which a stake does not count."""

    def __init__(self, min_stake: Mapping[int, int]) -> None:
        self.min_stake = min_stake
        self.stakes: dict[tuple[int, int, str], int] = defaultdict(int)
        self.history: list[tuple[int, dict[tuple[int, int, str], int], set[tuple[int, str]]]] = []
        self.dropped: set[tuple[int, str]] = set()
        self.parents: dict[int, int] = {}
        self.owners: dict[int, str] = {}
        self.rounds: dict[tuple[int, int], RoundFacts] = defaultdict(RoundFacts)
        self.shares: dict[int, int] = defaultdict(int)
        self.carry: dict[int, int] = defaultdict(int)
        self.settled = 0
        self.checks: list[Check] = []

    def replay(self, events: Sequence[Event]) -> list[Check]:
        """All events, in any order; returns a check for each settlement and fee."""
        ordered = sorted(events, key=lambda e: (e.block, e.log_index))
        for index, event in enumerate(ordered):
            handler = getattr(self, f"_on_{event.name}", None)
            if handler is not None:
                handler(event, ordered, index)
        return self.checks

    # ---- stake

    def _remember(self, block: int) -> None:
        """Keep the stakes as they were before ``block``, once a block."""
        if not self.history or self.history[-1][0] != block:
            self.history.append((block, dict(self.stakes), set(self.dropped)))

    def _before(self, block: int) -> tuple[dict[tuple[int, int, str], int], set[tuple[int, str]]]:
        """Stakes at the end of the block before ``block``."""
        for changed, stakes, dropped in self.history:
            if changed >= block:
                return stakes, dropped
        return dict(self.stakes), set(self.dropped)

    def _on_Staked(self, event: Event, *_: Any) -> None:
        self._remember(event.block)
        key = (event.args["modelId"], event.args["role"], event.args["account"])
        self.stakes[key] += event.args["amount"]

    def _on_Unstaking(self, event: Event, *_: Any) -> None:
        self._remember(event.block)
        self.stakes[event.args["modelId"], event.args["role"], event.args["account"]] -= event.args["amount"]

    def _on_Slashed(self, event: Event, *_: Any) -> None:
        self._remember(event.block)
        key = (event.args["modelId"], event.args["role"], event.args["account"])
        self.stakes[key] -= min(bps(self.stakes[key], SLASH_BPS), event.args["amount"])  # the rest was unbonding

    def _on_Dropped(self, event: Event, *_: Any) -> None:
        self._remember(event.block)
        self.dropped.add((event.args["modelId"], event.args["account"]))

    def _on_Rejoined(self, event: Event, *_: Any) -> None:
        self._remember(event.block)
        self.dropped.discard((event.args["modelId"], event.args["account"]))

    # ---- models, data and rounds

    def _on_ModelRegistered(self, event: Event, *_: Any) -> None:
        self.parents[event.args["id"]] = event.args["parentId"]

    def _on_DatasetRegistered(self, event: Event, *_: Any) -> None:
        self.owners[event.args["id"]] = event.args["owner"]

    def _round(self, event: Event) -> RoundFacts:
        return self.rounds[event.args["modelId"], event.args["round"]]

    def _on_RoundOpened(self, event: Event, *_: Any) -> None:
        stakes, dropped = self._before(event.args["openBlock"])
        counts = {
            (model, who): stake
            for (model, role, who), stake in stakes.items()
            if role == VALIDATOR and stake >= self.min_stake[VALIDATOR] and stake > 0 and (model, who) not in dropped
        }
        facts = self._round(event)
        facts.validators = {who: stake for (model, who), stake in counts.items() if model == event.args["modelId"]}
        facts.model_stake, facts.global_stake = sum(facts.validators.values()), sum(counts.values())
        if facts.model_stake != event.args["frozenStake"]:
            self._fault(event, f"frozen stake {event.args['frozenStake']}, by the events {facts.model_stake}")

    def _on_DeltaRevealed(self, event: Event, *_: Any) -> None:
        facts = self._round(event)
        if event.args["index"] != len(facts.deltas):
            self._fault(event, f"delta {event.args['index']} revealed as number {len(facts.deltas)}")
        facts.deltas.append((event.args["miner"], tuple(event.args["datasetIds"])))

    def _on_ScoresRevealed(self, event: Event, *_: Any) -> None:
        self._round(event).scores[event.args["validator"]] = tuple(event.args["scores"])

    def _on_ConsensusReached(self, event: Event, *_: Any) -> None:
        facts = self._round(event)
        votes = [(facts.validators[who], row) for who, row in facts.scores.items()]
        ours = consensus_of(votes, len(facts.deltas))
        facts.consensus = tuple(ours)
        total = sum(ours)
        weights = [c * Q16 // total if total else 0 for c in ours]
        if ours != list(event.args["consensus"]) or weights != list(event.args["weightsQ16"]):
            self._fault(event, f"consensus {list(event.args['consensus'])}, by the events {ours}")

    def _on_HeadRevealed(self, event: Event, *_: Any) -> None:
        self._round(event).heads[event.args["validator"]] = bytes(event.args["head"])

    def _on_RoundFinalized(self, event: Event, *_: Any) -> None:
        facts = self._round(event)
        facts.head = bytes(event.args["head"])
        facts.attested = sum(facts.validators[who] for who, head in facts.heads.items() if head == facts.head)
        accepted = sum(facts.consensus) > 0
        if accepted and facts.attested != event.args["attestedStake"]:
            self._fault(event, f"attested stake {event.args['attestedStake']}, by the events {facts.attested}")
        if accepted and facts.attested * 3 < facts.model_stake * 2:
            self._fault(event, "a head without two thirds of the frozen stake")

    # ---- money

    def _on_EmissionSettled(self, event: Event, ordered: Sequence[Event], index: int) -> None:
        model, number = event.args["modelId"], event.args["round"]
        facts = self.rounds[model, number]
        emission = (FIRST_EMISSION >> (self.settled // HALVING)) * facts.model_stake // max(facts.global_stake, 1)
        self.settled += 1
        wanted = self._settlement(model, number, facts, emission + self.carry[model])
        self.carry[model] = wanted.carried
        said = collect(event, ordered, model, number)
        said.minted, said.carried = event.args["minted"], event.args["carriedOut"]
        faults = differences(wanted, said)
        if emission != event.args["emission"]:
            faults = (f"emission {event.args['emission']}, should be {emission}", *faults)
        self.shares[model] += sum(wanted.shares.values())
        self.checks.append(Check("round", model, number, said.minted, faults))

    def _settlement(self, model: int, number: int, facts: RoundFacts, pot: int) -> Expected:
        wanted = Expected()
        if facts.head is None:
            wanted.carried = pot
            return wanted
        accepted = sum(facts.consensus) > 0
        weights = [
            (who, stake * agreement_of(facts.scores[who], facts.consensus))
            for who, stake in facts.validators.items()
            if who in facts.scores and (not accepted or facts.heads.get(who) == facts.head)
        ]
        self._pay(wanted, KIND_VALIDATOR, bps(pot, EMISSION["validators"]), weights)
        miners = [(who, c) for (who, _), c in zip(facts.deltas, facts.consensus, strict=True)]
        data = self._data_weights(facts)
        if accepted:
            self._pay(wanted, KIND_MINER, bps(pot, EMISSION["miners"]), miners)
            self._pay(wanted, KIND_DATA, bps(pot, EMISSION["data"]), data)
            shares = FIRST_SHARES * HORIZON // (HORIZON + number)
            for who, amount in (
                *divide(bps(shares, SHARES_TO_MINERS), miners),
                *divide(bps(shares, SHARES_TO_DATA), data),
            ):
                wanted.shares[who] += amount
        else:
            wanted.carried = bps(pot, EMISSION["miners"] + EMISSION["data"])
        wanted.minted = pot - wanted.carried
        self._pay_parents(wanted, model, bps(pot, EMISSION["parent"]))
        wanted.treasury = wanted.minted - sum(wanted.payments.values()) - sum(wanted.dividends.values())
        return wanted

    def _data_weights(self, facts: RoundFacts) -> list[tuple[str, int]]:
        """By dataset, in the order in which they are first met; two of one owner stay two (each is rounded down)."""
        weights: dict[int, int] = {}
        for (_, used), consensus in zip(facts.deltas, facts.consensus, strict=False):
            for dataset in used if consensus else ():
                weights[dataset] = weights.get(dataset, 0) + consensus * DATA_UNIT // len(used)
        return [(self.owners[dataset], weight) for dataset, weight in weights.items()]

    def _pay(self, wanted: Expected, kind: int, amount: int, weights: Sequence[tuple[str, int]]) -> None:
        for who, share in divide(amount, weights):
            wanted.payments[kind, who] += share

    def _pay_parents(self, wanted: Expected, model: int, amount: int) -> None:
        parent = self.parents.get(model, 0)
        while parent and amount:
            above = self.parents.get(parent, 0)
            on = bps(amount, PARENT_ON) if above else 0
            if self.shares[parent]:
                wanted.dividends[parent] += amount - on
            parent, amount = above, on

    def _on_FeeDistributed(self, event: Event, ordered: Sequence[Event], index: int) -> None:
        model, amount = event.args["modelId"], event.args["amount"]
        wanted = Expected()
        wanted.payments[KIND_SERVER, event.args["server"]] = bps(amount, FEE["server"])
        if self.shares[model]:
            wanted.dividends[model] += bps(amount, FEE["model"])
        self._pay_parents(wanted, model, bps(amount, FEE["parent"]))
        wanted.treasury = amount - sum(wanted.payments.values()) - sum(wanted.dividends.values())
        said = collect(event, ordered, model, 0)
        faults = differences(wanted, said)
        redeemed = [e.args["amount"] for e in ordered if e.tx == event.tx and e.name == "VoucherRedeemed"]
        if amount not in redeemed:
            faults = (*faults, f"a fee of {amount} wei without a voucher redeemed for it")
        self.checks.append(Check("fee", model, 0, amount, faults))

    def _fault(self, event: Event, text: str) -> None:
        self.checks.append(Check(event.name, event.args["modelId"], event.args["round"], 0, (text,)))


def collect(event: Event, ordered: Sequence[Event], model: int, number: int) -> Expected:
    """What the transaction of ``event`` said that it paid."""
    said = Expected()
    for other in ordered:
        if other.tx != event.tx or other.args.get("round") != number:
            continue
        args = other.args
        if other.name == "RewardCredited" and args["modelId"] == model:
            said.payments[args["kind"], args["account"]] += args["amount"]
        elif other.name == "SharesMinted" and args["modelId"] == model:
            said.shares[args["account"]] += args["shares"]
        elif other.name == "DividendsAdded" and args["fromModelId"] == model:
            said.dividends[args["modelId"]] += args["amount"]
        elif other.name == "TreasuryPaid" and args["modelId"] == model:
            said.treasury += args["amount"]
    return said


def differences(wanted: Expected, said: Expected) -> tuple[str, ...]:
    """In words, where the two are not the same."""
    ours, theirs = wanted.plain(), said.plain()
    return tuple(f"{name}: paid {theirs[name]}, should be {ours[name]}" for name in ours if ours[name] != theirs[name])
