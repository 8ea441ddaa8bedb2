"""The comparison of two runs on the same rows: the difference of their scores, and whether it is significant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from terrarium.app.kit.basics import label, row, titled_card
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.run_views.scores.score_table import ScoreTable
from terrarium.app.run_views.scores.summary import format_difference, shares_of
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.events import result_of
from terrarium.models.library.run_record import RunInfo
from terrarium.models.metrics.intervals import RESAMPLES, Comparison
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import format_count, format_date
from terrarium.models.tasks.stored_scores import ScoredRow, StoredScores, read_scores

_CERTAIN = 0.05
_ABOUT = (
    f"By paired bootstrap: both are scored on the same {RESAMPLES:,} resamples of the rows, with replacement. The "
    "interval holds the middle 95 % of the differences; p is how often a difference at least as large would come by "
    "chance if both were equally good."
)


@dataclass(frozen=True, kw_only=True)
class OtherScores:
    """Scores of another run on a dataset of the same name. name: the run's label. path: its report."""

    name: str
    path: Path


@dataclass(frozen=True, eq=False)
class _Compared:
    metric: str
    other: StoredScores
    result: Comparison


class ScoresComparison(QWidget):
    """A choice of another run, and the comparison of the shown run with it.

    Signals:
        compared(): a comparison is shown, or the reason why it failed.
    """

    compared = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = ""
        self._found: StoredScores | None = None
        self.result: Comparison | None = None
        """The comparison that is shown."""
        self.others, self.metrics = ElidedCombo(), QComboBox()
        self.others.setAccessibleName("Compare with")
        self.others.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.others.setMinimumContentsLength(18)
        self.metrics.setAccessibleName("Metric")
        for box in (self.others, self.metrics):
            keep_wheel_for_scrolling(box)
        self.sentence = label("", "heading", wrap=True)
        self.detail = label("", "", wrap=True)
        self.bars = IntervalBars("Both runs", theme)
        self.counts = ScoreTable("Rows by who is right", theme)
        self._card = titled_card(
            "", self.sentence, self.bars, self.detail, self.counts, label(_ABOUT, "caption", wrap=True)
        )
        self._nothing = label("", "muted", wrap=True)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_compared)
        self._task.failed.connect(self._on_failed)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, SPACE, 0)
        lines.setSpacing(SPACE)
        self._bar = QWidget()
        others, metrics = label("Compare with"), label("by")
        others.setBuddy(self.others)
        metrics.setBuddy(self.metrics)
        bar = row(others, self.others, metrics, self.metrics, None)
        self._bar.setLayout(bar)
        for widget in (self._bar, self._nothing, self._card):
            lines.addWidget(widget)
        lines.addStretch(1)
        self.others.currentIndexChanged.connect(self._compare)
        self.metrics.currentIndexChanged.connect(self._compare)

    @property
    def busy(self) -> bool:
        """Whether a comparison is being computed."""
        return self._task.busy

    def show_scores(self, name: str, found: StoredScores, others: Sequence[OtherScores]) -> None:
        """Show the run labelled `name`, and offer `others` for comparison."""
        self._name, self._found = name, found
        chosen = self.others.currentData()
        with QSignalBlocker(self.others), QSignalBlocker(self.metrics):
            self.others.clear()
            for other in others:
                self.others.addItem(other.name, other.path)
            self.others.setCurrentIndex(max(self.others.findData(chosen), 0) if others else -1)
            self.metrics.clear()
            for metric, score in found.report.scores.items():
                if score.value is not None and METRICS[metric].higher_is_better is not None:
                    self.metrics.addItem(METRICS[metric].title, metric)
            self.metrics.setCurrentIndex(max(self.metrics.findData(found.report.headline), 0))
        self._bar.setVisible(bool(others))
        self._card.hide()
        self._say(
            ""
            if others
            else f"No other run was evaluated on {found.name}. Evaluate another one there, and it can be compared."
        )
        self._compare()

    @Slot()
    def _compare(self) -> None:
        path, metric, found = self.others.currentData(), self.metrics.currentData(), self._found
        if path is None or metric is None or found is None:
            return
        self._say("Comparing…")

        def compare() -> _Compared:
            from terrarium.models.tasks.evaluating import compare_scores

            other = read_scores(path)
            return _Compared(metric, other, result_of(compare_scores(other, found, metric)))

        self._task.ask(compare)

    def _say(self, words: str) -> None:
        self._nothing.setText(words)
        self._nothing.setVisible(bool(words))

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.result = None
        self._card.hide()
        self._say(failure.sentence)
        self.compared.emit()

    @Slot(object)
    def _on_compared(self, compared: _Compared) -> None:
        assert self._found is not None
        self.result, metric, other = compared.result, compared.metric, self.others.currentText()
        self._say("")
        self.sentence.setText(describe_comparison(metric, compared.result, self._name, other))
        self.detail.setText(_describe_interval(metric, compared.result))
        share = shares_of(metric, [compared.result.a, compared.result.b])
        self.bars.show_bars(
            [
                Bar(name=name, share=share(value), text=format_score(metric, value), tone=tone)
                for name, value, tone in ((self._name, compared.result.b, "accent"), (other, compared.result.a, "info"))
            ]
        )
        self._show_counts(self._found.rows, compared.other.rows, other)
        self._card.show()
        self.compared.emit()

    def _show_counts(self, own: Sequence[ScoredRow], others: Sequence[ScoredRow], other: str) -> None:
        """Show on how many rows both runs are right, only one of them, or neither."""
        assert self._found is not None
        pairs = [(a.is_right, b.is_right) for a, b in zip(own, others, strict=True)]
        self.counts.setVisible(self._found.task != "regression")
        rows = [
            ("Both", (True, True)),
            (f"Only “{self._name}”", (True, False)),
            (f"Only “{other}”", (False, True)),
            ("Neither", (False, False)),
        ]
        self.counts.show_rows(("Who is right", "Rows"), [[words, f"{pairs.count(pair):,}"] for words, pair in rows])


def distinct_names(runs: Sequence[RunInfo]) -> list[str]:
    """Return a distinct label for each run: its name, with the date if names are equal, or the id if dates are, too."""
    names = [run.name for run in runs]
    for tell_apart in (lambda run: format_date(run.created), lambda run: run.id):
        counts = Counter(names)
        names = [
            f"{run.name} ({tell_apart(run)})" if counts[name] > 1 else name
            for run, name in zip(runs, names, strict=True)
        ]
    return names


def describe_comparison(metric: str, found: Comparison, name: str, other: str) -> str:
    """Say which run is better, or that the difference could be chance."""
    if found.difference == 0:
        return f"“{name}” and “{other}” are equally good."
    sign = -1 if METRICS[metric].higher_is_better is False else 1
    better, worse = (name, other) if sign * found.difference > 0 else (other, name)
    amount = format_difference(metric, abs(found.difference)).removeprefix("+")
    if not is_certain(found):
        return f"“{better}” is ahead of “{worse}” by {amount}, which could well be chance."
    return f"“{better}” is better than “{worse}” by {amount}."


def is_certain(found: Comparison) -> bool:
    """Return whether the confidence interval of the difference excludes zero and p is below 5 %."""
    low, high = found.interval or (0.0, 0.0)
    return not low <= 0 <= high and found.p_value < _CERTAIN


def _describe_interval(metric: str, found: Comparison) -> str:
    words = f"Difference {format_difference(metric, found.difference)} on {format_count(found.n, 'row')}"
    if found.interval is not None:
        words += f", 95 % interval {' to '.join(format_difference(metric, end) for end in found.interval)}"
    return f"{words}; p {'< 0.01' if found.p_value < 0.01 else f'= {found.p_value:.2f}'}."
