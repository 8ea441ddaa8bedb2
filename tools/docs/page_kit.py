"""The picture of the page kit's parts: `python -m tools.docs.page_kit` writes docs/assets/page-kit.png."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.kit.basics import (
    EmptyState,
    button,
    column,
    frame,
    group,
    label,
    row,
    separator,
    set_enabled,
    splitter,
    step_card,
    titled_card,
)
from terrarium.app.kit.inputs import BusyRow, caption, choice, grid, line_edit
from terrarium.app.kit.item_list import Item, ItemList
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.stat_strip import StatStrip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.shell.offscreen import application
from terrarium.models.events import Progress
from terrarium.models.number_words import format_size
from tools.docs.pages import ROOT

PICTURE = ROOT / "docs" / "assets" / "page-kit.png"


@dataclasses.dataclass(frozen=True)
class Fruit:
    """A record of the table in the picture."""

    name: str
    n: int


def parts(theme: ThemeProvider) -> QWidget:
    """Return a page of all parts, each with its name in the code."""
    page = splitter(
        group(_step(), _inputs(theme), _frames(theme), None),
        group(_busy_row(theme), _table(theme), _list(theme), None),
        sizes=[520, 430],
        grows=0,
    )
    whole = QWidget()
    whole.setProperty("role", "page")
    whole.setLayout(column(page, margin=2 * SPACE))
    return whole


def _step() -> QFrame:
    words = "A heading, a sentence about the step, and contents in a column."
    return step_card("step_card", words, label("label, muted", "muted"), label("label, error", "error"))


def _inputs(theme: ThemeProvider) -> QFrame:
    order = choice("Order", "What comes first", {"new": "choice"})
    name = line_edit("Name", placeholder="line_edit", clears=True)
    lines = grid((caption("caption", order), order), (caption("in a grid", name), name), grows=1)
    segments = Segments("Scale", {"linear": "Segments", "log": "of a few", "root": "values"})
    section = Section("Section", theme)
    section.set_body(label("What it folds away.", "caption"))
    trailing = button("trailing", theme, role="link")
    return titled_card("titled_card", lines, row(segments, None), section, trailing=trailing, spacing=SPACE)


def _frames(theme: ThemeProvider) -> QFrame:
    pills = flowing(*(label(words, "pill") for words in ("flowing", "wraps", "its widgets", "into lines")))
    return frame(
        "card",
        row(
            frame("sunken", label("frame, sunken"), margin=SPACE),
            frame("banner", label("frame, banner"), margin=SPACE),
            None,
        ),
        pills,
        separator(),
        EmptyState("EmptyState", "What is missing, and what to do next.", button("Import", theme, icon="plus")),
    )


def _busy_row(theme: ThemeProvider) -> QFrame:
    start, stop = button("Download", theme, icon="cloud-arrow-down"), button("Stop", theme, icon="x")
    work = BusyRow(start, stop, "Progress of the download", stacked=True, amount=format_size)
    work.set_busy(True)
    work.show_events([Progress(done=3_200_000, total=8_000_000)])
    idle = button("Evaluate", theme, icon="gauge", role="primary")
    disabled = button("set_enabled", theme)
    set_enabled(disabled, "Says why it is disabled.")
    return titled_card("BusyRow, while it is busy", work, separator(), row(idle, disabled, None), spacing=SPACE)


def _table(theme: ThemeProvider) -> QFrame:
    columns = (
        Column(title="RecordTable", value=lambda fruit: fruit.name, grows=True),
        Column(title="Number", value=lambda fruit: f"{fruit.n:,}", is_number=True),
    )
    table = RecordTable("Fruit", theme, columns)
    table.show_records([Fruit("apples", 12), Fruit("pears", 3_400)], columns)
    table.setFixedHeight(96)
    return titled_card("", table)


def _list(theme: ThemeProvider) -> QFrame:
    items = ItemList("Designs", theme)
    items.set_items([Item("a", "ItemList", "a name, and a detail"), Item("b", "Another item", "cannot be read")], "a")
    items.setFixedHeight(88)
    numbers = StatStrip({"steps": "", "StatStrip": ""}, theme)
    numbers.set_number("steps", "1,200")
    numbers.set_number("StatStrip", "3.1")
    return titled_card("", items, numbers, spacing=SPACE)


def main() -> None:
    """Write the picture."""
    app = application()
    theme = ThemeProvider(app, "light")
    page = parts(theme)
    theme.apply_theme(page)
    page.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    page.resize(980, 592)
    page.show()
    app.processEvents()
    page.grab().save(str(PICTURE))


if __name__ == "__main__":
    main()
