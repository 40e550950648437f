"""What settings make the demo work: three miners' rounds and one validator's judgement, in one process.

    OMP_NUM_THREADS=1 python -m devnet.bench.sizing --preset nano --model law --rounds 3

Prints losses and CPU-seconds a round. Use it one at a time: it measures CPU time, but caches are shared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from client.assignment import assign_shards, pick_windows
from client.codec import encode
from client.data import About, prepare_text
from client.manifests import Genesis, ShardText
from client.storage import MemoryStore
from devnet.models import build_models
from devnet.texts import sample_texts
from node.models.load import LoadedModel, Vector, load_genesis
from node.training.batches import Windows, training_windows
from node.training.inner import InnerSettings, run_inner
from node.training.objectives import Distil, Objective, Train
from node.validation.evaluation import Text
from node.validation.judge import DeltaInput, Judgement, JudgeSettings, judge_round

MINERS = ("0x01", "0x02", "0x03")


@dataclass
class Clock:
    """CPU-seconds by what they were spent on."""

    spent: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Count the block's CPU time."""
        start = time.process_time()
        yield
        self.spent[what] = self.spent.get(what, 0.0) + time.process_time() - start


def shards_of(name: str, cache_dir: Path) -> tuple[list[list[str]], list[str]]:
    """Training shards and held-out documents of a sample text, exactly as its two contributors would submit it."""
    kept = cache_dir / "sizing" / f"{name}.json"
    if kept.exists():
        found = json.loads(kept.read_text())
        return found["shards"], found["held"]
    shards: list[list[str]] = []
    held: list[str] = []
    for path in sample_texts(cache_dir, (name,))[name].parts.values():
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare_text(path, About(licence="-", contributor="0x" + "11" * 20), Path(folder))
            read = [documents_in(prepared.blobs / shard.digest) for shard in prepared.manifest.shards]
            shards += read
            held += [
                text for shard in prepared.manifest.heldout for text in documents_in(prepared.blobs / shard.digest)
            ]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"shards": shards, "held": held}))
    return shards, held


def documents_in(blob: Path) -> list[str]:
    """The documents of a shard's file."""
    return list(ShardText.from_bytes(blob.read_bytes()).documents)


def windows_of(model: LoadedModel, documents: Sequence[str], seed: bytes, count: int, sequence: int) -> Windows:
    """Evaluation windows as a validator picks them."""
    tokens = [model.tokenizer.encode(text) for text in documents]
    picked = pick_windows(seed, [len(text) for text in tokens], count, sequence)
    return Windows.of([tokens[w.document][w.start : w.start + w.length] for w in picked])


def seed_of(*parts: object) -> bytes:
    """A stand-in for the chain's seeds."""
    return hashlib.sha256(repr(parts).encode()).digest()


@dataclass
class Simulation:
    """The state between rounds."""

    model: LoadedModel
    genesis: Genesis
    objective: Objective
    shards: list[list[str]]
    held: list[str]
    general: list[str]
    head: Vector
    assigned_windows: int
    residuals: dict[str, Vector] = field(default_factory=dict)
    momentum: Vector | None = None

    def round(self, number: int, clock: Clock) -> Judgement:
        """One round: train, encode, judge, step."""
        hands = assign_shards(seed_of(number), MINERS, [(1, index) for index in range(len(self.shards))])
        deltas: list[DeltaInput] = []
        for order, miner in enumerate(MINERS):
            shards = [self.shards[ref.shard] for ref in hands[miner]]
            deltas.append(self._mine(number, order, miner, shards, clock))
        evaluation = self.genesis.evaluation
        held = windows_of(self.model, self.held, seed_of("eval", number), evaluation.windows, evaluation.sequence)
        general = windows_of(
            self.model, self.general, seed_of("g", number), evaluation.windows // 2, evaluation.sequence
        )
        with clock.of("judge"):
            read = [delta.read() for delta in deltas]
            join = partial(self._next, [vector for vector in read if vector is not None])
            found = judge_round(
                self.model, self.head, deltas, Text(held), Text(general), JudgeSettings(), lambda s: join(s)[0]
            )
        if any(found.scores):
            self.head, self.momentum = join(found.scores)
        return found

    def _mine(self, number: int, order: int, miner: str, shards: list[list[str]], clock: Clock) -> DeltaInput:
        inner, codec = self.genesis.inner, self.genesis.compression
        self.model.set_vector(self.head)
        with clock.of("tokens"):
            windows = training_windows(self.model.tokenizer, shards, seed_of(number), miner, inner.sequence)
        with clock.of("train"):
            trained = run_inner(self.model, windows, InnerSettings.of(inner), self.objective)
        with clock.of("encode"):
            residual = self.residuals.get(miner)
            payload, decoded = encode(trained.delta, codec.codec, codec.k, codec.chunk, residual)
            total = trained.delta if residual is None else trained.delta + residual
            self.residuals[miner] = total - decoded
        norms = float(np.linalg.norm(trained.delta)), float(np.linalg.norm(decoded))
        print(
            f"  {miner} loss {trained.losses[0]:.3f} -> {np.mean(trained.losses[-3:]):.3f} tokens {trained.tokens}"
            f" payload {len(payload) / 1e3:.1f} kB norm {norms[0]:.3f} decoded {norms[1]:.3f}"
        )
        seen = windows.take(range(min(len(windows), self.assigned_windows)))
        return DeltaInput(miner, hashlib.sha256(payload).digest(), decoded, order, seen)

    def _next(self, vectors: list[Vector], scores: list[int]) -> tuple[Vector, Vector]:
        """The outer Nesterov step on the mean of good deltas, in float32 (the network's is exact): head, momentum."""
        total = sum(scores)
        update = np.zeros_like(self.head)
        for score, vector in zip(scores, vectors, strict=True):
            update += np.float32(score / total) * vector
        lr, beta = np.float32(self.genesis.outer.lr_q16 / 65536), np.float32(self.genesis.outer.momentum_q16 / 65536)
        momentum = update if self.momentum is None else beta * self.momentum + update
        return self.head + lr * (beta * momentum + update), momentum


def report(number: int, found: Judgement, clock: Clock) -> None:
    """One round's line and one per delta."""
    share = 100 * (1 - found.heldout_after / found.heldout_before)
    print(
        f"round {number}: held-out {found.heldout_before:.4f} -> {found.heldout_after:.4f} (-{share:.1f}%"
        f" fall {found.heldout_fall.mean:.4f} ± {found.heldout_fall.error:.4f}) general {found.general_before:.4f} ->"
        f" {found.general_after:.4f} tokens judged {found.tokens}"
    )
    for delta in found.deltas:
        assert delta.gain and delta.assigned and delta.likeness, "all deltas of the simulation are whole"
        honesty = delta.honesty or delta.assigned
        marginal = f"{delta.marginal.mean:.4f}" if delta.marginal else "-"
        print(
            f"    {delta.reason.name} {delta.score} gain {delta.gain.mean:.4f} ± {delta.gain.error:.4f}"
            f" marginal {marginal}"
            f" honesty {honesty.mean:+.4f} ± {honesty.error:.4f} cosine {delta.likeness.cosine:.2f}"
            f" overlap {delta.likeness.overlap:.2f}"
        )
    print("  CPU-s", {what: round(seconds, 2) for what, seconds in clock.spent.items()})


def main() -> None:
    """Read the flags, run the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--model", default="law", choices=("law", "computing"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".strata/cache"))
    parser.add_argument("--assigned", type=int, default=3, help="assigned windows judged per miner")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="override a setting")
    arguments = parser.parse_args()
    store = MemoryStore()
    plans = {plan.name: plan for plan in build_models(arguments.preset, store, arguments.cache)}
    plan = plans[arguments.model]
    model = load_genesis(store, plan.digest, arguments.cache)
    genesis = overridden(plan.genesis, arguments.set)
    objective: Objective = Train()
    if "DISTIL" in genesis.kinds:
        objective = Distil(load_genesis(store, plans["global"].digest, arguments.cache, trainable=False))
    shards, held = shards_of(arguments.model, arguments.cache)
    general = shards_of("general", arguments.cache)[1]
    print(f"{arguments.model}: {model.n} values trained, {len(shards)} shards, {len(held)} held-out documents")
    simulation = Simulation(model, genesis, objective, shards, held, general, model.get_vector(), arguments.assigned)
    for number in range(1, arguments.rounds + 1):
        clock = Clock()
        report(number, simulation.round(number, clock), clock)


def overridden(genesis: Genesis, settings: Sequence[str]) -> Genesis:
    """The genesis with settings of ``inner``, ``outer``, ``compression`` or ``evaluation`` replaced."""
    for setting in settings:
        place, _, value = setting.partition("=")
        section, _, name = place.partition(".")
        record = getattr(genesis, section)
        kind = type(getattr(record, name))
        genesis = replace(genesis, **{section: replace(record, **{name: kind(value)})})
    return genesis


if __name__ == "__main__":
    main()
