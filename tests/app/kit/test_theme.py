"""The theme: readable in both modes, and followed by icons, fonts and charts when it changes."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)
from pytestqt.qtbot import QtBot

from terrarium.app.kit import theme as theme_module
from terrarium.app.kit.basics import button, column, label
from terrarium.app.kit.colours import DARK, LIGHT, THEMES, Theme, palette_of
from terrarium.app.kit.theme import TEXT_SCALES, ThemeProvider
from terrarium.app.run_views.curves.loss_chart import LossChart


def contrast(a: str, b: str) -> float:
    """WCAG contrast ratio of two colours."""

    def luminance(name: str) -> float:
        color = QColor(name)
        parts = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
            for c in (color.redF(), color.greenF(), color.blueF())
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


GROUNDS = ("window", "surface", "sunken", "raised")
WORDS = ("text", "muted", "hint", "accent", "danger", "warning", "info", "validation")
WORDS_ON = (
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("on_accent", "accent_pressed"),
    *((words, "accent_soft") for words in WORDS if words != "hint"),  # selected rows
    ("warning", "warning_soft"),
    ("danger", "danger_soft"),
    ("on_tooltip", "tooltip"),
    ("text", "selection"),
    ("pill_text", "pill_a"),
    ("pill_text", "pill_b"),
)
"""Text and the ground that only it stands on."""
LINES = ("faint", "outline", "accent", "danger", "warning", "info", "validation", "query", "key", "value")
"""Colours of chart lines, marks, and borders of what is typed into or ticked."""
EACH_THEME = pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)


@EACH_THEME
def test_words_are_readable_on_every_ground(theme: Theme) -> None:
    least = 7 if theme.name.startswith("contrast") else 4.5  # AAA and AA of WCAG 2.2
    for words, ground in (*itertools.product(WORDS, GROUNDS), *WORDS_ON):
        assert contrast(getattr(theme, words), getattr(theme, ground)) >= least, (words, ground)


@EACH_THEME
def test_lines_and_marks_can_be_seen_on_every_ground(theme: Theme) -> None:
    more = ("border", "border_strong") if theme.name.startswith("contrast") else ()  # elsewhere they only decorate
    colours = [*theme.categories, *(getattr(theme, role) for role in (*LINES, *more))]
    for colour, ground in itertools.product(colours, GROUNDS):
        assert contrast(colour, getattr(theme, ground)) >= 3, (colour, ground)
    assert contrast(theme.border_strong, theme.surface) >= 1.5


@pytest.mark.parametrize("scheme", [Qt.ColorScheme.Light, Qt.ColorScheme.Dark])
@pytest.mark.parametrize("contrast", [Qt.ContrastPreference.NoPreference, Qt.ContrastPreference.HighContrast])
def test_the_systems_contrast_is_followed(
    theme: ThemeProvider,
    monkeypatch: pytest.MonkeyPatch,
    scheme: Qt.ColorScheme,
    contrast: Qt.ContrastPreference,
) -> None:
    hints = SimpleNamespace(
        colorScheme=lambda: scheme,
        setColorScheme=lambda scheme: None,
        accessibility=lambda: SimpleNamespace(contrastPreference=lambda: contrast),
    )
    monkeypatch.setattr(theme_module, "QGuiApplication", SimpleNamespace(styleHints=lambda: hints))
    theme.set_mode("system")
    assert theme.theme.dark == (scheme == Qt.ColorScheme.Dark)
    assert theme.theme.name.startswith("contrast") == (contrast == Qt.ContrastPreference.HighContrast)


@EACH_THEME
def test_placeholders_are_readable(theme: Theme) -> None:
    palette = palette_of(theme)
    assert contrast(palette.placeholderText().color().name(), palette.base().color().name()) >= 4.5


def test_placeholders_are_drawn_in_their_colour(theme: ThemeProvider, qtbot: QtBot) -> None:
    for field in (QLineEdit(), QPlainTextEdit()):
        qtbot.addWidget(field)
        theme.apply_theme(field)
        for mode in ("light", "dark"):
            theme.set_mode(mode)
            field.ensurePolished()
            assert field.palette().placeholderText().color() == theme.theme.color("hint"), "not at half its strength"


def test_a_change_reaches_icons_fonts_and_charts(theme: ThemeProvider, qtbot: QtBot, qapp: QApplication) -> None:
    widget: QPushButton = button("Play", theme, icon="play")
    chart = LossChart(theme)
    qtbot.addWidget(widget)
    qtbot.addWidget(chart)
    before = widget.icon().pixmap(16).toImage()
    with qtbot.waitSignal(theme.theme_changed):
        theme.set_mode("dark")
    assert theme.theme is DARK
    assert widget.icon().pixmap(16).toImage() != before
    assert chart.chart.backgroundBrush().color() == DARK.color("surface")
    assert qapp.palette().window().color() == DARK.color("window")
    theme.set_mode("light")
    assert widget.icon().pixmap(16).toImage() == before


def test_what_is_in_a_dressed_window_follows_the_theme(theme: ThemeProvider, qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    theme.apply_theme(window)
    inside = label("Ready", "caption")
    window.setLayout(column(inside))
    dialog = QDialog(window)  # opens over it
    plain = label("Ready", "caption")
    qtbot.addWidget(plain)
    for each in (inside, dialog, plain):
        each.ensurePolished()
    assert inside.palette().windowText().color() == LIGHT.color("muted")
    assert dialog.palette().window().color() == LIGHT.color("window")
    assert plain.palette().windowText().color() == LIGHT.color("text")
    size = inside.font().pointSizeF()
    theme.set_mode("dark")
    assert inside.palette().windowText().color() == DARK.color("muted")
    theme.set_text_scale(1.5)
    assert inside.font().pointSizeF() == pytest.approx(1.5 * size, rel=0.02)


def test_text_size_stays_between_its_limits(theme: ThemeProvider, qapp: QApplication) -> None:
    usual = qapp.font().pointSizeF()
    theme.set_text_scale(9.0)
    assert theme.text_scale == TEXT_SCALES[-1]
    assert qapp.font().pointSizeF() == pytest.approx(TEXT_SCALES[-1] * usual)
    assert theme.mono_font().pointSizeF() == pytest.approx(TEXT_SCALES[-1] * usual)
    theme.set_text_scale(0.1)
    assert theme.text_scale == TEXT_SCALES[0]


def test_colour_maps_start_at_the_ground(theme: ThemeProvider) -> None:
    assert theme.sequential_map().map(0.0)[:3].sum() > 3 * 250
    theme.set_mode("dark")
    assert theme.sequential_map().map(0.0)[:3].sum() < 30
    middle = QColor(*theme.diverging_map().map(0.5)[:3])
    assert middle == DARK.color("surface")
    assert theme.quantity_map() is not None
    assert QColor(*theme.probability_map().map(0.0)[:3]) == DARK.color("surface")
    assert QColor(*theme.probability_map().map(1.0)[:3]) == DARK.color("accent")


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
@pytest.mark.parametrize("n", [2, 3, 6])
def test_a_list_to_choose_from_shows_all_of_its_few_entries(n: int, theme: ThemeProvider, qtbot: QtBot) -> None:
    box = QComboBox()
    box.addItems([f"Entry {i}" for i in range(n)])
    qtbot.addWidget(box)
    theme.apply_theme(box)
    box.show()
    box.showPopup()
    qtbot.waitUntil(box.view().isVisible)
    rows = [box.view().visualRect(box.model().index(i, 0)) for i in range(n)]
    assert all(row.height() >= 26 for row in rows), "as high as the style sheet makes them"
    assert box.view().viewport().rect().contains(rows[-1])
    assert box.view().verticalScrollBar().maximum() == 0
    box.hidePopup()


@pytest.mark.parametrize("dense", [False, True])
def test_the_words_of_a_header_begin_where_those_of_its_cells_do(
    theme: ThemeProvider, qtbot: QtBot, *, dense: bool
) -> None:
    table, tree = QTableWidget(1, 1), QTreeWidget()
    table.setProperty("dense", dense)
    table.setHorizontalHeaderLabels(["H"])
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    table.setItem(0, 0, QTableWidgetItem("H"))
    tree.setHeaderLabels(["H"])
    tree.setRootIsDecorated(False)
    QTreeWidgetItem(tree, ["H"])
    for view, header in ((table, table.horizontalHeader()), (tree, tree.header())):
        qtbot.addWidget(view)
        theme.apply_theme(view)
        view.show()
        cell = view.visualRect(view.model().index(0, 0))
        above = QRect(0, 0, header.sectionSize(0), header.height())
        of_cell, of_header = (
            _first_ink(part.grab(rect.adjusted(3, 3, -3, -3)).toImage())
            for part, rect in ((view.viewport(), cell), (header.viewport(), above))
        )
        assert abs(of_cell - of_header) <= 1


def _first_ink(image: QImage) -> int:
    """The first column in which not every pixel has the colour of the corner."""
    ground = image.pixel(0, 0)
    columns, lines = range(image.width()), range(image.height())
    return next(x for x in columns if any(image.pixel(x, y) != ground for y in lines))
