"""The result of a quick start on a text: the model compared with gzip and tables, and its sample."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from terrarium.app.kit.basics import column, label
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.scores.text_comparison import TextComparison
from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import TextCompared


class TextResult(QWidget):
    """The comparison of a run with gzip and tables, and its last sample."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.comparison = TextComparison(theme)
        self.sample = named(label("", wrap=True, selectable=True), "Sample")
        self.sample.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        area.setAccessibleName("What it writes")
        self.sample.setProperty("role", "scrolled")
        area.setWidget(self.sample)
        self.writes = label("What it writes", "muted")
        self.setLayout(column(self.comparison, SPACE, self.writes, area, grows=area))

    def show_result(self, compared: TextCompared, history: RunHistory) -> None:
        """Show a comparison that includes a model, and the last sample of the run."""
        self.comparison.show_comparison(compared)
        sample = next((one for one in reversed(history.samples) if one.step <= compared.step), None)
        self.sample.setText(sample.prompt + sample.text if sample is not None else "–")
        self.writes.setText("What it writes" if sample is None else f"What it writes after “{sample.prompt}”")
