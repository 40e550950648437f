"""The archive wants what the chain and its manifests name, keeps it verified, and says what is not to be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.errors import StorageUnavailable
from client.manifests import Dataset, DeltaRef, Head, Removed, RoundDeltas, Shard, ShardText
from client.storage import MemoryStore
from client.types import DatasetInfo, DatasetStatus, Event, ModelInfo
from contracts.enums import Level
from node.archive import CHECK_AGAIN_SECONDS, LOOK_BACK_BLOCKS, Archive
from node.holdings import Holdings, Item
from tests.unit.role_fakes import GENESIS

OWNER = "0x" + "22" * 20
NOW = 1e9


class Network:
    """A chain and a store with one model's past, made by hand."""

    deploy_block = 5

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.asked: list[tuple[int, int]] = []
        self.log: list[Event] = []
        self.newest = 100
        weights, tokenizer = self.put(b"weights"), self.put(b"tokenizer")
        genesis = GENESIS.__class__.from_json(
            {**GENESIS.to_json(), "weights": weights.hex(), "tokenizer": tokenizer.hex()}
        )
        self.genesis = self.put(genesis.to_bytes())
        text = ShardText(("some text",)).to_bytes()
        self.shard = self.put(text)
        shard = Shard(self.shard.hex(), len(text), 1, 9)
        self.dataset = self.put(
            Dataset("d", "CC0-1.0", "", "en", "", OWNER, (shard,), (), 1, Removed(0, 0, 0)).to_bytes()
        )
        self.deltas = [self.put(b"delta %d" % number) for number in range(3)]
        self.snapshot, self.report = self.put(b"snapshot"), self.put(b"report")
        self.old = self.head(1, self.genesis, 0, self.deltas[:2])
        self.new = self.head(3, self.old, 3, [])
        self.say(20, "RoundFinalized", round=1, head=self.old)
        self.say(60, "RoundFinalized", round=3, head=self.new)
        self.say(50, "ScoresRevealed", round=3, report=self.report)
        self.late = self.put(b"taken in by the snapshot's own round, so that no head names it")
        refused = self.put(b"refused")
        for index, digest in enumerate((refused, self.late)):
            self.say(30, "DeltaRevealed", round=3, index=index, digest=digest)
        page: dict[str, Any] = {"from": 0, "consensus": [0, 70]}
        self.say(55, "ConsensusPage", round=3, **page)
        self.all = {
            weights, tokenizer, self.genesis, self.dataset, self.shard, *self.deltas[:2], self.snapshot, self.report,
            self.late, self.old, self.new,
        }  # fmt: skip

    def put(self, data: bytes) -> bytes:
        digest = self.store.put(data)
        self.store.unpin(digest)
        return digest

    def head(self, number: int, parent: bytes, snapshot_round: int, deltas: list[bytes]) -> bytes:
        refs = tuple(DeltaRef(delta.hex(), 9, OWNER) for delta in deltas)
        rounds = (RoundDeltas(number, refs),) if refs else ()
        zero = "00" * 32
        snapshot = self.snapshot.hex() if snapshot_round else zero
        fields = (self.genesis.hex(), 1, number, parent.hex(), snapshot, snapshot_round, rounds, zero, zero)
        return self.put(Head(*fields).to_bytes())

    def say(self, block: int, name: str, contract: str = "Rounds", **values: Any) -> None:
        self.log.append(Event(contract, name, {"modelId": 1, **values}, block, bytes(32), 0))

    # the chain

    def block_number(self) -> int:
        return self.newest

    def contract_address(self, contract: str) -> str:
        return OWNER

    def models(self) -> list[ModelInfo]:
        other = ModelInfo(2, 0, Level.GLOBAL, "other", "", b"\x09" * 32, b"\x09" * 32, 0, OWNER)
        return [ModelInfo(1, 0, Level.GLOBAL, "m", "", self.genesis, self.new, 3, OWNER), other]

    def datasets(self, model_id: int | None = None) -> list[DatasetInfo]:
        def info(number: int, root: bytes, accepted: int) -> DatasetInfo:
            status = DatasetStatus.ACCEPTED if accepted else DatasetStatus.PENDING
            return DatasetInfo(number, 1, OWNER, root, "CC0-1.0", 9, 1, 0, status, accepted, 0)

        return [info(1, self.dataset, 10), info(2, b"\x07" * 32, 0)]

    def events(
        self,
        contract: str,
        event: str | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
        **filters: Any,
    ) -> list[Event]:
        first, last = from_block or self.deploy_block, self.newest if to_block is None else to_block
        if event is None:
            self.asked.append((first, last))
        found = [e for e in self.log if e.contract == contract and event in (None, e.name) and first <= e.block <= last]
        return [e for e in found if all(e.args.get(key) == value for key, value in filters.items())]


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def archive(network: Network, tmp_path: Path) -> Iterator[Archive]:
    holdings = Holdings(tmp_path / "holdings.sqlite")
    yield Archive(network, network.store, holdings, ("m",), 1.0)
    holdings.close()


def _catch_up(archive: Archive, now: float = NOW) -> None:
    for _ in range(20):
        if not archive.follow() and not archive.fetch(now):
            return
    raise AssertionError("never done")


def test_archive_when_it_begins_then_it_holds_all_from_the_first_round_on(network: Network, archive: Archive) -> None:
    _catch_up(archive)
    assert network.store.pins == network.all
    summary = archive.holdings.summary()
    assert (summary["held"], summary["wanted"], summary["missing"]) == (len(network.all), 0, [])
    assert summary["bytes"] == sum(len(network.store.blobs[digest]) for digest in network.all)
    kinds = {entry["kind"]: entry["held"] for entry in summary["contents"]}
    assert kinds == {
        "genesis": 1, "weights": 1, "tokenizer": 1, "dataset": 1, "shard": 1, "head": 2, "delta": 3, "snapshot": 1,
        "report": 1,
    }  # fmt: skip


def test_archive_when_started_again_then_it_goes_on_where_it_was(
    network: Network, archive: Archive, tmp_path: Path
) -> None:
    _catch_up(archive)
    network.newest = 300
    later = network.head(4, network.new, 3, network.deltas[2:])
    network.say(250, "RoundFinalized", round=4, head=later)
    network.asked.clear()
    again = Holdings(tmp_path / "holdings.sqlite")
    _catch_up(Archive(network, network.store, again, ("m",), 1.0))
    again.close()
    assert network.store.pins == {*network.all, later, network.deltas[2]}
    assert min(first for first, _ in network.asked) == 100 - LOOK_BACK_BLOCKS


def test_archive_when_something_is_not_to_be_had_then_says_so_and_takes_it_when_it_is(
    network: Network, archive: Archive
) -> None:
    lost = network.store.blobs.pop(network.deltas[0])
    now = NOW
    for _ in range(4):
        _catch_up(archive, now)
        now += 10_000
    summary = archive.holdings.summary()
    assert (summary["held"], summary["wanted"]) == (len(network.all) - 1, 1)
    (missing,) = summary["missing"]
    assert (missing["kind"], missing["round"], missing["tries"]) == ("delta", 1, 4)
    network.store.blobs[network.deltas[0]] = lost
    _catch_up(archive, now + 100_000)
    assert archive.holdings.summary()["missing"] == []


def test_archive_when_other_bytes_come_then_they_are_not_held(network: Network, archive: Archive) -> None:
    network.store.blobs[network.snapshot] = b"other bytes"
    _catch_up(archive)
    assert network.snapshot not in network.store.pins
    assert archive.holdings.summary()["wanted"] == 1


def test_archive_when_a_held_blob_is_lost_then_it_is_noticed_and_fetched_again(
    network: Network, archive: Archive
) -> None:
    _catch_up(archive)
    data = network.store.blobs.pop(network.report)
    later = 1e11 + CHECK_AGAIN_SECONDS  # the time of the check is the machine's
    assert archive.look_again(later) == 1
    assert archive.holdings.summary()["wanted"] == 1
    network.store.blobs[network.report] = data
    _catch_up(archive, later + 1000)
    assert archive.holdings.summary()["wanted"] == 0


def test_archive_when_the_daemon_is_down_then_nothing_counts_as_missing(network: Network, archive: Archive) -> None:
    def down(digest: bytes) -> None:
        raise StorageUnavailable("down")

    network.store.fault = down
    archive.follow()
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            archive.fetch(NOW)
    assert archive.holdings.summary()["missing"] == []
    network.store.fault = None
    _catch_up(archive)
    assert network.store.pins == network.all


def test_archive_when_governance_names_who_is_paid_then_says_so(network: Network, archive: Archive) -> None:
    network.say(30, "ArchiveSet", "Rewards", account=OWNER)
    _catch_up(archive)
    assert archive.holdings.summary()["paid_to"] == {"m": OWNER}


def test_holdings_when_wanted_twice_then_count_once(tmp_path: Path) -> None:
    holdings = Holdings(tmp_path / "h.sqlite")
    item = Item(os.urandom(32), "delta", 1, 1, 10)
    assert holdings.want([item, item]) == 1
    assert holdings.want([item]) == 0
    holdings.held(item.digest, 10, NOW)
    assert holdings.due(NOW, 9) == []
    assert holdings.to_check(NOW + 1, 9) == [item]
    holdings.failed(item.digest, "lost", NOW)
    assert holdings.due(NOW, 9) == []
    assert holdings.due(NOW + 10, 9) == [item]
    holdings.close()
