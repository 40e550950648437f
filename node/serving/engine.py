"""What turns a conversation into tokens: the ``Engine`` protocol, and ``EchoEngine``, a fake that ships for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from client.errors import UnknownModel


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """What is asked. ``max_tokens`` bounds the answer; ``temperature`` 0 takes the likeliest token each time."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True)
class Piece:
    """A part of an answer: its text (may be empty), the tokens it took. ``finish`` is set in the last one only."""

    text: str
    tokens: int
    finish: str = ""  # "stop" or "length"
    prompt_tokens: int = 0  # in the first piece: tokens of the prompt


@dataclass(frozen=True)
class Served:
    """A model that an engine answers with: its head's digest (hex) and the round that made it."""

    model_id: int
    name: str
    head: str
    round: int


class Engine(Protocol):
    """Answers prompts. ``generate`` blocks between pieces; setting ``cancel`` ends it early."""

    def served(self) -> Sequence[Served]: ...
    def refresh(self) -> bool: ...  # look for new heads; True when something changed
    def generate(self, model_id: int, prompt: Prompt, cancel: threading.Event) -> Iterator[Piece]: ...


class EchoEngine:
    """Answers with the user's own last words, one a token. For tests and for trying a network without a model."""

    def __init__(self, served: Sequence[Served], delay_seconds: float = 0.0) -> None:
        self._served = tuple(served)
        self._delay = delay_seconds

    def served(self) -> Sequence[Served]:
        """The models that it pretends to have."""
        return self._served

    def refresh(self) -> bool:
        """Nothing ever changes."""
        return False

    def generate(self, model_id: int, prompt: Prompt, cancel: threading.Event) -> Iterator[Piece]:
        """The last message, word by word, until ``max_tokens``."""
        if model_id not in {model.model_id for model in self._served}:
            raise UnknownModel(f"no model {model_id} here")
        words = prompt.messages[-1].content.split()
        prompt_tokens = sum(len(message.content.split()) for message in prompt.messages)
        for index, word in enumerate(words[: prompt.max_tokens]):
            if cancel.wait(self._delay) if self._delay else cancel.is_set():
                return
            yield Piece((" " if index else "") + word, 1, prompt_tokens=0 if index else prompt_tokens)
        yield Piece("", 0, "length" if len(words) > prompt.max_tokens else "stop", 0 if words else prompt_tokens)
