"""A team of two peers against one peer with the same tokens: held-out loss, tokens a second, the cost of averaging.

    python -m devnet.bench.team [--profile full|reduced]

Real processes of one thread each, Hivemind over loopback, real text, a model from scratch. Every arm reads the same
windows in the same order. No compression and no outer optimizer: what is shown is the team alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from devnet.bench.frame import Case, Findings, Numbers, digest_of_sources, figure, measure, parser, report
from devnet.bench.team_peers import Plan, run_team
from devnet.sim.report import Bars, Result

SOURCES = (
    "devnet/bench/team.py",
    "devnet/bench/team_peers.py",
    "devnet/bench/quality_world.py",
    "node/teams",
    "node/training",
)
VALUES = (1_000_000, 10_000_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and report."""
    options = parser("team", __doc__ or "").parse_args(arguments)
    findings = measure("team", cases_of(options.profile), options, digest_of_sources(*SOURCES))
    report("team", tabulate(findings), findings, options)
    return 0


def cases_of(profile: str) -> list[Case]:
    """The arms."""
    full = profile == "full"
    seeds = (1, 2, 3) if full else (1,)
    base = Plan("5m" if full else "nano", 1, 2, 8 if full else 2, 30 if full else 20, 8 if full else 4)
    arms = {
        "one peer, twice the steps": replace(base, peers=1, steps=2 * base.steps),
        "one peer, twice the batch": replace(base, peers=1, batch=2 * base.batch),
        "team, delta a round": base,
        "team, parameters every 10": replace(base, mode="parameters", every=10),
        "team, parameters every 5": replace(base, mode="parameters", every=5),
        "team, gradients each step": replace(base, mode="gradients"),
        "team, parameters every 5, one is killed": replace(
            base, mode="parameters", every=5, dies=base.steps // 2 + 2, wait_seconds=10.0
        ),
    }
    cases = [Case(name, partial(_arm, plan), seeds) for name, plan in arms.items()]
    for values in VALUES:
        plan = replace(base, values=values, rounds=20 if full else 6)
        cases.append(Case(f"average of {values // 10**6}M values", partial(_arm, plan), seeds))
    return cases


def _arm(plan: Plan, seed: int) -> Numbers:
    with tempfile.TemporaryDirectory(prefix="strata-team-") as folder:
        return run_team(replace(plan, seed=seed), Path(folder))


def tabulate(findings: Findings) -> Result:
    """Loss and speed beside one peer's."""
    base = "one peer, twice the steps"
    rows: list[tuple[str, ...]] = []
    for name in findings:
        if name.startswith("average of"):
            millions = int(name.split()[2].rstrip("M"))
            median = figure(findings, name, "median").mean
            rate = f"{millions * 4 / median:.0f} MB/s"
            rows.append((name, "", "", "", rate, str(figure(findings, name, "median")) + " s each", ""))
            continue
        speed, cpu = _speed(findings, name, "seconds"), _speed(findings, name, "cpu")
        ratios = (
            (speed / _speed(findings, base, "seconds"), cpu / _speed(findings, base, "cpu")) if base in findings else ()
        )
        team = name.startswith("team")
        share = figure(findings, name, "waited").mean / figure(findings, name, "seconds").mean
        averages = f"{figure(findings, name, 'averages').mean:.0f} / {figure(findings, name, 'alone').mean:.0f}"
        rows.append(
            (
                name,
                str(figure(findings, name, "loss")),
                f"{speed:.0f}",
                *(f"{ratio:.2f}" for ratio in ratios or (0.0, 0.0)),
                f"{100 * share:.1f}%" if team else "",
                averages if team else "",
            )
        )
    return Result(
        "team",
        "A team of two peers against one with the same tokens",
        ("arm", "held-out loss", "tokens/s", "times one peer's", "by CPU time", "time in averages", "averaged / alone"),
        rows,
        "By CPU time: the team's tokens per CPU-second of its first peer and its libp2p daemon against one peer's, as "
        "two free cores would give. Time in averages includes waiting for the other peer.",
        {"bench-team": picture(findings)},
    )


def picture(findings: Findings) -> Bars:
    """Each arm's loss beside that of one peer with the team's batch."""
    base, bars = "one peer, twice the batch", []
    if base in findings:
        least = figure(findings, base, "loss").mean
        arms = [name for name in findings if not name.startswith("average of")]
        bars = [(name, 100 * (figure(findings, name, "loss").mean / least - 1)) for name in arms]
    return Bars("held-out loss, % above one peer's (less is better)", bars, 0.0, base)


def _speed(findings: Findings, name: str, by: str) -> float:
    return figure(findings, name, "tokens").mean / figure(findings, name, by).mean


if __name__ == "__main__":
    raise SystemExit(main())
