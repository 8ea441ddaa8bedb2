"""The settings of best-of-n: how many replies are drawn, and which reward model chooses among them."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QWidget

from terrarium.app.chat.settings.library_choice import LISTING, NO_MODEL, LibraryChoice
from terrarium.app.kit.basics import column, label, set_enabled
from terrarium.app.kit.forms.slider_row import SliderRow
from terrarium.app.kit.theme import SPACE
from terrarium.app.session.best_of import BestOf, RewardModelInfo, reward_models
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count

MAX_REPLIES = 64
_N_TIP = (
    "Best-of-n: this many replies are drawn to each message, and the one that the reward model scores highest is "
    "shown. 1 = off."
)
_NONE = "Choose a reward model"
_ABOUT = "Draws several replies, and shows the one that a reward model likes best. All stay with the message."
_HOW = "Drawn at temperature 1 from all tokens: of the settings above, only max length and seed count."
_NO_MODEL = "No reward model yet: train one from pairs of replies (Training, “Learn from pairs: a reward model”)."
_NOT_THIS = "Only a chat model that is a decoder can draw several replies."
_OTHERS = "All reward models here have a different tokenizer from this model's: train one that starts from it."
_GONE = "The reward model “{name}” is no longer in the library: choose another one."


class BestOfPanel(QWidget):
    """Edits a `BestOf` for the open model.

    Signals:
        changed(): `best_of` may have changed.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._models: list[RewardModelInfo] | None = None  # None until they have been listed
        self._gone = ""
        self.number = SliderRow("Replies drawn", _N_TIP, 1, MAX_REPLIES, power=2.0, zero_text="1 (off)")
        tip = "Which of your reward models chooses the best reply"
        self.choice = LibraryChoice(session, "Reward model", tip, self._find, lambda: self.best_of is not None)
        self.choice.setPlaceholderText(_NONE)
        self.choice.listed.connect(self._on_listed)
        self.about = label(_ABOUT, "caption", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.setLayout(column(self.about, self.choice, self.number, self.problem, spacing=SPACE))
        self.number.changed.connect(self._on_edited)
        self.choice.activated.connect(self._on_edited)
        session.chat.model_changed.connect(self._on_model)
        self._show()

    @property
    def busy(self) -> bool:
        """Whether the reward models are being listed."""
        return self.choice.busy

    @property
    def best_of(self) -> BestOf | None:
        """The chosen settings; None for a single reply, or if the open model cannot draw several."""
        run_id, n = self.choice.currentData(), int(self.number.value)
        if not self._can_draw or n < 2 or not run_id:
            return None
        return BestOf(run_id=str(run_id), name=self.choice.currentText(), n=n)

    @property
    def _can_draw(self) -> bool:
        model = self._session.chat.model
        return model is not None and model.is_chat_model and model.config.topology == "decoder-only"

    @Slot()
    def _on_edited(self) -> None:
        self._gone = ""
        if self.best_of is None:
            self._session.chat.release_reward_model()
        self._show()
        self.changed.emit()

    # -- The reward models ---------------------------------------------------------------------------------------------

    @Slot()
    def _on_model(self) -> None:
        self._session.chat.release_reward_model()
        self.choice.list_again()
        self._show()
        self.changed.emit()

    def _find(self) -> Callable[[], list[RewardModelInfo]] | None:
        tokenizer = self._session.chat.tokenizer
        if not self._can_draw or tokenizer is None:
            return None
        runs = self._session.runs.list()
        return lambda: reward_models(runs, tokenizer.to_str())

    @Slot(object)
    def _on_listed(self, found: list[RewardModelInfo]) -> None:
        chosen, name = self.choice.currentData(), self.choice.currentText()
        self._models = found
        with QSignalBlocker(self.choice):
            self.choice.clear()
            for each in found:
                self.choice.addItem(f"{each.name} ({each.problem})" if each.problem else each.name, each.run_id)
            items = self.choice.model()
            assert isinstance(items, QStandardItemModel)
            for i, each in enumerate(found):
                items.item(i).setEnabled(not each.problem)
            usable = [each.run_id for each in found if not each.problem]
            stays = chosen in usable
            # The only usable model is chosen automatically; a model that is gone is not replaced silently.
            is_obvious = chosen is None and len(usable) == 1
            pick = chosen if stays else usable[0] if is_obvious else None
            self.choice.setCurrentIndex(-1 if pick is None else self.choice.findData(pick))
        if chosen is not None and not stays:
            self._gone = "" if chosen in [each.run_id for each in found] else name
            self._session.chat.release_reward_model()
        self._show()
        if pick != chosen:
            self.changed.emit()

    @Slot()
    def _show(self) -> None:
        can_draw, found = self._can_draw, self._models or []
        can_score = any(not each.problem for each in found)
        is_on = self.best_of is not None
        why_not = ""
        if not can_draw:
            why_not = _NOT_THIS if self._session.chat.model is not None else NO_MODEL
        elif not can_score:
            why_not = LISTING if self._models is None else _OTHERS if found else _NO_MODEL
        for widget in (self.choice, self.number):
            set_enabled(widget, why_not)
        self.about.setText(why_not if why_not not in ("", NO_MODEL, LISTING) else _HOW if is_on else _ABOUT)
        n = int(self.number.value)
        problem = _GONE.format(name=self._gone) if self._gone else ""
        if not problem and can_draw and can_score and n > 1 and not self.choice.currentData():
            problem = f"{_NONE} that picks the best of {format_count(n, 'reply', 'replies')}."
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
