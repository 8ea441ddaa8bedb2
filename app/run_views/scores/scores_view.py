"""The scores view of a run: evaluates it, and shows scores, predictions, and a comparison with another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import (
    EmptyState,
    button,
    column,
    group,
    label,
    scrolling,
    set_enabled,
    set_role,
    show_only,
    show_words,
    stacked,
)
from terrarium.app.kit.inputs import choice, fill_choice, progress_bar
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run_views.scores.comparison import OtherScores, ScoresComparison, distinct_names
from terrarium.app.run_views.scores.evaluator import EvaluationRequest, RunEvaluator
from terrarium.app.run_views.scores.predictions import Predictions
from terrarium.app.run_views.scores.summary import ScoresSummary
from terrarium.app.run_views.scores.text_comparison import TextComparison
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.routes import OpenExample, ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.corpora.corpus import list_corpora
from terrarium.models.evaluation.record import Forgetting, read_comparison, read_evaluation, read_forgetting
from terrarium.models.events import Evaluated, TextCompared
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import RunInfo, inspect_run
from terrarium.models.number_words import format_done, format_of_100, format_percent
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.stored_scores import StoredScores, list_scores, read_scores
from terrarium.models.tiny_world.questions import HEADLINE_KINDS, kind_title

_NO_TASK = (
    "This model has no task to be scored",
    "It neither writes text nor has learned from a dataset with right answers: fine-tune it on one.",
)
_NO_DATA = (
    "No dataset to score it on yet",
    "This model can be scored on {title}: import or make such a dataset in the Data tab.",
)
_NO_SCORE = (
    "Its own data has no right answers to count",
    "A text can go on in many ways, and a conversation has many good replies. How well it predicts them is its "
    "validation loss, in Curves. To score it on {title} as well, import or make such a dataset in the Data tab.",
)
_ALIGNED = (
    _NO_SCORE[0],
    "How its replies are judged is in Rewards. To score it on {title} as well, import or make such a dataset in the "
    "Data tab.",
)
_NO_MODEL = ("No model yet", "The run can be evaluated as soon as it has a checkpoint.")


@dataclass(frozen=True, eq=False)
class _Stored:
    """What was read from disk: the scores of a run, those of other runs on the same data, and the datasets of its task.

    paths, names: of all evaluations of the run. shown, found: the one that is shown. name: the run's label beside the
    others. datasets: the label of each dataset, by its hash. evaluated: the accuracy on held-out questions of Tiny
    World, which need no dataset; None if there are scores to show, or datasets to evaluate on.
    """

    run_id: str
    name: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    shown: Path | None
    found: StoredScores | None
    forgetting: Forgetting | None
    others: tuple[OtherScores, ...]
    datasets: Mapping[str, str]
    evaluated: Evaluated | None
    compared: TextCompared | None


class ScoresView(QWidget):
    """The scores of one run.

    Signals:
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._run: ShownRun | None = None
        self._stored: _Stored | None = None
        self._wanted: Path | None = None
        self.evaluator = RunEvaluator(session.worker, session.library, session.device, self)
        self.stored = choice("Scores", "The evaluation that is shown", width=16)
        self.checkpoints = choice("Checkpoint", "The checkpoint to evaluate")
        self.data = choice(
            "Data", "The dataset to evaluate on: its test rows, or its validation rows if it has no others", width=16
        )
        self.evaluate = button(
            "Evaluate", theme, self._on_evaluate, icon="gauge", role="primary", tip="Score this checkpoint on the data"
        )
        self.cancel = button("Cancel", theme, self.evaluator.cancel, icon="stop", tip="Stop evaluating")
        self.progress, self.phase = progress_bar("Progress of the evaluation"), ElidedLabel()
        self.problem = label("", "error", wrap=True)
        self.parts = ScoreParts(theme)
        self.bring = button("Open the Data tab", theme, partial(session.go, ShowPlace("data")), icon="table")
        self._empty = EmptyState(*_NO_TASK, self.bring)
        self.comparison = TextComparison(theme)
        self._task = LatestTask(self)
        self._build()
        self._task.done.connect(self._on_read)
        self._task.failed.connect(self._on_failed)
        self.evaluator.changed.connect(self._show_state)
        self.evaluator.finished.connect(self._on_finished)
        self.stored.activated.connect(self._on_stored)
        self.parts.predictions.example_asked.connect(self._on_example)
        session.training.changed.connect(self._show_state)
        session.closing.connect(self.evaluator.cancel)

    def _build(self) -> None:
        self.progress.setMinimumWidth(80)
        self.phase.setProperty("role", "caption")
        self._shown_words, self._on_words = label("Shown", "muted"), label("on", "muted")
        chosen = self._shown_words, self.stored, self.checkpoints, self._on_words, self.data
        self._bar = flowing(*chosen, self.evaluate)
        shares = {self.phase: 1, self.progress: 2}
        self._working = group(self.phase, self.progress, self.cancel, horizontal=True, grows=shares)
        self._text_page = scrolling(group(self.comparison, None))
        self._pages = stacked(self._empty, self.parts, self._text_page)
        self.setLayout(column(self._bar, self._working, self.problem, self._pages, grows=self._pages))
        self._show_state()

    # -- Content -------------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether scores are being read or compared, or a run is being evaluated."""
        return self._task.busy or self.parts.comparison.busy or self.evaluator.busy

    @property
    def found(self) -> StoredScores | None:
        """The scores shown."""
        return self._stored.found if self._stored is not None else None

    @property
    def words(self) -> str:
        """The text that is shown instead of scores; "" while scores are shown."""
        return self._empty.words if self._pages.currentWidget() is self._empty else ""

    def show_run(self, run: ShownRun) -> None:
        """Show the scores of a run."""
        self._run, self._stored, self._wanted = run, None, None
        self.checkpoints.clear()  # a step chosen for another run does not apply
        self._offer_checkpoints()
        self._say(*(_NO_MODEL if run.folder is None else ("Reading the scores", "")))
        self._show_state()
        self._read()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stored is not None:  # a command may have evaluated the run since
            self._read()

    def refresh(self) -> None:
        """Offer new checkpoints of a live run."""
        self._offer_checkpoints()
        self._show_state()

    @property
    def task(self) -> str:
        """The task to evaluate: the run's own if it has metrics, “text-to-text” if the model generates text, or ""."""
        spec = self._run.spec if self._run is not None else None
        if spec is None or TASKS[spec.data.task].metrics:
            return spec.data.task if spec is not None else ""
        return "text-to-text" if TASKS["text-to-text"].heads.get(spec.model.topology) == spec.model.head else ""

    @property
    def _is_imported(self) -> bool:
        info = self._session.runs.look_up(self._run.id) if self._run is not None and self._run.id else None
        return info is not None and info.status == "imported"

    @property
    def _has_own_data(self) -> bool:
        """Whether the run has learned its task from a dataset of its own."""
        spec = self._run.spec if self._run is not None else None
        return spec is not None and spec.data.task == self.task and not self._is_imported

    def _offer_checkpoints(self) -> None:
        """Offer the best checkpoint first, then the others, the newest first."""
        run = self._run
        steps, best = [], None
        if run is not None and run.folder is not None:
            steps = self._session.runs.checkpoint_steps(run.id)
            try:
                best = RunFolder.open(run.folder).best_step
            except ValueError:
                steps = []
        steps.sort(key=lambda step: (step != best, -step))
        chosen = self.checkpoints.currentData()
        titles = [f"Step {step:,}{' (best)' if step == best else ''}" for step in steps]
        if titles == [self.checkpoints.itemText(i) for i in range(self.checkpoints.count())]:
            return
        fill_choice(self.checkpoints, dict(zip(steps, titles, strict=True)), chosen)

    def _read(self) -> None:
        run, task, wanted = self._run, self.task, self._wanted
        if run is None or run.folder is None:
            return
        folder, library = run.folder, self._session.library
        index = self._session.runs.index
        self._task.ask(lambda: _read_stored(library, run.id, folder, task, wanted, index.refresh()))

    @Slot(object)
    def _on_read(self, stored: _Stored) -> None:
        run = self._run
        if run is None or stored.run_id != run.id:
            return
        self._stored = stored
        fill_choice(self.stored, dict(zip(stored.paths, stored.names, strict=True)), stored.shown)
        own = run.spec.data.dataset if run.spec is not None and self._has_own_data else ""
        data = {"": stored.datasets.get(own, own) or "Its own data"} if self._has_own_data else {}
        data |= {name: name for sha, name in stored.datasets.items() if own not in (sha, name)}
        fill_choice(self.data, data, self.data.currentData())
        if stored.found is not None and (evaluated := self.checkpoints.findData(stored.found.step)) >= 0:
            self.checkpoints.setCurrentIndex(evaluated)  # the checkpoint of the scores shown below
        if stored.found is not None:
            self.parts.show_scores(stored.name, stored.found, stored.forgetting, stored.others)
            self._pages.setCurrentWidget(self.parts)
        elif not self._has_own_data and stored.forgetting is not None and stored.forgetting.changes:
            self.parts.show_forgetting(stored.forgetting)
            self._pages.setCurrentWidget(self.parts)
        elif stored.compared is not None and stored.compared.model is not None:
            self.comparison.show_comparison(stored.compared)
            self._pages.setCurrentWidget(self._text_page)
        elif not self.task:
            self._say(*_NO_TASK)
        elif not self.checkpoints.count():
            self._say(*_NO_MODEL)
        elif not self.data.count() and stored.evaluated is not None:
            self._say(*_describe_evaluation(stored.evaluated), needs_data=True)
        elif not self.data.count():
            is_aligned = run.spec is not None and run.spec.align is not None
            heading, sentence = _NO_DATA if self._is_imported else _ALIGNED if is_aligned else _NO_SCORE
            self._say(heading, sentence.format(title=TASKS[self.task].title.lower()), needs_data=True)
        else:
            title = TASKS[self.task].title
            self._say(
                "Not evaluated yet",
                f"{title}: the model answers rows that it has never seen, and its score is shown beside those of "
                "simple rules without a model.",
            )
        self._show_state()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._say("The scores cannot be shown", failure.sentence)
        self._show_state()

    def _say(self, heading: str, sentence: str, *, needs_data: bool = False) -> None:
        self._empty.set_words(heading, sentence)
        self.bring.setVisible(needs_data)
        self._pages.setCurrentWidget(self._empty)

    @Slot()
    def _show_state(self) -> None:
        evaluator, run = self.evaluator, self._run
        is_own = run is not None and evaluator.request is not None and evaluator.request.run_id == run.id
        can = bool(self.task) and bool(self.checkpoints.count()) and bool(self.data.count())
        self._bar.setVisible(can or self.stored.count() > 1)
        self.checkpoints.setVisible(can and not self._is_imported)  # an imported run has a single checkpoint
        self._on_words.setText("Score it on" if self._is_imported else "on")
        show_only(
            {
                self.evaluate: can,
                self._shown_words: self.stored.count() > 1,
                self.stored: self.stored.count() > 1,
                self._on_words: self.data.count() > 1 or (can and not self._has_own_data),
                self.data: self.data.count() > 1 or (can and not self._has_own_data),
            }
        )
        waits = f"{'It' if is_own else 'Another run'} is being evaluated." if evaluator.busy else ""
        set_enabled(self.evaluate, self._session.training.why_not_start or waits)
        self.evaluate.setText("Evaluate again" if self.found is not None else "Evaluate")
        role = "" if self.found is not None else "primary"
        if self.evaluate.property("role") != role:
            set_role(self.evaluate, role)
            self._theme.set_icon(self.evaluate, "gauge", "on_accent" if role else "text")
        self._working.setVisible(evaluator.busy)
        share = evaluator.done / evaluator.total if evaluator.total else 0.0
        self.progress.setValue(round(1000 * share))
        words = f"{evaluator.phase}…" + (f" {format_done(share)}" if evaluator.total else "")
        self.phase.setText(words if is_own else f"Another run: {words}")
        show_words(self.problem, evaluator.problem if is_own else "")

    # -- Actions -------------------------------------------------------------------------------------------------------

    def _on_evaluate(self) -> None:
        run, step = self._run, self.checkpoints.currentData()
        if run is None or run.folder is None or step is None:
            return
        dataset = self.data.currentData() or ""
        self.evaluator.start(EvaluationRequest(run_id=run.id, folder=run.folder, step=step, dataset=dataset))

    @Slot(str)
    def _on_finished(self, run_id: str) -> None:
        if self._run is not None and self._run.id == run_id:
            self._wanted = None  # show the newest
            self._read()

    @Slot(int)
    def _on_stored(self, index: int) -> None:
        self._wanted = self.stored.itemData(index)
        self._read()

    @Slot(object)
    def _on_example(self, example: dict[str, Any]) -> None:
        run, found = self._run, self.found
        if run is not None and found is not None:
            step = found.step if found.step is not None else self.checkpoints.currentData()
            steps = [self.checkpoints.itemData(i) for i in range(self.checkpoints.count())]
            self._session.go(OpenExample(run.id, step if step in steps else steps[0], example))


class ScoreParts(Views):
    """The summary, the predictions, and the comparison with another run."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        self.summary = ScoresSummary(theme)
        self.predictions, self.comparison = Predictions(theme), ScoresComparison(theme)
        views = {
            "summary": View("Summary", "Scores and figures", lambda: scrolling(self.summary)),
            "predictions": View("Predictions", "Each row, the worst first", lambda: self.predictions),
            "comparison": View("Compare", "Another run on the same rows", lambda: scrolling(self.comparison)),
        }
        super().__init__("Parts of the scores", views, parent)
        self.show_view("summary")

    def show_scores(
        self, name: str, found: StoredScores, forgetting: Forgetting | None, others: Sequence[OtherScores]
    ) -> None:
        """Show the scores of the run called `name`."""
        self._offer(is_scored=True)
        self.summary.show_scores(found, forgetting)
        self.predictions.show_scores(found)
        self.comparison.show_scores(name, found, others)

    def show_forgetting(self, forgetting: Forgetting) -> None:
        """Show only what a run without scores has forgotten."""
        self._offer(is_scored=False)
        self.summary.show_forgetting(forgetting)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.bar.setElideMode(self.bar.elideMode())  # forces a layout of the tabs, which have their style only now
        self.bar.updateGeometry()

    def _offer(self, *, is_scored: bool) -> None:
        if not is_scored:
            self.show_view("summary")
        for name in self.names:
            self.offer(name, is_offered=is_scored or name == "summary")

    def _update(self, name: str) -> None:
        """Do nothing: `show_scores` updates all views."""


def _read_stored(
    library: Library, run_id: str, folder: Path, task: str, wanted: Path | None, runs: Sequence[RunInfo]
) -> _Stored:
    """Read the scores of a run, newest first, and those of others on the same data. Runs on a background thread."""
    paths = list_scores(folder)
    shown = wanted if wanted in paths else next(iter(paths), None)
    found = read_scores(shown) if shown is not None else None
    own, others = inspect_run(folder), list[RunInfo]()
    if shown is not None:
        name_in_run = shown.relative_to(folder)
        others = [run for run in runs if run.id != run_id and not run.problem and (run.folder / name_in_run).is_file()]
    name, *other_names = distinct_names([own, *others])
    datasets = {corpus.sha: corpus.label for corpus in list_corpora(library) if task and corpus.task == task}
    return _Stored(
        run_id=run_id,
        name=name,
        paths=tuple(paths),
        names=tuple(path.stem for path in paths),
        shown=shown,
        found=found,
        forgetting=read_forgetting(folder),
        others=tuple(
            OtherScores(name=each, path=run.folder / name_in_run) for each, run in zip(other_names, others, strict=True)
        ),
        datasets=datasets,
        evaluated=None if found is not None or datasets else read_evaluation(folder),
        compared=read_comparison(folder),
    )


def _describe_evaluation(evaluated: Evaluated) -> tuple[str, str]:
    """Return a heading and a sentence about the accuracy on held-out questions of Tiny World."""
    kinds = {
        each.kind: f"{kind_title(each.kind)}\N{NO-BREAK SPACE}{format_percent(each.accuracy)}"
        for each in evaluated.kinds
    }
    counted = ", ".join(words for kind, words in kinds.items() if kind in HEADLINE_KINDS)
    others = ", ".join(words for kind, words in kinds.items() if kind not in HEADLINE_KINDS)
    return (
        f"Right in {format_of_100(evaluated.accuracy)} questions it had never seen",
        f"Measured after its training, as the mean of {counted}."
        + (f" Harder kinds, which do not count: {others}." if others else "")
        + " To score it on something else, import a dataset in the Data tab.",
    )
