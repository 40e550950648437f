"""A team's own libp2p connections, and Hivemind's all-reduce over a group that is known beforehand.

There is no DHT and no matchmaking: the leader is the meeting point. Who isn't on the allow-list gets nothing. His
streams are closed before a byte of them is read, his calls refused by the peer id that the connection has proven, and
his connection is hung up.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import json
import logging
import time
import typing
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from client.errors import SwarmError
from client.schema import load_json
from node.swarm import LoopThread
from node.swarm_p2p import Libp2p, create_libp2p, lean_hivemind
from node.teams.settings import Contact, TeamSettings

if TYPE_CHECKING:
    from node.teams.settings import Vector

log = logging.getLogger("strata.node.team")

CALL = "strata.team.2"
BLOBS = "strata.team.blobs.2"
PARTS = "strata.team.parts.2"
MAX_MESSAGE_BYTES = 64 * 1024  # of a call; answers tell of all peers and may be larger
MAX_ANSWER_BYTES = 2**21
CHUNK_BYTES = 2**18
MESSAGE_GRACE_SECONDS = 1.0
CONNECT_SECONDS = 3.0
FETCH_TRIES = 3
PARTS_EARLY_SECONDS = 5.0  # that parts may come before we are ready ourselves
GROUPS_REMEMBERED = 64

Message = dict[str, Any]
Answer = Callable[[Message, str], Awaitable[Message]]
Blob = Callable[[str, str], bytes | memoryview | None]
Result = TypeVar("Result")


class CutOffError(ValueError):
    """A blob's stream ended in the middle."""


class Links(Protocol):
    """What a team needs of its connections. Everything but ``run`` belongs into its event loop."""

    @property
    def peer_id(self) -> str: ...
    @property
    def maddrs(self) -> tuple[str, ...]: ...
    def run(self, coroutine: Coroutine[Any, Any, Result], timeout_seconds: float) -> Result: ...
    async def serve(self, answer: Answer, blob: Blob) -> None: ...
    async def ask(self, peer: Contact, message: Message, seconds: float) -> Message: ...
    async def fetch(self, peer: Contact, name: str, max_bytes: int, seconds: float) -> bytes: ...
    async def reduce(
        self, group_id: bytes, group: Sequence[Contact], vector: Vector, seconds: float
    ) -> Vector | None: ...
    async def hang_up(self) -> None: ...


class HivemindLinks:
    """:class:`Links` over Hivemind's ``p2pd``. Made by :meth:`start`."""

    def __init__(self, thread: LoopThread, libp2p: Libp2p, settings: TeamSettings) -> None:
        self.thread, self.libp2p, self._settings = thread, libp2p, settings
        self._parts = _parts_servicer()()

    @classmethod
    def start(cls, settings: TeamSettings, identity_path: Path, timeout_seconds: float = 30.0) -> HivemindLinks:
        """Open the team's connections."""
        _load_allreduce()  # a second or more: not in the loop, and not while others wait
        thread = LoopThread("strata-team")
        try:
            host = f"/ip4/{settings.host}/tcp/{settings.port}"
            libp2p = thread.run(create_libp2p([], identity_path, host, settings.admits), timeout_seconds)
        except BaseException:
            thread.close()
            raise
        return cls(thread, libp2p, settings)

    @property
    def peer_id(self) -> str:
        """Ours."""
        return self.libp2p.peer_id

    @property
    def maddrs(self) -> tuple[str, ...]:
        """Where the others reach us."""
        return tuple(self.libp2p.maddrs)

    def run(self, coroutine: Coroutine[Any, Any, Result], timeout_seconds: float) -> Result:
        """Run in the loop, from another thread."""
        return self.thread.run(coroutine, timeout_seconds)

    def close(self) -> None:
        """Close the connections and stop the daemon. May be called twice."""
        if self.thread.loop.is_closed():
            return
        try:
            self.thread.run(self.libp2p.shutdown(), 4.0)
        except SwarmError as error:
            log.warning("the team's peer-to-peer daemon is killed: %s", error)
        self.libp2p.kill()
        self.thread.close()

    # ---- calls ----

    async def serve(self, answer: Answer, blob: Blob) -> None:
        """Answer the team's calls from now on."""
        from hivemind.proto import runtime_pb2

        async def call(request: Any, context: Any) -> Any:
            remote = context.remote_id.to_base58()
            found = await self._checked(bytes(request.metadata), remote, answer)
            return runtime_pb2.ExpertResponse(metadata=json.dumps(found).encode())

        async def blobs(request: Any, context: Any) -> AsyncIterator[Any]:
            remote = context.remote_id.to_base58()
            message = self._read(bytes(request.metadata), remote)
            data = blob(message["name"], remote) if message and isinstance(message.get("name"), str) else None
            yield runtime_pb2.ExpertResponse(metadata=await _in_thread(_head_of, data))
            view = memoryview(data or b"").cast("B")
            for start in range(0, view.nbytes, CHUNK_BYTES):
                yield runtime_pb2.ExpertResponse(metadata=bytes(view[start : start + CHUNK_BYTES]))

        p2p = self.libp2p.p2p
        await p2p.add_protobuf_handler(CALL, call, runtime_pb2.ExpertRequest)
        await p2p.add_protobuf_handler(BLOBS, blobs, runtime_pb2.ExpertRequest, stream_output=True)
        await self._parts.add_p2p_handlers(p2p, namespace=PARTS)

    def _read(self, data: bytes, remote: str) -> Message | None:
        """A member's message; None for a stranger's, another team's, or one that is malformed."""
        if not self._settings.admits(remote) or len(data) > MAX_MESSAGE_BYTES:
            return None
        try:
            message = load_json(data.decode())
        except (ValueError, RecursionError):
            return None
        return message if isinstance(message, dict) and message.get("team") == self._settings.name else None

    async def _checked(self, data: bytes, remote: str, answer: Answer) -> Message:
        message = self._read(data, remote)
        if message is None:
            return {"refused": "not of this team"}
        try:
            return await answer(message, remote)
        except SwarmError as error:
            return {"refused": str(error)}

    async def ask(self, peer: Contact, message: Message, seconds: float) -> Message:
        """Call a peer; ``SwarmError`` where it can't be reached, is late, or refuses."""
        from hivemind.p2p import PeerID
        from hivemind.proto import runtime_pb2

        data = json.dumps({**message, "team": self._settings.name}).encode()
        if len(data) > MAX_MESSAGE_BYTES:
            raise SwarmError(f"a message of {len(data)} bytes is more than the {MAX_MESSAGE_BYTES} allowed")
        request = runtime_pb2.ExpertRequest(metadata=data)
        with _mapped(peer):
            await self._connect(peer, seconds)
            async with asyncio.timeout(seconds + MESSAGE_GRACE_SECONDS):
                call = self.libp2p.p2p.call_protobuf_handler
                reply = await call(PeerID.from_base58(peer.peer_id), CALL, request, runtime_pb2.ExpertResponse)
            if len(reply.metadata) > MAX_ANSWER_BYTES:
                raise ValueError("the answer is too large")
            found = load_json(reply.metadata.decode())
        if not isinstance(found, dict) or "refused" in found:
            raise SwarmError(f"peer {peer.peer_id} refused: {found}")
        return found

    async def _connect(self, peer: Contact, seconds: float) -> None:
        if peer.maddrs:
            async with asyncio.timeout(min(CONNECT_SECONDS, seconds + MESSAGE_GRACE_SECONDS)):
                if not await self.libp2p.connect(peer.peer_id, peer.maddrs):
                    raise OSError("nobody answers at its addresses")

    async def fetch(self, peer: Contact, name: str, max_bytes: int, seconds: float) -> bytes:
        """A blob that a peer offers, checked against the digest it gives. A stream that ends in the middle is asked for
        again while there is time: libp2p's daemon drops one now and then on a busy machine.
        """
        with _mapped(peer):
            await self._connect(peer, seconds)
            async with asyncio.timeout(seconds):
                for _ in range(FETCH_TRIES - 1):
                    try:
                        return await self._fetch_once(peer, name, max_bytes)
                    except CutOffError as error:
                        log.info("a blob of %s: %s; asked for again", peer.peer_id, error)
                return await self._fetch_once(peer, name, max_bytes)

    async def _fetch_once(self, peer: Contact, name: str, max_bytes: int) -> bytes:
        from hivemind.p2p import PeerID
        from hivemind.proto import runtime_pb2

        asked = runtime_pb2.ExpertRequest(metadata=json.dumps({"name": name, "team": self._settings.name}).encode())
        iterate = self.libp2p.p2p.iterate_protobuf_handler
        frames = await iterate(PeerID.from_base58(peer.peer_id), BLOBS, asked, runtime_pb2.ExpertResponse)
        return await _collect((frame.metadata async for frame in frames), max_bytes)

    async def hang_up(self) -> None:
        """End the connections of strangers."""
        with contextlib.suppress(Exception):  # libp2p's daemon is gone or busy: the next time, then
            for info in await self.libp2p.p2p.list_peers():
                if not self._settings.admits(info.peer_id.to_base58()):
                    log.warning("hung up on %s, who is not of this team", info.peer_id)
                    await self.libp2p.p2p._client.disconnect(info.peer_id)

    # ---- all-reduce ----

    async def reduce(self, group_id: bytes, group: Sequence[Contact], vector: Vector, seconds: float) -> Vector | None:
        """Hivemind's all-reduce over the group, everybody with the same weight; ``None`` when it failed.

        A result may be averaged in parts, where a peer went away in the middle: the caller checks it.
        """
        import torch
        from hivemind.averaging.allreduce import AllReduceRunner
        from hivemind.averaging.partition import AllreduceException
        from hivemind.p2p import PeerID

        deadline = time.monotonic() + seconds
        tensor = torch.from_numpy(vector.copy())
        runner = AllReduceRunner(
            p2p=self.libp2p.p2p,
            servicer_type=_parts_servicer(),
            prefix=PARTS,
            group_id=group_id,
            tensors=(tensor,),
            ordered_peer_ids=[PeerID.from_base58(peer.peer_id) for peer in group],
            peer_fractions=tuple(1.0 / len(group) for _ in group),
            sender_timeout=0.7 * seconds,
            reducer_timeout=0.9 * seconds,
        )
        try:
            async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                for peer in group:
                    if peer.peer_id != self.peer_id:
                        await self.libp2p.connect(peer.peer_id, peer.maddrs)
                self._parts.begin(group_id, runner)
                deltas = [delta async for delta in runner.run()]
            total: Vector = (tensor + deltas[0]).numpy()
            return total
        except (TimeoutError, AllreduceException, OSError, *_foreign()) as error:
            log.info("an all-reduce failed: %r", error)
            return None
        finally:
            self._parts.end(group_id)


def _parts_servicer() -> Any:
    """The class that takes parts of vectors for whichever all-reduce they belong to. One handler for all of them: to
    register one for each average would cost a message to the daemon and a barrier.
    """
    global _SERVICER
    if _SERVICER is None:
        _load_allreduce()
        _SERVICER = _make_servicer()
    return _SERVICER


_SERVICER: Any = None


def _make_servicer() -> Any:
    from hivemind.p2p import P2PContext, ServicerBase
    from hivemind.proto import averaging_pb2
    from hivemind.utils.asyncio import achain, anext, as_aiter

    refusal = averaging_pb2.AveragingData(code=averaging_pb2.PROTOCOL_VIOLATION)

    class Parts(ServicerBase):  # type: ignore[misc]
        def __init__(self) -> None:
            self._runners: dict[bytes, asyncio.Future[Any]] = {}
            self._over: deque[bytes] = deque(maxlen=GROUPS_REMEMBERED)

        def begin(self, group_id: bytes, runner: Any) -> None:
            self._future(group_id).set_result(runner)

        def end(self, group_id: bytes) -> None:
            self._over.append(group_id)
            self._runners.pop(group_id, None)

        def _future(self, group_id: bytes) -> asyncio.Future[Any]:
            return self._runners.setdefault(group_id, asyncio.get_running_loop().create_future())

        async def _runner(self, group_id: bytes) -> Any:
            if group_id in self._over or len(group_id) != 32 or len(self._runners) > GROUPS_REMEMBERED:
                return None
            try:
                async with asyncio.timeout(PARTS_EARLY_SECONDS):
                    return await asyncio.shield(self._future(group_id))
            except TimeoutError:
                return None

        async def rpc_aggregate_part(self, stream, context):  # type: ignore[no-untyped-def]
            async with asyncio.timeout(PARTS_EARLY_SECONDS):
                first = await anext(stream)
            runner = await self._runner(bytes(first.group_id))
            if runner is None or context.remote_id not in runner.ordered_peer_ids:
                yield refusal
                return
            async for message in runner.rpc_aggregate_part(achain(as_aiter(first), stream), context):
                yield message

    parts: Any = Parts.rpc_aggregate_part
    parts.__annotations__ = {  # Hivemind reads the message's types here
        "stream": typing.AsyncIterator[averaging_pb2.AveragingData],
        "context": P2PContext,
        "return": typing.AsyncIterator[averaging_pb2.AveragingData],
    }
    return Parts


def _load_allreduce() -> None:
    lean_hivemind()
    importlib.import_module("hivemind.averaging.allreduce")


def _foreign() -> tuple[type[Exception], ...]:
    """Hivemind's and libp2p's errors."""
    from hivemind.p2p.p2p_daemon_bindings.control import P2PDaemonError, P2PHandlerError
    from hivemind.p2p.p2p_daemon_bindings.utils import ControlFailure

    return P2PDaemonError, P2PHandlerError, ControlFailure


def _failures() -> tuple[type[Exception], ...]:
    return (*_foreign(), OSError, EOFError, ValueError)


@contextlib.contextmanager
def _mapped(peer: Contact) -> Iterator[None]:
    """Whatever goes wrong with a peer is a ``SwarmError``."""
    try:
        yield
    except TimeoutError as error:
        raise SwarmError(f"peer {peer.peer_id} did not answer in time") from error
    except _failures() as error:
        raise SwarmError(f"peer {peer.peer_id} can't be asked: {error}") from error


async def _in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """What takes its time, where it does not hold up the team's beats."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


def _head_of(data: bytes | memoryview | None) -> bytes:
    """The first frame of a blob: how long it is, and its digest."""
    if data is None:
        return json.dumps({"refused": True}).encode()
    view = memoryview(data).cast("B")
    return json.dumps({"bytes": view.nbytes, "sha256": _digest(view)}).encode()


def _digest(data: bytes | bytearray | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


async def _collect(frames: AsyncIterator[bytes], max_bytes: int) -> bytes:
    """A blob from its frames; ``ValueError`` where it is refused, too large, cut off or another than announced.

    :class:`CutOffError` where the stream ended in the middle.
    """
    head: Any = None
    data = bytearray()
    async for frame in frames:
        if head is None:
            head = load_json(frame[:1024].decode())
            size = head.get("bytes") if isinstance(head, dict) else None
            if type(size) is not int or not 0 <= size <= max_bytes:
                raise ValueError(f"no blob, or one of more than {max_bytes} bytes: {head}")
            continue
        data += frame
        if len(data) > head["bytes"]:
            raise ValueError("the blob is longer than announced")
    if head is None or len(data) != head["bytes"]:
        raise CutOffError(f"the blob was cut off after {len(data)} bytes of {head['bytes'] if head else 'no blob yet'}")
    if await _in_thread(_digest, data) != head.get("sha256"):
        raise ValueError("the blob is another than announced")
    return bytes(data)
