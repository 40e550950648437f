"""``strata``: the command line. Groups are loaded when they are used, so that help answers at once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from client.cli.context import FLAGS, Flags
from client.errors import StrataError

EXAMPLES = """Try `strata models`, `strata balance`, `strata doctor`. Every command has --help with an example.

The network is the nearest .strata/network.json, $STRATA_NETWORK or --network PATH."""


@dataclass(frozen=True)
class Lazy:
    """A command that is not loaded yet: where it is (``module:app``) and what it is for."""

    target: str
    help: str
    panel: str = "Commands"


COMMANDS: dict[str, Lazy] = {
    "ask": Lazy("client.cli.ask:app", "Ask a question; the answer streams back and is paid by a voucher.", "Use"),
    "recommend": Lazy("client.cli.recommend:app", "Which model fits a need, and why.", "Use"),
    "models": Lazy("client.cli.models:app", "The tree of models.", "Use"),
    "wallet": Lazy("client.cli.wallet:app", "Make, import, list and use wallets.", "Money"),
    "balance": Lazy("client.cli.balance:app", "Tokens, coins, stake, rewards and shares of an address.", "Money"),
    "stake": Lazy("client.cli.stake:app", "Stake for a role, delegate, take it back, show it.", "Money"),
    "rewards": Lazy("client.cli.rewards:app", "What was earned; claim it.", "Money"),
    "channel": Lazy("client.cli.channel:app", "Payment channels: list, fill up, close and get the rest back.", "Money"),
    "data": Lazy("client.cli.data:app", "Submit, list, show and vote on datasets.", "Contribute"),
    "contributions": Lazy("client.cli.contributions:app", "Who did what, what it was worth, what it paid.", "Look"),
    "rounds": Lazy("client.cli.rounds:app", "Where the models' rounds stand; open or challenge one.", "Look"),
    "gov": Lazy("client.cli.gov:app", "What governance has set, and who may change it.", "Look"),
    "audit": Lazy("client.cli.audit:app", "Recompute every head and every payment.", "Look"),
    "deploy": Lazy("client.cli.deploy:app", "Put a network of one's own on a chain.", "Run"),
    "doctor": Lazy("client.cli.doctor:app", "What works on this machine, and how to mend what doesn't.", "Look"),
    "config": Lazy("client.cli.config:app", "Settings, and where each comes from.", "Look"),
}
# Groups that other layers add by entry point (`strata.cli`); the words are here so that help need not load them.
ADDED = {
    "node": "Run a miner, a validator, a server, a gateway or an archive.",
    "user": "A personal model that stays on this machine.",
    "devnet": "A whole network on this machine.",
}


class LazyCommand(TyperCommand):
    """Stands in the list of commands; becomes the real one when it is called."""

    def __init__(self, name: str, lazy: Lazy) -> None:
        super().__init__(name, help=lazy.help, short_help=lazy.help, rich_help_panel=lazy.panel)
        self.lazy = lazy

    def real(self) -> Any:
        """The command itself, with everything that it imports."""
        module_name, _, attribute = self.lazy.target.partition(":")
        try:
            found = getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            raise StrataError(
                f"`strata {self.name}` can't be loaded: the module {error.name} is not installed. Run `make setup`."
            ) from error
        if isinstance(found, typer.Typer):
            found = typer.main.get_command(found)
        found.name = self.name
        return found

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Called when the command is used: hands over to the real one."""
        return self.real().make_context(info_name, args, parent=parent, **extra)


class LazyGroup(TyperGroup):
    """The root: knows its commands by name alone."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the tables above."""
        return list(all_commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The stand-in of a command; None for an unknown one."""
        lazy = all_commands().get(cmd_name)
        return None if lazy is None else LazyCommand(cmd_name, lazy)


def all_commands() -> dict[str, Lazy]:
    """Our own commands, then those that installed packages add."""
    from importlib.metadata import entry_points

    found = dict(COMMANDS)
    for point in entry_points(group="strata.cli"):
        found.setdefault(point.name, Lazy(point.value, ADDED.get(point.name, point.name), "Run"))
    return found


app = typer.Typer(
    name="strata",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
    help="Strata: models that learn in levels, and pay the people who make them better.",
    epilog=EXAMPLES,
)


@app.callback()
def root(
    home: Annotated[
        Path | None, typer.Option(help="Strata's folder (else $STRATA_HOME, else the nearest .strata).")
    ] = None,
    network: Annotated[Path | None, typer.Option(help="The network's network.json (else $STRATA_NETWORK).")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of all commands; they may also stand behind the command."""
    FLAGS.set(Flags(home=home, network=network, debug=debug))


def hoist(args: Sequence[str]) -> list[str]:
    """Moves ``--debug``, ``--home X`` and ``--network X`` in front, so that they may stand anywhere.

    What follows ``--``, and commands that other layers add (with options of their own), are left alone.
    """
    front: list[str] = []
    rest: list[str] = []
    queue = list(args)
    while queue:
        arg = queue.pop(0)
        if arg == "--" or (arg in ADDED and not rest):
            rest += [arg, *queue]
            break
        if arg == "--debug" or arg.startswith(("--home=", "--network=")):
            front.append(arg)
        elif arg in ("--home", "--network") and queue:
            front += [arg, queue.pop(0)]
        else:
            rest.append(arg)
    return front + rest


def run(args: Sequence[str]) -> int:
    """Runs one command; its exit code. An error of ours is one message, not a traceback."""
    FLAGS.set(Flags())
    try:
        app(hoist(args), prog_name="strata")
    except StrataError as error:
        if FLAGS.get().debug:
            raise
        from rich.console import Console
        from rich.text import Text

        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(Text("Error: ", style="bold red") + Text(str(error)))
        return 1
    except BrokenPipeError:  # `strata ... | head`
        sys.stderr.close()
        return 141
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else (0 if end.code is None else 1)
    return 0


def main() -> None:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
