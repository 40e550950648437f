"""A bare PyTorch loop: the same model, text and steps as a miner's, and nothing around them.

    python -m devnet.bench.bare GENESIS --ipfs MULTIADDR --cache DIR --text FILE --steps N --ready FILE --go FILE

Loads, takes one step to warm up, writes READY, waits for GO, runs, and prints ``{"seconds": ..., "cpu_seconds": ...}``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

WAIT_SECONDS = 600.0


def stepper(genesis: bytes, ipfs: str, cache: Path, text: Path) -> Callable[[int], None]:
    """A function that does the loop's step number so and so."""
    from client.storage import IpfsStore
    from devnet.bench.material import bare_steps
    from node.models.load import load_genesis
    from node.training.batches import Windows, pack

    model = load_genesis(IpfsStore(ipfs, cache / "blobs"), genesis, cache)
    inner = model.genesis.inner
    windows = Windows.of(pack(model.tokenizer, json.loads(text.read_text()), inner.sequence), model.tokenizer.end)
    step = bare_steps(model, windows, float(inner.lr), float(inner.weight_decay))
    batch, count = inner.batch, len(windows)
    return lambda number: step([(number * batch + place) % count for place in range(batch)])


def main(arguments: list[str] | None = None) -> int:
    """Load, wait, run, print."""
    parser = argparse.ArgumentParser("python -m devnet.bench.bare", description=__doc__)
    parser.add_argument("genesis", type=bytes.fromhex)
    parser.add_argument("--ipfs", required=True)
    for name in ("cache", "text", "ready", "go"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args(arguments)
    step = stepper(options.genesis, options.ipfs, options.cache, options.text)
    step(0)
    options.ready.touch()
    deadline = time.monotonic() + WAIT_SECONDS
    while not options.go.exists():
        if time.monotonic() > deadline:
            return 1
        time.sleep(0.01)
    started, cpu = time.monotonic(), time.process_time()
    for number in range(options.steps):
        step(number)
    print(json.dumps({"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
