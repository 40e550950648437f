"""Answers streamed from a server's peer to whoever asks, by protobuf RPC over Hivemind's libp2p connections.

A call sends one JSON object and gets a stream of them back, each in the ``metadata`` of Hivemind's own
``ExpertRequest`` and ``ExpertResponse``; the last has ``"type": "end"`` or ``"error"``. Everything is bounded: the
size of the request, of each frame, the time to the next frame, the time of the whole. Who stops reading cancels the
work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from client.errors import SwarmError
from client.schema import load_json
from node.swarm import PeerInfo, Swarm

HANDLER = "strata.generate.1"
LAST_FRAMES = ("end", "error")
_DONE = object()

Frame = dict[str, Any]
Answer = Callable[[Frame, str], AsyncIterator[Frame]]


@dataclass(frozen=True)
class StreamLimits:
    """What one call may cost."""

    request_bytes: int = 256 * 1024
    frame_bytes: int = 64 * 1024
    frames: int = 20_000
    open_seconds: float = 10.0
    idle_seconds: float = 60.0
    total_seconds: float = 600.0


DEFAULT_LIMITS = StreamLimits()


def encode_frame(frame: Frame, max_bytes: int) -> bytes:
    """JSON of bounded size."""
    data = json.dumps(frame, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if len(data) > max_bytes:
        raise SwarmError(f"a message of {len(data)} bytes is more than the {max_bytes} allowed")
    return data


def decode_frame(data: bytes, max_bytes: int) -> Frame:
    """The object in a message; ``SwarmError`` when it is too big or not a JSON object."""
    if len(data) > max_bytes:
        raise SwarmError(f"a message of {len(data)} bytes is more than the {max_bytes} allowed")
    try:
        frame = load_json(data.decode())
        json.dumps(frame, ensure_ascii=False, allow_nan=False).encode()  # or it could not go on as HTTP
    except (ValueError, RecursionError) as error:
        raise SwarmError("a message is not JSON") from error
    if not isinstance(frame, dict):
        raise SwarmError("a message is not a JSON object")
    return frame


class GenerateServer:
    """Serves ``answer(request, peer_id)`` (an asynchronous generator of frames) to the swarm, from :meth:`start` on."""

    def __init__(self, swarm: Swarm, answer: Answer, limits: StreamLimits = DEFAULT_LIMITS) -> None:
        self._swarm = swarm
        self._answer = answer
        self._limits = limits

    def start(self) -> None:
        """Register the handler; calls are answered from now on."""
        self._swarm.run(self._register(), 10.0)

    def stop(self) -> None:
        """Take no more calls; running ones go on until their end or the swarm's."""
        with contextlib.suppress(SwarmError):
            self._swarm.run(self._swarm.p2p.remove_protobuf_handler(HANDLER, stream_output=True), 3.0)

    async def _register(self) -> None:
        from hivemind.proto import runtime_pb2

        async def handler(request: Any, context: Any) -> AsyncIterator[Any]:
            async for frame in self._frames(bytes(request.metadata), context.remote_id.to_base58()):
                yield runtime_pb2.ExpertResponse(metadata=encode_frame(frame, self._limits.frame_bytes))

        await self._swarm.p2p.add_protobuf_handler(HANDLER, handler, runtime_pb2.ExpertRequest, stream_output=True)

    async def _frames(self, data: bytes, remote: str) -> AsyncIterator[Frame]:
        try:
            request = decode_frame(data, self._limits.request_bytes)
        except SwarmError as error:
            yield {"type": "error", "status": 400, "code": "bad_request", "message": str(error)}
            return
        deadline = time.monotonic() + self._limits.total_seconds
        frames = self._answer(request, remote)
        try:
            async for frame in frames:
                yield frame
                if time.monotonic() > deadline:
                    yield {"type": "error", "status": 504, "code": "timeout", "message": "the answer took too long"}
                    return
        finally:
            close = getattr(frames, "aclose", None)
            if close is not None:
                await close()


class GenerateClient:
    """Asks servers' peers. Usable from any event loop."""

    def __init__(self, swarm: Swarm, limits: StreamLimits = DEFAULT_LIMITS) -> None:
        self._swarm = swarm
        self._limits = limits

    async def generate(self, peer: PeerInfo, request: Frame) -> AsyncGenerator[Frame]:
        """The frames of one answer, in order. ``SwarmError`` when the peer can't be reached, stalls, or goes away.

        Closing the iterator (or cancelling the task that reads it) hangs up, which cancels the work at the server.
        """
        data = encode_frame(request, self._limits.request_bytes)
        own_loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Any] = asyncio.Queue()

        def put(item: object) -> None:
            with contextlib.suppress(RuntimeError):  # the reader's loop is gone: nobody listens any more
                own_loop.call_soon_threadsafe(queue.put_nowait, item)

        future = asyncio.run_coroutine_threadsafe(self._pump(peer, data, put), self._swarm.loop)
        try:
            last = None
            while (item := await queue.get()) is not _DONE:
                if isinstance(item, SwarmError):
                    raise item
                last = item.get("type")
                yield item
                if last in LAST_FRAMES:
                    return
            raise SwarmError(f"the server's peer {peer.peer_id} went away in the middle of an answer")
        finally:
            future.cancel()

    async def _pump(self, peer: PeerInfo, data: bytes, put: Callable[[object], None]) -> None:
        """In the swarm's loop: read the stream and hand each frame over."""
        from hivemind.p2p.p2p_daemon_bindings.control import P2PDaemonError, P2PHandlerError
        from hivemind.p2p.p2p_daemon_bindings.utils import ControlFailure

        try:
            await self._read(peer, data, put)
        except SwarmError as error:
            put(error)
        except TimeoutError:
            put(SwarmError(f"the server's peer {peer.peer_id} did not answer in time"))
        except (ControlFailure, P2PDaemonError, P2PHandlerError, OSError, EOFError) as error:
            put(SwarmError(f"the server's peer {peer.peer_id} can't be asked: {error}"))
        finally:
            put(_DONE)

    async def _read(self, peer: PeerInfo, data: bytes, put: Callable[[object], None]) -> None:
        from hivemind.p2p import PeerID
        from hivemind.proto import runtime_pb2

        limits = self._limits
        peer_id = PeerID.from_base58(peer.peer_id)
        message = runtime_pb2.ExpertRequest(metadata=data)
        async with asyncio.timeout(limits.total_seconds):
            async with asyncio.timeout(limits.open_seconds):
                if peer.maddrs:
                    await self._swarm.libp2p.connect(peer.peer_id, peer.maddrs)
                stream = await self._swarm.p2p.iterate_protobuf_handler(
                    peer_id, HANDLER, message, runtime_pb2.ExpertResponse
                )
            try:
                for _ in range(limits.frames):
                    async with asyncio.timeout(limits.idle_seconds):
                        response = await anext(stream, None)
                    if response is None:
                        return
                    put(decode_frame(bytes(response.metadata), limits.frame_bytes))
                raise SwarmError("the server's peer sent more frames than an answer has")
            finally:
                await stream.aclose()
