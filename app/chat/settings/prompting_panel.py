"""How a chat's messages become a prompt: system prompt, chat template, and what happens when the context is full."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QButtonGroup, QRadioButton, QWidget

from terrarium.app.chat.conversation.next_prompt import NextPrompt, PromptPreview
from terrarium.app.chat.settings.second_model_panel import NO_MODEL
from terrarium.app.chat.settings.template_window import TemplateWindow
from terrarium.app.kit.basics import (
    EmptyState,
    button,
    column,
    frame,
    label,
    plain_tip,
    row,
    set_enabled,
    show_words,
    stacked,
)
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.help_mark import HelpMark, set_term
from terrarium.app.kit.inputs import caption, named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.text.text_box import TextBox
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.conversation_tokens import ROLE_WORDS, ChatTokenView, RoleLegend
from terrarium.app.session.session import Session
from terrarium.models.chat.prompting import WHEN_FULL, PromptSettings
from terrarium.models.chat.tokens import ChatTokens
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.tokenizers.text.encoded import TokenArrays

_LINES = 4
_WHEN_FULL_TIPS = {
    "slide": "The model forgets the oldest messages. The system prompt and the newest message always stay.",
    "summarise": (
        "Before it replies, the model summarises the oldest messages in a few sentences. Small models do this badly: "
        "if it fails, the messages are left out, and you are told."
    ),
    "stop": "The message is not sent, and you are told. Nothing is left out silently.",
}
_HINT = "Point at a token to see where it comes from. Special tokens are outlined."


class PromptingPanel(QWidget):
    """Edits a `PromptSettings`, and passes it to `next_prompt`.

    Signals:
        changed(prompting): the user has changed it.
    """

    changed = Signal(object)

    def __init__(
        self, session: Session, theme: ThemeProvider, next_prompt: NextPrompt, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._next = session, next_prompt
        self._prompting = PromptSettings()
        self.template_window = TemplateWindow(session, theme, next_prompt, self)
        self.tokens_window = _PromptTokens(theme, next_prompt, self)
        tip = "What the model is told before the conversation: who it is, and how to answer"
        self.system = named(TextBox(), "System prompt", tip)
        self.system.setTabChangesFocus(True)
        self.system.setFixedHeight(self.system.fontMetrics().lineSpacing() * _LINES + 2 * SPACE + 4)
        self.template = label("", "muted", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.edit = button("Edit…", theme, self._edit, icon="code", tip="View and edit the template")
        self.own = button("Use the model's own", theme, self._use_own, role="link", tip="Discard the edits")
        self.choices: dict[str, QRadioButton] = {}
        self._group = QButtonGroup(self)
        for value, words in WHEN_FULL.items():
            choice = QRadioButton(words)
            choice.setToolTip(plain_tip(_WHEN_FULL_TIPS[value]))
            self._group.addButton(choice)
            self.choices[value] = choice
            choice.clicked.connect(self._on_edited)
        self.show_tokens = button(
            "Show the exact prompt tokens",
            theme,
            self.tokens_window.open_on_top,
            icon="list-numbers",
            tip="Every token that the model reads before its next reply, with its id",
        )
        self._build()
        self.set_prompting(self._prompting)
        self.system.text_changed.connect(self._on_edited)
        self.template_window.edited.connect(self._on_template)
        next_prompt.changed.connect(self._show_state)
        session.chat.model_changed.connect(self._on_model)

    def _build(self) -> None:
        lines = column(
            caption("System prompt", self.system, "subheading"),
            self.system,
            SPACE,
            row(label("Chat template", "subheading"), HelpMark("Chat template"), None, self.edit),
            self.template,
            self.problem,
            row(self.own, None),
            SPACE,
            label("When the context is full", "subheading"),
            *self.choices.values(),
            SPACE,
            row(self.show_tokens, None),
            None,
        )
        self.setLayout(lines)

    @property
    def prompting(self) -> PromptSettings:
        """The settings on screen."""
        return self._prompting

    def set_prompting(self, prompting: PromptSettings) -> None:
        """Show the settings of another chat, without a signal."""
        self._prompting = prompting
        self.system.blockSignals(True)
        if self.system.text != prompting.system:
            self.system.set_text(prompting.system)
        self.system.blockSignals(False)
        self.choices[prompting.when_full].setChecked(True)
        self._next.set_prompting(prompting)
        self._show_template()
        self._show_state()

    @Slot()
    def _on_model(self) -> None:
        self._show_template()
        self._show_state()

    def _show_template(self) -> None:
        """Update the template window if it is open and shows another chat's or model's template."""
        window, template = self.template_window, self._prompting.template
        if window.isVisible() and window.template != (template or window.own):
            window.show_template(template)

    @Slot()
    def _on_edited(self) -> None:
        when_full = next(value for value, choice in self.choices.items() if choice.isChecked())
        self._set(dataclasses.replace(self._prompting, system=self.system.text, when_full=when_full))

    @Slot(str)
    def _on_template(self, template: str) -> None:
        self._set(dataclasses.replace(self._prompting, template=template))

    def _use_own(self) -> None:
        self._set(dataclasses.replace(self._prompting, template=""))
        self.template_window.show_template("")

    def _set(self, prompting: PromptSettings) -> None:
        self._prompting = prompting
        self._next.set_prompting(prompting)
        self._show_state()
        self.changed.emit(prompting)

    def _edit(self) -> None:
        self.template_window.show_template(self._prompting.template)
        self.template_window.show()
        self.template_window.activateWindow()

    @Slot()
    def _show_state(self) -> None:
        model, failure = self._session.chat.model, self._next.failure
        is_chat = model is not None and model.is_chat_model
        why_not = "" if is_chat else NO_MODEL if model is None else "Only chat models have this."
        for widget in (self.system, self.edit, *self.choices.values()):
            set_enabled(widget, why_not)
        show_words(self.problem, failure.sentence if failure is not None else "")
        self.own.setVisible(bool(self._prompting.template))
        self.template.setText(self._describe_template())
        preview = self._next.preview
        n_own = _count_own_tokens(preview.fitted.messages, preview.fitted.count(-1, 0)) if preview is not None else 0
        self.system.setPlaceholderText(
            f"None. The model's template adds its own ({n_own} tokens)." if n_own else "None"
        )

    def _describe_template(self) -> str:
        model = self._session.chat.model
        if model is None:
            return NO_MODEL
        if not model.is_chat_model:
            return "This is not a chat model, so your text is sent as it is."
        if self._prompting.template:
            return "Edited here, for this chat."
        return (
            "The model's own, as imported."
            if model.template_config.template
            else "Terrarium's own, as in its training."
        )


def _count_own_tokens(messages: tuple[dict[str, str], ...], n: int) -> int:
    """Return the number of tokens that the template adds before the first message; 0 with a system message. Fewer than
    3 are ignored.
    """
    has_system = bool(messages) and messages[0]["role"] == "system"
    return 0 if has_system or n < 3 else n


class _PromptTokens(Dialog):
    """The exact tokens that a model reads before its next reply, coloured by role.

    A modeless window that is updated with the draft.
    """

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
