"""What miners that die in the middle of rounds cost: held-out loss and wall time with 0, 10 and 30% of them dying.

    python -m devnet.bench.faults [--profile full|reduced]

Real training of a small model in one process, with the real codec, error feedback, aggregation and outer step. In each
round each miner dies with the given probability at some inner step and is back in the next round. Its delta of that
round is lost. What compression had dropped of its deltas before is on its disk and comes back, or is lost with the
machine: both are measured. A control has 30% fewer miners, of whom none dies: with the dead, their tokens are lost.

Time is counted in inner steps, one a block, by the chain's own rule: TRAIN ends with the last commitment where all have
committed, else TRAIN and COMMIT last as long as the policy says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from client.aggregate import aggregate, outer_step
from client.codes import WEIGHT_ONE
from client.recipe import SPARSE, Outer
from contracts.enums import Phase
from contracts.reference.clock import RoundFacts, start_of
from devnet.bench.frame import ROOT, Case, Findings, digest_of_sources, figure, measure, parser, report
from devnet.bench.material import send
from devnet.sim.report import Cell, Line, Picture, Result

if TYPE_CHECKING:
    from devnet.bench.quality_world import World

Vector = NDArray[np.float32]
Train = Callable[[Vector, int, int], Vector]
"""From the head, a miner's number and the round's to the miner's delta."""

OUTER = Outer(WEIGHT_ONE, 0)
"""Learning rate 1 without momentum."""
LEARNING_RATE = 0.006
TRAIN_SLACK = 4
"""TRAIN has room for a quarter more than the inner steps."""
COMMIT_BLOCKS = 2


@dataclass(frozen=True)
class Arm:
    """How many of the miners take part, how likely each dies in a round, and whether its residual is lost with it."""

    name: str
    death: float = 0.0
    loses_residual: bool = False
    taking_part: float = 1.0


ARMS = (
    Arm("nobody dies"),
    Arm("10% die, residual kept", 0.1),
    Arm("10% die, residual lost", 0.1, True),
    Arm("30% die, residual kept", 0.3),
    Arm("30% die, residual lost", 0.3, True),
    Arm("30% fewer miners", taking_part=0.7),
)


@dataclass(frozen=True)
class Course:
    """How long is trained. ``steps`` and ``batch`` (windows of ``sequence`` tokens) are a miner's in a round."""

    model: str
    miners: int
    rounds: int
    steps: int
    batch: int
    sequence: int
    held: int


COURSES = {
    "reduced": Course("micro", miners=10, rounds=6, steps=10, batch=4, sequence=64, held=96),
    "full": Course("nano", miners=10, rounds=40, steps=15, batch=8, sequence=128, held=256),
}


@dataclass
class Network:
    """Miners, their residuals, and the head between rounds."""

    theta: Vector
    miners: int
    arm: Arm
    train: Train
    seed: int
    momentum: Vector = field(init=False)
    residuals: list[Vector] = field(init=False)
    lost: int = 0  # deltas
    died_steps: float = 0.0  # share of a round's steps that the dead had done, summed up

    def __post_init__(self) -> None:
        self.momentum = np.zeros_like(self.theta)
        self.residuals = [np.zeros_like(self.theta) for _ in range(self.miners)]

    def round(self, number: int) -> int:
        """Train, send what is left, sum up, step; how many died."""
        rng = np.random.default_rng((self.seed, number))
        dies = rng.random(self.miners) < self.arm.death
        at = rng.random(self.miners)
        codes = []
        for miner in range(self.miners):
            if dies[miner]:
                self._die(miner, float(at[miner]))
                continue
            sent = send(self.train(self.theta, miner, number), self.residuals[miner], SPARSE)
            self.residuals[miner] = sent.residual
            codes.append(sent.codes)
        if codes:  # else the round is void: the head stays
            update = aggregate(codes, [WEIGHT_ONE // len(codes)] * len(codes), len(self.theta))
            self.theta, self.momentum = outer_step(self.theta, self.momentum, update, OUTER.lr_q16, OUTER.momentum_q16)
        return int(dies.sum())

    def _die(self, miner: int, at: float) -> None:
        """The steps up to here have left no trace, so they are counted and not computed."""
        self.lost += 1
        self.died_steps += at
        if self.arm.loses_residual:
            self.residuals[miner] = np.zeros_like(self.theta)


def blocks_of(deaths: int, steps: int) -> int:
    """The blocks from a round's opening to its REVEAL."""
    windows = (steps + -(-steps // TRAIN_SLACK), COMMIT_BLOCKS) if deaths else (steps, 0)
    return start_of(RoundFacts(0, windows), Phase.REVEAL)


def run_arm(course: Course, arm: Arm, cache: Path, seed: int) -> dict[str, float]:
    """One arm from its first values to the end: losses, what was lost, time in blocks."""
    from devnet.bench.quality_world import world

    found = world(course.model, seed, cache, course.sequence, course.held)
    miners = round(course.miners * arm.taking_part)
    network = Network(found.model.get_vector(), miners, arm, trainer(found, course), seed)
    numbers = {"loss0": found.loss(network.theta)}
    blocks = 0
    for number in range(1, course.rounds + 1):
        blocks += blocks_of(network.round(number), course.steps)
        if 4 * number % course.rounds == 0:
            numbers[f"loss{4 * number // course.rounds}"] = found.loss(network.theta)
    numbers["loss"] = found.loss(network.theta)
    whole = course.rounds * miners
    return numbers | {
        "deltas lost": float(network.lost),
        "tokens kept": (whole - network.lost) / (course.rounds * course.miners),
        "steps wasted": network.died_steps / whole,
        "blocks": float(blocks),
    }


def trainer(found: World, course: Course) -> Train:
    """Inner steps on windows that depend on miner and round alone: every arm reads the same."""
    from node.training.inner import InnerSettings, run_inner

    settings = InnerSettings(course.steps, course.batch, LEARNING_RATE, course.steps // 5)
    each = course.steps * course.batch

    def train(head: Vector, miner: int, number: int) -> Vector:
        first = ((number - 1) * course.miners + miner) * each
        windows = found.windows.take([place % len(found.windows) for place in range(first, first + each)])
        found.model.set_vector(head)
        return run_inner(found.model, windows, settings).delta

    return train


def table(found: Findings, course: Course, profile: str) -> Result:
    """A row for each arm, against the one in which nobody dies."""
    columns = ["arm", "held-out loss", "loss over none's", "tokens kept", "steps wasted", "blocks over none's"]
    rows: list[list[Cell]] = []
    for arm in ARMS:
        if arm.name not in found:
            continue
        loss, blocks = (figure(found, arm.name, name) for name in ("loss", "blocks"))
        first = ARMS[0].name if ARMS[0].name in found else arm.name
        ratio = loss.mean / figure(found, first, "loss").mean
        kept, wasted = (figure(found, arm.name, name).mean for name in ("tokens kept", "steps wasted"))
        rows.append([arm.name, str(loss), ratio, kept, wasted, blocks.mean / figure(found, first, "blocks").mean])
    note = f"{course.miners} miners, {course.rounds} rounds of {course.steps} steps, {course.model}; profile {profile}"
    return Result("faults", "Miners that die in the middle of rounds", columns, rows, note, {"faults": picture(found)})


def picture(found: Findings) -> Picture:
    """Loss over the way, by arm."""
    lines = []
    for arm in ARMS:
        quarters: Sequence[int] = [q for q in range(5) if f"loss{q}" in found.get(arm.name, [{}])[0]]
        losses = [figure(found, arm.name, f"loss{q}").mean for q in quarters]
        lines.append(Line(arm.name, [q / 4 for q in quarters], losses, "o-"))
    return Picture("part of all rounds", "held-out loss (nats a token)", lines)


def main() -> None:
    """Read the flags, train, tell."""
    options = parser("faults", (__doc__ or "").splitlines()[0]).parse_args()
    course, cache = COURSES[options.profile], ROOT / ".strata" / "cache"
    seeds = (1, 2, 3) if options.profile == "full" else (1,)
    cases = [Case(arm.name, partial(run_arm, course, arm, cache), seeds) for arm in ARMS]
    depends = digest_of_sources(
        "devnet/bench/faults.py", "devnet/bench/material.py", "devnet/bench/quality_world.py",
        "client/aggregate.py", "client/codec.py",
        "client/payload.py", "client/codes.py", "node/training", "node/models",
    )  # fmt: skip
    found = measure("faults", cases, options, depends)
    report("faults", table(found, course, options.profile), found, options)


if __name__ == "__main__":
    main()
