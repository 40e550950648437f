"""The same bytes everywhere: the numeric core's golden hashes, computed anew on whatever can be had.

    python -m devnet.bench.exact [--profile full]

*reduced*: this interpreter with one thread and with eight, and with every dispatched processor feature of numpy off.
*full*, too: other numpy versions from the package index, Debian's own build of numpy, and numpy for ARM with Debian's
Python for ARM under qemu-user. Each is fetched once into ``.strata/cache/exact`` (about 250 MB); nothing is installed
and apt's own state is left alone. What can't be had is named, with the reason, and is no success.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from client.errors import ToolMissing
from devnet.bench.frame import ROOT, parser
from devnet.sim.report import Result, as_json, print_table

GOLDEN = ROOT / "tests" / "golden" / "numeric.json"
CACHE = ROOT / ".strata" / "cache" / "exact"
OTHER_NUMPY = ("1.26.4", "2.0.2", "2.4.0")
DEBIAN_NUMPY = ("python3-numpy", "libblas3", "liblapack3", "libgfortran5")
ARM_PYTHON = (
    "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5",
    "libuuid1", "libcrypt1", "libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal",
)  # fmt: skip
ARM_WHEELS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
FETCH_SECONDS = 600
RUN_SECONDS = 600


@dataclass(frozen=True)
class Interpreter:
    """A Python that can compute the hashes: its command and what its environment needs beside ours."""

    command: Sequence[str] = (sys.executable,)
    environment: Mapping[str, str] = field(default_factory=dict)

    def ask(self, *arguments: str) -> dict[str, Any]:
        """The JSON that ``devnet.bench.golden`` prints there."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **self.environment}
        command = [*self.command, "-m", "devnet.bench.golden", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=RUN_SECONDS, check=False)
        if done.returncode:
            raise ToolMissing(f"{self.command[-1]} failed: {done.stderr.decode(errors='replace')[-300:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def threads(count: int) -> Interpreter:
    """This interpreter with another number of threads in every library that has any."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return Interpreter(environment=dict.fromkeys(names, str(count)))


def without_simd() -> Interpreter:
    """This interpreter, its numpy held to what it was compiled for at the least."""
    from devnet.bench.golden import machine

    return Interpreter(environment={"NPY_DISABLE_CPU_FEATURES": " ".join(machine()["features"])})


def other_numpy(version: str) -> Interpreter:
    """This interpreter with another numpy from the package index."""
    folder = CACHE / f"numpy-{version}"
    if not (folder / "numpy").is_dir():
        _run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, f"numpy=={version}"])
    return Interpreter(environment={"PYTHONPATH": str(folder)})


def debian_numpy() -> Interpreter:
    """This interpreter with numpy as Debian builds it."""
    folder = CACHE / "numpy-debian"
    if not folder.is_dir():
        _unpacked(folder, DEBIAN_NUMPY, ())
    libraries = folder / "usr" / "lib" / "x86_64-linux-gnu"
    return Interpreter(
        environment={
            "PYTHONPATH": str(folder / "usr" / "lib" / "python3" / "dist-packages"),
            "LD_LIBRARY_PATH": ":".join(str(path) for path in (libraries, libraries / "blas", libraries / "lapack")),
        }
    )


def arm() -> Interpreter:
    """Debian's Python for ARM under qemu-user, with the index's numpy and zstandard for ARM."""
    folder = CACHE / "arm64"
    if not folder.is_dir():
        making = folder.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        _unpacked(making / "root", ARM_PYTHON, _arm_apt(making))
        _unpacked(making / "qemu", ("qemu-user-static",), ())
        (making / "qemu" / "usr" / "bin" / "qemu-aarch64-static").rename(making / "qemu-aarch64-static")
        shutil.rmtree(making / "qemu")
        _arm_wheels(making / "site")
        making.rename(folder)
    settings = {"PYTHONHOME": folder / "root" / "usr", "PYTHONPATH": f"{folder / 'site'}:{ROOT}"}
    passed = [word for name, value in settings.items() for word in ("-E", f"{name}={value}")]
    python = folder / "root" / "usr" / "bin" / "python3.11"
    return Interpreter([str(folder / "qemu-aarch64-static"), "-L", str(folder / "root"), *passed, str(python)])


def _arm_apt(making: Path) -> list[str]:
    """apt's options for another architecture, with lists of its own."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (making / name).mkdir(parents=True)
    (making / "state" / "status").touch()
    settings = (
        f"Dir::State={making}/state", f"Dir::State::status={making}/state/status", f"Dir::Cache={making}/cache",
        "APT::Architecture=arm64", "APT::Architectures::=arm64", "Acquire::Languages=none",
    )  # fmt: skip
    options = [word for setting in settings for word in ("-o", setting)]
    _run(["apt-get", *options, "update"])
    return options


def _unpacked(folder: Path, packages: Sequence[str], options: Sequence[str]) -> None:
    """Debian packages, fetched and unpacked without being installed; the folder is there whole or not at all."""
    archives, making = folder.with_suffix(".debs"), folder.with_suffix(".part")
    for path in (archives, making):
        shutil.rmtree(path, ignore_errors=True)
    archives.mkdir(parents=True)
    _run(["apt-get", *options, "download", *packages], archives)
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg", "-x", archive, making])
    shutil.rmtree(archives)
    making.rename(folder)


def _arm_wheels(site: Path) -> None:
    wheels = site.with_suffix(".wheels")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", wheels]
    for name in ARM_WHEELS:
        command += ["--platform", name]
    _run([*command, "--python-version", "3.11", f"numpy=={np.__version__}", f"zstandard=={zstandard.__version__}"])
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    shutil.rmtree(wheels)


def _run(command: Sequence[object], folder: Path | None = None) -> None:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, timeout=FETCH_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissing(f"{words[0]} {words[-1]}: {error}") from error
    if done.returncode:
        raise ToolMissing(f"{words[0]} {words[-1]}: {done.stderr.decode(errors='replace').strip()[-200:]}")


def variants(profile: str) -> dict[str, Callable[[], Interpreter]]:
    """What to compute the hashes on, by name."""
    found: dict[str, Callable[[], Interpreter]] = {
        "one thread": lambda: threads(1),
        "eight threads": lambda: threads(8),
        "no SIMD": without_simd,
    }
    if profile == "full":
        for version in OTHER_NUMPY:
            found[f"numpy {version}"] = lambda version=version: other_numpy(version)  # type: ignore[misc]
        if platform.machine() == "x86_64":
            found["Debian's numpy"] = debian_numpy
            found["ARM under qemu"] = arm
    return found


def compare(make: Callable[[], Interpreter], golden: Mapping[str, str]) -> tuple[list[object], list[str]]:
    """A row of the table, and the names of the hashes that differ."""
    try:
        interpreter = make()
        about, found = interpreter.ask("--machine"), interpreter.ask()
    except ToolMissing as error:
        return ["-", "-", "-", f"can't be had: {error}"], ["everything"]
    wrong = sorted(name for name in {*golden, *found} if golden.get(name) != found.get(name))
    verdict = f"{len(wrong)} differ: {', '.join(wrong[:3])}" if wrong else f"all {len(golden)} agree"
    return [about["architecture"], about["numpy"], len(about["features"]), verdict], wrong


def run(options: argparse.Namespace) -> bool:
    """Print the table; whether everything agreed."""
    golden = json.loads(GOLDEN.read_text())
    rows: list[list[Any]] = []
    good = True
    for name, make in variants(options.profile).items():
        if options.only and options.only not in name:
            continue
        cells, wrong = compare(make, golden)
        rows.append([name, *cells])
        good &= not wrong
    columns = ("where", "processor", "numpy", "SIMD features", "golden hashes")
    result = Result("exact", "The numeric core against its golden hashes", columns, rows)
    if options.json:
        print(as_json([result]))
    else:
        print_table(result)
    return good


def main() -> None:
    """Exit code 1 where something differs or can't be had."""
    options = parser("exact", "The numeric core's golden hashes on other builds and processors.").parse_args()
    if not run(options):
        sys.exit(1)


if __name__ == "__main__":
    main()
