"""The quality benchmark's peer, with Hivemind's real Optimizer on loopback."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

# in a process of its own, as in the benchmark: a node leaves a part of Hivemind's package out for all of its process
CODE = """
import json, os, sys, torch
from devnet.bench.quality_hivemind import HivemindPlan, _optimizer, set_rate

plan = HivemindPlan(
    model="micro", seed=1, cache="", peers=1, rank=0, steps=1, horizon=10, batch=1, lr=0.5, warmup=5,
    weight_decay=0.0, floor=0.1, folder=sys.argv[1],
)
weight = torch.nn.Parameter(torch.zeros(4))
optimizer = _optimizer(plan, [weight])
set_rate(optimizer, 0.125)
weight.grad = torch.ones(4)
optimizer.state_averager.optimizer.step()
print(json.dumps([[group["lr"] for group in optimizer.param_groups], weight.detach().tolist()]), flush=True)
optimizer.shutdown()
optimizer.dht.shutdown()
os._exit(0)
"""


def test_rate_when_set_then_the_optimizer_steps_by_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
    rates, weights = json.loads(out.splitlines()[-1])
    assert rates == [0.125]
    second = (0.1 / (1 - 0.9**2)) / math.sqrt(0.05 / (1 - 0.95**2))  # Hivemind has made AdamW's first, of zeros
    assert weights == pytest.approx([-0.125 * second] * 4, rel=1e-5)
