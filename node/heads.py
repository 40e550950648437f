"""The model's state at the chain's head: caught up by replay, moved on round by round, and the next head computed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from client.types import ModelInfo, SubmissionInfo
from contracts.enums import Phase

if TYPE_CHECKING:
    from client.chain_like import ChainLike
    from client.replay import Accepted, ModelState, NextHead
    from client.storage import Store
    from node.interfaces import Vector

log = logging.getLogger("strata.node.heads")

AcceptedIn = Callable[[int, int], "Sequence[Accepted] | None"]
"""The accepted deltas of a model's round, as the chain has them (:func:`accepted_on`)."""


class Heads:
    """One state per model, at the newest head that was asked for. Usable from several threads."""

    def __init__(self, store: Store, scratch: Path, timeout_seconds: float, accepted: AcceptedIn | None = None) -> None:
        self._store, self._scratch, self._timeout, self._accepted = store, scratch, timeout_seconds, accepted
        self._states: dict[int, ModelState] = {}
        self._made: dict[int, NextHead] = {}
        self._lock = threading.RLock()
        scratch.mkdir(parents=True, exist_ok=True)

    def state(self, model_id: int, head: bytes) -> ModelState:
        """The model at ``head``: as it is in memory, some rounds further, or replayed from the last snapshot."""
        with self._lock:
            known = self._states.get(model_id)
            if known is None or known.head_digest != head:
                known = self._states[model_id] = self._moved(model_id, head)
            return known

    def genesis(self, model: ModelInfo) -> Vector:
        """The trained values before the model's first round, read anew: too large to keep for one pass a round."""
        from client.replay import genesis_state

        return genesis_state(self._store, model.genesis, self._scratch, self._timeout).theta

    def next_head(
        self, model: ModelInfo, base_head: bytes, round_number: int, accepted: Sequence[SubmissionInfo]
    ) -> bytes:
        """Compute what the accepted deltas make of the model, store it, and return its digest."""
        from client.replay import Accepted, build_next_head, publish

        with self._lock:
            state = self.state(model.id, base_head)
            entries = [Accepted(s.digest, s.weight_q16, s.miner) for s in accepted]
            made = build_next_head(
                state, model.id, round_number, entries, self._store, self._scratch, timeout=self._timeout
            )
            digest = publish(self._store, made)
            if made.snapshot is not None:
                made.snapshot.unlink(missing_ok=True)
            self._made[model.id] = made
            return digest

    def advance(self, model: ModelInfo) -> None:
        """Be at the chain's head."""
        with self._lock:
            self.state(model.id, model.head)
            self._made.pop(model.id, None)

    def _moved(self, model_id: int, head: bytes) -> ModelState:
        """``head`` as the one that was just computed here, or the shorter way: by later deltas or the last snapshot."""
        from client.catchup import catch_up

        made = self._made.get(model_id)
        if made is not None and made.digest == head:
            return made.state
        known = self._states.pop(model_id, None)  # its vectors are used up on the way
        accepted = None if self._accepted is None else partial(self._accepted, model_id)
        state = catch_up(self._store, head, self._scratch, known, accepted, self._timeout)
        if known is None or state.round > known.round + 1:
            log.info("%s: caught up with round %d", state.genesis.name, state.round)
        return state


def accepted_on(chain: ChainLike) -> AcceptedIn:
    """What the chain says of a round's accepted deltas: none where it left the head, None where it isn't settled."""
    from client.replay import Accepted

    def of(model_id: int, number: int) -> Sequence[Accepted] | None:
        view = chain.round(model_id, number)
        if not view.settled:
            return None
        if view.phase != Phase.FINAL:
            return ()
        found = chain.submissions(model_id, number)
        return [Accepted(s.digest, s.weight_q16, s.miner) for s in found if s.weight_q16 > 0]

    return of
