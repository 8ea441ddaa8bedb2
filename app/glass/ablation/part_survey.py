"""Single-part ablations: the effect of each part of the model on a token, shown as a heat map."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.glass.ablation.ablation_answer import MAX_AUTO_SURVEY_FLOPS, AblationAnswer, other_text
from terrarium.app.glass.ablation.measuring import Measuring
from terrarium.app.glass.ablation.sentences import format_effect
from terrarium.app.glass.colour_scale import ColourScale
from terrarium.app.glass.names import quoted
from terrarium.app.kit.basics import label
from terrarium.app.kit.setting_names.value_words import format_site
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.heat_map import HeatMap
from terrarium.app.plots.pictures import Axis, HeatPicture
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.number_words import format_signed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inspect.ablation import ModelPart, Survey


_SHORT = {"attention": "attn", "cross_attention": "cross", "feed_forward": "ff"}
_MAX_IN_A_LINE = 8  # columns whose names fit in one line
_SMALLEST_REACH = 0.01  # nats: the lower limit of the amount with the strongest colour


class PartSurvey(QWidget):
    """A grid of all parts, measured automatically if that is quick, else on request.

    Signals:
        chosen(part): the user clicked a part.
        measured(): `found` or `busy` has changed.
    """

    chosen = Signal(object)
    measured = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._detail = session.detail
        self._answer: AblationAnswer | None = None
        self._other: str | None = None
        self._marked: Collection[ModelPart] = ()
        self.found: dict[ModelPart, float] = {}
        """The changes in log-probability (nats) measured so far."""
        self.grid = PartGrid(theme)
        self.scale = ColourScale(theme, "diverging")
        self.title = label("", "caption", wrap=True)
        self.measuring = Measuring(session, theme, "Measure all parts", self.start, self.scale)
        self.measure, self.stop = self.measuring.button, self.measuring.stop
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE // 2)
        lines.addWidget(self.title)
        lines.addWidget(self.grid)
        lines.addWidget(self.measuring)
        self.grid.chosen.connect(self.chosen)
        self.measuring.found.connect(self._on_found)
        self.measuring.failed.connect(self._on_failed)
        self.measuring.changed.connect(self._show)
        self._detail.changed.connect(self._show)

    @property
    def busy(self) -> bool:
        """Whether a measurement is running."""
        return self.measuring.busy

    @property
    def is_complete(self) -> bool:
        """Whether all parts have been measured."""
        return self._answer is not None and self.measuring.is_complete

    def show_answer(self, answer: AblationAnswer, other: str | None, marked: Collection[ModelPart]) -> None:
        """Show another answer, or another text to patch from (None: ablate instead); `marked` parts are outlined."""
        before, was_other = self._answer, self._other
        self._answer, self._other, self._marked = answer, other, marked
        if before is None or [site for site, _ in before.blocks] != [site for site, _ in answer.blocks]:
            self.grid.show_blocks(answer.blocks)
        if before is None or (before.target, before.token, was_other) != (answer.target, answer.token, other):
            self.found = {}
            self.measuring.expect(sum(len(parts) for _, parts in answer.blocks))
            if answer.survey_flops <= MAX_AUTO_SURVEY_FLOPS:
                self.start()
        self._show()

    def start(self) -> None:
        """Start the measurement, from the last layer to the first."""
        from terrarium.models.inspect.ablation import Survey

        answer, words = self._answer, self._other
        if answer is None:
            return
        target, token = answer.target, answer.token
        self.found = {}
        made: list[Survey] = []

        def measure_next(model: AnyModel, tokenizer: Tokenizer) -> list[tuple[ModelPart, float]]:
            if not made:
                other = other_text(model, tokenizer, target, words)
                made.append(Survey(target.to_text(), target.readout(model), token, other))
            return made[0].measure_next(model)

        self.measuring.start(measure_next)

    def cancel(self) -> None:
        """Stop measuring; keep the results so far."""
        self.measuring.cancel()

    @Slot(object)
    def _on_found(self, found: list[tuple[ModelPart, float]]) -> None:
        self.found.update(found)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.title.setText(failure.sentence)

    @Slot()
    def _show(self) -> None:
        answer = self._answer
        if answer is None:
            return
        name = quoted(answer.names[answer.token])
        does = "is off" if self._other is None else "is patched"
        speaks_for = {part: -change for part, change in self.found.items()}  # coloured as in the inputs panel
        reach = self.grid.show_amounts(speaks_for, self._marked, self._describe)
        if self._detail.is_simple:
            self.title.setText(f"How much likelier or less likely {name} gets when a single part {does}.")
            self.scale.show_values("The part speaks", "against it", "for it")
        else:
            self.title.setText(f"Change in log-probability of {name} when a single part {does}, in nats.")
            self.scale.show_values("Change in nats", format_signed(reach), format_signed(-reach))
        self.scale.setToolTip("Square-root scale: a quarter of the change has half of the colour")
        self.scale.setVisible(bool(self.found))
        self.measured.emit()

    def _describe(self, part: ModelPart) -> str:
        words = format_site(part.site, part.head)
        change = self.found.get(part)
        if change is None:
            return f"{words}\nnot measured yet"
        return f"{words}\n{format_effect(change) if self._detail.is_simple else f'{format_signed(change, 3)} nats'}"


class PartGrid(HeatMap):
    """A heat map with an amount per part, blue below zero and ochre above. Chosen parts are outlined.

    The scale is that of square roots, since a whole layer matters far more than a head.

    Signals:
        chosen(part): a cell was clicked, or Enter was pressed on it.
    """

    chosen = Signal(object)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._parts: list[list[ModelPart | None]] = []
        self._rows: list[str] = []
        self._heads: list[str] = []
        self._borders: list[int] = []
        self._n_lines = 1
        self._marked: Collection[ModelPart] = ()
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    @property
    def parts(self) -> list[list[ModelPart | None]]:
        """The parts by row and column; None for a part that the layer does not have."""
        return self._parts

    def show_blocks(self, blocks: Sequence[tuple[str, Sequence[ModelPart]]]) -> None:
        """Lay out the parts of a model. blocks: (site, parts) of each block."""
        keys = dict.fromkeys(_key(site, part) for site, parts in blocks for part in parts)
        order = sorted(keys, key=lambda key: (key[1] is None, list(_ORDER).index(key[0]), key[1] or 0))
        self._parts = []
        for site, parts in blocks:
            own = {_key(site, part): part for part in parts}
            self._parts.append([own.get(key) for key in order])
        self._heads = [_column_name(name, head) for name, head in order]
        self._n_lines = 1 if len(order) <= _MAX_IN_A_LINE else 2
        kinds = [(name, head is None) for name, head in order]
        self._borders = [i for i in range(1, len(kinds)) if kinds[i] != kinds[i - 1] and not kinds[i - 1][1]]
        sides = {"encoder.": "Enc.", "decoder.": "Dec."}
        self._rows = []
        for site, _ in blocks:
            side = next((words for start, words in sides.items() if site.startswith(start)), "Layer")
            self._rows.append(f"{side} {int(site.rpartition('.')[2]) + 1}")

    def show_amounts(
        self, amounts: Mapping[ModelPart, float], marked: Collection[ModelPart], describe: Callable[[ModelPart], str]
    ) -> float:
        """Colour the parts whose amounts are known, and return the amount with the strongest colour.

        marked: the parts to outline. describe: returns the tooltip of a part.
        """
        values = np.array(
            [[amounts.get(part, math.nan) if part is not None else math.nan for part in row] for row in self._parts],
            np.float32,
        )
        known = np.abs(values[np.isfinite(values)])
        reach = max(float(np.percentile(known, 99)) if known.size else 0.0, _SMALLEST_REACH)
        self._marked = marked
        spot = self.spot

        def words(row: int, column: int) -> str:
            part = self._parts[row][column]
            return describe(part) if part is not None else f"{self._rows[row]} does not have this part"

        rows, columns = values.shape
        self.set_picture(
            HeatPicture(
                title="Parts",
                values=np.sign(values) * np.sqrt(np.abs(values)),
                x=Axis(title="parts", low=0, high=columns),
                y=Axis(title="layers", low=rows, high=0),
                colours="diverging",
                low=-math.sqrt(reach),
                high=math.sqrt(reach),
                bar=(),
                describe=words,
            )
        )
        self.setFixedHeight(self.sizeHint().height())
        if spot is not None and spot[0] < columns and spot[1] < rows:
            self.set_spot(spot)
        return reach

    def sizeHint(self) -> QSize:
        return QSize(420, max(len(self._rows), 1) * self._row_height + self._head_height + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(240, self.sizeHint().height())

    @property
    def _row_height(self) -> int:
        return self._metrics().height() + (6 if len(self._rows) <= 14 else -2)

    @property
    def _head_height(self) -> int:
        return self._n_lines * self._metrics().height() + 4

    @property
    def _left(self) -> int:
        return self._metrics().horizontalAdvance("Layer 00") + SPACE

    def _room(self) -> QRectF:
        top = self._head_height
        return QRectF(self._left, top, max(self.width() - self._left - 2, 1), max(self.height() - top - 2, 1))

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._parts:
            super().paintEvent(event)

    def _draw_cells(self, painter: QPainter, area: QRectF, picture: HeatPicture) -> None:
        super()._draw_cells(painter, area, picture)
        colors = self._theme.theme
        painter.setPen(QPen(colors.color("border"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        rows, columns = picture.values.shape
        for row in range(rows + 1):
            y = round(area.top() + row * area.height() / rows) + 0.5
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        for column in range(columns + 1):
            x = round(area.left() + column * area.width() / columns) + 0.5
            painter.setPen(QPen(colors.color("muted" if column in self._borders else "border"), 1))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.setPen(QPen(colors.color("text"), 2))
        for row, parts in enumerate(self._parts):
            for column, part in enumerate(parts):
                if part is not None and part in self._marked:
                    painter.drawRect(self.cell_rect(column, row, area).adjusted(1.5, 1.5, -1, -1))

    def _draw_frame(self, painter: QPainter, room: QRectF, title: str, x: Axis, y: Axis) -> None:
        metrics, area = self._metrics(), self.area
        painter.setFont(self._theme.font(0.9))
        painter.setPen(self._theme.theme.color("muted"))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for row, name in enumerate(self._rows):
            cell = self.cell_rect(0, row, area)
            painter.drawText(QRectF(0, cell.top(), self._left - SPACE * 0.75, cell.height()), right, name)
        if any(name[-1].isdigit() for name in self._heads):
            line_of_heads = (self._n_lines - 1) * metrics.height()
            painter.drawText(QRectF(0, line_of_heads, self._left - SPACE * 0.75, metrics.height()), right, "Head")
        free, line = [0.0] * self._n_lines, 0
        for column, name in enumerate(self._heads):
            is_head = name[-1].isdigit()  # other names are wider than their columns: alternate the lines
            line = self._n_lines - 1 if is_head else (line + 1) % self._n_lines
            middle, width = self.cell_rect(column, 0, area).center().x(), metrics.horizontalAdvance(name)
            left = min(middle - width / 2, self.width() - width - 1)
            if left >= free[line]:
                box = QRectF(left - 1, line * metrics.height(), width + 2, metrics.height())
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)
                free[line] = left + width + 3

    def _draw_bar(self, painter: QPainter, area: QRectF, picture: HeatPicture) -> None:
        """Draw no colour bar, since the legend is outside the grid."""

    # -- Choosing ------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._choose(self.spot_at(event.position()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose(self.spot)
        else:
            super().keyPressEvent(event)

    def _choose(self, spot: tuple[int, int] | None) -> None:
        part = self._parts[spot[1]][spot[0]] if spot is not None else None
        if part is not None:
            self.chosen.emit(part)


_ORDER = ("attention", "cross_attention", "feed_forward", "layer")


def _key(block: str, part: ModelPart) -> tuple[str, int | None]:
    """Return the key of a part within its block: its kind and its head."""
    return (part.site.removeprefix(f"{block}.") if part.site != block else "layer", part.head)


def _column_name(name: str, head: int | None) -> str:
    if head is None:
        return _SHORT.get(name, name)
    return f"c{head + 1}" if name == "cross_attention" else str(head + 1)
