"""The compare view: designs side by side, with their costs and the slots that differ."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics, QGuiApplication, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from terrarium.app.builder.comparison import COSTS, ComparedDesign, ComparedRow, as_csv, as_markdown, compare
from terrarium.app.kit.basics import button, clear, column, plain_tip, row, set_role, without_mnemonic
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.setting_names.preset_words import design_title, format_parameter_count, preset_families
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

_MAX_COLUMN_WIDTH = 190  # pixels at the usual text size
_PADDING = 28  # pixels: left and right of a cell's text together
_MAX_RUNS = 20


class CompareView(QWidget):
    """A table that compares the edited design (first column) with others."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._mine = ComparedDesign("This design", session.designs.current)
        self._others: list[ComparedDesign] = []
        self._rows: list[ComparedRow] = []
        self._batch, self._length = 1, 1
        self.add = button("Add design", theme, icon="plus", tip="Add a preset, a saved design or a run's design")
        self.add.setMenu(DesignMenu(session, self.add_design, self.add))
        self.markdown = button(
            "Markdown", theme, self.copy_markdown, icon="copy", role="quiet", tip="Copy the table as Markdown (Ctrl+C)"
        )
        self.csv = button(
            "CSV", theme, self.copy_csv, icon="copy", role="quiet", tip="Copy the table as CSV, for a spreadsheet"
        )
        named(self.markdown, "Copy as Markdown")
        named(self.csv, "Copy as CSV")
        self.note = ElidedLabel()
        set_role(self.note, "caption")
        self.chips: list[QPushButton] = []
        self._chips = row()
        self.table = named(QTableWidget(), "Comparison of designs")
        self._prepare_table()
        bar, table = row(self.add, self._chips, None), WholeRows(self.table)
        self.setLayout(column(bar, table, row(self.note, self.markdown, self.csv), grows=table))
        copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.table, self.copy_markdown)
        remove = QShortcut(QKeySequence(QKeySequence.StandardKey.Delete), self.table, self._remove_current)
        for shortcut in (copy, remove):
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        theme.theme_changed.connect(self._fill)
        session.device.changed.connect(self._fill)

    @property
    def designs(self) -> list[ComparedDesign]:
        """The designs of all columns, the edited one first."""
        return [self._mine, *self._others]

    def set_design(self, config: ModelConfig, batch: int, length: int, title: str) -> None:
        """Show `config` in the first column, and the costs of all designs for `batch` texts of `length` tokens."""
        self._mine = ComparedDesign(title, config)
        self._batch, self._length = batch, length
        self._fill()

    def add_design(self, design: ComparedDesign) -> None:
        """Add a column for a design, unless it has one."""
        if design not in self._others:
            self._others.append(design)
            self._show_chips()
            self._fill()

    def remove_design(self, design: ComparedDesign) -> None:
        """Remove the column of a design."""
        self._others.remove(design)
        self._show_chips()
        self._fill()
        self.add.setFocus(Qt.FocusReason.OtherFocusReason)

    def copy_markdown(self) -> None:
        """Copy the table to the clipboard as Markdown."""
        QGuiApplication.clipboard().setText(as_markdown(self.designs, self._rows))

    def copy_csv(self) -> None:
        """Copy the table to the clipboard as CSV."""
        QGuiApplication.clipboard().setText(as_csv(self.designs, self._rows))

    def _remove_current(self) -> None:
        column = self.table.currentColumn() - 1
        if column >= 1:
            self.remove_design(self._others[column - 1])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._size_columns()

    def _prepare_table(self) -> None:
        table = self.table
        table.setProperty("role", "plain")
        table.setShowGrid(False)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        table.verticalHeader().hide()
        table.horizontalHeader().setHighlightSections(False)
        table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def _show_chips(self) -> None:
        clear(self._chips)
        self.chips, before = [], self.add
        for design in self._others:
            chip = button(
                design.title,
                self._theme,
                lambda design=design: self.remove_design(design),  # type: ignore[misc]
                icon="x",
                role="segment",
                tip=f"Remove {design.title} (Delete in its column)",
            )
            chip.setAccessibleName(f"Remove {design.title}")
            chip.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the × comes after the name
            self._chips.addWidget(chip)
            self.chips.append(chip)
            self.setTabOrder(before, chip)
            before = chip

    def _fill(self) -> None:
        designs = self.designs
        self._rows = compare(designs, self._batch, self._length, self._session.device.memory)
        table = self.table
        position = table.verticalScrollBar().value(), table.currentRow(), table.currentColumn()
        table.clear()
        table.clearSpans()
        table.setColumnCount(1 + len(designs))
        groups = list(dict.fromkeys(row.group for row in self._rows))
        table.setRowCount(len(self._rows) + len(groups))
        table.setHorizontalHeaderLabels(["", *(design.title for design in designs)])
        line = 0
        for group in groups:
            self._put_heading(line, group)
            line += 1
            for compared in self._rows:
                if compared.group == group:
                    self._put_row(line, compared)
                    line += 1
        self._size_columns()
        table.setCurrentCell(position[1], position[2])
        table.verticalScrollBar().setValue(position[0])
        self.note.setText(self._note())

    def _note(self) -> str:
        n = sum(1 for row in self._rows if row.group != COSTS)
        if not self._others:
            return "Add a design to see what differs."
        costs = f"costs for {self._batch} × {self._length:,} tokens"
        differ = "1 setting differs" if n == 1 else f"{n} settings differ"
        return f"{differ}; {costs}" if n else f"All settings are equal; {costs}"

    def _put_heading(self, line: int, group: str) -> None:
        item = QTableWidgetItem("Costs (estimated except parameters)" if group == COSTS else group)
        item.setFont(self._theme.font(0.95, bold=True))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.table.setItem(line, 0, item)
        self.table.setSpan(line, 0, 1, self.table.columnCount())

    def _put_row(self, line: int, compared: ComparedRow) -> None:
        colors = self._theme.theme
        name = QTableWidgetItem(compared.label)
        name.setForeground(colors.color("muted"))
        name.setToolTip(plain_tip(compared.tip))
        self.table.setItem(line, 0, name)
        cells = zip(compared.cells, compared.exact, compared.differs, strict=True)
        for at, (cell, exact, differs) in enumerate(cells, start=1):
            item = QTableWidgetItem(cell)
            item.setFont(self._theme.mono_font(0.95))
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            item.setToolTip(f"{compared.tip}\n{int(exact):,}" if exact.isdecimal() else compared.tip)
            if differs and compared.group != COSTS:
                item.setForeground(colors.color("accent"))
            self.table.setItem(line, at, item)

    def _size_columns(self) -> None:
        """Fit each column to its text; spare width is shared by the designs, up to a maximum."""
        header, scale = self.table.horizontalHeader(), self._theme.text_scale
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        names, cells = QFontMetrics(self._theme.font()), QFontMetrics(self._theme.mono_font(0.95))
        first = max((names.horizontalAdvance(row.label) for row in self._rows), default=0) + _PADDING
        self.table.setColumnWidth(0, first)
        spare = min((self.table.viewport().width() - first) // len(self.designs), round(_MAX_COLUMN_WIDTH * scale))
        for at, design in enumerate(self.designs):
            words = [cells.horizontalAdvance(row.cells[at]) for row in self._rows]
            words.append(header.fontMetrics().horizontalAdvance(design.title))
            self.table.setColumnWidth(at + 1, max(spare, max(words) + _PADDING))
        self.table.verticalHeader().setDefaultSectionSize(round(26 * scale))


class DesignMenu(QMenu):
    """A menu that is refilled each time it opens, and passes the chosen design to `on_chosen`."""

    def __init__(self, session: Session, on_chosen: Callable[[ComparedDesign], object], parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._on_chosen = session, on_chosen
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Fill the menu from the library."""
        self.clear()
        for family in preset_families():
            menu = self.addMenu(family.title)
            for name in family.presets:
                self._add(menu, design_title(name), PRESETS[name])
        saved = [info for info in self._session.designs.inspect() if info.config is not None]
        if saved:
            self.addSeparator()
            menu = self.addMenu("Your designs")
            for info in saved:
                assert info.config is not None
                self._add(menu, info.name, info.config)
        runs = [run for run in self._session.runs.list() if run.problem is None][:_MAX_RUNS]
        if runs:
            menu = self.addMenu("Runs")
            for run in runs:
                action = menu.addAction(_plain(run.name))
                action.triggered.connect(partial(self._on_run, run.id, run.name))

    def _add(self, menu: QMenu, title: str, config: ModelConfig) -> None:
        action = menu.addAction(f"{_plain(title)}\t{format_parameter_count(config)}")
        action.triggered.connect(lambda: self._on_chosen(ComparedDesign(title, config)))

    def _on_run(self, run_id: str, name: str) -> None:
        spec = self._session.runs.spec(run_id)
        if spec is None:
            self._session.notices.refuse(f"The design of the run “{name}” can no longer be read.")
        else:
            self._on_chosen(ComparedDesign(f"Run “{name}”", spec.model))


def _plain(text: str) -> str:
    """Escape text for a menu, where “&” marks a mnemonic and a tab a shortcut."""
    return without_mnemonic(text).replace("\t", " ")
