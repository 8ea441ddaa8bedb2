"""The results of an alignment demonstration: stages, goals and curves, for each time that it was completed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    group,
    label,
    row,
    scrolled,
    set_enabled,
    set_role,
    titled_card,
)
from terrarium.app.kit.inputs import choice, fill_choice, grid
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.layout.relayout import SideBySide
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.plot_spec import PlotSpec
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.recipes import align_figures as figures
from terrarium.app.run_views.scores.score_table import ScoreTable
from terrarium.app.session.routes import Go, ShowRun, StopAt
from terrarium.models.number_words import format_count, format_date, format_duration, format_percent, format_signed
from terrarium.models.recipes.demonstrations.demonstrated import Demonstrated
from terrarium.models.recipes.demonstrations.demonstrations_table import BASE_STAGE, DEMONSTRATIONS, STARTS
from terrarium.models.recipes.demonstrations.results import (
    CONSTITUTION,
    FORMAT,
    REFUSE,
    AnyResult,
    Bar,
    ConstitutionResult,
    DemonstrationResult,
    FormatResult,
    RefuseResult,
)
from terrarium.models.tiny_world.refusals import CAVEAT

_WIDE = 820
"""The minimum width for two charts side by side, in pixels at the default text size."""
_CHART_LINES, _SCATTER_LINES = 14, 22
"""The minimum heights of a line chart and of a scatter plot with labelled dots, in lines of text."""
_PRECISION = "In brackets: 95 % intervals (Wilson), as if stories to one prompt were independent of one another."
_PRECISION_ASKED = "In brackets: 95 % intervals (Wilson)."
_FORMAT_LESSON = (
    "Without old rows, the new form leaks into questions that do not ask for it: the model forgets when to use it. "
    "(“Answer in one word.” would be no such form: a model of this size looks a value up while it writes the sentence.)"
)
GONE = "a deleted run"
_STOP_LESSON = (
    "After the peak only the score rises: what is optimized is not what was meant, however good it looks. More "
    "training does not help; stopping does."
)
_WIDE_CARDS = 760
"""The minimum width for cards side by side, in pixels at the default text size."""
_TITLES = ("Question", "Its reply", "Its own critique", "Its own revision")


class DemonstrationView(QWidget):
    """Shows a result of a demonstration; earlier results can be chosen.

    Signals:
        back_asked(): return to the recipes.
    """

    back_asked = Signal()

    def __init__(self, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._go, self._theme = go, theme
        self._found: list[Demonstrated] = []
        self._known: Mapping[str, str] = {}
        self.shown: Demonstrated | None = None
        self.back = button(
            "Learn a task", theme, self.back_asked.emit, icon="caret-left", role="quiet", tip="All tasks"
        )
        self.title, self.about = label("", "title"), label("", "muted", wrap=True)
        self.list = choice("Results", "Each time that it was run, the newest first", width=24)
        self.list.activated.connect(self._on_chosen)
        self.note_words = label("", wrap=True)
        self.note = frame("banner", self.note_words, margin=SPACE)
        self.note.setProperty("tone", "warning")
        self._parts = column()
        self._body: QWidget | None = None
        self.plots: list[PlotView] = []
        self._lines: dict[PlotView, int] = {}
        self.tables: list[ScoreTable] = []
        self.links: dict[str, QPushButton] = {}
        self.stop: QPushButton | None = None
        head = row(self.back, self.title, None, self.list, spacing=2 * SPACE)
        self.area = scrolled(head, self.about, self.note, self._parts, None)
        self.setLayout(column(self.area))
        theme.theme_changed.connect(self._restyle)

    # -- Display -------------------------------------------------------------------------------------------------------

    def show_results(self, found: Sequence[Demonstrated], known: Mapping[str, str]) -> None:
        """Show the newest result, unless the shown one is still among them.

        known: run id -> name, for the runs that still exist.
        """
        kept = next((each for each in found if each == self.shown), None)
        has_changed = list(found) != self._found or known != self._known
        self._found, self._known = list(found), dict(known)
        if not found or (kept is not None and not has_changed):
            return
        shown = found[0] if kept is None else kept
        words = [
            f"{format_date(each.created)}  ·  {known.get(each.result.base, GONE)}, seed {each.result.seed}"
            for each in found
        ]
        fill_choice(self.list, dict(enumerate(words)), list(found).index(shown))
        self.list.setVisible(len(found) > 1)
        self._show(shown)

    def _on_chosen(self, at: int) -> None:
        self._show(self._found[at])

    def _show(self, shown: Demonstrated) -> None:
        self.shown, result = shown, shown.result
        recipe = DEMONSTRATIONS[shown.mark.name]
        self.title.setText(recipe.title)
        self.about.setText(self._facts(shown))
        note = result.note if isinstance(result, DemonstrationResult) else ""
        self.note_words.setText(note)
        self.note.setVisible(bool(note))
        self.plots, self.tables, self._lines = [], [], {}
        self.links, self.stop = {}, None
        body = group(*self._cards(result))
        if self._body is not None:
            self._parts.removeWidget(self._body)
            self._body.hide()
            self._body.deleteLater()
        self._body = body
        self._parts.addWidget(body)
        self._restyle()
        QTimer.singleShot(0, self, lambda: self.area.verticalScrollBar().setValue(0))  # after the layout

    def _cards(self, result: AnyResult) -> list[QWidget]:
        match result:
            case RefuseResult():
                return self._refusal_cards(result)
            case ConstitutionResult():
                return self._constitution_cards(result)
            case FormatResult():
                return self._format_cards(result)
        return self._learning_cards(result)

    def _facts(self, shown: Demonstrated) -> str:
        result = shown.result
        facts = [f"From {self._known.get(result.base, GONE)}", f"seed {result.seed}", format_date(shown.created)]
        facts += [f"took {format_duration(shown.seconds)}"] if shown.seconds is not None else []
        if isinstance(result, DemonstrationResult) and result.n_simulated:
            own = f"{format_count(result.n_own, 'pair')} judged by people, " if result.n_own else ""
            facts.append(f"{own}{format_count(result.n_simulated, 'pair')} by the simulated annotator")
        return "  ·  ".join(facts)

    @Slot()
    def _restyle(self) -> None:
        line = QFontMetrics(self._theme.font()).height()
        for plot in self.plots:
            plot.setMinimumHeight(self._lines[plot] * line)

    # -- Learning to write ---------------------------------------------------------------------------------------------

    def _learning_cards(self, result: DemonstrationResult) -> list[QWidget]:
        titles = DEMONSTRATIONS[result.name].stages
        tables = (
            ("Stages", figures.STAGE_TITLES, figures.stage_rows(result, titles)),
            ("What they still know", figures.KIND_TITLES, figures.kind_rows(result, titles)),
            ("Reward models", figures.PAIR_TITLES, figures.pair_rows(result, titles)),
        )
        stages = titled_card(
            "Stages",
            *(self._table(*about) for about in tables),
            label(_PRECISION, "caption", wrap=True),
            self._links({name: stage.run for name, stage in result.stages.items() if stage.step is None}, titles),
        )
        if "peak" in result.more:
            lesson = self._goodhart_cards(result)
        else:
            lesson = [titled_card("", self._plot(figures.learning_plot(result, titles)))]
        return [*lesson, self._bars_card(result.bars), stages]

    def _goodhart_cards(self, result: DemonstrationResult) -> list[QWidget]:
        run_id, peak = result.stages["ppo"].run, int(result.more["peak"]["step"])
        self.stop = stop = button(
            "Stop at the peak",
            self._theme,
            partial(self._go, StopAt(run_id, peak)),
            icon="git-fork",
            role="primary",
            tip=f"Fork it at step {peak:,}, as a run that ends there",
        )
        set_enabled(stop, self._deleted(run_id) or ("" if peak > 0 else "It was best before its first step."))
        lesson = label(_STOP_LESSON, wrap=True)
        stopping = group(stop, lesson, horizontal=True, spacing=2 * SPACE, grows=lesson)
        best = self._side_by_side([self._plot(each) for each in figures.best_of_plots(result.stages["best_of"])])
        ppo = self._side_by_side([self._plot(each) for each in figures.peak_plots(result.stages["ppo"], peak)])
        return [titled_card("PPO past its peak", stopping, ppo), titled_card("Best of n", best)]

    # -- Learning to refuse --------------------------------------------------------------------------------------------

    def _refusal_cards(self, result: RefuseResult) -> list[QWidget]:
        titles = DEMONSTRATIONS[REFUSE].stages
        stages = titled_card(
            "Stages",
            self._table("Stages", figures.SAFETY_TITLES, figures.safety_rows(result, titles)),
            label(_PRECISION_ASKED, "caption", wrap=True),
            self._links(result.runs, titles),
            label(CAVEAT, "accent", wrap=True),
        )
        columns = ("Asked", "", *(titles[name] for name in result.reports if name != BASE_STAGE))
        attacks = titled_card(
            "What is told, by kind and by attack",
            self._table("Attacks", columns, figures.attack_rows(result)),
            label(figures.shallow_words(result), wrap=True),
        )
        plots = [self._plot(figures.safety_plot(result, titles, STARTS), _SCATTER_LINES)]
        if result.kl_by_position:
            plots.append(self._plot(figures.position_plot(result)))
        return [stages, self._bars_card(result.bars), titled_card("", self._side_by_side(plots)), attacks]

    # -- Learning rules, and learning a format -------------------------------------------------------------------------

    def _constitution_cards(self, result: ConstitutionResult) -> list[QWidget]:
        titles = DEMONSTRATIONS[CONSTITUTION].stages
        rules = titled_card("The rules", *(label(rule, wrap=True) for rule in result.rules))
        cards = titled_card(
            "What it said, and its own critique", CritiqueCards(self._theme, result.cards), self._loop(result)
        )
        stages = titled_card(
            "Stages",
            self._table("Stages", figures.SAFETY_TITLES, figures.safety_rows(result, titles)),
            self._table("Whether replies collapse", figures.HEALTH_TITLES, figures.health_rows(result, titles)),
            label(_PRECISION_ASKED, "caption", wrap=True),
            self._links(result.runs, titles),
            label(CAVEAT, "accent", wrap=True),
        )
        names = list(result.reports)
        starts = dict(zip(names[1:], names[:-1], strict=True))
        plot = self._plot(figures.safety_plot(result, titles, starts), _SCATTER_LINES)
        columns = ("Asked", "", *(titles[name] for name in names))
        attacks = titled_card(
            "What is told, by kind and by attack", self._table("Attacks", columns, figures.attack_rows(result))
        )
        return [rules, cards, stages, self._bars_card(result.bars), titled_card("", plot), attacks]

    def _loop(self, result: ConstitutionResult) -> QWidget:
        """Describe the accuracy of the critiques, and the rounds of learning from them."""
        critic = result.critic
        words = [
            f"Of its critiques of {format_count(critic.n, 'reply', 'replies')} to held-out questions "
            f"{format_percent(critic.accuracy)} are right; it calls {format_percent(critic.false_alarms)} of those "
            "that break no rule bad."
        ]
        words += [
            f"Round {i}: it called {each.n_broken:,} of {each.n:,} replies bad, and learned from "
            f"{format_count(each.n_pairs, 'pair')} to prefer the better one."
            + ("" if each.is_kept else " Then its replies collapsed, so the model before that round stays.")
            for i, each in enumerate(result.rounds, start=1)
        ]
        return label(" ".join(words), wrap=True)

    def _format_cards(self, result: FormatResult) -> list[QWidget]:
        titles = DEMONSTRATIONS[FORMAT].stages
        stages = titled_card(
            "Stages",
            self._table("Stages", figures.FORMAT_TITLES, figures.format_rows(result, titles)),
            label(_PRECISION_ASKED, "caption", wrap=True),
            label(_FORMAT_LESSON, wrap=True),
            self._links({name: stage.run for name, stage in result.stages.items()}, titles),
        )
        return [stages, self._bars_card(result.bars)]

    # -- Parts ---------------------------------------------------------------------------------------------------------

    def _table(self, name: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> ScoreTable:
        table = ScoreTable(name, self._theme)
        table.show_rows(titles, rows, heads=figures.TABLE_TIPS)
        self.tables.append(table)
        return table

    def _plot(self, spec: PlotSpec, n_lines: int = _CHART_LINES) -> PlotView:
        plot = PlotView(self._theme, has_y=True, is_boxed=True)
        plot.show_spec(spec)
        self.plots.append(plot)
        self._lines[plot] = n_lines
        return plot

    def _side_by_side(self, plots: Sequence[PlotView]) -> QWidget:
        """Arrange plots in a row or, if the width is too small, in a column."""
        both, line = QWidget(), row(*plots, spacing=2 * SPACE, grows=plots)
        both.setLayout(line)
        SideBySide(both, line, self._theme, _WIDE)
        return both

    def _deleted(self, run_id: str) -> str:
        return "" if run_id in self._known else "This run was deleted."

    def _links(self, runs: Mapping[str, str], titles: Mapping[str, str]) -> QWidget:
        """Create links to the runs of the stages."""
        for name, run_id in runs.items():
            if not run_id:
                continue
            tip = f"Open the run of the stage “{titles[name]}”"
            link = button(titles[name], self._theme, partial(self._go, ShowRun(run_id)), role="link", tip=tip)
            set_enabled(link, self._deleted(run_id))
            self.links[name] = link
        return flowing(label("Open a stage's run:", "muted"), *self.links.values())

    def _bars_card(self, bars: Sequence[Bar]) -> QWidget:
        n_met = sum(bar.is_met for bar in bars)
        cells = (
            (
                label("reached" if bar.is_met else "missed", "accent" if bar.is_met else "error"),
                label(bar.words, wrap=True),
                label(bar.format(bar.value), "mono-small"),
                label(bar.bound, "muted"),
            )
            for bar in bars
        )
        inside = QWidget()
        inside.setLayout(grid(*cells, grows=1, align={2: Qt.AlignmentFlag.AlignRight}))
        return titled_card(f"Goals: {n_met} of {len(bars)} reached", inside)


class CritiqueCards(QWidget):
    """Cards with a question, a model's reply, its own critique of the reply, and its own revision.

    Four cards show one of `rows` at a time; for rows see ConstitutionResult.cards.
    """

    def __init__(self, theme: ThemeProvider, rows: Sequence[Mapping[str, Any]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows, self._at = list(rows), 0
        self.before = button("", theme, lambda: self._go(-1), icon="caret-left", role="quiet", tip="The one before")
        self.after = button("", theme, lambda: self._go(1), icon="caret-right", role="quiet", tip="The next one")
        self.before.setAccessibleName("The reply before")
        self.after.setAccessibleName("The next reply")
        self.count = label("", "mono-small")
        self.texts = [label("", wrap=True, selectable=True) for _ in _TITLES]
        self.notes = [label("", "caption", wrap=True) for _ in _TITLES]
        cards = [_card(*parts) for parts in zip(_TITLES, self.texts, self.notes, strict=True)]
        self._cards = row(*cards, grows=cards)
        self.setLayout(column(row(self.before, self.count, self.after, None), self._cards))
        SideBySide(self, self._cards, theme, _WIDE_CARDS)
        self._go(0)

    def _go(self, by: int) -> None:
        if not self._rows:
            self.setVisible(False)
            return
        self._at = (self._at + by) % len(self._rows)
        shown, n = self._rows[self._at], len(self._rows)
        self.count.setText(f"{self._at + 1} of {n}")
        for each in (self.before, self.after):
            set_enabled(each, "" if n > 1 else "There is no other reply.")
        critique = shown["critique"]
        is_broken = critique["log_odds"] > 0
        asked = next(each["content"] for each in reversed(shown["messages"]) if each["role"] == "user")
        revision = shown["revision"] if is_broken else ""
        texts = (asked, shown["reply"], critique["words"] or "–", revision or "–")
        for widget, words in zip(self.texts, texts, strict=True):
            widget.setText(words)
        forbidden = "Forbidden" if shown["cell"] == "forbidden" else "Harmless"
        odds = critique["log_odds"]
        sure = 1 / (1 + math.exp(-max(-40.0, min(40.0, odds))))
        is_kept = shown["messages"][-1]["role"] == "assistant"
        if not is_kept:
            learned = ("Not learned from", "Not learned from: the model is unsure, or this is no better")
        elif is_broken:
            learned = ("Not learned from", "Learned from instead of the reply")
        else:
            learned = ("Kept, and learned from", "Not needed: the reply stays")
        notes = (
            forbidden,
            learned[0],
            f"“{critique['rule']}”\nlog-odds of “Yes” over “No” {format_signed(odds, 1)}, so {format_percent(sure)}",
            learned[1],
        )
        for widget, words in zip(self.notes, notes, strict=True):
            widget.setText(words)
        set_role(self.texts[2], "error" if is_broken else "accent")


def _card(title: str, text: QWidget, note: QWidget) -> QFrame:
    return frame("sunken", label(title, "subheading"), text, note, None, margin=SPACE + SPACE // 2, spacing=SPACE // 2)
