"""Whether things on screen may move."""

from __future__ import annotations

from PySide6.QtWidgets import QApplication, QStyle


def prefers_reduced_motion() -> bool:
    """Whether the system asks for no animations, as far as Qt knows: then a lasting mark says what a movement would."""
    return QApplication.style().styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration) <= 0
