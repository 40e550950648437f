"""A validator's vote on data: is it what its manifest says, has it a licence, is what is held out really held out?"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from client.errors import DigestMismatch, ManifestError, Reverted, StorageError, StorageUnavailable, TooLarge
from client.types import DatasetInfo, ModelInfo
from contracts.enums import Role
from node.decisions import to_vote_on
from node.interfaces import DatasetVoter
from node.texts import Texts

LOOK_SECONDS = 2.0  # between two looks for new datasets
GIVE_UP_SECONDS = 120.0  # after which content that nobody gives is a reason to reject
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


@dataclass
class Votes:
    """Votes once on each pending dataset of a model."""

    chain: VotesChain
    texts: Texts
    seen: set[int] = field(default_factory=set)
    first_tried: dict[int, float] = field(default_factory=dict)
    last_look: float = 0.0

    def due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() - self.last_look >= LOOK_SECONDS

    def vote(self, model: ModelInfo, event: Callable[..., None]) -> None:
        """Look at pending datasets and vote. Content that can't be had yet is tried again for a while."""
        self.last_look = time.monotonic()
        pending = to_vote_on(self.chain.datasets(model.id), frozenset(self.seen))
        if not pending or self.chain.stake_of(self.chain.address, model.id, Role.VALIDATOR) == 0:
            return
        for info in pending:
            if self.chain.has_voted(info.id, self.chain.address):
                self.seen.add(info.id)
                continue
            verdict = self._verdict(info)
            if verdict is None:
                continue
            accept, reason = verdict
            self.seen.add(info.id)
            try:
                self.chain.vote_dataset(info.id, accept)
            except Reverted as error:  # the others had decided before us
                log.info("%s: the vote on dataset %d came too late: %s", model.name, info.id, error)
                continue
            log.info("%s: dataset %d: %s (%s)", model.name, info.id, "accepted" if accept else "rejected", reason)
            event("dataset_vote", dataset=info.id, accept=accept, reason=reason)

    def _verdict(self, info: DatasetInfo) -> tuple[bool, str] | None:
        """(accept, why), or None: look again later."""
        try:
            return True, check_dataset(info, self.texts)
        except DatasetRefused as error:
            return False, str(error)
        except (ManifestError, DigestMismatch, TooLarge) as error:
            return False, str(error)
        except StorageUnavailable as error:  # our own daemon: no fault of the dataset's
            log.warning("dataset %d is looked at later: %s", info.id, error)
            return None
        except StorageError as error:
            began = self.first_tried.setdefault(info.id, time.monotonic())
            return (False, str(error)) if time.monotonic() - began > GIVE_UP_SECONDS else None


def check_dataset(info: DatasetInfo, texts: Texts) -> str:
    """Read all of a dataset; says what was found, or raises why it must be refused."""
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
    train = {_key(document) for shard in manifest.shards for document in texts.shard(shard)}
    held = {_key(document) for shard in manifest.heldout for document in texts.shard(shard)}
    if train & held:
        raise DatasetRefused(f"{len(train & held)} held-out documents are in the training shards too")
    return f"{len(train)} documents to train on, {len(held)} held out, licence {info.licence}"


def _key(document: str) -> int:
    return hash(" ".join(document.split()).lower())
