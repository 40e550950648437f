"""The deltas that a leader hands over, and the stand-in that takes them: see ``node.teams.handover``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from client.errors import SwarmError
from node.teams.handover import (
    MAX_PAYLOAD_BYTES,
    MAX_RESIDUAL_BYTES,
    Handover,
    Keep,
    check_payload,
    record_from_json,
    record_to_json,
    residual_from_bytes,
)
from node.teams.lead import Leadership
from node.teams.links import Links, Message
from node.teams.settings import seconds_of

if TYPE_CHECKING:
    from node.teams.settings import Vector

LIMITS = {"payload": MAX_PAYLOAD_BYTES, "residual": MAX_RESIDUAL_BYTES}


class Standby:
    """Both ends of a handover: the leader offers blobs, the stand-in fetches them while the leader waits."""

    def __init__(self, links: Links, lead: Leadership, clock: Callable[[], float]) -> None:
        self._links, self._lead, self._clock = links, lead, clock
        self.keep: Keep | None = None  # what to do with a delta that is handed over to us
        self._offers: dict[str, bytes | memoryview] = {}

    async def give(self, handover: Handover, seconds: float) -> bool:
        """Give a sealed delta to the stand-in; False where there is none. ``SwarmError`` where it did not take it."""
        deputy = self._lead.stand_in(self._clock()) if self._lead.leading else None
        if deputy is None:
            return False
        record = handover.record
        prefix = f"delta/{record.model}/{record.round}"
        blobs: dict[str, bytes | memoryview] = {}
        if handover.payload is not None:
            blobs[f"{prefix}/payload"] = handover.payload
        if handover.residual is not None:
            blobs[f"{prefix}/residual"] = _bytes_of(handover.residual)
        self._offers.update(blobs)
        try:
            names = {name.rpartition("/")[2]: name for name in blobs}
            message = {"op": "take", "record": record_to_json(record), "blobs": names, "seconds": seconds}
            reply = await self._links.ask(deputy, message, seconds)
            return reply.get("held") is True
        finally:
            for name in blobs:
                self._offers.pop(name, None)

    def offered(self, name: str, remote: str) -> bytes | memoryview | None:
        """What we offer the stand-in, for its eyes alone."""
        deputy = self._lead.stand_in(self._clock()) if self._lead.leading else None
        return self._offers.get(name) if deputy is not None and deputy.peer_id == remote else None

    async def take(self, message: Message, remote: str) -> Message:
        """The leader hands over."""
        leader, keep = self._lead.leader, self.keep
        if leader is None or leader.peer_id != remote or not self._lead.me.may_lead or keep is None:
            raise SwarmError("not from you, or not to us")
        record, blobs, seconds = record_from_json(message.get("record")), message.get("blobs"), seconds_of(message)
        if not isinstance(blobs, dict):
            raise SwarmError("malformed")
        found: dict[str, bytes | None] = dict.fromkeys(LIMITS)
        for name, limit in LIMITS.items():
            if isinstance(blobs.get(name), str):
                found[name] = await self._links.fetch(leader, blobs[name], limit, seconds)
        data = found["residual"]
        handover = Handover(record, found["payload"], None if data is None else residual_from_bytes(data))
        check_payload(handover)
        await asyncio.get_running_loop().run_in_executor(None, keep, handover)
        return {"held": True}


def _bytes_of(vector: Vector) -> bytes:
    return vector.astype("<f4", copy=False).tobytes()
