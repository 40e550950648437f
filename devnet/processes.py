"""The devnet's processes: started each in a session of its own, watched, and stopped so that nothing is left.

Three nets, one under the other, so that no way of dying leaves an orphan:

1. the **supervisor** stops what it started, by session (a node's helpers, such as Hivemind's daemon, live in it too);
2. the **watchdog** (``devnet.watchdog``) holds the read end of a pipe whose write end the supervisor holds: when the
   supervisor is killed outright the pipe closes, and the watchdog sweeps;
3. ``strata devnet stop`` sweeps from another shell, by the recorded processes and by the mark in their environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from client.errors import StrataError
from devnet import nursery
from devnet.children import Child, Forked, runs

MARK = "STRATA_DEVNET_RUN"
"""The environment variable that every process of a run carries; its value is the run's folder."""

RECORDS = "processes.json"
NURSERY = "nursery"
NURSERY_SECONDS = 90.0
START_TOLERANCE_SECONDS = 1.0


class NodeFailed(StrataError):
    """A process of the devnet ended, or did not get ready, when it should not have."""


@dataclass(frozen=True)
class ProcessSpec:
    """How to start one process. ``forked``: the arguments of a ``strata`` command that the nursery may run."""

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    forked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """One started process as other shells see it (``processes.json``). ``created`` is in seconds since the epoch."""

    name: str
    pid: int
    created: float
    log: str
    command: tuple[str, ...]

    def process(self) -> psutil.Process | None:
        """The living process, or None when it has ended (or its number now belongs to another)."""
        try:
            found = psutil.Process(self.pid)
            if abs(found.create_time() - self.created) > START_TOLERANCE_SECONDS:
                return None
            return None if found.status() == psutil.STATUS_ZOMBIE else found
        except psutil.Error:
            return None


@dataclass(frozen=True)
class Exit:
    """A process that ended by itself. ``code`` is negative for a signal."""

    name: str
    code: int
    log: Path


class Supervisor:
    """Starts and stops the processes of one run. Use it from one thread; it is a context manager that stops all."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._specs: dict[str, ProcessSpec] = {}
        self._children: dict[str, Child] = {}
        self._records: dict[str, Record] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        run.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Supervisor:
        self._start_watchdog()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, spec: ProcessSpec) -> int:
        """Start a process and return its number. The name must be free (or its process ended)."""
        if self.alive(spec.name):
            raise NodeFailed(f"{spec.name} runs already (process {self._children[spec.name].pid})")
        if self._watchdog is None:
            self._start_watchdog()
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        child = self._fork(spec) if spec.forked and NURSERY in self._children else self._spawn(spec)
        self._specs[spec.name] = spec
        self._children[spec.name] = child
        self._records[spec.name] = Record(spec.name, child.pid, _created(child.pid), str(spec.log), spec.command)
        self._save()
        return child.pid

    def start_nursery(self, environment: Mapping[str, str], log: Path) -> None:
        """Start the process that forks nodes, where that is possible."""
        if nursery.usable():
            self._births.mkdir(exist_ok=True)
            command = (sys.executable, "-m", "devnet.nursery", str(self._births))
            self.start(ProcessSpec(NURSERY, command, log, environment))

    @property
    def _births(self) -> Path:
        return self.run / "births"

    def _fork(self, spec: ProcessSpec) -> Child:
        """Have the nursery fork; waits until it has imported everything."""
        parent = self._children[NURSERY]
        assert isinstance(parent, subprocess.Popen) and parent.stdin is not None, "the nursery is started with a pipe"
        reply = nursery.reply_path(self._births, spec.name)
        reply.unlink(missing_ok=True)
        request = {
            "name": spec.name,
            "arguments": spec.forked,
            "log": str(spec.log),
            "environment": dict(spec.environment),
            "folder": str(spec.folder or self.run),
        }
        deadline = time.monotonic() + NURSERY_SECONDS
        try:
            parent.stdin.write(json.dumps(request).encode() + b"\n")
            parent.stdin.flush()
            while not reply.exists():
                if parent.poll() is not None or time.monotonic() > deadline:
                    raise NodeFailed(f"{spec.name} was not born; the nursery's log: {self._specs[NURSERY].log}")
                time.sleep(0.01)
            return Forked(self._births, int(reply.read_text()))
        except (BrokenPipeError, psutil.NoSuchProcess):
            raise NodeFailed(f"{spec.name} was not born; the nursery's log: {self._specs[NURSERY].log}") from None

    def _spawn(self, spec: ProcessSpec) -> Child:
        with spec.log.open("ab") as log:
            return subprocess.Popen(
                spec.command,
                stdin=subprocess.PIPE,  # held open: a child may take its closing for our end
                stdout=log,
                stderr=log,
                cwd=spec.folder or self.run,
                env={**os.environ, **spec.environment, MARK: str(self.run)},
                start_new_session=True,
            )

    def restart(self, name: str) -> int:
        """Start a process again as it was started before."""
        spec = self._specs[name]
        self.stop_one(name)
        return self.start(spec)

    def alive(self, name: str) -> bool:
        """Whether the process runs."""
        child = self._children.get(name)
        return child is not None and child.poll() is None

    def names(self) -> list[str]:
        """Every process that was started, in that order."""
        return list(self._specs)

    def pid(self, name: str) -> int:
        """The number of a process."""
        return self._children[name].pid

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self._specs[name].log

    def kill(self, name: str) -> None:
        """``kill -9`` of the process alone, as an accident would; :meth:`reap` clears what it leaves."""
        child = self._children[name]
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()

    def reap(self) -> list[Exit]:
        """The processes that ended since the last call; what they left in their session is killed."""
        ended = []
        for name, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            end_processes(session_members(child.pid), grace_seconds=0.0)
            self._forget(name)
            ended.append(Exit(name, code, self._specs[name].log))
        return ended

    def stop_one(self, name: str, grace_seconds: float = 6.0) -> None:
        """Stop one process and its session."""
        child = self._children.get(name)
        if child is None:
            return
        end_processes(_with_root(child.pid), grace_seconds, reaped=[child])
        self._forget(name)

    def stop(self, grace_seconds: float = 6.0) -> list[psutil.Process]:
        """Stop all, then make sure. Returns what could not be stopped (nothing, one hopes)."""
        children = list(self._children.values())
        found = {process.pid: process for process in run_processes(self.run)}
        for child in children:
            found.update({process.pid: process for process in _with_root(child.pid)})
        if self._watchdog is not None:
            found.pop(self._watchdog.pid, None)
        end_processes(list(found.values()), grace_seconds, reaped=children)
        for name in list(self._children):
            self._forget(name)
        self._stop_watchdog()
        return run_processes(self.run)

    def _forget(self, name: str) -> None:
        child = self._children.pop(name, None)
        if isinstance(child, subprocess.Popen) and child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()
        self._records.pop(name, None)
        self._save()

    def _save(self) -> None:
        rows = [
            {"name": r.name, "pid": r.pid, "created": r.created, "log": r.log, "command": list(r.command)}
            for r in self._records.values()
        ]
        temporary = self.run / (RECORDS + ".tmp")
        temporary.write_text(json.dumps(rows, indent=1))
        temporary.replace(self.run / RECORDS)

    def _start_watchdog(self) -> None:
        if self._watchdog is not None:
            return
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "devnet.watchdog", str(self.run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parent.parent,
            start_new_session=True,
        )

    def _stop_watchdog(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is None or watchdog.stdin is None:
            return
        with contextlib.suppress(OSError):
            watchdog.stdin.close()
        try:
            watchdog.wait(timeout=10)
        except subprocess.TimeoutExpired:
            watchdog.kill()
            watchdog.wait()


def read_records(run: Path) -> list[Record]:
    """What the supervisor of a run wrote down last; empty when there is nothing (or only half of it) to read."""
    try:
        rows = json.loads((run / RECORDS).read_text())
    except (OSError, json.JSONDecodeError):
        return []
    return [Record(r["name"], r["pid"], r["created"], r["log"], tuple(r["command"])) for r in rows]


def session_members(session: int) -> list[psutil.Process]:
    """The living processes of a session."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def run_processes(run: Path) -> list[psutil.Process]:
    """Every living process of a run: recorded, in a recorded one's session, or with the run's mark. Never ourselves."""
    recorded = {process.pid for record in read_records(run) if (process := record.process())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.pid in recorded or os.getsid(process.pid) in recorded or _has_mark(process, run)
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
    return list(found.values())


def end_processes(processes: Iterable[psutil.Process], grace_seconds: float, reaped: Iterable[Child] = ()) -> None:
    """Ask the processes to end, wait, kill those that did not, and wait for the children among them."""
    waiting = list(processes)
    for process in waiting if grace_seconds > 0 else ():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    deadline = time.monotonic() + grace_seconds
    while (waiting := [p for p in waiting if runs(p)]) and time.monotonic() < deadline:
        for child in reaped:
            child.poll()
        time.sleep(0.05)
    for process in waiting:
        with contextlib.suppress(psutil.Error):
            process.kill()
    for child in reaped:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=5)
    psutil.wait_procs([p for p in waiting if runs(p)], timeout=3)


def sweep(run: Path, grace_seconds: float = 5.0) -> list[psutil.Process]:
    """Stop whatever is left of a run and return what would not go."""
    end_processes(run_processes(run), grace_seconds)
    left = run_processes(run)  # something may have been started in between
    end_processes(left, 0.0)
    return run_processes(run)


def tail(path: Path, lines: int = 15, limit_bytes: int = 32768) -> list[str]:
    """The last lines of a log, without reading all of it."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - limit_bytes))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []


def _with_root(pid: int) -> list[psutil.Process]:
    members = session_members(pid)
    with contextlib.suppress(psutil.Error):
        if all(member.pid != pid for member in members):
            members.append(psutil.Process(pid))
    return members


def _has_mark(process: psutil.Process, run: Path) -> bool:
    try:
        return bool(process.environ().get(MARK) == str(run))
    except (psutil.Error, OSError):
        return False


def _created(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0
