"""Heartbeat records: what is signed comes back, everything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_account import Account

from client.errors import SwarmError
from node.swarm_records import MAX_RECORD_BYTES, make_record, parse_record

ACCOUNT = Account.from_key("0x" + "11" * 32)
PEER = "QmU4Jp8bUNqZT3rcbtvkAv7jvtVhn7JqCYt8iFV8WZHUtS"
NOW = 1_700_000_000


def _record(**changes: Any) -> str:
    given: dict[str, Any] = {"role": "server", "models": [2, 1], "extra": {"price_wei": "5"}, **changes}
    return make_record(ACCOUNT, 1, given["role"], given["models"], PEER, ["/ip4/127.0.0.1/tcp/1"], NOW, given["extra"])


def _parse(text: object, now: float = NOW) -> Any:
    return parse_record(text, 1, "server", now, 60)


def test_record_when_signed_then_it_is_read_back() -> None:
    info = _parse(_record())
    assert (info.address, info.models, info.peer_id, info.extra) == (ACCOUNT.address, (1, 2), PEER, {"price_wei": "5"})


@pytest.mark.parametrize("now", [NOW + 61, NOW - 31])
def test_record_when_too_old_or_from_the_future_then_refused(now: int) -> None:
    with pytest.raises(SwarmError, match="too old"):
        _parse(_record(), now)


def test_record_when_of_another_role_or_chain_then_refused() -> None:
    with pytest.raises(SwarmError, match="another network or role"):
        _parse(_record(role="miner"))
    with pytest.raises(SwarmError, match="another network or role"):
        parse_record(_record(), 2, "server", NOW, 60)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("models", [3]),
        ("peer", PEER[:-1] + "t"),
        ("time", NOW - 1),
        ("extra", {}),
        ("address", Account.from_key("0x" + "22" * 32).address),
    ],
)
def test_record_when_anything_is_changed_then_the_signature_fails(field: str, value: Any) -> None:
    outer = json.loads(_record())
    outer["body"][field] = value
    with pytest.raises(SwarmError, match="not signed by"):
        _parse(json.dumps(outer))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("models", [True]),
        ("models", ["1"]),
        ("models", [0]),
        ("models", list(range(1, 66))),
        ("peer", "../etc"),
        ("time", 1.5),
        ("address", "0x12"),
        ("maddrs", "x"),
        ("maddrs", ["x" * 257]),
        ("extra", []),
        ("more", 1),
    ],
)
def test_record_when_a_field_has_no_sense_then_refused(field: str, value: Any) -> None:
    outer = json.loads(_record())
    outer["body"][field] = value
    with pytest.raises(SwarmError, match=r"field"):
        _parse(json.dumps(outer))


@pytest.mark.parametrize("text", [None, 7, b"{}", "", "{", "[]", "{}", "[" * 3000, "x" * (MAX_RECORD_BYTES + 1)])
def test_record_when_it_is_rubbish_then_refused(text: object) -> None:
    with pytest.raises(SwarmError):
        _parse(text)


@pytest.mark.parametrize("signature", [None, "", "0x", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "zz" * 65])
def test_record_when_the_signature_is_rubbish_then_refused(signature: object) -> None:
    outer = json.loads(_record())
    outer["signature"] = signature
    with pytest.raises(SwarmError, match="sign"):
        _parse(json.dumps(outer))


def test_record_when_it_would_be_too_big_then_it_is_not_made() -> None:
    with pytest.raises(SwarmError, match="bytes"):
        _record(extra={"x": "y" * MAX_RECORD_BYTES})
