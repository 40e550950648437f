"""What every node process shares: state folder, events, status, logs, signals, a clean stop within five seconds."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.errors import ConfigError
from client.schema import load_json
from node.config import NodeConfig
from node.reporter import Lines, reported
from node.telemetry import Telemetry
from node.threads import limit_threads, threads_for

STOP_SECONDS = 4.0  # after which a stop no longer waits for threads: the journal makes that safe
EVENTS_MAX_BYTES = 64 * 2**20  # then events.jsonl moves aside, once
PR_SET_PDEATHSIG = 1

log = logging.getLogger("strata.node")


class EventLog:
    """Appends what happened to ``events.jsonl``, one canonical line an event. Safe from several threads.

    A disk that is full stops no node: what must not be lost is in the journal.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        tell: Callable[[Mapping[str, Any]], None] = lambda record: None,
    ) -> None:
        self._lines, self._clock, self._tell = Lines(path, EVENTS_MAX_BYTES, "events"), clock, tell

    def write(self, event: str, model: str | None = None, round_number: int | None = None, **values: Any) -> None:
        """Add one event; ``values`` are plain JSON values."""
        record: dict[str, Any] = {"t": round(self._clock(), 3), "event": event}
        if model is not None:
            record["model"] = model
        if round_number is not None:
            record["round"] = round_number
        record.update(values)
        self._tell(record)
        self._lines.write(json.dumps(record, ensure_ascii=False, default=_plain))


class StatusFile:
    """``status.json``: what the node does now. Replaced in one step, so that a reader never sees half of it."""

    def __init__(self, path: Path, tell: Callable[[str, Mapping[str, Any]], None] = lambda model, values: None) -> None:
        self._path, self._lock, self._values = path, threading.Lock(), dict[str, Any]()
        self._tell, self._failing = tell, False

    def update(self, **values: Any) -> None:
        """Change top-level values."""
        with self._lock:
            self._values.update(values)
            self._write()

    def update_model(self, model: str, **values: Any) -> None:
        """Change what is said of one model."""
        with self._lock:
            models = self._values.setdefault("models", {})
            if all(models.get(model, {}).get(key) == value for key, value in values.items()):
                return
            models.setdefault(model, {}).update(values)
            self._write()
        self._tell(model, values)

    def _write(self) -> None:
        self._values["updated"] = round(time.time(), 3)
        try:
            write_atomic(self._path, json.dumps(self._values, indent=1, default=_plain).encode())
        except OSError as error:  # a full disk stops no node
            if not self._failing:
                log.warning("the status can't be written to %s: %s", self._path, error.strerror)
            self._failing = True
        else:
            self._failing = False


@dataclass
class Runtime:
    """One running node: where it writes, and whether it should stop."""

    config: NodeConfig
    role: str
    events: EventLog
    status: StatusFile
    stop: threading.Event = field(default_factory=threading.Event)
    compute: threading.Lock = field(default_factory=threading.Lock)  # one heavy computation at a time
    telemetry: Telemetry = field(default_factory=Telemetry)

    def sleep(self, seconds: float) -> bool:
        """Wait, but not past a stop; true when it is time to stop."""
        return self.stop.wait(seconds)


def open_runtime(config: NodeConfig, role: str) -> Runtime:
    """Make the state folder and its files. No signal, log or thread is touched (see ``process``)."""
    try:
        config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        (config.state / "journal").mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"the state folder {config.state} can't be made: {error.strerror}") from None
    telemetry = Telemetry()
    events = EventLog(config.state / "events.jsonl", tell=telemetry.observe)
    status = StatusFile(config.state / "status.json", telemetry.note_model)
    runtime = Runtime(config, role, events, status, telemetry=telemetry)
    pid, started = os.getpid(), round(time.time(), 3)
    status.update(name=config.name, role=role, pid=pid, born=_birth(pid)[1], started=started, stopped=False)
    return runtime


@contextlib.contextmanager
def process(config: NodeConfig, role: str, secrets: tuple[str, ...] = ()) -> Iterator[Runtime]:
    """The frame of a node process: limits, logs, signals; says ``node_started``, and stops cleanly."""
    limit_threads(threads_for(config.threads, config.machine_nodes))
    die_with_parent()
    set_up_logging(config.log_level, secrets)
    lock = _lock_state(config)
    runtime = open_runtime(config, role)
    _stop_on_signals(runtime)
    runtime.events.write("node_started", role=role, name=config.name, pid=os.getpid())
    log.info("%s %s started, state in %s", role, config.name, config.state)
    try:
        with reported(config, role, runtime.telemetry, lambda url: runtime.status.update(metrics=url)):
            yield runtime
    finally:
        runtime.stop.set()
        runtime.status.update(stopped=True)
        log.info("%s %s stopped", role, config.name)
        lock.close()


def run_threads(runtime: Runtime, targets: Mapping[str, Callable[[], None]]) -> None:
    """Run each target in a thread until a stop. A target that raises stops the node: a silent half-node is worse."""
    failures: list[BaseException] = []

    def guarded(name: str, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            failures.append(error)
            log.exception("%s failed", name)
            runtime.events.write("error", where=name, message=str(error))
            runtime.stop.set()
            raise

    threads = [threading.Thread(target=guarded, args=item, name=item[0], daemon=True) for item in targets.items()]
    previous = threading.excepthook
    threading.excepthook = lambda args: None  # logged above
    try:
        for thread in threads:
            thread.start()
        runtime.stop.wait()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    finally:
        threading.excepthook = previous
    if failures:
        raise failures[0]
    if any(thread.is_alive() for thread in threads):
        log.warning("stopping without waiting for unfinished work: the journal has what a restart needs")


def leave(code: int = 0) -> None:
    """End the process now. All that matters is closed; torch and its like would take seconds over their own end."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def die_with_parent() -> None:
    """Ask Linux to send SIGTERM to this process when its parent dies. Elsewhere this does nothing."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


class Redact(logging.Filter):
    """Takes named secrets out of log lines, whoever logged them."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if len(secret) >= 4)

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace secrets in the finished message."""
        message = record.getMessage()
        if any(secret in message for secret in self._secrets):
            for secret in self._secrets:
                message = message.replace(secret, "[secret]")
            record.msg, record.args = message, ()
        if record.exc_info and not record.exc_text:  # a traceback ends with the exception's words
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            for secret in self._secrets:
                record.exc_text = record.exc_text.replace(secret, "[secret]")
        return True


def set_up_logging(level: str, secrets: tuple[str, ...] = ()) -> None:
    """Log to stderr, one line a record. Libraries speak from WARNING up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    handler.addFilter(Redact(secrets))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("strata").setLevel(level)


def write_atomic(path: Path, data: bytes, sync: bool = False) -> None:
    """Write a file so that it is there whole or not at all; with ``sync`` it also outlives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk is not filled further
        raise
    if sync:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_status(state: Path) -> dict[str, Any]:
    """What ``status.json`` says, plus ``alive``: whether that process runs."""
    try:
        values = load_json((state / "status.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no status in {state}: the node has not run yet") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{state / 'status.json'} is damaged: {error}") from None
    except OSError as error:
        raise ConfigError(f"{state / 'status.json'} can't be read: {error.strerror}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{state / 'status.json'} is damaged: it holds no table")
    return {**values, "alive": not values.get("stopped", True) and _alive(values.get("pid"), values.get("born"))}


def _alive(pid: Any, born: Any) -> bool:
    """Whether the process runs, and is the one that was born then: numbers are given out again."""
    if type(pid) is not int or not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    condition, ticks = _birth(pid)
    return condition not in ("Z", "X") and (ticks is None or type(born) is not int or ticks == born)


def _birth(pid: int) -> tuple[str, int | None]:
    """A process's condition, and its birth in clock ticks since boot; nothing where Linux does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return "", None


def _lock_state(config: NodeConfig) -> Any:
    """Two processes on one state folder would reveal each other's secrets twice: the second is refused."""
    import fcntl

    try:
        config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"the state folder {config.state} can't be made: {error.strerror}") from None
    file = (config.state / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(f"another process runs with the state folder {config.state}") from None
    return file


def _stop_on_signals(runtime: Runtime) -> None:
    def handle(number: int, frame: Any) -> None:
        if not runtime.stop.is_set():
            runtime.stop.set()
            # In a thread, since the interrupted one may hold the status; now, since the end may come by the watchdog.
            threading.Thread(target=runtime.status.update, kwargs={"stopping": True}, daemon=True).start()
            watchdog = threading.Timer(STOP_SECONDS + 0.5, os._exit, args=(0,))
            watchdog.daemon = True
            watchdog.start()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _plain(value: Any) -> Any:
    """What JSON does not know: bytes as hex, everything else as text."""
    return value.hex() if isinstance(value, bytes) else str(value)
