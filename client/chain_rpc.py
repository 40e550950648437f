"""JSON-RPC to the chain, over web3's HTTP provider: patient with a dead end point, never silently repeating itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from client.errors import ChainError, ChainUnavailable

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
BUSY = ("rate limit", "too many requests", "try again later", "capacity exceeded")
BUSY_CODES = (429, -32005)
LAST_DELAY_SECONDS = 3.0

Traffic = Callable[[int, int], None]
"""Told bytes sent and bytes received."""


class RpcError(ChainError):
    """The end point answered with an error. ``data`` is a revert's return data, when there is some."""

    def __init__(self, method: str, error: Any) -> None:
        fields = error if isinstance(error, dict) else {"message": str(error)}
        self.method = method
        self.code = fields.get("code")
        self.text = str(fields.get("message", ""))
        self.data = _revert_data(fields.get("data"))
        super().__init__(f"{method}: {self.text} ({self.code})")

    @property
    def is_revert(self) -> bool:
        """Whether a contract refused, rather than the node."""
        return bool(self.data) or self.code == 3 or "revert" in self.text.lower()


def _revert_data(data: Any) -> bytes:
    """The return data in the places where nodes put it."""
    if isinstance(data, dict):
        data = data.get("result") or data.get("data") or data.get("output")
    if isinstance(data, str) and data.startswith("0x"):
        try:
            return bytes.fromhex(data[2:])
        except ValueError:
            return b""
    return b""


class Rpc:
    """One end point. Safe for several threads."""

    def __init__(self, url: str, timeout: float = 10.0, patience: float = 15.0, traffic: Traffic | None = None) -> None:
        """``timeout`` seconds for one request; ``patience`` seconds to go on trying while nobody answers.

        ``traffic`` is told the bytes of each request's body (sent, 0) and of each answer's (0, received).
        """
        from web3 import HTTPProvider

        self.url = url
        self.patience = patience
        self._closed = threading.Event()
        # web3 would re-send transactions after a timeout and then call the success "nonce too low": no retries there.
        provider = HTTPProvider if traffic is None else _counted(HTTPProvider, traffic)
        self._provider = provider(url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None)

    def close(self) -> None:
        """Makes every waiting call give up with ``ChainUnavailable``."""
        self._closed.set()

    def pause(self, seconds: float) -> None:
        """Sleeps, unless closed."""
        if self._closed.wait(seconds):
            raise ChainUnavailable("The connection to the chain was closed.")

    def request(self, method: str, params: Sequence[Any] = (), patience: float | None = None) -> Any:
        """The result; ``RpcError`` for an error answer, ``ChainUnavailable`` when nobody answers for ``patience``."""
        response = self._patiently(lambda: self._once(method, params), patience)
        return _result(method, response)

    def _once(self, method: str, params: Sequence[Any]) -> Any:
        """One request; an end point that has no time for us now counts as one that does not answer."""
        response = self._provider.make_request(_method(method), list(params))
        error = response.get("error") if isinstance(response, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        if error and (code in BUSY_CODES or any(word in str(error).lower() for word in BUSY)):
            raise OSError(f"the end point is busy: {error}")
        return response

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]], patience: float | None = None) -> list[Any]:
        """The results of several requests in one, in order; an ``RpcError`` stands in the place of each that failed."""
        if not calls:
            return []
        requests = [(_method(method), list(params)) for method, params in calls]
        responses = self._patiently(lambda: self._provider.make_batch_request(requests), patience)
        if not isinstance(responses, list):  # an end point without batches
            responses = [self._patiently(lambda c=c: self._provider.make_request(*c), patience) for c in requests]
        results: list[Any] = []
        for (method, _), response in zip(calls, responses, strict=True):
            try:
                results.append(_result(method, response))
            except RpcError as error:
                results.append(error)
        return results

    def _patiently(self, attempt: Any, patience: float | None) -> Any:
        """Tries again, ever slower, while the end point is not there."""
        import requests
        from web3.exceptions import Web3Exception

        allowed = self.patience if patience is None else patience
        deadline = time.monotonic() + allowed
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                return attempt()
            except (requests.RequestException, OSError, Web3Exception, ValueError) as error:
                # ValueError: half an answer, when the node dies while it writes. Its type is all that is worth telling.
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ChainUnavailable(
                        f"The chain at {self.url} does not answer ({type(error).__name__}, tried for {allowed:.0f} s). "
                        "Start it (`strata devnet up`), or set another with STRATA_RPC or --network."
                    ) from error
                log.debug("the chain does not answer: %s", error)
                self.pause(min(delay, left))
                delay = min(delay * 2, LAST_DELAY_SECONDS)


def _counted(provider: Any, traffic: Traffic) -> Any:
    """web3's HTTP provider, telling how many bytes its bodies have."""

    class Counted(provider):  # type: ignore[misc]
        def encode_rpc_request(self, method: Any, params: Any) -> bytes:  # a batch's parts pass here, too
            data: bytes = super().encode_rpc_request(method, params)
            traffic(len(data), 0)
            return data

        def decode_rpc_response(self, raw_response: bytes) -> Any:
            traffic(0, len(raw_response))
            return super().decode_rpc_response(raw_response)

    return Counted


def _method(name: str) -> Any:
    """web3 types method names; a plain text is what goes over the wire."""
    return name


def _result(method: str, response: Any) -> Any:
    if not isinstance(response, dict) or ("result" not in response and "error" not in response):
        raise RpcError(method, f"an answer that is no JSON-RPC: {str(response)[:200]}")
    if response.get("error"):
        raise RpcError(method, response["error"])
    return response.get("result")
