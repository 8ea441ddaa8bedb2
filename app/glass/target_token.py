"""The token of a text that is inspected. No widgets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrarium.app.glass.names import token_names
from terrarium.app.glass.read_text import LabelQuestion, ReadText

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inspect.read_text import Text
    from terrarium.models.inspect.readout import Readout


@dataclass(frozen=True)
class TargetToken:
    """A token of a text, by its position, and the prediction of it.

    label: the label that is asked about instead, None for the one that the model gave.
    """

    text: ReadText
    position: int
    label: int | None = None

    @property
    def question(self) -> LabelQuestion | None:
        """The question for a model that gives labels; None for one that predicts tokens."""
        asked = self.text.question
        return asked if asked is None or self.label is None else asked.about(self.label)

    @property
    def word(self) -> str:
        """The word whose tag is asked about; "" where it is no tag."""
        asked = self.text.question
        return asked.words[asked.word_at(self.position)] if asked is not None and asked.words else ""

    def to_text(self) -> Text:
        """The text for `models.inspect`."""
        from terrarium.models.inspect.read_text import Text

        return Text(ids=self.text.ids, source_ids=self.text.source_ids, segments=self.text.segments)

    def at(self, model: AnyModel) -> int:
        """The position at which the model predicts it.

        Raises:
            ValueError: for the first token of a text.
        """
        from terrarium.models.inspect.read_text import answer_position

        at = answer_position(model.config, self.position)
        if at is None:
            raise ValueError("Nothing predicts the first token, since nothing comes before it: point at a later one.")
        return at

    def token(self, model: AnyModel, tokenizer: Tokenizer) -> int:
        """Its id; -1 for a mask, which stands for the most likely token."""
        from terrarium.models.tokenizers.special_tokens import mask_id

        id = self.text.ids[self.position]
        return -1 if model.config.topology == "encoder-only" and id == mask_id(tokenizer) else id

    def readout(self, model: AnyModel) -> Readout:
        """Return the readout of the token, or of the label, tag or answer that the text was given.

        Raises:
            ValueError: for the first token of a text, which nothing predicts.
        """
        from terrarium.models.inspect.readout import Readout

        asked = self.question
        if asked is None:
            return Readout(at=self.at(model))
        at = 0 if model.config.topology == "encoder-only" else len(self.text.ids) - 1
        if asked.head == "token":
            at = asked.word_starts[asked.word_at(self.position)]
        return Readout(at=at, head=asked.head, label=asked.label, span=asked.span, candidates=asked.candidates)

    def outcome(self, model: AnyModel, tokenizer: Tokenizer) -> int:
        """The outcome of the readout that is inspected, as for `token`; −1 for the likeliest one."""
        asked = self.question
        return self.token(model, tokenizer) if asked is None else asked.outcome

    def names(self, tokenizer: Tokenizer, outcomes: Iterable[int]) -> dict[int, str]:
        """Return the names of outcomes: displayed tokens, or labels."""
        asked = self.question
        return token_names(tokenizer, outcomes) if asked is None else {i: asked.names[i] for i in outcomes}

    def target_is_visible(self, model: AnyModel, tokenizer: Tokenizer) -> bool:
        """Return whether the target token is in the input of the model: in an encoder, unless the token is a mask."""
        is_token = self.question is None
        return is_token and model.config.topology == "encoder-only" and self.token(model, tokenizer) >= 0
