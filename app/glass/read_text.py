"""A text as the tokens that a model read and generated: the input of the glass box."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from terrarium.app.glass.draft_mark import DraftMark
from terrarium.models.settings.sampling_config import SamplingConfig


@dataclass(frozen=True, kw_only=True)
class LabelQuestion:
    """The prediction to explain for a model that predicts labels instead of tokens (see models.inspect.readout).

    head: "sequence" (a label for the text), "token" (a tag for each word) or "span" (an answer in the text).
    labels: the labels of the model; for "span", the two outcomes.
    outcome: the index of the outcome to explain; −1 for the most likely one, which depends on the token in focus.
    label: for a multi-label model, the index of the label to explain, whose outcomes are no and yes; else None.
    words, word_starts: for "token", the words and the position of each word's first token, where its tag is read.
    span, candidates: for "span", the first and last token of the answer, and the positions where answers can be.
    """

    head: str
    labels: tuple[str, ...]
    outcome: int = -1
    label: int | None = None
    words: tuple[str, ...] = ()
    word_starts: tuple[int, ...] = ()
    span: tuple[int, int] | None = None
    candidates: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the outcomes."""
        return self.labels if self.label is None else (f"not {self.labels[self.label]}", self.labels[self.label])

    def word_at(self, position: int) -> int:
        """Return the index of the word that contains a token; 0 for tokens before the first word."""
        return max((i for i, start in enumerate(self.word_starts) if start <= position), default=0)

    def about(self, label: int) -> LabelQuestion:
        """Return the same question about another label, by its index."""
        return replace(self, outcome=label) if self.label is None else replace(self, label=label)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadText:
    """The tokens of one reply and of its prompt. Compared by identity.

    ids: a decoder's prompt and reply; an encoder's text; an encoder-decoder's target, from its start token on.
    words: the displayed text of each of `ids`. n_prompt: how many of `ids` are the prompt; the others were sampled.
    source_ids, source_words: the input of an encoder-decoder's encoder; () for other topologies.
    draws: for each sampled token, the random number in [0, 1) used; None at temperature 0 or if it is unknown.
    marks: for each sampled token, the outcome of speculative decoding; () without a draft model.
    sampling: the sampling settings used. step: the training step of the model at that time.
    start: the position that the glass box opens on; None to wait until the user points at a token.
    segments: the segment id of each of `ids` if an encoder read a text pair; else ().
    question: the prediction to explain for a model that predicts labels; None for one that predicts tokens.
    """

    ids: tuple[int, ...]
    words: tuple[str, ...]
    n_prompt: int
    source_ids: tuple[int, ...] = ()
    source_words: tuple[str, ...] = ()
    draws: tuple[float | None, ...] = ()
    marks: tuple[DraftMark | None, ...] = ()
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    step: int = 0
    start: int | None = None
    segments: tuple[int, ...] = ()
    question: LabelQuestion | None = None

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.words)
        assert len(self.source_ids) == len(self.source_words)
        assert not self.segments or len(self.segments) == len(self.ids)
        assert not self.draws or len(self.draws) == len(self.ids) - self.n_prompt
        assert self.start is None or 0 <= self.start < len(self.ids)
        assert not self.marks or len(self.marks) == len(self.ids) - self.n_prompt

    def mark_at(self, position: int) -> DraftMark | None:
        """Return the outcome of speculative decoding for the token at `position` of the text, or None."""
        index = position - self.n_prompt
        return self.marks[index] if 0 <= index < len(self.marks) else None
