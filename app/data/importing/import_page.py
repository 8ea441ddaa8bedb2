"""The importing page: source, column roles, checks, split and name, beside a row as a model input."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from terrarium.app.data.example_card import ExampleCard
from terrarium.app.data.importing.checks_card import IMPORTING, ChecksCard
from terrarium.app.data.importing.column_table import ColumnTable
from terrarium.app.data.importing.draft import ImportDraft
from terrarium.app.data.importing.reading_options import ReadingOptions
from terrarium.app.data.importing.world_tasks import WorldTasks
from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    group,
    headed,
    label,
    row,
    scrolling,
    set_enabled,
    set_role,
    show_if,
    show_only,
    show_words,
    step_card,
)
from terrarium.app.kit.file_dialogs import dropped_paths
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.inputs import caption, choice, grid, line_edit, named, progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.advanced_settings import AdvancedSettings, MoreLink
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.importing.formats.registry import FORMATS
from terrarium.models.importing.formats.rows import ReadOptions
from terrarium.models.importing.plan import ROLES, SPLIT_WORDS
from terrarium.models.number_words import capitalized, format_count, format_size
from terrarium.models.settings.tasks import TASKS

_EXAMPLES = (
    ("Tables", "a .csv, .tsv or Parquet file with one row per example: spam.csv with the columns text and label"),
    ("JSON", "a .jsonl or .json file: one object per example, also conversations (messages, ShareGPT, Alpaca)"),
    ("Tagged words", "CoNLL or CoNLL-U files: one word and its tag per line"),
    ("Preferences", "pairs of replies in the formats of TRL, HH, UltraFeedback, ShareGPT, Alpaca and OpenAI"),
    ("Questions", "SQuAD's JSON: questions, a text, and where in it the answer is"),
    ("Translations", "two files line by line (x.en and x.fr), or TMX, .po, .mo and .qm"),
    ("Texts", "text files or a folder of them, one folder per label if you like; also in .zip and .gz"),
)
_CHARACTERS = 44
_LONG_BYTES = 20_000_000
"""The size in bytes from which the checks take long enough to offer a stop button."""
_ENDINGS = dict.fromkeys((*(ending for known in FORMATS.values() for ending in known.suffixes), ".zip", ".gz"))
FILE_FILTER = f"Data ({' '.join(f'*{ending}' for ending in _ENDINGS)});;All files (*)"


class ImportPage(QWidget):
    """All steps of an import in a column; a view of a draft.

    Signals:
        hub_requested(): the user wants to search the hub.
    """

    hub_requested = Signal()

    def __init__(
        self, draft: ImportDraft, session: Session, theme: ThemeProvider, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.draft, self._session, self._theme = draft, session, theme
        self._example_row = 0
        self.setAcceptDrops(True)
        self.example = ExampleCard(session, theme)
        self.world = WorldTasks(session, theme)
        self.table = ColumnTable(theme)
        self.checks = ChecksCard(draft, theme)
        self._build()
        self._connect()
        self._on_source()

    # -- Building ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._cards = column(
            self._source_card(), self._columns_card(), self.checks, self._split_card(), None, margin=(0, 0, SPACE, 0)
        )
        inside = QWidget()
        inside.setLayout(self._cards)
        self.area = scrolling(inside)
        self._side, self._beside = QWidget(), column(self.example)
        self._side.setLayout(self._beside)
        across = row(self.area, self._side, grows={self.area: 5, self._side: 3})
        self.setLayout(column(across, self._footer(), grows=across))
        RelayoutOnResize(self, self._arrange)

    def _source_card(self) -> QWidget:
        self.open_files = button(
            "Open files…", self._theme, self.ask_for_files, icon="file", role="primary", tip="Choose one or more files"
        )
        self.open_folder = button(
            "Open a folder…",
            self._theme,
            self.ask_for_folder,
            icon="folder-open",
            tip="A folder of files, or a dataset",
        )
        hub = button(
            "Search the hub",
            self._theme,
            self.hub_requested.emit,
            icon="cloud-arrow-down",
            tip="Find a dataset on the Hugging Face hub, and look at its rows before you download it",
        )
        self.source_name = ElidedLabel()
        self.source_facts = label("", "caption", wrap=True)
        self.source_problem = label("", "error", wrap=True)
        self.other = button(
            "Another source", self._theme, self.draft.close, role="link", tip="Close this one; nothing is imported"
        )
        self.reading = ReadingOptions(self._theme)
        name = row(self.source_name, self.other, grows=self.source_name)
        self._known = group(name, self.source_facts, spacing=SPACE // 2)
        self._unknown = group(
            label(
                "Drop files or a folder here, or open them. A dataset is a list of examples: each row has what the "
                "model reads, and what it should answer.",
                wrap=True,
            ),
            row(self.open_files, self.open_folder, hub, None),
            SPACE,
            headed("What can be dropped"),
            grid(
                *((label(what), label(words, "muted", wrap=True)) for what, words in _EXAMPLES),
                grows=1,
                align={0: Qt.AlignmentFlag.AlignTop},
            ),
            SPACE,
            self.world,
        )
        return step_card("1  Source", "", self._known, self.source_problem, self.reading, self._unknown)

    def _columns_card(self) -> QWidget:
        tasks = {"": "Choose what the rows are for", **{name: TASKS[name].title for name in ROLES}}
        tips = {name: f"To {TASKS[name].help}" for name in ROLES}
        self.task = choice("What the rows are for", "What the model learns from these rows", tasks, tips=tips)
        self.reason = label("", "caption", wrap=True)
        self._columns = step_card(
            "2  Columns",
            "Choose what the rows are for and, above each column, its role. Click a row to see it.",
            row(caption("Task", self.task), self.task, None),
            self.reason,
            self.table,
            grows=self.table,
        )
        return self._columns

    def _split_card(self) -> QWidget:
        self.seed = named(QSpinBox(), "Seed of the split", "Which rows are held out: another seed holds out others")
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.val_share = _share(
            "Validation share", "The share of the rows on which the model is measured while it learns"
        )
        self.test_share = _share("Test share", "The share of the rows that is kept for the final score")
        self.name = line_edit("Name of the dataset", "Its name in the library", max_length=80)
        self.split_note = label("", "caption", wrap=True)
        for number in (self.val_share, self.test_share, self.seed):
            number.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            number.setMinimumWidth(130)
            keep_wheel_for_scrolling(number)
        editors = {"Validation": self.val_share, "Test": self.test_share, "Seed": self.seed, "Name": self.name}
        captions = {words: caption(words, editor) for words, editor in editors.items()}
        extras = [each for words in ("Test", "Seed") for each in (captions[words], editors[words])]
        lines = grid(
            *((captions[words], editor) for words, editor in editors.items()), grows=1, spacing=(2 * SPACE, SPACE)
        )
        link = MoreLink("setting", self._session.detail)
        self._split = step_card("4  Split and name", "", self.split_note, lines, link)  # now they are no windows
        self._hidden_settings = AdvancedSettings(link, extras, 2, self.draft.n_changed_of_split)
        return self._split

    def _footer(self) -> QWidget:
        self.summary = label("", wrap=True)
        self.import_button = button(
            "Import",
            self._theme,
            self.draft.start_import,
            icon="download-simple",
            role="primary",
            tip="Add it to the library",
        )
        self.cancel = button("Cancel", self._theme, self.draft.cancel, icon="x", tip="Stop; nothing is kept")
        self.progress = progress_bar("Progress of the import")
        words = group(self.summary, self.progress, spacing=SPACE // 2)
        self.banner = frame(
            "banner",
            words,
            self.cancel,
            self.import_button,
            horizontal=True,
            margin=SPACE + SPACE // 2,
            grows=words,
        )
        return self.banner

    def _connect(self) -> None:
        draft = self.draft
        draft.source_changed.connect(self._on_source)
        draft.changed.connect(self._refresh)
        self.reading.chosen.connect(draft.set_read)
        self._session.designs.changed.connect(self._follow_design)
        self._follow_design()
        self.task.activated.connect(lambda: draft.set_task(self.task.currentData()))
        self.table.role_chosen.connect(draft.set_role)
        self.table.row_chosen.connect(self._on_row)
        self.checks.fixed.connect(lambda name, on: draft.set_fixed(name, fixed=on))
        for editor in (self.val_share, self.test_share, self.seed):
            editor.valueChanged.connect(self._on_split)
        self.name.textEdited.connect(draft.set_name)
        self.example.tokenizer_chosen.connect(draft.set_tokenizer)
        self.example.step_requested.connect(self._on_step)
        draft.set_tokenizer(self.example.tokenizer.currentData())

    def minimumSizeHint(self) -> QSize:
        return QSize(self.area.minimumSizeHint().width(), super().minimumSizeHint().height())

    def _arrange(self) -> None:
        """Put the example beside the steps, or below the columns if the page is too narrow."""
        side = max(self.example.minimumSizeHint().width(), 34 * self.fontMetrics().averageCharWidth())
        steps = max(self.area.minimumSizeHint().width(), _CHARACTERS * self.fontMetrics().averageCharWidth())
        has_room = self.width() >= steps + side + SPACE
        is_beside = self.example.parentWidget() is self._side
        if has_room and not is_beside:
            self._beside.addWidget(self.example)
        elif not has_room and is_beside:
            self._cards.insertWidget(2, self.example)
        self._side.setVisible(has_room and self.draft.info is not None)
        self.example.setMaximumHeight(16_777_215 if has_room else 420)

    # -- Choosing a source ---------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a background task is reading."""
        return bool(self.draft.doing) or self.example.busy

    def ask_for_files(self) -> None:
        """Choose files as the source."""
        files, _ = QFileDialog.getOpenFileNames(self, "Choose data", "", FILE_FILTER)
        if files:
            self.draft.open(files)

    def ask_for_folder(self) -> None:
        """Choose a folder as the source."""
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder of data")
        if folder:
            self.draft.open([folder])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if paths := dropped_paths(event):
            self.draft.open(paths)
            event.acceptProposedAction()

    # -- Showing the draft ---------------------------------------------------------------------------------------------

    @Slot()
    def _on_source(self) -> None:
        draft, info = self.draft, self.draft.info
        show_if(draft.paths, self._known, self.reading)
        if draft.read == ReadOptions():
            self.reading.reset()
        show_only(
            {
                self._unknown: not draft.paths or (info is None and bool(draft.problem)),
                self._columns: info is not None,
                self.checks: info is not None,
                self._split: info is not None,
                self.example: info is not None,
                self.banner: bool(draft.paths) and not (info is None and bool(draft.problem)),
            }
        )
        if draft.paths:
            more = f" and {len(draft.paths) - 1} more" if len(draft.paths) > 1 else ""
            self.source_name.setText(f"{draft.paths[0]}{more}")
        if info is not None:
            about = "about " if info.is_estimate else ""
            title = FORMATS[info.format].title if info.format in FORMATS else info.format
            facts = [
                f"{title}, {format_count(info.n_files, 'file')} of {format_size(info.n_bytes)}: "
                f"{about}{format_count(info.n_rows, 'row')}, {format_count(len(info.columns), 'column')}.",
                *info.warnings,
            ]
            self.source_facts.setText(" ".join(facts))
            self._example_row = 0
            self.reading.show_configs(info.configs)
            self.table.show_source(info)
            put_after(self.task, *self.table.roles.values(), self.table.rows)
            guessed = f"Guessed: {info.reason}." if info.task else f"{capitalized(info.reason)}."
            self.reason.setText(guessed if info.reason else "")
            given = ", ".join(
                f"{info.splits[name]:,} for {word}" for name, word in SPLIT_WORDS.items() if name in info.splits
            )
            self.split_note.setText(
                f"The files have splits of their own, which are kept: {given}."
                if given
                else "Some rows are held out, so that the model is measured on what it has never seen. Rows that have "
                "four fifths of their text in common stay together; looser variants do not, and flatter the score."
            )
        else:
            self.source_facts.setText("Reading…" if draft.doing == "reading" else "")
        self._arrange()
        self._refresh()

    @Slot()
    def _refresh(self) -> None:
        draft = self.draft
        show_words(self.source_problem, draft.problem if draft.info is None else "")
        if draft.info is not None:
            self._show_decisions()
            self.checks.refresh()
        self._show_footer()

    def _show_decisions(self) -> None:
        draft, why_not = self.draft, IMPORTING if self.draft.doing == "importing" else ""
        with QSignalBlocker(self.task), QSignalBlocker(self.val_share), QSignalBlocker(self.test_share):
            self.task.setCurrentIndex(self.task.findData(draft.task))
            self.val_share.setValue(100 * draft.val_share)
            self.test_share.setValue(100 * draft.test_share)
        with QSignalBlocker(self.seed):
            self.seed.setValue(draft.seed)
        if self.name.text() != draft.name:
            self.name.setText(draft.name)
        self.table.show_roles(draft.roles_of_task(), draft.roles)
        self._hidden_settings.refresh()
        for editor in (self.task, self.table, self.val_share, self.test_share, self.seed, self.name):
            set_enabled(editor, why_not)
        for editor, split in ((self.val_share, "val"), (self.test_share, "test")):
            if draft.info is not None and draft.info.splits.get(split):
                set_enabled(editor, "The data comes with a split of this name, which is kept.")
        self._show_example()

    def _show_footer(self) -> None:
        draft = self.draft
        doing = draft.doing
        self.import_button.setVisible(doing != "importing" and draft.info is not None)
        is_long = draft.info is not None and draft.info.n_bytes > _LONG_BYTES
        self.cancel.setVisible(doing in ("importing", "reading") or (doing == "checking" and is_long))
        self.progress.setVisible(bool(doing))
        show_progress(self.progress, draft.done, draft.total)
        if doing == "importing":
            words, tone = f"{draft.phase or 'Importing'}…", ""
        elif draft.problem and draft.info is not None:
            words, tone = draft.problem, "danger"
        elif draft.obstacle and draft.info is not None:
            words, tone = draft.obstacle, "warning"
        elif draft.damage:
            words, tone = draft.damage, "warning"
        elif draft.checks is not None and not draft.checks.splits.get("train"):
            words, tone = "No row would be left to learn from.", "warning"
        elif draft.checks is not None:
            words, tone = f"Will be imported: {draft.checks.sentence}", ""
        else:
            words, tone = f"{draft.phase or 'Reading the source'}…", ""
        self.summary.setText(words)
        set_enabled(self.import_button, "" if draft.can_import else words if tone else "The rows are being checked.")
        set_role(self.banner, "banner", tone=tone)

    def _show_example(self) -> None:
        draft, info = self.draft, self.draft.info
        if info is None:
            return
        if draft.obstacle and not draft.task:
            self.example.clear("Choose what the rows are for, and this row is shown as a model would read it.")
            return
        from terrarium.models.importing.cells import RowError
        from terrarium.models.importing.task_rows import task_row

        at = min(self._example_row, len(info.rows) - 1)
        try:
            draft.plan.check()
            values = task_row(draft.plan, info.rows[at])
        except RowError as error:
            self.example.clear(f"Row {at + 1} cannot be read: {error}")
            return
        except ValueError as error:
            self.example.clear(str(error))
            return
        labels = tuple(sorted(draft.checks.labels)) if draft.checks is not None else ()
        self.example.show_row(draft.task, values, labels, at, len(info.rows))

    @Slot()
    def _follow_design(self) -> None:
        """Count the rows that are longer than the current design's context."""
        self.draft.set_context(self._session.designs.current.context_length)

    @Slot(int)
    def _on_row(self, index: int) -> None:
        if index != self._example_row:
            self._example_row = index
            self._show_example()

    @Slot(int)
    def _on_step(self, by: int) -> None:
        self.table.rows.selectRow(self._example_row + by)

    @Slot()
    def _on_split(self) -> None:
        self.draft.set_split(
            round(self.val_share.value() / 100, 4), round(self.test_share.value() / 100, 4), self.seed.value()
        )


def _share(name: str, tip: str) -> QDoubleSpinBox:
    box = named(QDoubleSpinBox(), name, tip)
    box.setRange(0.0, 80.0)
    box.setDecimals(1)
    box.setSuffix(" %")
    box.setAlignment(Qt.AlignmentFlag.AlignRight)
    return box
