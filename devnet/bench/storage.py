"""Storage against Kubo's own calls, many blobs at once against one after the other, and going on after a kill.

    python -m devnet.bench.storage [--profile full]

*against Kubo*: the same file size through ours (RPC, hashing, verification) and through Kubo's own call in a bare
process, in turn, several times; the table has the median of the ratios of neighbours. *parallel*: 32 deltas of 2.5 MB,
each set new, between two embedded daemons. *resume*: a process that fetches a large file is killed with SIGKILL half
way; the next one goes on. All data is random, so nothing is there before.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psutil

from client.cid import digest_file
from client.kubo import KuboSettings, start_daemon
from client.storage import IpfsStore, cid_of, get_many
from devnet.bench.frame import ROOT, Case, Findings, Numbers, digest_of_sources, figure, measure, parser, report
from devnet.bench.storage_kubo import Kubo, kubo
from devnet.sim.report import Bars, Cell, Result

MB = 10**6
DELTA_BYTES = 2_500_000  # of a 135M-parameter model
DELTAS = 32
THREADS = (1, 4, 8, 16)
SIZES = {"reduced": (3, 25), "full": (3, 25, 135, 540)}  # MB: a delta, a small model, two snapshots of SmolLM2's size
REPEATS = {"reduced": 5, "full": 9}
RESUME_MB = {"reduced": 60, "full": 270}
RANGES = 4
SECONDS = 600.0

_FETCH = (
    "import sys; from pathlib import Path; from client.storage import *\n"
    "api, cache, digest, size = sys.argv[1:]\n"
    "IpfsStore(api, Path(cache)).get_file(bytes.fromhex(digest), Path(cache) / 'out', int(size), 600)\n"
)


@contextmanager
def pair() -> Iterator[tuple[IpfsStore, IpfsStore, Path]]:
    """Two embedded daemons that are connected, without read caches, and a folder."""
    with tempfile.TemporaryDirectory(prefix="strata-storage-") as name, ExitStack() as stack:
        folder = Path(name)
        settings = KuboSettings(kind="embedded", log=folder / "log")
        one = stack.enter_context(start_daemon(folder / "one", settings=settings))
        two = stack.enter_context(start_daemon(folder / "two", one.addresses, settings))
        here, there = IpfsStore(one.api), IpfsStore(two.api)
        deadline = time.monotonic() + 30
        while one.peer_id not in there.peers():
            if time.monotonic() > deadline:
                raise SystemExit("the two daemons did not find each other")
            time.sleep(0.1)
        yield here, there, folder


@contextmanager
def bare_pair(folder: Path) -> Iterator[tuple[Kubo, Kubo]]:
    """Two bare Kubo nodes that are connected."""
    with kubo(folder / "bare-one") as one, kubo(folder / "bare-two") as two:
        two.connect(one.addresses[0])
        yield one, two


def seconds_of(action: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _fresh(folder: Path, size: int) -> Path:
    path = folder / f"data-{os.urandom(4).hex()}"
    with path.open("wb") as file:
        left = size
        while left:
            left -= file.write(os.urandom(min(left, 8 * MB)))
    return path


# ---- against Kubo


def against_kubo(size: int, repeats: int, _seed: int) -> Numbers:
    """Add, get what is here, get what another node has: ours and Kubo's own in turn.

    Time on a clock, and processor time of all processes that take part: the daemons, and ours for hashing.
    """
    rows: dict[str, list[tuple[float, float, float, float]]] = {"add": [], "here": [], "there": []}
    with pair() as (here, there, folder), bare_pair(folder) as (bare, other):
        daemons = [_pid_of(store) for store in (here, there)]
        ours, kubos = [*daemons, os.getpid()], [bare.pid, other.pid]

        def timed(action: Callable[[], object], pids: Sequence[int]) -> tuple[float, float]:
            cpu = _processor_seconds(pids)
            return seconds_of(action), _processor_seconds(pids) - cpu

        for turn in range(repeats + 1):  # the first one warms up
            mine, theirs, out = _fresh(folder, size), _fresh(folder, size), folder / "out"
            digest, added = digest_file(mine), timed(partial(here.put_file, mine), ours)
            steps = {"add": (*added, *timed(partial(bare.add, theirs), kubos))}
            for name, store, node in (("here", here, bare), ("there", there, other)):
                got = timed(partial(store.get_file, digest, out, size, SECONDS), ours)
                steps[name] = (*got, *timed(partial(node.get, bare.added), kubos))
            for name, times in steps.items():
                rows[name] += [times] if turn else []
            for path in (mine, theirs, out):
                path.unlink()
    found: dict[str, float] = {}
    for name, taken in rows.items():
        found[f"{name} ratio"] = statistics.median(row[0] / row[2] for row in taken)
        found[f"{name} cpu"] = sum(row[1] for row in taken) / sum(row[3] for row in taken)
        found[f"{name} MB/s"] = statistics.median(size / MB / row[0] for row in taken)
    return found


def _pid_of(store: IpfsStore) -> int:
    """The process that listens at a daemon's API."""
    port = int(store.api.split("/")[4])
    for process in psutil.Process().children():
        if any(found.laddr.port == port for found in process.net_connections("tcp") if found.status == "LISTEN"):
            return int(process.pid)
    raise SystemExit("the daemon's process is not to be found")


def _processor_seconds(pids: Sequence[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(found.user + found.system for found in times))


# ---- many at once


def parallel(repeats: int, _seed: int) -> Numbers:
    """Seconds for 32 deltas that another daemon has, by threads; and one file's ranges side by side."""
    times: dict[int, list[float]] = {threads: [] for threads in THREADS}
    with pair() as (here, there, _):
        for _turn in range(repeats):
            for threads in THREADS:
                wanted = [(here.put(os.urandom(DELTA_BYTES)), DELTA_BYTES) for _ in range(DELTAS)]
                began = time.perf_counter()
                found = dict(get_many(there, wanted, SECONDS, threads))
                times[threads].append(time.perf_counter() - began)
                if not all(isinstance(data, bytes) for data in found.values()):
                    raise SystemExit("a delta could not be fetched")
        one, ranges = _ranges(here, repeats)
    numbers = {f"seconds {threads}": statistics.median(taken) for threads, taken in times.items()}
    for threads in THREADS[1:]:
        faster = [serial / taken for serial, taken in zip(times[1], times[threads], strict=True)]
        numbers[f"faster {threads}"] = statistics.median(faster)
    return {**numbers, "ranges faster": one / ranges}


def _ranges(store: IpfsStore, repeats: int) -> tuple[float, float]:
    """Median seconds to read 100 MB from the daemon in one stream, and in ranges side by side."""
    size = 100 * MB
    cid = cid_of(store.put(os.urandom(size)))
    source = store._ranked[0].source

    def read(part: int, parts: int) -> None:
        start, left = part * size // parts, size // parts
        with contextlib.closing(source.stream(cid, start, size - start, SECONDS, SECONDS)) as stream:
            for piece in stream:
                left -= len(piece)
                if left <= 0:
                    return

    def side_by_side() -> None:
        with ThreadPoolExecutor(RANGES) as pool:
            list(pool.map(lambda part: read(part, RANGES), range(RANGES)))

    rows = [(seconds_of(lambda: read(0, 1)), seconds_of(side_by_side)) for _ in range(repeats)]
    return statistics.median(row[0] for row in rows), statistics.median(row[1] for row in rows)


# ---- after a kill


def resume(size: int, _seed: int) -> Numbers:
    """Kill a process that fetches, at half of the file; which part of the bytes and of the time the next one needs."""
    with pair() as (here, there, folder):
        digests = [here.put_file(_fresh(folder, size)) for _ in range(2)]
        whole = seconds_of(lambda: _run(there, folder / "whole", digests[0], size).wait(SECONDS))
        child = _run(there, folder / "cut", digests[1], size)
        partial_file = folder / "cut" / "partial" / digests[1].hex()
        deadline = time.monotonic() + SECONDS
        while not partial_file.exists() or partial_file.stat().st_size < size // 2:
            if time.monotonic() > deadline or child.poll() is not None:
                raise SystemExit("the fetch ended before it could be killed")
            time.sleep(0.001)
        child.kill()
        child.wait(10)
        kept = partial_file.stat().st_size
        rest = seconds_of(lambda: _run(there, folder / "cut", digests[1], size).wait(SECONDS))
        if (folder / "cut" / "out").stat().st_size != size:
            raise SystemExit("what was gone on with is not whole")
    return {"fetched again": 1 - kept / size, "time": rest / whole}


def _run(store: IpfsStore, cache: Path, digest: bytes, size: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _FETCH, store.api, str(cache), digest.hex(), str(size)], cwd=ROOT)


# ---- the whole


def cases(profile: str) -> list[Case]:
    """What is measured."""
    seeds = (1, 2, 3) if profile == "full" else (1,)
    repeats = REPEATS[profile]
    found = [Case(f"{size} MB", partial(against_kubo, size * MB, repeats), seeds) for size in SIZES[profile]]
    found.append(Case("parallel", partial(parallel, min(3, repeats)), seeds))
    return [*found, Case("resume", partial(resume, RESUME_MB[profile] * MB), seeds)]


def table(found: Findings, profile: str) -> Result:
    """One row a figure."""
    rows: list[list[Cell]] = []
    names = {"add": "put against Kubo's add", "here": "get, held here", "there": "get, from another node"}
    for size in SIZES[profile]:
        if f"{size} MB" in found:
            for name, words in names.items():
                ratio, cpu, speed = (figure(found, f"{size} MB", f"{name} {what}") for what in ("ratio", "cpu", "MB/s"))
                unit = f"times Kubo's time; {cpu} times its processor time ({speed.mean:.0f} MB/s)"
                rows.append([f"{words}: {size} MB", str(ratio), unit])
    if "parallel" in found:
        for threads in THREADS[1:]:
            words = f"{DELTAS} deltas of {DELTA_BYTES / MB} MB, {threads} at once"
            rows.append([words, str(figure(found, "parallel", f"faster {threads}")), "times as fast as one by one"])
        words = f"one file of 100 MB in {RANGES} ranges"
        rows.append([words, str(figure(found, "parallel", "ranges faster")), "times as fast as one stream"])
    if "resume" in found:
        rows.append(["killed half way: bytes read again", str(figure(found, "resume", "fetched again")), "of the file"])
        words = "killed half way: time of the rest"
        rows.append([words, str(figure(found, "resume", "time")), "of a whole fetch, start of a process included"])
    pictures = {"bench-storage": picture(found, profile)}
    return Result("storage", f"Storage ({profile} profile)", ("what", "figure", "unit"), rows, pictures=pictures)


def picture(found: Findings, profile: str) -> Bars:
    """Our time over Kubo's own."""
    names = {"add": "put", "here": "get, held here", "there": "get, from another node"}
    bars = [
        (f"{words}, {size} MB", figure(found, f"{size} MB", f"{name} ratio").mean)
        for name, words in names.items()
        for size in SIZES[profile]
        if f"{size} MB" in found
    ]
    return Bars("time over Kubo's (less is better)", bars, 1.0, "Kubo's own")


def run(options: argparse.Namespace) -> None:
    """Measure what is not known yet, and print."""
    depends_on = digest_of_sources("client/storage.py", "client/fetching.py", "client/blob_cache.py", "client/cid.py",
                                   "client/kubo_http.py", "client/kubo_node.py", "client/kubo_fetches.py",
                                   "client/kubo_blocks.py", "devnet/bench/storage.py")  # fmt: skip
    found = measure("storage", cases(options.profile), options, depends_on)
    report("storage", table(found, options.profile), found, options)


if __name__ == "__main__":
    run(
        parser("storage", "Our storage against Kubo's own calls; parallel fetches; going on after a kill.").parse_args()
    )
