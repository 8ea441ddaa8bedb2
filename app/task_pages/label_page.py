"""The page for models that predict labels or a number for a text: bars that are updated while typing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QMenu, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.basics import button, column, group, label, row, show_words, titled_card, without_mnemonic
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.routes import DoToRun, NewRun
from terrarium.app.session.session import Session
from terrarium.app.session.undo import Step
from terrarium.app.task_pages.task_page import TaskPage, text_box
from terrarium.app.task_pages.task_questions import Answered
from terrarium.app.worker.background import LatestTask
from terrarium.models.library.run_notes import find_correction, read_corrections, set_correction
from terrarium.models.number_words import format_count, format_prob, with_minus

_MAX_BARS = 24
_NOTHING = "Write a text: the answer follows as you type."
_ABOUT = {
    "classification": "Probabilities of {n}, which sum to 100 %. The run's Scores say how far they can be trusted.",
    "multi-label": "The probability of each of {n} by itself. Those above 50 % are given.",
    "regression": "A number, as in the training data.",
}


class LabelPage(TaskPage):
    """A text, or two, and a bar for each label."""

    modes = ("classify",)

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.text = text_box("Text", "Write a text for the model to label.", 5)
        self.setFocusProxy(self.text)
        self.pair = text_box("Second text", "A second text, which the model reads after the first.", 3)
        self.add = button(
            "Second text", theme, self._on_pair, icon="plus", role="quiet", tip="Label two texts together"
        )
        self.verdict = label("", "heading", wrap=True)
        self.sure = label("", "muted", wrap=True)
        self.bars = IntervalBars("Probabilities of the labels", theme)
        self.note = label("", "caption", wrap=True)
        self.correcting = _Correcting(session, theme)
        left = group(self.text, self.pair, row(self.add, None), grows={self.text: 2, self.pair: 1})
        right = group(titled_card("", self.verdict, self.sure, self.bars, self.note, self.correcting), None)
        self.pair.hide()
        self.text.text_changed.connect(self.on_edited)
        self.pair.text_changed.connect(self.on_edited)
        self._build(left, right)

    def _on_pair(self) -> None:
        self._show_pair(is_shown=self.pair.isHidden())
        self.on_edited()

    def _show_pair(self, *, is_shown: bool) -> None:
        self.pair.setVisible(is_shown)
        self.add.setText("Without a second text" if is_shown else "Second text")
        self._theme.set_icon(self.add, "minus" if is_shown else "plus")

    def show_model(self, model: ChatModel) -> None:
        self.correcting.show_model(model)
        self.note.setText(_ABOUT.get(model.task, "").format(n=format_count(len(model.labels), "label")))

    def row(self) -> Mapping[str, Any] | None:
        text = self.text.text
        if not text.strip():
            return None
        second = "" if self.pair.isHidden() else self.pair.text
        return {"text": text, "text_pair": second} if second.strip() else {"text": text}

    def show_example(self, row: Mapping[str, Any]) -> None:
        self.text.set_text(row["text"])
        self.pair.set_text(row.get("text_pair") or "")
        self._show_pair(is_shown=bool(row.get("text_pair")))

    def show_answer(self, answered: Answered | None) -> str:
        found = answered.prediction if answered is not None else None
        own = found.value if found is not None and isinstance(found.value, str) else ""
        self.correcting.show_answer(answered.row if answered is not None else None, own)
        model = self._session.chat.model
        labels = model.labels if model is not None else ()
        self.bars.setVisible(bool(labels))
        if found is None:
            self.verdict.setText("")
            self.sure.setText(_NOTHING)
            self.bars.show_bars([Bar(name=name, share=None, text="–") for name in labels[:_MAX_BARS]])
            return ""
        if isinstance(found.value, float):
            self.verdict.setText(with_minus(f"{found.value:.3f}"))
            self.sure.setText("")
            return self.verdict.text()
        given = [found.value] if isinstance(found.value, str) else found.value
        self.verdict.setText(", ".join(given) or "No label")
        sure = "" if found.score is None else f"{format_prob(found.score)} sure"
        self.sure.setText(f"{sure} on average over the labels" if isinstance(found.value, list) and sure else sure)
        shown = list(found.probabilities.items())
        if len(shown) > _MAX_BARS:  # if all fit, they stay in the model's order, so that no bar moves
            shown = sorted(shown, key=lambda item: -item[1])[:_MAX_BARS]
        self.bars.show_bars(
            [
                Bar(name=name, share=p, text=format_prob(p), tone="accent" if name in given else "faint")
                for name, p in shown
            ]
        )
        return f"{self.verdict.text()}, {self.sure.text()}" if sure else self.verdict.text()


class _Correcting(QWidget):
    """Corrections of a predicted label, which are saved with its run and can be used for fine-tuning.

    Buttons below the answer of a single-label classifier; hidden without an answer, or a run to save them with.

    kept: the corrections of the open model.
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._folder: Path | None = None
        self._run_id, self._labels = "", tuple[str, ...]()
        self._row: Mapping[str, Any] | None = None
        self._made = self._tuned = self._own = ""
        self.kept: list[dict[str, Any]] = []
        self.correct = button(
            "Correct…", theme, icon="pencil-simple", tip="Say which label is right: it is kept with this model's run"
        )
        self.menu = QMenu(self.correct)
        self.menu.aboutToShow.connect(self._fill)
        self.correct.setMenu(self.menu)
        self.tune = button(
            "",
            theme,
            self._make_dataset,
            icon="graduation-cap",
            role="quiet",
            tip="Make a dataset of your corrections, and set up a fine-tuning of this model on them",
        )
        self.said = label("", "caption", wrap=True)
        lines = column(self.said)
        lines.addLayout(row(self.correct, self.tune, None))
        self.setLayout(lines)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_made)
        self._task.failed.connect(session.notices.fail)
        session.datasets.added.connect(self._on_added)
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether the dataset of the corrections is being created."""
        return self._task.busy

    def show_model(self, model: ChatModel) -> None:
        """Load the corrections of another open model."""
        runs = self._session.runs
        can_keep = model.task == "classification" and runs.has(model.run_id)
        self._run_id, self._labels = model.run_id, tuple(model.labels)
        self._folder = runs.find(model.run_id).folder if can_keep else None
        self._read()

    def show_answer(self, row: Mapping[str, Any] | None, own: str = "") -> None:
        """Show the correction of another text, which the model labelled `own`; None for no text."""
        self._row, self._own = row, own
        self._show()

    def _read(self) -> None:
        self.kept = []
        if self._folder is not None and not self._session.notices.attempt(self._take_up):
            self._folder = None
        self._show()

    def _take_up(self) -> None:
        assert self._folder is not None
        self.kept = read_corrections(self._folder)

    @property
    def corrected(self) -> str | None:
        """The label that the user gave to the text, or None."""
        return None if self._row is None else find_correction(self.kept, self._row)

    @Slot()
    def _show(self) -> None:
        n, right = len(self.kept), self.corrected
        self.setVisible(self._folder is not None and self._row is not None)
        show_words(self.said, f"You corrected this to “{right}”." if right is not None else "")
        show_words(self.tune, f"Fine-tune on {format_count(n, 'correction')}…" if n else "")

    @Slot()
    def _fill(self) -> None:
        """Fill the menu with the labels: the current one is checked, and a correction can be removed."""
        self.menu.clear()
        right = self.corrected
        for name in self._labels:
            action = self.menu.addAction(without_mnemonic(name))
            action.setCheckable(True)
            action.setChecked(name == (self._own if right is None else right))
            action.triggered.connect(lambda checked=False, name=name: self.give(name))
        if right is not None:
            self.menu.addSeparator()
            self.menu.addAction("Take the correction back").triggered.connect(lambda: self.give(None))

    def give(self, right: str | None) -> None:
        """Save the right label of the text, or remove the correction (None); undoable.

        The model's own answer counts as no correction, and removes one.
        """
        right = None if right == self._own else right
        before, given, folder = self.corrected, self._row, self._folder
        if given is None or folder is None or right == before:
            return

        def keep(name: str | None) -> bool:
            is_kept = self._session.notices.attempt(lambda: set_correction(folder, given, name))
            if is_kept and folder == self._folder:
                self._read()
            return is_kept

        if keep(right):
            words = f"correction to “{right}”" if right is not None else "removal of a correction"
            self._session.undo.add("chat", Step(words, lambda: keep(before), lambda: keep(right)))

    # -- Training ------------------------------------------------------------------------------------------------------

    def _make_dataset(self) -> None:
        folder, library, labels, run_id = self._folder, self._session.library, self._labels, self._run_id
        assert folder is not None

        def work() -> tuple[str, str, str]:
            from terrarium.models.data.corrections import build_corrections_corpus
            from terrarium.models.runs.run_folder import RunFolder

            made = build_corrections_corpus(library, RunFolder.open(folder), labels)
            return made.corpus.sha, made.sentence, run_id

        self._task.ask(work)

    @Slot(object)
    def _on_made(self, made: tuple[str, str, str]) -> None:
        self._made, sentence, self._tuned = made
        self._session.notices.say(sentence)
        self._session.datasets.add(self._made)

    @Slot(str)
    def _on_added(self, sha: str) -> None:
        if sha == self._made:
            self._made = ""
            self._session.go(DoToRun(self._tuned, "tune"))
            self._session.go(NewRun(dataset=sha))
