"""The guide beside the tabs: its chapters, one step at a time, and a chapter's result card."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from terrarium.app.guide.chapters import Chapter
from terrarium.app.guide.guide import Guide
from terrarium.app.guide.missions_list import MissionsList
from terrarium.app.guide.step_page import StepPage
from terrarium.app.kit.basics import button, column, group, label, row, scrolling, separator, show_words, stacked
from terrarium.app.kit.chart_export import write_png
from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.kit.logo import program_mark
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import Go
from terrarium.app.worker.notices import Notices

_FIGURE_SPACE = "\N{FIGURE SPACE}"
WIDTH = 308
"""Pixels at the usual text size: in a window of 1280 pixels, 970 remain for the tab beside it."""


class GuidePanel(QFrame):
    """A view of a Guide, which forwards user actions.

    Signals:
        closed(): the user has closed the panel.
    """

    closed = Signal()

    def __init__(
        self,
        guide: Guide,
        problems: Sequence[str],
        notices: Notices,
        go: Go,
        theme: ThemeProvider,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._guide, self._theme = guide, theme
        self.setProperty("role", "card")
        self.setAccessibleName("Guide")
        self.list = ChapterList(guide, problems, theme)
        self.step = StepPage(guide, go, theme)
        self.step.next.clicked.connect(self._on_next)
        self.result = ResultPage(guide, notices, theme)
        self._pages = stacked(self.list, self.step, self.result)
        self.all = button("All chapters", theme, guide.close, icon="caret-left", role="quiet")
        close = button("", theme, self.closed.emit, icon="x", role="quiet-icon", tip="Close the guide")
        self._heading = label("Guide", "heading")
        head = row(self._heading, self.all, None, close)
        self.setLayout(column(head, self._pages, grows=self._pages, margin=(2 * SPACE, SPACE, SPACE, SPACE)))
        guide.changed.connect(self._show)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self._show()

    def take_focus(self) -> None:
        """Move the keyboard focus to the next chapter, into the step, or to the main button of a result."""
        guide = self._guide
        if guide.chapter is None:
            chapter = guide.next_chapter or guide.chapters[0] if guide.chapters else None
            stop: QWidget = self.list.rows[chapter.name] if chapter is not None else self.list
        else:
            stop = self.result.next if guide.at_result else self.step.area
        stop.setFocus(Qt.FocusReason.ShortcutFocusReason)

    @Slot()
    def _on_next(self) -> None:
        if self._guide.at_result:  # the restored page has taken the focus
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
        if moves_focus:  # otherwise Qt would focus the whole page, with a frame around it
            page.main_button.setFocus()


class ChapterList(QScrollArea):
    """All chapters with their duration and progress, with the missions above."""

    def __init__(self, guide: Guide, problems: Sequence[str], theme: ThemeProvider) -> None:
        super().__init__()
        self._guide, self._theme = guide, theme
        self.rows: dict[str, QPushButton] = {}
        for chapter in guide.chapters:
            entry = button("", theme, role="chapter", tip=chapter.makes)
            entry.clicked.connect(lambda checked=False, name=chapter.name: guide.open(name))
            minutes = label(f"{chapter.minutes} min", "caption")
            minutes.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            entry.setLayout(row(None, minutes, margin=(0, 0, SPACE // 2, 0)))
            entry.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # as wide as the panel
            self.rows[chapter.name] = entry
        about = "Each chapter is done in this window, with your own model. Nothing is a simulation."
        self.missions = MissionsList(guide, theme)
        inner = group(
            label(about, "muted", wrap=True),
            SPACE,
            *self.rows.values(),
            *(label(problem, "error", wrap=True) for problem in problems),
            SPACE,
            separator(),
            SPACE,
            label("Or just try things", "subheading"),
            self.missions,
            None,
            spacing=SPACE // 2,
        )
        inner.setProperty("role", "scrolled")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self.setAccessibleName("Chapters")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inner)
        guide.changed.connect(self._show)
        self._show()

    @property
    def main_button(self) -> QPushButton:
        """The button of the chapter to continue: a started one, or the first unfinished one."""
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


class ResultPage(QWidget):
    """The end of a chapter: its result card, and the next chapter."""

    def __init__(self, guide: Guide, notices: Notices, theme: ThemeProvider) -> None:
        super().__init__()
        self._guide = guide
        self.card = _ResultCard(notices, theme)
        self.next = self.main_button = button("", theme, self._on_next, role="primary", icon="arrow-right")
        self.again = button("Do it again", theme, self._on_again, role="quiet", icon="arrow-counter-clockwise")
        area = scrolling(group(self.card, self.card.export, None))
        self.setLayout(column(area, self.next, self.again))
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


class _ResultCard(QFrame):
    """The result of a chapter with the user's own numbers: what the user has now, and a line per completed step.

    `export` saves it as a picture.
    """

    def __init__(self, notices: Notices, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._notices, self._theme = notices, theme
        self.setProperty("role", "sunken")
        mark = QLabel()
        mark.setPixmap(program_mark(24))
        mark.setAccessibleName("Terrarium's mark")
        self.title, self.makes = label("", "heading", wrap=True), label("", "muted", wrap=True)
        self.lines: list[QLabel] = []
        self.note = label("", "caption", wrap=True)
        self.export = button("Save as a picture…", theme, self._on_export, icon="export", role="quiet")
        self._rows, head = column(), row(mark, label("Terrarium", "caption"), None)
        self.setLayout(column(head, self.title, self.makes, SPACE, self._rows, self.note, margin=2 * SPACE))

    def show_results(self, title: str, makes: str, results: Sequence[str], n_steps: int) -> None:
        """Show the result lines of the completed steps, out of `n_steps`."""
        self.title.setText(title)
        self.makes.setText(makes)
        while len(self.lines) < len(results):
            line = label("", wrap=True, selectable=True)
            line.setAlignment(Qt.AlignmentFlag.AlignTop)
            self._rows.addWidget(line)
            self.lines.append(line)
        for i, line in enumerate(self.lines):
            line.setVisible(i < len(results))
            line.setText(f"✓  {results[i]}" if i < len(results) else "")
        skipped = n_steps - len(results)
        show_words(self.note, f"{skipped} of {n_steps} steps were skipped." if skipped else "")
        self.export.setEnabled(bool(results))

    @Slot()
    def _on_export(self) -> None:
        path = ask_save_path(self, "Save the result", self.title.text(), "png", "PNG pictures (*.png)")
        if path is None:
            return
        ground = self._theme.theme.color("window")
        if self._notices.attempt(lambda: write_png(self, ground, path)):
            self._notices.say(f"{path.name} was saved to {path.parent}.")
