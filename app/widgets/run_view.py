"""One run: its head, and the ways of looking at it."""

from __future__ import annotations

import contextlib

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.session import Session
from app.shown_run import ShownRun
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import column, label
from app.widgets.run_head import RunHead
from app.widgets.run_views import RunViews
from app.widgets.spec_view import SpecView, summary
from models.training.spec import RunSpec

_REDRAW_MS = 300


class RunView(QWidget):
    """Shows one run, live where the session trains it.

    Signals:
        chat_asked(which): the user wants to talk to it: a run id, or "live".
    """

    chat_asked = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._run_id = ""
        self._spec: RunSpec | None = None
        self._dirty = False
        self.head = RunHead(session, theme)
        self.views = RunViews(session, theme)
        layout = column(self.head, self.views, None)
        layout.setStretch(1, 1000)
        self.setLayout(layout)
        self._redraw = QTimer(self)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._on_redraw)
        self._redraw.start()
        self.head.go_on_asked.connect(self._on_go_on)
        self.head.chat_asked.connect(self._on_chat)
        self.head.settings_asked.connect(self.show_settings)
        session.training_changed.connect(self._on_training)
        session.training_events.connect(self._on_events)
        session.runs_changed.connect(self._show_state)
        session.chat_changed.connect(self._show_state)

    # -- What is shown ----------------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        """The run that is shown, '' for one that is still being prepared."""
        return self._run_id

    def show_run(self, run_id: str) -> None:
        """Show a run of the library; '' shows the current training before it has a run."""
        self._run_id = run_id
        damaged = bool(run_id) and self._session.find_run(run_id).problem is not None
        self.views.setVisible(not damaged)  # the head says what is wrong; there is nothing else to be seen
        if damaged:
            self._spec = None
            self.head.summary.setText("")
            self._show_state()
            return
        self._spec = self._session.run_spec(run_id) if run_id else None
        history = self._session.run_history(run_id) if run_id else self._session.history
        folder = self._session.find_run(run_id).folder if run_id else None
        name = self._session.find_run(run_id).name if run_id else ""
        self.views.show_run(ShownRun(id=run_id, name=name, folder=folder, spec=self._spec, history=history))
        self.head.summary.setText(summary(self._spec) if self._spec is not None else "")
        self._show_state()

    @property
    def live(self) -> bool:
        """Whether the session is training what is shown."""
        state = self._session.training
        return self._session.training_active and state is not None and state.run_id == self._run_id

    @Slot()
    def _show_state(self) -> None:
        state = self._session.training
        if self.live and state is not None:
            self.head.show_live(state, self._session.chat_state)
        elif self._run_id:
            # Its folder may be gone; then the list says so, and another page is shown.
            with contextlib.suppress(ValueError):
                self.head.show_resting(self._session.find_run(self._run_id))

    # -- Following --------------------------------------------------------------------------------------

    @Slot()
    def _on_training(self) -> None:
        state = self._session.training
        if state is not None and not self._run_id and state.run_id:
            self.show_run(state.run_id)
        elif state is not None and state.run_id == self._run_id:
            self._show_state()

    @Slot(object)
    def _on_events(self, events: object) -> None:
        if self.live:
            self._dirty = True

    @Slot()
    def _on_redraw(self) -> None:
        # The redraw rate is the viewer's, not the data's; what is not seen is drawn when it is.
        if self._dirty and self.isVisible():
            self._dirty = False
            self.views.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._dirty = True

    # -- Actions ----------------------------------------------------------------------------------------

    def _on_go_on(self) -> None:
        self._session.resume_run(self._run_id)

    def _on_chat(self) -> None:
        self.chat_asked.emit("live" if self.live else self._run_id)

    def show_settings(self) -> None:
        """Show the run's own settings in a window."""
        if self._spec is None:
            return
        dialog = QDialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(f"Settings of {self.head.name.text()}")
        dialog.resize(980, 640)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        view = SpecView(self._spec)
        view.setProperty("role", "scrolled")
        area.setWidget(view)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        layout = QVBoxLayout(dialog)
        layout.setContentsMargins(3 * SPACE, 3 * SPACE, 3 * SPACE, 2 * SPACE)
        layout.addWidget(area)
        layout.addWidget(label("What stands out in green is not the default.", "caption"))
        layout.addWidget(buttons)
        dialog.open()
