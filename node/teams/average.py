"""One average of a team: join, all-reduce, check; once more with those who are left, or everybody keeps its own.

    join       who is here, with how many values, and the sums of blocks of its vector
    done       everybody checked its result

A peer that dies in the middle leaves the others with a vector that is averaged in parts, each with other parts. The
block sums detect that: the sums of a result must be the mean of the sums that were announced. That two results are
equal would not show it: they may be equally wrong.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from client.errors import SwarmError
from node.teams.settings import Contact

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.teams.links import Links
    from node.teams.settings import Vector

log = logging.getLogger("strata.node.team")

BLOCKS = 512  # sums that describe a vector
TOLERANCE = 1e-4  # of a block's sum of magnitudes: float32 rounding is a hundredth of it
ATTEMPTS = 2
MEMBER_PATIENCE = 4.0  # times what a leader waits
ATTEMPT_SHARE = 0.45  # of the time for work that the first all-reduce may take

Meet = Callable[[str, Any, float], Awaitable[dict[str, Any]]]
"""Come to the leader's barrier of that key, with a value, for so many seconds: who came, with what."""


@dataclass(frozen=True)
class Offer:
    """What a peer brings to an average."""

    vector: Vector
    tokens: int
    contact: Contact
    lineage: str = ""  # of what the vector is a step from: those of another lineage can't be averaged with
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is announced."""
        finite = bool(np.isfinite(self.vector).all())
        sums = encode_sums(block_sums(self.vector)) if finite else ""
        about = {"n": int(self.vector.size), "finite": finite, "tokens": self.tokens, "sums": sums}
        return {**about, "contact": self.contact.to_json(), "lineage": self.lineage, **self.extra}


@dataclass(frozen=True)
class Mean:
    """What came of it: the mean of ``group`` (leader's own order), or our own vector and the reason."""

    vector: Vector
    group: tuple[Contact, ...]
    tokens: int
    reason: str = ""
    here: Mapping[str, Any] = field(default_factory=dict)  # what everybody who came had announced


async def average(
    links: Links, meet: Meet, leader: str, key: str, offer: Offer, join_seconds: float, work_seconds: float
) -> Mean:
    """The mean of the vectors of all who come to ``key`` and fit the leader's; ``SwarmError`` without a leader.

    Half of a leader's time is for meeting; a member waits longer, for its leader closes the barriers.
    """
    mine = offer.to_json()
    patience = 1.0 if leader == links.peer_id else MEMBER_PATIENCE
    here = await meet(f"{key}/join", mine, join_seconds * patience)
    group = usable(here, leader)
    own = Mean(offer.vector, (offer.contact,), offer.tokens, here=here)
    if not mine["finite"]:
        return _because(own, "our own vector is not finite")
    if links.peer_id not in group or len(group) < 2:
        return _because(own, f"{len(here)} of the team came, {len(group)} with a vector that fits")
    deadline = time.monotonic() + work_seconds
    for attempt in range(ATTEMPTS):
        left = deadline - time.monotonic()
        seconds = left * (ATTEMPT_SHARE if attempt + 1 < ATTEMPTS else 0.8)
        contacts = [group[peer] for peer in sorted(group)]
        result = await links.reduce(_group_id(key, attempt, sorted(group)), contacts, offer.vector, seconds)
        good = result is not None and is_mean(result, [here[peer]["sums"] for peer in group])
        grace = max(0.1, min(deadline - time.monotonic(), 0.25 * left))
        done = await meet(f"{key}/done{attempt}", good, grace * patience)
        if result is not None and good and done.keys() >= group.keys() and all(done[peer] for peer in group):
            tokens = sum(int(here[peer]["tokens"]) for peer in group)
            places = sorted(group.values(), key=lambda contact: (contact.rank, contact.peer_id))
            return Mean(result, tuple(places), tokens, here=here)
        group = {peer: contact for peer, contact in group.items() if peer in done}
        log.info("%s: the average was incomplete, %d are left", key, len(group))
        if links.peer_id not in group or len(group) < 2:
            break
    return _because(own, "the average was incomplete: a peer went away or failed")


def _because(own: Mean, reason: str) -> Mean:
    return Mean(own.vector, own.group, own.tokens, reason, own.here)


def _group_id(key: str, attempt: int, peers: Sequence[str]) -> bytes:
    return hashlib.sha256("|".join((key, str(attempt), *peers)).encode()).digest()


def usable(here: Mapping[str, Any], leader: str) -> dict[str, Contact]:
    """The peers whose vectors fit the leader's. Everybody sees the same, so everybody finds the same group."""
    first = here.get(leader)
    if not _is_offer(first):
        return {}
    assert first is not None, "it is an offer"
    like = (first["n"], first["lineage"])
    found: dict[str, Contact] = {}
    for peer, value in here.items():
        if _is_offer(value) and value["finite"] is True and (value["n"], value["lineage"]) == like:
            try:
                contact = Contact.from_json(value["contact"])
            except SwarmError:
                continue
            if contact.peer_id == peer:
                found[peer] = contact
    return found if leader in found else {}


def _is_offer(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("n")) is int
        and type(value.get("tokens")) is int
        and isinstance(value.get("sums"), str)
        and isinstance(value.get("lineage"), str)
    )


def block_sums(vector: Vector) -> NDArray[np.float64]:
    """Sums and sums of magnitudes over ``BLOCKS`` even parts of a vector, in float64: two rows."""
    if vector.size == 0:
        return np.zeros((2, 1))
    edges = np.linspace(0, vector.size, min(BLOCKS, vector.size), endpoint=False).astype(np.int64)
    return np.stack(
        [np.add.reduceat(vector, edges, dtype=np.float64), np.add.reduceat(np.abs(vector), edges, dtype=np.float64)]
    )


def encode_sums(sums: NDArray[np.float64]) -> str:
    """Sums as text."""
    return base64.b64encode(sums.astype("<f8").tobytes()).decode()


def is_mean(result: Vector, announced: Sequence[str]) -> bool:
    """Whether the result's block sums are the mean of those that were announced, up to rounding."""
    found = block_sums(result)
    if not np.isfinite(found).all():
        return False
    try:
        rows = [np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8") for text in announced]
    except ValueError:
        return False
    if any(row.size != found.size for row in rows):
        return False
    mean = np.mean([row.reshape(found.shape) for row in rows], axis=0)
    return bool((np.abs(found[0] - mean[0]) <= TOLERANCE * mean[1] + 1e-12).all())
