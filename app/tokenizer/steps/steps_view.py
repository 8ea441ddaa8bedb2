"""The Steps view: how a tokenizer turns a text into words, and each word into tokens, step by step."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFontMetrics, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QSizePolicy, QStackedWidget, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import EmptyState, column, frame, group, label, panes, set_role, stacked, titled_card
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.steps.analysis import MAX_WORD, TextAnalysis, WordTrace, analyse_text, trace_word
from terrarium.app.tokenizer.steps.board import Board
from terrarium.app.tokenizer.steps.drawing import Drawing, LookupDrawing
from terrarium.app.tokenizer.steps.facts import format_tokens
from terrarium.app.tokenizer.steps.frequency_bar import FrequencyBar
from terrarium.app.tokenizer.steps.lattice import LatticeDrawing
from terrarium.app.tokenizer.steps.merge_tree import MergeTreeDrawing
from terrarium.app.tokenizer.steps.presenter import StepPresenter, presenter_for
from terrarium.app.tokenizer.steps.scan import ScanDrawing
from terrarium.app.tokenizer.steps.stages import Stages
from terrarium.app.tokenizer.steps.style import DrawingStyle
from terrarium.app.tokenizer.steps.transport import Transport
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.frequencies import Frequencies
from terrarium.models.tokenizers.steps.steps import TokenizerSteps, WordSteps
from terrarium.models.tokenizers.steps.unigram import UnigramSteps
from terrarium.models.tokenizers.steps.wordpiece import WordPieceSteps

_PAUSE_MS = 40  # while the user is typing
_TALL = 640
"""The height of the view, in pixels at the default text size, from which more lines of words are shown."""
_SAMPLED_ROWS, _PADDING = 100, 24  # rows sampled for the width of a column; pixels around its text
_WIDE = ("Merge", "Piece", "Last piece", "Word", "Token")  # columns that share the spare width
_TIPS = {
    "Rank": "When the merge was learned, 0 = first. The lowest rank is merged first",
    "Applied": "How often the merge applies in the corpus below",
    "Counted": "How often the token occurs in the corpus below",
    "Score": "Log-probability of the piece",
    "Sum": "Log-probability of the best path up to here",
}


class StepsView(QWidget):
    """The words of the text at the top, the steps of one word as a drawing and a table, and transport controls below.

    The keys Left, Right, Home and End step; Space plays.
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._tokenizer: Tokenizer | None = None
        self._text = ""
        self.analysis: TextAnalysis | None = None
        self.trace: WordTrace | None = None
        self._presenter: StepPresenter | None = None
        self._starts_at_first_step = False
        self.analysing, self.tracing = LatestTask(self), LatestTask(self)
        self.pause = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self.stages = Stages(theme)
        self.board, self.table = Board(theme), _StepTable(theme)
        self.frequencies = FrequencyBar(session, theme)
        self.transport = Transport(theme)
        self.summary, self.verdict = ElidedLabel(), ElidedLabel()
        self.sentence = ElidedLabel()
        self.description = ElidedLabel()
        self._table_title = label("Steps in order", "subheading")
        self.pages = _Squeezable()
        self.message = EmptyState("No words", "Type a text in Explore, or your own word above.")
        self.problem = label("", "error", wrap=True)
        self._build()
        self._connect()
        # A click anywhere gives keyboard focus to the drawing.
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setFocusProxy(self.board)
        self._analyse()

    def _build(self) -> None:
        set_role(self.sentence, "subheading")
        set_role(self.description, "muted")
        self.problem.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.boards = stacked(self.board, self.message, self.problem)
        drawn = titled_card("", self.summary, self.verdict, self.boards)
        table = WholeRows(self.table)
        listed = titled_card("", self._table_title, table, self.frequencies, grows=table)
        self.line = stacked(self.sentence, self.description)
        self.line.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        margin = (SPACE + SPACE // 2, SPACE, SPACE + SPACE // 2, SPACE)
        above = frame("card", self.stages, margin=margin)
        below = frame("card", self.line, self.transport, margin=margin, spacing=SPACE // 2)
        middle = panes(drawn, listed, sizes=(700, 330), grows=0)
        self.pages.addWidget(group(above, middle, below, grows=middle))
        self.pages.addWidget(EmptyState("No tokenizer", "Choose or train a tokenizer to see how it works."))
        self.setLayout(column(self.pages))

    def _connect(self) -> None:
        self.pause.timeout.connect(self._analyse)
        self.analysing.done.connect(self._on_analysed)
        self.analysing.failed.connect(self._on_failed)
        self.tracing.done.connect(self._on_traced)
        self.tracing.failed.connect(self._on_failed)
        self.stages.typed.connect(self.pause.start)
        self.stages.strip.chosen.connect(self._on_word)
        self.table.step_chosen.connect(self._on_row)
        self.transport.step_changed.connect(self._show_step)
        self.transport.finished.connect(self._next_word)
        self.board.pointed_at_changed.connect(self._on_pointed_at)
        self.frequencies.changed.connect(self._refresh)
        self._theme.theme_changed.connect(self._refresh)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.stages.strip.set_lines(4 if self.height() >= _TALL * self._theme.text_scale else 2)

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Set the tokenizer; None for none."""
        self._tokenizer = tokenizer
        self._analyse()

    def set_text(self, text: str) -> None:
        """Show the words of this text."""
        if text != self._text:
            self._text = text
            self.frequencies.picker.set_text(text)
            if not self.stages.own.text():
                self._analyse()

    # -- text to words to steps ----------------------------------------------------------------------------------------

    @Slot()
    def _analyse(self) -> None:
        tokenizer, text = self._tokenizer, self.stages.own.text() or self._text
        self.pages.setCurrentIndex(0 if tokenizer is not None else 1)
        self.tracing.cancel()
        self.transport.pause()
        if tokenizer is None:
            self.analysing.cancel()
            self._forget()
            return
        steps = self.analysis.steps if self.analysis is not None and self.analysis.tokenizer is tokenizer else None
        self.analysing.ask(lambda: analyse_text(tokenizer, steps, text))

    @Slot(object)
    def _on_analysed(self, analysis: TextAnalysis) -> None:
        self.analysis, self.trace = analysis, None
        self.frequencies.set_steps(analysis.steps)
        self.stages.show_analysis(analysis)
        if analysis.split.words:
            self._starts_at_first_step = False
            self.stages.strip.choose(_most_instructive(analysis))
        else:
            self._show_message()

    @Slot(int)
    def _on_word(self, row: int) -> None:
        analysis = self.analysis
        if analysis is not None:
            steps, word = analysis.steps, analysis.split.words[row]
            self.tracing.ask(lambda: trace_word(steps, word))

    @Slot(object)
    def _on_traced(self, trace: WordTrace) -> None:
        self.trace = trace
        n_steps = trace.found.n_steps
        # A chosen word first shows its last step; during playback, words start at the first step.
        step = 0 if self._starts_at_first_step or self.transport.is_playing else n_steps
        self._starts_at_first_step = False
        self.transport.set_steps(n_steps, step)
        self.boards.setCurrentWidget(self.board)
        self._show_texts()
        self.board.show_drawing(self._draw(), step)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if self.analysis is None or self.analysis.tokenizer is not self._tokenizer:
            self._forget()
        self._show_message(failure.sentence)

    @Slot()
    def _next_word(self) -> None:
        if self.tracing.busy:
            return  # the next word is still being traced, even if it is the last one
        row, strip = self.stages.strip.current + 1, self.stages.strip
        if row < strip.words.rowCount():
            self._starts_at_first_step = True
            strip.choose(row)
        else:
            self.transport.pause()

    # -- display -------------------------------------------------------------------------------------------------------

    def _draw(self) -> Drawing:
        assert self.analysis is not None
        assert self.trace is not None
        steps, found = self.analysis.steps, self.trace.found
        return drawing_of(DrawingStyle(self._theme), steps, found, self.frequencies.frequencies)

    @Slot()
    def _refresh(self) -> None:
        """Refresh texts, table and drawing after a change of the frequencies or the theme."""
        if self.trace is not None:
            self._show_texts()
            self.board.replace_drawing(self._draw())

    def _show_texts(self) -> None:
        assert self.analysis is not None
        assert self.trace is not None
        trace, steps = self.trace, self.analysis.steps
        is_added = trace.word.added_id is not None
        self._presenter = presenter_for(steps, trace.found, self.frequencies.frequencies, is_added=is_added)
        self._table_title.setText(self._presenter.title)
        self.table.show_presenter(self._presenter)
        self.summary.setText(self._presenter.summary())
        self._show_verdict(trace, steps)
        self._show_step_text(self.transport.step)

    def _show_verdict(self, trace: WordTrace, steps: TokenizerSteps) -> None:
        tokens = format_tokens(steps, trace.found.ids)
        if trace.agrees:
            words = f"✓ Matches the encoder: {tokens}"
        else:
            words = f"The encoder gives other tokens: {format_tokens(steps, trace.word.encoded)}"
        if trace.is_cut:
            words += f" (of the first {MAX_WORD:,} of its {len(trace.word.text):,} characters)"
        self.verdict.setText(words)
        set_role(self.verdict, "caption" if trace.agrees else "warning")

    @Slot(int)
    def _show_step(self, step: int) -> None:
        self._show_step_text(step)
        self.board.set_step(step)

    def _show_step_text(self, step: int) -> None:
        if self._presenter is not None:
            self.sentence.setText(self._presenter.describe_step(step))
            self.board.setAccessibleDescription(self.sentence.text())
            self.table.show_step(step)

    @Slot(str)
    def _on_pointed_at(self, words: str) -> None:
        """Show the description of the item under the pointer instead of the step's."""
        self.description.setText(words)
        self.line.setCurrentWidget(self.description if words else self.sentence)

    @Slot(int)
    def _on_row(self, step: int) -> None:
        self.transport.pause()
        self.transport.go(step)

    def _show_message(self, sentence: str = "") -> None:
        """Show an error, or a hint that there is no word, instead of the drawing."""
        self.trace, self._presenter = None, None
        self.problem.setText(sentence)
        self.boards.setCurrentWidget(self.problem if sentence else self.message)
        self.board.show_drawing(None, 0)
        self.table.show_presenter(None)
        self.transport.pause()
        self.transport.set_steps(0, 0)
        for widget in (self.summary, self.verdict, self.sentence):
            widget.setText("")

    def _forget(self) -> None:
        self._show_message()
        self.analysis = None
        self.frequencies.set_steps(None)
        self.stages.clear()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        walks = {
            Qt.Key.Key_Left: self.transport.back,
            Qt.Key.Key_Right: self.transport.forward,
            Qt.Key.Key_Home: self.transport.first,
            Qt.Key.Key_End: self.transport.last,
            Qt.Key.Key_Space: self.transport.toggle,
        }
        walk = walks.get(Qt.Key(event.key()))
        if walk is None or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            super().keyPressEvent(event)
        else:
            walk()


class _Squeezable(QStackedWidget):
    """A stack of pages that scroll inside. QStackedWidget requests their preferred height if a label in them wraps."""

    def hasHeightForWidth(self) -> bool:
        return False


def _most_instructive(analysis: TextAnalysis) -> int:
    """Return the index of the initial word: a long one among the first few, preferably not an added token."""
    few = analysis.split.words[:40]
    return max(range(len(few)), key=lambda i: (few[i].added_id is None, min(len(few[i].text), 16)))


def drawing_of(
    style: DrawingStyle, steps: TokenizerSteps, found: WordSteps, frequencies: Frequencies | None
) -> Drawing:
    """Return the drawing of a word's steps, with frequencies if they were counted."""
    if isinstance(found, BpeSteps):
        return MergeTreeDrawing(style, steps, found, frequencies)
    if isinstance(found, WordPieceSteps):
        return ScanDrawing(style, steps, found, frequencies)
    if isinstance(found, UnigramSteps):
        return LatticeDrawing(style, steps, found, frequencies)
    return LookupDrawing(style, steps, found, frequencies)


class _StepTable(RecordTable):
    """A row for each step, with the current one selected.

    Signals:
        step_chosen(int): the user has selected the row of this step.
    """

    step_chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Steps in order", theme, parent=parent)
        self._presenter: StepPresenter | None = None
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._silent = False
        self.record_reached.connect(self._on_row)
        theme.theme_changed.connect(self._size)

    def show_presenter(self, presenter: StepPresenter | None) -> None:
        """Show the steps of a presenter; None for none."""
        self._silent = True
        self._presenter = presenter
        if presenter is None:
            self.show_records((), ())
        else:
            glyphs = Glyphs(self._theme.mono_font(0.95))
            self.show_records(range(presenter.n_rows), _columns(presenter, glyphs))
        self._silent = False
        self._size()

    def show_step(self, step: int) -> None:
        """Select the row of a step without emitting a signal."""
        row = self._presenter.row_of(step) if self._presenter is not None else -1
        self._silent = True
        if 0 <= row < len(self.records):
            self.selectRow(row)
            self.scrollTo(self.model().index(row, 0))
        else:
            self.setCurrentIndex(QModelIndex())
            self.clearSelection()
        self._silent = False

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.scrollTo(self.currentIndex())

    @Slot(object)
    def _on_row(self, row: int) -> None:
        if not self._silent and self._presenter is not None:
            self.step_chosen.emit(self._presenter.step_of(row))

    def _size(self) -> None:
        header, presenter = self.horizontalHeader(), self._presenter
        self.verticalHeader().setDefaultSectionSize(round(26 * self._theme.text_scale))
        if presenter is None:
            return
        # Qt's own resizing measures a thousand rows, which takes 0.1 s.
        rows = {*range(0, presenter.n_rows, max(presenter.n_rows // _SAMPLED_ROWS, 1)), presenter.n_rows - 1} - {-1}
        cells, heads = QFontMetrics(self._theme.mono_font(0.95)), QFontMetrics(self._theme.font(0.9, bold=True))
        for at, name in enumerate(presenter.headers):
            if name in _WIDE:
                header.setSectionResizeMode(at, QHeaderView.ResizeMode.Stretch)
                continue
            widest = max((cells.horizontalAdvance(presenter.cell(row, at)) for row in rows), default=0)
            header.setSectionResizeMode(at, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(at, max(widest, heads.horizontalAdvance(name)) + _PADDING)


def _columns(presenter: StepPresenter, glyphs: Glyphs) -> list[Column]:
    """Return the columns; their records are the numbers of rows."""

    def column_of(at: int, title: str) -> Column:
        return Column(
            title=title,
            about=_TIPS.get(title, ""),
            value=lambda row: glyphs.drawable(presenter.cell(row, at)),
            mono=0.95,
            is_number=title not in _WIDE,
            tone=None if title else lambda row: "muted",
        )

    return [column_of(at, title) for at, title in enumerate(presenter.headers)]
