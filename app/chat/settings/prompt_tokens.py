"""The exact tokens that a model reads before its next reply, coloured by role."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from terrarium.app.chat.conversation.next_prompt import NextPrompt, PromptPreview
from terrarium.app.kit.basics import EmptyState, button, column, frame, label, row, set_enabled, stacked
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.conversation_tokens import ROLE_WORDS, ChatTokenView, RoleLegend
from terrarium.models.chat.tokens import ChatTokens
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.tokenizers.text.encoded import TokenArrays

_HINT = "Point at a token to see where it comes from. Special tokens are outlined."


class PromptTokens(Dialog):
    """A modeless window that is updated with the draft."""

    def __init__(self, theme: ThemeProvider, next_prompt: NextPrompt, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_term(self, "Chat template")
        self._next = next_prompt
        self._preview: PromptPreview | None = None
        self.setWindowTitle("Exact prompt tokens")
        self.resize(820, 560)
        self.view = ChatTokenView(theme)
        self.summary = label("", "subheading")
        self.left_out = label("", "warning", wrap=True)
        self._about = ElidedLabel()
        self._about.setProperty("role", "caption")
        self.nothing = EmptyState("No prompt", "")
        self._pages = stacked(frame("card", self.view, margin=4), self.nothing)
        self.copy = button("Copy ids", theme, self._copy, icon="copy", role="quiet", tip="Copy all ids as a list")
        close = button("Close", theme, self.close, tip="Close this window")
        close.setDefault(True)
        self.copy.setAutoDefault(False)
        contents = row(self.summary, None, self.copy), RoleLegend(theme), self.left_out, self._pages, self._about
        self.setLayout(column(*contents, row(None, close), grows=self._pages, margin=2 * SPACE))
        self.view.hovered.connect(self._describe_current)
        self.view.picked.connect(self._describe_current)
        next_prompt.changed.connect(self._follow)

    def open_on_top(self) -> None:
        """Show the window, or bring it to the front."""
        self.show()
        self.activateWindow()
        self._follow()

    @Slot()
    def _follow(self) -> None:
        if not self.isVisible():
            return
        self._preview = preview = self._next.preview
        set_enabled(self.copy, "" if preview is not None else "There is no prompt yet.")
        self._pages.setCurrentIndex(1 if preview is None else 0)
        self.left_out.setVisible(preview is not None and preview.fitted.n_left_out > 0)
        if preview is None:
            failure = self._next.failure
            self.nothing.set_words("No prompt", failure.sentence if failure is not None else "Open a model first.")
            self.summary.setText("")
            self.view.set_chat(None, ())
            self._about.setText("")
            return
        fitted = preview.fitted
        n, whole = len(fitted.ids), fitted.context_length
        self.summary.setText(f"{format_count(n, 'token')}, {format_percent(n / whole)} of the context of {whole:,}")
        self.left_out.setText(_describe_left_out(fitted.n_left_out, self._next.prompting.when_full))
        roles = ["system", *(message["role"] for message in fitted.messages)]  # the template's own tokens come first
        counts = tuple(fitted.count(i, i + 1) for i in range(-1, len(fitted.messages) + 1))
        tokens = TokenArrays(preview.tokenizer, fitted.ids)
        self.view.set_chat(ChatTokens(tokens, fitted.sources + 1, fitted.sources < -1, counts, range(0)), roles)
        self._describe_current()

    @Slot()
    def _describe_current(self) -> None:
        index = self.view.current
        self._about.setText(_HINT if self._preview is None or index < 0 else self.describe(index))

    def describe(self, index: int) -> str:
        """Describe the origin of a token."""
        assert self._preview is not None
        fitted = self._preview.fitted
        source = int(fitted.sources[index])
        if source < 0:
            whose = "from the template itself, before all messages"
        elif source == len(fitted.messages):
            whose = "generation prompt: what follows is the model's"
        else:
            whose = f"of message {source + 1}: {ROLE_WORDS[fitted.messages[source]['role']]}"
        piece = TokenArrays(self._preview.tokenizer, fitted.ids[index : index + 1])[0]
        return f"{piece.display}   id {piece.id} · position {index:,} · {whose}"

    def _copy(self) -> None:
        if self._preview is not None:
            QGuiApplication.clipboard().setText(str(self._preview.fitted.ids.tolist()))


def _describe_left_out(n: int, when_full: str) -> str:
    oldest = "The oldest message does" if n == 1 else f"The oldest {n} messages do"
    then = {
        "slide": "left out",
        "summarise": "left out here; when you send, the model first summarises what is missing",
        "stop": "left out here; when you send, a message says that the context is full",
    }[when_full]
    return f"{oldest} not fit, and {'is' if n == 1 else 'are'} {then}."
