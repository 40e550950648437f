"""Hivemind's libp2p daemon (``p2pd``), started so that it can't outlive us.

Hivemind starts ``p2pd`` with plain ``create_subprocess_exec``: no hook for ``prctl`` in the child, so after ``kill -9``
of the node the daemon would live on, for ever. But the death signal that a process asks for survives ``exec``. So the
command is wrapped: a two-line Python program asks the kernel for SIGKILL when its parent dies, checks that the parent
has not died meanwhile, and turns into ``p2pd``. It costs about 30 ms once. The wrapper is put in by a subclass that
overrides how the command line is made; nothing in Hivemind is patched.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import logging
import os
import signal
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.errors import SwarmError, ToolMissing

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
Gate = Callable[[str], bool]
"""Whether the peer of that id may open a stream."""
MAX_STREAM_MESSAGE_BYTES = 16 * 2**20  # of one message in a stream; Hivemind itself believes any length
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_WRAPPER = (
    "import ctypes,os,sys;"
    f"ctypes.CDLL(None).prctl({_SET_DEATH_SIGNAL},{int(signal.SIGKILL)},0,0,0);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)

log = logging.getLogger("strata.node.swarm")


@dataclass
class Libp2p:
    """A running ``p2pd`` and how others reach it."""

    p2p: Any
    peer_id: str
    maddrs: list[str]
    bootstrap: tuple[str, ...] = ()

    async def rejoin(self, dht: Any) -> None:
        """Greet the bootstrap peers again: heals a DHT that split in two or that we started without."""
        from hivemind.p2p import PeerID
        from hivemind.utils.multiaddr import Multiaddr

        for maddr in self.bootstrap:
            peer = PeerID.from_base58(Multiaddr(maddr)["p2p"])
            if await dht.protocol.call_ping(peer, validate=False, strict=False) is None:
                await self.connect(peer.to_base58(), [maddr])
                await dht.protocol.call_ping(peer, validate=False, strict=False)

    async def connect(self, peer_id: str, maddrs: Sequence[str]) -> bool:
        """Open a connection to a peer at known addresses; False when none answers."""
        from hivemind.p2p import PeerID
        from hivemind.p2p.p2p_daemon_bindings.utils import ControlFailure
        from hivemind.utils.multiaddr import Multiaddr

        addresses = [Multiaddr(maddr.split("/p2p/")[0]) for maddr in maddrs]
        try:
            await self.p2p._client.connect(PeerID.from_base58(peer_id), addresses)
        except (ControlFailure, OSError, ValueError):
            return False
        return True

    async def shutdown(self) -> None:
        """Stop the daemon and wait for its end."""
        await self.p2p.shutdown()

    def kill(self) -> None:
        """The last resort, when a clean stop took too long."""
        child = self.p2p._child
        if child is not None and child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)


@functools.cache
def lean_hivemind() -> None:
    """Let ``hivemind.p2p``, ``.dht`` and ``.averaging`` be imported without the rest of the package.

    ``hivemind/__init__.py`` imports its mixture-of-experts server and optimizers (scipy, more of torch): 0.7
    CPU-seconds and 50 MB that every one of our processes would pay for nothing. A bare package object in its place
    has the same path.
    """
    if "hivemind" in sys.modules:
        return
    os.environ.setdefault("HIVEMIND_LOGLEVEL", "WARNING")  # it reads this as it is imported
    spec = importlib.util.find_spec("hivemind")
    if spec is None or spec.submodule_search_locations is None:
        raise ToolMissing("hivemind is not installed: pip install -r requirements.txt")
    package = types.ModuleType("hivemind")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["hivemind"] = package


class BoundedReader:
    """The part of ``StreamReader`` that Hivemind reads messages by, refusing those that are longer than allowed."""

    def __init__(self, reader: asyncio.StreamReader, max_bytes: int) -> None:
        self._reader, self._max_bytes = reader, max_bytes

    async def readexactly(self, count: int) -> bytes:
        """So many bytes; ``ValueError`` where that is too many."""
        if count > self._max_bytes:
            raise ValueError(f"a message of {count} bytes is more than the {self._max_bytes} allowed")
        return await self._reader.readexactly(count)


@functools.cache
def _guarded_p2p() -> Any:
    lean_hivemind()
    from hivemind.p2p import P2P

    class GuardedP2P(P2P):  # type: ignore[misc]
        """``P2P`` whose daemon dies with the process (strictly: the thread) that started it.

        Streams are bounded in the size of a message, and where there is a gate, opened by those alone whom it admits:
        not a byte of another's is read.
        """

        gate: Gate | None = None
        max_message_bytes = MAX_STREAM_MESSAGE_BYTES

        async def add_binary_stream_handler(self, name: str, handler: Any, balanced: bool = False) -> None:
            async def gated(info: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if self.gate is not None and not self.gate(info.peer_id.to_base58()):
                    log.info("a stranger's stream was closed: %s", info.peer_id)
                    writer.close()
                    return
                await handler(info, BoundedReader(reader, self.max_message_bytes), writer)

            await super().add_binary_stream_handler(name, gated, balanced)

        async def call_binary_stream_handler(self, peer_id: Any, handler_name: str) -> tuple[Any, Any, Any]:
            info, reader, writer = await super().call_binary_stream_handler(peer_id, handler_name)
            return info, BoundedReader(reader, self.max_message_bytes), writer

        @staticmethod
        def _make_process_args(*args: Any, **kwargs: Any) -> list[str]:
            command = P2P._make_process_args(*args, **kwargs)
            if sys.platform != "linux":
                return list(command)
            return [sys.executable, "-I", "-S", "-c", _WRAPPER, str(os.getpid()), *command]

    return GuardedP2P


async def create_libp2p(
    bootstrap: Sequence[str], identity_path: Path, host_maddr: str = LOOPBACK, gate: Gate | None = None
) -> Libp2p:
    """Start ``p2pd`` under the identity of that file (made when missing), without relays or hole punching."""
    lean_hivemind()
    from hivemind.p2p.p2p_daemon_bindings.control import P2PDaemonError

    identity_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        p2p = await _guarded_p2p().create(
            host_maddrs=[host_maddr],
            identity_path=str(identity_path),
            auto_nat=False,
            nat_port_map=False,
            use_relay=False,
            use_auto_relay=False,
            check_if_identity_free=False,
        )
    except (P2PDaemonError, OSError) as error:
        raise SwarmError(f"the peer-to-peer daemon did not start: {error}") from error
    p2p.gate = gate
    maddrs = [str(maddr) for maddr in await p2p.get_visible_maddrs()]
    libp2p = Libp2p(p2p, p2p.peer_id.to_base58(), maddrs, tuple(bootstrap))
    for maddr in bootstrap:  # by ourselves: p2pd would refuse to start where none of them answers
        await libp2p.connect(maddr.rsplit("/p2p/", 1)[-1], [maddr])
    return libp2p
