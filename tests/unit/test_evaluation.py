"""Judging a round, on nano models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from contracts.enums import ScoreReason
from node.models.load import LoadedModel
from node.models.run import logits_of
from node.training.batches import Windows, training_windows
from node.training.inner import InnerSettings, run_inner
from node.training.objectives import train_loss
from node.validation.evaluation import Bench, Text
from node.validation.judge import DeltaInput, judge_round
from tests.unit.nano_world import documents, nano

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def law() -> LoadedModel:
    return nano("law")


@pytest.fixture(scope="module")
def windows(law: LoadedModel) -> dict[str, Windows]:
    texts = documents(16)
    parts = {"0xa": texts[:6], "0xb": texts[6:12], "held": texts[12:14], "general": texts[14:]}
    return {
        name: training_windows(law.tokenizer, [part], b"s", name, 64).take(range(8)) for name, part in parts.items()
    }


@pytest.fixture(scope="module")
def deltas(law: LoadedModel, windows: dict[str, Windows]) -> list[DeltaInput]:
    made = []
    for order, miner in enumerate(("0xa", "0xb")):
        vector = run_inner(law, windows[miner], InnerSettings(8, 4, 0.01, 1)).delta
        made.append(DeltaInput(miner, bytes([order]) * 32, vector, order, windows[miner]))
    return made


def test_bench_when_measured_then_equals_plain_cross_entropy(law: LoadedModel, windows: dict[str, Windows]) -> None:
    held = windows["held"]
    rows = list(range(len(held)))
    with torch.no_grad():
        plain = train_loss(logits_of(law, held.inputs(rows)), held.targets(rows))
    assert Bench(law, held).measure().loss == pytest.approx(float(plain), abs=1e-3)


def test_judge_round_when_miners_are_honest_then_both_score_and_head_is_restored(
    law: LoadedModel, windows: dict[str, Windows], deltas: list[DeltaInput]
) -> None:
    head = law.get_vector()
    done: list[tuple[int, int]] = []
    found = judge_round(
        law, head, deltas, Text(windows["held"]), Text(windows["general"]), progress=lambda a, b: done.append((a, b))
    )
    assert found.reasons == [ScoreReason.OK, ScoreReason.OK] and min(found.scores) > 100_000
    assert found.heldout_after < found.heldout_before - 0.2 and found.heldout_fall.above(0.0, 2.0)
    assert all(delta.marginal is not None and delta.honesty is not None for delta in found.deltas)
    assert found.tokens > 0 and done[-1][0] == done[-1][1]
    assert np.array_equal(law.get_vector(), head)


def test_judge_round_when_deltas_are_bad_then_each_has_its_reason(
    law: LoadedModel, windows: dict[str, Windows], deltas: list[DeltaInput]
) -> None:
    good = deltas[0].vector
    assert good is not None
    bad = [
        deltas[0],
        DeltaInput("0xc", b"c" * 32, good * np.float32(0.9), 2),
        DeltaInput("0xd", b"d" * 32, -good, 3),
        DeltaInput("0xe", b"e" * 32, good[:-1], 4),
        DeltaInput("0xf", b"f" * 32, np.full_like(good, np.nan), 5),
        DeltaInput("0x1", b"1" * 32, None, 6),
        DeltaInput("0x2", b"2" * 32, None, 7, reason=ScoreReason.BAD_FORM),
    ]
    found = judge_round(law, law.get_vector(), bad, Text(windows["held"]), Text(windows["general"]))
    assert found.reasons[:2] == [ScoreReason.OK, ScoreReason.COPY]
    assert found.reasons[2] in (ScoreReason.NO_GAIN, ScoreReason.FORGETS)
    assert found.reasons[3:] == [
        ScoreReason.BAD_FORM, ScoreReason.BAD_FORM, ScoreReason.UNAVAILABLE, ScoreReason.BAD_FORM,
    ]  # fmt: skip
    assert [score > 0 for score in found.scores] == [True] + 6 * [False]


def test_judge_round_when_a_miner_contributed_held_out_text_then_it_is_judged_on_the_others(
    law: LoadedModel, windows: dict[str, Windows], deltas: list[DeltaInput]
) -> None:
    head, held, general = law.get_vector(), windows["held"], Text(windows["general"])
    rows = list(range(3, len(held)))
    owners = ("0xA",) * 3 + ("0xb",) + ("0xZ",) * (len(held) - 4)  # addresses in another case
    found = judge_round(law, head, deltas, Text(held, owners), general).deltas
    without = judge_round(law, head, deltas, Text(held.take(rows)), general).deltas
    all_of_it = judge_round(law, head, deltas, Text(held), general).deltas
    gains = [judged[0].gain for judged in (found, without, all_of_it)]
    assert gains[0] and gains[1] and gains[2] and gains[0].mean == pytest.approx(gains[1].mean, abs=1e-5)
    assert abs(gains[0].mean - gains[2].mean) > 1e-3
    assert found[1].gain and all_of_it[1].gain and found[1].gain.mean != all_of_it[1].gain.mean


def test_judge_round_when_a_miner_contributed_all_held_out_text_then_it_shows_no_gain(
    law: LoadedModel, windows: dict[str, Windows], deltas: list[DeltaInput]
) -> None:
    owners = ("0xa",) * len(windows["held"])
    found = judge_round(law, law.get_vector(), deltas, Text(windows["held"], owners), Text(windows["general"]))
    assert found.reasons == [ScoreReason.NO_GAIN, ScoreReason.OK] and found.scores[0] == 0 < found.scores[1]


def test_judge_round_when_a_miner_contributed_all_retention_text_then_forgetting_it_counts_all_the_same(
    law: LoadedModel, windows: dict[str, Windows], deltas: list[DeltaInput]
) -> None:
    general = windows["general"]
    plain, owned = (
        judge_round(law, law.get_vector(), deltas[:1], Text(windows["held"]), Text(general, owners)).deltas[0]
        for owners in ((), ("0xa",) * len(general))
    )
    assert plain.forgetting == owned.forgetting is not None


def test_judge_round_when_nothing_is_good_then_the_head_stays(law: LoadedModel, windows: dict[str, Windows]) -> None:
    none = [DeltaInput("0x1", b"1" * 32, None, 0)]
    found = judge_round(law, law.get_vector(), none, Text(windows["held"]), Text(windows["general"]))
    assert found.scores == [0] and found.heldout_after == found.heldout_before


def test_judge_round_when_a_delta_is_judged_by_others_then_it_only_shows_who_copied_it(
    law: LoadedModel, windows: dict[str, Windows], deltas: list[DeltaInput]
) -> None:
    first, second = deltas[:2]
    copy = replace(second, miner="0xe", digest=b"e" * 32, vector=first.vector, committed=5)
    mine = [replace(first, judged=False), second, copy]
    found = judge_round(law, law.get_vector(), mine, Text(windows["held"]), Text(windows["general"]))
    assert [judged.miner for judged in found.deltas] == [second.miner, "0xe"]
    assert found.reasons[1] is ScoreReason.COPY
    assert found.scores[0] > 0
