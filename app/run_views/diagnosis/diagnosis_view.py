"""The doctor's view of a run: its problems with remedies, and the checks that passed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QLabel, QWidget

from terrarium.app.kit.basics import EmptyState, column, frame, label, scrolling, show_if
from terrarium.app.kit.inputs import grid
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.diagnosis.diagnosis_card import DiagnosisCard
from terrarium.app.run_views.examining import RunExaminer
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.worker.failures import Failure
from terrarium.models.diagnosis import TITLES, Check, Diagnosis, Examination, Remedy
from terrarium.models.number_words import format_count

_READING = ("Examining…", "Each step of a long run is read for this, which takes some seconds.")
_EMPTY = ("Nothing to examine yet", "The doctor reads the log of a run, step by step.")
_WIDEST = 880
"""Pixels: longer lines are hard to read."""


_ICON = 16


class DoctorView(QWidget):
    """Examines a run in the background, and again as it grows.

    Signals:
        remedy_asked(run_id, remedy): the user wants to apply this `Remedy`.
    """

    remedy_asked = Signal(str, object)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.cards: dict[str, DiagnosisCard] = {}
        self.heading = label("", "heading", wrap=True)
        self.summary = label("", "muted", wrap=True)
        self.checks = CheckList(theme)
        self._examiner = RunExaminer(self)
        self._examiner.examined.connect(self._on_examined)
        self._examiner.failed.connect(self._on_failed)
        self._empty = EmptyState(*_EMPTY)
        self._build()

    def _build(self) -> None:
        inside = QWidget()
        inside.setMaximumWidth(_WIDEST)
        self._lines = column(self.heading, self.summary, spacing=SPACE + SPACE // 2, margin=(0, 0, SPACE, 0))
        inside.setLayout(self._lines)
        self._first_card = self._lines.count()
        self._others = label("Passed checks", "subheading")
        self._lines.addWidget(self._others)
        self._lines.addWidget(self.checks)
        self._lines.addStretch(1)
        self._found = scrolling(inside)
        self.setLayout(column(self._found, self._empty))
        self._found.hide()

    def show_run(self, run: ShownRun) -> None:
        """Examine another run; the previous run's cards go first, as their buttons would apply to this run."""
        if run is not self._examiner.run:
            self._show_cards(run, ())
            self.heading.setText("Examining…")
            self.summary.setText("")
            self.checks.set_checks(())
            self._others.hide()
        self._say_unless(self._examiner.show_run(run))

    def refresh(self) -> None:
        """Examine the run again, since it has grown; an examination in progress is finished first."""
        self._say_unless(self._examiner.refresh())

    def _say_unless(self, is_examined: bool) -> None:
        run = self._examiner.run
        if run is not None and is_examined and not run.history.train.is_whole and self._found.isHidden():
            self._show_empty(*_READING)
        elif run is not None and not is_examined:
            why = run.history.empty_reason
            self._show_empty(*(("Nothing to examine", why) if why else _EMPTY))

    @Slot(object)
    def _on_examined(self, examination: Examination) -> None:
        run = self._examiner.run
        assert run is not None
        self._show_cards(run, examination.diagnoses)
        n = len(examination.diagnoses)
        made = sum(check.possible for check in examination.checks)
        self.checks.set_checks(examination.checks)
        self._others.setVisible(bool(n and examination.checks))
        if n:
            self.heading.setText("1 problem" if n == 1 else f"{n} problems")
            self.summary.setText("The most severe first. Each button makes a new run; this one stays unchanged.")
        elif made:
            self.heading.setText("Too early to tell" if examination.is_early else "No problems found")
            later = len(examination.checks) - made
            passed = f"{format_count(made, 'check')} passed"
            self.summary.setText(f"{passed}; {later} could not be made: see below." if later else f"All {passed}.")
        if n or made:
            self._empty.hide()
            self._found.show()
        else:
            self._show_empty(*_EMPTY)

    def _show_cards(self, run: ShownRun, diagnoses: tuple[Diagnosis, ...]) -> None:
        """Update cards in place, so that a button is not replaced while it is being pressed."""
        found = {diagnosis.kind: diagnosis for diagnosis in diagnoses}
        for kind in set(self.cards) - set(found):
            self.cards.pop(kind).deleteLater()
        for i, (kind, diagnosis) in enumerate(found.items()):
            if kind not in self.cards:
                card = self.cards[kind] = DiagnosisCard(kind, self._theme)
                card.remedy_asked.connect(self._on_remedy)
            self._lines.insertWidget(self._first_card + i, self.cards[kind])
            self.cards[kind].show_diagnosis(diagnosis, run)

    def _show_empty(self, heading: str, sentence: str) -> None:
        self._empty.set_words(heading, sentence)
        self._found.hide()
        self._empty.show()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._show_empty("This run's log cannot be read", failure.sentence)

    @Slot(object)
    def _on_remedy(self, remedy: Remedy) -> None:
        if self._examiner.run is not None:
            self.remedy_asked.emit(self._examiner.run.id, remedy)


class CheckList(QWidget):
    """The checks that passed or were not possible, one line each, with their values.

    The lines of all other checks are hidden.
    """

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._lines = {kind: _CheckLine() for kind in TITLES}
        cells = [(line.icon, line.title, line.words) for line in self._lines.values()]
        for widget in itertools.chain.from_iterable(cells):
            widget.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setLayout(column(frame("card", grid(*cells, grows=2, spacing=(SPACE + SPACE // 2, SPACE)))))
        theme.theme_changed.connect(self._restyle)

    def set_checks(self, checks: Sequence[Check]) -> None:
        """Show these checks."""
        by_kind = {check.kind: check for check in checks}
        for kind, line in self._lines.items():
            line.set_check(by_kind.get(kind))
        self._restyle()
        self.setVisible(bool(by_kind))

    def words(self) -> list[str]:
        """Return the visible texts, line by line."""
        return [f"{line.title.text()}: {line.words.text()}" for line in self._lines.values() if line.check is not None]

    @Slot()
    def _restyle(self) -> None:
        for line in self._lines.values():
            possible = line.check is None or line.check.possible
            icon = self._theme.icon("check-circle" if possible else "hourglass", "accent" if possible else "muted")
            line.icon.setPixmap(icon.pixmap(_ICON, _ICON))


class _CheckLine:
    """The widgets of one check."""

    def __init__(self) -> None:
        self.check: Check | None = None
        self.icon, self.title, self.words = QLabel(), label(""), label("", "muted", wrap=True)

    def set_check(self, check: Check | None) -> None:
        self.check = check
        show_if(check is not None, self.icon, self.title, self.words)
        if check is not None:
            self.title.setText(check.title)
            self.words.setText(check.words)
            state = "Passed" if check.possible else "Not possible yet"
            self.icon.setToolTip(state)
            self.icon.setAccessibleName(state)
