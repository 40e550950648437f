"""What a node counts about itself: figures from events, lines on disk, the page for Prometheus, bytes on sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.config import NodeConfig
from node.figures import deadline
from node.metrics_http import open_page, page_text
from node.reporter import Lines, Recorder, reported
from node.runtime import open_runtime
from node.sockets import SocketMeter, tree
from node.telemetry import Telemetry


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def telemetry(clock: Clock) -> Telemetry:
    return Telemetry(clock)


def feed(telemetry: Telemetry, *events: dict[str, Any]) -> None:
    for number, event in enumerate(events):
        telemetry.observe({"t": 1000.0 + number, "model": "law", "round": 3, **event})


def law(telemetry: Telemetry) -> dict[str, Any]:
    found: dict[str, Any] = telemetry.snapshot()["models"]["law"]
    return found


def step(number: int, tokens: int, when: float, steps: int = 40, loss: float = 3.0) -> dict[str, Any]:
    return {"event": "train_step", "t": when, "step": number, "steps": steps, "tokens": tokens, "loss": loss}


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


# figures --------------------------------------------------------------------------------------------------------------


def test_snapshot_while_training_then_it_tells_step_loss_and_tokens_per_second(telemetry: Telemetry) -> None:
    feed(telemetry, step(1, 100, 1000.0), step(2, 200, 1001.0), step(3, 400, 1002.0, loss=2.5))
    found = law(telemetry)
    assert (found["step"], found["steps"], found["loss"], found["tokens"]) == (3, 40, 2.5, 400)
    assert found["tokens_per_second"] == 150.0
    assert found["training"]


def test_snapshot_when_training_slows_down_then_the_rate_is_that_of_the_last_half_minute(telemetry: Telemetry) -> None:
    feed(telemetry, *(step(n, 1000 * n, 1000.0 + n) for n in range(1, 20)))
    feed(telemetry, *(step(20 + n, 19_000 + 10 * n, 1020.0 + n) for n in range(60)))
    assert law(telemetry)["tokens_per_second"] == pytest.approx(10.0)


def test_snapshot_when_the_next_loop_begins_then_its_rate_is_its_own(telemetry: Telemetry) -> None:
    feed(telemetry, step(39, 39_000, 1000.0), step(40, 40_000, 1001.0))
    feed(telemetry, {"event": "trained", "t": 1001.0, "tokens": 40_000, "seconds": 40.0, "loss_last": 2.0})
    assert (law(telemetry)["tokens_per_second"], law(telemetry)["training"]) == (1000.0, False)
    feed(telemetry, {**step(1, 10, 1101.0), "round": 4}, {**step(2, 20, 1102.0), "round": 4})
    assert law(telemetry)["tokens_per_second"] == 10.0


def test_training_share_when_the_miner_says_none_then_it_is_taken_since_the_first_step(
    telemetry: Telemetry, clock: Clock
) -> None:
    feed(telemetry, step(1, 1, 1000.0), {"event": "trained", "t": 1030.0, "tokens": 40, "loss_last": 2.0})
    clock.now = 1040.0
    assert law(telemetry)["training_share"] == 0.75
    telemetry.note_model("law", {"training_share": 0.9, "head": "00"})
    assert law(telemetry)["training_share"] == 0.9
    assert "head" not in law(telemetry)


def test_rounds_when_two_are_live_then_the_newest_comes_first_and_an_ended_one_leaves(telemetry: Telemetry) -> None:
    feed(telemetry, {"event": "phase", "phase": "SCORE", "phase_end": 60})
    feed(telemetry, {"event": "phase", "round": 4, "phase": "TRAIN", "phase_end": 80})
    assert [(r["round"], r["phase"]) for r in law(telemetry)["rounds"]] == [(4, "TRAIN"), (3, "SCORE")]
    feed(telemetry, {"event": "round_final", "head": "00"})
    assert [(r["round"], r["phase"]) for r in law(telemetry)["rounds"]] == [(4, "TRAIN")]
    assert law(telemetry)["rounds_final"] == 1


def test_seconds_left_when_blocks_were_seen_then_they_follow_from_their_pace(
    telemetry: Telemetry, clock: Clock
) -> None:
    feed(telemetry, {"event": "phase", "phase": "TRAIN", "phase_end": 30})
    assert law(telemetry)["rounds"][0]["seconds_left"] is None
    for number in (10, 11, 12):
        telemetry.saw_block(number)
        clock.now += 2.0
    now = law(telemetry)["rounds"][0]
    assert (now["blocks_left"], now["seconds_left"]) == (18, 34.0)  # the newest block is two seconds old
    telemetry.saw_block(3)  # a chain that began anew
    assert law(telemetry)["rounds"][0]["seconds_left"] is None


def test_deadline_when_the_phase_is_over_then_nothing_is_left() -> None:
    assert deadline(10, 12, 0.0, 1.0, 0.0) == (0, 0.0)
    assert deadline(None, 12, 0.0, 1.0, 0.0) == (None, None)


def test_observe_when_other_roles_speak_then_their_figures_are_kept(telemetry: Telemetry) -> None:
    feed(telemetry, {"event": "scored", "heldout_after": 2_500_000}, {"event": "averaged", "peers": 3, "tokens": 9})
    feed(telemetry, {"event": "served", "tokens": 12}, {"event": "served", "tokens": 8}, {"event": "missed"})
    feed(telemetry, {"event": "error", "message": "x"}, {"event": "round_void", "reason": "EMPTY"})
    found = law(telemetry)
    assert (found["heldout_loss"], found["rounds_judged"], found["team_peers"]) == (2.5, 1, 3)
    assert (found["answers"], found["tokens_served"], found["rounds_missed"], found["rounds_void"]) == (2, 20, 1, 1)
    assert telemetry.snapshot()["errors"] == 1


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": 3},
        {"event": "train_step", "step": "x", "tokens": -1, "loss": float("nan"), "steps": True},
        {"event": "train_step", "loss": 10**400},
        {"event": "phase", "phase": 7, "phase_end": "soon"},
        {"event": "phase", "phase": "TRAIN", "phase_end": True, "round": "three"},
        {"event": "trained", "seconds": "long", "tokens": None},
        {"event": "scored", "heldout_after": [1]},
        {"event": "train_step", "t": "now"},
        {"event": "train_step", "model": ["law"]},
    ],
)
def test_observe_when_an_event_is_malformed_then_it_is_passed_over(telemetry: Telemetry, event: dict[str, Any]) -> None:
    feed(telemetry, event)
    json.dumps(telemetry.snapshot(), allow_nan=False)


def test_ask_when_parts_of_the_node_tell_then_it_is_there_and_a_failure_is_nothing(telemetry: Telemetry) -> None:
    def fail() -> None:
        raise RuntimeError("dictionary changed size during iteration")

    telemetry.ask("pins", lambda: 12)
    telemetry.ask("team", fail)
    assert telemetry.snapshot()["told"] == {"pins": 12, "team": None}


def test_resumed_when_read_back_then_the_figures_are_the_same(telemetry: Telemetry, clock: Clock) -> None:
    feed(telemetry, {"event": "phase", "phase": "TRAIN", "phase_end": 30}, step(1, 10, 1001.0), step(2, 30, 1002.0))
    feed(telemetry, {"event": "phase", "round": 2, "phase": "SCORE", "phase_end": 20}, {"event": "served", "tokens": 3})
    feed(telemetry, {"event": "scored", "heldout_after": 2_000_000}, {"event": "averaged", "peers": 2})
    telemetry.moved("content", 1, 2)
    telemetry.set_sockets(3, 4)
    telemetry.ask("pins", lambda: 12)
    for block in (7, 8):
        telemetry.saw_block(block)
        clock.now += 2.0
    before = json.loads(json.dumps(telemetry.snapshot()))
    assert Telemetry.resumed(before, clock).snapshot() == before


def test_runtime_when_a_role_speaks_then_telemetry_hears_it(tmp_path: Path) -> None:
    runtime = open_runtime(NodeConfig("n", tmp_path), "miner")
    runtime.events.write("train_step", "law", 1, step=1, steps=2, loss=3.0, tokens=5)
    runtime.status.update_model("law", action="train", training_share=0.5)
    found = law(runtime.telemetry)
    assert (found["step"], found["action"], found["training_share"]) == (1, "train", 0.5)


# lines on disk --------------------------------------------------------------------------------------------------------


def test_lines_when_the_file_is_full_then_it_moves_aside_once(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "telemetry.jsonl", max_bytes=100)
    for number in range(100):
        assert lines.write(f"{number:020d}")
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"telemetry.jsonl", "telemetry.jsonl.1"}
    assert max(sizes.values()) <= 121
    assert (tmp_path / "telemetry.jsonl").read_text().endswith("99\n")


def test_lines_when_the_disk_refuses_then_it_is_told_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = Lines(tmp_path / "gone" / "telemetry.jsonl")
    assert not lines.write("a") and not lines.write("b")
    assert len(caplog.records) == 1
    (tmp_path / "gone").mkdir()
    assert lines.write("c")
    assert (tmp_path / "gone" / "telemetry.jsonl").read_text() == "c\n"


def test_events_and_status_when_the_disk_refuses_then_the_node_goes_on(tmp_path: Path) -> None:
    runtime = open_runtime(NodeConfig("n", tmp_path / "state"), "miner")
    for name in ("journal", "status.json"):
        path = tmp_path / "state" / name
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "state").rmdir()
    runtime.events.write("phase", "law", 1, phase="TRAIN", phase_end=9)
    runtime.status.update_model("law", action="train")
    assert law(runtime.telemetry)["action"] == "train"


def test_recorder_when_a_round_ends_then_a_line_is_written_before_the_next_is_due(tmp_path: Path) -> None:
    config = NodeConfig("n", tmp_path, metrics_port=-1, telemetry_seconds=3600)
    telemetry = Telemetry()
    path = tmp_path / "telemetry.jsonl"

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    with reported(config, "miner", telemetry, lambda url: None):
        wait_for(lines)
        telemetry.observe({"t": time.time(), "event": "round_final", "model": "law", "round": 3})
        wait_for(lambda: len(lines()) > 1)
    assert [line["why"] for line in lines()] == ["time", "round", "end"]
    assert (lines()[1]["name"], lines()[1]["role"], lines()[1]["models"]["law"]["rounds_final"]) == ("n", "miner", 1)
    assert path.stat().st_mode & 0o777 == 0o600


def test_recorder_when_a_look_at_the_sockets_takes_long_then_it_is_not_soon_repeated(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    class Slow(SocketMeter):
        looks = 0

        def look(self) -> tuple[int, int]:
            self.looks += 1
            time.sleep(0.5)
            return 7, 8

    recorder = Recorder(NodeConfig("n", tmp_path), "miner", telemetry)
    slow = recorder._sockets = Slow()
    for _ in range(3):
        assert recorder.line("page")["traffic"]["sockets"] == {"sent": 7, "received": 8}
    assert slow.looks == 1


# the page -------------------------------------------------------------------------------------------------------------


def figures(telemetry: Telemetry, folder: Path) -> dict[str, Any]:
    return Recorder(NodeConfig("n", folder), "miner", telemetry).line("page")


def test_page_when_read_over_http_then_prometheus_has_the_figures(telemetry: Telemetry, tmp_path: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    feed(telemetry, {"event": "phase", "phase": "TRAIN", "phase_end": 30}, step(3, 300, 1002.0, loss=2.5))
    feed(telemetry, {"event": "averaged", "peers": 2})
    telemetry.moved("content", sent=10, received=20)
    telemetry.moved("chain", 5, 7, requests=1)
    telemetry.ask("pins", lambda: 12)
    telemetry.ask("team", lambda: {"leading": True, "peers": ["a", "b"], "leader": "a"})
    page = open_page("127.0.0.1", 0, lambda: figures(telemetry, tmp_path))
    assert page is not None and page.url.startswith("http://127.0.0.1:")
    try:
        with urllib.request.urlopen(page.url, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(page.url.replace("/metrics", "/"), timeout=10)
    finally:
        page.close()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert samples["strata_node_info", "miner", "n"] == 1
    assert (samples["strata_train_loss", "law"], samples["strata_train_step", "law"]) == (2.5, 3)
    assert samples["strata_phase", "TRAIN", "law"] == 1
    assert (samples["strata_pins",], samples["strata_team_peers",], samples["strata_team_leading",]) == (12, 2, 1)
    assert samples["strata_content_bytes_total", "received"] == 20
    assert samples["strata_chain_bytes_total", "sent"] == 5


def test_page_when_a_model_has_a_hostile_name_then_it_is_one_label(telemetry: Telemetry, tmp_path: Path) -> None:
    name = 'x"} 1\nstrata_round{model="law'
    telemetry.observe({"t": 1.0, "event": "phase", "model": name, "round": 1, "phase": "TRAIN", "phase_end": 9})
    text = page_text(figures(telemetry, tmp_path)).decode()
    assert sum(line.startswith("strata_round{") for line in text.splitlines()) == 1


def test_page_when_its_reader_goes_away_then_the_next_is_answered(
    tmp_path: Path, telemetry: Telemetry, capfd: pytest.CaptureFixture[str]
) -> None:
    page = open_page("::1" if socket.has_dualstack_ipv6() else "127.0.0.1", 0, lambda: figures(telemetry, tmp_path))
    if page is None:
        pytest.skip("no such address here")
    host, _, port = page.url.removeprefix("http://").removesuffix("/metrics").rpartition(":")
    try:
        for sent in (b"", b"GET /metrics HTTP/1.1\r\n\r\n", b"\xff" * 100):
            with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as reader:
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
                reader.sendall(sent)
        with urllib.request.urlopen(page.url, timeout=20) as answer:
            assert b"strata_node_info" in answer.read()
    finally:
        page.close()
    assert "Traceback" not in capfd.readouterr().err


def test_page_when_the_port_is_taken_then_the_node_goes_on_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str | None] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = NodeConfig("n", tmp_path, metrics_port=taken.getsockname()[1], telemetry_seconds=0)
        with reported(config, "miner", Telemetry(), told.append):
            pass
    assert told == [None]
    assert len(caplog.records) == 1


# sockets --------------------------------------------------------------------------------------------------------------

TALK = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as peer:
    peer.sendall(b"x" * 100_000)
    print(len(peer.recv(500)), flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counted by Linux alone")
def test_sockets_when_a_child_talks_then_its_bytes_are_counted_even_after_it_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = subprocess.Popen(
            [sys.executable, "-c", TALK, str(listener.getsockname()[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdin is not None and child.stdout is not None
        try:
            assert child.pid in tree(os.getpid())
            meter, within = SocketMeter(child.pid), SocketMeter()
            began = within.look()
            if began is None:
                pytest.skip("no netlink here")
            peer, _ = listener.accept()
            with peer:
                left = 100_000
                while left:
                    left -= len(peer.recv(65536))
                peer.sendall(b"y" * 500)
                assert child.stdout.readline() == b"500\n"
                wait_for(lambda: meter.look() == (100_000, 500))
                assert within.look() == began  # both ends are ours
                child.stdin.close()
                child.wait(10)
            assert meter.look() == (100_000, 500)
        finally:
            child.kill()
            child.wait(10)


def test_sockets_when_they_cannot_be_listed_then_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("no netlink")

    monkeypatch.setattr(socket, "socket", refuse)
    assert SocketMeter().look() is None
