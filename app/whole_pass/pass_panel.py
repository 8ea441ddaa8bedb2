"""The panel of the whole pass: one token's way through the model, each stage with its numbers and a link to more."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.focus import Focus, Head
from terrarium.app.glass.panel_head import About
from terrarium.app.glass.sheet import Sheet
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.kit.basics import button, label, row, set_enabled
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.export_button import ExportButton, ExportSource
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import Route, ShowPlace, ShowTokenizer
from terrarium.app.session.session import Session
from terrarium.app.whole_pass.answer import PassAnswer, read_answer
from terrarium.app.whole_pass.pass_view import PassView, numbers_of
from terrarium.app.whole_pass.wording import describe_pass, strongest_head

if TYPE_CHECKING:
    from terrarium.models.inspect.whole_pass import PassCache


ABOUT = About(
    title="Whole pass",
    term="Next-token prediction",
    shows="How this token came about, from the text to the draw. Each stage opens the panel that shows more.",
    source=(
        "The open model reads the text again, as it did when it wrote: what comes before into its cache, then the "
        "newest token alone with a trace. Each × is the length of the vector that a part adds, in lengths of the "
        "vector before. Of each attention, the head that adds the longest vector is shown; of one of them, that "
        "which did most for the token against the runner-up (its direct effect on the logit). What a layer would say "
        "is the logit lens. The draw is computed by the code that writes replies."
    ),
    limits=(
        "How much a part adds does not say what it is for, and where a head looks is no explanation: switching it off "
        "tells more. Layers are not trained to be read early."
    ),
)
_SHARE = 0.96
"""The maximum fraction of the main window's width and height."""


class PassPanel(AnswerPanel):
    """For the token in focus: the picture in the width of the panel, and a window with it in full width."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, ABOUT, self._numbers, parent)
        self.answer: PassAnswer | None = None
        self._cache: PassCache | None = None
        self.wide: _WideWindow | None = None
        """The window with the picture in full width; None until it is opened."""
        self.view = PassView(theme, focus)
        self.lines.addWidget(self.view)
        self.lines.addStretch(1)
        self.enlarge = button(
            "", theme, self.open_wide, icon="arrows-out", role="quiet-icon", tip="Show the picture in full width"
        )
        self.head.add(self.enlarge)
        self.view.door_opened.connect(self._go_on)
        self.examiner.done.connect(self._on_answer)
        session.detail.changed.connect(self._show_detail)
        self._show_detail()

    def open_wide(self) -> None:
        """Show the picture in a window of its own, which follows the token as this panel does."""
        if self.wide is None:
            self.wide = _WideWindow(self._session, self._theme, self.focus, self._heading, self._numbers, self)
            self.wide.view.door_opened.connect(self._go_on)
            self._show_detail()
        self._update_wide()
        self.wide.open_beside(self.window())

    @Slot(str)
    def _go_on(self, name: str) -> None:
        """Go on to the panel, or the page, about a part of the pass."""
        model = self._session.chat.model
        route: Route = ShowPlace(f"chat/{name}")
        if name == "embeddings":
            route = ShowPlace("chat/mode/embeddings")
        elif name == "tokenizer":
            route = ShowTokenizer(self._session.runs.tokenizer_name(model.run_id) if model is not None else "")
        self._session.go(route)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        if self.wide is not None and not event.spontaneous():
            self.wide.close()

    def forget(self) -> None:
        self.answer = self._cache = None
        set_enabled(self.enlarge, "There is no picture yet: choose a token that a model has predicted.")

    def ask(self, target: TargetToken) -> None:
        if self._cache is None:
            from terrarium.models.inspect.whole_pass import PassCache

            self._cache = PassCache()
        cache = self._cache
        self.examiner.ask(lambda model, tokenizer: read_answer(model, tokenizer, target, cache))

    def show_message(self, heading: str, sentence: str) -> None:
        super().show_message(heading, sentence)
        self._update_wide()

    @Slot(object)
    def _on_answer(self, answer: PassAnswer) -> None:
        if self.target != answer.target:
            return
        answer = dataclasses.replace(answer, learned=answer.target.text.step != self.examiner.step)
        self.answer = answer
        if (strong := strongest_head(answer)) is not None:
            self.focus.tell_head(answer.target.position, Head(strong.part.site, strong.head))
        self.say(describe_pass(answer))
        self.view.show_answer(answer)
        set_enabled(self.enlarge, "")
        self.show_body(target_is_visible=answer.target_is_visible)
        self._update_wide()

    def _update_wide(self) -> None:
        if self.wide is not None:
            self.wide.show_answer(None if self.message else self.answer, self.message)

    @Slot()
    def _show_detail(self) -> None:
        for view in (self.view, *([] if self.wide is None else [self.wide.view])):
            view.show_logits(shown=not self._session.detail.is_simple)

    def _numbers(self) -> Callable[[], Columns]:
        answer = self.answer
        return dict if answer is None else lambda: numbers_of(answer)


class _WideWindow(Dialog):
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
