"""The pairs of a preference dataset: problems, a table of all pairs, and one pair side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHeaderView, QWidget

from terrarium.app.kit.basics import column, frame, headed, label, row, show_words
from terrarium.app.kit.inputs import choice, fill_choice, line_edit
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.layout.relayout import RelayoutOnResize, WholeRows
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.text.word_difference import ComparedText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.preferences.pair_scorer import PairScorer
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count, format_percent, format_signed
from terrarium.models.preferences.examining import ALIKE, ExaminedPair, ExaminedPairs
from terrarium.models.preferences.measures import Share

if TYPE_CHECKING:
    from terrarium.models.alignment.pair_scores import PairScore, PairScores

    Scores = Mapping[tuple[str, int], PairScore]
    """(split, row index) → the model's scores of the pair."""

SOURCES = {"person": "you", "simulated": "simulated", "gold": "judge"}
"""Display names of the sources of choices."""
ORDERS = {
    "contradicted": "Contradicted first",
    "longest": "Longest wins first",
    "alike": "Most alike first",
    "data": "As in the data",
    "doubted": "Doubted by the model first",
}
_COLUMNS = {
    "prompt": ("Prompt", "The last message of the user"),
    "chosen": ("Better reply", "The reply that was preferred"),
    "rejected": ("Worse reply", "The other one"),
    "source": ("By", "Who chose: you, the simulated annotator, or a file"),
    "longer": ("Longer", "Words that the better reply has more than the worse one"),
    "model": ("Model", "By how much the model prefers the better reply; below 0 it prefers the other one"),
    "against": ("Against", "Pairs that say the opposite, or that both are about equal; a circle counts once"),
}
_NUMBERS = ("longer", "model", "against")
_WIDTHS = {"source": 84, "longer": 72, "model": 72, "against": 76}
"""Widths in pixels at the default text size; the text columns share the rest."""
_MIN_TEXT = 84
_MAX_CHARACTERS = 200
_MIN_ROWS = 5


@dataclass(frozen=True, kw_only=True)
class PairFilters:
    """Filters and order of the pairs. text: anywhere in a pair. source: "" for all. order: a key of ORDERS."""

    text: str = ""
    source: str = ""
    order: str = "contradicted"


def filtered(pairs: Sequence[ExaminedPair], filters: PairFilters, scores: Scores) -> list[ExaminedPair]:
    """Return the pairs that match the filters, in their order. scores: a model's scores, where known."""
    wanted = filters.text.lower().strip()
    shown = [
        pair
        for pair in pairs
        if (not filters.source or pair.source == filters.source)
        and (not wanted or any(wanted in text.lower() for text in _texts(pair)))
    ]
    if filters.order == "contradicted":
        shown.sort(key=lambda pair: -pair.n_against)
    elif filters.order == "longest":
        shown.sort(key=lambda pair: -pair.longer)
    elif filters.order == "alike":
        shown.sort(key=lambda pair: -pair.alike)
    elif filters.order == "doubted":
        shown.sort(key=lambda pair: _margin(scores, pair, math.inf))
    return shown


def _columns(scores: Scores) -> list[Column]:
    return [_column(name, scores) for name in _COLUMNS if name != "model" or scores]


def _column(name: str, scores: Scores) -> Column:
    title, about = _COLUMNS[name]
    return Column(
        name=name,
        title=title,
        about=about,
        value=lambda pair: " ".join(_cell(pair, name, scores)[:_MAX_CHARACTERS].split()),
        tip=lambda pair: _cell(pair, name, scores),
        is_number=name in _NUMBERS,
        tone=(lambda pair: "warning" if pair.n_against else "") if name == "against" else None,
    )


def _margin(scores: Scores, pair: ExaminedPair, none: float) -> float:
    """Return the model's margin for a pair, chosen minus rejected; `none` if unknown."""
    score = scores.get((pair.split, pair.index))
    return none if score is None else score.margin


def _texts(pair: ExaminedPair) -> tuple[str, ...]:
    contents = (str(message["content"]) for message in pair.row["messages"])
    return (*contents, str(pair.row["chosen"]), str(pair.row["rejected"]))


def _cell(pair: ExaminedPair, name: str, scores: Scores) -> str:
    match name:
        case "model":
            margin = _margin(scores, pair, math.nan)
            return "–" if math.isnan(margin) else format_signed(margin)
        case "prompt":
            return str(pair.row["messages"][-1]["content"])
        case "source":
            return SOURCES.get(pair.source, pair.source or "–")
        case "longer":
            return "tie" if pair.is_tie else format_signed(pair.longer, 0)
        case "against":
            return str(pair.n_against) if pair.n_against else "–"
    return str(pair.row[name])


class PairsView(QFrame):
    """Shows examined pairs.

    Signals:
        pair_chosen(pair, at, n): another pair is selected, in row `at` (from 0) of `n`.
    """

    pair_chosen = Signal(object, int, int)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._session, self._theme = session, theme
        self._kind = ""
        self._scores: Scores = {}
        self.scorer = PairScorer(session, self)
        self.scorer.scored.connect(self._on_scored)
        self.scorer.changed.connect(self._show_scoring)
        self.models = choice(
            "Model that scores the pairs",
            "A reward model's rewards, or another model's log-probabilities, of both replies",
            width=18,
        )
        self.scoring = label("", "caption")
        self._found: ExaminedPairs | None = None
        self.bars = IntervalBars("What the pairs have in common", theme)
        self.warnings = label("", "caption", wrap=True)
        self.warnings.setProperty("tone", "warning")
        self.search = line_edit("Search the pairs", placeholder="Search", clears=True)
        self.order = choice("Order", "What comes first", ORDERS)
        self.source = choice("Only pairs chosen by", "Show only pairs that one of them chose")
        self.count = label("", "caption")
        self.table = RecordTable("Pairs", theme)
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        self.titles = {side: label("", "caption") for side in ("chosen", "rejected")}
        self.texts = {side: ComparedText(words, theme) for side, words in (("chosen", "Better"), ("rejected", "Worse"))}
        self._build()
        self.models.activated.connect(self._on_model)
        session.runs.changed.connect(self._offer_models)
        self._offer_models()
        for changed in (self.search.textChanged, self.order.currentIndexChanged, self.source.currentIndexChanged):
            changed.connect(self._filter)
        self.table.record_reached.connect(self._on_reached)
        theme.theme_changed.connect(self._fit)
        RelayoutOnResize(self.table, self._fit)

    def _build(self) -> None:
        margin = SPACE + SPACE // 2
        cards = [
            frame("card", self.titles[side], self.texts[side], margin=margin, spacing=SPACE // 2)
            for side in self.titles
        ]
        rows = WholeRows(self.table)
        self.setLayout(
            column(
                headed("Pairs", explained=self),
                self.bars,
                self.warnings,
                flowing(self.search, self.order, self.source, self.models, self.scoring, self.count),
                rows,
                row(*cards, grows=cards),
                margin=margin,
                grows=rows,
            )
        )

    def show_pairs(self, found: ExaminedPairs) -> None:
        """Show the pairs of a dataset."""
        self.scorer.drop()
        self._found, self._scores = found, {}
        self.models.setCurrentIndex(0)
        self._show_bars()
        show_words(self.warnings, "\n".join(pair_warnings(found)))
        with QSignalBlocker(self.search):
            self.search.clear()
        sources = {name: f"By {SOURCES.get(name, name)} ({n:,})" for name, n in sorted(found.sources.items())}
        fill_choice(self.source, {"": "Chosen by all", **sources})
        self.source.setVisible(len(found.sources) > 1)
        self._filter()
        self._fit()

    def step(self, by: int) -> None:
        """Select the next (1) or previous (-1) pair."""
        self.table.selectRow(self.table.currentIndex().row() + by)

    @Slot()
    def _filter(self) -> None:
        if self._found is None:
            return
        filters = PairFilters(
            text=self.search.text(), source=self.source.currentData() or "", order=self.order.currentData()
        )
        self.table.show_records(filtered(self._found.pairs, filters, self._scores), _columns(self._scores))
        n, total = len(self.table.records), len(self._found.pairs)
        self.count.setText(format_count(n, "pair") if n == total else f"{n:,} of {format_count(total, 'pair')}")
        if n:
            self.table.selectRow(0)

    @Slot(object)
    def _on_reached(self, pair: ExaminedPair) -> None:
        better, worse = str(pair.row["chosen"]), str(pair.row["rejected"])
        titles = ("One reply", "The other") if pair.is_tie else ("Better", "Worse")
        score = self._scores.get((pair.split, pair.index))
        values = (None, None) if score is None else (score.chosen, score.rejected)
        for side, title, value in zip(self.titles, titles, values, strict=True):
            unit = "" if self._kind == "reward" else " nats"
            self.titles[side].setText(title if value is None else f"{title}, {self._kind} {format_signed(value)}{unit}")
        self.texts["chosen"].show_text(better, worse, marked=True)
        self.texts["rejected"].show_text(worse, better, marked=True)
        self.pair_chosen.emit(pair, self.table.currentIndex().row(), len(self.table.records))

    # -- Scores of a model ---------------------------------------------------------------------------------------------

    @Slot()
    def _offer_models(self) -> None:
        runs = {run.id: f"Scored by {run.name}" for run in self._session.runs.list() if run.has_model}
        fill_choice(self.models, {"": "Not scored by a model", **runs}, self.models.currentData())

    @Slot()
    def _on_model(self) -> None:
        run_id = self.models.currentData()
        self._scores = {}
        self.scorer.drop()
        self._show_bars()
        self._filter()
        if run_id and self._found is not None:
            self.scorer.start(run_id, [dict(pair.row) for pair in self._found.pairs])

    @Slot(object)
    def _on_scored(self, found: PairScores) -> None:
        assert self._found is not None
        keys = [(pair.split, pair.index) for pair in self._found.pairs]
        self._kind = found.kind
        self._scores = {key: score for key, score in zip(keys, found.scores, strict=True) if score is not None}
        self._show_bars()
        with QSignalBlocker(self.order):
            self.order.setCurrentIndex(self.order.findData("doubted"))
        self._filter()
        self._fit()

    @Slot()
    def _show_scoring(self) -> None:
        self.scoring.setText(f"{self.scorer.done:,} scored" if self.scorer.busy else "")

    def _show_bars(self) -> None:
        assert self._found is not None
        bars = pair_bars(self._found)
        margins = [
            score.margin
            for pair in self._found.pairs
            if not pair.is_tie and (score := self._scores.get((pair.split, pair.index))) is not None
        ]
        if margins:
            share = Share(n_yes=sum(margin > 0 for margin in margins), n=len(margins))
            tip = (
                f"{share.n_yes:g} of {format_count(share.n, 'pair')}. A log-probability is higher for shorter replies."
            )
            value = format_percent(share.value or 0.0)
            name = "The model agrees"
            bars.append(Bar(name=name, share=share.value, text=value, interval=share.interval, tip=tip))
        self.bars.show_bars(bars)

    @Slot()
    def _fit(self) -> None:
        scale, room = self._theme.text_scale, self.table.viewport().width()
        widths = {name: int(width * scale) for name, width in _WIDTHS.items()}
        taken = sum(width for name, width in widths.items() if name in self.table.names)
        text = max(int(_MIN_TEXT * scale), (room - taken) // 3)
        for i, name in enumerate(self.table.names):
            self.table.setColumnWidth(i, widths.get(name, text))
        line = self.table.fontMetrics().height() + SPACE
        self.table.verticalHeader().setDefaultSectionSize(line)
        self.table.setMinimumHeight((_MIN_ROWS + 1) * line)


def pair_bars(found: ExaminedPairs) -> list[Bar]:
    """Return bars of the statistics of the pairs."""
    longer, n = found.longer_wins, max(len(found.pairs), 1)
    bars = [
        Bar(
            name="The longer one wins",
            share=longer.value,
            text="no pair" if longer.value is None else format_percent(longer.value),
            interval=longer.interval,
            tip=f"{longer.n_yes:g} of {format_count(longer.n, 'pair')} whose replies have different lengths. If this "
            "is far from half, a reward model learns to prefer length, or brevity, first.",
        )
    ]
    for name, count, tip in (
        (
            "Contradicted",
            found.n_contradicted,
            "Another pair says the opposite, or a circle of pairs (A over B, B over C, C over A).",
        ),
        ("About equal", found.n_ties, "Neither reply is better. These pairs teach that, too."),
        (
            "Almost the same",
            found.n_alike,
            f"Their replies share {format_percent(ALIKE)} of their words or more, so DPO can make both less likely.",
        ),
    ):
        text = f"{count:,} of {len(found.pairs):,}"
        tone = "warning" if count and name == "Contradicted" else "accent"
        bars.append(Bar(name=name, share=count / n, text=text, tone=tone, tip=tip))
    return bars


def pair_warnings(found: ExaminedPairs) -> list[str]:
    """Return warnings about training on the pairs, as sentences."""
    notes = []
    if found.n_shared:
        shared = format_count(found.n_shared, "prompt")
        notes.append(f"{shared} of validation or test are also in training, so scores on them are too good.")
    if found.n_left_out:
        notes.append(f"{format_count(found.n_left_out, 'pair')} more were not examined.")
    return notes
