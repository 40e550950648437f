"""``strata devnet`` as a user types it: the demo, up, status, logs, stop, Ctrl-C, ``kill -9``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from devnet.layout import Home
from devnet.processes import run_processes, sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
STRATA = (sys.executable, "-c", "from client.cli.main import main; main()", "devnet")
DEMO_SECONDS = 420
GONE_SECONDS = 20


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (*STRATA, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "STRATA_HOME": str(home)},
        start_new_session=True,
    )


def run(home: Path, *arguments: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*STRATA, *arguments),
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, "STRATA_HOME": str(home)},
        check=False,
    )


def until(what: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def left(home: Path) -> list[psutil.Process]:
    return [process for made in Home(home).all_runs() for process in run_processes(made.path)]


def finish(home: Path, process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for made in Home(home).all_runs():
        sweep(made.path, grace_seconds=0.0)


def check_summary(home: Path, chain: str) -> None:
    made = Home(home).current()
    assert made is not None
    summary = json.loads((made.path / "summary.json").read_text())
    assert summary["broken"] == []
    assert summary["chain"] == chain
    assert {
        model: sum(1 for r in summary["rounds"] if r["model"] == model and r["ended"] == "FINAL")
        for model in ("law", "computing")
    } == {"law": 3, "computing": 2}
    assert summary["money"]["ok"]
    assert summary["answer"]["model"] in ("law", "computing", "global")
    assert int(summary["answer"]["parts"]["server"]) > 0
    assert (made.path / "loss.png").stat().st_size > 1000
    assert "<svg" in (made.path / "demo.svg").read_text()


@pytest.mark.parametrize("chain", ["anvil", pytest.param("ganache", marks=pytest.mark.deep)])
def test_demo_when_nano_then_keeps_every_promise_and_leaves_no_process(tmp_path: Path, chain: str) -> None:
    arguments = ["demo", "--preset", "nano", *(["--ganache"] if chain == "ganache" else [])]
    process = start(tmp_path, *arguments)
    try:
        out, _ = process.communicate(timeout=DEMO_SECONDS)
        assert process.returncode == 0, out[-6000:]
        assert "AUDIT PASSED" in out
        assert left(tmp_path) == []
        check_summary(tmp_path, chain)
    finally:
        finish(tmp_path, process)


@pytest.mark.parametrize("seconds", [0.7, 4.0, 15.0])
def test_demo_when_interrupted_at_any_moment_then_nothing_is_left(tmp_path: Path, seconds: float) -> None:
    process = start(tmp_path, "demo", "--preset", "nano")
    try:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=40)
        assert process.returncode in (130, -signal.SIGINT, 1), out[-3000:]  # 1: before the demo itself had begun
        assert left(tmp_path) == []
    finally:
        finish(tmp_path, process)


def test_demo_when_killed_outright_then_the_watchdog_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, "demo", "--preset", "nano")
    try:
        until(lambda: len(left(tmp_path)) > 8, 60)
        process.kill()
        process.wait()
        until(lambda: left(tmp_path) == [], GONE_SECONDS)
    finally:
        finish(tmp_path, process)


def test_up_when_ready_then_others_see_it_and_stop_ends_it(tmp_path: Path) -> None:
    try:
        begun = run(tmp_path, "up", "--preset", "nano", seconds=300)
        assert begun.returncode == 0, begun.stdout + begun.stderr
        seen = run(tmp_path, "status", "--json")
        rows = json.loads(seen.stdout)
        assert seen.returncode == 0 and rows["running"]
        assert all(row["alive"] for row in rows["processes"] if row["name"] not in ("models", "texts"))
        assert "started" in run(tmp_path, "logs", "validator-1").stdout
        assert run(tmp_path, "logs", "nobody").returncode == 1
        second = run(tmp_path, "demo", "--preset", "nano")
        assert second.returncode == 1 and "runs already" in second.stdout + second.stderr
        for _ in range(2):  # the second time there is nothing to stop
            assert run(tmp_path, "stop").returncode == 0
            assert left(tmp_path) == []
        assert run(tmp_path, "status").returncode == 1
    finally:
        run(tmp_path, "stop")


def test_demo_when_a_port_is_taken_then_says_which(tmp_path: Path) -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ended = run(tmp_path, "up", "--preset", "nano", "--gateway-port", str(port), "--foreground")
    assert ended.returncode == 1
    assert f"port {port}" in ended.stdout + ended.stderr
    assert left(tmp_path) == []
