"""Messages over the window's lower edge: notices, failures with details, deletions with Undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QDialogButtonBox,
    QFrame,
    QGraphicsDropShadowEffect,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSlider,
    QStackedWidget,
    QTabBar,
    QToolButton,
    QWidget,
)

from terrarium.app.kit.announcer import Announcer
from terrarium.app.kit.basics import button, column, label, row
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import named
from terrarium.app.kit.text.growing_field import GrowingField
from terrarium.app.kit.theme import SPACE, ThemeProvider

_MAX_TOASTS = 3
_WIDTHS = (560, 400, 300)
"""In pixels; a narrower, taller toast is used if the widest would cover a control."""
_BUTTON = 28
_UNDO_MS = 15_000
_NOTICE_MS = 20_000
_LOOK_MS = 200
"""The interval of checks whether the visible toasts cover a control that has appeared below them."""
_MAIN_BUTTONS = ("primary", "hero")
_CONTROLS = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QSlider, QTabBar)


class Toasts(QWidget):
    """A stack of messages over `parent`, the newest on top, so that the others stay where they are.

    Offers, and failures with details, stay until they are closed; the others disappear after a while. The stack is
    as low as possible without covering a button or a field of the page or, if that is impossible, without covering a
    field for messages or a main button.

    Signals:
        report_requested(failure): the user wants to report a failure: its sentence and details.
    """

    report_requested = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QStackedWidget, notice_ms: int = _NOTICE_MS) -> None:
        super().__init__(parent)
        self._area = parent
        self._theme, self._notice_ms = theme, notice_ms
        self._layout = column(margin=(SPACE, SPACE, SPACE, 2 * SPACE))
        self.setLayout(self._layout)
        self._shown: list[QFrame] = []
        self._announcer = Announcer(self)
        parent.installEventFilter(self)
        self._looking = QTimer(self, interval=_LOOK_MS)
        self._looking.timeout.connect(self._give_way)
        parent.currentChanged.connect(self._on_page)
        self.hide()

    @property
    def sentences(self) -> list[str]:
        """The visible messages, the newest last."""
        return [toast.accessibleName() for toast in self._shown]

    def notice(self, sentence: str) -> None:
        """Show a notice."""
        self._show(sentence, "", "info", [], self._notice_ms)

    def failure(self, sentence: str, details: str, *remedies: tuple[str, Callable[[], object]]) -> None:
        """Show a failure, with a button for its `details` and one for each of `remedies`: its text and its action.

        A failure without details is about an action of the user, and disappears like a notice.
        """
        actions = list(remedies)
        if details:
            actions += [("Details", lambda: self._show_details(sentence, details))]
        self._show(sentence, "danger", "warning-circle", actions, None if details else self._notice_ms)

    def undo(self, sentence: str, undo: Callable[[], object]) -> None:
        """Show that something was deleted; `undo` restores it."""
        self._show(sentence, "", "trash", [("Undo", undo)], _UNDO_MS)

    def withdraw(self, sentence: str) -> None:
        """Close a message that is no longer true."""
        for toast in [t for t in self._shown if t.accessibleName() == sentence]:
            self._close(toast)

    def done(self, sentence: str, text: str, action: Callable[[], object]) -> None:
        """Show that something is done, and offer the next action."""
        self._show(sentence, "", "check-circle", [(text, action)], self._notice_ms)

    def offer(self, sentence: str, text: str, action: Callable[[], object]) -> None:
        """Offer an action; the message stays until the action is chosen or it is closed."""
        self._show(sentence, "", "arrow-counter-clockwise", [(text, action)], None)

    def _show(
        self,
        sentence: str,
        tone: str,
        icon: str,
        actions: list[tuple[str, Callable[[], object]]],
        lifetime_ms: int | None,
    ) -> None:
        self.withdraw(sentence)
        self._announcer.say(sentence, urgent=tone == "danger")
        while len(self._shown) >= _MAX_TOASTS:
            self._close(self._shown[0])
        toast = self._make(sentence, tone, icon, actions)
        self._shown.append(toast)
        self._layout.insertWidget(0, toast)
        if lifetime_ms is not None:
            timer = QTimer(toast)
            timer.setSingleShot(True)
            timer.timeout.connect(lambda: self._close(toast))
            timer.start(lifetime_ms)
        self.show()
        self.raise_()
        self._place()
        self._looking.start()
        # Again after the style sheet is applied to the new toast, which may then need more space.
        QTimer.singleShot(0, self._place)

    def _make(self, sentence: str, tone: str, icon: str, actions: list[tuple[str, Callable[[], object]]]) -> QFrame:
        toast = QFrame()
        toast.setProperty("role", "toast")
        toast.setProperty("tone", tone)
        toast.setAccessibleName(sentence)
        shadow = QGraphicsDropShadowEffect(toast)
        shadow.setBlurRadius(24)
        shadow.setOffset(0, 4)
        shadow.setColor(self._theme.theme.color("shadow", 0.28))
        toast.setGraphicsEffect(shadow)
        mark = QToolButton()
        mark.setProperty("role", "mark")
        mark.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        mark.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        mark.setMinimumHeight(_BUTTON)
        mark.setAccessibleName("Failure" if tone == "danger" else "Message")
        self._theme.set_icon(mark, icon, tone or "accent")
        words, buttons = label(sentence, wrap=True, selectable=True), list[QAbstractButton]()
        for text, action in actions:
            widget = button(text, self._theme, role="quiet")
            widget.clicked.connect(lambda checked=False, action=action: action())
            if text != "Details":
                widget.clicked.connect(lambda: self._close(toast))
            buttons.append(widget)
        close = named(QToolButton(), "Close", "Close")
        close.setMinimumSize(_BUTTON, _BUTTON)
        self._theme.set_icon(close, "x", "muted")
        close.clicked.connect(lambda: self._close(toast))
        line = row(mark, words, *buttons, close, grows=words, margin=(2 * SPACE, SPACE, SPACE, SPACE))
        for each in (mark, *buttons, close):
            line.setAlignment(each, Qt.AlignmentFlag.AlignTop)
        toast.setLayout(line)
        return toast

    def _close(self, toast: QFrame) -> None:
        if toast in self._shown:
            self._shown.remove(toast)
            self._layout.removeWidget(toast)
            toast.hide()
            toast.deleteLater()
            self._place()
            self.setVisible(bool(self._shown))
            if not self._shown:
                self._looking.stop()

    @Slot()
    def _on_page(self) -> None:
        self.raise_()  # Qt raises the page that it shows
        if self._shown:
            self._place()

    @Slot()
    def _place(self) -> None:
        self._layout.activate()
        every, main = list(self._kept_clear(_CONTROLS)), list(self._kept_clear())
        sizes = [self._size(min(width, self._area.width() - 2 * SPACE)) for width in _WIDTHS]
        self.setGeometry(best_place(self._area.rect(), sizes, every, main))

    def _size(self, width: int) -> QSize:
        layout = self._layout
        height = layout.heightForWidth(width) if layout.hasHeightForWidth() else self.sizeHint().height()
        return QSize(max(width, layout.minimumSize().width()), height)

    @Slot()
    def _give_way(self) -> None:
        """Move the stack if it covers a control."""
        if any(self.geometry().intersects(rect) for rect in self._kept_clear(_CONTROLS)):
            self._place()

    def _kept_clear(self, kinds: tuple[type[QWidget], ...] = ()) -> Iterator[QRect]:
        """Yield the visible rectangles of message fields, main buttons and the widgets of `kinds`."""
        page = self._area.currentWidget()
        if page is None:
            return
        wanted = [each for each in page.findChildren(QPushButton) if each.property("role") in _MAIN_BUTTONS]
        others = (each for kind in kinds for each in page.findChildren(kind))
        for widget in (*page.findChildren(GrowingField), *wanted, *others):
            if widget.isVisible() and not (rect := _in_view(widget, self._area)).isEmpty():
                yield rect

    def _show_details(self, sentence: str, details: str) -> None:
        """Show a failure's traceback in a window, to read, copy or report."""
        dialog = Dialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Details")
        dialog.resize(760, 480)
        text = named(QPlainTextEdit(details), "Details of the failure")
        text.setReadOnly(True)
        text.setFont(self._theme.mono_font(0.9))
        text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        whole = f"{sentence}\n\n{details}"
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        report = button(
            "Report…", self._theme, lambda: self.report_requested.emit(whole), tip="Save this and the log, to send them"
        )
        copy = button("Copy", self._theme, lambda: QGuiApplication.clipboard().setText(whole), icon="copy")
        for each in (report, copy):
            buttons.addButton(each, QDialogButtonBox.ButtonRole.ActionRole)
        margin = (3 * SPACE, 3 * SPACE, 3 * SPACE, 2 * SPACE)
        contents = label(sentence, "subheading", wrap=True), text, buttons
        dialog.setLayout(column(*contents, spacing=2 * SPACE, grows=text, margin=margin))
        dialog.open()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if self._shown and event.type() == QEvent.Type.Resize:
            self._place()
        elif self._shown and event.type() == QEvent.Type.ChildAdded:
            QTimer.singleShot(0, self.raise_)  # a page that is created later would cover the toasts
        return super().eventFilter(watched, event)


def best_place(area: QRect, sizes: Sequence[QSize], *wishes: Sequence[QRect]) -> QRect:
    """Return the lowest rectangle in an area, of the first possible size, that covers none of the rectangles.

    wishes: lists of rectangles to avoid, in order; the first list that can be avoided decides. If none can, the result
    is the first size, centred at the bottom.
    """
    for taken in wishes:
        for size in sizes:
            if (place := lowest_free(area, size, taken)) is not None:
                return place
    first = sizes[0]
    return QRect(QPoint((area.width() - first.width()) // 2, area.height() - first.height()), first)


def lowest_free(area: QRect, size: QSize, taken: Sequence[QRect]) -> QRect | None:
    """Return the lowest free rectangle of this size in an area, at that height preferably in the middle; None if none.

    taken: the rectangles that it must not intersect.
    """
    middle, right = (area.width() - size.width()) // 2, area.width() - size.width()
    beside = {rect.right() + 1 for rect in taken} | {rect.left() - size.width() for rect in taken}
    across = (middle, 0, right, *sorted(x for x in beside if 0 <= x <= right))
    lowest = area.height() - size.height()
    heights = {lowest, *(rect.top() - size.height() for rect in taken)}
    for y in sorted((y for y in heights if 0 <= y <= lowest), reverse=True):
        near = [rect for rect in taken if rect.top() < y + size.height() and rect.bottom() >= y]
        for x in across:
            place = QRect(QPoint(x, y), size)
            if not any(place.intersects(rect) for rect in near):
                return place
    return None


def _in_view(widget: QWidget, area: QWidget) -> QRect:
    """Return the visible part of a widget, in the coordinates of an area that contains it."""
    place, around = QRect(widget.mapTo(area, QPoint(0, 0)), widget.size()), widget.parentWidget()
    while around is not None and around is not area:
        place &= QRect(around.mapTo(area, QPoint(0, 0)), around.size())
        around = around.parentWidget()
    return place
