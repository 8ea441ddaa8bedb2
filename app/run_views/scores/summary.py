"""The summary of an evaluation: the headline score beside its baselines, all scores, and the figures of its task."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from PySide6.QtCore import QSize
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QWidget

from terrarium.app.kit.basics import (
    button,
    column,
    label,
    plain_tip,
    row,
    set_role,
    show_if,
    show_only,
    show_words,
    titled_card,
)
from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.layout.tab_order import put_after, stops_in
from terrarium.app.kit.setting_names.terms import term_of_words
from terrarium.app.kit.setting_names.value_words import OUTCOME_TONES, SANDBOX
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.run_views.scores.figures import ConfusionMap, ReliabilityPlot
from terrarium.app.run_views.scores.score_table import FIGURE_TITLES, ScoreTable, figure_row
from terrarium.models.evaluation.record import Forgetting
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.metrics.report import Score
from terrarium.models.number_words import capitalized, format_count, format_percent, with_minus
from terrarium.models.tasks.baselines import BASELINES
from terrarium.models.tasks.stored_scores import StoredScores
from terrarium.models.tiny_world.questions import kind_title

_MAX_BASELINES = 3
_MAX_LABELS = 40
"""The cells of a confusion matrix of more labels would be too small."""
_WIDE = 780
"""Minimum width of two columns of cards, in pixels at the usual text size."""
_LENIENT = {
    "strict": ("Words and type", "Entities with exactly the right words and type"),
    "exact": ("Words", "Entities with exactly the right words, of any type"),
    "partial": ("Some words", "Entities that share words with a right one, which count a half"),
    "type": ("Type", "Entities of the right type that share words with a right one"),
}
_SPLITS = {"train": "on training rows", "val": "on validation rows", "test": "on test rows"}
HELP = {kind.title: kind.help for kinds in BASELINES.values() for kind in kinds}
"""How each baseline answers, by its title."""


class ScoresSummary(QWidget):
    """Cards in two columns if they fit; a card is hidden if the task has no figures for it."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.headline = Headline(theme)
        self.scores = ScoreTable("All scores", theme)
        self.signatures = Signatures(theme)
        self.notes = label("", "caption", wrap=True)
        self.confusion, self.calibration = ConfusionMap(theme), ReliabilityPlot(theme)
        self.calibration_note = label("", "caption", wrap=True)
        self.figures, self.lenient = ScoreTable("Figures of each label", theme), ScoreTable("Lenient", theme)
        self.outcomes = IntervalBars("Outcomes of the functions", theme)
        self.forgotten = ScoreTable("What the model forgot", theme)
        self.forgotten_note = label("", "caption", wrap=True)
        self._figures_title = label("", "subheading")
        sandbox = label(f"{SANDBOX}, and does not pass.", "caption", wrap=True)
        self._cards: dict[str, QFrame] = {
            "headline": titled_card("", self.headline),
            "scores": titled_card("All scores", self.scores, self.notes, self.signatures),
            "outcomes": titled_card("Outcomes of the functions", self.outcomes, sandbox),
            "confusion": titled_card("", self.confusion),
            "calibration": titled_card("", self.calibration, self.calibration_note),
            "figures": titled_card("", self._figures_title, self.figures),
            "lenient": titled_card("Nearly right", self.lenient),
            "forgotten": titled_card("What it forgot", self.forgotten_note, self.forgotten),
        }
        self._columns = (column(), column())
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, SPACE, 0)
        self._grid.setSpacing(SPACE)
        for i, lines in enumerate(self._columns):
            self._grid.addLayout(lines, 0, i)
        self._shown: tuple[str, ...] = ()
        self._n_columns = 0
        RelayoutOnResize(self, self._arrange)

    def minimumSizeHint(self) -> QSize:
        widest = max((card.minimumSizeHint().width() for card in self._cards.values()), default=0)
        return QSize(widest + SPACE, super().minimumSizeHint().height())

    def show_scores(self, found: StoredScores, forgetting: Forgetting | None) -> None:
        """Show an evaluation, and what the run has forgotten if that was measured."""
        report, details = found.report, found.report.details
        self.headline.show_scores(found)
        self._show_all(found)
        shown = ["headline", "scores"]
        if outcomes := details.get("outcomes"):
            self.outcomes.show_bars(outcome_bars(outcomes, report.n))
            shown.append("outcomes")
        labels = details.get("labels", ())
        if "confusion" in details and len(labels) <= _MAX_LABELS:
            self.confusion.show_confusion(labels, details["confusion"])
            shown.append("confusion")
        if "calibration" in details:
            self.calibration.show_bins(details["calibration"])
            error = format_score("ece", report.scores["ece"].value)
            self.calibration_note.setText(
                f"On the dashed line, confidence equals accuracy. Calibration error {error}: how far the bars are from "
                "it on average. The numbers count the answers."
            )
            shown.append("calibration")
        if self._show_figures(found.task, details):
            shown.append("figures")
        if "lenient" in details and details.get("types"):
            rows = [figure_row(_LENIENT[name][0], details["lenient"][name]) for name in _LENIENT]
            self.lenient.show_rows(("Asked for", *FIGURE_TITLES[:3]), rows, [tip for _, tip in _LENIENT.values()])
            shown.append("lenient")
        if forgetting is not None and forgetting.changes:
            self._show_forgotten(forgetting)
            shown.append("forgotten")
        self._shown, self._n_columns = tuple(shown), 0
        self._arrange()

    def show_forgetting(self, forgetting: Forgetting) -> None:
        """Show only what a run has forgotten."""
        self._show_forgotten(forgetting)
        self._shown, self._n_columns = ("forgotten",), 0
        self._arrange()

    def _show_all(self, found: StoredScores) -> None:
        report = found.report
        names = [report.headline, *(name for name in report.scores if name != report.headline)]
        rows = [
            [METRICS[name].title, format_score(name, score.value), format_interval(name, score)]
            for name, score in ((name, report.scores[name]) for name in names)
        ]
        details = report.details
        extra = {
            "Copied, in the references": ("copied_ngrams", details.get("reference_copied")),
            "Mean error": ("mae", details.get("mean_error")),
            "Root mean squared error": ("mae", details.get("rmse")),
        }
        rows += [[title, format_score(name, value), ""] for title, (name, value) in extra.items() if value is not None]
        tips = [capitalized(METRICS[name].help) for name in names]
        self.scores.show_rows(("Metric", "Score", "95 % interval"), rows, tips + [""] * (len(rows) - len(tips)))
        show_words(self.notes, " ".join(report.notes))
        self.signatures.show_signatures(report.details.get("signatures", {}))

    def _show_figures(self, task: str, details: Any) -> bool:
        """Show precision, recall and F1 by label, entity type or tag, or scores of questions with or without an answer.

        Return whether the task has any of these.
        """
        title, rows, head = "", [], ("", *FIGURE_TITLES)
        if "per_label" in details:
            title, head = "Each label", ("Label", *FIGURE_TITLES)
            rows = [figure_row(each["label"], each) for each in details["per_label"]]
            rows += [figure_row(f"{name.capitalize()} average", each) for name, each in details["averages"].items()]
        elif details.get("types"):
            title, head = "Each type of entity", ("Type", *FIGURE_TITLES)
            rows = [figure_row(each["type"], each) for each in details["types"]]
            rows.append(figure_row("All together", details["micro"]))
        elif "tags" in details:
            title, head = "Each tag", ("Tag", *FIGURE_TITLES)
            rows = [figure_row(each["tag"], each) for each in details["tags"]]
        elif "has_answer" in details:
            title, head = "With and without an answer", ("Questions", "Number", "Exact match", "Word F1")
            for words, key in (("With an answer", "has_answer"), ("Without one", "no_answer")):
                each = details[key]
                shares = [format_score(name, each[name]) for name in ("exact_match", "token_f1")]
                rows.append([words, f"{each['n']:,}", *shares])
        self._figures_title.setText(title)
        self.figures.setAccessibleName(title)
        self.figures.show_rows(head, rows)
        return bool(rows)

    def _show_forgotten(self, forgetting: Forgetting) -> None:
        assert forgetting.after is not None
        self.forgotten_note.setText(
            f"What it had learned from {forgetting.before.corpus}, before the fine-tuning and after step "
            f"{forgetting.after.step:,}."
        )
        rows = []
        for was, now in forgetting.changes:
            if was.kind == "loss":
                values = [f"{was.value:.3f}", f"{now.value:.3f}", with_minus(f"{now.value - was.value:+.3f}")]
                rows.append(["Loss (nats per token)", *values])
            else:
                values = [format_percent(was.value), format_percent(now.value)]
                rows.append([kind_title(was.kind), *values, format_points(now.value - was.value)])
        self.forgotten.show_rows(("", "Before", "After", "Change"), rows)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        for card in (*self._cards.values(), self.headline):
            card.updateGeometry()  # contents that changed while hidden have changed the heights

    def _arrange(self) -> None:
        self._place_cards()
        needed = max(self._grid.heightForWidth(self.width()), 0)
        if needed != self.minimumHeight():
            self.setMinimumHeight(needed)  # a scroll area would give wrapped texts too little height

    def _place_cards(self) -> None:
        n = 2 if self.width() >= _WIDE * self._theme.text_scale else 1
        if n == self._n_columns or not self._shown:
            return
        self._n_columns = n
        for lines in self._columns:
            while lines.count():
                lines.takeAt(0)
        for i, name in enumerate(self._shown):
            self._columns[i % n].addWidget(self._cards[name])
        show_only({card: name in self._shown for name, card in self._cards.items()})
        stops = [stop for i in range(n) for name in self._shown[i::n] for stop in stops_in(self._cards[name])]
        for one, other in itertools.pairwise(stops):
            put_after(one, other)
        for i, lines in enumerate(self._columns):
            lines.addStretch(1)
            self._grid.setColumnStretch(i, 1 if i < n else 0)


class Headline(QWidget):
    """The headline score with its interval, bars of the model and its baselines, and bars of the groups of rows."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.split, self.number = label("", "subheading"), label("", "muted"), label("", "big-number")
        self.interval = label("", "muted", wrap=True)
        self.verdict = label("", "", wrap=True)
        self.baselines, self.groups = IntervalBars("The model and its baselines", theme), IntervalBars("Groups", theme)
        self.baselines.align(self.groups)
        self._group_title = label("By group", "subheading")
        self._about = HelpMark("")
        number = row(
            self.number, HelpMark("Confidence interval"), self.interval, spacing=2 * SPACE, grows=self.interval
        )
        self.setLayout(
            column(
                row(self.title, self.split, self._about, None, spacing=SPACE // 2),
                number,
                self.baselines,
                self.verdict,
                self._group_title,
                self.groups,
                None,
            )
        )

    def show_scores(self, found: StoredScores) -> None:
        """Show the headline score of an evaluation."""
        report, metric = found.report, METRICS[found.report.headline]
        self.title.setText(metric.title)
        self.title.setToolTip(plain_tip(capitalized(metric.help)))
        self.split.setText(_SPLITS.get(found.split, ""))
        self._about.explain(term_of_words(metric.title))
        self.number.setText(format_score(report.headline, report.value))
        self.number.setAccessibleName(metric.title)
        interval = format_interval(report.headline, report.scores[report.headline])
        about = f"95 % interval {interval}" if interval else "without an interval"
        if report.value is None:
            about = report.scores[report.headline].note or ""
        step = "" if found.step is None else f", step {found.step:,}"
        self.interval.setText(f"{about}\n{format_count(report.n, 'row')} of {found.name}{step}")
        name, best = report.headline, list(found.baselines.items())[:_MAX_BASELINES]
        share = shares_of(name, [report.value, *(each.scores[name].value for _, each in best)])
        bars = [make_bar("This model", name, report.scores[name], share, "accent")]
        bars += [make_bar(title, name, each.scores[name], share, "faint", HELP.get(title, "")) for title, each in best]
        self.baselines.show_bars(bars)
        show_words(self.verdict, describe_lead(found))
        set_role(self.verdict, "warning" if _lead(found) <= 0 else "")
        groups = [
            make_bar(f"{group} ({each.n:,})", name, each.scores[name], share, "info")
            for group, each in found.groups.items()
        ]
        self.groups.show_bars(groups)
        show_if(groups, self._group_title, self.groups)


class Signatures(QWidget):
    """The signatures of sacrebleu, one per line, with a button to copy them."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = label("", "mono-small", wrap=True, selectable=True)
        self.copy = button(
            "Copy", theme, self._on_copy, icon="copy", role="quiet", tip="Copy the signatures, which papers give"
        )
        self.copy.setAccessibleName("Copy the signatures of sacrebleu")
        self.setLayout(row(self.text, self.copy))

    def show_signatures(self, signatures: dict[str, str]) -> None:
        """Show the signatures, by metric; hide the widget if there are none."""
        self.text.setText("\n".join(f"{METRICS[name].title}: {text}" for name, text in signatures.items()))
        self.setVisible(bool(signatures))

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.text())


def describe_lead(found: StoredScores) -> str:
    """Say how far the model is above the best baseline; "" if the model or all baselines have no score."""
    title, lead = _best_rule(found), _lead(found)
    if math.isnan(lead):
        return ""
    rule = f"“{title}”, a rule without a model" + (f", which {HELP[title]}." if title in HELP else ".")
    if not lead:
        return f"No better than {rule}"
    size = format_difference(found.report.headline, abs(lead)).removeprefix("+")
    return f"{size} {'better' if lead > 0 else 'worse'} than {rule}"


def _best_rule(found: StoredScores) -> str:
    """Return the title of the best baseline with a score, or ""; baselines are sorted, the best first."""
    return next((title for title, each in found.baselines.items() if each.value is not None), "")


def _lead(found: StoredScores) -> float:
    """Return how much better the model is than the best baseline: negative if worse, NaN if unknown."""
    best = found.baselines.get(_best_rule(found))
    if best is None or best.value is None or found.report.value is None:
        return math.nan
    sign = -1 if METRICS[found.report.headline].higher_is_better is False else 1
    return sign * (found.report.value - best.value)


def format_interval(name: str, score: Score) -> str:
    """Format a score's interval, as “83.1 % to 91.4 %”; "" if it has none."""
    return "" if score.interval is None else " to ".join(format_score(name, end) for end in score.interval)


def format_difference(name: str, difference: float) -> str:
    """Format the difference between two values of a metric: “+2.3 points” or “−0.012”."""
    if METRICS[name].unit == "share":
        return format_points(difference)
    digits, unit = (1, " points") if METRICS[name].unit == "points" else (3, "")
    return with_minus(f"{difference:+.{digits}f}{unit}")


def format_points(difference: float) -> str:
    """Format a difference of shares in percentage points."""
    return with_minus(f"{100 * difference:+.1f} points")


def shares_of(name: str, values: Iterable[float | None]) -> Callable[[float], float]:
    """Return a function from values of a metric to lengths of bars, 1 for the whole length.

    The length is a share or score itself; for an error, the largest of `values` has the length 0.8.
    """
    unit = METRICS[name].unit
    if unit == "points":
        return lambda value: value / 100
    if unit == "share" or METRICS[name].higher_is_better:
        return lambda value: value
    top = max((abs(value) for value in values if value is not None), default=0.0) or 1.0
    return lambda value: 0.8 * value / top


def outcome_bars(outcomes: Mapping[str, int], n: int) -> list[Bar]:
    """Return a bar for each outcome (of models.tasks.code_judge) that occurred among `n` functions."""
    return [
        Bar(name=outcome.capitalize(), share=outcomes[outcome] / max(n, 1), text=f"{outcomes[outcome]:,}", tone=tone)
        for outcome, tone in OUTCOME_TONES.items()
        if outcome in outcomes
    ]


def make_bar(title: str, name: str, score: Score, share: Callable[[float], float], tone: str, tip: str = "") -> Bar:
    """Return the bar of a score. share: from `shares_of`."""
    interval = score.interval
    words = format_interval(name, score)
    return Bar(
        name=title,
        share=None if score.value is None else share(score.value),
        text=format_score(name, score.value),
        interval=None if interval is None else (share(interval[0]), share(interval[1])),
        tone=tone,
        tip="\n".join(filter(None, (f"95 % interval: {words}" if words else score.note or "", capitalized(tip)))),
    )
