"""The importing page: source, column roles, checks, split and name, beside a row as a model input."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QGridLayout,
    QLineEdit,
    QProgressBar,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
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
    headed,
    label,
    row,
    scrolling,
    set_enabled,
    set_role,
    step_card,
)
from terrarium.app.kit.file_dialogs import dropped_paths
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.advanced_settings import AdvancedSettings, MoreLink
from terrarium.app.kit.layout.relayout_on_resize import RelayoutOnResize
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
        self.task = QComboBox()
        self.name, self.seed = QLineEdit(), QSpinBox()
        self.val_share, self.test_share = _share("Validation share"), _share("Test share")
        self._build()
        self._connect()
        self._on_source()

    # -- Building ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._cards = column(self._source_card(), self._columns_card(), self.checks, self._split_card(), None)
        inner = QWidget()
        inner.setLayout(self._cards)
        self._cards.setContentsMargins(0, 0, SPACE, 0)
        self.area = scrolling(inner)
        self._side = QWidget()
        self._side.setLayout(column(self.example))
        across = row(self.area, self._side)
        across.setStretch(0, 5)
        across.setStretch(1, 3)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE)
        lines.addLayout(across, 1)
        lines.addWidget(self._footer())
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
        self._hub = hub
        self.source_name = ElidedLabel()
        self.source_facts = label("", "caption", wrap=True)
        self.source_problem = label("", "error", wrap=True)
        self.other = button(
            "Another source", self._theme, self.draft.close, role="link", tip="Close this one; nothing is imported"
        )
        self._known = QWidget()
        top = row(self.source_name, self.other)
        top.setStretch(0, 1)
        known = column(spacing=SPACE // 2)
        known.addLayout(top)
        known.addWidget(self.source_facts)
        self._known.setLayout(known)
        self._unknown = QWidget()
        self._unknown.setLayout(self._hints())
        card = step_card("1  Source")
        lines = card.layout()
        assert isinstance(lines, QVBoxLayout)
        self.reading = ReadingOptions(self._theme)
        for widget in (self._known, self.source_problem, self.reading, self._unknown):
            lines.addWidget(widget)
        return card

    def _hints(self) -> QVBoxLayout:
        lines = column(
            label(
                "Drop files or a folder here, or open them. A dataset is a list of examples: each row has what the "
                "model reads, and what it should answer.",
                wrap=True,
            )
        )
        self._source_buttons = QVBoxLayout()
        self._source_buttons.addLayout(row(self.open_files, self.open_folder, self._hub, None))
        lines.addLayout(self._source_buttons)
        lines.addSpacing(SPACE)
        lines.addLayout(headed("What can be dropped"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        for at, (what, words) in enumerate(_EXAMPLES):
            grid.addWidget(label(what), at, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label(words, "muted", wrap=True), at, 1)
        grid.setColumnStretch(1, 1)
        lines.addLayout(grid)
        lines.addSpacing(SPACE)
        lines.addWidget(self.world)
        return lines

    def _columns_card(self) -> QWidget:
        self.task.setAccessibleName("What the rows are for")
        self.task.addItem("Choose what the rows are for", "")
        for name in ROLES:
            self.task.addItem(TASKS[name].title, name)
            self.task.setItemData(self.task.count() - 1, f"To {TASKS[name].help}", Qt.ItemDataRole.ToolTipRole)
        self.task.setToolTip("What the model learns from these rows")
        keep_wheel_for_scrolling(self.task)
        self.reason = label("", "caption", wrap=True)
        card = step_card(
            "2  Columns", "Choose what the rows are for and, above each column, its role. Click a row to see it."
        )
        lines = card.layout()
        assert isinstance(lines, QVBoxLayout)
        caption = label("Task")
        caption.setBuddy(self.task)
        lines.addLayout(row(caption, self.task, None))
        lines.addWidget(self.reason)
        lines.addWidget(self.table, 1)
        self._columns = card
        return card

    def _split_card(self) -> QWidget:
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.seed.setAccessibleName("Seed of the split")
        self.seed.setToolTip("Which rows are held out: another seed holds out others")
        self.name.setAccessibleName("Name of the dataset")
        self.name.setToolTip("Its name in the library")
        self.name.setMaxLength(80)
        self.split_note = label("", "caption", wrap=True)
        self.val_share.setToolTip("The share of the rows on which the model is measured while it learns")
        self.test_share.setToolTip("The share of the rows that is kept for the final score")
        card = step_card("4  Split and name")
        lines = card.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addWidget(self.split_note)
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE)
        for number in (self.val_share, self.test_share, self.seed):
            number.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            number.setMinimumWidth(130)
            keep_wheel_for_scrolling(number)
        extras = list[QWidget]()
        for at, (words, editor) in enumerate(
            (
                ("Validation", self.val_share),
                ("Test", self.test_share),
                ("Seed", self.seed),
                ("Name", self.name),
            )
        ):
            caption = label(words)
            caption.setBuddy(editor)
            grid.addWidget(caption, at, 0)
            grid.addWidget(editor, at, 1)
            if editor in (self.test_share, self.seed):
                extras += (caption, editor)
        grid.setColumnStretch(1, 1)
        lines.addLayout(grid)
        link = MoreLink("setting", self._session.detail)
        lines.addWidget(link)
        self._hidden_settings = AdvancedSettings(link, extras, 2, self.draft.n_changed_of_split)
        self._split = card
        return card

    def _footer(self) -> QWidget:
        self.summary = label("", wrap=True)
        self.banner = frame("banner", horizontal=True, margin=SPACE + SPACE // 2)
        self.import_button = button(
            "Import",
            self._theme,
            self.draft.start_import,
            icon="download-simple",
            role="primary",
            tip="Add it to the library",
        )
        self.cancel = button("Cancel", self._theme, self.draft.cancel, icon="x", tip="Stop; nothing is kept")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        words = QWidget()
        words.setLayout(column(self.summary, self.progress, spacing=SPACE // 2))
        across = self.banner.layout()
        assert across is not None
        across.addWidget(words)
        across.addWidget(self.cancel)
        across.addWidget(self.import_button)
        across.setStretch(0, 1)  # type: ignore[attr-defined]  # it is a box layout
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
            layout = self._side.layout()
            assert layout is not None
            layout.addWidget(self.example)
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
        self._known.setVisible(bool(draft.paths))
        self.reading.setVisible(bool(draft.paths))
        if draft.read == ReadOptions():
            self.reading.reset()
        self._unknown.setVisible(not draft.paths or (info is None and bool(draft.problem)))
        for card in (self._columns, self.checks, self._split, self.example):
            card.setVisible(info is not None)
        self.banner.setVisible(bool(draft.paths) and not (info is None and bool(draft.problem)))
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
        self.source_problem.setText(draft.problem if draft.info is None else "")
        self.source_problem.setVisible(bool(self.source_problem.text()))
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
        self.progress.setRange(0, 1000 if draft.total else 0)
        self.progress.setValue(round(1000 * draft.done / draft.total) if draft.total else 0)
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


def _share(name: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0.0, 80.0)
    box.setDecimals(1)
    box.setSuffix(" %")
    box.setAlignment(Qt.AlignmentFlag.AlignRight)
    box.setAccessibleName(name)
    return box
