"""Stake, delegation and earnings of one account of the chain in memory (a part of :class:`client.fakes.FakeChain`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from client.commitments import pool_account
from client.fake_ledger import FakeLedger, refuse
from client.fake_stake import MemberKey
from client.types import DelegationInfo, PoolInfo, Receipt
from contracts.enums import Role


class FakeAccounts(ABC):
    """What an account does with stake and rewards."""

    ledger: FakeLedger

    @property
    @abstractmethod
    def address(self) -> str: ...
    @abstractmethod
    def _do(self, action: Callable[[], object]) -> Receipt: ...
    @abstractmethod
    def _take(self, purse: dict[str, int], amount: int) -> None: ...

    # ---- stake

    def stake(self, model_id: int, role: Role, amount: int) -> Receipt:
        """Stakes tokens."""

        def act() -> None:
            self._take(self.ledger.tokens, amount)
            self.ledger.add_stake((model_id, role, self.address), amount)

        return self._do(act)

    def unstake(self, model_id: int, role: Role, amount: int) -> Receipt:
        """Asks stake back."""
        return self._do(lambda: self.ledger.take_stake((model_id, role, self.address), amount))

    def withdraw_stake(self) -> Receipt:
        """Takes what was released."""
        return self._do(lambda: self.ledger.withdraw(self.address))

    def rejoin(self, model_id: int) -> Receipt:
        """Counts again."""
        return self._do(lambda: self.ledger.rejoin(model_id, self.address))

    def reseat(self, model_id: int, role: Role) -> Receipt:
        """Asks for a seat again."""
        return self._do(lambda: self.ledger.refresh((model_id, role, self.address), sit=True))

    def stake_of(self, account: str, model_id: int, role: Role, block: int | None = None) -> int:
        """All that is staked on the account, or what counted at the end of a block; wei."""
        if block is not None:
            return self.ledger.stake_at(model_id, role, account, block)
        member = self.ledger.members_of[model_id, role, account]
        return member.own + member.delegated

    def own_stake_of(self, account: str, model_id: int, role: Role) -> int:
        """What it staked itself."""
        return self.ledger.members_of[model_id, role, account].own

    def total_stake(self, model_id: int, role: Role) -> int:
        """Wei that count now."""
        return sum(amount for _, amount in self.ledger.members(model_id, role, self.ledger.block_number))

    def min_stake(self, model_id: int, role: Role) -> int:
        """The least that counts."""
        return self.ledger.minimum

    def members(self, model_id: int, role: Role) -> list[str]:
        """Whose stake counts now."""
        return [account for account, _ in self.ledger.members(model_id, role, self.ledger.block_number)]

    def pending_stake(self, account: str) -> int:
        """Wei asked back or credited, and not yet taken."""
        return self.ledger.credited[account] + sum(entry.amount for entry in self.ledger.leaving[account])

    # ---- delegation

    def delegate(self, model_id: int, validator: str, amount: int) -> Receipt:
        """Adds to a validator's stake."""

        def act() -> None:
            self._take(self.ledger.tokens, amount)
            self.ledger.delegate(self.address, _validator(model_id, validator), amount)

        return self._do(act)

    def undelegate(self, model_id: int, validator: str, shares: int) -> Receipt:
        """Gives shares back."""
        return self._do(lambda: self.ledger.undelegate(self.address, _validator(model_id, validator), shares))

    def set_commission(self, model_id: int, bps: int) -> Receipt:
        """What the validator keeps."""
        return self._do(lambda: self.ledger.set_commission(_validator(model_id, self.address), bps))

    def harvest(self, model_id: int, validator: str) -> Receipt:
        """Brings the pool's matured rewards to its shares."""

        def act() -> None:
            amount = self.ledger.take(pool_account(model_id, validator), [])
            if amount:
                args = {"modelId": model_id, "validator": validator, "amount": amount}
                self.ledger.emit("Rewards", "PoolClaimed", **args)
            self.ledger.share_reward(_validator(model_id, validator), amount)

        return self._do(act)

    def claim_delegation(self, model_id: int, validator: str) -> Receipt:
        """Takes the account's part of what was harvested."""

        def act() -> None:
            amount = self.ledger.take_reward(self.address, _validator(model_id, validator))
            if not amount:
                raise refuse("NothingToWithdraw")
            self.ledger.tokens[self.address] += amount

        return self._do(act)

    def pool(self, model_id: int, validator: str) -> PoolInfo:
        """A validator's pool."""
        key = _validator(model_id, validator)
        member = self.ledger.members_of[key]
        shares = sum(member.shares.values())
        return PoolInfo(model_id, validator, member.own, member.delegated, shares, self.ledger.commission(key))

    def delegation(self, model_id: int, validator: str, holder: str) -> DelegationInfo:
        """A holder's part of it."""
        key = _validator(model_id, validator)
        member = self.ledger.members_of[key]
        shares, all_shares = member.shares[holder], sum(member.shares.values())
        assets = shares * member.delegated // all_shares if all_shares else 0
        return DelegationInfo(model_id, validator, holder, shares, assets, self.ledger.reward_of(holder, key))

    # ---- earnings

    def claim(self, model_ids: Sequence[int]) -> Receipt:
        """Pays what is mature."""

        def act() -> None:
            amount = self.ledger.take(self.address, model_ids)
            self.ledger.tokens[self.address] += amount
            if amount:
                self.ledger.emit("Rewards", "Claimed", account=self.address, amount=amount)

        return self._do(act)

    def claimable(self, account: str, model_ids: Sequence[int]) -> int:
        """Mature credits and dividends."""
        return self.ledger.due(account, model_ids)

    def harvestable(self, model_id: int, validator: str) -> int:
        """Mature credits of a pool."""
        return self.ledger.due(pool_account(model_id, validator), [])

    def vesting(self, account: str) -> int:
        """Credits that are not mature."""
        now = self.ledger.block_number
        return sum(c.amount for c in self.ledger.credits if c.account == account and c.unlock > now)

    def shares_of(self, model_id: int, account: str) -> int:
        """Shares of a model."""
        return self.ledger.shares(model_id, account)

    def total_shares(self, model_id: int) -> int:
        """All shares of a model."""
        return self.ledger.shares(model_id)

    def carry(self, model_id: int) -> int:
        """Emission carried forward."""
        return self.ledger.carry[model_id]


def _validator(model_id: int, account: str) -> MemberKey:
    return (model_id, Role.VALIDATOR, account)
