"""Named inputs, and the row that starts long work."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLabel, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import button, column, frame, group, label, row, scrolled, show_words, splitter
from terrarium.app.kit.inputs import (
    BusyRow,
    caption,
    choice,
    fill_choice,
    grid,
    line_edit,
    progress_bar,
    show_progress,
)
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.events import Phase, Progress


def test_inputs_have_the_name_and_the_tip_that_they_are_given(qtbot: QtBot) -> None:
    entries = {"new": "Newest", "old": "Oldest"}
    box = choice("Order", "Which <rows> come first", entries, tips={"old": "The first ever"})
    line = line_edit("Language", "A code, as “de”", "Language", clears=True, max_length=8)
    for widget in (box, line):
        qtbot.addWidget(widget)
    assert (box.accessibleName(), box.currentData(), box.count()) == ("Order", "new", 2)
    assert box.itemData(1, Qt.ItemDataRole.ToolTipRole) == "The first ever"
    assert "&lt;rows&gt;" in box.toolTip(), "markup in a tip is shown, not rendered"
    assert (line.accessibleName(), line.placeholderText(), line.maxLength()) == ("Language", "Language", 8)


def test_filling_a_choice_keeps_what_was_chosen_and_sends_no_signal(qtbot: QtBot) -> None:
    box = choice("Run", "", {"a": "A", "b": "B"})
    qtbot.addWidget(box)
    box.setCurrentIndex(1)
    with qtbot.assertNotEmitted(box.currentIndexChanged):
        fill_choice(box, {"c": "C", "b": "B"}, box.currentData())
        assert box.currentData() == "b"
        fill_choice(box, {"d": "D"}, "b")
        assert box.currentData() == "d", "the first one, as the chosen one is gone"
        values = (1,), (2,)
        fill_choice(box, dict.fromkeys(values, "A tuple"), tuple(range(2, 3)), {values[1]: "The <second>"})
        assert box.currentIndex() == 1, "values are compared, not objects"
        assert "&lt;second&gt;" in box.itemData(1, Qt.ItemDataRole.ToolTipRole)
        fill_choice(box, {})
    assert box.currentIndex() == -1


def test_a_choice_of_fixed_width_does_not_grow_with_its_entries(qtbot: QtBot) -> None:
    narrow, wide = choice("A", width=10), choice("B")
    for box in (narrow, wide):
        qtbot.addWidget(box)
        fill_choice(box, {"x": "a name that is far longer than ten letters"})
    assert narrow.sizeAdjustPolicy() == QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    assert narrow.sizeHint().width() < wide.sizeHint().width()


def test_progress_of_more_bytes_than_an_int_holds(qtbot: QtBot) -> None:
    bar = progress_bar("Progress of the download")
    qtbot.addWidget(bar)
    show_progress(bar, 3 * 10**10, 4 * 10**10)
    assert (bar.value(), bar.maximum()) == (750, 1000)
    show_progress(bar)
    assert (bar.minimum(), bar.maximum()) == (0, 0), "something is going on, of unknown length"


def test_a_busy_row_shows_either_its_start_or_the_progress_and_the_stop(qtbot: QtBot, theme: ThemeProvider) -> None:
    page, line = QWidget(), BusyRow(button("Count", theme), button("Stop", theme), "Progress of the count")
    page.setLayout(column(line))
    qtbot.addWidget(page)

    def shown() -> list[bool]:
        return [not widget.isHidden() for widget in (line.start, line.stop, line.progress, line.phase)]

    assert shown() == [True, False, False, False]
    line.set_busy(True, "Reading the corpus")
    assert shown() == [False, True, True, True]
    line.show_events([Phase(name="Counting"), Progress(done=1, total=4)])
    assert (line.phase.text(), line.progress.value(), line.progress.maximum()) == ("Counting", 250, 1000)
    line.set_busy(False, "Stopped.")
    assert (shown(), line.phase.text()) == ([True, False, False, True], "Stopped.")
    line.set_busy(False)
    line.set_offered(False)
    assert shown() == [False] * 4


def test_a_busy_row_says_how_much_of_how_much_is_done(qtbot: QtBot, theme: ThemeProvider) -> None:
    start, stop = button("Load", theme), button("Stop", theme)
    line = BusyRow(start, stop, "Progress of the load", stacked=True, amount=lambda n: f"{n} MB")
    qtbot.addWidget(line)
    line.set_busy(True, "Asking")
    line.show_events([Progress(done=3, total=0)])
    assert line.phase.text() == "Asking", "how much there is, is not known yet"
    line.show_events([Progress(done=3, total=8)])
    assert line.phase.text() == "3 MB of 8 MB"
    line.set_busy(True)
    assert line.phase.isHidden()
    line.show_events([Progress(done=4, total=8)])
    assert not line.phase.isHidden()


def test_a_grid_aligns_captions_with_their_editors(qtbot: QtBot) -> None:
    name, task, note = line_edit("Name"), choice("Task", "", {"a": "A"}), label("A note")
    window = QWidget()
    window.setLayout(grid([caption("Name", name), name], [caption("Task", task), task], [note], grows=1))
    qtbot.addWidget(window)
    window.resize(400, 200)
    window.show()
    first = window.findChild(QLabel)
    assert (first.text(), first.buddy()) == ("Name", name)
    assert name.x() == task.x() > first.x() == note.x()
    assert note.width() > name.width() > 300, "the note spans both columns, and the editors take the spare width"


def test_contents_are_laid_out_in_order_and_those_that_grow_take_the_space(qtbot: QtBot) -> None:
    first, second, third = (label(str(i)) for i in range(3))
    box = frame("card", first, row(second, None), third, margin=0, spacing=0, grows=third)
    qtbot.addWidget(box)
    box.resize(200, 400)
    box.show()
    assert first.y() < second.y() < third.y()
    assert third.height() > 300 > first.height() + second.height()


def test_a_splitter_gives_spare_space_to_the_parts_that_grow(qtbot: QtBot) -> None:
    left, right = group(label("a")), scrolled(label("b"), None)
    parts = splitter(left, right, sizes=(100, 100), grows=1)
    qtbot.addWidget(parts)
    parts.resize(300, 100)
    parts.show()
    before = left.width()
    parts.resize(600, 100)
    assert left.width() == before
    assert not parts.childrenCollapsible()


def test_a_label_without_words_is_hidden(qtbot: QtBot) -> None:
    words = label("")
    qtbot.addWidget(words)
    show_words(words, "A problem.")
    assert not words.isHidden()
    show_words(words, "")
    assert words.isHidden()


def test_a_caption_and_its_tip_are_shown_verbatim(qtbot: QtBot) -> None:
    editor = line_edit("R&D")
    name = caption("R&D", editor, tip="As <b>typed</b>")
    for widget in (editor, name):
        qtbot.addWidget(widget)
    assert name.text() == "R&&D", "with a buddy, one “&” would mark a key"
    assert "&lt;b&gt;" in name.toolTip()
