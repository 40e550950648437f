"""What the council does: it proposes calls to the timelock; whoever likes executes them once they have waited.

:mod:`client.governance` reads what waits, and what was decided before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.errors import ChainUnavailable, ConfigError

if TYPE_CHECKING:
    from client.chain import Chain
    from client.types import Receipt

NOTHING = bytes(32)
POLL_SECONDS = 0.5

Decision = tuple[str, str, tuple[Any, ...]]
"""A call of one of our contracts: contract, function, arguments."""


@dataclass(frozen=True)
class Proposal:
    """What was put into the timelock. ``ready``: unix seconds from which it can be executed."""

    id: bytes
    targets: tuple[str, ...]
    payloads: tuple[bytes, ...]
    salt: bytes
    ready: int

    @property
    def values(self) -> tuple[int, ...]:
        """Coins that go with each call: none."""
        return (0,) * len(self.targets)


def list_model(model_id: int, emission_bps: int) -> Decision:
    """Lets a model have this part of the emission that its stake votes to it."""
    return ("ModelRegistry", "setEmission", (model_id, emission_bps))


def propose(chain: Chain, decisions: Sequence[Decision], salt: bytes = NOTHING) -> Proposal:
    """Puts calls into the timelock, all or none of which will be done. Only the council may."""
    targets = tuple(chain.contract_address(contract) for contract, _, _ in decisions)
    payloads = tuple(chain.encode(contract, function, *args) for contract, function, args in decisions)
    args = (targets, (0,) * len(targets), payloads, NOTHING, salt)
    delay = int(chain.read("StrataTimelock", "getMinDelay"))
    chain.transact("StrataTimelock", "scheduleBatch", *args, delay)
    number = bytes(chain.read("StrataTimelock", "hashOperationBatch", *args))
    ready = int(chain.read("StrataTimelock", "getTimestamp", number))
    return Proposal(number, targets, payloads, salt, ready)


def find_proposal(chain: Chain, number: bytes) -> Proposal:
    """A proposal that waits, from what was recorded when it was made."""
    calls = chain.events("StrataTimelock", "CallScheduled", id=number)
    if not calls or not chain.read("StrataTimelock", "isOperationPending", number):
        raise ConfigError(f"Nothing waits in the timelock as 0x{number.hex()}. See `strata gov`.")
    calls.sort(key=lambda event: int(event.args["index"]))
    salts = chain.events("StrataTimelock", "CallSalt", id=number)
    return Proposal(
        number,
        tuple(str(event.args["target"]) for event in calls),
        tuple(bytes(event.args["data"]) for event in calls),
        bytes(salts[0].args["salt"]) if salts else NOTHING,
        int(chain.read("StrataTimelock", "getTimestamp", number)),
    )


def execute(chain: Chain, proposal: Proposal) -> Receipt:
    """Does what has waited long enough. Anybody may."""
    args = (proposal.targets, proposal.values, proposal.payloads, NOTHING, proposal.salt)
    return chain.transact("StrataTimelock", "executeBatch", *args)


def decide(chain: Chain, decisions: Sequence[Decision], timeout: float) -> Receipt:
    """Proposes, waits until the timelock lets go, and executes: for networks with a short delay. Seconds."""
    proposal = propose(chain, decisions)
    deadline = time.monotonic() + timeout
    while chain.block().timestamp < proposal.ready:
        if time.monotonic() > deadline:
            raise ChainUnavailable(f"The timelock did not let go within {timeout:.0f} s; see `strata gov`.")
        time.sleep(POLL_SECONDS)
    return execute(chain, proposal)
