"""The result of a recipe: its score beside baselines and goals, scores by group, and actions for the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, label, plain_tip, row, set_role, show_if, show_words
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.run_views.scores.summary import HELP, format_interval, make_bar, outcome_bars, shares_of
from terrarium.app.session.routes import Go, OpenModel, ShowRun
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import capitalized, format_count, format_duration
from terrarium.models.recipes.tasks.results import ALL, TaskResult

_MAX_EARLIER = 4


class ScoredRun(NamedTuple):
    """A run of the library, and the result of its recipe."""

    run_id: str
    result: TaskResult


class RecipeOutcome(QWidget):
    """Shows the newest result of a recipe."""

    def __init__(self, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run_id = ""
        self.number, self.title = label("", "big-number"), label("", "subheading", wrap=True)
        self.about = label("", "caption", wrap=True)
        self.verdict, self.reached = label("", "accent"), label("", "small", wrap=True)
        self.bars = IntervalBars("The model beside simple rules", theme)
        self.groups, self.outcomes = IntervalBars("By group", theme), IntervalBars("Outcomes of the functions", theme)
        self.bars.align(self.groups, self.outcomes)
        self._group_title = label("By group", "subheading")
        self._outcome_title = label("Outcomes of the functions", "subheading")
        self.earlier = label("", "caption", wrap=True)
        self.chat = button(
            "Try it",
            theme,
            lambda: go(OpenModel(self.run_id)),
            icon="chat-circle",
            tip="Use this model in the chat tab",
        )
        self.scores = button(
            "Open scores",
            theme,
            lambda: go(ShowRun(self.run_id, "scores")),
            icon="gauge",
            tip="All scores of the run, and each answer",
        )
        words = column(self.title, self.about, spacing=0)
        top = row(self.number, words, spacing=2 * SPACE, grows=words)
        self.setLayout(
            column(
                top,
                self.verdict,
                self.reached,
                self.bars,
                self._group_title,
                self.groups,
                self._outcome_title,
                self.outcomes,
                self.earlier,
                row(self.chat, self.scores, None),
                None,
            )
        )

    def show_results(self, title: str, runs: Sequence[ScoredRun]) -> None:
        """Show the first of a recipe's runs, and the scores of the others in a line. title: of the recipe."""
        self.run_id, result = runs[0]
        report, metric = result.report, METRICS[result.metric]
        self.number.setText(format_score(result.metric, report.value))
        self.number.setAccessibleName(f"{metric.title} of {title}")
        of_group = f" of “{result.group}”" if result.group else ""
        self.title.setText(f"{metric.title}{of_group}")
        self.title.setToolTip(plain_tip(capitalized(metric.help)))
        interval = format_interval(result.metric, report.scores[result.metric])
        between = f"95 % interval {interval}" if interval else "without an interval"
        facts = (format_count(report.n, "row"), f"seed {result.seed}", f"took {format_duration(result.seconds)}")
        self.about.setText(f"{between}\n{', '.join(facts)}")
        self._show_bars(result)
        self._show_verdict(result)
        self._show_groups(result)
        self._show_outcomes(result)
        earlier = [format_score(each.metric, each.report.value) + _seed(each) for _, each in runs[1:]]
        more = "" if len(earlier) <= _MAX_EARLIER else f" and {len(earlier) - _MAX_EARLIER} more"
        show_words(self.earlier, f"Before: {', '.join(earlier[:_MAX_EARLIER])}{more}." if earlier else "")
        for each, what in ((self.chat, "Try the model of"), (self.scores, "Open the scores of")):
            each.setAccessibleName(f"{what} {title}")

    def _show_bars(self, result: TaskResult) -> None:
        name, group = result.metric, result.groups[result.group]
        beside = {title: report.scores[name] for title, report in group.baselines.items() if name in report.scores}
        share = shares_of(name, [score.value for score in (result.report.scores[name], *beside.values())])
        bars = [make_bar("This model", name, result.report.scores[name], share, "accent")]
        bars += [make_bar(title, name, score, share, "faint", HELP.get(title, "")) for title, score in beside.items()]
        wanted = next((bar for bar in result.bars if (bar.metric, bar.group) == (name, result.group)), None)
        if wanted is not None:
            text = format_score(name, wanted.value)
            bars.append(Bar(name="Goal", share=share(wanted.value), text=text, tone="warning", tip=str(wanted)))
        self.bars.show_bars(bars)

    def _show_verdict(self, result: TaskResult) -> None:
        met = result.are_bars_met
        is_one = len(result.bars) == 1
        words = ("The goal is reached" if is_one else "All goals are reached") if met else "The goal is NOT reached"
        self.verdict.setText(words)
        set_role(self.verdict, "accent" if met else "error")
        self.verdict.setVisible(bool(result.bars))
        lines = [
            f"{'✓' if bar.is_met(result.score_of(bar)) else '✗'}  {bar.what}: "
            f"{format_score(bar.metric, result.score_of(bar))} ({bar.limit})"
            for bar in result.bars
        ]
        self.reached.setText("\n".join(lines) or "Your own rows: no score was set for them to reach.")

    def _show_groups(self, result: TaskResult) -> None:
        name = result.metric
        parts = {
            group or "All": scores.report.scores[name]
            for group, scores in result.groups.items()
            if name in scores.report.scores and group != result.group
        }
        share = shares_of(name, [score.value for score in (result.report.scores[name], *parts.values())])
        n_rows = {group or "All": scores.report.n for group, scores in result.groups.items()}
        self.groups.show_bars(
            [make_bar(f"{group} ({n_rows[group]:,})", name, score, share, "info") for group, score in parts.items()]
        )
        show_if(parts, self._group_title, self.groups)

    def _show_outcomes(self, result: TaskResult) -> None:
        report = result.groups[ALL].report
        outcomes = report.details.get("outcomes", {})
        self.outcomes.show_bars(outcome_bars(outcomes, report.n))
        show_if(outcomes, self._outcome_title, self.outcomes)


def _seed(result: TaskResult) -> str:
    return f" (seed {result.seed}{'' if result.bars else ', own rows'})"
