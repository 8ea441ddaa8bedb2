"""The basic widgets of every screen: labels, cards, buttons and scroll areas, styled by their role."""

from __future__ import annotations

import functools
import html
import itertools
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QAction, QKeySequence, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from terrarium.app.kit.announcer import ProblemLabel
from terrarium.app.kit.help_mark import help_marks
from terrarium.app.kit.theme import SPACE, ThemeProvider

Content = QWidget | QLayout | int | None
"""What a row, a column, a card or a page contains: widgets, layouts, pixels of empty space, and None for a stretch,
which takes spare space unless something that grows is shown."""

Growing = QWidget | QLayout | Sequence[QWidget | QLayout] | Mapping[Any, int]
"""The contents that take the spare space, in equal shares or with the share of each."""

Margin = int | tuple[int, int, int, int]
"""Pixels around contents: on all sides, or left, top, right, bottom."""


def label(text: str, role: str = "", *, wrap: bool = False, selectable: bool = False) -> QLabel:
    """Create a label with a role of the style sheet: title, heading, subheading, caption, muted, mono, error, pill …"""
    widget = ProblemLabel(text) if role == "error" else QLabel(text)
    widget.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        widget.setProperty("role", role)
    widget.setWordWrap(wrap)
    if selectable:
        widget.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return widget


TIP_WIDTH = 64
"""The maximum line length of a tooltip in characters, as Qt does not wrap plain text."""


@functools.lru_cache(maxsize=1024)  # most are those of a form's fields, and a fifteenth of what it takes to make it
def plain_tip(text: str) -> str:
    """Format a tooltip that shows `text` verbatim, wrapped to TIP_WIDTH characters.

    Qt would render names, tokens and texts that look like markup as HTML.
    """
    lines = (textwrap.wrap(line, TIP_WIDTH, replace_whitespace=False) or [""] for line in text.split("\n"))
    text = "\n".join(itertools.chain.from_iterable(lines))
    if "<" not in text and "&" not in text:
        return text
    return _as_html(text)


def joined_tips(*tips: str) -> str:
    """Join tooltips, all as HTML if one of them is: Qt decides by the first line of the whole."""
    are_html = [tip.startswith("<p") for tip in tips]
    if not any(are_html):
        return "\n".join(filter(None, tips))
    return "".join(tip if is_html or not tip else _as_html(tip) for tip, is_html in zip(tips, are_html, strict=True))


def _as_html(text: str) -> str:
    return f'<p style="white-space: pre-wrap">{html.escape(text, quote=False)}</p>'


def without_mnemonic(text: str) -> str:
    """Escape text for a menu, a check box, or a label with a buddy, where “&” would mark a key."""
    return text.replace("&", "&&")


def set_role(widget: QWidget, role: str, **properties: str) -> None:
    """Change a widget's role (and other style sheet properties, such as tone), and restyle it."""
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
    """Create a push button. role: '' (plain), primary, danger, quiet, link or hero. icon: a Phosphor name."""
    widget = _Button()
    widget.setText(text)
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
    """Disable a widget and show the `reason`, a sentence, as its tooltip; "" enables it.

    tip: its tooltip while it is enabled; None keeps the previous one.
    """
    explain(widget, reason, tip)
    widget.setEnabled(not reason)


def explain(widget: QWidget, reason: str, tip: str | None = None) -> None:
    """Set the tooltip like `set_enabled`, without enabling or disabling the widget."""
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
    """Return the reason passed to `set_enabled` for a widget or its nearest ancestor with a reason; "" if none has."""
    within: QWidget | None = widget
    while within is not None:
        if reason := within.property(_WHY_NOT):
            return str(reason)
        within = within.parentWidget()
    return ""


class _Button(QPushButton):
    """A button that shows its text verbatim, and keeps the focus when it is disabled.

    Many are disabled when they are pressed: Tab continues from them.
    """

    def setText(self, text: str) -> None:
        super().setText(without_mnemonic(text))

    def text(self) -> str:
        return super().text().replace("&&", "&")

    def focusNextPrevChild(self, next: bool) -> bool:
        return super().focusNextPrevChild(next) if self.isEnabled() else True


def add_action(view: QWidget, text: str, shortcut: QKeySequence, do: Callable[[], object]) -> QAction:
    """Add an action to the context menu of a list or table; its shortcut works while that has the focus."""
    view.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
    action = QAction(text, view, shortcut=shortcut, shortcutContext=Qt.ShortcutContext.WidgetShortcut)
    action.triggered.connect(lambda: do())
    view.addAction(action)
    return action


def add_menu(
    opens: QPushButton, theme: ThemeProvider, entries: Iterable[tuple[str, str, str, Callable[[], object]]]
) -> None:
    """Let a button open a menu. entries: the label, icon, tooltip and callback of each entry; texts appear verbatim."""
    menu = QMenu(opens)
    menu.setToolTipsVisible(True)
    for words, icon, tip, do in entries:
        action = menu.addAction(without_mnemonic(words))
        action.setToolTip(plain_tip(tip))
        theme.set_icon(action, icon)
        action.triggered.connect(lambda checked=False, do=do: do())
    opens.setMenu(menu)


def frame(
    role: str = "card",
    *contents: Content,
    horizontal: bool = False,
    margin: Margin = 2 * SPACE,
    spacing: int = SPACE,
    grows: Growing = (),
) -> QFrame:
    """Create a framed box with contents in a column, or side by side. role: card, sunken, banner, top-bar, status-bar.

    Args:
        grows: the contents that take the spare space.
    """
    box = _framed(role)
    layout: QBoxLayout = QHBoxLayout(box) if horizontal else QVBoxLayout(box)
    _fill(layout, contents, spacing, grows, margin)
    return box


def headed(title: str, *trailing: QWidget, role: str = "subheading", explained: QWidget | None = None) -> QHBoxLayout:
    """Lay out a heading, with a “?” if the glossary has a term for it, and `trailing` at the right.

    Args:
        explained: the widget on which F1 shows the same term.
    """
    return row(label(title, role), *help_marks(title, explained), None, *trailing)


def titled_card(
    title: str,
    *contents: Content,
    trailing: QWidget | None = None,
    margin: Margin = SPACE + SPACE // 2,
    spacing: int = SPACE // 2,
    grows: Growing | None = None,
) -> QFrame:
    """Create a card with a heading, `trailing` at its right, and contents below.

    Args:
        title: the heading, '' for none.
        grows: the contents that take the spare space; None for the last one if it is a widget.
    """
    if grows is None:
        grows = [each for each in contents[-1:] if isinstance(each, QWidget)]
    box = _framed("card")
    head = [headed(title, *([trailing] if trailing is not None else []), explained=box)] if title else []
    _fill(QVBoxLayout(box), (*head, *contents), spacing, grows, margin)
    return box


def step_card(title: str, caption: str = "", *contents: Content, grows: Growing = ()) -> QFrame:
    """Create a card for one step of a form: a large heading, a sentence about it, and contents."""
    box = _framed("card")
    about = [label(caption, "caption", wrap=True)] if caption else []
    head = headed(title, role="heading", explained=box)
    _fill(QVBoxLayout(box), (head, *about, *contents), SPACE, grows, 2 * SPACE)
    return box


def _framed(role: str) -> QFrame:
    box = QFrame()
    box.setProperty("role", role)
    return box


def separator() -> QFrame:
    """Create a horizontal line, one pixel high."""
    line = QFrame()
    line.setProperty("role", "separator")
    line.setFixedHeight(1)
    return line


def row(*contents: Content, spacing: int = SPACE, grows: Growing = (), margin: Margin = 0) -> QHBoxLayout:
    """Lay out contents side by side; those in `grows` take the spare space."""
    layout = QHBoxLayout()
    _fill(layout, contents, spacing, grows, margin)
    return layout


def column(*contents: Content, spacing: int = SPACE, grows: Growing = (), margin: Margin = 0) -> QVBoxLayout:
    """Lay out contents in a column; those in `grows` take the spare space."""
    layout = QVBoxLayout()
    _fill(layout, contents, spacing, grows, margin)
    return layout


def group(
    *contents: Content, horizontal: bool = False, spacing: int = SPACE, grows: Growing = (), margin: Margin = 0
) -> QWidget:
    """Create a widget that holds contents in a column, or side by side, so that they are shown and hidden at once."""
    widget = QWidget()
    lay_out = row if horizontal else column
    widget.setLayout(lay_out(*contents, spacing=spacing, grows=grows, margin=margin))
    return widget


def stacked(*pages: QWidget) -> QStackedWidget:
    """Create a stack of pages of which the first is shown."""
    stack = QStackedWidget()
    for page in pages:
        stack.addWidget(page)
    return stack


def _fill(
    layout: QBoxLayout, contents: Iterable[Content], spacing: int, grows: Growing = (), margin: Margin = 0
) -> None:
    growing = (grows,) if isinstance(grows, QWidget | QLayout) else grows
    share_of = growing if isinstance(growing, Mapping) else dict.fromkeys(growing, 1)
    layout.setContentsMargins(*([margin] * 4 if isinstance(margin, int) else margin))
    layout.setSpacing(spacing)
    for content in contents:
        if content is None:
            layout.addStretch(0 if share_of else 1)  # takes nothing while something shown grows
        elif isinstance(content, int):
            layout.addSpacing(content)
        elif isinstance(content, QLayout):
            layout.addLayout(content, share_of.get(content, 0))
        else:
            layout.addWidget(content, share_of.get(content, 0))


def clear(layout: QLayout) -> None:
    """Take everything out of a layout, and delete the widgets among it."""
    while (item := layout.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.deleteLater()


def show_only(shown: Mapping[QWidget, object]) -> None:
    """Show the widgets whose value is true, and hide the others."""
    for widget, is_shown in shown.items():
        widget.setVisible(bool(is_shown))


def show_if(is_shown: object, *widgets: QWidget) -> None:
    """Show all of these widgets, or hide all of them."""
    for widget in widgets:
        widget.setVisible(bool(is_shown))


class _Worded(Protocol):
    """A label, an elided label or a button."""

    def setText(self, text: str, /) -> None: ...

    def setVisible(self, visible: bool, /) -> None: ...


def show_words(widget: _Worded, words: str) -> None:
    """Set the text of a label or a button; "" hides it."""
    widget.setText(words)
    widget.setVisible(bool(words))


def splitter(
    *widgets: QWidget, sizes: Sequence[int] = (), grows: Sequence[int] | int = (), vertical: bool = False
) -> QSplitter:
    """Create a splitter whose parts cannot be collapsed.

    Args:
        sizes: the initial sizes in pixels.
        grows: how much of the spare space each widget takes; or the index of the only one that takes any.
    """
    parts = QSplitter(Qt.Orientation.Vertical if vertical else Qt.Orientation.Horizontal)
    parts.setChildrenCollapsible(False)
    for widget in widgets:
        parts.addWidget(widget)
    for i, factor in enumerate(grows) if not isinstance(grows, int) else ((grows, 1),):
        parts.setStretchFactor(i, factor)
    if sizes:
        parts.setSizes(list(sizes))
    return parts


def panes(*widgets: QWidget, sizes: Sequence[int], grows: int) -> QVBoxLayout:
    """Lay out widgets in a horizontal `splitter`; the widget of index `grows` takes spare space."""
    return column(splitter(*widgets, sizes=sizes, grows=grows))


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
            # Between weak stretches instead of aligned: Qt gives an aligned, wrapping label too little height.
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
        """The heading and the sentence as one text."""
        return f"{self._heading.text()}: {self._sentence.text()}"


REDUCED_MOTION = "reducedMotion"
"""The property of the application that the preference “Motion” sets."""


def prefers_reduced_motion() -> bool:
    """Return whether the user, or the system as reported by Qt, disables animations; use a lasting highlight then."""
    app = QApplication.instance()
    if app is not None and app.property(REDUCED_MOTION):
        return True
    return QApplication.style().styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration) <= 0


def scrolling(widget: QWidget, name: str = "Scrolled contents") -> QScrollArea:
    """Wrap `widget` in a frameless scroll area that scrolls vertically, and horizontally only if it is too narrow.

    Args:
        name: what a screen reader calls it.
    """
    area = _UpAndDown()
    area.setAccessibleName(name)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click between its widgets must not focus it
    widget.setProperty("role", "scrolled")
    area.setWidget(widget)
    return area


def scrolled(*contents: Content, spacing: int = SPACE, grows: Growing = ()) -> QScrollArea:
    """Create a scroll area with contents in a column, beside some space for the scroll bar."""
    return scrolling(group(*contents, spacing=spacing, grows=grows, margin=(0, 0, SPACE, 0)))


_MAX_NESTED = 6
"""The maximum depth of nested size changes of a scroll area's contents."""


class _UpAndDown(QScrollArea):
    """A scroll area that requests the width of its contents, as horizontal scrolling is awkward."""

    _nested = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        if self._nested > _MAX_NESTED:
            # Wrapped text can be too high without the scroll bar but fit with it: the bar would toggle endlessly.
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
            layout.update()  # Qt loses a resize of the contents that arrives while they are being shown

    def minimumSizeHint(self) -> QSize:
        inside, bar = self.widget(), self.verticalScrollBar()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width + bar.sizeHint().width() + 2, 80)  # with its border, see the style sheet
