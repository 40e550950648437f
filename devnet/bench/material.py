"""What several benchmarks work on: a genesis as of a real model, deltas with error feedback, a bare loop's step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from client.codec import decode_codes, encode
from client.codes import Codes, Float32
from client.manifests import Compression, Evaluation, Genesis, Inner, Outer
from client.recipe import SPARSE
from node.residual import DECAY

if TYPE_CHECKING:
    from client.tensors import TensorList
    from node.models.load import LoadedModel
    from node.training.batches import Windows

DILOCO_OUTER = Outer(45875, 58982)
"""Learning rate 0.7, Nesterov momentum 0.9: DiLoCo, arXiv 2311.08105."""


def genesis_of(name: str, tensors: TensorList, weights: bytes, weights_sha256: str, **changes: Any) -> Genesis:
    """A model that trains all of its tensors. ``weights`` is the digest of their file; ``changes`` are fields."""
    made = Genesis(
        name=name, level=0, field="", language="", description="", licence="CC0", parent=None, config="{}",
        tokenizer="bytes", chat_template="", form="full", base=None, lora=None, weights=weights.hex(),
        tensors=tuple(tensors), weights_sha256=weights_sha256, kinds=("TRAIN",), compression=SPARSE, outer=DILOCO_OUTER,
        inner=Inner(15, 4, 256, "3e-4", 2, "0"), evaluation=Evaluation(64, 256), snapshot_every=1000,
    )  # fmt: skip
    return replace(made, **changes)


@dataclass(frozen=True)
class Sent:
    """A delta as it left its miner: ``arrived`` is what a reader decodes, ``residual`` what the next delta takes in."""

    payload: bytes
    arrived: Float32
    codes: Codes
    residual: Float32


def send(delta: Float32, residual: Float32, form: Compression) -> Sent:
    """Compress with error feedback as a miner does."""
    whole = delta + residual
    payload, arrived = encode(whole, form.codec, form.k, form.chunk)
    codes = decode_codes(payload, len(whole), form)
    return Sent(payload, arrived, codes, (whole - arrived) * np.float32(DECAY))


def bare_steps(model: LoadedModel, windows: Windows, lr: float, weight_decay: float) -> Callable[[Sequence[int]], None]:
    """A plain PyTorch loop with an optimizer of its own: a step on these rows by each call."""
    import torch

    from node.models.run import mixed
    from node.training.objectives import train_loss

    parameters = [parameter for _, parameter in model.trained]
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.95), weight_decay=weight_decay, foreach=True)
    module: Any = model.module

    def step(rows: Sequence[int]) -> None:
        with mixed():
            logits = module(input_ids=windows.inputs(rows), use_cache=False).logits
        train_loss(logits, windows.targets(rows)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
