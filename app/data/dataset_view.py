"""A dataset of the library: its description, first rows, the runs that use it, and a row as a model input."""

from __future__ import annotations

import itertools
import json
from functools import partial
from typing import Any

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.data.example_card import ExampleCard
from terrarium.app.data.importing.column_table import row_column
from terrarium.app.data.importing.role_words import role_title
from terrarium.app.kit.basics import (
    add_menu,
    button,
    column,
    frame,
    label,
    row,
    scrolling,
    show_if,
    titled_card,
)
from terrarium.app.kit.file_dialogs import ask_save_path, reveal
from terrarium.app.kit.inputs import grid
from terrarium.app.kit.layout.relayout import RelayoutOnResize, WholeRows
from terrarium.app.kit.record_table import RecordTable
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.preferences.pairs_view import PairsView
from terrarium.app.session.routes import NewRun
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.corpora.datasets import DatasetInfo
from terrarium.models.importing.plan import SPLIT_WORDS
from terrarium.models.number_words import format_count, format_size
from terrarium.models.preferences.examining import ExaminedPair, ExaminedPairs, examine
from terrarium.models.preferences.writing import PREFERENCE_FORMS, Written, write_preferences
from terrarium.models.settings.tasks import JUDGED_BY, PREFERENCE_TASKS, TASKS

_N_ROWS = 20
_MIN_CHARACTERS, _MAX_CHARACTERS = 12, 50
"""The width limits of a column in average characters, before the spare width is distributed."""
_MAX_LABELS = 12
_FACTS = ("Task", "Rows", "Labels", "Size", "Used by")


class DatasetView(QWidget):
    """Shows the session's current dataset."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._info: DatasetInfo | None = None
        self.title = label("", "heading", wrap=True)
        self.facts = {name: label("", wrap=True, selectable=True) for name in _FACTS}
        self._captions = {name: label(name, "muted") for name in _FACTS}
        self.train = button(
            "Train on it",
            theme,
            lambda: session.go(NewRun(dataset=session.datasets.sha)),
            icon="play",
            role="primary",
            tip="Set up a run that learns this",
        )
        self.show_folder = button(
            "Show in folder",
            theme,
            self._reveal,
            icon="folder-open",
            tip="Open its folder: its rows are plain text files",
        )
        self.export = button(
            "Export",
            theme,
            icon="export",
            tip="Write these preferences for other programs; says what the format cannot hold",
        )
        self.export.hide()
        self._forms_of = ""  # the task for which the export menu was created
        self.delete = button(
            "Delete", theme, self._delete, icon="trash", tip="Move it to the trash; that can be undone"
        )
        self.rows = RecordTable("First rows", theme, is_framed=True)
        self.rows.setAlternatingRowColors(True)
        self.rows.horizontalHeader().setStretchLastSection(True)
        self.rows.setMinimumHeight(180)
        self.pairs = PairsView(session, theme)
        self.pairs.hide()
        RelayoutOnResize(self.rows.viewport(), self._fit)
        self.example = ExampleCard(session, theme)
        self._writing, self._nouns = "", tuple[str, ...]()
        self._writer = LatestTask(self)
        self._writer.done.connect(self._on_written)
        self._writer.failed.connect(session.notices.fail)
        self._reader = LatestTask(self)
        self._reader.done.connect(self._on_read)
        self._reader.failed.connect(session.notices.fail)
        self._build()
        self.rows.record_reached.connect(self._show_row)
        self.pairs.pair_chosen.connect(self._on_pair)
        self.example.step_requested.connect(self._on_step)
        session.datasets.changed.connect(self.refresh)
        session.datasets.list_changed.connect(self.refresh)
        RelayoutOnResize(self, self._arrange)
        self.refresh()

    def _build(self) -> None:
        facts = grid(
            *((self._captions[name], self.facts[name]) for name in _FACTS),
            grows=1,
            align={0: Qt.AlignmentFlag.AlignTop},
        )
        actions = row(self.train, self.show_folder, self.export, self.delete, None)
        self._rows_card = titled_card("First rows of the training part", WholeRows(self.rows))
        self._cards = column(
            frame("card", self.title, facts, SPACE, actions),
            self._rows_card,
            self.pairs,
            margin=(0, 0, SPACE, 0),
            grows=(self._rows_card, self.pairs),
        )
        inside = QWidget()
        inside.setLayout(self._cards)
        self.area = scrolling(inside)
        self._side, self._beside = QWidget(), column(self.example)
        self._side.setLayout(self._beside)
        self.setLayout(row(self.area, self._side, grows={self.area: 5, self._side: 3}))

    def minimumSizeHint(self) -> QSize:
        return QSize(self.area.minimumSizeHint().width(), 200)

    def _arrange(self) -> None:
        side = max(self.example.minimumSizeHint().width(), 34 * self.fontMetrics().averageCharWidth())
        has_room = self.width() >= self.area.minimumSizeHint().width() + side + SPACE
        is_beside = self.example.parentWidget() is self._side
        if has_room and not is_beside:
            self._beside.addWidget(self.example)
        elif not has_room and is_beside:
            self._cards.addWidget(self.example)
        self._side.setVisible(has_room)

    @property
    def busy(self) -> bool:
        """Whether rows are being read."""
        return any(work.busy for work in (self._reader, self._writer, self.example, self.pairs.scorer))

    @Slot()
    def refresh(self) -> None:
        """Show the chosen dataset."""
        info = self._session.datasets.info(self._session.datasets.sha)
        if info is None:
            return
        is_new = self._info is None or self._info.corpus.sha != info.corpus.sha
        self._info = info
        corpus = info.corpus
        task = TASKS[corpus.task]
        self.title.setText(info.name)
        self.facts["Task"].setText(f"{task.title}: to {task.help}")
        self.facts["Rows"].setText(
            ", ".join(f"{n:,} {SPLIT_WORDS[split]}" for split, n in info.n_rows.items())
            + ("" if "test" in info.n_rows else ". No test part.")
        )
        labels = corpus.labels[:_MAX_LABELS]
        more = len(corpus.labels) - len(labels)
        self.facts["Labels"].setText(", ".join(labels) + (f" and {more:,} more" if more > 0 else ""))
        show_if(labels, self._captions["Labels"], self.facts["Labels"])
        self.facts["Size"].setText(format_size(corpus.n_bytes))
        self.facts["Size"].setToolTip(f"In the library's folder corpora/{corpus.sha}")
        used = ", ".join(f"“{name}”" for name in info.used_by[:3])
        count = format_count(len(info.used_by), "run")
        others = " …" if len(info.used_by) > 3 else ""
        self.facts["Used by"].setText(f"{count}: {used}{others}" if used else "no run yet")
        self._offer_forms(corpus.task)
        self.delete.setToolTip(
            f"Move it to the trash. {count} cannot be resumed until it is restored."
            if used
            else "Move it to the trash; that can be undone"
        )
        if is_new:
            has_pairs = corpus.task == "preference"
            self._reader.ask(lambda: examine(corpus) if has_pairs else read_first_rows(info))

    def _offer_forms(self, task: str) -> None:
        """Offer preference export: pairs in all formats, rated replies in those that need no pairs."""
        forms = {name: form for name, form in PREFERENCE_FORMS.items() if task == "preference" or not form.is_paired}
        self.export.setVisible(task in PREFERENCE_TASKS)
        if task == self._forms_of:
            return
        self._forms_of = task
        self.export.setMenu(None)  # type: ignore[arg-type]
        add_menu(
            self.export,
            self._theme,
            [(f"{form.title}…", "file", "", partial(self.export_pairs, name)) for name, form in forms.items()],
        )

    @Slot(object)
    def _on_read(self, found: list[dict[str, Any]] | ExaminedPairs) -> None:
        has_pairs = isinstance(found, ExaminedPairs)
        self.pairs.setVisible(has_pairs)
        self._rows_card.setVisible(not has_pairs)
        if isinstance(found, ExaminedPairs):
            self.pairs.show_pairs(found)
        else:
            self._show_rows(found)

    def _show_rows(self, found: list[dict[str, Any]]) -> None:
        info = self._info
        assert info is not None
        task = TASKS[info.corpus.task]
        judged = JUDGED_BY if info.corpus.task == "text-to-text" else ()
        names = [name for name in (*task.columns, *task.optional_columns, *judged) if any(name in row for row in found)]
        self.rows.show_records(found, [row_column(name, role_title(name)) for name in names])
        self._fit()
        self.rows.selectRow(0)

    def _fit(self) -> None:
        """Fit each column to its contents within limits; the spare width goes to the column that lacks most."""
        widths = [self.rows.sizeHintForColumn(i) + 2 * SPACE for i in range(len(self.rows.columns))]
        if not widths:
            return
        least, most = (n * self.fontMetrics().averageCharWidth() for n in (_MIN_CHARACTERS, _MAX_CHARACTERS))
        given = [min(max(width, least), most) for width in widths]
        lacks = [width - got for width, got in zip(widths, given, strict=True)]
        given[lacks.index(max(lacks))] += max(self.rows.viewport().width() - sum(given), 0)
        for i, width in enumerate(given):
            self.rows.setColumnWidth(i, width)

    @Slot(object)
    def _show_row(self, row: dict[str, Any]) -> None:
        if self._info is not None:
            corpus, at = self._info.corpus, self.rows.currentIndex().row()
            self.example.show_row(corpus.task, row, corpus.labels, at, len(self.rows.records))

    @Slot(object, int, int)
    def _on_pair(self, pair: ExaminedPair, at: int, n: int) -> None:
        self.example.show_row("preference", pair.row, (), at, n)

    @Slot(int)
    def _on_step(self, by: int) -> None:
        if self.pairs.isHidden():
            self.rows.selectRow(self.rows.currentIndex().row() + by)
        else:
            self.pairs.step(by)

    def export_pairs(self, form: str) -> None:
        """Ask for a file, and write this dataset's preferences to it in one of PREFERENCE_FORMS."""
        if self._info is None:
            return
        corpus, known = self._info.corpus, PREFERENCE_FORMS[form]
        ending = known.suffix.removeprefix(".")
        path = ask_save_path(self, f"Export as {known.title}", corpus.label, ending, f"{known.title} (*{known.suffix})")
        if path is None:
            return
        rows = [corpus.rows(split) for split in corpus.splits]
        self._writing, self._nouns = str(path), ("pair",) if known.is_paired else ("reply", "replies")
        self._writer.drive(
            lambda: write_preferences(itertools.chain.from_iterable(rows), sum(map(len, rows)), form, path)
        )

    @Slot(object)
    def _on_written(self, written: Written) -> None:
        notes = " ".join(("", *written.notes))
        self._session.notices.say(f"{format_count(written.n, *self._nouns)} written to {self._writing}.{notes}")

    def _reveal(self) -> None:
        folder = None if self._info is None else self._info.corpus.folder
        if folder is not None and not reveal(folder):
            self._session.notices.say(f"No file manager could be opened. The dataset is in {folder}.")

    def _delete(self) -> None:
        self._session.datasets.delete(self._session.datasets.sha)


def read_first_rows(info: DatasetInfo) -> list[dict[str, Any]]:
    """Read the first rows of a dataset's training split; raises ValueError if it is damaged."""
    path = info.corpus.path("train")
    try:
        with path.open(encoding="utf-8") as file:
            return [json.loads(line) for line in itertools.islice(file, _N_ROWS)]
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: import the dataset again.") from error
