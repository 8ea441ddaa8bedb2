"""The widgets and tabs of the window that steps of the guide point at and press, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtWidgets import QWidget

from terrarium.app.guide.ring import Tab
from terrarium.app.kit.layout.views import Views
from terrarium.app.shell.screens import Screens

if TYPE_CHECKING:
    from terrarium.app.chat.chat_tab import ChatTab
    from terrarium.app.recipes.card import RecipeCard
    from terrarium.app.recipes.demonstration_card import DemonstrationCard
    from terrarium.app.shell.top_bar import TopBar

NO_REPLY = "There is no reply yet: send the model a message first."


class GuidedWindow(Screens, Protocol):
    """The interface of the window that the guide uses."""

    top_bar: TopBar


def _tab(window: GuidedWindow, name: str) -> Any:
    return window.pages.page(name)


def _newest_reply(tab: ChatTab) -> QWidget:
    leaf = tab.conversation.chat.leaf
    view = tab.page.view.view_of(leaf.id) if leaf is not None and leaf.is_reply else None
    if view is None:
        raise ValueError(NO_REPLY)
    return view


def _view_tab(views: Views, name: str) -> QWidget | Tab:
    """Return the tab of a view or, while that tab is hidden, the link that shows it."""
    index = views.names.index(name)
    return Tab(bar=views.bar, index=index) if views.bar.isTabVisible(index) else views.more


def _card_of(widget: QWidget) -> QWidget:
    """Return the card that a widget fills: a ring around the widget itself would overlap the card's title."""
    card = widget.parentWidget()
    while card is not None and card.property("role") != "card":
        card = card.parentWidget()
    assert card is not None
    return card


def _recipe_start(name: str) -> Callable[[GuidedWindow], QWidget]:
    return lambda window: window.training.recipes.cards[name].start


def _recipe_scores(name: str) -> Callable[[GuidedWindow], QWidget]:
    def find(window: GuidedWindow) -> QWidget:
        card = window.training.recipes.cards[name]
        return _result_of(card, card.outcome.scores)

    return find


def _refusal_result(window: GuidedWindow) -> QWidget:
    card = window.training.recipes.demonstrations["refuse"]
    return _result_of(card, card.result)


def _result_of(card: RecipeCard | DemonstrationCard, result: QWidget) -> QWidget:
    """Return the progress while the card is running, else the button for its result, or the card without a result."""
    if card.is_going:
        return card.going
    return result if card.has_result else card


_RECIPES = ("mood", "translation", "code")
ANCHORS: Mapping[str, Callable[[GuidedWindow], QWidget | Tab]] = {
    "chat/send": lambda window: _tab(window, "chat").page.composer.send,
    "chat/reply": lambda window: _newest_reply(_tab(window, "chat")),
    "chat/next": lambda window: _tab(window, "chat").side.view("next"),
    "chat/attention": lambda window: _tab(window, "chat").side.view("attention"),
    "chat/serve": lambda window: _tab(window, "chat").serve.start,
    "chat/pair": lambda window: _tab(window, "chat").modes.view("pairs").sentences,
    "chat/pair/grow": lambda window: _tab(window, "chat").modes.view("pairs").grow.grow,
    "chat/judge": lambda window: _card_of(_tab(window, "chat").modes.view("prefer").pair_view),
    "chat/judge/start": lambda window: _tab(window, "chat").modes.view("prefer").start_button,
    "chat/judge/dataset": lambda window: _tab(window, "chat").modes.view("prefer").results.make,
    "data/train": lambda window: _tab(window, "data").views.view("dataset").train,
    "tokenizer/text": lambda window: _tab(window, "tokenizer").views.explore.lab.editor,
    "tokenizer/steps": lambda window: _view_tab(_tab(window, "tokenizer").views, "steps"),
    "tokenizer/train": lambda window: _tab(window, "tokenizer").views.trainer.start_button,
    "builder/designs": lambda window: _card_of(_tab(window, "builder").list),
    "builder/settings": lambda window: _card_of(_tab(window, "builder").settings),
    "builder/code": lambda window: _view_tab(_tab(window, "builder").views, "code"),
    "training/more": lambda window: window.training.run_view.head.more,
    "training/doctor": lambda window: _view_tab(window.training.run_view.views, "doctor"),
    "training/start": lambda window: window.training.new_run.start,
    "training/machine": lambda window: window.training.run_view.views.view("machine").timeline,
    **{f"recipe/{name}": _recipe_start(name) for name in _RECIPES},
    "recipe/mood/options": lambda window: window.training.recipes.cards["mood"].more,
    **{f"recipe/{name}/scores": _recipe_scores(name) for name in _RECIPES},
    "recipe/refuse": lambda window: window.training.recipes.demonstrations["refuse"].start,
    "recipe/refuse/open": lambda window: window.training.recipes.demonstrations["refuse"].result,
    "recipe/refuse/result": _refusal_result,
}
"""The widgets and tabs that steps may point at or press, by name."""
