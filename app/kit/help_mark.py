"""The glossary term of a widget, the “?” beside it, and the event that requests its explanation.

The event is sent to the parents of the widget, one after the other, until one accepts it: usually the window.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QAbstractButton, QPushButton, QSizePolicy, QWidget

from terrarium.app.kit.setting_names.terms import term_of_words

_PROPERTY = "helpTerm"


class HelpRequested(QEvent):
    """A request to explain `term` to the user of `window`; "" opens the glossary. The receiver that explains it must
    accept the event."""

    TYPE = QEvent.Type(QEvent.registerEventType())

    def __init__(self, term: str, window: QWidget) -> None:
        super().__init__(self.TYPE)
        self.term, self.window = term, window
        self.ignore()


def set_term(widget: QWidget, term: str) -> None:
    """Set the glossary term, or an alias of one, that F1 explains on a widget and its children."""
    widget.setProperty(_PROPERTY, term)


def term_at(widget: QWidget | None) -> str:
    """Return the term of a widget or of its nearest ancestor that has one; '' for none."""
    while widget is not None:
        term = widget.property(_PROPERTY)
        if term:
            return str(term)
        widget = widget.parentWidget()
    return ""


def ask_for_help(widget: QWidget, term: str) -> bool:
    """Ask the ancestors of a widget to explain a term; return whether one accepted."""
    request, asked = HelpRequested(term, QWidget.window(widget)), widget.parentWidget()  # some override window()
    while asked is not None and not request.isAccepted():
        QCoreApplication.sendEvent(asked, request)
        asked = asked.parentWidget()
    return request.isAccepted()


class HelpMark(QAbstractButton):
    """A small “?” that explains a term. It is not a tab stop, as F1 does the same from the keyboard."""

    def __init__(self, term: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.term = term
        if not term:
            self.hide()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.clicked.connect(lambda: ask_for_help(self, self.term))
        self.explain(term)

    def explain(self, term: str) -> None:
        """Change the explained term; with '', the mark is hidden."""
        was, self.term = self.term, term
        set_term(self, term)
        self.setToolTip(f"What is this? “{term}” in the glossary (F1)")
        self.setAccessibleName(f"What is “{term}”?")
        if bool(was) != bool(term):  # only on changes: without a parent yet, it would become a window
            self.setVisible(bool(term))

    def sizeHint(self) -> QSize:
        side = self.fontMetrics().height() - 1
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        roles = QPalette.ColorRole
        colour = self.palette().color(roles.Link if self.underMouse() else roles.PlaceholderText)
        painter.setPen(QPen(colour, 1.2))
        side = min(self.width(), self.height()) - 3.0
        circle = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        painter.drawEllipse(circle)
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * 0.78)
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(circle, Qt.AlignmentFlag.AlignCenter, "?")


def help_marks(words: str, explained: QWidget | None = None) -> list[HelpMark]:
    """Return a list with the “?” for a heading or label; [] if the glossary has no term for it.

    Args:
        explained: the widget on which F1 shows the same term.
    """
    term = term_of_words(words)
    if not term:
        return []
    if explained is not None:
        set_term(explained, term)
    return [HelpMark(term)]


class HelpLink(QPushButton):
    """A text link to a glossary term."""

    def __init__(self, term: str, parent: QWidget | None = None) -> None:
        super().__init__(f"“{term}” in the glossary", parent)
        self.term = term
        self.setProperty("role", "link")
        self.clicked.connect(lambda: ask_for_help(self, self.term))
