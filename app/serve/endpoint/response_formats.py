"""The two response formats of OpenAI's API, complete or streamed in chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from terrarium.app.serve.endpoint.logprobs import Logprob, TokenLogprob

Json = dict[str, Any]


@dataclass
class ChoiceState:
    """A choice of the response, as far as its text has been generated."""

    index: int
    text: str = ""
    scores: list[TokenLogprob] = field(default_factory=list)
    n_tokens: int = 0
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The numbers of prompt tokens and generated tokens."""

    n_prompt: int
    n_made: int

    @property
    def json(self) -> Json:
        """The usage object of the API."""
        return {
            "prompt_tokens": self.n_prompt,
            "completion_tokens": self.n_made,
            "total_tokens": self.n_prompt + self.n_made,
        }


class ResponseFormat(Protocol):
    """The response format of a kind of request. fingerprint: identifies the weights, once known."""

    fingerprint: str | None

    def opening(self, index: int) -> Json | None:
        """Return the first chunk of a choice, before any text; None if the format has none."""

    def chunk(self, choice: ChoiceState, text: str, scores: Sequence[TokenLogprob]) -> Json:
        """Return a chunk with new text of a choice."""

    def closing(self, choice: ChoiceState) -> Json:
        """Return the last chunk of a choice, with its finish reason."""

    def usage_chunk(self, usage: Usage) -> Json:
        """Return the chunk with the usage, the last one of a stream if usage was requested."""

    def complete(self, choices: Sequence[ChoiceState], usage: Usage) -> Json:
        """Return the complete response."""


class _Format:
    """The fields that all objects of a response share."""

    def __init__(self, prefix: str, model: str) -> None:
        self._id = f"{prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model
        self.fingerprint: str | None = None

    def _object(self, kind: str, choices: list[Json], **more: Any) -> Json:
        head = {"id": self._id, "object": kind, "created": self._created, "model": self._model}
        return {**head, "system_fingerprint": self.fingerprint, "choices": choices, **more}


class ChatFormat(_Format):
    """The objects chat.completion and chat.completion.chunk."""

    def __init__(self, model: str, *, with_scores: bool) -> None:
        super().__init__("chatcmpl", model)
        self._with_scores = with_scores

    def opening(self, index: int) -> Json | None:
        """Return the role, without text."""
        return self._chunk(index, {"role": "assistant", "content": ""}, None, None)

    def chunk(self, choice: ChoiceState, text: str, scores: Sequence[TokenLogprob]) -> Json:
        """Return new text with its tokens' log-probabilities."""
        return self._chunk(choice.index, {"content": text}, self._scores(scores), None)

    def closing(self, choice: ChoiceState) -> Json:
        """Return the finish reason, without text."""
        return self._chunk(choice.index, {}, None, choice.reason)

    def usage_chunk(self, usage: Usage) -> Json:
        """Return the usage, without choices."""
        return self._object("chat.completion.chunk", [], usage=usage.json)

    def complete(self, choices: Sequence[ChoiceState], usage: Usage) -> Json:
        """Return all messages and the usage."""
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

    def _scores(self, scores: Sequence[TokenLogprob]) -> Json | None:
        if not self._with_scores:
            return None
        content = [{**_scored(score), "top_logprobs": [_scored(other) for other in score.top]} for score in scores]
        return {"content": content, "refusal": None}


class CompletionFormat(_Format):
    """The object text_completion, also for chunks. echoes: the text before each choice."""

    def __init__(self, model: str, *, with_scores: bool, echoes: Sequence[str]) -> None:
        super().__init__("cmpl", model)
        self._with_scores, self._echoes = with_scores, echoes
        self._n_characters = [len(echo) for echo in echoes]

    def opening(self, index: int) -> Json | None:
        """Return the echoed prompt if requested, else None."""
        echo = self._echoes[index]
        return self._object("text_completion", [_text_choice(index, echo, None, None)]) if echo else None

    def chunk(self, choice: ChoiceState, text: str, scores: Sequence[TokenLogprob]) -> Json:
        """Return new text with its tokens' log-probabilities."""
        made = _text_choice(choice.index, text, self._scores(choice.index, scores), None)
        return self._object("text_completion", [made])

    def closing(self, choice: ChoiceState) -> Json:
        """Return the finish reason, without text."""
        return self._object("text_completion", [_text_choice(choice.index, "", None, choice.reason)])

    def usage_chunk(self, usage: Usage) -> Json:
        """Return the usage, without choices."""
        return self._object("text_completion", [], usage=usage.json)

    def complete(self, choices: Sequence[ChoiceState], usage: Usage) -> Json:
        """Return all texts and the usage."""
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

    def _scores(self, index: int, scores: Sequence[TokenLogprob]) -> Json | None:
        """Return the log-probabilities; offsets count the characters that began before a token, over all chunks."""
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


def _scored(score: Logprob) -> Json:
    return {"token": score.text, "logprob": score.logprob, "bytes": list(score.data)}


def _text_choice(index: int, text: str, scores: Json | None, reason: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": scores, "finish_reason": reason}
