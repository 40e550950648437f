"""The inner loop and its objectives, on nano models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from client.errors import EmptyText
from client.manifests import Inner
from client.storage import MemoryStore
from contracts.enums import DeltaKind
from node.learner import Learner
from node.models.head_loss import frozen_head_loss, place_losses
from node.training.batches import IGNORED, Windows, pack, rows_for, training_windows
from node.training.inner import Hooks, InnerSettings, Step, run_inner, schedule
from node.training.memory import InnerState, InnerStates
from node.training.objectives import Distil, distil_loss, train_loss
from tests.unit.nano_world import documents, nano


def _windows(count: int = 8) -> Windows:
    model = nano("law")
    return training_windows(model.tokenizer, [documents()], b"seed", "0xA", 64).take(range(count))


@pytest.mark.slow
def test_run_inner_when_trained_then_loss_falls_and_model_is_left_as_it_was() -> None:
    model = nano("law")
    before = model.get_vector()
    seen: list[Step] = []
    result = run_inner(model, _windows(), InnerSettings(12, 4, 0.01, 1), progress=seen.append)
    assert np.array_equal(model.get_vector(), before)
    assert np.mean(result.losses[-3:]) < result.losses[0] - 0.3
    assert result.delta.dtype == np.float32 and result.delta.any() and not result.stopped
    assert [step.step for step in seen] == list(range(1, 13))
    assert result.tokens == 12 * 4 * 63


def test_run_inner_when_run_twice_then_the_same_delta() -> None:
    model = nano("computing")
    first, second = (run_inner(model, _windows(4), InnerSettings(2, 2, 0.003)).delta for _ in range(2))
    assert np.array_equal(first, second)


def test_run_inner_when_the_deadline_comes_then_stops_with_what_it_has() -> None:
    calls = iter([False, False, True])
    result = run_inner(nano("law"), _windows(), InnerSettings(9, 2, 0.01), should_stop=lambda: next(calls))
    assert result.stopped and len(result.losses) == 2 and result.delta.any()


def test_run_inner_when_hooked_then_gradients_can_be_changed_before_and_values_after_each_step() -> None:
    calls: list[tuple[str, int]] = []

    def forget(step: int, parameters: Sequence[torch.nn.Parameter]) -> None:
        calls.append(("backward", step))
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.zero_()

    def on_step(step: int, parameters: Sequence[torch.nn.Parameter]) -> None:
        calls.append(("step", step))

    result = run_inner(nano("law"), _windows(), InnerSettings(2, 2, 0.01), hooks=Hooks(forget, on_step))
    assert calls == [("backward", 0), ("step", 0), ("backward", 1), ("step", 1)]
    assert not result.delta.any()


@pytest.mark.slow
def test_run_inner_when_distilling_then_student_comes_nearer_to_its_parent() -> None:
    student, teacher = nano("computing"), nano("global", trainable=False)
    result = run_inner(student, _windows(), InnerSettings(10, 4, 0.003), Distil(teacher, mix=1.0))
    assert result.losses[-1] < 0.9 * result.losses[0]


def test_training_windows_when_dealt_then_a_function_of_seed_miner_and_member() -> None:
    tokenizer = nano("law").tokenizer
    shards = [documents(4), documents(3)]

    def deal(seed: bytes, miner: str, member: int = 0) -> bytes:
        return training_windows(tokenizer, shards, seed, miner, 64, member).tokens.tobytes()

    assert deal(b"s", "0xA") == deal(b"s", "0xa")
    assert len({deal(b"s", "0xA"), deal(b"t", "0xA"), deal(b"s", "0xB"), deal(b"s", "0xA", 1)}) == 4


def test_pack_when_text_is_short_then_one_short_window() -> None:
    tokenizer = nano("law").tokenizer
    assert [len(window) for window in pack(tokenizer, ["abc"], 64)] == [4]
    with pytest.raises(EmptyText):
        Windows.of([[1]])


def test_windows_when_padded_then_padding_is_no_target() -> None:
    windows = Windows.of([[1, 2, 3, 4], [5, 6]], pad=9)
    assert windows.inputs([0, 1]).tolist() == [[1, 2, 3], [5, 6, 9]]
    assert windows.targets([0, 1]).tolist() == [[2, 3, 4], [6, IGNORED, IGNORED]]
    assert windows.inputs([1]).tolist() == [[5]]


def test_rows_for_when_windows_run_out_then_they_are_read_again() -> None:
    assert list(rows_for(3, 2, 3)) == [[0, 1], [2, 0], [1, 2]]


def test_distil_loss_when_student_is_the_teacher_then_only_the_text_counts() -> None:
    logits = torch.randn(1, 5, 7, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([[1, 2, IGNORED, 4, 5]])
    text = train_loss(logits, targets)
    assert torch.isclose(distil_loss(logits, logits, targets, 2.0, 0.5), 0.5 * text)


@pytest.mark.parametrize(("temperature", "mix"), [(1.0, 0.0), (1.0, 0.5), (2.0, 0.7)])
def test_frozen_head_loss_when_compared_with_the_plain_one_then_value_and_gradient_agree(
    temperature: float, mix: float
) -> None:
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(90, 8, generator=generator, requires_grad=True)
    states, weight = torch.randn(90, 8, generator=generator), torch.randn(30, 8, generator=generator)
    targets = torch.randint(0, 30, (90,), generator=generator)
    plain = distil_loss((hidden @ weight.T)[None], (states @ weight.T)[None], targets[None], temperature, mix)
    (wanted,) = torch.autograd.grad(plain, hidden)
    fused = frozen_head_loss(hidden, weight, targets, (states, weight), temperature, mix)
    (found,) = torch.autograd.grad(fused, hidden)
    assert torch.isclose(fused, plain, atol=1e-5) and torch.allclose(found, wanted, atol=1e-6)
    if mix == 0.0:
        assert torch.isclose(place_losses(hidden, weight, targets).mean(), plain, atol=1e-5)


def test_run_inner_when_accumulating_then_the_delta_of_one_large_batch() -> None:
    model, windows = nano("law"), _windows(4)
    whole = run_inner(model, windows, InnerSettings(1, 4, 0.01))
    parts = run_inner(model, windows, InnerSettings(1, 1, 0.01, accumulate=4))
    assert parts.tokens == whole.tokens and parts.losses[0] == pytest.approx(whole.losses[0], abs=1e-2)
    cosine = float(parts.delta @ whole.delta / np.linalg.norm(parts.delta) / np.linalg.norm(whole.delta))
    assert cosine > 0.9  # AdamW's first step is the gradient's sign: noise in bfloat16 turns the smallest


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_run_inner_when_its_state_is_kept_then_two_rounds_are_one_long_one(optimizer: str) -> None:
    model, windows = nano("computing"), _windows(4)
    settings = InnerSettings(4, 1, 0.003, warmup=1, optimizer=optimizer, horizon=4)
    long = run_inner(model, windows, settings)
    first = run_inner(model, windows.take([0, 1]), replace(settings, steps=2))
    start = model.get_vector()
    model.set_vector(start + first.delta)
    second = run_inner(model, windows.take([2, 3]), replace(settings, steps=2, done=2), state=first.state)
    assert np.allclose(first.delta + second.delta, long.delta, atol=1e-5)
    assert second.state is not None and second.state.steps == 4


def test_run_inner_when_the_kept_state_is_of_another_size_then_it_begins_anew() -> None:
    strange = InnerState(3, np.zeros(5, np.float32), np.zeros(5, np.float32))
    model, windows, settings = nano("law"), _windows(2), InnerSettings(1, 2, 0.01)
    assert np.array_equal(
        run_inner(model, windows, settings, state=strange).delta, run_inner(model, windows, settings).delta
    )


def _state(size: int = 7) -> InnerState:
    return InnerState(12, np.linspace(-1, 1, size, dtype=np.float32), np.full(size, 0.5, np.float32))


def test_inner_states_when_kept_then_the_same_comes_back_for_the_same_genesis_alone(tmp_path: Path) -> None:
    states = InnerStates(tmp_path)
    states.save(3, b"g" * 32, _state())
    found = states.load(3, b"g" * 32, 7)
    assert found is not None and found.steps == 12
    assert np.array_equal(found.first, _state().first) and np.array_equal(found.second, _state().second)
    assert states.load(3, b"h" * 32, 7) is None and states.load(3, b"g" * 32, 8) is None
    assert states.load(4, b"g" * 32, 7) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-4]),
        lambda path: path.write_bytes(b"\xff" * 120),
        lambda path: path.write_bytes(b""),
        lambda path: InnerStates(path.parent).save(3, b"g" * 32, replace(_state(), first=_state().first * np.nan)),
        lambda path: InnerStates(path.parent).save(3, b"g" * 32, replace(_state(), second=-_state().second)),
        lambda path: InnerStates(path.parent).save(3, b"g" * 32, _state(9)),
    ],
)
def test_inner_states_when_the_file_is_spoilt_then_none(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    states = InnerStates(tmp_path)
    states.save(3, b"g" * 32, _state())
    spoil(next(tmp_path.glob("*.safetensors")))
    assert states.load(3, b"g" * 32, 7) is None


def test_inner_settings_when_read_from_a_genesis_then_the_round_says_how_many_steps_and_where() -> None:
    inner = Inner(30, 4, 128, "0.003", 10, "0", horizon=600, floor="0.05", early_rounds=3, early_steps=5, clip="0.5")
    assert [InnerSettings.of(inner, number).steps for number in (1, 3, 4)] == [5, 5, 30]
    assert [InnerSettings.of(inner, number).done for number in (1, 2, 4, 5)] == [0, 5, 15, 45]
    last = InnerSettings.of(inner, 40)
    assert last.rate(0) == pytest.approx(0.05 * 0.003) and last.clip == 0.5
    assert inner.least_windows == 20


def test_schedule_when_warming_up_then_rises_and_later_falls_to_a_tenth() -> None:
    rates = [schedule(step, 10, 2) for step in range(11)]
    assert rates[0] < rates[1] < rates[2] == 1.0 and rates[10] == pytest.approx(0.1)


@pytest.mark.parametrize(("state", "after"), [("kept", [2, 4]), ("fresh", [None, None])])
def test_learner_when_rounds_follow_each_other_then_the_state_is_kept_as_the_genesis_says(
    tmp_path: Path, state: str, after: list[int | None]
) -> None:
    model, states = nano("law"), InnerStates(tmp_path)
    loaded = replace(model, genesis=replace(model.genesis, inner=replace(model.genesis.inner, steps=2, state=state)))
    models: Any = SimpleNamespace(loaded=lambda info: loaded)
    heads: Any = SimpleNamespace(state=lambda *key: SimpleNamespace(theta=model.get_vector(), round=0))
    about = SimpleNamespace(id=1, genesis=b"g" * 32)
    job: Any = SimpleNamespace(
        model=about, parent=None, base_head=b"", kind=DeltaKind.TRAIN, shards=(tuple(documents()),), seed=b"s",
        miner="0xA", member=0, ahead=None,
    )  # fmt: skip
    learner = Learner(models, heads, MemoryStore(), tmp_path, states)
    for steps in after:
        assert learner.train(job, lambda progress: None, lambda: False).delta.any()
        found = states.load(1, b"g" * 32, loaded.n)
        assert (found.steps if found else None) == steps
