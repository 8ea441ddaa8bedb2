"""The “?” beside a word, and where its request goes."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.help_mark import HelpLink, HelpMark, HelpRequested, ask_for_help, help_marks, term_at


class Answering(QWidget):
    """Answers requests."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        QVBoxLayout(self)

    def customEvent(self, event: QEvent) -> None:
        if isinstance(event, HelpRequested):
            event.accept()
            self.asked.append(event.term)


def test_a_request_goes_up_to_the_first_who_answers(qtbot: QtBot) -> None:
    outer, inner = Answering(), Answering()
    qtbot.addWidget(outer)
    for parent, child in ((outer, inner), (inner, HelpMark("Loss")), (inner, HelpLink("Nats"))):
        layout = parent.layout()
        assert layout is not None
        layout.addWidget(child)
    outer.show()
    qtbot.mouseClick(inner.findChild(HelpMark), Qt.MouseButton.LeftButton)
    inner.findChild(HelpLink).click()
    assert inner.asked == ["Loss", "Nats"]
    assert outer.asked == []


def test_nobody_may_answer(qtbot: QtBot) -> None:
    alone = QWidget()
    qtbot.addWidget(alone)
    assert not ask_for_help(QWidget(alone), "Loss")


def test_a_mark_without_a_term_is_hidden(qtbot: QtBot) -> None:
    outer = QWidget()
    qtbot.addWidget(outer)
    mark = HelpMark("", outer)
    outer.show()
    assert not mark.isVisible()
    mark.explain("F1")
    assert mark.isVisible()
    assert "F1" in mark.accessibleName()
    mark.explain("")
    assert not mark.isVisible()


def test_a_heading_has_a_mark_if_the_glossary_explains_it(qtbot: QtBot) -> None:
    heading = QWidget()
    qtbot.addWidget(heading)
    [mark] = help_marks("Gradient norm", heading)
    qtbot.addWidget(mark)
    assert (mark.term, term_at(heading)) == ("Gradient norm", "Gradient norm")
    [numbered] = help_marks("3  Checks")
    qtbot.addWidget(numbered)
    assert numbered.term == "Deduplication"
    assert help_marks("Nothing of the kind") == []
