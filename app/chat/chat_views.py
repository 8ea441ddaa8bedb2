"""The modes of the chat tab: chat, notebook, pages for the tasks of other models, comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.models.settings.sampling_config import SamplingConfig

_MODES = {
    "chat": ("talk", "text", "answer", "fill"),
    "notebook": ("talk", "text"),
    "fill": ("fill",),
    "answer": ("answer",),
    "labels": ("classify",),
    "entities": ("tag",),
    "span": ("ask",),
    "compare": ("talk", "text", "answer", "fill", ""),
    "prefer": ("talk", ""),
}
"""For views that are not always offered: the values of `ChatModel.mode` for which they are."""
_FIRST = {
    "fill": "fill",
    "answer": "answer",
    "classify": "labels",
    "tag": "entities",
    "ask": "span",
    "vectors": "embeddings",
}
"""The first view for models that are not chat models."""
_CODE = "code"
"""The view for models that write code."""


class ChatModes(Views):
    """The pages in the middle of the chat tab. Only those that fit the open model are offered.

    Signals:
        example_asked(text): put the source of a dataset's row into the message field.
        example_shown(): a dataset's row is shown on the page for its task.

    Args:
        chat: the page of the conversation. draw: returns the sampling settings of the next reply. system: returns
            the system prompt.
    """

    example_asked = Signal(str)
    example_shown = Signal()

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        focus: Focus,
        chat: QWidget,
        draw: Callable[[], SamplingConfig],
        system: Callable[[], str],
        parent: QWidget | None = None,
    ) -> None:
        self._session, self._theme, self._focus = session, theme, focus
        self._draw, self._system = draw, system
        self._mode, self._left_main = ("", ""), False
        self.notebook_text: QPlainTextEdit | None = None
        """The notebook's editor; None until the notebook is first shown."""
        views = {
            "chat": View("Conversation", "Chat with the model", lambda: chat, "Prompt"),
            "notebook": View(
                "Notebook", "A text that you and the model write together", self._make_notebook, "Next-token prediction"
            ),
            "fill": View("Fill masks", "What fits where a word is hidden", self._make_fill, "Fill-mask"),
            "labels": View("Labels", "What a text is, as you type", self._make_labels, "Encoder"),
            "entities": View("Entities", "Names and other words, coloured as you type", self._make_entities, "F1"),
            "span": View("Answers", "The answer to a question, marked in a text", self._make_span, "Encoder"),
            _CODE: View("Functions", "A function that the model writes, and its cases run", self._make_code, "Pass@k"),
            "answer": View(
                "Text to text", "A text that the model writes from yours", self._make_answer, "Encoder-decoder"
            ),
            "prefer": View(
                "Judge replies", "Two replies, blind: you say which is better", self._make_prefer, "Preference pair"
            ),
            "compare": View(
                "Compare models", "Up to four models reply to one prompt, side by side", self._make_compare, "Sampling"
            ),
            "pairs": View(
                "Minimal pairs", "Two texts that differ in a word, inside one model", self._make_pairs, "Attention"
            ),
            "embeddings": View(
                "Embeddings", "Which tokens the model treats as similar", self._make_embeddings, "Embedding"
            ),
        }
        super().__init__("What to do with the model", views, parent)
        self.keep_simple(session.detail, ("chat", _CODE, *_FIRST.values()))
        self.pages.size_to_current_page()
        session.chat.model_changed.connect(self._offer)
        session.chat.changed.connect(self.show_example)
        session.chat.changed.connect(self._show_requested)
        self.show_view("chat")
        self._offer()
        self.show_example()
        self._show_requested()

    @Slot()
    def _offer(self) -> None:
        """Offer the views that fit the open model. When the mode changes, switch to the main view of the new model,
        unless that is the conversation and the user is in another view that still fits.
        """
        model: ChatModel | None = self._session.chat.model
        mode = model.mode if model is not None else ""
        self._left_main |= self.current == self._mode[1]  # before it is withdrawn while a model loads
        for name in self.names:
            is_offered = name not in _MODES or mode in _MODES[name] or (name == "chat" and not mode)
            if name == _CODE:
                is_offered = model is not None and model.writes_code
            self.offer(name, is_offered=is_offered)
        first = _first_view(model) if model is not None else "chat"
        if mode and (mode, first) != self._mode:
            self._mode = (mode, first)
            if first != "chat" or self._left_main or not self.is_offered(self.current):
                self.show_view(first)
        if mode:
            self._left_main = False

    @Slot()
    def _show_requested(self) -> None:
        """Show the main view of a model that was requested by name, as soon as it is ready."""
        model = self._session.chat.model
        if self._session.chat.take_request() and model is not None:
            self.show_view(_first_view(model))

    @Slot()
    def show_example(self) -> None:
        """Show the dataset row that was requested for the open model, on the page for its task.

        Wait until the model is ready: pages discard requests before that.
        """
        model = self._session.chat.model
        if model is None or self._session.chat.state != "ready":
            return
        row = self._session.examples.take(model)
        if row is None:
            return
        first = _first_view(model)
        self.show_view(first)
        if first == "chat":
            self.example_asked.emit(str(row.get("source", "")))
            return
        page: Any = self.pages.page(first)
        page.show_example(row)
        self.example_shown.emit()

    @property
    def is_about_model(self) -> bool:
        """Whether the main view of the open model is shown."""
        model = self._session.chat.model
        return model is not None and self.current == _first_view(model)

    def judge(self, first: Candidate, second: Candidate) -> None:
        """Judge replies of two models on their page, the same one twice for two replies of one model; the open model
        does not matter.
        """
        self.show_view("prefer")
        page: Any = self.pages.page("prefer")
        page.compare(first, second)

    def _update(self, name: str) -> None:
        """Do nothing: each view follows the open model through signals."""

    def _make_notebook(self) -> QWidget:
        from terrarium.app.chat.notebook.notebook_page import Notebook

        page = Notebook(self._session, self._theme, self._focus)
        page.draw = self._draw
        self.notebook_text = page.editor
        return page

    def _make_fill(self) -> QWidget:
        from terrarium.app.task_pages.fill_mask import FillMask

        return FillMask(self._session, self._theme, self._focus)

    def _make_labels(self) -> QWidget:
        from terrarium.app.task_pages.label_page import LabelPage

        return LabelPage(self._session, self._theme, self._focus)

    def _make_entities(self) -> QWidget:
        from terrarium.app.task_pages.entity_page import EntityPage

        return EntityPage(self._session, self._theme, self._focus)

    def _make_span(self) -> QWidget:
        from terrarium.app.task_pages.span_page import SpanPage

        return SpanPage(self._session, self._theme, self._focus)

    def _make_code(self) -> QWidget:
        from terrarium.app.task_pages.code_page import CodePage

        return CodePage(self._session, self._theme, self._focus)

    def _make_answer(self) -> QWidget:
        from terrarium.app.task_pages.text_to_text import TextToText

        page = TextToText(self._session, self._theme, self._focus)
        page.draw = self._draw
        return page

    def _make_compare(self) -> QWidget:
        from terrarium.app.chat.side_by_side.side_by_side_page import SideBySidePage

        return SideBySidePage(self._session, self._theme, self._draw, self._system)

    def _make_prefer(self) -> QWidget:
        from terrarium.app.preferences.judge_page import JudgePage

        return JudgePage(self._session, self._theme, self._system)

    def _make_pairs(self) -> QWidget:
        from terrarium.app.minimal_pairs.minimal_pairs_page import MinimalPairs

        return MinimalPairs(self._session, self._theme)

    def _make_embeddings(self) -> QWidget:
        from terrarium.app.glass.embeddings.embeddings_page import EmbeddingsPage

        return EmbeddingsPage(self._session, self._theme, self._focus)


def _first_view(model: ChatModel) -> str:
    """Return the main view for the task of a model."""
    return _CODE if model.writes_code else _FIRST.get(model.mode, "chat")
