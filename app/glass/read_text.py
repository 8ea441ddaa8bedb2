"""A text as a model read and wrote it, token by token: what the glass box looks into."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.settings.sampling_config import SamplingConfig


@dataclass(frozen=True, kw_only=True)
class ReadText:
    """The tokens of one reply with all that was read before it. Two are the same text only where they are one object.

    ids: a decoder's prompt and reply; an encoder's text; of an encoder-decoder the target, from its start token on.
    words: what each of `ids` is called on screen. n_prompt: so many of `ids` were read, the others drawn.
    source_ids and source_words: what an encoder-decoder's encoder read; () for the others.
    draws: for each drawn token the number in [0, 1) that it was drawn with; None where it was the likeliest
        (temperature 0) or is not known.
    sampling: the settings that it was drawn with. step: the model's training step at that time.
    """

    ids: tuple[int, ...]
    words: tuple[str, ...]
    n_prompt: int
    source_ids: tuple[int, ...] = ()
    source_words: tuple[str, ...] = ()
    draws: tuple[float | None, ...] = ()
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    step: int = 0

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.words)
        assert len(self.source_ids) == len(self.source_words)
        assert not self.draws or len(self.draws) == len(self.ids) - self.n_prompt
