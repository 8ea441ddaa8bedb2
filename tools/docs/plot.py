"""Draws the picture of the page about charts: `python -m tools.docs.plot`."""

from __future__ import annotations

import os

import numpy as np
from PySide6.QtWidgets import QApplication

from terrarium.app.kit.chart_export import write_png
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.plot_spec import Band, Goal, PlotSpec, Series, main_curve
from terrarium.app.plots.plot_view import PlotView
from tools.docs.pages import ROOT

PATH = ROOT / "docs" / "assets" / "plot.png"


def make_plot(theme: ThemeProvider) -> PlotView:
    """Return the chart that the page describes."""
    steps = np.arange(1.0, 41.0)
    looks = np.array([8.0, 16.0, 24.0, 32.0, 40.0])
    shares = np.array([31.0, 48.0, 60.0, 66.0, 69.0])
    plot = PlotView(theme, "Right answers", unit="%")
    plot.show_spec(
        PlotSpec(
            series=(
                main_curve(steps, 75 - 60 * np.exp(-steps / 14), "training"),
                Series(
                    x=looks, y=shares, low=shares - 6, high=shares + 6, kind="dots", name="held out", role="validation"
                ),
            ),
            goals=(Goal(value=80.0, name="goal: 80 %"),),
            bands=(Band(low=0.0, high=25.0, name="chance"),),
            x_title="Steps",
            y_title="Right answers, %",
        )
    )
    return plot


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QApplication([])
    theme = ThemeProvider(app, "light")
    plot = make_plot(theme)
    theme.apply_theme(plot)
    plot.resize(620, 260)
    plot.show()
    app.processEvents()
    plot.show_point(15)
    write_png(plot, theme.theme.color("surface"), PATH)
