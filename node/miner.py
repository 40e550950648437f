"""The miner: train on what the seed deals, commit to the delta, reveal it. Reads from top to bottom like the round.

While one round's deltas are judged, the miner trains for the next. What compression dropped from a delta is in the next
one at once; what was sent and comes back follows when the chain has settled the round.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from client.assignment import ShardRef, assign_shards, assigned_datasets, shard_list
from client.cid import digest_bytes
from client.commitments import new_salt
from client.errors import DeltaError, StorageError, TeamOverError
from client.types import ZERO_DIGEST, DatasetInfo, ModelInfo, Reveal, RoundInfo
from contracts.enums import DeltaKind, Phase
from node.deadline import Deadline
from node.decisions import Action, MinerRecords, commit_deadline, next_miner_action, usable
from node.fates import Fates
from node.interfaces import Averager, MinerChain, Progress, Trainer, TrainJob
from node.pins import Pins
from node.residual import Residuals
from node.runtime import Runtime
from node.teams.work import SetAside, TeamWork
from node.texts import Blobs, Texts
from node.vault import DeltaRecord, Vault
from node.worker import Worker

if TYPE_CHECKING:
    from node.interfaces import Trained, Vector

PROGRESS_SECONDS = 1.0  # between two train_step events
SEEDS_KNOWN = 8

log = logging.getLogger("strata.node.miner")


class MinerStore(Blobs, Protocol):
    """What a miner needs of IPFS."""

    def put(self, data: bytes) -> bytes: ...


@dataclass(frozen=True)
class MinerParts:
    """What a miner works with."""

    chain: MinerChain
    store: MinerStore
    texts: Texts
    trainer: Trainer
    vault: Vault
    residuals: Residuals
    team: Averager | None = None
    account: str = ""  # the address that the shards are dealt to, where it is not this node's own (a team's member)
    pins: Pins | None = None  # what to keep on IPFS, and for how long; None: all that was put stays pinned


class Miner(Worker):
    """One miner's work on one model."""

    def __init__(self, runtime: Runtime, parts: MinerParts, model: ModelInfo) -> None:
        super().__init__(runtime, parts.chain, model)
        self.parts = parts
        self.address = parts.account or parts.chain.address
        self.fates = Fates(parts.chain, parts.trainer, parts.vault, parts.residuals, self.address)
        self.work = TeamWork(runtime.config.team, parts, self.fates, model.id)
        self.missed = 0  # the last round that went by without us
        self.worked = 0  # the last round that a team's member trained for
        self._miners: dict[bytes, list[str]] = {}  # by the rounds' seeds
        self._known_committed: set[bytes] = set()  # seeds of the rounds where that was seen on chain
        self._known_revealed: set[bytes] = set()
        self._inner_seconds = 0.0  # in the inner loop since the last delta was sealed
        self._sealed_at: float | None = None  # when that was, by the monotonic clock
        self.shares: dict[int, float] = {}  # round -> part of the wall time before its sealing that went into training
        self.handlers = {
            Action.TRAIN: self.train,
            Action.COMMIT: self.commit,
            Action.REVEAL: self.reveal,
            Action.MISSED: self.miss,
        }

    @property
    def member(self) -> bool:
        """Whether another peer of our team speaks to the chain."""
        return self.work.member

    def decide(self, view: RoundInfo | None, newest: bool = True) -> Action:
        """The pure decision on what the chain and our journal say."""
        opens = self.auto_open and newest
        if view is None:
            return next_miner_action(None, MinerRecords(False, False, False, False), opens)
        if view.ended:
            mine = MinerRecords(False, False, False, False, finished=self.finished >= view.round)
            return next_miner_action(view, mine, opens)
        enrolled = self.address in self.miners_of(view)
        committed = enrolled and self._has_committed(view)
        if self.member and not (committed and self.work.steps_in(view, self._record(view), self.block_now())):
            done = self.worked >= view.round
            return next_miner_action(view, MinerRecords(enrolled, done, done or committed, True, missed=True), False)
        mine = MinerRecords(
            enrolled=enrolled,
            sealed=self.work.has_sealed(self._record(view), committed),
            committed=committed,
            revealed=committed and view.phase >= Phase.REVEAL and self._has_revealed(view),
            missed=self.missed >= view.round,
        )
        return next_miner_action(view, mine, opens)

    def prepare(self) -> None:
        """Load the model."""
        with self.runtime.compute:
            self.parts.trainer.advance(self.model)

    # TRAIN ------------------------------------------------------------------------------------------------------------

    def train(self, view: RoundInfo) -> None:
        """Inner loop on the dealt shards, the team's average, error feedback, compression, journal."""
        aside = self.work.take_up(view)
        if aside is not None:
            self._seal(view, aside.job, aside.delta, aside.tokens, aside.dataset_ids)
            return
        datasets = usable(self.parts.chain.datasets(self.model.id), view.open_block)
        hand = deal(datasets, view, self.miners_of(view))[self.address]
        if not hand:
            if self.missed != view.round:
                log.info("%s: round %d has no text for us", self.model.name, view.round)
                self.event("refused", view.round, message="no dataset is usable in this round")
            self.missed = self.worked = view.round
            self.runtime.sleep(1.0)
            return
        model = self.parts.chain.model(self.model.id)
        job = TrainJob(
            model=model,
            parent=self.parts.chain.model(model.parent_id) if model.parent_id else None,
            base_head=view.base_head,
            kind=self._kind(model),
            shards=self.parts.texts.training(datasets, hand),
            seed=view.seed,
            miner=self.address,
            member=max(1, self.runtime.config.team.rank) if self.member else 0,
            ahead=self._ahead(view),
        )
        trained = self._compute(view, job)
        if trained is None:
            return
        delta, tokens = self._with_team(view, trained)
        if self.member:
            self.worked = view.round
            self.work.set_aside(SetAside(view.seed, job, delta, tokens, assigned_datasets(hand)))
            return
        self._seal(view, job, delta, tokens, assigned_datasets(hand))

    def _ahead(self, view: RoundInfo) -> bytes | None:
        """Our delta of the round before, where the base head does not know that round yet: training goes on from there.

        All peers of a team go on from their leader's. Not after a delta that was refused: one made on top of it would
        be worth nothing either, and so would the one after that.
        """
        if view.base_head == view.parent_head or self.fates.refused(self.model.id, view.round - 2):
            return None
        record = self._record(self.chain.round(self.model.id, view.round - 1))
        return self.parts.vault.payload(record) if record else self.work.borrow(view.round - 1)

    def _compute(self, view: RoundInfo, job: TrainJob) -> Trained | None:
        """Train under the process's compute lock, until done or until COMMIT is about to close."""
        deadline = Deadline(self, view)
        lock = self.runtime.compute
        while not lock.acquire(timeout=0.5):
            if deadline.near():
                log.warning("%s: round %d: no time was left beside the other model", self.model.name, view.round)
                self._give_up(view)
                return None
        try:
            trained = self.parts.trainer.train(job, self._say_progress(view), deadline.passed)
        except TeamOverError as error:
            log.info("%s: round %d: %s", self.model.name, view.round, error)
            self._give_up(view)
            return None
        except DeltaError as error:
            log.error("%s: round %d: %s", self.model.name, view.round, error)
            self.event("error", view.round, error="DeltaError", message=str(error))
            self._give_up(view)
            return None
        finally:
            lock.release()
        if self.runtime.stop.is_set():
            return None
        seconds = deadline.seconds()
        self._inner_seconds += seconds
        self.event(
            "trained",
            view.round,
            seconds=round(seconds, 3),
            tokens=trained.tokens,
            loss_first=trained.loss_first,
            loss_last=trained.loss_last,
            kind=job.kind.name,
            shards=len(job.shards),
        )
        return trained

    def _give_up(self, view: RoundInfo) -> None:
        """We have no part in the round's delta. A member's leader has one without us, which may be ours to reveal."""
        if self.member:
            self.worked = view.round
        else:
            self.missed = view.round
            self.runtime.sleep(1.0)

    def _with_team(self, view: RoundInfo, trained: Trained) -> tuple[Vector, int]:
        if self.parts.team is None:
            return trained.delta, trained.tokens
        key = f"{self.model.id}-{view.round}-{view.seed.hex()[:16]}"
        last = self.last_commit_block(view)
        left = self.seconds_until(last - self.runtime.config.margin_blocks)
        seconds = min(self.runtime.config.team.wait_seconds, left)
        delta, tokens, peers = self.parts.team.average(key, trained.delta, trained.tokens, seconds)
        self.event("averaged", view.round, peers=peers, tokens=tokens)
        return delta, tokens

    def _seal(self, view: RoundInfo, job: TrainJob, delta: Vector, tokens: int, dataset_ids: list[int]) -> None:
        """Compress with error feedback and write the journal. From here on a kill loses nothing."""
        import numpy as np

        self.work.take_in(job.model)
        self.fates.take_back(job.model, view.round)
        residuals = self.parts.residuals
        residual = residuals.load(self.model.id, self.model.genesis, len(delta))
        if residual is not None:
            residual += delta  # in place: a vector is as large as the model
        vector = delta if residual is None else residual
        payload, decoded = self.parts.trainer.encode(job.model, vector)
        digest = digest_bytes(payload)
        np.subtract(vector, decoded, out=decoded)
        residuals.propose(self.model.id, self.model.genesis, view.round, digest, decoded)
        record = DeltaRecord(
            model=self.model.id,
            round=view.round,
            seed=view.seed,
            digest=digest,
            salt=new_salt(),
            delta_kind=int(job.kind),
            base_head=view.base_head,
            dataset_ids=tuple(dataset_ids),
            trained_tokens=tokens,
        )
        self.parts.vault.keep(record, payload)
        self.fates.adopt(job.model)
        self.work.sealed(digest, decoded)
        self._count_share(view.round)
        log.info("%s: round %d: a delta of %d bytes is ready", self.model.name, view.round, len(payload))

    def _count_share(self, number: int) -> None:
        """What part of the time since the delta before this one was sealed went into the inner loop."""
        now = time.monotonic()
        if self._sealed_at is not None:
            share = round(self._inner_seconds / max(now - self._sealed_at, 1e-9), 4)
            self.shares = {other: part for other, part in self.shares.items() if other >= number - 2} | {number: share}
            self.runtime.status.update_model(self.model.name, training_share=share)
        self._sealed_at, self._inner_seconds = now, 0.0

    # COMMIT -----------------------------------------------------------------------------------------------------------

    def commit(self, view: RoundInfo) -> None:
        """Bind ourselves to the delta without showing a byte of it."""
        record = self._record(view)
        if record is None or not self.still(view, Phase.TRAIN, Phase.COMMIT):
            return
        if not self.work.may_commit(record, lambda: Deadline(self, view).near()):
            self.runtime.sleep(self.runtime.config.poll_seconds)
            return
        receipt = self.parts.chain.commit_delta(self.model.id, view.round, self.work.commitment(record))
        self.work.committed(record)
        self.event("committed", view.round, digest=record.digest, tx=receipt.tx)

    # REVEAL -----------------------------------------------------------------------------------------------------------

    def reveal(self, view: RoundInfo) -> None:
        """Publish the bytes, then reveal what we had committed to."""
        record = self._record(view)
        payload = self.parts.vault.payload(record) if record else None
        if record is None or payload is None:
            log.error("%s: round %d: the payload is gone from the journal", self.model.name, view.round)
            self.missed = view.round
            return
        if self.parts.pins is not None:
            self.parts.pins.keep(self.model.id, view.round, [record.digest], have=True)
        if self.parts.store.put(payload) != record.digest:
            raise StorageError(f"the IPFS daemon named the delta of round {view.round} otherwise than we did")
        if not self.still(view, Phase.REVEAL):
            return
        reveal = Reveal(
            digest=record.digest,
            salt=record.salt,
            kind=DeltaKind(record.delta_kind),
            base_head=record.base_head,
            dataset_ids=record.dataset_ids,
            trained_tokens=record.trained_tokens,
        )
        receipt = self.parts.chain.reveal_delta(self.model.id, view.round, reveal)
        self.event("revealed", view.round, digest=record.digest, bytes=len(payload), tx=receipt.tx)

    # after ------------------------------------------------------------------------------------------------------------

    def miss(self, view: RoundInfo) -> None:
        """Too late, or the secret is lost: say so once. The work comes back by the residual."""
        self.missed = view.round
        record = self._record(view)
        reason = "the delta was ready too late to commit" if record else "nothing was ready in time"
        if self._has_committed(view):
            reason = "the commitment was not revealed in time" if record else "its secret is not in the journal"
        log.warning("%s: round %d missed: %s", self.model.name, view.round, reason)
        self.event("missed", view.round, message=reason)

    def after_round(self, view: RoundInfo, model: ModelInfo) -> None:
        """Settle the residual by the deltas' fates, and load the new head before the next round needs it.

        Not where another model trains: loading would wait for its end, and a secret may have to be revealed meanwhile.
        """
        self.work.take_in(model)
        self.fates.take_back(model, view.round + 1)
        self.parts.vault.forget(model.id, view.round - 1)
        if self.parts.pins is not None:
            self.parts.pins.settle(model.id, view.round, model.head)
        if self.runtime.compute.acquire(blocking=False):
            try:
                self.parts.trainer.advance(model)
            finally:
                self.runtime.compute.release()

    def figures(self, view: RoundInfo) -> dict[str, float]:
        """The part of the time that went into training."""
        share = self.shares.get(view.round)
        return {} if share is None else {"training_share": share}

    # small things -----------------------------------------------------------------------------------------------------

    def seen_again(self, view: RoundInfo) -> RoundInfo:
        """The same round as it is now."""
        return self.chain.round(view.model_id, view.round)

    def last_commit_block(self, view: RoundInfo) -> int:
        """The last block in which our delta can be committed for sure, as the chain has it now."""
        windows = self.parts.chain.windows(self.model.id, view.round)
        older = self.chain.round(self.model.id, view.round - 1) if view.held else None
        return commit_deadline(view, windows[Phase.COMMIT - 1], older)

    def _record(self, view: RoundInfo) -> DeltaRecord | None:
        return self.parts.vault.find(DeltaRecord, self.model.id, view.round, view.seed)

    def miners_of(self, view: RoundInfo) -> list[str]:
        """The round's miners: frozen when it opened, so asked for once."""
        if view.seed == ZERO_DIGEST:
            return self.parts.chain.round_miners(self.model.id, view.round)
        if view.seed not in self._miners:
            kept = dict(list(self._miners.items())[-1:])  # two rounds may be on
            self._miners = kept | {view.seed: self.parts.chain.round_miners(self.model.id, view.round)}
        return self._miners[view.seed]

    def _has_committed(self, view: RoundInfo) -> bool:
        """Whether the chain has our commitment; once true it stays so."""
        if view.seed in self._known_committed:
            return True
        found = self.parts.chain.committed(self.model.id, view.round, self.address).delta != ZERO_DIGEST
        return _once(self._known_committed, view, found)

    def _has_revealed(self, view: RoundInfo) -> bool:
        """Whether the chain has our reveal; once true it stays so."""
        if view.seed in self._known_revealed:
            return True
        return _once(self._known_revealed, view, self.fates.place(view) is not None)

    def _kind(self, model: ModelInfo) -> DeltaKind:
        """The first of the genesis's kinds that this miner can do: TRAIN, or DISTIL where there is a parent."""
        able = (DeltaKind.TRAIN, DeltaKind.DISTIL) if model.parent_id else (DeltaKind.TRAIN,)
        kinds = [DeltaKind[name] for name in self.parts.trainer.genesis(model).kinds]
        return next((kind for kind in kinds if kind in able), DeltaKind.TRAIN)

    def _say_progress(self, view: RoundInfo) -> Callable[[Progress], None]:
        last = [0.0]

        def say(progress: Progress) -> None:
            now = time.monotonic()
            if now - last[0] >= PROGRESS_SECONDS or progress.step in (1, progress.steps):
                last[0] = now
                self.event(
                    "train_step",
                    view.round,
                    step=progress.step,
                    steps=progress.steps,
                    loss=round(progress.loss, 4),
                    tokens=progress.tokens,
                )

        return say


def _once(known: set[bytes], view: RoundInfo, found: bool) -> bool:
    """Remember what can't be undone by the round's seed, of two rounds and a few more."""
    if found and view.seed != ZERO_DIGEST:
        if len(known) > SEEDS_KNOWN:
            known.clear()
        known.add(view.seed)
    return found


def deal(datasets: list[DatasetInfo], view: RoundInfo, miners: list[str]) -> dict[str, list[ShardRef]]:
    """Which shards each of the round's miners trains on."""
    return assign_shards(view.seed, miners, shard_list({info.id: info.shards for info in datasets}))
