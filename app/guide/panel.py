"""The guide beside the tabs: its chapters, one step at a time, and a chapter's result card."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QApplication,
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.guide.chapters import Chapter
from app.guide.figures import fill
from app.guide.guide import Guide
from app.guide.missions_list import MissionsList
from app.guide.result_card import ResultCard
from app.kit.basics import button, column, frame, label, row, scrolling, separator, set_role
from app.kit.labels import ElidedLabel
from app.kit.layout.section import Section
from app.kit.layout.tab_order import put_after
from app.kit.theme import SPACE, ThemeProvider
from app.worker.notices import Notices

_FIGURE_SPACE = "\N{FIGURE SPACE}"
WIDTH = 308
"""Pixels at the usual text size: at 1280 the tab beside it keeps 970."""


class GuidePanel(QFrame):
    """Follows a Guide, and passes on what the user does.

    Signals:
        closed(): the user has closed the panel.
        quickstart_requested(): grow the model that a chapter needs.
    """

    closed = Signal()
    quickstart_requested = Signal()

    def __init__(
        self,
        guide: Guide,
        problems: Sequence[str],
        notices: Notices,
        theme: ThemeProvider,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._guide, self._theme = guide, theme
        self.setProperty("role", "card")
        self.setAccessibleName("Guide")
        self.list = ChapterList(guide, problems, theme)
        self.step = StepPage(guide, theme)
        self.step.quickstart_requested.connect(self.quickstart_requested)
        self.step.next.clicked.connect(self._on_next)
        self.result = ResultPage(guide, notices, theme)
        self._pages = QStackedWidget()
        for page in (self.list, self.step, self.result):
            self._pages.addWidget(page)
        self.all = button("All chapters", theme, guide.close, icon="caret-left", role="quiet")
        close = button("", theme, self.closed.emit, icon="x", role="quiet-icon", tip="Close the guide")
        self._heading = label("Guide", "heading")
        lines = QVBoxLayout(self)
        lines.setContentsMargins(2 * SPACE, SPACE, SPACE, SPACE)
        lines.setSpacing(SPACE)
        lines.addLayout(row(self._heading, self.all, None, close))
        lines.addWidget(self._pages, 1)
        guide.changed.connect(self._show)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self._show()

    def take_focus(self) -> None:
        """Put the keyboard where one goes on: on the next chapter, in the step, or on the way on from a result."""
        guide = self._guide
        if guide.chapter is None:
            chapter = guide.next_chapter or guide.chapters[0] if guide.chapters else None
            stop: QWidget = self.list.rows[chapter.name] if chapter is not None else self.list
        else:
            stop = self.result.next if guide.at_result else self.step.area
        stop.setFocus(Qt.FocusReason.ShortcutFocusReason)

    @Slot()
    def _on_next(self) -> None:
        if self._guide.at_result:  # the page that was put back has taken the keyboard
            self.take_focus()

    @Slot()
    def _restyle(self) -> None:
        self.setFixedWidth(round(WIDTH * self._theme.text_scale))

    @Slot()
    def _show(self) -> None:
        page = self.list if self._guide.chapter is None else self.result if self._guide.at_result else self.step
        now = QApplication.focusWidget()
        moves_focus = now is not None and self.isAncestorOf(now) and self._pages.currentWidget() is not page
        self._heading.setVisible(page is self.list)
        self.all.setVisible(page is not self.list)
        if self._pages.currentWidget() is not page:
            self._pages.setCurrentWidget(page)
        if moves_focus:  # Qt would give it to the whole page, with a frame around it
            page.main_button.setFocus()


class ChapterList(QScrollArea):
    """All chapters with their minutes and what is done of them, and the missions above."""

    def __init__(self, guide: Guide, problems: Sequence[str], theme: ThemeProvider) -> None:
        super().__init__()
        self._guide, self._theme = guide, theme
        self.rows: dict[str, QPushButton] = {}
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        lines = QVBoxLayout(inner)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE // 2)
        about = "Each chapter is done in this window, with your own model. Nothing is a simulation."
        lines.addWidget(label(about, "muted", wrap=True))
        lines.addSpacing(SPACE)
        for chapter in guide.chapters:
            entry = button("", theme, role="chapter", tip=chapter.makes)
            entry.clicked.connect(lambda checked=False, name=chapter.name: guide.open(name))
            minutes = label(f"{chapter.minutes} min", "caption")
            minutes.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            beside = row(None, minutes)
            beside.setContentsMargins(0, 0, SPACE // 2, 0)
            entry.setLayout(beside)
            entry.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # as wide as the panel
            self.rows[chapter.name] = entry
            lines.addWidget(entry)
        for problem in problems:
            lines.addWidget(label(problem, "error", wrap=True))
        lines.addSpacing(SPACE)
        lines.addWidget(separator())
        lines.addSpacing(SPACE)
        lines.addWidget(label("Or just try things", "subheading"))
        self.missions = MissionsList(guide, theme)
        lines.addWidget(self.missions)
        lines.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inner)
        guide.changed.connect(self._show)
        self._show()

    @property
    def main_button(self) -> QPushButton:
        """What one goes on with: the chapter that was begun, or the first that is not done."""
        return self.rows[(self._guide.next_chapter or self._guide.chapters[0]).name]

    @Slot()
    def _show(self) -> None:
        for chapter in self._guide.chapters:
            self._show_row(chapter, self.rows[chapter.name])

    def _show_row(self, chapter: Chapter, entry: QPushButton) -> None:
        kept = self._guide.progress.of(chapter.name)
        began = kept.step > 0 or bool(kept.results)
        state = "done" if kept.is_done else f"step {kept.step + 1} of {len(chapter.steps)}" if began else ""
        entry.setText(f"{chapter.number:>2}".replace(" ", _FIGURE_SPACE) + f"   {chapter.title}")
        minutes = f"{chapter.minutes} min"
        entry.setToolTip(f"{chapter.makes}\n{minutes}{' · ' + state if state else ''}")
        entry.setAccessibleName(f"Chapter {chapter.number}, {chapter.title}, {minutes}{', ' + state if state else ''}")
        icon = "check-circle" if kept.is_done else "circle-half" if began else "circle"
        if entry.property("iconName") != icon:
            self._theme.set_icon(entry, icon, "accent" if kept.is_done or began else "muted")


class StepPage(QWidget):
    """One step: prose, a bet, what to do, whether it is done, a hint and the why.

    Signals:
        quickstart_requested(): grow the model that the chapter needs.
    """

    quickstart_requested = Signal()

    def __init__(self, guide: Guide, theme: ThemeProvider) -> None:
        super().__init__()
        self._guide, self._theme = guide, theme
        self._shown: tuple[str, int] | None = None
        self.chapter, self.dots = ElidedLabel(), label("", "mono-small")
        self.chapter.setProperty("role", "caption")
        self.title = label("", "heading", wrap=True)
        self.prose = markdown_label()
        self.missing = frame("banner")
        self._missing_words = label("", wrap=True)
        self._grow = button("Quick start", theme, self.quickstart_requested.emit, icon="mdi6.sprout", role="primary")
        lines = self.missing.layout()
        assert lines is not None
        lines.addWidget(self._missing_words)
        lines.addWidget(self._grow)
        self.prediction = PredictionBox(guide)
        self.set_up = button("Set it up for me", theme, guide.set_up, icon="magic-wand", role="primary")
        self.put_back = button("Put it back", theme, guide.put_back, icon="arrow-counter-clockwise", role="quiet")
        self.put_back.setToolTip("Undo what “Set it up for me” has changed in this chapter; what you made stays")
        self.problem = label("", "error", wrap=True)
        self._deed = frame("sunken", margin=SPACE + SPACE // 2, spacing=SPACE // 2)
        self._mark, self.deed = QLabel(), label("", wrap=True)
        self.result = label("", "caption", wrap=True)
        deed = self._deed.layout()
        assert isinstance(deed, QVBoxLayout)
        line = row(self._mark, self.deed)
        line.setAlignment(self._mark, Qt.AlignmentFlag.AlignTop)
        line.setStretch(1, 1)
        deed.addLayout(line)
        deed.addWidget(self.result)
        self.hint, self.why = Section("Hint", theme, folded=True), Section("Why it is so", theme, folded=True)
        self._hint, self._why = label("", "muted", wrap=True), markdown_label()
        self.hint.set_body(self._hint)
        self.why.set_body(self._why)
        self.back = button("Back", theme, guide.back, role="quiet")
        self.next = button("Skip", theme, guide.next)
        inner = QWidget()
        inner.setLayout(
            column(
                self.title,
                self.prose,
                self.missing,
                self.prediction,
                self._deed,
                self.problem,
                self.hint,
                self.why,
                None,
                spacing=SPACE + SPACE // 2,
            )
        )
        margins = inner.layout()
        assert margins is not None
        margins.setContentsMargins(0, 0, SPACE, 0)
        self.prediction.tab_after = self.prose
        self.area = scrolling(inner)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setLayout(column(self._head(), self.area, self._buttons(), self._foot(), spacing=SPACE))
        guide.changed.connect(self._show)
        self._show()

    @property
    def main_button(self) -> QPushButton:
        """What one goes on with."""
        if not (self.missing.isHidden() or self._grow.isHidden()):
            return self._grow
        return self.next if self.set_up.isHidden() else self.set_up

    def _head(self) -> QWidget:
        return _above_or_below(row(self.chapter, self.dots))

    def _buttons(self) -> QWidget:
        buttons = QWidget()
        buttons.setLayout(row(self.set_up, self.put_back, None))
        return buttons

    def _foot(self) -> QWidget:
        return _above_or_below(row(self.back, None, self.next))

    @Slot()
    def _show(self) -> None:
        guide, step = self._guide, self._guide.step
        if step is None or guide.chapter is None:
            return
        chapter, index = guide.chapter, guide.index
        where = (chapter.name, index)
        if where != self._shown:
            self._shown = where
            for section in (self.hint, self.why):
                section.set_folded(True)
            self.area.verticalScrollBar().setValue(0)
        n = len(chapter.steps)
        self.chapter.setText(f"{chapter.number} · {chapter.title}")
        self.dots.setText(f"{index + 1}/{n}")
        self.dots.setAccessibleName(f"Step {index + 1} of {n}")
        self.title.setText(step.title)
        set_text(self.prose, filled_in(step.prose, guide))
        self._missing_words.setText(guide.needs)
        self.missing.setVisible(bool(guide.needs))
        self._grow.setVisible(not guide.is_growing)
        self.prediction.show_step()
        self.set_up.setVisible(bool(step.prepares) and not guide.needs)
        self.put_back.setVisible(guide.can_put_back)
        self.problem.setText(guide.problem)
        self.problem.setVisible(bool(guide.problem))
        done = guide.is_done
        self._mark.setText("✓" if done else "○")
        set_role(self._mark, "accent" if done else "muted")
        self._mark.setAccessibleName("done" if done else "to do")
        self.deed.setText(step.deed)
        line = guide.progress.of(chapter.name).results.get(str(index), "") if done else ""
        self.result.setText(line)
        self.result.setVisible(bool(line))
        self._hint.setText(step.hint)
        self.why.setVisible(bool(step.why))
        set_text(self._why, filled_in(step.why, guide))
        self.back.setEnabled(index > 0)
        words = "Next" if done else "Skip"
        if self.next.text() != words:
            self.next.setText(words)
            self.next.setAccessibleName(words)
            set_role(self.next, "primary" if done else "")
        role = "" if done or guide.is_set_up else "primary"  # one button at a time is the next thing to do
        if self.set_up.property("role") != role:
            set_role(self.set_up, role)
            self._theme.set_icon(self.set_up, "magic-wand", "on_accent" if role else "text")


def _above_or_below(line: QHBoxLayout) -> QWidget:
    """A line beside the text that scrolls, which ends where that does: before the place of its scroll bar."""
    widget = QWidget()
    line.setContentsMargins(0, 0, SPACE, 0)
    widget.setLayout(line)
    return widget


class PredictionBox(QWidget):
    """A question to bet on, and what was measured once the deed is done.

    tab_after: after which widget its options, which are made later, come in the tab order.
    """

    def __init__(self, guide: Guide) -> None:
        super().__init__()
        self._guide = guide
        self.tab_after: QWidget = self
        self.question = label("", "subheading", wrap=True)
        self.verdict = label("", "accent", wrap=True)
        self.options: list[QRadioButton] = []
        self._group = QButtonGroup(self)
        self._lines = column(self.question, spacing=SPACE // 2)
        self._options = column(spacing=SPACE // 2)
        self._lines.addLayout(self._options)
        self._lines.addWidget(self.verdict)
        self.setLayout(self._lines)
        self._shown: tuple[str, ...] = ()

    def show_step(self) -> None:
        """Show the prediction of the guide's step, if it has one."""
        step = self._guide.step
        prediction = step.prediction if step is not None else None
        self.setVisible(prediction is not None)
        if prediction is None:
            return
        self.question.setText(f"First, bet: {prediction.question}")
        shown = (prediction.question, *prediction.options)
        if shown != self._shown:
            self._shown = shown
            self._make(prediction.options)
        for i, option in enumerate(self.options):
            option.setEnabled(not self._guide.is_done)
            if (self._guide.bet == i) != option.isChecked():
                self._group.setExclusive(False)  # or none could be unchecked
                option.setChecked(self._guide.bet == i)
                self._group.setExclusive(True)
        verdict = self._guide.verdict()
        self.verdict.setText(verdict)
        self.verdict.setVisible(bool(verdict))

    def _make(self, options: Sequence[str]) -> None:
        for option in self.options:
            self._group.removeButton(option)
            option.hide()
            option.deleteLater()
        self.options = []
        for i, words in enumerate(options):
            option = QRadioButton(words)
            option.clicked.connect(lambda checked=False, i=i: self._guide.place_bet(i))
            self._group.addButton(option)
            self._options.addWidget(option)
            self.options.append(option)
        put_after(self.tab_after, *self.options)


class ResultPage(QWidget):
    """The end of a chapter: its result card, and the next chapter."""

    def __init__(self, guide: Guide, notices: Notices, theme: ThemeProvider) -> None:
        super().__init__()
        self._guide = guide
        self.card = ResultCard(notices, theme)
        self.next = self.main_button = button("", theme, self._on_next, role="primary", icon="arrow-right")
        self.again = button("Do it again", theme, self._on_again, role="quiet", icon="arrow-counter-clockwise")
        inner = QWidget()
        inner.setLayout(column(self.card, self.card.export, None, spacing=SPACE))
        self.setLayout(column(scrolling(inner), self.next, self.again, spacing=SPACE))
        guide.changed.connect(self._show)

    @Slot()
    def _show(self) -> None:
        guide = self._guide
        if not guide.at_result or guide.chapter is None:
            return
        self.card.show_results(guide.chapter.title, guide.chapter.makes, guide.results, len(guide.chapter.steps))
        following = guide.following()
        words = f"Next: {following.title}" if following is not None else "All chapters"
        self.next.setText(words)
        self.next.setAccessibleName(words)

    def _on_next(self) -> None:
        following = self._guide.following()
        if following is None:
            self._guide.close()
        else:
            self._guide.open(following.name)

    def _on_again(self) -> None:
        assert self._guide.chapter is not None
        self._guide.open(self._guide.chapter.name)


def filled_in(text: str, guide: Guide) -> str:
    """A text with its figures; those that are not known yet are left as “…”."""
    parts = text.split("{{")
    out = parts[0]
    for part in parts[1:]:
        name, _, rest = part.partition("}}")
        out += (fill("{{" + name + "}}", guide.facts) or "…") + rest
    return out


def markdown_label() -> QLabel:
    """A label for prose in Markdown, whose addresses are opened by the system's browser."""
    widget = label("", wrap=True)
    widget.setTextFormat(Qt.TextFormat.MarkdownText)
    widget.setTextInteractionFlags(
        Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
    )
    widget.linkActivated.connect(lambda address: QDesktopServices.openUrl(QUrl(address)))
    return widget


def set_text(widget: QLabel, text: str) -> None:
    """Set a label's text if it is another one: laying it out again costs a millisecond."""
    if widget.text() != text:
        widget.setText(text)
