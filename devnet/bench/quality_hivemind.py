"""Hivemind's own Optimizer with four peers that average gradients at every step: its loss, and what it sends.

Each peer is a process: ``python -m devnet.bench.quality_hivemind PLAN``, PLAN a JSON file. Peers talk over loopback
TCP through their p2pd. Each computes on its own batch, and the Optimizer steps when the four batches are there; a peer
that is early waits, so that every step has the tokens that the other arms' steps have.

Two counts per peer: *payload*, the tensors' bytes that the all-reduce hands to other peers (parts for averaging and
averaged parts); and *sockets*, what Linux says its TCP connections to others carried (``node.sockets``), which has the
DHT's talk and libp2p's framing in it. ``averaged`` says in how many steps an all-reduce really took place, judging by
the payload: a peer that sees no other steps alone.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from devnet.bench.frame import ROOT

MATCHMAKING_SECONDS = 1.5
STEP_SECONDS = 60.0
SEEN_SECONDS = 3.0
GO_SECONDS = 120.0


@dataclass(frozen=True)
class HivemindPlan:
    """One peer's part: the world, the steps of the whole group, AdamW's settings, and where the others are."""

    model: str
    seed: int
    cache: str
    peers: int
    rank: int
    steps: int
    horizon: int
    batch: int
    lr: float
    warmup: int
    weight_decay: float
    floor: float
    folder: str

    @property
    def address_file(self) -> Path:
        """Where the first peer says how to reach it."""
        return Path(self.folder) / "address"


def run_peers(plan: HivemindPlan, timeout_seconds: float) -> list[dict[str, float]]:
    """Start all peers and wait for their figures; none outlives this call."""
    with TemporaryDirectory() as folder:
        running: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(plan.peers):
                file = Path(folder) / f"plan-{rank}.json"
                file.write_text(json.dumps({**asdict(plan), "rank": rank, "folder": folder}))
                command = [sys.executable, "-m", "devnet.bench.quality_hivemind", str(file)]
                environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                running.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
                    )
                )
            until = time.monotonic() + timeout_seconds
            for process in running:
                process.wait(max(1.0, until - time.monotonic()))
            return [json.loads((Path(folder) / f"done-{rank}.json").read_text()) for rank in range(plan.peers)]
        finally:
            for process in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with its DHT, its averager and its p2pd
                process.wait()


def main() -> None:
    """One peer."""
    plan = HivemindPlan(**json.loads(Path(sys.argv[1]).read_text()))
    found = _peer(plan)
    (Path(plan.folder) / f"done-{plan.rank}.json").write_text(json.dumps(found))
    os._exit(0)  # Hivemind's own processes would wait for their timeouts


def _peer(plan: HivemindPlan) -> dict[str, float]:
    import torch

    from devnet.bench.quality_world import world
    from node.sockets import SocketMeter

    torch.set_num_threads(1)
    place = world(plan.model, plan.seed, Path(plan.cache))
    counter = multiprocessing.Value("Q", 0)
    with _counted(counter):
        optimizer = _optimizer(plan, [parameter for _, parameter in place.model.trained])
    _wait_for_all(plan)
    meter = SocketMeter()
    meter.look()
    began, batches = time.monotonic(), 0
    sent = 0
    while optimizer.local_epoch < plan.steps and time.monotonic() < began + STEP_SECONDS * plan.steps:
        batches += _step(plan, place, optimizer, batches)
        sent = (meter.look() or (0, 0))[0]
    (Path(plan.folder) / f"over-{plan.rank}").touch()
    return {
        "loss": place.loss(place.model.get_vector()) if plan.rank == 0 else 0.0,
        "steps": float(optimizer.local_epoch),
        "averaged": counter.value / _all_reduce_bytes(plan, place.model.n),
        "batches": float(batches),
        "payload": float(counter.value),
        "sockets": float(sent),
        "seconds": time.monotonic() - began,
        "values": float(place.model.n),
    }


def _all_reduce_bytes(plan: HivemindPlan, values: int) -> float:
    """Tensor bytes that a peer hands to others in one whole all-reduce of float32, on average over peers.

    Each sends its parts to the others, and to each of them the average of the part that it is in charge of.
    """
    return 2 * (plan.peers - 1) / plan.peers * 4 * values


def _step(plan: HivemindPlan, place: Any, optimizer: Any, batches: int) -> int:
    """One batch's gradient, then the Optimizer's step; wait until the other peers' batches are there too."""
    from node.models.run import hidden_of
    from node.training.inner import schedule
    from node.training.objectives import Train

    epoch = optimizer.local_epoch
    windows = place.of_miner(plan.rank, batches, 1, plan.batch)
    rows = list(range(plan.batch))
    inputs, targets = windows.inputs(rows), windows.targets(rows)
    loss = Train().loss(place.model, hidden_of(place.model, inputs), inputs, targets)
    loss.backward()  # type: ignore[no-untyped-call]
    set_rate(optimizer, plan.lr * schedule(epoch, plan.horizon, plan.warmup, plan.floor))
    until = time.monotonic() + SEEN_SECONDS
    while optimizer.tracker.global_progress.num_peers < plan.peers and time.monotonic() < until:
        time.sleep(0.02)  # who seems to be alone steps without averaging
    if optimizer.scheduled_grads is not None and optimizer.scheduled_grads.done():
        optimizer.scheduled_grads = None  # 1.1.12 leaves it there, and then skips the next averaging
    optimizer.step(batch_size=plan.batch)
    optimizer.zero_grad()
    until = time.monotonic() + STEP_SECONDS
    while optimizer.local_epoch == epoch and time.monotonic() < until:
        if optimizer.tracker.ready_to_update_epoch:
            optimizer._update_global_epoch(None)  # as step() does, without another batch
        time.sleep(0.01)
    return 1


def set_rate(optimizer: Any, rate: float) -> None:
    """The learning rate of the next step. Set where it is read: the Optimizer's own ``param_groups`` are copies."""
    for group in optimizer.state_averager.optimizer.param_groups:
        group["lr"] = rate


def _optimizer(plan: HivemindPlan, parameters: list[Any]) -> Any:
    """AdamW under Hivemind's Optimizer; gradients are clipped after averaging, as in one large run."""
    import hivemind
    import torch

    class Clipped(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            torch.nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], 1.0)
            return super().step(closure)

    known = [] if plan.rank == 0 else _address(plan)
    dht = hivemind.DHT(initial_peers=known, host_maddrs=["/ip4/127.0.0.1/tcp/0"], start=True)
    if plan.rank == 0:
        plan.address_file.with_suffix(".new").write_text(str(dht.get_visible_maddrs()[0]))
        plan.address_file.with_suffix(".new").replace(plan.address_file)
    return hivemind.Optimizer(
        dht=dht,
        run_id="quality",
        target_batch_size=plan.peers * plan.batch,
        params=parameters,
        optimizer=lambda group: Clipped(group, plan.lr, (0.9, 0.95), weight_decay=plan.weight_decay),
        matchmaking_time=MATCHMAKING_SECONDS,
        averaging_timeout=30.0,
        offload_optimizer=False,
        delay_optimizer_step=False,
        delay_state_averaging=False,
        average_state_every=1_000_000,  # gradients alone: the least that it can send
        verbose=bool(os.environ.get("STRATA_BENCH_VERBOSE")),
        averager_opts={"request_timeout": 1.0, "target_group_size": plan.peers, "min_group_size": plan.peers},
        tracker_opts={"min_refresh_period": 0.05, "max_refresh_period": 0.2, "default_refresh_period": 0.1},
    )


def _address(plan: HivemindPlan) -> list[str]:
    until = time.monotonic() + GO_SECONDS
    while not plan.address_file.exists():
        if time.monotonic() > until:
            raise TimeoutError("the first peer did not say where it is")
        time.sleep(0.05)
    return [plan.address_file.read_text()]


def _wait_for_all(plan: HivemindPlan) -> None:
    folder = Path(plan.folder)
    (folder / f"ready-{plan.rank}").touch()
    until = time.monotonic() + GO_SECONDS
    while len(list(folder.glob("ready-*"))) < plan.peers and time.monotonic() < until:
        time.sleep(0.05)


@contextlib.contextmanager
def _counted(counter: Any) -> Iterator[None]:
    """Let the averager, which forks from here, count the tensor bytes that it hands to other peers."""
    from hivemind.averaging.allreduce import AllReduceRunner

    runner: Any = AllReduceRunner
    parts, answers = runner._generate_input_for_peer, runner._accumulate_parts_streaming

    def _note(message: Any) -> None:
        with counter.get_lock():
            counter.value += len(message.tensor_part.buffer)

    async def sent(self: Any, peer_index: int) -> AsyncIterator[Any]:
        async for message in parts(self, peer_index):
            _note(message)
            yield message

    async def answered(self: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        async for message in answers(self, *arguments, **options):
            _note(message)
            yield message

    runner._generate_input_for_peer, runner._accumulate_parts_streaming = sent, answered
    try:
        yield
    finally:
        runner._generate_input_for_peer, runner._accumulate_parts_streaming = parts, answers


if __name__ == "__main__":
    main()
