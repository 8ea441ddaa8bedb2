"""The attention panel: all heads, one of them in detail, and the attention of one token.

The token in focus is at `focus.position`; `app.glass.attention.shown_row` defines which row is shown for it. The shared
focus does not cover the source of an encoder-decoder, so this panel has a focus of its own for source tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.attention.attention_reading import AttentionReading, Window
from terrarium.app.glass.attention.head_labels import STACKS, describe_head, format_scores, head_columns
from terrarium.app.glass.attention.head_overview import HeadOverview
from terrarium.app.glass.attention.head_tiles import Tile
from terrarium.app.glass.attention.shown_row import (
    ROWS,
    ShownRow,
    describe_row,
    most_focused,
    position_of_row,
    shown_row,
)
from terrarium.app.glass.focus import Focus, Head
from terrarium.app.glass.panel_head import About
from terrarium.app.glass.read_text import LabelQuestion, ReadText
from terrarium.app.glass.sheet import Sheet
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.glass.tokens.attention_arcs import AttentionArcs
from terrarium.app.kit.basics import button, label, plain_tip, row
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.setting_names.value_words import part_of_layer
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.attention_pictures import Side, head_picture, short_names, side_of
from terrarium.app.plots.pictures import Floats
from terrarium.app.plots.token_map import TokenMap
from terrarium.app.session.session import Session
from terrarium.models.inspect.attention_maps import StackMaps, window_around
from terrarium.models.inspect.head_patterns import EXPLAINED, PATTERNS
from terrarium.models.number_words import format_percent

ABOUT = About(
    title="Attention",
    term="Attention",
    shows="What each head attends to: each row is a token, and softmax makes it sum to 1. Hatched: masked.",
    source="The model reads the text again with explicit softmax attention, which gives the same result as its fast "
    "kernel; every weight is measured. Induction is measured on 4 sequences of 25 random tokens, repeated once.",
    limits="Attention is not explanation: it says where a head takes something from, not what, nor whether that "
    "matters for the answer. Switching the head off tells more.",
)
_POOLED = (
    "Long text: each cell shows the largest weight of a block of token pairs. Click into the map to see that part "
    "exactly."
)
_PART = "Part of the map, not pooled."
_MAP_HEIGHTS = (360, 470)


class AttentionPanel(AnswerPanel):
    """The attention panel: an overview of all heads, one head's map, and one row of it.

    `focus.head` is the chosen head.
    """

    is_about_predictions = False

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, ABOUT, self.numbers, parent)
        self.reading = AttentionReading(session, self.examiner, self)
        self._kind = ""
        self._source = Focus(self)
        self._row: Window | None = None
        self._part: Window | None = None
        self.kinds = Segments("Which attention", {kind: STACKS[kind] for kind in ("encoder", "decoder", "cross")})
        self.kinds.hide()  # shown if the model has several kinds; until then it would only widen the panel
        self.overview = HeadOverview(theme)
        self.detail = _HeadDetail(theme)
        for widget in (self.kinds, self.overview, self.detail):
            self.lines.addWidget(widget)
        self.lines.addStretch(1)
        self.export.picture = Sheet(theme, self._heading, self.overview.montage, self.detail, parent=self)
        montage = self.overview.montage
        self.examiner.progressed.connect(self._show_progress)
        self.reading.read.connect(self._on_read)
        self.reading.window_read.connect(self._on_window)
        self.reading.window_failed.connect(self._on_failed)
        focus.head_changed.connect(self._on_head)
        self._source.position_changed.connect(self._show_row)
        focus.lock_changed.connect(self._on_lock)
        self._source.lock_changed.connect(self._on_lock)
        self.kinds.changed.connect(self._on_kind)
        self.overview.scale_changed.connect(self._show_head)
        montage.previewed.connect(self._show_head)
        montage.chosen.connect(self._on_tile)
        montage.walked.connect(lambda by: self._pointed.walk(by))
        self.detail.which_row.changed.connect(self._show_row)
        self.detail.cell_clicked.connect(self._on_cell)
        self.detail.whole_requested.connect(partial(self._show_part, None))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.overview.set_available_height(event.size().height())

    @property
    def _is_there(self) -> bool:
        return self.reading.is_of(self.focus.text)

    @property
    def stack(self) -> StackMaps:
        """The attention maps of the kind that is shown."""
        return self.reading.stacks[self._kind]

    # -- The text ------------------------------------------------------------------------------------------------------

    def show_text(self) -> None:
        super().show_text()
        text = self.focus.text
        if text is not None and self._session.chat.model is not None:
            self._show_progress(0.0)
            self.reading.begin(text)
            self._source.show(ReadText(ids=text.source_ids, words=text.source_words, n_prompt=0))

    @Slot(float)
    def _show_progress(self, share: float) -> None:
        so_far = f" {format_percent(share)} so far." if 0 < share < 1 else ""
        self.show_message("Reading…", f"The model reads the text again to show what its heads attend to.{so_far}")

    def show_position(self) -> None:
        super().show_position()
        if self.target is None:
            self._show_row()

    def ask(self, target: TargetToken) -> None:
        self._show_row()

    def forget(self) -> None:
        self.reading.forget()
        self._row = self._part = None
        self._source.show(None)

    @Slot()
    def _on_read(self) -> None:
        if not self._is_there:
            return
        stacks = self.reading.stacks
        if self._kind not in stacks:
            self._kind = "cross" if "cross" in stacks else "self"
        self.kinds.setVisible(len(stacks) > 1)
        if self._kind != "self":
            self.kinds.choose(self._kind)
        self._show_stack()
        self.show_body()

    @Slot(str)
    def _on_kind(self, kind: str) -> None:
        self._kind = kind
        self._row = self._part = None
        self._show_stack()

    def _show_stack(self) -> None:
        self.overview.show_stack(self.stack)
        self.detail.arcs.show_texts(*self._texts, self._pointed)
        self.detail.which_row.setVisible(self._which_row is not None)
        self._show_sides()
        self._keep_head()
        self._show_row()

    @property
    def _texts(self) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
        """The query tokens, and the key tokens if they belong to another text, else None."""
        text = self.focus.text
        assert text is not None
        if self._kind == "cross":
            return text.words, text.source_words
        return (text.source_words if self._kind == "encoder" else text.words), None

    # -- Heads ---------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_tile(self, tile: Tile | None) -> None:
        if tile is None:
            self.focus.choose_head(None)
        elif tile.head < self.stack.sites[tile.site].n_head:
            self.focus.choose_head(Head(self.stack.sites[tile.site].site, tile.head))
        self._show_head()

    @Slot()
    def _on_head(self) -> None:
        if not self._is_there:
            return
        found = self.reading.site_of(self.focus.head)
        if found is not None and found[0] != self._kind:
            self.kinds.choose(found[0])
            self._on_kind(found[0])
        self._keep_head()

    def _keep_head(self) -> None:
        kind, site = self.reading.site_of(self.focus.head) or ("", 0)
        head = self.focus.head if kind == self._kind else None
        self.overview.montage.keep(Tile(site, head.head) if head is not None else None)
        self._show_head()

    @Slot()
    def _show_head(self) -> None:
        if not self._is_there:
            return
        (number, head), part = self.overview.montage.shown, self._part
        site = self.stack.sites[number]
        weights = site.weights[head] if part is None else part.weights[site.site][head]
        self.detail.show_head(weights, describe_head(site, head), format_scores(site, head), self.overview.scale.value)
        self._draw_row()

    # -- Rows ----------------------------------------------------------------------------------------------------------

    @property
    def _pointed(self) -> Focus:
        """The focus of the text of the queries."""
        return self._source if self._kind == "encoder" else self.focus

    @property
    def _question(self) -> LabelQuestion | None:
        """The prediction to explain for a model that predicts labels; None for one that predicts tokens."""
        return self.focus.text.question if self.focus.text is not None else None

    @property
    def _which_row(self) -> str | None:
        if self._question is not None:  # a label is read at the token itself, not one position earlier
            return None
        sees_both_sides = self._kind == "encoder" or (self._kind == "self" and not self.stack.is_causal)
        return None if sees_both_sides else self.detail.which_row.value

    @Slot()
    def _show_row(self) -> None:
        """Show the row of the token in focus; if the maps are pooled, read the exact row of a locked token."""
        if not self._is_there:
            return
        self._begin_with_a_head()
        query = self._draw_row()
        if self._row_weights(query) is None and self._pointed.is_steady:
            n_keys = int(self.stack.columns[-1])
            self.reading.ask_window(self._kind, range(query, query + 1), range(n_keys))

    @Slot()
    def _on_lock(self) -> None:
        # If the pointer was on the token before, its position has not changed, so no other signal is emitted.
        if self.isVisible() and self._pointed.is_steady:
            self._show_row()

    def _begin_with_a_head(self) -> None:
        """Preselect a head for a token that stays in focus: the user's own choice has precedence.

        It is the head that raised the logit of the token most, if that is known, else the most focused one.
        """
        if not self._pointed.is_steady:
            return
        before = self.overview.montage.shown
        head = self.focus.telling_head if self._kind != "encoder" else None
        kind, site = self.reading.site_of(head) or ("", 0)
        told = Tile(site, head.head) if head is not None and kind == self._kind else None
        self.overview.montage.begin_with(told or most_focused(self.stack, self._shown_row.query))
        if self.overview.montage.shown != before:
            self._show_head()

    def _row_weights(self, query: int) -> Floats | None:
        """Return a row (S) of the shown head; None if the maps are pooled and the exact row has not been read."""
        tile, read = self.overview.montage.shown, self._row
        site = self.stack.sites[tile.site]
        found: Floats | None = None
        if not self.stack.is_pooled:
            found = site.weights[tile.head, query]
        elif read is not None and query in read.rows:
            found = read.weights[site.site][tile.head, 0]
        return found

    @property
    def _shown_row(self) -> ShownRow:
        return shown_row(self._texts[0], self._pointed.position, self._which_row, int(self.stack.rows[-1]))

    def _draw_row(self) -> int:
        """Draw the row of the token in focus and return its index."""
        row = self._shown_row
        weights = self._row_weights(row.query)
        self.say("" if weights is None else self._describe(row, weights))
        if weights is not None and self._kind != "cross":  # the last token has no column if the context was full
            weights = np.pad(weights, (0, len(self._texts[0]) - len(weights)), constant_values=np.nan)
        missing = "" if weights is not None else " Click a token to read its exact row."
        self.detail.row_caption.setText(row.words + missing)
        self.detail.arcs.show_row(weights, row.query, row.marked)
        if self._part is None:
            self.detail.map.mark_row(int(np.searchsorted(self.stack.rows, row.query, "right")) - 1)
        else:
            self.detail.map.mark_row(row.query - self._part.rows.start if row.query in self._part.rows else None)
        return row.query

    def _describe(self, row: ShownRow, weights: Floats) -> str:
        """Describe the row of the shown head in one sentence."""
        tile, (words, others) = self.overview.montage.shown, self._texts
        site = self.stack.sites[tile.site]
        layer = part_of_layer(site.site).partition("'")[0]
        if tile.head < site.n_head:
            head = f"head {tile.head + 1} of {layer}"
        else:
            head = f"{('the average head', 'one of the heads')[tile.head - site.n_head]} of {layer}"
        is_causal = self._kind != "encoder" and self.stack.is_causal
        text, question = self.focus.text, self._question
        is_of_text = question is not None and question.head == "sequence" and self._kind != "encoder"
        gives_label = is_of_text and text is not None and row.query == text.start
        return describe_row(head, row, weights, words, others, is_causal=is_causal, gives_label=gives_label)

    @Slot(int, int)
    def _on_cell(self, row: int, column: int) -> None:
        """Show the part of a pooled map around a cell; in an exact map, lock the token of the row."""
        if self.stack.is_pooled and self._part is None:
            self.reading.ask_window(
                self._kind, window_around(self.stack.rows, row), window_around(self.stack.columns, column)
            )
            return
        query = row if self._part is None else self._part.rows[row]
        position = position_of_row(query, len(self._texts[0]), self._which_row)
        if position is None:
            self.detail.which_row.choose("own")
            position = query
        self._pointed.lock(position)
        self._show_row()

    @Slot(object)
    def _on_window(self, window: Window) -> None:
        if not self._is_there or window.kind != self._kind:
            return
        if len(window.rows) == 1:
            self._row = window
            self._draw_row()
        else:
            self._show_part(window)

    def _show_part(self, part: Window | None) -> None:
        self._part = part
        self._show_sides()
        self._show_head()

    def _show_sides(self) -> None:
        part = self._part
        rows, columns = self.stack.rows.tolist(), self.stack.columns.tolist()
        if part is not None:
            rows, columns = [*part.rows, part.rows.stop], [*part.columns, part.columns.stop]
        self.detail.show_sides(*_sides_of(*self._texts, rows, columns), is_part=part is not None)

    def numbers(self) -> Callable[[], Columns]:
        """Return a function that creates the export columns: the weights of the shown head."""
        if not self._is_there:
            return dict
        tile = self.overview.montage.shown
        return partial(head_columns, self.stack, tile.site, tile.head, *self._texts)


class _HeadDetail(QWidget):
    """Shows one head. The map may be a part of the whole map, and its cells may be blocks of tokens.

    Signals:
        cell_clicked(row, column): a cell of the map was clicked.
        whole_requested(): the whole map is to be shown again.
    """

    cell_clicked = Signal(int, int)
    whole_requested = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sides = (side_of(()), side_of(()))
        self.title = ElidedLabel()
        self.title.setProperty("role", "subheading")
        self.whole: QPushButton = button("Whole map", theme, self.whole_requested.emit, role="link")
        policy = self.whole.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.whole.setSizePolicy(policy)
        self.whole.hide()
        self.scores = label("", "caption", wrap=True)
        self.scores.setToolTip(plain_tip("\n".join(f"{PATTERNS[name]}: {words}" for name, words in EXPLAINED.items())))
        self.map = TokenMap(theme)
        self.pooled = label("", "caption", wrap=True)
        self.which_row = Segments(
            "Row",
            ROWS,
            "A token is predicted at the position before it, so that row shows the attention used.\n"
            "The row of the token itself predicts the next one.",
            wraps=True,
        )
        self.row_caption = label("", "caption", wrap=True)
        self.arcs = AttentionArcs(theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addWidget(self.title)
        layout.addWidget(self.scores)
        layout.addWidget(self.which_row)
        layout.addWidget(self.row_caption)
        layout.addWidget(self.arcs)
        layout.addSpacing(SPACE)
        layout.addLayout(row(label("All rows: each attends to the columns", "caption", wrap=True), self.whole))
        layout.addWidget(self.map)
        layout.addWidget(self.pooled)
        self.map.clicked.connect(self.cell_clicked)

    def show_sides(self, rows: Side, columns: Side, *, is_part: bool) -> None:
        """Set the rows and columns of the maps that `show_head` shows. is_part: whether they are a part of the map."""
        self._sides = rows, columns
        self.whole.setVisible(is_part)
        self.pooled.setVisible(is_part or rows.has_blocks or columns.has_blocks)
        self.pooled.setText(_PART if is_part else _POOLED)

    def show_head(self, weights: Floats, title: str, scores: str, scale: str) -> None:
        """Show a head's map (rows, columns) with a title and its measured scores."""
        self.title.setText(title)
        self.scores.setText(scores)
        self.scores.setVisible(bool(scores))
        self.map.set_picture(head_picture(weights, title, *self._sides, scale))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        lowest, highest = _MAP_HEIGHTS
        most = min(max(lowest, round(0.72 * self.width())), highest)
        self.map.setFixedHeight(self.map.height_at(self.width(), most))


def _sides_of(
    words: Sequence[str], others: Sequence[str] | None, rows: Sequence[int], columns: Sequence[int]
) -> tuple[Side, Side]:
    """Return the sides of a map of tokens that attend to each other, or to `others`. rows, columns: edges of blocks."""
    names = short_names(words)
    return side_of(names, rows), side_of(names if others is None else short_names(others), columns)
