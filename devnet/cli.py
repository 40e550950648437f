"""``strata devnet``: a whole network on this machine: up, status, logs, stop, and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="A whole network on this machine.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)

PresetOption = Annotated[
    str, typer.Option("--preset", help="'default' (a real model) or 'nano' (under a million values).")
]
GanacheOption = Annotated[bool, typer.Option("--ganache", help="Ganache in Anvil's place.")]
TextOption = Annotated[Path | None, typer.Option("--text", help="Train the first field on your own text file.")]
FieldOption = Annotated[str | None, typer.Option("--field", help="What to call the field of --text.")]
GatewayPortOption = Annotated[int, typer.Option("--gateway-port", help="TCP port of the gateway; 0 takes a free one.")]
ChainPortOption = Annotated[int, typer.Option("--chain-port", help="TCP port of the chain; 0 takes a free one.")]


@app.command()
def demo(
    preset: PresetOption = "default",
    ganache: GanacheOption = False,
    text: TextOption = None,
    field: FieldOption = None,
) -> None:
    """The whole story in one go: from nothing to an answer that was trained, judged, paid for and audited.

    Example: strata devnet demo --preset nano
    """
    from devnet.layout import RunOptions, find_home
    from devnet.story import tell

    raise typer.Exit(tell(find_home(), RunOptions(preset, ganache, text, field or None)))


@app.command()
def up(
    preset: PresetOption = "default",
    ganache: GanacheOption = False,
    text: TextOption = None,
    field: FieldOption = None,
    gateway_port: GatewayPortOption = 0,
    chain_port: ChainPortOption = 0,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay; Ctrl-C stops the network.")] = False,
) -> None:
    """Start a network and leave it running; its rounds open by themselves.

    Example: strata devnet up --preset nano
    """
    from devnet.layout import RunOptions, find_home
    from devnet.up import detach, keep

    options = RunOptions(preset, ganache, text, field or None, gateway_port, chain_port)
    raise typer.Exit(keep(find_home(), options) if foreground else detach(find_home(), options))


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """What runs, and what each process does.

    Example: strata devnet status
    """
    from devnet.layout import find_home
    from devnet.up import show_status

    raise typer.Exit(show_status(find_home(), as_json))


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A process, for instance miner-1; all when left out.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.", min=1)] = 30,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """The last lines of a process's log.

    Example: strata devnet logs validator-1 -n 50
    """
    from devnet.layout import find_home
    from devnet.up import show_logs

    raise typer.Exit(show_logs(find_home(), name, lines, follow))


@app.command()
def attack(
    name: Annotated[
        str, typer.Argument(help="An attack's name, or 'miners', 'validators', 'all'; 'none' is the control.")
    ],
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds of each network.", min=1, max=20)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put a hostile member into a real network and see what it gets: a network for the control and one for each attack.

    Each takes about two minutes.

    Example: strata devnet attack sign-flip
    """
    from devnet.attacks.lab import attack as run
    from devnet.layout import find_home

    raise typer.Exit(run(find_home(), name, rounds, as_json))


@app.command()
def stop() -> None:
    """Stop the network, and make sure that nothing of it is left. May be called at any time.

    Example: strata devnet stop
    """
    from devnet.layout import find_home
    from devnet.up import stop_all

    raise typer.Exit(stop_all(find_home()))
