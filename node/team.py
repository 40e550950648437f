"""A miner of several peers: they train the same model on different text and average their deltas before the commit.

Peers of one team trust each other, so they may use Hivemind's all-reduce, which strangers may not: one NaN or one huge
number would spoil it for all. Each team has libp2p connections of its own (no shared DHT, no strangers: an
allow-list of peer ids). The group is known beforehand, so Hivemind's matchmaking is not needed; the leader is the
meeting point instead:

    join    who is here for this round, with how many values, and the sums of blocks of its vector
    ready   everybody has its handler in place, the all-reduce may begin
    done    everybody checked its result

A peer that dies in the middle leaves the others with a vector that is averaged in parts. The block sums detect that:
the sums of the result must be the mean of the sums that were announced. Whatever goes wrong, the leader goes on with
its own vector, within the deadline.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from client.errors import ConfigError, SwarmError
from client.schema import load_json
from client.settings import write_atomically
from node.swarm import LoopThread
from node.swarm_p2p import Libp2p, create_libp2p, lean_hivemind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

log = logging.getLogger("strata.node.team")

HANDLER = "strata.team.1"
BLOCKS = 1024  # sums that describe a vector
TOLERANCE = 1e-4  # of a block's sum of magnitudes: float32 rounding is a hundredth of it
MAX_MESSAGE_BYTES = 64 * 1024
MESSAGE_GRACE_SECONDS = 1.0
MEMBER_PATIENCE = 4.0  # times the deadline: a member that is ready first waits for its leader
MAX_WAIT_SECONDS = 3600.0


@dataclass(frozen=True)
class TeamSettings:
    """Who belongs to a team. Members know their leader by a multiaddr, or by ``file:PATH`` that it writes."""

    name: str
    leader: bool
    size: int = 2  # peers, this one included
    peers: tuple[str, ...] = ()  # for a member: where the leader is
    allow: tuple[str, ...] = ()  # peer ids that may join; anybody who knows address and name when empty
    port: int = 0  # TCP; 0 takes a free one
    host: str = "127.0.0.1"  # IPv4 address at which the others reach this peer


@dataclass(frozen=True)
class TeamResult:
    """What averaging gave: the mean over ``peers`` peers, or our own vector (``peers`` 1) and the reason."""

    vector: Vector
    peers: int
    tokens: int
    reason: str = ""


@dataclass
class _Barrier:
    """A place where peers wait for each other."""

    values: dict[str, Any] = field(default_factory=dict)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class Meeting:
    """The barriers of a leader. Everybody who came in time gets the same values back; a latecomer gets none."""

    def __init__(self) -> None:
        self._barriers: dict[str, _Barrier] = {}

    async def come(
        self, key: str, peer: str, value: Any, expected: int, seconds: float, closes: bool
    ) -> dict[str, Any]:
        """Wait until ``expected`` peers came. When the time is over, whoever ``closes`` (the leader) goes on with
        those who are there; another leaves again, with nothing.
        """
        barrier = self._barriers.setdefault(key, _Barrier())
        if barrier.closed.is_set():
            return {}
        barrier.values[peer] = value
        if len(barrier.values) >= expected:
            barrier.closed.set()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await barrier.closed.wait()
        except TimeoutError:
            if not closes:
                barrier.values.pop(peer, None)
                return {}
            barrier.closed.set()
        return dict(barrier.values)

    def forget(self, prefix: str) -> None:
        """Drop barriers of a round that is over."""
        for key in [key for key in self._barriers if key.startswith(prefix)]:
            del self._barriers[key]


class Team:
    """This process's place in its team. Made by :meth:`start`."""

    def __init__(self, thread: LoopThread, libp2p: Libp2p, settings: TeamSettings, leader_id: str) -> None:
        self._thread, self._libp2p, self._settings, self._leader_id = thread, libp2p, settings, leader_id
        self._meeting = Meeting()
        self._intent: dict[str, Any] | None = None
        self.peer_id = libp2p.peer_id
        self.maddrs = libp2p.maddrs

    @classmethod
    def start(
        cls,
        settings: TeamSettings,
        identity_path: Path,
        *,
        announce: Path | None = None,
        timeout_seconds: float = 30.0,
    ) -> Team:
        """Open the team's own connections. A leader writes its address to ``announce``; a member waits for it."""
        _load_allreduce()  # a second or more: not in the loop, and not while others wait
        thread = LoopThread("strata-team")
        try:
            where = [] if settings.leader else _leader_address(settings.peers, timeout_seconds)
            host = f"/ip4/{settings.host}/tcp/{settings.port}"
            libp2p = thread.run(create_libp2p(where, identity_path, host), timeout_seconds)
            leader_id = libp2p.peer_id if settings.leader else where[0].rsplit("/p2p/", 1)[-1]
            team = cls(thread, libp2p, settings, leader_id)
            thread.run(team._serve(), 10.0)
        except BaseException:
            thread.close()
            raise
        if announce is not None:
            body = {"peer_id": libp2p.peer_id, "maddrs": libp2p.maddrs}
            write_atomically(announce, json.dumps(body).encode())
        return team

    def average(self, vector: Vector, round_key: str, deadline_seconds: float, tokens: int = 0) -> TeamResult:
        """The mean of the team's vectors; our own, unchanged, when that can't be had within the deadline."""
        patience = 1.0 if self._settings.leader else MEMBER_PATIENCE
        longest = deadline_seconds * (0.5 + 0.5 * patience) + 2.0
        try:
            return self._thread.run(self._average(vector, round_key, deadline_seconds, patience, tokens), longest)
        except (SwarmError, OSError) as error:  # OSError: our own p2pd is gone
            log.warning("the team did not average %s: %s", round_key, error)
            return TeamResult(vector, 1, tokens, str(error))

    def announce_intent(self, intent: Mapping[str, Any]) -> None:
        """A leader says what it trains now (model, round, head, assignment)."""
        self._intent = dict(intent)

    def intent(self, timeout_seconds: float = 5.0) -> dict[str, Any] | None:
        """What the leader trains now; ``None`` when it has not said."""
        found = self._thread.run(self._ask({"op": "intent"}, timeout_seconds), timeout_seconds + 1.0).get("intent")
        return found if isinstance(found, dict) else None

    def close(self) -> None:
        """Leave the team."""
        if self._thread.loop.is_closed():
            return
        try:
            self._thread.run(self._libp2p.shutdown(), 4.0)
        except SwarmError as error:
            log.warning("the team's peer-to-peer daemon is killed: %s", error)
        self._libp2p.kill()
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the meeting point ----

    async def _serve(self) -> None:
        if not self._settings.leader:
            return
        from hivemind.proto import runtime_pb2

        async def handler(request: Any, context: Any) -> Any:
            answer = await self._handle(bytes(request.metadata), context.remote_id.to_base58())
            return runtime_pb2.ExpertResponse(metadata=json.dumps(answer).encode())

        await self._libp2p.p2p.add_protobuf_handler(HANDLER, handler, runtime_pb2.ExpertRequest)

    async def _handle(self, data: bytes, remote: str) -> dict[str, Any]:
        try:
            message = load_json(data.decode()) if len(data) <= MAX_MESSAGE_BYTES else None
        except ValueError:
            message = None
        allowed = not self._settings.allow or remote in self._settings.allow
        if not isinstance(message, dict) or not allowed or message.get("team") != self._settings.name:
            return {"refused": "not of this team"}
        if message.get("op") == "intent":
            return {"intent": self._intent}
        key, expected, seconds = message.get("key"), message.get("expected"), message.get("seconds")
        if not isinstance(key, str) or type(expected) is not int or not isinstance(seconds, int | float):
            return {"refused": "malformed"}
        come = self._meeting.come(key, remote, message.get("value"), expected, min(seconds, MAX_WAIT_SECONDS), False)
        return {"values": await come}

    async def _ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        from hivemind.p2p import PeerID
        from hivemind.p2p.p2p_daemon_bindings.control import P2PDaemonError, P2PHandlerError
        from hivemind.p2p.p2p_daemon_bindings.utils import ControlFailure
        from hivemind.proto import runtime_pb2

        if self._settings.leader:
            return await self._handle(json.dumps({**message, "team": self._settings.name}).encode(), self.peer_id)
        data = json.dumps({**message, "team": self._settings.name}).encode()
        request = runtime_pb2.ExpertRequest(metadata=data)
        try:
            async with asyncio.timeout(seconds + MESSAGE_GRACE_SECONDS):
                await self._libp2p.connect(self._leader_id, _leader_address(self._settings.peers, 0.0))
                call = self._libp2p.p2p.call_protobuf_handler
                answer = await call(PeerID.from_base58(self._leader_id), HANDLER, request, runtime_pb2.ExpertResponse)
                found = load_json(answer.metadata.decode())
        except TimeoutError as error:
            raise SwarmError("the leader did not answer in time") from error
        except (P2PDaemonError, P2PHandlerError, ControlFailure, OSError, EOFError, ValueError) as error:
            raise SwarmError(f"the leader can't be asked: {error}") from error
        if not isinstance(found, dict) or "refused" in found:
            raise SwarmError(f"the leader refused: {found}")
        return found

    async def _meet(self, key: str, value: Any, expected: int, deadline: float) -> dict[str, Any]:
        """Wait at the leader's barrier; who came, with what."""
        seconds = deadline - time.monotonic()
        if self._settings.leader:
            return await self._meeting.come(key, self.peer_id, value, expected, seconds, True)
        asked = {"op": "meet", "key": key, "value": value, "expected": expected, "seconds": seconds}
        values = (await self._ask(asked, seconds)).get("values")
        return values if isinstance(values, dict) else {}

    # ---- averaging ----

    async def _average(
        self, vector: Vector, round_key: str, seconds: float, patience: float, tokens: int
    ) -> TeamResult:
        """Half of the time is for meeting, half for the work."""
        import numpy as np

        finite = bool(np.isfinite(vector).all())
        mine = {"n": int(vector.size), "finite": finite, "tokens": tokens, "sums": _encode(block_sums(vector))}
        try:
            until = time.monotonic() + 0.5 * seconds * patience
            here = await self._meet(f"{round_key}/join", mine, self._settings.size, until)
            group = _usable(here, int(vector.size))
            if not finite or self.peer_id not in group or len(group) < 2:
                came = f"{len(here)} of the team came, {len(group)} with a vector that fits"
                return TeamResult(vector, 1, tokens, came if finite else "our own vector is not finite")
            deadline = time.monotonic() + 0.5 * seconds
            result = await self._reduce(vector, round_key, sorted(group), deadline - 0.1 * seconds)
            good = result is not None and _is_mean(result, [here[peer]["sums"] for peer in group])
            done = await self._meet(f"{round_key}/done", good, len(group), deadline)
            if not good or result is None or len(done) < len(group) or not all(done.values()):
                return TeamResult(vector, 1, tokens, "the average was incomplete: a peer went away or failed")
            return TeamResult(result, len(group), sum(int(here[peer]["tokens"]) for peer in group))
        finally:
            asyncio.get_running_loop().call_later(5.0, self._meeting.forget, f"{round_key}/")

    async def _reduce(self, vector: Vector, round_key: str, group: Sequence[str], deadline: float) -> Vector | None:
        """Hivemind's all-reduce over the group; ``None`` when it failed."""
        import torch
        from hivemind.averaging.allreduce import AllReduceRunner
        from hivemind.averaging.partition import AllreduceException
        from hivemind.p2p import PeerID
        from hivemind.p2p.p2p_daemon_bindings.control import P2PDaemonError, P2PHandlerError
        from hivemind.p2p.p2p_daemon_bindings.utils import ControlFailure

        seconds = max(0.1, deadline - time.monotonic())
        group_id = hashlib.sha256("|".join((self._settings.name, round_key, *group)).encode()).digest()
        tensor = torch.from_numpy(vector.copy())
        runner = AllReduceRunner(
            p2p=self._libp2p.p2p,
            servicer_type=AllReduceRunner,
            prefix=group_id.hex()[:32],
            group_id=group_id,
            tensors=(tensor,),
            ordered_peer_ids=[PeerID.from_base58(peer) for peer in group],
            peer_fractions=tuple(1.0 / len(group) for _ in group),
            sender_timeout=0.7 * seconds,
            reducer_timeout=0.9 * seconds,
        )
        await runner.add_p2p_handlers(self._libp2p.p2p, namespace=group_id.hex()[:32])
        try:
            ready = await self._meet(f"{round_key}/ready", self.maddrs, len(group), deadline - 0.5 * seconds)
            if len(ready) < len(group):
                return None
            async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                for peer in group:
                    if peer != self.peer_id:
                        await self._libp2p.connect(peer, [str(maddr) for maddr in ready[peer]])
                deltas = [delta async for delta in runner.run()]
            total: Vector = (tensor + deltas[0]).numpy()
            return total
        except (TimeoutError, AllreduceException, P2PDaemonError, P2PHandlerError, ControlFailure, OSError) as error:
            log.warning("the all-reduce of %s failed: %r", round_key, error)
            return None
        finally:
            await runner.remove_p2p_handlers(self._libp2p.p2p, namespace=group_id.hex()[:32])


def _load_allreduce() -> None:
    lean_hivemind()
    importlib.import_module("hivemind.averaging.allreduce")


def block_sums(vector: Vector) -> NDArray[np.float64]:
    """Sums and sums of magnitudes over ``BLOCKS`` even parts of a vector, in float64: two rows."""
    import numpy as np

    edges = np.linspace(0, vector.size, min(BLOCKS, max(1, vector.size)), endpoint=False).astype(np.int64)
    if vector.size == 0:
        return np.zeros((2, 1))
    return np.stack(
        [np.add.reduceat(vector, edges, dtype=np.float64), np.add.reduceat(np.abs(vector), edges, dtype=np.float64)]
    )


def _encode(sums: NDArray[np.float64]) -> str:
    return base64.b64encode(sums.astype("<f8").tobytes()).decode()


def _is_mean(result: Vector, announced: Sequence[str]) -> bool:
    """Whether the result's block sums are the mean of those that were announced, up to rounding."""
    import numpy as np

    found = block_sums(result)
    rows = [np.frombuffer(base64.b64decode(text), dtype="<f8") for text in announced]
    if any(row.size != found.size for row in rows) or not np.isfinite(found).all():
        return False
    mean = np.mean([row.reshape(found.shape) for row in rows], axis=0)
    return bool((np.abs(found[0] - mean[0]) <= TOLERANCE * mean[1] + 1e-12).all())


def _usable(here: Mapping[str, Any], size: int) -> list[str]:
    """The peers that came with a vector that fits ours."""
    return [
        peer
        for peer, value in here.items()
        if isinstance(value, dict)
        and value.get("n") == size
        and value.get("finite") is True
        and type(value.get("tokens")) is int
        and isinstance(value.get("sums"), str)
    ]


def _leader_address(peers: Sequence[str], wait_seconds: float) -> list[str]:
    """The leader's multiaddrs, from the settings or from the file that it writes."""
    if not peers:
        raise ConfigError("a team's member must be told where its leader is: team.peers")
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return _read_addresses(peers[0])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() >= deadline:
                raise SwarmError(f"the team's leader can't be found at {peers[0]}: {error}") from error
        time.sleep(0.2)


def _read_addresses(peer: str) -> list[str]:
    if not peer.startswith("file:"):
        return [peer]
    return [str(maddr) for maddr in json.loads(Path(peer.removeprefix("file:")).read_text())["maddrs"]]
