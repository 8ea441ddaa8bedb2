"""What is told by a colour is told by something else, too: a pattern, an underline, a mark."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QTextDocument

from terrarium.app.glass.tokens.token_chips import draw_mark
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run_views.curves.accuracy_curves import AccuracyCurves
from terrarium.app.run_views.curves.loss_chart import LossChart
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.runs.overlay.overlay_legend import Stroke
from terrarium.app.task_pages.entity_page import SpanColours
from tests.app.run_views.curves.test_accuracy_curves import asked


def drawn(number: int) -> QImage:
    """A mark, in one colour."""
    image = QImage(24, 24, QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    painter = QPainter(image)
    painter.setBrush(QColor("black"))
    draw_mark(painter, QPointF(12, 12), 6, number)
    painter.end()
    return image


def test_marks_of_four_lines_differ(theme: ThemeProvider) -> None:
    for one, other in itertools.combinations(range(4), 2):
        assert drawn(one) != drawn(other)
    assert drawn(0) == drawn(4)


def test_runs_in_one_chart_differ_by_pattern_and_never_are_alike(theme: ThemeProvider) -> None:
    strokes = [Stroke.number(i, theme) for i in range(28)]
    assert len({(stroke.colour.name(), stroke.pattern) for stroke in strokes}) == 28
    assert all(len({stroke.pattern for stroke in strokes[i : i + 4]}) == 4 for i in range(25))
    assert strokes[0].pattern == Qt.PenStyle.SolidLine


def test_types_of_entities_differ_by_their_underline(theme: ThemeProvider) -> None:
    document = QTextDocument("Ann sings. She is happy.")
    colours = SpanColours(document, theme)
    colours.set_types(("PERSON", "MOOD", "PLACE"))
    assert len({colours.line_of(kind) for kind in ("PERSON", "MOOD", "PLACE")}) == 3
    colours.set_places([(0, 3, "PERSON"), (18, 23, "MOOD")])
    lines = [each.format.underlineStyle() for each in document.firstBlock().layout().formats()]
    assert len(lines) == len(set(lines)) == 2


def test_curves_of_kinds_of_questions_differ_by_pattern(theme: ThemeProvider) -> None:
    curves = AccuracyCurves(theme, LossChart(theme))
    curves.draw(asked(), RunAxis())
    styles = [series.style for series in curves.spec.series]
    assert all(one != other for one, other in itertools.pairwise(styles))
