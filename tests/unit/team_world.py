"""Teams in memory: crews over one fake network, in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from node.teams.crew import Crew
from node.teams.fakes import FakeLinks, FakeNet
from node.teams.settings import Contact, TeamSettings


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """Peers ``p0`` (leads first), ``p1`` (stands in), ``p2`` and so on."""

    count: int
    settings: dict[str, Any] = field(default_factory=dict)
    net: FakeNet = field(default_factory=FakeNet)
    clock: Clock = field(default_factory=Clock)
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    crews: list[Crew] = field(default_factory=list)

    def make(self, rank: int) -> Crew:
        """A peer that has not opened yet."""
        name = f"p{rank}"
        given = {"wait_seconds": 1.0, **self.settings}
        settings = TeamSettings("t", rank, self.count, **given)

        def note(event: str, values: dict[str, Any]) -> None:
            self.events.append((name, event, values))

        return Crew(FakeLinks(self.net, name), settings, note, self.clock)

    async def open(self) -> list[Crew]:
        """All peers, opened one after the other."""
        for rank in range(self.count):
            crew = self.make(rank)
            await crew.open([Contact("p0", 0), Contact("p1", 1)])
            self.crews.append(crew)
        await self.beat()
        return self.crews

    async def beat(self, times: int = 1, seconds: float = 0.0) -> None:
        """All living peers look around, ``seconds`` apart."""
        for _ in range(times):
            self.clock.now += seconds
            for crew in self.crews:
                if crew.me.peer_id not in self.net.dead:
                    await crew.beat()

    def leaders(self) -> list[str]:
        """Who thinks that it leads, of the living."""
        return [c.me.peer_id for c in self.crews if c.lead.leading and c.me.peer_id not in self.net.dead]

    def told(self, event: str) -> list[str]:
        """The peers that noted an event."""
        return [name for name, found, _ in self.events if found == event]


def run(main: Callable[[], Awaitable[None]]) -> None:
    """A test's coroutine, within ten seconds."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await main()

    asyncio.run(bounded())


async def together(parts: Iterable[Awaitable[Any]]) -> list[Any]:
    """All of them at once."""
    return list(await asyncio.gather(*parts))
