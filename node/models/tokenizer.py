"""Text to token numbers and back: the byte-level tokenizer of tiny models, and any ``tokenizer.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from client.errors import ManifestError

BYTES = "bytes"
"""What a genesis names in place of a digest when its model reads plain bytes."""

BYTE_END = 256
BYTE_VOCABULARY = 260
"""256 bytes, the end token, and three that are free; a multiple of four for the matrix units."""

Message = Mapping[str, str]
"""``{"role": "user" | "assistant" | "system", "content": text}``."""


class Tokenizer(Protocol):
    """What models, training and serving need of a tokenizer."""

    @property
    def vocabulary(self) -> int:
        """How many token numbers there are."""

    @property
    def end(self) -> int:
        """The token between documents."""

    @property
    def stops(self) -> frozenset[int]:
        """Tokens that end an answer."""

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text, without special ones."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token numbers; special ones are left out."""

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """The prompt of a conversation, ready for the answer."""


@dataclass(frozen=True)
class ByteTokenizer:
    """UTF-8 bytes are the tokens; 256 ends a document."""

    vocabulary: int = BYTE_VOCABULARY
    end: int = BYTE_END

    @property
    def stops(self) -> frozenset[int]:
        """Only the end token."""
        return frozenset({self.end})

    def encode(self, text: str) -> list[int]:
        """One token a byte."""
        return list(text.encode("utf-8"))

    def decode(self, tokens: Sequence[int]) -> str:
        """Bytes that are not UTF-8 become the replacement character."""
        return bytes(token for token in tokens if token < 256).decode("utf-8", errors="replace")

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """Plain lines, since nothing this small follows instructions."""
        lines = [f"{message['role']}: {message['content']}\n" for message in messages]
        return self.encode("".join(lines) + "assistant: ")


class FileTokenizer:
    """A ``tokenizer.json`` of the tokenizers library, with its model's chat template (Jinja, run in a sandbox)."""

    def __init__(self, data: bytes, chat_template: str, end_token: str = "<|endoftext|>") -> None:
        from tokenizers import Tokenizer as Fast

        try:
            self._fast = Fast.from_str(data.decode("utf-8"))
        except Exception as error:  # the library raises bare Exception for any malformed file
            raise ManifestError(f"this is not a tokenizer.json: {error}") from error
        end = self._fast.token_to_id(end_token)
        if end is None:
            raise ManifestError(f"the tokenizer has no {end_token} token")
        self._end = int(end)
        self._template = chat_template
        turn = self._fast.token_to_id("<|im_end|>")
        self._stops = frozenset({self._end} if turn is None else {self._end, int(turn)})

    @property
    def vocabulary(self) -> int:
        """Special tokens counted."""
        return int(self._fast.get_vocab_size())

    @property
    def end(self) -> int:
        """The token between documents."""
        return self._end

    @property
    def stops(self) -> frozenset[int]:
        """The end of text and, where the vocabulary has it, the end of a turn."""
        return self._stops

    def encode(self, text: str) -> list[int]:
        """Token numbers, no special ones added."""
        return list(self._fast.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Special tokens are left out."""
        return str(self._fast.decode(list(tokens), skip_special_tokens=True))

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """The template's text, with the cue for the answer, as tokens."""
        return self.encode(render_chat(self._template, messages))


def render_chat(template: str, messages: Sequence[Message]) -> str:
    """A conversation in the words of a model's template; one without a template gets plain lines."""
    if not template:
        return "".join(f"{m['role']}: {m['content']}\n" for m in messages) + "assistant: "
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    values: dict[str, Any] = {"messages": [dict(message) for message in messages], "add_generation_prompt": True}
    try:
        return environment.from_string(template).render(values)
    except TemplateError as error:
        raise ManifestError(f"the chat template can't be used: {error}") from error
