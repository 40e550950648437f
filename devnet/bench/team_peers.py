"""Processes that train as peers of one team, over Hivemind on loopback, and say how long it took and what it gave."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from devnet.bench.frame import ROOT
from devnet.bench.quality_world import World, world
from node.identity import prepare_identity
from node.team import Team, TeamSettings
from node.teams.inner import TeamInner
from node.threads import limit_threads
from node.training.inner import InnerSettings, Step, run_inner

if TYPE_CHECKING:
    from node.interfaces import Vector
    from node.teams.round import TeamRound
    from node.teams.session import Shared

CACHE = ROOT / ".strata" / "cache"
READY_SECONDS = 240.0
RUN_SECONDS = 3 * 3600.0


@dataclass(frozen=True)
class Plan:
    """What a team does. Steps and batch are each peer's, in each round."""

    model: str
    seed: int
    peers: int
    rounds: int
    steps: int
    batch: int
    mode: str = "delta"
    every: int = 10
    learning_rate: float = 0.002
    dies: int = 0  # the step (over all rounds) after which the second peer is killed; 0: never
    values: int = 0  # average so many values again and again, and train nothing
    wait_seconds: float = 30.0


class TimedTeam(Team):
    """A team that counts the seconds spent on averages, waiting for the other peer included."""

    seconds = 0.0
    tried = 0

    def share(self, round_: TeamRound, vector: Vector, tokens: int, step: int) -> Shared:
        """As the team does."""
        began = time.monotonic()
        try:
            return super().share(round_, vector, tokens, step)
        finally:
            self.seconds += time.monotonic() - began
            self.tried += 1


def run_team(plan: Plan, folder: Path) -> dict[str, float]:
    """Start the peers, let them begin together, and return the first one's figures."""
    context = multiprocessing.get_context("spawn")
    for rank in range(plan.peers):
        prepare_identity(folder / str(rank) / "team.key")
    pipes, processes = [], []
    try:
        for rank in range(plan.peers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_peer, args=(plan, rank, folder, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            _expect(pipe, "ready", READY_SECONDS)
        for pipe in pipes:
            pipe.send("go")
        if plan.dies:
            _expect(pipes[1], "now", RUN_SECONDS)
            processes[1].kill()
        numbers = _expect(pipes[0], "done", RUN_SECONDS)
        return {name: float(value) for name, value in numbers.items()}
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()


def _expect(pipe: Connection, what: str, seconds: float) -> dict[str, float]:
    if not pipe.poll(seconds):
        raise TimeoutError(f"a peer was not {what} within {seconds:.0f} s")
    name, numbers = pipe.recv()
    if name != what:
        raise RuntimeError(f"a peer said {name} instead of {what}: {numbers}")
    return dict(numbers)


def _peer(plan: Plan, rank: int, folder: Path, pipe: Connection) -> None:
    limit_threads(1)
    allow = tuple(prepare_identity(folder / str(other) / "team.key") for other in range(plan.peers))
    where = tuple(f"file:{folder / f'{other}.json'}" for other in range(min(rank, 1)))
    settings = TeamSettings(
        "bench", rank, plan.peers, where, allow, mode=plan.mode, every=plan.every, wait_seconds=plan.wait_seconds
    )
    made = world(plan.model, plan.seed, CACHE) if not plan.values else None
    team = None
    if plan.peers > 1:
        team = TimedTeam.start(settings, folder / str(rank) / "team.key", announce=folder / f"{rank}.json")
        assert isinstance(team, TimedTeam)
    try:
        pipe.send(("ready", {}))
        if not pipe.poll(READY_SECONDS):
            return
        pipe.recv()
        found = _train(plan, rank, made, team, pipe) if made is not None else _average(plan, rank, team)
        pipe.send(("done", found))
        if pipe.poll(30.0):  # stay until the others have averaged too
            pipe.recv()
    except (EOFError, OSError):  # whoever started us is gone
        pass
    finally:
        if team is not None:
            team.close()


def _train(plan: Plan, rank: int, made: World, team: TimedTeam | None, pipe: Connection) -> dict[str, float]:
    done = 0

    def say(step: Step) -> None:
        nonlocal done
        done += 1
        if plan.dies and rank == 1 and done == plan.dies:
            pipe.send(("now", {}))
            time.sleep(60.0)  # to be killed here, in mid-round

    model, vector = made.model, made.model.get_vector()
    settings = InnerSettings(plan.steps, plan.batch, plan.learning_rate, 5, horizon=plan.rounds * plan.steps)
    tokens = 0.0
    counts = {"averages": 0, "alone": 0}
    state = None
    began, cpu = time.monotonic(), _cpu_seconds()
    for number in range(plan.rounds):
        model.set_vector(vector)
        each = replace(settings, done=number * plan.steps)
        used = plan.peers * plan.steps * plan.batch
        windows = made.windows.take([(number * used + row) % len(made.windows) for row in range(used)])
        if team is None:
            result = run_inner(model, windows, each, progress=say, state=state)
            vector = vector + result.delta
            tokens += result.tokens
        else:
            inner = TeamInner(team, f"r{number}", model, windows, each, None, say, lambda: False)
            result = inner.run(state)
            mean = team.average(result.delta, f"end-{number}", plan.wait_seconds, result.tokens)
            counts["averages"] += inner.averages
            counts["alone"] += inner.alone
            vector = vector + mean.vector
            tokens += mean.tokens
        state = result.state
    seconds, cpu = time.monotonic() - began, _cpu_seconds() - cpu
    waited = team.seconds if team is not None else 0.0
    return {
        "loss": made.loss(vector),
        "seconds": seconds,
        "cpu": cpu,
        "tokens": tokens,
        "waited": waited,
        **counts,
    }


def _cpu_seconds() -> float:
    """CPU time of this process and its libp2p daemon."""
    daemons = psutil.Process().children(recursive=True)
    return time.process_time() + sum(sum(daemon.cpu_times()[:2]) for daemon in daemons)


def _average(plan: Plan, rank: int, team: TimedTeam | None) -> dict[str, Any]:
    """Seconds of one average, the fastest and the median of several: both peers come at once."""
    assert team is not None, "an average takes two"
    own = np.random.default_rng(rank).standard_normal(plan.values).astype(np.float32)
    times: list[float] = []
    for number in range(3 * plan.rounds):
        if len(times) == plan.rounds:
            break
        began = time.monotonic()
        result = team.average(own, f"values-{number}", plan.wait_seconds)
        if result.peers == plan.peers and number:  # the first one opens connections
            times.append(time.monotonic() - began)
        elif result.peers < plan.peers and rank == 0:
            time.sleep(1.0)  # on a busy machine the other may have seemed silent
    if not times:
        raise RuntimeError("not one average came about")
    return {"median": float(np.median(times)), "least": min(times), "averages": len(times)}
