"""The pairs of a preference dataset: problems, a table of all pairs, and one pair side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHeaderView,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from terrarium.app.kit.basics import column, frame, headed, label, plain_tip, row
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.layout.relayout_on_resize import RelayoutOnResize
from terrarium.app.kit.layout.whole_rows import WholeRows
from terrarium.app.kit.plots.interval_bars import Bar, IntervalBars
from terrarium.app.kit.tables import plain_table
from terrarium.app.kit.text.word_difference import ComparedText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.preferences.pair_scorer import PairScorer
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count, format_percent, format_signed
from terrarium.models.preferences.examining import ALIKE, ExaminedPair, ExaminedPairs
from terrarium.models.preferences.measures import Share

if TYPE_CHECKING:
    from terrarium.models.alignment.pair_scores import PairScore, PairScores

    Scores = Mapping[tuple[str, int], PairScore]
    """(split, row index) → the model's scores of the pair."""

Index = QModelIndex | QPersistentModelIndex

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


class PairModel(QAbstractTableModel):
    """A table model of the examined pairs that match the filters."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._shown: list[ExaminedPair] = []
        self._scores: Scores = {}
        self.columns: tuple[str, ...] = ()

    def show_pairs(self, pairs: Sequence[ExaminedPair], filters: PairFilters, scores: Scores) -> None:
        """Show the pairs that match the filters. scores: a model's scores, where known."""
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
        self.beginResetModel()
        self._shown, self._scores = shown, scores
        self.columns = tuple(name for name in _COLUMNS if name != "model" or scores)
        self.endResetModel()

    def pair(self, at: int) -> ExaminedPair:
        """Return the pair in row `at` of the table."""
        return self._shown[at]

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        name = self.columns[section]
        title, tip = _COLUMNS[name]
        if role == Qt.ItemDataRole.DisplayRole:
            return title
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip
        return _alignment(name) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        name, pair = self.columns[index.column()], self._shown[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return " ".join(self._cell(pair, name)[:_MAX_CHARACTERS].split())
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._cell(pair, name)[: 5 * _MAX_CHARACTERS])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(name)
        if role == Qt.ItemDataRole.ForegroundRole and name == "against" and pair.n_against:
            return QColor(self._theme.theme.warning)
        return None

    def _cell(self, pair: ExaminedPair, name: str) -> str:
        if name != "model":
            return _cell(pair, name)
        margin = _margin(self._scores, pair, math.nan)
        return "–" if math.isnan(margin) else format_signed(margin)


def _margin(scores: Scores, pair: ExaminedPair, none: float) -> float:
    """Return the model's margin for a pair, chosen minus rejected; `none` if unknown."""
    score = scores.get((pair.split, pair.index))
    return none if score is None else score.margin


def _alignment(name: str) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if name in _NUMBERS else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _texts(pair: ExaminedPair) -> tuple[str, ...]:
    contents = (str(message["content"]) for message in pair.row["messages"])
    return (*contents, str(pair.row["chosen"]), str(pair.row["rejected"]))


def _cell(pair: ExaminedPair, name: str) -> str:
    match name:
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
        self.models = ElidedCombo()
        self.models.setAccessibleName("Model that scores the pairs")
        self.models.setToolTip(
            plain_tip("A reward model's rewards, or another model's log-probabilities, of both replies")
        )
        self.models.setMinimumContentsLength(18)
        self.models.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.scoring = label("", "caption")
        self._found: ExaminedPairs | None = None
        self.bars = IntervalBars("What the pairs have in common", theme)
        self.warnings = label("", "caption", wrap=True)
        self.warnings.setProperty("tone", "warning")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName("Search the pairs")
        self.search.setClearButtonEnabled(True)
        self.order, self.source = QComboBox(), QComboBox()
        self.order.setAccessibleName("Order")
        self.order.setToolTip("What comes first")
        self.source.setAccessibleName("Only pairs chosen by")
        self.source.setToolTip("Show only pairs that one of them chose")
        for name, words in ORDERS.items():
            self.order.addItem(words, name)
        for box in (self.order, self.source):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            keep_wheel_for_scrolling(box)
        self.count = label("", "caption")
        self.model = PairModel(theme, self)
        self.table = QTableView()
        self.table.setModel(self.model)
        plain_table(self.table, "Pairs")
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setWordWrap(False)
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        self.titles = {side: label("", "caption") for side in ("chosen", "rejected")}
        self.texts = {side: ComparedText(words, theme) for side, words in (("chosen", "Better"), ("rejected", "Worse"))}
        keep_wheel_for_scrolling(self.models)
        self._build()
        self.models.activated.connect(self._on_model)
        session.runs.changed.connect(self._offer_models)
        self._offer_models()
        for changed in (self.search.textChanged, self.order.currentIndexChanged, self.source.currentIndexChanged):
            changed.connect(self._filter)
        self.table.selectionModel().currentRowChanged.connect(self._on_current)
        theme.theme_changed.connect(self._fit)
        RelayoutOnResize(self.table, self._fit)

    def _build(self) -> None:
        bar = QWidget()
        flow = FlowLayout(bar)
        for widget in (self.search, self.order, self.source, self.models, self.scoring, self.count):
            flow.addWidget(widget)
        sides = row(spacing=SPACE)
        for side, text in self.texts.items():
            box = frame("card", margin=SPACE + SPACE // 2, spacing=SPACE // 2)
            inside = box.layout()
            assert inside is not None
            inside.addWidget(self.titles[side])
            inside.addWidget(text)
            sides.addWidget(box, 1)
        margin = SPACE + SPACE // 2
        lines = QVBoxLayout(self)
        lines.setContentsMargins(margin, margin, margin, margin)
        lines.setSpacing(SPACE)
        lines.addLayout(headed("Pairs", explained=self))
        lines.addLayout(column(self.bars, self.warnings, bar, spacing=SPACE))
        lines.addWidget(WholeRows(self.table), 1)
        lines.addLayout(sides)

    def show_pairs(self, found: ExaminedPairs) -> None:
        """Show the pairs of a dataset."""
        self.scorer.drop()
        self._found, self._scores = found, {}
        self.models.setCurrentIndex(0)
        self._show_bars()
        warnings = pair_warnings(found)
        self.warnings.setText("\n".join(warnings))
        self.warnings.setVisible(bool(warnings))
        with QSignalBlocker(self.source), QSignalBlocker(self.search):
            self.search.clear()
            self.source.clear()
            self.source.addItem("Chosen by all", "")
            for name, n in sorted(found.sources.items()):
                self.source.addItem(f"By {SOURCES.get(name, name)} ({n:,})", name)
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
        self.model.show_pairs(self._found.pairs, filters, self._scores)
        n, total = self.model.rowCount(), len(self._found.pairs)
        self.count.setText(format_count(n, "pair") if n == total else f"{n:,} of {format_count(total, 'pair')}")
        if n:
            self.table.selectRow(0)

    @Slot(QModelIndex)
    def _on_current(self, current: QModelIndex) -> None:
        if not current.isValid():
            return
        pair = self.model.pair(current.row())
        better, worse = str(pair.row["chosen"]), str(pair.row["rejected"])
        titles = ("One reply", "The other") if pair.is_tie else ("Better", "Worse")
        score = self._scores.get((pair.split, pair.index))
        values = (None, None) if score is None else (score.chosen, score.rejected)
        for side, title, value in zip(self.titles, titles, values, strict=True):
            unit = "" if self._kind == "reward" else " nats"
            self.titles[side].setText(title if value is None else f"{title}, {self._kind} {format_signed(value)}{unit}")
        self.texts["chosen"].show_text(better, worse, marked=True)
        self.texts["rejected"].show_text(worse, better, marked=True)
        self.pair_chosen.emit(pair, current.row(), self.model.rowCount())

    # -- Scores of a model ---------------------------------------------------------------------------------------------

    @Slot()
    def _offer_models(self) -> None:
        chosen = self.models.currentData()
        self.models.clear()
        self.models.addItem("Not scored by a model", "")
        for run in self._session.runs.list():
            if run.has_model:
                self.models.addItem(f"Scored by {run.name}", run.id)
        self.models.setCurrentIndex(max(0, self.models.findData(chosen)))

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
        taken = sum(width for name, width in widths.items() if name in self.model.columns)
        text = max(int(_MIN_TEXT * scale), (room - taken) // 3)
        for i, name in enumerate(self.model.columns):
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
