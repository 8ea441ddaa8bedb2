"""A reply as the API tells it: what can be shown of it so far, with the log-probabilities of just those tokens."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer

from models.events import Event, Progress, ReplyFinished, TokenMade
from models.tokenizers import IncrementalDecoder, TokenBytes

LOWEST = -9999.0
"""What OpenAI's API says of tokens that are as good as impossible: JSON has no minus infinity."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A token's bytes, and the natural logarithm of its probability."""

    data: bytes
    logprob: float

    @property
    def text(self) -> str:
        """The token's text; as OpenAI writes it where it is only a part of a character: “bytes:\\xe2\\x82”."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.data)


@dataclass(frozen=True, kw_only=True)
class TokenScore(Scored):
    """A token of the reply, with the likeliest tokens in its place."""

    top: tuple[Scored, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Said(Event):
    """`n_tokens` more: the text that can be shown with them, and the scores of the tokens that this text is of."""

    text: str
    n_tokens: int = 1
    scores: tuple[TokenScore, ...] = ()


def plain_events(events: Iterable[Progress | TokenMade | ReplyFinished]) -> Iterator[Progress | Said | ReplyFinished]:
    """The events of `generate` without any scores."""
    for event in events:
        yield Said(text=event.text) if isinstance(event, TokenMade) else event


def scored_events(
    events: Iterable[Progress | TokenMade | ReplyFinished], tokenizer: Tokenizer, end_ids: Collection[int]
) -> Iterator[Progress | Said | ReplyFinished]:
    """The same with scores: the model's own log-probabilities, before any setting changed them.

    A token's score comes with its text, which waits while it may be the beginning of a stop text; what a stop text cut
    off has none, and neither has the end token.
    """
    table, decoder = TokenBytes(tokenizer), IncrementalDecoder(tokenizer)
    waiting: deque[tuple[TokenScore, int]] = deque()  # with how many characters each completes
    shown, told = 0, 0  # characters of text, and of the tokens whose scores were told
    ended_itself = False
    for event in events:
        if isinstance(event, ReplyFinished):
            if waiting and (event.reason == "length" or ended_itself):
                yield Said(text="", n_tokens=0, scores=tuple(score for score, _ in waiting))
            yield event
            return
        if isinstance(event, Progress):
            yield event
            continue
        ended_itself = event.id in end_ids
        if not ended_itself:
            waiting.append((_score(event, table), len(decoder.add(event.id))))
        shown += len(event.text)
        ready: list[TokenScore] = []
        while waiting and told < shown:
            score, n_characters = waiting.popleft()
            ready.append(score)
            told += n_characters
        yield Said(text=event.text, scores=tuple(ready))


def _score(event: TokenMade, table: TokenBytes) -> TokenScore:
    by_id = {id: max(value, LOWEST) for id, value in event.top}
    own = math.log(event.probability) if event.probability > 0 else LOWEST
    top = tuple(Scored(data=table[id], logprob=value) for id, value in by_id.items())
    return TokenScore(data=table[event.id], logprob=by_id.get(event.id, own), top=top)
