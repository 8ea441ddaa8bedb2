"""Splits a long growing line into several text blocks, as Qt redoes the layout of a whole block on every insertion."""

from __future__ import annotations

from PySide6.QtGui import QTextBlockFormat, QTextCursor
from PySide6.QtWidgets import QTextEdit

_MAX_BLOCK = 3000
"""The number of characters from which a block is split."""


class Joints:
    """Block ends that are not part of the text. Each is at the end of a line on screen, so it is invisible.

    Args:
        edit: the widget that shows the document. The document is fetched on each use, as PySide has invalidated the
            Python wrapper of a document that still existed.
    """

    def __init__(self, edit: QTextEdit) -> None:
        self._edit = edit
        self._joints: list[QTextCursor] = []

    def split(self, position: int) -> bool:
        """Split the block of a position if it is long before that position; return whether it was split.

        All later positions then increase by one.
        """
        document = self._edit.document()
        block = document.findBlock(position)
        n = position - block.position()
        if n < _MAX_BLOCK:
            return False
        document.documentLayout().documentSize()  # forces the layout
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
        """Join the split blocks; return the number of block ends removed."""
        edit, n = QTextCursor(self._edit.document()), len(self._joints)
        edit.beginEditBlock()
        for joint in self._joints:
            look = joint.block().previous().blockFormat()
            joint.deletePreviousChar()
            joint.setBlockFormat(look)
        edit.endEditBlock()
        self._joints.clear()
        return n
