"""The arms of the quality benchmark: one run on one machine, plain DiLoCo, and Strata with its codec and outer step.

Everything that is Strata's is the code that nodes run: ``run_inner``, ``encode``, ``decode_codes``, ``aggregate`` and
``outer_step``. Miners take turns in one process, which changes nothing in what they compute. Models from scratch are
trained by :mod:`devnet.bench.quality_together`, in float32: the same steps as ``run_inner``'s, all miners in one graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from client.aggregate import aggregate, outer_step
from client.codes import WEIGHT_ONE
from client.recipe import Compression, Inner, Outer
from devnet.bench.material import send
from devnet.bench.quality_together import Together
from devnet.bench.quality_world import MINERS, Vector, World
from node.training.inner import InnerSettings, run_inner
from node.training.memory import InnerState

FLOAT_BYTES = 4
PLAIN_OUTER = Outer(WEIGHT_ONE, 0)
"""Learning rate 1 without momentum: the mean of the deltas."""


@dataclass(frozen=True)
class Plan:
    """How one arm learns. ``steps`` are a miner's, of all rounds; ``compression`` None sends float32.

    ``behind``: each round starts from the head of one round earlier and the miner's own last delta, as pipelined rounds
    do (``node.learner``).
    """

    inner: Inner
    steps: int
    outer: Outer = PLAIN_OUTER
    compression: Compression | None = None
    behind: bool = False


@dataclass(frozen=True)
class Outcome:
    """Held-out losses in nats at quarters of the way, rounds, and payload bytes of all miners in all rounds."""

    losses: tuple[float, ...]
    rounds: int
    payload: int
    values: int

    def numbers(self) -> dict[str, float]:
        """What the table shows. ``share``: float32 bytes of a delta over a payload's, on average."""
        dense = FLOAT_BYTES * self.values * self.rounds * MINERS
        found = {"loss": self.losses[-1], "rounds": float(self.rounds), "payload": float(self.payload)}
        quarters = {f"loss{place}": loss for place, loss in enumerate(self.losses, 1)}
        return {**found, **quarters, "share": dense / self.payload if self.payload else 0.0}


def centralised(world: World, plan: Plan) -> Outcome:
    """One run with all miners' batches in one: as many steps, the same tokens at the same step."""
    theta, state = world.model.get_vector(), None
    losses: list[float] = []
    inner = replace(plan.inner, batch=MINERS * plan.inner.batch, early_rounds=0)
    together = together_of(world, plan, 1)
    for quarter in range(4):
        done, until = quarter * plan.steps // 4, (quarter + 1) * plan.steps // 4
        settings = replace(InnerSettings.of(inner), steps=until - done, done=done)
        world.model.set_vector(theta)
        windows = world.of_all(done, until - done, plan.inner.batch)
        if together is not None:
            theta = theta + together.train(theta[None], [windows], settings)[0]
        else:
            result = run_inner(world.model, windows, settings, state=state)
            theta, state = theta + result.delta, result.state
        losses.append(world.loss(theta))
    return Outcome(tuple(losses), 0, 0, len(theta))


def together_of(world: World, plan: Plan, count: int) -> Together | None:
    """The quick way to train ``count`` copies; None where a model or its optimizer needs ``run_inner``."""
    if world.shape is None or plan.inner.optimizer != "adamw" or plan.inner.accumulate != 1:
        return None
    return Together(world.model, world.shape, count)


@dataclass
class _Network:
    """Four miners and the head between rounds."""

    world: World
    plan: Plan
    theta: Vector
    momentum: Vector = field(init=False)
    before: Vector = field(init=False)
    momentum_before: Vector = field(init=False)
    last: list[Vector] = field(default_factory=list)
    states: list[InnerState | None] = field(default_factory=lambda: [None] * MINERS)
    residuals: list[Vector] = field(init=False)
    payload: int = 0
    together: Together | None = field(init=False)

    def __post_init__(self) -> None:
        self.together = together_of(self.world, self.plan, MINERS)
        self.momentum, self.before = np.zeros_like(self.theta), self.theta
        self.momentum_before = self.momentum
        self.residuals = [np.zeros_like(self.theta) for _ in range(MINERS)]

    def round(self, settings: InnerSettings) -> None:
        """Train, send, sum up, step."""
        bases = self._bases()
        deltas = self._together(bases, settings) or [
            self._train(miner, bases[miner], settings) for miner in range(MINERS)
        ]
        update = self._sent(deltas)
        outer = self.plan.outer
        self.before, self.momentum_before = self.theta, self.momentum
        self.theta, self.momentum = outer_step(self.theta, self.momentum, update, outer.lr_q16, outer.momentum_q16)

    def _bases(self) -> list[Vector]:
        """Where each miner starts."""
        if not self.plan.behind or not self.last:
            return [self.theta] * MINERS
        outer = self.plan.outer
        return [
            outer_step(self.before, self.momentum_before, own, outer.lr_q16, outer.momentum_q16)[0] for own in self.last
        ]

    def _together(self, bases: list[Vector], settings: InnerSettings) -> list[Vector]:
        if self.together is None:
            return []
        if self.plan.inner.state == "fresh":
            self.together.forget()
        windows = [self.world.of_miner(miner, settings.done, settings.steps, settings.batch) for miner in range(MINERS)]
        return list(self.together.train(np.stack(bases), windows, settings))

    def _train(self, miner: int, base: Vector, settings: InnerSettings) -> Vector:
        model = self.world.model
        model.set_vector(base)
        windows = self.world.of_miner(miner, settings.done, settings.steps, settings.batch)
        kept = self.states[miner] if self.plan.inner.state == "kept" else None
        result = run_inner(model, windows, settings, state=kept)
        self.states[miner] = result.state
        return result.delta

    def _sent(self, deltas: list[Vector]) -> Vector:
        """What arrives of the miners' deltas, as one update."""
        form, n = self.plan.compression, len(self.theta)
        if form is None:
            self.payload += FLOAT_BYTES * n * MINERS
            mean: Vector = np.mean(deltas, axis=0, dtype=np.float32)
            return mean
        codes = []
        self.last = []
        for miner, delta in enumerate(deltas):
            sent = send(delta, self.residuals[miner], form)
            self.residuals[miner] = sent.residual
            codes.append(sent.codes)
            self.last.append(sent.arrived)
            self.payload += len(sent.payload)
        return aggregate(codes, [WEIGHT_ONE // MINERS] * MINERS, n)


def network(world: World, plan: Plan) -> Outcome:
    """Rounds until all steps are done: Strata with ``plan.compression``, DiLoCo without."""
    net = _Network(world, plan, world.model.get_vector())
    losses: list[float] = []
    done = number = 0
    while done < plan.steps:
        number += 1
        settings = InnerSettings.of(plan.inner, number)
        settings = replace(settings, steps=min(settings.steps, plan.steps - done))
        net.round(settings)
        done += settings.steps
        while len(losses) < 4 and done >= (len(losses) + 1) * plan.steps // 4:
            losses.append(world.loss(net.theta))
    return Outcome(tuple(losses), number, net.payload, len(net.theta))
