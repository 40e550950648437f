"""The transactions of :class:`client.chain.Chain`: each returns once mined, and raises what the contract refuses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from client.types import ChannelInfo, DatasetInfo, ModelInfo, Policy, Receipt, Reveal, RoundInfo
from contracts.enums import Level, Role, ScoreReason


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
    def channel(self, channel_id: bytes) -> ChannelInfo: ...
    @abstractmethod
    def _transact(self, contract: str, function: str, *args: Any) -> Receipt: ...
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

    def _allow(self, contract: str, amount: int) -> None:
        """Approves one of our contracts where what it may take is too little."""
        spender = self.contract_address(contract)
        if self.allowance(self.address, spender) < amount:
            self.approve(spender, amount)

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
        """Registers a dataset; ``Reverted("DuplicateRoot")`` when its content is there already. ``size`` in bytes."""
        receipt = self._transact("DataRegistry", "register", model_id, root, licence, size, shards, heldout)
        return self.dataset(int(receipt.event("DatasetRegistered").args["id"]))

    def vote_dataset(self, dataset_id: int, accept: bool) -> Receipt:
        """A validator's vote."""
        return self._transact("DataRegistry", "vote", dataset_id, accept)

    def withdraw_dataset(self, dataset_id: int) -> Receipt:
        """The owner takes it out of future rounds."""
        return self._transact("DataRegistry", "withdraw", dataset_id)

    # ---- stake

    def stake(self, model_id: int, role: Role, amount: int) -> Receipt:
        """Stakes tokens (wei) for a role; approves first where needed."""
        self._allow("Staking", amount)
        return self._transact("Staking", "stake", model_id, int(role), amount)

    def unstake(self, model_id: int, role: Role, amount: int) -> Receipt:
        """Asks stake back; it counts no more from now on."""
        return self._transact("Staking", "unstake", model_id, int(role), amount)

    def withdraw_stake(self) -> Receipt:
        """Takes out what has matured."""
        return self._transact("Staking", "withdraw")

    def rejoin(self, model_id: int) -> Receipt:
        """Lets a dropped validator's stake count again."""
        return self._transact("Staking", "rejoin", model_id)

    # ---- rounds

    def tick(self, model_id: int, number: int | None = None) -> Receipt:
        """Opens, advances or settles round ``number``; without one, whatever is due now.

        A tick for a round that somebody else moved on already does nothing.
        """
        return self._transact("Rounds", "tick", model_id, self._due(model_id) if number is None else number)

    def _due(self, model_id: int) -> int:
        """The round that a tick would move: the present one, or the next where that is settled."""
        last = self.current(model_id)
        return last + 1 if last == 0 or self.round(model_id, last).settled else last

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
        """Reveals scores (micro-nats) and reasons in submission order."""
        codes = [int(reason) for reason in reasons]
        return self._transact("Rounds", "revealScores", model_id, number, list(scores), codes, report, salt)

    def commit_head(self, model_id: int, number: int, commitment: bytes) -> Receipt:
        """Commits to the next head."""
        return self._transact("Rounds", "commitHead", model_id, number, commitment)

    def reveal_head(self, model_id: int, number: int, head: bytes, salt: bytes) -> Receipt:
        """Attests the next head."""
        return self._transact("Rounds", "revealHead", model_id, number, head, salt)

    # ---- earnings and channels

    def claim(self, model_ids: Sequence[int]) -> Receipt:
        """Takes matured rewards, and the dividends of these models."""
        return self._transact("Rewards", "claim", list(model_ids))

    def open_channel(self, server: str, model_id: int, deposit: int) -> ChannelInfo:
        """Locks ``deposit`` wei for one server and model; approves first where needed."""
        self._allow("InferenceChannels", deposit)
        receipt = self._transact("InferenceChannels", "open", server, model_id, deposit)
        return self.channel(bytes(receipt.event("ChannelOpened").args["channelId"]))

    def top_up(self, channel_id: bytes, amount: int) -> Receipt:
        """Adds to a channel's deposit; approves first where needed."""
        self._allow("InferenceChannels", amount)
        return self._transact("InferenceChannels", "topUp", channel_id, amount)

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
