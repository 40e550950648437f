"""Writes a node's figures down: ``telemetry.jsonl`` in the state folder, and the page at ``/metrics``.

It runs beside the roles in threads of its own and never stops a node: a full disk or a taken port is told once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from node.config import NodeConfig
from node.sockets import SocketMeter
from node.telemetry import Telemetry

MAX_BYTES = 8 * 2**20  # then telemetry.jsonl moves aside, once: at most twice as much is on disk
LOOK_SECONDS = 0.5  # between two looks whether a round has ended
JOIN_SECONDS = 2.0
LOOK_PAUSE = 100  # times as long as a look at the sockets took: machines may have many

log = logging.getLogger("strata.node.telemetry")


class Lines:
    """Appends JSON lines to a file of bounded size. A write that fails is told once, until one succeeds again."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, what: str = "telemetry") -> None:
        self._path, self._max, self._what = path, max_bytes, what
        self._lock, self._failing = threading.Lock(), False

    def write(self, text: str) -> bool:
        """Add one line; False where it could not be written."""
        with self._lock:
            try:
                if self._path.exists() and self._path.stat().st_size > self._max:
                    self._path.replace(self._path.with_suffix(self._path.suffix + ".1"))
                with open(self._path, "a", encoding="utf-8", errors="backslashreplace", opener=private) as file:
                    file.write(text + "\n")
            except OSError as error:
                if not self._failing:
                    log.warning("%s can't be written to %s: %s", self._what, self._path, error.strerror)
                self._failing = True
                return False
            self._failing = False
            return True


def private(path: str, flags: int) -> int:
    """For its owner alone: a validator's events tell its scores before it reveals them."""
    return os.open(path, flags, 0o600)


class Recorder:
    """The thread that writes a line every so many seconds, at each end of a round, and at the end."""

    def __init__(self, config: NodeConfig, role: str, telemetry: Telemetry) -> None:
        self._telemetry, self._seconds = telemetry, config.telemetry_seconds
        self._who = {"name": config.name, "role": role, "pid": os.getpid()}
        self._lines = Lines(config.state / "telemetry.jsonl")
        self._sockets, self._looking = SocketMeter(), threading.Lock()
        self._look_after = 0.0  # on the monotonic clock
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Write the last line."""
        self._end.set()
        self._thread.join(JOIN_SECONDS)

    def measure(self) -> None:
        """Look at the sockets, unless that took more than a hundredth of the time since the last look."""
        with self._looking:
            began = time.monotonic()
            if began < self._look_after:
                return
            found = self._sockets.look()
            ended = time.monotonic()
            self._look_after = ended + LOOK_PAUSE * (ended - began)
            if found is not None:
                self._telemetry.set_sockets(*found)

    def line(self, why: str) -> dict[str, Any]:
        """What is written: who, why now (``time``, ``round`` or ``end``), and all figures."""
        self.measure()
        usage = {"cpu_seconds": round(time.process_time(), 2), "memory_bytes": memory_bytes()}
        return {**self._telemetry.snapshot(), **self._who, "why": why, **usage}

    def _run(self) -> None:
        due = time.monotonic()
        while not self._end.wait(min(LOOK_SECONDS, self._seconds)):
            ended = self._telemetry.round_ended.is_set()
            if not ended and time.monotonic() < due:
                continue
            self._telemetry.round_ended.clear()
            due = time.monotonic() + self._seconds
            self._write("round" if ended else "time")
        self._write("end")

    def _write(self, why: str) -> None:
        try:
            self._lines.write(json.dumps(self.line(why), ensure_ascii=False))
        except (OSError, ValueError, RuntimeError) as error:
            log.debug("no line of telemetry: %s", error)


def memory_bytes(statm: Path = Path("/proc/self/statm")) -> int | None:
    """Memory that the process holds; None where Linux does not say."""
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


@contextlib.contextmanager
def reported(
    config: NodeConfig, role: str, telemetry: Telemetry, tell: Callable[[str | None], None]
) -> Iterator[Recorder]:
    """Lines and page for the time of the block; ``tell`` is given the page's address, None where there is none."""
    recorder = Recorder(config, role, telemetry)
    server = None
    if config.metrics_port >= 0:
        from node.metrics_http import open_page

        server = open_page(config.metrics_host, config.metrics_port, lambda: recorder.line("page"))
    tell(server.url if server else None)
    if config.telemetry_seconds:
        recorder.start()
    try:
        yield recorder
    finally:
        if config.telemetry_seconds:
            recorder.stop()
        if server is not None:
            server.close()
