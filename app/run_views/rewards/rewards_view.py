"""The monitor of an alignment run: proxy and gold reward, KL, and all other figures."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QGridLayout, QScrollArea, QWidget

from terrarium.app.kit.basics import (
    EmptyState,
    button,
    column,
    frame,
    group,
    label,
    row,
    show_only,
    splitter,
    titled_card,
)
from terrarium.app.kit.export_button import Columns, ExportButton
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.advanced_settings import MoreLink
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.plots.linked_charts import LinkedCharts
from terrarium.app.run_views.curves.curve_choices import CurveChoices
from terrarium.app.run_views.curves.curves_view import RedrawPause, RunMarks, chart_card
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.run_views.examining import RunExaminer
from terrarium.app.run_views.rewards.figure_chart import KL, ChartPlan, FigureChart, first_charts, plan_charts
from terrarium.app.run_views.rewards.kl_panel import KlPanel
from terrarium.app.run_views.rewards.verdict import verdict_of
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.alignment.figures import min_kl
from terrarium.models.diagnosis import SHOWN_BY, Diagnosis, Examination
from terrarium.models.evaluation.record import read_forgetting
from terrarium.models.events import KnownFigure
from terrarium.models.metrics.intervals import wilson
from terrarium.models.number_words import format_duration, format_percent
from terrarium.models.runs.curve import Table

_LEGEND = "Thin: each step. Thick: smoothed. Dots: on validation prompts. Shaded: the healthy range."
_LEAST_LINES, _TALL_LINES, _SMALL_LINES = 10, 10, 6
"""Minimum heights in lines of text: of the view, a tall and a small chart. If they do not fit, the view scrolls."""
_TALLEST_LINES = 14
"""Maximum height per tall chart beside small ones, in lines of text, so that all charts fit on one screen."""
_LOST = 0.03
"""A larger loss of accuracy, as a share of the answers, is drawn as a warning."""
_AGAINST = {"steps": "Step by step", "kl": "Against KL"}
_NOTHING = "It shows the reward beside what is meant, from the first step on."


class RewardsView(QWidget):
    """The figures of one run, each with its definition, its healthy range and its alert.

    Signals:
        step_asked(step): the user wants to see the replies of this step.
    """

    step_asked = Signal(int)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.history = RunHistory()
        self._run: ShownRun | None = None
        self._names: frozenset[str] = frozenset()
        self.charts: tuple[FigureChart, ...] = ()
        self._linked = LinkedCharts((), self)
        self._axis = RunAxis()
        self._row: int | None = None
        self.position = ElidedLabel()
        self.position.setProperty("role", "caption")
        self.choices = CurveChoices(session, has_log=False)
        self.whole = button("Whole run", theme, self._show_whole, icon="corners-out", tip="Show the whole run again")
        self._alert_words = label("", wrap=True)
        self.alerts = frame("banner", self._alert_words, margin=SPACE)
        self.alerts.setProperty("tone", "warning")
        self._picture, self._place = QWidget(), column()
        self._picture.setProperty("role", "scrolled")
        self._picture.setLayout(self._place)
        self._charts: QWidget | None = None
        self.unlearned = IntervalBars("What it unlearned", theme)
        self._unlearned_words = label("", "caption", wrap=True)
        self._unlearned_card = titled_card("What it unlearned", self._unlearned_words, self.unlearned)
        self._unlearned_card.hide()
        self.verdict = label("", "subheading", wrap=True)
        self.more = MoreLink("chart", session.detail)
        self.more.folded_changed.connect(self._on_folded)
        self._left, self._n_tall = QWidget(), 0
        self._n_lines = _LEAST_LINES
        self.export = ExportButton(session.notices, theme, self._picture, self._numbers)
        self._empty = EmptyState("Nothing measured yet", _NOTHING)
        tip = "Against KL: what is gained by moving away from the parent, and where its peak is"
        self.against = Segments("Drawn", _AGAINST, tip)
        self.kl = KlPanel(session, theme)
        self._pages = Pages({"empty": lambda: self._empty, "charts": self._make_page, "kl": lambda: self.kl})
        self._pages.page("kl")  # gives it a parent: a widget without one would be a window
        self._found: tuple[Diagnosis, ...] = ()
        self._examiner = RunExaminer(self)
        self._examiner.examined.connect(self._on_examined)
        self._pause = RedrawPause(self)
        self._pause.over.connect(self.refresh)
        bar = row(self.against, self.position, self.kl.axis, self.choices, self.whole, self.export, grows=self.position)
        said = row(self.verdict, self.more, spacing=2 * SPACE, grows=self.verdict)
        self.setLayout(column(bar, said, self.alerts, self._pages, grows=self._pages))
        self.choices.smoother.valueChanged.connect(self._on_smoothing)
        self.choices.axes.currentIndexChanged.connect(self._on_axis)
        self.against.changed.connect(lambda _: self._show_page())
        self.kl.step_asked.connect(self.step_asked)
        self.kl.point_hovered.connect(lambda: self.position.setText(self._position_text()))
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    def _make_page(self) -> QWidget:
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # clicks between the widgets do not take the focus
        area.setAccessibleName("Charts of rewards")
        area.setWidget(self._picture)
        return area

    # -- The charts -------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        """Create the charts of the run's figures, and link them."""
        tall, small = plan_charts(self._names)
        self._set_up(tall, small)
        self._linked = LinkedCharts([chart.chart for chart in self.charts], self)
        self._linked.enable_while_zoomed(self.whole)
        for chart in self.charts:
            chart.read.connect(self._on_pointed)
            chart.step_asked.connect(self.step_asked)

    def _set_up(self, tall: list[ChartPlan], small: list[ChartPlan]) -> None:
        """Create all charts, or the most important ones if the others are folded away."""
        few, n_hidden = first_charts(tall, small)
        self.more.set_hidden(n_hidden)
        self._unlearned_card.setParent(self._picture)
        if self._charts is not None:
            self._place.removeWidget(self._charts)
            self._charts.hide()
            self._charts.deleteLater()
        if self.more.is_folded:
            self.charts = tuple(self._chart(plan, tall=True, explained=True) for plan in few)
            self._arrange_few(self.charts)
        else:
            first, others = ([self._chart(plan, tall=of is tall) for plan in of] for of in (tall, small))
            self.charts = (*first, *others)
            self._arrange(first, others)

    def _chart(self, plan: ChartPlan, *, tall: bool, explained: bool = False) -> FigureChart:
        chart = FigureChart(self._theme, plan.series, stacked=plan.stacked, tall=tall, explained=explained)
        chart.set_smoothing(self.choices.smoothing)
        return chart

    def _arrange_few(self, charts: Sequence[FigureChart]) -> None:
        """Arrange the charts in two columns, above the card of unlearned knowledge."""
        self._left, self._n_tall = QWidget(), 0
        self._n_lines = max(_TALL_LINES * ((len(charts) + 1) // 2), _LEAST_LINES)
        self._restyle()
        lines = QGridLayout()
        lines.setSpacing(SPACE)
        for i, chart in enumerate(charts):
            lines.addWidget(chart_card(chart), i // 2, i % 2)
            lines.setColumnStretch(i % 2, 1)
        self._charts = group(lines, self._unlearned_card, grows=lines)
        self._place.addWidget(self._charts)

    def _arrange(self, tall: list[FigureChart], small: list[FigureChart]) -> None:
        self._left, self._n_tall = chart_card(*tall), len(tall)
        wide = [chart for chart in small if len(chart.series) > 1]
        narrow = [chart for chart in small if chart not in wide]
        n_rows = (len(narrow) + 1) // 2 + len(wide)
        self._n_lines = max(_TALL_LINES * len(tall), _SMALL_LINES * n_rows, _LEAST_LINES)
        self._restyle()
        lines = QGridLayout()
        lines.setHorizontalSpacing(2 * SPACE)
        lines.setVerticalSpacing(SPACE)
        for i, chart in enumerate(narrow):
            lines.addWidget(chart, i // 2, i % 2)
        for i, chart in enumerate(wide, start=(len(narrow) + 1) // 2):
            lines.addWidget(chart, i, 0, 1, 2)
        for at in (0, 1):
            lines.setColumnStretch(at, 1)
        for chart in wide[-1:] or narrow[-2:]:
            chart.show_x(shown=True)
        cards = list[QWidget]()
        if tall:
            cards.append(group(self._left, self._unlearned_card, None, grows=self._left))
        if small:
            legend = label(_LEGEND, "caption", wrap=True)
            cards.append(frame("card", legend, lines, margin=SPACE + SPACE // 2))
        self._charts = splitter(*cards, sizes=[500, 500])
        self._place.addWidget(self._charts)

    # -- Content ----------------------------------------------------------------------------------------

    def show_run(self, run: ShownRun) -> None:
        """Show a run's figures."""
        self._run, self.history, self._found = run, run.history, ()
        self._examiner.show_run(run)
        self._pause.skip()
        self.export.name = f"{run.name or 'run'} rewards"
        self._on_pointed(None)
        self._show_whole()
        self.kl.show_run(run)
        self._draw()

    @Slot()
    def refresh(self) -> None:
        """Redraw now, or after a pause that leaves the training enough time."""
        if self._pause.begin_redraw():
            self._draw()
            self._examiner.refresh()
            if len(self.history.train) > 1:
                self._pause.end_redraw()

    def _draw(self) -> None:
        names = frozenset(name for (name, _), table in self.history.figures.items() if _says_something(name, table))
        if names != self._names:
            self._names = names
            self._rebuild()
        self._axis = RunAxis.of(self.choices.axis, self.history.train)
        marks = RunMarks(self.history, self._axis)
        self.verdict.setText(verdict_of(self.history.figures))
        self._set_price()
        self._show_unlearned()
        for chart in self.charts:
            chart.draw(self.history, self._axis, marks.lines)
        self._show_alerts()
        why = self.history.empty_reason
        self._empty.set_words("Nothing to show" if why else "Nothing measured yet", why or _NOTHING)
        self._show_page()
        self.position.setText(self._position_text())

    def _show_page(self) -> None:
        has_looks = self.kl.has_looks
        self.against.setVisible(has_looks)
        is_kl = has_looks and self.against.value == "kl"
        self._pages.show_page("kl" if is_kl else "charts" if self._names else "empty")
        show_only(
            {
                self.kl.axis: is_kl,
                self.verdict: bool(self.verdict.text()) and not is_kl,
                self.more: not is_kl and self.more.has_any,
                self.choices: not is_kl,
                self.whole: not is_kl,
            }
        )
        self.export.picture = self.kl.picture if is_kl else self._picture
        if is_kl:
            self.kl.refresh()

    def _set_price(self) -> None:
        """Mark, in the KL chart, the minimum KL of the goal, given the share of the parent's replies that reach it."""
        chart = next((chart for chart in self.charts if chart.series[0].name in KL), None)
        if chart is None:
            return
        figures = self.history.figures
        of_reward = figures.get(("reward", True), figures.get(("pass@1", False)))
        first = of_reward if "pass@1" in self._names else figures.get(("gold", True))
        share = float(first["value"][0]) if first is not None and len(first) else 0.0
        least, words, tip = min_kl(share), "", ""
        if math.isfinite(least):
            words = f"at least {least:.1f} for {'a reward of 1' if 'pass@1' in self._names else '100 % as meant'}"
            tip = (
                f"How far it must move at least: before training {format_percent(share, 1)} of its replies were what "
                f"is wanted; for 100 % it must change by {least:.1f} nats (ln 1/{share:.3g})."
            )
        chart.show_reference(least, words, tip)

    def _show_unlearned(self) -> None:
        """Show the accuracy by kind of question before the first step and after the last, if both were measured."""
        folder, found = self._run.folder if self._run is not None else None, None
        if folder is not None:
            with contextlib.suppress(ValueError):  # the scores view reports a damaged file
                found = read_forgetting(folder)
        if found is None or found.after is None:
            self._unlearned_card.setVisible(False)
            return
        self._unlearned_card.setVisible(True)
        self._unlearned_words.setText(
            f"Held-out questions on {found.before.corpus}, of which the parent answered the first share rightly, and "
            f"the model after step {found.after.step:,} the second, with its 95 % interval."
        )
        self.unlearned.show_bars([_bar_of(was, now) for was, now in found.changes])

    @Slot(object)
    def _on_examined(self, examination: Examination) -> None:
        self._found = examination.diagnoses
        self._show_alerts()

    def _show_alerts(self) -> None:
        """Show the doctor's diagnoses above the charts, and each at the chart of its figure."""
        said = {each.kind: f"{each.title}: {each.sentence}" for each in self._found}
        at: dict[str, str] = {}
        for kind, words in said.items():
            shown = next((name for name in SHOWN_BY.get(kind, ()) if name in self._names), None)
            if shown is not None:
                at[shown] = f"{at[shown]}\n{words}" if shown in at else words
        for chart in self.charts:
            chart.show_alerts(at)
        more = [f"{name}: {says}" for chart in self.charts for name, says in chart.alerts.items()]
        self._alert_words.setText("\n".join([*said.values(), *more]))
        self.alerts.setVisible(bool(said or more))

    @property
    def alert_words(self) -> str:
        """The text of the alerts, one per line."""
        return self._alert_words.text()

    @Slot()
    def _on_folded(self) -> None:
        if self._names:
            self._rebuild()
            self._draw()

    def _show_whole(self) -> None:
        self._linked.show_whole()

    @Slot()
    def _on_axis(self) -> None:
        self._linked.show_whole()
        self._draw()

    @Slot()
    def _on_smoothing(self) -> None:
        for chart in self.charts:
            chart.set_smoothing(self.choices.smoothing)

    @Slot()
    def _restyle(self) -> None:
        line = QFontMetrics(self._theme.font()).height()
        self._picture.setMinimumHeight(self._n_lines * line)
        self._left.setMaximumHeight(max(self._n_tall, 2) * _TALLEST_LINES * line)

    def _numbers(self) -> Callable[[], Columns]:
        columns = self.history.columns()  # copied, since the run may grow during the export
        return lambda: columns

    @Slot(object)
    def _on_pointed(self, at: int | None) -> None:
        """Show the values of this row of `history.train` in all charts."""
        self._row = at
        for chart in self.charts:
            if chart is not self.sender():
                chart.show_point(at)
        self.position.setText(self._position_text())

    def _position_text(self) -> str:
        if self.kl.point_words and self._pages.current == "kl":
            return f"{self.kl.point_words}. Click for its replies."
        train = self.history.train
        if not len(train):
            return ""
        at = len(train) - 1 if self._row is None or self._row >= len(train) else self._row
        seconds = self.history.elapsed_s if self._row is None else float(train["elapsed_s"][at])
        words = f"Step {train['step'][at]:,.0f}, {format_duration(seconds)}"
        return words if self._row is None else f"{words}. Click for its replies."


def _bar_of(was: KnownFigure, now: KnownFigure) -> Bar:
    """Return the bar of a kind of question, before and after. A loss is not a share, so only its text is shown."""
    if was.kind == "loss":
        return Bar(name="loss", share=None, text=f"{was.value:.3f} → {now.value:.3f} nats/token")
    is_lost = now.value < was.value - _LOST
    return Bar(
        name=was.kind,
        share=now.value,
        text=f"{100 * was.value:.0f} → {format_percent(now.value)}",
        interval=wilson(now.value * now.n, now.n),
        tone="warning" if is_lost else "accent",
        tip=f"Of {now.n} questions. {'More than 3 points are lost.' if is_lost else ''}".strip(),
    )


def _says_something(name: str, table: Table) -> bool:
    """Return whether to draw a figure: all but a KL coefficient that never changes."""
    return name != "kl_coef" or len(set(table["value"].tolist())) > 1
