"""Performs the guide's actions on the window: sets up steps, points at and presses widgets, and reverts changes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QAbstractButton, QWidget

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.glass.focus import Head
from terrarium.app.guide.actions import (
    Action,
    ChooseDesign,
    ChooseHead,
    ChooseToken,
    ExportFolder,
    GoToStep,
    Judge,
    NewChat,
    Open,
    OpenModel,
    OpenModelDesign,
    PointAt,
    PrepareRun,
    Press,
    SetTemperature,
    ShowDataset,
    ShowRun,
    StartRecipe,
    SwitchOffPart,
    TakeCandidate,
    TypeText,
)
from terrarium.app.guide.ring import Ring, Tab
from terrarium.app.guide.window_state import RunFact, WindowState
from terrarium.app.new_run.choices import DEFAULT_PROMPTS
from terrarium.app.session import routes
from terrarium.app.session.routes import ShowPlace, ShowQuickStart
from terrarium.app.shell.guide.anchors import ANCHORS, NO_REPLY, GuidedWindow
from terrarium.app.shell.guide.window_state_reader import WindowStateReader
from terrarium.models.corpora.corpus import list_corpora
from terrarium.models.recipes.recipe_specs import task_spec
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.settings.tasks import TASKS

_LOOKS = 10
"""The number of validations, and of samples, in a prepared run."""
_BUSY = "A run is training. Stop it or wait until it ends, then start this one."
_NO_MODEL = "There is no model that can chat yet: grow one with the quick start."
_NO_RUN = "There is no run to look into yet: grow one with the quick start."
_NO_DATASET = "There is no dataset for “{}” yet: the step before makes one."
_NO_SAMPLES = "This run has recorded nothing that the time machine could show."


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The window state that a step's set-up may change. Replies, runs and tokenizers belong to the user, and remain.

    chat: the open conversation, "" if it is empty.
    """

    page: str
    chat: str = field(compare=False)
    chat_mode: str
    side: tuple[str, bool]
    tokenizer_view: str
    tokenizer_text: str
    tokenizer_vocabulary: int
    message: str
    sampling: SamplingConfig
    builder_view: str
    design: tuple[ModelConfig, str]
    pair: tuple[str, str]
    run_name: str
    run_form: TrainConfig
    run_data: DataSpec


class MainWindowDriver:
    """Implements app.guide.guide.Stage for a window. Pages are created on demand."""

    def __init__(self, window: GuidedWindow, ring: Ring) -> None:
        self._window, self._session = window, window.session
        self._reader = WindowStateReader(window)
        self.ring = ring
        self._was_left = False
        """Whether the user has chosen another tab since the last action."""
        window.top_bar.tab_chosen.connect(self._on_tab_chosen)

    def facts(self) -> WindowState:
        """Return the current state of the window."""
        return self._reader.read()

    # -- Snapshots -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the current values of the state that steps may change."""
        chat, new_run = self._chat, self._window.training.new_run
        tokenizer, builder = self._page("tokenizer"), self._page("builder")
        return Snapshot(
            page=self._window.pages.current,
            chat=chat.conversation.chat.id if chat.conversation.chat.messages else "",
            chat_mode=chat.modes.current,
            side=(chat.side.current, chat.side.is_folded),
            tokenizer_view=tokenizer.views.current,
            tokenizer_text=tokenizer.views.explore.text,
            tokenizer_vocabulary=tokenizer.views.trainer.vocab.value(),
            message=chat.page.composer.field.toPlainText(),
            sampling=chat.sampling.config,
            builder_view=builder.views.current,
            design=(self._session.designs.current, self._session.designs.name),
            pair=chat.modes.view("pairs").sentences.texts,
            run_name=new_run.name.text(),
            run_form=new_run.form.config,
            run_data=new_run.choices.data.spec,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of `snapshot` where it has changed."""
        self.ring.take_away()
        now, chat = self.snapshot(), self._chat
        tokenizer, builder, new_run = self._page("tokenizer"), self._page("builder"), self._window.training.new_run
        if now.tokenizer_text != snapshot.tokenizer_text:
            tokenizer.views.explore.set_text(snapshot.tokenizer_text)
        tokenizer.views.trainer.vocab.setValue(snapshot.tokenizer_vocabulary)
        if now.tokenizer_view != snapshot.tokenizer_view:
            tokenizer.views.show_view(snapshot.tokenizer_view)
        if now.message != snapshot.message:
            chat.page.composer.field.setPlainText(snapshot.message)
        if now.sampling != snapshot.sampling:
            chat.sampling.use(snapshot.sampling)
        if now.design != snapshot.design:
            self._session.designs.set(*snapshot.design)
        if now.builder_view != snapshot.builder_view:
            builder.views.show_view(snapshot.builder_view)
        if now.pair != snapshot.pair:
            chat.modes.view("pairs").sentences.set_texts(*snapshot.pair)
        if now.run_data != snapshot.run_data:
            new_run.choices.data.set_spec(snapshot.run_data)
        if now.run_form != snapshot.run_form:
            new_run.form.set_config(snapshot.run_form)
        new_run.name.setText(snapshot.run_name)
        if now.chat_mode != snapshot.chat_mode and chat.modes.bar.isTabVisible(
            chat.modes.names.index(snapshot.chat_mode)
        ):
            chat.modes.show_view(snapshot.chat_mode)
        if snapshot.chat and now.chat != snapshot.chat:
            chat.conversation.when_free(lambda: chat.conversation.open_saved(snapshot.chat))
        view, is_folded = snapshot.side
        if now.side[0] != view:
            chat.side.show_view(view)
        if chat.side.is_folded != is_folded:
            chat.side.fold.click()
        if now.page != snapshot.page and not self._was_left:
            self._show_page(snapshot.page)

    # -- Acting --------------------------------------------------------------------------------------------------------

    def perform(self, action: Action) -> None:
        """Perform an action. Raises ValueError, with a sentence to show, if it is impossible now."""
        self._do(action)
        self._was_left = False

    def _on_tab_chosen(self) -> None:
        self._was_left = True

    def _do(self, action: Action) -> None:
        match action:
            case Open(place=place):
                self._session.go(ShowPlace(place))
            case OpenModel():
                self._open_model()
            case NewChat():
                self._chat.chats.new_chat()  # also cancels a chat that is still being read
            case TypeText(field=name, text=text):
                self._type(name, text)
            case ChooseDesign(preset=preset, slots=slots):
                config = dataclasses.replace(PRESETS[preset], **(slots or {}))
                self._session.designs.set(config, "" if slots else preset)
            case OpenModelDesign():
                self._open_model_design()
            case SetTemperature(value=value):
                sampling = self._chat.sampling
                sampling.use(dataclasses.replace(sampling.config, temperature=value))
            case PrepareRun():
                self._prepare_run(action)
            case ShowRun(view=view, kind=kind):
                self._show_run(view, kind)
            case ShowDataset(task=task):
                self._show_dataset(task)
            case StartRecipe(name=name):
                self._session.training.start_recipe(task_spec(name, parent=self._chat_run().id))
            case PointAt(anchor=anchor):
                self._point_at(anchor)
            case Press(anchor=anchor):
                self._press(anchor)
            case ChooseToken(which=which):
                self._choose_token(which)
            case TakeCandidate(rank=rank):
                self._take_candidate(rank)
            case ChooseHead():
                self._choose_head()
            case SwitchOffPart():
                self._switch_off()
            case GoToStep(step=step):
                self._go_to_step(step)
            case ExportFolder():
                self._export_folder()
            case Judge(choice=choice):
                self._judge(choice)

    def anchor(self, name: str) -> QWidget | Tab:
        """Return the widget or tab that a step points at. Raises ValueError if no anchor has this name."""
        try:
            return ANCHORS[name](self._window)
        except KeyError as error:
            raise ValueError(f"This step points at “{name}”, which is not in this window.") from error

    @property
    def _chat(self) -> ChatTab:
        tab = self._page("chat")
        assert isinstance(tab, ChatTab)
        return tab

    def _page(self, name: str) -> Any:
        return self._window.pages.page(name)

    def _show_page(self, name: str) -> None:
        self._session.go(ShowQuickStart() if name == "quickstart" else ShowPlace(name))

    def _open_model(self) -> None:
        chat = self._session.chat
        if chat.model is None or chat.model.mode != "talk":
            chat.open(self._chat_run().id)

    def _open_model_design(self) -> None:
        model = self._session.chat.model
        if model is not None and model.mode == "talk":
            self._session.designs.set(model.config, "")
            return
        spec = self._session.runs.spec(self._chat_run().id)
        if spec is None:
            raise ValueError(_NO_MODEL)
        self._session.designs.set(spec.model, "")

    def _point_at(self, name: str) -> None:
        self.ring.point_at(partial(self.anchor, name))
        widget = self.anchor(name)
        if self._session.training.active and isinstance(widget, QAbstractButton) and not widget.isEnabled():
            raise ValueError(_BUSY)

    def _chat_run(self) -> RunFact:
        """Return the Tiny World chat run with the most steps, the first of equals: a short run has learned little."""
        found = max((run for run in self.facts().runs if run.can_chat), key=lambda run: run.step, default=None)
        if found is None:
            raise ValueError(_NO_MODEL)
        return found

    def _export_folder(self) -> None:
        view = self._window.training.run_view
        dialog = view.export_model()
        if dialog is None:
            raise ValueError(_NO_RUN)
        dialog.kind.choose("hf")
        dialog.place.setText(str(self._session.library.home / "exported"))
        dialog.start.click()

    def _judge(self, choice: str) -> None:
        pair_view = self._chat.modes.view("prefer").pair_view
        if pair_view.pair is None:
            raise ValueError("There is no pair to judge yet: press “Start” first.")
        pair_view.choose(choice)

    def _type(self, name: str, text: str) -> None:
        if name == "tokenizer/text":
            self._page("tokenizer").views.explore.set_text(text)
            self._page("tokenizer").views.explore.lab.editor.setFocus()
        elif name == "tokenizer/vocabulary":
            self._page("tokenizer").views.trainer.vocab.setValue(int(text))
        elif name == "chat/message":
            self._chat.page.composer.field.setPlainText(text)
            self._chat.page.composer.field.setFocus()
        elif name == "chat/pair":
            self._chat.modes.view("pairs").sentences.set_texts(*text.split("\n"))
        else:
            raise ValueError(f"This step writes into “{name}”, which is not in this window.")

    def _prepare_run(self, action: PrepareRun) -> None:
        window, often = self._window, max(1, action.steps // _LOOKS)
        model = dataclasses.replace(PRESETS[action.preset], **(action.slots or {}))
        prompts = () if model.topology == "encoder-only" else DEFAULT_PROMPTS["tiny-world"]
        spec = RunSpec(
            name=action.name,
            model=model,
            tokenizer=TokenizerSpec(),
            data=DataSpec(source="tiny-world"),
            train=TrainConfig(steps=action.steps, eval_interval=often, sample_interval=often, prompts=prompts),
        )
        self._session.go(ShowPlace("training/new"))
        window.training.new_run.set_spec(spec, self._session.tokenizers.name)
        window.training.new_run.name.setText(self._session.runs.free_name(action.name))
        QTimer.singleShot(0, window.training.new_run, window.training.new_run.show_review)  # after the layout

    def _show_run(self, view: str, kind: str) -> None:
        runs = [run for run in self.facts().runs if run.has_model and run.status != "imported"]
        wanted = [run for run in runs if run.kind == (kind or "tiny-world")]
        if not runs or (kind and not wanted):
            raise ValueError(_NO_RUN)
        shown = wanted or runs
        run = next((run for run in shown if run.status == "finished"), shown[0])
        self._session.go(routes.ShowRun(run.id, view))

    def _show_dataset(self, task: str) -> None:
        found = [corpus for corpus in list_corpora(self._session.library) if corpus.task == task]
        if not found:
            raise ValueError(_NO_DATASET.format(TASKS[task].title))
        # Not by a route, which would look in the list as it was last read.
        self._session.datasets.choose(max(found, key=lambda corpus: corpus.folder.stat().st_mtime).sha)
        self._session.go(ShowPlace("data"))
        self._page("data").views.show_view("dataset")

    def _press(self, name: str) -> None:
        widget = self.anchor(name)
        assert isinstance(widget, QAbstractButton), name
        if not (widget.isVisible() and widget.isEnabled()):
            raise ValueError(f"“{widget.text()}” cannot be pressed now.")
        widget.click()

    def _choose_token(self, which: str) -> None:
        chat = self._chat
        text, leaf = chat.focus.text, chat.conversation.chat.leaf
        if text is None or leaf is None or leaf.generation is None or not leaf.generation.tokens:
            raise ValueError(NO_REPLY)
        tokens = leaf.generation.tokens
        shares = [1.0 if token.probability is None else token.probability for token in tokens]
        at = len(tokens) - 1 if which == "last" else min(range(len(tokens)), key=shares.__getitem__)
        chat.focus.lock(text.n_prompt + at)

    def _take_candidate(self, rank: int) -> None:
        focus = self._chat.focus
        panel: Any = self._chat.side.view("next")
        ids = [row.id for row in panel.xray.rows] if panel.xray is not None else []
        if focus.locked is None or len(ids) < rank:
            raise ValueError(NO_REPLY)
        focus.branch_requested.emit(focus.locked, ids[rank - 1])

    def _choose_head(self) -> None:
        focus, model = self._chat.focus, self._session.chat.model
        if model is None:
            raise ValueError(_NO_MODEL)
        last = f"blocks.{model.config.n_layer - 1}.attention"
        site = last if model.config.topology != "encoder-decoder" else f"decoder.{last}"
        focus.choose_head(Head(site, 0 if focus.head is None or focus.head.head else 1))

    def _switch_off(self) -> None:
        panel: Any = self._chat.side.view("ablation")
        if panel.answer is None:
            raise ValueError(NO_REPLY)
        panel.survey.chosen.emit(panel.answer.blocks[-1][1][0])

    def _go_to_step(self, step: int) -> None:
        machine: Any = self._window.training.run_view.views.view("machine")
        steps = machine.steps
        if not steps:
            raise ValueError(_NO_SAMPLES)
        machine.go_to(min(range(len(steps)), key=lambda i: abs(steps[i] - step)))
