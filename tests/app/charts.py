"""What every chart can do, asserted by its keys and its words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.chart_export import write_csv, write_json
from terrarium.app.plots.chart_base import ChartBase
from terrarium.app.plots.figure import Figure
from terrarium.app.plots.plot_spec import short_number
from terrarium.app.plots.plot_view import PlotView

_IN_SUMMARY = 12
_ENTRIES = ("Copy picture", "Export: picture (PNG)…", "Export: all numbers (CSV)…")


def charts_in(widget: QWidget) -> list[ChartBase]:
    """Return the visible charts within a widget that have something to show."""
    found = [widget] if isinstance(widget, ChartBase) else widget.findChildren(ChartBase)
    return [chart for chart in found if chart.isVisible() and has_data(chart)]


def has_data(chart: ChartBase) -> bool:
    """Return whether a chart shows anything."""
    if isinstance(chart, PlotView):
        return any(np.isfinite(series.y).any() for series in chart.spec.series)
    return any(len(column) for column in chart.columns().values())


def assert_abilities(chart: ChartBase, folder: Path) -> None:
    """Assert that a chart with data has a name, a summary, a menu, an export, and is read and zoomed by keys."""
    assert chart.accessibleName(), f"{type(chart).__name__} has no name"
    columns = chart.columns()
    assert len({len(column) for column in columns.values()}) == 1
    write_csv(columns, folder / "chart.csv")
    write_json(columns, folder / "chart.json")
    assert (folder / "chart.csv").read_text("utf-8").count("\n") > 1
    _assert_menu(chart)
    if isinstance(chart, PlotView):
        _assert_plot(chart)
    else:
        assert len(chart.summary()) > 10
    if isinstance(chart, Figure):
        _assert_figure(chart)


def _assert_menu(chart: ChartBase) -> None:
    """Assert that the menu has what every chart offers, and that a picture can be copied."""
    menu = chart.menu()
    entries = [action.text() for action in menu.actions()]
    assert set(_ENTRIES) <= set(entries)
    assert isinstance(chart, PlotView) == any(entry.startswith("Show whole") for entry in entries)
    next(action for action in menu.actions() if action.text() == "Copy picture").trigger()
    assert QGuiApplication.clipboard().image().size() == chart.size() * 2
    menu.deleteLater()


def _assert_plot(plot: PlotView) -> None:
    words, columns = plot.summary(), plot.columns()
    exported = np.concatenate([np.asarray(column, np.float64) for column in columns.values() if _is_numeric(column)])
    known = [each for each in plot.spec.series if np.isfinite(each.y).any()]
    for i, series in enumerate(known):
        y = series.y[np.isfinite(series.y)]
        assert np.isin(y, exported).all(), f"{series.name} is not exported"
        if i < _IN_SUMMARY:
            assert all(short_number(float(value)) in words for value in (y[0], y[-1], y.min(), y.max()))
    assert len(plot.places)
    plot.setFocus(Qt.FocusReason.OtherFocusReason)
    QTest.keyClick(plot, Qt.Key.Key_Home)
    assert plot.index == 0
    first = plot.accessibleDescription()
    assert first.startswith(plot.words_of(0))
    QTest.keyClick(plot, Qt.Key.Key_End)
    assert plot.index == len(plot.places) - 1
    assert plot.accessibleDescription() == plot.words_of(plot.index)
    if len(plot.places) > 1:
        QTest.keyClick(plot, Qt.Key.Key_Left)
        assert plot.index < len(plot.places) - 1
        _assert_zoom(plot)
    QTest.keyClick(plot, Qt.Key.Key_Escape)
    assert plot.index is None
    assert plot.accessibleDescription() == words


def _assert_zoom(plot: PlotView) -> None:
    view = plot.chart.getPlotItem().getViewBox()
    whole = view.viewRange()[0]
    QTest.keyClick(plot, Qt.Key.Key_Plus)
    assert plot.chart.window is not None
    QTest.keyClick(plot, Qt.Key.Key_0)
    assert plot.chart.window is None
    assert np.allclose(view.viewRange()[0], whole)


def _assert_figure(figure: Figure) -> None:
    figure.set_spot(None)
    figure.setFocus(Qt.FocusReason.TabFocusReason)
    before = figure.accessibleDescription()
    QTest.keyClick(figure, Qt.Key.Key_Down)
    assert figure.spot is not None
    assert figure.accessibleDescription() != before
    QTest.keyClick(figure, Qt.Key.Key_Escape)
    assert figure.spot is None
    assert figure.accessibleDescription() == figure.summary()


def _is_numeric(column: object) -> bool:
    return all(isinstance(value, int | float) for value in np.asarray(column).tolist())
