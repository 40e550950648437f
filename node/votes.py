"""A validator's vote on data: is it what its manifest says, has it a licence, is it new, is what is held out held out?

An accepted dataset is valued by what is new: the share of its training documents that are neither there twice nor in
what the model's earlier datasets say (:mod:`node.novelty`), in basis points. Of two datasets with the same text the one
that was registered first has it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from client.errors import (
    DigestMismatch,
    ManifestError,
    Reverted,
    StorageError,
    StorageUnavailable,
    StrataError,
    TooLarge,
)
from client.types import FULL_VALUE, DatasetInfo, DatasetStatus, ModelInfo
from contracts.enums import Role
from node.decisions import to_vote_on
from node.interfaces import DatasetVoter
from node.novelty import Novelty, Sketches, compare
from node.texts import Texts

LOOK_SECONDS = 2.0  # between two looks for new datasets
REFUSED_SECONDS = 10.0  # before a vote that the chain refused is tried again
GIVE_UP_SECONDS = 120.0  # after which content that nobody gives is a reason to reject
MAX_KNOWN = 0.5  # part of the training documents that earlier datasets may have
MAX_OVERLAP = 1 / 3  # part of held-out documents, its own or another dataset's, that may be trained on elsewhere
MAX_DATASET_BYTES = 4 * 2**30  # of text in one dataset

log = logging.getLogger("strata.node.votes")


class VotesChain(DatasetVoter, Protocol):
    """What voting needs of the chain."""

    @property
    def address(self) -> str: ...
    def datasets(self, model_id: int | None = None) -> list[DatasetInfo]: ...
    def stake_of(self, account: str, model_id: int, role: Role) -> int: ...


class DatasetRefused(Exception):
    """Why a dataset must not be used; never leaves this module."""


@dataclass(frozen=True)
class Verdict:
    """What a validator says of a dataset; ``value`` in basis points."""

    accept: bool
    value: int
    reason: str


@dataclass
class Votes:
    """Votes on each pending dataset of a model, and again where a ballot lapsed without a decision."""

    chain: VotesChain
    texts: Texts
    sketches: dict[bytes, Sketches] = field(default_factory=dict)  # by root, of datasets that others are compared with
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    first_tried: dict[int, float] = field(default_factory=dict)
    refused: dict[int, float] = field(default_factory=dict)  # when the chain last refused our vote
    last_look: float = 0.0

    def due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() - self.last_look >= LOOK_SECONDS

    def vote(self, model: ModelInfo, event: Callable[..., None]) -> None:
        """Look at pending datasets and vote. Content that can't be had yet is tried again for a while."""
        self.last_look = time.monotonic()
        datasets = self.chain.datasets(model.id)
        pending = to_vote_on(datasets)
        if not pending or self.chain.stake_of(self.chain.address, model.id, Role.VALIDATOR) == 0:
            return
        for info in pending:
            late = time.monotonic() - self.refused.get(info.id, -REFUSED_SECONDS) < REFUSED_SECONDS
            if late or self.chain.has_voted(info.id, self.chain.address):
                continue
            verdict = self.verdicts.get(info.id) or self._verdict(info, datasets)
            if verdict is None:
                continue
            self.verdicts[info.id] = verdict
            try:
                self.chain.vote_dataset(info.id, verdict.accept, verdict.value)
            except Reverted as error:  # the others had decided before us, or our stake is younger than the ballot
                log.info("%s: the vote on dataset %d was refused: %s", model.name, info.id, error)
                self.refused[info.id] = time.monotonic()
                continue
            said = "accepted" if verdict.accept else "rejected"
            log.info("%s: dataset %d: %s (%s)", model.name, info.id, said, verdict.reason)
            event("dataset_vote", dataset=info.id, **vars(verdict))

    def _verdict(self, info: DatasetInfo, datasets: Sequence[DatasetInfo]) -> Verdict | None:
        """What to vote; None: look again later."""
        try:
            check_claims(info, self.texts)
            mine = self._sketches_of(info)
            return check_text(info, mine, compare(mine, self._earlier(info, datasets)))
        except DatasetRefused as error:
            return Verdict(False, 0, str(error))
        except (ManifestError, DigestMismatch, TooLarge) as error:
            return Verdict(False, 0, str(error))
        except StorageUnavailable as error:  # our own daemon: no fault of the dataset's
            log.warning("dataset %d is looked at later: %s", info.id, error)
            return None
        except StorageError as error:
            began = self.first_tried.setdefault(info.id, time.monotonic())
            return Verdict(False, 0, str(error)) if time.monotonic() - began > GIVE_UP_SECONDS else None

    def _earlier(self, info: DatasetInfo, datasets: Sequence[DatasetInfo]) -> list[Sketches]:
        """The model's datasets that were registered before and are in use, or may come to be."""
        standing = (DatasetStatus.ACCEPTED, DatasetStatus.PENDING)
        found = []
        for other in sorted(datasets, key=lambda each: each.id):
            if other.id < info.id and other.status in standing:
                try:
                    found.append(self._sketches_of(other))
                except StorageUnavailable:
                    raise
                except StrataError as error:  # what can't be read can't be trained on either
                    log.warning("dataset %d can't be compared with dataset %d: %s", info.id, other.id, error)
        return found

    def _sketches_of(self, info: DatasetInfo) -> Sketches:
        if info.root not in self.sketches:
            manifest = self.texts.manifest(info)
            self.sketches[info.root] = Sketches.of(
                (document for shard in manifest.shards for document in self.texts.shard(shard)),
                (document for shard in manifest.heldout for document in self.texts.shard(shard)),
            )
        return self.sketches[info.root]


def check_claims(info: DatasetInfo, texts: Texts) -> None:
    """Compare a dataset's manifest with what the chain says; raises why it must be refused."""
    if not info.licence.strip():
        raise DatasetRefused("it names no licence")
    if info.heldout == 0:
        raise DatasetRefused("nothing of it is held out, so nobody could judge what it teaches")
    manifest = texts.manifest(info)
    if manifest.contributor.lower() != info.owner.lower():
        raise DatasetRefused(f"its contributor is {manifest.contributor}, but {info.owner} registered it")
    if manifest.licence != info.licence:
        raise DatasetRefused(f"its manifest says {manifest.licence!r}, the chain {info.licence!r}")
    size = sum(shard.bytes for shard in (*manifest.shards, *manifest.heldout))
    if size != info.size:
        raise DatasetRefused(f"its shards hold {size} bytes, the chain says {info.size}")
    if size > MAX_DATASET_BYTES:
        raise DatasetRefused(f"{size} bytes are more than {MAX_DATASET_BYTES}")
    digests = [shard.digest for shard in (*manifest.shards, *manifest.heldout)]
    if len(set(digests)) != len(digests):
        raise DatasetRefused("it holds a shard twice")


def check_text(info: DatasetInfo, text: Sketches, novelty: Novelty) -> Verdict:
    """Look at a dataset's documents; says what was found and what it is worth, or raises why it must be refused."""
    train, held = text.train_keys, set(text.heldout_keys)
    both = held & set(train)
    if both:
        raise DatasetRefused(f"{len(both)} held-out documents are in the training shards too")
    if novelty.heldout_known > MAX_OVERLAP:
        raise DatasetRefused(f"{novelty.heldout_known:.0%} of its held-out documents are in earlier training text")
    if novelty.leaked > MAX_OVERLAP:
        raise DatasetRefused(f"it trains on {novelty.leaked:.0%} of an earlier dataset's held-out documents")
    known = sum(novelty.known)
    if known > MAX_KNOWN * len(train):
        raise DatasetRefused(f"{known} of its {len(train)} documents are in earlier datasets of the model")
    new = {key for key, old in zip(train, novelty.known, strict=True) if not old}
    value = FULL_VALUE * len(new) // max(1, len(train))
    return Verdict(
        True, value, f"{len(new)} new documents of {len(train)}, {len(held)} held out, licence {info.licence}"
    )
