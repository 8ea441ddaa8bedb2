"""An editor for the rules of a constitution, one per line, which a model then learns to follow."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal, Slot
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from terrarium.app.kit.basics import button, column, label, row, show_words
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.tiny_world.constitution import MAX_RULES, RULES, parse_rules

_LINES = 4


class RulesEditor(QWidget):
    """A field for the rules, with an error message below it.

    rules: the parsed rules; () while the text is invalid.

    Signals:
        changed(): the text has changed.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rules = RULES
        self.field = named(
            QPlainTextEdit("\n".join(RULES)),
            "Rules",
            f"One per line, {MAX_RULES} at most: about secret words, hiding places or mean words. Anything else "
            "may be told",
        )
        self.field.setTabChangesFocus(True)
        self.problem = label("", "error", wrap=True)
        self.usual = button("The usual rules", theme, self._on_usual, role="link", tip="Put the three rules back")
        self.setLayout(column(self.field, self.problem, row(self.usual, None), spacing=SPACE // 2))
        self.field.textChanged.connect(self._on_changed)
        self._fit()
        self._on_changed()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        margins = 2 * round(self.field.document().documentMargin()) + 2 * self.field.frameWidth() + SPACE
        self.field.setFixedHeight(_LINES * self.field.fontMetrics().lineSpacing() + margins)

    @Slot()
    def _on_changed(self) -> None:
        problem = ""
        try:
            self.rules = parse_rules(self.field.toPlainText())
        except ValueError as error:
            self.rules, problem = (), str(error)
        show_words(self.problem, problem)
        self.usual.setVisible(self.rules != RULES)
        self.changed.emit()

    def _on_usual(self) -> None:
        self.field.setPlainText("\n".join(RULES))
