"""The token of a text that the panels about one token inspect. No widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.glass.read_text import ReadText

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.inspect.reading import Text


@dataclass(frozen=True)
class TargetToken:
    """A token of a text, by its position, and the prediction of it."""

    text: ReadText
    position: int

    def to_text(self) -> Text:
        """The text for `models.inspect`."""
        from models.inspect.reading import Text

        return Text(ids=self.text.ids, source_ids=self.text.source_ids)

    def at(self, model: AnyModel) -> int:
        """The position at which the model predicts it.

        Raises:
            ValueError: for the first token of a text.
        """
        from models.inspect.reading import answer_position

        at = answer_position(model.config, self.position)
        if at is None:
            raise ValueError("Nothing predicts the first token, since nothing comes before it: point at a later one.")
        return at

    def token(self, model: AnyModel, tokenizer: Tokenizer) -> int:
        """Its id; -1 for a mask, which stands for the most likely token."""
        from models.tokenizers.special_tokens import mask_id

        id = self.text.ids[self.position]
        return -1 if model.config.topology == "encoder-only" and id == mask_id(tokenizer) else id

    def sees_itself(self, model: AnyModel, tokenizer: Tokenizer) -> bool:
        """Whether the model sees the token that it predicts: an encoder, unless the token is a mask."""
        return model.config.topology == "encoder-only" and self.token(model, tokenizer) >= 0
