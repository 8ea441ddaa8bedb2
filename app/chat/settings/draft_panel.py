"""The settings of speculative decoding: the draft model for the open model, and the tokens drafted per pass."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.chat.settings.library_choice import LISTING, NO_MODEL, LibraryChoice
from terrarium.app.kit.basics import column, label, set_enabled
from terrarium.app.kit.forms.slider_row import SliderRow
from terrarium.app.kit.theme import SPACE
from terrarium.app.session.drafts import Drafting, DraftModelInfo, draft_models
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_compact
from terrarium.models.settings.sampling_config import MAX_DRAFTED, N_DRAFTED

_OFF = "No draft model (off)"
_N_TIP = (
    "This many tokens are drafted before the open model checks them in one pass; fewer while the draft is often "
    "wrong. It changes only the speed, not the reply."
)
_ABOUT = (
    "A small model drafts the next tokens, and the open model checks several of them in one pass. The replies are the "
    "open model’s own: the same at temperature 0, and equally likely otherwise."
)
_LARGER = "This one is not smaller than the open model, so replies will not be faster."
_NO_MODEL = (
    "No other model here has this model’s tokenizer: train a smaller one with the same tokenizer (Training, New run)."
)
_NOT_THIS = "Only for decoders: what this model writes cannot be drafted."
_DYNAMIC = "This model’s RoPE scaling is dynamic, so it cannot read several drafted tokens in one pass."
_BEST_OF = "Not used while the best of several replies is drawn: those are written all at once."
_GONE = "The draft model “{name}” is no longer in the library: choose another one."


class DraftPanel(QWidget):
    """Edits a `Drafting` for the open model.

    Signals:
        changed(): the draft model or the number has changed.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._models: list[DraftModelInfo] | None = None  # None until they have been listed
        self._gone, self._is_idle = "", False
        tip = "Which of your models with the same tokenizer drafts: the smaller, the faster"
        self.choice = LibraryChoice(session, "Draft model", tip, self._find, lambda: bool(self.choice.currentData()))
        self.choice.listed.connect(self._on_listed)
        self.choice.addItem(_OFF, "")
        self.number = SliderRow("Tokens drafted at once", _N_TIP, 1, MAX_DRAFTED)
        self.number.set_value(N_DRAFTED)
        self.about = label(_ABOUT, "caption", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.setLayout(column(self.about, self.choice, self.number, self.problem, spacing=SPACE))
        self.number.changed.connect(self._on_edited)
        self.choice.activated.connect(self._on_edited)
        session.chat.model_changed.connect(self._on_model)
        self._show()

    @property
    def busy(self) -> bool:
        """Whether the models are being listed."""
        return self.choice.busy

    @property
    def drafting(self) -> Drafting | None:
        """The chosen settings; None for no draft model, or if the open model does not support speculative decoding."""
        run_id, name = self.choice.currentData(), self.choice.currentText()
        if self._why_not or not run_id:
            return None
        known = next((each.name for each in self._models or () if each.run_id == run_id), name)
        return Drafting(run_id=str(run_id), name=known, n_tokens=int(self.number.value))

    @property
    def _why_not(self) -> str:
        """Why the open model does not support speculative decoding; "" if it does."""
        model = self._session.chat.model
        if model is None or model.config.topology != "decoder-only" or not model.writes:
            return _NOT_THIS
        return _DYNAMIC if model.config.rope_scaling == "dynamic" else ""

    def set_idle(self, is_idle: bool) -> None:
        """Set whether the draft model is unused because of best-of-n."""
        self._is_idle = is_idle
        self._show()

    @Slot()
    def _on_edited(self) -> None:
        self._gone = ""
        if self.drafting is None:
            self._session.chat.release_draft()
        self._show()
        self.changed.emit()

    # -- The draft models ----------------------------------------------------------------------------------------------

    @Slot()
    def _on_model(self) -> None:
        self._session.chat.release_draft()
        self.choice.list_again()
        self._show()

    def _find(self) -> Callable[[], list[DraftModelInfo]] | None:
        model, tokenizer = self._session.chat.model, self._session.chat.tokenizer
        if model is None or tokenizer is None or self._why_not:
            return None
        runs, run_id, config = self._session.runs.list(), model.run_id, model.config
        return lambda: draft_models(runs, run_id, config, tokenizer)

    @Slot(object)
    def _on_listed(self, found: list[DraftModelInfo]) -> None:
        before = {each.run_id: each.name for each in self._models or ()}
        chosen, self._models = self.choice.currentData(), found
        with QSignalBlocker(self.choice):
            self.choice.clear()
            self.choice.addItem(_OFF, "")
            for each in found:
                self.choice.addItem(f"{each.name} · {format_compact(each.n_parameters)} parameters", each.run_id)
            self.choice.setCurrentIndex(max(0, self.choice.findData(chosen)))
        if chosen and not self.choice.currentData():
            is_there = chosen in {info.id for info in self._session.runs.list()}  # but cannot draft for the open model
            self._gone = "" if is_there else before.get(chosen, "")
            self._session.chat.release_draft()
            self.changed.emit()
        self._show()

    @Slot()
    def _show(self) -> None:
        model, found, why_not = self._session.chat.model, self._models, self._why_not
        drafting = self.drafting
        if model is None:
            why_not = NO_MODEL
        elif not why_not and not found:
            why_not = LISTING if found is None else _NO_MODEL
        set_enabled(self.choice, why_not)
        set_enabled(self.number, why_not or ("" if drafting is not None else "Choose a draft model first."))
        self.about.setText(why_not if why_not not in ("", NO_MODEL, LISTING) else _ABOUT)
        size = next((each.n_parameters for each in found or () if drafting and each.run_id == drafting.run_id), 0)
        problem = _GONE.format(name=self._gone) if self._gone else ""
        if not problem and model is not None and size >= model.n_parameters:
            problem = _LARGER
        if not problem and drafting is not None and self._is_idle:
            problem = _BEST_OF
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
