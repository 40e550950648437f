"""Who leads a team: terms, silence, votes, and two leaders that meet after a split. Pure: time is an argument.

Only peers that hold the miner's wallet may lead: rank 0, and rank 1 that stands in. A leader is followed until it was
silent for a while. Then the stand-in asks the others; whoever still hears the leader denies, which tells the stand-in
that it is cut off itself. With nobody to deny it, it leads the next term.

A team that splits may so have two leaders for a time. Neither can do harm: the chain takes one commitment. When they
hear of each other, the larger side goes on, and the smaller one joins it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from client.errors import SwarmError
from node.teams.settings import MAX_PEERS, Contact

MAX_TERM = 2**53
COLD_PATIENCE = 5.0  # times the silence that a stand-in gives a leader which it has never heard
FULL_MEMORY = 20.0  # times the silence after which a team that shrank is taken as it is


class Claim(NamedTuple):
    """What two leaders are compared by: the larger side, then the later term, then the lower rank."""

    side: int  # peers, the leader included
    term: int
    rank: int  # negated
    peer_id: str


@dataclass
class Leadership:
    """One peer's view of who leads. ``now`` is in seconds of a monotonic clock."""

    me: Contact
    silent_seconds: float
    started: float
    term: int = 0
    leader: Contact | None = None
    heard: float = 0.0  # when the leader was heard last
    known: dict[str, Contact] = field(default_factory=dict)  # everybody we ever heard of, ourselves excluded
    _seen: dict[str, float] = field(default_factory=dict)  # at a leader: who follows, heard when
    _voted: int = 0  # the last term that we granted
    _full: tuple[int, float] = (1, 0.0)  # the most peers that the team was lately, and when

    @property
    def leading(self) -> bool:
        """Whether we lead."""
        return self.leader is not None and self.leader.peer_id == self.me.peer_id

    def alive(self, now: float) -> list[Contact]:
        """Of a leader: who is here, ourselves first, then by rank."""
        here = [self.known[peer] for peer, seen in self._seen.items() if now - seen <= self.silent_seconds]
        return [self.me, *sorted(here, key=lambda contact: (contact.rank, contact.peer_id))]

    def is_silent(self, now: float) -> bool:
        """Whether there is no leader to be heard."""
        return not self.leading and (self.leader is None or now - self.heard > self.silent_seconds)

    def is_minority(self, now: float) -> bool:
        """Of a leader: whether less than half of what the team was lately is on this side."""
        return 2 * len(self.alive(now)) < self._fullest(now)

    def _fullest(self, now: float) -> int:
        size, since = self._full
        present = len(self.alive(now)) if self.leading else size
        if present >= size or now - since > FULL_MEMORY * self.silent_seconds:
            self._full = (present, now)
        return self._full[0]

    def stand_in(self, now: float) -> Contact | None:
        """Of a leader: the other peer that may lead."""
        return next((contact for contact in self.alive(now)[1:] if contact.may_lead), None)

    # ---- a leader ----

    def lead(self, now: float) -> None:
        """Lead the next term."""
        self.term = max(self.term, self._voted) + 1
        self.leader, self.heard = self.me, now
        self._seen.clear()

    def note(self, contact: Contact, now: float) -> None:
        """Somebody follows us and is here."""
        self.learn(contact)
        if contact.peer_id in self.known:
            self._seen[contact.peer_id] = now
        self._fullest(now)

    def learn(self, contact: Contact) -> None:
        """Remember a peer and where it is."""
        if contact.peer_id != self.me.peer_id and (contact.peer_id in self.known or len(self.known) < MAX_PEERS):
            self.known[contact.peer_id] = contact
            if self.leader is not None and self.leader.peer_id == contact.peer_id:
                self.leader = contact  # it may have moved to another port

    def expire(self, now: float) -> list[str]:
        """Forget those who fell silent; returns their ids."""
        gone = [peer for peer, seen in self._seen.items() if now - seen > self.silent_seconds]
        for peer in gone:
            del self._seen[peer]
        return gone

    def view(self, now: float) -> dict[str, Any]:
        """What we tell whoever asks: who leads, and at a leader who is here."""
        heard = not self.is_silent(now)
        return {
            "term": self.term,
            "leading": self.leading,
            "leader": self.leader.to_json() if self.leader and heard else None,
            "members": [contact.to_json() for contact in self.alive(now)] if self.leading else [],
        }

    # ---- a follower ----

    def follow(self, view: dict[str, Any], now: float) -> bool:
        """Take in what another told. True where it leads, and we follow it now."""
        term, leader = view.get("term"), view.get("leader")
        if type(term) is not int or not 0 <= term < MAX_TERM:
            raise SwarmError("a peer told of no term")
        contact = Contact.from_json(leader) if leader is not None else None
        if contact is None or term < self.term or contact.peer_id == self.me.peer_id:
            return False
        members = [Contact.from_json(member) for member in list(view.get("members") or ())[:MAX_PEERS]]
        for member in (contact, *members):
            self.learn(member)
        self.term, self.leader = term, contact
        if view.get("leading") is not True:
            return False  # a hint where to ask; only the leader itself proves that it is here
        self.heard = now
        if len(members) >= self._full[0] or now - self._full[1] > FULL_MEMORY * self.silent_seconds:
            self._full = (len(members), now)
        return True

    def grant(self, candidate: Contact, term: int, now: float) -> bool:
        """Whether the candidate may lead that term, as far as we are concerned."""
        hears_another = not self.is_silent(now) and self.leader is not None and self.leader != candidate
        if self.leading or hears_another or not candidate.may_lead or term <= max(self.term, self._voted):
            return False
        if term >= MAX_TERM:
            return False
        self._voted = term
        return True

    def may_stand(self, now: float) -> bool:
        """Whether it is time to take over."""
        if not self.me.may_lead or not self.is_silent(now):
            return False
        return self.leader is not None or now - self.started > COLD_PATIENCE * self.silent_seconds

    # ---- two leaders ----

    def claim(self, now: float) -> Claim:
        """Ours."""
        return Claim(len(self.alive(now)), self.term, -self.me.rank, self.me.peer_id)

    def outlast(self, term: int) -> None:
        """Another gave way that led in that term: ours is later from now on."""
        if self.term <= term < MAX_TERM:
            self.term = term + 1

    def meet(self, other: Claim, contact: Contact, now: float) -> bool:
        """Another leads too: True where we give way and follow it, False where we go on, in a term later than both."""
        if self.leading and self.claim(now) > other:
            self.outlast(other.term)
            return False
        self.known[contact.peer_id] = contact
        self._seen.clear()
        self.term, self.leader, self.heard = max(self.term, other.term), contact, now
        return True


def read_claim(message: dict[str, Any]) -> tuple[Claim, Contact]:
    """Another leader's claim; ``SwarmError`` where it is malformed."""
    side, term, contact = message.get("side"), message.get("term"), Contact.from_json(message.get("contact"))
    if type(side) is not int or type(term) is not int or not 0 < side <= MAX_PEERS or not 0 <= term < MAX_TERM:
        raise SwarmError("a claim to lead of another form than ours")
    return Claim(side, term, -contact.rank, contact.peer_id), contact
