"""Shows the guide beside the tabs; it is created after the pages, and reverts its set-up when the window closes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QApplication, QSplitter, QWidget
from shiboken6 import isValid

from terrarium.app.help.palette import PaletteEntry
from terrarium.app.kit.theme import ThemeProvider

if TYPE_CHECKING:
    from terrarium.app.guide.chapters import Chapter
    from terrarium.app.guide.guide import Guide
    from terrarium.app.guide.guide_panel import GuidePanel
    from terrarium.app.guide.missions import Mission
    from terrarium.app.home.home import Home
    from terrarium.app.shell.guide.anchors import GuidedWindow

log = logging.getLogger(__name__)

_BOTH = 1700
"""The minimum width, in pixels at the default text size, for the tabs with both the guide and the help panel."""


class GuideDesk(QObject):
    """Shows the guide of a window. Its modules are imported lazily.

    Args:
        beside: holds the tabs; the panel is added to it when it is first shown.
    """

    def __init__(self, window: GuidedWindow, beside: QSplitter, theme: ThemeProvider) -> None:
        super().__init__(beside)
        theme.theme_changed.connect(self._fit)
        self._window, self._beside, self._theme = window, beside, theme
        self._guide: Guide | None = None
        self._chapters: Sequence[Chapter] | None = None
        self._problems: Sequence[str] = ()
        self.panel: GuidePanel | None = None
        """The panel; None until it is first shown."""
        self._focus_before: QWidget | None = None
        self._gave_way = False

    def read(self) -> None:
        """Read the chapters. Safe on any thread once the guide is imported (see `load_pages`)."""
        from terrarium.app.guide.chapters import read_chapters

        chapters, self._problems = read_chapters()
        for problem in self._problems:
            log.warning("%s", problem)
        self._chapters = chapters

    @property
    def guide(self) -> Guide:
        """The guide, created on first access."""
        if self._guide is None:
            from terrarium.app.guide.guide import Guide
            from terrarium.app.guide.ring import Ring
            from terrarium.app.shell.guide.stage import MainWindowDriver

            session = self._window.session
            if self._chapters is None:
                self.read()
            assert self._chapters is not None
            stage = MainWindowDriver(self._window, Ring(self._theme, self._beside.window()))
            self._guide = Guide(self._chapters, stage, session.library.home, session.notices, self)
            self._guide.opened.connect(self.show)
            self._guide.mission_done.connect(self._on_mission)
            self._guide.start()
        return self._guide

    def add_to(self, home: Home) -> None:
        """Put the guide's card on Home."""
        from terrarium.app.guide.home_card import GuideCard

        card = GuideCard(self.guide, self._window.session.go, self._theme)
        home.set_missions(card)

    @property
    def is_shown(self) -> bool:
        """Whether the panel is beside the tabs."""
        return self.panel is not None and not self.panel.isHidden()

    @Slot()
    def show(self) -> None:
        """Show the panel, with the chapters or the step that is open."""
        if self.panel is None:
            from terrarium.app.guide.guide_panel import GuidePanel

            guide, window = self.guide, self._window
            self.panel = GuidePanel(guide, self._problems, window.session.notices, window.session.go, self._theme)
            self.panel.closed.connect(self.close)
            self._beside.addWidget(self.panel)
        if not self.is_shown:
            self._focus_before = QApplication.focusWidget()
        self._gave_way = False
        self.panel.show()

    @Slot()
    def close(self) -> None:
        """Hide the panel, revert the step's set-up, and restore the focus."""
        if self.panel is None:
            return
        self.guide.put_back()
        self.panel.hide()
        before, page = self._focus_before, self._window.pages.currentWidget()
        if before is not None and isValid(before) and before.isVisible():
            before.setFocus()
        elif page is not None:
            page.setFocus()

    @Slot()
    def hide_for_help(self) -> None:
        """Hide the panel while the help panel is shown, if the tabs would have too little space beside both."""
        if self.panel is not None and self._beside.width() < _BOTH * self._theme.text_scale:
            self._gave_way = self.is_shown or self._gave_way
            self.panel.hide()

    @Slot()
    def show_again(self) -> None:
        """Show the panel again, if `hide_for_help` has hidden it."""
        if self.panel is not None and self._gave_way:
            self._gave_way = False
            self.panel.show()
            self._fit()

    def open_chapter(self, name: str, step: int) -> None:
        """Open a chapter at a step, counted from 1. Raises ValueError if there is none."""
        chapters = {chapter.name: chapter for chapter in self.guide.chapters}
        if name not in chapters:
            raise ValueError(f"The guide has no chapter “{name[:80]}”: it has {', '.join(chapters)}.")
        if not 1 <= step <= len(chapters[name].steps):
            raise ValueError(f"This chapter has steps 1 to {len(chapters[name].steps)}, and no step {step:,}.")
        self.guide.open(name, step - 1)

    def toggle(self) -> None:
        """Show the panel and put the keyboard in it, or hide it."""
        if self.is_shown:
            self.close()
            return
        self.show()
        self._fit()
        assert self.panel is not None
        self.panel.take_focus()

    @Slot()
    def _fit(self) -> None:
        """Give the tabs any width beyond the panel's maximum, which shrinks with the text size."""
        if self.panel is None or self.panel.isHidden():
            return
        sizes, at = self._beside.sizes(), self._beside.indexOf(self.panel)
        sizes[0] += sizes[at] - self.panel.maximumWidth()
        sizes[at] = self.panel.maximumWidth()
        self._beside.setSizes(sizes)

    def end(self) -> None:
        """Revert the step's set-up before the window closes, so that it is not saved as the user's settings."""
        if self._guide is not None:
            self._guide.put_back()

    @Slot(object)
    def _on_mission(self, mission: Mission) -> None:
        from terrarium.app.guide.figures import fill

        done = fill(mission.done, self.guide.facts)
        self._window.session.notices.say(f"Mission done: {mission.title}. {done or ''}".strip())

    # -- Command palette -----------------------------------------------------------------------------------------------

    def entries(self) -> Sequence[PaletteEntry]:
        """Return the chapters and missions as entries of the command palette."""
        from terrarium.app.guide.missions import MISSIONS

        guide = self.guide
        chapters = [
            _entry(f"guide/{chapter.name}", chapter.title, "Guide", partial(guide.open, chapter.name), chapter.makes)
            for chapter in guide.chapters
        ]
        missions = [
            _entry(f"mission/{each.name}", each.title, "Missions", partial(guide.go_to, each), each.how)
            for each in MISSIONS
        ]
        return [*chapters, *missions]


def _entry(key: str, title: str, where: str, do: Callable[[], object], find_by: str) -> PaletteEntry:
    return PaletteEntry(key=key, title=title, do=do, where=where, find_by=find_by)
