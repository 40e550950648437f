"""From measurements to scores and reasons; likeness, honesty, form: pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contracts.enums import ScoreReason
from node.validation.evaluation import Estimate, Measured, fall
from node.validation.scoring import (
    Likeness,
    Measurements,
    ScoringSettings,
    form_reason,
    honesty_of,
    likeness,
    micro,
    reason_for,
    score_for,
)

GOOD = Measurements(
    gain=Estimate(0.1, 0.01),
    marginal=None,
    honesty=Estimate(0.05, 0.02),
    forgetting=Estimate(0.0, 0.01),
    likeness=Likeness(0.1, 0.3),
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ScoreReason.OK),
        ({"gain": Estimate(0.019, 0.01)}, ScoreReason.NO_GAIN),
        ({"gain": Estimate(float("nan"), 0.01)}, ScoreReason.NO_GAIN),
        ({"gain": Estimate(0.1, float("inf"))}, ScoreReason.NO_GAIN),
        ({"honesty": Estimate(-0.1, 0.02)}, ScoreReason.NOT_ASSIGNED),
        ({"honesty": Estimate(-0.01, 0.02)}, ScoreReason.OK),
        ({"honesty": None}, ScoreReason.OK),
        ({"forgetting": Estimate(0.06, 0.001)}, ScoreReason.FORGETS),
        ({"likeness": Likeness(0.2, 0.97)}, ScoreReason.COPY),
        ({"likeness": Likeness(0.95, 0.6)}, ScoreReason.COPY),
        ({"likeness": Likeness(0.1, 0.7, 0.85)}, ScoreReason.COPY),
        ({"likeness": Likeness(0.1, 0.7, 0.75)}, ScoreReason.OK),
        ({"likeness": Likeness(0.95, 0.97), "gain": Estimate(-1, 0.1)}, ScoreReason.COPY),
    ],
)
def test_reason_for_when_one_measurement_is_bad_then_it_is_named(
    change: dict[str, Estimate], reason: ScoreReason
) -> None:
    found = replace(GOOD, **change)  # type: ignore[arg-type]
    assert reason_for(found, ScoringSettings()) is reason
    assert (score_for(found, reason) > 0) == (reason is ScoreReason.OK)


def test_score_for_when_nothing_is_left_beside_the_others_then_half() -> None:
    assert score_for(GOOD, ScoreReason.OK) == 100_000
    assert score_for(replace(GOOD, marginal=Estimate(-0.3, 0.1)), ScoreReason.OK) == 50_000
    assert score_for(replace(GOOD, marginal=Estimate(0.9, 0.1)), ScoreReason.OK) == 100_000


def test_fall_when_paired_then_mean_and_error_of_the_difference() -> None:
    tokens = np.array([10, 10, 20])
    before, after = Measured(np.array([30.0, 20.0, 50.0]), tokens), Measured(np.array([29.0, 19.0, 48.0]), tokens)
    found = fall(before, after)
    assert found.mean == pytest.approx(0.1) and found.error == pytest.approx(0.0)
    assert fall(before.take(np.array([0])), after.take(np.array([0]))).error == float("inf")


def test_fall_when_windows_are_many_then_error_is_that_of_a_mean() -> None:
    rng = np.random.default_rng(1)
    differences = rng.normal(0.05, 0.2, 400)
    tokens = np.ones(400, dtype=np.int64)
    found = fall(Measured(differences + 3, tokens), Measured(np.full(400, 3.0), tokens))
    assert found.error == pytest.approx(0.2 / 20, rel=0.15)


def test_honesty_when_windows_differ_then_only_what_the_miner_alone_learned_counts() -> None:
    easy = np.array([1.0, 0.2, 1.1, 0.1])  # what anybody gains there
    mine = np.array([True, True, False, False])
    own = easy + np.array([0.05, 0.06, 0.0, 0.01])
    found = honesty_of(own, [easy], mine)
    assert found is not None and found.mean == pytest.approx(0.05) and found.above(0.0, 2.0)
    assert honesty_of(own, [easy], np.array([True, False, False, False])) is None


def test_likeness_when_scaled_copy_then_cosine_one_and_full_overlap() -> None:
    rng = np.random.default_rng(1)
    vector, other = rng.normal(size=(2, 6400)).astype(np.float32)
    copy = likeness(vector, np.float32(0.5) * vector)
    assert copy.cosine == pytest.approx(1.0, abs=1e-4) and copy.overlap == 1.0
    assert abs(likeness(vector, other).cosine) < 0.1 and likeness(vector, other).overlap < 0.2
    assert likeness(vector, np.zeros_like(vector)) == Likeness(0.0, 0.0)


def test_form_reason_when_vector_is_wrong_then_says_how() -> None:
    good = np.ones(4, dtype=np.float32)
    assert form_reason(good, 4, 10.0) is ScoreReason.OK
    assert form_reason(None, 4, 10.0) is ScoreReason.UNAVAILABLE
    for bad in (good[:3], good.astype(np.float64), good * np.float32("nan"), good * 100, good * 0):
        assert form_reason(bad, 4, 10.0) is ScoreReason.BAD_FORM


def test_micro_when_not_finite_then_the_bound() -> None:
    assert micro(0.1234567) == 123457 and micro(float("inf")) == 10**9 == micro(float("nan"))
    assert micro(float("-inf")) == -(10**9)
