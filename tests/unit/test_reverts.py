"""Every refusal of a contract reaches the user as a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from client.chain_abi import signature_of, type_of
from client.chain_errors import explain, known_errors
from client.chain_rpc import RpcError
from client.errors import Reverted, Unfunded
from client.reverts import SENTENCES
from contracts.artifact import CONTRACTS, LIBRARIES, load_artifact

# Every error of every contract and library that we deploy, OpenZeppelin's among them: signature -> its ABI.
ERRORS: dict[str, Any] = {
    signature_of(item): item
    for name in (*LIBRARIES, *CONTRACTS)
    for item in load_artifact(name).abi
    if item["type"] == "error"
}
SAMPLES: dict[str, Any] = {"address": "0x" + "11" * 20, "string": "words", "bytes": b"\x01", "bool": True}


def _sample(kind: str) -> Any:
    return SAMPLES.get(kind) or (b"\x02" * int(kind[5:]) if kind.startswith("bytes") else 3)


@pytest.mark.parametrize("signature", sorted(ERRORS))
def test_error_when_a_contract_raises_it_then_it_is_a_sentence_with_its_arguments(signature: str) -> None:
    item = ERRORS[signature]
    kinds = [type_of(param) for param in item["inputs"]]
    data = keccak(text=signature)[:4] + encode(kinds, [_sample(kind) for kind in kinds])
    told = explain(RpcError("eth_call", {"code": 3, "message": "execution reverted", "data": "0x" + data.hex()}))
    assert isinstance(told, Reverted | Unfunded)
    text = str(told)
    assert f"[{item['name']}(" in text
    assert text[0].isupper()
    assert text.split(" [")[0].endswith(".")
    assert not text.startswith("The contract refused.")
    assert all(str(param["name"]) in text for param in item["inputs"])


def test_sentences_when_read_then_none_is_for_an_error_that_no_contract_has() -> None:
    assert sorted(set(SENTENCES) - {str(item["name"]) for item in ERRORS.values()}) == []
    assert len(known_errors()) == len(ERRORS)


def test_error_when_it_is_the_node_s_own_then_it_stays_as_it_is() -> None:
    error = RpcError("eth_call", {"code": -32000, "message": "header not found"})
    assert explain(error) is error
