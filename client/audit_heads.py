"""Every head of a model recomputed from its genesis and its deltas, and compared bit for bit.

Rounds overlap, heads do not: each follows the head that the round before it left, whatever its deltas started from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from client.audit_facts import RoundFacts
from client.audit_log import AuditLog, Progress
from client.cid import digest_bytes
from client.codec import max_payload_bytes
from client.errors import AuditError, DeltaError, ManifestError, StorageError
from client.manifests import Genesis
from client.replay import Accepted, ModelState, build_next_head, genesis_state, load_state, read_manifest, sha256_of
from client.storage import Store
from client.types import ModelInfo
from contracts.reference import weights_q16

FETCH_SECONDS = 60.0
_ERRORS = (StorageError, ManifestError, DeltaError, AuditError)


class HeadAudit:
    """One model's heads, round after round. Only the store's bytes and the chain's record of scores are used."""

    def __init__(self, store: Store, log: AuditLog, scratch: Path, timeout: float = FETCH_SECONDS) -> None:
        self._store, self._log, self._scratch, self._timeout = store, log, scratch, timeout

    def run(self, model: ModelInfo, rounds: Sequence[RoundFacts], from_start: bool, progress: Progress) -> None:
        """Recompute the heads of ``rounds``, which are settled and in order; ``from_start``: the first is round 1."""
        if not rounds:
            return
        state = self._start(model, rounds[0], from_start)
        for place, facts in enumerate(rounds):
            progress(f"{model.name}: head of round {facts.number}", place, len(rounds))
            if state is None:
                return
            state = self._round(model, facts, state)
        progress(f"{model.name}: heads", len(rounds), len(rounds))
        if state is not None and rounds[-1].number == model.head_round:
            self._log.compare((model.name, model.head_round), "head", state.head_digest, model.head, "registry")

    def genesis(self, model: ModelInfo) -> None:
        """A model without a settled round: its head is its genesis, whose weights hash to what is recorded."""
        where = (model.name, 0)
        self._log.compare(where, "head", model.genesis, model.head, "no round made a head yet")
        try:
            state = genesis_state(self._store, model.genesis, self._scratch, self._timeout)
        except _ERRORS as error:
            self._log.failed(where, "genesis", "weights that hash to what is recorded", error)
        else:
            self._log.compare(where, "genesis", state.genesis.weights_sha256, sha256_of(state.theta))

    def _start(self, model: ModelInfo, first: RoundFacts, from_start: bool) -> ModelState | None:
        try:
            if from_start:
                return genesis_state(self._store, model.genesis, self._scratch, self._timeout)
            return load_state(self._store, first.parent_head, self._scratch, self._timeout)
        except _ERRORS as error:
            self._log.failed(first.where, "starting point", "weights that hash to what is recorded", error)
            return None

    def _round(self, model: ModelInfo, facts: RoundFacts, state: ModelState) -> ModelState | None:
        self._log.compare(facts.where, "parent head", state.head_digest, facts.parent_head, "as recomputed")
        if facts.is_void or facts.ended is None:
            return state
        recorded = bytes(facts.ended.args["head"])
        accepted = list(accepted_of(facts))
        if not accepted:
            self._log.compare(facts.where, "head", state.head_digest, recorded, "nothing was accepted")
            return state
        if not self._check_deltas(facts, state.genesis, accepted):
            return self._resume(facts, recorded)
        try:
            made = build_next_head(
                state, model.id, facts.number, accepted, self._store, self._scratch, reuse=True, timeout=self._timeout
            )
        except _ERRORS as error:
            self._log.failed(facts.where, "head", recorded.hex(), error)
            return self._resume(facts, recorded)
        if made.snapshot is not None:
            made.snapshot.unlink(missing_ok=True)
        self._compare(facts, recorded, made.state)
        return made.state if made.digest == recorded else self._resume(facts, recorded)

    def _check_deltas(self, facts: RoundFacts, genesis: Genesis, accepted: Sequence[Accepted]) -> bool:
        """Every accepted delta can be had, and is what its miner committed to."""
        cap = max_payload_bytes(genesis.size, genesis.compression)
        good = True
        for entry in accepted:
            try:
                payload = self._store.get(entry.digest, cap, self._timeout)
            except StorageError as error:
                self._log.failed(facts.where, "delta", entry.digest.hex(), error, entry.miner)
                good = False
            else:
                good &= self._log.compare(facts.where, "delta", entry.digest, digest_bytes(payload), entry.miner)
        return good

    def _compare(self, facts: RoundFacts, recorded: bytes, state: ModelState) -> None:
        """The digest says it all; the fields of the recorded manifest say where the difference is."""
        self._log.compare(facts.where, "head", state.head_digest, recorded, "manifest digest")
        try:
            manifest = read_manifest(self._store, recorded, self._timeout)
        except _ERRORS as error:
            self._log.failed(facts.where, "head manifest", recorded.hex(), error)
            return
        ours, theirs = (state.head.to_json() if state.head else {}), manifest.to_json()
        for field in sorted({*ours, *theirs}):
            check = field if field.endswith("sha256") else "head manifest"
            self._log.compare(facts.where, check, ours.get(field), theirs.get(field), field)

    def _resume(self, facts: RoundFacts, recorded: bytes) -> ModelState | None:
        """Go on from what the chain recorded, so that later rounds are looked at, too."""
        try:
            return load_state(self._store, recorded, self._scratch, self._timeout)
        except _ERRORS as error:
            self._log.failed(facts.where, "recorded head", recorded.hex(), error, "later heads were not recomputed")
            return None


def accepted_of(facts: RoundFacts) -> Iterator[Accepted]:
    """The deltas that entered the head, with weights recomputed from the revealed scores."""
    weights = weights_q16(facts.consensus)
    for event, weight in zip(facts.submissions, weights, strict=True):
        if weight > 0:
            yield Accepted(bytes(event.args["digest"]), weight, event.args["miner"])
