"""Decode, aggregate and outer step give the same bytes on other threads, processors and numpy builds."""

from __future__ import annotations

import json
import platform

import pytest

from client.errors import ToolMissing
from devnet.bench import exact
from devnet.bench.golden import hashes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def golden() -> dict[str, str]:
    found: dict[str, str] = json.loads(exact.GOLDEN.read_text())
    return found


def _hashes_on(make) -> dict[str, str]:
    try:
        return make().ask()
    except ToolMissing as error:
        pytest.skip(f"can't be had here: {error}")


def test_numeric_core_when_run_here_then_hashes_are_golden(golden: dict[str, str]) -> None:
    assert hashes() == golden


def test_numeric_core_when_threads_differ_then_hashes_are_golden(golden: dict[str, str]) -> None:
    assert exact.threads(5).ask() == golden


def test_numeric_core_when_numpy_has_no_simd_then_hashes_are_golden(golden: dict[str, str]) -> None:
    interpreter = exact.without_simd()
    assert interpreter.ask("--machine")["features"] == []
    assert interpreter.ask() == golden


@pytest.mark.deep
@pytest.mark.parametrize("version", exact.OTHER_NUMPY)
def test_numeric_core_when_numpy_is_another_version_then_hashes_are_golden(
    version: str, golden: dict[str, str]
) -> None:
    assert _hashes_on(lambda: exact.other_numpy(version)) == golden


@pytest.mark.deep
@pytest.mark.skipif(platform.machine() != "x86_64", reason="Debian's libraries are looked for where x86-64 has them")
def test_numeric_core_when_numpy_is_built_by_debian_then_hashes_are_golden(golden: dict[str, str]) -> None:
    assert _hashes_on(exact.debian_numpy) == golden


@pytest.mark.deep
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the emulator is Debian's for x86-64")
@pytest.mark.timeout(1200)
def test_numeric_core_when_processor_is_arm_then_hashes_are_golden(golden: dict[str, str]) -> None:
    assert _hashes_on(exact.arm) == golden
