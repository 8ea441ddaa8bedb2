"""Texts in the two JSON shapes of OpenAI's API, whole or in pieces."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.serve.endpoint.scores import Scored, TokenScore

Json = dict[str, Any]


@dataclass
class Choice:
    """One of the texts, as far as it is made."""

    index: int
    text: str = ""
    scores: list[TokenScore] = field(default_factory=list)
    n_tokens: int = 0
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How many tokens were read and made for a request."""

    n_prompt: int
    n_made: int

    @property
    def json(self) -> Json:
        """As the API writes it."""
        return {
            "prompt_tokens": self.n_prompt,
            "completion_tokens": self.n_made,
            "total_tokens": self.n_prompt + self.n_made,
        }


class Shape(Protocol):
    """How one kind of request is answered. `fingerprint`: of the weights, once they are known."""

    fingerprint: str | None

    def opening(self, index: int) -> Json | None:
        """The piece of a stream before all text of a choice, if there is any."""

    def piece(self, choice: Choice, text: str, scores: Sequence[TokenScore]) -> Json:
        """A piece of a stream: what is new of a choice."""

    def closing(self, choice: Choice) -> Json:
        """The piece of a stream that says why a choice ended."""

    def counts(self, usage: Usage) -> Json:
        """The last piece of a stream, where it was asked for."""

    def whole(self, choices: Sequence[Choice], usage: Usage) -> Json:
        """All at once."""


class _Head:
    """What all objects of one answer have in common."""

    def __init__(self, prefix: str, model: str) -> None:
        self._id = f"{prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model
        self.fingerprint: str | None = None

    def _object(self, kind: str, choices: list[Json], **more: Any) -> Json:
        head = {"id": self._id, "object": kind, "created": self._created, "model": self._model}
        return {**head, "system_fingerprint": self.fingerprint, "choices": choices, **more}


class ChatShape(_Head):
    """chat.completion, and chat.completion.chunk."""

    def __init__(self, model: str, *, with_scores: bool) -> None:
        super().__init__("chatcmpl", model)
        self._with_scores = with_scores

    def opening(self, index: int) -> Json | None:
        """The role."""
        return self._chunk(index, {"role": "assistant", "content": ""}, None, None)

    def piece(self, choice: Choice, text: str, scores: Sequence[TokenScore]) -> Json:
        """Text, and its tokens' scores."""
        return self._chunk(choice.index, {"content": text}, self._scores(scores), None)

    def closing(self, choice: Choice) -> Json:
        """No text any more."""
        return self._chunk(choice.index, {}, None, choice.reason)

    def counts(self, usage: Usage) -> Json:
        """No choices at all."""
        return self._object("chat.completion.chunk", [], usage=usage.json)

    def whole(self, choices: Sequence[Choice], usage: Usage) -> Json:
        """All messages."""
        made = [
            {
                "index": choice.index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": self._scores(choice.scores),
                "finish_reason": choice.reason,
            }
            for choice in choices
        ]
        return self._object("chat.completion", made, usage=usage.json)

    def _chunk(self, index: int, delta: Json, scores: Json | None, reason: str | None) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": scores, "finish_reason": reason}
        return self._object("chat.completion.chunk", [choice])

    def _scores(self, scores: Sequence[TokenScore]) -> Json | None:
        if not self._with_scores:
            return None
        content = [{**_scored(score), "top_logprobs": [_scored(other) for other in score.top]} for score in scores]
        return {"content": content, "refusal": None}


class CompletionShape(_Head):
    """text_completion, in pieces too. `echoes`: the text before each choice."""

    def __init__(self, model: str, *, with_scores: bool, echoes: Sequence[str]) -> None:
        super().__init__("cmpl", model)
        self._with_scores, self._echoes = with_scores, echoes
        self._n_characters = [len(echo) for echo in echoes]

    def opening(self, index: int) -> Json | None:
        """The prompt again, where that was asked for."""
        echo = self._echoes[index]
        return self._object("text_completion", [_text_choice(index, echo, None, None)]) if echo else None

    def piece(self, choice: Choice, text: str, scores: Sequence[TokenScore]) -> Json:
        """Text, and its tokens' scores."""
        made = _text_choice(choice.index, text, self._scores(choice.index, scores), None)
        return self._object("text_completion", [made])

    def closing(self, choice: Choice) -> Json:
        """No text any more."""
        return self._object("text_completion", [_text_choice(choice.index, "", None, choice.reason)])

    def counts(self, usage: Usage) -> Json:
        """No choices at all."""
        return self._object("text_completion", [], usage=usage.json)

    def whole(self, choices: Sequence[Choice], usage: Usage) -> Json:
        """All texts."""
        made = [
            _text_choice(
                choice.index,
                self._echoes[choice.index] + choice.text,
                self._scores(choice.index, choice.scores),
                choice.reason,
            )
            for choice in choices
        ]
        return self._object("text_completion", made, usage=usage.json)

    def _scores(self, index: int, scores: Sequence[TokenScore]) -> Json | None:
        """Offsets count the characters that began before a token, over all pieces."""
        if not self._with_scores:
            return None
        offsets = []
        for score in scores:
            offsets.append(self._n_characters[index])
            self._n_characters[index] += sum(byte & 0xC0 != 0x80 for byte in score.data)
        return {
            "tokens": [score.text for score in scores],
            "token_logprobs": [score.logprob for score in scores],
            "top_logprobs": [{other.text: other.logprob for other in score.top} for score in scores],
            "text_offset": offsets,
        }


def _scored(score: Scored) -> Json:
    return {"token": score.text, "logprob": score.logprob, "bytes": list(score.data)}


def _text_choice(index: int, text: str, scores: Json | None, reason: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": scores, "finish_reason": reason}
