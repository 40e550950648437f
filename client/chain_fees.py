"""What gas costs, how a stuck transaction is made dearer, and how deep a block must lie on which chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client.chain_rpc import Rpc, RpcError

GWEI = 10**9
CEILING = 2_000 * GWEI  # wei per gas that we never offer more than
RAISE_PERCENT = 125  # nodes want 110 at least to put one transaction in another's place
SEQUENCED = frozenset({10, 8453, 42161, 42170, 7777777, 59144, 534352})  # layer 2 with one sequencer
LOCAL = frozenset({1337, 31337})
DEVNETS = range(31_337_000, 32_337_000)  # the numbers that runs of `strata devnet` give themselves


def is_local(chain_id: int) -> bool:
    """Whether it is the number of a chain on one's own machine."""
    return chain_id in LOCAL or chain_id in DEVNETS


def default_confirmations(chain_id: int) -> int:
    """Blocks that must lie on a transaction's block before it counts: none on one's own machine, else one or two."""
    if is_local(chain_id):
        return 0
    return 1 if chain_id in SEQUENCED else 2


@dataclass(frozen=True)
class Quote:
    """What to offer now."""

    block: int  # the chain's newest block
    base: int  # wei per gas that the next block asks at least
    fees: Mapping[str, int]  # wei per gas, by transaction field


class Fees:
    """Offers for one end point."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._tip: int | None = None

    def quote(self) -> Quote:
        """EIP-1559 where blocks have a base fee, a plain gas price elsewhere."""
        block = self._rpc.request("eth_getBlockByNumber", ["latest", False])
        number, base = int(block["number"], 16), block.get("baseFeePerGas")
        if base is None:
            price = int(self._rpc.request("eth_gasPrice"), 16)
            return Quote(number, price, {"gasPrice": min(price, CEILING)})
        wei = int(base, 16)
        tip = self._tip_now()
        return Quote(number, wei, {"maxPriorityFeePerGas": tip, "maxFeePerGas": max(tip, min(2 * wei + tip, CEILING))})

    def raised(self, old: Mapping[str, int]) -> Quote | None:
        """A quarter more than ``old``, and no less than what is asked now; None at the ceiling."""
        self._tip = None
        now = self.quote()
        fees = {name: max(now.fees.get(name, 0), value * RAISE_PERCENT // 100 + 1) for name, value in old.items()}
        if not fees or max(fees.values()) > CEILING:
            return None
        return Quote(now.block, now.base, fees)

    def _tip_now(self) -> int:
        """What others tip; a gwei where the end point doesn't say."""
        if self._tip is None:
            try:
                self._tip = min(max(int(self._rpc.request("eth_maxPriorityFeePerGas"), 16), 1), CEILING // 4)
            except (RpcError, TypeError, ValueError):
                self._tip = GWEI
        return self._tip


def top(fees: Mapping[str, int]) -> int:
    """The most that a transaction pays, wei per gas."""
    return fees.get("maxFeePerGas", fees.get("gasPrice", 0))
