"""A long line in several text blocks while it grows: Qt lays out a whole block again when something is added to it."""

from __future__ import annotations

from PySide6.QtGui import QTextBlockFormat, QTextCursor
from PySide6.QtWidgets import QTextEdit

_MAX_BLOCK = 3000
"""Characters."""


class Joints:
    """The ends of blocks that are none of the text: each is where a line on screen ends, so it is not seen.

    Args:
        edit: shows the document, and is asked for it each time: PySide has declared the Python object of a document
            dead while the document lived on.
    """

    def __init__(self, edit: QTextEdit) -> None:
        self._edit = edit
        self._joints: list[QTextCursor] = []

    def split(self, position: int) -> bool:
        """Make two blocks of the one at a position, if it is long before that; all from there on then moves by one."""
        document = self._edit.document()
        block = document.findBlock(position)
        n = position - block.position()
        if n < _MAX_BLOCK:
            return False
        document.documentLayout().documentSize()  # lays it out
        lines = block.layout()
        starts = (lines.lineAt(i).textStart() for i in range(lines.lineCount()))
        last = max((start for start in starts if start < n), default=0)
        if last:
            joint = QTextCursor(document)
            joint.setPosition(block.position() + last)
            look = QTextBlockFormat(block.blockFormat())
            look.setTopMargin(0)
            look.setTextIndent(0)
            joint.insertBlock(look)
            joint.setKeepPositionOnInsert(True)
            self._joints.append(joint)
        return bool(last)

    def join(self) -> int:
        """Make single blocks again of what was split; returns how many ends were taken out."""
        edit, n = QTextCursor(self._edit.document()), len(self._joints)
        edit.beginEditBlock()
        for joint in self._joints:
            look = joint.block().previous().blockFormat()
            joint.deletePreviousChar()
            joint.setBlockFormat(look)
        edit.endEditBlock()
        self._joints.clear()
        return n
