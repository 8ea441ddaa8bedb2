"""The chat tab: chat with a saved model or with the current weights of a training run, and inspect its replies."""

from __future__ import annotations

import re

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.chat_views import ChatModes
from terrarium.app.chat.conversation.chat_list import ChatList
from terrarium.app.chat.conversation.chat_page import ChatPage
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.chat.conversation.glass_replies import GlassReplies
from terrarium.app.chat.conversation.next_prompt import NextPrompt
from terrarium.app.chat.conversation.starters import starter_kinds
from terrarium.app.chat.conversation.tree_view import ChatTree
from terrarium.app.chat.model_bar import ModelBar
from terrarium.app.chat.settings.best_of_panel import BestOfPanel
from terrarium.app.chat.settings.draft_panel import DraftPanel
from terrarium.app.chat.settings.prompting_panel import PromptingPanel
from terrarium.app.chat.settings.sampling_panel import SamplingPanel
from terrarium.app.chat.settings.sampling_presets import SamplingPresets
from terrarium.app.chat.settings.weights_panel import WeightsPanel
from terrarium.app.chat.side import FIRST_VIEW, ChatSide
from terrarium.app.glass.focus import Focus, Head
from terrarium.app.glass.tokens.colours import DRAFT, NO_COLOURS
from terrarium.app.help.panels import PANELS
from terrarium.app.kit.basics import button, column, frame, group, row, splitter
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.layout.tab_order import put_after, stops_in
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.serve.serve_panel import ServePanel
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.settings.sampling_config import SamplingConfig, with_advice

_TALK_TEMPERATURE, _TEXT_TEMPERATURE = 0.3, 0.8  # answers should be right, continued texts should not loop
_WHOLE = ("prefer", "pairs", "embeddings")
"""Modes that use the whole width: they have no sampling settings and no focused token."""
_DRAWS_NOTHING = "This model writes no text and does not sample: these settings have no effect."
_FOLDED, _VIEW, _COLOURS = "chat side folded", "chat side view", "chat token colours"
_NARROW = 1100
"""The width in pixels, at the default text size, below which the right side starts folded."""
_CENTRE, _LEFT, _RIGHT = 656, 210, (340, 380)
"""Widths in pixels at the default text size: the minimum of the conversation with its margins while both sides are
shown, the preferred width of the left side, and the minimum and maximum of the right side.
"""


class ChatTab(QWidget):
    """Conversations and branches at the left, modes in the middle, settings and glass box at the right."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._is_narrow: bool | None = None  # unknown until the first layout
        self._asks_first = self._has_opened = self._is_resized = self._was_picked = False
        self.setProperty("role", "page")
        self.conversation = Conversation(session, self)
        self.conversation.draw = self._drawn_sampling
        self.focus = Focus(self)
        self.next_prompt = NextPrompt(session, self)
        self.chats = ChatList(self.conversation, theme)
        self.tree = ChatTree(self.conversation, theme)
        self.models = ModelBar(session, theme)
        self.show_chats = button(
            "Chats",
            theme,
            self._show_chats,
            icon="list",
            role="quiet",
            tip="Show the chats and “New chat” instead of the panel at the right",
        )
        self.models.put_first(self.show_chats)
        self.page = ChatPage(session, theme, self.conversation, self.next_prompt)
        self.replies = GlassReplies(session, self.conversation, self.page.view, self.focus, theme)
        self.sampling = SamplingPanel(theme, SamplingPresets(session.remembered, session.notices))
        self.sampling.keep_simple(session.detail)
        self.prompting = PromptingPanel(session, theme, self.next_prompt)
        self.best_of = BestOfPanel(session)
        self.conversation.best_of = lambda: self.best_of.best_of
        self.draft = DraftPanel(session)
        self.conversation.drafting = lambda: self.draft.drafting
        self.best_of.changed.connect(lambda: self.draft.set_idle(self.best_of.best_of is not None))
        self.modes = ChatModes(session, theme, self.focus, self.page, self._drawn_sampling, self._system_prompt)
        self.weights, self.serve = WeightsPanel(session, theme), ServePanel(session, theme)
        self.side = ChatSide(
            session,
            theme,
            self.focus,
            {
                "Sampling": self.sampling,
                "Draft model": self.draft,
                "Best of several replies": self.best_of,
                "Prompt": self.prompting,
                "Weights": self.weights,
                "Serve to other programs": self.serve,
            },
            self.sampling,
            folded=frozenset({"Draft model", "Best of several replies", "Weights", "Serve to other programs"}),
            n_changed=self._n_changed_groups,
        )
        self._build()
        self._connect()
        self._show_colours()
        self._on_choices()
        self._on_model()
        self._on_path()
        view = session.remembered.get(_VIEW, FIRST_VIEW)
        if view in self.side.names and view != self.side.current:
            self.side.show_view(view)
        RelayoutOnResize(self, self._arrange)

    def _build(self) -> None:
        self._left, self._right = self._left_side(), frame("card", self.side, margin=SPACE + SPACE // 2)
        self._middle = column(self.models, self.modes, grows=self.modes)
        self._centre = QWidget()
        self._centre.setLayout(self._middle)
        self._splitter = splitter(self._left, self._centre, self._right, grows=1)
        self._splitter.splitterMoved.connect(self._on_resized)
        margin = (2 * SPACE, 2 * SPACE, SPACE, 2 * SPACE)
        self.setLayout(row(self._splitter, self.side.strip, spacing=SPACE // 2, grows=self._splitter, margin=margin))
        put_after(self.page.composer.stop, *stops_in(self.side.strip), *stops_in(self.side))
        self.setFocusProxy(self.modes.pages.page(self.modes.current))

    def _left_side(self) -> QWidget:
        self._branches = Section("Branches", self._theme)
        self._branches.set_body(self.tree)
        return group(self.chats, self._branches, grows={self.chats: 2, self._branches: 1})

    def _connect(self) -> None:
        session, conversation = self._session, self.conversation
        session.chat.model_changed.connect(self._on_model)
        session.chat.changed.connect(self._ask_first)
        self.models.picked.connect(self._on_model_picked)
        self.models.choices_changed.connect(self._on_choices)
        self.page.newest_requested.connect(lambda: self._on_model_picked(self.models.picker.newest[0]))
        self.page.model_requested.connect(self._on_model_picked)
        self.page.pointer_left.connect(self._open_glass)
        self.prompting.changed.connect(conversation.set_prompting)
        for signal in (self.prompting.changed, self.draft.changed, self.best_of.changed, conversation.chat_changed):
            signal.connect(self.side.refresh_settings)
        self.modes.view_changed.connect(self._on_mode)
        self.modes.example_asked.connect(self.page.composer.field.setPlainText)
        self.modes.example_shown.connect(self._on_example)
        self.side.view_changed.connect(self._on_side_view)
        self.focus.text_changed.connect(self._open_glass)
        self.side.folded_changed.connect(self._on_folded)
        self.page.legend.chosen.connect(self.replies.set_quantity)
        self.page.legend.picked.connect(lambda key: session.remembered.set(_COLOURS, key))
        session.detail.changed.connect(self._show_colours)
        self.page.legend.offer_draft(False)
        self.replies.drafted_changed.connect(self.page.legend.offer_draft)
        self.page.view.drafted_requested.connect(self._show_drafted)
        self.tree.navigated.connect(self.page.view.go_to)
        for signal in (conversation.chat_changed, conversation.path_changed):
            signal.connect(self._on_path)
        conversation.chat_changed.connect(self._on_chat)
        new = QShortcut(QKeySequence(QKeySequence.StandardKey.New), self, self._new_chat)
        new.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    # -- The model -----------------------------------------------------------------------------------------------------

    @Slot()
    def _on_choices(self) -> None:
        self.page.offer_newest(self.models.picker.newest[1])

    @Slot()
    def _on_model(self) -> None:
        model = self._session.chat.model
        self.sampling.set_used(model is None or model.writes, _DRAWS_NOTHING)
        if model is not None:
            usual = SamplingConfig(temperature=_TALK_TEMPERATURE if model.is_chat_model else _TEXT_TEMPERATURE)
            self.sampling.set_context_length(model.context_length)
            advised = with_advice(usual, model.template_config.sampling)
            self.sampling.open_model(model.run_id, self._session.chat.tokenizer, advised)
            self._leave_chat_of_another(model)

    def _leave_chat_of_another(self, model: ChatModel) -> None:
        """Begin a new chat if the user chose a model and the open chat belongs to another run that still exists."""
        is_chosen, self._was_picked = self._was_picked or self._session.chat.is_requested, False
        chat = self.conversation.chat
        if is_chosen and chat.messages and chat.run_id != model.run_id and self._session.runs.has(chat.run_id):
            self.chats.new_chat()

    @Slot(str)
    def _on_model_picked(self, which: str) -> None:
        def open_it() -> None:
            self._was_picked = self._session.chat.open(which)
            if not self._was_picked:
                self.models.show_choices()

        self.conversation.when_free(open_it)

    def _drawn_sampling(self) -> SamplingConfig:
        self.sampling.draw_seed()
        return self.sampling.config

    def _system_prompt(self) -> str:
        return self.conversation.chat.prompting.system

    def _n_changed_groups(self) -> int:
        """Count the groups of settings, besides sampling, that differ from their defaults."""
        drafts, best = self.draft.drafting is not None, self.best_of.best_of is not None
        return drafts + best + (self.conversation.chat.prompting != PromptSettings())

    @property
    def text_in_view(self) -> QPlainTextEdit | None:
        """The notebook's editor while the notebook is in view (it has its own undo), else None."""
        return self.modes.notebook_text if self.modes.current == "notebook" else None

    # -- Contents ------------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Fold the right side when the window becomes narrow; restore the user's choice when it becomes wide."""
        is_narrow = self.width() < _NARROW * self._theme.text_scale
        if is_narrow != self._is_narrow:
            self._is_narrow = is_narrow
            self.side.set_folded(is_narrow or self._wants_folded)
        self._show_sides()

    @property
    def _wants_folded(self) -> bool:
        """Whether the right side should be folded: the user's last choice, or until the first text can be inspected."""
        chosen = self._session.remembered.get(_FOLDED, None)
        return chosen if isinstance(chosen, bool) else not self._has_opened

    @Slot()
    def _open_glass(self) -> None:
        """Unfold the glass box for the first text that can be inspected, unless the user has folded it.

        Do nothing while the pointer is over the starters or the message field, which would move under it.
        """
        text = self.focus.text
        if self._has_opened or text is None or text.start is None or self.page.is_pointed_at:
            return
        self._has_opened = True
        if self._gives_labels and self._shows_tokens:
            self.side.show_view("inputs")
        if self._is_narrow is False:
            self.side.set_folded(self._wants_folded)
            self._show_sides()

    @Slot(str)
    def _on_side_view(self, name: str) -> None:
        if name == "next":  # the token colours depend on whether this panel is shown
            self._show_colours()
        if self.modes.current != "compare" and not self._gives_labels:  # both choose a view themselves
            self._session.remembered.set(_VIEW, name)
        self._show_sides()

    @Slot()
    def _show_colours(self) -> None:
        """Colour the tokens as the user chose. The default is surprisal; at the simple level of detail, only beside the
        panel about it.
        """
        legend = self.page.legend
        plain = self._session.detail.is_simple and self.side.current != "next"
        key = self._session.remembered.get(_COLOURS, NO_COLOURS if plain else "surprisal")
        legend.set_quantity(key if legend.choice.findData(key) >= 0 else "surprisal")

    @Slot()
    def _on_resized(self) -> None:
        self._is_resized = True

    def _share_width(self) -> None:
        """Give the conversation its preferred width, and the sides the rest, until the user moves a splitter handle."""
        if self._is_resized:
            return
        scale, splitter = self._theme.text_scale, self._splitter
        room = splitter.width() - round(_CENTRE * scale) - 2 * splitter.handleWidth()
        least_left = 0 if self._left.isHidden() else self._left.minimumSizeHint().width()
        right, left = min(max(room - least_left, self._least_right), round(_RIGHT[1] * scale)), 0
        if self._right.isHidden():
            right = 0
        if not self._left.isHidden():
            left = min(max(room - right, least_left), round(_LEFT * scale))
        sizes = [left, max(splitter.width() - left - right, 1), right]
        if sizes != splitter.sizes():
            splitter.setSizes(sizes)

    @property
    def _least_right(self) -> int:
        """The minimum width of the right side. It is the same for most views, so that the left side does not appear and
        disappear when the view changes.
        """
        return max(self._right.minimumSizeHint().width(), round(_RIGHT[0] * self._theme.text_scale))

    @Slot(bool)
    def _on_folded(self, folded: bool) -> None:
        if not self._is_narrow:
            self._session.remembered.set(_FOLDED, folded)
        self._show_sides()

    @Slot(str)
    def _on_mode(self, name: str) -> None:
        self.setFocusProxy(self.modes.pages.page(name))  # so that typing goes into the page in view
        self.side.set_glass_enabled(name != "compare")  # the panels inspect the open model, not the compared ones
        self._show_sides()

    @Slot()
    def _on_example(self) -> None:
        """Show the glass box for a dataset's row, if the window is wide enough.

        For a model that predicts labels, show input attribution; else attention.
        """
        gives_labels = self._gives_labels
        if not self._is_narrow and ((gives_labels and self._shows_tokens) or not self.side.is_glass):
            self.side.show_view("inputs" if gives_labels else "attention")

    @property
    def _gives_labels(self) -> bool:
        """Whether the open model has a head for labels, tags or spans instead of a language-model head."""
        model = self._session.chat.model
        return model is not None and model.config.head != "language"

    @property
    def _shows_tokens(self) -> bool:
        """Whether the side shows a panel that has nothing to show for labels."""
        return self.side.current in PANELS and not PANELS[self.side.current].for_labels

    @Slot(str)
    def _show_drafted(self, message_id: str) -> None:
        """Show a reply token by token, coloured by the outcome of speculative decoding."""
        self.side.show_view("next")
        self.page.legend.set_quantity(DRAFT)
        self.replies.inspect(message_id)

    @Slot()
    def _show_sides(self) -> None:
        """Show or hide the sides, and show replies as tokens while a glass-box panel is open."""
        mode = self.modes.current
        has_side = mode not in _WHOLE
        has_right = has_side and not self.side.is_folded
        has_left = mode == "chat" and (not has_right or self._fits_all())
        self._left.setVisible(has_left)
        self.show_chats.setVisible(mode == "chat" and not has_left)
        self._right.setVisible(has_right)
        self.side.strip.setVisible(has_side)
        self._middle.setContentsMargins(SPACE if has_left else 0, 0, SPACE, 0)
        self._share_width()
        self.page.set_glass(self.side.is_glass)
        self.replies.set_on(self.side.is_glass)

    @Slot()
    def _show_chats(self) -> None:
        """Show the list of chats in a window too narrow for both sides, by folding the right one for now."""
        self.side.set_folded(True)
        self._show_sides()

    def _fits_all(self) -> bool:
        """Whether both sides fit beside the middle. A hidden left side needs some extra space before it is shown again,
        because the middle then has a margin.
        """
        centre = max(self._centre.minimumSizeHint().width(), round(_CENTRE * self._theme.text_scale))
        sides = self._left.minimumSizeHint().width() + self._least_right + self.side.strip.sizeHint().width()
        return centre + sides + (7 if self._left.isHidden() else 5) * SPACE <= self.width()

    @Slot()
    def _on_chat(self) -> None:
        self.prompting.set_prompting(self.conversation.chat.prompting)
        chats = self.chats.list
        if self.modes.current == "chat" and not (chats.is_by_keys and chats.hasFocus()):
            self.page.composer.field.setFocus()

    @Slot()
    def _on_path(self) -> None:
        """Show the tree if there are branches."""
        chat = self.conversation.chat
        self._branches.setVisible(len(chat.messages) > len(chat.path))

    def show_pronouns(self) -> None:
        """Show the models that resolve pronouns (what “it” refers to)."""
        self.modes.show_view("pairs")
        self.modes.view("pairs").ask_pronoun_models()

    @property
    def head_in_view(self) -> tuple[int | None, int | None]:
        """The layer and head, counted from 1, that the attention panel shows; None for none."""
        head = self.focus.head
        layer = re.search(r"blocks\.(\d+)\.", head.site) if head is not None else None
        return (None, None) if head is None or layer is None else (int(layer[1]) + 1, head.head + 1)

    def look_inside(self, run_id: str, panel: str = "next", text: str = "", head: Head | None = None) -> None:
        """Show a panel of the glass box, "" for none, for a reply of this run, whose model is open or loading.

        `text` is written into the message field. Without it, and if the conversation has no reply of this run, a first
        prompt is sent in a new chat as soon as the model is ready.
        """
        if panel:
            self.side.unfold(panel)
        if head is not None:
            self.focus.choose_head(head)
        if text:
            self.page.composer.field.setPlainText(text)
            return
        made = [message.generation for message in self.conversation.shown if message.generation is not None]
        self._asks_first = not any(generation.run_id == run_id for generation in made)
        if self._asks_first and self.conversation.chat.messages:
            self.chats.new_chat()
        self._ask_first()

    @Slot()
    def _ask_first(self) -> None:
        if not self._asks_first or self._session.chat.state != "ready":
            return
        self._asks_first = False
        model = self._session.chat.model
        kinds, spec = starter_kinds(model), self._session.runs.spec(model.run_id) if model is not None else None
        if kinds:
            self.page.starters.picked.emit(kinds[0])
        elif model is not None and model.mode == "text" and spec is not None and spec.train.prompts:
            self.conversation.say(Message(content=spec.train.prompts[0]))

    def _new_chat(self) -> None:
        self.modes.show_view("chat")
        self.chats.new_chat()
