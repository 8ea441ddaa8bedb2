"""A row as a model input: its tokens with their ids, the loss mask, and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QVBoxLayout, QWidget

from terrarium.app.kit.basics import button, column, headed, label, plain_tip, row, set_ends
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.marked_tokens import MarkedTokens, MarkLegend
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.tasks.seen_example import SeenExample

_BYTES = ""
_MAX_TEXTS = 2
Row = Mapping[str, Any]


class ExampleCard(QFrame):
    """Shows a row, encoded with a tokenizer of the library or of an imported model, or as bytes.

    Signals:
        tokenizer_chosen(name): another tokenizer was chosen, by name or path; '' for bytes.
        step_requested(by): the user wants the next (1) or previous (-1) row.
    """

    tokenizer_chosen = Signal(str)
    step_requested = Signal(int)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._session = session
        self._wanted: tuple[str, Row, tuple[str, ...]] | None = None
        self._is_touched = False
        self.seen: SeenExample | None = None
        self._models: Mapping[str, str] = {}  # folder of an imported model -> its name
        self._tokenizers: dict[str, tuple[Any, Any]] = {}
        """Name or path ("" for bytes) -> the tokenizer, and the chat template of an imported model."""
        self.tokenizer: QComboBox = ElidedCombo()
        self.tokenizer.setAccessibleName("Tokenizer of the example")
        self.tokenizer.setToolTip(
            plain_tip("The tokenizer that cuts this example into tokens. It changes nothing in the data.")
        )
        self.tokenizer.setMinimumContentsLength(10)
        self.tokenizer.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        keep_wheel_for_scrolling(self.tokenizer)
        self.back = button(
            "", theme, lambda: self.step_requested.emit(-1), icon="caret-left", role="quiet-icon", tip="Previous row"
        )
        self.forward = button(
            "", theme, lambda: self.step_requested.emit(1), icon="caret-right", role="quiet-icon", tip="Next row"
        )
        self.count = label("", "muted")
        self.titles = [label("", "caption", wrap=True) for _ in range(_MAX_TEXTS)]
        self.tokens = [MarkedTokens(theme) for _ in range(_MAX_TEXTS)]
        for tokens in self.tokens:
            tokens.set_show_ids(True)
            tokens.setMinimumHeight(72)
        self.legend = MarkLegend(theme)
        self.what_counts = label("", "caption", wrap=True)
        self._answer_caption = label("What is to be learned", "caption")
        self.answers = label("", "accent", wrap=True, selectable=True)
        self.note = label("", "muted", wrap=True)
        self._shown = QWidget()
        self._shown.setLayout(self._body())
        lines = QVBoxLayout(self)
        margin = SPACE + SPACE // 2
        lines.setContentsMargins(margin, margin, margin, margin)
        lines.setSpacing(SPACE)
        lines.addLayout(headed("As the model will see it", explained=self))
        which = row(self.tokenizer, self.back, self.count, self.forward, spacing=SPACE // 2)
        which.setStretch(0, 1)
        lines.addLayout(which)
        lines.addWidget(self._shown, 1)
        lines.addWidget(self.note)
        lines.addStretch(0)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_seen)
        self._task.failed.connect(self._on_failed)
        self.tokenizer.activated.connect(self._on_tokenizer)
        session.tokenizers.list_changed.connect(self._reload)
        session.tokenizers.changed.connect(self._reload)
        session.runs.changed.connect(self._reload)
        self._reload()
        self.clear("")

    def _body(self) -> QVBoxLayout:
        lines = column(self._answer_caption, self.answers, self.what_counts)
        for title, tokens in zip(self.titles, self.tokens, strict=True):
            lines.addWidget(title)
            lines.addWidget(tokens, 1)
        lines.addWidget(self.legend)
        return lines

    @property
    def busy(self) -> bool:
        """Whether an example is being computed."""
        return self._task.busy

    def show_row(self, task: str, values: Row, labels: Sequence[str], at: int, n: int) -> None:
        """Show row `at` (from 0) of `n`, encoded for its task."""
        self.count.setText(f"{at + 1} of {n}")
        set_ends(self.back, self.forward, at, n)
        for widget in (self.back, self.count, self.forward):
            widget.setVisible(n > 1)
        self._wanted = task, values, tuple(labels)
        self._refresh()

    def clear(self, sentence: str) -> None:
        """Show a sentence instead of an example."""
        self._wanted = self.seen = None
        self._task.cancel()
        for widget in (self._shown, self.back, self.count, self.forward):
            widget.hide()
        self.note.setText(sentence)
        self.note.setVisible(bool(sentence))

    def _refresh(self) -> None:
        if self._wanted is None:
            return
        task, values, labels = self._wanted
        name, known, library = self.tokenizer.currentData(), self._tokenizers, self._session.library
        models = self._models

        def work() -> SeenExample:
            from terrarium.models.interop.chat_templates import read_template_config
            from terrarium.models.tasks.seen_example import see_example
            from terrarium.models.tokenizers import load_tokenizer, train_tokenizer

            if name not in known:
                tokenizer = load_tokenizer(name, library) if name else train_tokenizer([""], "byte", 0)
                known[name] = tokenizer, read_template_config(Path(name)) if name in models else None
            tokenizer, template = known[name]
            return see_example(task, values, tokenizer, labels, template)

        self._task.ask(work)

    @Slot(object)
    def _on_seen(self, seen: SeenExample) -> None:
        self.seen = seen
        shown = [*seen.texts, *[None] * (_MAX_TEXTS - len(seen.texts))]
        for text, title, tokens in zip(shown, self.titles, self.tokens, strict=True):
            for widget in (title, tokens):
                widget.setVisible(text is not None)
            if text is not None:
                more = f" · {text.tokens.n_left_out:,} more tokens not shown" if text.tokens.n_left_out else ""
                title.setText(f"{text.title}{more}")
                tokens.setAccessibleName(text.title)
                tokens.show_row(text.tokens)
        marked = any(text.tokens.predicted for text in seen.texts)
        self.legend.show_marks(("predicted", "") if marked else ("",))
        self.what_counts.setText(seen.what_counts)
        self.answers.setText("\n".join(seen.answers))
        for widget in (self.answers, self._answer_caption):
            widget.setVisible(bool(seen.answers))
        self.note.hide()
        self._shown.show()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        wanted = self._wanted
        self.clear(failure.sentence)
        self._wanted = wanted

    @Slot()
    def _on_tokenizer(self) -> None:
        self._is_touched = True
        self.tokenizer_chosen.emit(self.tokenizer.currentData())
        self._refresh()

    @Slot()
    def _reload(self) -> None:
        """List the tokenizers of the library and of imported models; the default is the tokenizer tab's current one."""
        tokenizers = self._session.tokenizers
        self._models = models = {
            str(run.folder): run.name
            for run in self._session.runs.known()
            if run.status == "imported" and run.has_model
        }
        known = {info.name: info.name for info in tokenizers.list() if info.problem is None} | models
        names = list(known)
        was = self.tokenizer.currentData()
        wanted = was if self._is_touched and was in names else tokenizers.name
        with QSignalBlocker(self.tokenizer):
            self.tokenizer.clear()
            for name, words in known.items():
                self.tokenizer.addItem(f"{words} (imported model)" if name in models else words, name)
            self.tokenizer.addItem("Bytes (needs no training)", _BYTES)
            self.tokenizer.setItemData(len(names), "Each byte is a token", Qt.ItemDataRole.ToolTipRole)
            self.tokenizer.setCurrentIndex(names.index(wanted) if wanted in names else len(names))
        self._tokenizers = {name: made for name, made in self._tokenizers.items() if name in names or not name}
        if self.tokenizer.currentData() != was:
            self.tokenizer_chosen.emit(self.tokenizer.currentData())
            self._refresh()
