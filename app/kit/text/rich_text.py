"""A read-only text, plain or Markdown, as large as its contents, which grows while it is generated."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QMimeData, QRect, QRectF, QSize, Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import (
    QDesktopServices,
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QPen,
    QTextBlock,
    QTextCharFormat,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QFrame, QMessageBox, QPushButton, QTextBrowser, QTextEdit, QWidget

from terrarium.app.kit.basics import button
from terrarium.app.kit.text.joints import Joints
from terrarium.app.kit.text.markdown_writer import CODE_PAD, EDGES, KIND, QUOTE, QUOTE_INDENT, MarkdownWriter, code_head
from terrarium.app.kit.theme import ThemeProvider

_COPIED_MS = 1500
_RADIUS = 7
_SCHEMES = ("http", "https", "mailto")
"""The schemes of addresses that can be opened, after a confirmation."""


class RichText(QTextBrowser):
    """A text without frame and scroll bars. It loads no resources, and shows an address before opening it.

    Signals:
        fitted(): the text changed, and its size was recomputed.
    """

    fitted = Signal()

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self._max_width, self._size = 400, QSize(8, 8)
        self._writer: MarkdownWriter | None = None
        self._grows = self._is_code = False
        self._joints = Joints(self)
        self._copy_buttons: list[QPushButton] = []
        self.setUndoRedoEnabled(False)
        self.setOpenLinks(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        self.setStyleSheet("QTextEdit { background: transparent; border: none; padding: 0; min-height: 0; }")
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        flags = Qt.TextInteractionFlag
        self.setTextInteractionFlags(flags.TextBrowserInteraction | flags.TextSelectableByKeyboard)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.anchorClicked.connect(self._on_link)
        for bar in (self.horizontalScrollBar(), self.verticalScrollBar()):
            bar.rangeChanged.connect(self._keep_in_view)

    # -- Contents ------------------------------------------------------------------------------------------------------

    @property
    def is_markdown(self) -> bool:
        """Whether it shows Markdown."""
        return self._writer is not None

    @property
    def grows(self) -> bool:
        """Whether text was appended, and `finish` not called since."""
        return self._grows

    @property
    def copy_buttons(self) -> list[QPushButton]:
        """A button for each code block, from top to bottom."""
        return self._copy_buttons[: len(self._writer.codes) if self._writer is not None else 0]

    @property
    def is_plain(self) -> bool:
        """Whether its text has no formatting."""
        return self._writer is None or self._writer.is_plain

    def set_plain(self, *runs: tuple[str, str], is_code: bool = False) -> None:
        """Show plain texts, one after the other, each with a colour role of the theme ("" for the text colour).

        is_code: use the monospaced font, also for appended text.
        """
        self._writer, self._grows, self._is_code = None, False, is_code
        self.clear()
        self._joints = Joints(self)
        cursor = QTextCursor(self.document())
        for text, role in runs:
            form = self._plain_format
            if role:
                form.setForeground(self._theme.theme.color(role))
            cursor.insertText(text, form)
        self._fit()

    @property
    def _plain_format(self) -> QTextCharFormat:
        form = QTextCharFormat()
        if self._is_code:
            form.setFont(self._theme.mono_font(0.95))
        return form

    def set_markdown(self, text: str) -> None:
        """Show a Markdown text."""
        self._writer, self._grows = MarkdownWriter(self, self._theme), False
        self._writer.set_text(text)
        if not self._become_plain(text):
            self._fit()

    def _become_plain(self, text: str) -> bool:
        """Show a text without formatting verbatim if Markdown would not preserve it; return whether it did."""
        if not self.is_plain or self.toPlainText() == text:
            return False
        self.set_plain((text, ""))
        return True

    def begin_markdown(self) -> None:
        """Show an empty Markdown text, to append to."""
        self.set_markdown("")

    def append(self, text: str) -> None:
        """Append to the text."""
        self._grows = True
        if self._writer is not None:
            start = self._writer.append(text)
        else:
            cursor = QTextCursor(self.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            start = cursor.position()
            cursor.insertText(text, self._plain_format)
            self._joints.split(self.document().characterCount() - 1)
        self._fit(start)

    def finish(self) -> None:
        """Mark the growing text as complete, and draw its end accordingly."""
        was_growing, self._grows = self._grows, False
        if self._writer is None:
            if self._joints.join():
                self._fit()
            return
        if not was_growing:
            return
        self._writer.finish()
        if not self._become_plain(self._writer.text):
            self._fit(self.document().characterCount() - 1)

    # -- Size ----------------------------------------------------------------------------------------------------------

    def set_max_width(self, pixels: int) -> None:
        """Set the width in pixels at which the text wraps."""
        if pixels != self._max_width:
            self._max_width = pixels
            self._fit()

    def _fit(self, changed_from: int = 0) -> None:
        """Resize to the text, which changed from a position on; a growing text never becomes narrower."""
        document, widest = self.document(), self._max_width
        if self.lineWrapColumnOrWidth() != widest:
            self.setLineWrapColumnOrWidth(widest)
        if document.textWidth() != widest:  # setting it lays out all of the text
            document.setTextWidth(widest)
        if self._writer is not None and self._writer.is_wide:
            width = widest
        elif not changed_from:
            width = max(min(math.ceil(document.idealWidth()) + 1, widest), 8)
        elif (width := self._size.width()) < widest:
            width = max(width, min(math.ceil(self._width_from(changed_from)) + 1, widest))
        self._size = QSize(width, math.ceil(document.size().height()))
        self.setFixedSize(self._size)
        has_links = self._writer is not None and self._writer.has_links
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if has_links else Qt.FocusPolicy.ClickFocus)
        self._place_buttons()
        self.fitted.emit()

    @Slot()
    def _keep_in_view(self) -> None:
        """Disable scrolling: the whole text is visible, but Qt would allow for wider lines."""
        for bar in (self.horizontalScrollBar(), self.verticalScrollBar()):
            bar.setRange(0, 0)

    def _width_from(self, position: int) -> float:
        """Measure the width of the lines from a position on, as the document would measure all lines."""
        block, width = self.document().findBlock(position), 0.0
        while block.isValid():
            lines = block.layout()
            for i in range(lines.lineCount()):
                width = max(width, lines.lineAt(i).naturalTextRect().right())
            block = block.next()
        return width

    def sizeHint(self) -> QSize:
        return self._size

    def _place_buttons(self) -> None:
        codes = self._writer.codes if self._writer is not None else []
        while len(self._copy_buttons) < len(codes):
            index = len(self._copy_buttons)
            made = button(
                "", self._theme, partial(self._copy_code, index), icon="copy", role="quiet-icon", tip="Copy this code"
            )
            made.setAccessibleName(f"Copy code {index + 1}")
            made.setAutoDefault(False)  # Enter does what the dialog is for
            made.setParent(self.viewport())
            made.setCursor(Qt.CursorShape.ArrowCursor)
            self._copy_buttons.append(made)
        for i, widget in enumerate(self._copy_buttons):
            widget.setVisible(i < len(codes))
            if i < len(codes):
                area = self._code_area(codes[i].cursor.block())
                height = code_head(self._theme) - 2
                widget.setFixedSize(max(30, self._theme.icon_room), height)
                widget.move(area.right() - widget.width() - 2, area.top() + 2)

    def _copy_code(self, index: int) -> None:
        assert self._writer is not None
        QGuiApplication.clipboard().setText(self._writer.codes[index].text)
        widget = self._copy_buttons[index]
        self._theme.set_icon(widget, "check", "accent")
        QTimer.singleShot(_COPIED_MS, widget, lambda: self._theme.set_icon(widget, "copy"))

    # -- Painting ------------------------------------------------------------------------------------------------------

    def _code_area(self, block: QTextBlock) -> QRect:
        """Return the area of a code block's frame behind one of its lines."""
        lines = self.document().documentLayout().blockBoundingRect(block)
        form, edges = block.blockFormat(), block.blockFormat().intProperty(EDGES)
        left = round(form.leftMargin() - CODE_PAD)
        top = math.floor(lines.top()) - (code_head(self._theme) if edges & 1 else 0)
        bottom = math.ceil(lines.bottom()) + (CODE_PAD if edges & 2 else 0)
        return QRect(left, top, self.width() - left, bottom - top)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._writer is not None and not self._writer.is_plain:
            painter = QPainter(self.viewport())
            self._paint_ground(painter, event.rect())
            painter.end()
        super().paintEvent(event)

    def _paint_ground(self, painter: QPainter, area: QRect) -> None:
        """Paint the background of code, the bars of quotations, and rules."""
        colors, layout = self._theme.theme, self.document().documentLayout()
        block = self.cursorForPosition(area.topLeft()).block()
        if block.previous().isValid():
            block = block.previous()
        while block.isValid():
            form, lines = block.blockFormat(), layout.blockBoundingRect(block)
            if lines.top() - code_head(self._theme) > area.bottom():
                break
            kind = form.stringProperty(KIND)
            if kind == "code":
                self._paint_code(painter, block)
            elif kind == "rule":
                painter.setPen(QPen(colors.color("border_strong"), 1))
                middle = round(lines.center().y())
                painter.drawLine(round(form.leftMargin()), middle, self.width(), middle)
            for i in range(form.intProperty(QUOTE)):
                goes_on = block.previous().blockFormat().intProperty(QUOTE) > i
                top = layout.blockBoundingRect(block.previous()).bottom() if goes_on else lines.top()
                bar = QRectF(i * QUOTE_INDENT + 2, top, 3, lines.bottom() - top)
                painter.fillRect(bar, colors.color("border_strong"))
            block = block.next()

    def _paint_code(self, painter: QPainter, block: QTextBlock) -> None:
        colors, edges = self._theme.theme, block.blockFormat().intProperty(EDGES)
        area = self._code_area(block)
        frame = QRectF(area).adjusted(0.5, 0.5 if edges & 1 else -20, -0.5, -0.5 if edges & 2 else 20)
        painter.save()
        painter.setClipRect(area)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colors.color("border"), 1))
        painter.setBrush(colors.color("sunken"))
        painter.drawRoundedRect(frame, _RADIUS, _RADIUS)
        if edges & 1 and self._writer is not None:
            name = next((code.language for code in self._writer.codes if code.cursor.block() == block), "")
            painter.setPen(colors.color("muted"))
            painter.setFont(self._theme.font(0.9))
            head = area.adjusted(CODE_PAD, 2, -40, 0)
            head.setHeight(code_head(self._theme) - 2)
            painter.drawText(head, Qt.AlignmentFlag.AlignVCenter, name)
        painter.restore()

    # -- Copying and links ---------------------------------------------------------------------------------------------

    def loadResource(self, kind: int, name: QUrl | str) -> None:
        """Load nothing: a text must not show pictures or local files."""

    def createMimeDataFromSelection(self) -> QMimeData:
        """Copy plain text, without formatting."""
        data = QMimeData()
        data.setText(self.textCursor().selection().toPlainText())
        return data

    @Slot(QUrl)
    def _on_link(self, url: QUrl) -> None:
        address = url.toString(QUrl.ComponentFormattingOption.FullyEncoded)
        if address != "#":
            ask_to_open(url, self)


def ask_to_open(url: QUrl, parent: QWidget) -> QMessageBox:
    """Show an address, and open it if the user agrees; an address with a scheme not in _SCHEMES is only shown."""
    address = bytes(url.toEncoded().data()).decode()
    can_open = url.scheme().lower() in _SCHEMES
    box = QMessageBox(parent.window())
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowTitle("Link")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(
        "Open this address outside Terrarium?" if can_open else "This is no address of the web: it is not opened."
    )
    box.setInformativeText(address)
    box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    actions: list[tuple[str, Callable[[], object]]] = [
        ("Copy address", lambda: QGuiApplication.clipboard().setText(address))
    ]
    if can_open:
        actions.insert(0, ("Open", lambda: QDesktopServices.openUrl(url)))
    for words, action in actions:
        box.addButton(words, QMessageBox.ButtonRole.AcceptRole).clicked.connect(
            lambda checked=False, action=action: action()
        )
    box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
    box.open()
    return box
