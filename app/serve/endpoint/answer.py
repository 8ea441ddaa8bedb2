"""Sends one answer from the thread that generates it, through the event loop, to the client."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from functools import partial
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from terrarium.app.serve.endpoint.engine import Engine, ServedModel
from terrarium.app.serve.endpoint.errors import ApiError, as_api_error
from terrarium.app.serve.endpoint.logprobs import TokenDelta
from terrarium.app.serve.endpoint.request_log import RequestLog
from terrarium.app.serve.endpoint.requests import GenerationRequest, GenerationStarted, generate_text
from terrarium.app.serve.endpoint.response_formats import ChoiceState, ResponseFormat, Usage
from terrarium.app.serve.endpoint.scheduler import GenerationTask
from terrarium.models.events import Event, ReplyFinished

Posted = Event | Exception | None


class _Inbox:
    """A queue from the generating thread to the event loop; a batch is everything posted since the last batch."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._posted: deque[tuple[int, Posted]] = deque()
        self._received = asyncio.Event()

    def post(self, index: int, event: Posted) -> None:
        """Post an event of text number `index`. Thread-safe."""
        self._posted.append((index, event))
        if len(self._posted) == 1:  # otherwise the loop has been woken already
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._received.set)

    async def take(self) -> list[tuple[int, Posted]]:
        """Wait for at least one event, and return all pending events in order."""
        while not self._posted:
            await self._received.wait()
            self._received.clear()
        taken = []
        while self._posted:  # until it is empty, since further posts do not wake the loop again
            taken.append(self._posted.popleft())
        return taken


class Answer:
    """An ASGI application that requests the generation of one request's texts, and sends them.

    Generation stops when the client disconnects.
    """

    def __init__(
        self,
        engine: Engine,
        request_log: RequestLog,
        served: ServedModel,
        response_format: ResponseFormat,
        texts: Sequence[GenerationRequest],
        *,
        kind: str,
        n_prompt: int,
        stream: bool,
        with_usage: bool,
    ) -> None:
        self._engine, self._log, self._served = engine, request_log, served
        self._format, self._texts = response_format, texts
        self._kind, self._n_prompt, self._stream, self._with_usage = kind, n_prompt, stream, with_usage
        self._choices = [ChoiceState(index) for index in range(len(texts))]
        self._stream_started = False  # the status line has been sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        number = self._log.begin(self._kind, self._n_prompt)
        answering = asyncio.ensure_future(self._answer(scope, receive, send, number))
        disconnected = asyncio.ensure_future(_until_disconnected(receive))
        try:
            await asyncio.wait((answering, disconnected), return_when=asyncio.FIRST_COMPLETED)
        finally:
            client_left = not answering.done()
            for future in (answering, disconnected):
                future.cancel()
            await asyncio.gather(answering, disconnected, return_exceptions=True)
            if client_left:
                self._log.change(number, state="left", note="The client disconnected", n_made=self._n_made)
        if not client_left:
            self._check(answering, number)

    def _check(self, answering: asyncio.Future[None], number: int) -> None:
        """After an internal error, mark the request as failed, so that it is no longer open, and raise the error."""
        if answering.exception() is not None:
            self._log.change(number, state="failed", note="The answer could not be sent.", n_made=self._n_made)
        answering.result()

    @property
    def _n_made(self) -> int:
        return sum(choice.n_tokens for choice in self._choices)

    @property
    def _usage(self) -> Usage:
        return Usage(n_prompt=self._n_prompt, n_made=self._n_made)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, number: int) -> None:
        events = self._events(number)
        try:
            # Until the model is available, a failure can still get its own HTTP status.
            async for chunks in events:
                if self._stream:
                    if not self._stream_started:
                        await self._start_stream(send)
                    await _send_chunks(chunks, send)
            if not self._stream:
                await JSONResponse(self._format.complete(self._choices, self._usage))(scope, receive, send)
            else:
                await _send_chunks([self._format.usage_chunk(self._usage)] if self._with_usage else [], send)
                await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        except ApiError as error:
            self._log.change(number, state="failed", note=error.message, n_made=self._n_made)
            if self._stream_started:  # the status has been sent already: the error is the last chunk
                await _send_chunks([error.body], send, more=False)
            else:
                await JSONResponse(error.body, error.status)(scope, receive, send)
        else:
            reasons = " and ".join(sorted({choice.reason or "cut off" for choice in self._choices}))
            self._log.change(number, state="done", note=reasons, n_made=self._n_made)
        finally:
            await events.aclose()

    async def _events(self, number: int) -> AsyncGenerator[list[dict[str, Any]]]:
        """Yield the chunks of a stream in batches as they arrive; closing the generator cancels every text.

        Raises:
            ApiError: if the generation of a text fails.
        """
        inbox = _Inbox()
        tasks = self._tasks(inbox)
        try:
            for task in tasks:
                self._engine.submit(task)
            n_running = len(self._texts)
            while n_running:
                batch = await inbox.take()
                for _, event in batch:
                    if isinstance(event, Exception):
                        raise as_api_error(event)
                n_running -= sum(event is None for _, event in batch)
                yield self._chunks(batch)
                self._log.change(number, state="writing", n_made=self._n_made)
        finally:
            for task in tasks:
                task.cancel()

    def _tasks(self, inbox: _Inbox) -> list[GenerationTask]:
        """Create a task for each text; for a model in training one for all, since its weights change between tasks."""
        if not self._served.in_training:
            return [
                GenerationTask(partial(generate_text, self._served, text), partial(inbox.post, index))
                for index, text in enumerate(self._texts)
            ]
        current, last = 0, len(self._texts) - 1

        def make() -> Iterator[Event]:
            nonlocal current
            for current, text in enumerate(self._texts):
                yield from generate_text(self._served, text)
                if current < last:
                    inbox.post(current, None)

        return [GenerationTask(make, lambda event: inbox.post(current, event))]

    def _chunks(self, batch: Sequence[tuple[int, Posted]]) -> list[dict[str, Any]]:
        """Add the events to the choices, and return the chunks with what is new in each choice."""
        chunks: list[dict[str, Any] | None] = []
        for choice in self._choices:
            own = [event for index, event in batch if index == choice.index]
            if any(isinstance(event, GenerationStarted) for event in own):
                step = next(event.step for event in own if isinstance(event, GenerationStarted))
                self._format.fingerprint = f"step-{step}" if step is not None else None
                chunks.append(self._format.opening(choice.index))
            deltas = [event for event in own if isinstance(event, TokenDelta)]
            text, scores = "".join(event.text for event in deltas), [s for event in deltas for s in event.scores]
            choice.n_tokens += sum(event.n_tokens for event in deltas)
            if self._stream and (text or scores):
                chunks.append(self._format.chunk(choice, text, scores))
            choice.text += text
            choice.scores += scores
            for event in own:
                if isinstance(event, ReplyFinished):
                    choice.reason = event.reason
                    chunks.append(self._format.closing(choice))
        return [chunk for chunk in chunks if chunk is not None]

    async def _start_stream(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._stream_started = True


async def _send_chunks(chunks: Sequence[dict[str, Any]], send: Send, *, more: bool = True) -> None:
    """Send chunks as server-sent events."""
    data = "".join(f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n" for chunk in chunks)
    await send({"type": "http.response.body", "body": data.encode(), "more_body": more})


async def _until_disconnected(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
