"""A held-out question with the model's replies over the training: babble becomes sentences."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QSizePolicy, QWidget

from terrarium.app.kit.basics import column, frame, group, headed, label, row, set_role
from terrarium.app.kit.inputs import choice, fill_choice, named
from terrarium.app.kit.labels import ElidedLabel, NumberLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.events import AccuracyMeasured, HeldOutAnswer
from terrarium.models.number_words import format_percent
from terrarium.models.tiny_world.lexicon import MEN, WOMEN
from terrarium.models.tiny_world.questions import KINDS, kind_title

_NOT_YET = "Its first answer appears here in a moment."
_NOTHING = "(no text)"
_STEP_CHARACTERS = 5
_LINES_NOW = 6
"""Lines of text reserved for the latest reply, enough for a story. Longer babble is scrolled."""
DEFAULT_KIND = "requests"
"""The initial kind: stories show best how words, then sentences, then sense emerge."""
_NAMES = frozenset((*WOMEN, *MEN))
_MARKUP = re.compile(r"<\|[a-z_]+\|>")
_WORD = re.compile(r"[^\W\d_]+")
_ENDS = (".", "!", "?")
_MOST = 0.5
"""A property is stated if more than this share of the compared answers has it."""
_LOOP = 4
"""This many equal words in a row count as a loop."""
_LARGE = 0.1
"""The minimum change of a kind's accuracy: on the few questions asked, a smaller one may be chance."""


class AnswerFeed(QWidget):
    """The latest reply to the first question of the chosen kind, and below it the earlier replies, oldest first.

    Signals:
        kind_chosen(kind): another kind of question was chosen here.
    """

    kind_chosen = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._measured: Sequence[AccuracyMeasured] = ()
        self._known: tuple[str, int] | None = None
        self.kinds = choice("Kind of question", "Which kind of question is shown")
        fill_choice(self.kinds, {kind: kind_title(kind) for kind in KINDS}, DEFAULT_KIND)
        self.changed = named(ElidedLabel(), "What changed since the last sample")
        set_role(self.changed, "subheading")
        self.question = label("", wrap=True, selectable=True)
        self.gold = label("", "caption", wrap=True)
        self._mark = QLabel()
        self.step = label("", "mono-small")
        self.now = named(label(_NOT_YET, wrap=True, selectable=True), "What it says now")
        top = Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft
        self.now.setAlignment(top)
        self.now_area = _area(self.now, "What it says now, all of it")
        said = row(self._mark, self.step, None), self.now_area
        box = frame("sunken", *said, margin=SPACE + SPACE // 2, spacing=SPACE // 2)
        self.rows: list[AnswerRow] = []
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(SPACE)
        self._grid.setVerticalSpacing(SPACE // 2)
        self._grid.setColumnStretch(2, 1)
        self._area = _area(group(self._grid, margin=(0, 0, SPACE, 0)), "What it said before")
        self._area.setMinimumHeight(4 * SPACE)
        across = self._area.sizePolicy().horizontalPolicy()
        self._area.setSizePolicy(across, QSizePolicy.Policy.Ignored)  # wrapped text above would make it show all rows
        self._before = label("", "caption")
        head = headed("What it says now", self.kinds, explained=self)
        parts = head, self.changed, self.question, self.gold, box, self._before, self._area
        self.setLayout(column(*parts, grows=self._area))
        self.kinds.currentIndexChanged.connect(self._on_chosen)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    @property
    def kind(self) -> str:
        """The kind of question that is shown."""
        return KINDS[self.kinds.currentIndex()]

    def choose(self, kind: str) -> None:
        """Show a question of another kind."""
        self.kinds.setCurrentIndex(KINDS.index(kind))

    def show_measured(self, measured: Sequence[AccuracyMeasured]) -> None:
        """Show the answers of a run's measurements so far."""
        self._measured = measured
        known = (self.kind, len(measured))
        if known != self._known:
            self._known = known
            self._show()

    def _show(self) -> None:
        self.changed.setText(what_changed(self._measured))
        said = [
            (measured.step, answer)
            for measured in self._measured
            for answer in measured.answers
            if answer.kind == self.kind
        ]
        self._before.setText("What it said before" if len(said) > 1 else "")
        for i, (step, answer) in enumerate(said[:-1]):
            if i == len(self.rows):
                self.rows.append(AnswerRow(self._grid, i))
            self.rows[i].show_answer(step, answer, self._theme)
        for extra in self.rows[max(len(said) - 1, 0) :]:
            extra.hide()
        self._grid.setRowStretch(len(self.rows), 1)
        if not said:
            for words in (self.question, self.step, self._mark):
                words.setText("")
            self.gold.setText("")
            self.now.setText(_NOT_YET)
            return
        step, answer = said[-1]
        self.question.setText(answer.question)
        right = "One right answer" if answer.kind == "requests" else "Right"
        self.gold.setText(f"{right}: {answer.gold}")
        self.step.setText(f"step {step:,} · {'right' if answer.right else 'wrong'}")
        show_mark(self._mark, answer, self._theme)
        self.now.setText(answer.reply or _NOTHING)

    @Slot()
    def _on_chosen(self) -> None:
        self.show_measured(self._measured)
        self.kind_chosen.emit(self.kind)

    @Slot()
    def _restyle(self) -> None:
        line = QFontMetrics(self._theme.font()).lineSpacing()
        self.question.setMinimumHeight(line)
        self.now_area.setFixedHeight(_LINES_NOW * line)
        self._show()


def _area(inside: QWidget, name: str) -> QScrollArea:
    inside.setProperty("role", "scrolled")
    area = named(QScrollArea(), name)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
    area.setWidget(inside)
    return area


class AnswerRow:
    """An earlier reply in one line of a grid: its step, whether it was right, and its text."""

    def __init__(self, grid: QGridLayout, line: int) -> None:
        self._step, self._mark = NumberLabel(_STEP_CHARACTERS, "mono-small"), QLabel()
        self.text = ElidedLabel()
        self.text.setProperty("role", "muted")
        for at, widget in enumerate((self._step, self._mark, self.text)):
            grid.addWidget(widget, line, at)
        grid.setRowStretch(line, 0)

    def show_answer(self, step: int, answer: HeldOutAnswer, theme: ThemeProvider) -> None:
        """Show the reply at a step."""
        self._step.setText(f"{step:,}")
        show_mark(self._mark, answer, theme)
        self.text.setText(" ".join(answer.reply.split()) or _NOTHING)
        for widget in (self._step, self._mark, self.text):
            widget.show()

    def hide(self) -> None:
        """Hide the row."""
        for widget in (self._step, self._mark, self.text):
            widget.hide()


def show_mark(mark: QLabel, answer: HeldOutAnswer, theme: ThemeProvider) -> None:
    """Mark an answer as right or wrong, by shape as well as by colour."""
    mark.setText("✓" if answer.right else "✗")
    mark.setAccessibleName("right" if answer.right else "wrong")
    mark.setStyleSheet(f"color: {theme.theme.accent if answer.right else theme.theme.muted}; font-weight: 600")


def what_changed(measured: Sequence[AccuracyMeasured]) -> str:
    """Return the most informative change between a run's last two measurements; "" if nothing changed."""
    if not measured:
        return ""
    *earlier, after = measured
    if not earlier:
        return "This is where it starts." if after.step == 0 else "This is its first sample."
    found = (_first_right(earlier, after), *(find(earlier[-1], after) for find in _FINDERS))
    return next(filter(None, found), "No change beyond chance.")


def _first_right(earlier: Sequence[AccuracyMeasured], after: AccuracyMeasured) -> str:
    """Name the kinds with the first right answers."""
    known = {kind for before in earlier for kind, accuracy in _accuracies(before).items() if accuracy > 0}
    begun = [kind for kind in KINDS if _accuracies(after).get(kind, 0.0) > 0 and kind not in known]
    return f"First right answers: {', '.join(map(_quoted, begun))}." if begun else ""


def _quoted(kind: str) -> str:
    """Format a kind's name within a sentence."""
    title = kind_title(kind)
    return f"“{title}”" if title.endswith("?") else title


def _replies(measured: AccuracyMeasured) -> list[str]:
    return [answer.reply.strip() for answer in measured.answers]


def _share(replies: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, replies)) / len(replies) if replies else 0.0


def _newly(words: str, holds: Callable[[str], bool]) -> Callable[[AccuracyMeasured, AccuracyMeasured], str]:
    """Return a finder that reports `words` if most answers now have a property and most lacked it before."""

    def find(before: AccuracyMeasured, after: AccuracyMeasured) -> str:
        return words if _share(_replies(before), holds) <= _MOST < _share(_replies(after), holds) else ""

    return find


def _loops(reply: str) -> bool:
    """Return whether a reply repeats itself."""
    said = _MARKUP.findall(reply) + _WORD.findall(_MARKUP.sub(" ", reply))
    run = 1
    for last, word in itertools.pairwise(said):
        run = run + 1 if word == last else 1
        if run >= _LOOP:
            return True
    return False


def _ends_sentence(reply: str) -> bool:
    return reply.endswith(_ENDS)


def _names_appear(before: AccuracyMeasured, after: AccuracyMeasured) -> str:
    had, has = (_NAMES & set(_WORD.findall(" ".join(_replies(each)))) for each in (before, after))
    new = sorted(has - had)
    return f"Names appear in its answers: {', '.join(new[:3])}." if new and not had else ""


def _known_words(before: AccuracyMeasured, after: AccuracyMeasured) -> str:
    """Report whether most of its words now occur in questions and right answers, unlike before."""
    known = {word.lower() for answer in after.answers for word in _WORD.findall(f"{answer.question} {answer.gold}")}

    def is_of_world(reply: str) -> bool:
        words = [word.lower() for word in _WORD.findall(_MARKUP.sub(" ", reply))]
        return bool(words) and sum(word in known for word in words) > _MOST * len(words)

    return _newly("Most of its words are now words of its world.", is_of_world)(before, after)


def _largest_change(before: AccuracyMeasured, after: AccuracyMeasured) -> str:
    had, has = _accuracies(before), _accuracies(after)
    changes = {kind: has[kind] - had[kind] for kind in KINDS if kind in had and kind in has}
    kind = max(changes, key=lambda kind: abs(changes[kind]), default="")
    if not kind or abs(changes[kind]) < _LARGE:
        return ""
    went = "rose" if changes[kind] > 0 else "fell"
    return f"{_quoted(kind)} {went} from {format_percent(had[kind])} to {format_percent(has[kind])} right."


def _accuracies(measured: AccuracyMeasured) -> dict[str, float]:
    return {kind.kind: kind.accuracy for kind in measured.kinds}


_FINDERS: tuple[Callable[[AccuracyMeasured, AccuracyMeasured], str], ...] = (
    _newly("It no longer writes the marks of a conversation as text.", lambda reply: not _MARKUP.search(reply)),
    _newly("It now ends its sentences.", _ends_sentence),
    _names_appear,
    _known_words,
    _newly("It no longer says the same word again and again.", lambda reply: not _loops(reply)),
    _largest_change,
)
"""The finders, from the most to the least informative change."""
