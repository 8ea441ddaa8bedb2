"""A search of the Hugging Face hub: what a dataset holds is shown before anything is downloaded."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QLineEdit,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.kit.basics import button, column, frame, headed, label, plain_tip, row, scrolling, set_role
from app.kit.forms.editors import keep_wheel_for_scrolling
from app.kit.item_list import Item, ItemList
from app.kit.layout.turning_splitter import TurningSplitter
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from app.worker.background import LatestTask
from app.worker.failures import Failure
from models.data.hub import SORTS, TASKS, FirstRows, Hub, HubDataset, HubDetails, HubSplit
from models.events import Event, Progress
from models.library.library import safe_name
from models.number_words import format_compact, format_count, format_size

_MAX_DESCRIPTION = 400
_N_ROWS = 20


class HubPage(QWidget):
    """Search at the left, the chosen dataset at the right.

    Args:
        hub: where to search; None for the hub of the environment.

    Signals:
        downloaded(paths, name, folder): files that can be imported, a name for the dataset, and the folder that holds
            nothing else.
    """

    downloaded = Signal(object, str, object)

    def __init__(
        self, session: Session, theme: ThemeProvider, hub: Hub | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.hub = hub or Hub()
        self._found: dict[str, HubDataset] = {}
        self._details: HubDetails | None = None
        self._folder = Path()
        self.query, self.language = QLineEdit(), QLineEdit()
        self.task, self.sort, self.config = QComboBox(), QComboBox(), QComboBox()
        self.results = ItemList("Datasets that were found", theme)
        self.splits: dict[str, QCheckBox] = {}
        self.rows = QTableWidget()
        self._search_task, self._details_task, self._rows_task, self._download_task = (
            LatestTask(self) for _ in range(4)
        )
        self._build()
        self._connect()
        self._show_details(None)

    # -- Building ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.query.setPlaceholderText("Name, such as “sentiment”")
        self.query.setAccessibleName("Words to search for")
        self.query.setToolTip("Words in the name of a dataset; Enter searches")
        self.query.setClearButtonEnabled(True)
        self.language.setPlaceholderText("Language")
        self.language.setAccessibleName("Language")
        self.language.setToolTip("A language's code, such as “en”, “fr” or “de”; empty for any")
        self.language.setMaxLength(8)
        self.task.setAccessibleName("Task")
        self.task.setToolTip("Only datasets whose card names this task")
        self.task.addItem("Any task", "")
        for name, words in TASKS.items():
            self.task.addItem(words, name)
        self.sort.setAccessibleName("Order")
        self.sort.setToolTip("What comes first")
        for name, words in SORTS.items():
            self.sort.addItem(words, name)
        for box in (self.task, self.sort, self.config):
            keep_wheel_for_scrolling(box)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.search_button = button(
            "Search", self._theme, self.search, icon="magnifying-glass", role="primary", tip="Ask the Hugging Face hub"
        )
        self.state = label("", "muted", wrap=True)
        left = frame("card")
        lines = left.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addLayout(headed("Hugging Face hub", role="heading", explained=left))
        lines.addWidget(self.query)
        lines.addLayout(row(self.task, self.language))
        lines.addLayout(row(self.sort, self.search_button))
        lines.addWidget(self.state)
        lines.addWidget(self.results, 1)
        self.setLayout(column(TurningSplitter(left, self._details_card(), sizes=[360, 780], grows=1)))

    def _details_card(self) -> QWidget:
        self.title = label("", "heading", wrap=True, selectable=True)
        self.licence, self.gated, self.size_class = label("", "pill"), label("gated", "pill"), label("", "pill")
        set_role(self.gated, "pill", tone="warning")
        self.gated.setToolTip("Its owner must be asked on the hub's page first")
        self.description = label("", "caption", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.config.setAccessibleName("Configuration")
        self.config.setToolTip("Which of its configurations; most datasets have one")
        self._split_lines = column(spacing=SPACE // 2)
        self.rows.setAccessibleName("First rows on the hub")
        self.rows.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.rows.setTabKeyNavigation(False)
        self.rows.setWordWrap(False)
        self.rows.setShowGrid(False)
        self.rows.setAlternatingRowColors(True)
        self.rows.verticalHeader().hide()
        self.rows.horizontalHeader().setStretchLastSection(True)
        self.rows.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.rows.setMinimumHeight(160)
        self.download = button(
            "Download and continue",
            self._theme,
            self.start_download,
            icon="cloud-arrow-down",
            role="primary",
            tip="Download the selected parts, then choose the columns; a stopped download resumes where it left off",
        )
        self.cancel = button(
            "Stop", self._theme, self._stop, icon="x", tip="Stop; what is downloaded is kept for the next time"
        )
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.download_state = label("", "caption", wrap=True)
        inner = QWidget()
        lines = QVBoxLayout(inner)
        lines.setContentsMargins(0, 0, SPACE, 0)
        lines.setSpacing(SPACE)
        lines.addWidget(self.title)
        self._pills = row(self.licence, self.gated, self.size_class, None)
        lines.addLayout(self._pills)
        lines.addWidget(self.description)
        lines.addWidget(self.problem)
        self._config_name = label("Configuration")
        self._config_name.setBuddy(self.config)
        lines.addLayout(row(self._config_name, self.config, None))
        lines.addLayout(self._split_lines)
        self._rows_name = label("First rows", "subheading")
        lines.addWidget(self._rows_name)
        lines.addWidget(self.rows, 1)
        lines.addWidget(self.download_state)
        lines.addWidget(self.progress)
        lines.addLayout(row(self.download, self.cancel, None))
        lines.addStretch(0)
        card = frame("card")
        whole = card.layout()
        assert isinstance(whole, QVBoxLayout)
        whole.addWidget(scrolling(inner))
        return card

    def _connect(self) -> None:
        self.query.returnPressed.connect(self.search)
        self.language.returnPressed.connect(self.search)
        self.results.chosen.connect(self._on_chosen)
        self.config.activated.connect(self._show_config)
        self._search_task.done.connect(self._on_found)
        self._search_task.failed.connect(lambda failure: self._say(failure.sentence, "error"))
        self._details_task.done.connect(self._show_details)
        self._details_task.failed.connect(self._on_no_details)
        self._rows_task.done.connect(self._on_rows)
        self._rows_task.failed.connect(lambda failure: self._show_rows(None, failure.sentence))
        self._download_task.events_received.connect(self._on_download_events)
        self._download_task.done.connect(self._on_downloaded)
        self._download_task.failed.connect(self._on_not_downloaded)
        self._download_task.busy_changed.connect(lambda _: self._show_download())

    @property
    def busy(self) -> bool:
        """Whether the hub is being asked."""
        return any(task.busy for task in (self._search_task, self._details_task, self._rows_task, self._download_task))

    # -- Searching -----------------------------------------------------------------------------------------------------

    @Slot()
    def search(self) -> None:
        """Ask the hub."""
        hub, query = self.hub, self.query.text()
        task, language, sort = self.task.currentData(), self.language.text(), self.sort.currentData()
        self._say("Asking the hub…")
        self._search_task.drive(lambda: hub.search(query, task=task, language=language, sort=sort))

    @Slot(object)
    def _on_found(self, found: tuple[HubDataset, ...]) -> None:
        self._found = {dataset.id: dataset for dataset in found}
        self.results.set_items([Item(each.id, each.id, _in_short(each)) for each in found])
        self._say(f"{format_count(len(found), 'dataset')} found." if found else "Nothing found: try other words.")

    def _say(self, words: str, role: str = "muted") -> None:
        self.state.setText(words)
        set_role(self.state, role)

    @Slot(str)
    def _on_chosen(self, id: str) -> None:
        hub = self.hub
        self._show_details(None)
        self._show_dataset(self._found[id])
        self.problem.setText("")
        self.description.setText("Asking the hub what it holds…")
        self.description.show()
        self._details_task.drive(lambda: hub.details(id))

    # -- One dataset ---------------------------------------------------------------------------------------------------

    def _show_dataset(self, dataset: HubDataset) -> None:
        self.title.setText(dataset.id)
        self.licence.setText(f"licence: {dataset.licence or 'not stated'}")
        self.licence.setToolTip("What its card says. Read it before you share what you make of the data.")
        self.size_class.setText(f"{dataset.size} rows")
        for pill, is_shown in (
            (self.licence, True),
            (self.gated, dataset.gated),
            (self.size_class, bool(dataset.size)),
        ):
            pill.setVisible(is_shown)

    @Slot(object)
    def _show_details(self, details: HubDetails | None) -> None:
        self._details = details
        for widget in (self.licence, self.gated, self.size_class, self.description, self.problem):
            widget.hide()
        if details is None:
            self.title.setText("Search, and choose a dataset to look into")
            self._fill_configs(())
            return
        dataset = details.dataset
        self._show_dataset(dataset)
        words = dataset.description
        self.description.setText(words if len(words) <= _MAX_DESCRIPTION else f"{words[:_MAX_DESCRIPTION]}…")
        self.description.setVisible(bool(words))
        self.problem.setText(details.problem)
        self.problem.setVisible(bool(details.problem))
        self._fill_configs(details.configs)

    @Slot(object)
    def _on_no_details(self, failure: Failure) -> None:
        self.description.hide()
        self.problem.setText(failure.sentence)
        self.problem.show()

    def _fill_configs(self, configs: tuple[str, ...]) -> None:
        with QSignalBlocker(self.config):
            self.config.clear()
            self.config.addItems(configs)
        for widget in (self._config_name, self.config):
            widget.setVisible(len(configs) > 1)
        self._show_config()

    @Slot()
    def _show_config(self) -> None:
        """Show the splits of the chosen configuration, and the rows of its first one."""
        for tick in self.splits.values():
            tick.hide()
            tick.deleteLater()
        self.splits = {}
        details, config = self._details, self.config.currentText()
        splits = [each for each in details.splits if each.config == config] if details is not None else []
        for split in splits:
            self.splits[split.split] = tick = QCheckBox(_split_words(split))
            tick.setChecked(True)
            tick.setAccessibleName(f"Download {_split_words(split)}")
            tick.toggled.connect(self._show_download)
            self._split_lines.addWidget(tick)
        self._show_rows(None, "Asking the hub for the first rows…" if splits else "")
        if details is not None and splits:
            hub, id, name = self.hub, details.dataset.id, splits[0].split
            self._rows_task.drive(lambda: hub.first_rows(id, config, name))
        else:
            self._rows_task.cancel()
        self._show_download()

    @Slot(object)
    def _on_rows(self, found: FirstRows) -> None:
        self._show_rows(found, f"First rows of “{next(iter(self.splits), '')}”")

    def _show_rows(self, found: FirstRows | None, words: str) -> None:
        self._rows_name.setText(words)
        self._rows_name.setVisible(bool(words))
        self.rows.setVisible(found is not None)
        if found is None:
            return
        rows = found.rows[:_N_ROWS]
        self.rows.clear()
        self.rows.setRowCount(len(rows))
        self.rows.setColumnCount(len(found.columns))
        self.rows.setHorizontalHeaderLabels([f"{name} ({kind})" if kind else name for name, kind in found.columns])
        for at, cells in enumerate(rows):
            for i, text in enumerate(cells):
                item = QTableWidgetItem(text.replace("\n", " ⏎ "))
                item.setToolTip(plain_tip(text))
                self.rows.setItem(at, i, item)
        wide = self.fontMetrics().averageCharWidth()
        for i, (name, kind) in enumerate(found.columns):
            longest = max([len(name) + len(kind) + 6, *(len(cells[i]) for cells in rows)])
            self.rows.setColumnWidth(i, min(longest + 4, 60) * wide * 8 // 7)

    # -- Downloading ---------------------------------------------------------------------------------------------------

    def start_download(self) -> None:
        """Download the ticked splits."""
        details = self._details
        if details is None:
            return
        hub, id, config = self.hub, details.dataset.id, self.config.currentText()
        splits = [name for name, tick in self.splits.items() if tick.isChecked()]
        self._folder = folder = self._session.library.home / "downloads" / safe_name(f"{id} {config}".replace("/", " "))

        def work() -> Generator[Event, None, Any]:
            return (yield from hub.download(id, config, splits, folder))

        self._download_task.drive(work)
        self.download_state.setText("Asking the hub for the files…")

    def _stop(self) -> None:
        self._download_task.cancel()
        self.download_state.setText("Stopped. What was downloaded is kept, and the next download resumes there.")
        self.download_state.show()

    @Slot()
    def _show_download(self) -> None:
        busy = self._download_task.busy
        can = bool(self.splits)
        self.download.setVisible(can and not busy)
        self.download.setEnabled(any(tick.isChecked() for tick in self.splits.values()))
        self.cancel.setVisible(busy)
        self.progress.setVisible(busy)
        self.download_state.setVisible(busy)
        self.results.setEnabled(not busy)
        for widget in (self.config, *self.splits.values()):
            widget.setEnabled(not busy)

    @Slot(object)
    def _on_download_events(self, events: tuple[Event, ...]) -> None:
        last = next((event for event in reversed(events) if isinstance(event, Progress)), None)
        if last is not None and last.total:
            self.progress.setRange(0, 1000)
            self.progress.setValue(round(1000 * last.done / last.total))
            self.download_state.setText(f"{format_size(last.done)} of {format_size(last.total)}")
        elif last is not None:
            self.progress.setRange(0, 0)

    @Slot(object)
    def _on_downloaded(self, paths: dict[str, tuple[Path, ...]]) -> None:
        assert self._details is not None
        files = [str(path) for of_split in paths.values() for path in of_split]
        self.downloaded.emit(files, self._details.dataset.id.rpartition("/")[2], self._folder)

    @Slot(object)
    def _on_not_downloaded(self, failure: Failure) -> None:
        self.problem.setText(failure.sentence)
        self.problem.show()


def _in_short(dataset: HubDataset) -> str:
    parts = [
        f"{format_compact(dataset.downloads)} downloads",
        dataset.licence or "no licence",
        dataset.size,
        "gated" if dataset.gated else "",
    ]
    return " · ".join(part for part in parts if part)


def _split_words(split: HubSplit) -> str:
    rows = "" if split.n_rows is None else f": {format_count(split.n_rows, 'row')}"
    size = "" if split.n_bytes is None else f", {format_size(split.n_bytes)}"
    return f"{split.split}{rows}{size}"
