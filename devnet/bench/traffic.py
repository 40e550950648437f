"""What is sent: a miner's delta payloads against float32, and against Hivemind averaging at every step.

    OMP_NUM_THREADS=1 python -m devnet.bench.traffic [--profile full|reduced] [--out DIR]

``strata`` runs rounds of real training and counts the bytes of payloads that the real codec makes. ``hivemind`` runs
its Optimizer with four peers for a few steps and counts what each peer's all-reduce hands to the others (tensor bytes),
and what its TCP sockets carry. Both are per miner (peer) and per inner step, so the same tokens stand behind them.
Fetches are counted apart: IPFS serves each of them anew, so a delta's bytes leave once per reader.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from devnet.bench.frame import Case, Findings, Numbers, digest_of_sources, figure, measure, parser, report
from devnet.bench.quality import CACHE, HIVEMIND_SECONDS_A_STEP, SOURCES, STRATA, Setup, hivemind_plan, inner_of
from devnet.bench.quality_arms import FLOAT_BYTES, Plan, network
from devnet.bench.quality_hivemind import run_peers
from devnet.bench.quality_world import MINERS, world
from devnet.sim.report import Bars, Cell, Result

COLUMNS = (
    "what",
    "bytes a step and miner",
    "against float32 a round",
    "Hivemind payload over it",
    "Hivemind sockets over it",
)
REDUCED = (Setup("nano", 120, 1, "0.006", 5, (30,), (1,), 4),)
FULL = (Setup("nano", 600, 4, "0.006", 20, (15, 30), (1, 2, 3), 20), Setup("5m", 120, 1, "0.002", 5, (30,), (1,), 8))
READERS = 8
"""Three other miners, four validators and the archive: who fetches a delta in a network of four miners."""


def cases(setups: tuple[Setup, ...]) -> list[Case]:
    """Rounds of each length, and Hivemind, for each model."""
    found: list[Case] = []
    for setup in setups:
        for each in setup.rounds_of:
            found.append(Case(f"{setup.model}/strata/H{each}", partial(_strata, setup, each), setup.seeds))
        found.append(Case(f"{setup.model}/hivemind", partial(_hivemind, setup), setup.seeds[:1]))
    return found


def _strata(setup: Setup, each: int, seed: int) -> Numbers:
    plan = Plan(inner_of(setup, each, STRATA), setup.steps, STRATA.outer, STRATA.compression)
    place = world(setup.model, seed, CACHE, setup.sequence)
    found = network(place, plan).numbers()
    return {**found, "a step": found["payload"] / MINERS / setup.steps, "values": float(place.model.n)}


def _hivemind(setup: Setup, seed: int) -> Numbers:
    plan = replace(hivemind_plan(setup, seed), steps=setup.hivemind_steps)
    found = run_peers(plan, 180.0 + HIVEMIND_SECONDS_A_STEP * plan.steps)
    steps = sum(each["averaged"] for each in found)
    payload, sockets = (sum(each[name] for each in found) / steps for name in ("payload", "sockets"))
    return {"a step": payload, "sockets a step": sockets, "steps": steps / len(found), "values": found[0]["values"]}


def table(findings: Findings) -> Result:
    """Strata's rows are compared with Hivemind's of the same model."""
    rows: list[tuple[Cell, ...]] = []
    for name in findings:
        model, each = name.partition("/")[0], figure(findings, name, "a step").mean
        if name.endswith("hivemind"):
            dense = FLOAT_BYTES * figure(findings, name, "values").mean
            rows.append((name, round(each), f"{each / dense:.2f} x float32 a step", "1", ""))
            continue
        other = f"{model}/hivemind"
        payload, sockets = ("a step", "sockets a step") if other in findings else ("", "")
        against = [f"{figure(findings, other, key).mean / each:.0f}" if key else "" for key in (payload, sockets)]
        rows.append((name, round(each, 1), f"1/{figure(findings, name, 'share').mean:.0f}", *against))
    note = (
        f"A delta's bytes leave its miner once per reader: {READERS} in a network of four miners and four validators."
    )
    return Result("traffic", "What a miner sends", COLUMNS, rows, note, {"bench-traffic": picture(findings)})


def picture(findings: Findings) -> Bars:
    """How many times less than Hivemind deltas are, as float32 and as Strata sends them."""
    bars: list[tuple[str, float]] = []
    for name in findings:
        model, _, arm = name.partition("/")
        other = f"{model}/hivemind"
        if name == other or other not in findings:
            continue
        ours, payload = (figure(findings, case, "a step").mean for case in (name, other))
        sockets, rounds = figure(findings, other, "sockets a step").mean, f"({model}, {arm.rpartition('/')[2]})"
        bars.append((f"float32 deltas {rounds}", payload / ours / figure(findings, name, "share").mean))
        bars.append((f"Strata's payload {rounds}", payload / ours))
        bars.append((f"the same, against Hivemind's sockets {rounds}", sockets / ours))
    return Bars("times fewer bytes than Hivemind averaging every step", bars, 5000.0, "goal, at least", log_x=True)


def main() -> None:
    """Run what is missing, print the table."""
    options = parser("traffic", __doc__ or "").parse_args()
    setups = FULL if options.profile == "full" else REDUCED
    sources = digest_of_sources(*SOURCES, "devnet/bench/quality_hivemind.py")
    findings = measure("traffic", cases(setups), options, sources)
    report("traffic", table(findings), findings, options)


if __name__ == "__main__":
    main()
