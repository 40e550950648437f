"""The ABI codec, reverts in words, commitments and the journal; no chain needed."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from client.chain_abi import ContractAbi, decode_revert, signature_of
from client.chain_errors import known_errors
from client.chain_rpc import RpcError
from client.commitments import delta_commitment, head_commitment, new_salt, score_commitment
from client.deploy import created_address
from client.errors import Reverted, Unfunded
from contracts.artifact import CONTRACTS, load_artifact

ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
ABIS = {name: ContractAbi(name, load_artifact(name).abi) for name in CONTRACTS}
ERRORS = known_errors()


def _selector(text: str) -> bytes:
    return bytes(keccak(text=text)[:4])


def test_call_when_encoded_then_selector_and_words_are_solidity_s() -> None:
    data = ABIS["StrataToken"].functions["transfer"].encode((ADDRESS, 5))
    assert data == "0xa9059cbb" + ADDRESS[2:].lower().rjust(64, "0") + hex(5)[2:].rjust(64, "0")


def test_event_when_decoded_then_indexed_and_plain_arguments_are_named() -> None:
    event = ABIS["Rounds"].events["DeltaCommitted"]
    topics = event.topics({"round": 3, "modelId": 2})
    assert topics == [event.topic, "0x" + encode(["uint256"], [2]).hex(), "0x" + encode(["uint64"], [3]).hex()]
    assert event.topics({"miner": ADDRESS})[1:3] == [None, None]
    sender = "0x" + encode(["address"], [ADDRESS]).hex()
    log = {"topics": [*topics, sender], "data": "0x" + "11" * 32}
    assert event.decode(log) == {"modelId": 2, "round": 3, "miner": ADDRESS, "commitment": b"\x11" * 32}


def test_string_when_it_is_not_utf8_then_it_is_read_with_marks_in_place() -> None:
    function = ABIS["ModelRegistry"].functions["get"]
    kinds = "(uint256,uint8,bytes,bytes,bytes32,bytes32,uint64,address)"
    name = b"\xff\xfelaw"
    raw = encode([kinds], [(0, 0, name, b"law", bytes(32), bytes(32), 0, ADDRESS)])
    model = function.decode("0x" + raw.hex())
    assert (model["name"], model["field"]) == ("\ufffd\ufffdlaw", "law")


def test_revert_when_the_error_is_ours_then_its_name_arguments_and_words_are_there() -> None:
    data = _selector("WrongPhase(uint8,uint8)") + encode(["uint8", "uint8"], [1, 4])
    error = decode_revert(data, ERRORS)
    assert isinstance(error, Reverted)
    assert (error.name, error.arguments) == ("WrongPhase", (1, 4))
    assert "TRAIN" in str(error)


def test_revert_when_tokens_lack_then_it_is_unfunded() -> None:
    data = _selector("ERC20InsufficientBalance(address,uint256,uint256)")
    assert isinstance(
        decode_revert(data + encode(["address", "uint256", "uint256"], [ADDRESS, 1, 2]), ERRORS), Unfunded
    )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (_selector("Error(string)") + encode(["string"], ["no"]), "Error"),
        (_selector("Panic(uint256)") + encode(["uint256"], [0x11]), "Panic"),
        (_selector("WrongPhase(uint8,uint8)") + b"short", "Unknown"),
        (b"\x00\x01\x02\x03", "Unknown"),
        (b"", "Unknown"),
    ],
)
def test_revert_when_it_is_plain_or_broken_then_it_is_told_as_it_is(data: bytes, name: str) -> None:
    error = decode_revert(data, ERRORS, "text")
    assert isinstance(error, Reverted)
    assert error.name == name


@pytest.mark.parametrize("data", ["0x1234", {"data": "0x1234"}, {"result": "0x1234"}])
def test_rpc_error_when_nodes_put_the_data_elsewhere_then_it_is_found(data: object) -> None:
    error = RpcError("eth_call", {"code": 3, "message": "execution reverted", "data": data})
    assert error.data == b"\x12\x34"
    assert error.is_revert


def test_commitments_when_any_part_changes_then_the_hash_does() -> None:
    base = (31337, ADDRESS, 1, 1, ADDRESS, b"\x01" * 32, b"\x02" * 32)
    words = ["uint256", "address", "uint256", "uint64", "address", "bytes32", "bytes32"]
    assert delta_commitment(*base) == keccak(encode(words, base))
    changed = {
        delta_commitment(*base[:i], other, *base[i + 1 :])  # type: ignore[arg-type, call-arg]
        for i, other in enumerate((1, "0x" + "11" * 20, 2, 2, "0x" + "11" * 20, b"\x03" * 32, b"\x03" * 32))
    }
    assert len(changed | {delta_commitment(*base)}) == 8
    assert head_commitment(*base) != delta_commitment(*base)
    swapped = [score_commitment(*base[:5], scores, [0, 3], *base[5:]) for scores in ([1, 2], [2, 1])]
    assert swapped[0] != swapped[1]
    assert len({new_salt() for _ in range(3)}) == 3


def test_created_address_when_the_nonce_is_known_then_it_is_the_chain_s() -> None:
    assert created_address(ADDRESS, 0) == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert created_address(ADDRESS, 1) == "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"


def test_signatures_when_structs_are_arguments_then_they_are_spelled_out() -> None:
    (item,) = [i for i in load_artifact("Rounds").abi if i.get("name") == "revealDelta"]
    assert signature_of(item) == "revealDelta(uint256,uint64,(bytes32,bytes32,uint8,bytes32,uint256[],uint64))"
