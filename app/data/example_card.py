"""A row as a model input: its tokens with their ids, the loss mask, and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.kit.basics import (
    button,
    column,
    group,
    headed,
    label,
    row,
    set_ends,
    show_if,
    show_only,
    show_words,
)
from terrarium.app.kit.inputs import choice, fill_choice
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
        self.tokenizer = choice(
            "Tokenizer of the example",
            "The tokenizer that cuts this example into tokens. It changes nothing in the data.",
            width=10,
        )
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
        texts = [each for pair in zip(self.titles, self.tokens, strict=True) for each in pair]
        learned = self._answer_caption, self.answers, self.what_counts
        self._shown = group(*learned, *texts, self.legend, grows=self.tokens)
        self.setLayout(
            column(
                headed("As the model will see it", explained=self),
                row(self.tokenizer, self.back, self.count, self.forward, spacing=SPACE // 2, grows=self.tokenizer),
                self._shown,
                self.note,
                None,
                margin=SPACE + SPACE // 2,
                grows=self._shown,
            )
        )
        self._task = LatestTask(self)
        self._task.done.connect(self._on_seen)
        self._task.failed.connect(self._on_failed)
        self.tokenizer.activated.connect(self._on_tokenizer)
        session.tokenizers.list_changed.connect(self._reload)
        session.tokenizers.changed.connect(self._reload)
        session.runs.changed.connect(self._reload)
        self._reload()
        self.clear("")

    @property
    def busy(self) -> bool:
        """Whether an example is being computed."""
        return self._task.busy

    def show_row(self, task: str, values: Row, labels: Sequence[str], at: int, n: int) -> None:
        """Show row `at` (from 0) of `n`, encoded for its task."""
        self.count.setText(f"{at + 1} of {n}")
        set_ends(self.back, self.forward, at, n)
        show_if(n > 1, self.back, self.count, self.forward)
        self._wanted = task, values, tuple(labels)
        self._refresh()

    def clear(self, sentence: str) -> None:
        """Show a sentence instead of an example."""
        self._wanted = self.seen = None
        self._task.cancel()
        show_if(False, self._shown, self.back, self.count, self.forward)
        show_words(self.note, sentence)

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
            show_if(text is not None, title, tokens)
            if text is not None:
                more = f" · {text.tokens.n_left_out:,} more tokens not shown" if text.tokens.n_left_out else ""
                title.setText(f"{text.title}{more}")
                tokens.setAccessibleName(text.title)
                tokens.show_row(text.tokens)
        marked = any(text.tokens.predicted for text in seen.texts)
        self.legend.show_marks(("predicted", "") if marked else ("",))
        self.what_counts.setText(seen.what_counts)
        self.answers.setText("\n".join(seen.answers))
        show_only({self.answers: seen.answers, self._answer_caption: seen.answers, self.note: False, self._shown: True})

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
        entries = {name: f"{words} (imported model)" if name in models else words for name, words in known.items()}
        entries[_BYTES] = "Bytes (needs no training)"
        chosen = wanted if wanted in names else _BYTES
        fill_choice(self.tokenizer, entries, chosen, tips={_BYTES: "Each byte is a token"})
        self._tokenizers = {name: made for name, made in self._tokenizers.items() if name in names or not name}
        if self.tokenizer.currentData() != was:
            self.tokenizer_chosen.emit(self.tokenizer.currentData())
            self._refresh()
