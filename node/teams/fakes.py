"""A team's connections in memory: an exact all-reduce, with cuts, deaths and delays to order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from client.errors import SwarmError
from node.swarm import LoopThread
from node.teams.links import Answer, Blob, Message
from node.teams.settings import Contact

if TYPE_CHECKING:
    from node.teams.settings import Vector

Result = TypeVar("Result")


@dataclass
class FakeNet:
    """Who is connected with whom, and what goes wrong."""

    peers: dict[str, FakeLinks] = field(default_factory=dict)
    cut: set[frozenset[str]] = field(default_factory=set)  # pairs that can't hear each other
    dead: set[str] = field(default_factory=set)
    dies_in_reduce: set[str] = field(default_factory=set)  # goes away in the middle of its next all-reduce
    sums: dict[bytes, dict[str, Vector]] = field(default_factory=dict)

    def reaches(self, one: str, other: str) -> bool:
        """Whether a message would arrive."""
        return not {one, other} & self.dead and frozenset((one, other)) not in self.cut and other in self.peers

    def split(self, side: Sequence[str], other: Sequence[str]) -> None:
        """Cut every connection between two sides."""
        self.cut |= {frozenset((a, b)) for a in side for b in other}

    def heal(self) -> None:
        """Mend all cuts."""
        self.cut.clear()


class FakeLinks:
    """Keeps :class:`node.teams.links.Links`, in the loop of whoever awaits, or in a thread's that all peers share."""

    def __init__(self, net: FakeNet, peer_id: str, thread: LoopThread | None = None) -> None:
        self.net, self._peer_id, self._thread = net, peer_id, thread
        self.answer: Answer | None = None
        self.blob: Blob | None = None
        net.peers[peer_id] = self

    @property
    def peer_id(self) -> str:
        """Its name."""
        return self._peer_id

    @property
    def maddrs(self) -> tuple[str, ...]:
        """A made-up address."""
        return (f"/memory/{self._peer_id}",)

    def run(self, coroutine: Coroutine[Any, Any, Result], timeout_seconds: float) -> Result:
        """Run to the end, from another thread."""
        if self._thread is None:
            raise RuntimeError("these peers live in the loop of whoever awaits them")
        return self._thread.run(coroutine, timeout_seconds)

    async def serve(self, answer: Answer, blob: Blob) -> None:
        """Take calls."""
        self.answer, self.blob = answer, blob

    async def ask(self, peer: Contact, message: Message, seconds: float) -> Message:
        """Call a peer, if it can be reached."""
        await asyncio.sleep(0)
        target = self.net.peers.get(peer.peer_id)
        if target is None or target.answer is None or not self.net.reaches(self.peer_id, peer.peer_id):
            raise SwarmError(f"{peer.peer_id} can't be asked")
        try:
            async with asyncio.timeout(seconds):
                found = await target.answer(message, self.peer_id)
        except TimeoutError:
            raise SwarmError("late") from None
        if not self.net.reaches(self.peer_id, peer.peer_id):
            raise SwarmError(f"{peer.peer_id} went away")
        if "refused" in found:
            raise SwarmError(str(found["refused"]))
        return found

    async def fetch(self, peer: Contact, name: str, max_bytes: int, seconds: float) -> bytes:
        """A blob that a peer offers."""
        await asyncio.sleep(0)
        target = self.net.peers[peer.peer_id]
        data = target.blob(name, self.peer_id) if target.blob and self.net.reaches(self.peer_id, peer.peer_id) else None
        if data is None or memoryview(data).nbytes > max_bytes:
            raise SwarmError("no such blob")
        return bytes(memoryview(data).cast("B"))

    async def reduce(self, group_id: bytes, group: Sequence[Contact], vector: Vector, seconds: float) -> Vector | None:
        """The mean of all who come. Where one goes away in the middle, the others have the half before it only."""
        here = self.net.sums.setdefault(group_id, {})
        if self.peer_id in self.net.dies_in_reduce:
            self.net.dead.add(self.peer_id)
        else:
            here[self.peer_id] = vector
        names = {contact.peer_id for contact in group}
        for turn in range(200):
            await asyncio.sleep(0 if turn < 50 else 0.001)
            if here.keys() >= names:
                mean: Vector = np.mean([here[name] for name in sorted(names)], axis=0, dtype=np.float64).astype("f4")
                return mean
        if self.peer_id in self.net.dead:
            raise SwarmError("dead")
        half = vector.copy()
        middle = len(half) // 2
        half[:middle] = np.mean([here[name][:middle] for name in sorted(here)], axis=0, dtype=np.float64)
        return half

    async def hang_up(self) -> None:
        """Nobody is a stranger here."""
