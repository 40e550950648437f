"""Talking to a gateway: quotes, answers as they stream, vouchers; its refusals as our exceptions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.errors import NoServer, StrataError, SwarmError, UnknownModel, VoucherError
from client.payments import VOUCHER_HEADER, Voucher
from client.schema import load_json

if TYPE_CHECKING:
    import httpx

MAX_LINE_CHARACTERS = 256 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024


class Unpaid(VoucherError):
    """The gateway's server wants to be paid first; ``code`` says why, ``owed`` is wei in all (``None``: not said)."""

    def __init__(self, code: str, message: str, owed: int | None) -> None:
        self.code = code
        self.owed = owed
        super().__init__(message)


@dataclass(frozen=True)
class Quote:
    """Which model and server would answer, and at what price."""

    model: str
    model_id: int
    server: str
    price_wei: int  # per token of the answer
    max_tokens: int
    head: str
    round: int
    reasons: tuple[str, ...]


class GatewayClient:
    """One gateway by its URL. Blocks; use as a context manager."""

    def __init__(self, url: str, timeout_seconds: float = 120.0) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout_seconds
        self._made: httpx.Client | None = None

    @property
    def _http(self) -> httpx.Client:
        import httpx

        if self._made is None:  # no proxies from the environment: a gateway is often on loopback
            timeout = httpx.Timeout(self._timeout, connect=10.0)
            self._made = httpx.Client(base_url=self._url, timeout=timeout, trust_env=False)
        return self._made

    def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            self._made.close()

    def __enter__(self) -> GatewayClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def quote(self, model: str, text: str = "") -> Quote:
        """Who would answer; for ``auto`` the gateway chooses the model by the text."""
        found = self._json("GET", "/v1/quote", params={"model": model, "text": text[:2000]})
        try:
            return Quote(
                str(found["model"]),
                int(found["model_id"]),
                str(found["server"]),
                int(found["price_wei"]),
                int(found["max_tokens"]),
                str(found["head"]),
                int(found["round"]),
                tuple(str(reason) for reason in found["reasons"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SwarmError(f"{self._url} does not speak Strata's protocol: its quote lacks {error}") from error

    def models(self) -> list[dict[str, Any]]:
        """All models as ``/v1/models`` lists them."""
        found = self._json("GET", "/v1/models").get("data")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def pay(self, voucher: Voucher) -> dict[str, Any]:
        """Hand over a voucher."""
        return self._json("POST", "/v1/vouchers", json=voucher.to_json())

    def chat(self, body: dict[str, Any], voucher: Voucher | None) -> Iterator[dict[str, Any]]:
        """The chunks of a streamed answer, in order; the last holds ``usage``."""
        headers = {} if voucher is None else {VOUCHER_HEADER: voucher.to_header()}
        with _mapped(self._url):
            request = self._http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}, headers=headers)
            with request as response:
                if response.status_code != 200:
                    response.read()
                    raise _refusal(response)
                for line in response.iter_lines():
                    if len(line) > MAX_LINE_CHARACTERS:
                        raise SwarmError("the gateway sent a line that is too long")
                    if not line.startswith("data: "):
                        continue
                    if line == "data: [DONE]":
                        return
                    chunk = load_json(line.removeprefix("data: "))
                    if isinstance(chunk.get("error"), dict):
                        raise SwarmError(f"the answer was cut: {chunk['error'].get('message')}")
                    yield chunk
        raise SwarmError("the gateway went away in the middle of an answer")

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with _mapped(self._url):
            response = self._http.request(method, path, **options)
            if len(response.content) > MAX_BODY_BYTES:
                raise SwarmError("the gateway's answer is too large")
            if response.status_code != 200:
                raise _refusal(response)
            found = load_json(response.text)
        if not isinstance(found, dict):
            raise SwarmError(f"{self._url} does not speak Strata's protocol")
        return found


@contextmanager
def _mapped(url: str) -> Iterator[None]:
    """httpx's errors, and bodies that are not JSON, as ours."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        raise SwarmError(f"the gateway {url} did not answer in time") from error
    except httpx.HTTPError as error:
        raise SwarmError(
            f"the gateway {url} can't be reached ({error}). Is it running? `strata devnet status`"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SwarmError(f"{url} does not speak Strata's protocol: {error}") from error


def _refusal(response: httpx.Response) -> StrataError:
    """The exception that an error body stands for."""
    try:
        error = load_json(response.text)["error"]
        message, code = str(error["message"])[:2000], str(error["code"])
    except (ValueError, KeyError, TypeError):
        return SwarmError(f"the gateway answered {response.status_code}: {response.text[:200]}")
    if response.status_code in (402, 409):
        owed = error["strata"].get("owed") if isinstance(error.get("strata"), dict) else None
        return Unpaid(code, message, int(owed) if isinstance(owed, str) and owed.isdigit() else None)
    kinds: dict[str, type[StrataError]] = {
        "model_not_found": UnknownModel,
        "no_server": NoServer,
        "bad_voucher": VoucherError,
    }
    return kinds.get(code, StrataError)(message)
