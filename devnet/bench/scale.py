"""How a round's costs grow with miners, validators, parameters and rounds: the protocol's own code, the network faked.

    python -m devnet.bench.scale [--profile full|reduced]

One thing grows at a time, the others stay. Of each quantity the slope of its logarithm over the logarithm of what grows
is told: 1 is linear, 0 is constant. All are counts, but the seconds (of this machine's processor) at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from devnet.bench.frame import Case, Findings, digest_of_sources, figure, measure, parser, report
from devnet.bench.scale_round import Numbers, Size, play
from devnet.sim.report import Cell, Line, Picture, Result

SOURCES = (
    "devnet/bench/scale_judge.py", "devnet/bench/scale_roles.py", "devnet/bench/scale_round.py",
    "devnet/bench/scale_world.py", "devnet/bench/material.py", "client", "contracts", "node",
)  # fmt: skip
ROLES_VALUES = 8192
ROLES_VALIDATORS = 16
"""By the roles a round is played with at most so many: the chain in memory sums committees up anew at every look."""
# Rounds are one short of a snapshot, when what a late joiner fetches is most.
WHOLE = ("miners", "validators")
"""What changes who does what; the others only change what a delta weighs and how many rounds there are."""
SWEEPS = {
    "reduced": {
        "miners": (32, 64, 128, 256),
        "validators": (4, 8, 16, 32, 64),
        "values": (1 << 14, 1 << 16, 1 << 18, 1 << 20),
        "rounds": (15, 31, 63),
    },
    "full": {
        "miners": (32, 64, 96, 128, 192, 256),
        "validators": (4, 8, 16, 32, 64),
        "values": (1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24),
        "rounds": (15, 31, 103, 303, 1007),
    },
}
BASES = {
    "reduced": {"miners": Size(), "validators": Size(), "values": Size(16), "rounds": Size(16, values=1 << 14)},
    "full": {
        "miners": Size(values=1 << 20),
        "validators": Size(256, values=1 << 18),
        "values": Size(64),
        "rounds": Size(256),
    },
}
DRAWN = (
    "bytes fetched for a head", "bytes fetched to judge", "tokens judged", "chain records read by a validator",
    "gas, at most", "DHT bytes, the miners' key",
)  # fmt: skip


def count_all(size: Size, whole: bool, seed: int) -> Numbers:
    """Everything that is counted at a size; who does what only where it is asked for."""
    numbers = play(size, seed)
    if whole:
        from devnet.bench.scale_judge import judge
        from devnet.bench.scale_roles import play_roles

        few = Size(size.miners, min(size.validators, ROLES_VALIDATORS), ROLES_VALUES)
        numbers |= judge(size, seed) | play_roles(few, seed)
    return numbers


def cases(profile: str) -> list[Case]:
    """One case for each size."""
    seeds = (1, 2, 3) if profile == "full" else (1,)
    return [
        Case(
            f"{name}={number}",
            partial(count_all, replace(BASES[profile][name], **{name: number}), name in WHOLE),
            seeds,
        )
        for name, numbers in SWEEPS[profile].items()
        for number in numbers
    ]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The least-squares slope of log y over log x; 0 for what is constant or nothing, infinite for what springs up."""
    if not all(ys):
        return math.inf if any(ys) else 0.0
    logs_x, logs_y = [math.log(x) for x in xs], [math.log(y) for y in ys]
    middle_x, middle_y = sum(logs_x) / len(xs), sum(logs_y) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in logs_x)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(logs_x, logs_y, strict=True)) / spread


def slopes(found: Findings, name: str, numbers: Sequence[int]) -> dict[str, float]:
    """Each quantity's slope in one sweep, of what was measured at every size."""
    known = [number for number in numbers if f"{name}={number}" in found]
    if len(known) < 2:
        return {}
    shared = set.intersection(*(set(found[f"{name}={number}"][0]) for number in known))
    return {
        what: slope(known, [figure(found, f"{name}={number}", what).mean for number in known])
        for what in sorted(shared)
    }


def table(found: Findings, profile: str) -> Result:
    """A row for each quantity: how much at the most miners, and its slope in each sweep."""
    sweeps = SWEEPS[profile]
    by = {name: slopes(found, name, numbers) for name, numbers in sweeps.items()}
    largest = f"miners={max(sweeps['miners'])}"
    names = list(found.get(largest, [{}])[0])
    rows: list[list[Cell]] = []
    for what in sorted(names, key=lambda what: what.startswith("seconds")):
        rows.append([what, _round(figure(found, largest, what).mean), *(_slope(by[name].get(what)) for name in sweeps)])
    return Result(
        "scale",
        "A round's costs, and the slope of their logarithm over that of what grows (1: linear, 0: constant)",
        ["quantity", f"at {largest.replace('=', ' ')}", *sweeps],
        rows,
        "Counts of one round, of the busiest node where a node is named; slopes by least squares. Profile: " + profile,
        {"scale-miners": picture(found, sweeps["miners"])},
    )


def picture(found: Findings, numbers: Sequence[int]) -> Picture:
    """Costs by miners, each as a multiple of what the fewest cost."""
    known = [number for number in numbers if f"miners={number}" in found]
    lines = [Line("linear", known, [number / known[0] for number in known], "k:")] if known else []
    for what in (what for what in DRAWN if all(what in found[f"miners={number}"][0] for number in known)):
        values = [figure(found, f"miners={number}", what).mean for number in known]
        lines.append(Line(what, known, [value / values[0] for value in values], "o-"))
    return Picture("miners", "times what the fewest cost", lines, log_x=True)


def _round(value: float) -> Cell:
    return round(value) if value >= 1000 or value == int(value) else value


def _slope(value: float | None) -> Cell:
    return "" if value is None else f"{value + 0.0:.2f}"


def main() -> None:
    """Read the flags, count, tell."""
    options = parser("scale", __doc__.splitlines()[0] if __doc__ else "").parse_args()
    depends = digest_of_sources("devnet/bench/scale.py", *SOURCES)
    found = measure("scale", cases(options.profile), options, depends)
    report("scale", table(found, options.profile), found, options)


if __name__ == "__main__":
    main()
