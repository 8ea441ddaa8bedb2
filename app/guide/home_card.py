"""The guide's card on Home: the chapter to continue, and the six missions."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QBoxLayout, QFrame, QWidget

from terrarium.app.guide.guide import Guide
from terrarium.app.guide.missions import MISSIONS
from terrarium.app.guide.missions_list import MissionsList
from terrarium.app.kit.basics import button, column, headed, label, row
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import Go, ShowGuide

_WIDE = 640
"""The minimum width in pixels at which the missions are beside the guide, at the usual text size."""


class GuideCard(QFrame):
    """Starts or resumes the guide, with the missions beside it."""

    def __init__(self, guide: Guide, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._guide, self._theme = guide, theme
        self.setProperty("role", "card")
        self.about = label("", "muted", wrap=True)
        self.go_on = button("", theme, self._on_go_on, icon="compass", role="primary")
        self.all = button("All chapters", theme, partial(go, ShowGuide()), role="link")
        self.count = label("", "caption")
        self.missions = MissionsList(guide, theme)
        left = column(headed("The guide", role="heading"), self.about, row(self.go_on, self.all, None), None)
        right = column(headed("Missions", self.count, role="heading"), self.missions, None)
        self._halves = row(left, right, spacing=4 * SPACE, grows={left: 2, right: 3})
        self.setLayout(column(self._halves, margin=2 * SPACE))
        guide.changed.connect(self._show)
        RelayoutOnResize(self, self._arrange)
        self._show()

    def _arrange(self) -> None:
        is_wide = self.width() >= _WIDE * self._theme.text_scale
        directions = QBoxLayout.Direction
        self._halves.setDirection(directions.LeftToRight if is_wide else directions.TopToBottom)

    @Slot()
    def _show(self) -> None:
        guide = self._guide
        n, done = len(guide.chapters), guide.n_done
        self.about.setText(
            f"{n} chapters, from the first token to safety, each done in this window with your own model."
            if not done
            else f"You have done {done} of {n} chapters."
        )
        chapter = guide.next_chapter
        verb = "Continue" if guide.has_begun else "Start"
        words = "All done: begin again" if chapter is None else f"{verb}: {chapter.title}"
        if self.go_on.text() != words:
            self.go_on.setText(words)
            self.go_on.setAccessibleName(words)
        ticked = sum(mission.name in guide.progress.missions for mission in MISSIONS)
        self.count.setText(f"{ticked} of {len(MISSIONS)} done")

    def _on_go_on(self) -> None:
        chapter = self._guide.next_chapter or self._guide.chapters[0]
        self._guide.open(chapter.name)
