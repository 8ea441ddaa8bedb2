"""The page of one step: prose, prediction, instruction, and whether it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QWidget,
)

from terrarium.app.guide.chapters import Chapter, Step
from terrarium.app.guide.figures import fill_known
from terrarium.app.guide.guide import Guide
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
    show_words,
)
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.layout.tab_order import put_after, stops_in
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import Go, StartQuickStart


class StepPage(QWidget):
    """One step: prose, a prediction, the instruction, whether it is complete, a hint and the background."""

    def __init__(self, guide: Guide, go: Go, theme: ThemeProvider) -> None:
        super().__init__()
        self._guide, self._theme = guide, theme
        self._shown: tuple[str, int] | None = None
        self.chapter, self.count = ElidedLabel(), label("", "mono-small")
        self.chapter.setProperty("role", "caption")
        self.title = label("", "heading", wrap=True)
        self.prose = _markdown_label()
        self._missing_words = label("", wrap=True)
        self._grow = button("Quick start", theme, partial(go, StartQuickStart()), icon="mdi6.sprout", role="primary")
        self.missing = frame("banner", self._missing_words, self._grow)
        self.prediction = PredictionBox(guide)
        self.set_up = button("Set it up for me", theme, guide.set_up, icon="magic-wand", role="primary")
        self.put_back = button(
            "Put it back",
            theme,
            guide.put_back,
            icon="arrow-counter-clockwise",
            role="quiet",
            tip="Undo what “Set it up for me” has changed in this chapter; what you made is kept",
        )
        self.problem = label("", "error", wrap=True)
        self._mark, self.instruction = QLabel(), label("", wrap=True)
        self.result = label("", "caption", wrap=True)
        line = row(self._mark, self.instruction, grows=self.instruction)
        line.setAlignment(self._mark, Qt.AlignmentFlag.AlignTop)
        spacing = SPACE // 2
        self._instruction = frame("sunken", line, self.result, margin=SPACE + spacing, spacing=spacing)
        self.hint, self.why = Section("Hint", theme, folded=True), Section("Why is that?", theme, folded=True)
        self._hint, self._why = label("", "muted", wrap=True), _markdown_label()
        self.hint.set_body(self._hint)
        self.why.set_body(self._why)
        self.back = button("Back", theme, guide.back, role="quiet")
        self.next = button("Skip", theme, guide.next)
        self.prediction.tab_after = (self.prose, *stops_in(self.missing))[-1]
        self.area = scrolled(
            self.title,
            self.prose,
            self.missing,
            self.prediction,
            self._instruction,
            self.problem,
            self.hint,
            self.why,
            None,
            spacing=SPACE + SPACE // 2,
        )
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setLayout(column(self._head(), self.area, self._buttons(), self._foot(), spacing=SPACE))
        guide.changed.connect(self._show)
        self._show()

    @property
    def main_button(self) -> QPushButton:
        """The button that continues."""
        if not (self.missing.isHidden() or self._grow.isHidden()):
            return self._grow
        return self.next if self.set_up.isHidden() else self.set_up

    def _head(self) -> QWidget:
        return _above_or_below(row(self.chapter, self.count))

    def _buttons(self) -> QWidget:
        return group(row(self.set_up, self.put_back, None))

    def _foot(self) -> QWidget:
        return _above_or_below(row(self.back, None, self.next))

    @Slot()
    def _show(self) -> None:
        guide, step = self._guide, self._guide.step
        if step is None or guide.chapter is None:
            return
        self._show_place(guide.chapter)
        self.title.setText(step.title)
        self.prose.setText(fill_known(step.prose, guide.facts))
        self._missing_words.setText(guide.needs)
        self.missing.setVisible(bool(guide.needs))
        self._grow.setVisible(not guide.is_growing)
        self.prediction.show_step()
        self._show_deed(step)
        show_words(self.problem, guide.problem)
        self._hint.setText(step.hint)
        self._why.setText(fill_known(step.why, guide.facts))
        self.why.setVisible(bool(step.why))
        self._show_buttons(step)

    def _show_place(self, chapter: Chapter) -> None:
        """Show the position in the chapter; a new step is shown from its top, with its sections folded."""
        index, n = self._guide.index, len(chapter.steps)
        if (chapter.name, index) != self._shown:
            self._shown = chapter.name, index
            for section in (self.hint, self.why):
                section.set_folded(True)
            self.area.verticalScrollBar().setValue(0)
        self.chapter.setText(f"{chapter.number} · {chapter.title}")
        self.count.setText(f"{index + 1}/{n}")
        self.count.setAccessibleName(f"Step {index + 1} of {n}")

    def _show_deed(self, step: Step) -> None:
        is_done, result = self._guide.is_done, self._guide.result
        self._mark.setText("✓" if is_done else "○")
        set_role(self._mark, "accent" if is_done else "muted")
        self._mark.setAccessibleName("done" if is_done else "to do")
        self.instruction.setText(step.instruction)
        show_words(self.result, result)

    def _show_buttons(self, step: Step) -> None:
        guide = self._guide
        self.set_up.setVisible(bool(step.prepares) and not guide.needs)
        self.put_back.setVisible(guide.can_put_back)
        set_enabled(self.back, "" if guide.index > 0 else "This is the first step.")
        words = "Next" if guide.is_done else "Skip"
        if self.next.text() != words:
            self.next.setText(words)
            self.next.setAccessibleName(words)
            set_role(self.next, "primary" if guide.is_done else "")
        role = "" if guide.is_done or guide.is_set_up else "primary"  # only one button at a time is primary
        if self.set_up.property("role") != role:
            set_role(self.set_up, role)
            self._theme.set_icon(self.set_up, "magic-wand", "on_accent" if role else "text")


def _above_or_below(line: QHBoxLayout) -> QWidget:
    """Return a row above or below the scroll area that ends where its text does: before the scroll bar."""
    return group(line, margin=(0, 0, SPACE, 0))


class PredictionBox(QWidget):
    """A question to predict, and the measured outcome once the step is complete.

    tab_after: the widget that precedes the options, which are created later, in the tab order.
    """

    def __init__(self, guide: Guide) -> None:
        super().__init__()
        self._guide = guide
        self.tab_after: QWidget = self
        self.question = label("", "subheading", wrap=True)
        self.verdict = label("", "accent", wrap=True)
        self.options: list[QRadioButton] = []
        self._group = QButtonGroup(self)
        self._options = column(spacing=SPACE // 2)
        self._lines = column(self.question, self._options, self.verdict, spacing=SPACE // 2)
        self.setLayout(self._lines)
        self._shown: tuple[str, ...] = ()

    def show_step(self) -> None:
        """Show the prediction of the guide's step, if it has one."""
        step = self._guide.step
        prediction = step.prediction if step is not None else None
        self.setVisible(prediction is not None)
        if prediction is None:
            return
        self.question.setText(f"First, guess: {prediction.question}")
        shown = (prediction.question, *prediction.options)
        if shown != self._shown:
            self._shown = shown
            self._make(prediction.options)
        for i, option in enumerate(self.options):
            set_enabled(option, "The guess is decided." if self._guide.is_done else "")
            if (self._guide.guess == i) != option.isChecked():
                self._group.setExclusive(False)  # otherwise the checked button could not be unchecked
                option.setChecked(self._guide.guess == i)
                self._group.setExclusive(True)
        verdict = self._guide.verdict()
        show_words(self.verdict, verdict)

    def _make(self, options: Sequence[str]) -> None:
        for option in self.options:
            self._group.removeButton(option)
            option.hide()
            option.deleteLater()
        self.options = []
        for i, words in enumerate(options):
            option = QRadioButton(words)
            option.clicked.connect(lambda checked=False, i=i: self._guide.make_guess(i))
            self._group.addButton(option)
            self._options.addWidget(option)
            self.options.append(option)
        put_after(self.tab_after, *self.options)


def _markdown_label() -> QLabel:
    """Return a label for Markdown prose; links open in the system's browser."""
    widget = label("", wrap=True)
    widget.setTextFormat(Qt.TextFormat.MarkdownText)
    widget.setTextInteractionFlags(
        Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
    )
    widget.linkActivated.connect(lambda address: QDesktopServices.openUrl(QUrl(address)))
    return widget
