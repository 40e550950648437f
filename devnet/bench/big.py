"""How much memory a large model takes beyond training: encode, aggregate, snapshot, replay, of random values.

    python -m devnet.bench.big [--profile full]

*reduced*: 50 million parameters; *full*: a billion. Every case runs in a process of its own and is given as a ratio to
the model's float32 bytes: the peak of its own memory (``RssAnon``, looked at every 20 ms), and the peak of everything
resident (``VmHWM``), which counts the pages of mapped files, too: those are the kernel's, to drop when memory is short.
What the interpreter takes before the case begins is left out of both. Needs 11 bytes a parameter of disk under
``.strata`` and 9 of memory; all of it is given back. The store is a folder that hands out links.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client import scratch
from client.cid import digest_bytes, digest_file
from client.codec import Encoder
from client.errors import ConfigError, NotFound, TooLarge
from client.manifests import Genesis
from client.recipe import SPARSE
from client.replay import Accepted, build_next_head, load_state, publish
from client.tensors import TensorFile, bf16_to_float32, write_tensors
from devnet.bench.frame import ROOT, Case, Findings, digest_of_sources, measure, parser, report
from devnet.bench.material import genesis_of
from devnet.sim.report import Bars, Result

FOLDER = ROOT / ".strata" / "bench" / "big"
MINERS = tuple(f"0x{place:040x}" for place in range(1, 5))
LIMIT = 2.2
SOURCES = (
    "client/aggregate.py", "client/codec.py", "client/codes.py", "client/payload.py", "client/replay.py",
    "client/scratch.py", "client/tensors.py", "client/topk.py", "devnet/bench/big.py", "devnet/bench/material.py",
)  # fmt: skip
Float32 = NDArray[np.float32]


class FolderStore:
    """Content by digest in a folder; files are linked, not copied. Keeps :class:`client.storage.Store`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> bytes:
        """Store ``data``."""
        digest = digest_bytes(data)
        (self._folder / digest.hex()).write_bytes(data)
        return digest

    def put_file(self, path: Path) -> bytes:
        """Store a file by a hard link."""
        digest = digest_file(path)
        target = self._folder / digest.hex()
        target.unlink(missing_ok=True)
        os.link(path, target)
        return digest

    def get(self, digest: bytes, max_bytes: int, timeout: float = 0) -> bytes:
        """The bytes."""
        path = self._folder / digest.hex()
        if not path.exists():
            raise NotFound(f"no {digest.hex()} in {self._folder}")
        if path.stat().st_size > max_bytes:
            raise TooLarge(f"{digest.hex()} has more than {max_bytes} bytes")
        return path.read_bytes()

    def get_file(self, digest: bytes, path: Path, max_bytes: int, timeout: float = 0) -> None:
        """A link to the bytes."""
        path.symlink_to((self._folder / digest.hex()).resolve())

    def pin(self, digest: bytes, timeout: float = 0) -> None:
        """Everything is kept."""

    def unpin(self, digest: bytes) -> None:
        """Everything is kept."""


def shapes(parameters: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Tensors like a Llama's, of at least ``parameters`` values in all."""
    wide = 2048 if parameters >= 500_000_000 else 512
    layer = (
        ("attention.q", (wide, wide)), ("attention.k", (wide, wide // 4)), ("attention.v", (wide, wide // 4)),
        ("attention.o", (wide, wide)), ("mlp.up", (3 * wide, wide)), ("mlp.gate", (3 * wide, wide)),
        ("mlp.down", (wide, 3 * wide)), ("norm.1", (wide,)), ("norm.2", (wide,)),
    )  # fmt: skip
    found: list[tuple[str, tuple[int, ...]]] = [("embedding", (32_000, wide))]
    while sum(int(np.prod(shape)) for _, shape in found) < parameters:
        number = len(found) // len(layer)
        found += [(f"layers.{number:02}.{name}", shape) for name, shape in layer]
    return tuple(found)


def random_bits(seed: int, count: int) -> NDArray[np.uint16]:
    """bfloat16 bits of finite values near 2**-7, of either sign."""
    bits = np.random.default_rng(seed).integers(0, 2**16, count, dtype=np.uint16)
    return (bits & np.uint16(0x83FF)) | np.uint16(0x3C00)


def random_pieces(seed: int, parameters: int) -> Iterator[Float32]:
    """A delta's tensors, one at a time: a million bell-shaped values over and over, to save time, each time scaled."""
    values = np.random.default_rng(seed).standard_normal(1_000_003, dtype=np.float32)
    for place, (_, shape) in enumerate(shapes(parameters)):
        yield np.resize(values, int(np.prod(shape))) * np.float32(1e-3 * (1 + place % 7))


def prepare(parameters: int) -> None:
    """A genesis with random weights in the store, bfloat16. Not counted: it is what the other stages start from."""
    tensors = shapes(parameters)
    path = FOLDER / "weights.safetensors"
    store = FolderStore(FOLDER / "store")
    bits = {name: random_bits(place, int(np.prod(shape))).reshape(shape) for place, (name, shape) in enumerate(tensors)}
    write_tensors(path, bits)
    hasher = hashlib.sha256()
    for place, (_, shape) in enumerate(tensors):
        hasher.update(bf16_to_float32(random_bits(place, int(np.prod(shape)))).astype("<f4", copy=False).data)
    genesis = genesis_of("big", tensors, store.put_file(path), hasher.hexdigest(), snapshot_every=3)
    path.unlink()
    (FOLDER / "genesis").write_bytes(store.put(genesis.to_bytes()))


def encode_streamed(parameters: int) -> None:
    """Compress a delta whose tensors come one at a time; four times, for the rounds after it."""
    store, digests = FolderStore(FOLDER / "store"), []
    for seed in range(len(MINERS)):
        encoder = Encoder(size_of(parameters), SPARSE.codec, SPARSE.k, SPARSE.chunk)
        for piece in random_pieces(seed, parameters):
            encoder.add(piece)
        digests.append(store.put(encoder.finish()[0]).hex())
    (FOLDER / "deltas").write_text(json.dumps(digests))


def encode_in_place(parameters: int) -> None:
    """A miner's way: delta and residual in memory, the next residual left where the delta was."""
    delta, residual = (filled(seed, parameters) for seed in (20, 21))
    np.add(delta, residual, out=residual)
    encoder = Encoder(len(delta), SPARSE.codec, SPARSE.k, SPARSE.chunk)
    encoder.add(residual)
    _, codes = encoder.finish()
    codes.take_from(residual)


def filled(seed: int, parameters: int) -> Float32:
    """A random delta in memory."""
    vector = np.empty(size_of(parameters), dtype=np.float32)
    place = 0
    for piece in random_pieces(seed, parameters):
        vector[place : place + len(piece)] = piece
        place += len(piece)
    return vector


def size_of(parameters: int) -> int:
    """The model's length."""
    return sum(int(np.prod(shape)) for _, shape in shapes(parameters))


def accepted(count: int) -> list[Accepted]:
    """The first ``count`` of the four deltas as a round's."""
    digests = json.loads((FOLDER / "deltas").read_text())
    return [Accepted(bytes.fromhex(digests[place]), 65536 // count, MINERS[place]) for place in range(count)]


def replay_files(parameters: int) -> None:
    """An audit's way: genesis, then two rounds of four deltas, vectors in mapped files."""
    scratch.MAP_BYTES = 1  # the reduced profile's model is one that would stay in memory
    _two_rounds(FOLDER)


def replay_memory(parameters: int) -> None:
    """The same with the vectors in memory."""
    _two_rounds(None)


def _two_rounds(folder: Path | None) -> None:
    store = FolderStore(FOLDER / "store")
    state = load_state(store, (FOLDER / "genesis").read_bytes(), folder)
    for number in (1, 2):
        made = build_next_head(state, 1, number, accepted(5 - number), store, FOLDER, reuse=True)
        publish(store, made)
        state = made.state
    (FOLDER / "second").write_text(state.head_digest.hex())


def snapshot_memory(parameters: int) -> None:
    """The third round ends with a full snapshot. Vectors in memory: that needs less disk."""
    store = FolderStore(FOLDER / "store")
    state = load_state(store, bytes.fromhex((FOLDER / "second").read_text()))
    made = build_next_head(state, 1, 3, accepted(2), store, FOLDER, reuse=True)
    assert made.snapshot is not None, "every third round has a snapshot"
    head = publish(store, made)
    made.snapshot.unlink()
    fourth = build_next_head(made.state, 1, 4, accepted(4), store, FOLDER, reuse=True)
    publish(store, fourth)
    (FOLDER / "third").write_text(head.hex())
    (FOLDER / "fourth").write_text(fourth.digest.hex())


def join_memory(parameters: int) -> None:
    """A late joiner: the snapshot, then one round's deltas. Vectors in memory."""
    load_state(FolderStore(FOLDER / "store"), bytes.fromhex((FOLDER / "fourth").read_text()))


def read_tensors(parameters: int) -> None:
    """Every tensor of the genesis file, one at a time."""
    weights = Genesis.from_bytes(FolderStore(FOLDER / "store").get((FOLDER / "genesis").read_bytes(), 10**7)).weights
    with TensorFile(FOLDER / "store" / weights) as file:
        for name in file.tensors:
            file.read(name)


PREPARE = "(the genesis)"
STAGES: dict[str, Callable[[int], None]] = {
    PREPARE: prepare,
    "tensors read one by one": read_tensors,
    "encode, tensors streamed": encode_streamed,
    "encode, delta and residual whole": encode_in_place,
    "replay of two rounds, in memory": replay_memory,
    "replay of two rounds, in files": replay_files,
    "aggregate and snapshot, in memory": snapshot_memory,
    "late joiner, in memory": join_memory,
}
DISK = {PREPARE: 2.3, "replay of two rounds, in files": 8.0, "aggregate and snapshot, in memory": 8.0}
"""Bytes a parameter that a stage needs on the disk; a snapshot stays there until the end."""
SPARE_BYTES = 1.0e9


def status(*names: str) -> list[int]:
    """Values of /proc/self/status, in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[name].split()[0]) * 1024 for name in names]


def watched(work: Callable[[], None]) -> dict[str, float]:
    """Peaks of memory while ``work`` runs, beyond what there was before, in bytes; and seconds of the processor."""
    ended = threading.Event()
    peak = [0]

    def look() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], status("RssAnon")[0])

    before, resident = status("RssAnon", "VmRSS")
    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    ended.set()
    watcher.join()
    return {"anon": peak[0] - before, "resident": status("VmHWM")[0] - resident, "seconds": seconds}


def stage(name: str, parameters: int, _seed: int) -> dict[str, float]:
    """One stage in a process of its own. ``ConfigError`` where it would fill the disk."""
    need, free = DISK.get(name, 0.0) * size_of(parameters) + SPARE_BYTES, shutil.disk_usage(FOLDER).free
    if free < need:
        raise ConfigError(f"{name}: {free / 1e9:.1f} GB of disk are free, {need / 1e9:.1f} are needed; go on later")
    command = [sys.executable, "-m", "devnet.bench.big", "--stage", name, "--parameters", str(parameters)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{name}: {done.stderr[-400:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return {**found, "model": 4.0 * size_of(parameters)}


def table(findings: Findings, parameters: int) -> Result:
    """Peaks as multiples of the model's float32 bytes."""
    rows = []
    for name, (found,) in findings.items():
        if name == PREPARE:
            continue
        ratios = found["anon"] / found["model"], found["resident"] / found["model"]
        rows.append([name, *ratios, found["anon"] / 1e9, found["seconds"], "yes" if ratios[0] <= LIMIT else "NO"])
    return Result(
        "big",
        f"Peak memory, {size_of(parameters):,} parameters ({4 * size_of(parameters) / 1e9:.2f} GB as float32)",
        ("stage", "own memory / model", "with mapped files / model", "own GB", "CPU seconds", f"within {LIMIT}"),
        rows,
        "own memory: RssAnon; with mapped files: VmHWM; both beyond an idle interpreter with numpy",
        {"bench-big": picture(findings)},
    )


def picture(findings: Findings) -> Bars:
    """Every stage's own memory."""
    bars = [(name, found["anon"] / found["model"]) for name, (found,) in findings.items() if name != PREPARE]
    return Bars("peak of own memory over the model's float32 bytes", bars, LIMIT, "goal, at most")


def run(options: argparse.Namespace) -> None:
    """All stages, in order. What they wrote is removed at the end; after an error the next run goes on from there."""
    parameters = 1_000_000_000 if options.profile == "full" else 50_000_000
    if options.fresh or not (FOLDER / options.profile).exists():
        options.fresh = True
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        (FOLDER / options.profile).touch()
    cases = [Case(name, partial(stage, name, parameters)) for name in STAGES]
    findings = measure("big", cases, options, digest_of_sources(*SOURCES))
    report("big", table(findings, parameters), findings, options)
    shutil.rmtree(FOLDER)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the flags; ``--stage`` is for the processes that this one starts."""
    flags: Any = parser("big", __doc__.split("\n")[0] if __doc__ else "")
    flags.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    flags.add_argument("--parameters", type=int, default=0, help=argparse.SUPPRESS)
    options = flags.parse_args(arguments)
    if options.stage:
        print(json.dumps(watched(partial(STAGES[options.stage], options.parameters))))
    else:
        run(options)


if __name__ == "__main__":
    main()
