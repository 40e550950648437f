"""The inner optimizer. Its state between rounds is flat vectors beside the model's own.

*adamw* is AdamW throughout. *muon* gives matrices inside the layers to Muon (Jordan et al. 2024), its steps as large as
AdamW's (arXiv 2502.16982), and the rest (vocabulary, norms) to AdamW, as MuLoCo does (arXiv 2505.23725).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from node.models.load import LoadedModel
from node.training.memory import InnerState


class InnerOptimizer:
    """One round's optimizer over a model's trained parameters."""

    def __init__(
        self,
        model: LoadedModel,
        name: str,
        betas: tuple[float, float],
        weight_decay: float,
        state: InnerState | None = None,
    ) -> None:
        self._parameters = [parameter for _, parameter in model.trained]
        matrices = [p for key, p in model.trained if name == "muon" and p.dim() == 2 and ".layers." in f".{key}"]
        chosen = {id(p) for p in matrices}
        rest = [p for p in self._parameters if id(p) not in chosen]
        self._optimizers: list[torch.optim.Optimizer] = []
        if rest:
            self._optimizers.append(torch.optim.AdamW(rest, betas=betas, weight_decay=weight_decay, foreach=True))
        if matrices:
            muon = torch.optim.Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            self._optimizers.append(muon)
        self._steps = 0
        if state is not None and len(state.first) == len(state.second) == model.n:
            self._restore(state)

    def step(self, rate: float) -> None:
        """One step with the gradients that are there, at a learning rate."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        self._steps += 1

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> InnerState:
        """A copy of what the next round goes on from."""
        size = sum(parameter.numel() for parameter in self._parameters)
        first, second = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=np.float32)
        for place, found in self._each():
            if "exp_avg" in found:
                first[place] = found["exp_avg"].reshape(-1).numpy()
                second[place] = found["exp_avg_sq"].reshape(-1).numpy()
            elif "momentum_buffer" in found:
                first[place] = found["momentum_buffer"].reshape(-1).float().numpy()
        return InnerState(self._steps, first, second)

    def _restore(self, state: InnerState) -> None:
        self._steps = state.steps
        places = dict(zip(map(id, self._parameters), _places(self._parameters), strict=True))
        for optimizer in self._optimizers:
            for parameter in optimizer.param_groups[0]["params"]:
                place = places[id(parameter)]
                first = torch.from_numpy(state.first[place].copy()).reshape(parameter.shape)
                if isinstance(optimizer, torch.optim.AdamW):
                    second = torch.from_numpy(state.second[place].copy()).reshape(parameter.shape)
                    steps = torch.tensor(float(state.steps))
                    optimizer.state[parameter] = {"step": steps, "exp_avg": first, "exp_avg_sq": second}
                else:
                    optimizer.state[parameter] = {"momentum_buffer": first}

    def _each(self) -> Iterator[tuple[slice, dict[str, Any]]]:
        for parameter, place in zip(self._parameters, _places(self._parameters), strict=True):
            for optimizer in self._optimizers:
                if parameter in optimizer.state:
                    yield place, optimizer.state[parameter]


def _places(parameters: Sequence[torch.nn.Parameter]) -> Iterator[slice]:
    start = 0
    for parameter in parameters:
        yield slice(start, start + parameter.numel())
        start += parameter.numel()
