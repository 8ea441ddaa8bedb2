"""The glass box in a conversation: replies shown as tokens, and the reply that the panels inspect."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QRect, Signal, Slot

from terrarium.app.chat.archive.message_tree import GenerationInfo, Message
from terrarium.app.chat.conversation.chat_view import ChatView
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.chat.conversation.message_view import MessageView
from terrarium.app.glass.draft_mark import DraftMark
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.names import token_names
from terrarium.app.glass.partial_reply import most_surprising, special_ids
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.tokens.token_text import TokenText
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.events import Speculated
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer


_MARGIN = 40
"""The margin in pixels kept visible around a token reached by the arrow keys."""
_FOREIGN = "The open model did not write these replies: ask it something, or open the model that did."


class GlassReplies(QObject):
    """Puts the newest or the clicked reply into `focus`; while it is on, replies are shown as tokens.

    It changes the focus only while the conversation is in view: other pages inspect their own texts.

    Signals:
        drafted_changed(bool): whether any of the shown replies was generated with a draft model.
    """

    drafted_changed = Signal(bool)

    def __init__(
        self, session: Session, conversation: Conversation, view: ChatView, focus: Focus, theme: ThemeProvider
    ) -> None:
        super().__init__(view)
        self._conversation, self._view, self._focus, self._theme = conversation, view, focus, theme
        self.texts = _ReplyTexts(session, self)
        self.on = False
        self._quantity = "surprisal"
        self.tokens: dict[MessageView, tuple[TokenText, ReadText]] = {}
        self._newest: ReadText | None = None
        self._shown: list[ReadText] = []
        self._inspected: ReadText | None = None
        self._page = view.parentWidget() or view  # the page is in view even while the conversation is empty
        self._page.installEventFilter(self)
        focus.text_changed.connect(self._on_text)
        view.shown.connect(self._show)
        view.message_pressed.connect(self.inspect)
        self.texts.changed.connect(self._show)
        focus.branch_requested.connect(self._on_branch_requested)
        self._show()

    def set_on(self, on: bool) -> None:
        """Show replies as tokens, or as plain text."""
        if on != self.on:
            self.on = on
            self._show()

    def set_quantity(self, name: str) -> None:
        """Set the quantity that colours the tokens, as TokenText.set_quantity does."""
        self._quantity = name
        for tokens, _ in self.tokens.values():
            tokens.set_quantity(name)

    @Slot()
    def _show(self) -> None:
        if self._conversation.writing:
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
        if newest is not self._newest or not any(text is self._inspected for text in self._shown):
            self._inspected = newest
        self._newest = newest
        self.drafted_changed.emit(any(text.marks for text in self._shown))
        self._update_focus()

    def _update_focus(self) -> None:
        if self._page.isVisible():
            is_foreign = self._inspected is None and any(view.message.is_reply for view in self._view.messages)
            self._focus.show(self._inspected, _FOREIGN if is_foreign else "")

    @Slot()
    def _on_text(self) -> None:
        """Follow the user to another reply whose tokens they point at."""
        if any(text is self._focus.text for text in self._shown):
            self._inspected = self._focus.text

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show:
            self._update_focus()
        return False

    def _show_tokens(self, view: MessageView, text: ReadText | None, old: tuple[TokenText, ReadText] | None) -> None:
        generation = view.message.generation
        tokens, before = old if old is not None else (None, None)
        if not self.on or text is None or generation is None or not generation.tokens:
            if tokens is not None:
                view.bubble.show_instead(None)
            return
        if tokens is None:
            tokens = TokenText(self._theme, self._focus)
            tokens.walked.connect(lambda rect, tokens=tokens: self._on_walked(tokens, rect))
            tokens.set_quantity(self._quantity)
        self.tokens[view] = tokens, text
        if before is not text:
            tokens.set_text(text, with_prompt=view.is_completion, is_code=view.bubble.is_code)
            _colour(tokens, text, generation)
            view.bubble.show_instead(tokens)

    @Slot(str)
    def inspect(self, message_id: str) -> None:
        """Put a reply into `focus`, if it is shown."""
        view = self._view.view_of(message_id)
        text = self.texts.text_of(view.message) if view is not None else None
        if text is not None:
            self._focus.show(text)

    @Slot(int, int)
    def _on_branch_requested(self, index: int, token_id: int) -> None:
        for view in self._view.messages:
            text = self.texts.text_of(view.message)
            if (
                text is not None
                and text is self._focus.text
                and index >= text.n_prompt
                and self._conversation.can_reply
            ):
                self._conversation.branch_from_token(view.message.id, index - text.n_prompt, token_id)
                return

    def _on_walked(self, tokens: TokenText, rect: QRect) -> None:
        page = self._view.widget()
        assert page is not None
        at = tokens.mapTo(page, rect.center())
        self._view.ensureVisible(at.x(), at.y(), 0, _MARGIN)


def _colour(tokens: TokenText, text: ReadText, generation: GenerationInfo) -> None:
    """Set the tokens' probabilities, entropies and ranks; tokens chosen by the user have none."""
    numbered = enumerate(generation.tokens, start=text.n_prompt)
    for known, group in itertools.groupby(numbered, key=lambda item: None not in item[1][1:4]):
        run = list(group)
        if known:
            values = [(t.probability or 0.0, t.entropy or 0.0, t.rank or 1) for _, t in run]
            probabilities, entropies, ranks = zip(*values, strict=True)
            tokens.set_values(probabilities, entropies, ranks, first=run[0][0])


class _ReplyTexts(QObject):
    """Makes a `ReadText` of each reply by the open model's run: the exact tokens of prompt and reply.

    They are cached until something changes.

    Signals:
        changed(): another model is open, so the texts have changed.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._tokenizer: Tokenizer | None = None
        self._run_id = ""
        self._words: dict[int, str] = {}
        self._special: frozenset[int] = frozenset()
        self._known: dict[str, tuple[GenerationInfo, ReadText]] = {}
        session.chat.model_changed.connect(self._on_model_changed)
        self._on_model_changed()

    def text_of(self, message: Message) -> ReadText | None:
        """Return the tokens of prompt and reply; None for replies that the open model did not write."""
        generation = message.generation
        if generation is None or generation.run_id != self._run_id or not (generation.prompt_ids or generation.tokens):
            return None
        known = self._known.get(message.id)
        if known is None or known[0] is not generation:
            known = self._known[message.id] = generation, self._read(generation)
        return known[1]

    def _read(self, generation: GenerationInfo) -> ReadText:
        ids, words = (*generation.prompt_ids, *generation.ids), self._words
        told = [token.speculated for token in generation.tokens]
        proposed = {each.proposed for each in told if each is not None and each.proposed >= 0}
        words |= token_names(self._tokenizer, {*ids, *generation.source_ids, *proposed} - words.keys())
        probabilities = [token.probability for token in generation.tokens]
        start = most_surprising(generation.ids, probabilities, self._special, generation.n_prefix)
        is_drawn = generation.sampling is None or generation.sampling.temperature > 0
        return ReadText(
            ids=ids,
            words=tuple(words[id] for id in ids),
            n_prompt=len(generation.prompt_ids),
            source_ids=generation.source_ids,
            source_words=tuple(words[id] for id in generation.source_ids),
            draws=tuple(token.draw for token in generation.tokens),
            marks=tuple(self._mark(each, is_drawn=is_drawn) for each in told) if any(told) else (),
            sampling=generation.sampling or SamplingConfig(seed=generation.seed),
            step=generation.step,
            start=None if start is None else len(generation.prompt_ids) + start,
        )

    def _mark(self, told: Speculated | None, *, is_drawn: bool) -> DraftMark | None:
        if told is None or told.proposed < 0:
            return None if told is None else DraftMark(told.outcome)
        p, q = (told.p, told.q) if is_drawn else (None, None)  # at temperature 0, the probabilities are 0 and 1
        return DraftMark(told.outcome, self._words[told.proposed], p, q)

    @Slot()
    def _on_model_changed(self) -> None:
        model = self._session.chat.model
        run_id = "" if model is None else model.run_id
        if run_id != self._run_id:
            self._run_id, self._tokenizer = run_id, self._session.chat.tokenizer
            self._special = special_ids(self._tokenizer)
            self._known.clear()
            self._words.clear()
            self.changed.emit()
