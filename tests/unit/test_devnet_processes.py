"""The supervisor: whatever way it ends, nothing that it started is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from devnet.processes import NodeFailed, ProcessSpec, Supervisor, read_records, run_processes, sweep, tail

SLEEPER = (sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
)
PARENT = (
    sys.executable,
    "-c",
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    " print('ready', flush=True); time.sleep(60)",
)


def until(what: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def spec(tmp_path: Path, name: str, command: tuple[str, ...]) -> ProcessSpec:
    return ProcessSpec(name, command, tmp_path / f"{name}.log")


def ready(tmp_path: Path, name: str) -> None:
    until(lambda: tail(tmp_path / f"{name}.log") == ["ready"])


def test_supervisor_when_left_then_stops_processes_and_their_children(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(spec(tmp_path, "one", SLEEPER))
        supervisor.start(spec(tmp_path, "two", PARENT))
        ready(tmp_path, "one")
        ready(tmp_path, "two")
        assert len(run_processes(tmp_path)) == 3
    assert run_processes(tmp_path) == []
    assert read_records(tmp_path) == []


def test_supervisor_when_a_process_ignores_the_request_then_kills_it(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.start(spec(tmp_path, "stubborn", STUBBORN))
    ready(tmp_path, "stubborn")
    assert supervisor.stop(grace_seconds=0.3) == []


def test_supervisor_when_a_process_is_killed_then_its_children_go_too_and_it_restarts(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        first = supervisor.start(spec(tmp_path, "node", PARENT))
        ready(tmp_path, "node")
        supervisor.kill("node")
        (ended,) = supervisor.reap()
        assert (ended.name, ended.code) == ("node", -signal.SIGKILL)
        assert run_processes(tmp_path) == []
        assert supervisor.restart("node") != first
        assert supervisor.alive("node")


def test_supervisor_when_a_name_is_taken_then_refuses(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(spec(tmp_path, "node", SLEEPER))
        with pytest.raises(NodeFailed, match="runs already"):
            supervisor.start(spec(tmp_path, "node", SLEEPER))


def test_supervisor_when_it_is_killed_outright_then_the_watchdog_sweeps(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from devnet.processes import ProcessSpec, Supervisor
supervisor = Supervisor(Path({str(tmp_path)!r}))
supervisor.start(ProcessSpec("node", {PARENT!r}, Path({str(tmp_path / "node.log")!r})))
time.sleep(60)
"""
    keeper = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    try:
        ready(tmp_path, "node")
        assert len(run_processes(tmp_path)) == 2
        os.kill(keeper.pid, signal.SIGKILL)
        keeper.wait()
        until(lambda: run_processes(tmp_path) == [])
    finally:
        keeper.kill()
        sweep(tmp_path, grace_seconds=0.0)


def test_record_when_its_number_belongs_to_another_process_then_is_not_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(spec(tmp_path, "node", SLEEPER))
        (record,) = read_records(tmp_path)
        assert record.process() == psutil.Process(record.pid)
        stranger = type(record)(record.name, os.getpid(), record.created - 100, record.log, record.command)
        assert stranger.process() is None


def test_tail_when_there_is_no_log_then_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == []
