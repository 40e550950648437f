"""The tokens counted: balances make the supply, contracts hold what they owe, nobody took more than its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from client.audit_books import Books
from client.audit_log import AuditChain, AuditLog
from client.commitments import pool_account
from client.types import ZERO_ADDRESS, Event

_NETWORK = ("", 0)


def check_claim(log: AuditLog, books: Books, event: Event) -> None:
    """A claim pays at most what has ever matured for the account, less what it took before."""
    if event.name == "PoolClaimed":
        account = pool_account(int(event.args["modelId"]), str(event.args["validator"]))
    else:
        account = str(event.args["account"])
    due, amount = books.due(account, event.block) - books.claimed[account], int(event.args["amount"])
    books.claimed[account] += amount
    log.compare(_NETWORK, "claim", min(due, amount), amount, f"{account}, block {event.block}: at most its own (wei)")


def check_tokens(
    chain: AuditChain, log: AuditLog, block: int, transfers: Sequence[Event], owed: Mapping[str, int]
) -> None:
    """All balances make the supply, to the wei; each contract holds exactly what its events say that it owes."""
    balances: Counter[str] = Counter()
    for event in transfers:
        amount = int(event.args["value"])
        balances[event.args["from"]] -= amount
        balances[event.args["to"]] += amount
    minted = -balances.pop(ZERO_ADDRESS, 0)
    held = {account: chain.token_balance(account, block) for account in sorted(balances)}
    for account, amount in held.items():
        log.compare(_NETWORK, "balance", balances[account], amount, account)
    supply = chain.total_supply(block)
    log.compare(_NETWORK, "supply", minted, supply, "minted less burned, and storage (wei)")
    log.compare(_NETWORK, "conservation", supply, sum(held.values()), "supply and all balances (wei)")
    for contract, amount in owed.items():
        address = chain.contract_address(contract)
        log.compare(_NETWORK, "escrow", amount, chain.token_balance(address, block), contract)


def owed_by_rewards(events: Sequence[Event]) -> int:
    """What ``Rewards`` must hold by its own events, in wei: credited and not claimed, without what was taken back.

    A round that was taken back left dividends of its shares to the treasury, which its ``TreasuryPaid`` says.
    """
    plus = _total(events, "RewardCredited") + _total(events, "DividendsAdded")
    minus = _total(events, "Claimed") + _total(events, "PoolClaimed") + _total(events, "RewardsVoided")
    voids = {_where(event) for event in events if event.name == "RewardsVoided"}
    left = [event for event in events if event.name == "TreasuryPaid" and _where(event) in voids]
    return plus - minus - _total(left, "TreasuryPaid")


def owed_by_channels(events: Sequence[Event]) -> int:
    """What ``InferenceChannels`` must hold, in wei."""
    opened = _total(events, "ChannelOpened", "deposit") + _total(events, "ToppedUp")
    return opened - _total(events, "VoucherRedeemed") - _total(events, "ChannelClosed", "refund")


def _where(event: Event) -> tuple[bytes, int, int]:
    return event.tx, int(event.args["modelId"]), int(event.args["round"])


def _total(events: Sequence[Event], name: str, key: str = "amount") -> int:
    return sum(int(event.args[key]) for event in events if event.name == name)
