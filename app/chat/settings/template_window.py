"""The chat template editor, with a preview of the rendered conversation."""

from __future__ import annotations

import re

from PySide6.QtCore import QMimeData, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from terrarium.app.chat.conversation.next_prompt import NextPrompt
from terrarium.app.kit.basics import button, column, group, label, panes, row, set_enabled
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.text.code_editor import CodeEditor
from terrarium.app.kit.text.highlighter import Highlighter
from terrarium.app.kit.text.text_box import highlight
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.chat.prompting import with_system
from terrarium.models.chat.sandbox import ChatTemplateError
from terrarium.models.chat.template import render_template

_PATIENCE_MS = 150
_SHOWN, _LONGEST = 20_000, 100_000  # characters
_EXAMPLE = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello, how can I help you?"},
    {"role": "user", "content": "What is a template?"},
]
_ABOUT = (
    "Templates are written in Jinja. They get messages, each with a role and a content, and add_generation_prompt, "
    "which is true when a reply is wanted. They can access nothing else, and are stopped if they do not end."
)


_OPENINGS = {"{#": "#}", "{%": "%}", "{{": "}}"}
_OPENING = re.compile(r"\{[#%{]")
_STATES = (("", ""), *((opening, quote) for opening in _OPENINGS for quote in ("", "'", '"')))
_INSIDE = re.compile(
    r"(?P<quote>[\"'])"
    r"|(?P<number>\b\d+\b)"
    r"|(?P<keyword>\b(?:for|endfor|if|elif|else|endif|set|endset|macro|endmacro|call|endcall|filter|endfilter|generation"
    r"|endgeneration|break|continue|in|is|not|and|or|recursive)\b)"
    r"|(?P<constant>\b(?:[Tt]rue|[Ff]alse|[Nn]one)\b)"
    r"|(?P<mark>\{%[-+]?|[-+]?%\}|\{\{-?|-?\}\})"
)
_ROLES = {
    "comment": "muted",
    "text": "accent",
    "number": "validation",
    "keyword": "info",
    "constant": "validation",
    "mark": "hint",
}


class TemplateWindow(Dialog):
    """A modeless window, so that the user can continue to chat beside it.

    Signals:
        edited(template): the user has changed it.
    """

    edited = Signal(str)

    def __init__(
        self, session: Session, theme: ThemeProvider, next_prompt: NextPrompt, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        set_term(self, "Chat template")
        self._session, self._next, self._theme = session, next_prompt, theme
        self.setWindowTitle("Chat template")
        self.resize(1000, 600)
        self.editor = _TemplateEditor(theme)
        self.preview = CodeEditor(theme, colours=JinjaColours)
        self.preview.set_numbers_shown(False)
        self.preview.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.preview.setAccessibleName("The rendered conversation")
        self.problem = label("", "error", wrap=True, selectable=True)
        self._caption = label("", "caption", wrap=True)
        self.revert = button(
            "Back to the model's own", theme, self._revert, icon="arrow-counter-clockwise", tip="Discard the edits"
        )
        self._line = 0
        self._task = LatestTask(self)
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._build()
        self.editor.textChanged.connect(self._on_edited)
        self.editor.refused.connect(self.problem.setText)
        self._patience.timeout.connect(self._render)
        self._task.done.connect(self._show)
        next_prompt.changed.connect(self._on_next)
        theme.theme_changed.connect(self._mark)

    def _build(self) -> None:
        about, title = label(_ABOUT, "caption", wrap=True), label("Rendered conversation", "subheading")
        left = group(label("Template", "subheading"), about, self.editor, grows=self.editor)
        right = group(title, self._caption, self.preview, grows=self.preview)
        both = panes(left, right, sizes=(560, 420), grows=0)
        close = button("Close", self._theme, self.close, tip="Your edits are kept")
        self.setLayout(column(both, self.problem, row(self.revert, None, close), grows=both, margin=2 * SPACE))
        for one in (self.revert, close):
            one.setAutoDefault(False)  # Enter is for the editor

    @property
    def own(self) -> str:
        """The model's own template, "" if it has none."""
        model = self._session.chat.model
        return "" if model is None else model.template

    @property
    def template(self) -> str:
        """The text of the editor."""
        return self.editor.toPlainText()

    def show_template(self, template: str) -> None:
        """Show this template in the editor, or the model's own if it is ""; without a signal."""
        self.editor.blockSignals(True)
        self.editor.show_code(template or self.own)
        self.editor.blockSignals(False)
        self._on_changed()

    @Slot()
    def _on_edited(self) -> None:
        self._on_changed()
        self.edited.emit("" if self.template == self.own else self.template)

    def _on_changed(self) -> None:
        set_enabled(self.revert, "" if self.template != self.own else "This is the model's own template.")
        self._patience.start()

    def _revert(self) -> None:
        self.editor.setPlainText(self.own)

    @Slot()
    def _on_next(self) -> None:
        if self.isVisible():
            self._patience.start()

    @Slot()
    def _render(self) -> None:
        """Render in the background: a template may be slow."""
        model, template = self._session.chat.model, self.template
        written = [message for message in self._next.messages if message["content"]]
        example = not written
        messages = with_system(written or _EXAMPLE, self._next.prompting)
        marks = model.template_config.named_tokens if model is not None else {}
        self._caption.setText("An example: the chat is still empty." if example else "With your draft.")

        def render() -> str | ChatTemplateError:
            try:
                return render_template(template, messages, add_generation_prompt=True, named_tokens=marks)
            except ChatTemplateError as error:
                return error

        self._task.ask(render)

    @Slot(object)
    def _show(self, result: str | ChatTemplateError) -> None:
        """Show the rendered text, or the error: the last rendered text remains."""
        if isinstance(result, str):
            self.preview.show_code(result if len(result) <= _SHOWN else result[:_SHOWN] + "…")
            self.problem.setText("")
            self._line = 0
        else:
            self.problem.setText(str(result))
            self._caption.setText("As rendered before the error.")
            self._line = result.line
        self._mark()

    @Slot()
    def _mark(self) -> None:
        """Underline the line with the error."""
        block = self.editor.document().findBlockByNumber(self._line - 1)
        marks = []
        if self._line and block.isValid():
            cursor = self.editor.textCursor()
            cursor.setPosition(block.position())
            cursor.setPosition(block.position() + block.length() - 1, cursor.MoveMode.KeepAnchor)
            marks.append(highlight(cursor, self._theme.theme.color("danger"), wrong=True))
        self.editor.setExtraSelections(marks)


class _TemplateEditor(CodeEditor):
    """An editor for Jinja code.

    Signals:
        refused(sentence): the pasted text is too long; nothing was changed.
    """

    refused = Signal(str)

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__(theme, colours=JinjaColours)
        self.setReadOnly(False)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextEditorInteraction)
        self.setAccessibleName("Chat template")

    def insertFromMimeData(self, source: QMimeData) -> None:
        n = len(source.text())
        if n <= _LONGEST:
            super().insertFromMimeData(source)
        else:
            self.refused.emit(f"That text has {n:,} characters, and a template takes up to {_LONGEST:,}.")


class JinjaColours(Highlighter):
    """Colours a Jinja template: literal text is plain, expressions and statements are coloured. Follows the theme."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider) -> None:
        super().__init__(document, theme, _ROLES)

    def restyle_formats(self) -> None:
        self.formats["comment"].setFontItalic(True)

    def highlightBlock(self, text: str) -> None:
        """Colour one line. The block state encodes which Jinja delimiter and quote are open at its end; 0 for none."""
        state, at = max(self.previousBlockState(), 0), 0
        while at < len(text):
            if not state:
                opening = _OPENING.search(text, at)
                if opening is None:
                    break
                state, at = _STATES.index((opening[0], "")), opening.start()
            kind, quote = _STATES[state]
            if kind == "{#":
                end, closed = _find(text, "#}", at)
                self.setFormat(at, end - at, self.formats["comment"])
                state = 0 if closed else state
            elif quote:
                end, closed = _find(text, quote, at)
                self.setFormat(at, end - at, self.formats["text"])
                state = _STATES.index((kind, "" if closed else quote))
            else:
                end, state = self._colour_code(text, at, kind)
            at = end
        self.setCurrentBlockState(state)

    def _colour_code(self, text: str, start: int, kind: str) -> tuple[int, int]:
        """Colour code inside delimiters up to a string or the closing delimiter; return the index there and the
        state.
        """
        for match in _INSIDE.finditer(text, start):
            found = match.lastgroup or ""
            if found == "quote":
                self.setFormat(match.start(), 1, self.formats["text"])
                return match.end(), _STATES.index((kind, match[0]))
            self.setFormat(match.start(), len(match[0]), self.formats[found])
            if found == "mark" and match[0].endswith(_OPENINGS[kind]):
                return match.end(), 0
        return len(text), _STATES.index((kind, ""))


def _find(text: str, what: str, start: int) -> tuple[int, bool]:
    """Return the index after `what`, and whether it was found; the end of the line if not."""
    found = text.find(what, start)
    return (len(text), False) if found < 0 else (found + len(what), True)
