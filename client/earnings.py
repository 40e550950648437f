"""Taking what an account has earned: matured rewards, dividends, and its part of the pools that it delegates to."""

from __future__ import annotations

from dataclasses import dataclass, field

from client.queries import delegations
from client.types import ChainLike, Receipt


@dataclass(frozen=True)
class Taken:
    """What was taken, in wei: ``rewards`` and ``delegations`` are ours, ``harvested`` went to pools for all holders."""

    rewards: int
    delegations: int
    harvested: int
    receipts: tuple[Receipt, ...] = field(repr=False)

    @property
    def ours(self) -> int:
        """All that the account got."""
        return self.rewards + self.delegations


def claim_all(chain: ChainLike) -> Taken:
    """Claims rewards and dividends of every model; harvests the pools that we run or stand behind; claims our part."""
    ids = [model.id for model in chain.models()]
    receipts: list[Receipt] = []
    if chain.claimable(chain.address, ids):
        receipts.append(chain.claim(ids))
    for model_id, validator in _pools(chain, ids):
        if chain.harvestable(model_id, validator):
            receipts.append(chain.harvest(model_id, validator))
        if chain.delegation(model_id, validator, chain.address).reward:
            receipts.append(chain.claim_delegation(model_id, validator))
    return Taken(_sum(receipts, "Claimed"), _sum(receipts, "DelegationClaimed"), _sum(receipts, "Harvested"),
                 tuple(receipts))  # fmt: skip


def _pools(chain: ChainLike, model_ids: list[int]) -> list[tuple[int, str]]:
    """Those that the account runs for others, and those that it stands behind."""
    own = [(model_id, chain.address) for model_id in model_ids if chain.pool(model_id, chain.address).delegated]
    behind = [(entry.info.model_id, entry.info.validator) for entry in delegations(chain, chain.address)]
    return list(dict.fromkeys([*own, *behind]))


def _sum(receipts: list[Receipt], name: str) -> int:
    return sum(int(event.args["amount"]) for receipt in receipts for event in receipt.events if event.name == name)
