"""Recomputes every payment from the chain's events alone, with arithmetic of its own.

Nothing here comes from ``contracts.reference``, the contracts' views or ``client.audit``: if those agree by sharing a
mistake, this one does not. Read the events in order, keep stakes, seats and bonds, and at each settlement work out from
the design's rules who should have been paid what; then compare with what the contracts said they paid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from client.types import Event
from devnet.recompute_rounds import Judged, Round
from devnet.recompute_stake import VALIDATOR, Stakes, bps

KIND_MINER, KIND_VALIDATOR, KIND_DATA, KIND_SERVER, KIND_ARCHIVE, KIND_DELEGATION = 0, 1, 2, 4, 6, 7
TOKEN = 10**18
PER_BLOCK = TOKEN
HALVING = 45_000_000  # blocks
FIRST_SHARES = 1000 * TOKEN
HORIZON = 100
CAP = 100_000_000 * TOKEN
NOBODY = "0x" + "00" * 20
SPLITS = {
    "emissionMiners": 5000,
    "emissionValidators": 2000,
    "emissionData": 1500,
    "emissionParent": 500,
    "emissionTreasury": 800,
    "emissionArchive": 200,
    "feeServer": 6000,
    "feeModel": 2500,
    "feeParent": 1000,
    "parentOn": 2000,
    "sharesMiners": 8000,
    "sharesData": 2000,
}
"""As deployed, in basis points."""

Payments = dict[tuple[int, str], int]
"""(kind, account) -> wei. Delegators' parts stand under their validator."""


def divide(amount: int, weights: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """An amount by weights, each share rounded down."""
    total = sum(weight for _, weight in weights)
    return [(who, amount * weight // total) for who, weight in weights] if total else []


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
    """Takes all events in order."""

    def __init__(self) -> None:
        self.stakes = Stakes()
        self.policies: dict[int, dict[str, int]] = defaultdict(dict)
        self.splits = dict(SPLITS)
        self.archives: dict[int, str] = {}
        self.parents: dict[int, int] = {}
        self.heads: dict[int, bytes] = {}  # the models', as the rounds so far left them
        self.owners: dict[int, str] = {}
        self.values: dict[int, int] = {}
        self.rounds: dict[tuple[int, int], Round] = {}
        self.judged: dict[int, Judged] = defaultdict(Judged)
        self.shares: dict[int, int] = defaultdict(int)
        self.carry: dict[int, int] = defaultdict(int)
        self.paid_until: dict[int, int] = defaultdict(int)
        self.supply = 0
        self.credited: dict[tuple[int, int], int] = {}
        self.given: dict[tuple[int, int], int] = {}
        self.checks: list[Check] = []

    def replay(self, events: Sequence[Event]) -> list[Check]:
        """All events, in any order; returns a check for each settlement and fee."""
        ordered = sorted(events, key=lambda e: (e.block, e.log_index))
        for index, event in enumerate(ordered):
            self.stakes.take(event)
            handler = getattr(self, f"_on_{event.name}", None)
            if handler is not None:
                handler(event, ordered, index)
        for event, text in self.stakes.faults:
            self._fault(event, text)
        return self.checks

    # ---- rules, models and data

    def _on_PolicySet(self, event: Event, *_: Any) -> None:
        model, policy = event.args["id"], dict(event.args["policy"])
        self.policies[model] = policy
        self.stakes.minimum[model, 1] = policy["minMinerStake"]
        self.stakes.minimum[model, VALIDATOR] = policy["minValidatorStake"]

    def _on_EmissionSet(self, event: Event, *_: Any) -> None:
        self.policies[event.args["id"]]["emissionBps"] = event.args["bps"]

    def _on_SplitsSet(self, event: Event, *_: Any) -> None:
        self.splits = dict(event.args["splits"])

    def _on_ArchiveSet(self, event: Event, *_: Any) -> None:
        self.archives[event.args["modelId"]] = event.args["account"]

    def _on_ModelRegistered(self, event: Event, *_: Any) -> None:
        self.parents[event.args["id"]] = event.args["parentId"]
        if "genesis" in event.args:
            self.heads[event.args["id"]] = bytes(event.args["genesis"])

    def _on_DatasetRegistered(self, event: Event, *_: Any) -> None:
        self.owners[event.args["id"]] = event.args["owner"]

    def _on_DatasetAccepted(self, event: Event, *_: Any) -> None:
        self.values[event.args["id"]] = event.args["value"]

    _on_DatasetValued = _on_DatasetAccepted

    def _on_Transfer(self, event: Event, *_: Any) -> None:
        sign = (event.args["from"] == NOBODY) - (event.args["to"] == NOBODY)
        self.supply += sign * event.args["value"]

    # ---- rounds

    def _on_RoundOpened(self, event: Event, *_: Any) -> None:
        model, number, block = event.args["modelId"], event.args["round"], event.args["openBlock"]
        seats = self.stakes.before(block)
        mine = seats.get((model, VALIDATOR), {})
        world = sum(stake for (_, role), found in seats.items() if role == VALIDATOR for _, stake in found.values())
        miners = seats.get((model, 1), {})
        before = self.rounds.get((model, number - 1))
        held = before is not None and not before.settled
        facts = Round(block, dict(self.policies[model]), mine, world, len(miners), held)
        self.rounds[model, number] = facts
        if held and before is not None and before.held:
            self._fault(event, "a third round, while two are not settled")
        self._same_head(event, "baseHead")
        if facts.stake != event.args["frozenStake"]:
            self._fault(event, f"frozen stake {event.args['frozenStake']}, by the events {facts.stake}")
        if facts.miners != event.args["minerCount"]:
            self._fault(event, f"{event.args['minerCount']} miners, by the events {facts.miners}")

    def _round_event(self, event: Event, *_: Any) -> None:
        key = (event.args["modelId"], event.args["round"])
        if key in self.rounds:
            for fault in self.rounds[key].take(event, self.values):
                self._fault(event, fault)

    _on_DeltaCommitted = _on_DeltaRevealed = _on_ScoresCommitted = _on_ScoresRevealed = _round_event
    _on_HeadCommitted = _on_HeadRevealed = _on_EvaluationSeedCaptured = _on_RoundSettled = _round_event

    def _on_RoundReleased(self, event: Event, *rest: Any) -> None:
        self._same_head(event, "parentHead")
        self._round_event(event, *rest)

    def _same_head(self, event: Event, name: str) -> None:
        """Whether an event names the head that the model has then, as far as the events tell."""
        said, ours = event.args.get(name), self.heads.get(event.args["modelId"])
        if said is not None and ours is not None and bytes(said) != ours:
            self._fault(event, f"{name} {bytes(said).hex()}, by the events {ours.hex()}")

    def _on_ConsensusPage(self, event: Event, *_: Any) -> None:
        """A page comes once scores are closed, and moves bonds."""
        facts, model = self.rounds[event.args["modelId"], event.args["round"]], event.args["modelId"]
        if facts.consensus is None:
            since = {who: m.since for (of, role, who), m in self.stakes.members.items() if (of, role) == (model, 1)}
            self.judged[model].take(event.args["round"], facts, since)
        ours = list(facts.consensus or ())
        first, said = event.args["from"], list(event.args["consensus"])
        if ours[first : first + len(said)] != said:
            self._fault(event, f"consensus {said}, by the events {ours[first : first + len(said)]}")

    def _on_ConsensusReached(self, event: Event, *_: Any) -> None:
        ours = self.rounds[event.args["modelId"], event.args["round"]].consensus or []
        if sum(ours) != event.args["total"] or len(ours) != event.args["submissions"]:
            self._fault(event, f"a consensus of {event.args['total']} in all, by the events {sum(ours)}")

    def _on_RoundFinalized(self, event: Event, *_: Any) -> None:
        model = event.args["modelId"]
        facts = self.rounds[model, event.args["round"]]
        head, support = facts.leading()
        wanted = (head, support) if facts.accepted else (None, 0)
        if facts.accepted and (bytes(event.args["head"]), event.args["attestedStake"]) != wanted:
            self._fault(event, f"head attested by {event.args['attestedStake']}, by the events {support}")
        if facts.accepted and support * 10_000 < facts.stake * facts.policy["quorumBps"]:
            self._fault(event, "a head without the quorum of the frozen stake")
        if facts.accepted:
            self.heads[model] = head
        else:
            self._same_head(event, "head")
        if facts.held:
            self._fault(event, "ended before the round that it waits for was settled")
        self._begin(event, facts, is_void=False)

    def _on_RoundVoided(self, event: Event, *_: Any) -> None:
        facts = self.rounds[event.args["modelId"], event.args["round"]]
        self._begin(event, facts, is_void=True)

    # ---- money

    def _begin(self, event: Event, facts: Round, is_void: bool) -> None:
        """What the round may pay is fixed with its end."""
        model = event.args["modelId"]
        reason = event.args["reason"] if is_void else 0
        end = facts.end(reason)
        blocks = max(0, end - max(facts.open_block, self.paid_until[model]))
        self.paid_until[model] = max(end, self.paid_until[model])
        part = self.policies[model]["emissionBps"]
        emission = (PER_BLOCK >> (facts.open_block // HALVING)) * blocks * facts.stake * part
        emission //= max(1, facts.world) * 10_000
        if reason not in (1, 2):
            self.judged[model].seat(event.args["round"], facts)
        facts.emission = 0 if reason == 1 else emission
        facts.carried_in, facts.is_void = self.carry[model], is_void
        room = CAP - self.supply - sum(r.pot - r.minted for r in self.rounds.values() if r.pot)
        facts.pot = 0 if is_void else min(facts.emission + min(facts.carried_in, facts.emission), room)
        facts.splits, facts.archive = dict(self.splits), self.archives.get(model, NOBODY)
        self.carry[model] += facts.emission - facts.pot

    def _on_RewardCredited(self, event: Event, *_: Any) -> None:
        """A validator is paid by the backing that it has then."""
        facts = self.rounds.get((event.args["modelId"], event.args["round"]))
        if facts is not None:
            facts.minted += event.args["amount"]
            if event.args["kind"] in (KIND_VALIDATOR, KIND_DELEGATION):
                model = event.args["modelId"]
                who = pools_of(model, list(facts.stakes)).get(event.args["account"], event.args["account"])
                member = self.stakes.members[model, VALIDATOR, who]
                facts.backing.setdefault(who, (member.own, member.delegated, member.rate(event.block)))

    def _on_EmissionSettled(self, event: Event, ordered: Sequence[Event], index: int) -> None:
        model, number = event.args["modelId"], event.args["round"]
        facts = self.rounds[model, number]
        wanted = self._settlement(model, number, facts)
        self.carry[model] += facts.pot - wanted.minted
        wanted.carried = self.carry[model]
        pots = (facts.emission, facts.carried_in)
        said = collect(ordered[: index + 1], model, number, list(facts.stakes))
        said.minted, said.carried = event.args["minted"], event.args["carriedOut"]
        faults = differences(wanted, said)
        if pots != (event.args["emission"], event.args["carriedIn"]):
            faults = (f"emission and carry {event.args['emission']}, {event.args['carriedIn']}, by us {pots}", *faults)
        facts.pot = 0
        self.shares[model] += sum(wanted.shares.values())
        self.credited[model, number] = sum(wanted.payments.values())
        self.given[model, number] = sum(wanted.shares.values())
        self.checks.append(Check("round", model, number, said.minted, faults))

    def _settlement(self, model: int, number: int, facts: Round) -> Expected:
        wanted, part = Expected(), facts.splits
        if facts.is_void:
            return wanted
        judges = self.judged[model].weights(number, facts)
        self._pay_validators(wanted, facts, bps(facts.pot, part["emissionValidators"]), judges)
        if facts.accepted:
            miners = [(delta.miner, c) for delta, c in zip(facts.deltas, facts.consensus or (), strict=True)]
            data = self._data_weights(facts)
            shares = FIRST_SHARES * HORIZON // (HORIZON + number)
            for people, kind, money, share in (
                (miners, KIND_MINER, "emissionMiners", "sharesMiners"),
                (data, KIND_DATA, "emissionData", "sharesData"),
            ):
                for who, amount in divide(bps(facts.pot, part[money]), people):
                    wanted.payments[kind, who] += amount
                for who, amount in divide(bps(shares, part[share]), people):
                    wanted.shares[who] += amount
        archive, parents = bps(facts.pot, part["emissionArchive"]), bps(facts.pot, part["emissionParent"])
        if facts.archive != NOBODY:
            wanted.payments[KIND_ARCHIVE, facts.archive] += archive
        self._pay_parents(wanted, model, parents, part["parentOn"])
        wanted.treasury = bps(facts.pot, part["emissionTreasury"]) + parents - sum(wanted.dividends.values())
        wanted.treasury += archive if facts.archive == NOBODY else 0
        wanted.minted = sum(wanted.payments.values()) + sum(wanted.dividends.values()) + wanted.treasury
        return wanted

    def _pay_validators(self, wanted: Expected, facts: Round, amount: int, judges: list[tuple[str, int]]) -> None:
        for who, reward in divide(amount, judges):
            own, delegated, rate = facts.backing.get(who, (1, 0, 0))
            others = reward * delegated * (10_000 - rate) // ((own + delegated) * 10_000) if delegated else 0
            wanted.payments[KIND_VALIDATOR, who] += reward - others
            wanted.payments[KIND_DELEGATION, who] += others

    def _data_weights(self, facts: Round) -> list[tuple[str, int]]:
        """An entry for each dataset of each delta: consensus times value, over the datasets that it names."""
        return [
            (self.owners[dataset], consensus * value // len(delta.datasets))
            for delta, consensus in zip(facts.deltas, facts.consensus or (), strict=False)
            for dataset, value in (delta.datasets.items() if consensus else ())
        ]

    def _pay_parents(self, wanted: Expected, model: int, amount: int, parent_on: int) -> None:
        parent = self.parents.get(model, 0)
        while parent and amount:
            above = self.parents.get(parent, 0)
            on = bps(amount, parent_on) if above else 0
            if self.shares[parent]:
                wanted.dividends[parent] += amount - on
            parent, amount = above, on

    def _on_RewardsVoided(self, event: Event, *_: Any) -> None:
        key = (event.args["modelId"], event.args["round"])
        told = (event.args["amount"], event.args["shares"])
        ours = (self.credited.get(key, 0), self.given.get(key, 0))
        if told != ours:
            self._fault(event, f"took back {told}, by the events {ours}")
        self.carry[key[0]] += ours[0]
        self.shares[key[0]] -= ours[1]

    def _on_FeeDistributed(self, event: Event, ordered: Sequence[Event], index: int) -> None:
        model, amount = event.args["modelId"], event.args["amount"]
        wanted = Expected()
        wanted.payments[KIND_SERVER, event.args["server"]] = bps(amount, self.splits["feeServer"])
        if self.shares[model]:
            wanted.dividends[model] += bps(amount, self.splits["feeModel"])
        self._pay_parents(wanted, model, bps(amount, self.splits["feeParent"]), self.splits["parentOn"])
        wanted.treasury = amount - sum(wanted.payments.values()) - sum(wanted.dividends.values())
        said = collect([e for e in ordered if e.tx == event.tx], model, 0, ())
        faults = differences(wanted, said)
        redeemed = [e.args["amount"] for e in ordered if e.tx == event.tx and e.name == "VoucherRedeemed"]
        if amount not in redeemed:
            faults = (*faults, f"a fee of {amount} wei without a voucher redeemed for it")
        self.checks.append(Check("fee", model, 0, amount, faults))

    def _fault(self, event: Event, text: str) -> None:
        model, number = event.args.get("modelId", 0), event.args.get("round", 0)
        self.checks.append(Check(event.name, model, number, 0, (text,)))


def collect(events: Sequence[Event], model: int, number: int, validators: Sequence[str]) -> Expected:
    """What the events of a round (0: of a fee's transaction) said that it paid; pools by their validators' names."""
    said, pools = Expected(), pools_of(model, validators)
    for event in events:
        args = event.args
        if args.get("round") != number:
            continue
        if event.name == "RewardCredited" and args["modelId"] == model:
            said.payments[args["kind"], pools.get(args["account"], args["account"])] += args["amount"]
        elif event.name == "SharesMinted" and args["modelId"] == model:
            said.shares[args["account"]] += args["shares"]
        elif event.name == "DividendsAdded" and args["fromModelId"] == model:
            said.dividends[args["modelId"]] += args["amount"]
        elif event.name == "TreasuryPaid" and args["modelId"] == model:
            said.treasury += args["amount"]
    return said


def pools_of(model: int, validators: Sequence[str]) -> dict[str, str]:
    """The accounts of validators' delegators, to their validators."""
    from client.commitments import pool_account

    return {pool_account(model, who): who for who in validators if len(who) == len(NOBODY)}


def differences(wanted: Expected, said: Expected) -> tuple[str, ...]:
    """In words, where the two are not the same."""
    ours, theirs = wanted.plain(), said.plain()
    return tuple(f"{name}: paid {theirs[name]}, should be {ours[name]}" for name in ours if ours[name] != theirs[name])
