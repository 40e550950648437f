"""The demo: from nothing to an answer that was trained, judged and paid for. Reads like the story that it tells."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from client.errors import StrataError
from devnet.bringup import start_models, start_network, start_serving, start_work
from devnet.keeper import INTERRUPTED, kept
from devnet.layout import ALICE, BOB, CAROL, MINERS, REPOSITORY, SERVER, VALIDATORS, Home, RunOptions
from devnet.network import COMMAND_SECONDS, CommandResult, Devnet
from devnet.poll import Poller
from devnet.processes import run_processes, tail
from devnet.question import Asked, ask
from devnet.rounds import RoundResult, run_rounds
from devnet.summary import Photographer, promises, save_plot, show, write_summary
from devnet.verify import Verdict, verify
from devnet.view import View
from devnet.waiting import together

STEPS = (
    "a network starts: chain, contracts, IPFS, DHT, nodes",
    "the models: one large, two fields below it",
    "two people submit text",
    "rounds: train, commit, reveal, score, attest; the next is trained while the last is judged",
    "a question is answered and paid for",
    "who did what, who was paid what, and is it true",
    "summary",
)
WIDTH_PIPED = 160


@dataclass
class Told:
    """What happened in the story."""

    net: Devnet
    results: list[RoundResult] = field(default_factory=list)
    asked: Asked | None = None
    commands: list[CommandResult] = field(default_factory=list)
    verdict: Verdict | None = None
    started: float = field(default_factory=time.time)
    seconds: float = 0.0


def tell(home: Home, options: RunOptions) -> int:
    """Run the demo and return its exit code: 0 only if everything was as promised."""
    console = Console(width=None if Console().is_terminal else WIDTH_PIPED)
    poller = Poller()
    title = f"Strata devnet · preset {options.preset} · {'Ganache' if options.ganache else 'Anvil'}"
    told: Told | None = None
    broken: list[str] = []
    try:
        with kept(home, options, lambda text: None) as net:
            told = Told(net)
            with View(console, title, STEPS, poller) as view:
                poller.net = net
                net.say = lambda text: _note(view, text)
                view.each_frame = Photographer(net.run, view)
                view.note(f"everything of this run is in {net.run.path}")
                broken += guarded(told, partial(play, told, view))
            told.seconds = time.time() - told.started
            if not broken:
                broken += guarded(told, partial(finish, told, console))
            console.print(Text("stopping every process", style="dim"))
        broken += [f"process {process.pid} was left" for process in run_processes(told.net.run.path)]
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running", style="yellow")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - nobody above us could do more than show a traceback
        if broken:  # the story had failed before; stopping it failed, too
            return verdict_of(console, told, [*broken, describe(error)])
        foreseen = isinstance(error, StrataError)
        words = str(error) if foreseen else explain(told, error) if told else describe(error)
        console.print(Text(f"Error: {words}", style="red"))
        return 1
    return verdict_of(console, told, broken)


def guarded(told: Told, work: Callable[[], list[str]]) -> list[str]:
    """Do a part of the story; what went wrong, in words. Whatever it was, the processes are stopped afterwards."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - its traceback goes into the run's folder, its words to the console
        return [explain(told, error)]


def _note(view: View, text: str) -> None:
    view.note(text)
    if view.live:
        view.board.say("devnet", text, time.time())


def play(told: Told, view: View) -> list[str]:
    """The seven steps; nothing is broken when all were gone."""
    net = told.net
    view.begin(0)
    start_network(net)
    view.begin(1)
    start_models(net)
    view.begin(2)
    start_serving(net)
    start_work(net)
    view.begin(3)
    preset = net.options.settings
    told.results = run_rounds(net, preset.rounds, preset.limit_seconds * 2, net.say)
    view.begin(4)
    told.asked = ask(net, preset)
    view.begin(5)
    told.commands = look(net)
    told.verdict = verify(net.chain())
    view.begin(6)
    view.end()
    return []


def look(net: Devnet) -> list[CommandResult]:
    """What anybody can ask about the network afterwards, as real commands."""
    models = net.options.settings.rounds
    asked: list[tuple[str, ...]] = [("contributions",)]
    asked += [("balance", *MINERS, *VALIDATORS, ALICE, BOB, CAROL, SERVER)]
    asked += [("audit", model) for model, _ in models]
    net.say("strata contributions, strata balance, " + ", ".join(f"strata audit {model}" for model, _ in models))
    works = [partial(net.command, *arguments) for arguments in asked]
    return together(works, COMMAND_SECONDS, "the commands")


def finish(told: Told, console: Console) -> list[str]:
    """Print what the commands said and the summary; returns the promises that were not kept."""
    for result in told.commands:
        console.print(Text(f"\n$ {result.shown}", style="bold cyan"))
        console.print(Text((result.output or result.errors).rstrip()), no_wrap=True, crop=False, overflow="ignore")
    plot = save_plot(told.net.run, told.results)
    broken = promises(told)
    write_summary(told, broken)
    show(told, console, plot)
    return broken


def describe(error: Exception) -> str:
    """An error in one line; one that was not foreseen says where it arose."""
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, StrataError):
        return words
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [frame for frame in frames if frame[0].is_relative_to(REPOSITORY) and "site-packages" not in frame[0].parts]
    where = f" (at {ours[-1][0].relative_to(REPOSITORY)}:{ours[-1][1]})" if ours else ""
    return f"unforeseen {words}{where}"


def explain(told: Told, error: Exception) -> str:
    """Why the story stopped, with the end of the logs that may say more; the traceback goes into ``failure.txt``."""
    net = told.net
    lines = [describe(error)]
    suspects = [name for name in net.supervisor.names() if _complained(net, name)]
    for name in suspects[:3]:
        lines.append(f"the end of {net.run.log(name)}:")
        lines += [f"    {line}" for line in tail(net.run.log(name), 12)]
    lines.append(f"all logs: {net.run.path / 'logs'}")
    failure = net.run.path / "failure.txt"
    whole = "\n".join([*lines, "", *traceback.format_exception(error)])
    try:
        failure.write_text(whole, encoding="utf-8")
        lines.append(f"the traceback: {failure}")
    except OSError as unwritten:  # the disk may be what is wrong
        lines.append(f"the traceback could not be written to {failure}: {unwritten.strerror}")
    return "\n".join(lines)


def _complained(net: Devnet, name: str) -> bool:
    """Whether a process's log has a traceback or an error near its end."""
    return any(word in line for line in tail(net.run.log(name), 40) for word in ("Traceback", "ERROR", "error:"))


def verdict_of(console: Console, told: Told | None, broken: list[str]) -> int:
    """Say how it ended."""
    if broken:
        console.print(Text("\nThe demo did not keep its promises:", style="bold red"))
        for line in broken:
            console.print(Text(f"  {line}", style="red"))
        return 1
    assert told is not None, "a story that broke nothing was told"
    console.print(Text(f"\nAll promises kept, in {told.seconds:.0f} s; every process has ended.", style="bold green"))
    return 0
