"""Which tests may run beside which: a pytest hook for ``-n 2 --dist loadgroup``.

Tests of one file stay together and in order, since they share fixtures. Those that start whole networks of processes or
measure the machine are one group: two of these at once on two cores would starve each other's clocks. That group is the
longest, so it comes first, and everything else fills the other worker.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WHOLE_MACHINE = (
    "tests/e2e/",
    "tests/integration/test_roles_processes.py",
    "tests/integration/test_swarm_peers.py",
    "tests/integration/test_storage_daemons.py",
)


def group_of(path: str) -> str:
    """The group of the tests in a file (path from the root)."""
    return "machine" if path.startswith(WHOLE_MACHINE) else path


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Names each test's group, and puts the longest first where tests are spread over workers."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.path.relative_to(ROOT).as_posix())))
    if config.getoption("dist", "no") != "no":
        items.sort(key=lambda item: not item.path.relative_to(ROOT).as_posix().startswith(WHOLE_MACHINE))
