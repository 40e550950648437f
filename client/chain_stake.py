"""Stake, seats and delegation, as :class:`client.chain.Chain` reads them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from client.chain_abi import checksum
from client.chain_base import Caller
from client.commitments import pool_account
from client.types import DelegationInfo, PoolInfo
from contracts.enums import Role


class StakeReads(Caller):
    """Who has how much at stake. Amounts in wei."""

    @abstractmethod
    def claimable(self, account: str, model_ids: Sequence[int]) -> int: ...

    def stake_of(self, account: str, model_id: int, role: Role, block: int | None = None) -> int:
        """Now, all that is staked on the account; at ``block``, what counted at its end (wei)."""
        if block is None:
            return int(self._read("Staking", "stakeOf", account, model_id, int(role)))
        return int(self._read("Staking", "stakeAt", account, model_id, int(role), block))

    def total_stake(self, model_id: int, role: Role) -> int:
        """Wei that count now."""
        return int(self._read("Staking", "totalStake", model_id, int(role)))

    def min_stake(self, model_id: int, role: Role) -> int:
        """The least stake of one's own that counts for the model, in wei."""
        return int(self._read("Staking", "minStake", model_id, int(role)))

    def own_stake_of(self, account: str, model_id: int, role: Role) -> int:
        """What the account staked itself, without what others delegated to it (wei)."""
        return int(self._read("Staking", "ownStakeOf", account, model_id, int(role)))

    def members(self, model_id: int, role: Role) -> list[str]:
        """Accounts whose stake counts now."""
        return list(self._read("Staking", "members", model_id, int(role)))

    def pending_stake(self, account: str) -> int:
        """Wei asked back or credited, and not yet taken."""
        return int(self._read("Staking", "pendingOf", account))

    def is_dropped(self, model_id: int, account: str) -> bool:
        """Whether the validator was dropped for silence and has not rejoined."""
        return bool(self._read("Staking", "isDropped", model_id, account))

    def seats(self, model_id: int, block: int) -> list[tuple[str, int]]:
        """A model's validators at the end of a block, by slot; a slot without one is (zero address, 0)."""
        accounts, stakes = self._read("Staking", "seatsAt", model_id, block)
        return [(str(account), int(stake)) for account, stake in zip(accounts, stakes, strict=True)]

    def member_since(self, model_id: int, role: Role, account: str, block: int | None = None) -> int:
        """The block in which the account's stake last began to count, as it stood at the end of ``block``."""
        args = (model_id, int(role), account)
        newest = int(self._read("Staking", "memberSince", *args))
        if block is None or newest <= block:
            return newest
        return int(self._read("Staking", "memberSince", *args, block=block))

    def unbonding_blocks(self) -> int:
        """Blocks between asking stake back and its release, at least."""
        return int(self._read("Staking", "unbondingBlocks"))

    # ---- delegation

    def pool(self, model_id: int, validator: str) -> PoolInfo:
        """A validator's own stake, what is delegated to it, and the commission in force."""
        own, delegated, shares, commission = self._read("Staking", "poolOf", model_id, validator)
        return PoolInfo(model_id, checksum(validator), int(own), int(delegated), int(shares), int(commission))

    def delegation(self, model_id: int, validator: str, holder: str) -> DelegationInfo:
        """A holder's shares of a pool, their worth, and what it could claim now."""
        shares, assets = self._read("Staking", "delegationOf", model_id, validator, holder)
        reward = self._read("Staking", "delegationRewardOf", model_id, validator, holder)
        return DelegationInfo(model_id, checksum(validator), checksum(holder), int(shares), int(assets), int(reward))

    def harvestable(self, model_id: int, validator: str) -> int:
        """Matured wei that ``harvest`` would bring to a pool."""
        return self.claimable(pool_account(model_id, validator), [])
