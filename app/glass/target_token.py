"""The inspected token of a text. No widgets."""

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
    """A token of a text, by its position, whose prediction is inspected.

    label: the index of the label to explain, if the text has a question about labels; None for the predicted one.
    """

    text: ReadText
    position: int
    label: int | None = None

    @property
    def question(self) -> LabelQuestion | None:
        """The prediction to explain for a model that predicts labels; None for one that predicts tokens."""
        asked = self.text.question
        return asked if asked is None or self.label is None else asked.about(self.label)

    @property
    def word(self) -> str:
        """The word whose tag is inspected; "" if the model does not predict tags."""
        asked = self.text.question
        return asked.words[asked.word_at(self.position)] if asked is not None and asked.words else ""

    def to_text(self) -> Text:
        """Return the text in the form that `models.inspect` takes."""
        from terrarium.models.inspect.read_text import Text

        return Text(ids=self.text.ids, source_ids=self.text.source_ids, segments=self.text.segments)

    def at(self, model: AnyModel) -> int:
        """Return the position at which the model predicts the token.

        Raises:
            ValueError: for the first token of a text, which nothing predicts.
        """
        from terrarium.models.inspect.read_text import answer_position

        at = answer_position(model.config, self.position)
        if at is None:
            raise ValueError("Nothing predicts the first token, since nothing comes before it: point at a later one.")
        return at

    def token(self, model: AnyModel, tokenizer: Tokenizer) -> int:
        """Return the id of the token; -1 for the mask token of an encoder, which stands for the most likely token."""
        from terrarium.models.tokenizers.special_tokens import mask_id

        id = self.text.ids[self.position]
        return -1 if model.config.topology == "encoder-only" and id == mask_id(tokenizer) else id

    def readout(self, model: AnyModel) -> Readout:
        """Return the readout of the token, or of the label, tag or answer predicted for the text.

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
        """Return the inspected outcome of the readout: a token id, or the index of a label; −1 for the most likely."""
        asked = self.question
        return self.token(model, tokenizer) if asked is None else asked.outcome

    def names(self, tokenizer: Tokenizer, outcomes: Iterable[int]) -> dict[int, str]:
        """Return the names of outcomes: displayed tokens, or labels."""
        asked = self.question
        return token_names(tokenizer, outcomes) if asked is None else {i: asked.names[i] for i in outcomes}

    def target_is_visible(self, model: AnyModel, tokenizer: Tokenizer) -> bool:
        """Return whether the target token is in the input of the model: in an encoder, unless it is the mask token."""
        is_token = self.question is None
        return is_token and model.config.topology == "encoder-only" and self.token(model, tokenizer) >= 0
