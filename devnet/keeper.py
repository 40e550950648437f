"""Keeps one run: from its folder to its last process, whatever ends it. Also what other shells see of a run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from client.errors import ConfigError
from devnet.layout import Home, Run, RunOptions, write_json
from devnet.network import Devnet
from devnet.processes import NodeFailed, Record, Supervisor, end_processes, read_records, run_processes, sweep
from node.status import read_node
from node.status_view import activity

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_SECONDS = 25.0
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


class Interrupts:
    """The first signal raises KeyboardInterrupt, so that all is stopped in order; the second kills at once."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            raise KeyboardInterrupt
        for _ in range(3):  # something may be starting at this very moment
            end_processes(run_processes(self.run), 0.0)
        os.write(2, b"\nkilled\n")
        os._exit(INTERRUPTED)


@contextlib.contextmanager
def kept(home: Home, options: RunOptions, say: Callable[[str], None]) -> Iterator[Devnet]:
    """A fresh run, whose processes are gone when this ends. Raises NodeFailed when something would not go."""
    home.prepare()
    refuse_second(home)
    run = home.new_run()
    supervisor = Supervisor(run.path)
    with Interrupts(run.path):
        try:
            write_keeper(run)
            with supervisor:
                yield Devnet(home, run, options, supervisor, say)
        finally:
            run.ready.unlink(missing_ok=True)
            run.keeper.unlink(missing_ok=True)
            left = sweep(run.path)
            if left:
                raise NodeFailed(f"could not stop: {', '.join(str(process.pid) for process in left)}")


def refuse_second(home: Home) -> None:
    """Only one run at a time has a home; what an older one left behind is swept."""
    for run in home.all_runs()[-5:]:
        if keeper_process(run) is not None:
            raise ConfigError(
                f"a devnet runs already (its folder is {run.path}). See 'strata devnet status'; end it with "
                "'strata devnet stop', or give another home: STRATA_HOME=/path make demo"
            )
        if read_records(run.path):
            sweep(run.path)


def write_keeper(run: Run) -> None:
    """Say which process keeps the run."""
    write_json(run.keeper, {"pid": os.getpid(), "created": psutil.Process().create_time(), "since": time.time()})


def keeper_process(run: Run) -> psutil.Process | None:
    """The process that keeps a run, if it lives."""
    try:
        row = json.loads(run.keeper.read_text())
        return Record("keeper", row["pid"], row["created"], "", ()).process()
    except (OSError, ValueError, KeyError):
        return None


def stop_run(run: Run, seconds: float = STOP_SECONDS) -> list[psutil.Process]:
    """End a run from another shell: ask its keeper, then sweep. Returns what would not go. May be called again."""
    keeper = keeper_process(run)
    if keeper is not None and keeper.pid != os.getpid():
        end_processes([keeper], seconds)
    left = sweep(run.path)
    run.ready.unlink(missing_ok=True)
    run.keeper.unlink(missing_ok=True)
    return left


@dataclass(frozen=True)
class ProcessStatus:
    """One process of a run as another shell sees it; memory in bytes, times in seconds."""

    name: str
    pid: int
    alive: bool
    seconds_up: float
    memory_bytes: int
    activity: str


def run_status(run: Run) -> list[ProcessStatus]:
    """Every process of a run."""
    return [_status(run, record) for record in read_records(run.path)]


def _status(run: Run, record: Record) -> ProcessStatus:
    process = record.process()
    memory = 0
    if process is not None:
        with contextlib.suppress(psutil.Error):
            memory = int(process.memory_info().rss)
    up = time.time() - record.created if process is not None else 0.0
    return ProcessStatus(record.name, record.pid, process is not None, up, memory, _activity(run, record.name))


def _activity(run: Run, name: str) -> str:
    """What a node says that it does, in few words; nothing for what is not a node."""
    try:
        return "; ".join(activity(read_node(run.node(name))))
    except ConfigError:
        return ""
