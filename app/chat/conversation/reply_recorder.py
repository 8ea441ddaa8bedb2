"""Builds the message to save from the events of one reply, however the reply ends."""

from __future__ import annotations

import dataclasses
import time

from terrarium.app.chat.archive.message_tree import CandidateReplies, DrawnToken, Message
from terrarium.app.session.second_models import BestOf
from terrarium.models.alignment.best_of import RepliesRanked
from terrarium.models.chat.own_template import ReplyStripper
from terrarium.models.events import Event, ReplyFinished, TokenMade
from terrarium.models.inference.reply import ReplyStarted

_SHORTEST_S = 0.2
"""The minimum time in seconds for a speed: tokens arrive in batches, so it is unknown before several of them."""


class ReplyRecorder:
    """Collects the text and the measurements of one reply.

    Args of the constructor:
        reply: the empty message, with the known fields of its `generation`; tokens in there are the given prefix.
        strip: remove the white space around the text.
        is_text: the events are the reply's tokens in order; False for an encoder's list of candidates.
        best_of: the settings of best-of-n; None for a single reply.
    """

    def __init__(self, reply: Message, *, strip: bool, is_text: bool = True, best_of: BestOf | None = None) -> None:
        assert reply.generation is not None
        self.id = reply.id
        self._reply, self._generation, self._is_text = reply, reply.generation, is_text
        self._best_of = best_of
        self._stripper = ReplyStripper() if strip else None
        self._pieces: list[str] = []
        self._tokens = list(reply.generation.tokens)
        self._n_new = 0
        self._asked = time.monotonic()
        self._first = self._latest = 0.0
        self._finished: ReplyFinished | None = None

    def take(self, events: tuple[Event, ...]) -> str:
        """Record events, and return the text that they add to the reply."""
        added = []
        for event in events:
            if isinstance(event, ReplyStarted):
                self._generation = dataclasses.replace(
                    self._generation,
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
                    values = event.probability, event.entropy, event.rank, event.draw, event.speculated
                    self._tokens.append(DrawnToken(event.id, *values))
                added.append(event.text)
            elif isinstance(event, ReplyFinished):
                self._finished = event
            elif isinstance(event, RepliesRanked):
                assert self._best_of is not None
                drawn = CandidateReplies(
                    judge=self._best_of.name,
                    judge_id=self._best_of.run_id,
                    replies=event.replies,
                    draw_s=event.draw_s,
                    score_s=event.score_s,
                )
                self._generation = dataclasses.replace(self._generation, drawn=drawn)
        text = "".join(added)
        if self._stripper is not None:
            text = self._stripper.add(text)
        self._pieces.append(text)
        return text

    @property
    def started(self) -> bool:
        """Whether the model has generated a token."""
        return self._n_new > 0

    @property
    def progress(self) -> tuple[int, float]:
        """The number of new tokens, and tokens per second; 0 while the speed is unknown."""
        seconds = self._latest - self._first
        return self._n_new, (self._n_new - 1) / seconds if seconds > _SHORTEST_S else 0.0

    def message(self, reason: str = "") -> Message:
        """Return the reply so far. reason: why it ended, if the model did not report a reason."""
        text, finished = "".join(self._pieces), self._finished
        generation = dataclasses.replace(
            self._generation,
            tokens=tuple(self._tokens),
            n_tokens=len(self._tokens) if self._is_text else self._n_new,
            first_token_s=max(self._first - self._asked, 0.0),
            tokens_per_s=finished.tokens_per_s if finished else self.progress[1],
            reason=finished.reason if finished else reason,
        )
        if generation.draft is not None:
            draft = generation.draft.counting(token.speculated for token in self._tokens[generation.n_prefix :])
            if finished is not None:
                draft = dataclasses.replace(draft, n_drafted=finished.n_drafted, n_passes=finished.n_passes)
            generation = dataclasses.replace(generation, draft=draft)
        return dataclasses.replace(self._reply, content=text, generation=generation)
