"""The list model of runs: read in the background, searched, sorted and updated in place."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from pathlib import Path

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.runs.run_query import matches, sort_runs
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.events import Event, Phase
from terrarium.models.files.jsonl import parse_row
from terrarium.models.library.library import RunInfo
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import format_date, format_done, format_duration, format_size

Index = QModelIndex | QPersistentModelIndex

_POINTS_EVERY = 50
"""Steps between two reads of a live run's sparkline, after this many steps."""
_FEW = 8
"""Up to this many runs are read on the window's thread: each takes less than a millisecond."""
_YIELD_EVERY_S = 0.3
_POLL_MS = 2000


POINTS = 48
_BLOCK = 1024


class RunModel(QAbstractListModel):
    """The runs of the library that match the search; the session's current run has its live state.

    Signals:
        about_to_change(), changed(): before and after any change of the rows.
    """

    about_to_change = Signal()
    changed = Signal()

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self._index = session.runs.index
        self.all_runs: list[RunInfo] = []
        self.runs: list[RunInfo] = []
        self.is_read = False
        """Whether the library has been read."""
        self._query, self._order = "", "newest"
        self._points: dict[str, tuple[int, tuple[float, ...]]] = {}
        self._again = False
        self._task = LatestTask(self)
        self._task.events_received.connect(self._on_read)
        self._task.done.connect(self._on_done)
        self._live_status = ""
        session.training.changed.connect(self._on_training)
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self.poll)
        self._poll.start()

    # -- Reading the library ---------------------------------------------------------------------------------

    def reload(self) -> None:
        """Reload in the background; first show the cached runs of a large library, or a few new or changed ones."""
        if self._index.is_large:
            self._set_runs(self._index.infos())
        elif self._index.n_unseen(_FEW + 1) <= _FEW:
            self._set_runs(self._index.refresh())
        if self._task.busy:
            self._again = True
        else:
            self._task.drive(self._read)

    @Slot()
    def poll(self) -> None:
        """Read changes in the background while visible: runs of other processes change without a signal."""
        view = self.parent()
        if isinstance(view, QWidget) and view.isVisible() and not self._task.busy:
            self._task.drive(self._read)

    def _read(self) -> Generator[Event, None, None]:
        self._index.refresh(gives_way=True)
        yield Phase(name="The runs are known")
        last_yield = time.monotonic()
        for _ in self._index.measure():
            if time.monotonic() - last_yield > _YIELD_EVERY_S:
                yield Phase(name="Some are measured")
                last_yield = time.monotonic()

    @Slot()
    def _on_read(self) -> None:
        # Not the result of the other thread, which may be older than a refresh on this thread.
        self._set_runs(self._index.infos())

    @Slot()
    def _on_done(self) -> None:
        self._on_read()
        if self._again:
            self._again = False
            self._task.drive(self._read)

    def _set_runs(self, runs: list[RunInfo]) -> None:
        if runs == self.all_runs and self.is_read:
            return
        self.all_runs, self.is_read = runs, True
        self._show()

    # -- Searching and sorting -------------------------------------------------------------------------------

    @property
    def query(self) -> str:
        """The search text."""
        return self._query

    def set_query(self, query: str) -> None:
        """Show the runs that match `query` (see `app.runs.run_query`)."""
        self._query = query
        self._show()

    def set_order(self, order: str) -> None:
        """Sort by one of `app.runs.run_query.SORTS`."""
        self._order = order
        self._show()

    @Slot()
    def _on_training(self) -> None:
        """Repeat the search and the sort if the training's status has changed and they may depend on it."""
        state = self._session.training.state
        status = state.status if state is not None and self._session.training.active else ""
        if status != self._live_status:
            self._live_status = status
            if self._query or self._order == "status":
                self._show()

    def _show(self) -> None:
        found = [run for run in self.all_runs if matches(run, self.status(run), self._query)]
        runs = sort_runs(found, self._order, self.status)
        self.about_to_change.emit()
        wanted = {_key(run) for run in runs}
        for row in reversed(range(len(self.runs))):
            if _key(self.runs[row]) not in wanted:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self.runs[row]
                self.endRemoveRows()
        known = {_key(run) for run in self.runs}
        new = [run for run in runs if _key(run) not in known]
        if new:
            self.beginInsertRows(QModelIndex(), len(self.runs), len(self.runs) + len(new) - 1)
            self.runs = [*self.runs, *new]
            self.endInsertRows()
        if [_key(run) for run in runs] != [_key(run) for run in self.runs]:
            self._move(runs)
        self.runs = runs
        if runs:
            self.dataChanged.emit(self.index(0), self.index(len(runs) - 1))
        self.changed.emit()

    def _move(self, runs: list[RunInfo]) -> None:
        """Reorder the rows, keeping the selection."""
        self.layoutAboutToBeChanged.emit()
        row_of_key = {_key(run): row for row, run in enumerate(runs)}
        old = self.persistentIndexList()
        new = [self.index(row_of_key[_key(self.runs[index.row()])]) for index in old]
        self.runs = runs
        self.changePersistentIndexList(old, new)
        self.layoutChanged.emit()

    # -- Rows ------------------------------------------------------------------------------------------------

    def row_of(self, run_id: str) -> int:
        """Return the row of a run, or -1 if it is not shown."""
        return next((row for row, run in enumerate(self.runs) if run.id == run_id), -1)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.runs)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        run = self.runs[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return run.name
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(filter(None, (run.name, self.status(run), self.format_steps(run), *self.facts(run))))
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(run.problem or self._tip(run))
        return None

    def status(self, run: RunInfo) -> str:
        """Return the status of a run: live if this session trains it, otherwise from its folder."""
        state = self._session.training.state
        return state.status if state is not None and self._session.training.trains(run.id) else run.status

    def step(self, run: RunInfo) -> int:
        """Return the current step of a run."""
        state = self._session.training.state
        # A resumed run has a live step once it is set up; until then use its folder.
        is_live_step = state is not None and bool(state.total_steps) and self._session.training.trains(run.id)
        return state.step if state is not None and is_live_step else run.step

    def format_steps(self, run: RunInfo) -> str:
        """Format the progress as “step 120 of 1,000”; "" if the total is unknown."""
        return "" if not run.total_steps else f"step {self.step(run):,} of {run.total_steps:,}"

    def format_progress(self, run: RunInfo) -> str:
        """Format the progress: “1,000 steps” for a complete run, else “12 %”; "" if the total is unknown."""
        step, total = self.step(run), run.total_steps
        return "" if not total else f"{step:,} steps" if step >= total else format_done(step / total)

    def facts(self, run: RunInfo) -> tuple[str, ...]:
        """Return facts, the most important first: best metric or loss on validation, training time, size on disk."""
        best = _format_metric(run) or ("" if run.best_loss is None else f"Lowest loss {run.best_loss:.3f}")
        time_words = "" if run.elapsed_s is None else format_duration(run.elapsed_s)
        size = "" if run.size_bytes is None else format_size(run.size_bytes)
        return tuple(filter(None, (best, time_words, size)))

    def has_facts(self, run: RunInfo) -> bool:
        """Return whether `facts` returns any, without formatting them."""
        return any(fact is not None for fact in (run.best_metric, run.best_loss, run.elapsed_s, run.size_bytes))

    def points(self, run: RunInfo) -> tuple[float, ...]:
        """Return the run's sparkline, cached, and re-read as its metrics grow."""
        step = self.step(run)
        key = step if step < _POINTS_EVERY else step - step % _POINTS_EVERY
        known = self._points.get(run.id)
        if known is None or known[0] != key:
            self._points[run.id] = known = (key, loss_points(run.folder))
        return known[1]

    def _tip(self, run: RunInfo) -> str:
        unit = " nats per token" if run.best_metric is None else ""  # of a task: per row, word or token
        best = "" if run.best_loss is None else f"lowest validation loss {run.best_loss:.4f}{unit}"
        trained = "" if run.elapsed_s is None else f"trained for {format_duration(run.elapsed_s)}"
        size = "" if run.size_bytes is None else f"{format_size(run.size_bytes)} on disk"
        how = "started from the weights of" if run.is_tuned else "forked from"
        parent = "" if run.parent is None else f"{how} step {run.parent[1]:,} of {run.parent[0]}"
        tags = f"tags: {', '.join(run.tags)}" if run.tags else ""
        made = f"created {format_date(run.created)}"
        metric = f"best {words}" if (words := _format_metric(run)) else ""
        facts = (self.format_steps(run), metric, best, trained, size, made, parent, tags)
        return "\n".join(filter(None, (run.name, *facts, str(run.folder), run.notes)))


def _format_metric(run: RunInfo) -> str:
    """Format the best metric, as “Macro F1 97.6 % on validation”; "" for a run without one."""
    if run.best_metric is None:
        return ""
    name, value = run.best_metric
    return f"{METRICS[name].title} {format_score(name, value)} on validation"


def _key(run: RunInfo) -> str:
    """Return a unique key: the id is not unique, since a copied folder has the id of its original."""
    return run.folder.name


def loss_points(folder: Path, points: int = POINTS) -> tuple[float, ...]:
    """Return up to `points` training losses, evenly spread over metrics.jsonl; () if it cannot be read."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            size = file.seek(0, 2)
            losses = []
            for i in range(points):
                offset = i * size // points
                file.seek(offset)
                block = file.read(_BLOCK)
                if offset:
                    block = block.partition(b"\n")[2]
                losses.append(_first_loss(block))
    except OSError:
        return ()
    return tuple(loss for loss in losses if loss is not None and math.isfinite(loss))


def _first_loss(block: bytes) -> float | None:
    """Return the loss of the first complete training row in `block`, or None."""
    for line in block.split(b"\n")[:-1]:
        row = parse_row(line)
        if row is not None and row.get("kind") == "train" and isinstance(row.get("loss"), int | float):
            return float(row["loss"])
    return None
