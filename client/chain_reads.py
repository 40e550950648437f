"""The reads of :class:`client.chain.Chain`: many processes poll one chain, so what can't change is read once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from client.chain_records import read_channel, read_dataset, read_model
from client.chain_rounds import RoundReads
from client.chain_rpc import Rpc
from client.chain_stake import StakeReads
from client.errors import ChainError, ChainUnavailable, UnknownModel
from client.types import (
    BlockInfo,
    ChannelInfo,
    DatasetInfo,
    ModelInfo,
    Policy,
)

WAIT_POLL_SECONDS = 0.3


def at_block(block: int | None) -> str:
    """A block as JSON-RPC takes it; None is the newest."""
    return "latest" if block is None else hex(block)


class Reads(RoundReads, StakeReads):
    """What anybody can see. The class that mixes this in knows how to call contracts."""

    def __init__(self, rpc: Rpc) -> None:
        super().__init__()
        self._rpc = rpc
        self._model_ids: dict[str, int] = {}

    # ---- blocks and money

    def block_number(self) -> int:
        """The newest block."""
        return int(self._rpc.request("eth_blockNumber"), 16)

    def block(self, number: int | None = None) -> BlockInfo:
        """A block; the newest by default. ``ChainError`` when it is not there."""
        raw = self._rpc.request("eth_getBlockByNumber", [at_block(number), False])
        if raw is None:
            raise ChainError(f"The chain has no block {number} yet.")
        return BlockInfo(int(raw["number"], 16), int(raw["timestamp"], 16), bytes.fromhex(raw["hash"][2:]))

    def wait_block(self, number: int, timeout: float) -> int:
        """Waits until block ``number`` is there; the newest block. ``ChainUnavailable`` after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            newest = int(self._rpc.request("eth_blockNumber", patience=max(left, 0.0)), 16)
            if newest >= number:
                return newest
            if left <= 0:
                raise ChainUnavailable(f"Block {number} did not come within {timeout:.0f} s; the chain is at {newest}.")
            self._rpc.pause(min(WAIT_POLL_SECONDS, max(left, 0.01)))

    def balance(self, address: str, block: int | None = None) -> int:
        """Coins, in wei."""
        return int(self._rpc.request("eth_getBalance", [address, at_block(block)]), 16)

    def token_balance(self, address: str, block: int | None = None) -> int:
        """Tokens, in wei."""
        return int(self._read("StrataToken", "balanceOf", address, block=block))

    def total_supply(self, block: int | None = None) -> int:
        """All tokens that exist, in wei."""
        return int(self._read("StrataToken", "totalSupply", block=block))

    def allowance(self, owner: str, spender: str) -> int:
        """Tokens that ``spender`` may take, in wei."""
        return int(self._read("StrataToken", "allowance", owner, spender))

    # ---- models and data

    def models(self) -> list[ModelInfo]:
        """All models by id, in two requests."""
        count = int(self._read("ModelRegistry", "count"))
        raws = self._read_many([("ModelRegistry", "get", (i,)) for i in range(1, count + 1)])
        return [read_model(i, raw) for i, raw in enumerate(raws, start=1)]

    def model(self, name_or_id: str | int) -> ModelInfo:
        """By name or number; ``UnknownModel`` names those that there are."""
        model_id = self._model_id(name_or_id)
        if model_id:
            try:
                return read_model(model_id, self._read("ModelRegistry", "get", model_id))
            except ChainError as error:
                if getattr(error, "name", "") != "UnknownModel":
                    raise
        known = ", ".join(model.name for model in self.models()) or "none yet"
        raise UnknownModel(f"There is no model {name_or_id!r}. Known are: {known}. See `strata models`.")

    def head(self, model_id: int, block: int | None = None) -> bytes:
        """The digest of the model's head manifest."""
        return bytes(self._read("ModelRegistry", "headOf", model_id, block=block))

    def policy(self, model_id: int, block: int | None = None) -> Policy:
        """The rules for rounds that open now; a live round keeps those that it opened with."""
        raw = self._read("ModelRegistry", "policyOf", model_id, block=block)
        return Policy(*(int(value) for value in raw.values()))

    def datasets(self, model_id: int | None = None, block: int | None = None) -> list[DatasetInfo]:
        """All datasets, or one model's, by id."""
        count = int(self._read("DataRegistry", "count", block=block))
        raws = self._read_many([("DataRegistry", "get", (i,)) for i in range(1, count + 1)], block=block)
        found = [read_dataset(i, raw) for i, raw in enumerate(raws, start=1)]
        return [d for d in found if model_id is None or d.model_id == model_id]

    def dataset(self, dataset_id: int, block: int | None = None) -> DatasetInfo:
        """One dataset."""
        return read_dataset(dataset_id, self._read("DataRegistry", "get", dataset_id, block=block))

    def dataset_id_of(self, root: bytes) -> int:
        """The dataset with that root; 0 when there is none."""
        return int(self._read("DataRegistry", "idOf", root))

    def dataset_deposit(self) -> int:
        """What a registration has to leave behind now, in wei."""
        return int(self._read("DataRegistry", "deposit"))

    def has_voted(self, dataset_id: int, validator: str) -> bool:
        """Whether the validator voted in the dataset's open ballot."""
        return bool(self._read("DataRegistry", "hasVoted", dataset_id, validator))

    # ---- money earned, channels

    def claimable(self, account: str, model_ids: Sequence[int]) -> int:
        """Wei that ``claim`` would pay."""
        return int(self._read("Rewards", "claimable", account, list(model_ids)))

    def vesting(self, account: str) -> int:
        """Wei that is earned and not yet claimable."""
        return int(self._read("Rewards", "vesting", account))

    def shares_of(self, model_id: int, account: str) -> int:
        """Shares of a model, in 1e-18."""
        return int(self._read("Rewards", "sharesOf", model_id, account))

    def total_shares(self, model_id: int) -> int:
        """All shares of a model, in 1e-18."""
        return int(self._read("Rewards", "totalShares", model_id))

    def carry(self, model_id: int) -> int:
        """Emission carried forward, in wei."""
        return int(self._read("Rewards", "carry", model_id))

    def channel(self, channel_id: bytes) -> ChannelInfo:
        """A payment channel."""
        return read_channel(channel_id, self._read("InferenceChannels", "get", channel_id))

    # ---- inner parts

    def _model_id(self, name_or_id: str | int) -> int:
        if isinstance(name_or_id, int):
            return name_or_id
        if name_or_id not in self._model_ids:
            found = int(self._read("ModelRegistry", "idOf", name_or_id))
            if found == 0:
                return int(name_or_id) if name_or_id.isdecimal() else 0
            self._model_ids[name_or_id] = found
        return self._model_ids[name_or_id]
