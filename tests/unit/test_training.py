"""The inner loop and its objectives, on nano models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from client.errors import EmptyText
from node.models.head_loss import frozen_head_loss, place_losses
from node.training.batches import IGNORED, Windows, pack, rows_for, training_windows
from node.training.inner import Hooks, InnerSettings, Step, run_inner, schedule
from node.training.objectives import Distil, distil_loss, train_loss
from tests.unit.nano_world import documents, nano


def _windows(count: int = 8) -> Windows:
    model = nano("law")
    return training_windows(model.tokenizer, [documents()], b"seed", "0xA", 64).take(range(count))


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


def test_schedule_when_warming_up_then_rises_and_later_falls_to_a_tenth() -> None:
    rates = [schedule(step, 10, 2) for step in range(11)]
    assert rates[0] < rates[1] < rates[2] == 1.0 and rates[10] == pytest.approx(0.1)
