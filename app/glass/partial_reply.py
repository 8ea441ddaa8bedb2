"""A reply while it is generated, and its conversion for the glass box. No widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from terrarium.app.glass.names import token_names
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.surprise import most_surprising, special_ids
from terrarium.models.events import ReplyFinished, TokenMade
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Prompt = str | Sequence[Mapping[str, str]]


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
