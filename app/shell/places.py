"""Navigates the window to a place by its name in app.help.places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from terrarium.app.kit.layout.advanced_settings import reveal

if TYPE_CHECKING:
    from terrarium.app.kit.forms.config_form import ConfigForm
    from terrarium.app.kit.layout.pages import Pages
    from terrarium.app.session.session import Session
    from terrarium.app.training.training_tab import TrainingTab

_WITHOUT_SIDE = ("compare", "prefer", "pairs", "embeddings")
"""Modes of the chat tab without a glass box, or with one that does not show the open model."""
_NO_EFFECT = "“{}” has no effect with the present choices, so it is hidden."
_NO_RUN = "There is no trained model yet: the quick start grows one in a minute or two."
_NO_REWARDS = "No model here has learned from rewards yet. “Learn a task” has demonstrations that do."


class Screens(Protocol):
    """The interface of the window that navigation uses."""

    session: Session
    pages: Pages

    @property
    def training(self) -> TrainingTab: ...
    def show_tab(self, name: str) -> None: ...
    def show_home(self) -> None: ...
    def show_models(self) -> None: ...
    def show_new_run(self) -> None: ...
    def show_recipes(self, name: str = "") -> None: ...


class Places:
    """Navigates a window to its places."""

    def __init__(self, window: Screens) -> None:
        self._window = window

    def show(self, place: str) -> None:
        """Show a place; if it has nothing to show yet, show a notice that says what is missing."""
        tab, _, rest = place.partition("/")
        match tab:
            case "home":
                self._window.show_home()
            case "models":
                self._window.show_models()
            case "training":
                self._show_training(rest)
            case _:
                self._window.show_tab(tab)
                page: Any = self._window.pages.page(tab)
                if tab == "tokenizer":
                    page.views.show_view(rest)
                elif tab == "builder":
                    self._show_builder(page, rest)
                elif tab == "chat":
                    self._show_chat(page, rest)

    def _show_builder(self, tab: Any, place: str) -> None:
        kind, _, slot = place.partition("/")
        if kind != "settings":
            if tab.views.is_offered(kind):  # in a wide window the costs are beside the views
                tab.views.show_view(kind)
            return
        if slot in tab.form.rows:
            self._show_setting(tab.form, slot)
        else:  # custom blocks have a section of their own
            tab.show_slot(slot)

    def _show_training(self, place: str) -> None:
        window = self._window
        kind, _, rest = place.partition("/")
        if kind == "recipes":
            window.show_recipes()
        elif kind == "new":
            window.show_new_run()
            new_run = window.training.new_run
            new_run.views.show_view("choices")
            if rest:
                self._show_setting(new_run.form, rest)
        else:
            window.show_tab("training")
            self._show_run(rest)

    def _show_setting(self, form: ConfigForm, name: str) -> None:
        form.show_slot(name)
        if form.row(name).isHidden():
            self._window.session.notices.say(_NO_EFFECT.format(form.row(name).name))
        else:
            form.mark({name})

    def _show_run(self, view: str) -> None:
        """Show a view of the selected run if the run has that view, else of the newest run that has it."""
        session, tab = self._window.session, self._window.training
        chosen = tab.run_view.run_id
        ids = [run.id for run in session.runs.list() if run.problem is None and run.status != "imported"]
        ids.sort(key=lambda id: id != chosen)
        found = next((id for id in ids if view != "rewards" or self._has_rewards(id)), "")
        if not found:
            session.notices.say(_NO_REWARDS if view == "rewards" else _NO_RUN)
            return
        tab.show_run(found)
        tab.pages.setCurrentWidget(tab.run_view)
        tab.run_view.views.show_view(view)

    def _has_rewards(self, run_id: str) -> bool:
        spec = self._window.session.runs.spec(run_id)
        return spec is not None and spec.align is not None

    def _show_chat(self, tab: Any, place: str) -> None:
        kind, _, rest = place.partition("/")
        if kind == "mode":
            tab.modes.show_view(rest)
            return
        if tab.modes.current in _WITHOUT_SIDE:
            tab.modes.show_view("chat")
        panels = {"settings": "settings", "weights": "settings", "draft": "settings", "serve": "settings"}
        tab.side.show_view(panels.get(kind, kind))
        if tab.side.is_folded:
            tab.side.fold.click()
        if kind == "settings":
            reveal(tab.sampling.slider(rest))
        elif kind in panels:
            reveal(getattr(tab, kind))
