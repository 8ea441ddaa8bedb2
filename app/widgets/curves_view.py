"""What was measured of a run, over its steps: the loss, and what explains it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from app.run_history import RunHistory
from app.session import Session
from app.shown_run import ShownRun
from app.theme import ThemeProvider
from app.widgets.basics import frame
from app.widgets.plots import LossChart
from app.widgets.sample_feed import SampleFeed
from app.widgets.small_chart import SmallChart


class CurvesView(QWidget):
    """The curves of one run, and what it writes."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss = LossChart(theme)
        self._small = [
            SmallChart(theme, "Learning rate", "lr", "", ".3g"),
            SmallChart(theme, "Gradient norm", "grad_norm", "", ".3f", noisy=True),
            SmallChart(theme, "Speed", "tokens_per_s", "tokens/s", ",.0f", noisy=True, steps=True),
        ]
        self.samples = SampleFeed(theme)
        small = frame("card")
        lines = small.layout()
        assert isinstance(lines, QVBoxLayout)
        for chart in self._small:
            lines.addWidget(chart, 1)
        charts = QSplitter(Qt.Orientation.Horizontal)
        charts.setChildrenCollapsible(False)
        charts.addWidget(_card(self.loss))
        charts.addWidget(small)
        charts.setStretchFactor(0, 3)
        charts.setStretchFactor(1, 1)
        charts.setSizes([720, 260])
        body = QSplitter(Qt.Orientation.Vertical)
        body.setChildrenCollapsible(False)
        body.addWidget(charts)
        body.addWidget(_card(self.samples))
        body.setStretchFactor(0, 3)
        body.setStretchFactor(1, 1)
        body.setSizes([440, 190])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(body)

    def show_run(self, run: ShownRun) -> None:
        """Show a run's curves."""
        self._show_history(run.history, run.spec.model.vocab_size if run.spec is not None else 0)

    def _show_history(self, history: RunHistory, vocab_size: int) -> None:
        self.loss.show_history(history, vocab_size)
        for chart in self._small:
            chart.show_history(history)
        self.samples.show_history(history)

    def refresh(self) -> None:
        """Draw what has come since."""
        self.loss.refresh()
        for chart in self._small:
            chart.refresh()
        self.samples.refresh()


def _card(widget: QWidget) -> QWidget:
    card = frame("card")
    layout = card.layout()
    assert layout is not None
    layout.addWidget(widget)
    return card
