"""What is stored as JSON has one form, and nothing else is read."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ManifestError
from client.manifests import (
    Compression,
    Dataset,
    DeltaRef,
    DeltaReport,
    Evaluation,
    Genesis,
    Head,
    Inner,
    Lora,
    Manifest,
    Outer,
    Removed,
    Report,
    RoundDeltas,
    Shard,
    ShardText,
    canonical_json,
    parse_json,
)
from client.schema import nesting_of

ACCOUNT = "0x" + "1a" * 20
GENESIS = Genesis(
    name="law",
    level=2,
    field="law",
    language="en",
    description="Licences",
    licence="CC0-1.0",
    parent="a" * 64,
    config='{"rope_theta":10000.5}',
    tokenizer="bytes",
    chat_template="{{ messages }}",
    form="lora",
    base="b" * 64,
    lora=Lora(8, 16, ("q_proj", "v_proj"), (0, 29)),
    weights="c" * 64,
    tensors=(("layers.0.B", (3, 4)), ("layers.1.B", (5,))),
    weights_sha256="d" * 64,
    kinds=("TRAIN",),
    compression=Compression("topk2", 64, 4096),
    outer=Outer(65536, 0),
    inner=Inner(15, 4, 256, "3e-4", 2, "0.01"),
    evaluation=Evaluation(64, 256),
    snapshot_every=4,
)
HEAD = Head(
    genesis="a" * 64,
    model_id=1,
    round=5,
    parent="b" * 64,
    snapshot="c" * 64,
    snapshot_round=2,
    deltas=(
        RoundDeltas(3, (DeltaRef("d" * 64, 40000, ACCOUNT),)),
        RoundDeltas(5, (DeltaRef("e" * 64, 65536, ACCOUNT),)),
    ),
    weights_sha256="e" * 64,
    momentum_sha256="f" * 64,
)
SHARD = Shard("a" * 64, 60_000, 12, 59_000)
DATASET = Dataset("spdx", "CC0", "law", "en", "npm", ACCOUNT, (SHARD,), (SHARD,), 40, Removed(3, 1, 0))
REPORT = Report(
    1, 2, ACCOUNT, 2_600_000, 9_500, 2_500_000, 2_400_000, 9_000, 3_000_000, 3_000_100, 8_000, 16384,
    (DeltaReport(ACCOUNT, "a" * 64, 90_000, 0, 90_000, 4_000, 30_000, 100_000, -5),),
)  # fmt: skip
ALL: list[Manifest] = [GENESIS, HEAD, DATASET, REPORT, ShardText(("Ein Text, “grün”.",))]


@pytest.mark.parametrize("record", ALL, ids=lambda record: type(record).__name__)
def test_manifest_when_written_and_read_then_is_the_same(record: Manifest) -> None:
    data = record.to_bytes()
    assert type(record).from_bytes(data) == record
    assert json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == data


@pytest.mark.parametrize("record", ALL, ids=lambda record: type(record).__name__)
def test_manifest_when_a_field_is_missing_unknown_or_of_another_type_then_refused(record: Manifest) -> None:
    plain = record.to_json()
    with pytest.raises(ManifestError, match="unknown fields: surprise"):
        type(record).from_json({**plain, "surprise": 1})
    for key in plain:
        with pytest.raises(ManifestError):
            type(record).from_json({name: value for name, value in plain.items() if name != key})
        for wrong in (True, 1.5, {"a": 1}, -1, [[]], "x" * 2_000_000):
            with pytest.raises(ManifestError):
                type(record).from_json({**plain, key: wrong})
    for wrong in (None, [], "text", 7):
        with pytest.raises(ManifestError):
            type(record).from_json(wrong)


def test_from_bytes_when_spelled_otherwise_then_refused() -> None:
    spaced = json.dumps(HEAD.to_json()).encode()
    assert Head.from_json(parse_json(spaced)) == HEAD
    with pytest.raises(ManifestError, match="canonical"):
        Head.from_bytes(spaced)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b'{"a":1.5}', "not an integer"),
        (b'{"a":NaN}', "not an integer"),
        (b'{"a":1e3}', "not an integer"),
        (b'{"a":1,"a":2}', "twice"),
        (b"[" * 100_000, "nested"),
        (b"\xff\xfe", "UTF-8"),
        (b"{", "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\ud800":1}', "surrogate"),
        (b"1" * 100, "256 bits"),
        (pickle.dumps({"schema": "strata/head/1"}), "pickle"),
        (b"PK\x03\x04zip", "pickle or zip"),
    ],
)
def test_parse_json_when_bytes_are_wrong_then_says_why(data: bytes, match: str) -> None:
    with pytest.raises(ManifestError, match=match):
        parse_json(data)


def test_parse_json_when_nested_to_the_end_of_the_stack_then_refused_whatever_was_imported() -> None:
    import eth_account  # noqa: F401  (it raises Python's recursion limit: the parser would end the process)

    for data in (b"[" * 1_000_000, b'{"a":' * 100_000, b'["\\"[",' + b"[" * 100_000):
        with pytest.raises(ManifestError, match="nested"):
            parse_json(data)
    assert nesting_of('{"a[[[":["\\"{{",{}]}') == 3


def test_parse_json_when_too_large_then_refused_before_parsing() -> None:
    with pytest.raises(ManifestError, match="at most 10"):
        parse_json(b"[1,2,3,4,5,6]", 10)


@pytest.mark.parametrize("value", [1.0, b"bytes", {1: 2}, {"a": {1, 2}}, 2**256, "\ud800"])
def test_canonical_json_when_a_value_has_no_one_form_then_refused(value: Any) -> None:
    with pytest.raises(ManifestError):
        canonical_json(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_canonical_json_when_parsed_and_written_again_then_same_bytes(value: Any) -> None:
    data = canonical_json(value)
    assert parse_json(data) == value
    assert canonical_json(parse_json(data)) == data


@pytest.mark.parametrize(
    "change",
    [
        {"form": "full"},
        {"lora": None},
        {"base": None},
        {"kinds": ("TRAIN", "TRAIN")},
        {"kinds": ("SING",)},
        {"kinds": ()},
        {"tensors": (("a", (1,)), ("a", (1,)))},
        {"tensors": (("a", (2**31, 4)),)},
        {"tensors": (("a", (0,)),)},
        {"tokenizer": "words"},
        {"parent": "A" * 64},
        {"inner": replace(GENESIS.inner, lr="-1")},
        {"inner": replace(GENESIS.inner, lr="nan")},
        {"inner": replace(GENESIS.inner, clip="0")},
        {"inner": replace(GENESIS.inner, floor="1.5")},
        {"inner": replace(GENESIS.inner, optimizer="sgd")},
        {"inner": replace(GENESIS.inner, state="perhaps")},
        {"inner": replace(GENESIS.inner, accumulate=0)},
        {"inner": replace(GENESIS.inner, early_steps=0)},
        {"lora": Lora(8, 16, ("q",), (3, 2))},
        {"compression": Compression("topk2", 65, 64)},
        {"compression": Compression("topk2", 64, 4097)},
        {"outer": Outer(1, 65536)},
    ],
)
def test_genesis_when_its_parts_disagree_then_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        Genesis.from_bytes(replace(GENESIS, **change).to_bytes())


@pytest.mark.parametrize(
    "change",
    [
        {"round": 4},
        {"snapshot_round": 3},
        {"deltas": HEAD.deltas[::-1]},
        {"deltas": (RoundDeltas(5, (DeltaRef("d" * 64, 40000, ACCOUNT), DeltaRef("e" * 64, 40000, ACCOUNT))),)},
        {"deltas": (RoundDeltas(5, ()),)},
        {"deltas": ()},
    ],
)
def test_head_when_its_rounds_or_weights_are_impossible_then_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        Head.from_bytes(replace(HEAD, **change).to_bytes())


def test_genesis_when_asked_its_size_then_counts_parameters() -> None:
    assert GENESIS.size == 17


def test_inner_when_made_for_a_horizon_then_short_rounds_come_first_and_all_steps_count() -> None:
    inner = Inner(30, 4, 128, "0.009", 20, "0.01").over_rounds(6000)
    assert (inner.state, inner.horizon, inner.early_rounds, inner.early_steps) == ("kept", 6000, 200, 5)
    assert inner.steps_before(201) == 1000 and inner.steps_in(201) == 30
    assert Inner(4, 1, 16, "0.1", 0, "0").over_rounds(40).early_steps == 1
    assert Inner.from_json(inner.to_json()) == inner
