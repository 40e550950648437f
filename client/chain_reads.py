"""The reads of :class:`client.chain.Chain`: many processes poll one chain, so what can't change is read once."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from client.chain_abi import checksum
from client.chain_records import read_channel, read_dataset, read_model, read_round, read_submission
from client.chain_rpc import Rpc
from client.errors import ChainError, ChainUnavailable, UnknownModel
from client.types import (
    BlockInfo,
    ChannelInfo,
    CommittedInfo,
    DatasetInfo,
    ModelInfo,
    Policy,
    RoundInfo,
    ScoreInfo,
    SubmissionInfo,
)
from contracts.enums import Phase, Role, ScoreReason, VoidReason

WAIT_POLL_SECONDS = 0.3


def at_block(block: int | None) -> str:
    """A block as JSON-RPC takes it; None is the newest."""
    return "latest" if block is None else hex(block)


class Reads(ABC):
    """What anybody can see. The class that mixes this in knows how to call contracts."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._policies: dict[int, Policy] = {}
        self._model_ids: dict[str, int] = {}
        self._ended: dict[tuple[str, int, int], Any] = {}  # what can't change any more

    @abstractmethod
    def _read(self, contract: str, function: str, *args: Any, block: int | None = None) -> Any: ...
    @abstractmethod
    def _read_many(self, calls: Sequence[tuple[str, str, Sequence[Any]]], block: int | None = None) -> list[Any]: ...

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

    def policy(self, model_id: int) -> Policy:
        """The phases' lengths; read once, since they never change."""
        if model_id not in self._policies:
            raw = self._read("ModelRegistry", "policyOf", model_id)
            self._policies[model_id] = Policy(*(int(value) for value in raw.values()))
        return self._policies[model_id]

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

    def has_voted(self, dataset_id: int, validator: str) -> bool:
        """Whether the validator voted on it."""
        return bool(self._read("DataRegistry", "hasVoted", dataset_id, validator))

    # ---- stake

    def stake_of(self, account: str, model_id: int, role: Role, block: int | None = None) -> int:
        """Now, all that is staked; at ``block``, what counted at its end (wei)."""
        if block is None:
            return int(self._read("Staking", "stakeOf", account, model_id, int(role)))
        return int(self._read("Staking", "stakeAt", account, model_id, int(role), block))

    def total_stake(self, model_id: int, role: Role) -> int:
        """Wei that count now."""
        return int(self._read("Staking", "totalStake", model_id, int(role)))

    def global_validator_stake(self) -> int:
        """Wei of all models' validators that count now."""
        return int(self._read("Staking", "globalValidatorStake"))

    def min_stake(self, role: Role) -> int:
        """The least stake that counts, in wei."""
        return int(self._read("Staking", "minStake", int(role)))

    def members(self, model_id: int, role: Role) -> list[str]:
        """Accounts whose stake counts now."""
        return list(self._read("Staking", "members", model_id, int(role)))

    def pending_stake(self, account: str) -> int:
        """Wei asked back and not yet taken."""
        return int(self._read("Staking", "pendingOf", account))

    def withdrawable_stake(self, account: str) -> int:
        """The part of ``pending_stake`` that can be taken now."""
        return int(self._read("Staking", "withdrawableOf", account))

    def is_dropped(self, model_id: int, account: str) -> bool:
        """Whether the validator was dropped for silence and has not rejoined."""
        return bool(self._read("Staking", "isDropped", model_id, account))

    # ---- rounds

    def current(self, model_id: int, block: int | None = None) -> int:
        """The model's last round, live or ended; 0 before the first."""
        return int(self._read("Rounds", "current", model_id, block=block))

    def round(self, model_id: int, number: int, block: int | None = None) -> RoundInfo:
        """A round as it stands at the newest block (or ``block``)."""
        key = ("round", model_id, number)
        if block is None and key in self._ended:
            info: RoundInfo = self._ended[key]
            return info
        info = read_round(model_id, self._read("Rounds", "roundView", model_id, number, block=block))
        if block is None and info.settled and info.ended:
            self._ended[key] = info
        return info

    def submissions(self, model_id: int, number: int, block: int | None = None) -> list[SubmissionInfo]:
        """The revealed deltas, in submission order."""
        key = ("submissions", model_id, number)
        if block is None and key in self._ended:
            return list(self._ended[key])
        raws = self._read("Rounds", "submissions", model_id, number, block=block)
        found = [read_submission(index, raw) for index, raw in enumerate(raws)]
        if block is None and ("round", model_id, number) in self._ended:
            self._ended[key] = tuple(found)
        return found

    def round_miners(self, model_id: int, number: int) -> list[str]:
        """The miners frozen at the opening, ascending."""
        return list(self._frozen("miners", model_id, number))

    def round_validators(self, model_id: int, number: int) -> list[tuple[str, int]]:
        """The validators frozen at the opening, ascending, with their stake in wei."""
        accounts, stakes = self._frozen("validators", model_id, number)
        return [(account, int(stake)) for account, stake in zip(accounts, stakes, strict=True)]

    def scores_of(self, model_id: int, number: int, validator: str) -> ScoreInfo:
        """What the validator revealed; empty tuples when it did not."""
        scores, reasons, report = self._read("Rounds", "scoresOf", model_id, number, validator)
        return ScoreInfo(checksum(validator), tuple(scores), tuple(ScoreReason(r) for r in reasons), bytes(report))

    def committed(self, model_id: int, number: int, account: str) -> CommittedInfo:
        """The account's commitments."""
        return CommittedInfo(*(bytes(c) for c in self._read("Rounds", "committed", model_id, number, account)))

    def head_of(self, model_id: int, number: int, validator: str) -> bytes:
        """The head that the validator attested; zero when it did not."""
        return bytes(self._read("Rounds", "headOf", model_id, number, validator))

    def missed_of(self, model_id: int, validator: str) -> int:
        """How many rounds in a row the validator has missed."""
        return int(self._read("Rounds", "missedOf", model_id, validator))

    def phase_at(self, model_id: int, number: int, block: int) -> tuple[Phase, int, VoidReason]:
        """(phase, its end, void reason) at ``block`` if nobody acts until then."""
        phase, end, reason = self._read("Rounds", "phaseAt", model_id, number, block)
        return Phase(phase), int(end), VoidReason(reason)

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

    def _frozen(self, function: str, model_id: int, number: int) -> Any:
        """What a round froze at its opening: read once it is open."""
        key = (function, model_id, number)
        if key not in self._ended:
            result = self._read("Rounds", function, model_id, number)
            if not (result[0] if isinstance(result, tuple) else result):
                return result
            self._ended[key] = result
        return self._ended[key]

    def _model_id(self, name_or_id: str | int) -> int:
        if isinstance(name_or_id, int):
            return name_or_id
        if name_or_id not in self._model_ids:
            found = int(self._read("ModelRegistry", "idOf", name_or_id))
            if found == 0:
                return int(name_or_id) if name_or_id.isdecimal() else 0
            self._model_ids[name_or_id] = found
        return self._model_ids[name_or_id]
