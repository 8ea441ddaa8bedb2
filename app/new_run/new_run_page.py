"""The page for a new run: the form, the data preview, the finders, and a review of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QSize, QTimer, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QLineEdit, QPushButton, QWidget

from terrarium.app.kit.basics import add_menu, button, row
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.layout.views import Side
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.new_run.choices import RunChoices
from terrarium.app.new_run.draft import RunDraft, TimeEstimate
from terrarium.app.new_run.new_run_views import NewRunViews
from terrarium.app.new_run.proposer import Proposer
from terrarium.app.new_run.review import RunReview
from terrarium.app.new_run.spec_exchange import open_spec, save_spec
from terrarium.app.new_run.trials.trials import Trials
from terrarium.app.session.session import Session
from terrarium.models.alignment.stage_tree import world_seed_of
from terrarium.models.interop.graphs.graphs import LOOKBACK_STEPS, what_differs
from terrarium.models.number_words import format_about
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TrainConfig
from terrarium.models.tiny_world.wishes import HAPPY
from terrarium.models.training.proposal.propose import LONGER, describe_length, describe_packing, epochs_of

_MEASURING = "Measuring this computer… How long the run takes is proposed when its speed is known."


class NewRun(QWidget):
    """The page on which a new run is set up and started.

    Args:
        choices: the form on its left; created if None.
    """

    def __init__(self, session: Session, theme: ThemeProvider, choices: RunChoices | None = None) -> None:
        super().__init__()
        self.session = session
        self.trials = Trials(
            session.worker,
            session.library,
            session.device,
            session.training,
            session.tokenizers,
            session.notices,
            self,
        )
        session.status.add(self.trials)
        self.choices = RunChoices(session, theme) if choices is None else choices
        self.data, self.tokenizer, self.design = self.choices.data, self.choices.tokenizer, self.choices.design
        self.form = self.choices.form
        self.review = RunReview(theme)
        self.proposer = Proposer(session, self)
        self.draft = RunDraft(session, self.choices, self.trials, self.proposer)
        self.name.textChanged.connect(self.draft.set_name)
        self.views = NewRunViews(self.draft, session, theme)
        self.views.settings_chosen.connect(self.set_train)
        self.views.top.addWidget(self._file_button(theme))
        self._side = Side(self.review, self.views, "review")
        self.setLayout(row(self.views, self._side, grows=self.views))
        RelayoutOnResize(self, self._arrange)
        self._submitted_name = ""
        self._is_over = False
        self._fitting = False
        self._expected: TimeEstimate | None = None
        self._needed = 0
        # The review depends on several parts: debounce, so that it is updated once after all of them have changed.
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._show_review)
        self.choices.changed.connect(self._later.start)
        self.choices.lr_requested.connect(lambda: self._find("lr"))
        self.choices.batch_requested.connect(lambda: self._find("batch"))
        self.review.start_asked.connect(self.start_run)
        self.review.queue_asked.connect(self.queue_run)
        self.review.measure_asked.connect(lambda: self.draft.try_out("forecast"))
        self.review.cancel_asked.connect(self.trials.cancel)
        self.review.fit_asked.connect(self.make_fit)
        self.choices.wish.base_asked.connect(lambda: self.draft.try_out("base"))
        self.choices.wish.cancel_asked.connect(self.trials.cancel)
        self.trials.changed.connect(self._on_trial)
        self.proposer.changed.connect(self._later.start)
        session.device.changed.connect(self._later.start)
        session.blocks.changed.connect(self._later.start)
        session.blocks.measured.connect(self._later.start)
        self._was_active = session.training.active
        session.training.changed.connect(self._on_training)
        self.views.show_view("choices")
        self.review.show_template_name("")
        self._show_review()

    def _file_button(self, theme: ThemeProvider) -> QPushButton:
        more = button("", theme, icon="dots-three", role="quiet", tip="Load or save all settings as a file")
        entries = (
            (
                "Load settings…",
                "folder-open",
                "Load all settings from a TOML file, as “terrarium train” does",
                lambda: open_spec(self, self.session, self.set_spec),
            ),
            (
                "Save settings…",
                "floppy-disk",
                "Save all settings to a TOML file for “terrarium train”, here or on another computer",
                self.save,
            ),
        )
        add_menu(more, theme, entries)
        return more

    def minimumSizeHint(self) -> QSize:
        hint = self.views.minimumSizeHint()
        return QSize(hint.width(), max(hint.height(), super().minimumSizeHint().height()))

    def _arrange(self) -> None:
        self._side.fit(max(self.choices.least_width, self.views.minimumSizeHint().width()) + SPACE, self.width())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.proposer.may_measure = True
        self._later.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.proposer.may_measure = False
        self.proposer.stop()

    # -- The draft --------------------------------------------------------------------------------------

    @property
    def name(self) -> QLineEdit:
        """The input for the run's name."""
        return self.review.name

    @property
    def start(self) -> QPushButton:
        """The button that starts the run."""
        return self.review.start

    def begin(self) -> None:
        """Start a new draft: reset all choices except the design."""
        self._is_over = False
        self.choices.begin()
        self._forget_name()
        self.views.show_view("choices")
        self._later.start()

    def begin_if_over(self) -> None:
        """Start a new draft if the last one was submitted (started or queued)."""
        if self._is_over:
            self.begin()

    def learn_from(self, sha: str) -> None:
        """Choose a dataset of the library for the fine-tuning run being set up; if there is none, for a new draft."""
        is_tuning = bool(self.choices.start.run_id) and not self._is_over and not self.choices.proposed.is_held
        if not is_tuning:
            self.begin()
        self.choices.learn_from(sha, keeps_model=is_tuning)

    @property
    def is_settled(self) -> bool:
        """Whether the review is up to date with the choices, and the proposer is idle."""
        return not self._later.isActive() and not self.proposer.busy

    def _forget_name(self) -> None:
        self.name.clear()
        self.draft.like = ""
        self.review.show_template_name("")

    def set_spec(self, spec: RunSpec, tokenizer_name: str = "", like: str = "", differs: str = "") -> None:
        """Set all choices to those of `spec`.

        Args:
            tokenizer_name: a tokenizer of the library to use, if it still exists, instead of that of `spec`.
            like: the name of the run that the settings come from, '' for none.
            differs: how the settings differ from those of that run, in sentences.
        """
        self._is_over = False
        size = spec.model.vocab_size  # set by the tokenizer, not by the preset
        presets = (name for name, p in PRESETS.items() if dataclasses.replace(p, vocab_size=size) == spec.model)
        self.session.designs.set(spec.model, next(presets, ""))
        self.choices.set_settings(spec, tokenizer_name)
        if spec.tune is not None and self.choices.start.spec is None:
            self.session.notices.say(
                "The model that this run started from is not in the library, so random weights are chosen: restore it "
                "from the trash, or choose another one."
            )
        self.draft.like = like
        self.name.setText(self.session.runs.free_name(spec.name) if not like else "")
        self.review.show_template_name(like, differs)
        self.views.show_view("choices")
        self._later.start()

    def show_template(self, run_id: str, design: ModelConfig | None = None) -> None:
        """Set all choices to those of a run, including its tokenizer if the library still has it.

        design: replaces the design of the run. If only the new design has previous-token heads, it gets more steps.
        """
        spec = self.session.runs.spec(run_id)
        if spec is None:
            self.session.notices.say("This run's settings cannot be read.")
            return
        differs = ""
        if design is not None:
            differs, steps = what_differs(spec.model, design), spec.train.steps
            if design.looks_back and not spec.model.looks_back:
                steps = round(steps * LOOKBACK_STEPS)
                differs += f" It learns more slowly: {steps:,} steps are proposed, not {spec.train.steps:,}."
            differs += " All else is the same."
            spec = dataclasses.replace(spec, model=design, train=dataclasses.replace(spec.train, steps=steps))
        self.set_spec(spec, self.session.runs.tokenizer_name(run_id), like=spec.name, differs=differs)

    def show_stage(self, parent: str, stage: str = "", reward_model: str = "", dataset: str = "") -> None:
        """Set all choices for a run that starts from the weights of another run.

        Args:
            parent: the id of that run, with @STEP for another checkpoint than the last.
            stage: as AlignSpec.stage, "" for fine-tuning.
            reward_model: the id of its run, "" for the judge of a wish.
            dataset: the name of the preference dataset, "" for any.
        """
        self.begin()
        choices, (run_id, _, step) = self.choices, parent.partition("@")
        choices.start.start_from(run_id, step)
        if choices.start.run_id != run_id:
            self.session.notices.say("This model is no longer in the library: restore it from the trash first.")
            return
        choices.align.set_spec(AlignSpec(**usual_align(stage), reward_model=reward_model) if stage else None)
        if choices.draws:
            run = RunFolder.open(self.session.runs.find(run_id).folder)
            title = f"Tiny World {world_seed_of(run)}, wish {HAPPY}"
            choices.wish.set_spec(DataSpec(source="dataset", dataset=title, task="prompts"))
        elif stage:
            known = [info.name for info in self.session.datasets.list() if info.corpus.task == "preference"]
            choices.data.set_dataset(dataset if dataset in known or not known else known[0])
        self.views.show_view("choices")

    def show_tuning(self, run_id: str) -> None:
        """Set all choices for fine-tuning a run's model, and ask for the data."""
        self.show_stage(run_id)
        if self.choices.start.run_id == run_id:
            self.choices.ask_for_data()

    def show_review(self) -> None:
        """Open the view of the review and the start button, unless they are beside the form."""
        if not self._side.is_beside:
            self.views.show_view("review")

    def set_train(self, changes: dict[str, Any]) -> None:
        """Change training settings and highlight them in the form."""
        self.form.apply(changes)
        self.views.show_view("choices")
        for name in changes:
            self.form.show_slot(name)
        self.form.mark(tuple(changes))

    # -- Starting ---------------------------------------------------------------------------------------

    def start_run(self) -> None:
        """Start the run of the draft."""
        self._submit(self.session.training.start)

    def queue_run(self) -> None:
        """Add the run of the draft to the queue."""
        self._submit(lambda spec: self.session.queue.add([spec]))

    def _submit(self, take: Callable[[RunSpec], bool]) -> None:
        try:
            spec = self.draft.spec()
        except ValueError as error:
            self.review.problem.setText(str(error))
            return
        self._submitted_name = self.name.text()
        if take(spec):
            self._is_over = True
            self.name.clear()

    def make_fit(self) -> None:
        """Find by trial the largest batch that fits in memory, use it, and measure the cost."""
        self._fitting = self.draft.try_out("batch", below=self.form.config.batch_size)

    def _find(self, kind: str) -> None:
        self.views.show_view(kind)
        self.draft.try_out(kind)

    def save(self) -> None:
        """Ask for a file and save the draft's settings to it as TOML."""
        try:
            spec = self.draft.spec()
        except ValueError as error:
            self.session.notices.say(str(error))
            return
        save_spec(self, self.session, spec)

    # -- Updates ----------------------------------------------------------------------------------------

    @Slot()
    def _on_training(self) -> None:
        # Emitted many times a second; only whether a run is training matters here.
        if self.session.training.active != self._was_active:
            self._was_active = self.session.training.active
            self._later.start()
            state = self.session.training.state
            if state is not None and state.status == "failed" and not state.run_id and not self.name.text():
                self.name.setText(self._submitted_name)  # no run was created: restore the draft
                self._is_over = False

    @Slot()
    def _on_trial(self) -> None:
        trial = self.trials.state
        if self._fitting and not trial.running:
            self._fitting = False
            if trial.kind == "batch" and trial.batch is not None and trial.batch.batch_size is not None:
                found = trial.batch
                self.set_train({"batch_size": found.batch_size, "grad_accum_steps": found.grad_accum_steps})
                self.draft.try_out("forecast")
        if trial.kind == "base" and not trial.running:
            self._expected = self.draft.estimated_time()
            self.session.datasets.refresh()  # the trial may have created the prompts
        self._show_cost()

    @Slot()
    def _show_review(self) -> None:
        self._follow_proposal()
        train: TrainConfig = self.form.config
        self.name.setPlaceholderText(self.draft.default_name)
        self.review.show_run(
            self.draft.model,
            train,
            self.choices.start.spec,
            self.choices.align_spec,
            self.draft.problem,
            n_classes=self.draft.n_classes,
            can_wait=not self.choices.problem,
            is_wrong=bool(self.choices.problem) and not self.choices.waits_for_data,
            shape=self.draft.shape,
        )
        self.views.offer_trials(is_offered=self.choices.align_spec is None)
        self.choices.start.show_costs(self.draft.mode_costs(self.session.device.memory))
        self._expected = self.draft.estimated_time()
        self._needed = self.draft.step_bytes(self.session.device.memory)
        self._show_length()
        self._show_cost()

    def _follow_proposal(self) -> None:
        """Fill in the proposed settings for the current choices. If that changes a choice, this runs again."""
        self.proposer.look(self.draft.learned, self.choices.proposed.edited)
        proposal = self.proposer.proposal
        if proposal is not None and not self.choices.proposed.is_held:
            self.choices.propose(proposal)

    def _show_length(self) -> None:
        """Show how long the run takes, how much it reads, and how long a longer run would take."""
        spec, facts, proposal = self.draft.learned, self.proposer.facts, self.proposer.proposal
        if spec is None:
            self.choices.proposed.show_length("", "", is_cut=False)
            return
        measured = self.draft.measured()
        seconds = measured.seconds if measured is not None and measured.ms_per_step is not None else None
        if seconds is None and self._expected is not None:
            seconds = self._expected.seconds
        if seconds is None and self.proposer.is_measuring and self.choices.proposed.proposes_steps:
            self.choices.proposed.show_length(_MEASURING, "", is_cut=False)
            return
        words = describe_length(seconds, facts, epochs_of(spec, facts))
        packing = describe_packing(spec, facts)
        price = f"{LONGER} × longer" + ("" if seconds is None else f": {format_about(LONGER * seconds)}")
        is_cut = proposal is not None and proposal.is_cut
        words = words[:1].upper() + words[1:] + (f". {packing}" if words and packing else packing)
        self.choices.proposed.show_length(words, price, is_cut=is_cut)

    def _show_cost(self) -> None:
        """Show the costs and the trial; called many times a second during a trial."""
        cannot_try = self.session.training.why_not_start or self.choices.problem
        self.review.show_cost(
            self.draft.measured(),
            self._expected,
            self._needed,
            self.session.device.memory,
            self.trials.state,
            cannot_try=cannot_try,
            is_measuring=self.proposer.is_measuring,
        )
        self.choices.wish.show_trial(self.trials.state, self.draft.base_rate(), cannot_try)
        self.views.refresh()
