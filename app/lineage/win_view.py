"""The pairwise win rates of stages, by the judge of a wish, by a reward model, or by the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QSpinBox, QWidget

from terrarium.app.kit.basics import (
    EmptyState,
    button,
    column,
    frame,
    group,
    label,
    row,
    scrolling,
    set_enabled,
    show_if,
    show_only,
    show_words,
)
from terrarium.app.kit.export_button import Columns, ExportButton
from terrarium.app.kit.inputs import choice, fill_choice, named, progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.text.word_difference import ComparedText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.comparing import StageComparer
from terrarium.app.lineage.win_matrix import WinMatrix, describe_match
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.routes import Judge
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.alignment.stage_tree import LineageNode, world_seed_of
from terrarium.models.alignment.win_rates import GOLD, JUDGES, PROXY, YOU, Asked, Grid, WinRates, kept_win_rates
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count, format_percent, format_signed
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.wishes import SIZES, WISHES

_TITLES = {GOLD: "By the judge", PROXY: "By a reward model", YOU: "By you"}
_ABOUT = {
    GOLD: "Each cell: how often the reply of the row's stage was better than that of the column's to the same prompt, "
    "by the judge of the wish, which is never wrong. A tie is half a win. Below: the 95 % interval (Wilson). A click "
    "shows the replies.",
    PROXY: "Each cell: how often the reply of the row's stage got the higher score from {reward_model}. It is a "
    "stand-in: where it favours a stage much more than the judge does, it has been gamed.",
    YOU: "Each cell: which replies you chose, blind, between these checkpoints in Chat → Judge replies. Click "
    "one to judge more pairs of the two.",
}
_FEW, _TOO_FEW = 2, "Choose at least two stages that can reply, at the top right."
_MAX_PAIRS = 12


class WinRatesView(QWidget):
    """Measures and shows the win rates of some stages.

    Signals:
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._stages: tuple[LineageNode, ...] = ()
        self._is_stale = False
        self.rates: WinRates | None = None
        """The win rates shown; None until they have been read."""
        self.comparer = StageComparer(session, self)
        session.status.add(self.comparer)
        self.judge = Segments("Who judges", _TITLES, "Who says which of two replies is better")
        self.wish = choice(
            "Wish",
            "What is asked, and wished for: held-out prompts of Tiny World",
            {name: wish.title for name, wish in WISHES.items()},
            tips={name: wish.help for name, wish in WISHES.items()},
        )
        self.n = named(QSpinBox(), "Prompts", "How many prompts each stage replies to, once each")
        self.n.setRange(1, SIZES["test"])
        self.n.setValue(128)
        self.n.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.rewarder = choice("Reward model", "Which reward model judges", width=10)
        self.measure = button(
            "Measure",
            theme,
            self.start,
            icon="scales",
            role="primary",
            tip="Let every stage reply, and judge the replies; earlier replies are reused",
        )
        self.stop = button("Stop", theme, self.comparer.cancel, icon="stop", tip="Stop; the replies so far are kept")
        self.progress = progress_bar("Progress of the comparison")
        self.progress.setMaximumWidth(220)
        self.phase = ElidedLabel()
        self.phase.setProperty("role", "caption")
        self.problem = label("", "warning", wrap=True)
        self.matrix = WinMatrix(theme)
        self.pairs = _ReplyPairs(theme)
        """The replies behind the cell that was clicked."""
        self.about = label("", "caption", wrap=True)
        self.read_out = ElidedLabel()
        self.export = ExportButton(session.notices, theme, self.matrix, self._numbers)
        self.export.name = "win rates"
        self.empty = EmptyState("Not measured yet", "")
        self._kept = LatestTask(self)
        self._kept.done.connect(self._on_kept)
        self._kept.failed.connect(session.notices.fail)
        self._build()
        self.comparer.changed.connect(self._show_state)
        self.comparer.measured.connect(self.look_up)  # what is chosen may be another comparison by now
        self.comparer.failed.connect(self._say)
        self.judge.changed.connect(self._show_rates)
        self.wish.activated.connect(self.look_up)
        self.n.valueChanged.connect(self.look_up)
        self.rewarder.activated.connect(self.look_up)
        self.matrix.read.connect(self.read_out.setText)
        self.matrix.cell_clicked.connect(self._on_cell)
        session.training.changed.connect(self._show_state)
        session.preferences.changed.connect(self._on_preferences)
        self._show_state()

    def _build(self) -> None:
        parts = [
            group(label(words, "muted"), editor, horizontal=True, spacing=SPACE // 2)
            for words, editor in (("Asked:", self.wish), ("prompts", self.n), ("scored by", self.rewarder))
        ]
        self._rewarder_part = parts[-1]
        self._going_on = group(self.progress, self.phase, horizontal=True, grows=self.phase)
        self._area = scrolling(group(self.matrix, self.pairs, None))
        self.setLayout(
            column(
                flowing(*parts, self.measure, self.stop),
                self._going_on,
                self.problem,
                row(self.judge, None, self.export),
                self.about,
                self._area,
                self.empty,
                self.read_out,
                grows=(self._area, self.empty),
            )
        )

    # -- Comparison ----------------------------------------------------------------------------------------------------

    def show_stages(self, stages: Sequence[LineageNode], rewarders: Sequence[LineageNode]) -> None:
        """Compare these stages, which can reply; rewarders: the reward models of the same tree."""
        if tuple(stages) == self._stages and self.rewarder.count() == len(rewarders):
            return
        self._stages = tuple(stages)
        chosen = self.rewarder.currentData()
        fill_choice(self.rewarder, {stage.id: stage.name for stage in rewarders}, chosen)
        self.rates = None
        self._show_rates()
        self.look_up()

    @property
    def asked(self) -> Asked | None:
        """The wish, world seed and number of prompts that the stages reply to; None without stages."""
        if not self._stages or self._stages[0].folder is None:
            return None
        try:
            seed = world_seed_of(RunFolder.open(self._stages[0].folder))
        except ValueError:
            seed = 0
        return Asked(wish=str(self.wish.currentData()), world_seed=seed, n=self.n.value())

    @property
    def busy(self) -> bool:
        """Whether win rates are being measured or read."""
        return self.comparer.busy or self._kept.busy

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self.look_up()

    @Slot()
    def _on_preferences(self) -> None:
        """Read the win rates again: the user has judged a pair, usually on another page."""
        self._is_stale = True
        if self.isVisible():
            self.look_up()

    @Slot()
    def look_up(self) -> None:
        """Show the saved results of this comparison."""
        self._is_stale = False
        asked = self.asked
        self._say("")
        if asked is None:
            self._show_state()
            return
        library, folders = self._session.library, [stage.folder for stage in self._stages if stage.folder is not None]
        reward_model = str(self.rewarder.currentData() or "")
        self._kept.ask(lambda: _kept(library, folders, asked, reward_model))

    def start(self) -> None:
        """Start measuring."""
        asked = self.asked
        if asked is not None and not self._session.training.active:
            self._say("")
            stages = [stage.id for stage in self._stages]
            self.comparer.start(stages, asked, str(self.rewarder.currentData() or ""))

    @Slot(object)
    def _on_kept(self, rates: WinRates) -> None:
        if [one.run for one in rates.contenders] == [stage.id for stage in self._stages]:
            self.rates = rates
            self._show_rates()

    # -- Display -------------------------------------------------------------------------------------------------------

    @property
    def grid(self) -> Grid | None:
        """The grid of the chosen judge; None if it has no results."""
        grid = self.rates.grids.get(self.judge.value) if self.rates is not None else None
        return grid if grid is not None and any(match is not None for cells in grid for match in cells) else None

    @Slot()
    def _show_rates(self) -> None:
        judge, grid, rates = self.judge.value, self.grid, self.rates
        shown = grid if grid is not None else (rates.grids.get(YOU) if rates is not None and judge == YOU else None)
        shares = rates.shares if rates is not None and judge == GOLD else ()
        notes = ["" if share is None else f"{format_percent(share)} as meant" for share in shares]
        names = [stage.name for stage in self._stages]
        self.pairs.clear_pairs()
        if shown is not None:
            self.matrix.show_grid(names, shown, notes)
        self.about.setText(_ABOUT[judge].format(reward_model=self.rewarder.currentText() or "a reward model"))
        self._show_state()

    @Slot()
    def _show_state(self) -> None:
        judge, busy = self.judge.value, self.comparer.busy
        few = len(self._stages) < _FEW
        has_matrix = not few and (self.grid is not None or (judge == YOU and self.rates is not None))
        show_if(has_matrix, self._area, self.about, self.read_out)
        self.export.setEnabled(self.grid is not None)
        show_only(
            {
                self.empty: not has_matrix,
                self._rewarder_part: self.rewarder.count() > 0,
                self.measure: not busy,
                self.stop: busy,
            }
        )
        set_enabled(self.measure, _TOO_FEW if few else self._session.training.why_not_start)
        self._going_on.setVisible(busy)
        if busy:
            show_progress(self.progress, self.comparer.done, self.comparer.total)
            self.phase.setText(f"{self.comparer.phase}…")
        if few:
            words = _TOO_FEW
        elif judge == PROXY and not self.rewarder.count():
            words = "No reward model comes from these stages: train one, from its stage's “What next”."
        else:
            n = format_count(len(self._stages), "stage")
            words = f"{n} reply to {format_count(self.n.value(), 'held-out prompt')} each. Replies are kept."
        heading = "Nobody to compare" if few else "Measuring" if busy else "Not measured yet"
        self.empty.set_words(heading, words)

    @Slot(str)
    def _say(self, words: str) -> None:
        show_words(self.problem, words)

    @Slot(int, int)
    def _on_cell(self, row: int, column: int) -> None:
        first, second = self._stages[row], self._stages[column]
        if self.judge.value == YOU:
            self._session.go(Judge(Candidate(first.id), Candidate(second.id)))
        elif self.rates is not None:
            self.pairs.show_pairs(self.rates, self.judge.value, row, column)
            QTimer.singleShot(0, self, self._go_to_pairs)

    @Slot()
    def _go_to_pairs(self) -> None:
        bar = self._area.verticalScrollBar()
        bar.setValue(min(self.pairs.y(), bar.maximum()))

    def _numbers(self) -> Callable[[], Columns]:
        rates, names = self.rates, [stage.name for stage in self._stages]

        def columns() -> Columns:
            cells = [
                (judge, names[i], names[j], match)
                for judge in JUDGES
                for i, line in enumerate(rates.grids.get(judge, ()) if rates is not None else ())
                for j, match in enumerate(line)
                if match is not None
            ]
            return {
                "judge": [judge for judge, *_ in cells],
                "stage": [first for _, first, _, _ in cells],
                "against": [second for *_, second, _ in cells],
                "won": [match.n_won for *_, match in cells],
                "tied": [match.n_tied for *_, match in cells],
                "lost": [match.n_lost for *_, match in cells],
            }

        return columns


def _kept(library: Library, folders: Sequence[Path], asked: Asked, reward_model: str) -> WinRates:
    judge = RunFolder.open(library.find_run(reward_model)) if reward_model else None
    return kept_win_rates(library, [RunFolder.open(folder) for folder in folders], asked, judge)


class _ReplyPairs(QWidget):
    """The replies of two stages to each prompt with the verdict, ties last; words that differ are marked."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self.head = label("", "subheading", wrap=True)
        self.note = label("", "caption", wrap=True)
        self.texts: list[tuple[ComparedText, ComparedText]] = []
        """Pairs of replies: of the stage in the row and of the stage in the column."""
        self._card: QFrame | None = None
        self._lines = column(self.head, self.note)
        self.setLayout(self._lines)
        self.hide()

    def clear_pairs(self) -> None:
        """Remove all pairs."""
        self.texts = []
        if self._card is not None:
            self._card.hide()
            self._card.deleteLater()
            self._card = None
        self.hide()

    def show_pairs(self, rates: WinRates, judge: str, row: int, column: int) -> None:
        """Show the pairs behind a cell of the win matrix."""
        self.clear_pairs()
        values, texts = rates.values.get(judge, ()), rates.texts
        ours, theirs = (values[i] if i < len(values) else None for i in (row, column))
        mine, others = texts[row], texts[column]
        if ours is None or theirs is None or mine is None or others is None:
            return
        first, second = rates.contenders[row].name, rates.contenders[column].name
        order = sorted(range(len(ours)), key=lambda i: (ours[i] == theirs[i], i))[:_MAX_PAIRS]
        self.head.setText(describe_match(first, second, rates.grids[judge][row][column]))
        ties = "" if len(order) == len(ours) else f" {len(order)} of {len(ours):,} are shown, won and lost ones first."
        self.note.setText(f"Words that the other reply does not have are marked.{ties}")
        grid = QGridLayout()
        grid.setHorizontalSpacing(3 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        for side in (0, 1):
            grid.addWidget(label((first, second)[side], "subheading"), 0, side)
            grid.setColumnStretch(side, 1)
        for n, i in enumerate(order):
            at = 1 + 4 * n
            grid.setRowMinimumHeight(at, SPACE)
            grid.addWidget(label(rates.prompts[i], "caption", wrap=True), at + 1, 0, 1, 2)
            sides = (mine[i], others[i]), (ours[i], theirs[i])
            pair = ComparedText(f"Reply of {first}", self._theme), ComparedText(f"Reply of {second}", self._theme)
            for side, text in enumerate(pair):
                text.show_text(sides[0][side] or "(nothing)", sides[0][1 - side], marked=True)
                grid.addWidget(text, at + 2, side)
                words = _verdict(sides[1][side], sides[1][1 - side], judge)
                grid.addWidget(label(words, "accent" if words.startswith("won") else "caption"), at + 3, side)
            self.texts.append(pair)
        self._card = frame("card", grid, margin=SPACE + SPACE // 2)
        self._lines.addWidget(self._card)
        self.show()


def _verdict(own: float, other: float, judge: str) -> str:
    outcome = "won" if own > other else "lost" if own < other else "tied"
    if judge == PROXY:
        return f"{outcome}, score {format_signed(own)}"
    return f"{outcome}, {'as meant' if own == 1 else 'not as meant' if own == 0 else f'{own:g}'}"
