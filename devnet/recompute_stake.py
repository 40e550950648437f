"""Stakes, seats and commissions replayed from the chain's events, with arithmetic of its own (see ``recompute``)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from client.types import Event

MINER, VALIDATOR = 1, 2
SEATS = {MINER: 256, VALIDATOR: 64}
COMMISSION = 1_000  # basis points, of a validator that never set one
SLASHES = (10, 500)  # basis points: what stayed hidden; what was malformed, or two heads
PARTS = 4  # buckets of the unbonding time


def bps(amount: int, part: int) -> int:
    """Basis points of an amount, rounded down."""
    return amount * part // 10_000


@dataclass
class Member:
    """One operator on a model. Wei; ``leaving`` by the block of its release."""

    own: int = 0
    delegated: int = 0
    out: bool = False
    since: int = 0
    slot: int | None = None
    rates: list[tuple[int, int]] = field(default_factory=lambda: [(0, COMMISSION)])  # from block, basis points
    leaving: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def all(self) -> int:
        """What counts, where it counts."""
        return self.own + self.delegated

    def rate(self, block: int) -> int:
        """Its commission at a block."""
        return [part for start, part in self.rates if start <= block][-1]


@dataclass
class Stakes:
    """Everybody's stake. ``minimum``: (model, role) -> wei below which an operator's own does not count."""

    minimum: dict[tuple[int, int], int] = field(default_factory=dict)
    members: dict[tuple[int, int, str], Member] = field(default_factory=lambda: defaultdict(Member))
    history: list[tuple[int, dict[tuple[int, int], dict[int, tuple[str, int]]]]] = field(default_factory=list)
    faults: list[tuple[Event, str]] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """An event of ``Staking``."""
        change = getattr(self, f"_on_{event.name}", None)
        if change is None:
            return
        self._remember(event.block)
        change(event, event.args)

    def seats(self, model: int, role: int) -> dict[int, tuple[str, int]]:
        """Who sits where now, with how much that counts."""
        return {
            member.slot: (who, member.all)
            for (of, kind, who), member in self.members.items()
            if (of, kind) == (model, role) and member.slot is not None
        }

    def before(self, block: int) -> dict[tuple[int, int], dict[int, tuple[str, int]]]:
        """All seats at the end of the block before."""
        for changed, seats in self.history:
            if changed >= block:
                return seats
        return self._everybody()

    def _everybody(self) -> dict[tuple[int, int], dict[int, tuple[str, int]]]:
        return {key: self.seats(*key) for key in {(model, role) for model, role, _ in self.members}}

    def _remember(self, block: int) -> None:
        if not self.history or self.history[-1][0] != block:
            self.history.append((block, self._everybody()))

    # ---- seats

    def _settle(self, key: tuple[int, int, str], block: int, sit: bool = False) -> None:
        """Brings a member's seat in line with its stake."""
        member = self.members[key]
        counts = not member.out and 0 < member.own >= self.minimum.get(key[:2], 1)
        if not counts:
            member.slot = None
        elif member.slot is None and sit:
            taken = self.seats(*key[:2])
            free = [slot for slot in range(SEATS[key[1]]) if slot not in taken]
            member.slot, member.since = free[0] if free else self._unseated, block

    _unseated = 0  # the seat that was last taken away

    def _on_Staked(self, event: Event, args: Any) -> None:
        key = (args["modelId"], args["role"], args["account"])
        self.members[key].own += args["amount"]
        if self.members[key].own != args["total"]:
            self.faults.append((event, f"own stake {args['total']}, by the events {self.members[key].own}"))
        self._settle(key, event.block, sit=True)

    def _on_Unseated(self, event: Event, args: Any) -> None:
        member = self.members[args["modelId"], args["role"], args["account"]]
        self._unseated, member.slot = member.slot or 0, None

    def _on_Unstaking(self, event: Event, args: Any) -> None:
        key = (args["modelId"], args["role"], args["account"])
        self.members[key].own -= args["amount"]
        self.members[key].leaving[args["releaseBlock"]] += args["amount"]
        self._settle(key, event.block)

    def _on_Dropped(self, event: Event, args: Any) -> None:
        key = (args["modelId"], VALIDATOR, args["account"])
        self.members[key].out = True
        self._settle(key, event.block)

    def _on_Rejoined(self, event: Event, args: Any) -> None:
        key = (args["modelId"], VALIDATOR, args["account"])
        self.members[key].out = False
        self._settle(key, event.block, sit=True)

    def _on_Slashed(self, event: Event, args: Any) -> None:
        """Which of the known parts it was shows in the amount."""
        key = (args["modelId"], args["role"], args["account"])
        member = self.members[key]
        for part in SLASHES:
            kept = {block: bps(amount, part) for block, amount in member.leaving.items() if block > event.block}
            own, delegated = bps(member.own, part), bps(member.delegated, part)
            if own + delegated + sum(kept.values()) == args["amount"]:
                member.own, member.delegated = member.own - own, member.delegated - delegated
                for block, taken in kept.items():
                    member.leaving[block] -= taken
                self._settle(key, event.block)
                return
        self.faults.append((event, f"a slash of {args['amount']} wei is no part that any rule takes"))

    # ---- delegation

    def _on_Delegated(self, event: Event, args: Any) -> None:
        key = (args["modelId"], VALIDATOR, args["validator"])
        self.members[key].delegated += args["amount"]
        self._settle(key, event.block)

    def _on_Undelegated(self, event: Event, args: Any) -> None:
        key = (args["modelId"], VALIDATOR, args["validator"])
        self.members[key].delegated -= args["amount"]
        self.members[key].leaving[args["releaseBlock"]] += args["amount"]
        self._settle(key, event.block)

    def _on_CommissionSet(self, event: Event, args: Any) -> None:
        rates = self.members[args["modelId"], VALIDATOR, args["validator"]].rates
        now = [entry for entry in rates if entry[0] <= event.block]
        rates[:] = [*now, (args["fromBlock"], args["bps"])]
