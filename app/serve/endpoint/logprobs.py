"""Turns the events of a generation into text deltas, with the log-probabilities of the tokens that each completes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from tokenizers import Tokenizer

from terrarium.models.chat.own_template import ReplyStripper
from terrarium.models.events import Event, Progress, ReplyFinished, TokenMade
from terrarium.models.tokenizers import IncrementalDecoder, TokenBytes

MIN_LOGPROB = -9999.0
"""The log-probability of practically impossible tokens, as in OpenAI's API: JSON has no minus infinity."""


@dataclass(frozen=True, kw_only=True)
class Logprob:
    """A token's bytes and the natural logarithm of its probability."""

    data: bytes
    logprob: float

    @property
    def text(self) -> str:
        """The token's text; in OpenAI's notation if it is only part of a character: “bytes:\\xe2\\x82”."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.data)


@dataclass(frozen=True, kw_only=True)
class TokenLogprob(Logprob):
    """A generated token, with the most probable tokens at its position."""

    top: tuple[Logprob, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TokenDelta(Event):
    """`n_tokens` more tokens: the text that they complete, and the log-probabilities of the tokens in that text."""

    text: str
    n_tokens: int = 1
    scores: tuple[TokenLogprob, ...] = ()


def token_deltas(
    events: Iterable[Progress | TokenMade | ReplyFinished],
) -> Iterator[Progress | TokenDelta | ReplyFinished]:
    """Yield the events of `generate` as deltas without log-probabilities."""
    for event in events:
        yield TokenDelta(text=event.text) if isinstance(event, TokenMade) else event


def token_deltas_with_logprobs(
    events: Iterable[Progress | TokenMade | ReplyFinished], tokenizer: Tokenizer, end_ids: Collection[int]
) -> Iterator[Progress | TokenDelta | ReplyFinished]:
    """Yield the events of `generate` as deltas with the model's log-probabilities, before any sampling setting.

    A token's log-probability is sent with its text, which is held back while it may be the beginning of a stop text.
    The end token and text cut off by a stop text have none.
    """
    table, decoder = TokenBytes(tokenizer), IncrementalDecoder(tokenizer)
    waiting: deque[tuple[TokenLogprob, int]] = deque()  # with the number of characters that each completes
    n_text, n_scored = 0, 0  # characters of the text, and of the tokens whose scores were sent
    is_end_token = False
    for event in events:
        if isinstance(event, ReplyFinished):
            if waiting and (event.reason == "length" or is_end_token):
                yield TokenDelta(text="", n_tokens=0, scores=tuple(score for score, _ in waiting))
            yield event
            return
        if isinstance(event, Progress):
            yield event
            continue
        is_end_token = event.id in end_ids
        if not is_end_token:
            waiting.append((_score(event, table), len(decoder.add(event.id))))
        n_text += len(event.text)
        ready: list[TokenLogprob] = []
        while waiting and n_scored < n_text:
            score, n_characters = waiting.popleft()
            ready.append(score)
            n_scored += n_characters
        yield TokenDelta(text=event.text, scores=tuple(ready))


def stripped(
    deltas: Iterable[Progress | TokenDelta | ReplyFinished],
) -> Iterator[Progress | TokenDelta | ReplyFinished]:
    """Yield the deltas of a reply without leading and trailing white space.

    All tokens are retained, but without the stripped bytes, so that their bytes are still those of the text. White
    space that may be trailing is held back together with its tokens.
    """
    stripper, waiting = ReplyStripper(), deque[TokenLogprob]()
    n_leading = n_shown = n_scored = 0  # in bytes: still to strip, text so far, tokens sent so far
    for delta in deltas:
        if isinstance(delta, ReplyFinished) and waiting:
            ends = _cut(waiting, n_shown - n_scored)
            yield TokenDelta(text="", n_tokens=0, scores=tuple(ends))
        if not isinstance(delta, TokenDelta):
            yield delta
            continue
        text = stripper.add(delta.text)
        if not n_shown:
            n_leading += len(delta.text.encode()) - len(delta.text.lstrip().encode())
        n_shown += len(text.encode())
        ready: list[TokenLogprob] = []
        for score in delta.scores:
            n_cut = min(n_leading, len(score.data))
            n_leading -= n_cut
            waiting.append(replace(score, data=score.data[n_cut:]))
        while waiting and n_scored < n_shown:
            n_scored += len(waiting[0].data)
            ready.append(waiting.popleft())
        yield TokenDelta(text=text, n_tokens=delta.n_tokens, scores=tuple(ready))


def _cut(scores: Iterable[TokenLogprob], n_bytes: int) -> Iterator[TokenLogprob]:
    """Yield the tokens, truncated so that all together have at most `n_bytes` bytes."""
    for score in scores:
        yield replace(score, data=score.data[: max(n_bytes, 0)])
        n_bytes -= len(score.data)


def _score(event: TokenMade, table: TokenBytes) -> TokenLogprob:
    by_id = {id: max(value, MIN_LOGPROB) for id, value in event.top}
    own = math.log(event.probability) if event.probability > 0 else MIN_LOGPROB
    top = tuple(Logprob(data=table[id], logprob=value) for id, value in by_id.items())
    return TokenLogprob(data=table[event.id], logprob=by_id.get(event.id, own), top=top)
