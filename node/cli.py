"""``strata node``: run a role, look at it, write its first settings."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="node", help="Run a miner, a validator, a server, a gateway or an archive.", no_args_is_help=True,
    add_completion=False, pretty_exceptions_show_locals=False,
)  # fmt: skip

ROLES = {
    "miner": "node.roles:run_miner",
    "validator": "node.roles:run_validator",
    "bootstrap": "node.roles:run_bootstrap",
    "server": "node.server:run_server",
    "gateway": "node.gateway:run_gateway",
    "archive": "node.archive:run_archive",
}

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="STRATA_NODE_CONFIG", help="node.toml (see `strata node init`).")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, NAME=VALUE; wins over file and environment. Repeatable.")
]


def _run(role: str, path: Path, settings: list[str] | None, **options: Any) -> None:
    """Load the settings and hand over to the role; a wrong setting is told in one line. False from it means 3."""
    from client.errors import StrataError
    from node.config import load_config
    from node.threads import limit_threads, threads_for

    try:
        config = load_config(path, overrides=_pairs(settings or []))
        limit_threads(threads_for(config.threads, config.machine_nodes))  # before numpy or torch are imported
        from node.runtime import leave

        module, _, function = ROLES[role].partition(":")
        done = getattr(importlib.import_module(module), function)(config, **options)
        leave(3 if done is False else 0)
    except StrataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _pairs(settings: list[str]) -> dict[str, str]:
    from client.errors import ConfigError

    for setting in settings:
        if "=" not in setting:
            raise ConfigError(f"--set takes NAME=VALUE, not {setting!r}")
    return {name.strip(): value for name, _, value in (setting.partition("=") for setting in settings)}


@app.command()
def miner(config: Config, set_: Set = None) -> None:
    """Train models on the text that each round deals, and earn by what it gains.

    Example: strata node miner --config node.toml
    """
    _run("miner", config, set_)


@app.command()
def validator(config: Config, set_: Set = None) -> None:
    """Judge what miners trained, attest new heads, vote on data.

    Example: strata node validator --config node.toml
    """
    _run("validator", config, set_)


@app.command()
def server(config: Config, set_: Set = None) -> None:
    """Answer questions over the swarm, for tokens.

    Example: strata node server --config node.toml
    """
    _run("server", config, set_)


@app.command()
def gateway(config: Config, set_: Set = None) -> None:
    """Offer the swarm's servers over HTTP, as OpenAI's clients expect it.

    Example: strata node gateway --config node.toml --set serve.port=8080
    """
    _run("gateway", config, set_)


@app.command()
def archive(
    config: Config,
    set_: Set = None,
    once: Annotated[bool, typer.Option("--once", help="Catch up and end: 0 when all is held, else 3.")] = False,
    holdings: Annotated[
        bool, typer.Option("--holdings", help="Only say what it holds, and what can't be had.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --holdings: for programs.")] = False,
) -> None:
    """Keep everything that models ever had, from their first round on, so that anybody can audit them.

    Example: strata node archive --config archive.toml
    """
    if holdings:
        _say_holdings(config, set_, as_json)
    else:
        _run("archive", config, set_, **({"once": True} if once else {}))


def _say_holdings(path: Path, settings: list[str] | None, as_json: bool) -> None:
    import json

    from client.errors import StrataError
    from node.archive import read_holdings
    from node.config import load_config

    try:
        found = read_holdings(load_config(path, overrides=_pairs(settings or [])))
    except StrataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"holds {found['held']} blobs, {found['bytes']:,} bytes; up to block {found['block']}")
    for entry in found["contents"]:
        wanted = f", {entry['wanted']} wanted" if entry["wanted"] else ""
        typer.echo(f"  model {entry['model_id']}: {entry['held']} {entry['kind']}, {entry['bytes']:,} bytes{wanted}")
    for name, account in sorted(found["paid_to"].items()):
        typer.echo(f"  the archive's part of {name}'s emission goes to {account}")
    for entry in found["missing"]:
        where = f"model {entry['model_id']}, round {entry['round']}"
        typer.echo(f"  can't be had: {entry['kind']} {entry['cid']} ({where}): {entry['note']}")


@app.command()
def bootstrap(config: Config, set_: Set = None) -> None:
    """Be the first peer of the public DHT, by which others find each other.

    Example: strata node bootstrap --config node.toml
    """
    _run("bootstrap", config, set_)


@app.command()
def status(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", envvar="STRATA_NODE_CONFIG", help="The node's node.toml.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", "-s", help="Its state folder, where there is no file.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks of --watch.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON; with --watch, a line a look.")] = False,
) -> None:
    """Show what a node does now: round, phase, time left, loss, tokens/s, traffic. Ends with 3 when it does not run.

    It reads the state folder alone, so it also tells of a node that was stopped or killed. Traffic is since the node
    began: IPFS content and the chain's requests are payload; TCP sockets are what the process and its children sent and
    received, loopback included, short connections left out.

    Example: strata node status --config node.toml --watch
    """
    from client.errors import StrataError
    from node import status_command

    try:
        folder = status_command.state_folder(None if state is not None else config, state)
        code = status_command.watch(folder, as_json, every) if watch else status_command.show(folder, as_json)
    except StrataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    if code:
        raise typer.Exit(code)


@app.command("team-id")
def team_id(config: Config) -> None:
    """Say the libp2p id by which a team knows this peer, for `team.allow`. Makes its key where there is none.

    Example: strata node team-id --config node.toml
    """
    from client.errors import StrataError
    from node.config import load_config
    from node.identity import TEAM_KEY, prepare_identity

    try:
        loopback = {"team.host": "127.0.0.1"}  # so that it can be asked before `team.allow` is written
        typer.echo(prepare_identity(load_config(config, overrides=loopback).state / TEAM_KEY))
    except StrataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("node.toml"),
    name: Annotated[str, typer.Option(help="What logs and events call the node.")] = "my-node",
    wallet: Annotated[str, typer.Option(help="Keystore file.")] = "wallet.json",
    passphrase_file: Annotated[str, typer.Option(help="File that holds its passphrase.")] = "passphrase",
    network: Annotated[str, typer.Option(help="network.json of the network to join.")] = "network.json",
    state: Annotated[str, typer.Option(help="State folder.")] = "state",
) -> None:
    """Write a commented node.toml to start from. Never overwrites.

    Example: strata node init node.toml --name my-miner --wallet .strata/wallets/alice.json
    """
    from node.config import template

    text = template(name, state, wallet, passphrase_file, network)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        typer.echo(f"error: {path} is there already; it was left alone", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"error: {path} can't be written: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"wrote {path}; then: strata node miner --config {path}")


if __name__ == "__main__":
    sys.exit(app())
