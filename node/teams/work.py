"""What a miner does as one of a team: who speaks to the chain, what the stand-in is given, what it does with it.

Two peers of a split team may both think that they lead. That is harmless, since all they do is bound by the chain: it
takes one commitment of an account in a round, and only what was committed to can be revealed. A stand-in that was
given the leader's delta sends the very same commitment and the very same reveal.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.commitments import delta_commitment
from client.errors import SwarmError
from client.types import RoundInfo
from contracts.enums import Phase
from node.config import TeamConfig
from node.fates import Fates
from node.teams.handover import Handover
from node.vault import DeltaRecord

if TYPE_CHECKING:
    from client.types import ModelInfo
    from node.interfaces import TrainJob, Vector
    from node.miner import MinerParts

log = logging.getLogger("strata.node.team")

HAND_OVER_SECONDS = 10.0  # that a commitment waits at most for the stand-in
RESIDUAL_SECONDS = 120.0  # for what compression dropped, which is sent after the commitment
BORROW_SECONDS = 10.0
MATCHES_KNOWN = 4


@dataclass(frozen=True)
class SetAside:
    """A round's average that somebody else was to seal."""

    seed: bytes
    job: TrainJob
    delta: Vector
    tokens: int
    dataset_ids: list[int]


class TeamWork:
    """One miner's part in its team, on one model. For a miner of one it changes nothing."""

    def __init__(self, config: TeamConfig, parts: MinerParts, fates: Fates, model_id: int) -> None:
        self._config, self._parts, self._fates, self._team = config, parts, fates, parts.team
        self._model_id = model_id
        self._aside: SetAside | None = None
        self._dropped: tuple[bytes, Vector] | None = None  # digest of a payload, and what compression dropped from it
        self._handed: set[bytes] = set()  # digests of what the stand-in holds
        self._matches: dict[bytes, bool] = {}  # by a delta's digest: whether the chain's commitment is to it
        self._taken: queue.SimpleQueue[Handover] = queue.SimpleQueue()

    @property
    def member(self) -> bool:
        """Whether another peer speaks to the chain."""
        return self._config.role == "member" if self._team is None else not self._team.leading

    # ---- training for another ----

    def lend(self, round_number: int) -> bytes | None:
        """Our sealed delta of a round, for the others of the team."""
        record = self._parts.vault.last(DeltaRecord, self._model_id, round_number)
        return self._parts.vault.payload(record) if record else None

    def borrow(self, round_number: int) -> bytes | None:
        """The leader's sealed delta of a round: all of a team go on from there."""
        if self._team is None or not self.member:
            return None
        return self._team.borrow(self._model_id, round_number, BORROW_SECONDS)

    def set_aside(self, trained: SetAside) -> None:
        """Keep a round's average until the leader's delta is here, or the leader is gone."""
        self._aside = trained if self._team is not None else None

    def take_up(self, view: RoundInfo) -> SetAside | None:
        """What we set aside for this round, where it is ours to seal now."""
        found, self._aside = self._aside, None
        return found if found is not None and found.seed == view.seed and not self.member else None

    # ---- a leader ----

    def sealed(self, digest: bytes, dropped: Vector) -> None:
        """Remember what compression dropped, for the stand-in."""
        self._dropped = (digest, dropped) if self._team is not None else None

    def may_commit(self, record: DeltaRecord, last_call: Callable[[], bool]) -> bool:
        """Give the delta to the stand-in, and say whether to commit now.

        Where most of the team is elsewhere, its commitment goes first: ours waits for the last call.
        """
        if self._team is None:
            return True
        if self._team.minority and not last_call():
            return False
        payload, seconds = self._parts.vault.payload(record), min(HAND_OVER_SECONDS, self._config.wait_seconds)
        if record.digest not in self._handed and self._team.hand_over(record, payload, None, seconds):
            self._handed = {record.digest}
            log.info("round %d: the stand-in holds our delta", record.round)
        return True

    def committed(self, record: DeltaRecord) -> None:
        """The commitment is sent: the stand-in gets what compression dropped, too, while we go on."""
        dropped, self._dropped = self._dropped, None
        team = self._team
        if team is None or dropped is None or dropped[0] != record.digest or record.digest not in self._handed:
            return
        give = (record, None, dropped[1], RESIDUAL_SECONDS)
        threading.Thread(target=team.hand_over, args=give, name="strata-residual", daemon=True).start()

    # ---- a stand-in ----

    def keep(self, handover: Handover) -> None:
        """The leader's delta, on disk before this returns. Called by the team's thread."""
        if handover.payload is not None:
            held = self._parts.vault.keep(handover.record, handover.payload)
            if held != handover.record:
                raise SwarmError("we have sealed a delta of our own for that round")
        if handover.residual is not None:
            self._taken.put(handover)

    def take_in(self, model: ModelInfo) -> None:
        """Let what compression dropped from the leader's deltas count here as it does there."""
        while not self._taken.empty():
            handover = self._taken.get()
            record, dropped = handover.record, handover.residual
            held = self._parts.vault.find(DeltaRecord, model.id, record.round, record.seed)
            if dropped is not None and held == record:
                residuals = self._parts.residuals
                residuals.propose(model.id, model.genesis, record.round, record.digest, dropped)
                self._fates.adopt(model)

    # ---- what the chain says ----

    def commitment(self, record: DeltaRecord) -> bytes:
        """What binds this miner to a delta."""
        chain = self._parts.chain
        return delta_commitment(
            chain.chain_id, chain.contract_address("Rounds"), record.model, record.round, chain.address, record.digest,
            record.salt,
        )  # fmt: skip

    def has_sealed(self, record: DeltaRecord | None, committed: bool) -> bool:
        """Whether the round's delta is in our journal: of a team's peers, the one that was committed to."""
        if record is None or not committed or self._team is None:
            return record is not None
        if record.digest not in self._matches:
            chain = self._parts.chain
            found = chain.committed(record.model, record.round, chain.address).delta
            matches = found == self.commitment(record)
            if not matches:
                log.warning("round %d: another peer of the team committed to another delta", record.round)
            self._matches = dict(list(self._matches.items())[1 - MATCHES_KNOWN :]) | {record.digest: matches}
        return self._matches[record.digest]

    def steps_in(self, view: RoundInfo, record: DeltaRecord | None, block: int | None) -> bool:
        """Whether a member reveals all the same: it could, and half of the time has gone by without its leader."""
        if self._team is None or view.phase != Phase.REVEAL or block is None or not self.has_sealed(record, True):
            return False
        return view.phase_end - block <= self._parts.chain.windows(view.model_id, view.round)[Phase.REVEAL - 1] // 2
