"""The validator: judge what was revealed, attest the head that follows. Reads from top to bottom like the round.

It judges one round while miners train for the next, which waits in COMMIT until this one is settled.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

from client.assignment import ShardRef, assigned_datasets
from client.commitments import head_commitment, new_salt, score_commitment
from client.errors import NotFound, Reverted, StorageError, StorageUnavailable, StrataError
from client.types import ZERO_DIGEST, DatasetInfo, ModelInfo, RoundInfo, SubmissionInfo
from contracts.enums import DeltaKind, Phase, Role, ScoreReason
from node.decisions import Action, ValidatorRecords, next_validator_action, usable
from node.interfaces import Document, HeadBuilder, Judge, JudgeJob, ValidatorChain
from node.miner import deal
from node.pins import Pins
from node.runtime import Runtime
from node.texts import Blobs, Texts
from node.vault import HeadRecord, ScoreRecord, Vault
from node.votes import LOOK_SECONDS, Votes
from node.worker import Worker

FETCH_PART = 0.4  # of what is left of SCORE, for deltas to arrive
FETCH_LEAST_SECONDS = 2.0
FETCH_THREADS = 8

Hands = dict[str, list[ShardRef]]

log = logging.getLogger("strata.node.validator")


class ValidatorStore(Blobs, Protocol):
    """What a validator needs of IPFS."""

    def put(self, data: bytes) -> bytes: ...


@dataclass(frozen=True)
class ValidatorParts:
    """What a validator works with."""

    chain: ValidatorChain
    store: ValidatorStore
    texts: Texts
    judge: Judge
    heads: HeadBuilder
    vault: Vault
    votes: Votes | None = None
    pins: Pins | None = None  # what to keep on IPFS, and for how long; None: all that was put stays pinned


class Validator(Worker):
    """One validator's work on one model."""

    def __init__(self, runtime: Runtime, parts: ValidatorParts, model: ModelInfo) -> None:
        super().__init__(runtime, parts.chain, model)
        self.parts = parts
        self.address = parts.chain.address
        self._frozen: dict[tuple[int, int], bool] = {}  # (round, its opening) -> whether our stake counts in it
        self._payloads: dict[bytes, bytes] = {}  # of this round's deltas, by digest
        self._on_chain: dict[str, bytes] = {}  # what was seen done -> evaluation seed of the round
        self.handlers = {
            Action.JUDGE: self.judge,
            Action.COMMIT_SCORES: self.commit_scores,
            Action.REVEAL_SCORES: self.reveal_scores,
            Action.BUILD_HEAD: self.build_head,
            Action.COMMIT_HEAD: self.commit_head,
            Action.REVEAL_HEAD: self.reveal_head,
        }

    def run(self) -> None:
        """Work until the runtime stops; votes have a thread of their own, since a dataset may keep one waiting."""
        if self.parts.votes is not None:
            threading.Thread(target=self._keep_voting, name=f"{self.model.name} votes", daemon=True).start()
        super().run()

    def vote(self) -> None:
        """Vote on new datasets, if it is time to look."""
        if self.parts.votes is not None and self.parts.votes.due():
            self.parts.votes.vote(self.model, self.event)

    def _keep_voting(self) -> None:
        while not self.runtime.sleep(LOOK_SECONDS):
            try:
                self.vote()
            except StrataError as error:
                log.warning("%s: voting again soon: %s", self.model.name, error)
            except BaseException:
                log.exception("%s: voting failed", self.model.name)
                self.runtime.stop.set()
                raise

    def decide(self, view: RoundInfo | None, newest: bool = True) -> Action:
        """The pure decision on what the chain and our journal say."""
        opens = self.auto_open and newest
        nothing = ValidatorRecords(False, False, False, False, False, False, False)
        if view is None:
            return next_validator_action(None, nothing, opens)
        if view.ended:
            ended = replace(nothing, finished=self.finished >= view.round)
            return next_validator_action(view, ended, opens)
        if not self._is_frozen(view) or view.phase < Phase.SCORE:
            return next_validator_action(view, nothing, opens)
        mine = ValidatorRecords(
            frozen=True,
            scores_sealed=self._scores(view) is not None,
            scores_committed=self._has_committed(view, "score"),
            scores_revealed=view.phase >= Phase.SCORE_REVEAL and self._has_revealed_scores(view),
            head_sealed=self._head(view) is not None,
            head_committed=view.phase >= Phase.ATTEST and self._has_committed(view, "head"),
            head_revealed=view.phase >= Phase.ATTEST_REVEAL and self._has_revealed_head(view),
        )
        return next_validator_action(view, mine, opens)

    def prepare(self) -> None:
        """Load the model."""
        with self.runtime.compute:
            self.parts.judge.prepare(self.model)

    # SCORE ------------------------------------------------------------------------------------------------------------

    def judge(self, view: RoundInfo) -> None:
        """Fetch all deltas, measure what was dealt to us on text that the evaluation seed picks, journal the scores."""
        chain = self.parts.chain
        submissions = chain.submissions(self.model.id, view.round)
        model = chain.model(self.model.id)
        datasets = usable(chain.datasets(model.id), view.open_block)
        hands = deal(datasets, view, chain.round_miners(model.id, view.round))
        order = self._commit_order(view)
        dealt = self._dealt(view)
        job = JudgeJob(
            model=model,
            round=view.round,
            validator=self.address,
            parent_head=view.parent_head,
            seed=view.seed,
            evaluation_seed=view.evaluation_seed,
            submissions=tuple(submissions),
            dealt=tuple(dealt),
            payloads=self._payloads_of(model, view, submissions, hands),
            assigned=tuple(self._assigned(datasets, hands[s.miner]) if s.index in dealt else () for s in submissions),
            committed=tuple(order.get(s.miner, len(order) + s.index) for s in submissions),
            heldout=self.parts.texts.heldout(datasets, view.evaluation_seed),
            general=self._general(model, view),
            earlier=self._earlier(model, view),
        )
        with self.runtime.compute:
            if not self.still(view, Phase.SCORE):
                return
            verdict = self.parts.judge.judge(job)
        report = self.parts.store.put(verdict.report)
        if self.parts.pins is not None:
            self.parts.pins.keep(model.id, view.round + 1, [report], have=True)  # a round more, for a late archive
        record = ScoreRecord(
            model=model.id,
            round=view.round,
            seed=view.evaluation_seed,
            scores=verdict.scores,
            reasons=tuple(int(reason) for reason in verdict.reasons),
            report=report,
            salt=new_salt(),
        )
        self.parts.vault.keep(record)
        self.event("scored", view.round, report=report, **verdict.summary)

    def _dealt(self, view: RoundInfo) -> list[int]:
        """The submissions that we are to score. Drawn committees are known once a transaction has recorded the seed."""
        dealt = self.parts.chain.dealt(self.model.id, view.round, self.address)
        if dealt or view.validator_count <= view.committee:
            return dealt
        self.parts.chain.tick(self.model.id, view.round)
        return self.parts.chain.dealt(self.model.id, view.round, self.address)

    def _payloads_of(
        self, model: ModelInfo, view: RoundInfo, submissions: Sequence[SubmissionInfo], hands: Hands
    ) -> tuple[bytes | ScoreReason, ...]:
        """All deltas' bytes, fetched side by side, so that one that nobody gives costs the deadline once."""
        seconds = self._fetch_seconds(view)

        def one(submission: SubmissionInfo) -> bytes | ScoreReason:
            return self._payload(model, view, submission, assigned_datasets(hands[submission.miner]), seconds)

        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            return tuple(pool.map(one, submissions))

    def _assigned(self, datasets: list[DatasetInfo], hand: Sequence[ShardRef]) -> tuple[tuple[str, ...], ...]:
        """What a miner was dealt; nothing where a shard can't be had: then its honesty is not judged."""
        try:
            return self.parts.texts.training(datasets, hand)
        except NotFound as error:
            log.warning("%s: the text of a hand is not to be had: %s", self.model.name, error)
            return ()

    def _fetch_seconds(self, view: RoundInfo) -> float:
        """How long a fetch may take: a part of what is left of SCORE, since judging takes time too."""
        left = FETCH_PART * self.seconds_until(view.phase_end)
        return max(FETCH_LEAST_SECONDS, min(self.runtime.config.fetch_seconds, left))

    def _payload(
        self, model: ModelInfo, view: RoundInfo, submission: SubmissionInfo, wanted: list[int], seconds: float
    ) -> bytes | ScoreReason:
        """A delta's bytes, or why it is refused before it is read."""
        kinds = (*self.parts.judge.genesis(model).kinds, *(() if model.parent_id else (DeltaKind.TRAIN.name,)))
        if submission.base_head != view.base_head or submission.kind.name not in kinds:
            return ScoreReason.BAD_FORM
        if list(submission.dataset_ids) != wanted:
            return ScoreReason.NOT_ASSIGNED
        try:
            return self._fetch(model, submission.digest, seconds)
        except NotFound as error:
            log.warning("%s: round %d: %s: %s", model.name, view.round, submission.miner, error)
            return ScoreReason.UNAVAILABLE
        except StorageUnavailable:
            raise
        except StorageError as error:  # too large, another content, no file at all: the miner's fault, not ours
            log.warning("%s: round %d: %s: %s", model.name, view.round, submission.miner, error)
            return ScoreReason.BAD_FORM

    def _earlier(self, model: ModelInfo, view: RoundInfo) -> tuple[tuple[str, bytes], ...]:
        """What the round before revealed, to tell who copied it: from our cache mostly, and only what comes soon."""

        def one(submission: SubmissionInfo) -> tuple[tuple[str, bytes], ...]:
            try:
                return ((submission.miner, self._fetch(model, submission.digest, FETCH_LEAST_SECONDS)),)
            except StorageUnavailable:
                raise
            except StorageError:  # it was refused, or is gone: then it can't be told apart
                return ()

        before = self.parts.chain.submissions(model.id, view.round - 1) if view.round > 1 else []
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            return tuple(pair for found in pool.map(one, before) for pair in found)

    def _fetch(self, model: ModelInfo, digest: bytes, seconds: float) -> bytes:
        known = self._payloads.get(digest)
        if known is None:
            known = self.parts.store.get(digest, self.parts.judge.max_payload_bytes(model), seconds)
            self._payloads[digest] = known
        return known

    def _commit_order(self, view: RoundInfo) -> dict[str, int]:
        """Who committed when: of two deltas alike, the later is the copy."""
        events = self.parts.chain.events(
            "Rounds", "DeltaCommitted", from_block=view.open_block, modelId=self.model.id, round=view.round
        )
        return {event.args["miner"]: place for place, event in enumerate(events)}

    def _general(self, model: ModelInfo, view: RoundInfo) -> tuple[Document, ...]:
        """Held-out text of the parent's datasets: what the model must not forget."""
        if not model.parent_id:
            return ()
        datasets = usable(self.parts.chain.datasets(model.parent_id), view.open_block)
        return self.parts.texts.heldout(datasets, view.evaluation_seed)

    def commit_scores(self, view: RoundInfo) -> None:
        """Bind ourselves to the scores."""
        record, chain = self._scores(view), self.parts.chain
        if record is None or not self.still(view, Phase.SCORE):
            return
        commitment = score_commitment(
            chain.chain_id, chain.contract_address("Rounds"), self.model.id, view.round, self.address,
            record.scores, record.reasons, record.report, record.salt,
        )  # fmt: skip
        receipt = chain.commit_scores(self.model.id, view.round, commitment)
        self.event("scores_committed", view.round, tx=receipt.tx)

    # SCORE_REVEAL -----------------------------------------------------------------------------------------------------

    def reveal_scores(self, view: RoundInfo) -> None:
        """Show the scores."""
        record = self._scores(view)
        if record is None or not self.still(view, Phase.SCORE_REVEAL):
            return
        reasons = [ScoreReason(reason) for reason in record.reasons]
        receipt = self.parts.chain.reveal_scores(
            self.model.id, view.round, record.scores, reasons, record.report, record.salt
        )
        self.event("scores_revealed", view.round, scores=list(record.scores), report=record.report, tx=receipt.tx)

    # ATTEST -----------------------------------------------------------------------------------------------------------

    def build_head(self, view: RoundInfo) -> None:
        """Compute the next head from the accepted deltas and the chain's weights; everybody gets the same bytes."""
        model = self.parts.chain.model(self.model.id)
        accepted = [s for s in self.parts.chain.submissions(model.id, view.round) if s.weight_q16 > 0]
        if not accepted:  # there is no head to attest: the round ends as soon as somebody has the chain sum it up
            if not self._tick(view.round, Action.TALLY):
                self.runtime.sleep(self.runtime.config.poll_seconds)
            return
        # Not under the compute lock: another model's judgement may hold that for longer than ATTEST lasts.
        head = self.parts.heads.next_head(model, view.parent_head, view.round, accepted)
        if self.parts.pins is not None:
            self.parts.pins.keep_head(model.id, view.round, head, [submission.digest for submission in accepted])
        self.parts.vault.keep(HeadRecord(model.id, view.round, view.evaluation_seed, head, new_salt()))
        log.info("%s: round %d: %d deltas make the head %s", model.name, view.round, len(accepted), head.hex()[:12])

    def commit_head(self, view: RoundInfo) -> None:
        """Bind ourselves to the head."""
        record, chain = self._head(view), self.parts.chain
        if record is None or not self.still(view, Phase.ATTEST):
            return
        commitment = head_commitment(
            chain.chain_id, chain.contract_address("Rounds"), self.model.id, view.round, self.address, record.head,
            record.salt,
        )  # fmt: skip
        receipt = chain.commit_head(self.model.id, view.round, commitment)
        self.event("head_committed", view.round, tx=receipt.tx)

    # ATTEST_REVEAL ----------------------------------------------------------------------------------------------------

    def reveal_head(self, view: RoundInfo) -> None:
        """Attest the head."""
        record = self._head(view)
        if record is None or not self.still(view, Phase.ATTEST_REVEAL):
            return
        receipt = self.parts.chain.reveal_head(self.model.id, view.round, record.head, record.salt)
        self.event("head_attested", view.round, head=record.head, tx=receipt.tx)

    # after ------------------------------------------------------------------------------------------------------------

    def after_round(self, view: RoundInfo, model: ModelInfo) -> None:
        """Take the new head over; ask to be let in again where silence may have shut us out."""
        if view.phase == Phase.VOID:
            self._come_back()
        self._payloads.clear()
        self.parts.vault.forget(model.id, view.round - 1)
        self.parts.heads.advance(model)
        if self.parts.pins is not None:
            self.parts.pins.settle(model.id, view.round, model.head)

    # small things -----------------------------------------------------------------------------------------------------

    def _is_frozen(self, view: RoundInfo) -> bool:
        key = (view.round, view.open_block)
        if key not in self._frozen:
            seats = self.parts.chain.round_validators(self.model.id, view.round)
            inside = any(address == self.address and stake > 0 for address, stake in seats)
            self._frozen = dict(list(self._frozen.items())[-1:]) | {key: inside}  # two rounds may be on
            if not inside:
                self._come_back()
        return self._frozen[key]

    def _come_back(self) -> None:
        """A validator that missed too many rounds is left out of the freeze until it asks to be let in again."""
        if self.parts.chain.stake_of(self.address, self.model.id, Role.VALIDATOR) == 0:
            return
        try:
            self.parts.chain.rejoin(self.model.id)
        except Reverted as error:  # it was not dropped; its stake is younger than the round
            log.debug("%s: no need to rejoin: %s", self.model.name, error)
            return
        log.warning("%s: rejoined after missed rounds; the next freeze counts us again", self.model.name)
        self.event("rejoined")

    def _scores(self, view: RoundInfo) -> ScoreRecord | None:
        return self.parts.vault.find(ScoreRecord, self.model.id, view.round, view.evaluation_seed)

    def _head(self, view: RoundInfo) -> HeadRecord | None:
        return self.parts.vault.find(HeadRecord, self.model.id, view.round, view.evaluation_seed)

    def _once(self, what: str, view: RoundInfo, found: bool) -> bool:
        """Remember what can't be undone, so that the chain is not asked for it again."""
        if found and view.evaluation_seed != ZERO_DIGEST:
            self._on_chain[what] = view.evaluation_seed
        return found

    def _known(self, what: str, view: RoundInfo) -> bool:
        return view.evaluation_seed != ZERO_DIGEST and self._on_chain.get(what) == view.evaluation_seed

    def _has_committed(self, view: RoundInfo, what: str) -> bool:
        if self._known("commit " + what, view):
            return True
        found = self.parts.chain.committed(self.model.id, view.round, self.address)
        return self._once("commit " + what, view, (found.score if what == "score" else found.head) != ZERO_DIGEST)

    def _has_revealed_scores(self, view: RoundInfo) -> bool:
        if self._known("scores", view):
            return True
        found = self.parts.chain.scores_of(self.model.id, view.round, self.address)
        return self._once("scores", view, found.report != ZERO_DIGEST)

    def _has_revealed_head(self, view: RoundInfo) -> bool:
        if self._known("head", view):
            return True
        found = self.parts.chain.head_of(self.model.id, view.round, self.address)
        return self._once("head", view, found != ZERO_DIGEST)
