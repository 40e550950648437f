"""Who belongs to a team, how a peer is reached, and what averaging gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.errors import SwarmError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

MODES = ("delta", "parameters", "gradients")
STAND_IN_RANK = 1
"""Peers up to this rank may lead: they hold the miner's wallet."""
MAX_PEERS = 64
MAX_ADDRESSES = 16
MAX_TEXT = 256
MAX_WAIT_SECONDS = 3600.0


@dataclass(frozen=True)
class TeamSettings:
    """What a peer is told of its team. Others are found by multiaddresses, or by ``file:PATH`` that a leader writes."""

    name: str
    rank: int = 0  # 0 leads at first; 1 stands in for it
    size: int = 2  # peers, this one included
    peers: tuple[str, ...] = ()  # where the leader is, and where its stand-in
    allow: tuple[str, ...] = ()  # peer ids that may join; anybody who knows address and name when empty
    port: int = 0  # TCP; 0 takes a free one
    host: str = "127.0.0.1"  # IPv4 address at which the others reach this peer
    mode: str = "delta"  # what is averaged: see MODES
    every: int = 10  # inner steps between two averages of parameters
    silent_seconds: float = 6.0  # without a word, after which a peer counts as gone
    wait_seconds: float = 20.0  # that one average may take

    def admits(self, peer_id: str) -> bool:
        """Whether a peer may speak with us."""
        return not self.allow or peer_id in self.allow


@dataclass(frozen=True)
class Contact:
    """A peer and how to reach it."""

    peer_id: str
    rank: int
    maddrs: tuple[str, ...] = ()

    @property
    def may_lead(self) -> bool:
        """Whether it holds what a leader needs."""
        return self.rank <= STAND_IN_RANK

    def to_json(self) -> dict[str, Any]:
        """As it is sent."""
        return {"id": self.peer_id, "rank": self.rank, "maddrs": list(self.maddrs)}

    @classmethod
    def from_json(cls, value: Any) -> Contact:
        """What another sent; ``SwarmError`` where it is malformed."""
        if isinstance(value, dict):
            peer_id, rank, maddrs = value.get("id"), value.get("rank"), value.get("maddrs")
            texts = [peer_id, *maddrs] if isinstance(maddrs, list) and len(maddrs) <= MAX_ADDRESSES else [None]
            fits = all(isinstance(text, str) and 0 < len(text) <= MAX_TEXT for text in texts)
            if fits and type(rank) is int and 0 <= rank < MAX_PEERS:
                return cls(str(peer_id), rank, tuple(map(str, maddrs or ())))
        raise SwarmError("a peer was described in another form than ours")


@dataclass(frozen=True)
class TeamResult:
    """What averaging gave: the mean over ``peers`` peers, or our own vector (``peers`` 1) and the reason."""

    vector: Vector
    peers: int
    tokens: int
    reason: str = ""


def seconds_of(message: dict[str, Any]) -> float:
    """How long another asks us to wait; ``SwarmError`` where that is no time that fits."""
    seconds = message.get("seconds")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise SwarmError("a message without a time that fits")
    return float(seconds)
