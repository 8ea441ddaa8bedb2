"""Proxy and gold reward against the KL to the parent, to detect overoptimization and to stop a run at the peak."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    label,
    plain_tip,
    row,
    separator,
    set_enabled,
    set_role,
    show_if,
    splitter,
)
from terrarium.app.kit.inputs import progress_bar
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.linked_charts import LinkedCharts
from terrarium.app.run_views.rewards.kl_chart import NO_DOTS, Dots, KlChart, Line
from terrarium.app.run_views.rewards.parent_measurer import ParentMeasurer
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.routes import ForkRun, StopAt
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.alignment.figures import figure_of, min_kl
from terrarium.models.alignment.overoptimisation import (
    FEWEST_REPLIES,
    MIN_POINTS,
    N_PROMPTS,
    N_REPLIES,
    EvalPoint,
    GaoFit,
    ParentCurves,
    Peak,
    eval_points,
    fit_gao,
    frontier,
    peak_of,
    read_parent_curves,
)
from terrarium.models.number_words import format_count, format_percent, format_signed, with_minus

_PROXIES = ("reward", "rewards/margins")
"""Figures of the proxy reward, by stage: the margin of implicit rewards if a run learns from pairs."""
_AXES = {"root": "√KL", "kl": "KL"}
_ABOUT_AXES = (
    "The distance from the parent: along its square root, what a policy gains at first is a straight line. KL itself "
    "is in nats per reply."
)
_SOME_ROOM = 1.05
_ABOUT_FIT = (
    "Gao's law of overoptimization (arXiv:2210.10760), fitted to the dots by least squares: what was meant gains "
    "d (α − β log d), with d = √KL. α: how fast it rises at first; β: how strongly the reward is gamed later. "
    "R²: the share of the variance that the law explains."
)


class KlPanel(QWidget):
    """The charts of the proxy and the gold reward, with linked x axes, and a column that interprets them.

    Signals:
        point_hovered(): the hovered point has changed.
        step_asked(step): the user wants to see the replies of this step.
    """

    point_hovered = Signal()
    step_asked = Signal(int)

    def __init__(self, session: Session, theme: ThemeProvider) -> None:
        super().__init__()
        self._session, self._theme = session, theme
        self._run: ShownRun | None = None
        self.history = RunHistory()
        self.points: list[EvalPoint] = []
        self.peak: Peak | None = None
        self.fit: GaoFit | None = None
        self.parent_curves: ParentCurves | None = None
        self._proxy_name = _PROXIES[0]
        self._checkpoint: int | None = None
        self.measurer = ParentMeasurer(session, self)
        self.axis = Segments("Distance", _AXES, _ABOUT_AXES)
        self.proxy = KlChart(theme, "What is optimized", "", "accent", has_x=False)
        self.gold = KlChart(theme, "What was meant", figure_of("gold").help, "validation", has_x=True)
        self.charts = (self.proxy, self.gold)
        self.peak_words, self.peak_detail = label("", "subheading", wrap=True), label("", "caption", wrap=True)
        self.stop = button(
            "Stop at the peak",
            theme,
            lambda: self._go_to(StopAt),
            icon="stop",
            role="primary",
            tip="Make a run of its own that ends there: to chat with, to measure, to export, or to train on",
        )
        self.fork = button(
            "Fork there…",
            theme,
            lambda: self._go_to(ForkRun),
            icon="git-fork",
            tip="Start there again, with another β, learning rate or number of steps",
        )
        self.fit_words, self.fit_detail = label("", "subheading", wrap=True), label("", "caption", wrap=True)
        self.parent_words, self.parent_detail = label("", "subheading", wrap=True), label("", "caption", wrap=True)
        self.measure = button(
            "Measure best-of-n",
            theme,
            self._on_measure,
            icon="gauge",
            tip=f"Draw {N_REPLIES} replies of the parent to each of at most {N_PROMPTS} validation prompts, and choose "
            "the best by this run's reward: what one gets without any training",
        )
        self.cancel = button("Cancel", theme, self.measurer.cancel, icon="stop", tip="Stop measuring")
        self.progress = progress_bar("Progress of best-of-n")
        self.problem = label("", "error", wrap=True)
        self._build()
        for chart in self.charts:
            chart.read.connect(self._on_pointed)
            chart.chosen.connect(lambda i: self.step_asked.emit(self.points[i].step))
        self._linked = LinkedCharts([chart.chart for chart in self.charts], self)
        self.axis.changed.connect(lambda _: self._draw())
        self.measurer.changed.connect(self._show_measuring)
        self.measurer.finished.connect(self._on_measured)

    def _build(self) -> None:
        facts = frame(
            "card",
            self.peak_words,
            self.peak_detail,
            self.stop,
            self.fork,
            separator(),
            label("Gao's law", "caption"),
            self.fit_words,
            self.fit_detail,
            separator(),
            label("Without training", "caption"),
            self.parent_words,
            self.parent_detail,
            row(self.measure, self.progress, self.cancel, grows=self.progress),
            self.problem,
            None,
            margin=SPACE + SPACE // 2,
        )
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # clicks between the widgets do not take the focus
        area.setAccessibleName("About the policy and its reference")
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        facts.setMinimumWidth(240)
        area.setWidget(facts)
        self.picture = frame("card", *self.charts, margin=SPACE + SPACE // 2, grows=self.charts)
        self.setLayout(column(splitter(self.picture, area, sizes=[720, 300], grows=0)))

    # -- Content ----------------------------------------------------------------------------------------

    def show_run(self, run: ShownRun) -> None:
        """Switch to a run; `refresh` then draws it."""
        self._run, self.history = run, run.history
        self.measurer.cancel()
        self.problem.setText("")
        self._linked.show_whole()
        for chart in self.charts:
            chart.show_point(None)
        self._read_parent()

    @property
    def has_looks(self) -> bool:
        """Whether the KL to the parent was measured at two or more validations."""
        return len(self.history.figures.get(("kl", True), ())) > 1

    @Slot()
    def refresh(self) -> None:
        """Recompute the points, the peak and the fit, and redraw: the run may have grown."""
        values = {name: self._by_step(name) for name in ("kl", "gold", "held_out/replies", *_PROXIES)}
        self._proxy_name = next((name for name in reversed(_PROXIES) if values[name]), _PROXIES[0])
        proxy = values[self._proxy_name]
        self.points = eval_points(values["kl"], proxy, values["gold"], values["held_out/replies"])
        self.peak = peak_of(self.points)
        self.fit = fit_gao([point.kl for point in self.points], [point.gold for point in self.points], is_best_of=False)
        self._draw()
        self._show_peak()
        self._show_fit()
        self._show_measuring()

    def _by_step(self, name: str) -> dict[int, float]:
        table = self.history.figures.get((name, True))
        if table is None:
            return {}
        return dict(zip(table["step"].astype(int).tolist(), table["value"].tolist(), strict=True))

    def _read_parent(self) -> None:
        self.parent_curves = None
        if self._run is not None and self._run.folder is not None:
            try:
                self.parent_curves = read_parent_curves(self._run.folder)
            except ValueError as error:
                self.problem.setText(str(error))

    @property
    def share(self) -> float:
        """The parent's gold reward: the share of its replies that are as intended, NaN if unknown.

        From the replies drawn to measure best-of-n if there are any, else from the validation at step 0.
        """
        if self.parent_curves is not None and math.isfinite(self.parent_curves.share):
            return self.parent_curves.share
        first = self.points[0] if self.points else None
        return first.gold if first is not None and first.step == 0 else math.nan

    def _draw(self) -> None:
        points = self.points
        for chart in self.charts:
            chart.is_root = self.axis.value == "root"
        gold_is_known = any(math.isfinite(point.gold) for point in points)
        align = self._run.spec.align if self._run is not None and self._run.spec is not None else None
        figure = figure_of(self._proxy_name)
        self.proxy.title.setToolTip(plain_tip(f"{figure.title}: {figure.help}"))
        is_scored = align is not None and align.reward_model
        unit = "reward model, in σ of the parent's replies" if is_scored else figure.unit or "mean reward"
        self.proxy.show_unit(unit)
        self.gold.show_unit("% of replies" if gold_is_known else "nothing says what was meant")
        self.gold.scale = 100.0
        kl = np.array([point.kl for point in points])
        nothing = np.full(len(points), math.nan)
        intervals = [point.interval or (math.nan, math.nan) for point in points]
        low, high = np.array(intervals).T if intervals else (nothing, nothing)
        at = None if self.peak is None else points.index(self.peak.point)
        proxies, golds = (np.array([getattr(point, name) for point in points]) for name in ("proxy", "gold"))
        longest = self._longest()
        words = [format_signed(point.proxy) if math.isfinite(point.proxy) else "" for point in points]
        dots = Dots(kl=kl, value=proxies, low=nothing, high=nothing, words=words)
        self.proxy.draw(dots if len(points) else NO_DOTS, self._lines_of_proxy(), longest)
        words = [_gold_words(point) for point in points]
        dots = Dots(kl=kl, value=golds, low=low, high=high, words=words, peak=at)
        least = min_kl(self.share)
        self.gold.show_price(
            least,
            f"at least ln 1/{self.share:.3g} = {least:.1f} nats for 100 %" if math.isfinite(least) else "",
            "A model whose replies are all as meant is at least this far from a parent with this share of them.",
        )
        self.gold.draw(dots if len(points) else NO_DOTS, self._lines_of_gold(), longest)
        marks = self._marks()
        for chart in self.charts:
            chart.show_marks(marks)

    def _longest(self) -> float:
        ends = [point.kl for point in self.points]
        if math.isfinite(min_kl(self.share)):
            ends.append(min_kl(self.share))
        if self.parent_curves is not None:
            ends.append(self.parent_curves.best_of[-1].kl)
        return _SOME_ROOM * max(ends, default=0.0) or 1.0

    def _lines_of_proxy(self) -> list[Line]:
        if self.parent_curves is None or self._proxy_name != "reward":
            return []
        return [self._best_of("proxy"), self._predicted("proxy")]

    def _lines_of_gold(self) -> list[Line]:
        lines = []
        kl, gold = frontier(self.share) if math.isfinite(self.share) else (np.empty(0), np.empty(0))
        if len(kl):
            at_end = self._longest()
            kl, gold = np.append(kl, max(at_end, kl[-1])), np.append(gold, 1.0)
            lines.append(
                Line(
                    name="highest possible",
                    tip=f"No model this close to the parent can do better: the KL of two coins, from the parent's "
                    f"{format_percent(self.share, 1)}. That share is an estimate.",
                    kl=kl,
                    value=gold,
                    role="muted",
                )
            )
        if self.fit is not None:
            d = np.linspace(0.0, math.sqrt(max(point.kl for point in self.points)), 120)
            tip = _ABOUT_FIT
            line = Line(
                name="Gao's law", tip=tip, kl=d * d, value=self.fit.gold(d), role="validation", style="dash-dotted"
            )
            lines.append(line)
        if self.parent_curves is not None and math.isfinite(self.parent_curves.share):
            lines += [self._best_of("gold"), self._predicted("gold")]
        of_best = self._fit_of_best()
        if of_best is not None and self.parent_curves is not None:
            d = np.linspace(0.0, math.sqrt(self.parent_curves.best_of[-1].kl), 80)
            tip = "Gao's law for best-of-n, d (α − β d), fitted to its dots by least squares."
            line = Line(
                name="best-of-n's law", tip=tip, kl=d * d, value=of_best.gold(d), role="info", style="dash-dotted"
            )
            lines.append(line)
        return lines

    def _best_of(self, what: str) -> Line:
        assert self.parent_curves is not None
        points = self.parent_curves.best_of
        return Line(
            name=f"best of n, to {points[-1].n}",
            tip="The best of n replies of the parent by this run's reward, n = 1, 2, 4 …: no training at all. Its KL "
            "is log n − (n − 1)/n at most (arXiv:2401.01879).",
            kl=np.array([point.kl for point in points]),
            value=np.array([getattr(point, what) for point in points]),
            role="info",
            style="dashed",
            has_dots=True,
        )

    def _predicted(self, what: str) -> Line:
        assert self.parent_curves is not None
        points = self.parent_curves.predicted
        return Line(
            name="predicted",
            tip="Estimated before any training: where the best policy for this reward would be, ∝ parent · exp(λ · "
            f"reward), out of {self.parent_curves.n_replies} replies of the parent to each prompt. It ends where fewer "
            f"than {FEWEST_REPLIES} of them would count.",
            kl=np.array([point.kl for point in points]),
            value=np.array([getattr(point, what) for point in points]),
            role="text",
            style="dotted",
        )

    def _marks(self) -> list[float]:
        """Return the KL at the steps at which β or the learning rate was changed."""
        table = self.history.figures.get(("kl", False)) or self.history.figures.get(("kl", True))
        steps = [mark.step for mark in self.history.marks if mark.event in ("beta", "learning rate")]
        if table is None or not len(table) or not steps:
            return []
        return np.interp(steps, table["step"], table["value"]).tolist()

    # -- The peak ---------------------------------------------------------------------------------------

    def _show_peak(self) -> None:
        peak, why = self.peak, ""
        kept = self._session.runs.checkpoint_steps(self._run.id) if self._run is not None and self._run.id else []
        self._checkpoint = None
        if peak is None:
            self.peak_words.setText("No peak")
            why = "It is not known which replies are as meant, so no peak can be found."
        else:
            where = f"Peak: {format_percent(peak.point.gold)} as meant, at step {peak.point.step:,}"
            self.peak_words.setText(where)
            before = [step for step in kept if step <= peak.point.step]
            if peak.point is peak.last:
                why = "It has not fallen: the last measurement is the highest, so there is nothing to stop at yet."
            elif peak.point.step == 0:
                why = "No measurement is better than the parent itself, so there is nothing to stop at."
            elif not before:
                why = (
                    f"No checkpoint at or before step {peak.point.step:,} is left: for a run to be stopped at its "
                    "peak, keep more checkpoints (Keep checkpoints)."
                )
            else:
                self._checkpoint = max(before)
        self.peak_detail.setText(why or self._about_peak())
        for each in (self.stop, self.fork):
            set_enabled(each, why)
        is_clear = peak is not None and peak.is_clear
        set_role(self.stop, "primary" if is_clear else "")
        self._theme.set_icon(self.stop, "stop", "on_accent" if is_clear else "text")

    def _about_peak(self) -> str:
        peak = self.peak
        assert peak is not None
        assert self._checkpoint is not None
        at, now = self._checkpoint, peak.last
        fallen = f"By step {now.step:,} it has fallen to {format_percent(now.gold)}"
        if math.isfinite(peak.error):
            certain = "more than chance would do" if peak.is_clear else "which may be chance"
            fallen += f" ({100 * peak.fallen:.0f} points, ± {200 * peak.error:.0f}: {certain})"
        if at == peak.point.step:
            return f"{fallen}. The model of this step is kept."
        gap = format_count(peak.point.step - at, "step")
        known = next((point for point in self.points if point.step == at and math.isfinite(point.gold)), None)
        of = f", with {format_percent(known.gold)}" if known is not None else ""
        return f"{fallen}. The nearest checkpoint before it is of step {at:,}, {gap} earlier{of}."

    def _go_to(self, route: type[StopAt | ForkRun]) -> None:
        if self._run is not None and self._checkpoint is not None:
            self._session.go(route(self._run.id, self._checkpoint))

    # -- The law ----------------------------------------------------------------------------------------

    def _show_fit(self) -> None:
        n = sum(math.isfinite(point.gold) for point in self.points)
        fit = self.fit
        if fit is None:
            self.fit_words.setText("Not fitted yet" if n < MIN_POINTS else "No law fits")
            few = f"From {MIN_POINTS} measurements on ({n} so far): what was meant gains d (α − β log d), with d = √KL."
            self.fit_detail.setText(few if n < MIN_POINTS else "All measurements are at one KL, or equal.")
            return
        self.fit_words.setText(_numbers(fit, "   "))
        top = f" The law has its peak at KL {fit.peak**2:.1f}." if fit.peak**2 <= 4 * self._longest() else ""
        weak = " It explains these measurements poorly." if fit.r2 < 0.5 else ""
        self.fit_detail.setText(
            f"What was meant gains d (α − β log d), with d = √KL: by {fit.n} measurements.{top}{weak}"
        )
        self.fit_words.setToolTip(plain_tip(_ABOUT_FIT))
        self.fit_detail.setToolTip(plain_tip(_ABOUT_FIT))

    # -- The parent -------------------------------------------------------------------------------------

    def _on_measure(self) -> None:
        if self._run is not None and self._run.folder is not None:
            self.measurer.start(self._run.folder)

    @Slot()
    def _on_measured(self) -> None:
        self._read_parent()
        self.refresh()

    @Slot()
    def _show_measuring(self) -> None:
        busy, curves = self.measurer.busy, self.parent_curves
        spec = self._run.spec if self._run is not None else None
        offered = spec is not None and spec.align is not None and spec.align.task == "prompts"
        self.measure.setVisible(not busy and offered)
        self.measure.setText("Measure again" if curves is not None else "Measure best-of-n")
        show_if(busy, self.progress, self.cancel)
        self.progress.setValue(round(1000 * self.measurer.done))
        if self.measurer.problem:
            self.problem.setText(self.measurer.problem)
        self.problem.setVisible(bool(self.problem.text()))
        if busy:
            self.parent_words.setText(self.measurer.words)
            self.parent_detail.setText("")
        elif curves is None:
            self.parent_words.setText("Best-of-n is not measured" if offered else "Best-of-n")
            words = "The best of n replies of the parent, by this run's reward, and where that reward would lead."
            none = "This run learns from pairs, so it has no reward by which the best of n could be chosen."
            self.parent_detail.setText(words if offered else none)
        else:
            self._show_best_of(curves)

    def _show_best_of(self, curves: ParentCurves) -> None:
        last = curves.best_of[-1]
        drawn = f"{curves.n_replies} replies to each of {format_count(curves.n_prompts, 'prompt')}"
        if not math.isfinite(curves.share):
            self.parent_words.setText(f"Best of {last.n}: {format_signed(last.proxy)}")
            self.parent_detail.setText(f"Of {drawn}.")
            return
        top = max(curves.best_of, key=lambda point: point.gold)
        self.parent_words.setText(f"Best of {top.n}: {format_percent(top.gold)} as meant")
        then = f" Best of {last.n}: {format_percent(last.gold)}." if last.n != top.n else ""
        fit = self._fit_of_best()
        law = f" Gao's law for it, d (α − β d): {_numbers(fit)}." if fit is not None else ""
        self.parent_detail.setText(
            f"Of {drawn}, from {format_percent(curves.share, 1)} of single ones.{then} The KL of best-of-n is an upper "
            f"bound.{law}"
        )

    def _fit_of_best(self) -> GaoFit | None:
        """Fit Gao's law of best-of-n to its points; None if there are too few."""
        points = self.parent_curves.best_of if self.parent_curves is not None else ()
        return fit_gao([point.kl for point in points], [point.gold for point in points], is_best_of=True)

    # -- Pointing ---------------------------------------------------------------------------------------

    @Slot(object)
    def _on_pointed(self, i: int | None) -> None:
        for chart in self.charts:
            if chart is not self.sender():
                chart.show_point(i)
        self.point_hovered.emit()

    @property
    def point_words(self) -> str:
        """The description of the hovered point; "" if there is none."""
        i = self.proxy.index
        if i is None:
            return ""
        point, values = self.points[i], (chart.dots.words[i] for chart in self.charts)
        return " · ".join(filter(None, (f"Step {point.step:,}", f"KL {point.kl:.2f}", *values)))


def _numbers(fit: GaoFit, between: str = ", ") -> str:
    """Format the fitted parameters, as “α 0.50, β 0.30, R² 0.98”."""
    numbers = (("α", fit.alpha), ("β", fit.beta), ("R²", fit.r2))
    return between.join(f"{name} {with_minus(f'{value:.2f}')}" for name, value in numbers)


def _gold_words(point: EvalPoint) -> str:
    """Format the gold reward of a point, with its confidence interval."""
    if not math.isfinite(point.gold):
        return ""
    ends = point.interval
    of = f" ({100 * ends[0]:.0f} to {100 * ends[1]:.0f})" if ends is not None else ""
    return f"{format_percent(point.gold)}{of}"
