"""What the scale simulation holds: per round, nothing that is counted grows faster than the miners do."""

from __future__ import annotations

import pytest

from devnet.bench.frame import Findings
from devnet.bench.scale import SWEEPS, cases, count_all, slope, slopes, table
from devnet.bench.scale_judge import judge
from devnet.bench.scale_roles import play_roles
from devnet.bench.scale_round import Numbers, Size, gas_of, play, snapshots
from node.validation.originality import EACH_WITH_EACH, NEAREST

LINEAR = 1.1
NOT_COUNTED = ("seconds", "pairs compared", "delta: float32")


def counted(numbers: Numbers) -> list[str]:
    return [name for name in numbers if not name.startswith(NOT_COUNTED)]


def growth(sizes: list[int], found: list[Numbers]) -> dict[str, float]:
    return {name: slope(sizes, [numbers[name] for numbers in found]) for name in counted(found[0])}


def test_slope_when_a_power_then_its_exponent() -> None:
    assert slope([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
    assert slope([1, 2, 4], [5, 5, 5]) == 0 and slope([1, 2], [0, 0]) == 0 and slope([1, 2], [0, 1]) == float("inf")


def test_round_when_miners_grow_then_no_count_grows_faster() -> None:
    sizes = [16, 32, 64]
    found = growth(sizes, [play(Size(miners, 20, 8192), 1) for miners in sizes])
    assert {name: by for name, by in found.items() if by > LINEAR} == {}
    assert found["bytes fetched for a head"] == pytest.approx(1, abs=0.05)
    assert found["DHT bytes sent by a node in a heartbeat"] == 0


def test_roles_when_miners_grow_then_calls_stay_and_what_is_read_is_linear() -> None:
    sizes = [4, 8, 16]
    found = growth(sizes, [play_roles(Size(miners, 3, 8192), 1) for miners in sizes])
    assert {name: by for name, by in found.items() if by > LINEAR} == {}
    assert found["chain calls of a miner"] == found["chain calls of a validator"] == 0


@pytest.mark.slow
def test_judging_when_miners_grow_then_work_is_linear_and_memory_is_their_payloads_and_prints() -> None:
    sizes = [2 * EACH_WITH_EACH, 4 * EACH_WITH_EACH]
    numbers = [judge(Size(miners, 4), 1) for miners in sizes]
    found = growth(sizes, numbers)
    assert {name: by for name, by in found.items() if by > LINEAR} == {}
    assert all(n["pairs compared"] <= NEAREST * n["deltas judged"] for n in numbers)
    assert all(n["deltas with a score"] > 20 for n in numbers), "the marginal gains were measured, too"


def test_round_when_the_model_grows_then_the_dht_and_the_chain_do_not() -> None:
    sizes = [1 << 13, 1 << 15, 1 << 17]
    found = growth(sizes, [play(Size(4, 4, values), 1) for values in sizes])
    for name in ("DHT bytes, the miners' key", "gas, at most", "scores on chain", "transactions"):
        assert found[name] == 0
    assert found["delta bytes, all miners"] == pytest.approx(1, abs=0.1)


def test_rounds_when_many_then_a_late_joiner_fetches_no_more_than_one_snapshot_and_what_follows_it() -> None:
    few, many = (play(Size(4, 4, 8192, rounds), 1) for rounds in (15, 31))
    assert many["bytes of a late joiner"] <= 1.1 * few["bytes of a late joiner"]
    assert many["bytes of a manifest, most"] <= 1.1 * few["bytes of a manifest, most"]
    assert 0 < many["bytes of a node one round behind"] < many["bytes of the model's state"]


def test_gas_when_bounded_by_calls_then_no_measured_round_took_more() -> None:
    for (miners, validators), gas in snapshots().items():
        bound = gas_of(Size(miners, validators))["gas, at most"]
        assert gas["all transactions"] <= bound
    assert gas_of(Size(256, 64))["gas, measured or between"] == snapshots()[256, 64]["all transactions"]
    assert "gas, measured or between" not in gas_of(Size(8, 64))


def test_table_when_some_sizes_are_known_then_the_slopes_are_of_these() -> None:
    found: Findings = {f"miners={m}": [count_all(Size(m, 4, 8192), False, 1)] for m in (32, 256)}
    result = table(found, "reduced")
    row = next(row for row in result.rows if row[0] == "delta bytes, all miners")
    assert 0.9 < float(row[2]) < 1.1 and row[3] == ""
    assert slopes(found, "rounds", SWEEPS["reduced"]["rounds"]) == {}


@pytest.mark.parametrize("profile", ["reduced", "full"])
def test_cases_when_asked_for_then_each_has_a_name_of_its_own(profile: str) -> None:
    names = [case.name for case in cases(profile)]
    assert len(set(names)) == len(names)
    assert {"miners=256", "validators=64"} <= set(names)
    assert profile == "reduced" or "rounds=1007" in names
