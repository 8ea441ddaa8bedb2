"""Importing, clicked through: drop a file, give roles, tick, import, see the dataset, and set up a run on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.data.data_tab import DataTab
from terrarium.app.data.importing.import_page import FILE_FILTER
from terrarium.app.kit.layout.tab_order import stops_in
from terrarium.app.session.session import Session
from terrarium.models.corpora.corpus import Corpus, list_corpora
from terrarium.models.events import Event, Progress
from terrarium.models.importing import checks as checking
from terrarium.models.importing.checks import Checks
from terrarium.models.importing.formats.registry import FORMATS
from terrarium.models.importing.plan import ImportPlan
from terrarium.models.library.library import Library
from tests.app.heard import Heard

Until = Callable[[Callable[[], bool]], None]


def drop(widget: QWidget, *paths: Path) -> None:
    """Drop files on a widget."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(20, 20), copy, data, left, none)
    QApplication.sendEvent(widget, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(widget, QDropEvent(QPointF(20, 20), copy, data, left, none))


def pick(box: QComboBox, value: str) -> None:
    """Choose an entry of a combo box as a user does."""
    index = box.findData(value)
    assert index >= 0, f"no {value!r} in {[box.itemData(i) for i in range(box.count())]}"
    box.setCurrentIndex(index)
    box.activated.emit(index)


def words(widget: QWidget) -> str:
    return " ".join(label.text() for label in widget.findChildren(QLabel) if label.isVisible())


def test_an_empty_library_says_what_can_be_dropped(tab: DataTab, session: Session, until: Until) -> None:
    until(lambda: session.datasets.is_read)
    shown = words(tab.views.importing)
    assert "Drop files or a folder here" in shown
    assert "SQuAD" in shown
    assert "Tiny World" in shown
    assert not tab.views.importing.banner.isVisible()
    assert tab.none.isVisible()


def test_a_dropped_table_becomes_a_dataset(tab: DataTab, films: Path, session: Session, until: Until) -> None:
    page = tab.views.importing
    drop(page, films)
    until(lambda: not tab.busy and len(page.table.rows.records) == 20)
    assert list(page.table.roles) == ["sentence", "opinion", "year"]
    pick(page.task, "classification")
    pick(page.table.roles["sentence"], "text")
    pick(page.table.roles["opinion"], "label")
    until(lambda: page.import_button.isEnabled())
    assert "54 rows" in page.summary.text()
    assert page.banner.property("tone") == ""
    assert page.checks.findings["duplicates"].tick.isChecked()
    page.checks.findings["duplicates"].tick.click()
    assert not page.import_button.isEnabled(), "the line would be of other choices"
    until(lambda: page.import_button.isEnabled())
    assert "60 rows" in page.summary.text()
    page.name.selectAll()
    page.name.insert("My films")
    page.name.textEdited.emit("My films")
    page.import_button.click()
    until(lambda: bool(session.datasets.list()))
    (info,) = session.datasets.list()
    assert (info.name, info.corpus.task, sum(info.n_rows.values())) == ("My films", "classification", 60)
    assert set(info.corpus.labels) == {"yes", "no"}
    assert tab.views.current == "dataset"
    assert tab.list.current_key == info.corpus.sha
    until(lambda: not tab.views.view("dataset").busy and len(tab.views.view("dataset").rows.records) == 20)
    assert not tab.draft.paths, "the next import begins anew"


def test_roles_are_guessed_with_a_reason_and_belong_to_one_column(opened: DataTab, until: Until) -> None:
    page, draft = opened.views.importing, opened.draft
    pick(page.task, "classification")
    pick(page.table.roles["opinion"], "label")
    pick(page.table.roles["sentence"], "text")
    assert draft.roles == {"label": "opinion", "text": "sentence"}
    pick(page.table.roles["year"], "label")
    assert page.table.roles["opinion"].currentData() == ""
    assert draft.roles == {"label": "year", "text": "sentence"}
    pick(page.table.roles["sentence"], "")
    assert not page.import_button.isEnabled()
    assert page.banner.property("tone") == "warning"
    assert "text" in page.summary.text()
    pick(page.task, "text-to-text")
    assert page.table.roles["year"].findData("target") >= 0
    assert page.table.roles["year"].findData("label") == -1


def test_a_labelled_table_needs_no_choice(tab: DataTab, tmp_path: Path, until: Until) -> None:
    path = tmp_path / "spam.csv"
    path.write_text(
        "text,label\n" + "".join(f"Letter {n} says {n * n},{'spam' if n % 3 else 'ham'}\n" for n in range(40))
    )
    tab.draft.open([str(path)])
    until(lambda: tab.draft.can_import)
    page = tab.views.importing
    assert page.task.currentData() == "classification"
    assert page.reason.text().startswith("Guessed: ")
    assert "40 rows" in page.summary.text()


def test_the_example_is_shown_as_the_model_will_see_it(opened: DataTab, qtbot: QtBot, until: Until) -> None:
    page = opened.views.importing
    pick(page.task, "classification")
    pick(page.table.roles["sentence"], "text")
    pick(page.table.roles["opinion"], "label")
    until(lambda: opened.draft.can_import and not page.example.busy)
    assert page.example.seen is not None
    ids = [piece.id for piece in page.example.seen.texts[0].tokens.pieces]
    assert bytes(id - ids[0] + ord(" ") for id in ids).startswith(b" Film number 0"), "byte by byte"
    assert page.example.answers.text().startswith("no (output ")
    page.table.rows.setFocus()
    qtbot.keyClick(page.table.rows, Qt.Key.Key_Down)
    until(lambda: not page.example.busy)
    assert page.example.count.text() == "2 of 20"
    assert page.example.answers.text().startswith("yes (output ")
    page.example.forward.click()
    assert page.table.rows.currentIndex().row() == 2
    pick(page.task, "text-to-text")
    pick(page.table.roles["sentence"], "source")
    pick(page.table.roles["opinion"], "target")
    until(lambda: not opened.busy)
    assert [text.title for text in page.example.seen.texts] == ["Reads", "Writes"]
    assert len(page.example.tokens[1].pieces) == 4, "yes, and its end"


def test_markup_in_rows_is_shown_as_it_is(tab: DataTab, tmp_path: Path, until: Until) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_text('{"text": "<b>bold</b> & more", "label": "<i>x</i>"}\n' * 3)
    tab.draft.open([str(path)])
    until(lambda: not tab.busy and tab.draft.info is not None)
    table = tab.views.importing.table.rows
    cell = table.model().index(0, 0)
    assert cell.data() == "<b>bold</b> & more"
    assert "&lt;b&gt;" in cell.data(Qt.ItemDataRole.ToolTipRole)
    assert all(
        each.textFormat() == Qt.TextFormat.PlainText for each in tab.views.importing.findChildren(QLabel) if each.text()
    )


def test_a_damaged_source_is_said_with_its_line_and_another_can_be_opened(
    tab: DataTab, tmp_path: Path, films: Path, until: Until
) -> None:
    path = tmp_path / "broken.json"
    path.write_text('[{"text": "a"},\n{"text": x\n')
    page = tab.views.importing
    tab.draft.open([str(path)])
    until(lambda: page.source_problem.isVisible())
    assert "line 2" in page.source_problem.text()
    assert page.open_files.isVisible()
    assert not page.banner.isVisible()
    drop(page, films)
    until(lambda: tab.draft.info is not None)
    assert not page.source_problem.isVisible()


def test_rows_that_cannot_be_read_are_shown_and_left_out_on_a_tick(
    tab: DataTab, tmp_path: Path, until: Until, qtbot: QtBot
) -> None:
    lines = [f"film number {index},{('good', 'bad')[index % 2]}" for index in range(2, 62)]
    lines[38], lines[48] = "positive", '"a film" they say,good'
    path = tmp_path / "films.csv"
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    page = tab.views.importing
    tab.draft.open([str(path)])
    until(lambda: not tab.busy and "damaged" in page.checks.findings)
    assert "2 rows cannot be read (lines 40, 50)." in page.source_facts.text()
    found = page.checks.findings["damaged"]
    until(found.examples.isVisible)
    assert "line 40: it has one value" in found.examples.text()
    assert "\n    positive" in found.examples.text()
    assert '"a film" they say,good' in found.examples.text()
    assert found.tick.text() == "Leave out 2 rows"
    assert not page.import_button.isEnabled()
    assert page.summary.text().startswith("2 rows cannot be read: tick “Leave out 2 rows” under Checks")
    qtbot.mouseClick(found.tick, Qt.MouseButton.LeftButton, pos=QPoint(8, found.tick.height() // 2))
    until(lambda: not tab.busy and page.import_button.isEnabled())
    assert "2 that cannot be read left out" in page.summary.text()


def test_the_file_dialog_shows_all_that_can_be_read() -> None:
    shown = FILE_FILTER[FILE_FILTER.index("(") + 1 : FILE_FILTER.index(")")].split()
    assert {f"*{suffix}" for known in FORMATS.values() for suffix in known.suffixes} <= set(shown)
    assert {"*.pq", "*.pot", "*.tagged", "*.iob2", "*.zip", "*.gz"} <= set(shown)


def test_a_source_can_be_read_in_another_way(tab: DataTab, tmp_path: Path, until: Until) -> None:
    path = tmp_path / "cafés.csv"
    path.write_bytes(("text,label\n" + "un café,1\nun thé,2\n" * 4).encode("latin-1"))
    page = tab.views.importing
    tab.draft.open([str(path)])
    until(lambda: not tab.busy)
    page.reading.set_folded(False)
    pick(page.reading.encoding, "latin-1")
    until(lambda: not tab.busy and len(page.table.rows.records) > 0)
    assert page.table.rows.texts()[0][0] == "un café"
    page.reading.header.setCurrentIndex(2)
    page.reading.header.activated.emit(2)
    until(lambda: not tab.busy and tab.draft.info is not None)
    assert "text" not in page.table.roles, "the first line is a row"
    assert tab.draft.plan.read.encoding == "latin-1"
    page.other.click()
    assert page.reading.encoding.currentIndex() == 0


def test_a_cancelled_import_leaves_nothing(
    opened: DataTab, library: Library, monkeypatch: pytest.MonkeyPatch, until: Until, heard: Heard
) -> None:
    from terrarium.models.importing import importer

    page, going = opened.views.importing, threading.Event()

    def endless(library: Library, plan: ImportPlan, checks: Checks | None = None) -> Generator[Event, None, Corpus]:
        while True:
            going.set()
            yield Progress(done=1, total=2)

    pick(page.task, "classification")
    pick(page.table.roles["sentence"], "text")
    pick(page.table.roles["opinion"], "label")
    until(page.import_button.isEnabled)
    monkeypatch.setattr(importer, "import_events", endless)
    page.import_button.click()
    until(going.is_set)
    assert page.cancel.isVisible()
    assert not page.table.isEnabled()
    until(lambda: opened.draft.status is not None and opened.draft.status.total == 2)
    page.cancel.click()
    assert not page.cancel.isVisible()
    assert page.import_button.isEnabled()
    assert not list_corpora(library)
    assert not heard.failures


def test_choices_are_checked_again_and_older_checks_say_nothing_more(
    opened: DataTab, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    plans: list[ImportPlan] = []
    real = checking.check_events

    def watched(library: Library, plan: ImportPlan) -> Generator[Event, None, Checks]:
        plans.append(plan)
        return (yield from real(library, plan))

    monkeypatch.setattr(checking, "check_events", watched)
    page, draft = opened.views.importing, opened.draft
    pick(page.task, "classification")
    pick(page.table.roles["sentence"], "text")
    pick(page.table.roles["opinion"], "label")
    until(lambda: draft.can_import)
    page.val_share.setValue(20.0)
    assert not draft.can_import
    until(lambda: draft.can_import)
    assert plans[-1].val_fraction == 0.2
    n = len(plans)
    draft.set_name("another name")
    assert draft.can_import
    assert len(plans) == n, "a name changes no row"
    draft.set_name("  ")
    assert not draft.can_import


def test_another_source_closes_this_one(opened: DataTab) -> None:
    page = opened.views.importing
    page.other.click()
    assert opened.draft.paths == ()
    assert page.open_files.isVisible()


def test_a_table_that_fits_has_no_scroll_bar_below_it(tab: DataTab, films: Path, until: Until) -> None:
    table = tab.views.importing.table
    tab.resize(1600, 900)
    tab.draft.open([str(films)])
    until(lambda: not tab.busy and len(table.rows.records) == 20 and table.rows.verticalScrollBar().isVisible())
    assert table.rows.horizontalScrollBar().maximum() == 0


def test_what_is_not_guessed_is_not_called_guessed(tab: DataTab, tmp_path: Path, until: Until) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("first,second\n" + "".join(f"{n},{n * n}\n" for n in range(30)), encoding="utf-8")
    tab.draft.open([str(path)])
    until(lambda: not tab.busy and tab.draft.info is not None)
    assert tab.draft.task == ""
    assert tab.views.importing.reason.text() == "Nothing says which column is to be learned."


def test_splits_of_the_source_are_kept_and_need_no_share(tab: DataTab, tmp_path: Path, until: Until) -> None:
    for name, labels in (("train", "ab"), ("test", "abc")):
        lines = (f"{name} sentence {i},{labels[i % len(labels)]}" for i in range(30))
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / f"{name}.csv").write_text("\n".join(("text,label", *lines)), "utf-8")
    tab.draft.open([str(tmp_path / "own")])
    until(lambda: tab.draft.can_import and not tab.busy)
    page = tab.views.importing
    assert page.split_note.text().endswith("which are kept: 30 for training, 30 for test.")
    assert page.val_share.isEnabled(), "validation is taken from training"
    assert not page.test_share.isEnabled()
    until(lambda: "10 rows of validation or test with a label that training never shows." in words(page))


def test_the_longest_texts_have_the_room(opened: DataTab) -> None:
    rows = opened.views.importing.table.rows
    texts = [texts[0] for texts in rows.texts()]
    assert rows.columnWidth(0) > max(rows.fontMetrics().horizontalAdvance(text) for text in texts)


def test_tab_goes_through_an_import_from_top_to_bottom(tab: DataTab, films: Path, until: Until) -> None:
    tab.draft.open([str(films)])
    until(lambda: tab.draft.can_import and not tab.busy)
    page = tab.views.importing
    ticks = [finding.tick for finding in page.checks.findings.values()]
    expected = [page.task, *page.table.roles.values(), page.table.rows, *ticks, page.val_share, page.name]
    assert ticks
    assert [stop for stop in stops_in(page) if stop in expected] == expected
    assert stops_in(page)[-1] is page.import_button
