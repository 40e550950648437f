"""The journal of signed transactions: durable, one entry a nonce, claimed by whoever looks after it."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from client.journal import MINED, FileJournal, Journal, JournalEntry, MemoryJournal
from tests.conftest import ROOT

ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
FIRST = JournalEntry(ADDRESS, 5, 31337, "0x00", "a transfer", "0xaa", ("0x01",), 1.0, to=ADDRESS, value=3)
SECOND = replace(FIRST, hashes=("0x02",), nonce=4)


@pytest.fixture(params=[MemoryJournal, FileJournal])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    made: Journal = MemoryJournal() if request.param is MemoryJournal else FileJournal(tmp_path)
    return made


def test_journal_when_reopened_then_pending_entries_are_there_by_nonce(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    journal.record(FIRST)
    journal.record(SECOND)
    again = FileJournal(tmp_path)
    assert again.pending() == [SECOND, FIRST]
    again.finish("0x02", "mined")
    again.finish("0x02", "mined")
    assert journal.pending() == [FIRST]
    assert (tmp_path / "sent.jsonl").read_text().count("\n") == 1


def test_entry_when_signed_again_then_all_its_hashes_are_kept_under_the_first(journal: Journal) -> None:
    journal.record(FIRST)
    journal.record(replace(FIRST, hashes=("0x01", "0x07"), raw="0xbb", fees={"gasPrice": 9}))
    (entry,) = journal.pending()
    assert (entry.tx, entry.hashes, entry.raw) == ("0x01", ("0x01", "0x07"), "0xbb")


def test_entry_when_mined_then_it_is_kept_but_not_pending_until_it_is_finished(journal: Journal) -> None:
    journal.record(replace(FIRST, outcome=MINED, block=7))
    assert journal.pending() == []
    assert [entry.block for entry in journal.kept()] == [7]
    journal.finish("0x01", MINED)
    assert journal.kept() == []


def test_entry_when_compared_then_only_the_same_act_is_the_same() -> None:
    assert FIRST.asks(ADDRESS.lower(), "0x", 3)
    assert not FIRST.asks(ADDRESS, "0x", 4)
    assert not FIRST.asks(ADDRESS, "0x00", 3)
    assert not FIRST.asks(None, "0x", 3)
    permitted = replace(FIRST, data="0x1234", intent="0x34")
    assert permitted.asks(ADDRESS, "0x34", 3)
    assert not permitted.asks(ADDRESS, "0x1234", 3)


def test_claim_when_somebody_has_it_then_nobody_else_gets_it_until_it_is_released(journal: Journal) -> None:
    journal.record(FIRST)
    assert journal.claim("0x01")
    assert not journal.claim("0x01")
    journal.release("0x01")
    journal.release("0x01")
    assert journal.claim("0x01")


def test_claim_when_its_process_is_killed_then_it_is_free_again(tmp_path: Path) -> None:
    FileJournal(tmp_path).record(FIRST)
    program = (
        "import sys; from pathlib import Path; from client.journal import FileJournal\n"
        "journal = FileJournal(Path(sys.argv[1])); print(journal.claim('0x01'), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        journal = FileJournal(tmp_path)
        assert not journal.claim("0x01")
        holder.kill()
        holder.wait(10)
        assert journal.claim("0x01")


def test_lock_when_a_thread_holds_it_then_another_waits(journal: Journal) -> None:
    order = []
    with journal.lock():
        thread = threading.Thread(target=lambda: order.append("second") if _locked(journal) else None)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def _locked(journal: Journal) -> bool:
    with journal.lock():
        return True
