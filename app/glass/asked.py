"""The place of a text that the glass box's panels on one answer ask about. No widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.glass.read_text import ReadText

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.inspect.reading import Text


@dataclass(frozen=True)
class Asked:
    """The place of a text that is looked at."""

    text: ReadText
    place: int

    def engine_text(self, hidden: frozenset[int] = frozenset()) -> Text:
        """The text for `models.inspect`."""
        from models.inspect.reading import Text

        return Text(ids=self.text.ids, source_ids=self.text.source_ids, hidden=hidden)

    def at(self, model: AnyModel) -> int:
        """Where the answer is read.

        Raises:
            ValueError: for a text's first token.
        """
        from models.inspect.reading import answer_place

        at = answer_place(model.config, self.place)
        if at is None:
            raise ValueError("Nothing chose the first token, since nothing stands before it: point at a later one.")
        return at

    def token(self, model: AnyModel, tokenizer: Tokenizer) -> int:
        """The token that is asked for: the one that stands there; where that is a mask, -1 for the likeliest."""
        from models.tokenizers.special_tokens import mask_id

        id = self.text.ids[self.place]
        return -1 if model.config.topology == "encoder-only" and id == mask_id(tokenizer) else id

    def sees_itself(self, model: AnyModel, tokenizer: Tokenizer) -> bool:
        """Whether the model has read the very token that is asked for: an encoder, where no mask stands."""
        return model.config.topology == "encoder-only" and self.token(model, tokenizer) >= 0
