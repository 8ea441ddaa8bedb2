"""Charts that stand above each other and always show the same part of their x axis."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QPushButton

from terrarium.app.kit.basics import set_enabled
from terrarium.app.plots.chart import Chart


class LinkedCharts(QObject):
    """Links the x range of charts: zooming or panning one moves all.

    Signals:
        zoomed(bool): the window has changed; True if only a part of the run is shown.
    """

    zoomed = Signal(bool)

    def __init__(self, charts: Iterable[Chart], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._charts = tuple(charts)
        for chart in self._charts:
            chart.window_moved.connect(partial(self._on_moved, chart))

    def enable_while_zoomed(self, whole: QPushButton) -> None:
        """Enable a button that shows the whole run while only a part of it is shown."""

        def show(is_zoomed: bool) -> None:
            set_enabled(whole, "" if is_zoomed else "The whole run is shown.")

        self.zoomed.connect(show)
        show(False)

    @Slot()
    def show_whole(self) -> None:
        """Reset the zoom of all charts."""
        self._show(None, self._charts)

    def _on_moved(self, source: Chart, window: tuple[float, float] | None) -> None:
        self._show(window, [chart for chart in self._charts if chart is not source])

    def _show(self, window: tuple[float, float] | None, charts: Iterable[Chart]) -> None:
        for chart in charts:
            chart.show_window(window)
        self.zoomed.emit(window is not None)
