"""Charts over the same axis that show the same part of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from app.kit.charts.chart import Chart


class LinkedCharts(QObject):
    """Whoever looks closer at one chart sees the same part of all.

    Signals:
        zoomed(bool): a part is shown, or everything again.
    """

    zoomed = Signal(bool)

    def __init__(self, charts: Iterable[Chart], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._charts = tuple(charts)
        for chart in self._charts:
            chart.window_moved.connect(partial(self._on_moved, chart))

    @Slot()
    def show_whole(self) -> None:
        """Show everything again, in all of them."""
        self._show(None, self._charts)

    def _on_moved(self, source: Chart, window: tuple[float, float] | None) -> None:
        self._show(window, [chart for chart in self._charts if chart is not source])

    def _show(self, window: tuple[float, float] | None, charts: Iterable[Chart]) -> None:
        for chart in charts:
            chart.show_window(window)
        self.zoomed.emit(window is not None)
