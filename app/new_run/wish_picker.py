"""The picker of what a run's replies are rewarded for, and the base rate: how often the model earns rewards before."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QSpinBox, QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled, set_role, show_if
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.inputs import caption, choice, named, progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.trials.trials import TrialState
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.corpora.corpus import Corpus
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world.wishes import SIZES, WISHES, parse_wish_name
from terrarium.models.training.estimates.findings import BaseRate

_ABOUT_BASE = (
    "Base rate: how often the model earns a reward before it learns. What never happens cannot be rewarded, so measure "
    "it first, by replies to held-out prompts."
)


class WishPicker(QWidget):
    """Chooses a wish of Tiny World. Its prompts are generated when the user clicks a button, or when the run starts.

    Signals:
        changed(): `spec` has changed.
        base_asked(): measure the base rate. cancel_asked(): stop measuring.
    """

    changed = Signal()
    base_asked = Signal()
    cancel_asked = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._datasets = session, session.datasets
        self._making = LatestTask(self)
        self._making.done.connect(self._on_made)
        self._making.failed.connect(session.notices.fail)
        self.wish = choice(
            "Wish",
            "What replies are rewarded for",
            {name: wish.title for name, wish in WISHES.items()},
            tips={name: wish.help for name, wish in WISHES.items()},
        )
        self._about = label("", "caption", wrap=True)
        self.seed = named(
            QSpinBox(), "World seed", "The world that the prompts are about: choose the one that the model knows"
        )
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setAlignment(Qt.AlignmentFlag.AlignRight)
        keep_wheel_for_scrolling(self.seed)
        self.make = button(
            "Make and show the prompts",
            theme,
            self.make_prompts,
            icon="table",
            role="link",
            tip=f"As a dataset: {SIZES['train']:,} prompts to learn from, {SIZES['val']:,} for validation and "
            f"{SIZES['test']:,} for the test. They are also made when the run starts.",
        )
        self._making.busy_changed.connect(
            lambda busy: set_enabled(self.make, "The prompts are being made." if busy else "")
        )
        self.measure = button("Measure the base rate", theme, self.base_asked.emit, icon="gauge", tip=_ABOUT_BASE)
        self.cancel = button("Stop", theme, self.cancel_asked.emit, icon="x", role="link", tip="Stop measuring")
        self.progress = progress_bar("Progress of the measurement")
        self.phase = ElidedLabel()
        self.phase.setProperty("role", "caption")
        self.base = label(_ABOUT_BASE, "caption", wrap=True)
        seed = caption("World seed", self.seed)
        self.setLayout(
            column(
                self.wish,
                self._about,
                row(seed, self.seed, grows=seed),
                row(self.make, None),
                row(self.measure, self.cancel, None),
                self.progress,
                self.phase,
                self.base,
            )
        )
        self.wish.currentIndexChanged.connect(self._on_wish)
        self.seed.valueChanged.connect(self.changed)
        self._on_wish()
        self.show_trial(TrialState(), None, "")

    @property
    def name(self) -> str:
        """The chosen wish, a key of WISHES."""
        return str(self.wish.currentData())

    @property
    def title(self) -> str:
        """The title of the chosen wish."""
        return self.wish.currentText()

    @property
    def spec(self) -> DataSpec:
        """The dataset of prompts for the chosen wish and seed."""
        return DataSpec(source="dataset", dataset=f"Tiny World {self.seed.value()}, wish {self.name}", task="prompts")

    def forget(self) -> None:
        """Reset the choices."""
        self.wish.setCurrentIndex(0)
        self.seed.setValue(0)

    def set_spec(self, spec: DataSpec) -> bool:
        """Choose the wish and seed of these prompts. Return whether they belong to a wish."""
        info = self._datasets.info(spec.dataset)
        found = parse_wish_name(info.name if info is not None else spec.dataset)
        if found is None:
            return False
        self.wish.setCurrentIndex(self.wish.findData(found[0]))
        self.seed.setValue(found[1])
        return True

    def make_prompts(self) -> None:
        """Generate the prompts unless the library has them, and show them in the data tab."""
        from terrarium.models.data.corpus_texts import prepare_corpus

        library, spec = self._session.library, self.spec
        self._making.drive(lambda: prepare_corpus(library, spec))

    @Slot(object)
    def _on_made(self, corpus: Corpus) -> None:
        self._datasets.add(corpus.sha)
        self._session.go(ShowPlace("data"))

    def show_trial(self, trial: TrialState, found: BaseRate | None, cannot_try: str) -> None:
        """Show the measured base rate of these choices (None: not measured), the progress of its measurement, or why it
        cannot start now (`cannot_try`, "" if it can)."""
        running = trial.running and trial.kind == "base"
        set_enabled(self.measure, "It is being measured." if running else cannot_try)
        show_if(running, self.cancel, self.progress, self.phase)
        if running:
            show_progress(self.progress, trial.done, trial.total)
            self.phase.setText(trial.phase)
        words, role = _ABOUT_BASE, "caption"
        if trial.problem and trial.kind == "base" and not running:
            words, role = trial.problem, "warning"
        elif found is not None:
            words, role = f"Base rate: {found.sentence}", "" if found.is_learnable else "warning"
        self.base.setText(words)
        self.base.setVisible(not running)
        if self.base.property("role") != role:
            set_role(self.base, role)

    def _on_wish(self) -> None:
        self._about.setText(WISHES[self.name].help)
        self.changed.emit()
