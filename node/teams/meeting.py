"""Barriers of a leader: peers wait for each other, but not for those who are gone, and not past a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

MAX_BARRIERS = 256


@dataclass
class _Barrier:
    """A place where peers wait for each other."""

    values: dict[str, Any] = field(default_factory=dict)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    led: bool = False  # the leader is here: without it no barrier closes


class Meeting:
    """Everybody who came in time gets the same values back; a latecomer gets none.

    ``expected(key)`` says whom a barrier waits for, asked again whenever somebody comes, and at every ``review``.
    """

    def __init__(self, leader: str, expected: Callable[[str], Collection[str]]) -> None:
        self._leader, self._expected = leader, expected
        self._barriers: dict[str, _Barrier] = {}

    async def come(self, key: str, peer: str, value: Any, seconds: float) -> dict[str, Any]:
        """Wait until all who are expected came. When the leader's time is over, it goes on with those who are there;
        another leaves again, with nothing.
        """
        if key not in self._barriers and len(self._barriers) >= MAX_BARRIERS:
            return {}
        barrier = self._barriers.setdefault(key, _Barrier())
        if barrier.closed.is_set():
            return {}
        barrier.values[peer] = value
        barrier.led = barrier.led or peer == self._leader
        self._review(key, barrier)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await barrier.closed.wait()
        except TimeoutError:
            if peer != self._leader:
                barrier.values.pop(peer, None)
                return {}
            barrier.closed.set()
        return dict(barrier.values)

    def review(self) -> None:
        """Look at all barriers again: somebody is gone."""
        for key, barrier in self._barriers.items():
            self._review(key, barrier)

    def _review(self, key: str, barrier: _Barrier) -> None:
        if barrier.led and not barrier.closed.is_set() and set(self._expected(key)) <= barrier.values.keys():
            barrier.closed.set()

    def is_closed(self, key: str) -> bool:
        """Whether a barrier has closed."""
        return key in self._barriers and self._barriers[key].closed.is_set()

    def release(self, prefix: str) -> None:
        """Let those go who wait at barriers to which the leader won't come."""
        for key, barrier in self._barriers.items():
            if key.startswith(prefix):
                barrier.closed.set()

    def forget(self, prefix: str) -> None:
        """Drop barriers that are over."""
        for key in [key for key in self._barriers if key.startswith(prefix)]:
            del self._barriers[key]

    def values(self, key: str) -> dict[str, Any]:
        """Who is at a barrier, or was when it closed."""
        return dict(self._barriers[key].values) if key in self._barriers else {}
