"""A started process, whether it is our child or the nursery's."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol

import psutil

from devnet.nursery import exit_path


class Child(Protocol):
    """A started process: as much of ``subprocess.Popen`` as is needed."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Forked:
    """A process that the nursery forked; it is the nursery's child, not ours."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.pid = pid
        self._process = psutil.Process(pid)
        self._exit = exit_path(folder, pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if self._code is None and not runs(self._process):
            with contextlib.suppress(OSError, ValueError):
                self._code = int(self._exit.read_text())
            if self._code is None and not self._process.is_running():
                self._code = -signal.SIGKILL  # the nursery went, too, and nobody wrote down how
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        deadline = time.monotonic() + (60.0 if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 60.0)
            time.sleep(0.02)
        return code


def runs(process: psutil.Process) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
