"""What every node process shares: events, status, logs, signals."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.errors import ConfigError
from node.cli import app
from node.config import NodeConfig
from node.runtime import EventLog, Redact, open_runtime, read_status, run_threads, write_atomic

ROOT = Path(__file__).resolve().parents[2]


def test_events_when_many_threads_write_then_every_line_is_whole(tmp_path: Path) -> None:
    events = EventLog(tmp_path / "events.jsonl", clock=lambda: 12.3456)
    threads = [
        threading.Thread(target=lambda: [events.write("e", "m", 1, x=b"\x01") for _ in range(50)]) for _ in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert lines == [{"t": 12.346, "event": "e", "model": "m", "round": 1, "x": "01"}] * 200


def test_events_when_somebody_s_words_are_no_utf8_then_they_are_written_with_escapes(tmp_path: Path) -> None:
    events = EventLog(tmp_path / "events.jsonl")
    events.write("dataset_vote", reason="unknown fields: \ud800")
    assert json.loads((tmp_path / "events.jsonl").read_text())["reason"] == "unknown fields: \ud800"


def test_events_when_written_then_only_their_owner_reads_them(tmp_path: Path) -> None:
    EventLog(tmp_path / "events.jsonl").write("scored", scores=[1])
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600


def test_status_when_written_then_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    runtime = open_runtime(NodeConfig("n", tmp_path), "miner")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            runtime.status.update_model("law", round=time.monotonic(), phase="TRAIN" * 100)

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(200):
        assert read_status(tmp_path)["alive"]
    stop.set()
    thread.join(5)


def test_read_status_when_the_process_is_gone_then_it_is_not_alive(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait(20)
    write_atomic(tmp_path / "status.json", json.dumps({"pid": child.pid, "stopped": False}).encode())
    assert not read_status(tmp_path)["alive"]


@pytest.mark.parametrize("content", [None, "{"])
def test_read_status_when_there_is_none_then_it_says_so(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "status.json").write_text(content)
    with pytest.raises(ConfigError, match=r"status"):
        read_status(tmp_path)


def test_redact_when_a_secret_is_logged_then_it_is_not_shown() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "key %s of %s", ("pass word", "me"), None)
    assert Redact(("pass word",)).filter(record)
    assert record.getMessage() == "key [secret] of me"


def test_redact_when_a_traceback_names_a_secret_then_it_is_not_shown() -> None:
    try:
        raise ValueError("bad pass word")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    assert Redact(("pass word",)).filter(record)
    assert "ValueError: bad [secret]" in logging.Formatter().format(record)


def test_run_threads_when_one_fails_then_all_stop_and_it_is_raised(tmp_path: Path) -> None:
    runtime = open_runtime(NodeConfig("n", tmp_path), "miner")

    def fail() -> None:
        raise ZeroDivisionError("bug")

    with pytest.raises(ZeroDivisionError):
        run_threads(runtime, {"bad": fail, "good": lambda: runtime.sleep(30) and None})
    assert runtime.stop.is_set()
    assert '"event": "error"' in (tmp_path / "events.jsonl").read_text()


NODE = """
import sys
from pathlib import Path
from node.config import NodeConfig
from node.runtime import leave, process
with process(NodeConfig("n", Path(sys.argv[1])), "miner") as runtime:
    print("ready", flush=True)
    {body}
leave()
"""


def started(state: Path, body: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", NODE.format(body=body), str(state)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("body", ["runtime.stop.wait(60)", "import time; time.sleep(60)"])
def test_process_when_told_to_stop_then_it_is_gone_within_five_seconds(tmp_path: Path, number: int, body: str) -> None:
    child = started(tmp_path, body)
    began = time.monotonic()
    child.send_signal(number)
    assert child.wait(10) == 0
    assert time.monotonic() - began < 6


def test_process_when_its_state_folder_is_in_use_then_it_is_refused(tmp_path: Path) -> None:
    child = started(tmp_path, "runtime.stop.wait(60)")
    try:
        second = subprocess.run(
            [sys.executable, "-c", NODE.format(body="pass"), str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
            timeout=30,
        )  # fmt: skip
        assert "another process runs with the state folder" in second.stderr
    finally:
        child.kill()
        child.wait(5)


def test_process_when_its_parent_dies_then_it_ends_too(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {NODE.format(body='runtime.stop.wait(60)')!r}, sys.argv[1]], "
        "stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait(5)
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline and _runs(pid):
        time.sleep(0.1)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_init_when_run_twice_then_the_first_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    first = CliRunner().invoke(app, ["init", str(path), "--name", "one"])
    assert first.exit_code == 0
    second = CliRunner().invoke(app, ["init", str(path), "--name", "two"])
    assert second.exit_code == 1
    assert 'name = "one"' in path.read_text()


def test_status_when_the_node_does_not_run_then_it_says_so_and_ends_with_3(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('name = "n"\nstate = "state"\n')
    assert CliRunner().invoke(app, ["status", "--config", str(path)]).exit_code == 1
    runtime = open_runtime(NodeConfig("n", tmp_path / "state"), "miner")
    runtime.status.update_model("law", round=3, phase="TRAIN", action="wait")
    running = CliRunner().invoke(app, ["status", "--config", str(path)])
    assert running.exit_code == 0
    assert f"process {os.getpid()}" in running.output
    assert "law round 3 TRAIN, wait" in running.output
    runtime.status.update(stopped=True)
    assert CliRunner().invoke(app, ["status", "--config", str(path), "--json"]).exit_code == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "n"\nstate = "s"\n', "wallet"),
        ('name = "n"\nstate = "s"\nwallet = "w.json"\n', "passphrase_file"),
        ('name = "n"\nstate = "s"\ncolour = 1\n', "unknown setting colour"),
    ],
)
def test_miner_when_a_setting_is_wrong_then_one_line_says_so(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text)
    done = CliRunner().invoke(app, ["miner", "--config", str(path)])
    assert done.exit_code == 1
    assert words in done.output
    assert "Traceback" not in done.output
