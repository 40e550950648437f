"""A round's training together: an average every few steps, whoever comes late, and which rows each peer trains on.

The leader's training is the reference. A peer that comes late, missed an average, or holds gradients of other
parameters is *behind*: it fetches what the leader has (parameters, the optimizer's moments and steps, the step number)
and goes on from there. So peers may come and go at any average.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from client.errors import SwarmError
from node.teams.average import Mean, usable
from node.teams.settings import Contact

if TYPE_CHECKING:
    from node.teams.settings import Vector

MAX_ROWS = 2**53
STATE_PARTS = 3  # parameters, mean of gradients, mean of their squares


@dataclass(frozen=True)
class Deal:
    """Which rows of the round's order a peer trains on from one average to the next.

    In each step the team takes ``peers`` batches from the order, this peer the one at ``place``.
    """

    cursor: int  # rows of the order that lie behind
    place: int
    peers: int

    def rows(self, step: int, batch: int) -> range:
        """The rows of a step (from 0, since the average), not yet wrapped to the number of windows."""
        start = self.cursor + (step * self.peers + self.place) * batch
        return range(start, start + batch)

    def after(self, steps: int, batch: int) -> int:
        """The cursor when so many steps are done."""
        return self.cursor + steps * self.peers * batch


@dataclass(frozen=True)
class State:
    """What a peer needs to go on where the leader is. Vectors are float32, in the model's order."""

    parameters: Vector
    first: Vector  # the optimizer's mean of gradients
    second: Vector  # and of their squares
    steps: int  # that the optimizer has done, over all rounds

    def to_bytes(self) -> bytes:
        """As it is sent."""
        return b"".join(part.astype("<f4", copy=False).tobytes() for part in (self.parameters, self.first, self.second))

    @classmethod
    def from_bytes(cls, data: bytes, steps: int) -> State:
        """What another sent; ``SwarmError`` where it isn't three finite vectors of one length."""
        values = np.frombuffer(data, dtype="<f4") if len(data) % (4 * STATE_PARTS) == 0 else np.zeros(0, "<f4")
        if values.size == 0 or not np.isfinite(values).all():
            raise SwarmError("the leader's state is not three finite vectors")
        first, second, third = (part.astype(np.float32) for part in np.split(values, STATE_PARTS))
        return cls(first, second, third, steps)


@dataclass(frozen=True)
class Start:
    """Where a peer begins: at the round's head, or at the leader's ``state`` in the middle of the round."""

    index: int  # averages that lie behind
    step: int  # steps that lie behind
    deal: Deal
    lineage: str = ""
    state: State | None = None
    over: bool = False  # the leader has finished training


@dataclass(frozen=True)
class Shared:
    """What an average in mid-round gave."""

    vector: Vector
    peers: int
    deal: Deal
    behind: bool = False  # start again from the leader's state
    over: bool = False
    wanted: bool = False  # at a leader: somebody waits for our state
    reason: str = ""


@dataclass
class LedRound:
    """What a leader keeps of a round that it trains."""

    index: int = 0
    entered: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)  # for the leader's state
    over: bool = False
    head: dict[str, Any] = field(default_factory=dict)  # about the state that was captured last
    blob: bytes = b""
    captured: asyncio.Event = field(default_factory=asyncio.Event)
    extra_rows: int = 0  # that those who came late were dealt since the last average

    def enter(self, peer: str) -> dict[str, Any]:
        """Somebody wants to train too."""
        if self.index == 0 or self.over:
            self.entered.add(peer)
        elif peer not in self.waiting:
            self.waiting.add(peer)
            self.captured.clear()
        return {"index": self.index, "over": self.over}

    def capture(self, state: State, head: dict[str, Any]) -> None:
        """Keep what those who wait go on from; the next average waits for them."""
        self.blob, self.head = state.to_bytes(), {**head, "bytes": STATE_PARTS * 4 * state.parameters.size}
        self.head["steps"] = state.steps
        self.entered |= self.waiting
        self.waiting.clear()
        self.captured.set()


def next_deal(mean: Mean, leader: str, me: Contact, before: Deal, cursor: int) -> Deal:
    """The rows until the next average. Everybody who saw the same peers come finds the same deal, each its own place;
    who saw nobody goes on as before.
    """
    group = usable(mean.here, leader)
    announced = mean.here.get(leader, {}).get("cursor") if group else None
    places = sorted(group.values(), key=lambda contact: (contact.rank, contact.peer_id))
    ids = [contact.peer_id for contact in places]
    if type(announced) is not int or not 0 <= announced < MAX_ROWS or me.peer_id not in ids:
        return Deal(cursor, before.place, before.peers)
    return Deal(announced, ids.index(me.peer_id), len(ids))


def next_lineage(before: str, index: int, mean: Mean) -> str:
    """Names the parameters that follow from applying this mean to those named before."""
    ids = ",".join(sorted(contact.peer_id for contact in mean.group))
    return hashlib.sha256(f"{before}|{index}|{ids}".encode()).hexdigest()[:16]


def read_start(head: dict[str, Any], data: bytes) -> Start:
    """A leader's state and where it belongs; ``SwarmError`` where it is malformed."""
    numbers = [head.get(name) for name in ("index", "step", "cursor", "steps")]
    lineage = head.get("lineage")
    if not all(type(number) is int and 0 <= number < MAX_ROWS for number in numbers) or not isinstance(lineage, str):
        raise SwarmError("the leader's state is described in another form than ours")
    index, step, cursor, steps = (int(number or 0) for number in numbers)
    return Start(index, step, Deal(cursor, 0, 1), lineage, State.from_bytes(data, steps))
