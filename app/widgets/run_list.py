"""The list of runs: name, what they are doing, how far they came, and their loss as a sparkline."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import QKeyEvent, QPainter, QPainterPath, QPolygonF
from PySide6.QtWidgets import QListView, QMenu, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.session import Session
from app.sparkline import loss_points
from app.theme import SPACE, ThemeProvider
from models.library import RunInfo

Index = QModelIndex | QPersistentModelIndex

TONES = {
    "running": "accent",
    "preparing": "accent",
    "evaluating": "accent",
    "pausing": "warning",
    "paused": "warning",
    "stopping": "warning",
    "interrupted": "warning",
    "blocked": "danger",
    "failed": "danger",
    "damaged": "danger",
}
"""The theme's field for each status; what is not here is muted."""


_POINTS_EVERY = 50
"""Steps between two looks at a growing run's metrics."""


class RunModel(QAbstractListModel):
    """The library's runs; the session's current one with its live state."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self.runs: list[RunInfo] = []
        self._points: dict[str, tuple[int, tuple[float, ...]]] = {}

    def reload(self) -> None:
        """Read the library again."""
        runs = self._session.list_runs()
        if [run.id for run in runs] == [run.id for run in self.runs]:
            self.runs = runs
            if runs:
                self.dataChanged.emit(self.index(0), self.index(len(runs) - 1))
            return
        self.beginResetModel()
        self.runs = runs
        self.endResetModel()

    def row_of(self, run_id: str) -> int:
        """The row of a run, -1 where it is not listed."""
        return next((row for row, run in enumerate(self.runs) if run.id == run_id), -1)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.runs)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        run = self.runs[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return run.name
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{run.name}, {self.status(run)}, {self.step_words(run)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return run.problem or f"{run.name}\nmade {run.created.replace('T', ' ')[:16]} UTC\n{run.folder}"
        return None

    def status(self, run: RunInfo) -> str:
        """What the run is doing: live for the session's own, from its folder otherwise."""
        state = self._session.training
        return state.status if state is not None and self._session.is_current(run.id) else run.status

    def step(self, run: RunInfo) -> int:
        """How far it came."""
        state = self._session.training
        return state.step if state is not None and self._session.is_current(run.id) else run.step

    def step_words(self, run: RunInfo) -> str:
        """«step 120 of 1,000»."""
        return "" if run.problem and not run.total_steps else f"step {self.step(run):,} of {run.total_steps:,}"

    def short_step_words(self, run: RunInfo) -> str:
        """«1,000 steps» of a whole run, «12 %» of another."""
        step, total = self.step(run), run.total_steps
        return "" if not total else f"{step:,} steps" if step >= total else f"{min(round(100 * step / total), 99)} %"

    def points(self, run: RunInfo) -> tuple[float, ...]:
        """The run's sparkline, read again when its metrics grew by much or ended."""
        key = self.step(run) // _POINTS_EVERY
        known = self._points.get(run.id)
        if known is None or known[0] != key:
            self._points[run.id] = known = (key, loss_points(run.folder))
        return known[1]


class RunDelegate(QStyledItemDelegate):
    """Paints one run on two lines."""

    def __init__(self, theme: ThemeProvider, model: RunModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._model = model

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        line = option.fontMetrics.height()
        return QSize(160, 2 * line + 3 * SPACE)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        run, colors = self._model.runs[index.row()], self._theme.theme
        rect: QRect = option.rect.adjusted(2, 2, -2, -2)
        state: QStyle.StateFlag = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(colors.color("accent_soft"))
            painter.drawRoundedRect(rect, 7, 7)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(colors.color("sunken"))
            painter.drawRoundedRect(rect, 7, 7)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(self._theme.pen("accent", width=1.5))
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 7, 7)
        inner = rect.adjusted(SPACE + 2, SPACE - 2, -SPACE - 2, -SPACE + 2)
        points = self._model.points(run)
        spark_width = min(72, inner.width() // 3) if len(points) > 1 else 0
        text = inner.adjusted(0, 0, -spark_width - SPACE, 0)
        half = inner.height() // 2
        name_font = self._theme.font(bold=True)
        painter.setFont(name_font)
        painter.setPen(colors.color("text"))
        name = painter.fontMetrics().elidedText(run.name, Qt.TextElideMode.ElideRight, text.width())
        painter.drawText(QRect(text.left(), text.top(), text.width(), half), Qt.AlignmentFlag.AlignVCenter, name)
        status = self._model.status(run)
        tone = TONES.get(status, "muted")
        middle = text.top() + half + half // 2
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color(tone))
        painter.drawEllipse(QPointF(text.left() + 4, middle), 3.5, 3.5)
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color(tone))
        below = QRect(text.left() + 14, text.top() + half, text.width() - 14, half)
        metrics = painter.fontMetrics()
        painter.drawText(below, Qt.AlignmentFlag.AlignVCenter, status)
        painter.setPen(colors.color("muted"))
        rest = below.adjusted(metrics.horizontalAdvance(status + "  "), 0, 0, 0)
        steps = self._model.short_step_words(run)
        if metrics.horizontalAdvance(steps) <= rest.width():
            painter.drawText(rest, Qt.AlignmentFlag.AlignVCenter, steps)
        spark = QRectF(inner.right() - spark_width, inner.top() + 4, spark_width, inner.height() - 8)
        _paint_sparkline(painter, spark, points, self._theme)
        painter.restore()


def _paint_sparkline(painter: QPainter, rect: QRectF, points: tuple[float, ...], theme: ThemeProvider) -> None:
    if len(points) < 2:
        return
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    step, scale = rect.width() / (len(points) - 1), rect.height() / span
    points_on = [QPointF(rect.left() + step * i, rect.bottom() - scale * (p - low)) for i, p in enumerate(points)]
    area = QPainterPath()
    area.addPolygon(QPolygonF([rect.bottomLeft(), *points_on, rect.bottomRight()]))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.theme.color("accent", 0.12))
    painter.drawPath(area)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(theme.pen("accent", width=1.3))
    painter.drawPolyline(QPolygonF(points_on))


class RunList(QListView):
    """The runs of the library, with what can be done to one in its context menu.

    Signals:
        run_chosen(run_id): another run is the current one; '' for none.
        rename_asked(run_id), delete_asked(run_id), resume_asked(run_id), reveal_asked(run_id), chat_asked(run_id)
    """

    run_chosen = Signal(str)
    rename_asked = Signal(str)
    delete_asked = Signal(str)
    resume_asked = Signal(str)
    reveal_asked = Signal(str)
    chat_asked = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "plain")
        self.setAccessibleName("Runs")
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self._session = session
        self._theme = theme
        self.runs = RunModel(session, self)
        self.setModel(self.runs)
        self.setItemDelegate(RunDelegate(theme, self.runs, self))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._show_menu)
        self.selectionModel().currentChanged.connect(self._on_current)
        self._repaint = QTimer(self)
        self._repaint.setSingleShot(True)
        self._repaint.setInterval(500)
        self._repaint.timeout.connect(self.viewport().update)
        session.runs_changed.connect(self.reload)
        session.training_changed.connect(self._on_training)
        theme.theme_changed.connect(self.viewport().update)
        self._live_run = ""
        self.reload()

    @property
    def current_id(self) -> str:
        """The current run's id, '' for none."""
        index = self.currentIndex()
        return self.runs.runs[index.row()].id if index.isValid() else ""

    @Slot()
    def reload(self) -> None:
        """Read the library again, keeping the current run."""
        current = self.current_id
        self.runs.reload()
        if current and self.current_id != current:
            self.choose(current)

    def choose(self, run_id: str) -> bool:
        """Make a run the current one; whether it is listed."""
        row = self.runs.row_of(run_id)
        if row >= 0:
            self.setCurrentIndex(self.runs.index(row))
        elif self.currentIndex().isValid():
            self.setCurrentIndex(QModelIndex())
        return row >= 0

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.current_id and event.key() == Qt.Key.Key_Delete:
            self.delete_asked.emit(self.current_id)
        elif self.current_id and event.key() == Qt.Key.Key_F2:
            self.rename_asked.emit(self.current_id)
        else:
            super().keyPressEvent(event)

    def make_menu(self, run_id: str) -> QMenu:
        """What can be done to a run."""
        info = self.runs.runs[self.runs.row_of(run_id)]
        status, own = self.runs.status(info), self._session.is_current(run_id)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        resumable = not own and status in ("paused", "stopped", "interrupted", "failed", "queued") and not info.problem
        entries = (
            ("Go on training", "play", self.resume_asked, resumable and not self._session.training_active),
            ("Chat with it", "chat-circle", self.chat_asked, status != "damaged"),
            ("Rename…", "pencil-simple", self.rename_asked, status != "damaged"),
            ("Reveal in folder", "folder-open", self.reveal_asked, True),
            ("Delete", "trash", self.delete_asked, not own and status != "running"),
        )
        for words, icon, signal, possible in entries:
            action = menu.addAction(self._theme.icon(icon), words)
            action.setEnabled(bool(possible))
            action.triggered.connect(lambda checked=False, signal=signal: signal.emit(run_id))
        return menu

    @Slot(QPoint)
    def _show_menu(self, place: QPoint) -> None:
        index = self.indexAt(place)
        if index.isValid():
            self.make_menu(self.runs.runs[index.row()].id).popup(self.viewport().mapToGlobal(place))

    @Slot(QModelIndex, QModelIndex)
    def _on_current(self, current: QModelIndex, previous: QModelIndex) -> None:
        self.run_chosen.emit(self.runs.runs[current.row()].id if current.isValid() else "")

    @Slot()
    def _on_training(self) -> None:
        state = self._session.training
        if state is not None and state.run_id and state.run_id != self._live_run:
            self._live_run = state.run_id
            self.reload()
        if not self._repaint.isActive():
            self._repaint.start()
