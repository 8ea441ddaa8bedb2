"""The Vocabulary view: all tokens of a tokenizer, with search, filters, sorting, and counts in a corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QFileDialog, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import (
    EmptyState,
    button,
    column,
    frame,
    group,
    label,
    panes,
    row,
    set_role,
    splitter,
    stacked,
)
from terrarium.app.kit.inputs import choice, fill_choice, line_edit, named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.vocabulary.pictures import coverage_picture, describe_usage, lengths_picture, zipf_picture
from terrarium.app.tokenizer.vocabulary.token_facts import TokenFacts
from terrarium.app.tokenizer.vocabulary.token_finder import USE_FILTERS, Found, Query, TokenFinder
from terrarium.app.tokenizer.vocabulary.usage_counter import UsageCounter, UsageResult
from terrarium.app.tokenizer.vocabulary.vocabulary_table import VocabularyTable
from terrarium.app.worker.background import LatestTask, TaskQueue
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event, Progress
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.tokenizers.vocabulary.csv_file import write_vocabulary_csv
from terrarium.models.tokenizers.vocabulary.token_counts import Usage
from terrarium.models.tokenizers.vocabulary.token_types import TYPES
from terrarium.models.tokenizers.vocabulary.vocabulary import TYPE_NAMES, Vocabulary, read_vocabulary

_CSV = "Comma-separated values (*.csv)"
_USE_LABELS = {
    "produced": ("Occur", "Tokens that occur in the corpus"),
    "once": ("Occur once", "Occur once in the corpus: a model sees each of them once per epoch"),
    "step": ("Only steps", "Not produced themselves, but merged into longer tokens"),
    "never": (
        "Never produced",
        "Glitch candidates: a model learns nothing about them from this corpus, so its behaviour is undefined",
    ),
    "unreachable": ("Unreachable", "No text produces them: no merge makes them, or other tokens always win"),
}
_SEARCH_TIP = (
    "Text in a token (case-sensitive); a /regular expression/ between slashes, such as /^ un/; or #id. "
    "Spaces can be typed as such or as · (Ctrl+F)"
)


class VocabularyView(QWidget):
    """Filters above the table, the selected token beside it, and counts and charts below."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tokenizer: Tokenizer | None = None
        self._name = ""
        self._finder: TokenFinder | None = None
        self._reading, self._finding, self._writing = LatestTask(self), LatestTask(self), TaskQueue(self)
        self.filters = _VocabularyFilters()
        self.n_found = label("", "caption")
        self.export = button("CSV", theme, self.choose_file, icon="export", role="quiet")
        self.table = VocabularyTable(theme)
        self.facts = TokenFacts(theme)
        self.counter = UsageCounter(session, theme)
        self.status = ElidedLabel()
        self.words = label("", wrap=True, selectable=True)
        tip = "List the tokens that this corpus never produces: a model trained on it learns nothing about them"
        self.glitches = button("Show glitch candidates", theme, self._show_glitches, role="link", tip=tip)
        self.charts = VocabularyCharts(theme)
        self._build()
        self._connect()
        self.set_tokenizer(None, "")

    def _build(self) -> None:
        named(self.export, "Export as CSV", "Export the rows shown, in their order, as a CSV file")
        self._none = EmptyState("No tokenizer chosen", "Choose one on the left, or train one, to see its tokens.")
        self._busy = EmptyState("Reading the vocabulary…", "Every token with its bytes, type and merge.")
        self._nothing = EmptyState("No token matches", "Change the search, or choose all types and uses.")
        self._found = stacked(frame("card", WholeRows(self.table), margin=1), self._nothing)
        found = panes(self._found, self.facts, sizes=(760, 268), grows=0)
        bar = row(self.filters, self.export, grows=self.filters)
        upper = group(bar, row(self.n_found, self.status), found, grows=found)
        self._usage = group(row(self.words, self.glitches, grows=self.words))
        lower = group(self.counter, self._usage, self.charts, grows=self.charts)
        self._pages = stacked(self._none, self._busy, splitter(upper, lower, grows=0, vertical=True))
        self.setLayout(column(self._pages))

    def _connect(self) -> None:
        self._reading.done.connect(self._on_read)
        self._reading.failed.connect(self._on_failed)
        self._finding.done.connect(self._on_found)
        self._finding.failed.connect(self._on_failed)
        self._finding.events_received.connect(self._on_progress)
        self._writing.done.connect(self._say)
        self._writing.failed.connect(self._on_failed)
        self.filters.changed.connect(self._find)
        self.filters.submitted.connect(self._go_to_table)
        self.table.sort_changed.connect(self._find)
        self.table.token_changed.connect(self.facts.show_row)
        self.facts.token_requested.connect(self._show_token)
        self.counter.counted.connect(self._on_counted)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self, self._go_to_search)

    # -- Contents ------------------------------------------------------------------------------------------------------

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The vocabulary; None if there is none or it is still being read."""
        return None if self._finder is None else self._finder.vocabulary

    @property
    def usage(self) -> Usage | None:
        """The counts; None until a corpus was counted."""
        return None if self._finder is None else self._finder.usage

    @property
    def busy(self) -> bool:
        """Whether any background task is running."""
        return self.counter.busy or self._reading.busy or self._finding.busy or self._writing.busy

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Show this tokenizer of the library; None for none."""
        self._tokenizer, self._name, self._finder = tokenizer, name, None
        self._reading.cancel()
        self._finding.cancel()
        self.counter.set_vocabulary(None, None)
        self._show_parts(None, None)
        self._pages.setCurrentWidget(self._none if tokenizer is None else self._busy)
        self._say("")
        if tokenizer is not None:
            self._reading.ask(lambda: read_vocabulary(tokenizer))

    def set_text(self, text: str) -> None:
        """Offer the text of the tab as a corpus."""
        self.counter.picker.set_text(text)

    @Slot(object)
    def _on_read(self, table: Vocabulary) -> None:
        self._finder = TokenFinder(table, None)
        self._show_parts(table, None)
        self.counter.set_vocabulary(self._tokenizer, table)
        self._pages.setCurrentIndex(2)

    @Slot(object)
    def _on_counted(self, result: UsageResult) -> None:
        assert self._finder is not None
        self._finder = self._finder.with_usage(result.usage)
        table = self._finder.vocabulary
        self.words.setText(describe_usage(table, result.usage, result.corpus))
        n = result.usage.n("never", "unreachable")
        self.glitches.setText(f"Show {format_count(n, 'glitch candidate')}")
        self.glitches.setVisible(n > 0)
        self._show_parts(table, result.usage)

    def _show_parts(self, table: Vocabulary | None, usage: Usage | None) -> None:
        """Set the vocabulary of all parts, and search again."""
        self._usage.setVisible(usage is not None)
        self.facts.set_vocabulary(table, usage)
        if table is not None:
            self.filters.set_vocabulary(table, usage)
            self.charts.show_vocabulary(table, usage)
        self.table.set_vocabulary(table, usage)
        self._find()

    # -- Search --------------------------------------------------------------------------------------------------------

    @Slot()
    def _find(self) -> None:
        finder, filters = self._finder, self.filters
        if finder is None:
            return
        column, descending = self.table.sorting
        query = Query(text=filters.text, type=filters.type, use=filters.use, column=column, descending=descending)
        self._finding.drive(lambda: finder.find(query))

    @Slot(object)
    def _on_found(self, found: Found) -> None:
        assert self._finder is not None
        n, n_all = len(found.rows), len(self._finder.vocabulary)
        self.n_found.setText(format_count(n_all, "token") if n == n_all else f"{n:,} of {format_count(n_all, 'token')}")
        self.filters.show_problem(bool(found.problem))
        self._say(found.problem, failed=bool(found.problem))
        self.export.setEnabled(n > 0)
        self.table.show_rows(found.rows)
        self.table.select(self.facts.row)
        self._found.setCurrentIndex(0 if n else 1)

    @Slot(object)
    def _on_progress(self, events: tuple[Event, ...]) -> None:
        last = events[-1]
        if isinstance(last, Progress):
            self.n_found.setText(f"Searching: {format_percent(last.done / last.total)}")

    @Slot()
    def _show_glitches(self) -> None:
        self.filters.show_only(use="never")
        self._go_to_table()

    @Slot(int)
    def _show_token(self, row: int) -> None:
        """Show a token in the card, whether or not the table contains it."""
        if self.table.select(row):
            self.table.scrollTo(self.table.currentIndex())
        self.facts.show_row(row)

    @Slot()
    def _go_to_search(self) -> None:
        self.filters.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filters.search.selectAll()

    @Slot()
    def _go_to_table(self) -> None:
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- Files and failures --------------------------------------------------------------------------------------------

    @Slot()
    def choose_file(self) -> None:
        """Ask for a file, and export the shown rows to it."""
        path, _ = QFileDialog.getSaveFileName(self, "Export the vocabulary", f"{self._name}-vocabulary.csv", _CSV)
        if path:
            self.export_to(Path(path))

    def export_to(self, path: Path) -> None:
        """Export the shown rows, in their order, as a CSV file; the status line reports the result."""
        finder, rows = self._finder, self.table.records
        if finder is None:
            return

        def write() -> str:
            write_vocabulary_csv(path, finder.vocabulary, finder.usage, rows)
            return f"{format_count(len(rows), 'token')} written to {path}"

        self._writing.ask(write)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._pages.setCurrentIndex(2)
        self._say(failure.sentence, failed=True)

    def _say(self, words: str, *, failed: bool = False) -> None:
        self.status.setText(words)
        set_role(self.status, "error" if failed else "caption")


class _VocabularyFilters(QWidget):
    """Search, type and use side by side; choices without matches are left out.

    Signals:
        changed(): `text`, `type` or `use` has changed.
        submitted(): the user wants to move to the results.
    """

    changed = Signal()
    submitted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = line_edit("Search", _SEARCH_TIP, "Text, /regular expression/ or #id", clears=True)
        self.search.setMinimumWidth(140)
        self.search.textChanged.connect(self.changed)
        self.search.returnPressed.connect(self.submitted)
        self.types = choice("Type", "Show tokens of one type only")
        self.uses = choice("Use", "Show only tokens that the corpus uses in one way")
        self.types.currentIndexChanged.connect(self.changed)
        self.uses.currentIndexChanged.connect(self.changed)
        for key, act in ((Qt.Key.Key_Down, self.submitted.emit), (Qt.Key.Key_Escape, self.search.clear)):
            shortcut = QShortcut(QKeySequence(key), self.search, act)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)  # PySide ignores it beside a callable
        self.setLayout(row(self.search, self.types, self.uses, grows=self.search))

    @property
    def text(self) -> str:
        """The search text."""
        return self.search.text()

    @property
    def type(self) -> str:
        """One of TYPES, "" for all."""
        return str(self.types.currentData() or "")

    @property
    def use(self) -> str:
        """One of USE_FILTERS, "" for all."""
        return str(self.uses.currentData() or "")

    def set_vocabulary(self, vocabulary: Vocabulary, usage: Usage | None) -> None:
        """Offer the types and uses that occur, with counts; the choice remains if it is still offered."""
        n_of = np.bincount(vocabulary.types, minlength=len(TYPE_NAMES)).tolist()
        types = [(f"{name.capitalize()} ({n:,})", name, TYPES[name]) for name, n in zip(TYPES, n_of, strict=True) if n]
        _fill(self.types, "All types", types)
        uses = []
        for name, (words, tip) in _USE_LABELS.items():
            if usage is not None:
                n = usage.n(*USE_FILTERS[name])
            else:
                n = int(np.count_nonzero(~vocabulary.reachable)) if name == "unreachable" else 0
            if n:
                uses.append((f"{words} ({n:,})", name, tip))
        _fill(self.uses, "All uses", uses)

    def show_only(self, *, use: str) -> None:
        """Reset the other filters, and show all tokens with this use."""
        with QSignalBlocker(self.search), QSignalBlocker(self.types), QSignalBlocker(self.uses):
            self.search.clear()
            self.types.setCurrentIndex(0)
            self.uses.setCurrentIndex(max(self.uses.findData(use), 0))
        self.changed.emit()

    @Slot(bool)
    def show_problem(self, is_wrong: bool) -> None:
        """Mark the search text as invalid, or valid again."""
        if bool(self.search.property("invalid")) != is_wrong:
            set_role(self.search, "", invalid="true" if is_wrong else "")


def _fill(box: QComboBox, all_words: str, entries: list[tuple[str, str, str]]) -> None:
    named = {value: words for words, value, _ in entries}
    fill_choice(box, {"": all_words, **named}, box.currentData(), {value: tip for _, value, tip in entries})
    box.setEnabled(bool(entries))


class VocabularyCharts(QWidget):
    """Three charts; a hint replaces the last two before counting."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lengths, self.zipf, self.coverage = (PlotView(theme, has_y=True, is_boxed=True) for _ in range(3))
        self.zipf.is_log = True
        pair = group(row(self.zipf, self.coverage, grows=(self.zipf, self.coverage)))
        self._hint = EmptyState(
            "Nothing counted yet",
            "Choose a corpus above and click Count to see how often each token occurs, and which never do.",
        )
        self._pages = stacked(self._hint, pair)
        grows = {self.lengths: 1, self._pages: 2}
        self.setLayout(column(frame("card", self.lengths, self._pages, horizontal=True, margin=SPACE, grows=grows)))

    def sizeHint(self) -> QSize:
        return QSize(720, 168)

    @property
    def has_counts(self) -> bool:
        """Whether frequency by rank and coverage are shown: tokens were counted."""
        return self._pages.currentIndex() == 1

    def show_vocabulary(self, vocabulary: Vocabulary, usage: Usage | None) -> None:
        """Draw the charts; without `usage`, only the lengths."""
        self.lengths.show_spec(lengths_picture(vocabulary))
        self._pages.setCurrentIndex(0 if usage is None else 1)
        if usage is not None:
            self.zipf.show_spec(zipf_picture(vocabulary, usage))
            self.coverage.show_spec(coverage_picture(usage))
