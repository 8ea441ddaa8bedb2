"""An editor for the rules of a constitution, one per line, which a model then learns to follow."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal, Slot
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from terrarium.app.kit.basics import button, label, plain_tip, row
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
        self.field = QPlainTextEdit("\n".join(RULES))
        self.field.setTabChangesFocus(True)
        self.field.setAccessibleName("Rules")
        self.field.setToolTip(
            plain_tip(
                f"One per line, {MAX_RULES} at most: about secret words, hiding places or mean words. Anything else "
                "may be told"
            )
        )
        self.problem = label("", "error", wrap=True)
        self.usual = button("The usual rules", theme, self._on_usual, role="link", tip="Put the three rules back")
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE // 2)
        lines.addWidget(self.field)
        lines.addWidget(self.problem)
        lines.addLayout(row(self.usual, None))
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
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.usual.setVisible(self.rules != RULES)
        self.changed.emit()

    def _on_usual(self) -> None:
        self.field.setPlainText("\n".join(RULES))
