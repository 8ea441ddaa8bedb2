"""One snapshot in three panes: the output, the predicted tokens, and the attention of the recorded layer."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QVariantAnimation, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QSplitter, QWidget

from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    group,
    label,
    plain_tip,
    prefers_reduced_motion,
    scrolling,
    separator,
    set_enabled,
    show_if,
)
from terrarium.app.kit.inputs import named
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.painted_rows import RowTips
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.curves.sample_feed import as_rich_text, highlight_changes, prompt_and_output
from terrarium.app.run_views.time_machine.attention_pane import AttentionPane
from terrarium.app.run_views.time_machine.snapshots import Snapshot
from terrarium.app.run_views.token_names import TokenNames
from terrarium.models.number_words import format_percent, format_prob
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.sampling_config import PINNED, format_step
from terrarium.models.tokenizers import Piece

_TITLES = {
    "decoder-only": ("What it writes", "Next token"),
    "encoder-only": ("How it fills the gaps", "In the first gap"),
    "encoder-decoder": ("How it fills the gaps", "Start of the first gap"),
    "pronouns": ("What “it” is", "Nouns to choose from"),
    "labels": ("What it predicts", "Next token"),
}
"""Titles by topology or task."""
_DRAWN = (
    f"Drawn at random ({' and '.join(format_step(PINNED, step).lower() for step in ('temperature', 'top_k'))}) with "
    "one seed for all steps, so it need not begin with the likeliest token"
)
_WHY = {
    "decoder-only": "The model's prediction right after the prompt, before the sample's temperature and top-k",
    "encoder-only": "The model's prediction at the first masked position",
    "encoder-decoder": "The model's prediction for the first token of the first gap",
    "pronouns": "The probability of each noun before “it”",
    "labels": "This model predicts labels and no tokens",
}
_N_ROWS = 10
_MOVE_MS = 180
_HIGHEST = 28  # pixels of a row
_BAR = 6


class Panes(QSplitter):
    """The three panes, in a splitter."""

    def __init__(self, theme: ThemeProvider, names: TokenNames, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._names = names
        self._config: ModelConfig | None = None
        self.written, self.bars, self.attention = WrittenText(theme), _TokenBars(theme), AttentionPane(theme)
        self.fork = button("Fork from here", theme, icon="git-fork", tip="Start a new run from this checkpoint")
        self.chat = button("Chat with it", theme, icon="chat-circle", tip="Chat with the model as it was at this step")
        self._texts_title, self._top_title = label("", "subheading"), label("", "subheading")
        self._sum = label("", "caption")
        self._sum.setToolTip("The rest of the probability is spread over all other tokens")
        self.setChildrenCollapsible(False)
        self.addWidget(_pane(self._texts_title, self.written, wrapping(self.fork, self.chat)))
        self.addWidget(_pane(self._top_title, self.bars, self._sum))
        self.addWidget(_pane(None, self.attention))
        self.setSizes([310, 200, 490])  # wide enough for two buttons in a row, and for a map with token names
        for i, stretch in enumerate((2, 1, 4)):
            self.setStretchFactor(i, stretch)

    def set_spec(self, spec: RunSpec | None) -> None:
        """Set the spec of the run whose snapshots are shown; None if unknown."""
        self._config = spec.model if spec is not None else None
        learned = spec.model.topology if spec is not None else "decoder-only"
        if spec is not None and spec.data.source == "pronouns":
            learned = "pronouns"
        elif spec is not None and spec.model.head not in ("language", "none"):
            learned = "labels"
        texts, top = _TITLES[learned]
        self._texts_title.setText(texts)
        self._top_title.setText(top)
        drawn = learned in ("decoder-only", "encoder-decoder")
        self._texts_title.setToolTip(plain_tip(_DRAWN if drawn else ""))
        self._top_title.setToolTip(plain_tip(_WHY[learned]))

    def show_snapshot(self, snapshot: Snapshot, *, moves: bool) -> None:
        """Show a snapshot. `moves`: animate the bars, unless the user prefers reduced motion."""
        top, seen = snapshot.sample.top, snapshot.attention
        pieces = self._names.pieces(token for token, _ in top)
        rows = [(piece, p) for piece, (_, p) in zip(pieces, top, strict=True)]
        before = snapshot.earlier[0].top if snapshot.earlier else None
        self.written.show_snapshot(snapshot)
        self.bars.show_top(rows, before, moves=moves and not prefers_reduced_motion())
        self._sum.setText(f"These {len(top)} together: {format_percent(sum(p for _, p in top), 1)}" if top else "")
        tokens = [piece.display for piece in self._names.pieces(seen.ids)] if seen is not None else []
        self.attention.show_attention(seen, tokens, self._config)

    def offer_checkpoint(self, is_kept: bool) -> None:
        """Enable the checkpoint actions if the checkpoint of this step is on disk."""
        missing = "" if is_kept else "No checkpoint of this step is kept: go to a step with ◆ in the timeline."
        for offer in (self.fork, self.chat):
            set_enabled(offer, missing)


def _pane(head: QWidget | None, content: QWidget, *feet: QWidget) -> QFrame:
    heads = [head] if head is not None else []
    return frame("card", *heads, content, *feet, margin=SPACE + SPACE // 2, spacing=SPACE // 2, grows=content)


class WrittenText(QWidget):
    """The output at one step, with changes since the previous output highlighted; below it, earlier outputs."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._snapshot: Snapshot | None = None
        self._now, self._earlier = _text("What it writes"), _text("What it wrote before")
        self._line = separator()
        body = group(self._now, self._line, self._earlier, None, margin=(0, 0, SPACE, 0))
        self.setLayout(column(scrolling(body)))
        theme.theme_changed.connect(self._show)

    @property
    def text(self) -> str:
        """The recorded output; '' while nothing is shown."""
        return self._snapshot.sample.text if self._snapshot is not None else ""

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""
        self._snapshot = snapshot
        self._show()

    @Slot()
    def _show(self) -> None:
        if self._snapshot is None:
            return
        colors, (now, _, earlier) = self._theme.theme, self._snapshot
        (asked, answer), (_, old) = prompt_and_output(now), prompt_and_output(earlier[0] if earlier else now)
        marked = highlight_changes(old.strip(), answer.strip(), colors.accent_soft)
        marked = marked or _muted("Nothing: it stopped at once.", colors.muted)
        self._now.setText(f'<p style="margin-bottom:6px">{_muted(asked, colors.muted)}</p>{marked}')
        show_if(earlier, self._line, self._earlier)
        lines = (f"Step {sample.step:,}: {prompt_and_output(sample)[1].strip() or 'nothing'}" for sample in earlier)
        self._earlier.setText("".join(f'<p style="color:{colors.muted}">{as_rich_text(line)}</p>' for line in lines))


def _muted(text: str, colour: str) -> str:
    return f'<span style="color:{colour}">{as_rich_text(text)}</span>'


def _text(name: str) -> QLabel:
    text = named(QLabel(), name)
    text.setWordWrap(True)
    text.setTextFormat(Qt.TextFormat.RichText)
    text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return text


class _TokenBars(RowTips):
    """Rows of token, bar and probability, the most probable first; a mark on the bar shows the previous value."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: Sequence[tuple[Piece, float]] = ()
        self._before: dict[int, float] = {}
        self._has_before = False
        self._from: dict[int, float] = {}
        self._move = QVariantAnimation(self, startValue=0.0, endValue=1.0, duration=_MOVE_MS)
        self._move.valueChanged.connect(self.update)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Most probable tokens")
        theme.theme_changed.connect(self._restyle)

    @property
    def rows(self) -> Sequence[tuple[Piece, float]]:
        """The shown tokens and their probabilities."""
        return self._rows

    def show_top(
        self, rows: Sequence[tuple[Piece, float]], before: Sequence[tuple[int, float]] | None, *, moves: bool
    ) -> None:
        """Show tokens; `before`: those of the previous recorded step. `moves`: animate the bars."""
        self._from = {piece.id: p for piece, p in self._rows}
        self._rows, self._has_before = rows, before is not None
        self._before = dict(before or ())
        self.setAccessibleDescription(", ".join(f"{piece.display} {format_prob(p)}" for piece, p in rows))
        self._move.stop()
        if moves:
            self._move.start()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, _N_ROWS * 22)

    def minimumSizeHint(self) -> QSize:
        return QSize(150, _N_ROWS * self._metrics().height())

    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.mono_font(0.9))

    @property
    def _row_height(self) -> float:
        return min(self.height() / _N_ROWS, _HIGHEST)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics, height = self._metrics(), self._row_height
        number = metrics.horizontalAdvance(format_prob(1e-9)) + SPACE  # the widest, so that bars keep their length
        widest = max((metrics.horizontalAdvance(piece.display) for piece, _ in self._rows), default=0) + 2 * SPACE
        pill = max(48, min(widest, int(0.42 * self.width())))
        for i, (piece, p) in enumerate(self._rows):
            line = QRectF(0, i * height, self.width(), height)
            self._draw_pill(painter, QRectF(0, line.top() + 1, pill, height - 2), piece)
            track = QRectF(pill + SPACE, line.center().y() - _BAR / 2, self.width() - pill - number - SPACE, _BAR)
            self._draw_bar(painter, track, self._shown(piece.id, p), self._before.get(piece.id))
            painter.setFont(self._theme.mono_font(0.9))
            painter.setPen(self._theme.theme.color("text"))
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(line, right, format_prob(p))

    def _shown(self, id: int, p: float) -> float:
        """Return the current length of a bar, from 0 to 1, which may be animated."""
        if self._move.state() != QVariantAnimation.State.Running:
            return p
        share, start = float(self._move.currentValue()), self._from.get(id, 0.0)
        return start + (p - start) * share

    def _draw_pill(self, painter: QPainter, box: QRectF, piece: Piece) -> None:
        colors = self._theme.theme
        if piece.special:
            painter.setPen(QPen(colors.color("border_strong"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("pill_a"))
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.setPen(colors.color("text" if piece.special else "pill_text"))
        painter.setFont(self._theme.mono_font(0.9))
        width = int(box.width() - SPACE)
        words = self._metrics().elidedText(piece.display, Qt.TextElideMode.ElideMiddle, width)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)

    def _draw_bar(self, painter: QPainter, track: QRectF, p: float, before: float | None) -> None:
        colors = self._theme.theme
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("sunken"))
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        bar = QRectF(track)
        bar.setWidth(max(track.width() * p, 1.5))
        painter.setBrush(colors.color("accent"))
        painter.drawRoundedRect(bar, min(_BAR / 2, bar.width() / 2), _BAR / 2)
        if before is not None:
            x = track.left() + track.width() * before
            painter.setPen(QPen(colors.color("muted"), 1.5))
            painter.drawLine(QPointF(x, track.top() - 3), QPointF(x, track.bottom() + 3))

    def tip(self, row: int) -> str:
        if not 0 <= row < len(self._rows):
            return ""
        piece, p = self._rows[row]
        words = f"Token {piece.id:,}, ranked {row + 1}: {format_prob(p)}"
        if not self._has_before:
            return words
        before = self._before.get(piece.id)
        was = f"{format_prob(before)} (mark)" if before is not None else "not in the top ten"
        return f"{words}\nAt the previous sample: {was}"

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()
