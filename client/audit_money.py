"""Every payment recomputed: emission, shares, dividends and fees, from revealed scores and frozen stakes.

A ledger runs beside the chain's, over all models in the order of events, because the number of settled rounds and the
shares of parents cross from one model to another. Then the tokens are counted: all balances must make the supply, and
each contract must hold exactly what its events say that it owes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from client.audit_facts import RoundFacts, in_order
from client.audit_log import AuditChain, AuditLog
from client.audit_rounds import expected_consensus
from client.types import ZERO_ADDRESS, DatasetInfo, Event, ModelInfo
from contracts.enums import RewardKind, Role
from contracts.reference import (
    Ancestor,
    Ended,
    agreement,
    data_weights,
    divide_shares,
    split_emission,
    split_fee,
    validator_weight,
)

TOKEN_CAP = 100_000_000 * 10**18

Line = tuple[str, str, int, int]
"""A payment: event's name, payee (address or model number), kind (or -1), wei."""


@dataclass
class Ledger:
    """What the chain's own books must say after each event; amounts in wei."""

    settled: int = 0
    minted: int = 0
    carry: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    shares: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def has_shares(self, model_id: int) -> bool:
        """Whether anybody holds shares of the model."""
        return self.shares[model_id].total() > 0


@dataclass(frozen=True)
class MoneyAudit:
    """All that the payments depend on, up to ``block``."""

    chain: AuditChain
    log: AuditLog
    block: int
    models: Mapping[int, ModelInfo]
    rounds: Mapping[tuple[int, int], RoundFacts]
    datasets: Mapping[int, DatasetInfo]
    selected: frozenset[tuple[int, int]]

    def run(self) -> None:
        """Every settlement and every fee in order, then the books, then the tokens."""
        paid = in_order(self.chain.events("Rewards", None, None, self.block))
        by_round: dict[tuple[int, int], list[Event]] = defaultdict(list)
        for event in paid:
            if "round" in event.args:
                model = event.args.get("fromModelId", event.args.get("modelId"))
                by_round[(int(model), int(event.args["round"]))].append(event)
        supply = self.chain.total_supply(self.block)
        settlements = [event for event in paid if event.name == "EmissionSettled"]
        ledger = Ledger(minted=supply - sum(int(event.args["minted"]) for event in settlements))
        fees: Counter[Line] = Counter()
        for event in paid:
            if event.name == "EmissionSettled":
                key = (int(event.args["modelId"]), int(event.args["round"]))
                self._check_settlement(ledger, event, key, by_round[key])
            elif event.name == "FeeDistributed":
                fees += self._check_fee(ledger, event)
        found = Counter(
            line for key, events in by_round.items() if key[1] == 0 for line in map(line_of, events) if line
        )
        self.log.compare(("", 0), "fee payments", _listed(fees - found), _listed(found - fees), "missing and surplus")
        self._check_missing(settlements)
        self._check_books(ledger)
        check_tokens(self.chain, self.log, self.block, paid)

    def _check_settlement(self, ledger: Ledger, event: Event, key: tuple[int, int], paid: Sequence[Event]) -> None:
        facts = self.rounds.get(key)
        name = self.models[key[0]].name if key[0] in self.models else f"model {key[0]}"
        if facts is None or facts.ended is None:
            self.log.compare((name, key[1]), "settlement", "a round that ended", "payments without one")
            return
        ended = self._ended(facts)
        split = split_emission(
            ended, ledger.settled, ledger.carry[key[0]], TOKEN_CAP - ledger.minted, self._ancestors(ledger, key[0])
        )
        shares = [] if ended.is_void else divide_shares(key[1], ended.miners, ended.contributors)
        if sum(weight for _, weight in ended.miners) == 0:
            shares = []
        lines: Counter[Line] = Counter()
        for payment in split.payments:
            lines[("RewardCredited", payment.account, int(payment.kind), payment.amount)] += 1
        for model_id, amount in split.dividends:
            lines[("DividendsAdded", str(model_id), -1, amount)] += 1 if amount else 0
        lines[("TreasuryPaid", "", -1, split.treasury)] += 1 if split.treasury else 0
        for account, amount in shares:
            lines[("SharesMinted", account, -1, amount)] += 1
            ledger.shares[key[0]][account] += amount
        ledger.settled += 1
        ledger.minted += split.minted
        ledger.carry[key[0]] = split.carried_out
        if key in self.selected:
            self._compare(
                facts, event, (split.emission, split.carried_in, split.minted, split.carried_out), lines, paid
            )

    def _compare(
        self, facts: RoundFacts, event: Event, amounts: tuple[int, ...], lines: Counter[Line], paid: Sequence[Event]
    ) -> None:
        recorded = tuple(event.args[key] for key in ("emission", "carriedIn", "minted", "carriedOut"))
        self.log.compare(facts.where, "emission", amounts, recorded, "emission, carried in, minted, carried out (wei)")
        found = Counter(line for line in map(line_of, paid) if line)
        for check in ("RewardCredited", "DividendsAdded", "TreasuryPaid", "SharesMinted"):
            wanted = {line: count for line, count in lines.items() if line[0] == check and count}
            actual = {line: count for line, count in found.items() if line[0] == check}
            for line in sorted({*wanted, *actual}):
                subject = f"{line[1]} {RewardKind(line[2]).name.lower() if line[2] >= 0 else ''}".strip()
                expected, present = (f"{count} x {line[3]} wei" for count in (wanted.get(line, 0), actual.get(line, 0)))
                self.log.compare(facts.where, _CHECKS[check], expected, present, subject)

    def _ended(self, facts: RoundFacts) -> Ended:
        """What the round hands to the split: weights recomputed, not taken from the chain's own consensus."""
        opened = facts.one("RoundOpened")
        start = 0 if opened is None else int(opened.args["openBlock"])
        world = self._global_stake(start - 1)
        if facts.is_void or facts.ended is None:
            return Ended(True, facts.frozen_stake, world)
        values = expected_consensus(facts)
        accepted = sum(values) > 0
        winner = bytes(facts.ended.args["head"])
        scores = {who: row for who, _, row in facts.scores}
        validators = tuple(
            (
                who,
                validator_weight(
                    stake, agreement(scores.get(who, []), values) if who in scores else 0, who in scores,
                    not accepted or facts.heads.get(who) == winner,
                ),
            )
            for who, stake in facts.validators
        )  # fmt: skip
        if not accepted:
            return Ended(False, facts.frozen_stake, world, (), validators, ())
        miners = tuple((e.args["miner"], value) for e, value in zip(facts.submissions, values, strict=True))
        used = [[int(i) for i in event.args["datasetIds"]] for event in facts.submissions]
        owners = tuple(data_weights(values, used, lambda number: self.datasets[number].owner))
        return Ended(False, facts.frozen_stake, world, miners, validators, owners)

    def _global_stake(self, block: int) -> int:
        """All validators' stake that counted at a block, in wei: summed over everybody who ever staked as one."""
        seats = {
            (event.args["account"], int(event.args["modelId"]))
            for event in self.chain.events("Staking", "Staked", None, block)
            if int(event.args["role"]) == Role.VALIDATOR
        }
        return sum(self.chain.stake_of(who, model, Role.VALIDATOR, block) for who, model in sorted(seats))

    def _ancestors(self, ledger: Ledger, model_id: int) -> list[Ancestor]:
        found: list[Ancestor] = []
        parent = self.models[model_id].parent_id
        while parent:
            found.append(Ancestor(parent, ledger.has_shares(parent)))
            parent = self.models[parent].parent_id
        return found

    def _check_fee(self, ledger: Ledger, event: Event) -> Counter[Line]:
        model_id, amount = int(event.args["modelId"]), int(event.args["amount"])
        split = split_fee(amount, ledger.has_shares(model_id), self._ancestors(ledger, model_id))
        parents = sum(part for _, part in split.parents)
        recorded = tuple(event.args[key] for key in ("serverPart", "modelPart", "parentPart", "treasuryPart"))
        where = (self.models[model_id].name, 0)
        expected = (split.server, split.model, parents, split.treasury)
        self.log.compare(where, "fee", expected, recorded, f"block {event.block}: server, model, parents, treasury")
        lines: Counter[Line] = Counter()
        lines[("RewardCredited", event.args["server"], int(RewardKind.SERVER), split.server)] += 1
        lines[("TreasuryPaid", "", -1, split.treasury)] += 1
        for payee, part in [(model_id, split.model), *split.parents]:
            lines[("DividendsAdded", str(payee), -1, part)] += 1
        return Counter({line: count for line, count in lines.items() if line[3] > 0})

    def _check_missing(self, settlements: Sequence[Event]) -> None:
        """Every round that ended was settled, once."""
        counts = Counter((int(event.args["modelId"]), int(event.args["round"])) for event in settlements)
        for key in sorted(self.selected):
            facts = self.rounds[key]
            self.log.compare(facts.where, "settlement", 1 if facts.ended else 0, counts[key], "how often")

    def _check_books(self, ledger: Ledger) -> None:
        """Storage now, where nothing was paid since ``block``: it has no past."""
        found: list[tuple[str, str, int, int, str]] = []
        for model_id in sorted({key[0] for key in self.selected}):
            name, shares = self.models[model_id].name, ledger.shares[model_id]
            found.append((name, "carry", ledger.carry[model_id], self.chain.carry(model_id), "storage"))
            total = self.chain.total_shares(model_id)
            found.append((name, "total shares", shares.total(), total, "storage"))
            for account, amount in sorted(shares.items()):
                found.append((name, "shares", amount, self.chain.shares_of(model_id, account), account))
        if self.chain.events("Rewards", None, self.block + 1, None):
            return
        for name, check, expected, actual, subject in found:
            self.log.compare((name, 0), check, expected, actual, subject)


_CHECKS = {
    "RewardCredited": "rewards",
    "DividendsAdded": "dividends",
    "TreasuryPaid": "treasury",
    "SharesMinted": "shares",
}


def line_of(event: Event) -> Line | None:
    """An event as a payment, or ``None`` where it is none."""
    args = event.args
    if event.name == "RewardCredited":
        return (event.name, args["account"], int(args["kind"]), int(args["amount"]))
    if event.name == "DividendsAdded":
        return (event.name, str(args["modelId"]), -1, int(args["amount"]))
    if event.name == "TreasuryPaid":
        return (event.name, "", -1, int(args["amount"]))
    if event.name == "SharesMinted":
        return (event.name, args["account"], -1, int(args["shares"]))
    return None


def _listed(lines: Counter[Line]) -> list[str]:
    return [f"{name} {payee} {amount} wei" for name, payee, _, amount in sorted(lines.elements())]


def check_tokens(chain: AuditChain, log: AuditLog, block: int, paid: Sequence[Event]) -> None:
    """All balances make the supply, to the wei; each contract holds what its own events say that it owes."""
    balances: Counter[str] = Counter()
    for event in chain.events("StrataToken", "Transfer", None, block):
        amount = int(event.args["value"])
        balances[event.args["from"]] -= amount
        balances[event.args["to"]] += amount
    minted = -balances.pop(ZERO_ADDRESS, 0)
    where = ("", 0)
    held = {account: chain.token_balance(account, block) for account in sorted(balances)}
    for account, amount in held.items():
        log.compare(where, "balance", balances[account], amount, account)
    log.compare(where, "supply", minted, chain.total_supply(block), "minted less burned, and storage (wei)")
    log.compare(where, "conservation", chain.total_supply(block), sum(held.values()), "supply and all balances (wei)")
    for contract, amount in owed_by_contract(chain, block, paid).items():
        address = chain.contract_address(contract)
        log.compare(where, "escrow", amount, chain.token_balance(address, block), contract)


def owed_by_contract(chain: AuditChain, block: int, paid: Sequence[Event]) -> dict[str, int]:
    """What each contract must hold, from its events, in wei."""

    def total(events: Sequence[Event], name: str, key: str = "amount") -> int:
        return sum(int(event.args[key]) for event in events if event.name == name)

    staking = chain.events("Staking", None, None, block)
    channels = chain.events("InferenceChannels", None, None, block)
    return {
        "Staking": total(staking, "Staked") - total(staking, "Withdrawn") - total(staking, "Slashed"),
        "Rewards": total(paid, "RewardCredited") + total(paid, "DividendsAdded") - total(paid, "Claimed"),
        "InferenceChannels": total(channels, "ChannelOpened", "deposit")
        + total(channels, "ToppedUp")
        - total(channels, "VoucherRedeemed")
        - total(channels, "ChannelClosed", "refund"),
    }
