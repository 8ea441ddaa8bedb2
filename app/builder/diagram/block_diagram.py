"""The architecture as a diagram with explanations, editable in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QPointF, QRect, QRectF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QImage, QPainter, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QGraphicsScene, QWidget

from terrarium.app.builder.diagram.cards import HoverCard, SlotCard
from terrarium.app.builder.diagram.describe import describe
from terrarium.app.builder.diagram.diagram_view import DiagramView
from terrarium.app.builder.diagram.edits import STEPPED, step
from terrarium.app.builder.diagram.geometry import Picture
from terrarium.app.builder.diagram.items import AreaItem, Fonts, Mark, NodeItem, StepItem, qrect
from terrarium.app.builder.diagram.layout import layout_area, layout_blocks
from terrarium.app.builder.diagram.lines import Backdrop, WireItem
from terrarium.app.builder.diagram.part import Part
from terrarium.app.kit.basics import button, column, prefers_reduced_motion, row
from terrarium.app.kit.chart_export import PNG_SCALE, write_drawing, write_image
from terrarium.app.kit.inputs import named
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig

VIEWS = ("blocks", "area")
_ZOOM = 1.25
_FLASH_MS = 700
_AREA_MARGIN = 24
_HELP = (
    "Arrow keys move between parts. Enter edits, Shift with up or down steps a number, plus and minus zoom, "
    "0 fits the picture."
)


_MAX_PIXELS = 16_000


class BlockDiagram(QWidget):
    """Draws a `ModelConfig`: as blocks, from token ids at the bottom to the result at the top, or as areas to scale.

    Signals:
        edited(changes): the user edited the diagram; a dict of slots and their new values.
        slot_focused(name): the user clicked the part that stands for this slot.
    """

    edited = Signal(object)
    slot_focused = Signal(str)

    def __init__(
        self, config: ModelConfig, theme: ThemeProvider, batch: int, length: int, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._config, self._theme = config, theme
        self._batch, self._length = batch, length
        self._kind = "blocks"
        self._problem = ""
        self._parts: dict[str, Part] = {}
        self._total = 1
        self._picture = Picture()
        self._fonts = Fonts(theme)
        self.view = named(DiagramView(theme, self), "Block diagram")
        self.view.setWhatsThis(_HELP)
        self.card = HoverCard(theme, self)
        self.editor: SlotCard | None = None
        self.setLayout(column(self.view))
        self._calm = QTimer(self, singleShot=True, interval=_FLASH_MS)
        self._calm.timeout.connect(self._end_flash)
        self.view.pointed.connect(self._on_pointed)
        self.view.chosen.connect(self._on_chosen)
        self.view.stepped.connect(self._on_stepped)
        self.view.moved.connect(self._on_moved)
        theme.theme_changed.connect(self._on_theme_changed)
        self._draw()

    # -- content -------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> ModelConfig:
        """The design shown."""
        return self._config

    @property
    def parts(self) -> dict[str, Part]:
        """The parts of the design, by key."""
        return dict(self._parts)

    @property
    def picture(self) -> Picture:
        """The current layout."""
        return self._picture

    def set_design(self, config: ModelConfig, batch: int, length: int) -> None:
        """Draw `config`, with shapes for `batch` texts of `length` tokens; highlight changes briefly."""
        if (config, batch, length) == (self._config, self._batch, self._length):
            return
        before, is_new = self._parts, config != self._config
        self._config, self._batch, self._length = config, batch, length
        self._draw()
        if is_new:
            self._flash(before)
        if self.editor is not None:
            if self.editor.part.key in self._parts:
                self.editor.show_config(config)
            else:
                self._close_editor()

    def redraw(self) -> None:
        """Draw the same design again: numbers of its custom blocks have become known."""
        self._draw()

    def set_view(self, kind: str) -> None:
        """Show the "blocks" or the "area" view."""
        assert kind in VIEWS, kind
        if kind != self._kind:
            self._kind = kind
            self._close_editor()
            self._draw()
            self.view.fit()

    def set_problem(self, name: str) -> None:
        """Outline the parts of a slot (or a group of the form) that has a problem; '' = none."""
        self._problem = name
        for mark in self.view.marks:
            mark.set_state("faulty", bool(name) and name in (mark.part.slot, mark.part.group))

    # -- zoom and files ------------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Show the whole picture."""
        self.view.fit()
        if self._kind == "area":
            self._draw()

    def zoom(self, factor: float) -> None:
        """Zoom by `factor`."""
        self.view.zoom(factor)

    def export_svg(self, path: Path) -> None:
        """Write the picture as SVG in the colours on screen, without buttons."""
        with self._as_print():
            scene, ground = self.view.scene(), self._theme.theme.color("surface")
            write_svg(scene, self.view.sceneRect(), ground, self.view.accessibleDescription(), path)

    def export_png(self, path: Path) -> None:
        """Write the picture as PNG, at twice its size at zoom 1."""
        with self._as_print():
            write_png(self.view.scene(), self.view.sceneRect(), self._theme.theme.color("surface"), path)

    @contextmanager
    def _as_print(self) -> Iterator[None]:
        """Hide screen-only items during an export: buttons, and highlights of pointer, focus and changes."""
        steps = [mark for mark in self.view.marks if isinstance(mark, StepItem)]
        focused = self.view.focused
        self._end_flash()
        for mark in self.view.marks:
            mark.set_state("lit", False)
            mark.set_state("focused", False)
        for mark in steps:
            mark.setVisible(False)
        try:
            yield
        finally:
            for mark in steps:
                mark.setVisible(True)
            if focused is not None:
                focused.set_state("focused", self.view.hasFocus())

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._parts = describe(self._config, self._batch, self._length)
        self._total = sum(part.total_parameters for part in self._parts.values())
        self.card.hide()
        scene = self.view.scene()
        scene.clear()
        marks = self._draw_blocks() if self._kind == "blocks" else self._draw_area()
        for item in (Backdrop(self._picture, self._theme, self._fonts, behind=b) for b in (True, False)):
            scene.addItem(item)
        for mark in marks:
            scene.addItem(mark)
        self.view.show_marks(marks, qrect(self._picture.frame))
        self.set_problem(self._problem)
        self.view.setAccessibleDescription(self._summary())

    def _draw_blocks(self) -> list[Mark]:
        config = self._config
        picture = layout_blocks(config, self._parts, self._batch, self._length, self._fonts.measure)
        self._picture = picture
        marks: list[Mark] = [WireItem(wire, self._parts[wire.key], self._theme) for wire in picture.wires]
        marks += [NodeItem(node, self._parts[node.key], self._theme, self._fonts) for node in picture.nodes]
        for arrow in picture.steps:
            enabled = bool(step(config, arrow.slot, arrow.direction))
            marks.append(StepItem(arrow, self._parts[arrow.key], self._theme, enabled=enabled))
        return marks

    def _draw_area(self) -> list[Mark]:
        room, text = self.view.viewport().rect(), self._theme.text_scale
        width = max(room.width() / text - _AREA_MARGIN, 240.0)
        height = max(room.height() / text - _AREA_MARGIN, 240.0)
        picture = layout_area(self._config, self._parts, width, height, self._fonts.measure)
        self._picture = picture
        return [
            AreaItem(node, self._parts[node.key], self._theme, self._fonts, self._share(node.key))
            for node in picture.nodes
            if node.look == "area"
        ]

    def _share(self, key: str) -> float:
        return self._parts[key].total_parameters / self._total

    def _flash(self, before: dict[str, Part]) -> None:
        for mark in self.view.marks:
            if isinstance(mark, NodeItem):
                mark.set_state("fresh", self._parts[mark.part.key] != before.get(mark.part.key))
        if not prefers_reduced_motion():
            self._calm.start()

    def _end_flash(self) -> None:
        for mark in self.view.marks:
            mark.set_state("fresh", False)

    def _summary(self) -> str:
        named = (f"{part.title} {part.detail}".strip() for part in self._parts.values() if part.kind != "sum")
        least = "" if all(part.is_counted for part in self._parts.values()) else "at least "
        return f"{self._config.topology}, {least}{self._total:,} parameters: {', '.join(named)}."

    def _on_theme_changed(self) -> None:
        self._fonts = Fonts(self._theme)
        self._draw()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._kind == "area" and self.view.is_fitted:
            self._draw()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.view.is_fitted:
            self.view.fit()

    # -- pointing and editing ------------------------------------------------------------------------------------------

    def _on_pointed(self, mark: Mark | None) -> None:
        if mark is None or self.editor is not None:
            self.card.hide()
            return
        self.card.explain(mark.part, self._total, self._rect_of(mark), is_line=isinstance(mark, WireItem))

    def _rect_of(self, mark: Mark) -> QRect:
        rect = self.view.rect_of(mark)
        return QRect(self.view.viewport().mapTo(self, rect.topLeft()), rect.size())

    def _on_chosen(self, mark: Mark | None) -> None:
        was_open = self.editor.part.key if self.editor is not None else ""
        self._close_editor()
        if isinstance(mark, StepItem):
            self._step(mark.step.slot, mark.step.direction)
        elif mark is not None and mark.part.key != was_open:
            self.slot_focused.emit(mark.part.slot)
            if mark.part.slot not in BLOCK_SLOTS.values():
                self._open_editor(mark)

    def _on_stepped(self, mark: Mark, direction: int) -> None:
        slot = next((name for name in mark.part.slots if name in STEPPED), "")
        if slot:
            self._step(slot, direction)

    def _step(self, slot: str, direction: int) -> None:
        changes = step(self._config, slot, direction)
        if changes:
            self.edited.emit(changes)

    def _open_editor(self, mark: Mark) -> None:
        self.card.hide()
        editor = self.editor = SlotCard(mark.part, self._config, self)
        editor.edited.connect(self.edited)
        editor.closed.connect(self._on_editor_closed)
        editor.open(self._rect_of(mark))

    def _on_editor_closed(self) -> None:
        self._close_editor()
        self.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def _close_editor(self) -> None:
        if self.editor is not None:
            editor, self.editor = self.editor, None
            editor.hide()
            editor.deleteLater()

    def _on_moved(self) -> None:
        self.card.hide()


class DiagramPage(QWidget):
    """The diagram with its controls: blocks or areas to scale, and zoom."""

    def __init__(
        self, config: ModelConfig, theme: ThemeProvider, batch: int, length: int, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.diagram = diagram = BlockDiagram(config, theme, batch, length)
        self.kind = Segments(
            "Diagram", {"blocks": "Blocks", "area": "Area = parameters"}, "Blocks and arrows, or everything to scale"
        )
        self.kind.changed.connect(diagram.set_view)
        self.smaller = button(
            "", theme, lambda: diagram.zoom(1 / _ZOOM), icon="minus", role="quiet", tip="Zoom out (−)"
        )
        self.larger = button("", theme, lambda: diagram.zoom(_ZOOM), icon="plus", role="quiet", tip="Zoom in (+)")
        self.fit = button("", theme, diagram.fit, icon="corners-out", role="quiet", tip="Fit (0)")
        self._theme = theme
        theme.theme_changed.connect(self._fit)
        self._fit()
        controls = row(self.kind, None, self.smaller, self.larger, self.fit, spacing=SPACE // 2)
        self.setLayout(column(controls, diagram, grows=diagram))

    @Slot()
    def _fit(self) -> None:
        for small in (self.smaller, self.larger, self.fit):
            small.setFixedWidth(max(28, self._theme.icon_room))


def write_svg(scene: QGraphicsScene, frame: QRectF, ground: QColor, title: str, path: Path) -> None:
    """Write the part of a scene in `frame` as SVG."""
    target = QRectF(QPointF(), frame.size())
    write_drawing(lambda painter: _render(scene, frame, ground, painter, target), frame.size(), title, path)


def write_png(scene: QGraphicsScene, frame: QRectF, ground: QColor, path: Path) -> None:
    """Write the part of a scene in `frame` as PNG, at twice its size, up to 16,000 pixels per side."""
    scale = min(PNG_SCALE, _MAX_PIXELS / max(frame.width(), frame.height()))
    image = QImage(round(scale * frame.width()), round(scale * frame.height()), QImage.Format.Format_ARGB32)
    _render(scene, frame, ground, QPainter(image), QRectF(image.rect()))
    write_image(image, path)


def _render(scene: QGraphicsScene, frame: QRectF, ground: QColor, painter: QPainter, target: QRectF) -> None:
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    painter.fillRect(target, ground)
    scene.render(painter, target, frame, Qt.AspectRatioMode.IgnoreAspectRatio)
    painter.end()
