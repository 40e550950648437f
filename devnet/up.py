"""A network that keeps running: started by one command, looked at and stopped by others."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.errors import StrataError
from devnet.bringup import start_models, start_network, start_serving, start_work
from devnet.keeper import INTERRUPTED, keeper_process, kept, refuse_second, run_status, stop_run
from devnet.layout import Home, Run, RunOptions, write_json
from devnet.network import Devnet
from devnet.nodes import STRATA
from devnet.processes import end_processes, tail

READY_SECONDS = 600.0
LOOK_SECONDS = 0.5
KEEPER_LOG = "keeper.log"


def keep(home: Home, options: RunOptions) -> int:
    """Bring the network up and stay until a signal."""
    try:
        with kept(home, options, lambda text: print(text, flush=True)) as net:
            net.auto_open = True
            start_network(net)
            start_models(net)
            start_work(net)
            start_serving(net)
            announce(net)
            while True:
                net.check()
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        print("stopped", flush=True)
        return INTERRUPTED
    except StrataError as error:
        print(f"Error: {error}", flush=True)
        return 1


def announce(net: Devnet) -> None:
    """Say that the network is ready, to people and to the command that started us."""
    assert net.network is not None, "the network is up"
    write_json(net.run.ready, {"network": str(net.run.network), "gateway": net.network.gateway, "rpc": net.network.rpc})
    print(f"ready: chain {net.network.rpc}, gateway {net.network.gateway}, folder {net.run.path}", flush=True)


def detach(home: Home, options: RunOptions) -> int:
    """Start ``keep`` in the background and wait until the network is ready (or is not going to be)."""
    home.prepare()
    refuse_second(home)
    log = home.path / KEEPER_LOG
    arguments = ["--preset", options.preset, "--gateway-port", str(options.gateway_port)]
    arguments += ["--chain-port", str(options.chain_port)]
    arguments += ["--ganache"] if options.ganache else []
    arguments += ["--text", str(options.text.resolve())] if options.text else []
    arguments += ["--field", options.field] if options.field else []
    with log.open("wb") as out:
        keeper = subprocess.Popen(
            (*STRATA, "devnet", "up", "--foreground", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "STRATA_HOME": str(home.path)},
            start_new_session=True,
        )
    try:
        return _wait_ready(home, keeper, log)
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
        keeper.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.wait(timeout=30)
        stop_all(home)
        return INTERRUPTED


def _wait_ready(home: Home, keeper: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + READY_SECONDS
    shown = 0
    while True:
        ended = keeper.poll() is not None
        lines = log.read_text(errors="replace").splitlines()
        for line in lines[shown:]:
            print(line, flush=True)
        shown = len(lines)
        run = home.current()
        if run is not None and run.ready.exists() and _keeps(run, keeper.pid):
            print("it keeps running; next: strata devnet status | logs NAME | stop, strata models, strata ask")
            return 0
        if ended:
            print(f"the network did not start (log: {log})", file=sys.stderr)
            return 1
        if time.monotonic() > deadline:
            import psutil

            end_processes([psutil.Process(keeper.pid)], 20.0, reaped=[keeper])
            print(f"the network was not ready within {READY_SECONDS:.0f} s (log: {log})", file=sys.stderr)
            return 1
        time.sleep(LOOK_SECONDS)


def _keeps(run: Run, pid: int) -> bool:
    process = keeper_process(run)
    return process is not None and process.pid == pid


def show_status(home: Home, as_json: bool) -> int:
    """The table of processes; code 1 when no network runs."""
    run = home.current()
    keeper = keeper_process(run) if run is not None else None
    rows = run_status(run) if run is not None else []
    if as_json:
        values = {"run": str(run.path) if run else None, "running": keeper is not None}
        print(json.dumps({**values, "processes": [asdict(row) for row in rows]}, indent=1))
        return 0 if keeper is not None else 1
    if run is None or keeper is None:
        print(
            "no devnet runs"
            + (f" (the last one's folder: {run.path})" if run else "")
            + "; start one: strata devnet up"
        )
        return 1
    table = Table(title=f"devnet in {run.path}", title_justify="left")
    for name in ("process", "number", "state", "up", "memory", "does"):
        table.add_column(name)
    for row in rows:
        state = Text("runs", style="green") if row.alive else Text("ended", style="bold red")
        size = f"{row.memory_bytes / 1e6:.0f} MB"
        table.add_row(row.name, str(row.pid), state, f"{row.seconds_up:.0f} s", size, row.activity)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return 0


def show_logs(home: Home, name: str, lines: int, follow: bool) -> int:
    """The last lines of one log, or of each."""
    run = home.current()
    if run is None:
        print("there was no run yet; start one: strata devnet up", file=sys.stderr)
        return 1
    known = sorted(path.stem for path in (run.path / "logs").glob("*.log"))
    if name and name not in known:
        print(f"no process {name!r} in {run.path}; there are: {', '.join(known)}", file=sys.stderr)
        return 1
    for each in [name] if name else known:
        if not name:
            print(f"==> {each} <==")
        print("\n".join(tail(run.log(each), lines if name else min(lines, 5))))
    if follow and name:
        with contextlib.suppress(KeyboardInterrupt):
            _follow(run.log(name))
    return 0


def _follow(log: Path) -> None:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        while True:
            sys.stdout.write(file.read().decode("utf-8", "replace"))
            sys.stdout.flush()
            time.sleep(LOOK_SECONDS)


def stop_all(home: Home) -> int:
    """Stop every run that has something left."""
    left = []
    stopped = 0
    for run in home.all_runs()[-20:]:
        if keeper_process(run) is None and not run.keeper.exists() and not _alive(run):
            continue
        stopped += 1
        left += stop_run(run)
    if left:
        print(f"could not stop: {', '.join(str(process.pid) for process in left)}", file=sys.stderr)
        return 1
    print("stopped; nothing is left" if stopped else "nothing runs")
    return 0


def _alive(run: Run) -> bool:
    from devnet.processes import run_processes

    return bool(run_processes(run.path))
