"""How fast the parts are, each against its limit in the same run.

    python -m devnet.bench.parts [--profile full]

Encode, decode, sums and outer step in GB/s of float32 against a memory copy (read and written in turn with it); replay
in rounds a second, and what share of it hashing is; the inner step against the same step in a bare loop and against
what this processor multiplies; a snapshot's way into and out of IPFS against Kubo's own add and get.

What computes is timed by the processor's time of one thread, the least of several tries, so that other programs on the
machine disturb little; what moves files by the clock, ours and Kubo's in turn, the median of the ratios.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.aggregate import aggregate, apply_round, clipped_weights, norm_of
from client.cid import digest_file
from client.codec import decode_codes, encode
from client.recipe import SPARSE
from client.replay import Accepted, build_next_head, load_state, sha256_of
from client.storage import IpfsStore, MemoryStore
from client.tensors import TensorFile, float32_to_bf16, write_tensors
from devnet.bench.frame import Case, Findings, Numbers, digest_of_sources, figure, measure, parser, report
from devnet.bench.material import DILOCO_OUTER, bare_steps, genesis_of
from devnet.sim.report import Bars, Result

DELTAS = 4
SOURCES = (
    "client/aggregate.py", "client/codec.py", "client/codes.py", "client/payload.py", "client/replay.py",
    "client/scratch.py", "client/tensors.py", "client/topk.py", "client/storage.py", "client/cid.py",
    "node/training/inner.py", "node/training/optimizer.py", "devnet/bench/parts.py",
    "devnet/bench/material.py",
)  # fmt: skip
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Size:
    """How much is measured: values of a vector, values of the replayed model, bytes of a snapshot, tries of each."""

    values: int
    model: int
    snapshot: int
    tries: int
    steps: int
    seeds: tuple[int, ...]


SIZES = {
    "reduced": Size(1 << 23, 1 << 21, 16 << 20, 5, 4, (1,)),
    "full": Size(1 << 24, 1 << 23, 64 << 20, 5, 6, (1, 2, 3)),
}


def least(tries: int, **works: Callable[[], object]) -> dict[str, float]:
    """Processor seconds of each, the least of ``tries``; they take turns, so that a busy machine is busy for all."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(tries):
        for name, work in works.items():
            began = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - began)
    return best


def delta(seed: int, n: int) -> Float32:
    """A bell-shaped delta."""
    return np.random.default_rng(seed).standard_normal(n, dtype=np.float32) * np.float32(1e-3)


# ---- the codec and the sums


def codec(size: Size, seed: int) -> Numbers:
    """Encode (with a residual), decode, sum, step: GB/s of float32, and each as a share of a copy's speed."""
    n = size.values
    vector, residual = delta(seed, n), delta(seed + 100, n)
    target = np.empty_like(vector)
    payloads = [encode(vector if place == 0 else np.roll(vector, place), *_how())[0] for place in range(DELTAS)]
    codes = [decode_codes(payload, n, SPARSE) for payload in payloads]
    weights = clipped_weights([norm_of(code) for code in codes], [65536 // DELTAS] * DELTAS)
    theta, momentum = vector.copy(), np.zeros_like(vector)
    found = least(
        size.tries,
        copy=partial(np.copyto, target, vector),
        encode=partial(encode, vector, *_how(), residual),
        decode=partial(decode_codes, payloads[0], n, SPARSE),
        vector=codes[0].to_float32,
        aggregate=partial(aggregate, codes, weights, n),
        step=partial(apply_round, theta, momentum, codes, weights, DILOCO_OUTER),
    )
    speeds = {name: 4 * n / seconds / 1e9 for name, seconds in found.items()}
    speeds["aggregate"] *= DELTAS  # it reads as many deltas
    shares = {f"{name} / copy": speed / speeds["copy"] for name, speed in speeds.items()}
    return {**speeds, **shares, "payload": 4 * n / len(payloads[0])}


def _how() -> tuple[str, int, int]:
    return SPARSE.codec, SPARSE.k, SPARSE.chunk


# ---- replay


def small_world(store: MemoryStore, n: int, seed: int, folder: Path) -> bytes:
    """A model of one tensor, in the store; its genesis."""
    bits = float32_to_bf16(delta(seed, n))
    write_tensors(folder / "weights", {"w": bits})
    with TensorFile(folder / "weights") as file:
        theta = file.read_vector((("w", (n,)),))
    digest = store.put_file(folder / "weights")
    genesis = genesis_of("parts", (("w", (n,)),), digest, sha256_of(theta))
    return store.put(genesis.to_bytes())


def replay(size: Size, seed: int) -> Numbers:
    """An audit's rounds a second (of processor time, all threads), and what hashing the result takes of it."""
    store = MemoryStore()
    miners = [f"0x{place:040x}" for place in range(1, DELTAS + 1)]
    with tempfile.TemporaryDirectory(prefix="strata-parts-") as name:
        folder = Path(name)
        state = load_state(store, small_world(store, size.model, seed, folder))
        payloads = [encode(delta(seed + place, size.model), *_how())[0] for place in range(DELTAS)]
        accepted = [Accepted(store.put(p), 65536 // DELTAS, m) for p, m in zip(payloads, miners, strict=True)]

        def one() -> None:
            nonlocal state
            state = build_next_head(state, 1, state.round + 1, accepted, store, folder, reuse=True).state

        one()
        found = least(
            2 * size.tries,
            round=one,
            hash=lambda: (hashlib.sha256(state.theta.data).digest(), hashlib.sha256(state.momentum.data).digest()),
            copy=partial(np.copyto, state.momentum.copy(), state.theta),
        )
    return {
        "rounds": 1 / found["round"],
        "GB/s": 4 * size.model / found["round"] / 1e9,
        "hashing": found["hash"] / found["round"],
        "copies": found["round"] / found["copy"],
    }


# ---- the inner step


def inner_step(size: Size, seed: int) -> Numbers:
    """The inner loop's steps against a bare loop's, and what both make of the processor's matrix products."""
    import torch

    torch.set_num_threads(1)
    model, windows = _five_million(seed, size.steps)
    ours, bare = _ours(model, windows, size.steps), _bare(model, windows, size.steps)
    ours(), bare()
    found = least(size.tries, ours=ours, bare=bare)
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    halves = left.bfloat16(), right.bfloat16()
    products = least(
        4 * size.tries, float32=lambda: torch.mm(left, right), bfloat16=lambda: torch.mm(halves[0], halves[1])
    )
    tokens = BATCH * SEQUENCE * size.steps
    flops = 6 * model.n * tokens
    ceiling = 2 * 1024**3 / min(products.values())
    return {
        "ours / bare": found["ours"] / found["bare"],
        "tokens": tokens / found["ours"],
        "ours / ceiling": flops / found["ours"] / ceiling,
        "bare / ceiling": flops / found["bare"] / ceiling,
        "ceiling": ceiling / 1e9,
    }


BATCH, SEQUENCE = 8, 256


def _five_million(seed: int, steps: int) -> tuple[Any, Any]:
    """A model of five million values that reads bytes, and windows of random bytes."""
    from devnet.bench.quality_world import scratch_model
    from node.training.batches import Windows

    text = np.random.default_rng(seed).integers(0, 256, (BATCH * steps, SEQUENCE + 1))
    return scratch_model("5m", seed), Windows.of(text.tolist())


def _ours(model: Any, windows: Any, steps: int) -> Callable[[], object]:
    from node.training.inner import InnerSettings, run_inner

    return partial(run_inner, model, windows, InnerSettings(steps, BATCH, 1e-4))


def _bare(model: Any, windows: Any, steps: int) -> Callable[[], object]:
    """The same steps by plain PyTorch: forward, loss, backward, clip, AdamW."""
    start = model.get_vector()

    def loop() -> None:
        step = bare_steps(model, windows, 1e-4, 0.0)
        for number in range(steps):
            step(range(number * BATCH, (number + 1) * BATCH))
        model.set_vector(start)

    return loop


# ---- snapshots


def snapshots(size: Size, seed: int) -> Numbers:
    """A snapshot from memory into IPFS and, verified, into another node's memory, against Kubo's own add and get."""
    from devnet.bench.storage import bare_pair, pair

    n = size.snapshot // 8
    theta, momentum = delta(seed, n), delta(seed + 1, n)
    adds, gets = [], []
    with ExitStack() as stack:
        here, there, folder = stack.enter_context(pair())
        bare, other = stack.enter_context(bare_pair(folder))
        for turn in range(size.tries + 1):  # the first one warms up
            theta[0] = momentum[0] = np.float32(turn)  # another file each time
            path, plain = folder / "ours", folder / "bare"
            put = _seconds(partial(_put, here, path, theta, momentum))
            write_tensors(plain, {"theta": momentum, "momentum": theta})
            bare_add = _seconds(partial(bare.add, plain))
            got = _seconds(partial(_get, there, digest_file(path), folder / "got", n))
            bare_get = _seconds(partial(other.get, bare.added))
            if turn:
                adds.append((put, bare_add))
                gets.append((got, bare_get))
    return {
        "write / add": statistics.median(ours / kubos for ours, kubos in adds),
        "write": statistics.median(8 * n / ours / 1e6 for ours, _ in adds),
        "fetch / get": statistics.median(ours / kubos for ours, kubos in gets),
        "fetch": statistics.median(8 * n / ours / 1e6 for ours, _ in gets),
    }


def _put(store: IpfsStore, path: Path, theta: Float32, momentum: Float32) -> None:
    write_tensors(path, {"theta": theta, "momentum": momentum})
    store.put_file(path)


def _get(store: IpfsStore, digest: bytes, path: Path, n: int) -> None:
    store.get_file(digest, path, 8 * n + 10_000, 600)
    with TensorFile(path) as file:
        file.read_vector((("theta", (n,)),))
        file.read_vector((("momentum", (n,)),))
    path.unlink()


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


# ---- the table


def cases(size: Size) -> list[Case]:
    """What is measured."""
    works: Mapping[str, Callable[[Size, int], Numbers]] = {
        "codec": codec, "replay": replay, "inner step": inner_step, "snapshot": snapshots,
    }  # fmt: skip
    return [Case(name, partial(work, size), size.seeds) for name, work in works.items()]


def rows(found: Findings, size: Size) -> Iterator[list[str | int | float]]:
    """Part, speed, limit, share of the limit."""
    if "codec" in found:
        yield ["memory copy", f"{figure(found, 'codec', 'copy')} GB/s", "itself", "1"]
        for name, words in (
            ("encode", "encode, residual and promised vector included"),
            ("decode", "decode: payload to codes"),
            ("vector", "codes to float32"),
            ("aggregate", f"sum of {DELTAS} deltas (float32 that they stand for)"),
            ("step", f"sum of {DELTAS} deltas and outer step (of one vector)"),
        ):
            yield [words, f"{figure(found, 'codec', name)} GB/s", "copy", str(figure(found, "codec", f"{name} / copy"))]
    if "replay" in found:
        rate = figure(found, "replay", "rounds")
        yield [
            f"replay of {size.model / 1e6:.1f}M values, {DELTAS} deltas a round",
            f"{rate} rounds/s, {figure(found, 'replay', 'GB/s')} GB/s",
            "hashing alone",
            f"{figure(found, 'replay', 'hashing')} of the time",
        ]
    if "inner step" in found:
        yield [
            "inner step, 5.2M values, bf16, one thread",
            f"{figure(found, 'inner step', 'tokens')} tokens/s",
            "bare loop",
            f"{figure(found, 'inner step', 'ours / bare')} of its time",
        ]
        ceiling = f"{figure(found, 'inner step', 'ceiling')} GFLOP/s of products"
        yield ["the same", "6 FLOP a value and token", ceiling, str(figure(found, "inner step", "ours / ceiling"))]
        yield ["the bare loop", "", "the same", str(figure(found, "inner step", "bare / ceiling"))]
    if "snapshot" in found:
        for name, limit in (("write", "add"), ("fetch", "get")):
            speed, ratio = figure(found, "snapshot", name), figure(found, "snapshot", f"{name} / {limit}")
            yield [f"snapshot {name}", f"{speed} MB/s", f"Kubo's {limit}", f"{ratio} of its time"]


COMPARED = (
    ("codec", "encode / copy", "encode / memory copy", False),
    ("codec", "decode / copy", "decode to codes / memory copy", False),
    ("codec", "vector / copy", "codes to float32 / memory copy", False),
    ("codec", "aggregate / copy", f"sum of {DELTAS} deltas / memory copy", False),
    ("codec", "step / copy", "sum and outer step / memory copy", False),
    ("replay", "hashing", "replay / hashing alone", False),
    ("inner step", "ours / bare", "inner loop / bare loop", True),
    ("inner step", "ours / ceiling", "inner loop / matrix products", False),
    ("snapshot", "write / add", "snapshot written / Kubo's add", True),
    ("snapshot", "fetch / get", "snapshot fetched / Kubo's get", True),
)
"""Case, figure, label of its bar, and whether the figure is of times: then the speeds' is the inverse."""


def picture(found: Findings) -> Bars:
    """Every part's speed over its limit's."""
    bars = []
    for case, name, label, is_time in COMPARED:
        if case in found:
            ratio = figure(found, case, name).mean
            bars.append((label, 1 / ratio if is_time else ratio))
    return Bars("speed over the limit's (more is better)", bars, 1.0, "the limit")


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    size = SIZES[options.profile]
    found = measure("parts", cases(size), options, digest_of_sources(*SOURCES))
    title = f"Speed of the parts ({options.profile}: vectors of {size.values / 1e6:.0f}M values)"
    columns, pictures = ("part", "speed", "limit", "share"), {"bench-parts": picture(found)}
    report("parts", Result("parts", title, columns, list(rows(found, size)), pictures=pictures), found, options)


def main() -> None:
    """Read the flags."""
    run(parser("parts", "How fast the parts are, each against its limit.").parse_args())


if __name__ == "__main__":
    main()
