"""What governance has set, who may change it, and what waits in the timelock: read from the chain alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.types import Event

if TYPE_CHECKING:
    from client.chain import Chain

ADMIN, GUARDIAN = 0, 1
AUTHORITY_ROLES = {ADMIN: "administrator", GUARDIAN: "guardian"}
TIMELOCK_ROLES = ("DEFAULT_ADMIN_ROLE", "PROPOSER_ROLE", "CANCELLER_ROLE", "EXECUTOR_ROLE")


@dataclass(frozen=True)
class RoleHolder:
    """Who holds a role of ``StrataAuthority`` or ``StrataTimelock``; the zero address means anybody."""

    contract: str
    role: str
    account: str


@dataclass(frozen=True)
class Waiting:
    """A decision in the timelock: one call of it. ``ready`` is unix seconds from which anybody may execute it."""

    id: bytes
    target: str
    call: str
    ready: int


@dataclass(frozen=True)
class Governance:
    """The state at one block. Splits in basis points, deposit in wei, delay in seconds, the rest in blocks."""

    block: int
    splits: Mapping[str, int]
    paused_until: int
    delay_seconds: int
    dataset_deposit: int
    ballot_blocks: int
    vesting_blocks: int
    unbonding_blocks: int
    most_round_blocks: int
    roles: tuple[RoleHolder, ...]
    waiting: tuple[Waiting, ...]

    @property
    def is_paused(self) -> bool:
        """Whether no round can open in the next block."""
        return self.block + 1 < self.paused_until


def governance(chain: Chain) -> Governance:
    """Read all of it."""
    return Governance(
        block=chain.block_number(),
        splits={str(name): int(part) for name, part in chain.read("Rewards", "splits").items()},
        paused_until=int(chain.read("Rounds", "pausedUntil")),
        delay_seconds=int(chain.read("StrataTimelock", "getMinDelay")),
        dataset_deposit=chain.dataset_deposit(),
        ballot_blocks=int(chain.read("DataRegistry", "ballotBlocks")),
        vesting_blocks=int(chain.read("Rewards", "vestingBlocks")),
        unbonding_blocks=int(chain.read("Staking", "unbondingBlocks")),
        most_round_blocks=int(chain.read("ModelRegistry", "maxRoundBlocks")),
        roles=(*_authority_roles(chain), *_timelock_roles(chain)),
        waiting=tuple(_waiting(chain)),
    )


def _authority_roles(chain: Chain) -> list[RoleHolder]:
    """From the grants; whether one still stands is asked of the contract."""
    granted = {(int(e.args["roleId"]), e.args["account"]) for e in chain.events("StrataAuthority", "RoleGranted")}
    found = []
    for role, account in sorted(granted):
        is_member, _ = chain.read("StrataAuthority", "hasRole", role, account)
        if is_member:
            found.append(RoleHolder("StrataAuthority", AUTHORITY_ROLES.get(role, f"role {role}"), account))
    return found


def _timelock_roles(chain: Chain) -> list[RoleHolder]:
    names = {bytes(chain.read("StrataTimelock", name)): name for name in TIMELOCK_ROLES}
    granted = {(bytes(e.args["role"]), e.args["account"]) for e in chain.events("StrataTimelock", "RoleGranted")}
    return [
        RoleHolder("StrataTimelock", names[role].removesuffix("_ROLE").replace("_", " ").lower(), account)
        for role, account in sorted(granted)
        if role in names and chain.read("StrataTimelock", "hasRole", role, account)
    ]


def _waiting(chain: Chain) -> list[Waiting]:
    """Every scheduled call that is neither done nor cancelled."""
    found = []
    for event in chain.events("StrataTimelock", "CallScheduled"):
        operation = bytes(event.args["id"])
        if chain.read("StrataTimelock", "isOperationPending", operation):
            ready = int(chain.read("StrataTimelock", "getTimestamp", operation))
            found.append(Waiting(operation, event.args["target"], _call(chain, event), ready))
    return found


def _call(chain: Chain, event: Event) -> str:
    """The call in words, where it is one of our contracts'."""
    data, target = bytes(event.args["data"]), str(event.args["target"])
    described: Any = chain.describe_call(target, data)
    return str(described) if described else "0x" + data.hex()
