"""A peer's way through one round: enter, share every few steps, finish. Of one training thread, in the team's loop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from client.errors import SwarmError
from node.teams.average import Mean, Offer, average
from node.teams.session import STATE_PARTS, Deal, Shared, Start, State, next_deal, next_lineage, read_start

if TYPE_CHECKING:
    from node.teams.crew import Crew
    from node.teams.settings import Vector

log = logging.getLogger("strata.node.team")

PROBE_SECONDS = 3.0


class TeamRound:
    """Where this peer is in a round that the team trains together. ``rows``: what one peer takes in a step."""

    def __init__(self, crew: Crew, key: str, size: int, rows: int, lineage: str = "") -> None:
        self._crew, self._key, self._size, self._rows = crew, key, size, rows
        settings = crew.settings
        self._gradients = settings.mode == "gradients"
        self.every = 1 if self._gradients else settings.every
        lineage = lineage if self._gradients else ""  # parameters of any lineage can be averaged
        self.start = Start(0, 0, Deal(0, settings.rank % max(1, settings.size), settings.size), lineage)
        self.index, self.deal, self._lineage = 0, self.start.deal, lineage

    async def enter(self) -> Start | None:
        """Where to begin; None where we are in mid-round and the leader's state can't be had: go on alone, then."""
        crew = self._crew
        if crew.lead.leading:
            crew.begin_round(self._key, self.index)
            return self.start if self.index == 0 else None
        leader = crew.lead.leader
        if leader is None:
            return self.start if self.index == 0 else None
        try:
            reply = await crew.links.ask(leader, {"op": "enter", "round": self._key}, PROBE_SECONDS)
            if reply.get("over") is True:
                return Start(0, 0, self.deal, over=True)
            if reply.get("index") == 0:
                return self._go(self.start)
            wait = crew.settings.wait_seconds
            reply = await crew.links.ask(leader, {"op": "state", "round": self._key}, wait)
            head, name = reply.get("head"), reply.get("name")
            if not isinstance(head, dict) or not isinstance(name, str):
                raise SwarmError("the leader has no state")
            data = await crew.links.fetch(leader, name, STATE_PARTS * 4 * self._size, wait)
            start = read_start(head, data)
            if start.state is None or start.state.parameters.size != self._size:
                raise SwarmError("the leader's state is of another model")
        except SwarmError as error:
            log.warning("the leader's state can't be had: %s", error)
            return self.start if self.index == 0 else None
        log.info("round %s: we go on from the leader's step %d", self._key, start.step)
        return self._go(start)

    def _go(self, start: Start) -> Start:
        self.index, self.deal, self._lineage = start.index, start.deal, start.lineage
        return start

    async def share(self, vector: Vector, tokens: int, step: int) -> Shared:
        """Average with whoever comes; ``step`` steps of the round are done. Never raises: our own vector is left."""
        crew, index = self._crew, self.index
        leading = crew.lead.leading
        led = crew.begin_round(self._key, index) if leading else None
        cursor = self.deal.after(self.every, self._rows)
        if led is not None:
            led.index = index
            cursor += led.extra_rows
        offer = Offer(vector, tokens, crew.me, self._lineage, {"cursor": cursor, "step": step})
        told: dict[str, Any] = {}
        leader = crew.lead.leader.peer_id if crew.lead.leader else ""

        async def meet(key: str, value: Any, seconds: float) -> dict[str, Any]:
            reply = await crew.meet(key, value, seconds)
            told.update(reply)
            values = reply.get("values")
            return values if isinstance(values, dict) else {}

        wait = 0.5 * crew.settings.wait_seconds
        try:
            mean = await average(crew.links, meet, leader, f"{self._key}#{index}", offer, wait, wait)
        except SwarmError as error:
            mean = Mean(vector, (crew.me,), tokens, str(error))
        if leading:
            crew.close_average(self._key, index)
        return self._after(mean, leader, cursor, told)

    def _after(self, mean: Mean, leader: str, cursor: int, told: dict[str, Any]) -> Shared:
        crew = self._crew
        self.deal = next_deal(mean, leader, crew.me, self.deal, cursor)
        behind = told.get("behind") is True and told.get("over") is not True
        if self._gradients:
            theirs = mean.here.get(leader)
            behind = behind or (isinstance(theirs, dict) and theirs.get("lineage") != self._lineage)
            behind = behind or (len(mean.group) < 2 and not crew.lead.leading and bool(mean.here))
            self._lineage = next_lineage(self._lineage, self.index, mean)
        self.index += 1
        led = crew.rounds.get(self._key)
        return Shared(
            vector=mean.vector,
            peers=len(mean.group),
            deal=self.deal,
            behind=behind and not crew.lead.leading,
            over=told.get("over") is True,
            wanted=crew.lead.leading and led is not None and bool(led.waiting),
            reason=mean.reason,
        )

    def skip(self, vector: Vector, reason: str) -> Shared:
        """An average that could not even be asked for."""
        self.deal = Deal(self.deal.after(self.every, self._rows), self.deal.place, self.deal.peers)
        self.index += 1
        return Shared(vector, 1, self.deal, reason=reason)

    async def give(self, state: State, step: int) -> None:
        """A leader's state for those who wait; they are dealt rows of their own until the next average."""
        led = self._crew.rounds.get(self._key)
        if led is None:
            return
        head = {"index": self.index, "step": step, "cursor": self.deal.after(self.every, self._rows)}
        led.extra_rows = self.every * self._rows
        led.capture(state, {**head, "lineage": self._lineage})

    async def finish(self) -> None:
        """We have finished training."""
        if self._crew.lead.leading:
            self._crew.end_round(self._key)
