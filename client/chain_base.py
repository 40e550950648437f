"""What the parts of :class:`client.chain.Chain` need of each other: calls of view functions, and logs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from client.types import Event


class Caller(ABC):
    """Whoever mixes this in knows how to call contracts."""

    @abstractmethod
    def _read(self, contract: str, function: str, *args: Any, block: int | None = None) -> Any: ...
    @abstractmethod
    def _read_many(self, calls: Sequence[tuple[str, str, Sequence[Any]]], block: int | None = None) -> list[Any]: ...
    @abstractmethod
    def events(
        self,
        contract: str,
        event: str | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
        **filters: Any,
    ) -> list[Event]: ...
