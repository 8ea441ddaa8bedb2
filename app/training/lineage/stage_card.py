"""A card for one stage of a lineage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout

from app.kit.basics import add_menu, button, label, plain_tip, row
from app.kit.labels import ElidedLabel
from app.kit.theme import SPACE, ThemeProvider
from app.training.lineage.next_steps import NextStep
from app.training.lineage.stage_words import (
    KINDS,
    describe_cost,
    describe_details,
    describe_held_out,
    describe_settings,
    describe_source,
    describe_start,
    kind_words,
)
from models.alignment.stage_tree import GONE, Stage

_NOTHING = "No held-out numbers yet"


class StageCard(QFrame):
    """Shows a stage. A click, or Enter, shows its run.

    Args:
        parent: what it started from. steps: what its button offers; no button without any. is_shown: whether its run is
            the one that is shown.

    Signals:
        clicked()
        step_chosen(does): an entry of its button: a NextRun or a Judging; None where it cannot be done.
    """

    clicked = Signal()
    step_chosen = Signal(object)

    def __init__(
        self, stage: Stage, parent: Stage | None, steps: Sequence[NextStep], theme: ThemeProvider, *, is_shown: bool
    ) -> None:
        super().__init__()
        self.stage, self._theme, self._is_shown, self._is_hot = stage, theme, is_shown, False
        _, self._icon_name, meaning = KINDS[stage.kind]
        kind = kind_words(stage)
        self._icon = QLabel()
        title = ElidedLabel(stage.name)
        title.setProperty("role", "subheading")
        badge = label(kind, "pill")
        badge.setToolTip(meaning)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(SPACE + SPACE // 2, SPACE, SPACE + SPACE // 2, SPACE // 2)
        lines.setSpacing(SPACE // 4)
        head = row(self._icon, title, badge)
        head.setStretch(1, 1)
        lines.addLayout(head)
        for words in (describe_source(stage), describe_settings(stage)):
            line = ElidedLabel(words)
            line.setProperty("role", "caption")
            lines.addWidget(line)
        held_out = describe_held_out(stage)
        figures = ElidedLabel(stage.problem or held_out or ("" if stage.kind == GONE else _NOTHING))
        figures.setProperty("role", "warning" if stage.problem else "small" if held_out else "caption")
        lines.addWidget(figures)
        cost = ElidedLabel(describe_cost(stage))
        cost.setProperty("role", "caption")
        self.next_button = button(
            "What next", theme, icon="caret-down", role="link", tip="What can be done with it next"
        )
        self.next_button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the icon on the right
        entries = [(step.words, step.icon, step.tip, partial(self.step_chosen.emit, step.does)) for step in steps]
        add_menu(self.next_button, theme, entries)
        for action, step in zip(self.next_button.menu().actions(), steps, strict=True):
            action.setEnabled(step.does is not None)
        self.next_button.setVisible(bool(steps))
        foot = row(cost, self.next_button)
        foot.setStretch(0, 1)
        lines.addLayout(foot)
        said = (kind, stage.name, describe_source(stage), describe_settings(stage), describe_cost(stage), held_out)
        self.setAccessibleName(", ".join(filter(None, said)))
        self.next_button.setAccessibleName(f"What next with {stage.name}")
        opens = "This run is shown" if is_shown else "Show this run"
        self.can_open = stage.kind != GONE
        if self.can_open:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        told = (opens if self.can_open else "", describe_start(stage, parent), describe_details(stage))
        self.setToolTip(plain_tip("\n".join(filter(None, told))))
        self.restyle()

    def restyle(self) -> None:
        """Take the theme's colours."""
        role = "accent" if self._is_shown else "muted"
        self._icon.setPixmap(self._theme.icon(self._icon_name, role).pixmap(QSize(18, 18)))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, hot = self._theme.theme, self._is_hot and self.can_open
        edge = "accent" if self._is_shown or self.hasFocus() else "border_strong" if hot else "border"
        pen = QPen(colors.color(edge), 1.5 if edge == "accent" else 1)
        if not self.can_open:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(colors.color("accent_soft" if self._is_shown else "sunken" if hot else "surface"))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), 9, 9)

    def enterEvent(self, event: QEvent) -> None:
        self._is_hot = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._is_hot = False
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint())
        if self.can_open and event.button() == Qt.MouseButton.LeftButton and inside:
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.can_open and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)
