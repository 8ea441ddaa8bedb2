"""The settings of best-of-n: how many replies are drawn, and which reward model chooses among them."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from terrarium.app.chat.settings.second_model_panel import PanelWords, SecondModelPanel
from terrarium.app.kit.forms.slider_row import SliderRow
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.second_models import BestOf, SecondModel, reward_models
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count

MAX_REPLIES = 64
_N_TIP = (
    "Best-of-n: this many replies are drawn to each message, and the one that the reward model scores highest is "
    "shown. 1 = off."
)
_NONE = "Choose a reward model"
_WORDS = PanelWords(
    name="Reward model",
    tip="Which of your reward models chooses the best reply",
    unchosen=_NONE,
    about="Draws several replies, and shows the one that a reward model likes best. All stay with the message.",
    in_use="Drawn at temperature 1 from all tokens: of the settings above, only max length and seed count.",
    none="No reward model yet: train one from pairs of replies (Training, “Learn from pairs: a reward model”).",
    unusable="All reward models here have a different tokenizer from this model's: train one that starts from it.",
)
_NOT_THIS = "Only a chat model that is a decoder can draw several replies."


class BestOfPanel(SecondModelPanel):
    """Edits a `BestOf` for the open model."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(
            session,
            _WORDS,
            SliderRow("Replies drawn", _N_TIP, 1, MAX_REPLIES, power=2.0, zero_text="1 (off)"),
            least=2,
            check=lambda: _why_not(session.chat.model),
            find=lambda: _finder(session),
            advise=self._advice,
            release=session.chat.release_reward_model,
            parent=parent,
        )

    @property
    def best_of(self) -> BestOf | None:
        """The chosen settings; None for a single reply, or if the open model cannot draw several."""
        used = self.used
        return None if used is None else BestOf(used.run_id, used.name, int(self.number.value))

    def _advice(self, chosen: SecondModel | None) -> str:
        n = int(self.number.value)
        is_missing = chosen is None and n > 1
        return f"{_NONE} that picks the best of {format_count(n, 'reply', 'replies')}." if is_missing else ""


def _why_not(model: ChatModel | None) -> str:
    """Return why the open model cannot draw several replies; "" if it can."""
    can_draw = model is not None and model.is_chat_model and model.config.topology == "decoder-only"
    return "" if can_draw else _NOT_THIS


def _finder(session: Session) -> Callable[[], list[SecondModel]]:
    tokenizer, runs = session.chat.tokenizer, session.runs.list()
    assert tokenizer is not None
    return lambda: reward_models(runs, tokenizer.to_str())
