"""Questions that take several calls: the tree, rounds, stakes, balances, rewards (and ``client.history``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client.history import Contribution, Filter, contributions, void_words
from client.types import ChainLike, DelegationInfo, ModelInfo, PoolInfo, RoundInfo
from contracts.enums import Phase, RewardKind, Role

__all__ = [
    "Balances",
    "Contribution",
    "DelegationEntry",
    "Earned",
    "Filter",
    "ModelEntry",
    "RewardSummary",
    "RoundState",
    "StakeEntry",
    "balances",
    "contributions",
    "delegations",
    "model_tree",
    "pools",
    "rewards",
    "round_states",
    "stakes",
    "void_words",
]

ROLES = (Role.MINER, Role.VALIDATOR)


@dataclass(frozen=True)
class ModelEntry:
    """A model in the tree. ``depth`` 0 is a root; ``round`` is the last one; stake in wei."""

    model: ModelInfo
    depth: int
    round: int
    validator_stake: int


@dataclass(frozen=True)
class RoundState:
    """A round with what is derived from it. ``blocks_left`` is None once it has ended."""

    model: ModelInfo
    info: RoundInfo
    blocks_left: int | None
    note: str

    def percent(self, stake: int) -> int:
        """A stake as percent of what was frozen, cut."""
        return stake * 100 // self.info.frozen_stake if self.info.frozen_stake else 0


@dataclass(frozen=True)
class StakeEntry:
    """Stake on an account of a model (wei); ``delegated``: by others; ``counts``: enough of it, with a seat."""

    model: ModelInfo
    role: Role
    amount: int
    total: int
    counts: bool
    delegated: int = 0


@dataclass(frozen=True)
class Balances:
    """All that an address has, in wei; shares by model name in 1e-18. ``delegated``: what stands behind others."""

    address: str
    tokens: int
    coins: int
    staked: int
    delegated: int
    unbonding: int
    vesting: int
    claimable: int
    shares: Mapping[str, int]


@dataclass(frozen=True)
class Earned:
    """What one kind of work on one model has earned, in wei."""

    model: str
    kind: RewardKind
    payments: int
    amount: int


@dataclass(frozen=True)
class DelegationEntry:
    """Stake behind a validator, in wei: what it is worth, what it can claim now, what the pool could still harvest."""

    model: str
    info: DelegationInfo
    commission_bps: int
    harvestable: int


@dataclass(frozen=True)
class RewardSummary:
    """An account's earnings, in wei; ``delegations``: what its stake behind validators has brought."""

    claimable: int
    vesting: int
    claimed: int
    earned: tuple[Earned, ...]
    delegations: tuple[DelegationEntry, ...] = ()


def model_tree(chain: ChainLike) -> list[ModelEntry]:
    """Every model below its parent, siblings by id."""
    models = chain.models()
    entries: list[ModelEntry] = []

    def walk(parent_id: int, depth: int) -> None:
        for model in models:
            if model.parent_id == parent_id:
                stake = chain.total_stake(model.id, Role.VALIDATOR)
                entries.append(ModelEntry(model, depth, chain.current(model.id), stake))
                walk(model.id, depth + 1)

    walk(0, 0)
    return entries


def round_states(chain: ChainLike, name: str | None = None, last: int = 10) -> list[RoundState]:
    """A model's last rounds, newest first; without a name the last round of every model, and one that it waits for."""
    block = chain.block_number()
    states = []
    for model in [chain.model(name)] if name is not None else chain.models():
        newest = chain.current(model.id)
        waits = newest > 1 and chain.round(model.id, newest).held
        oldest = max(1, newest - (last if name is not None else 1 + waits) + 1)
        for number in range(newest, oldest - 1, -1):
            info = chain.round(model.id, number)
            left = None if info.ended else max(0, info.phase_end - block)
            states.append(RoundState(model, info, left, _round_note(info)))
    return states


def _round_note(info: RoundInfo) -> str:
    if info.held and not info.ended:
        return f"trains while round {info.round - 1} is judged"
    if info.ended and not info.settled:
        return "waits to be settled: anyone may run `strata rounds open MODEL`"
    if info.phase == Phase.ATTEST and not info.consensus_known:
        return "the consensus waits to be taken: anyone may run `strata rounds open MODEL`"
    if info.phase == Phase.FINAL and info.head == info.parent_head:
        return "no delta was accepted; the head is unchanged"
    return ""


def stakes(chain: ChainLike, account: str) -> list[StakeEntry]:
    """Where the account has stake."""
    found = []
    for model in chain.models():
        for role in ROLES:
            amount = chain.stake_of(account, model.id, role)
            if amount:
                members = {member.lower() for member in chain.members(model.id, role)}
                counts = account.lower() in members
                others = amount - chain.own_stake_of(account, model.id, role)
                found.append(StakeEntry(model, role, amount, chain.total_stake(model.id, role), counts, others))
    return found


def balances(chain: ChainLike, address: str) -> Balances:
    """All that the address has."""
    models = chain.models()
    shares = {model.name: chain.shares_of(model.id, address) for model in models}
    return Balances(
        address=address,
        tokens=chain.token_balance(address),
        coins=chain.balance(address),
        staked=sum(chain.own_stake_of(address, model.id, role) for model in models for role in ROLES),
        delegated=sum(entry.info.assets for entry in delegations(chain, address)),
        unbonding=chain.pending_stake(address),
        vesting=chain.vesting(address),
        claimable=chain.claimable(address, [model.id for model in models]),
        shares={name: amount for name, amount in shares.items() if amount},
    )


def rewards(chain: ChainLike, address: str) -> RewardSummary:
    """What the address has earned, by model and kind; dividends show in ``claimable`` and ``claimed``."""
    models = chain.models()
    names = {model.id: model.name for model in models}
    sums: dict[tuple[int, RewardKind], list[int]] = {}
    for event in chain.events("Rewards", "RewardCredited", account=address):
        key = (int(event.args["modelId"]), RewardKind(event.args["kind"]))
        sums.setdefault(key, []).append(int(event.args["amount"]))
    earned = tuple(
        Earned(names.get(model_id, str(model_id)), kind, len(amounts), sum(amounts))
        for (model_id, kind), amounts in sorted(sums.items())
    )
    claimed = sum(int(event.args["amount"]) for event in chain.events("Rewards", "Claimed", account=address))
    due = chain.claimable(address, [model.id for model in models])
    return RewardSummary(due, chain.vesting(address), claimed, earned, tuple(delegations(chain, address)))


def delegations(chain: ChainLike, holder: str) -> list[DelegationEntry]:
    """Where the account's tokens stand behind validators."""
    names = {model.id: model.name for model in chain.models()}
    events = chain.events("Staking", "Delegated", holder=holder)
    pools = sorted({(int(event.args["modelId"]), str(event.args["validator"])) for event in events})
    found = []
    for model_id, validator in pools:
        info = chain.delegation(model_id, validator, holder)
        if info.shares or info.reward:
            commission = chain.pool(model_id, validator).commission_bps
            name = names.get(model_id, str(model_id))
            found.append(DelegationEntry(name, info, commission, chain.harvestable(model_id, validator)))
    return found


def pools(chain: ChainLike, model_id: int) -> list[PoolInfo]:
    """The pools of a model's validators, the largest first."""
    found = [chain.pool(model_id, validator) for validator in chain.members(model_id, Role.VALIDATOR)]
    return sorted(found, key=lambda pool: -(pool.own + pool.delegated))
