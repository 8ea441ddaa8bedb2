"""The table of records: sorted, copied, activated, and read aloud; lazy; in the right colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QFontMetrics, QGuiApplication, QImage
from PySide6.QtWidgets import QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import ThemeProvider

FRUIT = [("pear", 3), ("apple", 12), ("fig\tor\ndate", 7)]
COLUMNS = (
    Column(title="Name", about="What it is", value=lambda fruit: fruit[0], key=lambda fruit: fruit[0], grows=True),
    Column(
        title="Number",
        value=lambda fruit: str(fruit[1]),
        tip=lambda fruit: f"<b>{fruit[1]}</b>",
        is_number=True,
        key=lambda fruit: fruit[1],
        falls=True,
        tone=lambda fruit: "warning" if fruit[1] > 10 else "",
    ),
)
NAME, NUMBER = range(len(COLUMNS))

Make = Callable[..., RecordTable]


@pytest.fixture
def make(qtbot: QtBot, theme: ThemeProvider) -> Make:
    windows = []

    def make(columns: tuple[Column, ...] = COLUMNS, records: Any = FRUIT, **options: bool) -> RecordTable:
        table = RecordTable("Fruit", theme, columns, **options)
        window = QWidget()
        QVBoxLayout(window).addWidget(table)
        theme.apply_theme(window)
        qtbot.addWidget(window)
        windows.append(window)  # qtbot does not keep it alive
        table.show_records(records)
        window.resize(400, 300)
        window.show()
        return table

    return make


def names(table: RecordTable) -> list[str]:
    return [fruit[0][:3] for fruit in table.records]


def click_header(qtbot: QtBot, table: RecordTable, column: int) -> None:
    header = table.horizontalHeader()
    at = QPoint(header.sectionViewportPosition(column) + 20, header.height() // 2)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)


def test_headers_sort_and_rows_stay_selected_and_sorted(qtbot: QtBot, make: Make) -> None:
    table = make(has_many=True)
    table.sort_by("Name")
    assert names(table) == ["app", "fig", "pea"]
    table.select_rows((0, 2))
    assert table.selected == [("apple", 12), ("pear", 3)]
    click_header(qtbot, table, NUMBER)
    assert names(table) == ["app", "fig", "pea"], "the largest number first"
    click_header(qtbot, table, NUMBER)
    assert names(table) == ["pea", "fig", "app"]
    assert table.selected == [("pear", 3), ("apple", 12)]
    table.show_records([*FRUIT, ("quince", 5)])
    assert names(table) == ["pea", "qui", "fig", "app"]
    assert table.selected == []
    table.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
    assert names(table) == ["pea", "app", "fig", "qui"], "as they were given"


def test_rows_are_reached_activated_and_copied_by_keyboard(qtbot: QtBot, make: Make) -> None:
    table, reached, activated = make(has_many=True), [], []
    table.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
    table.record_reached.connect(reached.append)
    table.record_activated.connect(activated.append)
    table.selectRow(1)
    qtbot.keyClick(table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(table, Qt.Key.Key_Return)
    assert reached == FRUIT[1:]
    assert activated == FRUIT[2:]
    assert table.current == FRUIT[2]
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "apple\t12\nfig or date\t7"
    table.setColumnHidden(NAME, True)
    table.copy_selected()
    assert QGuiApplication.clipboard().text() == "12\n7"


def test_cells_headers_and_rows_say_what_they_are(make: Make) -> None:
    table, role = make(), Qt.ItemDataRole
    model = table.model()
    assert table.accessibleName() == "Fruit"
    assert model.index(2, NAME).data(role.AccessibleTextRole) == "Name apple, Number 12"
    assert model.headerData(NAME, Qt.Orientation.Horizontal, role.ToolTipRole) == "What it is"
    assert "&lt;b&gt;12&lt;/b&gt;" in model.index(2, NUMBER).data(role.ToolTipRole), "verbatim"
    sides = [model.index(0, at).data(role.TextAlignmentRole) & Qt.AlignmentFlag.AlignRight for at in (NAME, NUMBER)]
    assert [bool(side) for side in sides] == [False, True]
    assert table.texts() == [["pear", "3"], ["fig\tor\ndate", "7"], ["apple", "12"]]


def test_only_cells_in_view_are_asked_for(make: Make) -> None:
    asked = set()

    def value(record: int) -> str:
        asked.add(record)
        return str(record)

    table = make((Column(title="Row", value=value),), range(50_000))
    table.grab()
    assert 0 < len(asked) < 100


def test_a_selected_row_keeps_its_warning(make: Make, theme: ThemeProvider) -> None:
    table = make()
    warning, row = theme.theme.color("warning").name(), names(table).index("app")
    assert warning in colours(table, row, NUMBER)
    assert warning not in colours(table, row, NAME)
    table.selectRow(row)
    shown = colours(table, row, NUMBER)
    assert warning in shown
    assert theme.theme.color("accent_soft").name() in shown, "and looks selected"


def test_rows_stay_selected_where_only_the_texts_change(make: Make) -> None:
    columns = (Column(title="Name", value=lambda fruit: fruit[0]),)
    table = make(columns)
    table.selectRow(1)
    table.show_records([("kiwi", 1), ("lime", 2), ("plum", 3)], keeps_rows=True)
    assert table.current == ("lime", 2)
    table.show_records([("kiwi", 1)], keeps_rows=True)
    assert table.current is None


def colours(table: RecordTable, row: int, column: int) -> set[str]:
    """Return the colours of a cell's pixels, as “#rrggbb”."""
    place = table.visualRect(table.model().index(row, column)).translated(table.viewport().pos())
    image = table.grab(place).toImage().convertToFormat(QImage.Format.Format_RGB32)
    return {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}


def test_the_arrow_is_beside_the_title_of_the_sorted_column(make: Make, theme: ThemeProvider) -> None:
    table = make()
    header, arrows = table.horizontalHeader(), {}
    for column in (NAME, NUMBER):
        header.setSortIndicator(column, Qt.SortOrder.AscendingOrder)
        sorted_one = header.grab().toImage()
        header.setSortIndicator(1 - column, Qt.SortOrder.AscendingOrder)
        other, x = header.grab().toImage(), header.sectionViewportPosition(column)
        changed = [
            (at, y)
            for at in range(x, x + header.sectionSize(column))
            for y in range(header.height())
            if sorted_one.pixel(at, y) != other.pixel(at, y)
        ]
        arrows[column] = changed
        assert 0.25 < sum(y for _, y in changed) / len(changed) / header.height() < 0.75, "as high as the words"
    left, right = ([at for at, _ in arrows[column]] for column in (NAME, NUMBER))
    words = QFontMetrics(theme.font(0.9, bold=True)).horizontalAdvance
    assert words("Name") < min(left) < max(left) < words("Name") + 30, "behind a word on the left"
    assert max(right) < header.length() - words("Number") - 8, "before a word on the right"
