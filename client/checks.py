"""The doctor's checks: each looks at one thing and, where it does not work, says what to do."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from client.errors import ConfigError, StrataError
from client.settings import Network, Settings

PROBE_SECONDS = 3.0
LEAST_FREE_BYTES = 3 * 2**30
# What the client needs, and what nodes need besides.
CLIENT_PACKAGES = ("web3", "eth-account", "typer", "rich", "numpy", "zstandard", "ipfshttpclient")
NODE_PACKAGES = ("torch", "transformers", "hivemind", "safetensors", "fastapi", "uvicorn")

State = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Check:
    """One result: ``bad`` stops work, ``warn`` stops a part of it."""

    name: str
    state: State
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Check]:
    """All checks, in the order in which things depend on each other."""
    results = [check_node(), check_anvil(), check_packages(), check_disk(settings.home)]
    try:
        network = settings.network()
    except ConfigError as error:
        remedy = "`make demo` or `strata devnet up` on this machine, or --network PATH"
        found = str(error) if settings.network_path.exists() else f"none: {settings.network_path} does not exist"
        later = Check("chain, ipfs, swarm, gateway", "warn", "not looked at without a network")
        return [*results, Check("network", "warn", found, remedy), later]
    results.append(Check("network", "ok", f"{network.name} ({settings.network_path})"))
    probes: tuple[Callable[[Network], Check], ...] = (check_chain, check_ipfs, check_swarm, check_gateway)
    return results + [probe(network) for probe in probes]


def check_node() -> Check:
    """Node.js, which runs Ganache and the Solidity compiler."""
    path = shutil.which("node")
    remedy = "Install Node.js 20 or newer and put it on PATH."
    if path is None:
        return Check("node", "warn", "not on PATH (needed for Ganache and for compiling contracts)", remedy)
    version = _version([path, "--version"])
    major = version.lstrip("v").split(".")[0]
    if not major.isdecimal() or int(major) < 20:
        return Check("node", "warn", f"{version or 'no answer'} at {path}", remedy)
    return Check("node", "ok", f"{version} at {path}")


def check_anvil() -> Check:
    """Anvil, the chain of a devnet."""
    found = find_anvil()
    if found is None:
        return Check(
            "anvil", "warn", "neither in node_modules nor on PATH (needed for a devnet)", "Run `make setup` (npm ci)."
        )
    version = _version([str(found), "--version"])
    if not version:
        return Check("anvil", "warn", f"{found} does not run", "Run `npm ci` again for this machine's build.")
    return Check("anvil", "ok", f"{version.splitlines()[0]} at {found}")


def find_anvil() -> Path | None:
    """The binary that npm brought, else one on PATH."""
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[1]):
        for path in (folder / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*"):
            return path
    path_text = shutil.which("anvil")
    return None if path_text is None else Path(path_text)


def check_packages() -> Check:
    """Python packages of the client, and those of nodes."""
    missing = [name for name in CLIENT_PACKAGES if not _installed(name)]
    if missing:
        return Check("python packages", "bad", f"missing: {', '.join(missing)}", "Run `make setup`.")
    missing = [name for name in NODE_PACKAGES if not _installed(name)]
    if missing:
        return Check(
            "python packages", "warn", f"client complete; nodes lack {', '.join(missing)}", "Run `make setup`."
        )
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("web3", "torch", "hivemind"))
    return Check("python packages", "ok", shown)


def check_disk(home: Path) -> Check:
    """Room for models and runs."""
    folder = next(f for f in (home, *home.parents) if f.exists())
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free at {folder}"
    if free < LEAST_FREE_BYTES:
        return Check("disk", "warn", found, "Free some space: a devnet with SmolLM2 takes about 3 GiB.")
    return Check("disk", "ok", found)


def check_chain(network: Network) -> Check:
    """The chain answers, is the right one, holds our contracts, and goes on."""
    from client.chain import Chain

    try:
        chain = Chain.connect(network, patience=0.0, timeout=PROBE_SECONDS)
        chain.check()
        block = chain.block()
    except StrataError as error:
        return Check("chain", "bad", f"{network.rpc}: {error}", "Start it (`strata devnet up`), or set STRATA_RPC.")
    return Check("chain", "ok", f"chain {network.chain_id} at {network.rpc}, block {block.number}")


def check_ipfs(network: Network) -> Check:
    """The IPFS daemon's RPC answers."""
    remedy = "Start a daemon (`strata devnet up`, or `ipfs daemon`), or set STRATA_STORAGE_IPFS."
    address = _host_port(network.ipfs)
    if address is None:
        return Check("ipfs", "warn", f"no usable address in the network file: {network.ipfs!r}", remedy)
    url = f"http://{address[0]}:{address[1]}/api/v0/version"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=PROBE_SECONDS) as answer:
            version = json.loads(answer.read(10_000)).get("Version", "unknown")
    except (OSError, ValueError, AttributeError) as error:
        return Check("ipfs", "bad", f"{network.ipfs}: {error}", remedy)
    return Check("ipfs", "ok", f"Kubo {version} at {network.ipfs}")


def check_swarm(network: Network) -> Check:
    """A bootstrap peer listens."""
    remedy = "Start one: strata node bootstrap, or strata devnet up."
    if not network.bootstrap:
        return Check("swarm", "warn", "the network file names no bootstrap peer", remedy)
    for multiaddr in network.bootstrap:
        address = _host_port(multiaddr)
        if address is None:
            continue
        try:
            socket.create_connection(address, timeout=PROBE_SECONDS).close()
        except OSError:
            continue
        return Check("swarm", "ok", multiaddr)
    return Check("swarm", "bad", f"none of {len(network.bootstrap)} bootstrap peers listens", remedy)


def check_gateway(network: Network) -> Check:
    """The gateway is healthy."""
    remedy = "Start one: strata node gateway, or strata devnet up."
    if not network.gateway:
        return Check("gateway", "warn", "the network file names no gateway", remedy)
    try:
        with urllib.request.urlopen(f"{network.gateway.rstrip('/')}/healthz", timeout=PROBE_SECONDS):
            return Check("gateway", "ok", network.gateway)
    except (OSError, ValueError) as error:
        return Check("gateway", "bad", f"{network.gateway}: {error}", remedy)


def _version(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _host_port(multiaddr: str) -> tuple[str, int] | None:
    """Host and TCP port of ``/ip4/HOST/tcp/PORT/...``."""
    parts = multiaddr.strip("/").split("/")
    if len(parts) >= 4 and parts[0] in ("ip4", "ip6", "dns", "dns4") and parts[2] == "tcp" and parts[3].isdecimal():
        return parts[1], int(parts[3])
    return None
