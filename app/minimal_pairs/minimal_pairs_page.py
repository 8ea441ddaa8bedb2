"""The minimal-pairs page: two sentences, with the differences in attention and in the answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QLabel, QWidget

from terrarium.app.glass.examiner import Examiner
from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    group,
    label,
    plain_tip,
    row,
    scrolling,
    set_enabled,
    set_role,
    show_words,
)
from terrarium.app.kit.export_button import Columns, ExportButton
from terrarium.app.kit.inputs import caption, grid, line_edit, named
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.minimal_pairs.answers import ChangesCard, ResolvedCard
from terrarium.app.minimal_pairs.attention_card import AttentionCard
from terrarium.app.minimal_pairs.grow_card import GrowCard
from terrarium.app.minimal_pairs.pair_text import attention_columns, default_column, differing_columns, side_tokens
from terrarium.app.minimal_pairs.pair_tokens import PairTokens
from terrarium.app.minimal_pairs.pronoun_models import PRONOUNS, PronounAnswer, PronounControl, PronounModel
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.recipes.pronoun_specs import KINDS
from terrarium.models.tasks.pronouns.evaluation import PronounEvaluation
from terrarium.models.tiny_world.pronouns import draw_pair

if TYPE_CHECKING:
    from terrarium.models.inspect.minimal_pair import PairReading


_ABOUT = (
    "Two sentences that differ in one word, and how a model reacts to that word. In the difference, 0 = the changed "
    "word cannot affect this token."
)
_NO_MODEL = "No model is open: choose one in the chat."
_WIDE = 1100
"""The width in pixels from which the answers are shown beside the attention."""
_SOURCES = {"pronouns": "Pronoun models", "open": "The open model"}
_FIRST_PAIR = tuple(f"The animal didn't cross the street because it was too {word}." for word in ("tired", "wide"))
_WAIT_MS = 250
_MAX_CHARACTERS = 2_000
"""The maximum length of a sentence, far more than fits the line."""
_ROWS: tuple[tuple[str, str, Callable[[PronounEvaluation], str]], ...] = (
    (
        "Right",
        "Sentences of the held-out pairs whose right noun has the highest score",
        lambda found: format_percent(found.accuracy, 1),
    ),
    (
        "Right in both of a pair",
        "Pairs in which “it” is resolved correctly in both sentences",
        lambda found: format_percent(found.both, 1),
    ),
    (
        "Right with the adjective hidden",
        "One random sentence of each pair, with its adjective masked from attention",
        lambda found: format_percent(found.without_adjective, 1),
    ),
    (
        "Largest difference in a pair",
        "Of a noun's logit between the two sentences of a pair: exactly 0 if they are bit-identical",
        lambda found: f"{found.largest_difference:.3g}",
    ),
)
_HEADS = {"encoder-only": "Encoder", "decoder-only": "Causal model"}


class MinimalPairs(QWidget):
    """A page that compares two sentences in the pronoun models or in the open model."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.answer: PronounAnswer | None = None
        self._open_reading: PairReading | None = None
        self._open_problem = ""
        self._words: tuple[list[str], list[str]] = ([], [])
        self._column = -1
        self._is_stale = True
        self.examiner = Examiner(session.worker, session.chat, self)
        self.pronouns = PronounControl(session.worker, session.library, session.models, self)
        self.departure = session.models.release_when_left(PRONOUNS, self, lambda: self.pronouns.busy)
        self.source = Segments(
            "Model", _SOURCES, "Which model to ask: those trained on what “it” is, or the one you chat with"
        )
        self.which = Segments("Whose attention", _HEADS, "The two pronoun models have the same size and training")
        self.sentences = _Sentences(theme)
        self.setFocusProxy(self.sentences)
        self.tokens = PairTokens(theme)
        self.problem = label("", "error", wrap=True)
        self.grow = GrowCard(session, theme)
        self.resolved = {topology: ResolvedCard(topology, theme) for topology in KINDS}
        self.changes = ChangesCard(theme)
        self.attention = AttentionCard(theme, self.which)
        self.measured = _AccuracyTable()
        self._build(theme)
        self._connect()
        self._show()

    def _build(self, theme: ThemeProvider) -> None:
        title, about = row(label("Minimal pairs", "subheading"), None, self.source), label(_ABOUT, "muted", wrap=True)
        head = frame("card", title, about, self.sentences, self.problem, self.tokens)
        self._cards = row(*self.resolved.values())
        self._both = group(self._cards)
        answers = column(self._both, self.changes)
        self._sides = column(answers, self.attention, grows={answers: 3, self.attention: 7})
        self._figures = frame("card", label("Measured accuracy", "subheading"), self.measured)
        body = group(head, self.grow, self._sides, self._figures, None, margin=(0, 0, SPACE, 0))
        self.export = ExportButton(self._session.notices, theme, body, self._numbers)
        self.export.name = "minimal pair"
        title.addWidget(self.export)
        self.setLayout(column(scrolling(body)))

    def _connect(self) -> None:
        session = self._session
        self.source.changed.connect(self._on_source)
        self.which.changed.connect(self._on_which)
        self.sentences.changed.connect(self._ask)
        self.tokens.picked.connect(self.on_picked)
        self.attention.picked.connect(self.on_picked)
        self.pronouns.answered.connect(self._on_answered)
        self.pronouns.failed.connect(self._on_failed)
        self.examiner.done.connect(self._on_examined)
        self.examiner.failed.connect(self._on_failed)
        self.grow.growth.changed.connect(self._on_growth)
        session.runs.changed.connect(self._ask)
        session.chat.model_changed.connect(self._ask)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        across, down = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom
        wide = self.width() >= _WIDE * self._theme.text_scale
        self._sides.setDirection(across if wide else down)
        self._cards.setDirection(down if wide else across)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self._ask()

    @property
    def reading(self) -> PairReading | None:
        """The reading whose attention is shown."""
        if self.source.value == "open":
            return self._open_reading
        models = self.answer.models if self.answer is not None else {}
        model = models.get(self.which.value, next(iter(models.values()), None))  # falls back to the only model
        return model.reading if model is not None else None

    # -- Asking --------------------------------------------------------------------------------------------------------

    @Slot()
    def _ask(self) -> None:
        """Query the chosen model or models about the sentences; deferred while the page is hidden."""
        self._is_stale = not self.isVisible()
        if self._is_stale:
            return
        texts = self.sentences.texts
        if self.source.value == "pronouns":
            self.pronouns.ask(texts)
        elif self._session.chat.model is None:
            self._open_reading, self._open_problem = None, _NO_MODEL
            self._show()
        else:

            def question(model: object, tokenizer: object) -> object:
                from terrarium.models.inspect.minimal_pair import read_pair

                return read_pair(model, tokenizer, texts)  # type: ignore[arg-type]

            self.examiner.ask(question)

    @Slot(object)
    def _on_answered(self, answer: PronounAnswer) -> None:
        self.answer, self._open_problem = answer, ""
        self._show()

    @Slot(object)
    def _on_examined(self, reading: PairReading) -> None:
        self._open_reading, self._open_problem = reading, ""
        self._show()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._open_reading, self._open_problem = None, failure.sentence
        if self.source.value == "pronouns":
            self.answer = None
        self._show()

    @Slot()
    def _on_growth(self) -> None:
        if not self.grow.growth.active:
            self._ask()
        self._show_cards()

    # -- Choosing ------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_source(self) -> None:
        self._open_problem = ""
        asked_before = self.pronouns if self.source.value == "open" else self.examiner
        asked_before.forget()
        self._show()
        self._ask()

    def ask_pronoun_models(self) -> None:
        """Choose the pronoun models as the source."""
        if self.source.value != "pronouns":
            self.source.choose("pronouns")
            self._on_source()

    @Slot()
    def _on_which(self) -> None:
        self._show()

    @Slot(int)
    def on_picked(self, column: int) -> None:
        """Choose another token."""
        self._column = column
        self._show()

    # -- Content -------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        self._show_cards()
        reading = self.reading
        if reading is None:
            self.tokens.show_pair((), (), (), -1)
            return
        first, second = side_tokens(reading, 0), side_tokens(reading, 1)
        if (first, second) != self._words:  # the old column is meaningless for other tokens
            self._words, self._column = (first, second), default_column(reading)
        self.tokens.show_pair(first, second, differing_columns(reading), self._column)
        self.attention.show_reading(reading, self._column)
        if self.source.value == "open":
            self.changes.show_reading(reading, self._column)

    def _show_cards(self) -> None:
        """Show the cards of the available results, and problems with the sentences."""
        asks_open, reading = self.source.value == "open", self.reading
        models = {} if self.answer is None else self.answer.models
        missing = tuple(topology for topology in KINDS if topology not in models)
        problems = [model.problem for model in models.values() if model.problem] if not asks_open else []
        problem = self._open_problem or (problems[0] if problems else "")
        set_role(self.problem, "muted" if problem == _NO_MODEL else "error")
        show_words(self.problem, problem)
        unfinished = [model for model in models.values() if model.is_unfinished]
        self.grow.show_missing(missing, unfinished)
        is_known = self.answer is not None or not self.pronouns.busy
        is_needed = bool(missing or unfinished) and is_known
        self.grow.setVisible(not asks_open and (self.grow.growth.active or is_needed))
        self._both.setVisible(not asks_open and bool(models) and not problems)
        for topology, card in self.resolved.items():
            card.show_model(models.get(topology))
        self.which.setVisible(not asks_open and len(models) > 1)
        self._figures.setVisible(not asks_open and bool(models))
        self.measured.show_models(models)
        for widget in (self.tokens, self.attention):
            widget.setVisible(reading is not None)
        self.changes.setVisible(asks_open and reading is not None)
        set_enabled(self.export, "" if reading is not None else "No sentences have been read yet.")

    def _numbers(self) -> Callable[[], Columns]:
        reading, (layer, head) = self.reading, self.attention.head
        assert reading is not None
        return lambda: attention_columns(reading, layer, head)


class _Sentences(QWidget):
    """The two sentences as editable lines, with other pairs to try.

    Signals:
        changed(): `texts` has changed, debounced while typing.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._random = random.Random()
        tip = "Edit it: both sentences are read again as you type"
        self.lines = tuple(line_edit(f"Sentence {name}", tip, max_length=_MAX_CHARACTERS) for name in "AB")
        self.setFocusProxy(self.lines[0])
        self._wait = QTimer(self, singleShot=True, interval=_WAIT_MS)
        self._wait.timeout.connect(self.changed)
        for line, text in zip(self.lines, _FIRST_PAIR, strict=True):
            line.setText(text)
            line.textChanged.connect(lambda text: self._wait.start())
        self.another = button(
            "Another pair",
            theme,
            self.draw,
            icon="shuffle",
            tip="Draw a held-out pair: no training sentence combines its nouns and adjectives",
        )
        self.first = button("First pair", theme, lambda: self.set_texts(*_FIRST_PAIR), role="quiet")
        self.first.setToolTip("Back to “The animal didn't cross the street…”")
        (a, b), buttons = self.lines, (self.another, self.first)
        rows = [caption("A", a, "mono"), a, buttons[0]], [caption("B", b, "mono"), b, buttons[1]]
        self.setLayout(grid(*rows, spacing=(SPACE, SPACE // 2)))

    @property
    def texts(self) -> tuple[str, str]:
        """The two sentences."""
        return self.lines[0].text(), self.lines[1].text()

    def set_texts(self, first: str, second: str) -> None:
        """Show another pair, and emit `changed` immediately."""
        for line, text in zip(self.lines, (first, second), strict=True):
            with QSignalBlocker(line):
                line.setText(text)
            line.setCursorPosition(0)
        self._wait.stop()
        self.changed.emit()

    @Slot()
    def draw(self) -> None:
        """Show a held-out pair."""
        pair = draw_pair(self._random)
        self.set_texts(pair.of_being.text, pair.of_thing.text)


class _AccuracyTable(QWidget):
    """The accuracy of both pronoun models on held-out pairs, and of baselines that ignore the adjective."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout()
        grid.setHorizontalSpacing(3 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        right = Qt.AlignmentFlag.AlignRight
        self._cells: dict[tuple[int, str], QLabel] = {}
        for j, topology in enumerate(KINDS, start=1):
            grid.addWidget(label(_HEADS[topology], "muted"), 0, j, right)
        for i, (words, tip, _) in enumerate(_ROWS, start=1):
            name = label(words)
            name.setToolTip(plain_tip(tip))
            grid.addWidget(name, i, 0)
            for j, topology in enumerate(KINDS, start=1):
                cell = named(label("–", "mono"), f"{_HEADS[topology]}: {words}", tip)
                self._cells[i - 1, topology] = cell
                grid.addWidget(cell, i, j, right)
        grid.setColumnStretch(3, 1)
        self.rules = label("", "muted", wrap=True)
        self.source = label("", "caption", wrap=True)
        self.setLayout(column(grid, self.rules, self.source))

    def figure(self, row: int, topology: str) -> str:
        """Return the text of a cell."""
        return self._cells[row, topology].text()

    def show_models(self, models: Mapping[str, PronounModel]) -> None:
        """Show the evaluations of the existing models."""
        for (i, topology), cell in self._cells.items():
            model = models.get(topology)
            cell.setText("–" if model is None else _ROWS[i][2](model.evaluation))
        if not models:
            return
        found = next(iter(models.values())).evaluation
        rules = ", ".join(f"{name} {format_percent(share, 1)}" for name, share in found.rules.items())
        self.rules.setText(f"For comparison, always taking: {rules}.")
        runs = " and ".join(f"“{model.name}” at step {model.step:,}" for model in models.values())
        self.source.setText(
            f"Measured on {format_count(2 * found.n_pairs, 'sentence')} of "
            f"{format_count(found.n_pairs, 'held-out pair')}, with "
            f"{runs}; kept with the runs. Held out: no training sentence combines these nouns with these adjectives. "
            "A pair has both answers, so always giving the same answer is right in exactly half. With a few dozen "
            "words, this shows that they learned “it” from noun and adjective, not that they learned English."
        )
