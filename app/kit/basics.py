"""The basic widgets of every screen: labels, cards, buttons, scroll areas, styled by their role."""

from __future__ import annotations

import html
import itertools
import textwrap
from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from terrarium.app.kit.help_mark import help_marks
from terrarium.app.kit.theme import SPACE, ThemeProvider


def label(text: str, role: str = "", *, wrap: bool = False, selectable: bool = False) -> QLabel:
    """A label in one of the style sheet's roles: title, heading, subheading, caption, muted, mono, error, pill …"""
    widget = QLabel(text)
    widget.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        widget.setProperty("role", role)
    widget.setWordWrap(wrap)
    if selectable:
        widget.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return widget


TIP_WIDTH = 64
"""Characters of a tooltip's longest line: Qt shows plain text in as many lines as it has, however wide they are."""


def plain_tip(text: str) -> str:
    """A tooltip that shows `text` verbatim, in lines of at most TIP_WIDTH characters.

    Qt would read names, tokens and texts that look like markup as HTML.
    """
    lines = (textwrap.wrap(line, TIP_WIDTH, replace_whitespace=False) or [""] for line in text.split("\n"))
    text = "\n".join(itertools.chain.from_iterable(lines))
    if "<" not in text and "&" not in text:
        return text
    return f'<p style="white-space: pre-wrap">{html.escape(text, quote=False)}</p>'


def set_role(widget: QWidget, role: str, **properties: str) -> None:
    """Change a widget's role (and other properties of the style sheet, like tone) while it is shown."""
    for name, value in {"role": role, **properties}.items():
        widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def button(
    text: str,
    theme: ThemeProvider,
    on_click: Callable[[], object] | None = None,
    *,
    icon: str = "",
    role: str = "",
    tip: str = "",
) -> QPushButton:
    """A push button. role: '' (plain), primary, danger, quiet, link or hero; `icon` is a Phosphor name."""
    widget = _Button(text)
    if role:
        widget.setProperty("role", role)
    if icon:
        colours = {"primary": "on_accent", "hero": "on_accent", "danger": "danger", "link": "accent"}
        theme.set_icon(widget, icon, colours.get(role, "text"))
    widget.setToolTip(plain_tip(tip))
    widget.setAccessibleName(text or tip)
    if on_click is not None:
        widget.clicked.connect(lambda: on_click())
    return widget


_USUAL_TIP, _WHY_NOT = "usualTip", "whyNot"


def set_enabled(widget: QWidget, reason: str, tip: str | None = None) -> None:
    """Disable a widget for a `reason`, a sentence that its tooltip then says; "" enables it.

    tip: its tooltip while it is enabled; None keeps the previous tooltip.
    """
    explain(widget, reason, tip)
    widget.setEnabled(not reason)


def explain(widget: QWidget, reason: str, tip: str | None = None) -> None:
    """As `set_enabled`, for a widget that is disabled, or enabled, elsewhere."""
    if tip is not None:
        widget.setProperty(_USUAL_TIP, plain_tip(tip))
    elif not widget.property(_WHY_NOT):
        widget.setProperty(_USUAL_TIP, widget.toolTip())
    widget.setProperty(_WHY_NOT, reason)
    widget.setToolTip(plain_tip(reason) or str(widget.property(_USUAL_TIP) or ""))


def set_ends(back: QWidget, forward: QWidget, at: int, n: int) -> None:
    """Disable `back` at the first and `forward` at the last of `n` items. at: the index of the current item."""
    set_enabled(back, "" if at > 0 else "This is the first.")
    set_enabled(forward, "" if at < n - 1 else "This is the last.")


def why_disabled(widget: QWidget) -> str:
    """The reason given to `set_enabled` for a widget or its nearest ancestor that has one; "" if none was given."""
    within: QWidget | None = widget
    while within is not None:
        if reason := within.property(_WHY_NOT):
            return str(reason)
        within = within.parentWidget()
    return ""


class _Button(QPushButton):
    """Keeps the keyboard focus when it is disabled, as many buttons are when pressed, so that Tab continues from it."""

    def focusNextPrevChild(self, next: bool) -> bool:
        return super().focusNextPrevChild(next) if self.isEnabled() else True


def add_menu(
    opens: QPushButton, theme: ThemeProvider, entries: Iterable[tuple[str, str, str, Callable[[], object]]]
) -> None:
    """Let a button open a menu. entries: the label, icon, tooltip and callback of each entry."""
    menu = QMenu(opens)
    menu.setToolTipsVisible(True)
    for words, icon, tip, do in entries:
        action = menu.addAction(words)
        action.setToolTip(tip)
        theme.set_icon(action, icon)
        action.triggered.connect(lambda checked=False, do=do: do())
    opens.setMenu(menu)


def frame(role: str = "card", *, horizontal: bool = False, margin: int = 2 * SPACE, spacing: int = SPACE) -> QFrame:
    """A framed box with a layout (`box.layout()`). role: card, sunken, banner, top-bar, status-bar."""
    box = QFrame()
    box.setProperty("role", role)
    layout: QBoxLayout = QHBoxLayout(box) if horizontal else QVBoxLayout(box)
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(spacing)
    return box


def headed(title: str, *trailing: QWidget, role: str = "subheading", explained: QWidget | None = None) -> QHBoxLayout:
    """A heading with its “?” if the glossary explains it, and `trailing` at its right.

    Args:
        explained: what F1 explains by the same term.
    """
    return row(label(title, role), *help_marks(title, explained), None, *trailing)


def titled_card(
    title: str,
    *widgets: QWidget,
    trailing: QWidget | None = None,
    margin: int = SPACE + SPACE // 2,
    spacing: int = SPACE // 2,
) -> QFrame:
    """A card with a heading, `trailing` at its right, over widgets of which the last takes the remaining space.

    Args:
        title: '' for none.
    """
    box = frame("card", margin=margin, spacing=spacing)
    lines = box.layout()
    assert isinstance(lines, QVBoxLayout)
    if title:
        lines.addLayout(headed(title, *([trailing] if trailing is not None else []), explained=box))
    for widget in widgets:
        lines.addWidget(widget)
    lines.setStretch(lines.count() - 1, 1)
    return box


def step_card(title: str, caption: str = "", *widgets: QWidget) -> QFrame:
    """A card for one step of a form: a large heading, a sentence about it, and widgets."""
    box = frame("card")
    lines = box.layout()
    assert isinstance(lines, QVBoxLayout)
    lines.addLayout(headed(title, role="heading", explained=box))
    if caption:
        lines.addWidget(label(caption, "caption", wrap=True))
    for widget in widgets:
        lines.addWidget(widget)
    return box


def separator() -> QFrame:
    """A hairline across its layout."""
    line = QFrame()
    line.setProperty("role", "separator")
    line.setFixedHeight(1)
    return line


def row(*widgets: QWidget | None, spacing: int = SPACE) -> QHBoxLayout:
    """Widgets side by side; None is a stretch."""
    layout = QHBoxLayout()
    _fill(layout, widgets, spacing)
    return layout


def column(*widgets: QWidget | None, spacing: int = SPACE) -> QVBoxLayout:
    """Widgets above each other; None is a stretch."""
    layout = QVBoxLayout()
    _fill(layout, widgets, spacing)
    return layout


def _fill(layout: QBoxLayout, widgets: Sequence[QWidget | None], spacing: int) -> None:
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for widget in widgets:
        if widget is None:
            layout.addStretch(1)
        else:
            layout.addWidget(widget)


def panes(*widgets: QWidget, sizes: Sequence[int], grows: int) -> QVBoxLayout:
    """Widgets in a splitter: initial `sizes` in pixels; the widget of index `grows` takes spare space."""
    splitter = QSplitter(Qt.Orientation.Horizontal)
    splitter.setChildrenCollapsible(False)
    for widget in widgets:
        splitter.addWidget(widget)
    splitter.setStretchFactor(grows, 1)
    splitter.setSizes(list(sizes))
    return column(splitter)


class EmptyState(QWidget):
    """A placeholder for missing content: a heading, what to do next, and a button for it."""

    def __init__(self, heading: str, sentence: str, action: QPushButton | None = None) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setSpacing(SPACE)
        self._heading = title = label(heading, "heading")
        self._sentence = text = label(sentence, "muted", wrap=True)
        text.setMaximumWidth(420)
        layout.addStretch(1)
        for widget in (title, text):
            widget.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            widget.setWordWrap(True)
            # Between weak stretches rather than aligned: an aligned label that wraps gets no height for its lines.
            line = QHBoxLayout()
            line.addStretch(1)
            line.addWidget(widget, 100)
            line.addStretch(1)
            layout.addLayout(line)
        if action is not None:
            layout.addSpacing(SPACE)
            layout.addWidget(action, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)

    def set_words(self, heading: str, sentence: str) -> None:
        """Change the heading and the sentence."""
        self._heading.setText(heading)
        self._sentence.setText(sentence)

    @property
    def words(self) -> str:
        """What it says."""
        return f"{self._heading.text()}: {self._sentence.text()}"


def prefers_reduced_motion() -> bool:
    """Whether the system disables animations, as far as Qt knows; then use a lasting highlight instead."""
    return QApplication.style().styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration) <= 0


def scrolling(widget: QWidget) -> QScrollArea:
    """`widget` in a frameless area that scrolls vertically, and horizontally where it is squeezed."""
    area = _UpAndDown()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
    widget.setProperty("role", "scrolled")
    area.setWidget(widget)
    return area


_MAX_NESTED = 6
"""How often the contents of a scroll area may change their size while it answers to a change of theirs."""


class _UpAndDown(QScrollArea):
    """Requests the width of its contents, as horizontal scrolling is awkward."""

    _nested = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        if self._nested > _MAX_NESTED:
            # What wraps can be too high without the scroll bar, and low enough with it: then the bar would come and go.
            self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
            return False
        self._nested += 1
        try:
            return super().eventFilter(watched, event)
        finally:
            self._nested -= 1

    def resizeEvent(self, event: QResizeEvent) -> None:
        if event.size().height() != event.oldSize().height() and not self._nested:
            self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        super().resizeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        inside = self.widget()
        layout = inside.layout() if inside is not None else None
        if layout is not None:
            layout.update()  # Qt loses a resize of what is inside that comes while that is being shown

    def minimumSizeHint(self) -> QSize:
        inside, bar = self.widget(), self.verticalScrollBar()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width + bar.sizeHint().width() + 2, 80)  # with its border, see the style sheet
