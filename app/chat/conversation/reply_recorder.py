"""Turns the events of one reply into the message that is kept, whatever ends it."""

from __future__ import annotations

import dataclasses
import time

from app.chat.archive.message_tree import DrawnToken, Message
from models.events import Event, ReplyFinished, TokenMade
from models.inference.reply import ReplyStarted

_SHORTEST_S = 0.2
"""Tokens come in batches: over less than a few of them their speed cannot be told."""


class ReplyRecorder:
    """Collects the text and the measurements of one reply.

    Args of the constructor:
        reply: the empty message, `made` as far as it is known before; the tokens in there stand already.
        strip: spaces around a chat reply are the template's.
        is_text: it is made of tokens, one after the other; not so what an encoder says of its masks.
    """

    def __init__(self, reply: Message, *, strip: bool, is_text: bool = True) -> None:
        assert reply.made is not None
        self.id = reply.id
        self._reply, self._made, self._strip, self._is_text = reply, reply.made, strip, is_text
        self._pieces: list[str] = []
        self._tokens = list(reply.made.tokens)
        self._n_new = 0
        self._asked = time.monotonic()
        self._first = self._latest = 0.0
        self._finished: ReplyFinished | None = None

    def take(self, events: tuple[Event, ...]) -> str:
        """Take events in; returns the text that they add to the reply."""
        added = []
        for event in events:
            if isinstance(event, ReplyStarted):
                self._made = dataclasses.replace(
                    self._made,
                    step=event.step,
                    prompt_ids=event.prompt_ids,
                    source_ids=event.source_ids,
                    n_prompt=event.n_prompt,
                    n_left_out=event.n_left_out,
                    summary=event.summary,
                )
                added.append(event.prefix)
            elif isinstance(event, TokenMade):
                self._latest = time.monotonic()
                self._first = self._first or self._latest
                self._n_new += 1
                if self._is_text:
                    token = DrawnToken(event.id, event.probability, event.entropy, event.rank, event.draw)
                    self._tokens.append(token)
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
        return self._n_new > 0

    @property
    def progress(self) -> tuple[int, float]:
        """How many tokens the model has made, and how many a second; 0 while that cannot be told."""
        seconds = self._latest - self._first
        return self._n_new, (self._n_new - 1) / seconds if seconds > _SHORTEST_S else 0.0

    def message(self, reason: str = "") -> Message:
        """What there is of the reply; `reason`: why it ended, where the model did not say so."""
        text, finished = "".join(self._pieces), self._finished
        made = dataclasses.replace(
            self._made,
            tokens=tuple(self._tokens),
            n_tokens=len(self._tokens) if self._is_text else self._n_new,
            first_token_s=max(self._first - self._asked, 0.0),
            tokens_per_s=finished.tokens_per_s if finished else self.progress[1],
            reason=finished.reason if finished else reason,
        )
        return dataclasses.replace(self._reply, content=text.rstrip() if self._strip else text, made=made)
