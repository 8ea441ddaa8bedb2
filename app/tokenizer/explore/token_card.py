"""A card with the details of one token of the text."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFormLayout, QFrame, QWidget

from terrarium.app.kit.basics import column, group, label, plain_tip, stacked
from terrarium.app.kit.theme import SPACE
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.models.tokenizers import Piece

_HINT = "Point at a token, or select one with the arrow keys, to see its details."


class TokenCard(QFrame):
    """Shows one `Piece`, or a hint on how to select one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.setAccessibleName("Token under the pointer")
        self._display = label("", "big-number", selectable=True)
        self._display.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self._display.setWordWrap(True)
        self._values = {name: label("", "mono", wrap=True, selectable=True) for name in _ROWS}
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setHorizontalSpacing(2 * SPACE)
        rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        for name, tip in _ROWS.items():
            caption = label(name, "muted")
            for widget in (caption, self._values[name]):
                widget.setToolTip(plain_tip(tip))
            rows.addRow(caption, self._values[name])
        hint = label(_HINT, "muted", wrap=True)
        hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._pages = stacked(hint, group(self._display, rows, None, spacing=2 * SPACE))
        self.setLayout(column(self._pages, margin=2 * SPACE))

    def minimumSizeHint(self) -> QSize:
        # Enough for a typical token, so that the card below does not jump.
        return QSize(super().minimumSizeHint().width(), 18 * self.fontMetrics().height())

    def set_token(self, piece: Piece | None, *, index: int = 0, occurrences: int = 0) -> None:
        """Show `piece`, the token at `index` of the text; None for the hint."""
        self._pages.setCurrentIndex(0 if piece is None else 1)
        if piece is None:
            return
        self._display.setText(Glyphs(self._display.font()).drawable(piece.display))
        values = {
            "Id": f"{piece.id:,}",
            "Text": _format_text(piece),
            "Bytes": piece.bytes.hex(" ").upper(),
            "Length": f"{len(piece.bytes)} {'byte' if len(piece.bytes) == 1 else 'bytes'}",
            "Position": f"token {index + 1:,}, bytes {piece.start:,} to {piece.end:,}",
            "Here": "once" if occurrences == 1 else f"{occurrences:,} times",
        }
        for name, text in values.items():
            self._values[name].setText(text)

    def value(self, name: str) -> str:
        """Return the text of the row `name`."""
        return self._values[name].text()


_ROWS = {
    "Id": "The token's number: all that the model sees of it",
    "Text": "The characters of the token",
    "Bytes": "The token's UTF-8 bytes, in hexadecimal",
    "Length": "Number of bytes of the token",
    "Position": "Index of the token, and its bytes in the text",
    "Here": "How often this token occurs in the text",
}


def _format_text(piece: Piece) -> str:
    if piece.special:
        return f"{piece.bytes.decode()} (special)"
    try:
        return repr(piece.bytes.decode())
    except UnicodeDecodeError:
        return "part of a character"
