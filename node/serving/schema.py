"""The HTTP bodies of the gateway: what it takes (checked by pydantic) and what it gives, in OpenAI's words."""

from __future__ import annotations

import time
import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class TextPart(BaseModel):
    """A part of a message that came as a list."""

    type: Literal["text"]
    text: str = Field(max_length=100_000)


class ChatMessage(BaseModel):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def plain(self) -> dict[str, str]:
        """As servers take it: one text, and the older word for a developer's message."""
        text = self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(BaseModel):
    """What a stream should hold besides text."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of ``POST /v1/chat/completions``; unknown fields are ignored, as OpenAI does."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(min_length=1, max_length=200)
    messages: list[ChatMessage] = Field(min_length=1, max_length=64)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    n: Literal[1] | None = 1
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def question(self) -> str:
        """The last thing that the user said."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.plain()["content"]
        return ""

    def to_request(self, model_id: int, voucher: dict[str, Any] | None) -> dict[str, Any]:
        """What goes to the server's peer."""
        return {
            "kind": "chat",
            "model": model_id,
            "messages": [message.plain() for message in self.messages],
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "voucher": voucher,
        }


def error_body(message: str, kind: str, code: str, strata: dict[str, Any] | None = None) -> dict[str, Any]:
    """An error in OpenAI's form; ``strata`` says what is owed."""
    error: dict[str, Any] = {"message": message, "type": kind, "param": None, "code": code}
    if strata:
        error["strata"] = strata
    return {"error": error}


class Completion:
    """Builds the bodies of one answer, whole or in chunks."""

    def __init__(self, model: str, strata: dict[str, Any]) -> None:
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.model = model
        self.strata = strata

    def whole(self, text: str, finish: str, usage: dict[str, Any]) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage}

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        """One event of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The event after the last text: what was used, and what is owed."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "strata": self.strata}
