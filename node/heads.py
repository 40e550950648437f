"""The model's state at the chain's head: caught up by replay, moved on round by round, and the next head computed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import AuditError
from client.manifests import Genesis
from client.types import ModelInfo, SubmissionInfo

if TYPE_CHECKING:
    from client.replay import Accepted, ModelState, NextHead
    from client.storage import Store
    from node.interfaces import Vector

log = logging.getLogger("strata.node.heads")


class Heads:
    """One state per model, at the newest head that was asked for. Usable from several threads."""

    def __init__(self, store: Store, scratch: Path, timeout_seconds: float) -> None:
        self._store, self._scratch, self._timeout = store, scratch, timeout_seconds
        self._states: dict[int, ModelState] = {}
        self._made: dict[int, NextHead] = {}
        self._lock = threading.RLock()
        scratch.mkdir(parents=True, exist_ok=True)

    def state(self, model_id: int, head: bytes) -> ModelState:
        """The model at ``head``: as it is in memory, one round further, or replayed from the last snapshot."""
        with self._lock:
            known = self._states.get(model_id)
            if known is None or known.head_digest != head:
                known = self._next(model_id, known, head) or self._replayed(head)
                self._states[model_id] = known
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

    def _next(self, model_id: int, known: ModelState | None, head: bytes) -> ModelState | None:
        """``head`` as the one that was just computed here, or from ``known`` by its manifest's last round."""
        made = self._made.get(model_id)
        if made is not None and made.digest == head:
            return made.state
        if known is None:
            return None
        from client.replay import build_next_head, read_manifest

        manifest = read_manifest(self._store, head, self._timeout)
        if isinstance(manifest, Genesis) or manifest.parent != known.head_digest.hex() or not manifest.deltas:
            return None
        last = manifest.deltas[-1]
        entries = [_accepted(ref.digest, ref.weight_q16, ref.miner) for ref in last.deltas]
        done = build_next_head(
            known, model_id, last.round, entries, self._store, self._scratch, reuse=True, timeout=self._timeout
        )
        if done.digest != head:
            self._states.pop(model_id, None)  # its vectors were used up
            raise AuditError(
                f"round {last.round} of model {model_id}: its deltas do not make the head {head.hex()[:12]}"
            )
        return done.state

    def _replayed(self, head: bytes) -> ModelState:
        from client.replay import load_state

        state = load_state(self._store, head, self._scratch, self._timeout)
        log.info("%s: caught up with round %d", state.genesis.name, state.round)
        return state


def _accepted(digest: str, weight_q16: int, miner: str) -> Accepted:
    from client.replay import Accepted

    return Accepted(bytes.fromhex(digest), weight_q16, miner)
