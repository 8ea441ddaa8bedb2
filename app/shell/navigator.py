"""Leads through the window: shows the page of a route, and tells the route of the page in view."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QObject, Qt, Slot

from terrarium.app.glass.focus import Head
from terrarium.app.help.panels import PANELS
from terrarium.app.help.places import PLACES
from terrarium.app.kit.layout.advanced_settings import reveal
from terrarium.app.session.chat_model import LIVE
from terrarium.app.session.routes import (
    ChooseTexts,
    DoToRun,
    ForkRun,
    ImportFiles,
    Judge,
    LearnTask,
    Linked,
    NewRun,
    OpenExample,
    OpenModel,
    Route,
    ShowChapter,
    ShowComparison,
    ShowDataset,
    ShowDesign,
    ShowGuide,
    ShowPlace,
    ShowPreferences,
    ShowQuickStart,
    ShowRun,
    ShowRunning,
    ShowTerm,
    ShowTokenizer,
    ShowTrash,
    StartQuickStart,
    StopAt,
    TryPronouns,
    TunePublished,
)
from terrarium.app.shell.screens import Screens
from terrarium.app.shell.top_bar import TABS
from terrarium.models.library.run_record import RunInfo
from terrarium.models.number_words import format_count
from terrarium.models.settings.presets import PRESETS

if TYPE_CHECKING:
    from terrarium.app.kit.forms.config_form import ConfigForm
    from terrarium.app.shell.guide.desk import GuideDesk
    from terrarium.app.shell.help_desk import HelpDesk
    from terrarium.app.shell.text_files import TextFiles
    from terrarium.app.training.training_tab import TrainingTab

_SINGLE_SHOT = Qt.ConnectionType.SingleShotConnection
_WITHOUT_SIDE = ("compare", "prefer", "pairs", "embeddings")
"""Modes of the chat tab without a glass box, or with one that does not show the open model."""
_IN_SETTINGS = ("weights", "draft", "serve")
"""Places of the chat tab that are parts of its settings."""
_NO_EFFECT = "“{}” has no effect with the present choices, so it is hidden."
_NO_RUN = "There is no trained model yet: the quick start grows one in a minute or two."
_NO_REWARDS = "No model here has learned from rewards yet. “Learn a task” has demonstrations that do."


class LedWindow(Screens, Protocol):
    """The interface of the window that navigation uses."""

    help: HelpDesk
    guide: GuideDesk
    texts: TextFiles


class Navigator(QObject):
    """Follows the routes of a session in its window. What does not exist is said in a notice, and nothing changes."""

    def __init__(self, window: LedWindow, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session = window, window.session
        window.session.routed.connect(self.follow)

    @Slot(object)
    def follow(self, route: Route) -> None:
        """Show the page of a route with what the route names."""
        try:
            self._follow(route)
        except ValueError as error:
            self._session.notices.say(str(error))

    def _follow(self, route: Route) -> None:
        window, session = self._window, self._session
        match route:
            case ShowPlace(place):
                self._show_place(place)
            case ShowRun():
                self._show_run(route)
            case ShowComparison(tag):
                self._compare(tag)
            case LearnTask(task):
                self._show_task(task)
            case OpenModel():
                self._open_model(route)
            case ShowTokenizer(name, view):
                if name:  # else that of a model whose tokenizer is gone
                    _known("tokenizer", name, [info.name for info in session.tokenizers.list()])
                    session.tokenizers.choose(name)
                self._show_view("tokenizer", view)
            case ShowDesign(name, view):
                _known("design", name, [*session.designs.list(), *PRESETS])
                if session.designs.choose(name):
                    self._show_view("builder", view)
            case ShowDataset(name):
                self._show_dataset(name)
            case ShowChapter(chapter, step):
                window.guide.open_chapter(chapter, step)
            case ShowTerm(term):
                if window.help.glossary.find(term) is None:
                    raise ValueError(f"The glossary has no term “{term[:80]}”.")
                window.help.show_term(term)
            case ShowGuide():
                window.guide.show()
            case ShowQuickStart():
                window.show_quickstart()
            case ShowPreferences(search):
                window.show_preferences(search)
            case ShowTrash():
                window.show_trash()
            case StartQuickStart(files):
                window.start_quickstart_on(files)
            case ShowRunning():
                window.show_running()
            case DoToRun(run_id, action):
                self._training.do(run_id, action)
            case NewRun():
                self._show_new_run(route)
            case ImportFiles(files):
                self._page("data").open_import(files)
            case Judge(first, second):
                self._page("chat").modes.judge(first, second)
            case OpenExample(run_id, step, row):
                if session.examples.ask(run_id, step, row):
                    self._page("chat").modes.show_example()
            case ForkRun(run_id, step, changes):
                self._training.fork(run_id, step, changes)
            case StopAt(run_id, step):
                window.training.run_view.forks.stop_at(run_id, step)
            case ChooseTexts():
                window.texts.choose()
            case TunePublished(files):
                window.texts.tune_published(files)
            case TryPronouns():
                self._page("chat").show_pronouns()
            case _:
                raise AssertionError(route)

    # -- Pages ---------------------------------------------------------------------------------------------------------

    def _page(self, tab: str) -> Any:
        """Show a tab, and return its page."""
        self._window.show_tab(tab)
        return self._window.pages.page(tab)

    @property
    def _training(self) -> TrainingTab:
        self._window.show_tab("training")
        return self._window.training

    def _show_view(self, tab: str, view: str) -> None:
        page = self._page(tab)
        if view and view not in page.views.names:
            raise ValueError(f"There is no view “{view[:80]}” here: there are {', '.join(page.views.names)}.")
        if view and page.views.is_offered(view):  # in a wide window, the builder's costs are beside the views
            page.views.show_view(view)

    def _show_place(self, place: str) -> None:
        tab, _, rest = place.partition("/")
        if place not in PLACES and place not in {name for name, *_ in TABS}:
            raise ValueError(f"There is no place “{place[:80]}” in Terrarium.")
        match tab:
            case "models":
                self._window.show_models()
            case "training" if rest == "recipes":
                self._training.show_recipes()
            case "training" if rest.startswith("new"):
                self._training.show_new_run()
                new_run = self._window.training.new_run
                new_run.views.show_view("choices")
                if slot := rest.removeprefix("new").removeprefix("/"):
                    self._show_setting(new_run.form, slot)
            case "training" if rest:
                self._show_run(ShowRun(view=rest.removeprefix("run/")))
            case "builder" if rest.startswith("settings/"):
                page, slot = self._page("builder"), rest.removeprefix("settings/")
                if slot in page.form.rows:
                    self._show_setting(page.form, slot)
                else:  # custom blocks have a section of their own
                    page.show_slot(slot)
            case "chat" if rest:
                self._show_in_chat(rest)
            case "tokenizer" | "data" | "builder":
                self._show_view(tab, rest)
            case _:
                self._window.show_tab(tab)

    def _show_setting(self, form: ConfigForm, name: str) -> None:
        form.show_slot(name)
        if form.row(name).isHidden():
            self._session.notices.say(_NO_EFFECT.format(form.row(name).name))
        else:
            form.mark({name})

    def _show_in_chat(self, place: str) -> None:
        tab = self._page("chat")
        kind, _, rest = place.partition("/")
        if kind == "mode":
            tab.modes.show_view(rest)
            return
        if tab.modes.current in _WITHOUT_SIDE:
            tab.modes.show_view("chat")
        tab.side.unfold("settings" if kind in _IN_SETTINGS else kind)
        if kind == "settings" and rest:
            reveal(tab.sampling.slider(rest))
        elif kind in _IN_SETTINGS:
            reveal(getattr(tab, kind))

    # -- Runs ----------------------------------------------------------------------------------------------------------

    def _find_run(self, name: str) -> RunInfo:
        """Return the run with an id or a name, the newest of that name. Raises ValueError if there is none."""
        runs = self._session.runs.list()
        by_name = (run for run in runs if run.name == name)
        found = next((run for run in runs if run.id == name), None) or next(by_name, None)
        if found is None:
            raise ValueError(f"There is no run “{name[:80]}” here: train it first, or open its .terrarium file.")
        return found

    def _show_run(self, route: ShowRun) -> None:
        run_id = self._find_run(route.run).id if route.run else self._run_with(route.view)
        tab = self._training
        tab.show_run(run_id)
        view = "machine" if route.step is not None and not route.view else route.view
        if not view or tab.run_in_view != run_id:
            return
        views = tab.run_view.views
        if view not in views.names:
            raise ValueError(f"A run has no view “{view[:80]}”: it has {', '.join(views.names)}.")
        if not views.is_usable(view):
            raise ValueError(f"“{self._session.runs.find(run_id).name}” has nothing to show there.")
        views.show_view(view)
        if view == "machine" and route.step is not None:
            views.view(view).go_to_step(route.step)

    def _compare(self, tag: str) -> None:
        session = self._session
        may_come = session.queue.waiting or session.training.active  # runs with the tag
        if not may_come and not any(tag in run.tags for run in session.runs.list()):
            raise ValueError(f"No run has the tag “{tag[:80]}”.")
        self._training.show_sweep(tag)

    def _run_with(self, view: str) -> str:
        """Return the run in view if it has that view, else the newest that has it."""
        session, chosen = self._session, self._window.training.run_view.run_id
        ids = [run.id for run in session.runs.list() if run.problem is None and run.status != "imported"]
        ids.sort(key=lambda id: id != chosen)
        found = next((id for id in ids if view != "rewards" or self._has_rewards(id)), "")
        if not found:
            raise ValueError(_NO_REWARDS if view == "rewards" else _NO_RUN)
        return found

    def _has_rewards(self, run_id: str) -> bool:
        spec = self._session.runs.spec(run_id)
        return spec is not None and spec.align is not None

    def _show_task(self, task: str) -> None:
        recipes = self._training.recipes
        if task and not recipes.has_recipe(task):
            raise ValueError(f"There is no task “{task[:80]}” to learn here.")
        self._training.show_recipes(task)

    def _show_new_run(self, route: NewRun) -> None:
        training = self._training
        if route.like:
            training.show_template(route.like, route.design)
            return
        training.show_new_run()
        if route.files:
            training.new_run.begin()
            training.new_run.data.set_files(route.files)
        elif route.dataset:
            training.new_run.learn_from(route.dataset)
        elif route.parent:
            training.new_run.show_stage(route.parent, route.stage, route.reward_model, route.data)

    def _open_model(self, route: OpenModel) -> None:
        run_id = route.run if route.run == LIVE else self._find_run(route.run).id
        if route.step is not None and route.step not in self._session.runs.checkpoint_steps(run_id):
            steps = ", ".join(map(str, sorted(self._session.runs.checkpoint_steps(run_id)))) or "none"
            raise ValueError(f"“{route.run}” has no checkpoint at step {route.step:,}: it has {steps}.")
        if route.panel and route.panel != "settings" and route.panel not in PANELS:
            raise ValueError(f"The glass box has no panel “{route.panel[:80]}”: it has {', '.join(PANELS)}.")
        head = self._head(run_id, route)
        if self._session.use_model(run_id, route.step) and (route.panel or route.text):
            tab: Any = self._window.pages.page("chat")
            tab.look_inside(run_id, route.panel, route.text, head)

    def _head(self, run_id: str, route: OpenModel) -> Head | None:
        """Return the attention head of a route. Raises ValueError if the model has none of these numbers."""
        spec = self._session.runs.spec(run_id)
        if (route.layer is None and route.head is None) or spec is None:
            return None
        config = spec.model
        layer, head = (1 if number is None else number for number in (route.layer, route.head))
        if not layer or not head:
            raise ValueError("Layers and heads are counted from 1.")
        if layer > config.n_layer or head > config.n_head:
            raise ValueError(
                f"“{route.run}” has no layer {layer:,}, head {head:,}: it has {format_count(config.n_layer, 'layer')} "
                f"of {format_count(config.n_head, 'head')}."
            )
        stack = "decoder." if config.topology == "encoder-decoder" else ""
        return Head(f"{stack}blocks.{layer - 1}.attention", head - 1)

    def _show_dataset(self, name: str) -> None:
        datasets = self._session.datasets
        if not datasets.is_read:
            datasets.list_changed.connect(partial(self.follow, ShowDataset(name)), _SINGLE_SHOT)
            datasets.refresh()
            return
        shas = [info.corpus.sha for info in datasets.list() if name in (info.name, info.corpus.sha)]
        if not shas:
            raise ValueError(f"There is no dataset “{name[:80]}” here: import it first.")
        page = self._page("data")
        datasets.choose(shas[0])
        page.views.show_view("dataset")

    # -- The page in view ----------------------------------------------------------------------------------------------

    def here(self) -> Linked:
        """Return the route of the page in view, with the names of what it shows."""
        session, current = self._session, self._window.pages.current
        page: Any = self._window.pages.made.get(current)
        match current:
            case "quickstart":
                return ShowQuickStart()
            case "tokenizer" if session.tokenizers.name:
                return ShowTokenizer(session.tokenizers.name, page.views.current)
            case "builder" if session.designs.name:
                return ShowDesign(session.designs.name, page.views.current)
            case "data" if session.datasets.sha and page.views.current == "dataset":
                info = session.datasets.info(session.datasets.sha)
                return ShowDataset(info.name if info is not None else session.datasets.sha)
            case "tokenizer" | "data" | "builder" if f"{current}/{page.views.current}" in PLACES:
                return ShowPlace(f"{current}/{page.views.current}")
            case "training":
                return self._here_in_training()
            case "chat":
                return self._here_in_chat(page)
        return ShowPlace(current)

    def _here_in_training(self) -> Linked:
        tab = self._window.training
        if run_id := tab.run_in_view:
            view = tab.run_view.views.current
            step = tab.run_view.views.view("machine").step if view == "machine" else -1
            return ShowRun(self._named(run_id), view, step if step >= 0 else None)
        if tab.compared_tag:
            return ShowComparison(tab.compared_tag)
        if tab.shows_recipes:
            return LearnTask(tab.recipes.focused) if tab.recipes.focused else ShowPlace("training/recipes")
        return ShowPlace("training/new")

    def _here_in_chat(self, tab: Any) -> Linked:
        model, mode = self._session.chat.model, tab.modes.current
        panel = "" if mode in _WITHOUT_SIDE or tab.side.is_folded else tab.side.current
        if model is None or model.which == LIVE or not tab.modes.is_about_model:
            return ShowPlace(f"chat/mode/{mode}" if f"chat/mode/{mode}" in PLACES else "chat")
        layer, head = tab.head_in_view if panel == "attention" else (None, None)
        return OpenModel(self._named(model.run_id), panel, model.step, layer, head)

    def _named(self, run_id: str) -> str:
        """Return the name of a run if a link can use it, which is so for the newest of that name, else its id."""
        run = self._session.runs.find(run_id)
        return run.name if self._find_run(run.name).id == run_id else run_id


def _known(kind: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise ValueError(f"There is no {kind} “{name[:80]}” here.")
