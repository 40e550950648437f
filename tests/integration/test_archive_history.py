"""An archive that follows a real chain holds all that an audit from the first round needs, and nothing less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.audit import audit
from client.audit_calls import transaction_reader
from client.chain import Chain
from client.settings import Network
from client.storage import MemoryStore
from client.types import Policy
from node.archive import Archive
from node.holdings import Holdings
from tests.conftest import ChainProcess
from tests.integration import audit_world
from tests.integration.audit_world import History, Play, make_history

pytestmark = pytest.mark.slow


@pytest.fixture
def history(
    anvil: ChainProcess, deployed: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[History]:
    snapshot = anvil.rpc("evm_snapshot")
    monkeypatch.setattr(audit_world, "POLICY", Policy(30, 4, 10, 15, 10, 15, 10))

    def connect(index: int) -> Chain:
        return Chain.connect(deployed, anvil.account(index), patience=5.0, receipt_seconds=20.0)

    yield make_history(tmp_path, deployed, connect, anvil.mine)
    anvil.rpc("evm_revert", snapshot)


def _catch_up(archive: Archive) -> None:
    for _ in range(50):
        if not archive.follow() and not archive.fetch(1e12):
            return
    raise AssertionError("never done")


def test_archive_when_only_its_blobs_are_left_then_the_audit_passes(history: History, tmp_path: Path) -> None:
    root, law = history._begin()
    chain = Chain.connect(history.network, None, patience=5.0)
    history.store.pins.clear()  # what the validators' own puts pinned is theirs to let go
    archive = Archive(chain, history.store, Holdings(tmp_path / "holdings.sqlite"), (), 1.0)
    history.round(law, Play([[900, 300], [800, 400], [100, 350]]))
    history.round(root, Play([[0, 500], [0, 500], [0, 500]]))
    history.store.pins.clear()
    _catch_up(archive)
    archive.holdings.close()
    history.round(law, Play([[500, 0], [500, 0], [500, 0]]))
    history.round(law, Play([[10, 20], [20, 10], [30, 5]]))
    again = Archive(chain, history.store, Holdings(tmp_path / "holdings.sqlite"), (), 1.0)
    _catch_up(again)
    summary = again.holdings.summary()
    again.holdings.close()
    assert {entry["kind"] for entry in summary["missing"]} <= {"dataset"}  # those of this history are made up

    years_later = MemoryStore()
    years_later.blobs = {digest: history.store.blobs[digest] for digest in history.store.pins}
    assert len(years_later.blobs) < len(history.store.blobs)  # a refused delta is not kept
    reader = transaction_reader(history.network.rpc)
    report = audit(chain, years_later, scratch=tmp_path, read_input=reader)
    assert report.findings == ()
    assert report.skipped == ()
    assert len(report.rounds) == 4
