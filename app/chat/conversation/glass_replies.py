"""The glass box in a conversation: its replies as tokens, and the one that the panels beside it look into."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QEvent, QObject, QRect, Slot

from app.chat.archive.message_tree import Made
from app.chat.conversation.conversation import Conversation
from app.chat.conversation.message_view import MessageView
from app.chat.conversation.reply_texts import ReplyTexts
from app.chat.conversation.view import ChatView
from app.glass.focus import Focus
from app.glass.read_text import ReadText
from app.glass.tokens.token_text import TokenText
from app.kit.theme import ThemeProvider
from app.session.session import Session

_MARGIN = 40
"""Pixels around a token that the keys have led to."""


class GlassReplies(QObject):
    """Shows the newest reply, or the one that was clicked, to `focus`; while it is on, replies are shown as tokens.

    Only while the conversation is in view: else another page has its own text looked into.
    """

    def __init__(
        self, session: Session, talk: Conversation, view: ChatView, focus: Focus, theme: ThemeProvider
    ) -> None:
        super().__init__(view)
        self._talk, self._view, self._focus, self._theme = talk, view, focus, theme
        self.texts = ReplyTexts(session, self)
        self.on = False
        self._quantity = ""
        self.tokens: dict[MessageView, tuple[TokenText, ReadText]] = {}
        self._newest: ReadText | None = None
        self._shown: list[ReadText] = []
        self._looked_into: ReadText | None = None
        self._page = view.parentWidget() or view  # in view also while there is no conversation yet
        self._page.installEventFilter(self)
        focus.text_changed.connect(self._on_text)
        view.shown.connect(self._show)
        view.message_pressed.connect(self._on_pressed)
        self.texts.changed.connect(self._show)
        focus.branch_asked.connect(self._on_branch_asked)
        self._show()

    def set_on(self, on: bool) -> None:
        """Show replies as tokens, or as plain text."""
        if on != self.on:
            self.on = on
            self._show()

    def set_quantity(self, name: str) -> None:
        """Colour the tokens by one of app.glass.tokens.colours.QUANTITIES."""
        self._quantity = name
        for tokens, _ in self.tokens.values():
            tokens.set_quantity(name)

    @Slot()
    def _show(self) -> None:
        if self._talk.writing:
            return
        old, self.tokens = self.tokens, {}
        newest: ReadText | None = None
        self._shown = []
        for view in self._view.messages:
            text = self.texts.text_of(view.message)
            if text is not None:
                newest = text
                self._shown.append(text)
            self._show_tokens(view, text, old.get(view))
        if newest is not self._newest or not any(text is self._looked_into for text in self._shown):
            self._looked_into = newest
        self._newest = newest
        self._look()

    def _look(self) -> None:
        if self._page.isVisible():
            self._focus.show(self._looked_into)

    @Slot()
    def _on_text(self) -> None:
        """One points at the tokens of another reply."""
        if any(text is self._focus.text for text in self._shown):
            self._looked_into = self._focus.text

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show:
            self._look()
        return False

    def _show_tokens(self, view: MessageView, text: ReadText | None, old: tuple[TokenText, ReadText] | None) -> None:
        made = view.message.made
        tokens, before = old if old is not None else (None, None)
        if not self.on or text is None or made is None or not made.tokens:
            if tokens is not None:
                view.bubble.show_instead(None)
            return
        if tokens is None:
            tokens = TokenText(self._theme, self._focus)
            tokens.walked.connect(lambda place, tokens=tokens: self._on_walked(tokens, place))
            if self._quantity:
                tokens.set_quantity(self._quantity)
        self.tokens[view] = tokens, text
        if before is not text:
            tokens.set_text(text, with_prompt=view.goes_on)
            _colour(tokens, text, made)
            view.bubble.show_instead(tokens)

    @Slot(str)
    def _on_pressed(self, message_id: str) -> None:
        view = self._view.view_of(message_id)
        text = self.texts.text_of(view.message) if view is not None else None
        if text is not None:
            self._focus.show(text)

    @Slot(int, int)
    def _on_branch_asked(self, place: int, token_id: int) -> None:
        for view in self._view.messages:
            text = self.texts.text_of(view.message)
            if text is not None and text is self._focus.text and place >= text.n_prompt and self._talk.can_reply:
                self._talk.branch_at(view.message.id, place - text.n_prompt, token_id)
                return

    def _on_walked(self, tokens: TokenText, place: QRect) -> None:
        page = self._view.widget()
        assert page is not None
        at = tokens.mapTo(page, place.center())
        self._view.ensureVisible(at.x(), at.y(), 0, _MARGIN)


def _colour(tokens: TokenText, text: ReadText, made: Made) -> None:
    """Give the tokens the values that they were drawn with; one that the user chose has none."""
    numbered = enumerate(made.tokens, start=text.n_prompt)
    for known, group in itertools.groupby(numbered, key=lambda item: None not in item[1][1:4]):
        run = list(group)
        if known:
            values = [(t.probability or 0.0, t.entropy or 0.0, t.rank or 1) for _, t in run]
            probabilities, entropies, ranks = zip(*values, strict=True)
            tokens.set_values(probabilities, entropies, ranks, first=run[0][0])
