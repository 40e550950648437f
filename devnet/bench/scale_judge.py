"""A validator's work on a round of any size, by the code that judges: a model of a few thousand values, counted."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from client.codec import encode
from client.codes import Float32
from client.recipe import SPARSE
from contracts.enums import ScoreReason
from devnet.bench.scale_round import Numbers, Size, Stopwatch, committees, dealt_of
from devnet.bench.scale_world import scale_genesis
from node.models.architecture import named_weights
from node.models.load import LoadedModel
from node.models.nano import NanoShape, nano_model
from node.models.tokenizer import ByteTokenizer
from node.training.batches import Windows, pack
from node.training.inner import InnerSettings, run_inner
from node.validation.evaluation import Text
from node.validation.judge import DeltaInput, JudgeSettings, judge_round
from node.validation.mixing import Mix, Payloads
from node.validation.originality import Prints

SHAPE = NanoShape(layers=1, width=16, inner=32, heads=2, context=64)
SEQUENCE = 32
WINDOWS = 8
TEXT = "The licensor grants the licensee a licence to use, copy and distribute the software. "


@lru_cache(maxsize=1)
def tiny_model() -> LoadedModel:
    """A Llama of about seven thousand values that reads bytes."""
    module = nano_model(1, SHAPE).eval()
    named = named_weights(module)
    trained = tuple((name, named[name]) for name in sorted(named))
    for _, parameter in trained:
        parameter.requires_grad_(True)
    size = sum(parameter.numel() for _, parameter in trained)
    return LoadedModel(scale_genesis(size, bytes(32), "00" * 32), b"", module, ByteTokenizer(), trained)


def texts_of(seed: int, count: int) -> Windows:
    """Windows of a text that is much alike everywhere."""
    words = [f"Section {seed}.{number}. {TEXT * 4}" for number in range(count)]
    return Windows.of(pack(tiny_model().tokenizer, words, SEQUENCE)[:count])


def judge(size: Size, seed: int) -> Numbers:
    """The busiest validator's judgement of a round: deltas decoded, pairs compared, tokens judged, peak memory."""
    model, watch = tiny_model(), Stopwatch()
    seats = committees(size, seed)
    hands = [dealt_of(size, seats, slot) for slot in range(size.validators)]
    busiest = max(hands, key=len)
    dealt = set(busiest)
    head = model.get_vector()
    made = _payloads(model, size.miners, seed)
    payloads = Payloads(made, model.n, SPARSE, hold_bytes=0)
    mix = Mix(head, np.zeros_like(head), model.genesis.outer, payloads)
    deltas = [
        DeltaInput(
            miner=f"0x{index:040x}",
            digest=hashlib.sha256(payload).digest(),
            vector=lambda index=index: payloads.vector(index),  # type: ignore[misc]
            committed=index,
            assigned=texts_of(index, 2) if index in dealt else None,
            judged=index in dealt,
        )
        for index, payload in enumerate(made)
    ]
    settings = JudgeSettings(marginal_windows=4, general_windows=2, assigned_windows=2)
    with watch.of("judging", memory=True):
        found = judge_round(
            model, head, deltas, Text(texts_of(-1, WINDOWS)), Text(texts_of(-2, 2)), settings, mix.after, seed=b"e",
            without=mix.without,
        )  # fmt: skip
    return {
        "deltas judged": float(len(dealt)),
        "deltas with a score": float(sum(score > 0 for score in found.scores)),
        "copies found": float(found.reasons.count(ScoreReason.COPY)),
        "decodings": float(payloads.decoded),
        "tokens judged": float(found.tokens),
        "pairs compared": float(_compared(deltas, dealt, model.n)),
        "bytes fetched to judge": float(sum(map(len, made))),
        **watch.numbers,
    }


def _payloads(model: LoadedModel, miners: int, seed: int) -> list[bytes]:
    """Deltas that all gain a little and are not alike: what was learned, and as much of each miner's own."""
    head = model.get_vector()
    base: Float32 = run_inner(model, texts_of(0, 8), InnerSettings(6, 4, 0.02, 1)).delta
    model.set_vector(head)
    rng = np.random.default_rng(seed)
    spread = float(np.abs(base).mean())
    return [
        encode((base + rng.normal(0.0, spread, model.n)).astype(np.float32), "topk2", SPARSE.k, SPARSE.chunk)[0]
        for _ in range(miners)
    ]


def _compared(deltas: list[DeltaInput], dealt: set[int], n: int) -> int:
    """The pairs that the judge's search for copies looks at."""
    prints = Prints(n, len(deltas), b"e")
    for index, delta in enumerate(deltas):
        vector = delta.read()
        assert vector is not None, "all are whole"
        prints.add(index, delta.committed, vector)
    prints.likest(sorted(dealt))
    return prints.compared
