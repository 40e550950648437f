"""Starts nodes by forking: torch, web3 and Hivemind are imported once, not in nine processes on two cores.

A node on a machine of its own imports them itself, in five CPU-seconds; nine of them on one laptop would take the
better part of a minute. So the devnet has one process that imports them, starts no thread, and for each line on its
standard input (a JSON request) forks a child that leads a session of its own, has its own log, environment and folder,
and runs the ``strata`` command that was asked for. The children are ordinary processes in every other way.

Only on Linux; elsewhere (and with ``STRATA_DEVNET_FORK=0``) each node is started afresh.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

MODULES = (
    *("client.cli.main", "client.chain", "client.journal", "client.storage", "client.wallet", "contracts.artifact"),
    *("web3", "requests", "eth_account", "coincurve", "ipfshttpclient", "hivemind.dht.node", "hivemind.p2p"),
    *("hivemind.proto.runtime_pb2", "torch", "safetensors.torch", "transformers.models.llama.modeling_llama"),
    *("transformers.models.auto.modeling_auto", "node.cli", "node.roles", "node.heads", "node.learner", "node.miner"),
    *("node.validator", "node.judging", "node.swarm", "node.team", "node.server", "node.votes", "node.residual"),
    *("node.texts", "node.vault", "node.models.load", "node.training.inner", "node.serving.model_engine"),
    *("node.serving.service", "node.serving.metering"),
)
LOOK_SECONDS = 0.2
PR_SET_NAME = 15
READY = "ready"


def reply_path(folder: Path, name: str) -> Path:
    """Where the nursery says which process a request became."""
    return folder / f"{name}.born"


def exit_path(folder: Path, pid: int) -> Path:
    """Where the nursery says how a child ended."""
    return folder / f"{pid}.exit"


def usable() -> bool:
    """Whether nodes are forked here."""
    return sys.platform.startswith("linux") and os.environ.get("STRATA_DEVNET_FORK", "1") != "0"


def preload() -> None:
    """Import what nodes need; one that can't be imported will be missed by the node itself, with a better message."""
    from node.swarm_p2p import lean_hivemind

    lean_hivemind()
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that the children's collector leaves the shared pages alone


def serve(folder: Path) -> dict[str, Any] | None:
    """Fork for each request; returns the request in the child, None in the nursery at the end of its input."""
    waiting = b""
    while True:
        readable, _, _ = select.select([0], [], [], LOOK_SECONDS)
        note_ends(folder)
        if not readable:
            continue
        data = os.read(0, 65536)
        if not data:
            return None
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            request: dict[str, Any] = json.loads(line)
            pid = os.fork()
            if pid == 0:
                return request
            write(reply_path(folder, request["name"]), str(pid))


def note_ends(folder: Path) -> None:
    """Write down how children ended, as a shell has it: negative for a signal."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            write(exit_path(folder, ended[0]), str(os.waitstatus_to_exitcode(ended[1])))


def write(path: Path, text: str) -> None:
    """In one step."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def become(request: dict[str, Any]) -> int:
    """In the child: a process of its own, then the command."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    ctypes.CDLL(None).prctl(PR_SET_NAME, request["name"].encode()[:15], 0, 0, 0)
    sys.argv = ["strata", *request["arguments"]]
    from client.cli.main import run

    return run(request["arguments"])


def main() -> int:
    """Import, then fork until the input ends."""
    folder = Path(sys.argv[1])
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    preload()
    write(folder / READY, str(os.getpid()))
    request = serve(folder)
    return 0 if request is None else become(request)


if __name__ == "__main__":
    sys.exit(main())
