"""``strata node status``: of nodes that run, were stopped, were killed, or never ran; in terminals, pipes and JSON."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from client.errors import ConfigError
from devnet.keeper import _activity
from devnet.layout import Run
from node.archive import _tell
from node.cli import app
from node.config import NodeConfig
from node.reporter import Recorder
from node.runtime import Runtime, open_runtime
from node.status import read_node, tail
from node.status_view import clean, clock, draw, duration, size, summary

ROOT = Path(__file__).resolve().parents[2]


def status(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["status", *map(str, arguments)], env={"STRATA_NODE_CONFIG": ""})


def busy(folder: Path, name: str = "my-miner") -> Runtime:
    """A miner in the middle of a round, with another one still being judged."""
    runtime = open_runtime(NodeConfig(name, folder), "miner")
    runtime.events.write("node_started", role="miner", name=name, pid=os.getpid())
    runtime.status.update(address="0x" + "ab" * 20, network="devnet", metrics="http://127.0.0.1:9/metrics")
    runtime.status.update_model("law", round=12, phase="TRAIN", phase_end=160, action="train", training_share=0.912)
    runtime.events.write("phase", "law", 11, phase="SCORE", phase_end=120)
    runtime.events.write("phase", "law", 12, phase="TRAIN", phase_end=160)
    runtime.events.write("averaged", "law", 11, peers=2, tokens=40)
    runtime.telemetry.saw_block(103)
    for number in (1, 2, 3):
        time.sleep(0.002)  # events tell milliseconds
        runtime.events.write("train_step", "law", 12, step=number, steps=40, loss=3.5 - number / 4, tokens=number * 100)
    runtime.telemetry.moved("content", sent=2_500_000, received=12_100_000)
    return runtime


def record(runtime: Runtime) -> None:
    """A line of telemetry, as the thread of a process writes it."""
    line = Recorder(runtime.config, "miner", runtime.telemetry).line("time")
    with (runtime.config.state / "telemetry.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    time.sleep(0.002)


def drawn(folder: Path, width: int = 160) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(draw(read_node(folder)))
    return console.export_text()


# what is read ---------------------------------------------------------------------------------------------------------


def test_read_node_while_it_trains_then_figures_are_of_the_last_step_not_of_the_last_line(tmp_path: Path) -> None:
    runtime = busy(tmp_path)
    record(runtime)
    runtime.events.write("train_step", "law", 12, step=9, steps=40, loss=2.0, tokens=900)
    runtime.events.write("phase", "law", 11, phase="ATTEST", phase_end=130)
    view = read_node(tmp_path)
    law = view.figures["models"]["law"]
    assert view.condition == "runs"
    assert (law["step"], law["loss"], law["tokens"], law["training"]) == (9, 2.0, 900, True)
    assert [(r["round"], r["phase"], r["phase_end"]) for r in law["rounds"]] == [
        (12, "TRAIN", 160),
        (11, "ATTEST", 130),
    ]
    assert (law["rounds"][0]["blocks_left"], law["training_share"], law["team_peers"]) == (57, 0.912, 2)
    assert view.figures["traffic"]["content"] == {"sent": 2_500_000, "received": 12_100_000}


def test_read_node_when_no_telemetry_is_written_then_events_and_status_tell(tmp_path: Path) -> None:
    busy(tmp_path)
    assert read_node(tmp_path).figures["models"]["law"]["step"] == 3
    (tmp_path / "events.jsonl").unlink()
    law = read_node(tmp_path).figures["models"]["law"]
    assert [(r["round"], r["phase"]) for r in law["rounds"]] == [(12, "TRAIN")]


def test_read_node_when_lines_are_of_an_earlier_process_then_they_are_not_its_own(tmp_path: Path) -> None:
    runtime = busy(tmp_path)
    record(runtime)
    runtime.events.write("node_started", role="miner", name="n", pid=os.getpid())
    runtime.status.update(pid=os.getppid(), born=None)
    view = read_node(tmp_path)
    assert view.figures["models"]["law"]["step"] == 0
    assert view.figures["traffic"]["content"]["sent"] == 0
    assert [event["event"] for event in view.events] == ["node_started"]


def test_read_node_when_files_have_just_moved_aside_then_those_are_read(tmp_path: Path) -> None:
    runtime = busy(tmp_path)
    record(runtime)
    for name in ("events.jsonl", "telemetry.jsonl"):
        (tmp_path / name).rename(tmp_path / f"{name}.1")
    view = read_node(tmp_path)
    assert view.figures["models"]["law"]["step"] == 3
    assert view.figures["block"] == 103


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff\xfe\x00" * 100,
        b"[1, 2]\n" * 10,
        b'{"t": "now", "models": 3}\n{"t": 1e999}\n{"event": {}}\n',
        b'{"t": 9e99, "pid": PID, "models": {"law": 3, "x": {"rounds": [3, {"round": -1, "phase": "TRAIN"}]}}}\n',
        b'{"t": 1, "pid": PID, "traffic": [], "block": "x", "block_at": NaN, "uptime": -1e309, "models": []}\n',
        b"[" * 300_000,
        b'{"half": "a li',
    ],
)
def test_read_node_when_files_are_damaged_then_what_is_left_is_told(tmp_path: Path, junk: bytes) -> None:
    busy(tmp_path)
    for name in ("events.jsonl", "telemetry.jsonl"):
        with (tmp_path / name).open("ab") as file:
            file.write(junk.replace(b"PID", str(os.getpid()).encode()))
    assert "my-miner" in drawn(tmp_path)
    json.dumps(read_node(tmp_path).plain())


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "\x00", "[" * 100_000])
def test_read_node_when_the_status_is_damaged_then_one_line_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    done = status("--state", tmp_path)
    assert done.exit_code == 1
    assert "damaged" in done.output
    assert len(done.output.strip().splitlines()) == 1


@pytest.mark.parametrize("values", [{}, {"pid": "x", "models": 3, "stopped": None}, {"models": {"law": 3}, "pid": -1}])
def test_read_node_when_the_status_lacks_values_then_it_is_shown_as_not_running(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    (tmp_path / "status.json").write_text(json.dumps(values))
    done = status("--state", tmp_path)
    assert (done.exit_code, "does not run" in done.output) == (3, True)


def test_tail_when_the_file_is_long_then_its_end_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(100_000)))
    found = list(tail(path, 1000))
    assert 50 < len(found) < 125
    assert found[-1] == {"n": 99_999}


# who runs -------------------------------------------------------------------------------------------------------------

NODE = """
import sys
from pathlib import Path
from node.config import NodeConfig
from node.runtime import leave, process
with process(NodeConfig("n", Path(sys.argv[1]), telemetry_seconds=0.2), "miner") as runtime:
    runtime.events.write("phase", "law", 3, phase="TRAIN", phase_end=90)
    print("ready", flush=True)
    runtime.stop.wait(60)
leave()
"""


@pytest.mark.parametrize(
    ("number", "condition", "words"),
    [(signal.SIGTERM, "stopped", "it was stopped at"), (signal.SIGKILL, "gone", "ended without a word")],
)
def test_status_of_a_process_when_it_ends_then_how_it_ended_is_told(
    tmp_path: Path, number: signal.Signals, condition: str, words: str
) -> None:
    child = subprocess.Popen([sys.executable, "-c", NODE, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        running = status("--state", tmp_path)
        assert (running.exit_code, f"runs as process {child.pid}" in running.output) == (0, True)
    finally:
        child.send_signal(number)
        child.wait(15)
    ended = status("--state", tmp_path)
    assert ended.exit_code == 3
    assert words in ended.output
    assert "law round 3 TRAIN" in ended.output
    assert " left" not in ended.output  # nobody knows any more
    assert json.loads(status("--state", tmp_path, "--json").output)["condition"] == condition


def test_status_when_a_stop_ends_by_the_watchdog_then_it_was_stopped_all_the_same(tmp_path: Path) -> None:
    """Work that does not let go in time is cut off; the process never gets to say its last word."""
    code = NODE.replace("runtime.stop.wait(60)", "import time; time.sleep(60)")
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(15) == 0
    finally:
        child.kill()
        child.wait(15)
    assert json.loads((tmp_path / "status.json").read_text())["stopped"] is False
    assert read_node(tmp_path).condition == "stopped"


def test_read_node_when_its_number_was_given_out_again_then_it_does_not_run(tmp_path: Path) -> None:
    runtime = busy(tmp_path)
    assert read_node(tmp_path).condition == "runs"
    runtime.status.update(born=1)
    assert read_node(tmp_path).condition == ("gone" if sys.platform.startswith("linux") else "runs")


# the command ----------------------------------------------------------------------------------------------------------


def test_status_when_the_node_never_ran_then_one_line_says_so(tmp_path: Path) -> None:
    done = status("--state", tmp_path)
    assert (done.exit_code, done.output) == (1, f"error: no status in {tmp_path}: the node has not run yet\n")


def test_status_when_no_node_is_named_then_it_says_how_to(tmp_path: Path) -> None:
    assert "--config node.toml, or --state" in status().output
    assert "there is no folder" in status("--state", tmp_path / "none").output
    assert "strata node init" in status("--config", tmp_path / "none.toml").output


def test_status_when_both_are_named_then_the_state_folder_counts(tmp_path: Path) -> None:
    """STRATA_NODE_CONFIG may be set while another node is asked for."""
    busy(tmp_path)
    done = CliRunner().invoke(app, ["status", "--state", str(tmp_path)], env={"STRATA_NODE_CONFIG": "/none/node.toml"})
    assert done.exit_code == 0


def test_status_as_json_then_the_file_s_values_stay_and_figures_stand_beside_them(tmp_path: Path) -> None:
    busy(tmp_path)
    values = json.loads(status("--state", tmp_path, "--json").output)
    assert (values["role"], values["alive"], values["models"]["law"]["round"]) == ("miner", True, 12)
    assert values["figures"]["models"]["law"]["loss"] == 2.75
    assert values["last_events"][-1]["event"] == "averaged"


def test_status_when_asked_then_no_heavy_library_is_loaded(tmp_path: Path) -> None:
    busy(tmp_path)
    code = (
        "import sys\n"
        "from client.cli.main import run\n"
        "code = run(['node', 'status', '--state', sys.argv[1]])\n"
        "heavy = {'torch', 'numpy', 'web3', 'hivemind', 'transformers', 'prometheus_client', 'fastapi'}\n"
        "print(code, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def watching(folder: Path, *more: str) -> subprocess.Popen[str]:
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # not so in a background job
        "from client.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    arguments = ["node", "status", "--state", str(folder), "--watch", "--every", "0.1", *more]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip


def left(child: subprocess.Popen[str]) -> tuple[int, str]:
    """Ctrl-C; the code, and what was said on stderr."""
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=20)
    return child.returncode, error


def test_watch_in_a_pipe_then_a_line_a_look_until_ctrl_c(tmp_path: Path) -> None:
    busy(tmp_path)
    child = watching(tmp_path)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(3)]
    assert all("miner my-miner runs; law round 12 TRAIN" in line for line in lines)
    assert left(child) == (0, "")


def test_watch_as_json_then_an_object_a_line(tmp_path: Path) -> None:
    busy(tmp_path)
    child = watching(tmp_path, "--json")
    assert child.stdout is not None
    assert [json.loads(child.stdout.readline())["condition"] for _ in range(2)] == ["runs", "runs"]
    assert left(child) == (0, "")


def test_watch_when_the_node_never_ran_then_it_waits_for_it(tmp_path: Path) -> None:
    child = watching(tmp_path)
    assert child.stdout is not None
    assert "waiting for the node to run" in child.stdout.readline()
    busy(tmp_path)
    until = time.monotonic() + 20
    while "my-miner runs" not in (line := child.stdout.readline()):
        assert "waiting" in line and time.monotonic() < until
    assert left(child) == (0, "")


def test_watch_when_the_node_does_not_run_then_ctrl_c_ends_with_3(tmp_path: Path) -> None:
    busy(tmp_path).status.update(stopped=True)
    child = watching(tmp_path)
    assert child.stdout is not None and "stopped" in child.stdout.readline()
    assert left(child) == (3, "")


# the picture ----------------------------------------------------------------------------------------------------------


def test_draw_when_a_miner_trains_then_all_that_matters_is_there(tmp_path: Path) -> None:
    runtime = busy(tmp_path)
    runtime.telemetry.ask("pins", lambda: {"blobs": 12, "bytes": 31_000_000})
    runtime.telemetry.ask("team", lambda: {"leading": True, "cut_off": False, "term": 3, "peers": ["a", "b"]})
    record(runtime)
    text = drawn(tmp_path)
    for words in (
        "miner my-miner runs as process", "0x" + "ab" * 20, "devnet", "round 12 TRAIN, 57 blocks left", "round 11 SC",
        "step 3/40", "loss 2.7500", "tokens/s", "91.2% of the time spent training", "the mean of 2 peers",
        "2.5 MB sent, 12.1 MB received", "blobs 12, 31 MB", "leading, term 3, 2 peers", "http://127.0.0.1:9/metrics",
        "averaged law 11",
    ):  # fmt: skip
        assert words in text, f"{words!r} is not in\n{text}"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_draw_in_terminals_of_any_width_then_nothing_goes_over_the_edge(tmp_path: Path, width: int) -> None:
    record(busy(tmp_path))
    text = drawn(tmp_path, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "ababab" in text


def test_draw_when_others_words_hold_escapes_then_they_do_nothing(tmp_path: Path) -> None:
    runtime = busy(tmp_path, name="n\x1b[2J")
    runtime.events.write("refused", "law", 12, message="\x1b]0;title\x07 \u202e [bold]x[/bold] " + "y" * 5000)
    runtime.events.write("phase", "bad\nname\x1b[31m", 1, phase="\x1b[31mTRAIN", phase_end=3)
    text = drawn(tmp_path) + summary(read_node(tmp_path))
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "[bold]x[/bold]" in text
    assert "y" * 200 not in text


def test_draw_for_other_roles_then_their_figures_are_shown(tmp_path: Path) -> None:
    runtime = open_runtime(NodeConfig("v", tmp_path), "validator")
    runtime.events.write("scored", "law", 3, heldout_after=2_534_000)
    runtime.events.write("served", "law", 3, tokens=340)
    runtime.events.write("round_final", "law", 3, head="00")
    text = drawn(tmp_path)
    assert "1 round judged; held-out loss 2.5340 nats a token" in text
    assert "1 answer, 340 tokens served" in text
    assert "1 with a head" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (4.21, "4.2 s"), (18, "18 s"), (200, "3 min"), (7500, "2 h 05 min"), (3 * 86400, "3 days")],
)
def test_duration_is_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (2.5e12, "2.5 TB")])
def test_size_is_short(count: float, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize("when", [None, "x", float("nan"), 1e300])
def test_clock_when_the_time_is_none_then_dashes(when: Any) -> None:
    assert clock(when) == "--:--:--"


def test_clean_when_text_is_long_then_it_is_cut() -> None:
    assert clean("a" * 10, 5) == "aaaa…"


def test_read_node_when_the_folder_holds_nothing_then_the_error_is_typed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has not run yet"):
        read_node(tmp_path)


def test_devnet_status_when_a_node_trains_then_its_figures_are_in_the_row(tmp_path: Path) -> None:
    run = Run(tmp_path)
    record(busy(run.node("miner-1")))
    assert "law round 12 TRAIN, 57 blocks left, step 3/40, loss 2.7500" in _activity(run, "miner-1")
    assert _activity(run, "chain") == ""


def test_draw_for_a_server_then_the_heads_that_it_answers_with_are_told(tmp_path: Path) -> None:
    runtime = open_runtime(NodeConfig("s", tmp_path), "server")
    runtime.status.update_model("law", head=b"1", round=7, action="serving")
    assert "law serving, head of round 7" in drawn(tmp_path)
    assert "law serving" in summary(read_node(tmp_path))


def test_draw_for_an_archive_then_what_it_holds_is_shown(tmp_path: Path) -> None:
    runtime = open_runtime(NodeConfig("a", tmp_path), "archive")
    _tell(runtime, {"held": 12, "bytes": 31_000_000, "wanted": 1, "block": 7, "missing": [], "contents": []})
    assert "held 12, 31 MB, wanted 1, block 7, missing 0" in drawn(tmp_path)
    assert runtime.telemetry.snapshot()["told"]["archive"]["held"] == 12
