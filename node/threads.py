"""How many threads the numerical libraries of a node process get, so that several processes on one machine don't fight.

Two threads in each of nine processes on two cores cost nine tenths of the speed. OpenMP, OpenBLAS, MKL and Rayon read
their variables when they are loaded, so ``limit_threads`` comes before numpy and torch are imported; torch that is
loaded already (a forked node of the devnet) is told directly.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS")
MOST = 256
CGROUP = Path("/sys/fs/cgroup")


def cores(cgroup: Path = CGROUP) -> int:
    """The processor cores that this process may use: its affinity, and a container's quota where there is one."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(found, quota) if quota else found)


def _quota(cgroup: Path) -> int:
    """A container's share of processor time in whole cores, rounded up; 0 where none is set."""
    with contextlib.suppress(OSError, ValueError):
        if (cgroup / "cpu.max").exists():
            allowed, period = (cgroup / "cpu.max").read_text().split()
        else:
            folder = cgroup / "cpu"
            allowed, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if allowed.strip() not in ("max", "-1"):
            return -(-int(allowed) // int(period))
    return 0


def threads_for(threads: int, machine_nodes: int = 1, env: Mapping[str, str] | None = None) -> int:
    """How many threads a node gets: ``threads``, or where that is 0 its even part of the cores, at least one.

    A user who has set ``OMP_NUM_THREADS`` has chosen already.
    """
    if threads:
        return threads
    chosen = (os.environ if env is None else env).get(POOLS[0], "")
    if chosen.isdecimal() and 1 <= int(chosen) <= MOST:
        return int(chosen)
    return max(1, min(MOST, cores() // machine_nodes))


def thread_variables(threads: int) -> dict[str, str]:
    """The environment that tells every library how many threads to start."""
    return {**dict.fromkeys(POOLS, str(threads)), "TOKENIZERS_PARALLELISM": "false"}


def limit_threads(threads: int) -> None:
    """Tell numerical libraries how many threads to use; torch too where it is loaded already."""
    os.environ.update(thread_variables(threads))
    limit_torch(threads)


def limit_torch(threads: int | None = None) -> None:
    """Tell torch, where it is loaded: so many threads in an operation (None: as the environment says), one between."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    torch.set_num_threads(threads or threads_for(0))
    with contextlib.suppress(RuntimeError):  # it can be set once, before the first use
        torch.set_num_interop_threads(1)
