"""A text as a model read and generated it, token by token: the input of the glass box."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from terrarium.app.glass.draft_mark import DraftMark
from terrarium.models.settings.sampling_config import SamplingConfig


@dataclass(frozen=True, kw_only=True)
class LabelQuestion:
    """The question for a model that labels texts, instead of the next token (see models.inspect.readout).

    head: “sequence” of whole texts, “token” of words, or “span” of an answer. labels: the model's; for an answer, the
    two outcomes. outcome: the one that is inspected; −1 for the most likely, which depends on the token in focus.
    label: of labels that do not exclude one another, the one that is asked about: its outcomes are no and yes.
    words, word_starts: “token”, the words, and the position of the first token of each, where its tag is read.
    span, candidates: “span”, the answer's first and last token, and where others could be.
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
        """The index of the word that a token is in; of the first one for tokens before it."""
        return max((i for i, start in enumerate(self.word_starts) if start <= position), default=0)

    def about(self, label: int) -> LabelQuestion:
        """The same question about another label, by its index."""
        return replace(self, outcome=label) if self.label is None else replace(self, label=label)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadText:
    """The tokens of one reply with everything read before it. Compared by identity.

    ids: a decoder's prompt and reply; an encoder's text; of an encoder-decoder the target, from its start token on.
    words: the displayed text of each of `ids`. n_prompt: how many of `ids` were read; the others were sampled.
    source_ids and source_words: what an encoder-decoder's encoder read; () for the others.
    draws: for each sampled token the random number in [0, 1) used; None if it was the most likely one (temperature 0)
        or is unknown.
    marks: what a draft model did for each sampled token; () where there was none.
    sampling: the settings used. step: the model's training step at that time.
    start: the position that the glass box opens on; None to wait until the user points at a token.
    segments: of each of `ids`, where an encoder read a pair; () otherwise. question: what a model was asked that gives
        labels; None for one that predicts tokens.
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
        """What a draft model did for the token at a position of the text."""
        index = position - self.n_prompt
        return self.marks[index] if 0 <= index < len(self.marks) else None
