"""The Steps view: how a tokenizer turns a text into words, and each word into tokens, step by step."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QStackedWidget, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import EmptyState, column, frame, group, label, panes, set_role, stacked, titled_card
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.whole_rows import WholeRows
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.steps.analysis import MAX_WORD, TextAnalysis, WordTrace, analyse_text, trace_word
from terrarium.app.tokenizer.steps.board import Board
from terrarium.app.tokenizer.steps.drawing import Drawing
from terrarium.app.tokenizer.steps.facts import format_tokens
from terrarium.app.tokenizer.steps.frequency_bar import FrequencyBar
from terrarium.app.tokenizer.steps.lattice import LatticeDrawing
from terrarium.app.tokenizer.steps.lookup import LookupDrawing
from terrarium.app.tokenizer.steps.merge_tree import MergeTreeDrawing
from terrarium.app.tokenizer.steps.presenter import StepPresenter, presenter_for
from terrarium.app.tokenizer.steps.scan import ScanDrawing
from terrarium.app.tokenizer.steps.stages import Stages
from terrarium.app.tokenizer.steps.step_table import StepTable
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
        self.board, self.table = Board(theme), StepTable(theme)
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
