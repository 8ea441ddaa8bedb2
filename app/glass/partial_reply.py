"""A reply while it is generated, and how the glass box opens on it. No widgets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from terrarium.app.glass.names import token_names
from terrarium.app.glass.read_text import ReadText
from terrarium.models.events import ReplyFinished, TokenMade
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer


Prompt = str | Sequence[Mapping[str, str]]
N_LATEST = 200
"""How many tokens at the end of a reply are considered: the distributions of earlier ones may not be kept."""


@dataclass(eq=False)
class PartialReply:
    """A reply as far as it has been generated.

    prompt: a text, or messages [{"role", "content"}]. prefix_ids: the prefilled tokens with which the reply begins.
    started, finished: None until these events have arrived; `finished` stays None if the reply was stopped.
    """

    prompt: Prompt
    sampling: SamplingConfig
    prefix_ids: tuple[int, ...] = ()
    started: ReplyStarted | None = None
    tokens: list[TokenMade] = field(default_factory=list)
    finished: ReplyFinished | None = None

    @property
    def text(self) -> str:
        """The generated text, without prompt and prefix."""
        return "".join(token.text for token in self.tokens)

    def read(self, tokenizer: Tokenizer) -> ReadText | None:
        """Return the tokens of prompt, prefix and reply for the glass box; None before the first generated token."""
        if self.started is None or not self.tokens:
            return None
        ids = (*self.started.prompt_ids, *self.prefix_ids, *(token.id for token in self.tokens))
        names = token_names(tokenizer, {*ids, *self.started.source_ids})
        made, shares = [token.id for token in self.tokens], [token.probability for token in self.tokens]
        start = most_surprising(made, shares, special_ids(tokenizer))
        n_before = len(ids) - len(made)
        return ReadText(
            ids=ids,
            words=tuple(names[id] for id in ids),
            n_prompt=len(self.started.prompt_ids),
            source_ids=self.started.source_ids,
            source_words=tuple(names[id] for id in self.started.source_ids),
            draws=(*(None for _ in self.prefix_ids), *(token.draw for token in self.tokens)),
            sampling=self.sampling,
            step=self.started.step,
            start=None if start is None else n_before + start,
        )


def most_surprising(
    ids: Sequence[int], probabilities: Sequence[float | None], marks: Collection[int] = (), n_given: int = 0
) -> int | None:
    """Return the index of the least likely token of a reply, the first of equals, on which the glass box opens.

    If no probability is known, return the first eligible token; if there is no eligible token, None.

    Args:
        probabilities: of each token in the model's own distribution; None if unknown.
        marks: ids of special tokens, such as the end of a reply, which are not eligible, since they are not text.
        n_given: how many tokens at the start were prefilled: not eligible, since the model did not choose them.
    """
    first = max(n_given, len(ids) - N_LATEST)
    counting = [index for index, id in enumerate(ids) if index >= first and id not in marks]
    known = [(p, index) for index in counting if (p := probabilities[index]) is not None]
    return min(known)[1] if known else next(iter(counting), None)


def special_ids(tokenizer: Tokenizer | None) -> frozenset[int]:
    """Return the ids of the special tokens of a tokenizer."""
    if tokenizer is None:
        return frozenset()
    return frozenset(id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special)
