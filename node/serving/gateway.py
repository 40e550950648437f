"""The HTTP gateway: OpenAI's protocol in front of the swarm's servers. It holds no model and no money.

``create_app`` makes the FastAPI app; the process around it is in ``node/gateway_role.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from client.catalog import Card, Catalog
from client.errors import ChainUnavailable, NoServer, StrataError, SwarmError, UnknownModel, VoucherError
from client.payments import VOUCHER_HEADER, Voucher
from client.recommend import MAX_QUESTION_CHARACTERS, Needs, Recommendation, Recommender
from client.schema import MAX_NESTING, nesting_of
from node.serving.backend import Backend, Frame, Offer
from node.serving.metrics import GatewayMetrics
from node.serving.schema import ChatRequest, Completion, error_body

AUTO = "auto"


@dataclass(frozen=True)
class GatewaySettings:
    """Bounds of the gateway's HTTP."""

    body_bytes: int = 256 * 1024


class AnswerError(StrataError):
    """A server's last frame was an error; it goes on to the user as it came."""

    def __init__(self, frame: Frame) -> None:
        status = frame.get("status")
        self.status = status if isinstance(status, int) and status in _KINDS else 502
        self.code = str(frame.get("code", "server_error"))[:64]
        self.owed = frame.get("owed")
        super().__init__(str(frame.get("message", "the server failed"))[:2000])


_KINDS = {
    400: "invalid_request_error",
    402: "payment_required",
    404: "invalid_request_error",
    409: "payment_required",
    413: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}


@dataclass(frozen=True)
class Chosen:
    """The model, server and price that a question goes to."""

    card: Card
    offer: Offer
    reasons: tuple[str, ...]

    def strata(self) -> dict[str, Any]:
        """What answers say of it."""
        return {
            "model_id": self.card.id,
            "server": self.offer.server,
            "price_wei": str(self.offer.price_wei),
            "head": self.card.head,
            "round": self.card.round,
            "reasons": list(self.reasons),
        }


class Gateway:
    """What the routes share: choosing, asking, counting. Blocking calls run in threads."""

    def __init__(self, backend: Backend, catalog: Catalog, recommender: Recommender, metrics: GatewayMetrics) -> None:
        self.backend, self.catalog, self.recommender, self.metrics = backend, catalog, recommender, metrics

    async def choose(self, wanted: str, question: str, voucher: Voucher | None) -> Chosen:
        """The model by name, or the one that fits; its server is the one that the voucher's channel pays."""
        return await asyncio.to_thread(self._choose, wanted, question, voucher)

    def _choose(self, wanted: str, question: str, voucher: Voucher | None) -> Chosen:
        offers = list(self.backend.offers())
        if wanted == AUTO:
            best = self.recommend(question, offers)
            card, reasons = best.card, best.reasons
        else:
            card, reasons = self.catalog.card(wanted), ("it was asked for by name",)
        mine = [offer for offer in offers if offer.model_id == card.id]
        if not mine:
            raise NoServer(f"nobody serves the model {card.name} now")
        server = None if voucher is None else self.backend.server_of(voucher.channel)
        return Chosen(card, next((offer for offer in mine if offer.server == server), mine[0]), reasons)

    def recommend(self, question: str, offers: list[Offer]) -> Recommendation:
        """The served model that fits best."""
        prices: dict[int, int] = {}
        for offer in offers:
            prices[offer.model_id] = min(offer.price_wei, prices.get(offer.model_id, offer.price_wei))
        if not prices:
            raise NoServer("no server is there now")
        return self.recommender.choose(question, self.catalog.cards(), Needs(), prices)

    async def frames(self, chosen: Chosen, request: Frame) -> AsyncGenerator[Frame]:
        """The server's frames; an error frame is raised."""
        async with aclosing(self.backend.generate(chosen.offer.server, request)) as stream:
            async for frame in stream:
                if frame.get("type") == "error":
                    raise AnswerError(frame)
                yield frame


def create_app(
    backend: Backend,
    catalog: Catalog,
    recommender: Recommender,
    settings: GatewaySettings = GatewaySettings(),
    healthy: Callable[[], dict[str, Any]] = dict,
) -> FastAPI:
    """The app over a backend, a catalog and a recommender; ``healthy`` adds to what ``/healthz`` says."""
    about = "Answers from Strata's models, in OpenAI's protocol, paid by vouchers."
    app = FastAPI(title="Strata gateway", version="1", description=about, docs_url=None, redoc_url=None)
    gateway = Gateway(backend, catalog, recommender, GatewayMetrics())
    app.state.metrics = gateway.metrics
    app.add_middleware(BodyLimit, limit_bytes=settings.body_bytes)
    _add_errors(app, gateway)
    _add_looks(app, gateway, healthy)
    _add_answers(app, gateway)
    return app


def describe() -> dict[str, Any]:
    """The OpenAPI description, for the reference: of an app over nothing."""
    nothing = cast(Any, None)
    return create_app(nothing, nothing, nothing).openapi()


def _add_looks(app: FastAPI, gateway: Gateway, healthy: Callable[[], dict[str, Any]]) -> None:
    """Routes that only look."""

    @app.get("/healthz", tags=["state"])
    async def healthz() -> dict[str, Any]:
        """Whether the gateway runs, and how many servers' offers it sees."""
        offers = await asyncio.to_thread(gateway.backend.offers)
        return {"status": "ok", "offers": len(offers), **healthy()}

    @app.get("/metrics", tags=["state"])
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(gateway.metrics.text(), media_type=gateway.metrics.content_type)

    @app.get("/v1/models", tags=["models"])
    async def models() -> dict[str, Any]:
        """All models of the network; ``strata.served`` says which of them can be asked now."""
        cards = await asyncio.to_thread(gateway.catalog.cards)
        served = {offer.model_id: offer for offer in await asyncio.to_thread(gateway.backend.offers)}
        return {"object": "list", "data": [_model(card, served.get(card.id)) for card in cards]}

    @app.get("/v1/models/{name}", tags=["models"])
    async def model(name: str) -> dict[str, Any]:
        """One model."""
        card = await asyncio.to_thread(gateway.catalog.card, name)
        served = {offer.model_id: offer for offer in await asyncio.to_thread(gateway.backend.offers)}
        return _model(card, served.get(card.id))

    @app.get("/v1/quote", tags=["payment"])
    async def quote(model: str = AUTO, text: str = "") -> dict[str, Any]:
        """Which server answers, at what price, and for ``auto`` which model a text would get: to open a channel."""
        chosen = await gateway.choose(model, text[:MAX_QUESTION_CHARACTERS], None)
        return {"model": chosen.card.name, **chosen.strata(), "max_tokens": chosen.offer.max_tokens}


def _model(card: Card, offer: Offer | None) -> dict[str, Any]:
    strata = {
        "id": card.id,
        "level": card.level.name.lower(),
        "field": card.field,
        "language": card.language,
        "description": card.description,
        "licence": card.licence,
        "parent": card.parent_id,
        "head": card.head,
        "round": card.round,
        "served": offer is not None,
        "price_wei": None if offer is None else str(offer.price_wei),
    }
    return {"id": card.name, "object": "model", "created": 0, "owned_by": "strata", "strata": strata}


def _add_answers(app: FastAPI, gateway: Gateway) -> None:
    """Routes that ask a server."""

    @app.post("/v1/chat/completions", tags=["answers"], response_model=None)
    async def chat(body: ChatRequest, request: Request) -> JSONResponse | StreamingResponse:
        """An answer, whole or streamed. ``model`` is a name or ``auto``; the ``Strata-Voucher`` header pays."""
        header = request.headers.get(VOUCHER_HEADER)
        voucher = None if header is None else Voucher.from_header(header)
        chosen = await gateway.choose(body.model, body.question, voucher)
        asked = body.to_request(chosen.card.id, None if voucher is None else voucher.to_json())
        frames = gateway.frames(chosen, asked)
        start = await anext(frames, None)  # errors before the first frame become a status, not a broken stream
        if start is None or start.get("type") != "start":
            raise SwarmError("the server's peer answered out of turn")
        made: dict[str, Any] = {key: start[key] for key in ("head", "round") if key in start}
        completion = Completion(chosen.card.name, {**chosen.strata(), **made})
        if not body.stream:
            return JSONResponse(await _whole(gateway, completion, frames))
        events = _events(gateway, completion, frames)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})

    @app.post("/v1/vouchers", tags=["payment"])
    async def vouchers(body: dict[str, Any]) -> dict[str, Any]:
        """Hand a server the voucher for its last answer."""
        voucher = Voucher.from_json(body)
        server = await asyncio.to_thread(gateway.backend.server_of, voucher.channel)
        if server is None:
            raise AnswerError({"status": 402, "code": "unknown_channel", "message": "there is no such channel"})
        async for frame in gateway.backend.generate(server, {"kind": "voucher", "voucher": voucher.to_json()}):
            if frame.get("type") == "error":
                raise AnswerError(frame)
            gateway.metrics.vouchers.inc()
            return {"owed": frame.get("owed"), "paid": frame.get("paid")}
        raise SwarmError("the server's peer did not answer")


async def _whole(gateway: Gateway, completion: Completion, frames: AsyncIterator[Frame]) -> dict[str, Any]:
    texts = []
    async for frame in frames:
        if frame.get("type") == "token":
            texts.append(str(frame.get("text", "")))
        elif frame.get("type") == "end":
            gateway.metrics.answered(completion.model, frame)
            return completion.whole("".join(texts), str(frame.get("finish", "stop")), frame.get("usage", {}))
    raise SwarmError("the server's peer went away")


async def _events(gateway: Gateway, completion: Completion, frames: AsyncGenerator[Frame]) -> AsyncIterator[str]:
    """Server-sent events. The usage always comes: without it, the user could not pay."""
    yield _event(completion.chunk({"role": "assistant", "content": ""}))
    try:
        async with aclosing(frames):  # a reader that hangs up stops the server's work
            async for frame in frames:
                if frame.get("type") == "token":
                    yield _event(completion.chunk({"content": str(frame.get("text", ""))}))
                elif frame.get("type") == "end":
                    gateway.metrics.answered(completion.model, frame)
                    yield _event(completion.chunk({}, str(frame.get("finish", "stop"))))
                    yield _event(completion.usage(frame.get("usage", {})))
    except StrataError as error:  # the status is sent already: the stream itself must say it
        gateway.metrics.failed(502)
        yield _event(error_body(str(error), "server_error", "answer_cut"))
    yield "data: [DONE]\n\n"


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _add_errors(app: FastAPI, gateway: Gateway) -> None:
    """Every refusal in OpenAI's form, with the right status."""

    def answer(status: int, message: str, code: str, strata: dict[str, Any] | None = None) -> JSONResponse:
        gateway.metrics.failed(status)
        return JSONResponse(error_body(message, _KINDS.get(status, "server_error"), code, strata), status_code=status)

    @app.exception_handler(StrataError)
    async def ours(request: Request, error: StrataError) -> JSONResponse:
        if isinstance(error, AnswerError):
            owed = {"owed": error.owed} if isinstance(error.owed, str) else None
            return answer(error.status, str(error), error.code, owed)
        known: list[tuple[type[StrataError], int, str]] = [
            (UnknownModel, 404, "model_not_found"),
            (VoucherError, 400, "bad_voucher"),
            (SwarmError, 503, "no_server"),
            (ChainUnavailable, 503, "chain_unavailable"),
        ]
        status, code = next(((s, c) for kind, s, c in known if isinstance(error, kind)), (500, "server_error"))
        return answer(status, str(error), code)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        return answer(400, f"{where}: {first['msg']}", "bad_request")

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail), "not_found" if error.status_code == 404 else "bad_request")


def _is_flat(body: bytearray) -> bool:
    """Whether a body is UTF-8 and nested no deeper than a JSON parser's stack can bear."""
    try:
        return b"\0" not in body and nesting_of(body.decode()) <= MAX_NESTING
    except UnicodeDecodeError:
        return False


class BodyLimit:
    """ASGI middleware: refuses bodies over the limit as they come, and JSON so deep that it would end the process."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app, self._limit = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then let the app have it."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                text = error_body(f"the body is larger than {self._limit} bytes", _KINDS[413], "too_large")
                await JSONResponse(text, status_code=413)(scope, receive, send)
                return
        if not _is_flat(body):
            text = error_body("the body is not JSON that can be read", _KINDS[400], "bad_request")
            await JSONResponse(text, status_code=400)(scope, receive, send)
            return
        first = True

        async def replay() -> Message:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": bytes(body), "more_body": False}
            return await receive()

        await self._app(scope, replay, send)
