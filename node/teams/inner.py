"""The inner loop of a team: each peer trains on rows of its own, and they average every few steps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from client.errors import TeamOverError
from node.models.load import LoadedModel
from node.teams.session import Deal, Shared, Start, State
from node.training.batches import Windows
from node.training.inner import Hooks, InnerSettings, Step, TrainResult, run_inner
from node.training.memory import InnerState
from node.training.objectives import Objective
from node.training.optimizer import InnerOptimizer

if TYPE_CHECKING:
    from node.team import Team
    from node.teams.settings import Vector

log = logging.getLogger("strata.node.team")

MAX_STARTS = 100  # of one round: a peer that falls behind at every average gives up


class DealtWindows:
    """The rows of a round's order in the order in which this peer trains on them, filled in as they are dealt."""

    def __init__(self, windows: Windows, steps: int, rows: int) -> None:
        self._source, self._steps, self._rows = windows, steps, rows
        count = steps * rows
        self.windows = Windows(
            np.empty((count, windows.tokens.shape[1]), dtype=windows.tokens.dtype), np.empty(count, dtype=np.int64)
        )

    def fill(self, first: int, deal: Deal) -> None:
        """What is trained on from step ``first`` on."""
        for step in range(first, self._steps):
            rows = np.array(deal.rows(step - first, self._rows), dtype=np.int64) % len(self._source)
            place = slice(step * self._rows, (step + 1) * self._rows)
            self.windows.tokens[place] = self._source.tokens[rows]
            self.windows.lengths[place] = self._source.lengths[rows]


@dataclass
class TeamInner:
    """A round's training together with the team. ``key`` is the same for all peers in this round of this model."""

    team: Team
    key: str
    model: LoadedModel
    windows: Windows  # in the leader's order
    settings: InnerSettings
    objective: Objective | None
    progress: Callable[[Step], None]
    should_stop: Callable[[], bool]
    lineage: str = ""  # names what training starts from
    averages: int = 0  # that gave more than our own vector
    alone: int = 0  # that did not
    _losses: list[float] = field(default_factory=list)
    _tokens: int = 0
    _shared_tokens: int = 0  # at the last average
    _behind: bool = False
    _over: bool = False

    def run(self, state: InnerState | None = None) -> TrainResult:
        """Train from the model's present values, as ``run_inner`` does."""
        rows = self.settings.batch * self.settings.accumulate
        self._round = self.team.round(self.key, self.model.n, rows, self.lineage)
        head = self.model.get_vector()
        vector, step = head, 0
        start = self._enter()
        try:
            for _ in range(MAX_STARTS):
                if start is not None and start.over:
                    break
                vector, step, state = self._place(start, vector, step, state)
                result = self._train(step, state)
                vector, state = vector + result.delta, result.state
                step += len(result.losses)
                if not self._behind or self.should_stop():
                    break
                start = self._enter()
        finally:
            self.model.set_vector(head)
        self.team.finish(self._round)
        if not self._losses:
            raise TeamOverError("the team had finished training before we came")
        stopped = step < self.settings.steps and not self._over
        return TrainResult(vector - head, self._tokens, tuple(self._losses), stopped, state)

    def _enter(self) -> Start | None:
        self._behind = False
        return self.team.enter(self._round)

    def _place(
        self, start: Start | None, vector: Vector, step: int, state: InnerState | None
    ) -> tuple[Vector, int, InnerState | None]:
        """The model where it begins: at the leader's state, or where we are."""
        if start is not None and start.state is not None:
            found = start.state
            vector, step = found.parameters, start.step
            state = InnerState(found.steps, found.first, found.second)
        self.model.set_vector(vector)
        return vector, step, state

    def _train(self, first: int, state: InnerState | None) -> TrainResult:
        left = max(0, self.settings.steps - first)
        horizon = self.settings.horizon or self.settings.steps
        done = (self.settings.done if self.settings.horizon else 0) + first
        settings = replace(self.settings, steps=left, horizon=horizon, done=done)
        dealt = DealtWindows(self.windows, max(1, left), settings.batch * settings.accumulate)
        dealt.fill(0, self._round.deal)
        before = self._tokens

        def say(step: Step) -> None:
            self._tokens = before + step.tokens
            self.progress(Step(step.step + first, self.settings.steps, step.loss, self._tokens))

        hooks = _Sharing(self, dealt, first).hooks()
        result = run_inner(self.model, dealt.windows, settings, self.objective, say, self._stop, hooks, state)
        self._losses += result.losses
        return result

    def _stop(self) -> bool:
        return self._behind or self._over or self.should_stop()

    def share(self, vector: Vector, step: int) -> Shared:
        """Average, and note what it says of us."""
        tokens, self._shared_tokens = self._tokens - self._shared_tokens, self._tokens
        shared = self.team.share(self._round, vector, tokens, step)
        self._behind, self._over = shared.behind, shared.over
        self.averages += shared.peers > 1
        self.alone += shared.peers == 1
        return shared

    def give(self, optimizer: InnerOptimizer, step: int) -> None:
        """Our state, for those who wait for it."""
        state = optimizer.state()
        self.team.give(self._round, State(self.model.get_vector(), state.first, state.second, state.steps), step)

    @property
    def every(self) -> int:
        """Steps between two averages."""
        return self._round.every


class _Sharing:
    """The hooks of one run of the inner loop, which begins at step ``first`` of the round."""

    def __init__(self, inner: TeamInner, dealt: DealtWindows, first: int) -> None:
        self._inner, self._dealt, self._first = inner, dealt, first
        self._optimizer: InnerOptimizer | None = None
        self._wanted = False

    def hooks(self) -> Hooks:
        """What is averaged decides when."""
        mode = self._inner.team.settings.mode
        if mode == "gradients":
            return Hooks(self._average_gradients, self._give_if_wanted, self._keep)
        return Hooks(on_start=self._keep, on_step=self._average_parameters) if mode == "parameters" else Hooks()

    def _keep(self, optimizer: InnerOptimizer) -> None:
        self._optimizer = optimizer

    def _share(self, vector: Vector, step: int) -> Shared:
        shared = self._inner.share(vector, self._first + step + 1)
        self._dealt.fill(step + 1, shared.deal)
        self._wanted = shared.wanted
        return shared

    def _average_gradients(self, step: int, parameters: Sequence[torch.nn.Parameter]) -> None:
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        shared = self._share(np.concatenate([part.reshape(-1).float().numpy() for part in parts]), step)
        if shared.peers > 1:
            for part, values in zip(parts, _split(shared.vector, parts), strict=True):
                part.copy_(values)

    def _average_parameters(self, step: int, parameters: Sequence[torch.nn.Parameter]) -> None:
        if (self._first + step + 1) % self._inner.every:
            return
        shared = self._share(self._inner.model.get_vector(), step)
        if shared.peers > 1:
            self._inner.model.set_vector(shared.vector)
        self._give_if_wanted(step, parameters)

    def _give_if_wanted(self, step: int, parameters: Sequence[torch.nn.Parameter]) -> None:
        if self._wanted and self._optimizer is not None:
            self._inner.give(self._optimizer, self._first + step + 1)
        self._wanted = False


def _split(vector: Vector, like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    whole = torch.from_numpy(vector)
    found, start = [], 0
    for part in like:
        found.append(whole[start : start + part.numel()].reshape(part.shape))
        start += part.numel()
    return found
