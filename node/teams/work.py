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

from client.errors import SwarmError
from client.types import RoundInfo
from node.config import TeamConfig
from node.fates import Fates
from node.interfaces import Averager, TrainJob
from node.residual import Residuals
from node.teams.handover import Handover
from node.vault import DeltaRecord, Vault

if TYPE_CHECKING:
    from client.types import ModelInfo
    from node.interfaces import Vector

log = logging.getLogger("strata.node.team")

RESIDUAL_SECONDS = 120.0  # for what compression dropped, which is sent after the commitment


@dataclass(frozen=True)
class Trained:
    """A round's average that somebody else was to seal."""

    seed: bytes
    job: TrainJob
    delta: Vector
    tokens: int
    dataset_ids: list[int]


class TeamWork:
    """One miner's part in its team, on one model. For a miner of one it changes nothing."""

    def __init__(
        self, config: TeamConfig, team: Averager | None, vault: Vault, residuals: Residuals, fates: Fates
    ) -> None:
        self._config, self._team, self._vault, self._residuals, self._fates = config, team, vault, residuals, fates
        self._aside: Trained | None = None
        self._dropped: tuple[bytes, Vector] | None = None  # digest of a payload, and what compression dropped from it
        self._handed: set[bytes] = set()  # digests of what the stand-in holds
        self._taken: queue.SimpleQueue[Handover] = queue.SimpleQueue()

    @property
    def alone(self) -> bool:
        """Whether there is no team."""
        return self._team is None

    @property
    def member(self) -> bool:
        """Whether another peer speaks to the chain."""
        return self._config.role == "member" if self._team is None else not self._team.leading

    # ---- training for another ----

    def set_aside(self, trained: Trained) -> None:
        """Keep a round's average until the leader's delta is here, or the leader is gone."""
        self._aside = trained if self._team is not None else None

    def take_up(self, view: RoundInfo) -> Trained | None:
        """What we set aside for this round, where it is ours to seal now."""
        found, self._aside = self._aside, None
        return found if found is not None and found.seed == view.seed and not self.member else None

    # ---- a leader ----

    def sealed(self, digest: bytes, dropped: Vector) -> None:
        """Remember what compression dropped, for the stand-in."""
        self._dropped = (digest, dropped) if self._team is not None else None

    def may_commit(self, record: DeltaRecord, payload: bytes | None, last_call: Callable[[], bool]) -> bool:
        """Give the delta to the stand-in, and say whether to commit now.

        Where most of the team is elsewhere, its commitment goes first: ours waits for the last call.
        """
        if self._team is None:
            return True
        if self._team.minority and not last_call():
            return False
        if record.digest not in self._handed and self._team.hand_over(record, payload, None, self._config.wait_seconds):
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
            held = self._vault.keep(handover.record, handover.payload)
            if held != handover.record:
                raise SwarmError("we have sealed a delta of our own for that round")
        if handover.residual is not None:
            self._taken.put(handover)

    def take_in(self, model: ModelInfo) -> None:
        """Let what compression dropped from the leader's deltas count here as it does there."""
        while not self._taken.empty():
            handover = self._taken.get()
            record, dropped = handover.record, handover.residual
            if dropped is not None and self._vault.find(DeltaRecord, model.id, record.round, record.seed) == record:
                self._residuals.propose(model.id, model.genesis, record.round, record.digest, dropped)
                self._fates.adopt(model)
