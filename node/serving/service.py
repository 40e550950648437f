"""One request from the swarm to one stream of frames: check it, admit it, generate, bill.

Requests are JSON objects: ``{"kind": "chat", "model": 2, "messages": [...], "max_tokens": 64, "temperature": 0,
"top_p": 1, "seed": null, "voucher": {...}}`` or ``{"kind": "voucher", "voucher": {...}}``. Frames are ``start``,
``token``..., and as the last ``end`` or ``error`` (with an HTTP status, a code, a message and what is owed).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from client.errors import ChainUnavailable, StrataError, UnknownModel, VoucherError
from client.payments import Voucher
from node.serving.engine import Engine, Message, Piece, Prompt, Served
from node.serving.metering import Meter, PaymentRequired

log = logging.getLogger("strata.node.service")

ROLES = ("system", "user", "assistant")
Frame = dict[str, Any]
Notify = Callable[..., None]


@dataclass(frozen=True)
class ServiceLimits:
    """What one question may hold."""

    max_tokens: int = 256  # of an answer
    messages: int = 64
    characters: int = 32_000  # of all messages together
    waiting: int = 8  # questions that may wait for the model


class BadRequest(StrataError):
    """A request that is not what the schema says."""


def parse_prompt(request: Frame, limits: ServiceLimits) -> Prompt:
    """Check the fields of a chat request; ``BadRequest`` names the first that is wrong."""
    rows = request.get("messages")
    if not isinstance(rows, list) or not 1 <= len(rows) <= limits.messages:
        raise BadRequest(f"messages must be a list of 1 to {limits.messages}")
    messages = []
    for row in rows:
        if not isinstance(row, dict) or row.get("role") not in ROLES or not isinstance(row.get("content"), str):
            raise BadRequest(f"each message has a role ({', '.join(ROLES)}) and a text as content")
        messages.append(Message(row["role"], row["content"]))
    if sum(len(message.content) for message in messages) > limits.characters:
        raise BadRequest(f"the messages are longer than {limits.characters} characters together")
    if not any(message.role == "user" and message.content.strip() for message in messages):
        raise BadRequest("there is no question: a message of the role user with text is needed")
    seed = request.get("seed")
    if seed is not None and type(seed) is not int:
        raise BadRequest("seed must be a whole number")
    tokens = request.get("max_tokens")
    tokens = limits.max_tokens if tokens is None else tokens
    if type(tokens) is not int or tokens < 1:
        raise BadRequest("max_tokens must be a whole number above 0")
    temperature = _number(request, "temperature", 0.0, 0.0, 2.0)
    top_p = _number(request, "top_p", 1.0, 0.0, 1.0)
    return Prompt(tuple(messages), min(tokens, limits.max_tokens), temperature, top_p or 1.0, seed)


def _number(request: Frame, name: str, default: float, low: float, high: float) -> float:
    value = request.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadRequest(f"{name} must be a number from {low:g} to {high:g}")
    return float(value)


def error_frame(error: StrataError) -> Frame:
    """The last frame of a request that failed."""
    frame: Frame = {"type": "error", "status": 500, "code": "server_error", "message": str(error)}
    if isinstance(error, PaymentRequired):
        frame.update(status=409 if error.code == "channel_busy" else 402, code=error.code, owed=str(error.owed))
    elif isinstance(error, BadRequest | VoucherError):
        frame.update(status=400, code="bad_request")
    elif isinstance(error, UnknownModel):
        frame.update(status=404, code="model_not_found")
    elif isinstance(error, ChainUnavailable):
        frame.update(status=503, code="chain_unavailable")
    return frame


class AnswerService:
    """Answers requests with an engine, one at a time, and bills them."""

    def __init__(
        self, engine: Engine, meter: Meter, limits: ServiceLimits, notify: Notify = lambda *_, **__: None
    ) -> None:
        self._engine, self._meter, self._limits, self._notify = engine, meter, limits, notify
        self._thread = ThreadPoolExecutor(1, "strata-engine")
        self._others = ThreadPoolExecutor(4, "strata-metering")
        self._waiting = 0

    async def answer(self, request: Frame, remote: str) -> AsyncIterator[Frame]:
        """The frames of one request; never raises a ``StrataError``, since the last frame says it."""
        try:
            kind = request.get("kind")
            if kind == "voucher":
                yield await self._voucher(request)
            elif kind == "chat":
                async with aclosing(self._chat(request)) as frames:
                    async for frame in frames:
                        yield frame
            else:
                raise BadRequest("kind must be chat or voucher")
        except StrataError as error:
            log.info("a request of %s failed: %s", remote, error)
            yield error_frame(error)

    def close(self) -> None:
        """Wait for nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._others.shutdown(wait=False, cancel_futures=True)

    async def _voucher(self, request: Frame) -> Frame:
        voucher = Voucher.from_json(request.get("voucher"))
        loop = asyncio.get_running_loop()
        account = await loop.run_in_executor(self._others, self._meter.accept, voucher)
        return {"type": "end", "owed": str(account.owed), "paid": str(account.paid)}

    async def _chat(self, request: Frame) -> AsyncGenerator[Frame]:
        prompt = parse_prompt(request, self._limits)
        served = self._model(request.get("model"))
        voucher = None if request.get("voucher") is None else Voucher.from_json(request["voucher"])
        if self._waiting >= self._limits.waiting:
            yield {"type": "error", "status": 429, "code": "busy", "message": "too many questions wait: try again"}
            return
        self._waiting += 1
        try:
            tokens = await self._admit(voucher, served.model_id, prompt.max_tokens)
            assert voucher is not None  # or it would not have been admitted
            async with aclosing(self._generate(served, replace(prompt, max_tokens=tokens), voucher)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            self._waiting -= 1

    async def _admit(self, voucher: Voucher | None, model_id: int, max_tokens: int) -> int:
        """In a thread, since it asks the chain; who hangs up meanwhile does not leave the channel reserved."""
        task = self._others.submit(self._meter.admit, voucher, model_id, max_tokens)
        try:
            return await asyncio.wrap_future(task)
        except asyncio.CancelledError:
            if voucher is not None and not task.cancelled():
                channel = voucher.channel
                task.add_done_callback(lambda done: None if done.exception() else self._meter.release(channel))
            raise

    def _model(self, wanted: object) -> Served:
        for served in self._engine.served():
            if wanted in (served.model_id, served.name):
                return served
        raise UnknownModel(f"this server has no model {wanted!r}")

    async def _generate(self, served: Served, prompt: Prompt, voucher: Voucher) -> AsyncGenerator[Frame]:
        """Stream, then bill what was generated, also when the reader hung up in the middle."""
        cancel = threading.Event()
        used, prompt_tokens, finish = 0, 0, ""
        billed = False
        try:
            model = {"model": served.name, "model_id": served.model_id}
            yield {"type": "start", **model, "head": served.head, "round": served.round}
            make = partial(self._engine.generate, served.model_id, prompt, cancel)
            async with aclosing(_in_thread(self._thread, make, cancel)) as pieces:
                async for piece in pieces:
                    used += piece.tokens
                    prompt_tokens = prompt_tokens or piece.prompt_tokens
                    finish = piece.finish or finish
                    if piece.text:
                        yield {"type": "token", "text": piece.text}
            billed = True
            account = self._meter.charge(voucher, used)
            self._notify("served", served, tokens=used, owed=str(account.owed))
            usage = {"prompt_tokens": prompt_tokens, "completion_tokens": used, "total_tokens": prompt_tokens + used}
            strata = {"owed": str(account.owed), "price_wei": str(self._meter.tariff.price_wei)}
            yield {"type": "end", "finish": finish or "stop", "usage": {**usage, "strata": strata}}
        finally:
            cancel.set()
            if not billed:
                account = self._meter.charge(voucher, used)
                self._notify("served", served, tokens=used, owed=str(account.owed), cut=True)


async def _in_thread(
    executor: ThreadPoolExecutor, make: Callable[[], Iterator[Piece]], cancel: threading.Event
) -> AsyncGenerator[Piece]:
    """Iterate a blocking iterator in a thread, its items delivered here; leaving early sets ``cancel``."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()

    def put(item: Piece | BaseException | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        try:
            for piece in make():
                if cancel.is_set():
                    break
                put(piece)
        except BaseException as error:
            put(error)
            raise
        finally:
            put(None)

    executor.submit(work)
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, StrataError):
                raise item
            if isinstance(item, BaseException):
                log.error("the engine failed", exc_info=item)
                raise StrataError("the model failed to answer") from item
            yield item
    finally:
        cancel.set()
