"""Turns the events of one reply into the `Reply` that is kept, whatever ends it."""

from __future__ import annotations

import time

from app.chat_control import ChatModel, ReplyStarted
from app.chat_store import Reply
from models.events import Event, ReplyFinished, TokenMade


class ReplyRecorder:
    """Collects the text and the measurements of one reply. `strip`: spaces around a chat reply are the template's."""

    def __init__(self, model: ChatModel, seed: int, *, strip: bool) -> None:
        self._model, self._seed, self._strip = model, seed, strip
        self._pieces: list[str] = []
        self._step, self._n_prompt, self._n_tokens = model.step, 0, 0
        self._began = self._latest = 0.0
        self._finished: ReplyFinished | None = None
        self.left_out = 0

    def take(self, events: tuple[Event, ...]) -> str:
        """Take events in; returns the text that they add to the reply."""
        added = []
        for event in events:
            if isinstance(event, ReplyStarted):
                self._step, self._n_prompt, self.left_out = event.step, event.n_prompt, event.n_left_out
            elif isinstance(event, TokenMade):
                self._latest = time.monotonic()
                self._began = self._began or self._latest
                self._n_tokens += 1
                added.append(event.text)
            elif isinstance(event, ReplyFinished):
                self._finished = event
        text = "".join(added)
        if self._strip and not any(self._pieces):
            text = text.lstrip()
        self._pieces.append(text)
        return text

    @property
    def started(self) -> bool:
        """Whether the model has made a token."""
        return self._n_tokens > 0

    def reply(self) -> Reply:
        """What there is of the reply, as if it ended now."""
        text, finished = "".join(self._pieces), self._finished
        seconds = self._latest - self._began
        measured = (self._n_tokens - 1) / seconds if self._n_tokens > 1 and seconds > 0 else 0.0
        return Reply(
            text=text.rstrip() if self._strip else text,
            model=self._model.name,
            step=self._step,
            seed=self._seed,
            n_prompt=self._n_prompt,
            n_tokens=self._n_tokens,
            tokens_per_s=finished.tokens_per_s if finished else measured,
            context_length=self._model.context_length,
            reason=finished.reason if finished else "stopped",
        )
