"""One answer on its way: from the thread where it is made through the event loop to the client, while that is there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.serve.endpoint.activity import Activity
from app.serve.endpoint.engine import Engine, Served
from app.serve.endpoint.errors import ApiError, as_api_error
from app.serve.endpoint.orders import Began, Order, make_text
from app.serve.endpoint.scores import Said
from app.serve.endpoint.shapes import Choice, Shape, Usage
from app.serve.endpoint.turns import Task
from models.events import Event, ReplyFinished

Posted = Event | Exception | None


class _Inbox:
    """What the texts' makers post, for the event loop; a batch is all that has come since the last one."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._posted: deque[tuple[int, Posted]] = deque()
        self._came = asyncio.Event()

    def post(self, index: int, event: Posted) -> None:
        """Any thread: news of text number `index`."""
        self._posted.append((index, event))
        if len(self._posted) == 1:  # else the loop is on its way already
            with contextlib.suppress(RuntimeError):  # it is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._came.set)

    async def take(self) -> list[tuple[int, Posted]]:
        """At least one piece of news."""
        while not self._posted:
            await self._came.wait()
            self._came.clear()
        taken = []
        while self._posted:  # to its end: what is posted meanwhile wakes nobody
            taken.append(self._posted.popleft())
        return taken


class Answer:
    """Has the texts of a request made and sends them, as an ASGI application.

    Where the client leaves, the texts are made no further.
    """

    def __init__(
        self,
        engine: Engine,
        activity: Activity,
        served: Served,
        shape: Shape,
        orders: Sequence[Order],
        *,
        kind: str,
        n_prompt: int,
        stream: bool,
        with_usage: bool,
    ) -> None:
        self._engine, self._activity, self._served = engine, activity, served
        self._shape, self._orders = shape, orders
        self._kind, self._n_prompt, self._stream, self._with_usage = kind, n_prompt, stream, with_usage
        self._choices = [Choice(index) for index in range(len(orders))]
        self._began = False  # whether a stream's status was sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        number = self._activity.begin(self._kind, self._n_prompt)
        answering = asyncio.ensure_future(self._answer(scope, receive, send, number))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = not answering.done()
            for future in (answering, leaving):
                future.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
            if left:
                self._activity.change(number, state="left", note="The client left", n_made=self._n_made)
        if not left:
            self._check(answering, number)

    def _check(self, answering: asyncio.Future[None], number: int) -> None:
        """Where an answer broke off by a fault of ours: raise that, and count the request as open no more."""
        if answering.exception() is not None:
            self._activity.change(number, state="failed", note="It could not be sent.", n_made=self._n_made)
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
            # Until the first weights are there, all can still go wrong with a status of its own.
            async for pieces in events:
                if self._stream:
                    if not self._began:
                        await self._begin_stream(send)
                    await _send_pieces(pieces, send)
            if not self._stream:
                await JSONResponse(self._shape.whole(self._choices, self._usage))(scope, receive, send)
            else:
                await _send_pieces([self._shape.counts(self._usage)] if self._with_usage else [], send)
                await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        except ApiError as error:
            self._activity.change(number, state="failed", note=error.message, n_made=self._n_made)
            if self._began:  # the status has been sent: what went wrong is the last piece
                await _send_pieces([error.body], send, more=False)
            else:
                await JSONResponse(error.body, error.status)(scope, receive, send)
        else:
            reasons = " and ".join(sorted({choice.reason or "broken off" for choice in self._choices}))
            self._activity.change(number, state="done", note=reasons, n_made=self._n_made)
        finally:
            await events.aclose()

    async def _events(self, number: int) -> AsyncGenerator[list[dict[str, Any]]]:
        """The pieces of a stream, in batches as they come; ApiError where a text fails. Ends all when it is closed."""
        inbox = _Inbox()
        tasks = [
            Task(partial(make_text, self._served, order), partial(inbox.post, index))
            for index, order in enumerate(self._orders)
        ]
        try:
            for task in tasks:
                self._engine.submit(task)
            n_going = len(tasks)
            while n_going:
                batch = await inbox.take()
                for _, event in batch:
                    if isinstance(event, Exception):
                        raise as_api_error(event)
                n_going -= sum(event is None for _, event in batch)
                yield self._take_in(batch)
                self._activity.change(number, state="writing", n_made=self._n_made)
        finally:
            for task in tasks:
                task.cancel()

    def _take_in(self, batch: Sequence[tuple[int, Posted]]) -> list[dict[str, Any]]:
        """Add what came to the choices; of each, one piece for all that is new."""
        pieces: list[dict[str, Any] | None] = []
        for choice in self._choices:
            own = [event for index, event in batch if index == choice.index]
            if any(isinstance(event, Began) for event in own):
                step = next(event.step for event in own if isinstance(event, Began))
                self._shape.fingerprint = f"step-{step}" if step is not None else None
                pieces.append(self._shape.opening(choice.index))
            said = [event for event in own if isinstance(event, Said)]
            text, scores = "".join(event.text for event in said), [s for event in said for s in event.scores]
            choice.n_tokens += sum(event.n_tokens for event in said)
            if self._stream and (text or scores):
                pieces.append(self._shape.piece(choice, text, scores))
            choice.text += text
            choice.scores += scores
            for event in own:
                if isinstance(event, ReplyFinished):
                    choice.reason = event.reason
                    pieces.append(self._shape.closing(choice))
        return [piece for piece in pieces if piece is not None]

    async def _begin_stream(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._began = True


async def _send_pieces(pieces: Sequence[dict[str, Any]], send: Send, *, more: bool = True) -> None:
    """As server-sent events."""
    data = "".join(f"data: {json.dumps(piece, separators=(',', ':'))}\n\n" for piece in pieces)
    await send({"type": "http.response.body", "body": data.encode(), "more_body": more})


async def _until_gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
