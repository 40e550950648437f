"""A miner of several peers: this process's place in its team. See ``node/teams`` for how it works.

Peers of one team trust each other, so they may use Hivemind's all-reduce, which strangers may not: one NaN or one huge
number would spoil it for all. Whatever goes wrong, a peer goes on with its own vector, within its deadline.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from client.errors import SwarmError
from client.settings import write_atomically
from node.teams.average import MEMBER_PATIENCE, Offer, average
from node.teams.crew import Crew, Lend, Note
from node.teams.handover import MAX_PAYLOAD_BYTES, Handover, Keep
from node.teams.links import HivemindLinks, Links
from node.teams.round import TeamRound
from node.teams.session import Shared, Start, State
from node.teams.settings import Contact, TeamResult, TeamSettings

if TYPE_CHECKING:
    from node.teams.settings import Vector

__all__ = ["Team", "TeamResult", "TeamSettings"]

log = logging.getLogger("strata.node.team")

MAX_ROSTER_BYTES = 256 * 1024
FIND_SECONDS = 10.0  # that a start waits for a leader to answer
HAND_OVER_TRIES = 3
RETRY_SHARE = 0.25  # of the time for an average that must be left for another try under a new leader
Result = TypeVar("Result")


class Team:
    """This process's place in its team. Made by :meth:`start`; usable from any thread."""

    def __init__(self, links: Links, crew: Crew) -> None:
        self._links, self.crew = links, crew
        self.settings = crew.settings
        self.peer_id = links.peer_id
        self.maddrs = list(links.maddrs)
        self._watch: asyncio.Task[None] | None = None
        self._roster: Path | None = None

    @classmethod
    def start(
        cls,
        settings: TeamSettings,
        identity_path: Path,
        *,
        announce: Path | None = None,
        note: Note = lambda event, values: None,
        timeout_seconds: float = 30.0,
    ) -> Self:
        """Open the team's own connections and find its leader. Its address goes to ``announce``, for ``file:PATH``.

        A peer that finds no leader starts all the same, and goes on looking. ``note`` is told what happens to the team.
        """
        links = HivemindLinks.start(settings, identity_path, timeout_seconds)
        team = cls(links, Crew(links, settings, note))
        try:
            team._roster = identity_path.with_name("team-roster.json")
            if announce is not None:
                body = {"peer_id": team.peer_id, "maddrs": team.maddrs}
                write_atomically(announce, json.dumps(body).encode())
            term, contacts = read_roster(team._roster)
            contacts += configured(settings.peers, timeout_seconds if settings.rank else 0.0)
            mine = {contact.peer_id: contact for contact in contacts if contact.peer_id != team.peer_id}
            links.run(team._open(list(mine.values()), term), timeout_seconds)
        except BaseException:
            links.close()
            raise
        return team

    async def _open(self, contacts: list[Contact], term: int) -> None:
        await self.crew.open(contacts, term)
        deadline = time.monotonic() + FIND_SECONDS
        while contacts and self.crew.lead.is_silent(self.crew.clock()) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)  # a busy leader may have missed the first call
            await self.crew.beat()
        self._watch = asyncio.create_task(self._watch_and_save())

    async def _watch_and_save(self) -> None:
        saved = asyncio.create_task(self._save())
        try:
            await self.crew.watch()
        finally:
            saved.cancel()

    async def _save(self) -> None:
        """Keep the term and everybody's address, for the next start."""
        known: Any = None
        while True:
            lead = self.crew.lead
            now = (lead.term, tuple(lead.known.values()))
            if now != known and self._roster is not None:
                body = {"term": lead.term, "contacts": [contact.to_json() for contact in lead.known.values()]}
                write_atomically(self._roster, json.dumps(body).encode())
                known = now
            await asyncio.sleep(self.settings.silent_seconds)

    # ---- who leads ----

    @property
    def leading(self) -> bool:
        """Whether this peer speaks to the chain for the team now."""
        return self.crew.lead.leading

    @property
    def minority(self) -> bool:
        """Whether this peer leads, but less than half of what the team was lately."""
        return self.leading and self.crew.lead.is_minority(self.crew.clock())

    def status(self) -> dict[str, Any]:
        """The team as it is now, for people."""
        lead, now = self.crew.lead, self.crew.clock()
        leader = lead.leader.peer_id if lead.leader is not None and not lead.is_silent(now) else ""
        here = [contact.peer_id for contact in lead.alive(now)] if lead.leading else []
        return {"leading": lead.leading, "leader": leader, "term": lead.term, "peers": here}

    # ---- averaging ----

    def average(self, vector: Vector, round_key: str, deadline_seconds: float, tokens: int = 0) -> TeamResult:
        """The mean of the team's vectors; our own, unchanged, when that can't be had within the deadline."""
        patience = 1.0 if self.leading else MEMBER_PATIENCE
        longest = deadline_seconds * (0.5 + 0.5 * patience) + 2.0
        try:
            return self._run(self._average(vector, round_key, deadline_seconds, tokens), longest)
        except (SwarmError, OSError) as error:  # OSError: our own p2pd is gone
            log.warning("the team did not average %s: %s", round_key, error)
            return TeamResult(vector, 1, tokens, str(error))

    async def _average(self, vector: Vector, key: str, seconds: float, tokens: int) -> TeamResult:
        """Half of the time is for meeting, half for the work. Where the leader dies, once more with the next."""
        end = time.monotonic() + seconds
        while True:
            try:
                return await self._average_once(vector, key, seconds, tokens)
            except SwarmError as error:
                if end - time.monotonic() < RETRY_SHARE * seconds:
                    raise
                log.info("the team's average of %s begins anew: %s", key, error)
                await self._leader_again(end - time.monotonic() - RETRY_SHARE * seconds)
                seconds = end - time.monotonic()

    async def _leader_again(self, seconds: float) -> None:
        """Wait until somebody leads; ``SwarmError`` where nobody does in time."""
        deadline = time.monotonic() + seconds
        while True:
            lead, now = self.crew.lead, self.crew.clock()
            if lead.leading or (lead.leader is not None and now - lead.heard < 0.5 * lead.silent_seconds):
                return
            if time.monotonic() >= deadline:
                raise SwarmError("the team has no leader")
            await asyncio.sleep(min(0.1, lead.silent_seconds / 20))

    async def _average_once(self, vector: Vector, key: str, seconds: float, tokens: int) -> TeamResult:
        crew = self.crew
        leading, leader = crew.lead.leading, crew.lead.leader

        async def meet(name: str, value: Any, wait: float) -> dict[str, Any]:
            values = (await crew.meet(name, value, wait)).get("values")
            return values if isinstance(values, dict) else {}

        try:
            offer = Offer(vector, tokens, crew.me)
            name = leader.peer_id if leader is not None else ""
            mean = await average(self._links, meet, name, key, offer, 0.5 * seconds, 0.5 * seconds)
        finally:
            if leading:
                asyncio.get_running_loop().call_later(5.0, crew.meeting.forget, f"{key}/")
        return TeamResult(mean.vector, len(mean.group), mean.tokens, mean.reason)

    # ---- training together ----

    def round(self, key: str, size: int, rows: int, lineage: str = "") -> TeamRound:
        """A round to train in together: vectors of ``size`` values, ``rows`` rows of text a step and peer.

        ``lineage`` names what training starts from.
        """
        return TeamRound(self.crew, key, size, rows, lineage)

    def enter(self, round_: TeamRound) -> Start | None:
        """Where to begin in a round; None: where we are, for the team can't be asked."""
        if self.settings.mode == "delta":
            return round_.start
        try:
            return self._run(round_.enter(), 2 * self.settings.wait_seconds + 10.0)
        except (SwarmError, OSError) as error:
            log.warning("the team can't be entered: %s", error)
            return None

    def share(self, round_: TeamRound, vector: Vector, tokens: int, step: int) -> Shared:
        """Average with the team in mid-round; our own vector where that can't be."""
        try:
            return self._run(
                round_.share(vector, tokens, step), (1 + MEMBER_PATIENCE) * self.settings.wait_seconds + 10
            )
        except (SwarmError, OSError) as error:
            log.warning("the team did not average: %s", error)
            return round_.skip(vector, str(error))

    def give(self, round_: TeamRound, state: State, step: int) -> None:
        """A leader's state for those who wait for it."""
        self._attempt(round_.give(state, step))

    def finish(self, round_: TeamRound) -> None:
        """We have finished training in a round."""
        self._attempt(round_.finish())

    def _attempt(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """What training does not depend on."""
        try:
            self._run(coroutine, 10.0)
        except (SwarmError, OSError) as error:
            log.warning("team: %s", error)

    # ---- what the stand-in holds ----

    def keep_with(self, keep: Keep) -> None:
        """What to do with a delta that the leader hands over to us."""
        self.crew.standby.keep = keep

    def hand_over(self, handover: Handover, seconds: float) -> bool:
        """Give a sealed delta to the stand-in, if there is one; whether it holds it now."""
        end = time.monotonic() + seconds
        for _ in range(HAND_OVER_TRIES):
            left = end - time.monotonic()
            if left <= 0 or not self.leading:
                break
            try:
                return self._run(self.crew.standby.give(handover, left), left + 3.0)
            except (SwarmError, OSError) as error:
                log.warning("the stand-in does not hold our delta: %s", error)
        return False

    def lend_with(self, lend: Lend) -> None:
        """Where the others get this peer's sealed deltas from."""
        self.crew.lend = lend

    def borrow(self, model: int, round_number: int, seconds: float) -> bytes | None:
        """The payload of the leader's sealed delta for a round; None where it can't be had."""
        leader = self.crew.lead.leader
        if leader is None or self.leading:
            return None
        name = f"sealed/{model}/{round_number}"
        try:
            return self._run(self._links.fetch(leader, name, MAX_PAYLOAD_BYTES, seconds), seconds + 3.0)
        except (SwarmError, OSError) as error:
            log.info("the leader does not lend its delta of round %d: %s", round_number, error)
            return None

    # ---- the end ----

    def _run(self, coroutine: Coroutine[Any, Any, Result], seconds: float) -> Result:
        return self._links.run(coroutine, seconds)

    def close(self) -> None:
        """Leave the team."""
        close = getattr(self._links, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def configured(peers: Sequence[str], wait_seconds: float) -> list[Contact]:
    """Contacts from multiaddresses, or from the file that a leader writes. The first is the leader's."""
    deadline = time.monotonic() + wait_seconds
    found: dict[str, Contact] = {}
    for rank, peer in enumerate(peers):
        while True:
            try:
                for maddr in _read_addresses(peer):
                    peer_id = maddr.rsplit("/p2p/", 1)[1]
                    before = found.get(peer_id, Contact(peer_id, rank))
                    found[peer_id] = Contact(peer_id, before.rank, (*before.maddrs, maddr))
                break
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                if time.monotonic() >= deadline:
                    log.warning("no team peer at %s: %s", peer, error)
                    break
            time.sleep(0.2)
    return list(found.values())


def _read_addresses(peer: str) -> list[str]:
    if not peer.startswith("file:"):
        return [peer]
    return [str(maddr) for maddr in json.loads(Path(peer.removeprefix("file:")).read_text())["maddrs"]]


def read_roster(path: Path) -> tuple[int, list[Contact]]:
    """The term and the contacts of the last run; nothing where there was none."""
    try:
        if path.stat().st_size > MAX_ROSTER_BYTES:
            return 0, []
        body = json.loads(path.read_text())
        term = body["term"]
        return (term if type(term) is int else 0), [Contact.from_json(value) for value in body["contacts"]]
    except FileNotFoundError:
        return 0, []
    except (OSError, ValueError, KeyError, TypeError, SwarmError) as error:
        log.warning("%s can't be read: %s", path, error)
        return 0, []
