"""What the simulation must show, with bounds: nobody gains by lying, by copying, by being many, by spoiling."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from devnet.sim import __main__ as command
from devnet.sim import cabal, committees, copying, dealing, delegation, griefing, sybil, yuma
from devnet.sim.engine import Rules
from devnet.sim.report import Bars, Result, draw, print_table
from devnet.sim.world import Strategy, World, constant, copier, honest, lifter, shuffler, silent, sinker

ROUNDS = 60
ALL = Rules(committee=64)
DRAWN = Rules()
SETTINGS = {setting.label: setting for setting in cabal.SETTINGS}


# --- cabals


@pytest.mark.parametrize("noise", ["all judge all", "all judge all, noise 0.4"])
@pytest.mark.parametrize("stake", [0.1, 0.3, 0.45, 0.49])
def test_cabal_when_below_half_and_all_judge_all_then_worthless_miners_get_nothing(stake: float, noise: str) -> None:
    totals = cabal.attack(stake, lifter, True, SETTINGS[noise], ROUNDS, 1)
    assert cabal.taken(totals) == 0.0
    assert totals.pay_of(slice(cabal.HONEST, None)) < 0.5 * stake


@pytest.mark.parametrize(("stake", "bound"), [(0.1, 0.001), (0.2, 0.003), (0.3, 0.05), (0.4, 0.25)])
def test_cabal_when_committees_are_drawn_then_worthless_miners_get_little(stake: float, bound: float) -> None:
    assert cabal.taken(cabal.attack(stake, lifter, True, SETTINGS["32 draws"], 2 * ROUNDS, 1)) < bound


def test_cabal_when_there_is_no_ceiling_then_one_committee_is_worth_most_of_a_round() -> None:
    open_ended = cabal.SETTINGS[-1]
    assert not open_ended.rules.is_capped
    with_it = cabal.taken(cabal.attack(0.35, lifter, True, SETTINGS["32 draws"], 2 * ROUNDS, 1))
    without = cabal.taken(cabal.attack(0.35, cabal.greedy_lifter, True, open_ended, 2 * ROUNDS, 1))
    assert without > 3 * with_it


@pytest.mark.parametrize(("stake", "bound"), [(0.2, 1.03), (0.3, 1.04), (0.45, 1.10)])
def test_cabal_when_it_sinks_rivals_then_its_miners_gain_little(stake: float, bound: float) -> None:
    setting = SETTINGS["all judge all"]
    fair = cabal.taken(cabal.attack(0.0, sinker, False, setting, ROUNDS, 1))
    found = cabal.attack(stake, sinker, False, setting, ROUNDS, 1)
    assert cabal.taken(found) / fair < bound
    assert found.pay_of(slice(cabal.HONEST, None)) < 0.25 * stake


def test_cabal_when_above_half_then_takes_all_there_is_to_take() -> None:
    assert cabal.taken(cabal.attack(0.6, lifter, True, SETTINGS["all judge all"], ROUNDS, 1)) > 0.4


def test_committee_when_drawn_then_falls_to_a_tenth_of_stake_almost_never() -> None:
    assert committees.lifted(16, 0.1) < 1e-4
    assert committees.lifted(32, 0.3) < committees.lifted(16, 0.3) < 0.1
    assert committees.sunk(16, 0.3) < committees.lifted(16, 0.3)  # a tie lifts
    assert committees.invalidated(16, 1 / 3) < 0.01
    assert committees.at_least(3, 0, 0.5) == 1.0


def test_seeds_when_a_producer_tries_two_then_gains_little_below_a_fourth() -> None:
    chance = committees.lifted(committees.COMMITTEE, 0.2)
    assert committees.best_of(1, chance) == pytest.approx(committees.GROUPS * chance)
    assert committees.best_of(2, chance) < 0.01
    assert committees.best_of(1000, committees.lifted(committees.COMMITTEE, 0.3)) > 3  # a sequencer that grinds


# --- Sybils


@pytest.mark.parametrize("identities", [2, 8, 28])
def test_stake_when_split_and_all_judge_all_then_gains_nothing_but_dust(identities: int) -> None:
    alone = np.mean(sybil.pay(sybil.SMALL, 1, honest, ALL, ROUNDS, 1))
    split = np.mean(sybil.pay(sybil.SMALL, identities, honest, ALL, ROUNDS, 1))
    assert -0.01 < split / alone - 1 < 0.001


@pytest.mark.parametrize("others", [sybil.SMALL, sybil.LARGE])
@pytest.mark.parametrize("strategy", [honest, copier])
def test_stake_when_split_and_committees_are_drawn_then_gains_nothing_but_chance(
    others: int, strategy: Strategy
) -> None:
    alone = np.mean(sybil.pay(others, 4, strategy, DRAWN, 2 * ROUNDS, 1))
    split = np.mean(sybil.pay(others, 28, strategy, DRAWN, 2 * ROUNDS, 1))
    assert abs(split / alone - 1) < 0.06


def test_stake_when_idle_identities_had_full_agreement_then_splitting_would_pay() -> None:
    forgetful = Rules(remembers=False)
    alone = np.mean(sybil.pay(sybil.LARGE, 1, copier, forgetful, ROUNDS, 1))
    assert np.mean(sybil.pay(sybil.LARGE, 28, copier, forgetful, ROUNDS, 1)) / alone > 1.2


@pytest.mark.parametrize("identities", [1, 8, 28])
def test_identities_when_they_switch_drawing_on_then_take_little(identities: int) -> None:
    assert sybil.lifted(identities, DRAWN, ROUNDS, 1) < 0.05
    assert sybil.lifted(identities, ALL, ROUNDS, 1) == 0.0


def test_miner_when_its_score_is_divided_then_gains_nothing() -> None:
    rows = sybil.run_miners(ROUNDS, 1).rows
    assert all(float(row[1]) == 0.0 for row in rows)  # copies
    assert all(-0.01 < float(row[2]) <= 0.0 for row in rows)  # equal parts


def test_miner_when_work_has_diminishing_returns_then_parts_score_more_in_sum() -> None:
    assert sybil.split_scores(1000, 1, 0.5, 1.0) == [1000]
    assert sum(sybil.split_scores(1000, 2, 0.5, 1.0)) == pytest.approx(1000, abs=2)
    assert sum(sybil.split_scores(1000, 8, 0.5, 0.0)) == pytest.approx(1000 * 8**0.5, rel=0.01)


# --- who does no work


@pytest.mark.parametrize(
    ("strategy", "bound"),
    [
        (copier, 0.40),
        (copying.cautious_copier, 0.50),
        (constant, 0.40),
        (shuffler, 0.25),
        (copying.flat_maximum, 0.001),
    ],
)
def test_validator_when_it_does_no_work_then_earns_much_less(strategy: Strategy, bound: float) -> None:
    world = World(miners=48)
    for rules in (ALL, DRAWN):
        assert copying.relative_pay(copying.one_among(strategy, world, rules, 3 * ROUNDS, 1)) < bound


@pytest.mark.parametrize("strategy", [copier, copying.cautious_copier, constant, shuffler])
@pytest.mark.parametrize("world", copying.WORLDS.values(), ids=copying.WORLDS)
def test_validator_when_miners_are_alike_then_idleness_still_earns_less(strategy: Strategy, world: World) -> None:
    assert copying.relative_pay(copying.one_among(strategy, world, ALL, ROUNDS, 1)) < 0.85


@pytest.mark.parametrize("strategy", [copier, copying.cautious_copier, constant, shuffler])
@pytest.mark.parametrize("name", ["miners differ much", "differ a little"])
def test_copier_when_judging_costs_two_fifths_of_pay_then_its_profit_is_below_an_honest_ones(
    strategy: Strategy, name: str
) -> None:
    cost = 0.4  # of an honest validator's pay; not working costs nothing
    totals = copying.one_among(strategy, copying.WORLDS[name], ALL, 2 * ROUNDS, 1)
    assert copying.relative_pay(totals) < 1 - cost


def test_validator_when_honest_then_earns_its_stakes_part() -> None:
    assert copying.relative_pay(copying.one_among(honest, World(miners=48), ALL, ROUNDS, 1)) == pytest.approx(
        1, abs=0.01
    )


def test_validator_when_it_reveals_nothing_then_earns_nothing() -> None:
    assert copying.relative_pay(copying.one_among(silent, World(miners=48), ALL, ROUNDS, 1)) == 0.0


def test_copiers_when_many_but_below_half_then_still_earn_less() -> None:
    totals = copying.one_among(copier, World(miners=48), ALL, ROUNDS, 1, lazy=18)
    assert copying.relative_pay(totals, 18) < 0.4


# --- who spoils


@pytest.mark.parametrize("commits", [False, True])
def test_griefer_when_below_a_third_then_voids_nothing(commits: bool) -> None:
    assert griefing.griefed(0.33, 100, commits, wait=0).voided == 0.0


def test_griefer_when_above_a_third_then_voids_while_it_sits() -> None:
    assert griefing.griefed(0.34, 130, commits=False, wait=0).voided == 1.0
    waiting = griefing.griefed(0.34, 130, commits=False, wait=10)
    assert waiting.voided <= 3 / 13 + 0.01
    assert waiting.recovered == 1.0


def test_griefer_when_it_commits_and_does_not_reveal_then_pays_for_each_round() -> None:
    assert griefing.griefed(0.34, 100, commits=True, wait=0).slashed == pytest.approx(1 - 0.999**100, abs=1e-9)


def test_delegation_when_just_in_time_then_gets_nothing() -> None:
    for every in (1, 10, 100):
        assert delegation.guest_over_steady(2000, every, 50, harvests=True) == 0.0
        assert delegation.guest_over_steady(2000, every, 50, harvests=False) <= 1.001


def test_model_of_ones_own_when_registered_then_earns_nothing() -> None:
    assert dealing.earned(0.3, 0) == 0
    assert dealing.earned(0.3, 10_000) > 4 * dealing.honest(0.3)  # why registering gives no emission


# --- Yuma


@pytest.mark.parametrize(("noise", "published"), list(zip(yuma.NOISES, yuma.PUBLISHED, strict=True)))
def test_honest_stake_when_a_cabal_of_two_fifths_lies_then_keeps_its_part_at_yumas_utility(
    noise: float, published: float
) -> None:
    networks = [yuma.sampled(noise, np.random.default_rng(n)) for n in range(2)]
    theirs, ours = yuma.worst(networks, published + 0.01)
    assert theirs >= yuma.HONEST_STAKE - 0.01  # what is published comes out of our copy of the experiment
    assert ours >= yuma.HONEST_STAKE
    if noise == 0.4:
        assert yuma.worst(networks, published - 0.02)[0] < yuma.HONEST_STAKE


# --- the command


@pytest.mark.parametrize("name", [name for name in command.SCENARIOS if name != "yuma"])
def test_scenario_when_run_shortly_then_fills_its_table(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (result,) = command.simulate([name], rounds=5, seed=2)
    assert result.name == name
    assert result.rows and {len(row) for row in result.rows} == {len(result.columns)}
    print_table(result)
    assert result.title[:20] in capsys.readouterr().out


def test_command_when_asked_for_json_then_gives_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["committees", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["name"] == "committees"
    assert len(found[0]["rows"]) == len(committees.STAKES)


@pytest.mark.slow
def test_command_when_given_a_folder_then_draws_the_same_picture_twice(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert command.main(["committees", "--out", str(tmp_path / folder)]) == 0
    first = (tmp_path / "a" / "sim-committees.svg").read_bytes()
    assert first.startswith(b"<?xml") and first == (tmp_path / "b" / "sim-committees.svg").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("log_x", [False, True])
def test_draw_when_given_bars_then_values_and_goal_are_told_and_the_same_twice(log_x: bool, tmp_path: Path) -> None:
    bars = Bars("times", [("a & b", 0.5), ("c", 1.0), ("d", 4995.2)], 2.2, "goal, at most", log_x)
    first, again = (draw(Result("x", "x", (), (), "", {"x": bars}), tmp_path / folder)[0] for folder in ("a", "b"))
    text = first.read_text()
    assert all(f">{words}<" in text for words in ("a &amp; b", "0.50", "1.00", "4,995", "goal, at most: 2.20"))
    assert first.read_bytes() == again.read_bytes()


def test_draw_when_bars_are_below_nothing_or_absent_then_a_picture_all_the_same(tmp_path: Path) -> None:
    pictures = {"none": Bars("%", []), "below": Bars("%", [("a", -0.001), ("b", -3.0)])}
    none, below = draw(Result("x", "x", (), (), "", pictures), tmp_path)
    assert none.exists() and ">-3.00<" in below.read_text() and ">0.00<" in below.read_text()


def test_command_when_given_too_few_rounds_then_refuses() -> None:
    with pytest.raises(SystemExit):
        command.main(["lazy", "--rounds", "1"])
