"""The form of a new run in three numbered steps: model, data with its tokenizer, and training settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QScrollArea, QWidget

from terrarium.app.kit.basics import button, column, headed, label, row, separator, step_card
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.layout.advanced_settings import reveal
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.setting_names.preset_words import known_parameters
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.new_run.align_picker import AlignPicker
from terrarium.app.new_run.data_picker import DataPicker
from terrarium.app.new_run.design_picker import DesignPicker
from terrarium.app.new_run.proposed_settings import ProposedSettings
from terrarium.app.new_run.start_picker import StartPicker
from terrarium.app.new_run.tokenizer_picker import TokenizerPicker
from terrarium.app.new_run.wish_picker import WishPicker
from terrarium.app.session.session import Session
from terrarium.models.corpora.datasets import DatasetInfo
from terrarium.models.preferences.dataset import writers_of
from terrarium.models.settings.align_spec import AlignSpec, usual_align_train
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TrainConfig
from terrarium.models.settings.spec_changes import inactive_fields
from terrarium.models.settings.stage_kinds import first_stage_for
from terrarium.models.settings.tasks import ALIGNED_TASKS, PREFERENCE_TASKS, TASKS
from terrarium.models.settings.tune_spec import usual_train
from terrarium.models.training.proposal.propose import Proposal, proposed_tokenizer

DEFAULT_PROMPTS = {
    "tiny-world": ("Tell me a story about Anna and the kite in the park.",),
    "files": ("The ",),
    "stdlib": ("Return the ",),
    "dataset": (),
    "pronouns": (),
}
_USUAL_SIZE = 1_000_000
"""Parameters of a model whose size is not known."""
_STORY = DEFAULT_PROMPTS["tiny-world"]
"""The default prompt of runs that sample replies to prompts."""
_SIMPLE = ("steps",)
"""The settings shown at the simple detail level."""
_COLUMN_CHARACTERS = 44


class RunChoices(QScrollArea):
    """The pickers and the settings form.

    Signals:
        changed(): a choice, or `problem`, has changed.
        lr_requested(), batch_requested(): the user asks to find a learning rate or a batch size.

    Args:
        pickers: the pickers of the starting weights and the alignment stage; created if None.
    """

    changed = Signal()
    lr_requested = Signal()
    batch_requested = Signal()

    def __init__(
        self, session: Session, theme: ThemeProvider, pickers: tuple[StartPicker, AlignPicker] | None = None
    ) -> None:
        super().__init__()
        self._session, self._theme = session, theme
        self.start, self.align = pickers or (StartPicker(session, theme), AlignPicker(session, theme))
        self.wish = WishPicker(session, theme)
        self.design = DesignPicker(session, theme)
        self.data = DataPicker(session, theme)
        self.tokenizer = TokenizerPicker(session)
        self._parents_tokenizer = label("That of the model that it starts from.", "caption", wrap=True)
        config = TrainConfig(prompts=DEFAULT_PROMPTS["tiny-world"])
        folded = ("Learning rate", "Optimizer", "Evaluation and checkpoints")
        self.form = ConfigForm(config, theme, folded=folded)
        self.proposed = ProposedSettings(self.form, theme)
        self.proposed.begin({"prompts": DEFAULT_PROMPTS["tiny-world"]})
        self.form.keep_simple(session.detail, _SIMPLE, lambda: self.proposed.config)
        self.form.more.folded_changed.connect(self._show_finders)
        self._sides = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._source = self.data.spec.source
        self._followed = "", "", ""  # the model, mode and stage of the last proposed settings
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        inner.setLayout(self._sides)
        self._sides.setContentsMargins(0, 0, SPACE, 0)
        self._sides.setSpacing(SPACE)
        self._sides.addLayout(column(self._model_card(), self._data_card(), None), 1)
        self._sides.addLayout(column(self._settings_card(), None), 1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self.setAccessibleName("Settings of the new run")
        self.setWidget(inner)
        RelayoutOnResize(inner, self._arrange)
        self.start.changed.connect(self._on_start)
        self.align.changed.connect(self._on_start)
        self.wish.changed.connect(self.changed)
        self.data.changed.connect(self._on_data)
        self.tokenizer.changed.connect(self.changed)
        self.form.changed.connect(self.changed)
        self.form.problem_changed.connect(self.changed)
        session.designs.changed.connect(self._on_design)
        self._on_start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """Arrange the cards in two columns if they fit, else in one. Their minimum width depends on the choices."""
        wide = self.width() >= 2 * self._least_column + 3 * SPACE
        wanted = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        if wanted != self._sides.direction():
            self._sides.setDirection(wanted)
            # A layout with a pending relayout does not report further changes: make the scroll area query it here.
            self.setWidgetResizable(True)

    @property
    def least_width(self) -> int:
        """The minimum width of the cards in one column, in pixels."""
        return self._least_column + SPACE + self.verticalScrollBar().sizeHint().width()

    @property
    def _least_column(self) -> int:
        columns = [self._sides.itemAt(i) for i in range(self._sides.count())]
        least = max(column.minimumSize().width() for column in columns if column is not None)
        return max(least, _COLUMN_CHARACTERS * self.fontMetrics().averageCharWidth())

    @property
    def problem(self) -> str:
        """Why the choices cannot be trained, in sentences; '' if they can."""
        first = self.start.problem or (self.align.problem if self.align_spec is not None else "")
        of_data = "" if self.draws else self.data.problem
        return first or of_data or self.form.problem or self._task_problem()

    @property
    def waits_for_data(self) -> bool:
        """Whether the only problem is that no data has been chosen yet."""
        return bool(self.problem) and self.problem == self.data.problem

    @property
    def align_spec(self) -> AlignSpec | None:
        """The alignment stage of the run; None if it learns from texts or rows, or its starting model cannot reply."""
        return self.align.spec if self._can_align else None

    @property
    def draws(self) -> bool:
        """Whether the run samples replies to prompts and learns from their rewards."""
        return self.align_spec is not None and self.align_spec.task == "prompts"

    @property
    def data_spec(self) -> DataSpec:
        """The data of the run. Raises ValueError if there is a `problem`."""
        return self.wish.spec if self.draws else self.data.spec

    @property
    def dataset(self) -> DatasetInfo | None:
        """The chosen dataset, None if the run learns from something else."""
        return None if self.draws else self.data.info

    @property
    def _can_align(self) -> bool:
        """Whether the model that the run starts from can reply."""
        config = self.start.config
        if not self.start.run_id or config is None:
            return False
        return TASKS["preference"].heads.get(config.topology) == config.head

    @property
    def design_config(self) -> ModelConfig:
        """The design of the run: the chosen one or that of the starting model, with the head of the task.

        The vocabulary size of a new model is not yet that of its tokenizer.
        """
        config = self.start.config or self._session.designs.current
        info = self.dataset
        heads = TASKS[info.corpus.task].heads if info is not None else {}
        if info is None or config.topology not in heads:
            return config
        changes: dict[str, Any] = {"head": heads[config.topology]}
        if info.corpus.task == "regression":
            changes["n_label"] = 1
        elif info.corpus.labels:
            changes["n_label"] = len(info.corpus.labels)
        try:
            return dataclasses.replace(config, **changes)
        except ValueError:
            return config

    def _task_problem(self) -> str:
        info, config, align = self.dataset, self.start.config or self._session.designs.current, self.align_spec
        if align is not None and not self.draws and (info is None or info.corpus.task not in align.tasks):
            rated = " or of rated replies" if "unpaired" in align.tasks else ""
            return (
                f"Pairs of replies come from a dataset of preferences{rated}: choose “A dataset” as the data, and one "
                "of them."
            )
        if info is None:
            return ""
        task = TASKS[info.corpus.task]
        if align is None and info.corpus.task in ALIGNED_TASKS:
            return (
                f"{task.title} are not texts to imitate: start from a model that can reply, then choose how it learns "
                "from them."
            )
        if config.topology in task.heads:
            return ""
        return (
            f"{task.title} cannot be learned by a model that is {config.topology}: choose one that is "
            f"{' or '.join(task.heads)}."
        )

    def ask_for_data(self) -> None:
        """Propose data for the model, scroll to it, and focus its source."""
        self.data.propose_like()
        reveal(self.data.source)

    def learn_from(self, sha: str, *, keeps_model: bool = False) -> None:
        """Choose a dataset of the library. For preferences also choose the stage (DPO for pairs, KTO for rated replies)
        and a model: the one that wrote the replies, else, if the chosen one cannot reply, the open chat model or the
        newest run that can.

        keeps_model: keep the chosen model. If it cannot learn from the dataset, `problem` says so.
        """
        info = self._session.datasets.info(sha)
        stage = first_stage_for(info.corpus.task) if info is not None and info.corpus.task in PREFERENCE_TASKS else ""
        writer = self._writer_of(info.name) if info is not None and stage else ""
        if keeps_model:
            self.align.set_spec(None)
        elif writer or (stage and not self._can_align):
            self.start.start_from(writer or self._replying_run())
        if stage and self._can_align:
            self.align.choice.setCurrentIndex(self.align.choice.findData(stage))
        self.data.set_dataset(sha)

    def _writer_of(self, dataset: str) -> str:
        """Return the run that wrote the most replies of a dataset and still has a model, "" if there is none."""
        runs = self._session.runs
        try:
            writers = writers_of(self._session.library, dataset)
        except ValueError:  # its file is damaged, which the data tab reports
            return ""
        return next((id for id in writers if runs.has(id) and runs.find(id).has_model), "")

    def _replying_run(self) -> str:
        """Return the id of a run that can reply, "" if there is none."""
        model, runs = self._session.chat.model, self._session.runs
        if model is not None and model.is_chat_model:
            return model.run_id
        heads = TASKS["unpaired"].heads
        specs = ((info.id, info.spec) for info in runs.known() if info.has_model)
        replying = (id for id, spec in specs if spec is not None and heads.get(spec.model.topology) == spec.model.head)
        return next(replying, "")

    def set_settings(self, spec: RunSpec, tokenizer_name: str) -> None:
        """Set all choices except the design. tokenizer_name: see `name` of TokenizerPicker.set_spec."""
        data, tokenizer, train = spec.data, spec.tokenizer, spec.train
        self._source = data.source
        self.start.set_spec(spec.tune)
        self.align.set_spec(spec.align)
        if not (self.draws and self.wish.set_spec(data)):
            self.data.set_spec(data)
        self.tokenizer.set_source(data.source)
        self.tokenizer.set_spec(tokenizer, tokenizer_name)
        self.proposed.hold(train)
        self.changed.emit()

    def begin(self) -> None:
        """Start a new draft: random weights, Tiny World and their proposed settings.

        Only the design, which is shared with the builder, is retained.
        """
        self.proposed.begin({"prompts": DEFAULT_PROMPTS["tiny-world"]})
        self.start.set_spec(None)
        self.align.set_spec(None)
        self.wish.forget()
        self.data.set_spec(DataSpec())
        self.tokenizer.forget()
        self._propose_tokenizer()
        self.changed.emit()

    def propose(self, proposal: Proposal) -> None:
        """Fill in proposed settings, except those that the user has changed."""
        self.start.propose(proposal.tune)
        self.proposed.propose(proposal.train)

    def _propose_tokenizer(self) -> None:
        """Propose a tokenizer for the data and design, unless the user has chosen one."""
        if not self.proposed.is_held:
            self.tokenizer.propose(proposed_tokenizer(self._session.designs.current, self._n_bytes()))

    def _n_bytes(self) -> int | None:
        """Return the size of the dataset or the text files in bytes, None if unknown."""
        info = self.dataset
        if info is not None:
            return info.corpus.n_bytes
        files = self.data.files if self.data.source.currentData() == "files" else ()
        sizes = [Path(file).stat().st_size for file in files if Path(file).is_file()]
        return sum(sizes) or None

    def _model_card(self) -> QWidget:
        caption = label("Start from")
        caption.setBuddy(self.start.choice)
        return step_card(
            "1  Model", "The architecture, and the weights it starts from", caption, self.start, self.design
        )

    def _data_card(self) -> QWidget:
        tokenizer = QWidget()
        tokenizer.setLayout(headed("Tokenizer"))
        return step_card(
            "2  Data",
            "What the model reads, and how text becomes tokens",
            self.align,
            self.data,
            self.wish,
            separator(),
            tokenizer,
            self.tokenizer,
            self._parents_tokenizer,
        )

    def _settings_card(self) -> QWidget:
        rate = button(
            "Find a learning rate",
            self._theme,
            self.lr_requested.emit,
            icon="chart-line",
            role="link",
            tip="A short trial in which the learning rate grows: a good one is where the loss falls fastest",
        )
        size = button(
            "Find a batch size",
            self._theme,
            self.batch_requested.emit,
            icon="timer",
            role="link",
            tip="Try larger and larger batches until memory runs out or they are no faster",
        )
        self._finders = QWidget()
        self._finders.setLayout(row(rate, size, None))
        return step_card(
            "3  Settings",
            "How it learns. All of this is proposed for your data and model.",
            self.proposed,
            self._finders,
            self.align.form,
            self.form,
        )

    @Slot()
    def _on_start(self) -> None:
        is_tuned, align = bool(self.start.run_id), self.align_spec
        parent = self._session.runs.spec(self.start.run_id) if is_tuned else None
        self.data.set_learned(parent.data if parent is not None else DataSpec())
        for widget, is_shown in (
            (self.design, not is_tuned),
            (self.tokenizer, not is_tuned),
            (self._parents_tokenizer, is_tuned),
            (self.align, self._can_align),
            (self.align.form, align is not None),
            (self.data, not self.draws),
            (self.wish, self.draws),
        ):
            widget.setVisible(is_shown)
        self._show_finders()
        self._follow_mode()
        self._on_design()

    @Slot()
    def _show_finders(self) -> None:
        """Show the finders' buttons if the run learns from texts and the settings they fill in are visible."""
        self._finders.setVisible(self.align_spec is None and not self.form.more.is_folded)

    def _follow_mode(self) -> None:
        """Use the default settings of the model, mode and stage if one of them has changed."""
        config, mode = self.start.config, self.start.form.config.mode if self.start.run_id else ""
        align = self.align_spec
        chosen = self.start.run_id, mode, align.stage if align is not None else ""
        if chosen == self._followed:
            return
        followed_stage, self._followed = self._followed[2], chosen
        size = known_parameters(config) if config is not None else None
        usual = usual_train(mode, size or _USUAL_SIZE)
        if align is not None:
            stage_usual = usual_align_train(align.stage)
            rate = float(f"{usual['lr'] * stage_usual['lr'] / 1e-3:.1g}")  # the defaults of stages are for small models
            usual |= stage_usual | {"lr": rate}
        names = dict.fromkeys((*usual, *(usual_align_train(followed_stage) if followed_stage else ())))
        proposed = {name: getattr(TrainConfig(), name) for name in names} | (usual if mode else {})
        prompts = self.form.config.prompts
        if self.draws and prompts == DEFAULT_PROMPTS[self._source]:
            proposed["prompts"] = _STORY
        elif not self.draws and prompts == _STORY:
            proposed["prompts"] = DEFAULT_PROMPTS[self._source]
        self.proposed.use(proposed)

    @Slot()
    def _on_design(self) -> None:
        self.data.prefer(self.start.config or self._session.designs.current)
        self._propose_tokenizer()
        self.form.set_inactive(inactive_fields(self.design_config, self.align_spec))
        self.start.form.set_inactive(("max_length", "old_share") if self.draws else ())
        self._show_task()
        self.changed.emit()

    def _show_task(self) -> None:
        self.start.show_task(writes=self.design_config.head == "language")

    @Slot()
    def _on_data(self) -> None:
        source = self.data.source.currentData()
        if source != self._source:
            # Change to the default prompt of the new source, unless the user wrote their own.
            if self.proposed.is_held and self.form.config.prompts == DEFAULT_PROMPTS[self._source]:
                self.form.set_config(dataclasses.replace(self.form.config, prompts=DEFAULT_PROMPTS[source]))
            self.proposed.propose({"prompts": DEFAULT_PROMPTS[source]})
            self._source = source
            self.tokenizer.set_source(source)
        self._propose_tokenizer()
        self._show_task()
        self.changed.emit()
