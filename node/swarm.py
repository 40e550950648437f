"""The swarm: how nodes find and reach each other, by Hivemind's DHT over libp2p.

Hivemind is imported in ``node/swarm*.py``, ``node/teams/links.py`` and ``node/streaming.py`` only. The DHT runs as a
``DHTNode`` in a thread of this process with an event loop of its own (not as Hivemind's forked ``DHT`` process:
forking a process that holds torch, web3 and threads is unsafe and costs memory), beside one ``p2pd`` child that dies
with us.

What the DHT says is a hint. Records are signed by the node's wallet and checked here; what matters is read from the
chain.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from eth_account.signers.local import LocalAccount

from client.errors import SwarmError
from node.swarm_p2p import LOOPBACK, Libp2p, create_libp2p, lean_hivemind
from node.swarm_records import PeerInfo, heartbeat_key, make_record, parse_record

log = logging.getLogger("strata.node.swarm")

__all__ = ["PeerInfo", "Swarm", "run_bootstrap"]

DEFAULT_LIFETIME_SECONDS = 60.0
STORE_TIMEOUT_SECONDS = 15.0
Result = TypeVar("Result")


class LoopThread:
    """An asyncio loop in a daemon thread, so that blocking code can use asynchronous libraries."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_note_failure)
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine: Coroutine[Any, Any, Result], timeout_seconds: float) -> Result:
        """Run to the end from another thread; ``SwarmError`` when the deadline passes."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout_seconds)
        except (concurrent.futures.TimeoutError, TimeoutError) as error:
            future.cancel()
            raise SwarmError(f"no answer from the swarm within {timeout_seconds:g} s") from error
        except concurrent.futures.CancelledError as error:
            raise SwarmError("the swarm was closed meanwhile") from error

    def close(self) -> None:
        """Cancel what still runs, stop the loop and join the thread."""
        if self.loop.is_closed():
            return
        with contextlib.suppress(SwarmError):
            self.run(self._cancel_all(), 3.0)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(3.0)
        if not self._thread.is_alive():
            self.loop.close()

    async def _cancel_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _note_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Failures that nobody awaits (of Hivemind's tasks, when a daemon goes away) take one line, not a traceback."""
    log.info("%s: %r", context.get("message"), context.get("exception"))


class Swarm:
    """This process's place in the DHT. Made by :meth:`start`; :meth:`close` ends it. Usable from any thread."""

    def __init__(
        self, thread: LoopThread, libp2p: Libp2p, dht: Any, chain_id: int, account: LocalAccount | None
    ) -> None:
        self._thread = thread
        self._dht = dht
        self._account = account
        self._chain_id = chain_id
        self.libp2p = libp2p
        self.peer_id = libp2p.peer_id
        self.maddrs: list[str] = libp2p.maddrs

    @classmethod
    def start(
        cls,
        bootstrap: Sequence[str],
        identity_path: Path,
        *,
        chain_id: int,
        account: LocalAccount | None = None,
        host_maddr: str = LOOPBACK,
        timeout_seconds: float = 30.0,
    ) -> Swarm:
        """Join the network's DHT through the bootstrap peers; without any, begin one.

        ``identity_path`` keeps the peer's key (made when missing). Where no bootstrap peer answers the node starts
        all the same, alone, and each heartbeat tries again: the chain is what counts.
        """
        thread = LoopThread("strata-swarm")
        try:
            libp2p, dht = thread.run(_join(bootstrap, identity_path, host_maddr), timeout_seconds)
        except BaseException:
            thread.close()
            raise
        return cls(thread, libp2p, dht, chain_id, account)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the peer-to-peer connections live in."""
        return self._thread.loop

    @property
    def p2p(self) -> Any:
        """Hivemind's ``P2P``; to be used in :attr:`loop` only."""
        return self.libp2p.p2p

    def run(self, coroutine: Coroutine[Any, Any, Result], timeout_seconds: float) -> Result:
        """Run a coroutine in :attr:`loop` from another thread."""
        return self._thread.run(coroutine, timeout_seconds)

    def heartbeat(
        self,
        role: str,
        models: Sequence[int],
        extra: dict[str, Any] | None = None,
        lifetime_seconds: float = DEFAULT_LIFETIME_SECONDS,
    ) -> bool:
        """Announce this node, signed, until the lifetime ends; False when no peer took the record."""
        if self._account is None:
            raise SwarmError("a heartbeat needs the node's wallet to sign it")
        now = int(time.time())
        key = heartbeat_key(self._chain_id, role)
        record = make_record(self._account, self._chain_id, role, models, self.peer_id, self.maddrs, now, extra)
        return self.run(self._store(key, self._account.address, record, now + lifetime_seconds), STORE_TIMEOUT_SECONDS)

    async def _store(self, key: str, subkey: str, value: str, expiration: float) -> bool:
        await self.libp2p.rejoin(self._dht)
        return bool(await self._dht.store(key, value, expiration, subkey=subkey))

    def peers(
        self,
        role: str,
        model: int | None = None,
        *,
        confirm: Callable[[PeerInfo], bool] | None = None,
        max_age_seconds: float = 3 * DEFAULT_LIFETIME_SECONDS,
    ) -> list[PeerInfo]:
        """Nodes that announced themselves for a role (and a model), newest first; bad records are left out.

        ``confirm`` asks the chain: what it refuses is left out too.
        """
        found = self.run(self._find(heartbeat_key(self._chain_id, role)), STORE_TIMEOUT_SECONDS)
        peers = []
        for subkey, value in found.items():
            try:
                info = parse_record(value, self._chain_id, role, time.time(), max_age_seconds)
            except SwarmError:
                continue
            serves = model is None or model in info.models
            if subkey == info.address and serves and (confirm is None or confirm(info)):
                peers.append(info)
        return sorted(peers, key=lambda info: (-info.time_unix_seconds, info.address))

    async def _find(self, key: str) -> dict[Any, Any]:
        await self.libp2p.rejoin(self._dht)
        found = await self._dht.get(key, latest=True)
        value = getattr(found, "value", None)
        if not isinstance(value, dict):  # nothing there, or a stranger overwrote the dictionary with a plain value
            return {}
        return {subkey: entry.value for subkey, entry in value.items()}

    def close(self) -> None:
        """Leave the DHT and stop the ``p2pd`` child. May be called twice."""
        if self._thread.loop.is_closed():
            return
        with contextlib.suppress(SwarmError):
            self._thread.run(_leave(self.libp2p, self._dht), 4.0)
        self.libp2p.kill()
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _join(bootstrap: Sequence[str], identity_path: Path, host_maddr: str) -> tuple[Libp2p, Any]:
    lean_hivemind()
    from hivemind.dht.node import DHTNode

    libp2p = await create_libp2p(bootstrap, identity_path, host_maddr)
    try:
        dht = await DHTNode.create(
            p2p=libp2p.p2p,
            initial_peers=list(bootstrap) or None,
            ensure_bootstrap_success=False,
            strict=False,
            bootstrap_timeout=2.0,
            cache_locally=False,
            cache_on_store=False,
            cache_nearest=0,
        )
    except BaseException:
        await libp2p.shutdown()
        raise
    return libp2p, dht


async def _leave(libp2p: Libp2p, dht: Any) -> None:
    await dht.shutdown()
    await libp2p.shutdown()


def run_bootstrap(
    identity_path: Path,
    *,
    chain_id: int,
    ready: Callable[[list[str]], None],
    stop: threading.Event,
    bootstrap: Sequence[str] = (),
    host_maddr: str = LOOPBACK,
) -> None:
    """The bootstrap role: a DHT peer at a known address, and nothing else, until ``stop`` is set.

    ``ready`` is told the multiaddrs that others join by, once they can.
    """
    with Swarm.start(bootstrap, identity_path, chain_id=chain_id, host_maddr=host_maddr) as swarm:
        ready(swarm.maddrs)
        while not stop.wait(1.0):
            pass
