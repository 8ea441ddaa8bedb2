"""The tree of stages: a card for each, from left to right, and lines for weights and for rewards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from PySide6.QtCore import QEvent, QPointF, QRect, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from terrarium.app.kit.basics import add_menu, button, column, label, plain_tip, row
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.clickable_card import ClickableCard
from terrarium.app.lineage.next_steps import NextStep, next_steps
from terrarium.app.lineage.stage_words import (
    describe_cost,
    describe_details,
    describe_held_out,
    describe_settings,
    describe_source,
    describe_start,
    kind_words,
    meaning_of,
)
from terrarium.app.session.routes import Go, ShowRun
from terrarium.models.alignment.stage_tree import GONE, REWARD, LineageNode, StageTree

_WIDTH, _GUTTER, _GAP = 284, 5 * SPACE, 2 * SPACE
_CURVE, _ARROW = 8.0, 5.0
_REWARD_SHIFT = 14.0  # pixels between the lines of weights and of rewards, where both end at a card
_NOTHING = "No held-out numbers yet"


class Place(NamedTuple):
    """The grid position of a stage: columns count from the root, rows from the top."""

    column: int
    row: int


def places(tree: StageTree) -> dict[str, Place]:
    """Lay out the stages on a grid: each one column right of its parent, the first child in the same row.

    Children of a reward model start one row lower, which leaves room for the line of their weights.
    """
    found: dict[str, Place] = {}
    below: dict[str, list[str]] = {}
    for stage in tree.stages[1:]:
        below.setdefault(tree.above(stage), []).append(stage.id)

    def place(id: str, column: int, at: int) -> int:
        """Place a stage and its descendants; return the next free row."""
        found[id] = Place(column, at)
        stage = tree.find(id)
        next_row = at + 1 if stage is not None and stage.kind == REWARD else at
        for child in below.get(id, ()):
            if child not in found:
                next_row = place(child, column + 1, next_row)
        return max(next_row, at + 1)

    place(tree.stages[0].id, 0, 0)
    for stage in tree.stages:  # in a damaged library, some are not connected to the root
        if stage.id not in found:
            place(stage.id, 0, max(each.row for each in found.values()) + 1)
    return found


class StageTreeView(QScrollArea):
    """Draws a StageTree and highlights the stage of the run shown."""

    def __init__(self, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._go, self._theme = go, theme
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its cards
        self.setAccessibleName("Tree of stages")
        self.cards: dict[str, _StageCard] = {}
        theme.theme_changed.connect(self._restyle)

    def show_tree(self, tree: StageTree, run_id: str) -> None:
        """Show a tree with one of its runs highlighted."""
        at = self.horizontalScrollBar().value(), self.verticalScrollBar().value()
        was_here = run_id in self.cards
        self.cards = {}
        for stage in tree.stages:
            steps = list(next_steps(tree, stage))
            parent = tree.find(stage.parent) if stage.parent else None
            card = _StageCard(stage, parent, steps, self._go, self._theme, is_shown=stage.id == run_id)
            if stage.id != run_id:
                card.clicked.connect(partial(self._go, ShowRun(stage.id)))
            self.cards[stage.id] = card
        page = QWidget()
        page.setProperty("role", "scrolled")
        lines = QVBoxLayout(page)
        lines.setContentsMargins(0, 0, SPACE // 2, 0)
        lines.addWidget(
            _Canvas(tree, self.cards, self._theme), 0, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft
        )
        lines.addStretch(1)
        self.setWidget(page)
        if was_here:
            self.horizontalScrollBar().setValue(at[0])
            self.verticalScrollBar().setValue(at[1])
        QTimer.singleShot(0, self, partial(self._show_card, run_id))

    def _show_card(self, run_id: str) -> None:
        if run_id in self.cards:
            self.ensureWidgetVisible(self.cards[run_id], 2 * SPACE, 2 * SPACE)

    @Slot()
    def _restyle(self) -> None:
        for card in self.cards.values():
            card.restyle()


class TreeLegend(QWidget):
    """The legend of the two kinds of lines."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        marks = [_Mark(theme, is_reward=is_reward) for is_reward in (False, True)]
        self.setLayout(row(marks[0], label("weights", "caption"), marks[1], label("rewards", "caption"), None))


class _Mark(QWidget):
    def __init__(self, theme: ThemeProvider, *, is_reward: bool) -> None:
        super().__init__()
        self._theme, self._is_reward = theme, is_reward
        self.setFixedSize(28, 12)
        theme.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(_pen(self._theme, is_reward=self._is_reward))
        painter.drawLine(QPointF(0, self.height() / 2), QPointF(self.width(), self.height() / 2))


class _Canvas(QWidget):
    """The cards at their places, and the lines between them."""

    def __init__(self, tree: StageTree, cards: dict[str, _StageCard], theme: ThemeProvider) -> None:
        super().__init__()
        self._tree, self._cards, self._theme = tree, cards, theme
        self._places = places(tree)
        for id in sorted(cards, key=lambda id: (self._places[id].row, self._places[id].column)):
            cards[id].setParent(self)  # in this order Tab goes through them
        theme.theme_changed.connect(self.update)
        self._arrange()

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Polish, QEvent.Type.FontChange, QEvent.Type.Show):
            self._arrange()
        return super().event(event)

    def _arrange(self) -> None:
        height = max((card.sizeHint().height() for card in self._cards.values()), default=0)
        wide = round(_WIDTH * max(1.0, self._theme.text_scale))
        for id, at in self._places.items():
            x, y = at.column * (wide + _GUTTER), at.row * (height + _GAP)
            self._cards[id].setGeometry(QRect(x, y, wide, height))
        columns, rows = (1 + max(each[i] for each in self._places.values()) for i in range(2))
        size = QSize(columns * (wide + _GUTTER) - _GUTTER, rows * (height + _GAP) - _GAP)
        if size != self.minimumSize():
            self.setFixedSize(size)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for line, is_reward in self._lines():
            painter.setPen(_pen(self._theme, is_reward=is_reward))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPath(line)
            end = line.currentPosition()
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.theme.color("accent" if is_reward else "border_strong"))
            tip = end + QPointF(1, 0)
            painter.drawPolygon(QPolygonF([tip, tip - QPointF(8, _ARROW), tip - QPointF(8, -_ARROW)]))

    def _lines(self) -> Iterator[tuple[QPainterPath, bool]]:
        for stage in self._tree.stages:
            card = self._cards[stage.id].geometry()
            end = QPointF(card.left() - 1, card.center().y())
            parent = self._cards.get(stage.parent)
            rewarder = self._cards.get(stage.rewarded_by)
            if parent is not None and parent is not self._cards[stage.id]:
                begin = QPointF(parent.geometry().right(), parent.geometry().center().y())
                yield _stepped(begin, end, begin.x() + _GUTTER / 2), False
            if rewarder is not None and self._tree.above(stage) == stage.rewarded_by:
                below = rewarder.geometry()
                begin = QPointF(below.right() - 4 * SPACE, below.bottom())
                yield _dropped(begin, end + QPointF(0, _REWARD_SHIFT)), True


def _pen(theme: ThemeProvider, *, is_reward: bool) -> QPen:
    pen = QPen(theme.theme.color("accent" if is_reward else "border_strong"), 1.5)
    if is_reward:
        pen.setStyle(Qt.PenStyle.DashLine)
    return pen


def _stepped(begin: QPointF, end: QPointF, x: float) -> QPainterPath:
    """Right, up or down at `x`, and right again, with round corners."""
    path = QPainterPath(begin)
    if abs(end.y() - begin.y()) < 1:
        path.lineTo(end)
        return path
    turn = _CURVE if end.y() > begin.y() else -_CURVE
    path.lineTo(x - _CURVE, begin.y())
    path.quadTo(QPointF(x, begin.y()), QPointF(x, begin.y() + turn))
    path.lineTo(x, end.y() - turn)
    path.quadTo(QPointF(x, end.y()), QPointF(x + _CURVE, end.y()))
    path.lineTo(end)
    return path


def _dropped(begin: QPointF, end: QPointF) -> QPainterPath:
    """Down, and right, with a round corner."""
    path = QPainterPath(begin)
    path.lineTo(begin.x(), end.y() - _CURVE)
    path.quadTo(QPointF(begin.x(), end.y()), QPointF(begin.x() + _CURVE, end.y()))
    path.lineTo(end)
    return path


class _StageCard(ClickableCard):
    """A card of a stage. A click or Enter opens its run.

    Args:
        parent: the stage it started from. steps: the entries of its button; no button if empty. is_shown: whether its
            run is the one shown.
    """

    def __init__(
        self,
        stage: LineageNode,
        parent: LineageNode | None,
        steps: Sequence[NextStep],
        go: Go,
        theme: ThemeProvider,
        *,
        is_shown: bool,
    ) -> None:
        _, icon, meaning = meaning_of(stage.kind)
        is_gone = stage.kind == GONE
        super().__init__(icon, theme, can_open=not is_gone, stands_out=is_shown, dashed=is_gone)
        self.stage = stage
        kind = kind_words(stage)
        title = ElidedLabel(stage.name)
        title.setProperty("role", "subheading")
        self.icon.setAccessibleName(kind)
        badge = label(kind, "pill")
        badge.setToolTip(plain_tip(meaning))
        about = [ElidedLabel(words) for words in (describe_source(stage), describe_settings(stage))]
        for line in about:
            line.setProperty("role", "caption")
        held_out = describe_held_out(stage)
        figures = ElidedLabel(stage.problem or held_out or ("" if is_gone else _NOTHING))
        figures.setProperty("role", "warning" if stage.problem else "small" if held_out else "caption")
        cost = ElidedLabel(describe_cost(stage))
        cost.setProperty("role", "caption")
        self.next_button = button(
            "What next", theme, icon="caret-down", role="link", tip="What can be done with it next"
        )
        self.next_button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the icon on the right
        entries = [(step.words, step.icon, step.tip, lambda route=step.route: route and go(route)) for step in steps]
        add_menu(self.next_button, theme, entries)
        for action, step in zip(self.next_button.menu().actions(), steps, strict=True):
            action.setEnabled(step.route is not None)
        self.setLayout(
            column(
                row(self.icon, title, badge, grows=title),
                *about,
                figures,
                row(cost, self.next_button, grows=cost),
                margin=(SPACE + SPACE // 2, SPACE, SPACE + SPACE // 2, SPACE // 2),
                spacing=SPACE // 4,
            )
        )
        self.next_button.setVisible(bool(steps))
        said = (kind, stage.name, describe_source(stage), describe_settings(stage), describe_cost(stage), held_out)
        self.setAccessibleName(", ".join(filter(None, said)))
        self.next_button.setAccessibleName(f"What next with {stage.name}")
        opens = "This run is shown" if is_shown else "Show this run"
        told = (opens if self.can_open else "", describe_start(stage, parent), describe_details(stage))
        self.setToolTip(plain_tip("\n".join(filter(None, told))))
