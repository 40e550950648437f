"""One peer of a team: it leads or follows, and answers the others. Lives in one event loop; nothing here is hivemind's.

Calls (JSON; who calls is known by the connection, not by what it says):

    beat    I am here, and follow you: who leads, who is here
    vote    may I lead the next term?
    claim   I lead, with so many: do you give way?
    lead    you are in the middle of a round and I have just started: lead in my place
    meet    come to a barrier of the leader
    enter, state   train along in a round; what the leader has now
    take    hold this delta for me
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from client.errors import SwarmError
from node.teams.average import usable
from node.teams.lead import Leadership, read_claim
from node.teams.links import Links, Message
from node.teams.meeting import Meeting
from node.teams.session import LedRound
from node.teams.settings import Contact, TeamSettings, seconds_of
from node.teams.standby import Standby

log = logging.getLogger("strata.node.team")

BEATS_PER_SILENCE = 4
PROBE_SECONDS = 3.0
MAX_KEY = 200
ROUNDS_KEPT = 4
DENIALS = 3  # in a row, after which we are cut off: others may just notice the silence a moment later

Note = Callable[[str, dict[str, Any]], None]
"""Told what happened to the team: an event's name and its values."""

Lend = Callable[[int, int], bytes | None]
"""The payload of our delta for a model and a round."""


class Crew:
    """The team as one peer sees it."""

    def __init__(
        self,
        links: Links,
        settings: TeamSettings,
        note: Note = lambda event, values: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.links, self.settings, self._note, self.clock = links, settings, note, clock
        self.me = Contact(links.peer_id, settings.rank, links.maddrs)
        self.lead = Leadership(self.me, settings.silent_seconds, clock())
        self.meeting = Meeting(links.peer_id, self._expected)
        self.rounds: dict[str, LedRound] = {}
        self.early: dict[str, set[str]] = {}  # by round: who trains in it already, while we lead and don't yet
        self.standby = Standby(links, self.lead, clock)
        self.lend: Lend | None = None  # our sealed deltas
        self.changed = asyncio.Event()  # set while somebody else leads than a moment ago; see ``_led_by``
        self.cut_off = False  # others hear the leader and we don't
        self._denied = 0  # times in a row that others said so

    # ---- coming and watching ----

    async def open(self, contacts: list[Contact], term: int = 0) -> None:
        """Take calls, and find the leader among ``contacts``; rank 0 leads where nobody does."""
        self.lead.term = max(self.lead.term, term)
        contacts = [contact for contact in contacts if contact.peer_id != self.me.peer_id]
        for contact in contacts:
            self.lead.learn(contact)
        await self.links.serve(self._answer, self._blob)
        replies = await self._ask_all({"op": "beat", "contact": self.me.to_json(), "term": self.lead.term}, contacts)
        if self._follow_any(replies):
            return
        if self.settings.rank != 0:
            return
        for contact, _ in sorted(replies, key=lambda item: item[0].rank):
            if contact.may_lead and await self._abdicate_to(contact):
                return
        self._start_leading()

    async def _abdicate_to(self, contact: Contact) -> bool:
        try:
            view = await self.links.ask(contact, {"op": "lead", "contact": self.me.to_json()}, PROBE_SECONDS)
        except SwarmError as error:
            log.info("%s would not lead: %s", contact.peer_id, error)
            return False
        return self._follow(view)

    async def watch(self) -> None:
        """Beat for ever."""
        while True:
            await asyncio.sleep(self.settings.silent_seconds / BEATS_PER_SILENCE)
            try:
                await self.beat()
            except SwarmError as error:
                log.info("team: %s", error)
            except Exception:  # libp2p's daemon may be gone; the team must go on looking for its leader
                log.exception("the team's watch")

    async def beat(self) -> None:
        """One look: a leader at its members, a member at its leader."""
        now = self.clock()
        await self.links.hang_up()
        if self.lead.leading:
            await self._look_after(now)
            return
        leader = self.lead.leader
        if leader is not None:
            try:
                message = {"op": "beat", "contact": self.me.to_json(), "term": self.lead.term}
                if self._follow(await self.links.ask(leader, message, PROBE_SECONDS)):
                    return
            except SwarmError as error:
                log.info("team: the leader does not answer: %s", error)
        if self.lead.is_silent(self.clock()):
            await self._seek()

    async def _look_after(self, now: float) -> None:
        gone = self.lead.expire(now)
        if gone:
            log.warning("team: %d peers fell silent", len(gone))
            self._note("team_lost", {"peers": gone, "left": len(self.lead.alive(now))})
            for led in self.rounds.values():
                led.entered -= set(gone)
            self.meeting.review()
        here = {contact.peer_id for contact in self.lead.alive(now)}
        others = [contact for contact in self.lead.known.values() if contact.may_lead and contact.peer_id not in here]
        claim = self.lead.claim(now)
        message = {"op": "claim", "side": claim.side, "term": claim.term, "contact": self.me.to_json()}
        for contact, reply in await self._ask_all(message, others):
            if reply.get("yield") is False:
                other, _ = read_claim(reply)
                self._resolve(other, contact)
            elif reply.get("yield") is True:
                self.lead.outlast(_term_of(reply))

    def _resolve(self, other: Any, contact: Contact) -> bool:
        """Two lead: True where we give way."""
        was = self.lead.leading
        gave_way = self.lead.meet(other, contact, self.clock())
        if was:
            self._note("team_split", {"other": contact.peer_id, "their_side": other.side, "gave_way": gave_way})
            log.warning("team: two leaders met; %s", "we join the other side" if gave_way else "ours goes on")
        if gave_way:
            self._stop_leading()
        return gave_way

    async def _seek(self) -> None:
        """There is no leader to be heard: ask around, and stand in for it where that is ours to do."""
        now = self.clock()
        stands = self.lead.may_stand(now)
        others = [contact for contact in self.lead.known.values() if contact != self.lead.leader]
        term = max(self.lead.term, self.lead._voted) + 1
        vote = {"op": "vote", "term": term, "contact": self.me.to_json()}
        beat = {"op": "beat", "term": self.lead.term, "contact": self.me.to_json()}
        replies = await self._ask_all(vote if stands else beat, others)
        if self._follow_any(replies):
            return
        hears = [contact for contact, reply in replies if reply.get("leader") is not None]
        self._denied = self._denied + 1 if hears else 0
        if self._denied >= DENIALS and not self.cut_off:
            self.cut_off = True
            self._note("team_cut_off", {"others": len(hears)})
            log.warning("team: %d others hear the leader and we don't: going on alone until we do", len(hears))
        if stands and all(reply.get("granted") is True for _, reply in replies) and self.lead.is_silent(self.clock()):
            self._start_leading()

    def _start_leading(self) -> None:
        self.lead.lead(self.clock())
        self._led_by()
        log.info("team: we lead, term %d", self.lead.term)
        self._note("team_leads", {"term": self.lead.term, "leader": self.me.peer_id})

    def _stop_leading(self) -> None:
        self.rounds.clear()
        self._led_by()

    def _led_by(self) -> None:
        """Somebody else leads now: whoever waits at the old leader's barrier waits in vain."""
        self.cut_off = False
        self.changed.set()
        self.changed = asyncio.Event()

    def _follow(self, view: Message) -> bool:
        before = self.lead.leader
        follows = self.lead.follow(view, self.clock())
        if follows:
            self.cut_off = False
        if self.lead.leader != before and self.lead.leader is not None:
            if before is not None and before.peer_id == self.me.peer_id:
                self._stop_leading()
            else:
                self._led_by()
            log.info("team: %s leads, term %d", self.lead.leader.peer_id, self.lead.term)
            self._note("team_follows", {"term": self.lead.term, "leader": self.lead.leader.peer_id})
        return follows

    def _follow_any(self, replies: list[tuple[Contact, Message]]) -> bool:
        return any(self._follow(reply) for _, reply in sorted(replies, key=lambda item: -_term_of(item[1])))

    async def _ask_all(self, message: Message, contacts: Collection[Contact]) -> list[tuple[Contact, Message]]:
        async def ask(contact: Contact) -> tuple[Contact, Message] | None:
            try:
                return contact, await self.links.ask(contact, message, PROBE_SECONDS)
            except SwarmError:
                return None

        found = await asyncio.gather(*(ask(contact) for contact in contacts))
        return [item for item in found if item is not None]

    # ---- answers ----

    async def _answer(self, message: Message, remote: str) -> Message:
        op = message.get("op")
        if op == "meet":
            return await self._answer_meet(message, remote)
        if op in ("enter", "state"):
            return await self._answer_round(str(op), message, remote)
        if op == "take":
            return await self.standby.take(message, remote)
        contact = Contact.from_json(message.get("contact"))
        if contact.peer_id != remote:
            raise SwarmError("a peer that speaks for another")
        now = self.clock()
        if op == "beat":
            term = message.get("term")
            if self.lead.leading:
                self.lead.note(contact, now)
                if type(term) is int and self.lead.term < term < 2**53:
                    self.lead.term = term  # we were away and forgot ours
            else:
                self.lead.learn(contact)
            return self.lead.view(now)
        if op == "vote":
            term = message.get("term")
            return {**self.lead.view(now), "granted": type(term) is int and self.lead.grant(contact, term, now)}
        if op == "claim":
            claim, contact = read_claim(message)
            if not self.lead.leading and not self.lead.is_silent(now) and self.lead.leader != contact:
                return {"yield": None, **self.lead.view(now)}
            if self._resolve(claim, contact):
                return {"yield": True, "term": self.lead.term}
            ours = self.lead.claim(now)
            return {"yield": False, "side": ours.side, "term": ours.term, "contact": self.me.to_json()}
        if op == "lead" and self.me.may_lead and (self.lead.leading or self.lead.is_silent(now) or self._led(remote)):
            if not self.lead.leading:
                self._start_leading()
            self.lead.note(contact, now)
            return self.lead.view(now)
        raise SwarmError("no such call, or not now")

    def _led(self, remote: str) -> bool:
        return self.lead.leader is not None and self.lead.leader.peer_id == remote

    async def _answer_meet(self, message: Message, remote: str) -> Message:
        key, seconds = message.get("key"), seconds_of(message)
        if not isinstance(key, str) or len(key) > MAX_KEY:
            raise SwarmError("malformed")
        if not self.lead.leading:
            raise SwarmError("we don't lead")
        if remote in self.lead.known:
            self.lead.note(self.lead.known[remote], self.clock())
        led = self.rounds.get(_round_of(key))
        if led is not None and (led.over or _index_of(key) < led.index):
            return {"values": {}, "behind": True, "over": led.over}
        if led is not None:
            led.entered.add(remote)
        closed = self.meeting.is_closed(key)
        values = await self.meeting.come(key, remote, message.get("value"), seconds)
        return {"values": values, "behind": closed, "over": led is not None and led.over}

    async def _answer_round(self, op: str, message: Message, remote: str) -> Message:
        key = message.get("round")
        if not isinstance(key, str) or not self.lead.leading:
            raise SwarmError("we don't lead")
        led = self.rounds.get(key)
        if led is None:
            self._come_early(key, remote)
            return {"index": 0, "over": False}
        if op == "enter":
            return led.enter(remote)
        try:
            async with asyncio.timeout(self.settings.wait_seconds):
                await led.captured.wait()
        except TimeoutError:
            raise SwarmError("the leader came to no average in time") from None
        return {"head": led.head, "name": f"state/{key}"}

    # ---- barriers ----

    async def meet(self, key: str, value: Any, seconds: float) -> Message:
        """Come to the leader's barrier; ``SwarmError`` where there is none to come to, or another leads meanwhile."""
        if self.lead.leading:
            return {"values": await self.meeting.come(key, self.me.peer_id, value, seconds), "behind": False}
        leader = self.lead.leader
        if leader is None or self.lead.is_silent(self.clock()):
            raise SwarmError("the team's leader can't be reached")
        ask = asyncio.ensure_future(
            self.links.ask(leader, {"op": "meet", "key": key, "value": value, "seconds": seconds}, seconds)
        )
        changed = asyncio.ensure_future(self.changed.wait())
        try:
            await asyncio.wait((ask, changed), return_when=asyncio.FIRST_COMPLETED)
            if not ask.done():
                raise SwarmError("another peer leads the team now")
            return ask.result()
        finally:
            ask.cancel()
            changed.cancel()

    def _expected(self, key: str) -> set[str]:
        """Whom a barrier waits for."""
        prefix, _, kind = key.rpartition("/")
        here = {contact.peer_id for contact in self.lead.alive(self.clock())}
        if kind == "join":
            led = self.rounds.get(_round_of(key))
            if led is not None:
                return {self.me.peer_id} | led.entered & here
            return here
        if kind == "done0":
            return set(usable(self.meeting.values(f"{prefix}/join"), self.me.peer_id)) & here
        return set(self.meeting.values(f"{prefix}/done0")) & here

    # ---- rounds ----

    def begin_round(self, key: str, index: int) -> LedRound:
        """A leader trains in a round, ``index`` averages of which lie behind."""
        while len(self.rounds) >= ROUNDS_KEPT and key not in self.rounds:
            del self.rounds[next(iter(self.rounds))]
        if key not in self.rounds:
            self.rounds[key] = LedRound(index, self.early.pop(key, set()))
            if index:  # we lead on in another's place: those who are here have trained along
                self.rounds[key].entered = {contact.peer_id for contact in self.lead.alive(self.clock())[1:]}
        return self.rounds[key]

    def _come_early(self, key: str, peer: str) -> None:
        """Somebody trains in a round before we do: the first average waits for it."""
        while len(self.early) >= ROUNDS_KEPT and key not in self.early:
            del self.early[next(iter(self.early))]
        self.early.setdefault(key, set()).add(peer)

    def close_average(self, key: str, index: int) -> None:
        """A leader is past an average: those who were not there are behind."""
        led = self.rounds.get(key)
        if led is not None:
            led.index, led.extra_rows = index + 1, 0
            led.entered &= set(self.meeting.values(f"{key}#{index}/join"))
            self.meeting.forget(f"{key}#{index - 1}/")

    def end_round(self, key: str) -> None:
        """A leader has finished training: nobody waits for its next average."""
        if key in self.rounds:
            self.rounds[key].over, self.rounds[key].blob = True, b""
            self.rounds[key].captured.set()
            self.meeting.release(f"{key}#")

    def _blob(self, name: str, remote: str) -> bytes | memoryview | None:
        if name.startswith("state/"):
            led = self.rounds.get(name.removeprefix("state/"))
            return led.blob if led is not None and led.captured.is_set() else None
        if name.startswith("sealed/"):
            model, _, number = name.removeprefix("sealed/").partition("/")
            known = self.lend is not None and model.isdecimal() and number.isdecimal() and len(name) <= MAX_KEY
            return self.lend(int(model), int(number)) if known and self.lend else None
        return self.standby.offered(name, remote)


def _round_of(key: str) -> str:
    """The round of a key like ``ROUND#INDEX/join``; empty for an average that is not in mid-round."""
    head, mark, _ = key.partition("#")
    return head if mark else ""


def _index_of(key: str) -> int:
    digits = key.partition("#")[2].partition("/")[0]
    return int(digits) if digits.isdigit() and len(digits) < 16 else 0


def _term_of(reply: Message) -> int:
    term = reply.get("term")
    return term if type(term) is int else -1
