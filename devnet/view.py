"""The demo's picture: a live view in a terminal, plain lines elsewhere. It draws a ``Board`` and decides nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from contracts.enums import Phase
from devnet.feed import Board, Happening, ModelState, NodeState

if TYPE_CHECKING:
    from rich.live import Live

PHASES = tuple(phase for phase in Phase if Phase.TRAIN <= phase <= Phase.FINAL)
SHORT = {
    Phase.TRAIN: "train",
    Phase.COMMIT: "commit",
    Phase.REVEAL: "reveal",
    Phase.SCORE: "score",
    Phase.SCORE_REVEAL: "reveal",
    Phase.ATTEST: "attest",
    Phase.ATTEST_REVEAL: "reveal",
    Phase.FINAL: "final",
}
REFRESH_PER_SECOND = 4
PLAIN_STATUS_SECONDS = 20.0
HAPPENINGS_SHOWN = 8
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@dataclass
class Step:
    """One step of the story. Times are seconds since the epoch; 0 means not yet."""

    title: str
    started: float = 0.0
    ended: float = 0.0
    note: str = ""


@dataclass
class Screen:
    """What the view shows besides the board."""

    title: str
    started: float
    steps: list[Step] = field(default_factory=list)


def draw(screen: Screen, board: Board, now: float) -> RenderableType:
    """The whole picture."""
    parts: list[RenderableType] = [_header(screen, board, now), _steps(screen, now)]
    if board.models:
        parts.append(_panel("rounds", _models(board)))
    if any(node.steps or node.loss is not None for node in board.nodes.values()):
        parts.append(_panel("miners", _miners(board)))
    if board.measured:
        parts.append(
            Panel(_losses(board), title="losses, as validators measured", title_align="left", border_style="cyan")
        )
    if board.nodes:
        parts.append(_processes(board))
    if board.happenings:
        lines = [_happening_text(h, screen.started) for h in list(board.happenings)[-HAPPENINGS_SHOWN:]]
        parts.append(_panel("what happened", Group(*lines), "dim"))
    return Group(*parts)


def _panel(title: str, what: RenderableType, style: str = "cyan") -> RenderableType:
    return Panel(what, title=title, title_align="left", border_style=style)


def _header(screen: Screen, board: Board, now: float) -> RenderableType:
    row = Table.grid(expand=True)
    row.add_column(ratio=1)
    row.add_column(justify="right")
    place = f"{board.chain} block {board.block}   " if board.chain else ""
    row.add_row(Text(screen.title, style="bold magenta"), Text(f"{place}{clock(now - screen.started)}", style="bold"))
    return row


def _steps(screen: Screen, now: float) -> RenderableType:
    lines = Table.grid(padding=(0, 1))
    for _ in range(3):
        lines.add_column(no_wrap=True)
    lines.add_column(no_wrap=True, overflow="ellipsis")
    for number, step in enumerate(screen.steps, 1):
        if step.ended:
            mark, style, took = "✓", "green", f"{step.ended - step.started:.0f} s"
        elif step.started:
            mark, style, took = SPINNER[int(now * 8) % len(SPINNER)], "bold yellow", f"{now - step.started:.0f} s"
        else:
            mark, style, took = "·", "dim", ""
        lines.add_row(
            Text(mark, style=style), Text(f"{number}. {step.title}", style=style), took, Text(step.note, "dim")
        )
    return lines


def phase_track(model: ModelState) -> Text:
    """The phases in a row, the present one lit."""
    text = Text()
    if model.phase == Phase.VOID.name:
        return Text(f"VOID ({model.void_reason})" if model.void_reason else "VOID", style="bold red")
    present = Phase[model.phase] if model.phase in Phase.__members__ else Phase.NONE
    for phase in PHASES:
        style = (
            "dim" if phase > present else "green" if phase < present or phase is Phase.FINAL else "reverse bold yellow"
        )
        text.append(SHORT[phase], style=style)
        text.append("" if phase is PHASES[-1] else "›", style="dim")
    return text


def _models(board: Board) -> RenderableType:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("model", "round", "phase", "blocks left", "deltas", "scores", "heads", ""):
        table.add_column(name, no_wrap=True, justify="left" if name in ("model", "phase", "") else "right")
    for model in board.models.values():
        if not model.round:
            table.add_row(model.name, "-", Text("no round yet", style="dim"))
            continue
        if model.judged is not None:
            _add_round(table, model.judged, "")
        _add_round(table, model, "trained meanwhile" if model.judged is not None else "")
    return table


def _add_round(table: Table, model: ModelState, note: str) -> None:
    """A row of the table of rounds; of two that overlap, the one that is judged comes first."""
    live = model.phase not in (Phase.FINAL.name, Phase.VOID.name)
    table.add_row(
        Text(model.name, style="bold"),
        str(model.round),
        phase_track(model),
        str(model.blocks_left) if live else "",
        f"{max(model.commits, model.reveals)}/{model.miners}",
        f"{model.scored_percent}%",
        f"{model.attested_percent}%",
        Text(note, style="dim"),
    )


def _miners(board: Board) -> RenderableType:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("miner", "model", "round", "local steps", "", "loss", "tokens", "now"):
        table.add_column(name, no_wrap=True)
    for node in board.nodes.values():
        if not node.steps and node.loss is None:
            continue
        bar = ProgressBar(total=max(node.steps, 1), completed=node.step, width=26)
        loss = "" if node.loss is None else f"{node.loss:.3f}"
        steps = f"{node.step}/{node.steps}" if node.steps else ""
        table.add_row(node.name, node.model, str(node.round), bar, steps, loss, f"{node.tokens:,}", node.activity)
    return table


def _losses(board: Board) -> RenderableType:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("model", "round", "held-out before", "after", "±", "change", "general before", "after", "±"):
        table.add_column(name, no_wrap=True, justify="left" if name == "model" else "right")
    table.add_column("tokens trained", justify="right")
    table.add_column("judged", justify="right")
    for row in board.rows():
        m = row.measured
        change = (m.heldout_after / m.heldout_before - 1) * 100 if m.heldout_before else 0.0
        table.add_row(
            *(row.model, str(row.round), f"{m.heldout_before:.4f}", f"{m.heldout_after:.4f}", f"{m.heldout_se:.4f}"),
            Text(f"{change:+.2f}%", style="green" if change < 0 else "red"),
            *(f"{m.general_before:.4f}", f"{m.general_after:.4f}", f"{m.general_se:.4f}"),
            *(f"{row.trained_tokens:,}", f"{m.judged_tokens:,}"),
        )
    return table


def _processes(board: Board) -> RenderableType:
    text = Text("processes  ", style="dim")
    for node in board.nodes.values():
        text.append("● " if node.alive else "✗ ", style="green" if node.alive else "bold red")
        text.append(_node_label(node) + "  ", style="" if node.alive else "red")
    return text


def _node_label(node: NodeState) -> str:
    quiet = ("starting", "waiting")
    return node.name if node.activity in quiet else f"{node.name} ({node.activity})"


def _happening_text(happening: Happening, started: float) -> Text:
    text = Text(f"{clock(happening.time - started)}  ", style="dim", no_wrap=True, overflow="ellipsis")
    text.append(f"{happening.who}  ", style="cyan")
    text.append(happening.text, style="red" if happening.bad else "default")
    return text


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    whole = max(0, int(seconds))
    return f"{whole // 60:02d}:{whole % 60:02d}"


class View:
    """Shows the story while it runs. ``refresh`` is called from a thread of its own to bring the board up to date."""

    def __init__(self, console: Console, title: str, steps: Sequence[str], refresh: Callable[[Board], None]) -> None:
        self.console = console
        self.board = Board()
        self.screen = Screen(title, time.time(), [Step(step) for step in steps])
        self.each_frame: Callable[[], None] = lambda: None
        self._refresh = refresh
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._live: Live | None = None
        self._printed = 0
        self._last_status = 0.0

    def __enter__(self) -> View:
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(
                console=self.console,
                get_renderable=lambda: draw(self.screen, self.board, time.time()),
                refresh_per_second=REFRESH_PER_SECOND,
                transient=True,
            )
            self._live.start()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def live(self) -> bool:
        """Whether there is a picture that moves (else lines are printed)."""
        return self._live is not None

    def begin(self, index: int) -> None:
        """A step of the story (counted from 0) begins; the one before has ended."""
        now = time.time()
        for step in self.screen.steps[:index]:
            step.ended = step.ended or now
            step.started = step.started or now
        step = self.screen.steps[index]
        step.started = now
        if self._live is None:
            self.print(f"[{clock(now - self.screen.started)}] {index + 1}. {step.title}")

    def end(self) -> None:
        """The last step has ended."""
        now = time.time()
        for step in self.screen.steps:
            step.ended = step.ended or now

    def note(self, text: str) -> None:
        """Say something of the present step."""
        for step in self.screen.steps:
            if step.started and not step.ended:
                step.note = text
        if self._live is None:
            self.print(f"[{clock(time.time() - self.screen.started)}]    {text}")

    def print(self, what: RenderableType) -> None:
        """Print above the live part (or just print)."""
        self.console.print(what, markup=False, highlight=False)

    def picture(self) -> RenderableType:
        """What is on screen now, for a picture of it."""
        return draw(self.screen, self.board, time.time())

    def _run(self) -> None:
        while not self._stop.wait(1.0 / REFRESH_PER_SECOND):
            self._refresh(self.board)
            self.each_frame()
            if self._live is None:
                self._plain()

    def _plain(self) -> None:
        new = self.board.happened - self._printed
        for happening in list(self.board.happenings)[-new:] if new else ():
            self.print(_happening_text(happening, self.screen.started))
        self._printed = self.board.happened
        now = time.time()
        if now - self._last_status > PLAIN_STATUS_SECONDS and any(m.round for m in self.board.models.values()):
            self._last_status = now
            self.print(f"[{clock(now - self.screen.started)}]    block {self.board.block}; {plain_models(self.board)}")


def plain_models(board: Board) -> str:
    """Where each model's rounds stand, in one line."""
    return "; ".join(
        f"{m.name} round {m.round} {m.phase} ({m.commits}/{m.miners} committed, {m.reveals} revealed,"
        f" scores {m.scored_percent}%, heads {m.attested_percent}%)"
        for newest in board.models.values()
        for m in (newest.judged, newest)
        if m is not None and m.round
    )
