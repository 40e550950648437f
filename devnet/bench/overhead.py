"""What decentralisation costs: a real network's rounds against a bare PyTorch loop of the same steps on the same core.

    python -m devnet.bench.overhead [--profile full|reduced]

A whole network of processes is brought up: Anvil, contracts, IPFS daemons, Hivemind's DHT, two miners, four validators.
The first core has the miners, all IPFS daemons but the validators', the chain and the DHT; the second the validators
with theirs, whose work is counted apart. Rounds open by themselves and overlap. In the same run, before and after, two
bare loops (``devnet.bench.bare``) do as many steps of the same model on the first core. The figure is wall time against
wall time.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from client.errors import StrataError
from client.manifests import Evaluation, Genesis, Inner, Outer
from client.types import Policy
from contracts.enums import Level
from devnet.bench.frame import ROOT, Case, Findings, digest_of_sources, figure, measure, parser, report
from devnet.bench.material import genesis_of
from devnet.bringup import start_network, wait_started
from devnet.keeper import kept
from devnet.layout import VALIDATORS, Home, RunOptions
from devnet.network import (
    START_SECONDS,
    Devnet,
    finish_models,
    start_nodes,
)
from devnet.nodes import ONE_THREAD
from devnet.pieces import read_jobs
from devnet.processes import NURSERY, read_records
from devnet.sim.report import Bars, Result
from devnet.staking import list_models, place_stakes
from devnet.submissions import submit_field
from devnet.waiting import together, wait_until

MODEL = "long"
MINERS = ("miner-1", "miner-3")  # miner-2 is a team, which has a benchmark of its own
TRAINING_CORE, JUDGING_CORE = 0, 1
POLICY = Policy(900, 300, 60, 200, 60, 200, 60)
ROUND_SECONDS = 900.0
GROUPS = ("miners", "storage", "chain and DHT", "validators")
GOAL = 1.1


@dataclass(frozen=True)
class Size:
    """How much is run. ``steps``: H, of a round; widths and layers of the model from scratch."""

    steps: int
    rounds: int
    width: int
    layers: int
    batch: int = 4
    sequence: int = 256


SIZES = {"reduced": Size(40, 3, 128, 4), "full": Size(200, 3, 256, 6)}
PASSES = {"reduced": 1, "full": 3}


def long_genesis(net: Devnet, size: Size) -> Genesis:
    """A model from scratch that reads bytes, whose rounds last as long as wanted; stored on the network's IPFS."""
    from safetensors.torch import save_file

    from devnet.models import vector_sha256
    from node.models.architecture import config_text, named_weights
    from node.models.nano import NanoShape, nano_config, nano_model

    shape = replace(NanoShape(), width=size.width, inner=size.width * 11 // 4, layers=size.layers)
    values = {name: value.detach() for name, value in named_weights(nano_model(7, shape)).items()}
    path = net.run.path / "long.safetensors"
    save_file(values, path)
    tensors = [(name, tuple(values[name].shape)) for name in sorted(values)]
    return genesis_of(
        MODEL, tensors, net.store().put_file(path), vector_sha256(values), level=int(Level.FIELD), field="law",
        language="en", description="A model for measuring.", licence="CC0-1.0", config=config_text(nano_config(shape)),
        outer=Outer(65536, 0), inner=Inner(size.steps, size.batch, size.sequence, "0.001", 1, "0.01"),
        evaluation=Evaluation(8, size.sequence), snapshot_every=8,
    )  # fmt: skip


def bring_up(net: Devnet, size: Size) -> bytes:
    """The network with one model that has rounds; returns its genesis digest. The miners are not started yet."""
    start_network(net, (), [MODEL])
    finish_models(net)
    genesis = net.store().put(long_genesis(net, size).to_bytes())
    root = net.ids["global"]
    net.ids[MODEL] = net.chain().register_model(root, Level.FIELD, MODEL, "law", genesis, POLICY).id
    start_nodes(net, VALIDATORS)
    works = [
        partial(place_stakes, net, MINERS),
        partial(submit_field, net, "law", MODEL, START_SECONDS),
        partial(list_models, net),
    ]
    together(works, START_SECONDS * 3, "the stakes and texts")
    wait_started(net, VALIDATORS)
    return genesis


# ---- cores, and what each group spent


def group_of(name: str) -> str:
    """Whose work a process does."""
    plain = name.removeprefix("ipfs-")
    if plain.startswith("validator"):
        return "validators"
    if name.startswith("ipfs-"):
        return "storage"
    return "miners" if name.startswith("miner") else "chain and DHT"


def members(net: Devnet) -> Iterator[tuple[str, psutil.Process]]:
    """Every process of the network with its group; a helper belongs to what started it, not to the nursery."""
    named = {record.pid: record.name for record in read_records(net.run.path) if record.process() is not None}
    seen: set[int] = set()
    for pid, name in sorted(named.items(), key=lambda item: item[1] == NURSERY):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                if each.pid not in seen and (each.pid == pid or each.pid not in named):
                    seen.add(each.pid)
                    yield group_of(name), each


def pin(net: Devnet) -> None:
    """Validators' processes to one core, all others to the other."""
    if (os.cpu_count() or 1) < 2:
        raise StrataError("this benchmark wants two cores: one to train on, one for the validators")
    for group, process in members(net):
        core = JUDGING_CORE if group == "validators" else TRAINING_CORE
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, {core})


def spent(net: Devnet) -> dict[str, float]:
    """CPU-seconds so far, by group."""
    found = dict.fromkeys(GROUPS, 0.0)
    for group, process in members(net):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            found[group] += times.user + times.system
    return found


def loopback_bytes() -> int:
    """Bytes that crossed the loopback interface, all processes of the machine together."""
    return int(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)


# ---- the two sides


def events_of(net: Devnet, miner: str, kind: str) -> list[dict[str, Any]]:
    """A miner's events of one kind on the model."""
    path = net.run.node(miner) / "events.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    return [row for row in rows if row["event"] == kind and row.get("model") == MODEL]


def decentralised(net: Devnet, size: Size) -> dict[str, float]:
    """The miners start, rounds follow each other; from the first inner step to the last commitment."""
    pin(net)
    before, sent = spent(net), loopback_bytes()
    start_nodes(net, MINERS)

    def done() -> bool:
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            pin(net)
        return all(len(events_of(net, miner, "committed")) >= size.rounds for miner in MINERS)

    wait_until(done, ROUND_SECONDS * size.rounds, f"{size.rounds} rounds", net.check)
    after = spent(net)
    trained = {miner: events_of(net, miner, "trained")[: size.rounds] for miner in MINERS}
    started = min(rows[0]["t"] - rows[0]["seconds"] for rows in trained.values())
    ended = max(events_of(net, miner, "committed")[size.rounds - 1]["t"] for miner in MINERS)
    steps = sum(row["seconds"] for rows in trained.values() for row in rows) / len(MINERS)
    found = {"seconds": ended - started, "inner_seconds": steps, "loopback_bytes": float(loopback_bytes() - sent)}
    return found | {f"cpu {group}": after[group] - before[group] for group in GROUPS}


def bare(net: Devnet, genesis: bytes, size: Size) -> float:
    """Wall seconds of the bare loops, side by side on the training core."""
    text = net.run.path / "bare.json"
    job = next(job for job in read_jobs(net.run.path / "texts.json") if job.model == "law")
    text.write_text(json.dumps([json.loads(line)["text"] for line in Path(job.path).read_text().splitlines()]))
    go = net.run.path / f"go-{secrets.token_hex(4)}"
    command = [sys.executable, "-m", "devnet.bench.bare", genesis.hex(), "--ipfs", net.store().api]
    command += ["--cache", str(net.home.cache), "--text", str(text), "--steps", str(size.steps * size.rounds)]
    command += ["--go", str(go)]
    ready = [net.run.path / f"{go.name}-{miner}" for miner in MINERS]
    loops = [
        subprocess.Popen(
            [*command, "--ready", str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
            preexec_fn=partial(os.sched_setaffinity, 0, {TRAINING_CORE}),
        )
        for path in ready
    ]
    try:
        wait_until(lambda: all(path.exists() for path in ready), START_SECONDS, "the bare loops")
        go.touch()
        said = [loop.communicate(timeout=ROUND_SECONDS * size.rounds)[0] for loop in loops]
        return max(float(json.loads(line)["seconds"]) for line in said)
    finally:
        for loop in loops:
            loop.kill()


def one_pass(size: Size, seed: int) -> dict[str, float]:
    """A network, and the bare loops before and after its rounds, while its miners are not there."""
    home = Path(tempfile.mkdtemp(prefix="strata-overhead-"))
    (home / "cache").symlink_to(_cache())
    try:
        with kept(Home(home), RunOptions("nano"), lambda text: print(text, file=sys.stderr)) as net:
            os.environ["STRATA_HOME"] = str(home)
            net.auto_open = True
            genesis = bring_up(net, size)
            first = bare(net, genesis, size)
            found = decentralised(net, size)
            for miner in MINERS:
                net.supervisor.stop_one(miner)
            second = bare(net, genesis, size)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    loop = (first + second) / 2
    return found | {"bare_seconds": loop, "bare_spread": abs(first - second) / loop, "ratio": found["seconds"] / loop}


def _cache() -> Path:
    path = ROOT / ".strata" / "cache"
    path.mkdir(parents=True, exist_ok=True)
    return path


def table(findings: Findings, size: Size) -> Result:
    """What came out."""
    name = next(iter(findings))
    loop = figure(findings, name, "bare_seconds").mean
    rows: list[Sequence[str | float]] = [
        ("wall time against the bare loop", str(figure(findings, name, "ratio")), f"at most {GOAL:.2f}"),
        ("bare loops, s (mean of before and after)", str(figure(findings, name, "bare_seconds")), ""),
        ("bare loops, before against after", str(figure(findings, name, "bare_spread")), "noise of this machine"),
        ("inner steps' share of the miners' time", str(inner_share(findings, name)), ""),
        (
            "bytes over loopback, MB a round",
            f"{figure(findings, name, 'loopback_bytes').mean / 1e6 / size.rounds:.1f}",
            "",
        ),
    ]
    for group in GROUPS:
        share = figure(findings, name, f"cpu {group}").mean / (loop or 1.0)
        rows.append((f"CPU time of {group} against the bare loops' wall time", f"{share:.3f}", ""))
    note = f"H = {size.steps}, {size.rounds} rounds, two miners on one core, four validators on the other"
    pictures = {"bench-overhead": picture(findings, name)}
    return Result("overhead", "Decentralised against a bare loop", ("what", "measured", "goal"), rows, note, pictures)


def picture(findings: Findings, name: str) -> Bars:
    """Wall time, and each group's processor time, over the bare loops' wall time."""
    loop = figure(findings, name, "bare_seconds").mean or 1.0
    bars = [("wall time", figure(findings, name, "ratio").mean)]
    bars += [(f"processor time: {group}", figure(findings, name, f"cpu {group}").mean / loop) for group in GROUPS]
    return Bars("over the bare loops' time (less is better)", bars, GOAL, "goal for wall time, at most")


def inner_share(findings: Findings, name: str) -> float:
    """The part of the decentralised run's wall time in which the inner loop ran."""
    return round(figure(findings, name, "inner_seconds").mean / figure(findings, name, "seconds").mean, 4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report."""
    options = parser("overhead", "Wall time of decentralised training against a bare loop.").parse_args(arguments)
    size = SIZES[options.profile]
    case = Case(f"H={size.steps}", lambda seed: one_pass(size, seed), tuple(range(1, PASSES[options.profile] + 1)))
    depends = digest_of_sources(
        "node", "client", "devnet/bench/overhead.py", "devnet/bench/bare.py", "devnet/bench/material.py"
    )
    findings = measure("overhead", [case], options, depends)
    report("overhead", table(findings, size), findings, options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
