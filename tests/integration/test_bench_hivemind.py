"""The quality benchmark's peer, with Hivemind's real Optimizer on loopback."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from devnet.bench.quality_hivemind import HivemindPlan, _optimizer, set_rate

pytestmark = pytest.mark.slow


def test_rate_when_set_then_the_optimizer_steps_by_it(tmp_path: Path) -> None:
    plan = HivemindPlan(
        model="micro", seed=1, cache="", peers=1, rank=0, steps=1, horizon=10, batch=1, lr=0.5, warmup=5,
        weight_decay=0.0, floor=0.1, folder=str(tmp_path),
    )  # fmt: skip
    weight = torch.nn.Parameter(torch.zeros(4))
    optimizer = _optimizer(plan, [weight])
    try:
        set_rate(optimizer, 0.125)
        assert [group["lr"] for group in optimizer.param_groups] == [0.125]
        weight.grad = torch.ones(4)
        optimizer.state_averager.optimizer.step()
        second = (0.1 / (1 - 0.9**2)) / math.sqrt(0.05 / (1 - 0.95**2))  # Hivemind has made AdamW's first, of zeros
        torch.testing.assert_close(weight.detach(), torch.full((4,), -0.125 * second))
    finally:
        optimizer.shutdown()
        optimizer.dht.shutdown()
