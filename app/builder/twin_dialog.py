"""A dialog that trains a design beside its built-in twin: it asks for data, steps and seeds, and queues the runs."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Slot
from PySide6.QtWidgets import QGridLayout, QSpinBox, QWidget

from terrarium.app.builder.blocks.contracts import TITLES
from terrarium.app.kit.basics import button, column, label, row, set_enabled, show_if, show_words
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.inputs import caption, choice, fill_choice, grid, named
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.setting_names.slot_words import changed_slots, format_slot, label_of
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import ShowComparison
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.events import Event
from terrarium.models.number_words import format_about, format_count, format_percent
from terrarium.models.runs.sweep import sweep_tag
from terrarium.models.runs.twin import N_SEEDS, twin_specs
from terrarium.models.settings.block_references import BLOCK_SLOTS, blocks_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tasks import ALIGNED_TASKS, TASKS
from terrarium.models.training.proposal.twin import TwinProposal, propose_twins

_MAX_STEPS, _MAX_SEEDS = 1_000_000_000, 100
_WIDTH, _HEIGHT = 560, 390
"""The size in pixels at the default text size: room for what is said when the proposal is there."""
_SETTLE_MS = 300
"""Milliseconds without a change of data or block after which both designs are measured."""
_MEASURING = "Measuring both designs…"
_ABOUT = (
    "Its twin has the built-in part in the block's place, and a feed-forward of the width that makes it as large. Both "
    "learn the same with the same seeds: what differs is what the block does."
)


class TwinDialog(Dialog):
    """Trains a design with a custom block, and the same design with the built-in part and as many parameters.

    The settings are proposed as for a new run of the design, in the background; its twin shares them.
    """

    def __init__(
        self, session: Session, theme: ThemeProvider, name: str, design: ModelConfig, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._name, self._design = session, name, design
        self._proposal: TwinProposal | None = None
        self._failure = ""
        self.setWindowTitle(f"Train {name} beside its twin")
        self.resize(round(_WIDTH * theme.text_scale), round(_HEIGHT * theme.text_scale))
        places = {place: f"{TITLES[place]}: {reference.name}" for place, reference in blocks_of(design).items()}
        self.place, self.data = choice("Block", entries=places), ElidedCombo()
        self.steps = IntBox(1, _MAX_STEPS, 100)
        self.steps.setValue(TrainConfig().steps)
        self.seeds = QSpinBox()
        self.seeds.setRange(1, _MAX_SEEDS)
        self.seeds.setValue(N_SEEDS)
        self.seeds.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.about, self.time = label("", wrap=True), label("", "muted", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.wait = button(
            "Add to the queue", theme, self._on_wait, icon="queue", tip="Train them later, or after the current run"
        )
        self.start = button("Train them now", theme, self._on_start, icon="play-fill", role="primary")
        self.start.setDefault(True)
        words = label(_ABOUT, wrap=True)
        cancel = button("Cancel", theme, self.reject, tip="Train nothing")
        contents = words, self._form(), self.about, self.time, self.problem, None
        buttons = row(None, cancel, self.wait, self.start)
        self.setLayout(column(*contents, buttons, margin=(3 * SPACE, 3 * SPACE, 3 * SPACE, 2 * SPACE)))
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._later = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._later.timeout.connect(self._propose)
        self.finished.connect(self._job.drop)
        self.finished.connect(self._later.stop)
        self.place.currentIndexChanged.connect(self._ask)
        self.data.currentIndexChanged.connect(self._ask)
        self.steps.valueChanged.connect(self._on_steps)
        self.seeds.valueChanged.connect(self._show)
        session.training.changed.connect(self._show)
        session.datasets.list_changed.connect(self._list_data)
        self._list_data()
        session.datasets.refresh()

    def _form(self) -> QGridLayout:
        editors = (
            ("Block", self.place, "The block that the twin does not have"),
            ("Data", self.data, "The text that both learn from"),
            ("Steps", self.steps, "How many times the weights are updated in each run"),
            ("Seeds", self.seeds, "How many times both are trained, from other random numbers each time"),
        )
        rows = [(caption(words, editor, tip=tip), named(editor, words, tip)) for words, editor, tip in editors]
        if self.place.count() < 2:  # shown before they have a parent, they would be windows
            show_if(False, *rows[0])
        return grid(*rows, grows=1, spacing=(2 * SPACE, SPACE))

    @Slot()
    def _list_data(self) -> None:
        """List Tiny World and the datasets that the design's head can learn, retaining the choice."""
        chosen, design = self.data.currentData(), self._design
        is_language = TASKS["language"].heads.get(design.topology) == design.head
        choices = {DataSpec(): "Tiny World"} if is_language else {}
        for info in self._session.datasets.list():
            corpus = info.corpus
            if corpus.task not in ALIGNED_TASKS and TASKS[corpus.task].heads.get(design.topology) == design.head:
                spec = DataSpec(source="dataset", dataset=corpus.sha, task=corpus.task, labels=corpus.labels)
                choices[spec] = f"{info.name}  ·  {TASKS[corpus.task].title}"
        fill_choice(self.data, choices, chosen)
        if self.data.currentData() != chosen or chosen is None:
            self._ask()

    # -- The proposal ------------------------------------------------------------------------------------------------

    @Slot()
    def _ask(self) -> None:
        """Propose settings for the chosen data and block, in a moment."""
        self._proposal, self._failure = None, ""
        self._job.drop()
        if self.data.currentData() is None:
            self._failure = "No dataset of the library suits the head of this design: import one in the Data tab."
        else:
            self._later.start()
        self._show()

    @Slot()
    def _propose(self) -> None:
        """Propose on the worker: measuring a block runs it. While a run is training, the speed is not measured."""
        session, place = self._session, self.place.currentData()
        spec = RunSpec(
            name=self._name,
            model=self._design,
            tokenizer=TokenizerSpec(),
            data=self.data.currentData(),
            train=TrainConfig(),
        )
        memory = session.device.memory
        free = None if memory is None else memory.n_bytes
        trains = session.training.active
        device = "" if trains else session.device.name

        def make() -> Iterator[Event]:
            yield (yield from propose_twins(session.library, spec, place, free, device))

        self._job.submit(Job("Measuring two designs", make, INTERACTIVE if trains else BACKGROUND))
        self._show()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, TwinProposal):
                self._proposal = event
                with QSignalBlocker(self.steps):
                    self.steps.setValue(event.spec.train.steps)

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        self._failure = "" if failure is None else failure.sentence
        self._show()

    @property
    def busy(self) -> bool:
        """Whether settings are being proposed."""
        return self._later.isActive() or self._job.busy

    @Slot()
    def _on_steps(self) -> None:
        if self._proposal is not None:
            self._proposal = self._proposal.with_steps(self.steps.value())
        self._show()

    @Slot()
    def _show(self) -> None:
        found, is_busy = self._proposal, self._session.training.active
        show_words(self.problem, self._failure)
        show_words(self.about, "" if found is None else _describe(found))
        self.time.setText(_MEASURING if self.busy else "" if found is None else self._length(found))
        waits = self._failure or ("" if found is not None else "The settings are being proposed: wait a moment.")
        set_enabled(self.wait, waits)
        busy = "Another run is training: add them to the queue." if is_busy else ""
        set_enabled(self.start, waits or busy, "Train them one after the other")

    def _length(self, found: TwinProposal) -> str:
        n_seeds = self.seeds.value()
        seconds = found.seconds(n_seeds)
        runs = f"{format_count(2 * n_seeds, 'run')} of {format_count(found.spec.train.steps, 'step')}"
        if seconds is None:
            return f"{runs}. How long they take is not known, since another run is training."
        return f"{runs}: {format_about(seconds)} in all."

    # -- The runs ----------------------------------------------------------------------------------------------------

    def _on_wait(self) -> None:
        self._queue(starts=False)

    def _on_start(self) -> None:
        self._queue(starts=True)

    def _queue(self, *, starts: bool) -> None:
        found, session = self._proposal, self._session
        assert found is not None
        tag = sweep_tag(session.library, f"{self._name} twin")
        if not session.queue.add(twin_specs(found.spec, found.twin, self.seeds.value()), tags=(tag,)):
            return
        if starts:
            session.queue.start()
        self.accept()
        session.go(ShowComparison(tag))


def _describe(found: TwinProposal) -> str:
    """Describe how the twin differs from the design, and their sizes."""
    design, twin = found.spec.model, found.twin
    blocks = {*BLOCK_SLOTS.values(), "block_options"}
    changed = [f for f in changed_slots(design, twin) if f.name not in blocks]
    others = [f"{label_of(f)} {format_slot(twin, f)} instead of {format_slot(design, f)}" for f in changed]
    n, n_twin = found.sizes
    more = f"{format_percent(abs(n_twin - n) / n, 2)} {'more' if n_twin > n else 'fewer'} than"
    size = f"{n_twin:,} parameters, {'as many as' if n == n_twin else more} the design, both with a "
    size += f"vocabulary of {twin.vocab_size:,} tokens"
    return "; ".join([f"The twin: {size}", *others]) + "."
