"""Checks a network's money from outside: ``python -m devnet.verify [--network PATH] [--json]``.

Every payment is recomputed from events alone (``devnet.recompute``), and the tokens are counted: the total supply is
the sum of all balances, and the three contracts that hold other people's tokens hold exactly what they owe. Code 1 if
anything differs by one wei.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.errors import StrataError
from client.settings import CONTRACTS, Network, find_network
from client.types import ChainLike, Event
from devnet.recompute import Check, Ledger

NOBODY = "0x" + "00" * 20


@dataclass(frozen=True)
class Count:
    """Two amounts in wei that have to be the same."""

    what: str
    counted: int
    wanted: int

    @property
    def ok(self) -> bool:
        """Whether they are."""
        return self.counted == self.wanted


@dataclass(frozen=True)
class Verdict:
    """Everything that was checked, at one block."""

    block: int
    checks: tuple[Check, ...]
    counts: tuple[Count, ...]
    holders: int

    @property
    def ok(self) -> bool:
        """Whether every wei is where it should be."""
        return all(check.ok for check in self.checks) and all(count.ok for count in self.counts)

    def faults(self) -> list[str]:
        """What is wrong, in words."""
        wrong = [f"{c.what} of model {c.model} round {c.round}: {d}" for c in self.checks for d in c.differences]
        return wrong + [f"{c.what}: {c.counted} wei, should be {c.wanted}" for c in self.counts if not c.ok]

    def to_json(self) -> dict[str, Any]:
        """For programs; amounts of wei as text."""
        return {
            "ok": self.ok,
            "block": self.block,
            "holders": self.holders,
            "payments": [
                {
                    "what": c.what,
                    "model": c.model,
                    "round": c.round,
                    "paid_wei": str(c.paid),
                    "differences": c.differences,
                }
                for c in self.checks
            ],
            "counts": [
                {"what": c.what, "counted_wei": str(c.counted), "wanted_wei": str(c.wanted), "ok": c.ok}
                for c in self.counts
            ],
        }


def verify(chain: ChainLike) -> Verdict:
    """Check a network as it stands at the newest block."""
    block = chain.block_number()
    events = [event for name in CONTRACTS for event in chain.events(name, to_block=block)]
    checks = Ledger().replay(events)
    balances = moved(events)
    counts = count(chain, block, balances, events)
    return Verdict(block, tuple(checks), tuple(counts), sum(1 for amount in balances.values() if amount))


def moved(events: Sequence[Event]) -> dict[str, int]:
    """Every holder's balance, by the token's transfers alone."""
    balances: dict[str, int] = defaultdict(int)
    for event in events:
        if event.name == "Transfer":
            balances[event.args["from"]] -= event.args["value"]
            balances[event.args["to"]] += event.args["value"]
    balances[NOBODY] = 0  # what was minted came from nobody
    return dict(balances)


def count(chain: ChainLike, block: int, balances: dict[str, int], events: Sequence[Event]) -> list[Count]:
    """The supply, every holder's balance, and the three escrows."""
    held = {who: chain.token_balance(who, block=block) for who in balances if who != NOBODY}
    wrong = sum(1 for who, amount in held.items() if amount != balances[who])
    staking, rewards, channels, data = (
        chain.contract_address(name) for name in ("Staking", "Rewards", "InferenceChannels", "DataRegistry")
    )
    return [
        Count(
            "the total supply against the sum of all balances and escrows",
            sum(held.values()),
            chain.total_supply(block),
        ),
        Count("balances that differ from the token's transfers", wrong, 0),
        Count("stake held against stake placed and earned, less taken", held.get(staking, 0), staked(events)),
        Count("rewards held against rewards owed", held.get(rewards, 0), owed(events)),
        Count("deposits held against channels' remainders", held.get(channels, 0), deposited(events)),
        Count("deposits held against datasets that have one", held.get(data, 0), pledged(events)),
    ]


def staked(events: Sequence[Event]) -> int:
    """What Staking holds for others: own, delegated and unbonding stake, and rewards of pools.

    A delegator's reward stays there, as a credit, where it was taken with a change of the delegation.
    """
    signs = {"Staked": 1, "Delegated": 1, "PoolClaimed": 1, "Withdrawn": -1, "Slashed": -1}
    changed = {(e.tx, e.args["holder"]) for e in events if e.name in ("Delegated", "Undelegated")}
    paid = [e for e in events if e.name == "DelegationClaimed" and (e.tx, e.args["holder"]) not in changed]
    return _summed(events, signs) - sum(int(e.args["amount"]) for e in paid)


def owed(events: Sequence[Event]) -> int:
    """What Rewards holds for others; a round that is taken back is burned, its shares' dividends go to the treasury."""
    signs = {"RewardCredited": 1, "DividendsAdded": 1, "Claimed": -1, "PoolClaimed": -1, "RewardsVoided": -1}
    voids = {(e.tx, e.args["modelId"], e.args["round"]) for e in events if e.name == "RewardsVoided"}
    paid = [e for e in events if e.name == "TreasuryPaid" and (e.tx, e.args["modelId"], e.args["round"]) in voids]
    return _summed(events, signs) - sum(int(e.args["amount"]) for e in paid)


def _summed(events: Sequence[Event], signs: dict[str, int]) -> int:
    return sum(signs[e.name] * int(e.args["amount"]) for e in events if e.name in signs)


def pledged(events: Sequence[Event]) -> int:
    """What DataRegistry holds for datasets' owners."""
    deposit, held = 0, dict[int, int]()
    for event in sorted(events, key=lambda e: (e.block, e.log_index)):
        if event.name == "DepositSet":
            deposit = event.args["amount"]
        elif event.name == "DatasetRegistered":
            held[event.args["id"]] = deposit
        elif event.name in ("DepositReturned", "DatasetRejected"):
            held[event.args["id"]] = 0
    return sum(held.values())


def deposited(events: Sequence[Event]) -> int:
    """What InferenceChannels holds for users."""
    fields = {"ChannelOpened": ("deposit", 1), "ToppedUp": ("amount", 1), "VoucherRedeemed": ("amount", -1)}
    fields |= {"ChannelClosed": ("refund", -1)}
    return sum(fields[e.name][1] * e.args[fields[e.name][0]] for e in events if e.name in fields)


def main(arguments: list[str] | None = None) -> int:
    """Check and print."""
    from client.chain import Chain

    parser = argparse.ArgumentParser(prog="python -m devnet.verify", description=__doc__)
    parser.add_argument("--network", type=Path, help="network.json (else $STRATA_NETWORK, else the home's)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        chain = Chain.connect(Network.load(find_network(options.network)))
        verdict = verify(chain)
    except StrataError as error:
        print(f"Error: {error}")
        return 2
    if options.json:
        print(json.dumps(verdict.to_json(), indent=1))
        return 0 if verdict.ok else 1
    for check in verdict.checks:
        state = "matches" if check.ok else "DIFFERS"
        where = f"round {check.round} of model {check.model}" if check.round else f"a fee of model {check.model}"
        print(f"{state}: {where}, {check.paid} wei")
    for each in verdict.counts:
        print(f"{'matches' if each.ok else 'DIFFERS'}: {each.what} ({each.counted} and {each.wanted})")
    for fault in verdict.faults():
        print(f"WRONG: {fault}")
    print("every wei is where it should be" if verdict.ok else "the money is not as it should be")
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
