"""What the parts of :class:`client.chain.Chain` need of each other: calls of view functions, and logs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from client.chain_like import EventReader


class Caller(EventReader, ABC):
    """Whoever mixes this in knows how to call contracts."""

    @abstractmethod
    def _read(self, contract: str, function: str, *args: Any, block: int | None = None) -> Any: ...
    @abstractmethod
    def _read_many(self, calls: Sequence[tuple[str, str, Sequence[Any]]], block: int | None = None) -> list[Any]: ...
