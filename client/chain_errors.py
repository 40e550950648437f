"""The errors of all our contracts, and of the libraries that they call, by selector."""

from __future__ import annotations

from functools import lru_cache

from client.chain_abi import ContractAbi, Param, decode_revert
from client.chain_rpc import RpcError


@lru_cache(maxsize=1)
def known_errors() -> dict[bytes, Param]:
    """Selector -> the error's ABI. A library's error comes up through the contract that calls it."""
    from contracts.artifact import CONTRACTS, LIBRARIES, load_artifact

    abis = [ContractAbi(name, load_artifact(name).abi) for name in (*LIBRARIES, *CONTRACTS)]
    return {selector: item for abi in abis for selector, item in abi.errors.items()}


def explain(error: RpcError) -> Exception:
    """A contract's refusal as a sentence; what the node itself refuses stays as it is."""
    return decode_revert(error.data, known_errors(), error.text) if error.is_revert else error
