"""Where a gateway's answers come from: servers found in the swarm, asked over the swarm."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from client.errors import ChainError, NoServer, SwarmError
from client.types import ChannelInfo
from node.streaming import GenerateClient
from node.swarm import PeerInfo, Swarm

Frame = dict[str, Any]


@dataclass(frozen=True)
class Offer:
    """One server's offer for one model."""

    model_id: int
    server: str  # address, to which channels are opened
    price_wei: int  # per token of an answer
    max_tokens: int  # of one answer


class Backend(Protocol):
    """What a gateway needs of the network behind it."""

    def offers(self) -> Sequence[Offer]: ...
    def generate(self, server: str, request: Frame) -> AsyncGenerator[Frame]: ...
    def server_of(self, channel_id: bytes) -> str | None: ...


def server_extra(price_wei: int, max_tokens: int) -> dict[str, Any]:
    """What a server's heartbeat says beside its models."""
    return {"price_wei": str(price_wei), "max_tokens": max_tokens}


def offers_of(peer: PeerInfo) -> list[Offer]:
    """The offers in a server's heartbeat; none where it is not what a server writes."""
    price, tokens = peer.extra.get("price_wei"), peer.extra.get("max_tokens")
    if not isinstance(price, str) or not price.isascii() or not price.isdigit() or len(price) > 30:
        return []
    if type(tokens) is not int or not 0 < tokens <= 1_000_000:
        return []
    return [Offer(model, peer.address, int(price), tokens) for model in peer.models]


class SwarmBackend:
    """Finds servers by their heartbeats (looked up at most every few seconds) and asks them."""

    def __init__(
        self,
        swarm: Swarm,
        channel: Callable[[bytes], ChannelInfo],
        refresh_seconds: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._swarm, self._channel, self._refresh, self._clock = swarm, channel, refresh_seconds, clock
        self._client = GenerateClient(swarm)
        self._peers: list[PeerInfo] = []
        self._found_at: float | None = None
        self._servers: dict[bytes, str] = {}
        self._lock = threading.Lock()

    def offers(self) -> Sequence[Offer]:
        """All servers' offers, cheapest first."""
        found = [offer for peer in self._servers_now() for offer in offers_of(peer)]
        return sorted(found, key=lambda offer: (offer.model_id, offer.price_wei, offer.server))

    def server_of(self, channel_id: bytes) -> str | None:
        """Which server a channel pays, as the chain says; ``None`` when there is no such channel."""
        if channel_id not in self._servers:
            try:
                info = self._channel(channel_id)
            except ChainError:
                return None
            if int(info.user, 16) == 0:
                return None
            self._servers[channel_id] = info.server
        return self._servers[channel_id]

    async def generate(self, server: str, request: Frame) -> AsyncGenerator[Frame]:
        """The frames of that server's answer; ``NoServer`` when it is not there."""
        peers = await asyncio.get_running_loop().run_in_executor(None, self._servers_now)
        peer = next((peer for peer in peers if peer.address == server), None)
        if peer is None:
            raise NoServer(f"the server {server} is not to be found in the swarm")
        async with aclosing(self._client.generate(peer, request)) as frames:
            async for frame in frames:
                yield frame

    def _servers_now(self) -> list[PeerInfo]:
        with self._lock:
            now = self._clock()
            if self._found_at is None or now - self._found_at >= self._refresh:
                try:
                    self._peers = self._swarm.peers("server")
                except SwarmError:
                    self._peers = []
                self._found_at = now
            return self._peers
