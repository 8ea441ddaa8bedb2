"""The choice of a second model for the open one, and of a number: a draft model, a reward model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtGui import QShowEvent, QStandardItemModel
from PySide6.QtWidgets import QComboBox, QWidget

from terrarium.app.kit.basics import column, label, plain_tip, set_enabled
from terrarium.app.kit.forms.slider_row import SliderRow
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.theme import SPACE
from terrarium.app.session.second_models import SecondModel
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.number_words import format_compact

NO_MODEL, _LISTING = "No model is open.", "The models are being listed."
"""Why nothing can be chosen yet; said by grey editors only."""


@dataclass(frozen=True, kw_only=True)
class PanelWords:
    """What a SecondModelPanel says.

    name, tip: of the choice. off: its entry for no model, chosen at first; "" if the number switches it off, and the
    only usable model is chosen by itself. unchosen: shown while none is chosen. about: what it is for; in_use: the same
    while it is used. none: the library has no such model. unusable: none of those it has can be used. wanted: why the
    number cannot be set while no model is chosen.
    """

    name: str
    tip: str
    about: str
    none: str
    off: str = ""
    unchosen: str = ""
    in_use: str = ""
    unusable: str = ""
    wanted: str = ""


class SecondModelPanel(QWidget):
    """A model of the library beside the open one, and a number. The list is read when the panel is first shown, and
    again whenever the runs change; a chosen model that is gone is named, and not replaced by another.

    Args:
        number: edits the number.
        least: the number from which on the model is used.
        check: returns why the open model cannot have a second one, or "".
        find: returns what lists the models for the open one, to be called in the background.
        advise: returns what is wrong with the chosen model and number, or "".
        release: takes the model out of memory, when it is no longer used.

    Signals:
        changed(): `chosen` or the number may have changed.
    """

    changed = Signal()

    def __init__(
        self,
        session: Session,
        words: PanelWords,
        number: SliderRow,
        *,
        least: int = 1,
        check: Callable[[], str],
        find: Callable[[], Callable[[], Sequence[SecondModel]]],
        advise: Callable[[SecondModel | None], str],
        release: Callable[[], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._words, self.number = session, words, number
        self._least, self._check, self._find, self._advise, self._release = least, check, find, advise, release
        self._models: Sequence[SecondModel] | None = None  # None until they have been listed
        self._gone, self._is_stale = "", True
        self._task = LatestTask(self)
        self._task.done.connect(self._on_listed)
        self._task.failed.connect(session.notices.fail)
        self.choice = ElidedCombo()
        self.choice.setAccessibleName(words.name)
        self.choice.setToolTip(plain_tip(words.tip))
        self.choice.setMinimumContentsLength(12)
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setPlaceholderText(words.unchosen)
        if words.off:
            self.choice.addItem(words.off, "")
        self.about = label(words.about, "caption", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.setLayout(column(self.about, self.choice, self.number, self.problem, spacing=SPACE))
        self.number.changed.connect(self._on_edited)
        self.choice.activated.connect(self._on_edited)
        session.chat.model_changed.connect(self._on_model)
        session.runs.changed.connect(self._list_again)
        self.show_state()

    @property
    def busy(self) -> bool:
        """Whether the models are being listed."""
        return self._task.busy

    @property
    def chosen(self) -> SecondModel | None:
        """The chosen model; None for none, or if the open model cannot have one."""
        run_id = self.choice.currentData()
        if not run_id or self._check():
            return None
        return next((each for each in self._models or () if each.run_id == run_id), None)

    @property
    def used(self) -> SecondModel | None:
        """The chosen model if the number lets it be used, else None."""
        return self.chosen if self.number.value >= self._least else None

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self._list()

    @Slot()
    def show_state(self) -> None:
        """Show what can be chosen, and what is wrong with what was."""
        words, found, chosen = self._words, self._models, self.chosen
        why_not = self._check() if self._session.chat.model is not None else NO_MODEL
        if not why_not and all(each.problem for each in found or ()):
            why_not = _LISTING if found is None else words.unusable if found else words.none
        set_enabled(self.choice, why_not)
        set_enabled(self.number, why_not or ("" if chosen is not None else words.wanted))
        about = words.in_use or words.about if self.used is not None else words.about
        self.about.setText(about if why_not in ("", NO_MODEL, _LISTING) else why_not)
        problem = "" if why_not else self._advise(chosen)
        if self._gone:
            problem = f"The {words.name.lower()} “{self._gone}” is no longer in the library: choose another one."
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))

    @Slot()
    def _on_edited(self) -> None:
        self._gone = ""
        if self.used is None:
            self._release()
        self.show_state()
        self.changed.emit()

    @Slot()
    def _on_model(self) -> None:
        self._release()
        self._list_again()
        self.show_state()
        self.changed.emit()

    @Slot()
    def _list_again(self) -> None:
        self._is_stale = True
        if self.isVisible() or self.used is not None:
            self._list()

    def _list(self) -> None:
        if self._session.chat.tokenizer is not None and not self._check():
            self._is_stale = False
            self._task.ask(self._find())

    @Slot(object)
    def _on_listed(self, found: Sequence[SecondModel]) -> None:
        chosen, names = self.choice.currentData() or None, {each.run_id: each.name for each in self._models or ()}
        usable = [each.run_id for each in found if not each.problem]
        is_obvious = not self._words.off and chosen is None and len(usable) == 1
        pick = chosen if chosen in usable else usable[0] if is_obvious else None
        self._models = found
        self._offer(pick)
        if chosen is not None and pick is None:
            is_there = chosen in {info.id for info in self._session.runs.list()}  # but it cannot be used
            self._gone = "" if is_there else names.get(chosen, "")
            self._release()
        self.show_state()
        if pick != chosen:
            self.changed.emit()

    def _offer(self, pick: str | None) -> None:
        """Fill the choice, with `pick` chosen."""
        with QSignalBlocker(self.choice):
            self.choice.clear()
            if self._words.off:
                self.choice.addItem(self._words.off, "")
            items = self.choice.model()
            assert isinstance(items, QStandardItemModel)
            for each in self._models or ():
                size = f" · {format_compact(each.n_parameters)} parameters" if each.n_parameters else ""
                self.choice.addItem(each.name + (f" ({each.problem})" if each.problem else size), each.run_id)
                items.item(items.rowCount() - 1).setEnabled(not each.problem)
            self.choice.setCurrentIndex(self.choice.findData(pick or ""))
