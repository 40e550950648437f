"""Quality per token: Strata with four miners against one run on the same tokens, plain DiLoCo, and Hivemind.

    OMP_NUM_THREADS=1 python -m devnet.bench.quality [--profile full|reduced] [--only nano] [--out DIR]

Cases are SETUP/ARM/H; ``strata-behind``: a round starts from the head of one round earlier and the miner's own last
delta, as pipelined rounds do.
``to centralised`` is the held-out loss over that of the one run with all tokens: 1.03 is the goal's bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from client.recipe import SPARSE, SPARSE_OUTER, Compression, Inner, Outer
from devnet.bench.frame import Case, Findings, Numbers, digest_of_sources, figure, measure, parser, report
from devnet.bench.material import DILOCO_OUTER
from devnet.bench.quality_arms import Outcome, Plan, centralised, network
from devnet.bench.quality_hivemind import HivemindPlan, run_peers
from devnet.bench.quality_world import MINERS, World, world
from devnet.sim.report import Line, Picture, Result

CACHE = Path(".strata/cache")
SOURCES = (
    *(
        "devnet/bench/quality.py",
        "devnet/bench/quality_arms.py",
        "devnet/bench/quality_hivemind.py",
        "devnet/bench/quality_together.py",
        "devnet/bench/quality_world.py",
        "devnet/bench/material.py",
    ),
    *("node/training", "client/codec.py", "client/aggregate.py", "node/residual.py"),
)
HIVEMIND_SECONDS_A_STEP = 15.0


@dataclass(frozen=True)
class Setup:
    """What one model trains: steps of all rounds, a miner's batch, the learning rates' peak by optimizer, rounds' H."""

    model: str
    steps: int
    batch: int
    lr: str
    warmup: int
    rounds_of: tuple[int, ...]
    seeds: tuple[int, ...]
    hivemind_steps: int
    sequence: int = 128
    weight_decay: str = "0.01"
    label: str = ""

    @property
    def name(self) -> str:
        """What its cases are called by."""
        return self.label or self.model


REDUCED = (Setup("micro", 120, 2, "0.006", 5, (15,), (1,), 3),)
FULL = (
    Setup("micro", 6000, 4, "0.009", 20, (15, 30), (1, 2, 3), 20),
    Setup("micro", 12_000, 4, "0.009", 20, (30,), (1, 2, 3), 0, label="micro-long"),
    Setup("nano", 3000, 4, "0.006", 20, (15, 30), (1, 2, 3), 20),
    Setup("5m", 600, 4, "0.002", 20, (15, 30), (1,), 0),  # one seed of each arm takes a quarter of an hour
    Setup("lora", 120, 2, "0.0015", 5, (15, 30), (1,), 0, sequence=96, weight_decay="0"),
)


@dataclass(frozen=True)
class Arm:
    """How a network of miners learns: see the fields of the same names in the recipe."""

    name: str
    outer: Outer
    compression: Compression | None
    optimizer: str = "adamw"
    early: bool = False
    behind: bool = False


STRATA = Arm("strata", SPARSE_OUTER, SPARSE, early=True)
ARMS = (
    Arm("diloco", DILOCO_OUTER, None),
    STRATA,
    replace(STRATA, name="strata-behind", behind=True),
)


def inner_of(setup: Setup, steps: int, arm: Arm | None) -> Inner:
    """The inner loop of a setup. ``steps`` a round; early rounds are short where the arm has such."""
    inner = Inner(
        steps=steps,
        batch=setup.batch,
        sequence=setup.sequence,
        lr=setup.lr,
        warmup=setup.warmup,
        weight_decay=setup.weight_decay,
        optimizer=arm.optimizer if arm else "adamw",
        state="kept",
        horizon=setup.steps,
    )
    return inner.over_rounds(setup.steps) if arm and arm.early else inner


def cases(setups: tuple[Setup, ...]) -> list[Case]:
    """Every arm of every setup."""
    found: list[Case] = []
    for setup in setups:
        found.append(Case(f"{setup.name}/centralised", partial(_central, setup), setup.seeds))
        for steps in setup.rounds_of:
            for arm in ARMS:
                name = f"{setup.name}/{arm.name}/H{steps}"
                found.append(Case(name, partial(_network, setup, steps, arm), setup.seeds))
        if setup.hivemind_steps:
            found.append(Case(f"{setup.name}/hivemind", partial(_hivemind, setup), setup.seeds[:1]))
            found.append(Case(f"{setup.name}/as hivemind", partial(_as_hivemind, setup), setup.seeds[:1]))
    return found


def _timed(run: Callable[[World, Plan], Outcome], setup: Setup, seed: int, plan: Plan) -> Numbers:
    return run(world(setup.model, seed, CACHE, setup.sequence), plan).numbers()


def _central(setup: Setup, seed: int) -> Numbers:
    return _timed(centralised, setup, seed, Plan(inner_of(setup, setup.steps, None), setup.steps))


def _network(setup: Setup, steps: int, arm: Arm, seed: int) -> Numbers:
    plan = Plan(inner_of(setup, steps, arm), setup.steps, arm.outer, arm.compression, arm.behind)
    return _timed(network, setup, seed, plan)


def _hivemind(setup: Setup, seed: int) -> Numbers:
    plan = hivemind_plan(setup, seed)
    found = run_peers(plan, 180.0 + HIVEMIND_SECONDS_A_STEP * plan.steps)
    return {**found[0], "payload": sum(each["payload"] for each in found), "rounds": found[0]["steps"]}


def _as_hivemind(setup: Setup, seed: int) -> Numbers:
    """One run with all miners' batches for as many steps as Hivemind's peers did."""
    plan = Plan(inner_of(setup, setup.steps, None), setup.hivemind_steps)
    return _timed(centralised, setup, seed, plan)


def hivemind_plan(setup: Setup, seed: int) -> HivemindPlan:
    """What four peers do: the same world, steps counted for the whole group."""
    return HivemindPlan(
        model=setup.model, seed=seed, cache=str(CACHE.resolve()), peers=MINERS, rank=0, steps=setup.hivemind_steps,
        horizon=setup.steps, batch=setup.batch, lr=float(setup.lr), warmup=setup.warmup,
        weight_decay=float(setup.weight_decay), floor=0.1, folder="",
    )  # fmt: skip


COLUMNS = ("case", "loss", "to centralised", "float32 over payload", "rounds", "seeds")


def table(findings: Findings) -> Result:
    """One row per case."""
    rows = []
    for name in findings:
        model, _, arm = name.partition("/")
        against = f"{model}/as hivemind" if arm == "hivemind" else f"{model}/centralised"
        loss = figure(findings, name, "loss")
        ratio = loss.mean / figure(findings, against, "loss").mean if against in findings else 0.0
        share = figure(findings, name, "share").mean if "share" in findings[name][0] else 0.0
        rounds = figure(findings, name, "rounds").mean
        rows.append((name, str(loss), round(ratio, 4), round(share, 1), int(rounds), loss.count))
    return Result("quality", "Held-out loss (nats a token) after the same tokens", COLUMNS, rows, "", picture(findings))


def picture(findings: Findings) -> dict[str, Picture]:
    """A picture per model: held-out loss at quarters of the way."""
    found: dict[str, Picture] = {}
    for model in {name.partition("/")[0] for name in findings}:
        lines = [
            Line(
                name.partition("/")[2],
                (25, 50, 75, 100),
                [figure(findings, name, f"loss{i}").mean for i in range(1, 5)],
            )
            for name in findings
            if name.startswith(f"{model}/") and "loss4" in findings[name][0] and "hivemind" not in name
        ]
        found[f"bench-quality-{model}"] = Picture("% of the tokens", "held-out loss (nats)", lines)
    return found


def main() -> None:
    """Run what is missing, print the table."""
    options = parser("quality", __doc__ or "").parse_args()
    setups = FULL if options.profile == "full" else REDUCED
    findings = measure("quality", cases(setups), options, digest_of_sources(*SOURCES))
    report("quality", table(findings), findings, options)


if __name__ == "__main__":
    main()
