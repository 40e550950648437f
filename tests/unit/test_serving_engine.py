"""Real (nano) models as an engine serves them: text as it comes, bounds, seeds, and new heads between answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.errors import UnknownModel
from client.storage import MemoryStore
from client.types import ZERO_ADDRESS, ModelInfo
from node.serving.engine import Message, Piece, Prompt
from node.serving.model_engine import ModelEngine, decode

pytestmark = pytest.mark.slow


class Registry:
    """A chain that knows models alone."""

    def __init__(self) -> None:
        self.infos: list[ModelInfo] = []

    def models(self) -> list[ModelInfo]:
        return self.infos


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelEngine, Registry, Path]]:
    import torch

    from devnet.models import build_models

    torch.set_num_threads(1)  # as nodes do: several threads for one tiny model only wait for each other
    folder, store, registry = tmp_path_factory.mktemp("engine"), MemoryStore(), Registry()
    for number, plan in enumerate(build_models("nano", store, folder / "cache"), 1):
        registry.infos.append(
            ModelInfo(number, 0, plan.level, plan.name, plan.field, plan.digest, plan.digest, 0, ZERO_ADDRESS)
        )
    engine = ModelEngine(registry, store, folder / "cache", folder / "scratch")
    assert engine.refresh() and not engine.refresh()
    yield engine, registry, folder


def _prompt(text: str = "What is a tuple?", **options: object) -> Prompt:
    return replace(Prompt((Message("user", text),), 12), **options)  # type: ignore[arg-type]


def _all(engine: ModelEngine, prompt: Prompt, model_id: int = 1) -> list[Piece]:
    return list(engine.generate(model_id, prompt, threading.Event()))


def test_generate_when_a_model_answers_then_tokens_are_counted_and_bounded(
    world: tuple[ModelEngine, Registry, Path],
) -> None:
    engine, registry, _ = world
    for served in engine.served():
        pieces = _all(engine, _prompt(), served.model_id)
        assert 0 <= sum(piece.tokens for piece in pieces) <= 12
        assert pieces[-1].finish in ("stop", "length") and all(not piece.finish for piece in pieces[:-1])
        assert pieces[0].prompt_tokens > 0 and not any(piece.prompt_tokens for piece in pieces[1:])
    assert len(engine.served()) == len(registry.infos)


def test_generate_when_greedy_or_seeded_then_the_same_answer_comes_again(
    world: tuple[ModelEngine, Registry, Path],
) -> None:
    engine = world[0]
    for prompt in (_prompt(), _prompt(temperature=1.0, seed=5), _prompt(temperature=0.7, top_p=0.5, seed=-1)):
        assert [p.text for p in _all(engine, prompt)] == [p.text for p in _all(engine, prompt)]


def test_generate_when_sampled_without_seed_then_answers_differ(world: tuple[ModelEngine, Registry, Path]) -> None:
    texts = {"".join(p.text for p in _all(world[0], _prompt(temperature=2.0, max_tokens=30))) for _ in range(4)}
    assert len(texts) > 1


def test_generate_when_cancelled_then_it_stops_at_the_next_token(world: tuple[ModelEngine, Registry, Path]) -> None:
    cancel = threading.Event()
    pieces = world[0].generate(1, _prompt(max_tokens=100), cancel)
    next(pieces)
    cancel.set()
    assert list(pieces) == []


def test_generate_when_the_prompt_is_longer_than_the_context_then_its_end_counts(
    world: tuple[ModelEngine, Registry, Path],
) -> None:
    pieces = _all(world[0], _prompt("word " * 5000))
    assert pieces[-1].finish in ("stop", "length")


def test_generate_when_bytes_are_no_whole_character_then_text_waits(world: tuple[ModelEngine, Registry, Path]) -> None:
    """The pieces together are what decoding everything at once gives."""
    engine = world[0]
    pieces = _all(engine, _prompt(temperature=2.0, seed=3, max_tokens=60))
    joined = "".join(piece.text for piece in pieces)
    assert joined and sum(piece.tokens for piece in pieces) >= len([p for p in pieces if p.text]) - 1


def test_generate_when_the_model_is_not_there_then_unknown_model(world: tuple[ModelEngine, Registry, Path]) -> None:
    with pytest.raises(UnknownModel):
        _all(world[0], _prompt(), 99)


def test_decode_when_the_cache_is_used_then_it_says_what_whole_passes_say(
    world: tuple[ModelEngine, Registry, Path],
) -> None:
    import torch

    model = world[0]._slots[1].model
    prompt = _prompt(max_tokens=6)
    told = "".join(piece.text for piece in decode(model, prompt, threading.Event()))
    tokens = model.tokenizer.chat([{"role": "user", "content": "What is a tuple?"}])
    start = len(tokens)
    with torch.inference_mode():
        for _ in range(6):
            token = int(model.module(input_ids=torch.tensor([tokens])).logits[0, -1].float().argmax())
            if token in model.tokenizer.stops:
                break
            tokens.append(token)
    assert told == model.tokenizer.decode(tokens[start:])


def test_refresh_when_a_head_can_not_be_had_then_the_old_one_answers(
    world: tuple[ModelEngine, Registry, Path],
) -> None:
    engine, registry, _ = world
    good = registry.infos[0]
    registry.infos[0] = replace(good, head=b"\x07" * 32)
    try:
        assert not engine.refresh()
        assert engine.served()[0].head == good.head.hex() and _all(engine, _prompt())
    finally:
        registry.infos[0] = good
