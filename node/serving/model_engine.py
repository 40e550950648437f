"""Answers from real models: each at its head on chain, read anew when the head changes, streamed token by token."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from client.errors import AuditError, DeltaError, ManifestError, StorageError, UnknownModel
from client.replay import load_state
from client.storage import Store
from client.types import ModelInfo
from node.models.load import LoadedModel, load_genesis
from node.serving.engine import Piece, Prompt, Served

log = logging.getLogger("strata.node.engine")

LEAST_ROOM = 16  # tokens that an answer gets, whatever the prompt takes
DEFAULT_CONTEXT = 2048
UNFINISHED = "\ufffd"  # how a tokenizer shows bytes that are not a whole character yet


class EngineChain(Protocol):
    """What an engine needs of the chain."""

    def models(self) -> list[ModelInfo]: ...


@dataclass
class _Slot:
    """One loaded model. ``lock`` is held while an answer is made, so that a new head waits for its end."""

    info: ModelInfo
    model: LoadedModel
    head: bytes
    round: int
    lock: threading.Lock = field(default_factory=threading.Lock)


class ModelEngine:
    """Serves the named models of the network (all, when none are named) from memory."""

    def __init__(
        self, chain: EngineChain, store: Store, cache_dir: Path, scratch: Path, names: Sequence[str] = ()
    ) -> None:
        self._chain, self._store, self._cache_dir, self._scratch = chain, store, cache_dir, scratch
        self._names = tuple(names)
        self._slots: dict[int, _Slot] = {}
        self._refreshing = threading.Lock()

    def served(self) -> Sequence[Served]:
        """What is loaded now."""
        slots = sorted(self._slots.items())
        return [Served(number, slot.info.name, slot.head.hex(), slot.round) for number, slot in slots]

    def refresh(self) -> bool:
        """Load new models and new heads. What can't be had now is tried at the next call; answers go on meanwhile."""
        changed = False
        with self._refreshing:
            for info in self._chain.models():
                if self._names and info.name not in self._names:
                    continue
                try:
                    changed |= self._bring_to_head(info)
                except (StorageError, ManifestError, DeltaError, AuditError) as error:
                    log.warning("%s is not at its head %s: %s", info.name, info.head.hex()[:12], error)
        return changed

    def _bring_to_head(self, info: ModelInfo) -> bool:
        slot = self._slots.get(info.id)
        if slot is not None and slot.head == info.head:
            return False
        if slot is None:
            model = load_genesis(self._store, info.genesis, self._cache_dir, trainable=False)
            slot = _Slot(info, model, info.genesis, 0)
        if info.head != slot.head:
            self._scratch.mkdir(parents=True, exist_ok=True)
            state = load_state(self._store, info.head, self._scratch)
            with slot.lock:
                slot.model.set_vector(state.theta)
                slot.info, slot.head, slot.round = info, info.head, state.round
        self._slots[info.id] = slot
        log.info("%s is served at round %d", info.name, slot.round)
        return True

    def generate(self, model_id: int, prompt: Prompt, cancel: threading.Event) -> Iterator[Piece]:
        """The answer, piece by piece."""
        slot = self._slots.get(model_id)
        if slot is None:
            raise UnknownModel(f"the model {model_id} is not loaded here")
        with slot.lock:
            yield from decode(slot.model, prompt, cancel)


def decode(model: LoadedModel, prompt: Prompt, cancel: threading.Event) -> Iterator[Piece]:
    """A plain loop with a key-value cache: one forward pass a token, text as soon as its bytes are whole."""
    tokens = model.tokenizer.chat([{"role": m.role, "content": m.content} for m in prompt.messages])
    context = int(getattr(model.module.config, "max_position_embeddings", DEFAULT_CONTEXT))
    tokens = tokens[-max(1, context - min(prompt.max_tokens, max(LEAST_ROOM, context // 2))) :]
    most = min(prompt.max_tokens, context - len(tokens))
    pick = Sampler(prompt)
    answer: list[int] = []
    shown, first = 0, len(tokens)
    cache: Any = None
    inputs = torch.tensor([tokens])
    finish = "length"
    module: Any = model.module
    for _ in range(most):
        if cancel.is_set():
            return
        with torch.inference_mode():
            out = module(input_ids=inputs, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        token = pick(out.logits[0, -1].float())
        if token in model.tokenizer.stops:
            finish = "stop"
            break
        answer.append(token)
        inputs = torch.tensor([[token]])
        text = model.tokenizer.decode(answer)
        whole = len(text) if not text.endswith(UNFINISHED) else shown
        yield Piece(text[shown:whole], 1, prompt_tokens=first)
        shown, first = max(shown, whole), 0
    yield Piece(model.tokenizer.decode(answer)[shown:], 0, finish, first)


class Sampler:
    """Picks the next token: the likeliest at temperature 0, else one of the nucleus, by the prompt's seed."""

    def __init__(self, prompt: Prompt) -> None:
        self._temperature, self._top_p = prompt.temperature, prompt.top_p
        self._generator = torch.Generator()
        if prompt.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(prompt.seed % 2**63)

    def __call__(self, logits: torch.Tensor) -> int:
        """The token for these scores."""
        if self._temperature == 0.0:
            return int(logits.argmax())
        chances = torch.softmax(logits / self._temperature, dim=-1)
        ordered, places = chances.sort(descending=True)
        kept = ordered * (ordered.cumsum(0) - ordered < self._top_p)
        return int(places[torch.multinomial(kept, 1, generator=self._generator)])
