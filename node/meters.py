"""Chain and store as a node uses them, counting what they carry into its telemetry."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.chain import Chain
from client.chain_rpc import Rpc
from client.fetching import Ranked
from client.storage import IpfsStore

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from client.fetching import Source
    from client.journal import Journal
    from client.settings import Network
    from node.telemetry import Telemetry

REQUEST_SECONDS = 10.0  # of one request to the chain


class MeteredRpc(Rpc):
    """Counts bodies of requests and answers, and sees the newest block whenever somebody asks for it."""

    def __init__(self, url: str, patience: float, telemetry: Telemetry) -> None:
        def traffic(sent: int, received: int) -> None:
            telemetry.moved("chain", sent, received, requests=1 if sent else 0)

        super().__init__(url, REQUEST_SECONDS, patience, traffic)
        self._telemetry = telemetry

    def request(self, method: str, params: Sequence[Any] = (), patience: float | None = None) -> Any:
        """As ``Rpc`` does."""
        result = super().request(method, params, patience)
        if method == "eth_blockNumber" and isinstance(result, str):
            self._telemetry.saw_block(int(result, 16))
        return result


def metered_chain(
    network: Network,
    telemetry: Telemetry,
    account: LocalAccount | None = None,
    journal: Journal | None = None,
    *,
    patience: float,
) -> Chain:
    """``Chain.connect`` for a node: ``patience`` is the seconds for which a dead end point is tried."""
    return Chain(network, MeteredRpc(network.rpc, patience, telemetry), account, journal)


class MeteredStore(IpfsStore):
    """Counts the bytes of content that went to the daemon and that came from daemons, not what the cache gave."""

    def __init__(self, telemetry: Telemetry, *args: Any, **kwargs: Any) -> None:
        """The rest as ``IpfsStore`` takes it."""
        super().__init__(*args, **kwargs)
        self._telemetry = telemetry
        self._ranked = [Ranked(_MeteredSource(ranked.source, telemetry)) for ranked in self._ranked]

    def put(self, data: bytes) -> bytes:
        """As ``IpfsStore`` does."""
        digest = super().put(data)
        self._telemetry.moved("content", sent=len(data))
        return digest

    def put_file(self, path: Path) -> bytes:
        """As ``IpfsStore`` does."""
        digest = super().put_file(path)
        self._telemetry.moved("content", sent=path.stat().st_size)
        return digest


class _MeteredSource:
    """A daemon that blobs are fetched from."""

    def __init__(self, source: Source, telemetry: Telemetry) -> None:
        self._source, self._telemetry, self.name = source, telemetry, source.name

    def stream(
        self, cid: str, offset: int, length: int, seconds: float, patience: float
    ) -> Generator[bytes, None, None]:
        """As the daemon does."""
        with contextlib.closing(self._source.stream(cid, offset, length, seconds, patience)) as pieces:
            for piece in pieces:
                self._telemetry.moved("content", received=len(piece))
                yield piece

    def nudge(self) -> None:
        """As the daemon does."""
        self._source.nudge()
