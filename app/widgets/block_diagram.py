"""The architecture as a picture drawn from the config: the residual stream is a spine, what works on it adds back."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QTimer, Signal
from PySide6.QtGui import QPainter, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView, QWidget

from app.theme import ThemeProvider
from app.widgets.block_items import Box, Pencil
from app.widgets.block_parts import Part, describe_parts
from models.config import ModelConfig

_SPINE, _LEFT, _GAP = 112.0, 156.0, 18.0  # x of the residual stream, x where the loops begin, between boxes
_TALL, _SMALL = 38.0, 25.0  # heights of boxes with two lines and with one
_LEAST_SCALE, _MOST_SCALE = 0.7, 1.4
_FLASH_MS = 700
_HUES = {"query": "query", "key": "key", "value": "value"}  # parts with a colour of their own -> the theme's role


class BlockDiagram(QGraphicsView):
    """Draws one `ModelConfig`, from token ids at the bottom to probabilities at the top.

    Signals:
        part_hovered(object): the `Part` under the pointer or with the focus, None for none.
        part_clicked(object): the `Part` that was clicked.
    """

    part_hovered = Signal(object)
    part_clicked = Signal(object)

    def __init__(self, config: ModelConfig, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config, self._theme = config, theme
        self._problem_group = ""
        self._parts: dict[str, Part] = {}
        self._boxes: dict[str, Box] = {}
        self.setScene(QGraphicsScene(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
        self.setAccessibleName("Block diagram")
        self._calm = QTimer(self, singleShot=True, interval=_FLASH_MS)
        self._calm.timeout.connect(self._end_flash)
        theme.theme_changed.connect(self._draw)
        self._draw()

    @property
    def config(self) -> ModelConfig:
        """What is drawn."""
        return self._config

    def set_config(self, config: ModelConfig) -> None:
        """Draw `config`, and mark for a moment what is different."""
        before = self._parts
        self._config = config
        self._draw()
        for key, box in self._boxes.items():
            box.set_fresh(self._parts[key] != before.get(key))
        self._calm.start()

    def set_problem(self, group: str) -> None:
        """Outline the parts that the form group `group` shapes as the cause of a problem; '' for none."""
        self._problem_group = group
        for box in self._boxes.values():
            box.outlined = box.part.group == group
            box.update()

    @property
    def parts(self) -> dict[str, Part]:
        """What is drawn, by key."""
        return dict(self._parts)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        area, view = self.sceneRect(), self.viewport().rect()
        scale = min(view.width() / area.width(), view.height() / area.height())
        self.resetTransform()
        text = self._theme.text_scale
        scale = min(max(scale, _LEAST_SCALE * text**0.5), _MOST_SCALE * text)
        self.scale(scale, scale)

    def _end_flash(self) -> None:
        for box in self._boxes.values():
            box.set_fresh(False)

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        scene = self.scene()
        scene.clear()
        self._boxes.clear()
        self._parts = describe_parts(self._config)
        config, pencil = self._config, Pencil(scene, self._theme)
        stream = self._shape(config.d_model)

        ids = pencil.chip("token ids", QPointF(_SPINE, 0), "The text, as one number for each token")
        pencil.label("[B, T]", QPointF(ids.left() - 10, 0), "right", self._shape_words("B", "T"))
        y = ids.top() - 14
        embedding = self._put("embedding", _SPINE, y - _TALL / 2, centred=True)
        pencil.line([QPointF(_SPINE, ids.top()), QPointF(_SPINE, embedding.bottom())])
        y = embedding.top()
        if config.position == "learned":
            y -= 28
            positions = self._put("positions", _LEFT, y)
            pencil.sum(QPointF(_SPINE, y), "x + P[position]")
            pencil.line([QPointF(positions.left(), y), QPointF(_SPINE + 9, y)])
        y -= 22
        pencil.label(stream, QPointF(_SPINE - 12, y), "right", self._stream_words())
        pencil.label("residual stream", QPointF(_SPINE + 12, y), "left", self._stream_words())
        bottom = y - 14
        top, right = self._draw_block(pencil, bottom)
        sheet = QRectF(QPointF(_SPINE - 116, top), QPointF(right + 16, bottom))
        pencil.sheet(sheet, config.n_layer)
        pencil.badge(
            f"× {config.n_layer}",
            QPointF(sheet.right() - 12, sheet.top() + 6),
            f"{config.n_layer} blocks of this shape follow each other, each with weights of its own",
        )
        y = top - (14 if config.n_layer > 1 else 4) - 14
        pencil.label(stream, QPointF(_SPINE - 12, y), "right", self._stream_words())
        norm = self._put("final_norm", _SPINE, y - 16 - _TALL / 2, centred=True)
        head = self._put("head", _SPINE, norm.top() - 14 - _TALL / 2, centred=True)
        out = pencil.chip(
            "softmax → probabilities",
            QPointF(_SPINE, head.top() - 26),
            "How probable each token of the vocabulary is to come next, after every token of the text",
        )
        pencil.label(
            self._shape(config.vocab_size), QPointF(out.right() + 10, out.center().y()), "left", self._stream_words()
        )
        pencil.line([QPointF(_SPINE, norm.top()), QPointF(_SPINE, head.bottom())])
        pencil.line([QPointF(_SPINE, head.top()), QPointF(_SPINE, out.bottom())])
        pencil.spine(_SPINE, embedding.top(), norm.bottom(), self._stream_words())
        self.setSceneRect(scene.itemsBoundingRect().adjusted(-12, -12, 12, 12))
        self.set_problem(self._problem_group)
        self.setAccessibleDescription(self._summary())
        self._fit()

    def _draw_block(self, pencil: Pencil, bottom: float) -> tuple[float, float]:
        """One block upwards from y = `bottom`; returns its top and its right edge."""
        middle, right = self._draw_attention(pencil, bottom - 14)
        top, right_too = self._draw_feed_forward(pencil, middle - 26)
        return top - 20, max(right, right_too)

    def _draw_attention(self, pencil: Pencil, bottom: float) -> tuple[float, float]:
        tall = 3 * _SMALL + 2 * 5
        middle = bottom - tall / 2
        ys = [middle - _SMALL - 5, middle, middle + _SMALL + 5]
        x = self._row(pencil, ("attention_norm", "attention_conv"), middle)
        x = self._fan(pencil, ("query", "key", "value"), x, middle, ys)
        turned = x
        for key in ("qk_norm", "rope"):  # these touch queries and keys only; values pass below
            if key in self._parts:
                box = self._put(key, turned + _GAP, (ys[0] + ys[1]) / 2, height=2 * _SMALL + 5)
                for y in ys[:2]:
                    pencil.line([QPointF(turned, y), QPointF(box.left(), y)])
                turned = box.right()
        attention = self._put("attention", turned + _GAP, middle, height=tall)
        for start, y in zip((turned, turned, x), ys, strict=True):
            pencil.line([QPointF(start, y), QPointF(attention.left(), y)])
        inner = f"[B, {self._config.n_head}, T, {self._config.head_dim}]"
        return self._add_back(pencil, attention, attention.top(), "attention_output", inner), attention.right()

    def _draw_feed_forward(self, pencil: Pencil, bottom: float) -> tuple[float, float]:
        tall = 2 * _SMALL + 9
        middle = bottom - tall / 2
        x = self._row(pencil, ("feed_forward_norm", "feed_forward_conv"), middle)
        if "gate" in self._parts:
            ys = [middle - _SMALL / 2 - 2.5, middle + _SMALL / 2 + 2.5]
            x = self._fan(pencil, ("gate", "up"), x, middle, ys)
        else:
            ys = [middle]
            up = self._put("up", x + _GAP, middle)
            pencil.line([QPointF(x, middle), QPointF(up.left(), middle)])
            x = up.right()
        activation = self._put("activation", x + _GAP, middle, height=tall)
        for y in ys:
            pencil.line([QPointF(x, y), QPointF(activation.left(), y)])
        inner = self._shape(self._config.ff_width)
        return self._add_back(pencil, activation, activation.top(), "down", inner), activation.right()

    def _fan(self, pencil: Pencil, keys: tuple[str, ...], x: float, middle: float, ys: list[float]) -> float:
        """Split the line that ends at (`x`, `middle`) into small boxes above each other; returns their right edge."""
        boxes = [Box(self._parts[key], self._theme, _SMALL, hue=_HUES.get(key, ""), two_lines=False) for key in keys]
        width, half = max(box.rect.width() for box in boxes), x + _GAP / 2
        for box, y in zip(boxes, ys, strict=True):
            box.set_width(width)
            placed = self._place(box, x + _GAP + 4, y)
            pencil.line([QPointF(x, middle), QPointF(half, middle), QPointF(half, y), QPointF(placed.left(), y)])
        return placed.right()

    def _row(self, pencil: Pencil, keys: tuple[str, ...], middle: float) -> float:
        """Leave the spine at y = `middle` through the parts of `keys` that there are; returns the x where it ends."""
        pencil.dot(QPointF(_SPINE, middle))
        x = _SPINE
        left = _LEFT
        for key in keys:
            if key in self._parts:
                box = self._put(key, left, middle)
                pencil.line([QPointF(x, middle), QPointF(box.left(), middle)])
                x, left = box.right(), box.right() + _GAP
        return x

    def _add_back(self, pencil: Pencil, last: QRectF, above: float, key: str, inner: str) -> float:
        """From the top of `last` back to the spine, through the part `key`; returns the top of that lane."""
        lane, corner = above - 14 - _TALL / 2, last.center().x()
        box = Box(self._parts[key], self._theme, _TALL)
        left = corner - pencil.width_of(inner) - 28 - box.rect.width()
        placed = self._place(box, max(left, _SPINE + 36), lane)
        pencil.line([QPointF(corner, last.top()), QPointF(corner, lane), QPointF(placed.right(), lane)])
        over = QPointF((placed.right() + corner) / 2 + 2, lane - 3)
        pencil.label(inner, over, "above", self._shape_words(*inner.strip("[]").split(", ")))
        pencil.line([QPointF(placed.left(), lane), QPointF(_SPINE + 9, lane)])
        part = self._parts[key]
        pencil.sum(QPointF(_SPINE, lane), part.formula)
        pencil.label(f"+ {part.group.lower()}", QPointF(_SPINE - 14, lane), "right", part.formula)
        return placed.top()

    def _put(self, key: str, x: float, middle: float, *, height: float = _TALL, centred: bool = False) -> QRectF:
        """Place the box of part `key` with its left edge (or centre) at `x`; returns where it stands."""
        box = Box(self._parts[key], self._theme, height)
        return self._place(box, x - box.rect.width() / 2 if centred else x, middle)

    def _place(self, box: Box, left: float, middle: float) -> QRectF:
        box.setPos(left, middle - box.rect.height() / 2)
        box.hovered.connect(self.part_hovered)
        box.clicked.connect(self.part_clicked)
        self.scene().addItem(box)
        self._boxes[box.part.key] = box
        return box.placed

    # -- words ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _shape(width: int) -> str:
        return f"[B, T, {width:,}]"

    def _stream_words(self) -> str:
        return (
            f"The residual stream: {self._config.d_model:,} numbers for each of T tokens "
            f"(up to {self._config.context_length:,}) of each of B texts. Every part reads it and adds to it."
        )

    @staticmethod
    def _shape_words(*sizes: str) -> str:
        names = {"B": "B texts side by side", "T": "T tokens of a text"}
        return "Shape: " + ", ".join(names.get(size, f"{size} numbers") for size in sizes)

    def _summary(self) -> str:
        order = "embedding positions attention_norm attention_conv qk_norm rope attention feed_forward_norm up gate"
        order += " activation down final_norm head"
        named = [f"{self._parts[key].title} {self._parts[key].detail}" for key in order.split() if key in self._parts]
        return f"{self._config.n_layer} blocks. " + ", ".join(named)
