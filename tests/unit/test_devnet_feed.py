"""The board that the view draws, from made-up events."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

from rich.console import Console

from devnet.feed import Board, ModelState, Tail, apply
from devnet.view import Screen, Step, View, draw, phase_track, plain_models

REPORT = {
    "heldout_genesis": 3_200_000,
    "heldout_genesis_se": 15_000,
    "heldout_before": 3_000_000,
    "heldout_after": 2_700_000,
    "heldout_se": 12_000,
    "general_before": 4_000_000,
    "general_after": 4_001_000,
    "general_se": 20_000,
    "tokens_judged": 4096,
}


def board_with_a_round() -> Board:
    board = Board(block=42, chain="anvil")
    board.models["law"] = ModelState("law", 1, "SCORE", 7, 3, 3, 2, 54, 0)
    law = {"model": "law", "round": 1}
    apply(
        board, "miner-1", {"t": 1.0, "event": "train_step", "step": 3, "steps": 10, "loss": 2.5, "tokens": 300, **law}
    )
    apply(board, "miner-2", {"t": 2.0, "event": "trained", "tokens": 1000, "loss_first": 3.0, "loss_last": 2.5, **law})
    apply(board, "validator-1", {"t": 3.0, "event": "scored", **law, **REPORT})
    apply(board, "validator-2", {"t": 3.0, "event": "scored", **law, **REPORT, "heldout_after": 2_800_000})
    return board


def test_apply_when_validators_score_then_the_row_has_their_median_and_all_tokens() -> None:
    (row,) = board_with_a_round().rows()
    assert (row.model, row.round, row.trained_tokens) == ("law", 1, 1000)
    assert row.measured.heldout_after == 2.75
    assert row.measured.judged_tokens == 8192


def test_apply_when_many_nodes_see_the_end_then_it_is_said_once() -> None:
    board = board_with_a_round()
    before = board.happened
    for node in ("validator-1", "validator-2"):
        event = {"t": 4.0, "event": "round_void", "model": "law", "round": 1, "reason": "NO_SCORE_QUORUM"}
        apply(board, node, event)
    assert board.happened == before + 1
    assert board.ended["law", 1] == "VOID NO_SCORE_QUORUM"


def test_apply_when_the_event_is_unknown_or_odd_then_it_is_passed_over() -> None:
    board = Board()
    for event in ({}, {"event": 3}, {"event": "new_thing"}, {"event": "scored", "heldout_before": "x"}):
        apply(board, "miner-1", event)
    assert board.measured == {}


def test_tail_when_a_line_is_half_written_then_it_waits_for_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = Tail(path)
    assert reader.read() == []
    path.write_text('{"event": "a"}\n{"ev')
    assert [e["event"] for e in reader.read()] == ["a"]
    with path.open("a") as file:
        file.write('ent": "b"}\nnot json\n')
    assert [e["event"] for e in reader.read()] == ["b"]


def test_tail_when_the_file_starts_anew_then_it_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"event": "first", "filler": "x" * 50}) + "\n")
    reader = Tail(path)
    reader.read()
    path.write_text('{"event": "second"}\n')
    assert [e["event"] for e in reader.read()] == ["second"]


def test_draw_when_a_round_is_on_then_shows_phases_miners_and_losses() -> None:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    screen = Screen("Strata devnet", time.time(), [Step("start", started=1.0, ended=2.0), Step("train", started=2.0)])
    console.print(draw(screen, board_with_a_round(), time.time()))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for word in ("block 42", "law", "3/10", "-8.33%", "validator-1", "✓ 1. start", "score›reveal"):
        assert word in shown


def test_draw_when_two_rounds_are_on_then_shows_both_and_says_so_once() -> None:
    board = board_with_a_round()
    board.models["law"] = ModelState("law", 2, "TRAIN", 9, 3, held=True, judged=board.models["law"])
    for _ in range(2):
        board.overlap("law", 2)
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    console.print(draw(Screen("Strata devnet", time.time()), board, time.time()))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "trained meanwhile" in shown and "54%" in shown
    assert shown.count("round 2 is trained while round 1 is judged") == 1
    assert plain_models(board).startswith("law round 1 SCORE") and "law round 2 TRAIN" in plain_models(board)


def test_phase_track_when_void_then_says_why() -> None:
    assert phase_track(ModelState("law", 1, "VOID", void_reason="EMPTY")).plain == "VOID (EMPTY)"


def test_view_when_stdout_is_no_terminal_then_prints_plain_lines() -> None:
    out = io.StringIO()

    def refresh(board: Board) -> None:
        if not board.happened:
            board.say("miner-1", "did [something]", time.time())

    with View(Console(file=out, width=120), "demo", ["first", "second"], refresh) as view:
        view.begin(0)
        view.note("a note")
        deadline = time.monotonic() + 5
        while "something" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
        view.end()
    assert "1. first" in out.getvalue()
    assert "did [something]" in out.getvalue()
