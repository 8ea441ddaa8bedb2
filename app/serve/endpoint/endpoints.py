"""The endpoint as an ASGI application: its routes, and the checks before anything is generated."""

from __future__ import annotations

import asyncio
import re

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from terrarium.app.serve.endpoint.answer import Answer
from terrarium.app.serve.endpoint.engine import Engine, ServedModel
from terrarium.app.serve.endpoint.errors import ApiError, ModelGoneError, as_api_error
from terrarium.app.serve.endpoint.request_log import RequestLog
from terrarium.app.serve.endpoint.requests import GenerationRequest, chat_requests, completion_requests
from terrarium.app.serve.endpoint.response_formats import ChatFormat, CompletionFormat, ResponseFormat
from terrarium.app.serve.endpoint.schemas import ApiRequest, ChatRequest, CompletionRequest, read_body

MAX_BODY_BYTES = 4_000_000
"""Maximum size of a request body: far more than fits any context here."""
MAX_OPEN_REQUESTS = 64
"""Maximum number of waiting and running requests; the bodies of as many more can be in transit."""
BODY_SECONDS = 10.0
"""The timeout in seconds for receiving a request body, which takes milliseconds from this computer."""

_HANDLED = (ApiError, ModelGoneError, HTTPException, ClientDisconnect, Exception)

_KIND_OF_PATH = {"/v1/chat/completions": "chat", "/v1/completions": "completion"}
PATHS = ("/v1/models", *_KIND_OF_PATH)

_LOCAL = r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?"
_LOCAL_HOST, _LOCAL_ORIGIN = re.compile(_LOCAL, re.IGNORECASE), re.compile(rf"https?://{_LOCAL}", re.IGNORECASE)


def make_endpoint(engine: Engine, request_log: RequestLog, body_seconds: float = BODY_SECONDS) -> ASGIApp:
    """Create the endpoint for `engine`; a request whose body takes longer than `body_seconds` is refused."""
    bodies = _BodyReader(body_seconds)

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(engine.served)]})

    async def model(request: Request) -> Response:
        served = engine.served
        _check_name(request.path_params["name"], served)
        return JSONResponse(_model(served))

    async def chat(request: Request) -> ASGIApp:
        body = read_body(await bodies.read(request), ChatRequest)
        served = _check_request(body)
        texts = await run_in_threadpool(chat_requests, served, body)
        response_format = ChatFormat(served.name, with_scores=body.n_top_logprobs is not None)
        return _answer(served, body, texts, response_format, kind="chat", n_prompt=len(texts[0].prompt_ids))

    async def completion(request: Request) -> ASGIApp:
        body = read_body(await bodies.read(request), CompletionRequest)
        served = _check_request(body)
        texts = await run_in_threadpool(completion_requests, served, body)
        echoes = [text.echo for text in texts]
        response_format = CompletionFormat(served.name, with_scores=body.n_top_logprobs is not None, echoes=echoes)
        n_prompt = sum(len(text.prompt_ids) for text in texts[:: body.n])
        return _answer(served, body, texts, response_format, kind="completion", n_prompt=n_prompt)

    def _check_request(body: ApiRequest) -> ServedModel:
        """Return the served model, if it is the requested one and the queue is not full."""
        served = engine.served
        _check_name(body.model, served)
        _check_capacity()
        return served

    def _check_capacity() -> None:
        if request_log.n_open >= MAX_OPEN_REQUESTS:
            sentence = f"{MAX_OPEN_REQUESTS} requests are already waiting: try again later."
            raise ApiError(429, sentence, code="too_many_requests")

    def _answer(
        served: ServedModel,
        body: ApiRequest,
        texts: list[GenerationRequest],
        response_format: ResponseFormat,
        *,
        kind: str,
        n_prompt: int,
    ) -> ASGIApp:
        _check_capacity()  # other requests may have been read in between; from here on this one counts
        return Answer(
            engine,
            request_log,
            served,
            response_format,
            texts,
            kind=kind,
            n_prompt=n_prompt,
            stream=body.stream,
            with_usage=body.stream_options.include_usage,
        )

    async def refused(request: Request, error: Exception) -> Response:
        api_error = _api_error(request, error)
        request_log.refuse(_KIND_OF_PATH.get(request.url.path, request.url.path), api_error.message)
        # The unread rest of a body would be taken for the next request.
        headers = {"Connection": "close"} if api_error.status in (408, 413) else None
        return JSONResponse(api_error.body, api_error.status, headers)

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/completions", completion, methods=["POST"]),
        ],
        middleware=[Middleware(LocalOnlyMiddleware)],
        exception_handlers=dict.fromkeys(_HANDLED, refused),
    )


def _api_error(request: Request, error: Exception) -> ApiError:
    if isinstance(error, ClientDisconnect):
        return ApiError(400, "The client disconnected before it had sent everything.")
    if not isinstance(error, HTTPException):
        return as_api_error(error)
    if error.status_code == 405:
        return ApiError(405, f"{request.url.path} does not support {request.method}.", code="method_not_allowed")
    sentence = f"There is no {request.url.path} here, only {', '.join(PATHS)}."
    return ApiError(error.status_code, sentence, code="unknown_url")


class _BodyReader:
    """Reads request bodies with a timeout, at most MAX_OPEN_REQUESTS at the same time.

    A further body ends the one that has been read for longest, so that slow clients cannot block others.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadlines: dict[asyncio.Timeout, None] = {}
        """The timeouts of the bodies being read, the oldest first."""

    async def read(self, request: Request) -> bytes:
        """Return the whole body of a request.

        Raises:
            ApiError: 413 as soon as the body is known to be too long, 408 on a timeout.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
            raise _too_long()
        if len(self._deadlines) >= max(1, MAX_OPEN_REQUESTS):
            oldest = next(iter(self._deadlines))
            del self._deadlines[oldest]
            oldest.reschedule(0.0)
        parts = bytearray()
        deadline = asyncio.timeout(self._seconds)
        try:
            async with deadline:
                self._deadlines[deadline] = None
                async for part in request.stream():
                    parts += part
                    if len(parts) > MAX_BODY_BYTES:
                        raise _too_long()
        except TimeoutError:
            raise ApiError(408, "The request did not come in time: send it at once.", code="timeout") from None
        finally:
            self._deadlines.pop(deadline, None)
        return bytes(parts)


def _too_long() -> ApiError:
    return ApiError(413, f"The request is longer than {MAX_BODY_BYTES:,} bytes.", code="request_too_large")


def _check_name(name: str, served: ServedModel) -> None:
    if name not in (served.name, *served.other_names):
        sentence = f"There is no model “{name}” here; the model served is “{served.name}”."
        raise ApiError(404, sentence, param="model", code="model_not_found")


def _model(served: ServedModel) -> dict[str, object]:
    return {
        "id": served.name,
        "object": "model",
        "created": served.created,
        "owned_by": "terrarium",
        "context_length": served.config.context_length,
    }


class LocalOnlyMiddleware:
    """Blocks web pages: passes only requests whose Host header, and Origin header if any, names this computer.

    A page can point its own host name to 127.0.0.1 (DNS rebinding), which the Host header shows, and can send requests
    here blindly, which the Origin header shows. No page can read a response (there are no CORS headers).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not _LOCAL_HOST.fullmatch(host):
            error = ApiError(403, "The Host header must name this computer: use 127.0.0.1 or localhost.")
        elif origin is not None and not _LOCAL_ORIGIN.fullmatch(origin):
            error = ApiError(403, "Web pages from elsewhere are not answered.")
        else:
            await self._app(scope, receive, send)
            return
        await JSONResponse(error.body, error.status)(scope, receive, send)
