"""The transactions of :class:`client.chain.Chain`: each returns once mined, and raises what the contract refuses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from client.errors import Reverted
from client.reverts import sentence
from client.types import FULL_VALUE, ChannelInfo, DatasetInfo, ModelInfo, Policy, Receipt, Reveal, RoundInfo, due_round
from contracts.enums import Level, Role, ScoreReason

MAX_PAGES = 160  # ticks that one call sends at most; the largest round takes about 90
NEXT_BLOCK_SECONDS = 120.0  # for the block after an announcement
REGISTER_GAS = 900_000  # of a dataset, whose cost can't be estimated in the block of its announcement


class Actions(ABC):
    """What an account does. The class that mixes this in knows how to send and read."""

    @property
    @abstractmethod
    def address(self) -> str: ...
    @abstractmethod
    def contract_address(self, contract: str) -> str: ...
    @abstractmethod
    def allowance(self, owner: str, spender: str) -> int: ...
    @abstractmethod
    def model(self, name_or_id: str | int) -> ModelInfo: ...
    @abstractmethod
    def current(self, model_id: int, block: int | None = None) -> int: ...
    @abstractmethod
    def round(self, model_id: int, number: int, block: int | None = None) -> RoundInfo: ...
    @abstractmethod
    def dataset(self, dataset_id: int, block: int | None = None) -> DatasetInfo: ...
    @abstractmethod
    def dataset_id_of(self, root: bytes) -> int: ...
    @abstractmethod
    def dataset_deposit(self) -> int: ...
    @abstractmethod
    def wait_block(self, number: int, timeout: float) -> int: ...
    @abstractmethod
    def channel(self, channel_id: bytes) -> ChannelInfo: ...
    @abstractmethod
    def _read(self, contract: str, function: str, *args: Any, block: int | None = None) -> Any: ...
    @abstractmethod
    def _transact(self, contract: str, function: str, *args: Any, gas: int | None = None) -> Receipt: ...
    @abstractmethod
    def _permitted(self, contract: str, amount: int, call: tuple[str, Sequence[Any]], gas: int | None) -> Receipt: ...
    @abstractmethod
    def _dataset_salt(self, model_id: int, root: bytes) -> bytes: ...
    @abstractmethod
    def _pay(self, to: str, amount: int) -> Receipt: ...

    # ---- money

    def transfer(self, to: str, amount: int) -> Receipt:
        """Sends tokens (wei)."""
        return self._transact("StrataToken", "transfer", to, amount)

    def send_coins(self, to: str, amount: int) -> Receipt:
        """Sends the chain's own coins (wei), which pay for gas."""
        return self._pay(to, amount)

    def approve(self, spender: str, amount: int) -> Receipt:
        """Lets ``spender`` take up to ``amount`` wei of tokens."""
        return self._transact("StrataToken", "approve", spender, amount)

    def _spend(self, contract: str, amount: int, function: str, *args: Any, gas: int | None = None) -> Receipt:
        """A call that lets one of our contracts take ``amount`` wei: the leave is signed into the same transaction.

        Where that does not help (another leave was used in between) the contract is given it by ``approve``.
        """
        if self.allowance(self.address, self.contract_address(contract)) >= amount:
            return self._transact(contract, function, *args, gas=gas)
        try:
            return self._permitted(contract, amount, (function, args), gas)
        except Reverted as error:
            if error.name != "ERC20InsufficientAllowance":
                raise
        self.approve(self.contract_address(contract), amount)
        return self._transact(contract, function, *args, gas=gas)

    # ---- models and data

    def register_model(
        self, parent_id: int, level: Level, name: str, field: str, genesis: bytes, policy: Policy
    ) -> ModelInfo:
        """Registers a model below ``parent_id`` (0: a root); its head is its genesis."""
        args = (parent_id, int(level), name, field, genesis, policy.as_tuple())
        receipt = self._transact("ModelRegistry", "register", *args)
        return self.model(int(receipt.event("ModelRegistered").args["id"]))

    def register_dataset(
        self, model_id: int, root: bytes, licence: str, size: int, shards: int, heldout: int
    ) -> DatasetInfo:
        """Announces a dataset, then registers it with its deposit; ``size`` in bytes.

        Interrupted in between, it is called again and goes on: the announcement's salt is always the same.
        ``Reverted("DuplicateRoot")`` when its content is there already.
        """
        if self.dataset_id_of(root):
            raise Reverted("DuplicateRoot", (root,), sentence("DuplicateRoot", ("root",), (root,)))
        salt = self._dataset_salt(model_id, root)
        commitment = bytes(self._read("DataRegistry", "commitmentOf", model_id, self.address, root, salt))
        announced = int(self._read("DataRegistry", "announcedAt", commitment))
        if not announced:
            announced = self._transact("DataRegistry", "announce", commitment).block
        args = (model_id, root, licence, size, shards, heldout, salt)
        try:
            receipt = self._spend("DataRegistry", self.dataset_deposit(), "register", *args, gas=REGISTER_GAS)
        except Reverted as error:
            if error.name != "NotAnnounced":
                raise
            self.wait_block(announced + 1, NEXT_BLOCK_SECONDS)  # some nodes try calls in the newest block
            receipt = self._spend("DataRegistry", self.dataset_deposit(), "register", *args, gas=REGISTER_GAS)
        return self.dataset(int(receipt.event("DatasetRegistered").args["id"]))

    def vote_dataset(self, dataset_id: int, accept: bool, value: int = FULL_VALUE) -> Receipt:
        """A validator's vote; ``value`` in basis points says what an accepted dataset counts."""
        return self._transact("DataRegistry", "vote", dataset_id, accept, value if accept else 0)

    def withdraw_dataset(self, dataset_id: int) -> Receipt:
        """The owner takes it out of future rounds."""
        return self._transact("DataRegistry", "withdraw", dataset_id)

    def reclaim_deposit(self, dataset_id: int) -> Receipt:
        """The owner takes the deposit of its accepted (or withdrawn) dataset back."""
        return self._transact("DataRegistry", "reclaim", dataset_id)

    # ---- stake

    def stake(self, model_id: int, role: Role, amount: int) -> Receipt:
        """Stakes tokens (wei) for a role."""
        return self._spend("Staking", amount, "stake", model_id, int(role), amount)

    def unstake(self, model_id: int, role: Role, amount: int) -> Receipt:
        """Asks stake back; it counts no more from now on."""
        return self._transact("Staking", "unstake", model_id, int(role), amount)

    def withdraw_stake(self) -> Receipt:
        """Takes out what has matured, and what was credited."""
        return self._transact("Staking", "withdraw")

    def rejoin(self, model_id: int) -> Receipt:
        """Lets a dropped validator's stake count again."""
        return self._transact("Staking", "rejoin", model_id)

    def reseat(self, model_id: int, role: Role) -> Receipt:
        """Asks for a seat again with the stake that lost it."""
        return self._transact("Staking", "reseat", model_id, int(role))

    # ---- delegation

    def delegate(self, model_id: int, validator: str, amount: int) -> Receipt:
        """Adds tokens (wei) to a validator's stake, for shares of its pool."""
        return self._spend("Staking", amount, "delegate", model_id, validator, amount)

    def undelegate(self, model_id: int, validator: str, shares: int) -> Receipt:
        """Gives shares of a pool back; what they are worth can be withdrawn after the unbonding time."""
        return self._transact("Staking", "undelegate", model_id, validator, shares)

    def set_commission(self, model_id: int, bps: int) -> Receipt:
        """Sets which part of its delegators' rewards the validator keeps; a rise waits for the unbonding time."""
        return self._transact("Staking", "setCommission", model_id, bps)

    def harvest(self, model_id: int, validator: str) -> Receipt:
        """Brings a pool's matured rewards to its delegators (anyone may)."""
        return self._transact("Staking", "harvest", model_id, validator)

    def claim_delegation(self, model_id: int, validator: str) -> Receipt:
        """Takes the account's part of what a pool has harvested."""
        return self._transact("Staking", "claimDelegation", model_id, validator)

    # ---- rounds

    def tick(self, model_id: int, number: int | None = None) -> Receipt:
        """Opens, advances or settles round ``number``; without one, whatever is due now.

        Goes on until all pages are done. A tick for a round that somebody else moved on already does nothing. The
        receipt is the last one's, with the events of all.
        """
        number = self._due(model_id) if number is None else number
        receipt = self._transact("Rounds", "tick", model_id, number)
        for _ in range(MAX_PAGES):
            if not self._unfinished(model_id, number, receipt):
                break
            more = self._transact("Rounds", "tick", model_id, number)
            receipt = replace(more, events=(*receipt.events, *more.events))
        return receipt

    def _unfinished(self, model_id: int, number: int, receipt: Receipt) -> bool:
        """Whether the round has more pages to take now."""
        names = [event.name for event in receipt.events]
        if "RoundSettled" in names or number == 0 or number > self.current(model_id):
            return False
        view = self.round(model_id, number)
        return (view.ended and not view.settled) or ("ConsensusPage" in names and not view.consensus_known)

    def _due(self, model_id: int) -> int:
        """The round that a tick would move (see ``client.types.due_round``)."""
        last = self.current(model_id)
        return due_round([self.round(model_id, number) for number in range(max(1, last - 1), last + 1)])

    def commit_delta(self, model_id: int, number: int, commitment: bytes) -> Receipt:
        """Commits to a delta (see ``client.commitments``)."""
        return self._transact("Rounds", "commitDelta", model_id, number, commitment)

    def reveal_delta(self, model_id: int, number: int, reveal: Reveal) -> Receipt:
        """Reveals the delta."""
        struct = (
            reveal.digest,
            reveal.salt,
            int(reveal.kind),
            reveal.base_head,
            list(reveal.dataset_ids),
            reveal.trained_tokens,
        )
        return self._transact("Rounds", "revealDelta", model_id, number, struct)

    def commit_scores(self, model_id: int, number: int, commitment: bytes) -> Receipt:
        """Commits to scores."""
        return self._transact("Rounds", "commitScores", model_id, number, commitment)

    def reveal_scores(
        self,
        model_id: int,
        number: int,
        scores: Sequence[int],
        reasons: Sequence[ScoreReason],
        report: bytes,
        salt: bytes,
    ) -> Receipt:
        """Reveals scores (micro-nats) and reasons of the submissions dealt to the account, ascending."""
        codes = [int(reason) for reason in reasons]
        return self._transact("Rounds", "revealScores", model_id, number, list(scores), codes, report, salt)

    def commit_head(self, model_id: int, number: int, commitment: bytes) -> Receipt:
        """Commits to the next head."""
        return self._transact("Rounds", "commitHead", model_id, number, commitment)

    def reveal_head(self, model_id: int, number: int, head: bytes, salt: bytes) -> Receipt:
        """Attests the next head."""
        return self._transact("Rounds", "revealHead", model_id, number, head, salt)

    def challenge(self, model_id: int, number: int) -> Receipt:
        """Objects to a round while its rewards vest; two thirds of its stake take them back."""
        return self._transact("Rounds", "challenge", model_id, number)

    def prove_conflict(
        self, model_id: int, number: int, validator: str, first: tuple[bytes, bytes], second: tuple[bytes, bytes]
    ) -> Receipt:
        """Shows two different heads that a validator signed for one round, as (head, signature): it is slashed."""
        return self._transact("Rounds", "proveConflict", model_id, number, validator, *first, *second)

    # ---- earnings and channels

    def claim(self, model_ids: Sequence[int]) -> Receipt:
        """Takes matured rewards, and the dividends of these models."""
        return self._transact("Rewards", "claim", list(model_ids))

    def open_channel(self, server: str, model_id: int, deposit: int) -> ChannelInfo:
        """Locks ``deposit`` wei for one server and model."""
        receipt = self._spend("InferenceChannels", deposit, "open", server, model_id, deposit)
        return self.channel(bytes(receipt.event("ChannelOpened").args["channelId"]))

    def top_up(self, channel_id: bytes, amount: int) -> Receipt:
        """Adds to a channel's deposit."""
        return self._spend("InferenceChannels", amount, "topUp", channel_id, amount)

    def redeem(self, channel_id: bytes, cumulative: int, signature: bytes) -> Receipt:
        """Pays the server what a voucher adds."""
        return self._transact("InferenceChannels", "redeem", channel_id, cumulative, signature)

    def start_close(self, channel_id: bytes) -> Receipt:
        """The user wants its remainder back; the server has some blocks to redeem."""
        return self._transact("InferenceChannels", "startClose", channel_id)

    def close_channel(self, channel_id: bytes) -> Receipt:
        """Pays the user its remainder once the delay is over."""
        return self._transact("InferenceChannels", "close", channel_id)

    def close_by_server(self, channel_id: bytes) -> Receipt:
        """The server lets the user have its remainder at once."""
        return self._transact("InferenceChannels", "closeByServer", channel_id)
