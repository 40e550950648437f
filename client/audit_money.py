"""Every payment recomputed: emission, shares, dividends, delegators' parts and fees, from scores and frozen stakes.

Books run beside the chain's, over all models in the order of events, because shares of parents, stake and the cap cross
from one model to another. A settlement begins with the round's end and finishes pages later; what it pays is checked
when it finishes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from client.audit_bonds import ModelBonds
from client.audit_books import TOKEN_CAP, Books, Opened, RoundKey, splits_of
from client.audit_data import DataLedger
from client.audit_facts import RoundFacts, policy_before
from client.audit_log import AuditChain, AuditLog
from client.audit_stake import StakeLedger
from client.commitments import pool_account
from client.types import ZERO_ADDRESS, Event, ModelInfo
from contracts.enums import RewardKind, Role, VoidReason
from contracts.reference import (
    HASH_BLOCKS,
    HISTORY_BLOCKS,
    Ancestor,
    Ended,
    Pool,
    data_weights,
    divide_shares,
    emission_at,
    emission_for,
    ending,
    paid_blocks,
    pot_of,
    split_emission,
    split_fee,
)
from contracts.reference import RoundFacts as Clock

Line = tuple[str, str, int, int]
"""A payment: event's name, payee (address or model number), kind (or -1), wei."""


@dataclass
class MoneyAudit:
    """All that the payments depend on. ``stake`` and ``data`` follow the same events beside it."""

    chain: AuditChain
    log: AuditLog
    models: Mapping[int, ModelInfo]
    rounds: Mapping[RoundKey, RoundFacts]
    selected: frozenset[RoundKey]
    stake: StakeLedger
    data: DataLedger
    books: Books
    paid: dict[RoundKey, list[Event]] = field(default_factory=lambda: defaultdict(list))
    pools: dict[RoundKey, dict[str, Pool]] = field(default_factory=lambda: defaultdict(dict))
    weights: dict[RoundKey, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    left: dict[RoundKey, int] = field(default_factory=dict)
    settled: Counter[RoundKey] = field(default_factory=Counter)
    bonds: dict[int, ModelBonds] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._vesting, self._start = self.chain.vesting_blocks(), self.chain.start_block()
        for model_id in self.models:
            self.bonds[model_id] = ModelBonds(model_id, self._miner_since)
        for key, facts in sorted(self.rounds.items()):
            if facts.is_seated:
                self.weights[key] = self.bonds[key[0]].take(facts)
        self._handlers: dict[str, Callable[[Event], None]] = {
            "RoundFinalized": self._begin,
            "RoundVoided": self._begin,
            "EmissionSettled": self._finish,
            "RewardCredited": self._credited,
            "DividendsAdded": self._keep,
            "TreasuryPaid": self._keep,
            "SharesMinted": self._keep,
            "RewardsVoided": self._voided,
            "SplitsSet": lambda event: setattr(self.books, "splits", splits_of(event.args["splits"])),
            "ArchiveSet": self._archive,
        }

    def take(self, event: Event) -> None:
        """One event of ``Rounds`` or ``Rewards``."""
        handler = self._handlers.get(event.name)
        if handler is not None:
            handler(event)

    def _miner_since(self, model_id: int, miner: str, block: int) -> int:
        return self.chain.member_since(model_id, Role.MINER, miner, block)

    def _archive(self, event: Event) -> None:
        account = str(event.args["account"])
        self.books.archives[int(event.args["modelId"])] = "" if account == ZERO_ADDRESS else account

    # ---- a settlement begins

    def _begin(self, event: Event) -> None:
        key = _key(event)
        facts = self.rounds.get(key)
        if facts is None:
            return
        books, model_id = self.books, key[0]
        emission = self._emission(facts, event)
        mintable = TOKEN_CAP - books.committed
        pot = 0 if facts.is_void else pot_of(emission, books.carry[model_id], mintable)
        unlock = event.block + self._vesting
        archive = books.archives.get(model_id) or None
        books.opened[key] = Opened(emission, books.carry[model_id], mintable, pot, books.splits, archive, unlock)
        books.carry[model_id] += emission - pot
        books.committed += pot
        if not facts.is_void:
            books.unlocks[key] = unlock

    def _emission(self, facts: RoundFacts, event: Event) -> int:
        """Of the round's blocks that no earlier round of the model was paid for."""
        until, end = self.books.settled_until, self._end_block(facts)
        blocks = paid_blocks(facts.open_block, end, until[facts.model.id])
        until[facts.model.id] = max(until[facts.model.id], end)
        if facts.info.void_reason == VoidReason.EMPTY:
            return 0
        per_block = emission_at(max(0, facts.open_block - self._start))
        world = self._global_stake(facts.open_block - 1)
        part = policy_before(self.chain, facts.model.id, event).emission_bps
        return emission_for(per_block, blocks, facts.frozen_stake, world, part)

    def _end_block(self, facts: RoundFacts) -> int:
        """The first block after the round, by its windows as they turned out."""
        support = 0 if facts.is_void or facts.ended is None else int(facts.ended.args["attestedStake"])
        clock = Clock(
            open_block=facts.open_block,
            windows=tuple(self.chain.windows(facts.model.id, facts.number)),
            commits=len(facts.all("DeltaCommitted")),
            reveals=len(facts.submissions),
            seed_known=facts.one("SeedCaptured") is not None,
            evaluation_seed_known=facts.one("EvaluationSeedCaptured") is not None,
            consensus_known=facts.has_consensus,
            accepted=facts.accepted,
            frozen_stake=facts.frozen_stake,
            scores_stake=facts.scored_stake,
            head_stake=support,
            quorum_bps=facts.info.quorum_bps,
            history_blocks=_history_blocks(facts),
        )
        return ending(clock)[0]

    def _global_stake(self, block: int) -> int:
        """All validators' stake that counted at a block, in wei: summed over everybody who ever staked as one."""
        keys = sorted(key for key in self.stake.history if key[1] == Role.VALIDATOR)
        return sum(self.chain.stake_of(who, model, Role.VALIDATOR, block) for model, _, who in keys)

    # ---- its pages

    def _keep(self, event: Event) -> None:
        key = _source(event)
        if event.name == "TreasuryPaid" and key in self.left:  # dividends of shares that were taken back
            self._compare(key, "taken back", self.left.pop(key), int(event.args["amount"]), "dividends (wei)")
        else:
            self.paid[key].append(event)

    def _credited(self, event: Event) -> None:
        key, account, kind = _source(event), str(event.args["account"]), RewardKind(event.args["kind"])
        self.paid[key].append(event)
        if kind in (RewardKind.VALIDATOR, RewardKind.DELEGATION) and key in self.weights:
            for who, _ in self.weights[key]:
                if account in (who, pool_account(key[0], who)):
                    self.pools[key].setdefault(who, self.stake.pool(key[0], who, event.block))
        wanted = self.books.unlocks.get(key) if key[1] else event.block
        if key[1] == 0 or key in self.selected:
            name = self.models[key[0]].name if key[0] in self.models else ""
            subject = f"{account} {kind.name.lower()}"
            self.log.compare((name, key[1]), "unlock block", wanted, int(event.args["unlockBlock"]), subject)

    def _finish(self, event: Event) -> None:
        key = _key(event)
        facts, opened = self.rounds.get(key), self.books.opened.pop(key, None)
        self.settled[key] += 1
        if facts is None or opened is None:
            name = self.models[key[0]].name if key[0] in self.models else f"model {key[0]}"
            self.log.compare((name, key[1]), "settlement", "a round that ended", "payments without one")
            return
        ended, books = self._ended(facts), self.books
        split = split_emission(
            ended, opened.emission, opened.carried_in, opened.mintable, self._ancestors(key[0]), opened.splits,
            opened.archive, self.pools[key],
        )  # fmt: skip
        shares = divide_shares(key[1], ended.miners, ended.contributors, opened.splits) if ended.accepted else []
        lines: Counter[Line] = Counter()
        for payment in split.payments:
            theirs = payment.kind == RewardKind.DELEGATION
            payee = pool_account(key[0], payment.account) if theirs else payment.account
            lines[("RewardCredited", payee, int(payment.kind), payment.amount)] += 1
            books.credits[key][payee] += payment.amount
        for account, amount in shares:
            lines[("SharesMinted", account, -1, amount)] += 1
            books.give_shares(key, account, amount)
        for model_id, amount in split.dividends:
            lines[("DividendsAdded", str(model_id), -1, amount)] += 1 if amount else 0
            books.pay_shareholders(model_id, amount)
        lines[("TreasuryPaid", "", -1, split.treasury)] += 1 if split.treasury else 0
        books.committed += split.minted - opened.pot
        books.carry[key[0]] += opened.pot - split.minted
        carried = split.carried_out + opened.voided
        self._check(facts, event, (split.emission, split.carried_in, split.minted, carried), lines)

    def _ended(self, facts: RoundFacts) -> Ended:
        """What the round hands to the split: weights recomputed, not taken from the chain's own consensus."""
        if facts.is_void or facts.ended is None:
            return Ended(True)
        validators = self.weights.get((facts.model.id, facts.number), ())
        if not facts.accepted:
            return Ended(False, (), validators, ())
        values = facts.consensus
        miners = tuple((e.args["miner"], value) for e, value in zip(facts.submissions, values, strict=True))
        owners = [
            entry
            for event, value in zip(facts.submissions, values, strict=True)
            for entry in data_weights(
                [value], [[int(i) for i in event.args["datasetIds"]]], self.data.owner, self.data.values_at(event)
            )
        ]
        return Ended(False, miners, validators, tuple(owners))

    def _ancestors(self, model_id: int) -> list[Ancestor]:
        found: list[Ancestor] = []
        parent = self.models[model_id].parent_id
        while parent:
            found.append(Ancestor(parent, self.books.has_shares(parent)))
            parent = self.models[parent].parent_id
        return found

    def _check(self, facts: RoundFacts, event: Event, amounts: tuple[int, ...], lines: Counter[Line]) -> None:
        key = _key(event)
        if key not in self.selected:
            return
        recorded = tuple(event.args[name] for name in ("emission", "carriedIn", "minted", "carriedOut"))
        self.log.compare(facts.where, "emission", amounts, recorded, "emission, carried in, minted, carried out (wei)")
        found = Counter(line for line in map(line_of, self.paid[key]) if line)
        for check in ("RewardCredited", "DividendsAdded", "TreasuryPaid", "SharesMinted"):
            wanted = {line: count for line, count in lines.items() if line[0] == check and count}
            actual = {line: count for line, count in found.items() if line[0] == check}
            for line in sorted({*wanted, *actual}):
                subject = f"{line[1]} {RewardKind(line[2]).name.lower() if line[2] >= 0 else ''}".strip()
                expected, present = (f"{count} x {line[3]} wei" for count in (wanted.get(line, 0), actual.get(line, 0)))
                self.log.compare(facts.where, _CHECKS[check], expected, present, subject)

    def _voided(self, event: Event) -> None:
        """Taken back before it matured, since two thirds of the stake objected."""
        key = _key(event)
        facts = self.rounds.get(key)
        if facts is None:
            return
        against = sum(int(e.args["stake"]) for e in facts.all("RoundChallenged"))
        enough = against * 3 >= facts.frozen_stake * 2
        self.log.compare(facts.where, "taken back", True, enough, "two thirds of the stake object")
        in_time = event.block < self.books.unlocks.get(key, 0)
        self.log.compare(facts.where, "taken back", True, in_time, "before the rewards matured")
        amount, shares, dividends = self.books.void(key)
        if dividends:
            self.left[key] = dividends
        told = (int(event.args["amount"]), int(event.args["shares"]))
        self.log.compare(facts.where, "taken back", (amount, shares), told, "wei and shares")

    def _compare(self, key: RoundKey, check: str, expected: object, found: object, subject: str) -> None:
        facts = self.rounds.get(key)
        if key in self.selected and facts is not None:
            self.log.compare(facts.where, check, expected, found, subject)

    # ---- fees, and the end

    def fee(self, event: Event, redeemed: Sequence[Event]) -> Counter[Line]:
        """Divide a fee; ``redeemed``: the vouchers of its transaction. Returns the payments that it must make."""
        model_id, amount, server = int(event.args["modelId"]), int(event.args["amount"]), event.args["server"]
        where = (self.models[model_id].name, 0)
        vouchers = [(int(e.args["modelId"]), e.args["server"], int(e.args["amount"])) for e in redeemed]
        known = (model_id, server, amount) in vouchers
        self.log.compare(where, "voucher", True, known, f"block {event.block}: a fee of {amount} wei was redeemed")
        split = split_fee(amount, self.books.has_shares(model_id), self._ancestors(model_id), self.books.splits)
        parents = sum(part for _, part in split.parents)
        recorded = tuple(event.args[key] for key in ("serverPart", "modelPart", "parentPart", "treasuryPart"))
        expected = (split.server, split.model, parents, split.treasury)
        self.log.compare(where, "fee", expected, recorded, f"block {event.block}: server, model, parents, treasury")
        self.books.fees[server] += split.server
        lines: Counter[Line] = Counter()
        lines[("RewardCredited", server, int(RewardKind.SERVER), split.server)] += 1
        lines[("TreasuryPaid", "", -1, split.treasury)] += 1
        for payee, part in [(model_id, split.model), *split.parents]:
            lines[("DividendsAdded", str(payee), -1, part)] += 1
            self.books.pay_shareholders(payee, part)
        return Counter({line: count for line, count in lines.items() if line[3] > 0})

    def finish(self, fees: Counter[Line]) -> None:
        """Every round that ended was settled, once; every payment outside of rounds is of a fee."""
        paid = [event for key, events in self.paid.items() if key[1] == 0 for event in events]
        found = Counter(line for line in map(line_of, paid) if line)
        self.log.compare(("", 0), "fee payments", _listed(fees - found), _listed(found - fees), "missing and surplus")
        for key in sorted(self.selected):
            facts = self.rounds[key]
            self.log.compare(facts.where, "settlement", 1 if facts.ended else 0, self.settled[key], "how often")


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


def _history_blocks(facts: RoundFacts) -> int:
    """How far back the chain's hashes could be read; it matters to a round that lost its seed, and shows in it."""
    long = facts.ended is not None and facts.ended.block > facts.open_block + HISTORY_BLOCKS
    return HISTORY_BLOCKS if facts.info.void_reason != VoidReason.NO_SEED or long else HASH_BLOCKS


def _key(event: Event) -> RoundKey:
    return int(event.args["modelId"]), int(event.args["round"])


def _source(event: Event) -> RoundKey:
    """The round that a payment comes from."""
    return int(event.args.get("fromModelId", event.args["modelId"])), int(event.args["round"])
