"""The picture of the whole pass in its own window, about as wide as the main window."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.sheet import Sheet
from terrarium.app.kit.basics import button, label, row
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.export_button import ExportButton, ExportSource
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.whole_pass.answer import PassAnswer
from terrarium.app.whole_pass.pass_view import PassView
from terrarium.app.whole_pass.wording import describe_pass

_SHARE = 0.96
"""The maximum fraction of the main window's width and height."""


class WideWindow(Dialog):
    """Follows the token in focus through its panel; closes when a panel is opened from it."""

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        focus: Focus,
        heading: Callable[[], str],
        numbers: ExportSource,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Whole pass")
        set_term(self, "Next-token prediction")
        self.sentence = label("", "sentence", wrap=True, selectable=True)
        self.view = PassView(theme, focus, is_wide=True)
        before = button("Token before", theme, lambda: focus.walk(-1), icon="caret-left", role="quiet")
        after = button("Token after", theme, lambda: focus.walk(1), icon="caret-right", role="quiet")
        export = ExportButton(session.notices, theme, Sheet(theme, heading, self.view, parent=self), numbers)
        export.name = "Whole pass"
        close = button("Close", theme, self.close)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        lines.setSpacing(SPACE)
        lines.addWidget(self.sentence)
        lines.addWidget(self.view, 1)
        lines.addLayout(row(before, after, None, export, close))
        self.view.door_opened.connect(self.close)

    def open_beside(self, window: QWidget) -> None:
        """Show it over a window, nearly as large, but no taller than its contents."""
        width, most = round(_SHARE * window.width()), round(_SHARE * window.height())
        self.resize(width, most)
        self.show()
        around = most - self.view.height()
        self.resize(width, min(most, max(around + self.view.needed_height(), most // 2)))
        self.view.layers.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_answer(self, answer: PassAnswer | None, message: str) -> None:
        """Show another pass, or a message instead."""
        self.sentence.setText(message if answer is None else describe_pass(answer))
        self.view.setVisible(answer is not None)
        if answer is not None:
            self.view.show_answer(answer)
