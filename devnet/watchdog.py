"""Ends what is left of a run when its supervisor is gone, however that went: ``python -m devnet.watchdog RUN``.

It reads from a pipe that the supervisor holds open. The system closes the pipe when the supervisor ends, even by
``kill -9``; the read then returns, and the watchdog sweeps. It does nothing else.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from devnet.processes import sweep


def main(arguments: list[str] | None = None) -> int:
    """Wait for the pipe to close, then sweep the run's processes."""
    run = Path((arguments or sys.argv[1:])[0])
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while sys.stdin.buffer.read(4096):
        pass
    return 1 if sweep(run) else 0


if __name__ == "__main__":
    sys.exit(main())
