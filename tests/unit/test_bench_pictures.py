"""Benchmarks' bars: each shows what its table tells."""

from __future__ import annotations

import pytest

from devnet.bench import big, overhead, parts, storage, team, traffic
from devnet.bench.frame import Findings
from devnet.sim.report import Bars, Result


def bars_of(result: Result) -> dict[str, float]:
    """The bars of a result's only picture."""
    (picture,) = result.pictures.values()
    assert isinstance(picture, Bars)
    return dict(picture.bars)


def test_traffic_when_hivemind_was_measured_then_bars_are_its_bytes_over_ours() -> None:
    ours = {"a step": 100.0, "share": 200.0, "values": 1000.0}
    theirs = {"a step": 500_000.0, "sockets a step": 600_000.0, "values": 1000.0}
    found: Findings = {"nano/strata/H30": [ours], "nano/hivemind": [theirs]}
    assert list(bars_of(traffic.table(found)).values()) == [25.0, 5000.0, 6000.0]
    assert bars_of(traffic.table({"nano/strata/H30": [ours]})) == {}


def test_parts_when_measured_then_times_and_speeds_are_both_shares_of_the_limit() -> None:
    numbers = dict.fromkeys((name for _, name, _, _ in parts.COMPARED), 0.5)
    found: Findings = {case: [numbers] for case, *_ in parts.COMPARED}
    bars = dict(parts.picture(found).bars)
    assert len(bars) == len(parts.COMPARED)
    assert bars["encode / memory copy"] == 0.5 and bars["inner loop / bare loop"] == 2.0
    assert not parts.picture({}).bars


def test_big_when_measured_then_every_stage_but_the_preparing_one_has_a_bar() -> None:
    numbers = {"anon": 4.1, "resident": 5.0, "model": 2.0, "seconds": 1.0}
    result = big.table({big.PREPARE: [numbers], "late joiner, in memory": [numbers]}, 1000)
    assert bars_of(result) == {"late joiner, in memory": 2.05}


def test_overhead_when_passes_are_many_then_bars_are_their_means() -> None:
    names = ("seconds", "inner_seconds", "loopback_bytes", *(f"cpu {group}" for group in overhead.GROUPS))
    one = {**dict.fromkeys(names, 5.0), "bare_seconds": 10.0, "bare_spread": 0.1, "ratio": 1.2}
    result = overhead.table({"H=40": [one, {**one, "ratio": 1.4}]}, overhead.SIZES["reduced"])
    bars = bars_of(result)
    assert bars.pop("wall time") == pytest.approx(1.3)
    assert len(bars) == len(overhead.GROUPS) and set(bars.values()) == {0.5}
    assert result.rows[0][2] == "at most 1.10"


def test_storage_when_one_size_was_measured_then_its_three_ways_have_bars() -> None:
    numbers = {f"{name} {what}": 1.5 for name in ("add", "here", "there") for what in ("ratio", "cpu", "MB/s")}
    bars = bars_of(storage.table({"3 MB": [numbers]}, "reduced"))
    assert bars == {"put, 3 MB": 1.5, "get, held here, 3 MB": 1.5, "get, from another node, 3 MB": 1.5}


def test_team_when_the_base_was_measured_then_losses_are_beside_it() -> None:
    numbers = {"seconds": 1.0, "cpu": 1.0, "tokens": 10.0, "waited": 0.0, "averages": 0.0, "alone": 0.0}
    found: Findings = {
        "one peer, twice the batch": [{**numbers, "loss": 2.0}],
        "team, delta a round": [{**numbers, "loss": 2.1}],
        "average of 1M values": [{"median": 0.1}],
    }
    bars = bars_of(team.tabulate(found))
    assert bars == {"one peer, twice the batch": 0.0, "team, delta a round": pytest.approx(5.0)}
    del found["one peer, twice the batch"]
    assert bars_of(team.tabulate(found)) == {}
