"""How many threads numerical libraries get, and that they are told before they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.nodes import COMPUTING, threads_each
from node.threads import POOLS, cores, thread_variables, threads_for

ROOT = Path(__file__).resolve().parents[2]


def test_threads_when_told_then_as_told() -> None:
    assert threads_for(3, 9, {"OMP_NUM_THREADS": "5"}) == 3


def test_threads_when_the_user_set_openmp_s_then_that_is_kept() -> None:
    assert threads_for(0, 1, {"OMP_NUM_THREADS": "5"}) == 5


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "1000000"])
def test_threads_when_alone_then_all_cores(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr("node.threads.cores", lambda: 12)
    assert threads_for(0, 1, {"OMP_NUM_THREADS": value}) == 12


@pytest.mark.parametrize(("nodes", "each"), [(2, 6), (5, 2), (12, 1), (40, 1)])
def test_threads_when_nodes_share_a_machine_then_each_gets_its_part(
    monkeypatch: pytest.MonkeyPatch, nodes: int, each: int
) -> None:
    monkeypatch.setattr("node.threads.cores", lambda: 12)
    assert threads_for(0, nodes, {}) == each


@pytest.mark.parametrize(
    ("text", "most"), [("100000 100000", 1), ("150000 100000", 2), ("max 100000", None), ("", None)]
)
def test_cores_when_a_container_has_a_quota_then_it_counts(tmp_path: Path, text: str, most: int | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    every = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert every is not None
    assert cores(tmp_path) == min(every, most or every)


def test_cores_when_the_quota_is_of_the_first_version_then_it_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cores(tmp_path) == 1


@pytest.mark.parametrize("role", ["miner", "validator", "server", "gateway", "bootstrap", "archive"])
def test_node_when_a_role_starts_then_threads_are_set_before_any_numerical_library(tmp_path: Path, role: str) -> None:
    """The role itself is replaced: what counts is what was loaded when it was about to be imported."""
    (tmp_path / "node.toml").write_text('name = "n"\nstate = "s"\nthreads = 3\n')
    code = (
        "import os, sys, types\n"
        "import node.cli as cli\n"
        "from node.threads import POOLS\n"
        "heavy = ('numpy', 'torch')\n"
        "told = sys.modules['told'] = types.ModuleType('told')\n"
        "told.run = lambda config: print(*map(os.environ.get, POOLS), *filter(sys.modules.get, heavy), flush=True)\n"
        "cli.ROLES[sys.argv[1]] = 'told:run'\n"
        "cli.app([sys.argv[1], '--config', sys.argv[2]])\n"
    )
    clean = {name: value for name, value in os.environ.items() if name not in POOLS}
    done = subprocess.run(
        [sys.executable, "-c", code, role, str(tmp_path / "node.toml")],
        cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["3"] * len(POOLS), done.stderr


@pytest.mark.slow
def test_torch_when_loaded_already_then_it_is_told() -> None:
    """As in a forked node of the devnet. With one thread, training starts no other."""
    code = (
        "import os, torch\n"
        "from node.threads import limit_threads\n"
        "model = torch.nn.Linear(64, 64)\n"
        "optimizer = torch.optim.AdamW(model.parameters(), foreach=True)\n"
        "model(torch.ones(64, 64)).sum().backward()\n"
        "optimizer.step()\n"
        "print(len(os.listdir('/proc/self/task')) if os.path.exists('/proc') else 1)\n"
        "limit_threads(2)\n"
        "print(torch.get_num_threads(), torch.get_num_interop_threads())\n"
        "limit_threads(1)\n"
        "print(torch.get_num_threads())\n"
    )
    env = {**os.environ, **thread_variables(1)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1", "2", "1", "1"], done.stderr


def test_torch_when_not_loaded_then_nothing_is_imported() -> None:
    code = "import sys; from node.threads import limit_torch; limit_torch(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("machine", [1, 2, 9, 40, 128])
def test_devnet_when_its_nodes_compute_then_together_they_take_no_more_than_the_cores(
    monkeypatch: pytest.MonkeyPatch, machine: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("node.threads.cores", lambda: machine)
    assert threads_each() == 1 or threads_each() * len(COMPUTING) <= machine
