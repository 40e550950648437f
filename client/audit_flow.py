"""All events of a network in their order, each taken by the books that it concerns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from client.audit_books import Books, RoundKey
from client.audit_data import DataLedger
from client.audit_facts import RoundFacts, in_order
from client.audit_log import AuditChain, AuditLog
from client.audit_money import Line, MoneyAudit
from client.audit_slashes import SlashAudit
from client.audit_stake import StakeLedger
from client.audit_tokens import check_claim, check_tokens, owed_by_channels, owed_by_rewards
from client.types import ZERO_ADDRESS, Event, ModelInfo
from contracts.enums import Role

SOURCES = ("Staking", "DataRegistry", "Rounds", "Rewards", "InferenceChannels", "StrataToken")


class Flow:
    """Replays a network's events up to ``block`` and compares what they say with what follows from the rest."""

    def __init__(
        self,
        chain: AuditChain,
        log: AuditLog,
        block: int,
        models: Mapping[int, ModelInfo],
        rounds: Mapping[RoundKey, RoundFacts],
        selected: frozenset[RoundKey],
    ) -> None:
        self.chain, self.log, self.block, self.models = chain, log, block, models
        self.events: dict[str, list[Event]] = {name: chain.events(name, None, None, block) for name in SOURCES}
        self.stake = StakeLedger(log, chain.unbonding_blocks())
        self.data = DataLedger(chain, log)
        self.books = Books(committed=self._genesis())
        for event in in_order(self.events["Staking"]):  # who ever staked must be known before the first round is paid
            if event.name == "Staked":
                self.stake.history[int(event.args["modelId"]), int(event.args["role"]), str(event.args["account"])]
        self.money = MoneyAudit(chain, log, models, rounds, selected, self.stake, self.data, self.books)
        self.slashes = SlashAudit(log, rounds, self.stake)
        self.redeemed: dict[bytes, list[Event]] = defaultdict(list)
        self.pool_claims: dict[tuple[bytes, int, str], list[int]] = defaultdict(list)
        self.fees: Counter[Line] = Counter()

    def _genesis(self) -> int:
        """Tokens that were minted otherwise than by rounds, in wei."""
        rewards = self.chain.contract_address("Rewards")
        mints = [event for event in self.events["StrataToken"] if event.args.get("from") == ZERO_ADDRESS]
        return sum(int(event.args["value"]) for event in mints if event.args["to"] != rewards)

    def run(self) -> None:
        """Everything in order, then what is left over, storage and the tokens."""
        for event in self.events["InferenceChannels"]:
            if event.name == "VoucherRedeemed":
                self.redeemed[event.tx].append(event)
        moves = [e for name in SOURCES if name not in ("StrataToken", "InferenceChannels") for e in self.events[name]]
        for event in in_order(moves):
            getattr(self, f"_{event.contract}")(event)
        self.stake.finish()
        self.money.finish(self.fees)
        self.data.finish(self.block)
        self._check_storage()
        owed = {
            "Staking": self.stake.held,
            "DataRegistry": self.data.held,
            "Rewards": owed_by_rewards(self.events["Rewards"]),
            "InferenceChannels": owed_by_channels(self.events["InferenceChannels"]),
        }
        transfers = [event for event in self.events["StrataToken"] if event.name == "Transfer"]
        check_tokens(self.chain, self.log, self.block, transfers, owed)

    # ---- events by contract

    def _Staking(self, event: Event) -> None:
        if event.name == "Slashed":
            self.slashes.take(event)
            return
        if event.name == "Harvested":
            where = (event.tx, int(event.args["modelId"]), str(event.args["validator"]))
            paid = self.pool_claims[where].pop(0) if self.pool_claims[where] else 0
            self._same("harvest", paid, int(event.args["amount"]), f"{where[2]}, block {event.block}: as claimed (wei)")
        self.stake.take(event)

    def _DataRegistry(self, event: Event) -> None:
        self.data.take(event)

    def _Rounds(self, event: Event) -> None:
        self.slashes.take(event)
        self.money.take(event)

    def _Rewards(self, event: Event) -> None:
        if event.name == "FeeDistributed":
            self.fees += self.money.fee(event, self.redeemed[event.tx])
        elif event.name in ("Claimed", "PoolClaimed"):
            check_claim(self.log, self.books, event)
            if event.name == "PoolClaimed":
                where = (event.tx, int(event.args["modelId"]), str(event.args["validator"]))
                self.pool_claims[where].append(int(event.args["amount"]))
        else:
            self.money.take(event)

    # ---- storage

    def _check_storage(self) -> None:
        """What can only be read as it is now, where nothing happened since ``block``: it has no past."""
        if not self.chain.events("Rewards", None, self.block + 1, None):
            for model_id in sorted({key[0] for key in self.money.selected}):
                self._check_books(model_id)
        if not self.chain.events("Staking", None, self.block + 1, None):
            for (model_id, role, who), operator in sorted(self.stake.operators.items()):
                stored = self.chain.stake_of(who, model_id, Role(role))
                self._same("stake", operator.raw, stored, f"{who} on model {model_id}: all that is staked on it (wei)")

    def _check_books(self, model_id: int) -> None:
        where = (self.models[model_id].name, 0)
        shares = self.books.shares(model_id)
        if not any(key[0] == model_id for key in self.books.opened):
            self.log.compare(where, "carry", self.books.carry[model_id], self.chain.carry(model_id), "storage")
        self.log.compare(where, "total shares", shares.total(), self.chain.total_shares(model_id), "storage")
        for account, amount in sorted(shares.items()):
            self.log.compare(where, "shares", amount, self.chain.shares_of(model_id, account), account)

    def _same(self, check: str, expected: int, found: int, subject: str) -> None:
        self.log.compare(("", 0), check, expected, found, subject)
