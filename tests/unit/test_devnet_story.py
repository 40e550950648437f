"""How the demo ends when something goes wrong that nobody foresaw."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.errors import ChainUnavailable
from devnet import story
from devnet.keeper import INTERRUPTED
from devnet.layout import Home, RunOptions
from devnet.processes import NodeFailed
from devnet.story import Told
from devnet.view import View


def _tell(home: Home, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The demo, whose first step fails."""

    def play(told: Told, view: View) -> list[str]:
        monkeypatch.setattr(told.net.supervisor, "names", lambda: ["miner-1"])
        told.net.run.log("miner-1").write_text("before\nTraceback: boom in the miner\n")
        raise error

    monkeypatch.setattr(story, "play", play)
    return story.tell(home, RunOptions("nano"))


@pytest.mark.parametrize("error", [KeyError("delta"), ChainUnavailable("no chain there"), ZeroDivisionError("of 7")])
def test_tell_when_a_step_fails_then_it_is_told_in_words_and_the_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    home = Home(tmp_path)
    assert _tell(home, monkeypatch, error) == 1
    out, err = capsys.readouterr()
    told = "".join(out.split())
    run = home.all_runs()[0].path
    for words in (f"{type(error).__name__}:{error}", "boomintheminer", f"{run}/logs", f"{run}/failure.txt"):
        assert "".join(words.split()) in told
    assert "most recent call last" not in out + err
    kept = (run / "failure.txt").read_text()
    assert "most recent call last" in kept and "in play" in kept


def test_tell_when_the_error_is_not_ours_then_it_says_where_it_arose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _tell(Home(tmp_path), monkeypatch, KeyError("delta")) == 1
    assert "unforeseen KeyError: 'delta' (at tests/unit/test_devnet_story.py:" in capsys.readouterr().out


def test_tell_when_the_summary_fails_then_that_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(story, "play", lambda told, view: [])

    def full(*_: object) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(story, "finish", full)
    assert story.tell(Home(tmp_path), RunOptions("nano")) == 1
    assert "No space left on device" in capsys.readouterr().out


def test_tell_when_the_run_has_no_place_then_there_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert story.tell(Home(tmp_path / "file"), RunOptions("nano")) == 1
    out, err = capsys.readouterr()
    assert "Error: unforeseen" in out and "Traceback" not in out + err


def test_tell_when_stopping_fails_after_a_failure_then_both_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def left(run: Path) -> list[object]:
        raise NodeFailed("could not stop: 4711")

    monkeypatch.setattr(story, "run_processes", left)
    assert _tell(Home(tmp_path), monkeypatch, KeyError("delta")) == 1
    out = capsys.readouterr().out
    assert "KeyError: 'delta'" in out and "could not stop: 4711" in out


def test_tell_when_interrupted_then_it_stops_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    assert _tell(home, monkeypatch, KeyboardInterrupt()) == INTERRUPTED
    assert "nothing is left running" in capsys.readouterr().out
    assert not (home.all_runs()[0].path / "failure.txt").exists()
