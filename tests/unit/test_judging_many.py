"""Judging many deltas: one decoded at a time, work that grows with their number, the mix as the network makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from client.aggregate import outer_step
from client.codec import decode_codes, encode
from client.errors import DeltaError
from client.recipe import Compression, Outer
from client.replay import ModelState, aggregate
from client.types import ZERO_ADDRESS, ModelInfo, SubmissionInfo
from contracts.enums import DeltaKind, Level, ScoreReason
from node.interfaces import Document, JudgeJob
from node.judging import Bench
from node.models.load import LoadedModel
from node.training.batches import Windows, training_windows
from node.training.inner import InnerSettings, run_inner
from node.validation.evaluation import Text
from node.validation.judge import BLOCK, DeltaInput, JudgeSettings, judge_round
from node.validation.mixing import EXACT_WITHOUT, HOLD_BYTES, Mix, Payloads
from tests.unit.nano_world import documents, nano

pytestmark = pytest.mark.slow

Vector = NDArray[np.float32]
OUTER = Outer(45_875, 32_768)
TOPK = Compression("topk2", 64, 4096)
N = 3 * 4096 + 100


def payload(seed: int, n: int = N) -> bytes:
    rng = np.random.default_rng(seed)
    return encode((rng.normal(size=n) * 1e-3 * (1 + seed % 3)).astype(np.float32), "topk2", 64, 4096)[0]


def mix_of(count: int, hold_bytes: int = HOLD_BYTES) -> tuple[Mix, Payloads, list[bytes], Vector]:
    made = [payload(seed) for seed in range(count)]
    payloads = Payloads(made, N, TOPK, hold_bytes)
    theta = np.random.default_rng(9).normal(size=N).astype(np.float32)
    return Mix(theta, np.full(N, 0.01, np.float32), OUTER, payloads), payloads, made, theta


def by_replay(theta: Vector, made: list[bytes], scores: list[int]) -> Vector:
    total = sum(scores)
    kept = [(decode_codes(data, N, TOPK), s * 65536 // total) for data, s in zip(made, scores, strict=True) if s]
    update = aggregate([codes for codes, _ in kept], [weight for _, weight in kept], N)
    return outer_step(theta, np.full(N, 0.01, np.float32), update, OUTER.lr_q16, OUTER.momentum_q16)[0]


def test_mix_when_scores_are_given_then_the_bytes_are_those_of_the_network() -> None:
    mix, _, made, theta = mix_of(5)
    scores = [5, 0, 1_000_000, 77, 3]
    assert np.array_equal(mix.after(scores), by_replay(theta, made, scores))
    assert np.array_equal(mix.without(scores, 2), by_replay(theta, made, [5, 0, 0, 77, 3]))


def test_mix_when_many_have_scores_then_leaving_one_out_is_nearly_the_network_s_mix_of_the_others() -> None:
    count = EXACT_WITHOUT + 8
    mix, _, made, theta = mix_of(count)
    scores = [1000 + 10 * place for place in range(count)]
    for place in (0, 7, count - 1):
        found = mix.without(scores, place) - theta
        wanted = by_replay(theta, made, [0 if index == place else s for index, s in enumerate(scores)]) - theta
        assert float(np.linalg.norm(found - wanted)) < 0.03 * float(np.linalg.norm(wanted))


def test_mix_when_each_of_many_is_left_out_then_each_is_decoded_once_more() -> None:
    count = EXACT_WITHOUT + 8
    mix, payloads, _, _ = mix_of(count, hold_bytes=0)
    scores = [1000] * count
    mix.after(scores)
    before = payloads.decoded
    for place in range(count):
        mix.without(scores, place)
    assert (before, payloads.decoded) == (2 * count, 3 * count)


def test_payloads_when_one_has_no_form_then_it_says_so_each_time() -> None:
    payloads = Payloads([b"STDL and no more", ScoreReason.UNAVAILABLE], N, TOPK)
    for _ in range(2):
        with pytest.raises(DeltaError):
            payloads.vector(0)


# ---- a whole judgement, on a nano model


@dataclass
class Reader:
    """Deltas that are decoded when asked for; ``reads`` counts how often."""

    vectors: list[Vector]
    reads: int = 0

    def of(self, place: int) -> Callable[[], Vector]:
        def read() -> Vector:
            self.reads += 1
            return self.vectors[place].copy()

        return read


@pytest.fixture(scope="module")
def law() -> LoadedModel:
    return nano("law")


@pytest.fixture(scope="module")
def texts(law: LoadedModel) -> dict[str, Windows]:
    found = documents(16)
    parts = {"0xa": found[:6], "0xb": found[6:12], "held": found[12:14], "general": found[14:]}
    return {
        name: training_windows(law.tokenizer, [part], b"s", name, 32).take(range(4)) for name, part in parts.items()
    }


@pytest.fixture(scope="module")
def trained(law: LoadedModel, texts: dict[str, Windows]) -> list[Vector]:
    return [run_inner(law, texts[miner], InnerSettings(4, 4, 0.01, 1)).delta for miner in ("0xa", "0xb")]


def crowd(
    law: LoadedModel, trained: list[Vector], texts: dict[str, Windows], count: int
) -> tuple[Reader, list[DeltaInput]]:
    """Deltas that differ: each a mixture of the two that were trained, and some places of its own."""
    rng = np.random.default_rng(3)
    vectors = []
    for place in range(count):
        own = rng.normal(size=law.n).astype(np.float32) * np.float32(np.abs(trained[0]).mean())
        vectors.append((trained[place % 2] * np.float32(0.7) + own).astype(np.float32))
    reader = Reader(vectors)
    windows = [texts["0xa"], texts["0xb"]]
    made = [DeltaInput(f"0x{i:x}", bytes([i]) * 32, reader.of(i), i, windows[i % 2]) for i in range(count)]
    return reader, made


def test_judge_round_when_deltas_are_decoded_on_demand_then_the_result_is_the_same(
    law: LoadedModel, trained: list[Vector], texts: dict[str, Windows]
) -> None:
    reader, lazy = crowd(law, trained, texts, 4)
    held = [replace(delta, vector=reader.vectors[place]) for place, delta in enumerate(lazy)]
    head = law.get_vector()
    one = judge_round(law, head, lazy, Text(texts["held"]), Text(texts["general"]))
    other = judge_round(law, head, held, Text(texts["held"]), Text(texts["general"]))
    assert one == other and max(one.scores) > 0


def test_judge_round_when_a_delta_can_not_be_decoded_then_it_alone_has_bad_form(
    law: LoadedModel, trained: list[Vector], texts: dict[str, Windows]
) -> None:
    def broken() -> Vector:
        raise DeltaError("the frame is damaged")

    _, deltas = crowd(law, trained, texts, 3)
    deltas[1] = replace(deltas[1], vector=broken)
    found = judge_round(law, law.get_vector(), deltas, Text(texts["held"]), Text(texts["general"]))
    assert found.reasons[1] is ScoreReason.BAD_FORM and found.scores[1] == 0
    assert found.deltas[0].gain is not None and found.deltas[2].gain is not None


def test_judge_round_when_deltas_double_then_what_is_read_and_judged_doubles_too(
    law: LoadedModel, trained: list[Vector], texts: dict[str, Windows]
) -> None:
    """Beyond two blocks; of what each costs, nothing grows with the others' number."""
    cost = {}
    settings = JudgeSettings(marginal_windows=1, general_windows=1, assigned_windows=1)
    head, held = law.get_vector(), texts["held"].take(range(2))

    def next_values(scores: list[int], place: int = 0) -> Vector:
        return head

    for count in (2 * BLOCK, 4 * BLOCK):
        reader, deltas = crowd(law, trained, texts, count)
        found = judge_round(
            law, head, deltas, Text(held), Text(texts["general"]), settings, join=next_values, without=next_values
        )
        cost[count] = (reader.reads, found.tokens)
        assert all(delta.honesty is None or delta.honesty.error > 0 for delta in found.deltas)
    (reads, tokens), (more_reads, more_tokens) = cost.values()
    assert more_reads == 2 * reads
    assert more_tokens < 2.05 * tokens


# ---- the validator's bench


class OneModel:
    """Stands for the models in memory and their heads: one, at its genesis."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.one = loaded

    def loaded(self, model: ModelInfo, trainable: bool = True) -> LoadedModel:
        return self.one

    def state(self, model_id: int, head: bytes) -> ModelState:
        theta = self.one.get_vector()
        return ModelState(self.one.genesis, b"g" * 32, None, head, theta, np.zeros_like(theta))


def test_bench_when_payloads_are_good_copied_damaged_or_missing_then_each_has_its_reason(
    law: LoadedModel, trained: list[Vector]
) -> None:
    recipe = law.genesis.compression
    made = [encode(vector, recipe.codec, recipe.k, recipe.chunk)[0] for vector in trained]
    copy = encode(trained[0] * np.float32(0.9), recipe.codec, recipe.k, recipe.chunk)[0]
    payloads = (*made, copy, made[0][:-3], ScoreReason.UNAVAILABLE)
    model = ModelInfo(1, 0, Level.GLOBAL, "law", "law", b"g" * 32, b"g" * 32, 0, ZERO_ADDRESS)
    miners = [f"0x{index:040x}" for index in range(1, 6)]
    job = JudgeJob(
        model=model, round=1, validator="0x" + "77" * 20, parent_head=b"g" * 32, evaluation_seed=b"e" * 32,
        submissions=tuple(
            SubmissionInfo(index, miner, bytes([index]) * 32, DeltaKind.TRAIN, b"g" * 32, (1,), 1, 0, 0)
            for index, miner in enumerate(miners)
        ),
        dealt=(1, 2, 3, 4), payloads=payloads, assigned=((),) * 5, committed=(0, 1, 2, 3, 4), seed=b"s" * 32,
        heldout=tuple(Document("0xheld", text) for text in documents(16)[12:14]), general=(),
    )  # fmt: skip
    stand_in: Any = OneModel(law)
    verdict = Bench(stand_in, stand_in).judge(job)
    assert verdict.reasons[1:] == (ScoreReason.COPY, ScoreReason.BAD_FORM, ScoreReason.UNAVAILABLE)
    assert len(verdict.scores) == 4 and [entry["miner"] for entry in verdict.summary["deltas"]] == miners[1:]


def test_judge_round_when_a_delta_of_the_round_before_comes_again_then_another_s_is_a_copy_and_ones_own_is_not(
    law: LoadedModel, trained: list[Vector], texts: dict[str, Windows]
) -> None:
    _, deltas = crowd(law, trained, texts, 3)
    head = law.get_vector()
    fresh = judge_round(law, head, deltas, Text(texts["held"]), Text(texts["general"]))
    seen = [
        replace(deltas[1], miner="0xother", vector=deltas[1].read() * np.float32(0.9), judged=False),
        replace(deltas[2], vector=deltas[2].read(), judged=False),
    ]
    found = judge_round(law, head, deltas, Text(texts["held"]), Text(texts["general"]), earlier=seen)
    assert ScoreReason.COPY not in fresh.reasons
    assert [reason is ScoreReason.COPY for reason in found.reasons] == [False, True, False]
    assert len(found.deltas) == 3
