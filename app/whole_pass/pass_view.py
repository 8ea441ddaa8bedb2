"""The picture of a whole pass: the text, the first vector, the layers, the scores and the draw, one block each.

If narrow, the blocks are stacked; if wide, they are in three columns, with the text that the current attention part
reads, and its arcs, on the left.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from terrarium.app.glass.focus import Focus, Head
from terrarium.app.glass.stage_bars import StageBars
from terrarium.app.glass.tokens.attention_arcs import AttentionArcs
from terrarium.app.kit.basics import button, column, frame, label, row, scrolling
from terrarium.app.kit.help_mark import HelpMark, set_term
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.setting_names.value_words import PARTS, part_of_layer
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.whole_pass.answer import PassAnswer
from terrarium.app.whole_pass.layer_lines import CATEGORIES, LayerLines
from terrarium.app.whole_pass.lines import Line
from terrarium.app.whole_pass.strips import TokenBar, TopTokens, VectorStrips
from terrarium.app.whole_pass.wording import (
    STARTS,
    describe_all,
    describe_end,
    describe_layers,
    describe_start,
    describe_text,
    shown_heads,
    tail_of,
)
from terrarium.models.number_words import capitalized, with_minus

if TYPE_CHECKING:
    from terrarium.models.inspect.whole_pass import PartPass

_TERMS = {"attention": "Attention", "cross_attention": "Cross-attention", "feed_forward": "MLP"}
_N_TOP = 5
_WIDE_HEADS = 3
"""The number of heads per attention part in the wide layout."""


class PassView(QWidget):
    """Shows one answer at a time.

    Args:
        is_wide: in three columns, for a window of its own.

    Signals:
        door_opened(str): the user wants this panel: “next”, “attention”, “layers”, “ablation”, or one of the
            places “embeddings” and “tokenizer”.
    """

    door_opened = Signal(str)

    def __init__(
        self, theme: ThemeProvider, focus: Focus, *, is_wide: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._focus, self._is_wide = theme, focus, is_wide
        self.answer: PassAnswer | None = None
        self._shows_logits = True
        self.text, self.start, self.notes, self.end, self.drawn = (label("", "small", wrap=True) for _ in range(5))
        self.tail = label("", "mono", wrap=True)
        self.arcs = AttentionArcs(theme)
        self.arcs_caption = label("", "caption", wrap=True)
        self.strips, self.last_strip = VectorStrips(theme), VectorStrips(theme)
        self.layers = LayerLines(theme, _WIDE_HEADS if is_wide else 1)
        self.top = TopTokens(theme)
        self.bars = StageBars(theme, has_entropy=False)
        self._marks: dict[str, QWidget] = {}
        self._columns: list[QWidget] = []
        self._build()
        self.layers.opened.connect(self._on_line)
        self.layers.walked.connect(focus.walk)
        self.layers.line_changed.connect(self._show_arcs)

    def _build(self) -> None:
        seen = [self.arcs_caption, self.arcs] if self._is_wide else [self.tail]
        text = self._block("1  The text, as tokens", "Token", "Tokenizer", "tokenizer", self.text, *seen)
        start = self._block("2  A vector", "Embedding", "Embeddings", "embeddings", self.start, self.strips)
        layers = self._block(
            "3  The layers", "Residual stream", "Layers", "layers", self._legend(), self.notes, self.layers
        )
        end = self._block(
            "4  A score for each token", "Logits", "Next token", "next", self.end, self.last_strip, self.top
        )
        drawn = self._block("5  The draw", "Sampling", "Next token", "next", self.drawn, self.bars)
        if not self._is_wide:
            self.setLayout(column(text, start, layers, end, drawn))
            return
        lines = QHBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE + SPACE // 2)
        for blocks, share in (((text,), 26), ((start, layers), 46), ((end, drawn), 28)):
            inside = QWidget()
            inside.setLayout(column(*blocks, None))
            self._columns.append(inside)
            lines.addWidget(scrolling(inside), share)

    def _block(self, title: str, term: str, door_words: str, door: str, *widgets: QWidget) -> QWidget:
        """Create a framed stage: its title with “?”, the link to the panel with more detail, and its widgets."""
        box = frame("card" if self._is_wide else "sunken", margin=SPACE, spacing=SPACE // 2)
        box.setAccessibleName(title)
        set_term(box, term)
        link = button(f"{door_words} ›", self._theme, partial(self.door_opened.emit, door), role="link")
        link.setToolTip(f"Open “{door_words}” for this token")
        inside = box.layout()
        assert isinstance(inside, QVBoxLayout)
        inside.addLayout(row(label(title, "subheading"), HelpMark(term), None, link, spacing=SPACE // 2))
        for widget in widgets:
            inside.addWidget(widget)
        return box

    def _legend(self) -> QWidget:
        """Create the legend of the lines of a layer, each with its “?”."""
        legend = QWidget()
        flow = FlowLayout(legend, SPACE // 2)
        for name, term in _TERMS.items():
            mark = QWidget()
            mark.setLayout(
                row(_Dot(self._theme, CATEGORIES[name]), label(PARTS[name], "caption"), HelpMark(term), spacing=4)
            )
            self._marks[name] = mark
            flow.addWidget(mark)
        would = QWidget()
        would.setLayout(row(label("would say, if it ended there", "caption"), HelpMark("Logit lens"), spacing=4))
        flow.addWidget(would)
        return legend

    def needed_height(self) -> int:
        """The height in pixels at which no column has to scroll."""
        return max(column.heightForWidth(column.width()) for column in self._columns) + 2

    # -- Showing -------------------------------------------------------------------------------------------------------

    def show_logits(self, *, shown: bool) -> None:
        """Show the scores themselves beside the probabilities, or only these."""
        self._shows_logits = shown
        self._show_end()

    def show_answer(self, answer: PassAnswer) -> None:
        """Show another pass."""
        self.answer = answer
        self.setAccessibleDescription("\n".join(describe_all(answer)))
        self.text.setText(describe_text(answer))
        self.tail.setText(f"{tail_of(answer)} → {answer.word}")
        self.start.setText(describe_start(answer))
        vectors = {STARTS[name]: vector for name, vector in answer.given.start.items()}
        if len(vectors) > 1 or answer.config.embedding_norm:
            vectors["normalised" if answer.config.embedding_norm else "sum"] = answer.given.layers[0].stream
        self.strips.show_vectors(vectors)
        self.notes.setText(describe_layers(answer))
        self.notes.setVisible(bool(self.notes.text()))
        kinds = {part.site.rpartition(".")[2] for layer in answer.given.layers for part in layer.parts}
        for name, mark in self._marks.items():
            mark.setVisible(name in kinds)
        self.layers.show_answer(answer)
        self.end.setText(describe_end(answer))
        self.last_strip.show_vectors({"last vector": answer.given.final})
        self._show_end()
        self.drawn.setText(answer.draw_sentence())
        self.bars.show_xray(answer.xray, answer.names.__getitem__, can_choose=False)
        self.bars.setVisible(answer.how not in ("seen", "masked"))

    def _show_end(self) -> None:
        answer = self.answer
        if answer is None:
            return
        shares, given = answer.given.probabilities, answer.given
        ids = dict.fromkeys([*(id for id, _ in given.layers[-1].best[:_N_TOP]), given.token])
        self.top.show_bars(
            [
                TokenBar(
                    answer.names[id],
                    float(shares[id]),
                    with_minus(f"{given.logits[id]:.2f}") if self._shows_logits else "",
                    id == given.token,
                )
                for id in ids
            ]
        )

    @Slot()
    def _show_arcs(self) -> None:
        """Show what the current line's attention part reads, in the wide layout only."""
        answer, line = self.answer, self.layers.current
        if not self._is_wide or answer is None or line is None:
            return
        text, part = answer.target.text, _attention_of(line)
        head = shown_heads(answer, part)[0] if line.head is None else line.head
        is_cross = part.site.endswith("cross_attention")
        self.arcs_caption.setText(f"{capitalized(part_of_layer(part.site, head))} reads:")
        self.arcs.show_texts(text.words, text.source_words if is_cross else None, self._focus)
        weights = part.heads[head].weights
        if not is_cross:
            weights = np.pad(weights, (0, len(text.words) - len(weights)), constant_values=np.nan)
        position = answer.target.position
        self.arcs.show_row(weights, answer.given.at, position if position != answer.given.at else None)

    @Slot(object)
    def _on_line(self, line: Line) -> None:
        part = line.part
        if part is not None and part.heads and self.answer is not None:
            head = shown_heads(self.answer, part)[0] if line.head is None else line.head
            self._focus.choose_head(Head(part.site, head))
        self.door_opened.emit(line.door)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move the token with left and right, also while a link has the focus."""
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._focus.walk(1 if event.key() == Qt.Key.Key_Right else -1)
        else:
            super().keyPressEvent(event)


class _Dot(QLabel):
    """A dot in a colour of the theme's categories."""

    def __init__(self, theme: ThemeProvider, category: int) -> None:
        super().__init__("●")
        self._theme, self._category = theme, category
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    @Slot()
    def _restyle(self) -> None:
        self.setStyleSheet(f"color: {self._theme.theme.categories[self._category]}")


def _attention_of(line: Line) -> PartPass:
    """Return the attention part of a line: its own, or the self-attention of its layer."""
    assert line.layer is not None
    own = line.part is not None and line.part.heads
    return line.part if own and line.part is not None else line.layer.parts[0]


def numbers_of(answer: PassAnswer) -> Mapping[str, list[object]]:
    """Return all numbers of a pass as columns."""
    keys = ("what", "layer", "part", "head", "rank", "token", "amount")
    rows: list[tuple[object, ...]] = []
    for name, vector in (*answer.given.start.items(), ("sum", answer.given.layers[0].stream)):
        rows.append(("length", 0, name, None, None, None, float(np.linalg.norm(vector))))
    for number, layer in enumerate(answer.given.layers):
        for part in layer.parts:
            name = part.site.rpartition(".")[2]
            rows.append(("share added", number, name, None, None, None, part.share))
            rows += [("share of the expert", number, name, i + 1, None, None, share) for i, share in part.experts]
            words = answer.words_seen(part)
            for i, head in enumerate(part.heads, start=1):
                rows.append(("length", number, name, i, None, None, head.length))
                rows.append(("effect on the logit", number, name, i, None, None, head.effect))
                rows += [
                    ("attention", number, name, i, at + 1, words[at], float(w)) for at, w in enumerate(head.weights)
                ]
        rows += [
            ("probability", number, None, None, rank, answer.names[id], p)
            for rank, (id, p) in enumerate(layer.best, start=1)
        ]
        rows.append(("probability of the token", number, None, None, None, answer.word, layer.own))
    for each in answer.xray.rows:
        name = answer.names[each.id]
        rows.append(("logit", None, None, None, each.rank, name, float(answer.given.logits[each.id])))
        rows.append(("probability after all settings", None, None, None, each.rank, name, each.final))
    rows.append(("draw", None, None, None, None, answer.word, answer.xray.draw))
    return dict(zip(keys, map(list, zip(*rows, strict=True)), strict=True))
