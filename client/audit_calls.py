"""Commitments of scores and heads hashed again, with the salts that their transactions carried.

Events don't repeat those salts, so the transaction's input is read. A reveal that came through another contract (a
wallet that is a contract, say) has another input and is left to the comparison of events with storage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from client.audit_facts import RoundFacts
from client.audit_log import AuditChain, AuditLog
from client.commitments import head_commitment, score_commitment
from client.errors import AuditError

NOT_OPENED = "the salts of scores and heads (no way to read transactions was given)"

_SCORES = ("revealScores", ("uint256", "uint64", "uint64[]", "uint8[]", "bytes32", "bytes32"))
_HEAD = ("revealHead", ("uint256", "uint64", "bytes32", "bytes32"))

Reader = Callable[[bytes], bytes]
"""From a transaction's hash to its input."""


def transaction_reader(rpc_url: str) -> Reader:
    """Reads transactions from an RPC end point."""
    from client.chain_rpc import Rpc

    rpc = Rpc(rpc_url, timeout=10.0, patience=15.0)

    def read(tx: bytes) -> bytes:
        raw = rpc.request("eth_getTransactionByHash", ["0x" + tx.hex()])
        if raw is None:
            raise AuditError(f"the end point does not know transaction 0x{tx.hex()}; use an archive node")
        return bytes.fromhex(raw["input"][2:])

    return read


def check_calls(chain: AuditChain, read: Reader, log: AuditLog, facts: RoundFacts) -> None:
    """Re-hash what each validator revealed with its salt, and compare with what it had committed to."""
    model, number, where = facts.model.id, facts.number, facts.where
    rounds = chain.contract_address("Rounds")
    scores = {event.args["validator"]: bytes(event.args["commitment"]) for event in facts.all("ScoresCommitted")}
    heads = {event.args["validator"]: bytes(event.args["commitment"]) for event in facts.all("HeadCommitted")}
    for event in facts.all("ScoresRevealed"):
        arguments = decode_call(read(event.tx), *_SCORES)
        if arguments is not None:
            who, args = event.args["validator"], event.args
            bound = score_commitment(
                chain.chain_id, rounds, model, number, who, args["scores"], args["reasons"], bytes(args["report"]),
                arguments[5],
            )  # fmt: skip
            log.compare(where, "score commitment", bound, scores.get(who), f"{who} as revealed")
    for event in facts.all("HeadRevealed"):
        arguments = decode_call(read(event.tx), *_HEAD)
        if arguments is not None:
            who, head = event.args["validator"], bytes(event.args["head"])
            bound = head_commitment(chain.chain_id, rounds, model, number, who, head, arguments[3])
            log.compare(where, "head commitment", bound, heads.get(who), f"{who} as revealed")


def decode_call(data: bytes, name: str, types: tuple[str, ...]) -> tuple[Any, ...] | None:
    """A call's arguments, or ``None`` for the input of another function."""
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError
    from eth_utils.crypto import keccak

    if data[:4] != keccak(text=f"{name}({','.join(types)})")[:4]:
        return None
    try:
        return tuple(decode(list(types), data[4:]))
    except DecodingError:
        return None
